"""The figures and charts of the workspace: counted by an index, or kept for a while where that takes long.

They count what User Permissions let the reader see of the register, and name nobody.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import frappe
from frappe import _
from frappe.utils import add_months, getdate

from gdpr_consent import proof
from gdpr_consent.clock import now_utc
from gdpr_consent.doors import says_why
from gdpr_consent.policy import Status
from gdpr_consent.reports import coverage
from gdpr_consent.reports.common import (
	IS_OVER,
	Row,
	cached,
	check_may_read,
	months_between,
	start_of,
	visible,
)
from gdpr_consent.rights.requests import OPEN
from gdpr_consent.rights.requests import Status as RequestStatus

EXPIRING_DAYS = 30
DUE_DAYS = 7
RUNNING = [status.value for status in OPEN if status is not RequestStatus.IDENTITY_OPEN]
MONTHS = 12
MOST_BARS = 10


def _card(value: int, *route: str, **options: Any) -> Row:
	return {"value": value, "fieldtype": "Int", "route": list(route), "route_options": options}


@frappe.whitelist(methods=["GET", "POST"])
@says_why
def mailable(filters: Any = None) -> Row:
	"""Count the Contacts and Leads that the lists say may be mailed, at one address of theirs at least."""
	check_may_read("Consent")

	def count() -> int:
		counts = coverage.standing_counts(["Contact", "Lead"])
		return sum(of.get(state, 0) for of in counts.values() for state in coverage.MAILABLE)

	return _card(cached("mailable", count), "query-report", "Consent Coverage", view="Marketing Mail")


@frappe.whitelist(methods=["GET", "POST"])
@says_why
def expiring(filters: Any = None) -> Row:
	"""Count the consents that are given and end within 30 days."""
	check_may_read("Consent")
	now = now_utc()
	((count,),) = frappe.db.sql(
		f"""select count(*) from `tabConsent` where `status` = %(given)s
		and `expires_on` > %(now)s and `expires_on` < %(end)s{visible("Consent")}""",
		{"given": Status.GIVEN.value, "now": now, "end": now + timedelta(days=EXPIRING_DAYS)},
	)
	return _card(count, "query-report", "Expiring and Lapsed", days_ahead=EXPIRING_DAYS, days_back=0)


@frappe.whitelist(methods=["GET", "POST"])
@says_why
def unproven(filters: Any = None) -> Row:
	"""Count the consents that allow nothing, because their proof isn't enough where the person is or for the
	purpose: those that are Unknown, and those given that `proof` doesn't accept."""
	check_may_read("Consent")

	def count() -> int:
		rows = frappe.db.sql(
			f"""select
				`status`, `channel`, `double_opt_in`, `evidence_grade`, `country`, `purpose`, `wording`,
				count(*) as consents, count(`confirmed_on`) as confirmed
			from `tabConsent` force index (proofs)
			where `status` in ('Given', 'Unknown')
			and (`status` = 'Unknown' or `expires_on` is null or `expires_on` > %(now)s){visible("Consent")}
			group by 1, 2, 3, 4, 5, 6, 7""",
			{"now": now_utc()},
			as_dict=True,
		)
		return sum(_unproven(row) for row in rows)

	return _card(cached("unproven", count), "query-report", "Sources")


def _unproven(row: Row) -> int:
	"""Count those of one group whose proof isn't enough."""
	if row.status == Status.UNKNOWN.value:
		return row.consents

	requirements = proof.requirements_for(row.purpose, row.channel)

	def is_proven(confirmed: bool) -> bool:
		return requirements.are_met(
			row.country, row.evidence_grade, row.double_opt_in, confirmed, row.wording
		)

	open_ones = row.consents - row.confirmed
	return (0 if is_proven(True) else row.confirmed) + (0 if is_proven(False) else open_ones)


@frappe.whitelist(methods=["GET", "POST"])
@says_why
def blocked_this_week(filters: Any = None) -> Row:
	"""Count the mails that the gate held back since Monday."""
	check_may_read("Consent Decision")
	monday = getdate() - timedelta(days=getdate().weekday())
	((count,),) = frappe.db.sql(
		f"""select count(*) from `tabConsent Decision`
		where `allowed` = 0 and `decided_on` >= %(since)s{visible("Consent Decision")}""",
		{"since": start_of(monday)},
	)
	return _card(count, "query-report", "Blocked Mail", from_date=str(monday))


