"""The doors to the rights of people, for scripts, REST and the desk: typed, thin, and each checks who asks.

Days are written as 2026-03-01. Whatever takes an address is POST: a URL ends in logs.
"""

from datetime import date
from typing import Any

from werkzeug.wrappers import Response

import frappe

from gdpr_consent.api import find_party
from gdpr_consent.doors import rows_of, says_why
from gdpr_consent.rights import (
	automated_decisions,
	erasure_run,
	handling,
	information,
	objection,
	overview,
	package,
	recipients,
	rectification,
	requests,
	restriction,
)
from gdpr_consent.rights.requests import DOCTYPE, OFFICER

Day = str | date


def _only_officer(request: str) -> None:
	"""A request is for Privacy Officers, and may be for those of one company."""
	frappe.only_for(OFFICER, message=True)
	if frappe.db.exists(DOCTYPE, request):
		frappe.has_permission(DOCTYPE, "write", request, throw=True)


# --- requests -----------------------------------------------------------------------------------------------


@frappe.whitelist(methods=["POST"])
@says_why
def record_request(
	right: str,
	email: str | None = None,
	phone: str | None = None,
	requester_name: str | None = None,
	party_type: str | None = None,
	party: str | None = None,
	channel: str = "API",
	received_on: Day | None = None,
	message: str | None = None,
	company: str | None = None,
	language: str | None = None,
	objects_to: str | None = None,
	purpose: str | None = None,
) -> dict[str, Any]:
	"""Record a request of a person, by whatever way it came (DS-01).

	An objection to marketing and a withdrawal count at once, and close the request. Everything else is
	acknowledged by mail.

	Args:
		right: Information, Access, Rectification, Erasure, Restriction, Portability, Objection, Human Review
			or Withdrawal.
		party_type, party: Contact, Lead or Customer that is the person.
		channel: Web Form, E-mail, Phone, Letter, In Person or API.
		received_on: the day on which it reached the company; today if not given.
		language: of the mails, a code such as de; the site's language if not given.
		objects_to: of an objection: Marketing or Other Processing.
		purpose: of an objection or a withdrawal; all of them if not given.

	Returns:
		`name, status, due_on`

	Raises:
		RequestIncomplete, InvalidEmailAddress, InvalidPhoneNumber, InvalidPeriod, UnknownReference
	"""
	frappe.has_permission(DOCTYPE, "create", throw=True)
	doc = requests.open_request(
		right,
		email=email or None,
		phone=phone or None,
		requester_name=requester_name or None,
		party_type=party_type or None,
		party=find_party(party_type or None, party or None),
		channel=channel,
		received_on=received_on or None,
		message=message or None,
		company=company or None,
		language=language or None,
		objects_to=objects_to or None,
		purpose=purpose or None,
	)
	status, due_on = frappe.db.get_value(DOCTYPE, doc.name, ["status", "due_on"])
	return {"name": doc.name, "status": status, "due_on": str(due_on)}


@frappe.whitelist(methods=["POST"])
@says_why
def request_overview(request: str) -> dict[str, Any]:
	"""Say what is to be done next with a request, by when, and what may be done now.

	Returns:
		`next`: a sentence; `colour`; `days_left`; `actions`: names of doors; `known_addresses`.
	"""
	_only_officer(request)
	return overview.of(request)


@frappe.whitelist(methods=["POST"])
@says_why
def include_records(request: str, rows: list[str] | str) -> None:
	"""Tick the records that are the person, by the names of rows of the request's table, and no others."""
	_only_officer(request)
	handling.include(request, rows_of("rows", rows, str))


@frappe.whitelist(methods=["POST"])
@says_why
def add_record(request: str, party_type: str, party: str) -> None:
	"""Add a Contact, Lead or Customer that is the person, too."""
	_only_officer(request)
	stored = find_party(party_type, party)
	if stored:
		handling.add_record(request, party_type, stored)


