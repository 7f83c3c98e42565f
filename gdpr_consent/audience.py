"""Reads the register for many addresses at once and asks `policy.decide` about each.

The same answer serves the gate, a preview, a report and a script; only the number of addresses differs.
"""

from collections.abc import Iterable
from datetime import datetime

import frappe
from frappe.query_builder.functions import Coalesce

from gdpr_consent import ledger
from gdpr_consent.clock import now_utc
from gdpr_consent.identity import address_keys
from gdpr_consent.policy import (
	Channel,
	Decision,
	MarketingGround,
	Permission,
	Reason,
	Refusal,
	RefusalKind,
	Status,
	block,
	decide,
)

AT_ONCE = 1_000


def decide_many(
	emails: Iterable[str],
	purpose: str,
	topic: str | None = None,
	channel: str = Channel.EMAIL.value,
	at: datetime | None = None,
	known_at: datetime | None = None,
) -> dict[str, Decision]:
	"""Decide about each address, in sets of a thousand, two queries a set.

	Args:
		emails: in any spelling, one address each.
		at: the instant asked about, naive UTC; now if not given.
		known_at: answer with what had been recorded until then; None is what is known now.
	"""
	if not frappe.get_cached_value("Processing Purpose", purpose, "is_marketing"):
		return {email: Decision(True, Reason.NOT_MARKETING) for email in emails}
	keys = address_keys(dict.fromkeys(emails))
	distinct = list(dict.fromkeys(key for key in keys.values() if key))
	answers: dict[str | None, Decision] = {
		None: block(Reason.NO_CONSENT)
	}  # nobody can have agreed from there
	if known_at and not at:
		at = known_at
	for start in range(0, len(distinct), AT_ONCE):
		chunk = distinct[start : start + AT_ONCE]
		if at:
			permissions, refusals = _facts_at(chunk, purpose, topic, channel, at, known_at)
		else:
			permissions, refusals = _facts_now(chunk, purpose, topic, channel)
		instant = at or now_utc()
		for key in chunk:
			answers[key] = decide(topic, permissions.get(key, ()), refusals.get(key, ()), instant)
	return {email: answers[key] for email, key in keys.items()}


def _facts_now(
	keys: list[str], purpose: str, topic: str | None, channel: str
) -> tuple[dict[str, list[Permission]], dict[str, list[Refusal]]]:
	consent, suppression = frappe.qb.DocType("Consent"), frappe.qb.DocType("Suppression")
	grounds = _grounds()
	permissions: dict[str, list[Permission]] = {}
	for key, name, its_topic, status, basis, since, given_on, expires_on, confirmed_on in (
		_consents(consent, keys, purpose, topic, channel)
		.select(
			consent.address_key,
			consent.name,
			Coalesce(consent.topic, ""),
			consent.status,
			consent.legal_basis,
			consent.since,
			consent.given_on,
			consent.expires_on,
			consent.confirmed_on,
		)
		.run()
	):
		permissions.setdefault(key, []).append(
			Permission(
				name, its_topic, Status(status), grounds[basis], since, given_on, expires_on, confirmed_on
			)
		)
	refusals: dict[str, list[Refusal]] = {}
	for key, kind, said_on, its_topic, lifted_on in (
		_suppressions(suppression, keys, purpose, topic, channel)
		.select(
			suppression.address_key,
			suppression.kind,
			suppression.said_on,
			suppression.topic,
			suppression.lifted_on,
		)
		.run()
	):
		refusals.setdefault(key, []).append(Refusal(RefusalKind(kind), said_on, its_topic or None, lifted_on))
	return permissions, refusals


def _facts_at(
	keys: list[str],
	purpose: str,
	topic: str | None,
	channel: str,
	at: datetime,
	known_at: datetime | None,
) -> tuple[dict[str, list[Permission]], dict[str, list[Refusal]]]:
	"""The same facts as they were at an instant, from the events up to it (ST-10, ST-11)."""
	consent, suppression = frappe.qb.DocType("Consent"), frappe.qb.DocType("Suppression")
	grounds = _grounds()
	permissions: dict[str, list[Permission]] = {}
	# What a record is about never changes, so it is read from its row: the payloads may have been erased.
	about = {
		row.name: row
		for row in _consents(consent, keys, purpose, topic, channel)
		.select(consent.name, consent.address_key, consent.topic, consent.legal_basis)
		.run(as_dict=True)
	}
	for name, events in ledger.read_events("Consent", list(about), at, known_at).items():
		row = ledger.fold(events)
		if row:
			permissions.setdefault(about[name].address_key, []).append(
				Permission(
					name,
					about[name].topic or "",
					Status(row["status"]),
					grounds[row.get("legal_basis") or about[name].legal_basis],
					# An invalidation counts from when it takes effect, not from when it was found out.
					min(row["since"], at),
					row.get("given_on"),
					row.get("expires_on"),
					row.get("confirmed_on"),
				)
			)
	refusals: dict[str, list[Refusal]] = {}
	said = {
		row.name: row
		for row in _suppressions(suppression, keys, purpose, topic, channel)
		.select(suppression.star)
		.run(as_dict=True)
	}
	for name, events in ledger.read_events("Suppression", list(said), at, known_at).items():
		if events:
			lifted_on = ledger.fold(events).get("lifted_on")
			refusals.setdefault(said[name].address_key, []).append(
				Refusal(RefusalKind(said[name].kind), said[name].said_on, said[name].topic or None, lifted_on)
			)
	return permissions, refusals


def _consents(consent, keys: list[str], purpose: str, topic: str | None, channel: str):
	return (
		frappe.qb.from_(consent)
		.where(consent.address_key.isin(keys))
		.where((consent.purpose == purpose) & (consent.channel == channel))
		.where(consent.topic.isnull() | (consent.topic == (topic or "")))
	)


def _suppressions(suppression, keys: list[str], purpose: str, topic: str | None, channel: str):
	return (
		frappe.qb.from_(suppression)
		.where(suppression.address_key.isin(keys))
		.where(suppression.channel.isnull() | (suppression.channel == channel))
		.where(suppression.purpose.isnull() | (suppression.purpose == purpose))
		.where(suppression.topic.isnull() | (suppression.topic == (topic or "")))
	)


def _grounds() -> dict[str, MarketingGround]:
	basis = frappe.qb.DocType("Legal Basis")
	return {
		name: MarketingGround(ground)
		for name, ground in frappe.qb.from_(basis).select(basis.name, basis.marketing).run()
	}
