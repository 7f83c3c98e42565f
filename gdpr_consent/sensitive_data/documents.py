"""What happens to documents that hold protected fields: when they are written, printed, mapped and
versioned."""

import json
from collections.abc import Iterator
from typing import Any

import frappe
from frappe import _
from frappe.utils import cint

from gdpr_consent import this_request
from gdpr_consent.exceptions import ConsentError, FieldProtected
from gdpr_consent.sensitive_data import access_log, incoming, redaction, reports, rights, rules, templates

V16 = int(frappe.__version__.split(".")[0]) >= 16
SHORTEST_SECRET = 4  # what is shorter stands in other fields by chance
ALLOWED = True if V16 else None  # on v15 an answer ends the questions, so others wouldn't be asked


def has_permission(doc: Any, ptype: str | None = None, user: str | None = None, **_more: Any) -> bool | None:
	"""Hook for all DocTypes: refuse a document that holds another value of a locked field than is stored.

	Frappe would put the stored value back without a word, and the user would believe that it was saved. It
	asks here before it does that. What the request itself brings of a hidden field was refused before
	(`incoming`), whatever is stored: here are values that the server has put together.
	"""
	if doc.doctype == "File":
		return _may_read_file(doc)
	if doc.doctype == "Prepared Report" and _downloads_a_file():
		return False if reports.holds_hidden_columns(doc.name) else ALLOWED
	if doc.doctype in HISTORIES:
		return False if _tells_hidden(doc, user) else ALLOWED
	if ptype == "print" and isinstance(doc, frappe.model.document.Document):
		redaction.empty(doc)  # core's newer printing renders margins of it before anything of ours is asked
	is_asked = ptype in ("write", "create") and not frappe.flags.gdpr_asks_the_others
	if is_asked and isinstance(doc, frappe.model.document.Document):
		_refuse_foreign_values(doc, ptype, user)
	return ALLOWED


def _downloads_a_file() -> bool:
	"""The core asks for the rights to what a file is attached to, and not for those to the file."""
	path = frappe.request.path if getattr(frappe.local, "request", None) else ""
	return path.startswith("/private/files/") or this_request.command().endswith("download_file")


def _refuse_foreign_values(doc: Any, ptype: str, user: str | None) -> None:
	tables = [field.options for field in doc.meta.get_table_fields()]
	if not any(rules.protected_fields(part) for part in (doc.doctype, *tables)):
		return
	for part in (doc, *doc.get_all_children()):
		hidden = rights.hidden_fields(part.doctype, user)
		locked = sorted(rights.locked_fields(part.doctype, user))
		held = {name: part.get(name) for name in locked}
		wanted = {
			name: value
			for name, value in held.items()
			if value is not None and not (name in hidden and value in incoming.NOTHING)
		}
		if not wanted:
			continue
		stored = _stored(part, [*wanted], user)
		for name, value in wanted.items():
			if _text(_cast(part, name, value)) not in stored[name] and _others_allow(doc, ptype, user):
				incoming.refuse_writing(part.doctype, name)


def _others_allow(doc: Any, ptype: str, user: str | None) -> bool:
	"""Frappe asks here before it looks at roles, shares and User Permissions. Who may not write the record is
	told nothing of what it holds."""
	frappe.flags.gdpr_asks_the_others = True
	try:
		return frappe.has_permission(doc.doctype, ptype, doc, user)
	finally:
		frappe.flags.gdpr_asks_the_others = False


def _cast(part: Any, name: str, value: Any) -> Any:
	"""A browser sends 10 for 10.0, and a date as text."""
	return part.cast(value, part.meta.get_field(name))


def _stored(part: Any, names: list[str], user: str | None) -> dict[str, set[str]]:
	"""Return by field which values it may have without having been written by the user."""
	row = None
	if part.get("name") and not part.is_new():
		if part.meta.issingle:
			row = {name: frappe.db.get_single_value(part.doctype, name) for name in names}
		else:
			row = _row(part.doctype, part.name, names)
	if row:
		return {name: {_text(_cast(part, name, row[name]))} for name in names}
	blank = frappe.new_doc(part.doctype)
	original = _row(part.doctype, part.get("amended_from"), names)
	if original and not frappe.has_permission(part.doctype, "read", part.amended_from, user):
		original = None
	return {
		name: {"", "0", "0.0"}  # what an empty field is in a new document
		| {
			_text(_cast(part, name, value))
			for value in (blank.get(name), _source(part, name), original and original[name])
		}
		for name in names
	}


def _row(doctype: str, name: Any, fields: list[str]) -> dict[str, Any] | None:
	"""Read a record by what may have come from outside: the database takes a dict for a question."""
	is_name = name and isinstance(name, str | int)
	return frappe.db.get_value(doctype, name, fields, as_dict=True) if is_name else None


def _text(value: Any) -> str:
	return "" if value is None else str(value)


