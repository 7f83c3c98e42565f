"""Doors for the desk and for scripts: thin, typed, documented in docs/api.md."""

from typing import Any

import frappe

from gdpr_consent.sensitive_data import finder, rights, rules
from gdpr_consent.sensitive_data import reveal as revealing

OFFICERS = ("System Manager", "Privacy Officer")


@frappe.whitelist(methods=["POST"])
def reveal(doctype: str, name: str, fieldname: str, purpose: str, reason: str) -> dict[str, Any]:
	"""Show a protected value of one record, and log it.

	Returns:
		`value` as text, and for how many `seconds` a screen may show it

	Raises:
		frappe.PermissionError, FieldProtected, frappe.ValidationError, TooManyAttempts: see `reveal.reveal`
	"""
	value = revealing.reveal(doctype, name, fieldname, purpose, reason)
	return {"value": value, "seconds": frappe.db.get_single_value("Consent Settings", "reveal_seconds") or 60}


@frappe.whitelist()
def find_candidates() -> list[dict[str, str]]:
	"""Propose fields that look as if they should be protected, each with the reason. Changes nothing."""
	frappe.only_for(OFFICERS, message=True)
	return finder.find_candidates()


@frappe.whitelist(methods=["POST"])
def add_candidates(candidates: list[dict[str, str]] | str) -> list[str]:
	"""Make Sensitive Fields, switched on, of proposals as `find_candidates` returns them. Return their names.

	Raises:
		ConsentError: one of them can't be protected; then none is added
	"""
	frappe.only_for(OFFICERS, message=True)
	return finder.add_candidates(frappe.parse_json(candidates))


def add_to_boot(bootinfo: dict) -> None:
	"""Hook `extend_bootinfo`: what forms show as dots, and whether the user may reveal it."""
	bootinfo["gdpr_sensitive_fields"] = {
		doctype: {name: {"reveal": revealing.may_reveal(doctype, name)} for name in sorted(names)}
		for doctype, names in rights.hidden_anywhere().items()
		if doctype not in rules.all_rules().tables
	}
