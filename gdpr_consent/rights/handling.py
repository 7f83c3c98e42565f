"""What becomes of a request whatever its right: who asks is made sure of, it takes longer, it is refused.

Each of it is told to the person by mail. Where there is no address, the day on which they were told has to be
given.
"""

from datetime import date
from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import cint, getdate

from gdpr_consent import identity, links
from gdpr_consent.exceptions import RequestIncomplete, RequestNotPossible
from gdpr_consent.rights import letters, requests
from gdpr_consent.rights.requests import OPEN, Identity, Right, Status

METHODS = ("Link to Known Address", "Call to Known Number", "Signed In", "Met in Person", "Other")
EXTENSION_GROUNDS = ("Complexity", "Number of Requests")
REFUSAL_GROUNDS = (
	*("Identity Failure", "Manifestly Unfounded", "Manifestly Excessive", "Legal Claims"),
	*("Legally Required", "Compelling Grounds", "Other"),
)
MAILBOX, KNOWN_ADDRESS = "mailbox", "known address"  # what a link to a request confirms
NOT_RUNNING = tuple(status for status in OPEN if status is not Status.RUNNING)


def include(name: str, rows: list[str]) -> None:
	"""Say which of the records found are the person: the names of their rows. The others aren't touched."""
	doc = requests.get(name, Status.RECEIVED, Status.IDENTITY_OPEN, Status.IN_PROGRESS)
	unknown = set(rows) - {row.name for row in doc.records}
	if unknown:
		raise RequestIncomplete(_("Records aren't of this request. Load it anew, then tick them again."))
	for row in doc.records:
		frappe.db.set_value(row.doctype, row.name, "included", int(row.name in rows))
	frappe.clear_document_cache(requests.DOCTYPE, name)
	requests.note(name, _("Records of the person: {0}").format(len(rows)))


def add_record(name: str, party_type: str, party: str) -> None:
	"""Add a record that the person is, too: one that the search by address and number didn't find."""
	doc = requests.get(name, Status.RECEIVED, Status.IDENTITY_OPEN, Status.IN_PROGRESS)
	rows = [row.as_dict() for row in doc.records]
	if (party_type, party) not in {(row.party_type, row.party) for row in rows}:
		rows.append({"party_type": party_type, "party": party, "title": party, "included": 1})
		requests.write_rows(name, "records", rows)
		requests.note(name, _("A record of the person was added."))


# --- who asks (Art. 12(6), DS-04, DS-07) --------------------------------------------------------------------


def known_addresses(doc: Document) -> list[str]:
	"""List the addresses and numbers on the records that may be the person, other than where they wrote from.

	Whoever can be reached there and says it was them, is known to be the person. Nobody has to send a copy of
	an identity card.
	"""
	found: list[str] = []
	for party_type in identity.PARTY_TYPES:
		names = [row.party for row in doc.records if row.party_type == party_type]
		for addresses in identity.addresses_of_parties(party_type, names).values() if names else ():
			found += addresses
	keys: dict[str, str] = {}
	for address, key in identity.address_keys(found).items():
		if key and key != doc.address_key:
			keys.setdefault(key, address)
	return list(keys.values())


def ask_identity(name: str, address: str | None = None, told_on: str | date | None = None) -> bool:
	"""Ask whether it was really the person; the clock stands still until it is known.

	Args:
		address: one of `known_addresses`: it gets a link to confirm by. None: the person is asked, where they
			wrote from, to get in touch from an address or a number that we know.
		told_on: the day on which the person was asked; needed where no mail is sent, as to a number.

	Returns:
		whether a mail was sent.

	Raises:
		RequestNotPossible: it is known who they are, or needn't be.
		RequestIncomplete: an address of somebody else, or nobody was asked: the clock stops for no other
			reason.
	"""
	doc = requests.get(name, Status.RECEIVED, Status.IN_PROGRESS, Status.IDENTITY_OPEN)
	_check_needs_identity(doc)
	if doc.identity == Identity.CONFIRMED.value:
		raise RequestNotPossible(
			_(
				"It is known who asks in {0}, so nobody is asked again, and the clock goes on (Art. 12(6)"
				" GDPR)."
			).format(frappe.bold(doc.name))
		)
	if address and address not in known_addresses(doc):
		raise RequestIncomplete(
			_("{0} isn't on a record of this request. Choose one of those listed.").format(
				frappe.bold(frappe.utils.escape_html(address))
			)
		)
	by_mail = not (address and identity.is_phone_number(address))
	sent = by_mail and (_send_challenge(doc, address) if address else _ask_to_get_in_touch(doc))
	asked_on = told(doc, sent, told_on)
	if doc.status == Status.IDENTITY_OPEN.value:
		requests.note(name, _("The person was asked again who they are."))
	else:
		requests.move(
			name,
			Status.IDENTITY_OPEN,
			identity=Identity.OPEN.value,
			identity_asked_on=asked_on,
			identity_confirmed_on=None,
		)
	return sent


