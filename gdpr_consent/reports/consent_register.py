"""Report Consent Register: who agreed to what, on which legal basis, since when, with what proof.

A consent that has run out is Expired here even if the hourly job hasn't written it yet (ST-03).
"""

from collections import Counter
from typing import Any

import frappe
from frappe import _

from gdpr_consent.policy import Status
from gdpr_consent.reports.common import (
	ENDED,
	EVERYTHING,
	STATUS_NOW,
	Result,
	Row,
	chart,
	check_may_read,
	column,
	consents_where,
	figure,
	how_many_of,
	link,
	most_rows,
	result,
	shown_time,
	states_now,
)

SHOWN = (
	*("name", "email", "party_type", "party", "purpose", "topic", "channel", "legal_basis", "source"),
	*("evidence_grade", "wording", "language", "since", "given_on", "confirmed_on", "expires_on", "ended_on"),
	*("recorded_by", "company"),
)
INSTANTS = ("since", "given_on", "confirmed_on", "expires_on", "ended_on")
# What is counted together.
GROUPS = (
	("green", {Status.GIVEN}),
	("blue", {Status.NOT_REQUIRED}),
	("orange", {Status.REQUESTED, Status.UNKNOWN}),
	("red", {Status.REFUSED, Status.WITHDRAWN}),
	(
		"grey",
		{Status.LAPSED, Status.REVOKED, Status.EXPIRED, Status.INVALIDATED, Status.SUPERSEDED, Status.ENDED},
	),
)


def execute(filters: Row | None = None) -> Result:
	"""List the newest consents that fit, and count all of them by their state.

	Args:
		filters: see `common.consents_where`; the period is about when a consent last changed its state.
	"""
	check_may_read("Consent")
	where, values = consents_where(filters or {})
	counts = _count(where, values)
	most = most_rows()
	total = sum(counts.values())
	rows = _rows(where, values, most, _newest_first(filters or {}, total, most))
	return result(_columns(), rows, how_many_of(len(rows), total), _chart(counts), _summary(counts, total))


def _count(where: str, values: Row) -> dict[Status, int]:
	# Else it would rather read the whole register in order than sort what fits.
	hint = "" if where == EVERYTHING else "ignore index for group by (expiry, proofs, wordings)"
	rows = frappe.db.sql(
		f"select `status`, count(*), {ENDED} from `tabConsent` {hint} where {where} group by `status`", values
	)
	of: Counter[Status] = Counter()
	for status, consents, ended in rows:
		of.update(states_now(status, consents, ended))
	return {status: of[status] for status in Status if of[status]}


def _newest_first(filters: Row, total: int, most: int) -> str:
	"""Have the register read from its newest end, if that takes fewer rows than sorting all that fit.

	The database can't know how many do. Those of a topic have an index in that order.
	"""
	all_of_them = frappe.db.estimate_count("Consent")
	return "" if filters.get("topic") or total**2 < most * all_of_them else "force index (changed)"


def _rows(where: str, values: Row, most: int, hint: str) -> list[Row]:
	columns = ", ".join(f"`tabConsent`.`{name}`" for name in SHOWN)
	rows = frappe.db.sql(
		f"""select {columns}, {STATUS_NOW} as status_now from `tabConsent` {hint} where {where}
		order by `tabConsent`.`since` desc limit {int(most)}""",
		values,
		as_dict=True,
	)
	for row in rows:
		row["state"] = row.pop("status_now")
		row["status"] = _(row["state"])
		row["channel"] = _(row["channel"])
		for instant in INSTANTS:
			row[instant] = shown_time(row[instant])
	return rows


def _columns() -> list[Row]:
	label: dict[str, Any] = {field.fieldname: field.label for field in frappe.get_meta("Consent").fields}

	def named(fieldname: str) -> str:
		return _(label[fieldname]).removesuffix(" (UTC)")

	return [
		column("email", named("email"), width=210),
		column("status", _("State Now"), width=130),
		link("purpose", named("purpose"), "Processing Purpose"),
		link("topic", named("topic"), "Subscription Topic"),
		link("legal_basis", named("legal_basis"), "Legal Basis", 120),
		column("evidence_grade", _("Proof"), width=70),
		link("source", named("source"), "Consent Source", 120),
		column("since", _("Since"), "Datetime", 150),
		column("expires_on", _("Until"), "Datetime", 150),
		column("recorded_by", _("Recorded By"), width=170),
		column("given_on", named("given_on"), "Datetime", 150),
		column("confirmed_on", named("confirmed_on"), "Datetime", 150),
		column("ended_on", named("ended_on"), "Datetime", 150),
		link("wording", named("wording"), "Consent Wording", 170),
		column("language", named("language"), width=80),
		column("channel", named("channel"), width=80),
		column("party_type", named("party_type"), width=90),
		column("party", named("party"), "Dynamic Link", 170, options="party_type"),
		link("company", named("company"), "Company", 130),
		link("name", _("Consent"), "Consent", 120),
	]


def _groups(counts: dict[Status, int]) -> list[tuple[str, str, int]]:
	"""Return name, colour and number of each group of states."""
	names = (
		_("Given"),
		_("Another Legal Basis"),
		_("Waiting or Unproven"),
		_("Refused or Withdrawn"),
		_("Over or Invalid"),
	)
	return [
		(name, colour, sum(counts.get(status, 0) for status in statuses))
		for name, (colour, statuses) in zip(names, GROUPS, strict=True)
	]


def _summary(counts: dict[Status, int], total: int) -> list[Row]:
	return [
		figure(_("Records"), total),
		*(figure(name, number, colour) for name, colour, number in _groups(counts)),
	]


def _chart(counts: dict[Status, int]) -> Row | None:
	groups = [group for group in _groups(counts) if group[2]]
	return chart(
		"donut",
		[name for name, _colour, _number in groups],
		[(_("Consents"), [number for _name, _colour, number in groups])],
		[colour for _name, colour, _number in groups],
	)
