"""What the controller ends, and the clock."""

from collections.abc import Iterable
from datetime import datetime

import frappe
from frappe import _

from gdpr_consent import proof, sales
from gdpr_consent.clock import now_utc
from gdpr_consent.exceptions import ConsentError, InvalidPeriod
from gdpr_consent.failures import log_failure
from gdpr_consent.policy import LIVE, STATUS_AFTER, TRANSITIONS, EventKind, Status
from gdpr_consent.register.terms import Subject, Terms, check_reason, period_of
from gdpr_consent.register.writing import CONTROLLER, Act, Row, Writing, rows_named, scope_of
from gdpr_consent.register.yes import facts_again, replace_live, resting_on

AT_ONCE = 1_000


def revoke(consent: str, reason: str) -> Row:
	"""End a consent that the controller no longer wants to use (T11)."""
	return _end(consent, EventKind.REVOKE, reason)


def end(consent: str, reason: str) -> Row:
	"""End a record that rests on another legal basis."""
	return _end(consent, EventKind.END, reason)


def invalidate(consent: str, reason: str, effective_from: datetime | None = None) -> Row:
	"""Declare that a consent never was valid, or not since an instant (T12, ST-11)."""
	return _end(consent, EventKind.INVALIDATE, reason, effective_from)


def _end(consent: str, kind: EventKind, reason: str, effective_from: datetime | None = None) -> Row:
	check_reason(reason)
	(found,) = rows_named("Consent", [consent])
	with Writing([found.address_key] if found.address_key else []) as writing:
		loaded = writing.consents.get(found.address_key, ())  # nothing, if its address was erased
		row = next((one for one in loaded if one["name"] == consent), found)
		writing.end_if_over(row)
		if kind == EventKind.INVALIDATE:
			began = row.get("given_on") or row["since"]
			effective_from = effective_from or began
			if not began <= effective_from <= writing.now:
				raise InvalidPeriod(
					_("Effective From {0} UTC lies before the consent, {1} UTC, or in the future.").format(
						effective_from, began
					)
				)
		writing.append(
			"Consent",
			row,
			kind,
			Act(CONTROLLER, reason=reason),
			{"ended_on": row.get("ended_on") or writing.now},
			effective_from=effective_from,
		)
		return row


def end_again(ends: Iterable[tuple[str, EventKind, datetime | None]], reason: str) -> int:
	"""End consents that somebody who works here has ended, which a restored database has forgotten (ST-18).

	Args:
		ends: name of the consent, what ended it, and from when an invalidation counts (UTC). What is not on
			record, or is over in another way, is left alone.

	Returns:
		how many this has ended.
	"""
	ends = list(ends)
	consent = frappe.qb.DocType("Consent")
	named = consent.name.isin([name for name, *_rest in ends] or [""])
	keys = frappe.qb.from_(consent).select(consent.address_key).where(named).run(pluck=True)
	act = Act(CONTROLLER, reason=reason)
	with Writing(key for key in keys if key) as writing:
		by_name = {row["name"]: row for rows in writing.consents.values() for row in rows}
		for name, kind, effective_from in ends:
			row = by_name.get(name)
			if not row or writing.end_if_over(row):
				continue
			if STATUS_AFTER[kind] in TRANSITIONS[Status(row["status"])]:
				ended = {"ended_on": writing.now}
				writing.append("Consent", row, kind, act, ended, effective_from=effective_from)
		return writing.acts


def end_what_is_over() -> int:
	"""Write down what the clock has ended: expired consents, lapsed requests (T7, T9).

	Decisions don't wait for it; they compare times themselves (ST-03). Returns the number of records ended.
	"""
	table = frappe.qb.DocType("Consent")
	done = 0
	while keys := (
		frappe.qb.from_(table)
		.select(table.address_key)
		.distinct()
		.where(
			table.status.isin([Status.GIVEN.value, Status.REQUESTED.value, Status.NOT_REQUIRED.value])
			& (table.expires_on <= now_utc())
			& table.address_key.isnotnull()
		)
		.limit(AT_ONCE)
		.run()
	):
		with Writing(key for (key,) in keys) as writing:
			done += sum(
				writing.end_if_over(row)
				for rows in writing.consents.values()
				for row in rows
				if row["status"] in LIVE
			)
		frappe.db.commit()  # nosemgrep: a chunk is done; an interruption loses nothing
	return done


def follow_sales() -> int:
	"""Have records whose sale was cancelled rest on another one, or end (SO-01).

	A cancelled invoice is often amended, so this is done once a day. Each is committed by itself.

	Returns:
		how many there were.
	"""
	names = sales.resting_on_cancelled()
	for name in names:
		try:
			_follow_sale(name)
			frappe.db.commit()  # nosemgrep: one is done; an interruption loses nothing
		except ConsentError:
			frappe.db.rollback()
			log_failure("A consent couldn't follow its sale", name)
	return len(names)


def _follow_sale(consent: str) -> None:
	(found,) = rows_named("Consent", [consent])
	with Writing([found.address_key]) as writing:
		row = next(one for one in writing.consents[found.address_key] if one["name"] == consent)
		if row["status"] != Status.NOT_REQUIRED or writing.end_if_over(row):
			return
		rules = frappe.get_cached_doc("Processing Purpose", row["purpose"])
		terms = Terms(
			rules, scope_of(row), row["legal_basis"], row["source"], row["wording"], row["language"]
		)
		place = proof.Place(row["country"], row["country_source"])
		subject = Subject(row["email"], row["address_key"], row["party_type"], row["party"], {}, place)
		act = Act(CONTROLLER, row["source"], _("The sale that it rested on was cancelled."), row["wording"])
		sale = writing.sale_of(subject, terms)
		if not sale:
			writing.append("Consent", row, EventKind.END, act, {"ended_on": writing.now})
			return
		period = period_of(None, None, rules.validity_months, writing.now)
		facts = facts_again(row) | period | resting_on(sale, period["expires_on"])
		replace_live(writing, row, EventKind.RECORD, facts, act)
