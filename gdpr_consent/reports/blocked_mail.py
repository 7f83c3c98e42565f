"""Report Blocked Mail: what the gate held back, of which mail and why. It names no address."""

from collections import Counter
from datetime import date, datetime, timedelta

import frappe
from frappe import _
from frappe.utils import getdate

from gdpr_consent.decisions import TITLE_FIELDS
from gdpr_consent.policy import Channel, Reason
from gdpr_consent.reports.common import (
	Result,
	Row,
	chart,
	check_may_read,
	choice,
	column,
	day_label,
	figure,
	how_many_of,
	link,
	most_rows,
	period_of,
	result,
	share,
	shown_day,
	shown_time,
	start_of,
	visible,
)
from gdpr_consent.words import reason_in_words

DAYS = 30  # that are shown if no period is asked for
MOST_BARS = 31  # days; a longer period is drawn by the week
MOST_REASONS = 6  # in the chart
COLOURS = ("red", "orange", "blue", "#7b61c4", "#2aa198", "#b58900", "grey")


def execute(filters: Row | None = None) -> Result:
	"""Count the decisions against a mail, by mail and reason.

	Args:
		filters: `from_date`, `to_date` (days of the site; the last 30 if neither is given), `reason`,
			`reference_doctype`, `reference_name`, `purpose`, `topic`, `channel`.
	"""
	check_may_read("Consent Decision")
	where, values = _where(filters or {})
	blocked = f"{where} and `tabConsent Decision`.`allowed` = 0"
	rows = _rows(blocked, values, most_rows())
	by_day = _by_day(blocked, values)
	total = sum(by_day.values())
	((allowed,),) = frappe.db.sql(
		f"""select count(*) from `tabConsent Decision`
		where {where} and `tabConsent Decision`.`allowed` = 1""",
		values,
	)
	return result(
		_columns(),
		rows,
		how_many_of(len(rows), _count_rows(blocked, values, len(rows))),
		_chart(by_day),
		[
			figure(_("Blocked"), total, "red"),
			figure(_("Allowed"), 0 if (filters or {}).get("reason") else allowed, "green"),
			figure(_("Blocked of All, %"), share(total, total + allowed), "orange"),
		],
	)


def _where(filters: Row) -> tuple[str, Row]:
	first, last = period_of(filters)
	if not first and not last:
		first = start_of(getdate() - timedelta(days=DAYS - 1))
	conditions, values = ["1 = 1"], {}
	of = "`tabConsent Decision`"
	if first:
		conditions.append(f"{of}.`decided_on` >= %(first)s")
		values["first"] = first
	if last:
		conditions.append(f"{of}.`decided_on` < %(last)s")
		values["last"] = last
	if filters.get("reason"):
		options = [reason.value for reason in Reason if not reason.allows]
		values["reason"] = choice(filters, "reason", _("Reason"), options)
		conditions.append(f"{of}.`reason` = %(reason)s")
	if filters.get("channel"):
		options = [channel.value for channel in Channel]
		values["channel"] = choice(filters, "channel", _("Channel"), options)
		conditions.append(f"{of}.`channel` = %(channel)s")
	for name in ("reference_doctype", "reference_name", "purpose", "topic"):
		if filters.get(name):
			values[name] = str(filters[name])
			conditions.append(f"{of}.`{name}` = %({name})s")
	return " and ".join(conditions) + visible("Consent Decision"), values


def _rows(where: str, values: Row, most: int) -> list[Row]:
	rows = frappe.db.sql(
		f"""select `reference_doctype`, `reference_name`, `purpose`, `topic`, `reason` as code,
			count(*) as mails, min(`decided_on`) as first_on, max(`decided_on`) as last_on
		from `tabConsent Decision` where {where}
		group by `reference_doctype`, `reference_name`, `purpose`, `topic`, code
		order by last_on desc, mails desc, code limit {int(most)}""",
		values,
		as_dict=True,
	)
	titles = _titles(rows)
	for row in rows:
		row["reason"] = reason_in_words(Reason(row["code"]))
		row["first_on"], row["last_on"] = shown_time(row["first_on"]), shown_time(row["last_on"])
		mail = (row["reference_doctype"], row["reference_name"])
		# Of a Notification it is the record it was about, which may be a person whom the reader may not see.
		row["title"] = titles.get(mail) or (_("Not visible to you, or deleted") if mail not in titles else "")
		row["reference_name"] = row["reference_name"] if mail in titles else None
	return rows


