"""Which fields are protected: the Sensitive Fields that are switched on, read once and cached."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import frappe
from frappe import _

from gdpr_consent import shared_cache
from gdpr_consent.exceptions import ConsentError
from gdpr_consent.sensitive_data.signs import signs_in

VIEWER, EDITOR = "Sensitive Data Viewer", "Sensitive Data Editor"
SENSITIVE_ROLES = (VIEWER, EDITOR)
LEVELS = {"Sensitive": 7, "Special Category": 8}
SPARE_LEVELS = (9, 6, 5, 4, 3, 2)  # for other groups of viewers and editors
CACHE = "gdpr_consent_protected_fields"
TEXT_TYPES = (
	"Data",
	"Read Only",
	"Small Text",
	"Text",
	"Long Text",
	"Text Editor",
	"Code",
	"HTML Editor",
	"Markdown Editor",
	"JSON",
	"Password",
	"Phone",
)
NOT_A_VALUE = ("Section Break", "Column Break", "Tab Break", "HTML", "Button", "Fold", "Heading", "Image")
TABLES = ("Table", "Table MultiSelect")


class Rule(NamedTuple):
	"""One protected field, as Python needs it."""

	sensitivity: str
	condition: str
	may_leave_site: bool
	revealers: tuple[str, ...]
	copy_of: str
	#: The name alone tells what it is, so it is hidden even where nobody knows of which DocType a value is.
	known_by_name: bool


WHOLE_RECORD = "*"  # in place of fieldnames, where a DocType is protected as a whole


class Rules(NamedTuple):
	fields: dict[str, dict[str, Rule]]
	tables: dict[str, list[str]]  # of a child table, the DocTypes that have it
	whole: tuple[str, ...]  # DocTypes that are protected as a whole
	permissions: dict[str, tuple]  # of these and of those that have such a table: who may see and write what


NO_RULES = Rules({}, {}, (), {})


def name_of(doctype: str, fieldname: str | None) -> str:
	return f"{doctype}-{fieldname}" if fieldname else doctype


def bold_label(doctype: str, fieldname: str) -> str:
	"""Return the label of a field for a message, which is HTML."""
	return frappe.bold(frappe.utils.escape_html(_(frappe.get_meta(doctype).get_label(fieldname))))


def all_rules() -> Rules:
	return shared_cache.get(CACHE, _read)


def forget() -> None:
	shared_cache.forget(CACHE)


def meta_of(doctype: str) -> Any:
	"""Return the meta of a DocType as the rules know it.

	Frappe caches metas, and a transaction that takes long may put back one from before a change. Such a one,
	which may not know that a field is protected, is thrown away here (FP-02).
	"""
	meta = frappe.get_meta(doctype)
	known = all_rules().permissions.get(doctype)
	if known is None or known == _permissions_in(meta, all_rules().fields) or _sees_what_others_do_not():
		return meta
	if _read_anew_for().get(doctype) != known:
		shared_cache.forget_now(CACHE)
		_read_anew_for()[doctype] = all_rules().permissions.get(doctype)
	return frappe.get_meta(doctype)


def _sees_what_others_do_not() -> bool:
	"""While an app is being installed, metas lack custom permissions; a transaction sees what it writes."""
	return bool(frappe.flags.in_install or frappe.flags.in_patch or frappe.db.transaction_writes)


def _read_anew_for() -> dict[str, tuple | None]:
	"""Return for which permissions each DocType was read anew. Once is enough: an app may change metas."""
	frappe.flags.setdefault("gdpr_read_anew_for", {})
	return frappe.flags.gdpr_read_anew_for


def _permissions_in(meta: Any, fields: dict[str, dict[str, Rule]]) -> tuple:
	protected = (meta.get_field(name) for name in fields.get(meta.name, ()))
	levels = {field.fieldname: field.permlevel or 0 for field in protected if field}
	roles = {(row.role, row.permlevel or 0, bool(row.read), bool(row.write)) for row in meta.permissions}
	return levels, roles


def protected_fields(doctype: str) -> dict[str, Rule]:
	return all_rules().fields.get(doctype, {})


def known_names() -> frozenset[str]:
	"""Return the names that tell by themselves that a value is protected."""
	return frozenset(
		name for fields in all_rules().fields.values() for name, rule in fields.items() if rule.known_by_name
	)


def doctypes_known_by_their_own_name() -> frozenset[str]:
	"""Return the DocTypes that are protected as a whole, or have a protected field whose name may be anything
	elsewhere, such as message."""
	return frozenset(all_rules().whole) | {
		doctype
		for doctype, fields in all_rules().fields.items()
		if not all(rule.known_by_name for rule in fields.values())
	}


def _read() -> Rules:
	if not frappe.db.table_exists("Sensitive Field"):
		return NO_RULES  # while the app is being installed or removed
	rows = frappe.get_all("Sensitive Field", {"enabled": 1, "sensitivity": ["!=", "General"]}, ["*"])
	rows = [row for row in rows if frappe.db.exists("DocType", row.ref_doctype)]
	metas = {doctype: frappe.get_meta(doctype, cached=False) for doctype in {row.ref_doctype for row in rows}}
	revealers: dict[str, list[str]] = {}
	for row in frappe.get_all(
		"Sensitive Field Role",
		{"parenttype": "Sensitive Field", "parentfield": "revealers"},
		["parent", "role"],
	):
		revealers.setdefault(row.parent, []).append(row.role)
	doctypes_by_name: dict[str, set[str]] = {}
	for row in rows:
		if row.fieldname:
			doctypes_by_name.setdefault(row.fieldname, set()).add(row.ref_doctype)
	fields: dict[str, dict[str, Rule]] = {}
	for row in rows:
		field = row.fieldname and metas[row.ref_doctype].get_field(row.fieldname)
		if field:
			fields.setdefault(row.ref_doctype, {})[row.fieldname] = Rule(
				row.sensitivity,
				row.article_9_condition or "",
				bool(row.may_leave_site),
				tuple(revealers.get(row.name, ())),
				row.copy_of or field.get("fetch_from") or "",
				any(signs_in(row.fieldname)) or not _used_elsewhere(row.fieldname, doctypes_by_name),
			)
	tables = {doctype: parents_of(doctype) for doctype in fields if metas[doctype].istable}
	for parent in {parent for parents in tables.values() for parent in parents} - metas.keys():
		metas[parent] = frappe.get_meta(parent, cached=False)
	permissions = {doctype: _permissions_in(meta, fields) for doctype, meta in metas.items()}
	return Rules(fields, tables, tuple(row.ref_doctype for row in rows if not row.fieldname), permissions)


def _used_elsewhere(fieldname: str, doctypes_by_name: dict[str, set[str]]) -> bool:
	elsewhere = {"fieldname": fieldname, "parent": ["not in", [*doctypes_by_name[fieldname]]]}
	custom = {"fieldname": fieldname, "dt": ["not in", [*doctypes_by_name[fieldname]]]}
	return bool(frappe.db.exists("DocField", elsewhere) or frappe.db.exists("Custom Field", custom))


def parents_of(table: str) -> list[str]:
	"""Return the DocTypes that have a child table."""
	own = {"options": table, "fieldtype": ["in", TABLES]}
	return sorted(
		{*frappe.get_all("DocField", own, pluck="parent"), *frappe.get_all("Custom Field", own, pluck="dt")}
	)


@lru_cache(maxsize=16)
def pattern(names: frozenset[str], doctypes: frozenset[str]) -> re.Pattern[bytes]:
	"""Find one of the names as a key of JSON, or a document of one of the DocTypes; also in JSON that stands
	in a text of JSON."""
	keys = _alternatives(names).encode()
	kinds = _alternatives(doctypes).encode()
	return re.compile(
		rb'"(?:'
		+ keys
		+ rb')"\s*:|\\"(?:'
		+ keys
		+ rb')\\"|\\?"doctype\\?"\s*:\s*\\?"(?:'
		+ kinds
		+ rb')\\?"',
		re.IGNORECASE,
	)


@lru_cache(maxsize=16)
def quoted(names: frozenset[str]) -> re.Pattern[str]:
	"""Find one of the names in a text that is JSON itself."""
	return re.compile(f'"(?:{_alternatives(names)})"', re.IGNORECASE)


def _alternatives(words: frozenset[str]) -> str:
	return "|".join(re.escape(word) for word in sorted(words)) or "(?!)"


# --- checking a rule before it is stored --------------------------------------------------------------------


def validate(doc: Any) -> None:
	"""Complete a Sensitive Field, or raise ConsentError and say what to do."""
	if doc.sensitivity != "Special Category":
		doc.article_9_condition = None
	if doc.fieldname:
		_validate_field(doc)
	elif doc.sensitivity != "General":
		_refuse_what_nobody_could_use(doc)
	for table, default in (("viewers", SENSITIVE_ROLES), ("editors", (EDITOR,))):
		if not doc.get(table):
			doc.set(table, [{"role": role} for role in default])
	editors = {row.role for row in doc.editors}
	for role in sorted(editors - {row.role for row in doc.viewers}):
		doc.append("viewers", {"role": role})  # who edits what they can't see overwrites it
	doc.permlevel = _level_for(doc) if doc.fieldname and doc.sensitivity != "General" else 0


def _validate_field(doc: Any) -> None:
	field = frappe.get_meta(doc.ref_doctype).get_field(doc.fieldname)
	if not field or field.fieldtype in NOT_A_VALUE:
		frappe.throw(
			_("{0} has no field {1} that holds a value. Take its name from Customize Form.").format(
				_(doc.ref_doctype), frappe.bold(frappe.utils.escape_html(doc.fieldname))
			),
			ConsentError,
		)
	doc.field_label = field.label or doc.fieldname
	if doc.enabled and doc.sensitivity != "General":
		_refuse_what_names_records(doc)
	if doc.enabled and doc.sensitivity != "General" and field.reqd and not field.default:
		frappe.throw(
			_(
				"{0} of {1} must be filled in, so who may not edit it could add no {1}. Make it optional in "
				"Customize Form first."
			).format(bold_label(doc.ref_doctype, doc.fieldname), _(doc.ref_doctype)),
			ConsentError,
		)


def _refuse_what_names_records(doc: Any) -> None:
	meta = frappe.get_meta(doc.ref_doctype)
	autoname = meta.autoname or ""
	if (
		doc.fieldname == meta.title_field
		or autoname == f"field:{doc.fieldname}"
		or f"{{{doc.fieldname}}}" in autoname
	):
		frappe.throw(
			_(
				"{0} is the title of {1}, or part of its name, and stands in every link to it. Choose "
				"another title or naming in Customize Form first."
			).format(bold_label(doc.ref_doctype, doc.fieldname), _(doc.ref_doctype)),
			ConsentError,
		)
	if frappe.db.exists(
		"Milestone Tracker", {"document_type": doc.ref_doctype, "track_field": doc.fieldname}
	):
		frappe.throw(
			_("A Milestone Tracker writes down the values of {0}. Delete it first.").format(
				bold_label(doc.ref_doctype, doc.fieldname)
			),
			ConsentError,
		)


def _refuse_what_nobody_could_use(doc: Any) -> None:
	if frappe.get_meta(doc.ref_doctype).istable:
		frappe.throw(
			_("{0} is a table in other DocTypes. Name one of its fields.").format(_(doc.ref_doctype)),
			ConsentError,
		)
	if doc.ref_doctype in ("User", "Role", "DocType", "Sensitive Field"):
		frappe.throw(
			_("{0} can't be protected as a whole: nobody could work any more.").format(_(doc.ref_doctype)),
			ConsentError,
		)


def _level_for(doc: Any) -> int:
	"""Give every group of viewers and editors a permission level of its own, the same in all DocTypes."""
	mine = _group(doc.sensitivity, (row.role for row in doc.viewers), (row.role for row in doc.editors))
	groups: dict[int, tuple] = {}
	for name, sensitivity, level in frappe.get_all(
		"Sensitive Field",
		{"name": ["!=", doc.name or ""], "permlevel": [">", 0]},
		["name", "sensitivity", "permlevel"],
		as_list=True,
	):
		groups.setdefault(level, _group(sensitivity, roles_of(name, "viewers"), roles_of(name, "editors")))
	others = _levels_of_others(doc.ref_doctype, doc.fieldname)
	wanted = [level for level, group in groups.items() if group == mine]
	for level in (*wanted, LEVELS[doc.sensitivity], *SPARE_LEVELS):
		if level not in others and groups.get(level, mine) == mine:
			return level
	frappe.throw(
		_("There are too many groups of viewers and editors for {0}. Use those of another field.").format(
			_(doc.ref_doctype)
		),
		ConsentError,
	)


def _group(sensitivity: str, viewers: Iterable[str], editors: Iterable[str]) -> tuple:
	return sensitivity, frozenset(viewers), frozenset(editors)


def roles_of(name: str, table: str) -> list[str]:
	return frappe.get_all(
		"Sensitive Field Role",
		{"parenttype": "Sensitive Field", "parent": name, "parentfield": table},
		pluck="role",
		order_by="idx",
	)


def _levels_of_others(doctype: str, fieldname: str) -> set[int]:
	"""Levels that somebody else uses in the DocType for something else."""
	rules = set(frappe.get_all("Sensitive Field", {"ref_doctype": doctype}, pluck="fieldname"))
	return {
		field.permlevel
		for field in frappe.get_meta(doctype).fields
		if field.permlevel and field.fieldname != fieldname and field.fieldname not in rules
	}
