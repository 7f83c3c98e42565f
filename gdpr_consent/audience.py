"""Reads the register for many addresses at once and asks `policy.decide` about each.

The same answer serves the gate, a preview, a report and a script; only the number of addresses differs.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

import frappe

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
STATUSES = {status.value: status for status in Status}  # a third of the time of Status(value)
REFUSAL_KINDS = {kind.value: kind for kind in RefusalKind}


def decide_many(
	emails: Iterable[str],
	purpose: str,
	topic: str | None = None,
	channel: str = Channel.EMAIL.value,
	at: datetime | None = None,
	known_at: datetime | None = None,
) -> dict[str, Decision]:
	"""Decide about each address, in sets of a thousand, one query a set.

	Args:
		emails: in any spelling, one address each.
		at: the instant asked about, naive UTC; now if not given.
		known_at: answer with what had been recorded until then; None is what is known now.
	"""
	if not frappe.get_cached_value("Processing Purpose", purpose, "is_marketing"):
		return {email: Decision(True, Reason.NOT_MARKETING) for email in emails}
	keys = address_keys(dict.fromkeys(emails))
	distinct = list(dict.fromkeys(key for key in keys.values() if key))
	grounds = _grounds()
	# From what isn't an address, nobody can have agreed.
	answers: dict[str | None, Decision] = {None: block(Reason.NO_CONSENT)}
	if known_at and not at:
		at = known_at
	for start in range(0, len(distinct), AT_ONCE):
		chunk = distinct[start : start + AT_ONCE]
		if at:
			permissions, refusals = _facts_at(chunk, purpose, topic, channel, grounds, at, known_at)
		else:
			permissions, refusals = _facts_now(chunk, purpose, topic, channel, grounds)
		instant = at or now_utc()
		for key in chunk:
			answers[key] = decide(topic, permissions.get(key, ()), refusals.get(key, ()), instant)
	return {email: answers[key] for email, key in keys.items()}


def subscribers(topic: str) -> Iterator[list[str]]:
	"""Yield the addresses with a live record about a topic, as they gave them, by the thousand.

	Whether they may be written to is for `decide_many` to say; it asks for the purpose too.
	"""
	consent = frappe.qb.DocType("Consent")
	last = ""
	while rows := (
		frappe.qb.from_(consent)
		.select(consent.address_key, consent.email)  # one each, since only one record of a scope is live
		.where((consent.topic == topic) & (consent.channel == Channel.EMAIL.value))
		.where(consent.status.isin([Status.GIVEN.value, Status.NOT_REQUIRED.value]))
		.where(consent.email.isnotnull() & (consent.address_key > last))
		.orderby(consent.address_key)
		.limit(AT_ONCE)
		.run()
	):
		last = rows[-1][0]
		yield [email for _key, email in rows]


# One statement for both tables: it runs per thousand addresses of an audience and per marketing mail. It is
# text, because the query builder takes longer over a thousand parameters than the database over rows.
FACTS_NOW = """
	select address_key, name, ifnull(topic, ''), status, legal_basis,
		since, given_on, expires_on, confirmed_on
	from `tabConsent`
	where address_key in %(keys)s and channel = %(channel)s and purpose = %(purpose)s
		and (topic is null or topic in ('', %(topic)s))
	union all
	select address_key, null, topic, kind, null, said_on, lifted_on, null, null
	from `tabSuppression`
	where address_key in %(keys)s
		and (channel is null or channel in ('', %(channel)s))
		and (purpose is null or purpose in ('', %(purpose)s))
		and (topic is null or topic in ('', %(topic)s))
"""


def _facts_now(
	keys: list[str],
	purpose: str,
	topic: str | None,
	channel: str,
	grounds: dict[str, MarketingGround],
) -> tuple[dict[str, list[Permission]], dict[str, list[Refusal]]]:
	permissions: dict[str, list[Permission]] = {}
	refusals: dict[str, list[Refusal]] = {}
	asked = {"keys": keys, "channel": channel, "purpose": purpose, "topic": topic or ""}
	for key, name, its_topic, state, basis, since, second, expires_on, confirmed_on in frappe.db.sql(
		FACTS_NOW, asked
	):
		if name is None:
			refusal = Refusal(REFUSAL_KINDS[state], since, its_topic or None, second)
			refusals.setdefault(key, []).append(refusal)
		else:
			permission = Permission(
				name, its_topic, STATUSES[state], grounds[basis], since, second, expires_on, confirmed_on
			)
			permissions.setdefault(key, []).append(permission)
	return permissions, refusals


def _facts_at(
	keys: list[str],
	purpose: str,
	topic: str | None,
	channel: str,
	grounds: dict[str, MarketingGround],
	at: datetime,
	known_at: datetime | None,
) -> tuple[dict[str, list[Permission]], dict[str, list[Refusal]]]:
	"""The same facts as they were at an instant, from the events up to it (ST-10, ST-11)."""
	consent, suppression = frappe.qb.DocType("Consent"), frappe.qb.DocType("Suppression")
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
