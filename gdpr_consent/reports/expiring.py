"""Report Expiring and Lapsed: what comes to its end soon, what did lately, and how to ask again (CA-15)."""

from collections import Counter
from datetime import date, datetime, timedelta

import frappe
from frappe import _

from gdpr_consent import renewal
from gdpr_consent.doors import says_why
from gdpr_consent.reports.common import (
	IS_OVER,
	OVER,
	STATUS_NOW,
	Result,
	Row,
	chart,
	check_may_read,
	column,
	consents_where,
	day_labels,
	days_of,
	figure,
	how_many_of,
	link,
	most_rows,
	result,
	shown_day,
	shown_time,
)

DAYS = 30
SHOWN = (
	*("name", "email", "party_type", "party", "purpose", "topic", "legal_basis", "source", "wording"),
	*("given_on", "expires_on", "asked_on"),
)
# What ends by the clock, and as what it stays on record; in words of the index over status and end.
ENDS = tuple({one.value for pair in OVER.items() for one in pair})


def execute(filters: Row | None = None) -> Result:
	"""List consents by the day on which they end or ended, the next ones first, and count them by week.

	Args:
		filters: `days_ahead` and `days_back`, 30 each if not given, and those of `common.consents_where`.
	"""
	check_may_read("Consent")
	filters = filters or {}
	ahead = days_of(filters, "days_ahead", _("Ends within Days"), DAYS)
	back = days_of(filters, "days_back", _("Ended in the Last Days"), DAYS)
	where, values = consents_where({name: value for name, value in filters.items() if name != "status"})
	now: datetime = values["now"]
	values |= {"start": now - timedelta(days=back), "end": now + timedelta(days=ahead), "ends": ENDS}
	where += """ and `tabConsent`.`status` in %(ends)s
		and `tabConsent`.`expires_on` >= %(start)s and `tabConsent`.`expires_on` < %(end)s"""
	by_day = _count(where, values)
	rows = _rows(where, values, most_rows())
	ended = sum(count for (_day, is_over), count in by_day.items() if is_over)
	soon = sum(count for (_day, is_over), count in by_day.items() if not is_over)
	return result(
		_columns(),
		rows,
		_message(len(rows), ended + soon),
		_chart(by_day),
		[
			figure(_("Ends within {0} Days").format(ahead), soon, "orange"),
			figure(_("Ended in the Last {0} Days").format(back), ended, "red"),
		],
	)


@frappe.whitelist(methods=["POST"])
@says_why
def ask_now(days: int) -> None:
	"""Queue the mails that ask whoever's marketing consent ends within so many days, once for each consent.

	Raises:
		PermissionError: only those who may set up the wordings that people are asked with may start it.
		FilterNotValid: not a number of days.
	"""
	frappe.has_permission("Consent", "write", throw=True)
	frappe.has_permission("Consent Wording", "write", throw=True)
	renewal.start_reminding(days_of({"days": days}, "days", _("Ends within Days"), DAYS, most=366))


def _count(where: str, values: Row) -> dict[tuple[date, bool], int]:
	"""Count by day of the site and by whether it is over; read by the quarter of an hour, which every time
	zone keeps to."""
	counted: Counter[tuple[date, bool]] = Counter()
	quarter = "floor(to_seconds(`tabConsent`.`expires_on`) / 900)"
	for first, is_over, count in frappe.db.sql(
		f"""select min(`tabConsent`.`expires_on`), {IS_OVER} as is_over, count(*) from `tabConsent`
		where {where} group by {quarter}, is_over""",
		values,
	):
		counted[shown_day(first), bool(is_over)] += count
	return counted


def _rows(where: str, values: Row, most: int) -> list[Row]:
	columns = ", ".join(f"`tabConsent`.`{name}`" for name in SHOWN)
	rows = frappe.db.sql(
		f"""select {columns}, {STATUS_NOW} as state, {IS_OVER} as is_over from `tabConsent` where {where}
		order by is_over, if({IS_OVER}, -1, 1) * to_seconds(`tabConsent`.`expires_on`), `tabConsent`.`name`
		limit {int(most)}""",
		values,
		as_dict=True,
	)
	now = values["now"]
	for row in rows:
		row["days"] = (row["expires_on"] - now).days
		row["status"] = _(row["state"])
		for instant in ("given_on", "expires_on", "asked_on"):
			row[instant] = shown_time(row[instant])
	return rows


def _columns() -> list[Row]:
	return [
		column("email", _("Email"), width=210),
		column("status", _("State Now"), width=130),
		column("expires_on", _("Ends or Ended"), "Datetime", 150),
		column("days", _("Days"), "Int", 70),
		link("purpose", _("Purpose"), "Processing Purpose"),
		link("topic", _("Topic"), "Subscription Topic"),
		link("legal_basis", _("Legal Basis"), "Legal Basis", 120),
		link("source", _("Source"), "Consent Source", 120),
		column("given_on", _("Given"), "Datetime", 150),
		column("asked_on", _("Asked Again"), "Datetime", 150),
		link("wording", _("Wording"), "Consent Wording", 170),
		column("party_type", _("Party Type"), width=90),
		column("party", _("Party"), "Dynamic Link", 170, options="party_type"),
		link("name", _("Consent"), "Consent", 120),
	]


def _message(shown: int, total: int) -> str | None:
	days = frappe.utils.cint(frappe.db.get_single_value("Consent Settings", "renewal_notice_days"))
	asked = (
		_("Who is about to lose a marketing consent is asked once by mail, {0} days before.").format(days)
		if days
		else _("Nobody is asked before a consent ends: Consent Settings say 0 days.")
	)
	again = _("Ask Again asks them earlier, or those whose consent has ended.")
	parts = [how_many_of(shown, total), frappe.utils.escape_html(f"{asked} {again}")]
	return "<br>".join(part for part in parts if part)


def _chart(by_day: dict[tuple[date, bool], int]) -> Row | None:
	weeks: Counter[tuple[date, bool]] = Counter()
	for (day, is_over), count in by_day.items():
		weeks[day - timedelta(days=day.weekday()), is_over] += count
	if not weeks:
		return None
	first, last = min(weeks)[0], max(weeks)[0]
	mondays = [first + timedelta(weeks=at) for at in range((last - first).days // 7 + 1)]
	return chart(
		"bar",
		day_labels(mondays, weeks=True),
		[
			(_("Ended"), [weeks[monday, True] for monday in mondays]),
			(_("Will End"), [weeks[monday, False] for monday in mondays]),
		],
		["red", "orange"],
		stacked=True,
	)
