"""Rows are made anew from their events (ST-02)."""

import frappe

from gdpr_consent import ledger
from gdpr_consent.register.writing import Row, Writing, rows_named


def rebuild(record: str) -> Row:
	"""Make the row of a Consent or a Suppression anew from its events (ST-02).

	Returns:
		`name`, `changed`: the columns that differed, each with what was stored and what the events say.
	"""
	doctype = doctype_of(record)
	rows_named(doctype, [record])
	# The key in the row may be what is wrong with it.
	key = ledger.fold(ledger.read_events(doctype, [record])[record]).get("address_key")
	with Writing([key] if key else []):
		(stored,) = rows_named(doctype, [record])
		events = ledger.read_events(doctype, [record])[record]
		differing = ledger.differences(
			doctype, stored, ledger.fold(events), is_whole=all(event.facts for event in events)
		)
		if differing:
			ledger.update(doctype, [{**stored, **differing}], [*differing])
	changed = {column: {"stored": stored[column], "events": value} for column, value in differing.items()}
	return {"name": record, "changed": changed}


def doctype_of(record: str) -> str:
	"""Say whether a name is that of a Suppression. A name that is neither's is taken for a Consent's."""
	return "Suppression" if frappe.db.exists("Suppression", record) else "Consent"


def regrade() -> None:
	"""Give the rows written before grades meant what they mean now the grade that their events fold to."""
	table = frappe.qb.DocType("Consent")
	for old, new in sorted(ledger.OLD_GRADES.items(), reverse=True):  # C becomes D before B becomes C
		frappe.qb.update(table).set(table.evidence_grade, new).where(table.evidence_grade == old).run()
