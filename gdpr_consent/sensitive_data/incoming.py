"""The first door: nobody learns a protected value by asking around it, or writes one that isn't theirs.

Frappe v15 checks which fields are read, and not by which ones is filtered, sorted or grouped; who may filter
by a tax number finds it out letter by letter (FP-03). These parameters have the same names in all of
Frappe's doors, so they are checked before any of them opens.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import frappe
from frappe import _
from frappe.model import default_fields

from gdpr_consent.exceptions import FieldProtected
from gdpr_consent.sensitive_data import reports, rights, rules

FILTERS = ("filters", "or_filters", "current_filters", "export_filters", "query_filters")
ORDERS = ("order_by", "group_by", "sort_field", "sort_by", "searchfield", "field")
COLUMNS = ("fields", "fieldname")
EXPORTED = ("export_fields", "select_columns")
DOCTYPES = ("doctype", "reference_doctype", "document_type", "ref_doctype", "dt")
LISTS = (
	"frappe.client.get_list",
	"frappe.client.get_value",
	"frappe.client.get",
	"frappe.desk.reportview.get",
	"frappe.desk.reportview.get_list",
	"frappe.client.validate_link",
)
WORD = re.compile(r"(?:(`?tab[^`.]+`?|`?\w+`?)\s*\.\s*)?`?(\w+)`?")


def check_request() -> None:
	"""Hook `before_request`.

	Raises:
		FieldProtected: a filter, an order, a group or an expression names a field that the user may not see,
		or
			the request sets one that the user may not write
	"""
	frappe.flags.gdpr_asked_for = frozenset()
	if not rules.protected_names() or (frappe.session.user == "Administrator" and not _asks_for_fields()):
		return
	form, about = frappe.form_dict, doctype()
	for parameter in FILTERS:
		for of, field in _fields_of_filters(_parsed(form.get(parameter)), about):
			_refuse_if_hidden(field, of)
	for parameter in ORDERS:
		if form.get(parameter) and isinstance(form[parameter], str):
			_refuse_if_hidden(form[parameter], about)
	_check_lists_of_the_website(form, about)
	_check_columns(form, about)
	_check_writing(form, about)
	_check_settings(form)
	reports.check_request(command(), form)


def doctype() -> str | None:
	"""Return the DocType that the request is about, or None."""
	parts = frappe.request.path.strip("/").split("/") if getattr(frappe.local, "request", None) else []
	for start in (["api", "resource"], ["api", "v1", "resource"], ["api", "v2", "document"]):
		if parts[: len(start)] == start and len(parts) > len(start):
			return parts[len(start)]
	for name in DOCTYPES:
		value = frappe.form_dict.get(name)
		if isinstance(value, str) and value:
			return value
	return None


def command() -> str:
	"""Return the dotted name of the method that the request calls, or an empty text."""
	parts = frappe.request.path.strip("/").split("/")
	for start in (["api", "method"], ["api", "v1", "method"], ["api", "v2", "method"]):
		if parts[: len(start)] == start and len(parts) > len(start):
			return parts[len(start)]
	return str(frappe.form_dict.get("cmd") or "")


def doctype_of_list() -> str | None:
	"""Return the DocType of the rows, where the answer is a list that the core filters field by field."""
	form, about = frappe.form_dict, doctype()
	if any(name.startswith("expand") for name in form):
		return None  # rows of other DocTypes stand in these
	path = frappe.request.path.strip("/").split("/")
	is_list = path[:2] == ["api", "resource"] or "document" in path[:3] or command() in LISTS
	return about if is_list else None


def protected_fields_asked_for() -> frozenset[str]:
	return frappe.flags.gdpr_asked_for or frozenset()


# --- reading ------------------------------------------------------------------------------------------------


def _asks_for_fields() -> bool:
	return any(frappe.form_dict.get(name) for name in COLUMNS)


def _check_columns(form: dict, about: str | None) -> None:
	asked = set()
	protected = rules.protected_fields(about) if about else {}
	for parameter in COLUMNS:
		value = _parsed(form.get(parameter))
		for text in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
			if not isinstance(text, str):
				continue
			if "(" in text:
				# An expression tells something of the value without showing it.
				_refuse_if_hidden(text, about)
			asked |= {name for _of, name in _names_in(text, about) if name in protected}
			asked |= protected.keys() if text.strip("`").endswith("*") else set()
	if about and asked and _is_single(about):
		for name in asked:  # the core reads these without asking for levels
			_refuse_if_hidden(name, about)
	for parameter in EXPORTED:
		if form.get(parameter):
			form[parameter] = _without_hidden(form[parameter], about)
			asked |= _exported(form[parameter], about) & protected.keys()
	frappe.flags.gdpr_asked_for = frozenset(asked)


def _is_single(doctype: str) -> bool:
	return bool(frappe.db.exists("DocType", doctype) and frappe.get_meta(doctype).issingle)


def _without_hidden(export_fields: Any, about: str | None) -> Any:
	"""Take hidden fields out of what a template of Data Import is to hold; the core doesn't do it for tables
	and for a field that follows another."""
	wanted = _parsed(export_fields)
	if not isinstance(wanted, dict):
		return export_fields
	for table, names in wanted.items():
		of = _doctype_of_table(about, table)
		if of and isinstance(names, list):
			wanted[table] = [name for name in names if name not in rights.hidden_fields(of)]
	return json.dumps(wanted) if isinstance(export_fields, str) else wanted


def _exported(export_fields: Any, about: str | None) -> set[str]:
	wanted = _parsed(export_fields)
	names = wanted.get(about) if isinstance(wanted, dict) else None
	return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def _doctype_of_table(about: str | None, table: str) -> str | None:
	if not about or table == about:
		return about
	field = frappe.get_meta(about).get_field(table)
	return field.options if field else table if frappe.db.exists("DocType", table) else None


def _fields_of_filters(node: Any, about: str | None) -> Iterator[tuple[str | None, str]]:
	"""Yield DocType and field of each condition that says something, in all the forms that filters have."""
	if isinstance(node, dict):
		for field, value in node.items():
			if value not in (None, "", []):
				yield about, str(field)
	elif isinstance(node, list):
		if len(node) > 1 and all(isinstance(part, str) for part in node[:2]):
			yield (node[0], node[1]) if len(node) > 3 else (about, node[0])
		else:
			for part in node:
				yield from _fields_of_filters(part, about)
	elif isinstance(node, str) and node.startswith(("{", "[")):
		yield from _fields_of_filters(_parsed(node), about)


def _refuse_if_hidden(text: str, about: str | None) -> None:
	for of, name in _names_in(text, about):
		if name in default_fields:
			continue
		if name in (rights.hidden_fields(of) if of else rights.hidden_names()):
			_refuse(of, name)


def _names_in(text: str, about: str | None) -> Iterable[tuple[str | None, str]]:
	"""Return each name in an SQL-like text with the DocType it is of: `tabCustomer`.tax_id,
	customer.tax_id."""
	for prefix, name in WORD.findall(text):
		prefix = prefix.strip("`")
		if not prefix:
			yield about, name
		elif prefix.startswith("tab") and (of := prefix[3:].strip()) and frappe.db.exists("DocType", of):
			yield of, name
		else:
			yield _linked(about, prefix), name
			yield about, prefix


def _linked(about: str | None, fieldname: str) -> str | None:
	field = about and frappe.db.exists("DocType", about) and frappe.get_meta(about).get_field(fieldname)
	return field.options if field and field.fieldtype in ("Link", *rules.TABLES) else None


def _refuse(doctype: str | None, fieldname: str) -> None:
	field = doctype and frappe.get_meta(doctype).get_field(fieldname)
	frappe.throw(
		_(
			"{0} is protected, so you can't show, filter, sort, group or calculate by it. {1} says who may."
		).format(frappe.bold(_(field.label) if field else fieldname), _("Sensitive Field")),
		FieldProtected,
		title=_("Protected Field"),
	)


def _check_lists_of_the_website(form: dict, about: str | None) -> None:
	"""Portal lists take every parameter that is the name of a field for a filter. Which DocType a page lists
	isn't known yet, so there it is left out."""
	if command().endswith(("www.list.get", "www.list.get_list_data")):
		for name in form:
			_refuse_if_hidden(name, about)
	elif not frappe.request.path.startswith("/api/") and not form.get("cmd"):
		for name in rights.hidden_names() & form.keys():
			form.pop(name)


