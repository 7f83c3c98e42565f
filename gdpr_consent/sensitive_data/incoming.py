"""The first door: nobody learns a protected value by asking around it, or writes one that isn't theirs.

Frappe v15 checks which fields are read, and not by which ones is filtered, sorted or grouped; who may filter
by a tax number finds it out letter by letter (FP-03). These parameters have the same names in all of
Frappe's doors, so they are checked before any of them opens.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import frappe
from frappe import _
from frappe.auth import validate_auth
from frappe.model import default_fields

from gdpr_consent.exceptions import ArgumentNotValid, FieldProtected
from gdpr_consent.sensitive_data import reports, rights, rules
from gdpr_consent.this_request import (
	DOCTYPES,
	DOCUMENTS,
	FILTERS,
	body,
	command,
	doctype,
	doctypes,
	documents,
	parsed,
	resource_of_rows,
	settings,
)

ORDERS = (
	"order_by",
	"group_by",
	"sort_field",
	"sort_by",
	"sort_order",
	"searchfield",
	"field",
	"stats",
	"field_map",
)
COLUMNS = ("fields", "fieldname", "fields_to_fetch")
EXPORTED = ("export_fields", "select_columns")
# In these the name of a field says nothing: what is read is filtered, what is written is compared.
HARMLESS = (*COLUMNS, *EXPORTED, *FILTERS, *DOCUMENTS, "txt", "value", "reason", "data")
#: What stands in a field that nobody has filled in.
NOTHING = (None, "", 0, "0", "0.0")
LISTS = (
	"frappe.client.get_list",
	"frappe.client.get_value",
	"frappe.client.get",
	"frappe.desk.reportview.get",
	"frappe.desk.reportview.get_list",
	"frappe.client.validate_link",
	"frappe.client.validate_link_and_fetch",
)
OF_REPORTS = ("frappe.desk.query_report.", "frappe.core.doctype.prepared_report.prepared_report.")
WORD = re.compile(r"(?:(`tab[^`]+`|`?\w+`?)\s*\.\s*)?`?(\w+)`?")


def check_request() -> None:
	"""Hook `before_request`.

	Raises:
		FieldProtected: a filter, an order, a group or an expression names a field that the user may not
			see, or the request sets one that the user may not write
	"""
	frappe.flags.gdpr_asked_for = frozenset()
	if not rules.all_rules().fields:
		return
	validate_auth()  # Frappe reads a token only after this hook, and would find who asks to be a guest
	if frappe.session.user == "Administrator" and not _asks_for_fields():
		return
	try:
		_check_form(frappe.form_dict)
	except RecursionError:  # unread, so unchecked, so it doesn't pass
		told = _("The request has lists within lists, too many to read. Make it flat.")
		frappe.throw(told, ArgumentNotValid)


def _check_form(form: frappe._dict) -> None:
	about = doctypes()
	for known in rules.all_rules().permissions.keys() & about:
		rules.meta_of(known)  # before Frappe asks its cache what the user may do
	for parameter in FILTERS:
		for of, text in _texts_of_filters(parsed(form.get(parameter)), about):
			_refuse_if_hidden(text, of)
	for parameter in ORDERS:
		for _of, text in _texts_of_filters([parsed(form.get(parameter))], ()):
			_refuse_if_hidden(text, about)
	_check_names(form, about)
	_check_lists_of_the_website(form)
	_check_columns(form)
	_check_writing(form, about)
	_check_documents()
	_check_settings(form)
	reports.check_request(command(), form)


def doctype_of_list() -> str | None:
	"""Return the DocType of the rows, where the answer is a list that the core filters field by field."""
	form = frappe.form_dict
	if "run_method" in form or any(name.startswith("expand") for name in form):
		return None  # rows of other DocTypes stand in these
	if command():
		of_list = form.get("doctype") if command() in LISTS else None
		return of_list if isinstance(of_list, str) else None
	return resource_of_rows() or None


def protected_fields_asked_for() -> frozenset[str]:
	return frappe.flags.gdpr_asked_for or frozenset()


# --- reading ------------------------------------------------------------------------------------------------


def _asks_for_fields() -> bool:
	return any(frappe.form_dict.get(name) for name in COLUMNS)


def _check_columns(form: dict) -> None:
	about = doctype()
	asked: set[str] = set()
	if about in rules.all_rules().whole and any(form.get(name) for name in (*COLUMNS, *EXPORTED)):
		asked = {rules.WHOLE_RECORD}
	protected = rules.protected_fields(about) if about else {}
	for parameter in COLUMNS:
		value = parsed(form.get(parameter))
		for column in value if isinstance(value, list) else [value]:
			if isinstance(column, str):
				names = {name for _of, name in _names_in(column, about)}
				# An expression tells something of the value without showing it, and the core doesn't know a
				# column by another spelling.
				if "(" in column or any(name != fold(name) for _prefix, name in WORD.findall(column)):
					_refuse_if_hidden(column, doctypes())
				asked |= protected.keys() if column.strip("`").endswith("*") else names & protected.keys()
			elif command() != "frappe.client.set_value":  # which writes its dict
				for of, text in _texts_of_column(column):
					_refuse_if_hidden(text, of)
					asked |= {name for _of, name in _names_in(text, about)} & protected.keys()
	if about and asked - {rules.WHOLE_RECORD} and _is_single(about):
		_refuse_if_hidden(" ".join(asked), about)  # the core reads these without asking for levels
	for parameter in EXPORTED:
		if form.get(parameter):
			form[parameter] = _without_hidden(form[parameter], about)
			asked |= _exported(form[parameter], about) & protected.keys()
	frappe.flags.gdpr_asked_for = frozenset(asked)


def _check_names(form: dict, about: tuple[str, ...]) -> None:
	"""Refuse a parameter that is the name of a hidden field: whatever the method does with it, it reads
	it."""
	others = form.keys() - {*HARMLESS, *DOCTYPES}
	for parameter in others:
		if isinstance(
			form[parameter], dict | list
		):  # which the core takes for filters, also in place of a name
			for of, text in _texts_of_filters(form[parameter], about):
				if " " not in text.strip():
					_refuse_if_hidden(text, of)
	hidden = frozenset().union(*(rights.hidden_fields(doctype) for doctype in about))
	if not hidden:
		return
	for parameter in others:
		value = parsed(form[parameter])
		for text in value if isinstance(value, list) else [value]:
			if isinstance(text, str) and fold(text) in hidden:
				_refuse_if_hidden(text, about)


def _is_single(doctype: str) -> bool:
	return bool(frappe.db.exists("DocType", doctype) and frappe.get_meta(doctype).issingle)


def _without_hidden(export_fields: Any, about: str | None) -> Any:
	"""Take hidden fields out of what a template of Data Import is to hold; the core doesn't do it for tables
	and for a field that follows another."""
	wanted = parsed(export_fields)
	if not isinstance(wanted, dict):
		return export_fields
	for table, names in wanted.items():
		of = _doctype_of_table(about, table)
		if of and isinstance(names, list):
			wanted[table] = [name for name in names if name not in rights.hidden_fields(of)]
	return json.dumps(wanted) if isinstance(export_fields, str) else wanted


def _exported(export_fields: Any, about: str | None) -> set[str]:
	wanted = parsed(export_fields)
	names = wanted.get(about) if isinstance(wanted, dict) else None
	return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def _doctype_of_table(about: str | None, table: str) -> str | None:
	if not about or table == about:
		return about
	field = frappe.get_meta(about).get_field(table)
	return field.options if field else table if frappe.db.exists("DocType", table) else None


def _texts_of_column(column: Any) -> Iterator[tuple[tuple[str, ...], str]]:
	"""Yield what a column names that isn't a text: v16 takes functions and rows of a table as dicts,
	{"MAX": "tax_id"} and {"items": ["qty"]}, and both versions take a list or a dict for filters."""
	about = doctypes()
	for key, value in column.items() if isinstance(column, dict) else ():
		linked = (_linked(doctype, str(key)) for doctype in about)
		yield about, str(key)
		yield from _texts_of_filters([value], (*about, *filter(None, linked)))
	if isinstance(column, list):
		yield from _texts_of_filters(column, about)


def _texts_of_filters(node: Any, about: Iterable[str]) -> Iterator[tuple[tuple[str, ...], str]]:
	"""Yield every text of filters, in all the forms that these have, with the DocTypes that it may be about.
	A value is a text too: the core takes one that stands alone for SQL."""
	if isinstance(node, dict):
		for field, value in node.items():
			# A report takes no notice of a filter that is empty, and its form sends all that it has.
			if value not in (None, "", []) or not command().startswith(OF_REPORTS):
				yield tuple(about), str(field)
				yield from _texts_of_filters([value], about)
	elif isinstance(node, list):
		named = (part for part in node if isinstance(part, str) and part in rules.all_rules().fields)
		within = tuple(dict.fromkeys((*about, *named)))
		for part in node:
			if isinstance(part, str) and not part.lstrip().startswith(("{", "[")):
				yield within, part
			else:
				yield from _texts_of_filters(part, within)
	elif isinstance(node, str) and node.lstrip().startswith(("{", "[")) and not isinstance(parsed(node), str):
		yield from _texts_of_filters(parsed(node), about)


def fold(name: str) -> str:
	"""Return a name as MariaDB compares names of columns: without regard to case."""
	return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()


def _refuse_if_hidden(text: str, about: str | Iterable[str] | None) -> None:
	candidates = (about,) if isinstance(about, str) or about is None else tuple(about) or (None,)
	for candidate in candidates:
		for of, name in _names_in(text, candidate):
			hidden = rights.hidden_fields(of) if of else rights.hidden_names()
			if name in hidden and name not in default_fields:
				refuse(of, name)


def _names_in(text: str, about: str | None) -> Iterator[tuple[str | None, str]]:
	"""Yield each name in an SQL-like text with the DocType it is of: `tabCustomer`.tax_id,
	customer.tax_id."""
	for prefix, name in WORD.findall(text):
		prefix = prefix.strip("` ")
		if prefix.startswith("tab") and frappe.db.exists("DocType", prefix[3:]):
			yield prefix[3:], fold(name)
		else:
			if prefix:
				yield _linked(about, prefix), fold(name)
				yield about, fold(prefix)
			yield about, fold(name)


def _linked(about: str | None, fieldname: str) -> str | None:
	field = about and frappe.db.exists("DocType", about) and frappe.get_meta(about).get_field(fieldname)
	return field.options if field and field.fieldtype in ("Link", *rules.TABLES) else None


def refuse(doctype: str | None, fieldname: str) -> None:
	label = rules.bold_label(doctype, fieldname) if doctype else frappe.bold(fieldname)
	frappe.throw(
		_(
			"{0} is protected, so you can't show, filter, sort, group or calculate by it. {1} says who may."
		).format(label, _("Sensitive Field")),
		FieldProtected,
		title=_("Protected Field"),
	)


def _check_lists_of_the_website(form: dict) -> None:
	"""Portal lists take every parameter that is the name of a field for a filter. Which DocType a page lists
	isn't known yet, so there it is left out."""
	if command().endswith(("www.list.get", "www.list.get_list_data")):
		for name in form:
			_refuse_if_hidden(name, doctypes())
		for about in doctypes():
			for name in rights.hidden_fields(about):
				if frappe.get_meta(about).get_field(name).in_list_view:
					refuse(about, name)  # each row shows it
	elif not frappe.request.path.startswith("/api/") and not form.get("cmd"):
		for name in [name for name in form if fold(name) in rights.hidden_names()]:
			form.pop(name)


