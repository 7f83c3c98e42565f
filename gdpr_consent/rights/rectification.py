"""Rectification (Art. 16): what is to be corrected is proposed and approved, and then written, with
the rights of whoever approves it, to the record and to its copies.

A consent stays with the address it was given for (ST-12). What happened isn't rewritten: the consents of an
address that was wrong get a note (DS-15).
"""

from collections.abc import Iterable
from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent import identity
from gdpr_consent.exceptions import ChangedMeanwhile, RequestIncomplete
from gdpr_consent.identity import Person
from gdpr_consent.rights import handling, letters, requests, restriction
from gdpr_consent.rights.requests import Right, Status

CHANGEABLE = ("Data", "Small Text", "Text", "Date", "Select", "Link", "Phone", "Autocomplete")
NOT_BY_HAND = ("marketing_mail", restriction.FIELD, "naming_series", "email_id", "mobile_no", "phone")
# Where a Contact keeps its addresses: the table, the field in it, and what makes a row the first one.
ROWS_OF_CONTACT = {
	"email_id": ("email_ids", "email_id", "is_primary"),
	"mobile_no": ("phone_nos", "phone", "is_primary_mobile_no"),
	"phone": ("phone_nos", "phone", "is_primary_phone"),
}
ADDRESSES = {
	"Contact": tuple(ROWS_OF_CONTACT),
	"Lead": ("email_id", *identity.LEAD_NUMBERS),
	"Customer": (),  # those it has are copies of its contact's
}
COPIES_OF_CUSTOMER = ["email_id", "mobile_no"]
_DRAFTS = ("Quotation", "Sales Order", "Delivery Note", "Sales Invoice")  # once submitted, they are history
_OF_CONTACT = ("Opportunity", "Warranty Claim", *_DRAFTS)
# What others copy from a record: the DocType, its field, and the field that names the record.
COPIES: dict[tuple[str, str], tuple[tuple[str, str, str], ...]] = {
	("Contact", "email_id"): (
		("Customer", "email_id", "customer_primary_contact"),
		*((doctype, "contact_email", "contact_person") for doctype in _OF_CONTACT),
	),
	("Contact", "mobile_no"): (
		("Customer", "mobile_no", "customer_primary_contact"),
		*((doctype, "contact_mobile", "contact_person") for doctype in _OF_CONTACT),
	),
	("Contact", "full_name"): tuple(
		(doctype, "contact_display", "contact_person") for doctype in _OF_CONTACT
	),
	("Lead", "email_id"): (
		("Opportunity", "contact_email", "party_name"),
		("Quotation", "contact_email", "party_name"),
	),
	("Lead", "mobile_no"): (
		("Opportunity", "contact_mobile", "party_name"),
		("Quotation", "contact_mobile", "party_name"),
	),
	("Lead", "lead_name"): (
		("Opportunity", "customer_name", "party_name"),
		("Quotation", "customer_name", "party_name"),
	),
	("Customer", "customer_name"): (
		("Opportunity", "customer_name", "party_name"),
		("Quotation", "customer_name", "party_name"),
		*((doctype, "customer_name", "customer") for doctype in _DRAFTS[1:]),
	),
}


# --- proposed -----------------------------------------------------------------------------------------------


def propose(name: str, changes: Iterable[dict[str, Any]]) -> None:
	"""Say what is to be corrected; it waits for approval then, in place of what was proposed before.

	Args:
		changes: each with `ref_doctype, ref_name, fieldname, new_value`. `old_value` says
			which address of a Contact it is; the first one if not given.

	Raises:
		RequestIncomplete: nothing to change, not a record of the person, or not a field that can be changed.
		InvalidEmailAddress, InvalidPhoneNumber
	"""
	doc = requests.get(name, Status.IN_PROGRESS, Status.TO_APPROVE)
	handling.check_right(doc, Right.RECTIFICATION)
	people = restriction.people_of(doc)
	rows = [_checked(change, people) for change in changes or []]
	if not rows:
		raise RequestIncomplete(_("Changes are missing. Say which field of which record becomes what."))
	requests.write_rows(name, "changes", rows)
	if doc.status == Status.IN_PROGRESS.value:
		requests.move(name, Status.TO_APPROVE)
	else:
		requests.note(name, _("Other changes were proposed."))


