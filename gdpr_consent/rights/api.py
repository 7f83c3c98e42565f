"""The doors of the rights: typed, thin, and each checks the user's right itself, as `gdpr_consent.api` does."""

from typing import Any

from werkzeug.wrappers import Response

import frappe

from gdpr_consent.doors import says_why
from gdpr_consent.rights import automated_decisions, information, package, requests


# --- package ------------------------------------------------------------------------------------------------


def _check_may_hand_out() -> None:
	frappe.has_permission(requests.DOCTYPE, "write", throw=True)


@frappe.whitelist(methods=["POST"])
@says_why
def prepare_package(request: str) -> None:
	"""Let the package of an Access or Portability request be made; `package_status` says how far it is.

	Raises:
		PermissionError, RequestNotPossible, PackageNotPossible
	"""
	_check_may_hand_out()
	package.start(request)


@frappe.whitelist(methods=["POST"])
@says_why
def package_status(request: str) -> dict[str, Any]:
	"""Return `progress, is_there, expires_on, downloaded_on, link_sent, rows, left_out` of a package."""
	_check_may_hand_out()
	return package.status(request)


@frappe.whitelist(methods=["POST"])
@says_why
def send_package_link(request: str) -> None:
	"""Mail the person the link to their package and close the request; the link works once, for 72 hours.

	Raises:
		PermissionError, RequestNotPossible, PackageNotPossible
	"""
	_check_may_hand_out()
	package.send_link(request)


@frappe.whitelist(methods=["POST"])
@says_why
def download_package(request: str) -> Response:
	"""Answer with the package, for whoever hands it over. Noted in Access Log.

	Raises:
		PermissionError, PackageNotPossible
	"""
	_check_may_hand_out()
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
	return information.start_sending(frappe.parse_json(duties))


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
	_check_may_hand_out()
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
	_check_may_hand_out()
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
	_check_may_hand_out()
	automated_decisions.answer(request)
