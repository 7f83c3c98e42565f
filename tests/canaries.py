"""Records with a canary, a value that exists nowhere else, in each protected field; and who may read them.

Imports nothing of gdpr_consent, so that plain ERPNext can be tried with the same records.
"""

import re
import secrets
import string
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import frappe
from frappe.permissions import add_permission, update_permission_property
from frappe.utils import add_days, today
from frappe.utils.password import update_password

# What the installed rules protect. A DocType without fields is protected as a whole.
PROTECTED: dict[str, tuple[str, ...]] = {
	"Customer": ("tax_id",),
	"Supplier": ("tax_id",),
	"Sales Order": ("tax_id",),
	"Sales Invoice": ("tax_id",),
	"POS Invoice": ("tax_id",),
	"Delivery Note": ("tax_id",),
	"Purchase Invoice": ("tax_id",),
	"Bank Account": ("iban", "bank_account_no", "branch_code"),
	"Payment Entry": ("bank_account_no",),
	"Payment Request": ("iban", "bank_account_no", "branch_code"),
	"Bank Transaction": ("bank_party_iban", "bank_party_account_number"),
	"Bank Guarantee": ("iban", "bank_account_no", "branch_code"),
	"Employee": (
		"bank_ac_no",
		"iban",
		"passport_number",
		"place_of_issue",
		"date_of_issue",
		"valid_upto",
		"family_background",
		"health_details",
		"blood_group",
	),
	"Contract": (),
}
# What a canary in a record of a DocType that is protected as a whole stands in.
TEXT_OF = {"Contract": "contract_terms"}

STAFF_ROLES = (
	"Accounts Manager",
	"Accounts User",
	"Dashboard Manager",
	"HR Manager",
	"HR User",
	"Item Manager",
	"Prepared Report User",
	"Purchase Manager",
	"Purchase Master Manager",
	"Purchase User",
	"Report Manager",
	"Sales Manager",
	"Sales Master Manager",
	"Sales User",
	"Stock Manager",
	"Stock User",
	"Support Team",
)
CONTROL, STAFF, MANAGER, PORTAL, PORTAL_CONTROL, GUEST = (
	"control",
	"staff",
	"System Manager",
	"website user",
	"website control",
	"Guest",
)


def fields_of(doctype: str) -> tuple[str, ...]:
	return PROTECTED[doctype] or (TEXT_OF[doctype],)


class Canary(NamedTuple):
	field: str  # DocType.fieldname
	value: str

	@property
	def spellings(self) -> tuple[str, ...]:
		"""As it may stand in an answer: a date in the format of the site, too."""
		if re.fullmatch(r"\d{4}-\d\d-\d\d", self.value):
			year, month, day = self.value.split("-")
			return self.value, f"{day}-{month}-{year}", f"{day}.{month}.{year}", f"{month}-{day}-{year}"
		return (self.value.upper(),)


class Canaries:
	"""Every value that was planted, and how to find them in what somebody got."""

	def __init__(self) -> None:
		self.all: list[Canary] = []

	def new(self, doctype: str, fieldname: str) -> str:
		value = self._value(doctype, fieldname)
		self.all.append(Canary(f"{doctype}.{fieldname}", value))
		return value

	def _value(self, doctype: str, fieldname: str) -> str:
		if fieldname in ("date_of_issue", "valid_upto"):
			# Of centuries that nothing else on a site is about; days that no format takes for a month.
			century = {"date_of_issue": 17, "valid_upto": 25}[fieldname]
			year, month, day = (secrets.randbelow(number) for number in (90, 12, 15))
			return f"{century}{year + 10}-{month + 1:02}-{day + 13}"
		if fieldname.endswith("iban"):
			return iban()
		if fieldname in ("bank_account_no", "bank_ac_no", "bank_party_account_number"):
			return "7" + "".join(secrets.choice(string.digits) for _ in range(13))  # an exact float, too
		return "QZ" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(12))

	def seen_in(self, texts: Iterable[str]) -> set[str]:
		"""The fields whose canaries stand in any of the texts."""
		whole = "\n".join(texts).upper()
		dense = re.sub(r"\s", "", whole)  # IBANs may be written in groups
		return {
			canary.field
			for canary in self.all
			if any(spelling in whole or spelling in dense for spelling in canary.spellings)
		}

	def value(self, doctype: str, fieldname: str) -> str:
		"""The first one of a field."""
		return next(canary.value for canary in self.all if canary.field == f"{doctype}.{fieldname}")