def check_right(doc: Document, right: Right) -> None:
	"""Refuse to do for one right what another asks for."""
	if doc.right != right.value:
		raise RequestNotPossible(
			_("{0} is about {1}, not about {2}.").format(frappe.bold(doc.name), _(doc.right), _(right.value))
		)


def _check_needs_identity(doc: Document) -> None:
	if doc.identity == Identity.NOT_NEEDED.value:
		raise RequestNotPossible(
			_("{0} needs no proof of identity: {1} may be asked for by anybody (Art. 21, 7(3) GDPR).").format(
				frappe.bold(doc.name), _(doc.right)
			)
		)


def _send_challenge(doc: Document, address: str) -> bool:
	with letters.in_language_of(doc):
		return letters.send(
			doc,
			_("Was it you who asked us?"),
			[
				_("We got a request in your name, from an address that we don't know."),
				_("This is what it asks for: {0}.").format(letters.what_is_asked(doc)),
				_("If it was you, open this page and press the button there:"),
			],
			url=links.request_url(doc.link_key, KNOWN_ADDRESS),
			closing=[_("If it wasn't you, do nothing. Nobody gets any of your data.")],
			to=address,
		)


def _ask_to_get_in_touch(doc: Document) -> bool:
	with letters.in_language_of(doc):
		return letters.send(
			doc,
			_("Please tell us who you are"),
			[
				_("You sent us the request {0}. This is what it asks for: {1}.").format(
					doc.name, letters.what_is_asked(doc)
				),
				_(
					"Your address isn't one that we know. So that nobody else gets your data, please write to"
					" us from an address, or call us from a number, that you have given us before."
				),
				_("Please don't send a copy of an identity card. We don't need one."),
			],
		)


def confirm_identity(name: str, method: str, explanation: str | None = None) -> None:
	"""Note that it is known who asks, and how that is known. A pause ends, and moves the deadline.

	Raises:
		RequestIncomplete: no method, or one that doesn't say enough without words.
	"""
	doc = requests.get(name, Status.RECEIVED, Status.IDENTITY_OPEN, Status.IN_PROGRESS)
	_check_needs_identity(doc)
	if method not in METHODS:
		raise RequestIncomplete(
			_("Confirmed by {0} isn't one of {1}.").format(
				frappe.bold(frappe.utils.escape_html(str(method or ""))), ", ".join(_(one) for one in METHODS)
			)
		)
	if method == "Other" and not (explanation or "").strip():
		raise RequestIncomplete(_("Note on Identity is missing. Say how you know who the person is."))
	columns = {
		"identity": Identity.CONFIRMED.value,
		"identity_method": method,
		"identity_note": explanation,
		"identity_confirmed_on": getdate(),
	}
	if doc.status == Status.IDENTITY_OPEN.value:
		requests.move(name, Status.RECEIVED, **columns, **_after_the_pause(doc))
	else:
		requests.write(name, **columns)
		requests.note(name, _("Identity confirmed: {0}").format(_(method)))


def fail_identity(name: str, explanation: str) -> None:
	"""Note that it couldn't be found out who asks. The request can now be refused for that (Art. 12(2))."""
	doc = requests.get(name, Status.RECEIVED, Status.IDENTITY_OPEN, Status.IN_PROGRESS)
	_check_needs_identity(doc)
	check_said(explanation, _("Note on Identity"))
	columns = {"identity": Identity.FAILED.value, "identity_note": explanation}
	if doc.status == Status.IDENTITY_OPEN.value:
		requests.move(name, Status.RECEIVED, **columns, **_after_the_pause(doc))
	else:
		requests.write(name, **columns)
		requests.note(name, _("Identity not confirmed."))


def _after_the_pause(doc: Document) -> dict[str, Any]:
	days = (getdate() - getdate(doc.identity_asked_on)).days if doc.identity_asked_on else 0
	doc.paused_days = cint(doc.paused_days) + days
	first = requests.deadline_of(doc)
	columns = {"paused_days": doc.paused_days, "due_raw": first.raw, "due_on": first.due}
	if doc.extended_to:
		columns["extended_to"] = columns["due_on"] = requests.longest_deadline_of(doc).due
	return columns


# --- how it goes on -----------------------------------------------------------------------------------------


def start(name: str) -> None:
	"""Take a request in hand; from now on it is worked on. An objection restricts meanwhile; of who is to be
	erased, more records may be known by now that get no marketing."""
	from gdpr_consent.rights import objection  # it needs what is here

	doc = requests.get(name, Status.RECEIVED)
	requests.move(name, Status.IN_PROGRESS)
	if doc.right == Right.OBJECTION.value:
		objection.restrict_meanwhile(name)
	objection.object_with_erasure(doc)


