"""The only writer of Data Subject Requests: one table says what may follow what (Art. 12 GDPR).

What a right asks for is done by the module of that right. It calls `move`, which knows the states, and
`fulfil`. What an officer does whatever the right, such as to extend or refuse, is in `handling`.
"""

import secrets
from datetime import date
from enum import Enum
from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import add_months, cint, getdate

from gdpr_consent import identity
from gdpr_consent.exceptions import InvalidPeriod, RequestIncomplete, RequestNotPossible, UnknownReference
from gdpr_consent.rights import deadlines, letters, subject

DOCTYPE = "Data Subject Request"
OFFICER = "Privacy Officer"


class Right(str, Enum):
	INFORMATION = "Information"  # Art. 13, 14
	ACCESS = "Access"  # 15
	RECTIFICATION = "Rectification"  # 16
	ERASURE = "Erasure"  # 17
	RESTRICTION = "Restriction"  # 18
	PORTABILITY = "Portability"  # 20
	OBJECTION = "Objection"  # 21
	HUMAN_REVIEW = "Human Review"  # 22
	WITHDRAWAL = "Withdrawal"  # 7(3)


class Status(str, Enum):
	RECEIVED = "Received"
	IDENTITY_OPEN = "Identity Open"  # the person was asked who they are: only now the clock stands still
	IN_PROGRESS = "In Progress"
	TO_APPROVE = "To Approve"
	RUNNING = "Running"
	FULFILLED = "Fulfilled"
	REFUSED = "Refused"
	WITHDRAWN = "Withdrawn"


class Identity(str, Enum):
	NOT_NEEDED = "Not Needed"
	OPEN = "Open"
	CONFIRMED = "Confirmed"
	FAILED = "Failed"


MARKETING, OTHER_PROCESSING = "Marketing", "Other Processing"  # what an objection is to

_END = frozenset({Status.REFUSED, Status.WITHDRAWN})
TRANSITIONS: dict[Status, frozenset[Status]] = {
	Status.RECEIVED: _END | {Status.IDENTITY_OPEN, Status.IN_PROGRESS, Status.FULFILLED},
	Status.IDENTITY_OPEN: _END | {Status.RECEIVED, Status.IN_PROGRESS},
	Status.IN_PROGRESS: _END | {Status.IDENTITY_OPEN, Status.TO_APPROVE, Status.RUNNING, Status.FULFILLED},
	Status.TO_APPROVE: _END | {Status.IN_PROGRESS, Status.RUNNING, Status.FULFILLED},
	# Half done isn't undone: a run that fails goes back to whom it may concern.
	Status.RUNNING: frozenset({Status.IN_PROGRESS, Status.FULFILLED}),
	Status.FULFILLED: frozenset(),
	Status.REFUSED: frozenset(),
	Status.WITHDRAWN: frozenset(),
}
CLOSED = tuple(status for status, following in TRANSITIONS.items() if not following)
OPEN = tuple(status for status in Status if status not in CLOSED)
# Nobody gets data, or loses them, before it is known who asks (Art. 12(6)).
FOR_THE_RIGHT_PERSON = (Status.IN_PROGRESS, Status.TO_APPROVE, Status.RUNNING, Status.FULFILLED)
WITHOUT_IDENTITY = (Right.INFORMATION, Right.OBJECTION, Right.WITHDRAWAL)  # DS-08; the first is public

# Words of DPV 2.3 for the states, for exports.
DPV_STATUS = {
	Status.RECEIVED: "dpv:RequestInitiated",
	Status.IDENTITY_OPEN: "dpv:RequestRequiresAction",
	Status.IN_PROGRESS: "dpv:RequestAccepted",
	Status.TO_APPROVE: "dpv:RequestAccepted",
	Status.RUNNING: "dpv:RequestAccepted",
	Status.FULFILLED: "dpv:RequestFulfilled",
	Status.REFUSED: "dpv:RequestRejected",
	Status.WITHDRAWN: "dpv:RequestUnfulfilled",
}