def iban() -> str:
	"""A German IBAN with the right check digits (ISO 13616)."""
	account = "".join(secrets.choice(string.digits) for _ in range(18))
	check = 98 - int(f"{account}131400") % 97
	return f"DE{check:02}{account}"


class Planted:
	"""The records, made and committed; and removed again without a trace."""

	def __init__(self, right: str, protect: Callable[[str, str], None]) -> None:
		"""right: the role whose users may read what is protected; protect: how a field more is protected."""
		self.right, self.protect = right, protect
		self.tag = frappe.generate_hash(length=6)
		self.canaries = Canaries()
		self.made: list[tuple[str, str]] = []
		self.names: dict[str, str] = {}  # the record of each protected DocType
		self.users: dict[str, str] = {}

	def new(self, doctype: str, /, **values: Any):
		"""A record of an administrator's, whatever it lacks."""
		doc = frappe.get_doc({"doctype": doctype, **values})
		doc.flags.ignore_mandatory = doc.flags.ignore_links = True
		doc.insert(ignore_permissions=True)
		self.made.append((doctype, doc.name))
		return doc

	def bare(self, doctype: str, /, **values: Any):
		"""A record straight in its table, where a controller would ask for half a company."""
		doc = frappe.new_doc(doctype)
		doc.update(values)
		doc.name = f"{doctype} {self.tag}"
		doc.creation = doc.modified = frappe.utils.now()
		doc.owner = doc.modified_by = "Administrator"
		doc.db_insert()
		for child in doc.get_all_children():
			child.parent = doc.name
			child.name = frappe.generate_hash(length=10)
			child.db_insert()
		self.made.append((doctype, doc.name))
		return doc

	def plant(self, doctype: str, name: str, **fixed: str) -> None:
		"""Put a canary into each protected field of a record, as if it had come there by a save."""
		self.names.setdefault(doctype, name)
		values = {
			field: fixed.get(field) or self.canaries.new(doctype, field) for field in fields_of(doctype)
		}
		frappe.db.set_value(doctype, name, values, update_modified=False)
		frappe.clear_document_cache(doctype, name)

	def customize(self, doctype: str, field: str | None, name: str, value: str, kind: str) -> None:
		"""As an administrator does it in Customize Form."""
		frappe.make_property_setter(
			{
				"doctype": doctype,
				"doctype_or_field": "DocField" if field else "DocType",
				"fieldname": field,
				"property": name,
				"value": value,
				"property_type": kind,
			},
			is_system_generated=False,
		)
		found = {"doc_type": doctype, "property": name, "field_name": field or ["is", "not set"]}
		self.made.append(("Property Setter", frappe.db.get_value("Property Setter", found)))

	# --- who reads --------------------------------------------------------------------------------------

	def make_users(self) -> None:
		for name, roles in {
			CONTROL: (*STAFF_ROLES, "System Manager", self.right),
			STAFF: STAFF_ROLES,
			MANAGER: (*STAFF_ROLES, "System Manager"),
			PORTAL: ("Customer", "Supplier"),
		}.items():
			email = f"{name.split()[0].lower()}-{self.tag}@canary.example"
			user = self.new("User", email=email, first_name=f"{name} {self.tag}", send_welcome_email=0)
			user.add_roles(*roles)
			update_password(email, "admin")
			self.users[name] = email
		frappe.db.commit()

	# --- what is read -----------------------------------------------------------------------------------

	def make_records(self) -> None:
		self.company = frappe.get_all("Company", pluck="name")[0]
		self.make_parties()
		self.make_documents()
		self.make_versions()
		frappe.db.commit()
		frappe.clear_cache()

	def make_parties(self) -> None:
		self.customer = self.new("Customer", customer_name=f"Customer {self.tag}", customer_type="Company")
		self.supplier = self.new("Supplier", supplier_name=f"Supplier {self.tag}", supplier_type="Company")
		self.plant("Customer", self.customer.name)
		self.plant("Supplier", self.supplier.name)
		# Two more, whose order by tax ID is the reverse of the order by name: for those who sort.
		self.sorted = []
		for letter, tax_id in (("A", "ZZ"), ("B", "AA")):
			other = self.new("Customer", customer_name=f"Sorted {letter} {self.tag}", customer_type="Company")
			frappe.db.set_value("Customer", other.name, "tax_id", f"{tax_id}{self.tag}")
			self.sorted.append(other.name)
		self.contact = self.new(
			"Contact",
			first_name=f"Contact {self.tag}",
			user=self.users[PORTAL],
			email_ids=[{"email_id": self.users[PORTAL], "is_primary": 1}],
			links=[
				{"link_doctype": "Customer", "link_name": self.customer.name},
				{"link_doctype": "Supplier", "link_name": self.supplier.name},
			],
		)
		self.employee = self.new(
			"Employee",
			first_name=f"Employee {self.tag}",
			company=self.company,
			gender="Other",
			date_of_birth="1990-01-01",
			date_of_joining="2020-01-01",
		)
		self.plant("Employee", self.employee.name)
		# A save by anybody checks the options of the blood group, which a canary isn't among.
		self.saved_employee = self.new(
			"Employee",
			first_name=f"Saved {self.tag}",
			company=self.company,
			gender="Other",
			date_of_birth="1990-01-01",
			date_of_joining="2020-01-01",
		)
		self.plant("Employee", self.saved_employee.name, blood_group="AB-")
		self.bank = self.new("Bank", bank_name=f"Bank {self.tag}")
		self.bank_account = self.new(
			"Bank Account",
			account_name=f"Account {self.tag}",
			bank=self.bank.name,
			party_type="Customer",
			party=self.customer.name,
			is_default=1,
		)
		self.plant("Bank Account", self.bank_account.name)
		frappe.db.set_value(
			"Bank Account", self.bank_account.name, "last_integration_date", add_days(today(), -90)
		)
		parent = frappe.get_all(
			"Account", {"company": self.company, "root_type": "Asset", "is_group": 1}, pluck="name"
		)[-1]
		self.ledger = self.new(
			"Account", account_name=f"Ledger {self.tag}", company=self.company, parent_account=parent
		)
		self.own_account = self.new(
			"Bank Account",
			account_name=f"Own {self.tag}",
			bank=self.bank.name,
			company=self.company,
			is_company_account=1,
			account=self.ledger.name,
		)
		self.plant("Bank Account", self.own_account.name)

	def make_documents(self) -> None:
		item_group = frappe.get_all("Item Group", {"is_group": 0}, pluck="name")[0]
		self.item = self.new(
			"Item", item_code=f"Item {self.tag}", item_group=item_group, stock_uom="Nos", is_stock_item=0
		)
		row = {"item_code": self.item.name, "qty": 1, "rate": 10, "delivery_date": add_days(today(), 9)}
		sale = {"customer": self.customer.name, "company": self.company, "currency": "EUR", "items": [row]}
		buy = sale | {"supplier": self.supplier.name}
		buy.pop("customer")
		self.order = self.new("Sales Order", delivery_date=add_days(today(), 9), **sale)
		self.order.submit()
		self.invoice = self.new("Sales Invoice", due_date=add_days(today(), 9), **sale)
		self.invoice.submit()
		self.draft = self.new("Sales Invoice", due_date=add_days(today(), 9), **sale)
		self.note = self.new("Delivery Note", **sale)
		self.note.submit()
		self.bill = self.new("Purchase Invoice", due_date=add_days(today(), 9), bill_no=self.tag, **buy)
		self.bill.submit()
		for doc in (self.order, self.invoice, self.draft, self.note, self.bill):
			self.plant(doc.doctype, doc.name)
		money = {"company": self.company, "party_type": "Customer", "party": self.customer.name}
		pos = self.bare(
			"POS Invoice", customer=self.customer.name, company=self.company, currency="EUR",
			posting_date=today(), posting_time="09:00:00", is_pos=1,
			pos_profile=self.tag, docstatus=1, status="Paid",
			grand_total=10, conversion_rate=1, price_list_currency="EUR", plc_conversion_rate=1,
		)  # fmt: skip
		payment = self.bare(
			"Payment Entry", **money, payment_type="Receive", posting_date=today(), paid_amount=10,
			received_amount=10, bank_account=self.own_account.name, docstatus=0, status="Draft",
			source_exchange_rate=1, target_exchange_rate=1,
		)  # fmt: skip
		request = self.bare(
			"Payment Request", **money, payment_request_type="Outward", transaction_date=today(),
			grand_total=10, currency="EUR", bank_account=self.bank_account.name, docstatus=0, status="Draft",
			reference_doctype="Sales Invoice", reference_name=self.invoice.name,
		)  # fmt: skip
		transaction = self.bare(
			"Bank Transaction", **money, date=today(), deposit=10, currency="EUR", status="Unreconciled",
			bank_account=self.own_account.name, unallocated_amount=10, docstatus=1,
		)  # fmt: skip
		guarantee = self.new(
			"Bank Guarantee",
			bg_type="Receiving",
			amount=10,
			start_date=today(),
			customer=self.customer.name,
			bank_account=self.bank_account.name,
			bank=self.bank.name,
		)
		contract = self.new(
			"Contract",
			party_type="Customer",
			party_name=self.customer.name,
			contract_terms="Terms",
			is_signed=0,
		)
		for doc in (pos, payment, request, transaction, guarantee, contract):
			self.plant(doc.doctype, doc.name)

	def make_versions(self) -> None:
		"""Change what is protected, so that the old value and the new one are in the history."""
		for doctype, name in (
			("Customer", self.customer.name),
			("Supplier", self.supplier.name),
			("Employee", self.saved_employee.name),
			("Bank Account", self.bank_account.name),
			("Contract", self.names["Contract"]),
		):
			doc = frappe.get_doc(doctype, name)
			for field in fields_of(doctype):
				if field != "blood_group":
					doc.set(field, self.canaries.new(doctype, field))
			doc.flags.ignore_mandatory = True
			doc.save(ignore_version=False)

	# --- in the end -------------------------------------------------------------------------------------

	def remove(self) -> None:
		frappe.set_user("Administrator")
		frappe.db.rollback()
		names = [name for _doctype, name in self.made] or ["none"]
		for doctype, name in self.made:
			for field in frappe.get_meta(doctype).get_table_fields():
				frappe.db.delete(field.options, {"parent": name, "parenttype": doctype})
			frappe.db.delete(doctype, {"name": name})
		for doctype, field in (
			("Version", "docname"),
			("Comment", "reference_name"),
			("Communication", "reference_name"),
			("File", "attached_to_name"),
			("GL Entry", "voucher_no"),
			("Payment Ledger Entry", "voucher_no"),
			("Stock Ledger Entry", "voucher_no"),
			("DocShare", "share_name"),
			("Notification Log", "document_name"),
			("ToDo", "reference_name"),
			("Dynamic Link", "link_name"),
			("__global_search", "name"),
		):
			frappe.db.delete(doctype, {field: ["in", names]})
		for user in self.users.values():
			frappe.db.delete("Has Role", {"parent": user})
			frappe.db.delete("DefaultValue", {"parent": user})
			frappe.db.delete("__Auth", {"name": user})
			frappe.db.delete("Notification Settings", {"name": user})
			frappe.db.delete("Notification Log", {"for_user": user})
			frappe.db.delete("ToDo", {"allocated_to": user})
			frappe.db.delete("File", {"owner": user})
		frappe.db.delete("Email Queue", {"status": "Not Sent"})
		frappe.db.commit()
		frappe.clear_cache()


