"""One person who appears in all the places where Frappe, ERPNext and this app keep data about people.

The tests of the rights use it (DS-10, DS-16, DS-17). What it makes is committed, for what runs in other
processes; `remove` takes it away again.
"""

import base64
import gzip
import json
import quopri
import random
import string
from collections import defaultdict
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from urllib.parse import quote

from conftest import remove_traces

import frappe
from frappe.utils import add_days, now, today

from gdpr_consent import api, ledger, register
from gdpr_consent.identity import Person

PROOF = {"source": "Phone", "evidence": "Said so on the telephone"}


class PersonEverywhere:
	"""A person with a Contact, a Lead, a Customer and a login, and whatever follows from those.

	`documents` are the names made, by DocType; `name`, `emails`, `phones` and `street` what is looked for.
	"""

	def __init__(self) -> None:
		self.tag = "".join(random.choices(string.ascii_lowercase, k=10))
		self.first_name, self.last_name = f"Żaneta{self.tag}", f"Kołodziejczyk{self.tag}"
		self.name = f"{self.first_name} {self.last_name}"
		self.email = f"Zaneta.{self.tag}@everywhere.example"
		self.second_email = f"z_k+{self.tag}@private.example"
		self.emails = (self.email, self.second_email)
		self.phone = f"+48 60{random.randint(0, 9)} {random.randint(100, 999)} {random.randint(100, 999)}"
		self.phones = (self.phone,)
		self.street = f"ul. Różana{self.tag} 7"
		self.documents: dict[str, list[str]] = defaultdict(list)
		self.others: dict[str, str] = {}

	@property
	def people(self) -> list[Person]:
		kinds = ("Contact", "Lead", "Customer", "User")
		return [Person(kind, self.documents[kind][0]) for kind in kinds]

	@property
	def addresses(self) -> tuple[str, ...]:
		return (*self.emails, *self.phones)

	def new(self, doctype: str, **values):
		doc = frappe.new_doc(doctype, **values)
		doc.flags.ignore_permissions = True
		doc.insert()
		self.documents[doctype].append(doc.name)
		return doc

	def row(self, doctype: str, **values):
		"""Write what core writes past its own checks, such as logs."""
		doc = frappe.new_doc(doctype, **values)
		if not doc.name:
			doc.set_new_name()
		doc.db_insert()
		self.documents[doctype].append(doc.name)
		return doc

	def make(self) -> "PersonEverywhere":
		"""Make everything, and commit it."""
		frappe.set_user("Administrator")
		self._make_records()
		self._make_sales()
		self._make_messages()
		self._make_logs()
		self._make_consents()
		frappe.db.commit()
		return self

	# --- records --------------------------------------------------------------------------------------------

	def _make_records(self) -> None:
		self.company = frappe.db.get_single_value("Global Defaults", "default_company")
		self.user = self.new(
			"User",
			email=self.email,
			first_name=self.first_name,
			last_name=self.last_name,
			mobile_no=self.phone,
			send_welcome_email=0,
			user_type="Website User",
		)
		self.lead = self.new(
			"Lead",
			first_name=self.first_name,
			last_name=self.last_name,
			email_id=self.email,
			mobile_no=self.phone,
			notes=[{"note": f"{self.name} called from {self.phone}", "added_on": now()}],
		)
		self.customer = self.new(
			"Customer",
			customer_name=self.name,
			customer_type="Individual",
			lead_name=self.lead.name,
			portal_users=[{"user": self.user.name}],
		)
		links = [
			{"link_doctype": "Customer", "link_name": self.customer.name},
			{"link_doctype": "Lead", "link_name": self.lead.name},
		]
		self.contact = frappe.get_doc("Contact", self._contact_of_the_lead())
		self.documents["Contact"].append(self.contact.name)
		self.contact.update({"user": self.user.name, "designation": "Engineer"})
		self.contact.set("links", links)
		self.contact.append("email_ids", {"email_id": self.second_email})
		self.contact.save()
		self.address = self.new(
			"Address",
			address_title=self.name,
			address_type="Billing",
			address_line1=self.street,
			city="Warszawa",
			country="Poland",
			email_id=self.email,
			phone=self.phone,
			links=links,
		)
		self.customer.reload()
		self.customer.update(
			{"customer_primary_contact": self.contact.name, "customer_primary_address": self.address.name}
		)
		self.customer.save()
		self.prospect = self.new("Prospect", company_name=f"Prospect {self.tag}")
		self.prospect.append(
			"leads",
			{"lead": self.lead.name, "lead_name": self.name, "email": self.email, "mobile_no": self.phone},
		)
		self.prospect.append("notes", {"note": f"Ask {self.name}", "added_on": now()})
		self.prospect.save()
		self.documents["Prospect Lead"].append(self.prospect.leads[0].name)
		self.documents["CRM Note"] += [row.name for row in (*self.lead.notes, *self.prospect.notes)]
		self.documents["Portal User"] += [row.name for row in self.customer.portal_users]

	def _contact_of_the_lead(self) -> str:
		"""Core makes the Contact of a Lead, if the site is set up so."""
		made = frappe.get_all(
			"Dynamic Link",
			{"parenttype": "Contact", "link_doctype": "Lead", "link_name": self.lead.name},
			pluck="parent",
		)
		if made:
			return made[0]
		rows = {"email_ids": [{"email_id": self.email, "is_primary": 1}]}
		rows["phone_nos"] = [{"phone": self.phone, "is_primary_mobile_no": 1}]
		names = {"first_name": self.first_name, "last_name": self.last_name}
		return frappe.new_doc("Contact", **names, **rows).insert().name

	# --- sales ----------------------------------------------------------------------------------------------

	def _make_sales(self) -> None:
		group = frappe.get_all("Item Group", {"is_group": 0}, pluck="name")[0]
		item = self.new(
			"Item", item_code=f"Item {self.tag}", item_group=group, stock_uom="Nos", is_stock_item=0
		)
		rows = [{"item_code": item.name, "qty": 1, "rate": 10, "delivery_date": add_days(today(), 9)}]
		sale = {
			"customer": self.customer.name,
			"company": self.company,
			"currency": "EUR",
			"items": rows,
			"customer_address": self.address.name,
			"contact_person": self.contact.name,
		}
		self.opportunity = self.new(
			"Opportunity",
			opportunity_from="Lead",
			party_name=self.lead.name,
			company=self.company,
			contact_email=self.email,
			contact_mobile=self.phone,
			whatsapp=self.phone,
		)
		self.quotation = self.new(
			"Quotation",
			quotation_to="Customer",
			party_name=self.customer.name,
			valid_till=add_days(today(), 9),
			order_type="Sales",
			**{key: value for key, value in sale.items() if key != "customer"},
		)
		self.order = self.new("Sales Order", delivery_date=add_days(today(), 9), **sale)
		self.order.submit()
		self.invoice = self.new("Sales Invoice", due_date=add_days(today(), 9), **sale)
		self.invoice.submit()
		ledger = {"voucher_no": self.invoice.name}
		for doctype in ("GL Entry", "Payment Ledger Entry"):
			self.documents[doctype] += frappe.get_all(doctype, ledger, pluck="name")
		self.issue = self.new(
			"Issue",
			subject=f"Broken, says {self.name}",
			raised_by=self.email,
			customer=self.customer.name,
			description=f"<p>Call {self.phone}</p>",
			contact=self.contact.name,
		)
		self.row(
			"Appointment",
			customer_name=self.name,
			customer_email=self.email,
			customer_phone_number=self.phone,
			status="Open",
			scheduled_time=now(),
			appointment_with="Lead",
			party=self.lead.name,
		)
		self.row("Call Log", id=f"call-{self.tag}", to=self.phone, customer=self.customer.name)
		self.row(
			"SMS Log", sender_name="Us", sent_to=self.phone, requested_numbers=self.phone, message="Hello"
		)
		self.row(
			"Warranty Claim", customer=self.customer.name, customer_name=self.name, contact_email=self.email
		)
		self.row("Contract", party_type="Customer", party_name=self.customer.name, signee=self.name)
		self.row(
			"Payment Request",
			party_type="Customer",
			party=self.customer.name,
			party_name=self.name,
			email_to=self.email,
			phone_number=self.phone,
			docstatus=1,
		)
		# An enquiry of somebody else, in which the person is named.
		other = frappe.new_doc("Lead", first_name="Somebody", last_name=f"Else{self.tag}").insert()
		self.others["Lead"] = other.name
		self.others["Opportunity"] = self.row(
			"Opportunity",
			opportunity_from="Lead",
			party_name=other.name,
			company=self.company,
			contact_email=self.email,
			contact_person=self.contact.name,
			contact_display=self.name,
		).name

	# --- messages -------------------------------------------------------------------------------------------

	def _make_messages(self) -> None:
		of_contact = {"reference_doctype": "Contact", "reference_name": self.contact.name}
		self.communication = self.new(
			"Communication",
			subject=f"Offer for {self.name}",
			content=f"<p>Dear {self.name}, {self.phone}</p>",
			recipients=self.email,
			sender="staff@gdpr-test.example",
			sent_or_received="Sent",
			communication_medium="Email",
			**of_contact,
		)
		self.new(
			"Communication",
			subject="An answer",
			content=f"<p>Write to {self.second_email}</p>",
			recipients="staff@gdpr-test.example",
			sender=self.email,
			sent_or_received="Received",
			communication_medium="Email",
		)
		# What went to several people: only this one's words go.
		self.others["Communication"] = self.new(
			"Communication",
			subject="To all",
			content="<p>Hello all</p>",
			recipients=f'"Somebody" <somebody@other.example>, "{self.name}" <{self.second_email}>',
			sender="staff@gdpr-test.example",
			sent_or_received="Sent",
			communication_medium="Email",
		).name
		self.row(
			"Communication Link",
			parent=self.others["Communication"],
			parenttype="Communication",
			parentfield="timeline_links",
			link_doctype="Contact",
			link_name=self.contact.name,
		)
		for encode in ("quoted-printable", "base64"):
			self._queue_mail(encode)
		self.new("Comment", comment_type="Comment", content=f"<p>{self.name}: {self.email}</p>", **of_contact)
		self.new(
			"Comment",
			comment_type="Comment",
			content=f"<p>Paid by {self.name}</p>",
			reference_doctype="Sales Invoice",
			reference_name=self.invoice.name,
		)
		self.new(
			"ToDo",
			description=f"Call {self.name} at {self.phone}",
			reference_type="Lead",
			reference_name=self.lead.name,
			allocated_to="Administrator",
		)
		self.new("Note", title=f"About {self.tag}", content=f"<p>{self.name} &lt;{self.email}&gt;</p>")
		event = self.new(
			"Event",
			subject=f"Lunch with {self.name}",
			starts_on=now(),
			description=f"Ring {self.phone}",
			event_participants=[
				{"reference_doctype": "Contact", "reference_docname": self.contact.name, "email": self.email}
			],
		)
		self.documents["Event Participants"] += [row.name for row in event.event_participants]
		group = frappe.new_doc("Email Group", title=f"Group {self.tag}").insert()
		self.others["Email Group"] = group.name
		self.new("Email Group Member", email_group=group.name, email=self.email)
		self.row("Email Unsubscribe", email=self.second_email, global_unsubscribe=1)
		frappe.new_doc("Tag", name=f"Tag {self.tag}").insert()
		frappe.get_doc("Contact", self.contact.name).add_tag(f"Tag {self.tag}")
		self.documents["Tag Link"] += frappe.get_all("Tag Link", {"tag": f"Tag {self.tag}"}, pluck="name")
		for doctype, name in (("Lead", self.lead.name), ("Sales Invoice", self.invoice.name)):
			names = json.dumps([self.email])
			frappe.db.set_value(
				doctype,
				name,
				{"_assign": names, "_liked_by": names, "_comments": json.dumps([self.said()])},
				update_modified=False,
			)
		self.new("DocShare", user=self.user.name, share_doctype="Sales Invoice", share_name=self.invoice.name)
		self._attach("Contact", self.contact.name, f"{self.name} CV.txt", self.said_in_text().encode())
		self._attach("Sales Invoice", self.invoice.name, f"invoice-{self.tag}.txt", b"The invoice as sent")
		self._attach(None, None, f"list-{self.tag}.csv", f"name,mail\n{self.name},{self.email}\n".encode())

	def said(self) -> dict[str, str]:
		return {"comment": f"{self.name} said so", "by": self.email}

	def said_in_text(self) -> str:
		return f"{self.name}\n{self.email}\n{self.second_email}\n{self.phone}\n"

	def _queue_mail(self, encoding: str) -> None:
		text = f"<p>Dear {self.name},</p><p>{'word ' * 30}{self.email} {self.phone}</p>"
		message = MIMEMultipart()
		part = MIMEText(text, "html", "utf-8")  # in base64
		if encoding == "quoted-printable":
			part.replace_header("Content-Transfer-Encoding", encoding)
			part.set_payload(quopri.encodestring(text.encode()).decode())
		message.attach(part)
		message["To"] = self.email
		message["Subject"] = f"Offer for {self.name}"
		queue = self.row(
			"Email Queue",
			sender="staff@gdpr-test.example",
			message=message.as_string(),
			status="Sent",
			communication=self.communication.name,
		)
		self.row(
			"Email Queue Recipient",
			parent=queue.name,
			parenttype="Email Queue",
			parentfield="recipients",
			recipient=self.email,
			status="Sent",
		)

	def _attach(self, doctype: str | None, name: str | None, file_name: str, content: bytes) -> None:
		self.new(
			"File",
			file_name=file_name,
			attached_to_doctype=doctype,
			attached_to_name=name,
			is_private=1,
			content=content,
		)

	# --- logs -----------------------------------------------------------------------------------------------

	def _make_logs(self) -> None:
		changed = json.dumps({"changed": [["full_name", "Jo", self.name], ["email_id", "", self.email]]})
		self.row("Version", ref_doctype="Customer", docname=self.customer.name, data=changed)
		self.row("Version", ref_doctype="Sales Invoice", docname=self.invoice.name, data=changed)
		deleted = frappe.get_doc({"doctype": "Contact", "name": self.name, "email_id": self.email})
		self.row(
			"Deleted Document",
			deleted_doctype="Contact",
			deleted_name=self.name,
			data=json.dumps(deleted.as_dict(), default=str),
		)
		self.row("Activity Log", subject=f"{self.name} logged in", user=self.user.name, full_name=self.name)
		self.row(
			"Access Log",
			export_from="Lead",
			reference_document=self.lead.name,
			user="Administrator",
			filters=json.dumps({"email_id": self.email}),
		)
		self.row(
			"View Log", reference_doctype="Lead", reference_name=self.lead.name, viewed_by="Administrator"
		)
		self.row("Error Log", method="send", error=f"Mail to {self.email} failed: {quote(self.email)}")
		self.row(
			"Notification Log",
			subject=f"{self.name} wrote",
			for_user="Administrator",
			document_type="Lead",
			document_name=self.lead.name,
			email_content=self.email,
		)
		imported = self.row(
			"Data Import",
			name=f"Lead Import {self.tag}",
			reference_doctype="Lead",
			import_type="Insert New Records",
			template_warnings=json.dumps([{"message": f"{self.email} twice"}]),
		)
		self._attach(
			"Data Import",
			imported.name,
			f"import-{self.tag}.csv",
			f'First Name,Email\n"{self.name}",{self.email}\n"Somebody Else",else@other.example\n'.encode(),
		)
		self.row("Data Import Log", data_import=imported.name, messages=json.dumps([self.email]))
		report = self.row(
			"Prepared Report",
			report_name="Leads",
			status="Completed",
			filters=json.dumps({"email": self.email}),
		)
		self._attach(
			"Prepared Report",
			report.name,
			f"report-{self.tag}.json.gz",
			gzip.compress(json.dumps({"rows": [self.said()]}).encode()),
		)
		coded = base64.b64encode(f"x{self.said_in_text()}".encode()).decode()
		self.row("Integration Request", data=json.dumps({"body": coded}), status="Completed")
		self.row("Webhook Request Log", data=json.dumps(self.said()), url="https://hook.example")
		self.row("Route History", route=f"Form/Contact/{self.name}", user="Administrator")
		frappe.db.sql(
			"insert into `__global_search` (doctype, name, title, content, published)"
			" values (%s, %s, %s, %s, 0)",
			("Contact", self.contact.name, self.name, f"Full Name: {self.name} ||| {self.email}"),
		)

	# --- consents -------------------------------------------------------------------------------------------

	def _make_consents(self) -> None:
		party = {"party_type": "Lead", "party": self.lead.name}
		api.record_consent("Email Marketing", email=self.email, **party, **PROOF)
		register.withdraw(
			[self.second_email], act=register.Act(reason=f"{self.name} wrote from {self.second_email}")
		)
		for doctype in ("Consent", "Suppression"):
			self.documents[doctype] += frappe.get_all(doctype, {"email": ["in", self.emails]}, pluck="name")
		for doctype, more in (
			("Consent Bulk Update Address", {"evidence": self.name}),
			("Consent Bulk Update Item", {"note": self.name}),
		):
			name = f"{self.tag}-1"
			ledger.insert(doctype, [{"name": name, "bulk_update": self.tag, "email": self.email, **more}])
			self.documents[doctype].append(name)

	# --- afterwards -----------------------------------------------------------------------------------------

	def remove(self) -> None:
		"""Take away what is left, but for what the law has kept."""
		frappe.set_user("Administrator")
		frappe.db.rollback()
		for doctype, names in self.documents.items():
			if not names or doctype in ("Consent", "Suppression"):
				continue
			frappe.db.delete(doctype, {"name": ["in", names]})
			for table in frappe.get_meta(doctype).get_table_fields():
				frappe.db.delete(table.options, {"parenttype": doctype, "parent": ["in", names]})
		for doctype, name in self.others.items():
			frappe.db.delete(doctype, {"name": name})
		frappe.db.commit()
		remove_traces([*self.addresses])