# What whoever records a request says. Everything else is written here.
TYPED = (
	*("right", "objects_to", "purpose", "channel", "received_on", "company"),
	*("requester_name", "email", "phone", "language", "message"),
)
# What names the person, or is about them (DS-23: the rest is the proof that the request was answered).
ABOUT_THE_PERSON = (
	"requester_name",
	"email",
	"phone",
	"message",
	"answer",
	"identity_note",
	"refusal_reason",
)


# --- a new one ----------------------------------------------------------------------------------------------


def open_request(
	right: str,
	*,
	email: str | None = None,
	phone: str | None = None,
	requester_name: str | None = None,
	party_type: str | None = None,
	party: str | None = None,
	channel: str,
	received_on: str | date | None = None,
	message: str | None = None,
	company: str | None = None,
	language: str | None = None,
	objects_to: str | None = None,
	purpose: str | None = None,
) -> Document:
	"""Take in a request, by whatever way it came (DS-01). The user's right to create one isn't asked here.

	Args:
		right: one of `Right`.
		party_type, party: the record it was recorded from; it is ticked as the person.
		received_on: the day on which it reached the company; today if not given.
		objects_to: of an objection: Marketing, or Other Processing.
		purpose: of an objection or a withdrawal; all of them if not given.

	Raises:
		RequestIncomplete: nobody to answer, or it isn't said what is objected to.
		InvalidEmailAddress, InvalidPhoneNumber, InvalidPeriod, UnknownReference
	"""
	doc = frappe.new_doc(
		DOCTYPE,
		right=right,
		email=email,
		phone=phone,
		requester_name=requester_name,
		channel=channel,
		received_on=received_on or getdate(),
		message=message,
		company=company,
		language=language,
		objects_to=objects_to,
		purpose=purpose,
	)
	if party_type and party:
		doc.append("records", {"party_type": party_type, "party": party})
	doc.insert(ignore_permissions=True)  # the doors have asked, and a stranger may claim a right
	return doc.reload()  # some rights are done by now


def prepare(doc: Document) -> None:
	"""Check what was typed into a new request and set everything else, whatever came with it."""
	named = [(row.party_type, row.party) for row in doc.records if row.party_type and row.party]
	for field in doc.meta.fields:
		if field.fieldname not in TYPED:
			doc.set(field.fieldname, [] if field.fieldtype == "Table" else field.default)
	right = _one_of(Right, doc.right, _("Right"))
	doc.objects_to = _check_objection(right, doc.objects_to)
	if right not in (Right.OBJECTION, Right.WITHDRAWAL):
		doc.purpose = None
	doc.email, doc.phone = (doc.email or "").strip() or None, (doc.phone or "").strip() or None
	if doc.email:
		identity.normalise_email(doc.email)
	if doc.phone:
		identity.normalise_phone(doc.phone)
	if not (doc.email or doc.phone or (doc.requester_name or "").strip() or named):
		raise RequestIncomplete(
			_("Name, E-mail Address and Phone are all empty. Enter at least one, to know whom to answer.")
		)
	doc.received_on = read_day(doc.received_on, _("Received On")) or getdate()
	doc.company = doc.company or _only_company()
	doc.language = doc.language or frappe.db.get_single_value("System Settings", "language") or "en"
	address = doc.email or doc.phone
	doc.address_key = identity.address_key(address) if address else None
	doc.link_key = secrets.token_urlsafe(20)
	doc.status = Status.RECEIVED.value
	doc.identity = (Identity.NOT_NEEDED if right in WITHOUT_IDENTITY else Identity.OPEN).value
	doc.set("records", _candidates(doc.email, doc.phone, named))
	doc.due_raw, doc.due_on = deadline_of(doc)
	doc.flags.ignore_permissions = True  # the right to create one was asked; what stands here is ours


def _one_of(words: type[Enum], value: object, label: str) -> Any:
	try:
		return words(value)
	except ValueError:
		raise UnknownReference(
			_("{0} {1} isn't one of {2}.").format(
				label,
				frappe.bold(frappe.utils.escape_html(str(value or ""))),
				", ".join(word.value for word in words),
			)
		) from None


