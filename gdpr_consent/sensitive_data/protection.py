"""Puts Sensitive Fields in force by Frappe's own means, a permission level and roles that have it, and takes
it back exactly. What the site had before is in Sensitive Data Change; what an administrator changed since,
stays.
"""

import json
from collections.abc import Iterable
from typing import Any

import frappe
from frappe import _
from frappe.permissions import setup_custom_perms
from frappe.utils.global_search import rebuild_for_doctype

from gdpr_consent.custom_fields import MODULE
from gdpr_consent.sensitive_data import rules

JOURNAL = "Sensitive Data Change"
PROPERTY, ADDED, REMOVED, COPIED = "Property", "Permission Added", "Permission Removed", "Permissions Copied"
RIGHTS_OF_VIEWERS = ("read", "report", "export", "print", "email")
RIGHTS_OF_EDITORS = (*RIGHTS_OF_VIEWERS, "write", "create", "delete", "submit", "cancel", "amend", "share")
COPIED_COLUMNS = {"name", "creation", "modified", "modified_by", "owner", "docstatus", "idx"}


def put_in_force(doctype: str) -> None:
	"""Make the permissions of a DocType those that its Sensitive Fields ask for."""

	def forget() -> None:
		rules.forget()
		frappe.clear_cache(doctype=doctype)
		frappe.cache.delete_value("bootinfo")  # of all users: it names the fields that forms show as dots

	# Another process may read the old state until we commit, and keep it; or keep ours if we roll back.
	frappe.db.after_commit.add(forget)
	frappe.db.after_rollback.add(forget)
	rules.forget()
	take_back(doctype)
	if not frappe.db.exists("DocType", doctype):
		return
	enabled = frappe.get_all(
		"Sensitive Field",
		{"ref_doctype": doctype, "enabled": 1, "sensitivity": ["!=", "General"]},
		["name", "fieldname", "permlevel"],
		order_by="name",
	)
	for rule in enabled:
		if rule.fieldname:
			_protect_field(doctype, rule)
		else:
			_protect_whole(doctype, rule)
	frappe.clear_cache(doctype=doctype)
	rules.forget()
	show_states(doctype)


def show_states(doctype: str | None = None) -> list[tuple[str, str]]:
	"""Write the state of each Sensitive Field, and return those that aren't in force, with the reason."""
	problems = []
	for rule in frappe.get_all(
		"Sensitive Field",
		{"ref_doctype": doctype} if doctype else {},
		["name", "ref_doctype", "fieldname", "sensitivity", "permlevel", "enabled", "state", "state_reason"],
	):
		state, reason = "Off", ""
		if rule.enabled:
			reason = _why_not_in_force(rule) if rule.sensitivity != "General" else ""
			state = "Not in Force" if reason else "In Force"
		if reason:
			problems.append((rule.name, reason))
		if (state, reason) != (rule.state, rule.state_reason or ""):
			values = {"state": state, "state_reason": reason}
			frappe.db.set_value("Sensitive Field", rule.name, values, update_modified=False)
	return problems


def _why_not_in_force(rule: Any) -> str:
	if not frappe.db.exists("DocType", rule.ref_doctype):
		return _("The site has no DocType {0}.").format(rule.ref_doctype)
	meta = frappe.get_meta(rule.ref_doctype)
	if not rule.fieldname:
		viewers = set(rules.roles_of(rule.name, "viewers"))
		others = _roles_that_read(rule.ref_doctype, 0) - viewers
		return (
			_("Others may read {0} too: {1}. Take the right away in Role Permissions Manager.").format(
				_(rule.ref_doctype), ", ".join(sorted(others))
			)
			if others
			else ""
		)
	field = meta.get_field(rule.fieldname)
	if not field:
		return _("{0} has no field {1} any more.").format(_(rule.ref_doctype), rule.fieldname)
	if (field.permlevel or 0) != rule.permlevel:
		return _(
			"Somebody set its permission level to {0} in Customize Form; it has to be {1}. Save this record "
			"to set it."
		).format(field.permlevel or 0, rule.permlevel)
	parents = rules.parents_of(rule.ref_doctype) if meta.istable else [rule.ref_doctype]
	viewers = rules.roles_of(rule.name, "viewers")
	if any(not _roles_that_read(parent, rule.permlevel) & {*viewers} for parent in parents):
		return _(
			"Nobody may see it: Role Permissions Manager has taken the right from its roles. Save this "
			"record to give it back."
		)
	searched = (meta.get("search_fields") or "").replace(" ", "").split(",")
	if field.get("in_global_search") or rule.fieldname in searched:
		return _("A search finds it. Take it out of search fields and global search in Customize Form.")
	return ""


