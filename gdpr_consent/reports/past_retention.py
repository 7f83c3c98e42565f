"""Whose data aren't needed any more, by a Retention Rule: the dry run of it (RE-03)."""

from collections import Counter
from typing import Any

import frappe
from frappe import _

from gdpr_consent.reports.common import COLOURS, IN_FILE, ON_SCREEN, Result, is_on_screen, result
from gdpr_consent.rights import retention


def execute(filters: dict[str, Any] | None = None) -> Result:
	"""Run the report; see the module.

	Args:
		filters: `rule`, a Retention Rule. Without it there are no rows.
	"""
	frappe.has_permission("Retention Rule", "read", throw=True)
	columns = [
		{"fieldname": "party_type", "fieldtype": "Data", "label": _("Kind of Record"), "width": 120},
		{
			"fieldname": "party",
			"fieldtype": "Dynamic Link",
			"options": "party_type",
			"label": _("Record"),
			"width": 260,
		},
		{"fieldname": "last_activity", "fieldtype": "Date", "label": _("Last Activity"), "width": 140},
		{"fieldname": "held_by", "fieldtype": "Data", "label": _("Held By"), "width": 200},
	]
	rule = (filters or {}).get("rule")
	if not rule:
		return result(columns, [], _("Choose a Retention Rule."))
	shown = ON_SCREEN if is_on_screen() else IN_FILE
	rows: list[dict[str, Any]] = []
	years: Counter[int] = Counter()
	held = 0
	for one in retention.due(frappe.get_doc("Retention Rule", rule)):
		years[one.last_activity.year] += 1
		held += bool(one.held_by)
		if len(rows) < shown:
			rows.append(
				{
					"party_type": one.person.party_type,
					"party": one.person.party,
					"last_activity": one.last_activity,
					"held_by": ", ".join(one.held_by),
				}
			)
	people = sum(years.values())
	message = (
		_("Of {0} people, the first {1} are listed.").format(people, len(rows))
		if people > len(rows)
		else None
	)
	return result(columns, rows, message, _chart(years), _summary(people, held))


def _chart(years: Counter[int]) -> dict[str, Any] | None:
	if not years:
		return None
	by_year = sorted(years.items())
	return {
		"type": "bar",
		"data": {
			"labels": [str(year) for year, _people in by_year],
			"datasets": [
				{"name": _("Year of Last Activity"), "values": [people for _year, people in by_year]}
			],
		},
		"colors": [COLOURS["orange"]],
	}


def _summary(people: int, held: int) -> list[dict[str, Any]]:
	return [
		{"label": _("No Longer Needed"), "value": people - held, "datatype": "Int", "indicator": "Orange"},
		{"label": _("Held"), "value": held, "datatype": "Int", "indicator": "Red"},
	]