def _count_rows(where: str, values: Row, shown: int) -> int:
	if shown < most_rows():
		return shown
	((count,),) = frappe.db.sql(
		f"""select count(*) from (select 1 from `tabConsent Decision` where {where}
		group by `reference_doctype`, `reference_name`, `purpose`, `topic`, `reason`) grouped""",
		values,
	)
	return count


def _titles(rows: list[Row]) -> dict[tuple[str, str], str]:
	"""Return the titles of those mails that the user may know of, one query for each kind.

	What is sent to many names nobody, so its title is for all who may see what was decided about it.
	"""
	names: dict[str, set[str]] = {}
	for row in rows:
		names.setdefault(row["reference_doctype"] or "", set()).add(row["reference_name"] or "")
	found = {}
	for doctype, some in names.items():
		if not doctype or not frappe.db.exists("DocType", doctype):
			continue
		if doctype in TITLE_FIELDS:
			read = frappe.get_all
		elif frappe.has_permission(doctype, "read"):
			read = frappe.get_list
		else:
			continue
		field = TITLE_FIELDS.get(doctype, "name")
		for name, title in read(
			doctype, {"name": ["in", [*some]]}, ["name", field], limit_page_length=0, as_list=True
		):
			found[doctype, name] = title
	return found


def _by_day(where: str, values: Row) -> Counter[tuple[date, Reason]]:
	"""Count by day of the site; read by the quarter of an hour, which every time zone keeps to."""
	counted: Counter[tuple[date, Reason]] = Counter()
	first: datetime
	for first, reason, count in frappe.db.sql(
		f"""select min(`decided_on`), `reason`, count(*) from `tabConsent Decision` where {where}
		group by floor(to_seconds(`decided_on`) / 900), `reason`""",
		values,
	):
		counted[shown_day(first), Reason(reason)] += count
	return counted


def _columns() -> list[Row]:
	return [
		column("reference_doctype", _("Kind of Mail"), width=130),
		column("title", _("Title"), width=220),
		column("reason", _("Reason"), width=180),
		column("mails", _("Blocked"), "Int", 90),
		column("last_on", _("Last"), "Datetime", 150),
		column("first_on", _("First"), "Datetime", 150),
		link("purpose", _("Purpose"), "Processing Purpose"),
		link("topic", _("Topic"), "Subscription Topic"),
		column("reference_name", _("Mail"), "Dynamic Link", 180, options="reference_doctype"),
		column("code", _("Code"), width=150),
	]


def _chart(by_day: Counter[tuple[date, Reason]]) -> Row | None:
	if not by_day:
		return None
	first, last = min(day for day, _reason in by_day), max(day for day, _reason in by_day)
	by_week = (last - first).days >= MOST_BARS
	if by_week:
		first -= timedelta(days=first.weekday())
	step = 7 if by_week else 1
	starts = [first + timedelta(days=at) for at in range(0, (last - first).days + 1, step)]
	of_reason: Counter[Reason] = Counter()
	bars: Counter[tuple[int, Reason]] = Counter()
	for (day, reason), count in by_day.items():
		of_reason[reason] += count
		bars[(day - first).days // step, reason] += count
	named = [reason for reason, _count in of_reason.most_common(MOST_REASONS)]
	others = [reason for reason in of_reason if reason not in named]
	datasets = [
		(reason_in_words(reason), [bars[at, reason] for at in range(len(starts))]) for reason in named
	]
	if others:
		rest = [sum(bars[at, reason] for reason in others) for at in range(len(starts))]
		datasets.append((_("Other"), rest))
	return chart(
		"bar", [day_label(day) for day in starts], datasets, list(COLOURS[: len(datasets)]), stacked=True
	)
