"""People and their records change, and what they refused goes with them (design, idea 5; ST-13)."""

from collections.abc import Iterable
from datetime import datetime

import frappe
from frappe.query_builder.functions import Max

from gdpr_consent import proof
from gdpr_consent.identity import address_keys, addresses_of, is_shared
from gdpr_consent.policy import (
	ENDED_BY_OTHERS,
	NEVER,
	SAID_BY_THE_PERSON,
	Channel,
	EventKind,
	RefusalKind,
	Status,
)
from gdpr_consent.register.no import write_noes
from gdpr_consent.register.terms import Subject
from gdpr_consent.register.writing import (
	CONTROLLER,
	DATA_SUBJECT,
	Act,
	No,
	Row,
	Scope,
	Writing,
	party_of,
	rows_named,
	scope_of,
)

NOWHERE = proof.Place(None, "Unknown")


def move_party(party_type: str, old: str, new: str | None) -> None:
	"""Let records follow a party that is renamed or merged, or let go of one that is deleted."""
	for doctype in ("Consent", "Suppression"):
		table = frappe.qb.DocType(doctype)
		rows = (
			frappe.qb.from_(table)
			.select(table.name, table.address_key)
			.where((table.party_type == party_type) & (table.party == old))
			.run(as_dict=True)
		)
		names = {row.name for row in rows}
		with Writing(row.address_key for row in rows if row.address_key) as writing:
			loaded = writing.consents if doctype == "Consent" else writing.suppressions
			found = [row for group in loaded.values() for row in group if row["name"] in names]
			found += rows_named(doctype, [row.name for row in rows if not row.address_key])
			for row in found:
				facts: Row = {"party_type": party_type if new else None, "party": new}
				if row.get("origin_doctype") == party_type:
					# Or its opt-out would look like another one under the new name.
					facts |= {"origin_doctype": facts["party_type"], "origin": new}
				writing.append(doctype, row, EventKind.MOVE, Act(CONTROLLER), facts)


def carry_refusals(
	party_type: str, party: str, before: Iterable[str], after: Iterable[str], reason: str
) -> None:
	"""Let a person's noes hold for all their addresses, and outlive one they lose (design, idea 5; ST-13).

	Args:
		before, after: the addresses of the person before and after the change.
	"""
	old = {key: email for email, key in address_keys(before).items() if key}
	new = {key: email for email, key in address_keys(after).items() if key}
	if old.keys() == new.keys():
		return
	with Writing([*old, *new]) as writing:
		subject = Subject("", "", party_type, party, {**old, **new}, NOWHERE)
		noes = noes_of(writing, subject, *rows_of_party(party_type, party))
		entries = [no._replace(email=email) for email in new.values() for no in noes]
		if old.keys() - new.keys():  # kept with the person
			entries += [
				no._replace(email=None, party_type=party_type, party=party)
				for no in noes
				if not new or (no.party_type, no.party) == (party_type, party)
			]
		write_noes(writing, entries, Act(DATA_SUBJECT, reason=reason))


def has_opted_out(party_type: str, party: str, addresses: list[str]) -> bool:
	"""Whether a refusal of e-mail marketing as a whole stands for a person, or for one of the addresses."""
	keys = [key for key in address_keys(addresses).values() if key] or [""]
	table, consent = frappe.qb.DocType("Suppression"), frappe.qb.DocType("Consent")
	lifted = dict(
		frappe.qb.from_(consent)
		.select(consent.address_key, Max(consent.confirmed_on))
		.where(consent.address_key.isin(keys) & (consent.status != Status.INVALIDATED.value))
		.groupby(consent.address_key)
		.run()
	)
	by_party = table.address_key.isnull() & (table.party_type == party_type) & (table.party == party)
	return any(
		said_on >= (lifted.get(key) or NEVER)
		for key, said_on in frappe.qb.from_(table)
		.select(table.address_key, table.said_on)
		.where(table.address_key.isin(keys) | by_party)
		.where(table.purpose.isnull() & table.lifted_on.isnull())
		.where(table.kind.notin([kind.value for kind in ENDED_BY_OTHERS]))
		.where(table.channel.isnull() | (table.channel == Channel.EMAIL.value))
		.run()
	)


