"""What the register says about a person is erased, and they go on being blocked (Art. 17, DS-19, RE-01)."""

from collections.abc import Iterable

import frappe

from gdpr_consent import ledger
from gdpr_consent.identity import address_keys
from gdpr_consent.policy import LIVE, EventKind, RefusalKind, Status
from gdpr_consent.register.no import stands_already, write_suppression
from gdpr_consent.register.writing import CONTROLLER, SYSTEM, Act, No, Row, Scope, Writing, rows_named

# What a record says about the person. The key stays: without the key of the site it tells nobody anything.
PERSONAL = (
	*("email", "party_type", "party", "sale_doctype", "sale", "reason", "evidence", "recorded_by"),
	*("guardian_name", "guardian_verification", "origin_doctype", "origin"),
)
OF_THE_PROOF = ("email", "reason", "evidence", "guardian_name", "guardian_verification", "recorded_by")
ENDED_BY_ERASURE = {
	Status.UNKNOWN: EventKind.INVALIDATE,
	Status.REQUESTED: EventKind.REFUSE,
	Status.GIVEN: EventKind.WITHDRAW,
	Status.NOT_REQUIRED: EventKind.END,
}


def erase(
	addresses: Iterable[str],
	parties: Iterable[tuple[str, str]],
	request: str | None = None,
	keep_evidence: bool = False,
	suppress: bool = True,
) -> list[str]:
	"""Erase what the register says about a person, and go on blocking their addresses (Art. 17, DS-19).

	Each address gets a suppression that holds its key alone; live consents end; from then on each record and
	its events say nothing about the person, and their chain still holds (AU-03). Doing it twice adds nothing.
	What the person refused goes on blocking them, by key.

	Args:
		addresses: those that are the person's alone.
		parties: the records that stand for the person, which other addresses may have been noted with.
		request: the Data Subject Request that it is done for.
		keep_evidence: keep the payloads of the events, which Privacy Officers alone read, for claims
			(Art. 17(3)(e)).
		suppress: block the addresses, since the person asked to be erased. Who is erased because nobody needs
			their data any more has said no to nothing.

	Returns:
		names of the records that were erased.
	"""
	addresses, parties = list(addresses), {(kind, name) for kind, name in parties}
	keys = {key for key in address_keys(addresses).values() if key}
	noted = [row for rows in _rows_at_parties(parties) for row in rows]
	act = Act(CONTROLLER)
	erased: dict[str, list[str]] = {"Consent": [], "Suppression": []}
	with Writing(keys | {row["address_key"] for row in noted if row["address_key"]}) as writing:
		no = No(RefusalKind.ERASURE, Scope("", ""), None)
		for key in sorted(keys):
			for row in writing.consents[key]:
				kind = ENDED_BY_ERASURE.get(Status(row["status"]))
				if kind and not writing.end_if_over(row):
					writing.append("Consent", row, kind, act, {"ended_on": writing.now})
			if suppress and not stands_already(writing, key, no):
				origin = {"origin_doctype": "Data Subject Request", "origin": request} if request else {}
				write_suppression(writing, key, no._replace(**origin), act)
		for doctype, loaded in (("Consent", writing.consents), ("Suppression", writing.suppressions)):
			rows = [row for group in loaded.values() for row in group]
			rows += rows_named(doctype, [row["name"] for row in noted if row["is_loose"] == doctype])
			for row in rows:
				is_theirs = row["address_key"] in keys
				if not (is_theirs or (row["party_type"], row["party"]) in parties):
					continue
				if row.get("kind") == RefusalKind.ERASURE or not _says_something(row, is_theirs):
					continue  # what holds a key alone
				_erase_row(writing, doctype, row, _personal(is_theirs), act)
				erased[doctype].append(row["name"])
	if not keep_evidence:
		for doctype, records in erased.items():
			ledger.erase_payloads(doctype, records, addresses)
	return [name for records in erased.values() for name in records]


def erase_ended(consents: Iterable[str]) -> list[str]:
	"""Erase the proof of consents that have ended, and the address; that they were there stays (RE-01).

	The key and the party stay too, so that a no goes on counting for the person. What is live is left alone.
	What an erasure has kept for claims goes as well.

	Returns:
		names of the consents whose proof was erased.
	"""
	table = frappe.qb.DocType("Consent")
	named = table.name.isin([*consents] or [""]) & table.address_key.isnotnull()
	found = dict(frappe.qb.from_(table).select(table.name, table.address_key).where(named).run())
	names: list[str] = []
	emails: set[str] = set()
	with Writing(found.values()) as writing:
		for row in [row for rows in writing.consents.values() for row in rows if row["name"] in found]:
			if row["status"] in LIVE:
				continue
			names.append(row["name"])
			emails |= {row["email"]} - {None}
			if any(row.get(column) for column in OF_THE_PROOF):
				_erase_row(writing, "Consent", row, OF_THE_PROOF, Act(SYSTEM))
	ledger.erase_payloads("Consent", names, emails)
	return names


def _rows_at_parties(parties: Iterable[tuple[str, str]]) -> list[list[Row]]:
	"""Read name and key of what is noted with parties. `is_loose` is the DocType of a row that has no key."""
	found = []
	for doctype in ("Consent", "Suppression"):
		table = frappe.qb.DocType(doctype)
		for party_type, party in parties:
			rows = (
				frappe.qb.from_(table)
				.select(table.name, table.address_key)
				.where((table.party_type == party_type) & (table.party == party))
				.run(as_dict=True)
			)
			found.append([row | {"is_loose": "" if row.address_key else doctype} for row in rows])
	return found


def _personal(is_theirs: bool) -> list[str]:
	"""Name the columns to erase; the address is somebody else's if the key isn't the person's."""
	return [column for column in PERSONAL if is_theirs or column != "email"]


def _says_something(row: Row, is_theirs: bool) -> bool:
	return any(row.get(column) for column in _personal(is_theirs))


def _erase_row(writing: Writing, doctype: str, row: Row, erased: Iterable[str], act: Act) -> None:
	"""Say again what a record says, without the columns that are erased."""
	columns = frappe.get_meta(doctype).get_valid_columns()
	facts = {column: row.get(column) for column in ledger.COLUMNS_OF[doctype] if column in columns}
	facts |= {column: None for column in erased if column in columns}
	for made_by_events in ("status", "since"):
		facts.pop(made_by_events, None)
	writing.append(doctype, row, EventKind.ERASE, act, facts)