def _source(doc: Any, name: str) -> Any:
	"""Return the value that a field is a copy of."""
	link, _dot, source = rules.protected_fields(doc.doctype)[name].copy_of.partition(".")
	field = doc.meta.get_field(link)
	if not source or not field or not doc.get(link) or not frappe.get_meta(field.options).has_field(source):
		return None
	row = _row(field.options, doc.get(link), [source])
	return row and row[source]


def validate(doc: Any, _method: str | None = None) -> None:
	"""Fill copies that only a browser would fill; keep special categories empty without a ground (FP-04)."""
	if doc.doctype in ("Property Setter", "Custom Field"):
		_refuse_to_make_searchable(doc)
	if doc.doctype == "Milestone Tracker" and doc.track_field in rules.protected_fields(doc.document_type):
		incoming.refuse(doc.document_type, doc.track_field)
	if doc.doctype in templates.RENDERED:
		_refuse_template_that_reads_more(doc)
	if doc.doctype == "Data Import":
		_refuse_to_import_hidden(doc)
	incoming.refuse_record_to_show(doc)
	protected = rules.protected_fields(doc.doctype)
	if not protected:
		return
	locked = rights.locked_fields(doc.doctype)
	for name, rule in protected.items():
		link = rule.copy_of.partition(".")[0]
		if name in locked and link and (doc.is_new() or doc.has_value_changed(link)):
			doc.set(name, _source(doc, name))
		if rule.sensitivity == "Special Category" and not rule.condition:
			_refuse_without_condition(doc, name)


def _refuse_to_import_hidden(doc: Any) -> None:
	"""An import that would change nothing says so: it compares its file with what is stored."""
	if not (doc.import_file or doc.google_sheets_url) or not rights.hidden_anywhere():
		return
	for column in doc.get_importer().import_file.header.columns:
		field = None if column.skip_import else column.df
		if field and field.fieldname in rights.hidden_fields(field.parent):
			incoming.refuse_writing(field.parent, field.fieldname)


def _refuse_to_make_searchable(doc: Any) -> None:
	"""A search finds a value letter by letter, and shows it beside what it finds."""
	doctype = doc.get("doc_type") or doc.get("dt")
	names = rules.protected_fields(doctype)
	searched: set[str] = set()
	if doc.doctype == "Custom Field" and doc.in_global_search:
		searched = {doc.fieldname}
	elif doc.get("property") in ("search_fields", "title_field"):
		searched = {name.strip() for name in (doc.value or "").split(",")}
	elif doc.get("property") == "in_global_search" and cint(doc.value):
		searched = {doc.field_name}
	for name in searched & names.keys():
		frappe.throw(
			_(
				"{0} is protected, so no search may find or show it. Take it out, or switch off {1} first."
			).format(
				rules.bold_label(doctype, name),
				frappe.bold(rules.name_of(doctype, name)),
			),
			ConsentError,
			title=_("Protected Field"),
		)


def _refuse_template_that_reads_more(doc: Any) -> None:
	"""Who may not see a value may not write a template that fetches it past the document it is given."""
	before = doc.get_doc_before_save()
	known = {text for _part, _field, text in _templates_in(before)} if before else set()
	for part, field, text in _templates_in(doc):
		if text not in known and templates.reads_more(text) and rights.hidden_anywhere():
			frappe.throw(
				_(
					"{0} reads the database, and so could show what you may not see. Use fields of the "
					"record, such as {1}, or ask somebody who may see protected fields."
				).format(rules.bold_label(part.doctype, field), "doc.name"),
				FieldProtected,
				title=_("Protected Field"),
			)


def _templates_in(doc: Any) -> Iterator[tuple[Any, str, str]]:
	for part in (doc, *doc.get_all_children()):
		for field in part.meta.fields:
			text = part.get(field.fieldname)
			if field.fieldtype in rules.TEXT_TYPES and isinstance(text, str) and templates.are_in(text):
				yield part, field.fieldname, text


def _refuse_without_condition(doc: Any, name: str) -> None:
	before = doc.get_doc_before_save()
	if doc.get(name) and (not before or _text(before.get(name)) != _text(doc.get(name))):
		frappe.throw(
			_(
				"{0} holds data of a special category (Art. 9 GDPR). Choose the condition that allows it in "
				"{1} first."
			).format(rules.bold_label(doc.doctype, name), _("Sensitive Field")),
			ConsentError,
		)