def _check_objection(right: Right, objects_to: str | None) -> str | None:
	if right is not Right.OBJECTION:
		return None
	if objects_to not in (MARKETING, OTHER_PROCESSING):
		raise RequestIncomplete(
			_("Objects to is missing. Choose {0} or {1}: they are answered in different ways.").format(
				_(MARKETING), _(OTHER_PROCESSING)
			)
		)
	return objects_to


def read_day(value: str | date | None, label: str, first: date | None = None) -> date | None:
	"""Read a day that isn't to come, nor before `first`.

	Raises:
		InvalidPeriod: the message names `label` and the value.
	"""
	if not value:
		return None
	try:
		day = getdate(value)
	except (ValueError, TypeError, OverflowError, frappe.ValidationError):
		day = None
	if not day:
		raise InvalidPeriod(
			_("{0} {1} isn't a day. Write it as 2026-03-01.").format(
				label, frappe.bold(frappe.utils.escape_html(str(value)))
			)
		)
	if day > getdate():
		raise InvalidPeriod(
			_("{0} {1} lies in the future. Enter today or an earlier day.").format(label, day)
		)
	if first and day < first:
		raise InvalidPeriod(
			_("{0} {1} lies before {2}. Enter that day or a later one.").format(label, day, first)
		)
	return day


def _only_company() -> str | None:
	return frappe.db.get_default("company") or frappe.db.get_value("Company", {}, "name")


def _candidates(email: str | None, phone: str | None, named: list[tuple[str, str]]) -> list[dict[str, Any]]:
	"""List the records that may be the person, each once. Nobody is ticked at a role's mailbox (AD-10)."""
	found: dict[tuple[str, str], dict[str, Any]] = {}
	for party_type, party in named or [(None, None)]:
		for row in subject.candidates(email, phone, party_type, party):
			known = found.setdefault((row["party_type"], row["party"]), row)
			known["included"] = max(known["included"], row["included"])
	return list(found.values())


# --- deadlines ----------------------------------------------------------------------------------------------


def calendar_of(company: str | None) -> str | None:
	"""Say whose holidays count: those that the Consent Country Rule of the company's country names, else that
	country's own. None where nobody knows them."""
	country = company and frappe.get_cached_value("Company", company, "country")
	if not country:
		return None
	rule = frappe.db.get_value("Consent Country Rule", {"applies_to": country, "enabled": 1}, "holidays")
	code = rule or (frappe.get_cached_value("Country", country, "code") or "").upper()
	try:
		return code if code and deadlines.holidays_of(code) is not None else None
	except ValueError:
		return None


def deadline_of(request: Any) -> deadlines.Deadline:
	"""Return the day the month ends on, with the days of the pause, and the working day to answer by."""
	return _deadline(request, deadlines.ANSWER_MONTHS)


def longest_deadline_of(request: Any) -> deadlines.Deadline:
	"""Return the same for three months from receipt, the longest that an extension may take (Art. 12(3))."""
	return _deadline(request, deadlines.EXTENDED_MONTHS)


def _deadline(request: Any, months: int) -> deadlines.Deadline:
	return deadlines.deadline(
		getdate(request.received_on), calendar_of(request.company), months, cint(request.paused_days)
	)


# --- states -------------------------------------------------------------------------------------------------


def read(name: str) -> Document:
	"""Return a request to be looked at, which keeps nobody from working on it.

	Raises:
		UnknownReference: there is none of this name.
	"""
	if not frappe.db.exists(DOCTYPE, name):
		raise UnknownReference(
			_("{0} {1} doesn't exist. Choose one from the list.").format(
				_(DOCTYPE), frappe.bold(frappe.utils.escape_html(str(name)))
			)
		)
	return frappe.get_doc(DOCTYPE, name)


def get(name: str, *allowed: Status) -> Document:
	"""Return a request, locked until the transaction ends.

	Raises:
		UnknownReference: there is none of this name.
		RequestNotPossible: its status isn't one of those allowed.
	"""
	frappe.db.get_value(DOCTYPE, name, "name", for_update=True)
	doc = read(name)
	if allowed and doc.status not in {status.value for status in allowed}:
		raise RequestNotPossible(
			_("{0} is {1}. This is possible only when it is {2}.").format(
				frappe.bold(doc.name), _(doc.status), ", ".join(_(status.value) for status in allowed)
			)
		)
	return doc


