"""What the form of a request says: what is to be done next, by when, and what may be done now."""

from typing import Any

from frappe import _
from frappe.model.document import Document
from frappe.utils import getdate

from gdpr_consent.rights import handling, requests
from gdpr_consent.rights.requests import OPEN, Identity, Right, Status

LATE, SOON, LATER = "red", "orange", "blue"
SOON_DAYS = 5
# What each right has of its own, by status; erasure and the packages bring their own buttons.
OWN_ACTIONS: dict[tuple[str, str], tuple[str, ...]] = {
	(Right.RESTRICTION.value, Status.IN_PROGRESS.value): ("restrict_person",),
	(Right.OBJECTION.value, Status.IN_PROGRESS.value): ("uphold_objection",),
	(Right.RECTIFICATION.value, Status.IN_PROGRESS.value): ("propose_changes",),
	(Right.RECTIFICATION.value, Status.TO_APPROVE.value): ("approve_changes", "propose_changes"),
}
WITH_RECIPIENTS = (Right.RECTIFICATION.value, Right.ERASURE.value, Right.RESTRICTION.value)


def of(name: str) -> dict[str, Any]:
	"""Say what is to be done next with a request, by when, and which doors of `rights.api` are open now."""
	doc = requests.read(name)
	is_open = doc.status in {status.value for status in OPEN}
	days = (getdate(doc.due_on) - getdate()).days if is_open else None
	return {
		"next": _next_step(doc),
		"colour": _colour(doc, days),
		"days_left": days,
		"actions": _actions(doc),
		"known_addresses": handling.known_addresses(doc) if is_open else [],
		"notices_due": sum(row.status == "Due" for row in doc.notices),
	}


def _colour(doc: Document, days: int | None) -> str:
	if days is None:
		return LATER if _is_restricting(doc) else "green"
	if doc.status == Status.IDENTITY_OPEN.value:
		return "grey"
	return LATE if days < 0 else SOON if days <= SOON_DAYS else LATER


def _is_restricting(doc: Document) -> bool:
	return bool(doc.restricted_on and not doc.restriction_lifted_on)


def _is_identity_missing(doc: Document) -> bool:
	return doc.identity in (Identity.OPEN.value, Identity.FAILED.value)


def _next_step(doc: Document) -> str:
	if doc.status == Status.IDENTITY_OPEN.value:
		return _("The person was asked who they are. The clock stands still until you know it.")
	if doc.status == Status.RECEIVED.value:
		if doc.identity == Identity.FAILED.value:
			return _("It isn't known who asks. Refuse the request, or ask once more.")
		if doc.identity == Identity.OPEN.value and doc.channel == "Web Form" and not doc.mailbox_confirmed_on:
			return _("The mailbox isn't confirmed yet. If it is on a record, that also says who asks.")
		if doc.identity == Identity.OPEN.value:
			return _("Find out who asks, through an address or a number that we know.")
		return _("Tick the records that are the person, then start.")
	if doc.status == Status.IN_PROGRESS.value:
		return {
			Right.RECTIFICATION.value: _("Say what is to be corrected."),
			Right.ERASURE.value: _("Make the plan of what is erased and what is kept."),
			Right.RESTRICTION.value: _("Restrict the records that are ticked."),
			Right.OBJECTION.value: _(
				"Decide: stop the processing, or refuse with compelling grounds. Until then the records are"
				" restricted."
			),
			Right.ACCESS.value: _("Prepare the package with the data."),
			Right.PORTABILITY.value: _("Prepare the package with the data."),
			Right.HUMAN_REVIEW.value: _("Look at the decision again, and answer."),
		}.get(doc.right, _("Answer the person."))
	if doc.status == Status.TO_APPROVE.value:
		return _("Look at what is planned, and approve it.")
	if doc.status == Status.RUNNING.value:
		return _("It is being done.")
	if _is_restricting(doc):
		return (
			_("The person knows that the restriction ends. Lift it.")
			if doc.lift_told_on
			else _("The records are restricted. Tell the person before you lift that.")
		)
	if any(row.status == "Due" for row in doc.notices):
		return _("Tell those who have the data from us.")
	return _("Closed. Nothing is left to do.")


def _actions(doc: Document) -> list[str]:
	"""List the doors that are open, what comes next first."""
	status, actions = doc.status, []
	if status in (Status.RECEIVED.value, Status.IDENTITY_OPEN.value) and _is_identity_missing(doc):
		actions += ["ask_identity", "confirm_identity"]
		actions += ["fail_identity"] if doc.identity != Identity.FAILED.value else []
	elif status == Status.RECEIVED.value:
		actions += ["start_request"]
	actions += OWN_ACTIONS.get((doc.right, status), ())
	if status == Status.IN_PROGRESS.value:
		actions += ["answer_request"]
	if status in (Status.RECEIVED.value, Status.IDENTITY_OPEN.value, Status.IN_PROGRESS.value):
		actions += ["include_records", "add_record"]
	if status in {one.value for one in handling.NOT_RUNNING}:
		paused = status == Status.IDENTITY_OPEN.value
		actions += (
			["extend_request"] if not doc.extended_to and (paused or getdate() <= getdate(doc.due_on)) else []
		)
		actions += ["refuse_request", "take_back_request"]
	if _is_restricting(doc) and status == Status.FULFILLED.value:
		actions += ["lift_request_restriction"] if doc.lift_told_on else ["announce_lifting"]
	if doc.right in WITH_RECIPIENTS and status not in (Status.RECEIVED.value, Status.IDENTITY_OPEN.value):
		actions += ["add_recipients"]
		actions += ["tell_recipient"] if any(row.status == "Due" for row in doc.notices) else []
		actions += ["tell_person_recipients"] if doc.email else []
	return actions