def _roles_that_read(doctype: str, level: int) -> set[str]:
	"""Not asked of the meta, which knows no custom permissions while an app is being installed."""
	kind = "Custom DocPerm" if frappe.db.exists("Custom DocPerm", {"parent": doctype}) else "DocPerm"
	return {row["role"] for row in _rows(kind, {"parent": doctype, "permlevel": level}) if row["read"]}


# --- doing --------------------------------------------------------------------------------------------------


def _protect_field(doctype: str, rule: Any) -> None:
	meta = frappe.get_meta(doctype)
	field = meta.get_field(rule.fieldname)
	if not field:
		return
	_set_property(doctype, rule.fieldname, "permlevel", "Int", str(rule.permlevel))
	if field.get("in_global_search"):
		_set_property(doctype, rule.fieldname, "in_global_search", "Check", "0")
		_index_again(doctype)
	searched = [name.strip() for name in (meta.get("search_fields") or "").split(",") if name.strip()]
	if rule.fieldname in searched:
		rest = ",".join(name for name in searched if name != rule.fieldname)
		_set_property(doctype, None, "search_fields", "Data", rest)
		frappe.clear_cache(doctype=doctype)
	viewers, editors = rules.roles_of(rule.name, "viewers"), rules.roles_of(rule.name, "editors")
	for parent in rules.parents_of(doctype) if meta.istable else [doctype]:
		_copy_permissions(doctype, parent)
		for role in viewers:
			_allow(doctype, parent, role, rule.permlevel, {"read": 1, "write": int(role in editors)})


def _protect_whole(doctype: str, rule: Any) -> None:
	_copy_permissions(doctype, doctype)
	viewers, editors = rules.roles_of(rule.name, "viewers"), rules.roles_of(rule.name, "editors")
	for row in _rows("Custom DocPerm", {"parent": doctype, "permlevel": 0}):
		_note(doctype, REMOVED, before=row)
		frappe.db.delete("Custom DocPerm", {"name": row["name"]})
	for role in viewers:
		rights = RIGHTS_OF_EDITORS if role in editors else RIGHTS_OF_VIEWERS
		if not frappe.get_meta(doctype).is_submittable:
			rights = tuple(right for right in rights if right not in ("submit", "cancel", "amend"))
		_allow(doctype, doctype, role, 0, dict.fromkeys(rights, 1))


def _set_property(doctype: str, fieldname: str | None, name: str, kind: str, value: str) -> None:
	before = _property_setter(doctype, fieldname, name)
	if before and before["value"] == value:
		return  # an administrator had the same idea
	if before:
		frappe.db.delete("Property Setter", {"name": before["name"]})
	setter = frappe.get_doc(
		doctype="Property Setter",
		doctype_or_field="DocField" if fieldname else "DocType",
		doc_type=doctype,
		field_name=fieldname,
		property=name,
		property_type=kind,
		value=value,
		module=MODULE,
		is_system_generated=1,
	)
	setter.flags.validate_fields_for_doctype = False
	setter.insert(ignore_permissions=True)  # who may change a Sensitive Field may do this
	_note(doctype, PROPERTY, fieldname=fieldname, property=name, before=before, after={"value": value})


def _copy_permissions(doctype: str, parent: str) -> None:
	if setup_custom_perms(parent):
		_note(doctype, COPIED, after={"parent": parent})


def _allow(doctype: str, parent: str, role: str, level: int, rights: dict[str, int]) -> None:
	row = {"parent": parent, "role": role, "permlevel": level, "if_owner": 0}
	if frappe.db.exists("Custom DocPerm", row):
		return  # another field of the level has brought it, or an administrator has
	off = dict.fromkeys(("read", "write", "export", "print", "email", "report", "share"), 0)
	permission = frappe.get_doc(doctype="Custom DocPerm", **row | off | rights)
	permission.insert(ignore_permissions=True)  # as above
	_note(doctype, ADDED, after={"name": permission.name})


