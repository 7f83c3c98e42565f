"""Proposes fields that look as if they should be protected: by their names, and because they are copies."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import frappe
from frappe import _
from frappe.query_builder.functions import Coalesce

from gdpr_consent.sensitive_data import rules
from gdpr_consent.sensitive_data.signs import SENSITIVE, SPECIAL, Sign, signs_in

TYPES = (*rules.TEXT_TYPES, "Date", "Select", "Attach", "Currency", "Float", "Int", "Link")
# The settings of the site and its software aren't about people.
MODULES_OF_THE_SITE = (
	"Core",
	"Custom",
	"Desk",
	"Email",
	"Integrations",
	"Printing",
	"Website",
	"Workflow",
	"GDPR Consent",
)
ABOUT_THE_COMPANY = ("Account", "Bank", "Branch", "Company", "Workstation", "Workstation Type")


class Field(NamedTuple):
	doctype: str
	fieldname: str
	label: str
	fieldtype: str
	options: str
	fetch_from: str


def find_candidates() -> list[dict[str, str]]:
	"""Return fields without a Sensitive Field, custom ones included, each with `reason`."""
	known = set(frappe.get_all("Sensitive Field", pluck="name"))
	found = []
	for field in _all_fields():
		if rules.name_of(field.doctype, field.fieldname) in known or field.doctype in known:
			continue
		if (source := _protected_source(field)) is not None:
			reason = _("A copy of {0} of {1}, which is protected.").format(source.label, _(source.doctype))
			found.append(_candidate(field, source.sensitivity, reason))
		elif sign := _sign_of(field):
			reason = _("Its name looks like {0}.").format(_(sign.means))
			if frappe.get_meta(field.doctype).get_field(field.fieldname).reqd:
				reason += " " + _("It must be filled in; make it optional in Customize Form first.")
			found.append(_candidate(field, sign.sensitivity, reason))
	return sorted(found, key=lambda one: (one["ref_doctype"], one["fieldname"]))


def _candidate(field: Field, sensitivity: str, reason: str) -> dict[str, str]:
	return {
		"ref_doctype": field.doctype,
		"fieldname": field.fieldname,
		"label": field.label or field.fieldname,
		"sensitivity": sensitivity,
		"reason": reason,
		"copy_of": field.fetch_from,
	}


def _sign_of(field: Field) -> Sign | None:
	if field.doctype in ABOUT_THE_COMPANY or field.fieldname.startswith("company_"):
		return None
	text = f"{field.fieldname} {frappe.scrub(field.label or '')}".lower()
	found = signs_in(text)
	# A link to a bank account isn't its number; a link to a religion says it.
	return next((sign for sign in found if field.fieldtype != "Link" or sign.sensitivity == SPECIAL), None)


class Source(NamedTuple):
	doctype: str
	label: str
	sensitivity: str


def _protected_source(field: Field) -> Source | None:
	link, _dot, source = (field.fetch_from or "").partition(".")
	if not source:
		return None
	meta = frappe.get_meta(field.doctype)
	linked = meta.get_field(link.strip())
	rule = (
		linked and linked.fieldtype == "Link" and rules.protected_fields(linked.options).get(source.strip())
	)
	if not rule:
		return None
	return Source(linked.options, frappe.get_meta(linked.options).get_label(source.strip()), rule.sensitivity)


def _all_fields() -> Iterator[Field]:
	of, custom, doctype = (frappe.qb.DocType(name) for name in ("DocField", "Custom Field", "DocType"))
	looked_at = (
		(doctype.issingle == 0) & (doctype.is_virtual == 0) & doctype.module.notin(MODULES_OF_THE_SITE)
	)
	for table, parent in ((of, of.parent), (custom, custom.dt)):
		query = (
			frappe.qb.from_(table)
			.join(doctype)
			.on(doctype.name == parent)
			.select(
				parent,
				table.fieldname,
				table.label,
				table.fieldtype,
				Coalesce(table.options, ""),
				Coalesce(table.fetch_from, ""),
			)
			.where(looked_at & table.fieldtype.isin(TYPES))
		)
		yield from (Field(*row) for row in query.run())


def add_candidates(candidates: list[dict[str, str]]) -> list[str]:
	"""Make a Sensitive Field of each proposal, or of none."""
	return [_add(candidate) for candidate in candidates]


def _add(candidate: dict[str, str], **more: str) -> str:
	doc = frappe.get_doc(
		doctype="Sensitive Field",
		ref_doctype=candidate.get("ref_doctype"),
		fieldname=candidate.get("fieldname"),
		sensitivity=candidate.get("sensitivity") or SENSITIVE,
		found_because=candidate.get("reason"),
		copy_of=candidate.get("copy_of"),
		why_kept=candidate.get("why_kept") or _("Not said yet."),
		enabled=1,
	)
	return doc.insert().name


# --- copies -------------------------------------------------------------------------------------------------


def protect_new_copies(doc: Any = None, _method: str | None = None) -> None:
	"""Protect fields that are filled from a protected field, with the same viewers and editors. A copy that
	nobody protects would tell the value to everybody.

	Hook of Custom Field and Property Setter, through which a field gets its source.
	"""
	if frappe.flags.in_uninstall or not rules.all_rules().fields:
		return
	if doc is not None and not (doc.get("fetch_from") or doc.get("property") == "fetch_from"):
		return
	for field, source in unprotected_copies():
		_protect_copy(field, source)


def forget_field(doc: Any, _method: str | None = None) -> None:
	"""Hook of Custom Field: a field that is deleted takes its rule along."""
	rule = rules.name_of(doc.dt, doc.fieldname)
	if not frappe.flags.in_uninstall and frappe.db.exists("Sensitive Field", rule):
		frappe.delete_doc("Sensitive Field", rule, ignore_permissions=True)  # who deletes the field may


def unprotected_copies() -> list[tuple[Field, Source]]:
	"""Return fields that are filled from a protected field and have no Sensitive Field of their own."""
	known = set(frappe.get_all("Sensitive Field", pluck="name"))
	fetched = [
		field
		for field in _fetched_fields()
		if rules.name_of(field.doctype, field.fieldname) not in known and field.doctype not in known
	]
	return [(field, source) for field in fetched if (source := _protected_source(field))]


def _fetched_fields() -> Iterator[Field]:
	yield from (field for field in _all_fields() if field.fetch_from)
	for setter in frappe.get_all(
		"Property Setter", {"property": "fetch_from"}, ["doc_type", "field_name", "value"]
	):
		field = frappe.get_meta(setter.doc_type).get_field(setter.field_name)
		if field and setter.value:
			yield Field(
				setter.doc_type, field.fieldname, field.label, field.fieldtype, field.options, setter.value
			)


def _protect_copy(field: Field, source: Source) -> None:
	fetched = field.fetch_from.partition(".")[2].strip()
	original = frappe.get_doc("Sensitive Field", rules.name_of(source.doctype, fetched))
	copy = frappe.get_doc(
		doctype="Sensitive Field",
		ref_doctype=field.doctype,
		fieldname=field.fieldname,
		sensitivity=original.sensitivity,
		article_9_condition=original.article_9_condition,
		why_kept=original.why_kept,
		copy_of=field.fetch_from,
		found_because=_("A copy of {0} of {1}, which is protected.").format(source.label, _(source.doctype)),
		enabled=1,
	)
	for table in ("viewers", "editors", "revealers"):
		copy.set(table, [{"role": row.role} for row in original.get(table)])
	copy.insert(ignore_permissions=True)  # whoever adds a copy doesn't decide who may see the original