def addresses_of_the_party(party_type: str | None, party: str | None) -> dict[str, str]:
	"""Return the addresses, by key, from which a party speaks for itself: a Customer may be many people."""
	emails = addresses_of(party_type, party) if party and party_type in ("Contact", "Lead") else []
	return {key: email for email, key in address_keys(emails).items() if key}


def rows_of_party(party_type: str | None, party: str | None) -> tuple[list[Row], list[Row]]:
	return rows_of_parties([(party_type, party)] if party_type and party else []).get(
		(party_type, party), ([], [])
	)


def rows_of_parties(
	parties: Iterable[tuple[str, str]],
) -> dict[tuple[str | None, str | None], tuple[list[Row], list[Row]]]:
	"""Read the suppressions, and the consents with a no, that were recorded for each party."""
	found: dict[tuple[str | None, str | None], tuple[list[Row], list[Row]]] = {}
	names: dict[str, list[str]] = {}
	for party_type, party in parties:
		names.setdefault(party_type, []).append(party)
	for position, doctype in enumerate(("Suppression", "Consent")):
		says_no = "and `status` in %(noes)s" if doctype == "Consent" else ""
		for party_type, theirs in names.items():
			for row in frappe.db.sql(
				f"""select * from `tab{doctype}`
				where `party_type` = %(party_type)s and `party` in %(theirs)s {says_no}""",
				{
					"party_type": party_type,
					"theirs": theirs,
					"noes": [status.value for status in SAID_BY_THE_PERSON],
				},
				as_dict=True,
			):
				found.setdefault((row.party_type, row.party), ([], []))[position].append(row)
	return found


def noes_of(writing: Writing, subject: Subject, suppressions: list[Row], consents: list[Row]) -> list[No]:
	"""Collect what one party refused, from the addresses given or under its name.

	What was said from a role's mailbox, or at a telephone, isn't one person's word. A restriction stays that
	of the party that it was said for, and ends with it.

	Args:
		suppressions, consents: what was recorded for the party, see `rows_of_parties`.
	"""
	party_type, party = subject.party_type, subject.party
	if not (party_type and party):
		return []
	own = {key for key, email in subject.theirs.items() if not is_shared(email)}
	loaded_keys = {subject.key, *subject.theirs}
	noes: dict[tuple[RefusalKind, Scope, tuple[str | None, str | None]], No] = {}

	def is_theirs(row: Row) -> bool:
		return party_of(row) == (party_type, party)

	def note(kind: RefusalKind, row: Row, said_on: datetime) -> None:
		whose = party_of(row) if kind == RefusalKind.RESTRICTION else (party_type, party)
		no = No(kind, scope_of(row), row["email"], *whose, said_on=said_on)
		known = noes.setdefault((kind, no.scope, whose), no)
		noes[kind, no.scope, whose] = max(known, no, key=lambda one: one.said_on)

	for by_party, loaded, is_consent in (
		(suppressions, writing.suppressions, False),
		(consents, writing.consents, True),
	):
		rows = {row["name"]: row for row in by_party}
		for key in loaded_keys | {row["address_key"] for row in by_party}:
			for row in loaded.get(key, ()):
				if row["name"] in rows or key in own or is_theirs(row):
					rows[row["name"]] = row  # what was loaded under the lock is newer
		for row in rows.values():
			if is_consent:
				if row["status"] in SAID_BY_THE_PERSON:
					note(RefusalKind.WITHDRAWAL, row, row["since"])
			elif not row.get("lifted_on") and row["kind"] != RefusalKind.BOUNCE:
				note(RefusalKind(row["kind"]), row, row["said_on"])
	return list(noes.values())
