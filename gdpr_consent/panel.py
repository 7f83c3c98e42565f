"""What the form of a person shows about consent: a badge when it opens, all of it when its Privacy tab does.

A Prospect and an Opportunity show the people behind them.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import frappe
from frappe.model.document import Document

from gdpr_consent import identity, register, standing
from gdpr_consent.clock import now_utc, utc_text
from gdpr_consent.identity import Person
from gdpr_consent.policy import Channel, Decision, Reason, RefusalKind, decide, status_at

MOST_ADDRESSES = 50  # of one person that are shown; a Customer may have thousands
TITLES = {"Contact": "full_name", "Lead": "lead_name", "Customer": "customer_name"}


def badge(doc: Document, addresses: list[str] | None = None) -> standing.Standing | None:
	"""Say where a record stands now, which may be later than what lists say of it.

	Args:
		addresses: those on the document, if they are at hand, which saves looking for them.
	"""
	if addresses is None:
		return standing.standings(doc.doctype, [doc.name]).get(doc.name)
	purpose = standing.default_purpose()
	if not purpose:
		return None
	emails = [address for address in addresses if not identity.is_phone_number(address)]
	said = standing.noes_without_address(purpose, [Person(doc.doctype, doc.name)])
	return standing.combine(
		standing.answers_for(purpose, emails).values(), [one for noes in said.values() for one in noes]
	)


class _Facts(NamedTuple):
	consents: dict[str, list[register.Row]]  # by address key
	suppressions: dict[str, list[register.Row]]
	purposes: dict[str, frappe._dict]
	topics: dict[str, list[str]]  # those that are enabled, by purpose
	now: datetime


def describe(doctype: str, name: str) -> list[dict[str, Any]]:
	"""Describe each of the people behind a record whom the user may see.

	Returns:
		rows with `party_type, party, title, is_restricted, is_on_record`, `more_addresses`: number of those
		left out, `without_address`: what the person refused while no address was known, and `addresses`,
		each with `email, standing, is_shared`, `people`: how many have it, and `rows`: for each purpose and
		topic `purpose, topic, channel, is_marketing, allowed, reason, status, record_type, record,
		legal_basis, source, evidence_grade, since, until, recorded_by`.
	"""
	people = [
		person
		for person in identity.people_behind(doctype, [name])[name]
		if frappe.has_permission(person.party_type, "read", person.party)
	]
	addresses = _addresses_of(people)
	shown = {
		person: [email for email in addresses[person] if identity.address_keys([email])[email]][
			:MOST_ADDRESSES
		]
		for person in people
	}
	emails = list(dict.fromkeys(email for listed in shown.values() for email in listed))
	keys = identity.address_keys(emails)
	facts = _facts_about(keys.values())
	purpose = standing.default_purpose()
	answers = standing.answers_for(purpose, [one for one in emails if "@" in one]) if purpose else {}
	others = identity.people_at(email for email in emails if "@" in email)
	titles, at_party = _titles(people), _said_without_address(people)
	described = []
	for person in people:
		of_addresses = [
			{
				"email": email,
				"standing": answers[email].value if email in answers else None,
				"is_shared": identity.is_shared(email),
				"people": len(others.get(email, ())),
				"rows": _rows(facts, keys[email] or "", is_email="@" in email),
			}
			for email in shown[person]
		]
		described.append(
			{
				"party_type": person.party_type,
				"party": person.party,
				"title": titles.get(person) or person.party,
				"is_restricted": any(
					row["reason"] == Reason.RESTRICTED.value for one in of_addresses for row in one["rows"]
				)
				or any(row["kind"] == RefusalKind.RESTRICTION.value for row in at_party.get(person, ())),
				"is_on_record": bool(at_party.get(person))
				or any(row["record"] for one in of_addresses for row in one["rows"]),
				# A number about which nothing was said is nobody's concern here.
				"addresses": [one for one in of_addresses if one["rows"]],
				"more_addresses": len(addresses[person]) - len(shown[person]),
				"without_address": at_party.get(person, []),
			}
		)
	return described


def _addresses_of(people: list[Person]) -> dict[Person, list[str]]:
	found: dict[Person, list[str]] = {person: [] for person in people}
	for party_type in {person.party_type for person in people}:
		parties = [person.party for person in people if person.party_type == party_type]
		for party, addresses in identity.addresses_of_parties(party_type, parties).items():
			by_key: dict[str, str] = {}  # each mailbox once; what isn't an address has no state
			for email, key in identity.address_keys(addresses).items():
				if key:
					by_key.setdefault(key, email)
			found[Person(party_type, party)] = list(by_key.values())
	return found


def _titles(people: list[Person]) -> dict[Person, str]:
	found: dict[Person, str] = {}
	for party_type, field in TITLES.items():
		names = [person.party for person in people if person.party_type == party_type]
		rows = frappe.get_all(party_type, {"name": ["in", names]}, ["name", field]) if names else ()
		found |= {Person(party_type, row.name): row[field] for row in rows}
	return found


def _facts_about(keys: Iterable[str | None]) -> _Facts:
	wanted = [key for key in keys if key] or [""]
	loaded: list[dict[str, list[register.Row]]] = []
	for doctype in ("Consent", "Suppression"):
		table = frappe.qb.DocType(doctype)
		by_key: dict[str, list[register.Row]] = {}
		query = frappe.qb.from_(table).select(table.star).where(table.address_key.isin(wanted))
		for row in query.run(as_dict=True):
			by_key.setdefault(row.address_key, []).append(row)
		loaded.append(by_key)
	purposes = frappe.get_all(
		"Processing Purpose", fields=["name", "is_marketing", "enabled"], order_by="is_marketing desc, name"
	)
	topics: dict[str, list[str]] = {}
	for row in frappe.get_all(
		"Subscription Topic", {"enabled": 1}, ["name", "purpose"], order_by="sort_order, name"
	):
		topics.setdefault(row.purpose, []).append(row.name)
	return _Facts(loaded[0], loaded[1], {row.name: row for row in purposes}, topics, now_utc())


def _said_without_address(people: list[Person]) -> dict[Person, list[dict[str, Any]]]:
	found: dict[Person, list[dict[str, Any]]] = {}
	for party_type in {person.party_type for person in people}:
		names = [person.party for person in people if person.party_type == party_type]
		for row in frappe.get_all(
			"Suppression",
			{
				"party_type": party_type,
				"party": ["in", names],
				"address_key": ["is", "not set"],
				"lifted_on": ["is", "not set"],
			},
			["name", "kind", "purpose", "topic", "party", "said_on", "source", "recorded_by"],
			order_by="said_on desc",
		):
			row.said_on = utc_text(row.said_on)
			found.setdefault(Person(party_type, row.pop("party")), []).append(row)
	return found


def _rows(facts: _Facts, key: str, is_email: bool) -> list[dict[str, Any]]:
	"""Describe an address: marketing with its topics, and whatever else is on record."""
	consents, suppressions = facts.consents.get(key, []), facts.suppressions.get(key, [])
	scopes: dict[tuple[str, str, str], None] = {}
	on_record = [
		(row.channel or Channel.EMAIL.value, row.purpose, row.topic or "")
		for row in (*consents, *suppressions)
		if row.purpose in facts.purposes
	]
	for purpose in facts.purposes.values():
		if is_email and purpose.is_marketing and purpose.enabled:
			for topic in ("", *facts.topics.get(purpose.name, ())):
				scopes[Channel.EMAIL.value, purpose.name, topic] = None
		scopes |= dict.fromkeys(scope for scope in sorted(on_record) if scope[1] == purpose.name)
	return [_row(facts, consents, suppressions, *scope) for scope in scopes]


def _row(
	facts: _Facts,
	consents: list[register.Row],
	suppressions: list[register.Row],
	channel: str,
	purpose: str,
	topic: str,
) -> dict[str, Any]:
	theirs = [row for row in consents if (row.channel, row.purpose) == (channel, purpose)]
	said = [
		row for row in suppressions if (row.channel or channel, row.purpose or purpose) == (channel, purpose)
	]
	is_marketing = bool(facts.purposes[purpose].is_marketing)
	decision = Decision(True, Reason.NOT_MARKETING)
	if is_marketing:
		decision = decide(
			topic or None,
			[register.permission_of(row) for row in theirs],
			[register.refusal_of(row) for row in said],
			facts.now,
		)
	named = next((row for row in theirs if row.name == decision.consent), None)
	of_scope = [row for row in theirs if (row.topic or "") == topic]
	record = named or max(of_scope, key=lambda row: (row.since, row.name), default=None)
	refusal = None
	if decision.reason in standing.REASON_OF.values() and not named:
		refusal = _standing_refusal(said, topic, decision.reason) or refusal
	return {
		"purpose": purpose,
		"topic": topic or None,
		"channel": channel,
		"is_marketing": is_marketing,
		"allowed": decision.allowed,
		"reason": decision.reason.value,
		**(_of_refusal(refusal) if refusal else _of_consent(record, facts.now)),
	}


def _standing_refusal(rows: list[register.Row], topic: str, reason: Reason) -> register.Row | None:
	return max(
		(
			row
			for row in rows
			if standing.REASON_OF[RefusalKind(row.kind)] == reason
			and not row.lifted_on
			and (row.topic or "") in ("", topic)
		),
		key=lambda row: row.said_on,
		default=None,
	)


def _of_refusal(row: register.Row) -> dict[str, Any]:
	return {
		"record_type": "Suppression",
		"record": row.name,
		"status": row.kind,
		"legal_basis": None,
		"source": row.source,
		"evidence_grade": None,
		"since": utc_text(row.said_on),
		"until": None,
		"recorded_by": row.recorded_by,
	}


def _of_consent(row: register.Row | None, now: datetime) -> dict[str, Any]:
	row = row or frappe._dict()
	return {
		"record_type": "Consent" if row else None,
		"record": row.name,
		"status": status_at(register.permission_of(row), now).value if row else None,
		"legal_basis": row.legal_basis,
		"source": row.source,
		"evidence_grade": row.evidence_grade,
		"since": utc_text(row.given_on or row.since),
		"until": utc_text(row.ended_on or row.expires_on),
		"recorded_by": row.recorded_by,
	}