def _checked(change: dict[str, Any], people: list[Person]) -> dict[str, Any]:
	person = Person(str(change.get("ref_doctype")), str(change.get("ref_name")))
	if person not in people:
		raise RequestIncomplete(
			_("{0} isn't ticked as the person. Tick it first, or choose another record.").format(
				frappe.bold(frappe.utils.escape_html(person.party))
			)
		)
	record = frappe.get_doc(*person)
	record.check_permission("write")
	fieldname, new = str(change.get("fieldname")), str(change.get("new_value") or "").strip()
	_check_field(record, fieldname)
	if new and fieldname in ADDRESSES[person.party_type]:
		identity.normalise(new)
	old = str(change.get("old_value") or _value(record, fieldname) or "")
	if old == new:
		raise RequestIncomplete(
			_("{0} is {1} already. Leave it out.").format(
				_(_label(record, fieldname)), frappe.bold(frappe.utils.escape_html(old))
			)
		)
	return {
		"ref_doctype": person.party_type,
		"ref_name": person.party,
		"fieldname": fieldname,
		"label": _label(record, fieldname),
		"old_value": old,
		"new_value": new,
	}


def _check_field(record: Document, fieldname: str) -> None:
	field = record.meta.get_field(fieldname)
	is_address = fieldname in ADDRESSES[record.doctype]
	if not field or (
		not is_address and (field.fieldtype not in CHANGEABLE or field.read_only or fieldname in NOT_BY_HAND)
	):
		raise RequestIncomplete(
			_("{0} of a {1} can't be corrected here. Choose a field for text, a day or an address.").format(
				frappe.bold(frappe.utils.escape_html(fieldname)), _(record.doctype)
			)
		)
	if field.permlevel and field.permlevel not in record.get_permlevel_access("write"):
		raise frappe.PermissionError(
			_("You have no right to change {0}. Ask somebody who has.").format(_(field.label))
		)


def _label(record: Document, fieldname: str) -> str:
	return record.meta.get_label(fieldname)


def _value(record: Document, fieldname: str) -> Any:
	row = _row_of_contact(record, fieldname)
	return row.get(ROWS_OF_CONTACT[fieldname][1]) if row else record.get(fieldname)


def _row_of_contact(record: Document, fieldname: str, value: str | None = None) -> Any:
	if record.doctype != "Contact" or fieldname not in ROWS_OF_CONTACT:
		return None
	table, field, first = ROWS_OF_CONTACT[fieldname]
	rows = sorted(record.get(table), key=lambda row: -(row.get(first) or 0))
	return next((row for row in rows if value is None or row.get(field) == value), None)


# --- applied ------------------------------------------------------------------------------------------------


def approve(name: str, answer: str | None = None) -> None:
	"""Apply the proposed changes with the user's own rights, also to copies, tell the person, and close.

	Raises:
		ChangedMeanwhile: a record isn't any more what it was when it was proposed. Nothing is written.
		PermissionError: the user may not write a record.
	"""
	doc = requests.get(name, Status.TO_APPROVE)
	handling.check_right(doc, Right.RECTIFICATION)
	requests.move(name, Status.RUNNING, approved_by=frappe.session.user, approved_on=frappe.utils.getdate())
	for person in dict.fromkeys(Person(row.ref_doctype, row.ref_name) for row in doc.changes):
		_apply(person, [row for row in doc.changes if (row.ref_doctype, row.ref_name) == person])
	for row in doc.changes:
		places = _follow_address(doc, row) if row.fieldname in ADDRESSES[row.ref_doctype] else []
		result = _("Done. Also changed: {0}").format(", ".join(places)) if places else _("Done.")
		frappe.db.set_value(row.doctype, row.name, "result", result)
	with letters.in_language_of(doc):
		standard = _("We have corrected your data as you asked.")
	requests.fulfil(name, answer or standard)


def _apply(person: Person, changes: list[Any]) -> None:
	record = frappe.get_doc(*person)
	record.check_permission("write")
	before = _copied_values(record)
	for change in changes:
		_set(record, change.fieldname, change.old_value or "", change.new_value or "")
	record.save()
	_update_copies(record, before)