@frappe.whitelist(methods=["POST"])
@says_why
def ask_identity(request: str, address: str | None = None, told_on: Day | None = None) -> dict[str, bool]:
	"""Ask whether it was really the person, at an address that we know, or where they wrote from (DS-07).

	Args:
		told_on: where no mail can be sent, as to a number: the day on which the person was asked.

	Returns:
		`sent`: whether a mail was sent.
	"""
	_only_officer(request)
	return {"sent": handling.ask_identity(request, address or None, told_on or None)}


@frappe.whitelist(methods=["POST"])
@says_why
def confirm_identity(request: str, method: str, note: str | None = None) -> None:
	"""Note that it is known who asks.

	Args:
		method: Link to Known Address, Call to Known Number, Signed In, Met in Person or Other.
	"""
	_only_officer(request)
	handling.confirm_identity(request, method, note)


@frappe.whitelist(methods=["POST"])
@says_why
def fail_identity(request: str, note: str) -> None:
	"""Note that it couldn't be found out who asks."""
	_only_officer(request)
	handling.fail_identity(request, note)


@frappe.whitelist(methods=["POST"])
@says_why
def start_request(request: str) -> None:
	"""Take a request in hand. What an objection is to is restricted until it is decided (Art. 18(1)(d))."""
	_only_officer(request)
	handling.start(request)


@frappe.whitelist(methods=["POST"])
@says_why
def extend_request(request: str, ground: str, reason: str, told_on: Day | None = None) -> None:
	"""Take three months from receipt instead of one, and tell the person (Art. 12(3), DS-02).

	Args:
		ground: Complexity or Number of Requests.
		told_on: where no mail can be sent: the day on which the person was told.
	"""
	_only_officer(request)
	handling.extend(request, ground, reason, told_on or None)


@frappe.whitelist(methods=["POST"])
@says_why
def refuse_request(request: str, ground: str, reason: str, told_on: Day | None = None) -> None:
	"""Refuse a request, and tell the person why and where they may complain (Art. 12(4), DS-05).

	Args:
		ground: Identity Failure, Manifestly Unfounded, Manifestly Excessive, Legal Claims, Legally Required,
			Compelling Grounds or Other.
		told_on: where no mail can be sent: the day on which the person was told.
	"""
	_only_officer(request)
	handling.refuse(request, ground, reason, told_on or None)


@frappe.whitelist(methods=["POST"])
@says_why
def take_back_request(request: str) -> None:
	"""Close a request that the person doesn't want any more."""
	_only_officer(request)
	handling.take_back(request)


@frappe.whitelist(methods=["POST"])
@says_why
def answer_request(request: str, answer: str, told_on: Day | None = None) -> None:
	"""Grant a request with an answer, which goes to the person by mail.

	Args:
		told_on: where no mail can be sent: the day on which the person was told.
	"""
	_only_officer(request)
	handling.answer(request, answer, told_on or None)


@frappe.whitelist(methods=["POST"])
@says_why
def restrict_person(request: str, answer: str | None = None) -> None:
	"""Restrict what is ticked in a request, tell the person, and close the request (Art. 18)."""
	_only_officer(request)
	restriction.carry_out(request, answer or None)


@frappe.whitelist(methods=["POST"])
@says_why
def announce_lifting(request: str, reason: str, told_on: Day | None = None) -> None:
	"""Tell the person that a restriction ends, and why (Art. 18(3))."""
	_only_officer(request)
	restriction.tell_before_lifting(request, reason, told_on or None)


@frappe.whitelist(methods=["POST"])
@says_why
def lift_request_restriction(request: str) -> None:
	"""End a restriction of whose end the person was told (DS-20)."""
	_only_officer(request)
	restriction.lift(request)


@frappe.whitelist(methods=["POST"])
@says_why
def uphold_objection(request: str, answer: str | None = None) -> None:
	"""Grant an objection to other processing (Art. 21(1)). To refuse it needs compelling grounds."""
	_only_officer(request)
	objection.uphold(request, answer or None)