# --- settings that hold a question --------------------------------------------------------------------------


def _check_settings(form: dict) -> None:
	"""Charts and cards keep their filters; who shows one asks it. The preview of a Webhook shows a record."""
	if command().endswith("dashboard_chart.get"):
		chart = parsed(form.get("chart"))
		of_chart = (chart.get("chart_name"), chart.get("name")) if isinstance(chart, dict) else ()
		for name in filter(None, (form.get("chart_name"), *of_chart)):  # what is kept for one counts, too
			_check_is_name("chart_name", name)
			if frappe.db.exists("Dashboard Chart", name):
				_refuse_setting(frappe.get_doc("Dashboard Chart", name).as_dict())
	if command().endswith("auto_repeat.generate_message_preview"):
		_refuse_preview(form.get("name"))
	for doc in settings():
		_refuse_setting(doc)


def _refuse_preview(name: Any) -> None:
	found = frappe.db.get_value(
		"Auto Repeat", {"name": str(name)}, ["reference_doctype", "subject", "message"], as_dict=True
	)
	if found:
		text = f"{found.subject} {found.message}"
		for field in rights.hidden_fields(found.reference_doctype):
			if re.search(rf"\b{field}\b", text):
				refuse(found.reference_doctype, field)


SHOW_A_RECORD = (
	("Webhook", "webhook_doctype", "preview_document"),
	("Audit Trail", "doctype_name", "document"),
)


