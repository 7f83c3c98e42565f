"""Records that a user has chosen by filters, as the desk writes them: [["Lead", "status", "=", "Open"]]."""

import json
from collections.abc import Iterator
from typing import Any

import frappe
from frappe import _
from frappe.model import default_fields, optional_fields
from frappe.model.meta import Meta

from gdpr_consent.exceptions import FilterNotValid

AT_ONCE = 500
OPERATORS = frozenset(
	(
		*("=", "!=", ">", "<", ">=", "<=", "like", "not like", "in", "not in", "is", "between", "timespan"),
		*("descendants of", "not descendants of", "ancestors of", "not ancestors of"),
		"descendants of (inclusive)",
	)
)
Filters = list[list[Any]]


def pages(doctype: str, text: str | None, label: str, *more: list[Any]) -> Iterator[list[str]]:
	"""Yield the names of the records that filters find and the user may see, 500 at a time.

	Args:
		more: further filters, of ours.

	Raises:
		FilterNotValid: see `read_filters`.
		PermissionError: the user may not read the DocType.
	"""
	chosen = [*read_filters(text, frappe.get_meta(doctype), label), *more]
	last = ""
	while names := frappe.get_list(
		doctype,
		filters=[*chosen, [doctype, "name", ">", last]],
		order_by=f"`tab{doctype}`.name asc",
		limit=AT_ONCE,
		pluck="name",
		distinct=True,
	):
		yield names
		last = names[-1]


def all_names(doctype: str, at_once: int = AT_ONCE) -> Iterator[list[str]]:
	"""Yield the names of all records, some at a time, whoever may see them."""
	table = frappe.qb.DocType(doctype)
	last = ""
	while names := (
		frappe.qb.from_(table)
		.select(table.name)
		.where(table.name > last)
		.orderby(table.name)
		.limit(at_once)
		.run(pluck=True)
	):
		yield names
		last = names[-1]


def read_filters(text: str | None, meta: Meta, label: str) -> Filters:
	"""Read filters as a list view has them: field, operator, value. They are never a piece of SQL, and name
	no field that isn't shown to the user (FP-03).

	Args:
		text: JSON.
		label: what an error calls them.

	Raises:
		FilterNotValid
	"""
	try:
		filters = json.loads(text or "[]")
	except ValueError:
		raise FilterNotValid(_("{0}: {1} isn't JSON.").format(label, shown(text))) from None
	if not isinstance(filters, list):
		raise FilterNotValid(_("{0}: a list is needed.").format(label))
	return [_filter(one, meta, label) for one in filters]


def _filter(one: Any, meta: Meta, label: str) -> list[Any]:
	if isinstance(one, list) and len(one) == 3:
		one = [meta.name, *one]
	if not (isinstance(one, list) and len(one) >= 4 and all(isinstance(part, str) for part in one[:3])):
		raise FilterNotValid(
			_('{0}: {1} isn\'t a filter. Write it as ["{2}", "field", "=", "value"].').format(
				label, shown(json.dumps(one)), meta.name
			)
		)
	doctype, fieldname, operator, value = one[:4]
	levels = meta.get_permlevel_access("read")
	tables = {field.options for field in meta.get_table_fields() if field.permlevel in levels}
	if doctype not in {meta.name, *tables}:
		raise FilterNotValid(
			_("{0}: {1} is neither {2} nor one of its tables.").format(label, shown(doctype), _(meta.name))
		)
	check_readable(frappe.get_meta(doctype), fieldname, label, meta.name)
	if operator.lower() not in OPERATORS:
		raise FilterNotValid(_("{0}: operator {1} isn't possible.").format(label, shown(operator)))
	values = value if isinstance(value, list) else [value]
	if not all(isinstance(part, str | int | float | None) for part in values):
		raise FilterNotValid(_("{0}: {1} isn't a value.").format(label, shown(json.dumps(value))))
	return [doctype, fieldname, operator, value]


def check_readable(meta: Meta, fieldname: str, label: str, parent: str) -> None:
	"""Nobody finds out by a filter what a field holds that isn't shown to them (FP-03).

	Raises:
		FilterNotValid
	"""
	known = {*meta.get_valid_columns(), *default_fields, *optional_fields}
	permitted = {
		*meta.get_permitted_fieldnames(parenttype=parent if meta.istable else None),
		*default_fields,
		*optional_fields,
	}
	if fieldname not in known or fieldname not in permitted:
		raise FilterNotValid(
			_("{0}: {1} has no field {2}, or it isn't shown to you.").format(
				label, _(meta.name), shown(fieldname)
			)
		)


def shown(value: Any) -> str:
	return frappe.bold(frappe.utils.escape_html(str(value or "")[:140]))
