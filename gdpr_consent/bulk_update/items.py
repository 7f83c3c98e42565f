"""The records of a Consent Bulk Update: what was planned for each, and what became of it."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import frappe
from frappe.query_builder.functions import Count

from gdpr_consent import ledger

DOCTYPE = "Consent Bulk Update Item"
AT_ONCE = 5_000
UNUSED_DAYS = 30
EDITABLE = ("Draft", "Previewed")  # in these states of a bulk update
HASHED = (
	"name",
	"rule",
	"target_doctype",
	"target",
	"address_key",
	"plan",
	"why",
	"before",
	"after",
	"state",
)


def insert(rows: list[dict[str, Any]]) -> None:
	ledger.insert(DOCTYPE, rows)


def delete_all(bulk_update: str) -> None:
	"""Delete what an earlier preview planned, a part at a time, each committed."""
	item = frappe.qb.DocType(DOCTYPE)
	while names := (
		frappe.qb.from_(item)
		.select(item.name)
		.where(item.bulk_update == bulk_update)
		.limit(AT_ONCE)
		.run(pluck=True)
	):
		frappe.qb.from_(item).delete().where(item.name.isin(names)).run()
		frappe.db.commit()  # nosemgrep: a part is done; an interruption loses nothing


def delete_of(bulk_update: str) -> None:
	"""Delete what belongs to an update that is deleted, in its transaction."""
	for doctype in (DOCTYPE, "Consent Bulk Update Address"):
		frappe.db.delete(doctype, {"bulk_update": bulk_update})


def delete_unused() -> None:
	"""Delete what was previewed or uploaded and not run for a month, a copy of people's data (Art. 5)."""
	parent = frappe.qb.DocType("Consent Bulk Update")
	limit = frappe.utils.add_days(frappe.utils.now(), -UNUSED_DAYS)
	for name in (
		frappe.qb.from_(parent)
		.select(parent.name)
		.where(parent.status.isin(EDITABLE) & (parent.modified < limit))
		.run(pluck=True)
	):
		if frappe.db.get_value("Consent Bulk Update", name, "status", for_update=True) not in EDITABLE:
			frappe.db.commit()  # nosemgrep: somebody has started it just now
			continue
		unused = {"status": "Draft", "selection_hash": None, "approved_by": None, "approved_on": None}
		frappe.db.set_value("Consent Bulk Update", name, unused, update_modified=False)
		frappe.db.commit()  # nosemgrep: nobody runs it any more
		delete_all(name)
		frappe.db.delete("Consent Bulk Update Address", {"bulk_update": name})
		frappe.db.commit()  # nosemgrep: one is done; an interruption loses nothing


def taken(bulk_update: str, doctype: str, names: list[str]) -> set[str]:
	"""Return which of the records an earlier rule has found."""
	item = frappe.qb.DocType(DOCTYPE)
	query = frappe.qb.from_(item).select(item.target).where(item.bulk_update == bulk_update)
	return set(query.where((item.target_doctype == doctype) & item.target.isin(names)).run(pluck=True))


class Hash:
	"""Hash of a selection: what was found, what is planned for each, and what that rests on (BU-03)."""

	def __init__(self) -> None:
		self._sha = hashlib.sha256()

	def add(self, rows: Iterable[dict[str, Any]]) -> None:
		for row in rows:
			self._sha.update(json.dumps([row.get(column) or "" for column in HASHED]).encode())

	def hexdigest(self) -> str:
		return self._sha.hexdigest()


def hash_of(bulk_update: str) -> str:
	"""Return the hash of the items as they are stored."""
	found = Hash()
	for rows in in_order(bulk_update):
		found.add(rows)
	return found.hexdigest()


def in_order(bulk_update: str) -> Iterator[list[dict[str, Any]]]:
	"""Yield what is hashed of all items, in the order in which they were found."""
	item = frappe.qb.DocType(DOCTYPE)
	last = bulk_update
	while rows := (
		frappe.qb.from_(item)
		.select(*(item[column] for column in HASHED))
		# By the primary key: a name starts with that of its update.
		.where((item.name > last) & item.name.like(f"{bulk_update}-%"))
		.orderby(item.name)
		.limit(AT_ONCE)
		.run(as_dict=True)
	):
		last = rows[-1]["name"]
		yield rows


def next_in_chunk(bulk_update: str, position: str | None, size: int) -> list[dict[str, Any]]:
	"""Return what comes after a position. Neighbours in the order have neighbouring address keys, so that a
	chunk locks few of the rows that others wait for, and writes to few pages of the register's index."""
	key, name = json.loads(position) if position else ("", "")
	item = frappe.qb.DocType(DOCTYPE)
	return (
		frappe.qb.from_(item)
		.select(
			*(item.name, item.rule, item.target_doctype, item.target, item.email, item.address_key),
			*(item.plan, item.why, item.state, item.result, item.state_after, item.consent),
			*(item.given_on, item.evidence),
		)
		.where(item.bulk_update == bulk_update)
		.where((item.address_key > key) | ((item.address_key == key) & (item.name > name)))
		.orderby(item.address_key)
		.orderby(item.name)
		.limit(size)
		.run(as_dict=True)
	)


def position_after(rows: list[dict[str, Any]]) -> str:
	return json.dumps([rows[-1]["address_key"], rows[-1]["name"]])


def set_results(results: list[dict[str, Any]]) -> None:
	"""Write what became of items: `name`, `result`, `why`, `consent` and `state_after` of each."""
	if not results:
		return
	rows = [
		[one["name"], one["result"], one.get("why") or "", one.get("consent"), one.get("state_after")]
		for one in results
	]
	# It is text, because the query builder knows no json_table.
	frappe.db.sql(
		f"""
		update `tab{DOCTYPE}` item
		join json_table(%s, '$[*]' columns (
			name varchar(140) path '$[0]', result varchar(64) path '$[1]', why varchar(64) path '$[2]',
			consent varchar(64) path '$[3]', state_after varchar(64) path '$[4]')) done
			on done.name collate utf8mb4_unicode_ci = item.name
		set item.result = done.result, item.why = done.why, item.modified = %s, item.modified_by = %s,
			item.consent = ifnull(done.consent, item.consent),
			item.state_after = ifnull(done.state_after, item.state_after)
		""",
		(json.dumps(rows), frappe.utils.now(), frappe.session.user),
	)


def counts(bulk_update: str) -> list[dict[str, Any]]:
	"""Count the items by rule, plan, result, reason, before and after."""
	item = frappe.qb.DocType(DOCTYPE)
	columns = (item.rule, item.plan, item.result, item.why, item.before, item.after)
	return (
		frappe.qb.from_(item)
		.select(*columns, Count("*").as_("count"))
		.where(item.bulk_update == bulk_update)
		.groupby(*columns)
		.run(as_dict=True)
	)
