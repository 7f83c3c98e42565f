"""Restriction (Art. 18): what is on record is stored, and nothing else is done with it, until the person was
told that this ends (DS-20)."""

from collections.abc import Iterable, Iterator
from datetime import date

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import getdate

from gdpr_consent import identity, register
from gdpr_consent.exceptions import ProcessingRestricted, RequestIncomplete, RequestNotPossible
from gdpr_consent.identity import Person
from gdpr_consent.rights import handling, letters, requests
from gdpr_consent.rights.requests import OFFICER, Status

FIELD = "processing_restricted"


def people_of(doc: Document) -> list[Person]:
	"""List the Contacts, Leads and Customers that were ticked as the person of a request."""
	return [
		Person(row.party_type, row.party)
		for row in doc.records
		if row.included
		and row.party_type in identity.PARTY_TYPES
		and frappe.db.exists(row.party_type, row.party)
	]


def carry_out(name: str, answer: str | None = None) -> None:
	"""Restrict the records of the person, tell them, and close the request.

	Raises:
		RequestIncomplete: no record is ticked as the person.
	"""
	doc = requests.get(name, Status.IN_PROGRESS)
	if not people_of(doc):
		raise RequestIncomplete(
			_(
				"No record is ticked as the person in {0}. Tick those that are, or answer that there is none."
			).format(frappe.bold(name))
		)
	restrict_records(doc, _("Asked for in {0} (Art. 18 GDPR).").format(name))
	with letters.in_language_of(doc):
		standard = _("From now on we only store your data. We tell you before we use them again.")
	requests.fulfil(name, answer or standard)


def restrict_records(doc: Document, reason: str) -> None:
	"""Mark what is ticked in a request, and stop all marketing to it."""
	people = people_of(doc)
	for person in people:
		frappe.db.set_value(person.party_type, person.party, FIELD, 1)
		register.restrict(identity.addresses_of(*person), **person._asdict(), reason=reason)
	if people:
		requests.write(doc.name, restricted_on=getdate())
		requests.note(doc.name, _("Restricted: {0}").format(len(people)))


def tell_before_lifting(name: str, reason: str, told_on: str | date | None = None) -> None:
	"""Tell the person that a restriction ends, and why (Art. 18(3)). `lift` ends it then.

	Args:
		told_on: the day on which the person was told; needed where we have no e-mail address.
	"""
	doc = requests.get(name)
	_check_restricts(doc)
	handling.check_said(reason, _("Reason of the Lifting"))
	with letters.in_language_of(doc):
		sent = letters.send(
			doc,
			_("The restriction of your data ends"),
			[
				_("Since your request {0} we have only stored your data. This is going to end.").format(name),
				_("The reason: {0}").format(reason.strip()),
			],
			closing=[letters.your_rights()],
		)
	requests.write(name, lift_told_on=handling.told(doc, sent, told_on), lift_reason=reason)
	requests.note(name, _("The person was told that the restriction ends."))


def lift(name: str) -> None:
	"""End a restriction of whose end the person was told.

	Raises:
		RequestNotPossible: nothing is restricted, or the person wasn't told.
	"""
	doc = requests.get(name)
	_check_restricts(doc)
	if not doc.lift_told_on:
		raise RequestNotPossible(
			_("The person wasn't told yet that the restriction ends (Art. 18(3) GDPR). Tell them first.")
		)
	lift_now(doc, doc.lift_reason, getdate(doc.lift_told_on))


def _check_restricts(doc: Document) -> None:
	if not doc.restricted_on or doc.restriction_lifted_on:
		raise RequestNotPossible(_("Nothing is restricted by {0}.").format(frappe.bold(doc.name)))


def lift_now(doc: Document, reason: str, told_on: date) -> None:
	"""End what a request has restricted, but for records that another request restricts as well."""
	for person in people_of(doc):
		if _is_restricted_elsewhere(person, doc.name):
			continue
		frappe.db.set_value(person.party_type, person.party, FIELD, 0)
		register.lift_restriction(
			identity.addresses_of(*person), **person._asdict(), reason=reason, informed_on=told_on
		)
	requests.write(
		doc.name,
		restriction_lifted_on=getdate(),
		lift_told_on=doc.lift_told_on or told_on,
		lift_reason=reason,
	)
	requests.note(doc.name, _("The restriction was lifted."))


def _is_restricted_elsewhere(person: Person, name: str) -> bool:
	request, row = frappe.qb.DocType(requests.DOCTYPE), frappe.qb.DocType("Data Subject Request Record")
	return bool(
		frappe.qb.from_(row)
		.join(request)
		.on(request.name == row.parent)
		.select(row.name)
		.where((row.party_type == person.party_type) & (row.party == person.party) & (row.included == 1))
		.where(request.restricted_on.isnotnull() & request.restriction_lifted_on.isnull())
		.where(request.name != name)
		.limit(1)
		.run()
	)


# --- the records themselves ---------------------------------------------------------------------------------


def check_write(doc: Document) -> None:
	"""Refuse a change of a restricted record, but by a Privacy Officer. Nobody sets the mark by hand.

	Raises:
		ProcessingRestricted
	"""
	before = doc.get_doc_before_save()
	stored = (before and before.get(FIELD)) or 0
	doc.set(FIELD, stored)
	check_may_change(doc, stored)


def check_may_change(doc: Document, is_restricted: object) -> None:
	if is_restricted and OFFICER not in frappe.get_roles():
		frappe.throw(
			_(
				"Processing of {0} is restricted, because the person asked for it (Art. 18 GDPR). Only a"
				" Privacy Officer can change or delete it."
			).format(frappe.bold(doc.name)),
			ProcessingRestricted,
		)


def restricted(people: Iterable[Person]) -> set[Person]:
	"""Return those among Contacts, Leads and Customers whose processing is restricted; one query
	for each DocType."""
	names: dict[str, set[str]] = {}
	for person in people:
		if person.party and person.party_type in identity.PARTY_TYPES:
			names.setdefault(person.party_type, set()).add(person.party)
	return {
		Person(party_type, party)
		for party_type, among in names.items()
		for party in frappe.get_all(party_type, {FIELD: 1, "name": ["in", among]}, pluck="name")
	}


def check_new_document(doc: Document) -> None:
	"""Refuse a new document that goes on dealing with somebody whose processing is restricted, but not if the
	person makes it on the site, nor a Privacy Officer.

	Raises:
		ProcessingRestricted
	"""
	is_staff = frappe.db.get_value("User", frappe.session.user, "user_type") == "System User"
	if not is_staff or OFFICER in frappe.get_roles():
		return
	for person in restricted(_named_in(doc)):
		frappe.throw(
			_(
				"Processing of {0} is restricted, because the person asked for it (Art. 18 GDPR). Only a"
				" Privacy Officer can make a {1} for them."
			).format(frappe.bold(person.party), _(doc.doctype)),
			ProcessingRestricted,
		)


def _named_in(doc: Document) -> Iterator[Person]:
	for part in (doc, *doc.get_all_children()):
		for field in part.meta.get("fields", {"fieldtype": ["in", ["Link", "Dynamic Link"]]}):
			target = part.get(field.options) if field.fieldtype == "Dynamic Link" else field.options
			if target in identity.PARTY_TYPES and part.get(field.fieldname):
				yield Person(target, part.get(field.fieldname))
