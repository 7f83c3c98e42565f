"""Report Wording in Use: how many consents stand on which text, an outdated one, or none (CA-06, V6)."""

from typing import NamedTuple

import frappe
from frappe import _

from gdpr_consent import proof
from gdpr_consent.clock import now_utc
from gdpr_consent.policy import Status
from gdpr_consent.register import CONSENT_BASIS
from gdpr_consent.reports.common import (
	Result,
	Row,
	chart,
	check_may_read,
	column,
	figure,
	has_status,
	link,
	result,
	share,
	visible,
)

LONGEST_TEXT = 140  # characters of a wording in a cell
MOST_BARS = 12


class Scope(NamedTuple):
	wording: str
	purpose: str
	topic: str


def execute(filters: Row | None = None) -> Result:
	"""List every wording with the consents given that stand on it, then those that stand on none.

	Args:
		filters: `purpose`, `topic`, `language`, `only_in_use`.
	"""
	check_may_read("Consent Wording")
	check_may_read("Consent")
	filters = filters or {}
	live = _live(filters)
	outdated = proof.outdated_wordings()
	rows = [*_of_wordings(filters, live, outdated), *_without(live)]
	if filters.get("only_in_use"):
		rows = [row for row in rows if row["live"]]
	total = sum(row["live"] for row in rows)
	on_old = sum(row["live"] for row in rows if row["is_outdated"])
	on_none = sum(row["live"] for row in rows if not row["wording"])
	for row in rows:
		row["share"] = share(row["live"], total)
	return result(
		_columns(),
		rows,
		_message(on_old),
		_chart(rows),
		[
			figure(_("Live Consents"), total),
			figure(_("On an Outdated Text"), on_old, "red" if on_old else "green"),
			figure(_("Without Any Wording"), on_none, "orange" if on_none else "green"),
		],
	)


def _live(filters: Row) -> dict[Scope, int]:
	conditions, values = [has_status(Status.GIVEN.value)], {"now": now_utc(), "basis": CONSENT_BASIS}
	for name in ("purpose", "topic"):
		if filters.get(name):
			conditions.append(f"`tabConsent`.`{name}` = %({name})s")
			values[name] = str(filters[name])
	rows = frappe.db.sql(
		f"""select ifnull(`wording`, ''), `purpose`, ifnull(`topic`, ''), count(*) from `tabConsent`
		where {" and ".join(conditions)}{visible("Consent")}
		group by `wording`, `purpose`, `topic`""",
		values,
	)
	return {Scope(wording, purpose, topic): count for wording, purpose, topic, count in rows}


def _of_wordings(filters: Row, live: dict[Scope, int], outdated: set[str]) -> list[Row]:
	wanted = {name: filters[name] for name in ("purpose", "topic", "language") if filters.get(name)}
	of_wording: dict[str, int] = {}
	for scope, count in live.items():
		of_wording[scope.wording] = of_wording.get(scope.wording, 0) + count
	fields = ["name as wording", "purpose", "topic", "language", "version", "material", "text", "creation"]
	rows = frappe.get_list(
		"Consent Wording",
		wanted,
		fields,
		order_by="purpose asc, topic asc, language asc, version desc",
		limit_page_length=0,
	)
	for row in rows:
		row.live = of_wording.get(row.wording, 0)
		row.is_outdated = row.wording in outdated
		row.state = _state(row)
		row.text = _shortened(row.text)
		row.created_on = row.pop("creation").replace(microsecond=0)
		row.material = _("Yes") if row.material else _("No")
	return rows


def _state(row: Row) -> str:
	if row.is_outdated:
		return _("Outdated: ask again") if row.live else _("Outdated")
	return _("In Use") if row.live else _("Not used")


def _shortened(text: str | None) -> str:
	plain = " ".join(frappe.utils.strip_html(text or "").split())
	return plain if len(plain) <= LONGEST_TEXT else f"{plain[: LONGEST_TEXT - 1]}…"


def _without(live: dict[Scope, int]) -> list[Row]:
	return [
		{
			"wording": None,
			"purpose": scope.purpose,
			"topic": scope.topic or None,
			"live": count,
			"is_outdated": False,
			"state": _("Without Any Wording"),
		}
		for scope, count in sorted(live.items())
		if not scope.wording
	]


def _columns() -> list[Row]:
	return [
		link("wording", _("Wording"), "Consent Wording", 220),
		column("state", _("State"), width=160),
		column("live", _("Live Consents"), "Int", 120),
		column("share", _("Share"), "Percent", 90),
		link("purpose", _("Purpose"), "Processing Purpose"),
		link("topic", _("Topic"), "Subscription Topic"),
		link("language", _("Language"), "Language", 110),
		column("version", _("Version"), "Int", 80),
		column("material", _("Material Change"), width=150),
		column("created_on", _("Since"), "Datetime", 150),
		column("text", _("Text"), width=400),
	]


def _message(on_old: int) -> str | None:
	if not on_old:
		return None
	return frappe.utils.escape_html(
		_("No marketing is sent on an outdated text. Open the newest wording: Who Must Be Asked Again?")
	)


def _chart(rows: list[Row]) -> Row | None:
	used = sorted((row for row in rows if row["live"]), key=lambda row: -row["live"])[:MOST_BARS]
	names = [
		row["wording"] or f"{row['topic'] or row['purpose']} ({_('Without Any Wording')})" for row in used
	]
	current = [0 if row["is_outdated"] or not row["wording"] else row["live"] for row in used]
	old = [row["live"] if row["is_outdated"] else 0 for row in used]
	none = [0 if row["wording"] else row["live"] for row in used]
	return chart(
		"bar",
		names,
		[(_("Current Text"), current), (_("Outdated"), old), (_("Without Any Wording"), none)],
		["green", "red", "orange"],
		stacked=True,
	)