def _refuse_setting(doc: dict) -> None:
	about = doc.get("document_type")
	if isinstance(about, str):  # whatever it says that it is: the core doesn't look, and computes
		for parameter in ("filters_json", "dynamic_filters_json"):
			for of, text in _texts_of_filters(parsed(doc.get(parameter)), [about]):
				_refuse_if_hidden(text, of)
		for parameter in ("group_by_based_on", "aggregate_function_based_on", "based_on", "value_based_on"):
			if doc.get(parameter):
				_refuse_if_hidden(str(doc[parameter]), about)
	refuse_record_to_show(doc)


def refuse_record_to_show(doc: Any) -> None:
	for shown_by, parameter, chosen in SHOW_A_RECORD:
		if doc.get("doctype") == shown_by and doc.get(chosen):
			refuse_if_it_hides(doc.get(parameter))


def refuse_if_it_hides(doctype: Any) -> None:
	"""Refuse to make something of a record as a whole.

	Raises:
		FieldProtected: the user may not see all fields of the DocType.
	"""
	for name in rights.hidden_fields(doctype) if isinstance(doctype, str) else ():
		refuse(doctype, name)


# --- writing ------------------------------------------------------------------------------------------------


def _check_writing(form: dict, about: tuple[str, ...]) -> None:
	"""Refuse a request that names a locked field to set it, even to nothing."""
	named: Iterable[str] = ()
	if command() == "frappe.client.set_value":
		value = parsed(form.get("fieldname"))
		named = value if isinstance(value, dict) else [value]
	elif frappe.request.method in ("PUT", "PATCH") and frappe.request.path.startswith("/api/"):
		named = {*form, *body()}
	elif command().endswith("bulk_update.submit_cancel_or_update_docs"):
		named = parsed(form.get("data")) or ()
	for of in about:
		for name in rights.locked_fields(of).intersection(fold(str(name)) for name in named):
			refuse_writing(of, name)