@frappe.whitelist(methods=["GET", "POST"])
@says_why
def requests_due(filters: Any = None) -> Row:
	"""Count the requests of people whose answer is overdue or due within 7 days, whoever recorded them. The
	clock of those whose person was asked who they are stands still."""
	check_may_read("Consent")
	due = {"status": ["in", RUNNING], "due_on": ["<=", str(getdate() + timedelta(days=DUE_DAYS))]}
	count = frappe.db.count("Data Subject Request", due)
	# Others see only those that they recorded themselves, so the list would say another number.
	sees_all = "Privacy Officer" in frappe.get_roles()
	return _card(count, "List", "Data Subject Request", **due) if sees_all else _card(count)


@frappe.whitelist(methods=["GET", "POST"])
@says_why
def self_check_problems(filters: Any = None) -> Row:
	"""Count the problems that the last self-check of the gate found."""
	check_may_read("Consent")
	problems = frappe.db.get_single_value("Consent Settings", "self_check_problems") or ""
	count = len([line for line in problems.split("\n") if line])
	return (
		_card(count, "consent-settings")
		if frappe.has_permission("Consent Settings", "read")
		else _card(count)
	)


# --- charts -------------------------------------------------------------------------------------------------


@frappe.whitelist(methods=["GET", "POST"])
@says_why
def get_chart(chart_name: str | None = None, **_asked: Any) -> Row:
	"""Return labels and datasets of a chart of the workspace.

	Args:
		chart_name: the name of its Dashboard Chart; what else the desk sends is about charts of others.
	"""
	check_may_read("Consent")
	make = CHARTS.get(chart_name or "")
	if not make:
		return {}
	labels, datasets = cached(f"chart:{chart_name}", make)
	if not any(any(values) for _name, values in datasets):
		return {}
	return {
		"labels": [_(label) if label else _("Not stated") for label in labels],
		"datasets": [{"name": _(name), "values": values} for name, values in datasets],
	}


Drawn = tuple[list[str], list[tuple[str, list[int]]]]


def _over_time() -> Drawn:
	"""Consents given, and those that people took back, by month (of UTC)."""
	first = add_months(getdate().replace(day=1), 1 - MONTHS)
	since = start_of(first)
	months = months_between(f"{first:%Y-%m}", f"{now_utc():%Y-%m}")
	given = dict(
		_count_by(
			"insert(`given_month`, 5, 0, '-')",
			f"`given_month` >= {first:%Y%m} and {GIVEN}",
			index="origins_by_month",
		)
	)
	withdrawn = dict(
		_count_by(
			"date_format(`since`, '%%Y-%%m')",
			"`since` >= %(since)s and `status` = 'Withdrawn'",
			since,
			index="changed",
		)
	)
	return months, [
		("Given", [given.get(month, 0) for month in months]),
		("Withdrawn", [withdrawn.get(month, 0) for month in months]),
	]


GIVEN = "`status` in ('Given', 'Withdrawn', 'Revoked', 'Expired')"
IN_FORCE = f"`status` in ('Given', 'Not Required') and not {IS_OVER}"


def _count_by(what: str, where: str, since: Any = None, index: str = "") -> list[tuple[str, int]]:
	hint = f"force index ({index})" if index else ""
	return frappe.db.sql(
		f"""select {what} as label, count(*) from `tabConsent` {hint}
		where {where}{visible("Consent")} group by label""",
		{"now": now_utc(), "since": since},
	)


def _by(column: str, index: str, condition: str = "1 = 1") -> Callable[[], Drawn]:
	"""Return how to draw what is in force by a column, read from an index that holds all it takes."""

	def make() -> Drawn:
		counted = Counter(
			{label or "": count for label, count in _count_by(f"`{column}`", where, index=index)}
		)
		most = counted.most_common(MOST_BARS)
		return [label for label, _count in most], [("In Force", [count for _label, count in most])]

	where = f"{IN_FORCE} and {condition}"
	return make


CHARTS: dict[str, Callable[[], Drawn]] = {
	"Consents over Time": _over_time,
	"Consents by Source": _by("source", "origins_by_month"),
	"Consents by Legal Basis": _by("legal_basis", "origins_by_month"),
	"Subscribers by Topic": _by("topic", "wordings", "`topic` is not null and `topic` != ''"),
}
