"""Takes hidden values out of what leaves: documents, JSON, versions and reports."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import frappe

from gdpr_consent.sensitive_data import rights, rules

MASK = "•••"
SHORTEST_SECRET = 5  # what is shorter stands in other texts by chance


# --- documents ----------------------------------------------------------------------------------------------


def empty(doc: Any) -> list[tuple[Any, str, Any]]:
	"""Set the hidden fields of a document and its rows to None. Return what they held, to put it back."""
	held = []
	for part in (doc, *doc.get_all_children()):
		for name in rights.hidden_fields(part.doctype):
			if part.get(name) is not None:
				held.append((part, name, part.get(name)))
				part.set(name, None)
	return held


@contextmanager
def emptied(doc: Any) -> Iterator[None]:
	"""Inside the block, the document doesn't hold what its readers may not see."""
	held = empty(doc)
	try:
		yield
	finally:
		for part, name, value in held:
			part.set(name, value)


def mask_values(text: str | None, doctype: str | None, name: str | None) -> str | None:
	"""Mask in a text what a record holds in its protected fields."""
	fields = [*rules.protected_fields(doctype or "")]
	if not text or not name or not fields or frappe.get_meta(doctype).istable:
		return text
	row = frappe.db.get_value(doctype, name, fields, as_dict=True) or {}
	return mask_words(text, secrets_of(row))


def secrets_of(row: dict) -> list[str]:
	return [str(value) for value in row.values() if value and len(str(value)) >= SHORTEST_SECRET]


def mask_words(text: str, secrets: list[str]) -> str:
	for secret in secrets:
		text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)
	return text


# --- JSON ---------------------------------------------------------------------------------------------------


class Redaction:
	"""Removes hidden fields from JSON of unknown shape, and collects which protected ones stay, for the log.

	A dict with `doctype` is a document and loses what is hidden in that DocType. A dict without loses what is
	hidden anywhere, unless the request was about one DocType that has such a field for everybody.
	"""

	def __init__(self, doctype: str | None = None, user: str | None = None) -> None:
		self.hidden = rights.hidden_anywhere(user)
		self.names = rights.hidden_names(user)
		self.doctype = doctype
		self.seen: dict[str, dict[str, set[str]]] = {}
		self.changed = False

	def clean(self, node: Any) -> Any:
		"""Return the node without hidden values. Dicts and lists are changed in place."""
		if isinstance(node, dict):
			self._clean_dict(node)
		elif isinstance(node, list):
			for position, value in enumerate(node):
				node[position] = self.clean(value)
		elif isinstance(node, str):
			return self._clean_text(node)
		return node

	def _clean_dict(self, node: dict) -> None:
		if isinstance(node.get("changed"), list) or isinstance(node.get("row_changed"), list):
			self._clean_version(node)
		hidden, protected, doctype = self._rules_for(node)
		if doctype in rules.all_rules().whole and node.get("name"):
			self.seen.setdefault(doctype, {}).setdefault(rules.WHOLE_RECORD, set()).add(str(node["name"]))
		for key in [*node]:
			name = key.lower()  # the database answers to any spelling
			if name in hidden:
				if node[key] != MASK:
					del node[key]
					self.changed = True
			elif name in protected:
				self._note(doctype, name, node, key)
			elif isinstance(node[key], dict | list | str):
				node[key] = self.clean(node[key])

	def _rules_for(self, node: dict) -> tuple[frozenset[str], Iterable[str], str]:
		doctype = node.get("doctype")
		doctype = doctype if isinstance(doctype, str) else None
		if doctype is None and self.doctype:
			doctype = self.doctype
		if doctype is None:
			return self.names, rules.known_names(), ""
		return self.hidden.get(doctype, frozenset()), rules.protected_fields(doctype), doctype

	def _note(self, doctype: str, name: str, node: dict, key: str) -> None:
		if node[key] not in (None, "", MASK):
			self.seen.setdefault(doctype, {}).setdefault(name, set()).add(str(node.get("name") or ""))

	def _clean_text(self, text: str) -> str:
		"""JSON within JSON, such as the data of a Version and the rows of a portal's list."""
		looked_for = rules.quoted(rules.known_names() | rules.doctypes_known_by_their_own_name())
		if text[:1] not in ("{", "[") or not looked_for.search(text):
			return text
		try:
			inner = json.loads(text)
		except ValueError:
			return text
		before, self.changed = self.changed, False
		inner = self.clean(inner)
		text = json.dumps(inner) if self.changed else text
		self.changed = self.changed or before
		return text

	def _clean_version(self, data: dict) -> None:
		"""Mask in a Version's data what is hidden; it doesn't say of which DocType it is."""
		names = self.names | {name for fields in self.hidden.values() for name in fields}
		if names and mask_version(data, names, names):
			self.changed = True