def _note(
	doctype: str,
	kind: str,
	fieldname: str | None = None,
	property: str | None = None,
	before: dict | None = None,
	after: dict | None = None,
) -> None:
	now = frappe.utils.now()
	position = frappe.db.count(JOURNAL, {"ref_doctype": doctype})
	values = {
		"name": frappe.generate_hash(length=16),
		"creation": now,
		"modified": now,
		"owner": frappe.session.user,
		"modified_by": frappe.session.user,
		"idx": position,
		"ref_doctype": doctype,
		"kind": kind,
		"fieldname": fieldname,
		"property": property,
		"before": json.dumps(before, default=str) if before else None,
		"after": json.dumps(after) if after else None,
	}
	frappe.db.bulk_insert(JOURNAL, [*values], [[*values.values()]])


# --- taking back --------------------------------------------------------------------------------------------


def take_back(doctype: str) -> None:
	"""Give a DocType back what it had before, but for what an administrator changed since."""
	still_needed = undo(_rows(JOURNAL, {"ref_doctype": doctype}))
	frappe.db.delete(JOURNAL, {"ref_doctype": doctype, "name": ["not in", still_needed or [""]]})


def journal() -> list[dict]:
	"""Return all that was changed at the site, for the uninstallation, which loses our tables first."""
	return _rows(JOURNAL, {}) if frappe.db.table_exists(JOURNAL) else []


def undo(changes: Iterable[dict]) -> list[str]:
	"""Take back changes, the last one first. Return the names of those that somebody else still needs: a
	copy of the standard permissions that holds more than these."""
	touched, still_needed = set(), []
	for change in sorted(changes, key=lambda row: (row["ref_doctype"], row["idx"]), reverse=True):
		before = json.loads(change["before"]) if change["before"] else None
		after = json.loads(change["after"]) if change["after"] else {}
		touched.add(change["ref_doctype"])
		match change["kind"]:
			case "Property":
				_undo_property(change, before, after)
			case "Permission Added":
				frappe.db.delete("Custom DocPerm", {"name": after["name"]})
			case "Permission Removed":
				if not frappe.db.exists("Custom DocPerm", before["name"]):
					_insert_row("Custom DocPerm", before)
			case "Permissions Copied":
				touched.add(after["parent"])
				if _same_as_standard(after["parent"]):
					frappe.db.delete("Custom DocPerm", {"parent": after["parent"]})
				else:
					still_needed.append(change["name"])
	for doctype in touched:
		frappe.clear_cache(doctype=doctype)
	return still_needed


def _undo_property(change: dict, before: dict | None, after: dict) -> None:
	now = _property_setter(change["ref_doctype"], change["fieldname"], change["property"])
	# After an uninstallation ours is gone with the module, and nobody can tell that from an administrator's
	# reset: then the site gets what it had.
	if now and now["value"] != after["value"]:
		return
	if now:
		frappe.db.delete("Property Setter", {"name": now["name"]})
	if before:
		_insert_row("Property Setter", before)
	if change["property"] == "in_global_search":
		_index_again(change["ref_doctype"])


def _same_as_standard(doctype: str) -> bool:
	def comparable(permissions: list[dict], columns: set[str]) -> list[str]:
		return sorted(
			json.dumps({name: row[name] or 0 for name in columns}, sort_keys=True, default=str)
			for row in permissions
		)

	standard = _rows("DocPerm", {"parent": doctype})
	custom = _rows("Custom DocPerm", {"parent": doctype})
	if not custom or not standard:
		return not custom
	columns = ({*standard[0]} & {*custom[0]}) - COPIED_COLUMNS
	return comparable(standard, columns) == comparable(custom, columns)


def _property_setter(doctype: str, fieldname: str | None, name: str) -> dict | None:
	rows = _rows("Property Setter", {"doc_type": doctype, "property": name})
	return next((row for row in rows if (row["field_name"] or None) == (fieldname or None)), None)


def _rows(doctype: str, filters: dict) -> list[dict]:
	table = frappe.qb.DocType(doctype)
	query = frappe.qb.from_(table).select("*").orderby(table.creation, table.idx, table.name)
	for column, value in filters.items():
		query = query.where(table[column] == value)
	return [dict(row) for row in query.run(as_dict=True)]


def _insert_row(doctype: str, row: dict) -> None:
	"""Put a row back as it was, its dates included."""
	table = frappe.qb.DocType(doctype)
	frappe.qb.into(table).columns(*row).insert(*row.values()).run()


def _index_again(doctype: str) -> None:
	frappe.enqueue(rebuild_for_doctype, doctype=doctype, enqueue_after_commit=True, queue="long")