@frappe.whitelist(methods=["POST"])
@says_why
def propose_changes(request: str, changes: list[dict[str, Any]] | str) -> None:
	"""Propose what is to be corrected (Art. 16).

	Args:
		changes: each with `ref_doctype, ref_name, fieldname, new_value`, of a record that is ticked.
	"""
	_only_officer(request)
	rectification.propose(request, rows_of("changes", changes, dict))


@frappe.whitelist(methods=["POST"])
@says_why
def approve_changes(request: str, answer: str | None = None) -> None:
	"""Apply the proposed changes with the rights of the user, also to copies, and close the request."""
	_only_officer(request)
	rectification.approve(request, answer or None)


@frappe.whitelist(methods=["POST"])
@says_why
def suggest_recipients(request: str) -> list[dict[str, str]]:
	"""List whom we have sent mails about the person: `recipient, about` (Art. 19)."""
	_only_officer(request)
	return recipients.suggest(request)


@frappe.whitelist(methods=["POST"])
@says_why
def add_recipients(request: str, recipients_: list[dict[str, Any]] | str) -> None:
	"""Add those who have the person's data from us and are to be told (Art. 19).

	Args:
		recipients_: each with `recipient`, a name or an e-mail address, and `about`, what they have.
	"""
	_only_officer(request)
	recipients.add(request, rows_of("recipients_", recipients_, dict))


@frappe.whitelist(methods=["POST"])
@says_why
def tell_recipient(
	request: str,
	notice: str,
	how: str | None = None,
	told_on: Day | None = None,
	not_possible: str | None = None,
) -> None:
	"""Tell a recipient by mail, or note how they were told, or why that isn't possible (Art. 19).

	Args:
		notice: the name of the row of the request's table.
		how, told_on: how and when they were told by hand; by mail now if not given.
		not_possible: why they can't be told.
	"""
	_only_officer(request)
	recipients.tell(request, notice, how or None, told_on or None, not_possible or None)


@frappe.whitelist(methods=["POST"])
@says_why
def tell_person_recipients(request: str) -> dict[str, bool]:
	"""Tell the person by mail who has their data from us, if they want to know (Art. 19). `sent`"""
	_only_officer(request)
	return {"sent": recipients.tell_person(request)}


# --- erasure ------------------------------------------------------------------------------------------------


@frappe.whitelist(methods=["POST"])
@says_why
def plan_erasure(request: str) -> list[dict[str, Any]]:
	"""Plan the erasure of the person whose records are ticked (Art. 17): nothing is erased yet.

	Returns:
		for each DocType `ref_doctype, action, because, found`: what is deleted, anonymised, redacted, or kept
		and by which law.
	"""
	_only_officer(request)
	return erasure_run.make_plan(request)


@frappe.whitelist(methods=["POST"])
@says_why
def approve_erasure(request: str, keep_evidence: bool = False) -> None:
	"""Erase what the plan says, in the background. Whoever recorded the request doesn't approve it, if there
	is another Privacy Officer.

	Args:
		keep_evidence: keep what the person's consents stood on, for claims (Art. 17(3)(e)).
	"""
	_only_officer(request)
	erasure_run.approve(request, keep_evidence)


@frappe.whitelist(methods=["POST"])
@says_why
def stop_erasure(request: str) -> None:
	"""Stop an erasure after the step it is at. A new plan shows what is left."""
	_only_officer(request)
	erasure_run.stop(request)


@frappe.whitelist(methods=["POST"])
@says_why
def erasure_status(request: str) -> dict[str, Any]:
	"""Return `status`, `steps` and, when it is done, `report`: what was kept by which law, what is left."""
	_only_officer(request)
	return erasure_run.status(request)


# --- package ------------------------------------------------------------------------------------------------