def _check_documents() -> None:
	"""Refuse a document that brings a value of a field that its sender may neither see nor write, right or
	wrong, so that the answer tells nothing of what is stored. Forms send such a field empty, or as a new
	document has it. What a Web Form asks for, anybody may tell it of themselves."""
	asked_for = _asked_for_by_a_web_form()
	for document, is_new in documents():
		_check_is_name("name", document.get("name"))
		for about, part in _with_rows(document):
			for name in sorted(rights.hidden_fields(about) & rights.locked_fields(about)):
				value = part.get(name)
				may_be_new = is_new and (
					str(value) == str(frappe.new_doc(about).get(name))
					or (part is document and name in asked_for)
				)
				if value not in NOTHING and not may_be_new:
					refuse_writing(about, name)


def _asked_for_by_a_web_form() -> frozenset[str]:
	form = frappe.form_dict.get("web_form")
	if not command().endswith("web_form.accept") or not isinstance(form, str):
		return frozenset()
	rows = {"parent": form, "parenttype": "Web Form"}
	return frozenset(frappe.get_all("Web Form Field", rows, pluck="fieldname"))


def _check_is_name(parameter: str, value: Any) -> None:
	"""The core takes a dict or a list for a question by which to look for the record."""
	if isinstance(value, dict | list):
		told = _("{0} has to be the name of one record.").format(frappe.bold(parameter))
		frappe.throw(told, ArgumentNotValid)


def _with_rows(document: dict) -> Iterator[tuple[str, dict]]:
	about = document["doctype"]
	yield about, document
	if any(about in parents for parents in rules.all_rules().tables.values()):
		for field in frappe.get_meta(about).get_table_fields():
			rows = document.get(field.fieldname)
			yield from (
				(field.options, row)
				for row in (rows if isinstance(rows, list) else ())
				if isinstance(row, dict)
			)


def refuse_writing(doctype: str, fieldname: str) -> None:
	frappe.throw(
		_("You may not write {0} of {1}. Leave it out, and the rest is saved; {2} says who may.").format(
			rules.bold_label(doctype, fieldname), _(doctype), _("Sensitive Field")
		),
		FieldProtected,
		title=_("Protected Field"),
	)