def _set(record: Document, fieldname: str, old: str, new: str) -> None:
	row = _row_of_contact(record, fieldname, old) if old else None
	now = str((row.get(ROWS_OF_CONTACT[fieldname][1]) if row else _value(record, fieldname)) or "")
	if now != old:
		raise ChangedMeanwhile(
			_("{0} of {1} was changed since this was proposed. Propose the changes anew.").format(
				_(_label(record, fieldname)), frappe.bold(record.name)
			)
		)
	if record.doctype == "Contact" and fieldname in ROWS_OF_CONTACT:
		table, field, first = ROWS_OF_CONTACT[fieldname]
		if row and new:
			row.set(field, new)
		elif row:
			record.remove(row)
		else:
			record.append(table, {field: new, first: 1})
	else:
		record.set(fieldname, new or None)


def _copied_values(record: Document) -> dict[str, Any]:
	return {field: record.get(field) for doctype, field in COPIES if doctype == record.doctype}


def _update_copies(record: Document, before: dict[str, Any]) -> None:
	"""Write what is new into the copies that still say what was so before; not into submitted documents."""
	record.reload()
	for field, old in before.items():
		new = record.get(field)
		for doctype, copy, link in COPIES[record.doctype, field] if old and new != old else ():
			if not frappe.db.exists("DocType", doctype):
				continue
			table = frappe.qb.DocType(doctype)
			frappe.qb.update(table).set(table[copy], new).where(
				(table[link] == record.name) & (table[copy] == old) & (table.docstatus == 0)
			).run()


def _follow_address(doc: Document, change: Any) -> list[str]:
	"""Correct the same address on the other records of the person, and leave a note at its consents."""
	if not change.old_value:
		return []
	places = []
	key = identity.address_keys([change.old_value])[change.old_value]
	for person in restriction.people_of(doc) if key else ():
		if person.party_type == "Customer":
			places += _follow_on_customer(person, key, change.new_value)
			continue
		record = frappe.get_doc(*person)
		fields = [
			field
			for field in ADDRESSES[person.party_type]
			if (value := _value_with_key(record, field, key)) and value != change.new_value
		]
		if person == (change.ref_doctype, change.ref_name) or not fields:
			continue
		before = _copied_values(record)
		record.check_permission("write")
		for field in fields:
			_set(record, field, _value_with_key(record, field, key) or "", change.new_value or "")
		record.save()
		_update_copies(record, before)
		places.append(f"{_(person.party_type)} {person.party}")
	_annotate_consents(key, doc.name)
	return places


def _follow_on_customer(person: Person, key: str, new: str | None) -> list[str]:
	"""Correct the copies that a Customer keeps without saying whose they are."""
	stored = frappe.db.get_value(*person, COPIES_OF_CUSTOMER, as_dict=True)
	keys = identity.address_keys([value for value in stored.values() if value])
	wrong = [field for field, value in stored.items() if value and keys[value] == key]
	if not wrong:
		return []
	frappe.get_doc(*person).check_permission("write")
	frappe.db.set_value(*person, dict.fromkeys(wrong, new or None))
	return [f"{_(person.party_type)} {person.party}"]


def _value_with_key(record: Document, fieldname: str, key: str) -> str | None:
	if record.doctype == "Contact":
		table, field, _first = ROWS_OF_CONTACT[fieldname]
		values = [row.get(field) for row in record.get(table)]
	else:
		values = [record.get(fieldname)]
	keys = identity.address_keys([value for value in values if value])
	return next((value for value, its_key in keys.items() if its_key == key), None)


def _annotate_consents(key: str | None, name: str) -> None:
	for consent in frappe.get_all("Consent", {"address_key": key}, pluck="name") if key else ():
		comment = frappe.new_doc("Comment", comment_type="Info", reference_doctype="Consent")
		comment.update(
			{
				"reference_name": consent,
				"comment_email": frappe.session.user,
				"content": _(
					"The address on the person's record was corrected ({0}). This stays as it was said."
				).format(name),
			}
		)
		comment.insert(ignore_permissions=True)  # the officer may annotate what nobody may write
