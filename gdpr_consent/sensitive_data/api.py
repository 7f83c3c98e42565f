"""Doors for the desk and for scripts: thin, typed, documented in docs/api.md."""

from collections.abc import Iterable
from typing import Any

import frappe
from frappe import _

from gdpr_consent.doors import rows_of, says_why
from gdpr_consent.sensitive_data import access_log, finder, rights, rules
from gdpr_consent.sensitive_data import reveal as revealing
from gdpr_consent.sensitive_data.open_paths import OPEN_PATHS

OFFICERS = ("System Manager", "Privacy Officer")
MOST_ROLES = 1_000  # that one page of suggestions holds


@frappe.whitelist(methods=["POST"])
@says_why
def reveal(doctype: str, name: str, fieldname: str, purpose: str, reason: str) -> dict[str, Any]:
	"""Show a protected value of one record, and log it.

	Returns:
		`value` as text, and for how many `seconds` a screen may show it

	Raises:
		frappe.PermissionError, FieldProtected, frappe.ValidationError, TooManyAttempts: see `reveal.reveal`
	"""
	value = revealing.reveal(doctype, name, fieldname, purpose, reason)
	return {"value": value, "seconds": frappe.db.get_single_value("Consent Settings", "reveal_seconds") or 60}


@frappe.whitelist(methods=["GET"])
@says_why
def purposes() -> list[str]:
	"""Return the names of the purposes that a value may be revealed for. Who reveals one may know no more of
	them."""
	if not any(field["reveal"] for fields in _masked().values() for field in fields.values()):
		frappe.throw(_("You may not reveal any protected field."), frappe.PermissionError)
	return frappe.get_all("Processing Purpose", {"enabled": 1}, pluck="name", order_by="name")


@frappe.whitelist(methods=["GET"])
@says_why
def open_paths() -> list[dict[str, str]]:
	"""Return, in the user's language, the ways to a protected value that the app can't close."""
	frappe.only_for(OFFICERS, message=True)
	return [
		{
			"title": _(path.title),
			"why": _(path.why),
			"frappe": path.frappe,
			"workaround": _(path.workaround),
		}
		for path in OPEN_PATHS
	]


@frappe.whitelist(methods=["GET", "POST"])
@says_why
def find_candidates() -> list[dict[str, str]]:
	"""Propose fields that look as if they should be protected, each with the reason. Changes nothing."""
	frappe.only_for(OFFICERS, message=True)
	return finder.find_candidates()


@frappe.whitelist(methods=["POST"])
@says_why
def add_candidates(candidates: list[dict[str, str]] | str) -> list[str]:
	"""Make Sensitive Fields, switched on, of proposals as `find_candidates` returns them. Return their names.

	Raises:
		ConsentError: one of them can't be protected; then none is added
	"""
	frappe.only_for(OFFICERS, message=True)
	return finder.add_candidates(rows_of("candidates", candidates, dict))


@frappe.whitelist(methods=["GET", "POST"])
@says_why
@frappe.validate_and_sanitize_search_inputs
def search_roles(
	doctype: str, txt: str, searchfield: str, start: int, page_len: int, filters: Any
) -> list[tuple[str]]:
	"""Suggest roles to whoever says who may see a field: a Privacy Officer may not read Role."""
	frappe.only_for(OFFICERS, message=True)
	return frappe.get_all(
		"Role",
		{"disabled": 0, "name": ["not in", ["Administrator", "Guest"]]},
		or_filters={"name": ["like", f"%{txt}%"]},
		order_by="name",
		limit_start=min(max(start, 0), MOST_ROLES),
		limit_page_length=min(max(page_len, 1), MOST_ROLES),
		as_list=True,
	)


def add_to_boot(bootinfo: dict) -> None:
	"""Hook `extend_bootinfo`: what forms show as dots, whether the user may reveal it, and which of them have
	a log that the user may read."""
	bootinfo["gdpr_sensitive_fields"] = _masked()
	logged = frappe.has_permission(access_log.LOG, "read")
	bootinfo["gdpr_logged_doctypes"] = sorted(_with_forms(rules.all_rules().fields)) if logged else []


def _masked() -> dict[str, dict[str, dict[str, bool]]]:
	hidden = rights.hidden_anywhere()
	return {
		doctype: {name: {"reveal": revealing.may_reveal(doctype, name)} for name in sorted(hidden[doctype])}
		for doctype in _with_forms(hidden)
	}


def _with_forms(doctypes: Iterable[str]) -> list[str]:
	tables = rules.all_rules().tables
	return [doctype for doctype in doctypes if doctype not in tables]
