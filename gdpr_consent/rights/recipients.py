"""Who has the person's data from us, and is told what became of them (Art. 19, DS-21)."""

from collections.abc import Iterable
from datetime import date
from typing import Any

import frappe
from frappe import _
from frappe.utils import getdate

from gdpr_consent import data_recipients, identity
from gdpr_consent.exceptions import InvalidAddress, RequestIncomplete
from gdpr_consent.rights import letters, requests, restriction

DUE, TOLD, NOT_POSSIBLE = "Due", "Told", "Not Possible"
NOTICE = "Data Subject Request Notice"
MOST_SUGGESTED = 200


def suggest(name: str) -> list[dict[str, str]]:
	"""List who has data for the purposes of the person's consents, and to whom mails went from their records,
	but for the person and our own users."""
	doc = requests.get(name)
	people = restriction.people_of(doc)
	if not people:
		return []
	communication = frappe.qb.DocType("Communication")
	about_them = communication.name == ""
	for person in people:
		about_them |= (communication.reference_doctype == person.party_type) & (
			communication.reference_name == person.party
		)
	rows = (
		frappe.qb.from_(communication)
		.select(communication.recipients, communication.cc, communication.bcc, communication.subject)
		.where((communication.sent_or_received == "Sent") & (communication.communication_medium == "Email"))
		.where(about_them)
		.orderby(communication.creation, order=frappe.qb.desc)
		.limit(MOST_SUGGESTED)
		.run(as_dict=True)
	)
	theirs = [address for person in people for address in identity.addresses_of(*person)]
	ours = frappe.get_all("User", {"enabled": 1}, pluck="email")
	known = {*identity.address_keys([*theirs, *filter(None, ours)]).values()}
	found: dict[str, dict[str, str]] = {}
	for row in rows:
		for address in identity.split_addresses(", ".join(filter(None, (row.recipients, row.cc, row.bcc)))):
			key = identity.address_keys([address])[address]
			if key and key not in known:
				found.setdefault(key, {"recipient": address, "about": _("Mail: {0}").format(row.subject)})
	return [*_by_purpose(theirs), *found.values()]


def _by_purpose(addresses: list[str]) -> list[dict[str, str]]:
	consent = frappe.qb.DocType("Consent")
	keys = [key for key in identity.address_keys(addresses).values() if key]
	purposes = (
		frappe.qb.from_(consent)
		.select(consent.purpose)
		.distinct()
		.where(consent.address_key.isin(keys) & consent.given_on.isnotnull())
		.orderby(consent.purpose)
		.run(pluck=True)
		if keys
		else []
	)
	return [
		{"recipient": one["email"] or one["name"], "about": _("Data for {0}").format(_(purpose))}
		for purpose, named in data_recipients.of_purposes(purposes).items()
		for one in named
	]


def add(name: str, rows: Iterable[dict[str, Any]]) -> None:
	"""Add recipients to be told; those that are there already stay as they are.

	Raises:
		RequestIncomplete: one has no name.
	"""
	doc = requests.get(name)
	kept = [row.as_dict() for row in doc.notices]
	known = {row.recipient for row in kept}
	for row in rows or []:
		recipient = str(row.get("recipient") or "").strip()
		if not recipient:
			raise RequestIncomplete(_("Recipient is missing. Enter a name or an e-mail address."))
		if recipient not in known:
			kept.append({"recipient": recipient, "about": row.get("about"), "status": DUE})
			known.add(recipient)
	requests.write_rows(name, "notices", kept)


def tell(
	name: str,
	notice: str,
	how: str | None = None,
	told_on: str | date | None = None,
	not_possible: str | None = None,
) -> None:
	"""Tell one recipient by mail, or note how they were told, or why they can't be.

	Raises:
		RequestIncomplete: no e-mail address, and nothing said about how else.
	"""
	doc = requests.get(name)
	row = next((one for one in doc.notices if one.name == notice), None)
	if not row:
		raise RequestIncomplete(_("Recipient isn't of this request. Load it anew."))
	if not_possible:
		columns = {"status": NOT_POSSIBLE, "reason": not_possible}
	elif how:
		day = requests.read_day(told_on, _("Told On"), getdate(doc.received_on)) or getdate()
		columns = {"status": TOLD, "how": how, "told_on": day}
	else:
		_mail(doc, row)
		columns = {"status": TOLD, "how": _("E-mail"), "told_on": getdate()}
	frappe.db.set_value(NOTICE, notice, columns)
	frappe.clear_document_cache(requests.DOCTYPE, name)


def _mail(doc: Any, row: Any) -> None:
	try:
		identity.normalise_email(row.recipient)
	except InvalidAddress:
		raise RequestIncomplete(
			_("{0} isn't an e-mail address. Tell them in another way, and say how.").format(
				frappe.bold(frappe.utils.escape_html(row.recipient))
			)
		) from None
	who = ", ".join(filter(None, (doc.requester_name, doc.email or doc.phone)))
	asked = {
		"Rectification": _("We have corrected data of this person: {0}."),
		"Erasure": _("We have erased data of this person: {0}."),
		"Restriction": _("We only store the data of this person from now on: {0}."),
	}.get(doc.right, _("This person has claimed a right about their data: {0}."))
	sent = letters.send(
		doc,
		_("Data that you have from us"),
		[
			asked.format(who),
			_("You have got from us: {0}").format(row.about or _("data of this person")),
			_("Please do the same with what you have (Art. 19 GDPR)."),
		],
		to=row.recipient,
	)
	if not sent:
		raise RequestIncomplete(_("No mail can be sent. Tell them in another way, and say how."))


def tell_person(name: str) -> bool:
	"""Tell the person who has their data from us, if they want to know (Art. 19).

	Returns:
		whether a mail was sent.
	"""
	doc = requests.get(name)
	told = [row.recipient for row in doc.notices if row.status == TOLD]
	others = [row.recipient for row in doc.notices if row.status != TOLD]
	with letters.in_language_of(doc):
		paragraphs = [_("You wanted to know who has got your data from us.")]
		if told:
			paragraphs.append(_("We have told them of your request: {0}.").format(", ".join(told)))
		if others:
			paragraphs.append(_("We haven't told, or couldn't tell: {0}.").format(", ".join(others)))
		if not doc.notices:
			paragraphs.append(_("Nobody has."))
		return letters.send(doc, _("Who has got your data"), paragraphs, closing=[letters.your_rights()])
