"""What a person gets who wants to take their data elsewhere (Art. 20; DS-14; requirements §8.2).

Only what they provided themselves, under consent or contract: nothing that we concluded, nothing that rests
on our interest alone, nobody else's.
"""

import json
from collections.abc import Iterator
from typing import Any

import frappe

from gdpr_consent import records
from gdpr_consent.rights import access, traces
from gdpr_consent.rights.access import Book, Progress
from gdpr_consent.rights.masking import Mask
from gdpr_consent.rights.package import Package, Table
from gdpr_consent.rights.personal_data import Holding
from gdpr_consent.rights.subject import Subject

GROUNDS = ("Consent", "Contract")  # Legal Bases (Art. 20(1)(a))
SCHEMA = "schema.json"
KINDS = {"Int": "integer", "Check": "integer", "Float": "number", "Currency": "number", "Percent": "number"}


def write(package: Package, request: Any, about: Subject, progress: Progress) -> None:
	"""Write the package of a Portability request; see `access.write`."""
	mask = Mask(about)
	book = Book(request, about)
	consents = [row for row in book.consents.rows if row.legal_basis in GROUNDS]
	found = [
		(holding, number)
		for holding, number in traces.count(about)
		if holding.given_out and may_be_taken(holding)
	]
	package.part("consents", {"in": access.CONSENTS, "number": len(consents)})
	package.tables(_tables(found, about, mask, progress))
	given = records.Book(consents, {row.name: book.consents.events[row.name] for row in consents})
	package.text(access.CONSENTS, frappe.as_json(records.document_of(given, records.Book([], {})), indent=1))
	package.text(
		SCHEMA, json.dumps(schema([holding for holding, _number in found]), ensure_ascii=False, indent=1)
	)
	package.text("README.txt", access.readme(request, with_report=False))


def may_be_taken(holding: Holding) -> bool:
	"""Whether the person provided some of it, for a purpose that may rest on consent or contract."""
	if not holding.portable:
		return False
	if not (holding.purpose and frappe.db.exists("Processing Purpose", holding.purpose)):
		return True
	allowed = frappe.get_cached_doc("Processing Purpose", holding.purpose).allowed_legal_bases
	return any(row.legal_basis in GROUNDS for row in allowed)


def _tables(
	found: list[tuple[Holding, int]], about: Subject, mask: Mask, progress: Progress
) -> Iterator[Table]:
	total, done = sum(number for _holding, number in found) or 1, 0
	for holding, number in found:
		columns = ["name", *holding.portable]
		yield Table(
			holding.doctype, access.labels_of(holding.doctype, columns), _rows(holding, about, mask, columns)
		)
		done += number
		progress(done / total)


def _rows(holding: Holding, about: Subject, mask: Mask, columns: list[str]) -> Iterator[dict[str, Any]]:
	others = access.staff_fields(holding)
	is_mail = holding.doctype == "Communication"
	wanted = [*columns, "sender", "sent_or_received"] if is_mail else columns
	for page in traces.pages(holding, about, wanted):
		for row in page:
			# Of mails only those that the person wrote.
			if not is_mail or (row["sent_or_received"] == "Received" and mask.is_theirs(row["sender"])):
				yield mask.row({column: row[column] for column in columns}, others)


def schema(holdings: list[Holding]) -> dict[str, Any]:
	"""Return a JSON Schema of data.json."""
	return {
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"type": "object",
		"required": ["consents", "records"],
		"properties": {
			"consents": {"type": "object"},
			"records": {
				"type": "object",
				"properties": {holding.doctype: _schema_of(holding) for holding in holdings},
			},
		},
	}


def _schema_of(holding: Holding) -> dict[str, Any]:
	meta = frappe.get_meta(holding.doctype)
	labels = access.labels_of(holding.doctype, ["name", *holding.portable])

	def field(name: str, label: str) -> dict[str, Any]:
		found = meta.get_field(name)
		kind = KINDS.get(found.fieldtype, "string") if found else "string"
		return {"type": [kind, "null"], "title": label}

	row = {"type": "object", "properties": {name: field(name, label) for name, label in labels.items()}}
	return {
		"type": "object",
		"required": ["label", "fields", "rows"],
		"properties": {
			"label": {"type": "string"},
			"fields": {"type": "object"},
			"rows": {"type": "array", "items": row},
		},
	}
