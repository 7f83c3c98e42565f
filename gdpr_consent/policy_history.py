"""Keeps what the rules that decide about mail said, and since when.

An answer about an instant takes the rules of that instant (NA-07, V6), and each Consent Decision names the
version that it was made by (EM-09).
"""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import frappe
from frappe.model.document import Document

from gdpr_consent import ledger, shared_cache
from gdpr_consent.clock import from_system_time, now_utc

DOCTYPE = "Consent Policy Change"
DECISIVE = {
	"Consent Country Rule": (
		*("applies_to", "enabled", "double_opt_in", "existing_customer", "accepted_grades"),
	),
	"Processing Purpose": ("accepted_grades",),
	"Consent Wording": ("purpose", "topic", "language", "version", "material"),
}
CHANGES = "consent_policy_changes"  # in the cache

Thing = tuple[str, str]  # DocType and name
Said = dict[str, Any]


def version() -> int:
	"""Return the number of the last change: with it, what was in force can be looked up."""
	return max((change[0] for change in _changes()), default=0)


def note(doc: Document) -> None:
	"""Write down what a rule says from now on, if that is new. For its controller, once it is stored."""
	_write_if_new([((doc.doctype, doc.name), _text(doc.doctype, doc), now_utc())])


def note_deletion(doc: Document) -> None:
	_write_if_new([((doc.doctype, doc.name), None, now_utc())])


def keep_up() -> bool:
	"""Write down what nobody told us of: what was there before we were, and what was written by SQL.

	Returns:
		whether there was something.
	"""
	now, known = now_utc(), _last_texts()
	found = [
		# Of what it said earlier nobody knows any more.
		((doctype, row.name), _text(doctype, row), now if (doctype, row.name) in known else _created(row))
		for doctype, fields in DECISIVE.items()
		for row in frappe.get_all(doctype, fields=["name", "creation", *fields])
	]
	gone = known.keys() - {thing for thing, _says, _since in found}
	return _write_if_new([*found, *((thing, None, now) for thing in sorted(gone))])


def said_at(at: datetime) -> dict[Thing, Said]:
	"""Return what each rule said at an instant, naive UTC; before the first that is known of it, that.

	A wording that wasn't there yet outdated no other.
	"""
	said: dict[Thing, str | None] = {}
	for _number, doctype, name, since, text in sorted(_changes(), key=lambda change: (change[3], change[0])):
		if since <= at:
			said[doctype, name] = text
		elif doctype != "Consent Wording":
			said.setdefault((doctype, name), text)
	return {thing: json.loads(text) for thing, text in said.items() if text}


def _text(doctype: str, row: Any) -> str:
	return json.dumps({field: row.get(field) or None for field in DECISIVE[doctype]}, sort_keys=True)


def _created(row: Any) -> datetime:
	return from_system_time(row.creation)


def _changes() -> list[tuple[int, str, str, datetime, str | None]]:
	return shared_cache.get(CHANGES, _read_changes)


def _read_changes() -> list[tuple]:
	change = frappe.qb.DocType(DOCTYPE)
	query = frappe.qb.from_(change).select(
		change.number, change.about_doctype, change.about, change.in_force_from, change.says
	)
	return list(query.orderby(change.number).run())


def _last_texts() -> dict[Thing, str | None]:
	return {(doctype, name): text for _number, doctype, name, _since, text in _read_changes()}


def _write_if_new(told: Iterable[tuple[Thing, str | None, datetime]]) -> bool:
	known = _last_texts()
	new = [(thing, text, since) for thing, text, since in told if known.get(thing) != text]
	if not new:
		return False
	# Whoever changes another rule at the same moment waits for its number.
	((last,),) = frappe.db.sql(f"select max(`number`) from `tab{DOCTYPE}` for update")
	rows = [
		{
			"name": str(number),
			"number": number,
			"about_doctype": doctype,
			"about": name,
			"in_force_from": since,
			"says": text,
		}
		for number, ((doctype, name), text, since) in enumerate(new, (last or 0) + 1)
	]
	ledger.insert(DOCTYPE, rows)
	shared_cache.forget(CHANGES)
	return True