# --- settings that hold a question --------------------------------------------------------------------------


def _check_settings(form: dict) -> None:
	"""Charts and cards keep their filters; who shows one asks it. The preview of a Webhook shows a record."""
	if command().endswith("dashboard_chart.get"):
		chart = _parsed(form.get("chart")) or {}
		name = form.get("chart_name") or chart.get("chart_name") or chart.get("name")
		if name and frappe.db.exists("Dashboard Chart", name):
			_refuse_setting(frappe.get_doc("Dashboard Chart", name).as_dict())
		_refuse_setting({"doctype": "Dashboard Chart"} | dict(chart))
	if command().endswith("auto_repeat.generate_message_preview"):
		_refuse_preview(form.get("name"))
	for parameter in ("doc", "docs"):
		value = _parsed(form.get(parameter))
		for doc in value if isinstance(value, list) else [value]:
			if isinstance(doc, dict):
				_refuse_setting(doc)


def _refuse_preview(name: Any) -> None:
	found = frappe.db.get_value(
		"Auto Repeat", {"name": str(name)}, ["reference_doctype", "subject", "message"], as_dict=True
	)
	if found:
		text = f"{found.subject} {found.message}"
		for field in rights.hidden_fields(found.reference_doctype):
			if re.search(rf"\b{field}\b", text):
				_refuse(found.reference_doctype, field)