def move(name: str, status: Status, **columns: Any) -> None:
	"""Bring a request into another status, and write columns with it. Nothing else changes a status.

	Raises:
		RequestNotPossible: not one of TRANSITIONS, or it isn't known yet who the person is.
	"""
	doc = get(name)
	before, after = Status(doc.status), Status(status)
	if after not in TRANSITIONS[before]:
		raise RequestNotPossible(
			_("{0} is {1} and can't become {2}.").format(
				frappe.bold(doc.name), _(before.value), _(after.value)
			)
		)
	known = columns.get("identity", doc.identity)
	if after in FOR_THE_RIGHT_PERSON and known not in (Identity.NOT_NEEDED.value, Identity.CONFIRMED.value):
		raise RequestNotPossible(
			_("It isn't known yet who asks in {0}. Confirm the identity first.").format(frappe.bold(doc.name))
		)
	write(name, status=after.value, **columns)
	note(name, _("{0} → {1}").format(_(before.value), _(after.value)))


def write(name: str, **columns: Any) -> None:
	"""Write columns of a request. For the modules of the rights; a status goes by `move`."""
	frappe.db.set_value(DOCTYPE, name, columns)
	frappe.clear_document_cache(DOCTYPE, name)


def note(name: str, text: str) -> None:
	"""Leave a line in the timeline: what was done, by whom and when. Nothing about the person."""
	comment = frappe.new_doc("Comment", comment_type="Info", reference_doctype=DOCTYPE, reference_name=name)
	comment.update({"content": text, "comment_email": frappe.session.user})
	comment.insert(ignore_permissions=True)  # whoever may do what it says, may have it noted


def write_rows(name: str, table: str, rows: list[dict[str, Any]]) -> None:
	"""Replace the rows of one of the tables of a request."""
	doctype = frappe.get_meta(DOCTYPE).get_field(table).options
	frappe.db.delete(doctype, {"parent": name, "parenttype": DOCTYPE, "parentfield": table})
	for position, row in enumerate(rows, 1):
		values = {key: value for key, value in dict(row).items() if key not in ("name", "doctype")}
		values |= {"parent": name, "parenttype": DOCTYPE, "parentfield": table, "idx": position}
		frappe.new_doc(doctype, **values).db_insert()
	frappe.clear_document_cache(DOCTYPE, name)


def write_steps(name: str, steps: list[dict[str, Any]]) -> None:
	"""Replace the steps of an erasure. What is written is the whole state, so a run can go on from it."""
	write_rows(name, "steps", steps)


def fulfil(name: str, answer: str | None = None) -> None:
	"""Close a request that was granted, and send the person the answer if there is one.

	Args:
		answer: what the person is told, in their language. The person has to be known still.
	"""
	doc = get(name)
	close_fulfilled(name, answer)
	if answer:
		letters.answer(doc, answer)


def close_fulfilled(name: str, answer: str | None, **columns: Any) -> None:
	"""Close a request that was granted, and whose answer the person has."""
	move(name, Status.FULFILLED, **closing() | ({"answer": answer} if answer else {}) | columns)


def closing() -> dict[str, Any]:
	"""Return what is written into each request that comes to its end."""
	months = cint(frappe.db.get_single_value("Consent Settings", "request_retention_months")) or 36
	return {
		"answered_on": getdate(),
		"answered_by": frappe.session.user,
		"retention_until": add_months(getdate(), months),
	}


def forget_person(name: str) -> None:
	"""Take out of a request what says whom it is about. Right, days, outcome and key stay (DS-23, §7.2)."""
	get(name)
	write(name, **dict.fromkeys(ABOUT_THE_PERSON))
	write_rows(name, "records", [])
	for row in frappe.get_all("Data Subject Request Change", {"parent": name}, pluck="name"):
		blank = dict.fromkeys(("ref_name", "old_value", "new_value"))
		frappe.db.set_value("Data Subject Request Change", row, blank)
	frappe.clear_document_cache(DOCTYPE, name)