def before_print(doc: Any, _method: str | None = None, *_args: Any) -> None:
	"""Empty what the readers of a print may not see, and write down who printed the rest."""
	redaction.empty(doc)
	if doc.doctype in rules.all_rules().whole:
		access_log.record("Print", doc.doctype, [rules.WHOLE_RECORD], [doc.name])
		frappe.local.flags.commit = True  # prints are asked for by GET, too
	for part_doctype in {part.doctype for part in (doc, *doc.get_all_children())}:
		fields = [
			name
			for name in rules.protected_fields(part_doctype)
			if any(part.get(name) for part in (doc, *doc.get_all_children()) if part.doctype == part_doctype)
		]
		if fields:
			access_log.record("Print", part_doctype, fields, [doc.name])
			frappe.local.flags.commit = True  # prints are asked for by GET, too


def consent_before_print(doc: Any) -> str:
	"""For the templates of core's newer printing, which runs no `before_print`."""
	before_print(doc)
	return ""


def after_mapping(doc: Any, _method: str | None, source: Any) -> None:
	"""Take out of a new document what was copied from fields that the user may not see or write: the
	server fills true copies when it is saved."""
	hidden = rights.hidden_fields(source.doctype) | rights.locked_fields(source.doctype)
	values = {_text(source.get(name)) for name in hidden if len(_text(source.get(name))) >= SHORTEST_SECRET}
	for part in (doc, *doc.get_all_children()):
		out_of_reach = rights.hidden_fields(part.doctype) | rights.locked_fields(part.doctype)
		for field in part.meta.get_valid_columns():
			if field in out_of_reach or (isinstance(part.get(field), str) and part.get(field) in values):
				part.set(field, None)


# --- histories ----------------------------------------------------------------------------------------------

HISTORIES = {"Version": "ref_doctype", "Deleted Document": "deleted_doctype"}


def mask_version(doc: Any, _method: str | None = None) -> None:
	"""Keep in a Version that a protected field was changed, not from what to what (AU-09)."""
	data = json.loads(doc.data or "{}")
	if not isinstance(data, dict):
		return
	names = rules.protected_fields(doc.ref_doctype).keys()
	in_rows = {name for table in rules.all_rules().tables for name in rules.protected_fields(table)}
	if redaction.mask_version(data, names, in_rows):
		doc.data = frappe.as_json(data)


def _tells_hidden(doc: Any, user: str | None) -> bool:
	about = doc.get(HISTORIES[doc.doctype])
	if about in rights.closed_doctypes(user):
		return True
	names = rights.hidden_fields(about, user) if about else frozenset()
	data = json.loads(doc.get("data") or "{}")
	if doc.doctype == "Version":
		return bool(names) and isinstance(data, dict) and redaction.mask_version(data, names, names)
	return any(data.get(name) for name in names)


def history_conditions(user: str | None = None, doctype: str = "Version") -> str:
	"""Hook `permission_query_conditions`: leave out versions from before the app, and deleted documents, that
	tell a value which the user may not see."""
	hidden = rights.hidden_anywhere(user)
	of = f"`tab{doctype}`.`{HISTORIES[doctype]}`"
	parts = []
	for about, names in sorted(hidden.items()):
		texts = (frappe.db.escape(f"%{json.dumps(name)}%") for name in sorted(names))
		tells = " or ".join(f"`tab{doctype}`.data like {text}" for text in texts)
		parts.append(f"not ({of} = {frappe.db.escape(about)} and ({tells}))")
	parts += [f"{of} != {frappe.db.escape(closed)}" for closed in rights.closed_doctypes(user)]
	return " and ".join(parts)


# --- mail that is kept --------------------------------------------------------------------------------------


def mask_communication(doc: Any, _method: str | None = None) -> None:
	"""Take out of the copy of a mail that the timeline keeps what the mail said of protected fields: not
	everybody who reads the timeline was meant by it. What a person wrote themselves is masked once it is
	sent.
	"""
	if doc.communication_type == "Automated Message":
		for field in COPY_OF_MAIL:
			doc.set(field, redaction.mask_values(doc.get(field), doc.reference_doctype, doc.reference_name))


def mask_sent_communication(doc: Any, _method: str | None = None) -> None:
	"""Hook of Email Queue: the message is made, so its copy isn't needed for that any more."""
	if not doc.communication:
		return
	copy = frappe.db.get_value(
		"Communication",
		doc.communication,
		["reference_doctype", "reference_name", *COPY_OF_MAIL],
		as_dict=True,
	)
	if not copy or not rules.protected_fields(copy.reference_doctype or ""):
		return
	masked = {
		field: redaction.mask_values(copy[field], copy.reference_doctype, copy.reference_name)
		for field in COPY_OF_MAIL
	}
	changed = {field: text for field, text in masked.items() if text != copy[field]}
	if changed:
		frappe.db.set_value("Communication", doc.communication, changed, update_modified=False)


COPY_OF_MAIL = ("subject", "content", "text_content")


def _may_read_file(doc: Any) -> bool | None:
	prepared = doc.get("attached_to_doctype") == "Prepared Report" and doc.get("attached_to_name")
	return False if prepared and reports.holds_hidden_columns(doc.attached_to_name) else ALLOWED