def extend(name: str, ground: str, reason: str, told_on: str | date | None = None) -> None:
	"""Take up to three months from receipt instead of one. Tells the person by mail (Art. 12(3), DS-02).

	Args:
		ground: Complexity, or Number of Requests: the law knows no other.
		told_on: the day on which the person was told; needed where we have no e-mail address.

	Raises:
		RequestNotPossible: the first month is over, or it was extended before.
		RequestIncomplete: no ground, no reason, or not told.
	"""
	doc = requests.get(name, *NOT_RUNNING)
	if doc.extended_to:
		raise RequestNotPossible(
			_("{0} was extended to {1} already. The law allows it once.").format(
				frappe.bold(name), frappe.bold(frappe.format(doc.extended_to, "Date"))
			)
		)
	paused = doc.status == Status.IDENTITY_OPEN.value
	if not paused and getdate() > getdate(doc.due_on):
		raise RequestNotPossible(
			_("The first month ended on {0}. It can be extended only within it (Art. 12(3) GDPR).").format(
				frappe.bold(frappe.format(doc.due_on, "Date"))
			)
		)
	_check_ground(ground, EXTENSION_GROUNDS, _("Ground of the Extension"))
	check_said(reason, _("Reason of the Extension"))
	limit = requests.longest_deadline_of(doc).due
	with letters.in_language_of(doc):
		sent = letters.send(
			doc,
			_("Your request {0} takes longer").format(doc.name),
			[
				_("This is what you asked for: {0}.").format(letters.what_is_asked(doc)),
				_("We need more time than a month, and answer by {0} at the latest.").format(
					letters.day_in_words(limit)
				),
				_(ground) + ": " + reason.strip(),
			],
			closing=[letters.your_rights()],
		)
	requests.write(
		name,
		extended_to=limit,
		due_on=limit,
		extension_ground=ground,
		extension_reason=reason,
		extension_told_on=told(doc, sent, told_on),
	)
	requests.note(name, _("Extended to {0}").format(limit))


def told(doc: Document, sent: bool, told_on: str | date | None) -> date:
	"""Return the day on which the person was told: today by mail, or the one given."""
	if sent:
		return getdate()
	day = requests.read_day(told_on, _("Person Told On"), getdate(doc.received_on))
	if not day:
		raise RequestIncomplete(
			_(
				"No mail can be sent. Tell the person by letter or phone, then say in Person Told On on which"
				" day."
			)
		)
	return day


def _check_ground(ground: str | None, grounds: tuple[str, ...], label: str) -> None:
	if ground not in grounds:
		raise RequestIncomplete(
			_("{0} {1} isn't one of {2}.").format(
				label,
				frappe.bold(frappe.utils.escape_html(str(ground or ""))),
				", ".join(_(one) for one in grounds),
			)
		)


def check_said(text: str | None, label: str) -> None:
	if not (text or "").strip():
		raise RequestIncomplete(_("{0} is missing. The person has a right to be told.").format(label))


def refuse(name: str, ground: str, reason: str, told_on: str | date | None = None) -> None:
	"""Refuse a request. The mail says why, and where the person may complain (Art. 12(4), DS-05).

	Raises:
		RequestIncomplete: no ground, no reason, or not told.
		RequestNotPossible: it can't be refused, such as an objection to marketing (Art. 21(3), ST-06).
	"""
	doc = requests.get(name, *NOT_RUNNING)
	_check_ground(ground, REFUSAL_GROUNDS, _("Ground of the Refusal"))
	check_said(reason, _("Reason of the Refusal"))
	if ground == "Identity Failure" and doc.identity not in (Identity.OPEN.value, Identity.FAILED.value):
		raise RequestNotPossible(
			_("The identity is {0}, so it is no ground to refuse.").format(_(doc.identity))
		)
	day = told(doc, letters.refuse(doc, reason.strip()), told_on)
	requests.move(
		name,
		Status.REFUSED,
		refusal_ground=ground,
		refusal_reason=reason,
		**requests.closing() | {"answered_on": day},
	)
	_end_restriction_meanwhile(doc, _("The request was refused."), day)


def take_back(name: str) -> None:
	"""Close a request that the person doesn't want any more."""
	doc = requests.get(name, *NOT_RUNNING)
	requests.move(name, Status.WITHDRAWN, **requests.closing())
	_end_restriction_meanwhile(doc, _("The person has taken the request back."), getdate())


def _end_restriction_meanwhile(doc: Document, reason: str, told_on: date) -> None:
	if doc.restricted_on and not doc.restriction_lifted_on:
		from gdpr_consent.rights import restriction  # it needs what is here

		restriction.lift_now(doc, reason, told_on)


def answer(name: str, text: str, told_on: str | date | None = None) -> None:
	"""Grant a request with an answer to the person.

	Raises:
		RequestIncomplete: no answer, or not told.
	"""
	doc = requests.get(name, Status.RECEIVED, Status.IN_PROGRESS, Status.TO_APPROVE, Status.RUNNING)
	check_said(text, _("Answer"))
	sent = letters.answer(doc, text.strip())
	requests.close_fulfilled(name, text, answered_on=told(doc, sent, told_on))