@frappe.whitelist(methods=["POST"])
@says_why
def prepare_package(request: str) -> None:
	"""Let the package of an Access or Portability request be made; `package_status` says how far it is.

	Raises:
		PermissionError, RequestNotPossible, PackageNotPossible
	"""
	_only_officer(request)
	package.start(request)


@frappe.whitelist(methods=["POST"])
@says_why
def package_status(request: str) -> dict[str, Any]:
	"""Return `progress, is_there, expires_on, downloaded_on, link_sent, rows, left_out, addresses`."""
	_only_officer(request)
	return package.status(request)


@frappe.whitelist(methods=["POST"])
@says_why
def send_package_link(request: str, address: str | None = None) -> None:
	"""Mail the person the link to their package and close the request; the link works once, for 72 hours.

	Args:
		address: one of those that `package_status` lists, if it lists several.

	Raises:
		PermissionError, RequestNotPossible, PackageNotPossible
	"""
	_only_officer(request)
	package.send_link(request, address)


@frappe.whitelist(methods=["POST"])
@says_why
def download_package(request: str) -> Response:
	"""Answer with the package, for whoever hands it over. Noted in Access Log.

	Raises:
		PermissionError, PackageNotPossible
	"""
	_only_officer(request)
	return package.answer_with(package.open_for_officer(request), request)


# --- information --------------------------------------------------------------------------------------------


@frappe.whitelist(methods=["POST"])
@says_why
def send_notices(duties: list[str] | str) -> int:
	"""Send the notice of Art. 14 for some Information Duties, and return for how many.

	Raises:
		PermissionError
		NoticeNotPossible: none of them is due and has an address.
	"""
	return information.start_sending(rows_of("duties", duties, str))


@frappe.whitelist(methods=["POST"])
@says_why
def show_notice(duty: str) -> str:
	"""Return the notice of an Information Duty as HTML."""
	frappe.has_permission(information.DOCTYPE, "read", doc=duty, throw=True)
	return information.html_of(duty)


@frappe.whitelist(methods=["POST"])
@says_why
def answer_information(request: str) -> None:
	"""Tell the person of an Information request what is done with their data, and close it (Art. 13, 14).

	Raises:
		PermissionError, RequestNotPossible, NoticeNotPossible
	"""
	_only_officer(request)
	information.answer(request)


@frappe.whitelist(methods=["POST"])
@says_why
def undescribed_scores() -> list[dict[str, str]]:
	"""List `doctype, fieldname, label` of fields about people that look like scores and aren't described."""
	frappe.has_permission(automated_decisions.DOCTYPE, "read", throw=True)
	return automated_decisions.undescribed()


@frappe.whitelist(methods=["POST"])
@says_why
def open_reviews(request: str) -> list[str]:
	"""Let humans review what machines have decided about the person of a Human Review request (Art. 22(3)).

	Raises:
		PermissionError, RequestNotPossible, ReviewNotPossible
	"""
	_only_officer(request)
	return automated_decisions.open_reviews(request)


@frappe.whitelist(methods=["POST"])
@says_why
def finish_review(review: str, result: str, reasons: str) -> None:
	"""Say what a human has come to: `Confirmed`, `Corrected` or `Not Used Again`.

	Raises:
		PermissionError: neither the reviewer nor a Privacy Officer.
		ReviewNotPossible
	"""
	automated_decisions.finish_review(review, result, reasons)


@frappe.whitelist(methods=["POST"])
@says_why
def contest_review(review: str, point_of_view: str) -> None:
	"""Note that the person contests the result of a review; somebody else has to look at it then.

	Raises:
		PermissionError, ReviewNotPossible
	"""
	automated_decisions.contest(review, point_of_view)


@frappe.whitelist(methods=["POST"])
@says_why
def answer_human_review(request: str) -> None:
	"""Tell the person what humans have come to, and close the request.

	Raises:
		PermissionError, RequestNotPossible
		ReviewNotPossible: a review is still open.
	"""
	_only_officer(request)
	automated_decisions.answer(request)