def protect_by_permlevel(role: str) -> None:
	"""What an administrator can do without gdpr_consent: a level of their own, and a role that has it."""
	frappe.get_doc(doctype="Role", role_name=role, desk_access=1).insert()
	for doctype, fields in PROTECTED.items():
		for field in fields:
			raise_level(doctype, field)
		if fields:
			add_permission(doctype, role, 7)
			update_permission_property(doctype, role, 7, "write", 1)
		else:
			add_permission(doctype, role, 0)
			for right in ("write", "create", "export", "print", "report", "email"):
				update_permission_property(doctype, role, 0, right, 1)
			for permission in frappe.get_all("Custom DocPerm", {"parent": doctype, "role": ["!=", role]}):
				frappe.delete_doc("Custom DocPerm", permission.name, force=True)
	frappe.db.commit()
	frappe.clear_cache()


def raise_level(doctype: str, field: str) -> None:
	level = {"property": "permlevel", "value": "7", "property_type": "Int"}
	frappe.make_property_setter({"doctype": doctype, "fieldname": field} | level, is_system_generated=False)


def unprotect(role: str) -> None:
	frappe.db.delete(
		"Property Setter", {"property": "permlevel", "doc_type": "Sales Invoice Item", "value": "7"}
	)
	for doctype, fields in PROTECTED.items():
		if fields:
			frappe.db.delete(
				"Property Setter",
				{"doc_type": doctype, "property": "permlevel", "field_name": ["in", list(fields)]},
			)
		frappe.db.delete("Custom DocPerm", {"parent": doctype})
	frappe.db.delete("Has Role", {"role": role})
	frappe.db.delete("Role", {"name": role})
	frappe.db.commit()
	frappe.clear_cache()
