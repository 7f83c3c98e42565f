"""Report Sources: where consents and refusals come from, how well proven, and how many are taken back."""

from collections import Counter

import frappe
from frappe import _

from gdpr_consent.policy import RefusalKind, Status
from gdpr_consent.reports.common import (
	ENDED,
	Result,
	Row,
	chart,
	check_may_read,
	column,
	consents_where,
	figure,
	link,
	month_label,
	months_between,
	period_of,
	result,
	share,
	states_now,
	visible,
)

MONTHS = 12  # in the chart
MOST_SOURCES = 7
GRADES = ("A", "B", "C", "D")
COLOURS = ("green", "blue", "orange", "#7b61c4", "#2aa198", "#b58900", "red", "grey")
# What the person said; a bounce, a restriction and an erasure are ours.
SAID = (RefusalKind.OBJECTION, RefusalKind.WITHDRAWAL, RefusalKind.UNSUBSCRIBE, RefusalKind.COMPLAINT)
# A superseded consent goes on in its successor, and must not be counted twice.
EVER_GIVEN = {
	one.value for one in (Status.GIVEN, Status.WITHDRAWN, Status.REVOKED, Status.EXPIRED, Status.INVALIDATED)
}


def execute(filters: Row | None = None) -> Result:
	"""Count consents and refusals by source.

	Args:
		filters: those of `common.consents_where`; the period is about when a consent was given, or a no said.
			Months are those of UTC.
	"""
	check_may_read("Consent")
	filters = filters or {}
	where, values = consents_where(filters, since="given_on")
	counted = _counted(where, values)
	said = _said(filters)
	sources = sorted({row.source for row in counted} | said.keys())
	rows = [_row(source, [row for row in counted if row.source == source], said) for source in sources]
	rows.sort(key=lambda row: -row["records"])
	given = sum(row["ever_given"] for row in rows)
	withdrawn = sum(row["withdrawn"] for row in rows)
	proven = sum(row["grade_a"] + row["grade_b"] + row["grade_c"] for row in rows)
	return result(
		_columns(),
		rows,
		None,
		_chart(counted),
		[
			figure(_("Ever Given"), given),
			figure(_("Given Now"), sum(row["given"] for row in rows), "green"),
			figure(_("With Proof A to C, %"), share(proven, given), "blue"),
			figure(_("Withdrawn, %"), share(withdrawn, given), "red"),
			figure(_("Refusals on Record"), sum(row["said"] for row in rows), "orange"),
		],
	)


def _counted(where: str, values: Row) -> list[Row]:
	"""Count by source, state now, grade and month, such as 2026-03.

	The columns are those of an index, in its order.
	"""
	rows = frappe.db.sql(
		f"""select `source`, `status`, `evidence_grade`, `given_month`, count(*) as consents,
			{ENDED} as ended
		from `tabConsent` where {where} group by `source`, `status`, `evidence_grade`, `given_month`""",
		values,
		as_dict=True,
	)
	counted: Counter[tuple[str, str, str, str]] = Counter()
	for row in rows:
		month = f"{row.given_month // 100:04}-{row.given_month % 100:02}" if row.given_month else ""
		for state, consents in states_now(row.status, row.consents, row.ended).items():
			counted[row.source or "", state.value, row.evidence_grade or "", month] += consents
	names = ("source", "state", "grade", "month")
	return [frappe._dict(zip(names, key, strict=True), consents=number) for key, number in counted.items()]


def _row(source: str, counted: list[Row], said: dict[str, int]) -> Row:
	states: Counter[str] = Counter()
	grades: Counter[str] = Counter()
	for row in counted:
		states[row.state] += row.consents
		if _was_given(row):
			grades[row.grade or "D"] += row.consents
	ever_given = sum(grades.values())
	withdrawn = sum(
		row.consents for row in counted if row.state == Status.WITHDRAWN.value and _was_given(row)
	)
	return {
		"source": source or None,
		"records": sum(states.values()),
		"ever_given": ever_given,
		"given": states[Status.GIVEN.value],
		"waiting": states[Status.REQUESTED.value] + states[Status.UNKNOWN.value],
		"not_required": states[Status.NOT_REQUIRED.value],
		"over": states[Status.EXPIRED.value] + states[Status.LAPSED.value] + states[Status.ENDED.value],
		"refused": states[Status.REFUSED.value],
		"withdrawn": withdrawn,
		"withdrawal_rate": share(withdrawn, ever_given),
		"said": said.get(source, 0),
		**{f"grade_{grade.lower()}": grades[grade] for grade in GRADES},
		**{f"share_{grade.lower()}": share(grades[grade], ever_given) for grade in GRADES},
	}


def _was_given(row: Row) -> bool:
	return bool(row.month) and row.state in EVER_GIVEN


def _said(filters: Row) -> dict[str, int]:
	"""Count the noes of people that stand, by source. They have no legal basis, grade or company."""
	if any(filters.get(name) for name in ("legal_basis", "grade", "status", "company")):
		return {}
	conditions, values = (
		["`lifted_on` is null", "`kind` in %(kinds)s"],
		{"kinds": [one.value for one in SAID]},
	)
	for name in ("purpose", "topic", "source", "channel"):
		if filters.get(name):
			conditions.append(f"`{name}` = %({name})s")
			values[name] = filters[name]
	first, last = period_of(filters)
	if first:
		conditions.append("`said_on` >= %(first)s")
		values["first"] = first
	if last:
		conditions.append("`said_on` < %(last)s")
		values["last"] = last
	return dict(
		frappe.db.sql(
			f"""select ifnull(`source`, ''), count(*) from `tabSuppression`
			where {" and ".join(conditions)}{visible("Suppression")} group by `source`""",
			values,
		)
	)


def _columns() -> list[Row]:
	shares = [
		column(f"share_{grade.lower()}", _("Grade {0}").format(grade), "Percent", 90) for grade in GRADES
	]
	return [
		link("source", _("Source"), "Consent Source", 160),
		column("records", _("Records"), "Int", 90),
		column("ever_given", _("Ever Given"), "Int", 100),
		column("given", _("Given Now"), "Int", 100),
		column("waiting", _("Waiting or Unproven"), "Int", 140),
		column("not_required", _("Another Legal Basis"), "Int", 140),
		column("over", _("Expired or Lapsed"), "Int", 130),
		column("refused", _("Refused"), "Int", 90),
		column("withdrawn", _("Withdrawn"), "Int", 100),
		column("withdrawal_rate", _("Withdrawal Rate"), "Percent", 120),
		column("said", _("Refusals on Record"), "Int", 140),
		*shares,
	]


def _chart(counted: list[Row]) -> Row | None:
	given = [row for row in counted if _was_given(row)]
	if not given:
		return None
	months = months_between(min(row.month for row in given), max(row.month for row in given))[-MONTHS:]
	bars: Counter[tuple[str, str]] = Counter()
	of_source: Counter[str] = Counter()
	for row in given:
		if row.month >= months[0]:
			bars[row.source, row.month] += row.consents
			of_source[row.source] += row.consents
	named = [source for source, _count in of_source.most_common(MOST_SOURCES)]
	datasets = [
		(_(source) if source else _("No Source"), [bars[source, month] for month in months])
		for source in named
	]
	others = [source for source in of_source if source not in named]
	if others:
		rest = [sum(bars[source, month] for source in others) for month in months]
		datasets.append((_("Other"), rest))
	return chart(
		"bar",
		[month_label(month) for month in months],
		datasets,
		list(COLOURS[: len(datasets)]),
		stacked=True,
	)
