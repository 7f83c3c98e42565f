"""Report Personal Data Map: which DocTypes hold data about people, and what each right does there (DS-10).

What no rule covers comes first: it is neither given out nor erased.
"""

import frappe
from frappe import _

from gdpr_consent.reports.common import Result, Row, column, figure, result
from gdpr_consent.rights import personal_data

READERS = ("Privacy Officer", "System Manager")


def execute(filters: Row | None = None) -> Result:
	"""List the fields that no holding covers, then the map.

	Args:
		filters: `only_uncovered`.
	"""
	frappe.only_for(READERS, message=True)
	missing = [
		{
			"doctype": one["doctype"],
			"fields": one["field"],
			"erasure": _("Not covered"),
			"because": one["why"],
		}
		for one in personal_data.uncovered()
	]
	known = [] if (filters or {}).get("only_uncovered") else [*map(_row, personal_data.holdings())]
	return result(
		_columns(),
		missing + known,
		summary=[
			figure(_("Not covered"), len(missing), "red" if missing else "green"),
			figure(_("Record types in the map"), len(personal_data.holdings())),
		],
	)


def _row(one: personal_data.Holding) -> Row:
	return {
		"doctype": one.doctype,
		"fields": ", ".join(one.fields) if one.fields is not None else _("All"),
		"found_by": ", ".join(dict.fromkeys(way.field for way in one.found_by)),
		"erasure": _(one.erasure.value),
		"because": one.kept_because,
		"access": int(one.given_out),
		"portable": ", ".join(one.portable),
		"purpose": _(one.purpose) if one.purpose else "",
	}


def _columns() -> list[Row]:
	return [
		column("doctype", _("Record Type"), width=190),
		column("fields", _("Personal Fields"), width=260),
		column("erasure", _("Erasure"), width=110),
		column("because", _("Because"), width=260),
		column("found_by", _("Found By"), width=180),
		column("access", _("In a Copy of the Data"), "Check", width=90),
		column("portable", _("Portable"), width=220),
		column("purpose", _("Purpose"), width=140),
	]