def mask_version(data: dict, names: Iterable[str], names_in_rows: Iterable[str]) -> bool:
	"""Mask the values of fields in the data of a Version, and say whether there were any (AU-09)."""
	masked = False

	def mask_change(change: list, names: Iterable[str]) -> None:
		nonlocal masked
		if len(change) > 2 and change[0] in names and (change[1], change[2]) != (MASK, MASK):
			change[1:3] = [MASK, MASK]
			masked = True

	for change in data.get("changed") or ():
		mask_change(change, names)
	for row in data.get("row_changed") or ():
		for change in row[3] if len(row) > 3 else ():
			mask_change(change, names_in_rows)
	for _table, row in (*(data.get("added") or ()), *(data.get("removed") or ())):
		for name in names_in_rows:
			if isinstance(row, dict) and row.get(name) not in (None, "", MASK):
				row[name] = MASK
				masked = True
	return masked


# --- reports ------------------------------------------------------------------------------------------------


def hidden_columns(columns: Iterable[Any], ref_doctype: str | None) -> list[tuple[int, str]]:
	"""Return position and name of the columns of a report that its readers may not see."""
	return _columns_named(columns, ref_doctype, rights.hidden_names(), rights.hidden_anywhere())


def protected_columns(columns: Iterable[Any], ref_doctype: str | None) -> list[tuple[int, str]]:
	"""Return position and name of the columns of a report that hold protected fields."""
	fields = {doctype: frozenset(known) for doctype, known in rules.all_rules().fields.items()}
	return _columns_named(columns, ref_doctype, rules.known_names(), fields)


def _columns_named(
	columns: Iterable[Any],
	ref_doctype: str | None,
	names: frozenset[str],
	by_doctype: dict[str, frozenset[str]],
) -> list[tuple[int, str]]:
	"""A column is known by its name, and where the name is common, only in reports about its DocType."""
	columns = list(columns)
	about = {column.get("options") for column in columns if isinstance(column, dict)} | {ref_doctype}
	names = names.union(*(fields for doctype, fields in by_doctype.items() if doctype in about))
	named = [name_of_column(column) for column in columns]
	return [(position, name) for position, name in enumerate(named) if name in names]


def column_of_records(columns: list) -> int | None:
	"""Return the position of the column that says which record a row is of: the first link."""
	for position, column in enumerate(columns):
		kind = column.get("fieldtype") if isinstance(column, dict) else str(column).split(":")[1:2]
		if str(kind).strip("[']").startswith(("Link", "Dynamic Link")):
			return position
	return None


def name_of_column(column: Any) -> str:
	"""As `frappe.desk.query_report.get_column_as_dict` names it: Label:Type/Options:Width."""
	if isinstance(column, dict):
		name = column.get("fieldname") or frappe.scrub(column.get("label") or "")
	else:
		name = frappe.scrub(str(column).split(":")[0])
	return name.split(".")[-1].strip("`")


def mask_rows(rows: list, hidden: list[tuple[int, str]], names: frozenset[str]) -> None:
	"""Mask the hidden columns, and the hidden names that a row has without a column."""
	names = names | {name for _position, name in hidden}
	for number, row in enumerate(rows or ()):
		if isinstance(row, dict):
			for name in names & row.keys():
				if row[name] not in (None, ""):
					row[name] = MASK
		elif isinstance(row, list | tuple):
			cells = list(row)
			for position, _name in hidden:
				if position < len(cells) and cells[position] not in (None, ""):
					cells[position] = MASK
			rows[number] = cells