def _refuse_setting(doc: dict) -> None:
	about = doc.get("document_type")
	if doc.get("doctype") in ("Dashboard Chart", "Number Card") and about:
		for parameter in ("filters_json", "dynamic_filters_json"):
			for of, field in _fields_of_filters(_parsed(doc.get(parameter)), about):
				_refuse_if_hidden(field, of)
		for parameter in ("group_by_based_on", "aggregate_function_based_on", "based_on", "value_based_on"):
			if doc.get(parameter):
				_refuse_if_hidden(doc[parameter], about)
	if doc.get("doctype") == "Webhook" and doc.get("preview_document"):
		for name in rights.hidden_fields(doc.get("webhook_doctype") or ""):
			_refuse(doc["webhook_doctype"], name)


# --- writing ------------------------------------------------------------------------------------------------


def _check_writing(form: dict, about: str | None) -> None:
	"""Refuse a request that names a locked field to set it, even to nothing. What a whole document holds is
	compared with what is stored when it is saved (`documents.has_permission`)."""
	if not about or not (locked := rights.locked_fields(about)):
		return
	named: Iterable[str] = ()
	if command() == "frappe.client.set_value":
		value = _parsed(form.get("fieldname"))
		named = value if isinstance(value, dict) else [value]
	elif frappe.request.method in ("PUT", "PATCH") and frappe.request.path.startswith("/api/"):
		body = _parsed(form.get("data"))
		named = {*form, *(body if isinstance(body, dict) else ())}
	elif command().endswith("bulk_update.submit_cancel_or_update_docs"):
		named = _parsed(form.get("data")) or ()
	for name in locked.intersection(name for name in named if isinstance(name, str)):
		refuse_writing(about, name)


def refuse_writing(doctype: str, fieldname: str) -> None:
	field = frappe.get_meta(doctype).get_field(fieldname)
	frappe.throw(
		_("You may not write {0} of {1}. Leave it out, and the rest is saved; {2} says who may.").format(
			frappe.bold(_(field.label)), _(doctype), _("Sensitive Field")
		),
		FieldProtected,
		title=_("Protected Field"),
	)


def _parsed(value: Any) -> Any:
	if isinstance(value, str) and value[:1] in ("{", "["):
		try:
			return json.loads(value)
		except ValueError:
			return value
	return value
