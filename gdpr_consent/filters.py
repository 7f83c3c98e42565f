"""Records that a user has chosen by filters, as the desk writes them: [["Lead", "status", "=", "Open"]]."""

import json
from collections.abc import Iterator

import frappe

from gdpr_consent.exceptions import FilterNotValid

AT_ONCE = 500


def read(doctype: str, text: str | None, problem: str) -> list[list]:
	"""Return the filters in a JSON text, once it is sure that they find something or nothing.

	Args:
		problem: what to say if they can't be read.

	Raises:
		FilterNotValid
	"""
	try:
		filters = json.loads(text or "[]")
		if not isinstance(filters, list):
			raise ValueError
		frappe.get_list(doctype, filters=filters, limit=1)
	except (ValueError, TypeError, frappe.DataError):
		raise FilterNotValid(problem) from None
	return filters


def pages(doctype: str, filters: list[list]) -> Iterator[list[str]]:
	"""Yield the names of the records that the filters find and the user may see, 500 at a time."""
	last = ""
	while names := frappe.get_list(
		doctype,
		filters=[*filters, [doctype, "name", ">", last]],
		order_by=f"`tab{doctype}`.name asc",
		limit=AT_ONCE,
		pluck="name",
		distinct=True,
	):
		yield names
		last = names[-1]
