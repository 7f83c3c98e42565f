"""The personal-data map: which DocTypes hold data about whom, and what each right does there (DS-10, DS-16).

The map of Frappe and ERPNext stands in `shipped_map`. An app or a site adds to it, or changes it, by the hook
`gdpr_personal_data`: the dotted path of a list of Holdings, or of a function that returns one. A holding
takes the place of the shipped one of its DocType.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple

import frappe
from frappe import _
from frappe.model.meta import Meta

from gdpr_consent.exceptions import MapNotValid

HOOK = "gdpr_personal_data"
ALWAYS = frozenset({"name", "parent", "parenttype", "parentfield", "owner", "modified_by"})
PARTIES = frozenset({"Contact", "Lead", "Customer", "Prospect"})
TEXTS = frozenset({"Data", "Small Text", "Text", "Long Text", "Text Editor", "Code", "Read Only"})
ADDRESS_WORDS = ("email", "mobile", "phone", "whatsapp")


class Erasure(str, Enum):
	"""What becomes of the rows of a DocType that are about a person who is erased."""

	DELETE = "Delete"
	ANONYMISE = "Anonymise"
	KEEP = "Keep"
	REDACT = "Redact"


class By(str, Enum):
	"""How a row is somebody's."""

	ITSELF = "itself"  # the record that stands for the person
	LINK = "link"  # a field names such a record
	DYNAMIC = "dynamic link"  # two fields name such a record, or a document found before this one
	TABLE = "table"  # its table of Dynamic Links names such records, and nobody else's
	ADDRESS = "address"  # a field holds one of the addresses
	ADDRESSES = "addresses"  # a field holds several, or headers
	PARENT = "parent"  # it belongs to a document found before
	MENTION = "mention"  # a text mentions an address or the name


class Way(NamedTuple):
	"""One way to find the rows of a DocType that are about a person.

	`in_passing`: the row is about somebody or something else and names the person, as an enquiry of a company
	names its contact. Such a row isn't deleted or kept as a whole: its `emptied` fields are.
	"""

	by: By
	field: str = "name"
	names: str = ""  # of a link: its DocType. Of a dynamic link: the field with it. Of a parent: its DocType
	in_passing: bool = False


@dataclass(frozen=True)
class Holding:
	"""One DocType that holds data about people."""

	doctype: str
	found_by: tuple[Way, ...]  # the strongest first
	fields: tuple[str, ...] | None = None  # personal fields; None = all that the DocType has
	erasure: Erasure = Erasure.DELETE
	kept_because: str = ""  # the law, for Keep
	portable: tuple[str, ...] = ()  # what the person provided, under consent or contract (Art. 20)
	purpose: str = ""  # Processing Purpose (title of the seeds) that the data serve
	others: tuple[str, ...] = ()  # fields with other people's data or staff names: masked in access
	given_out: bool = True  # part of an access package (tokens, passwords and keys never are)
	emptied: tuple[str, ...] = ()  # fields that an erasure empties where the row stays

	@property
	def is_person(self) -> bool:
		return any(way.by == By.ITSELF for way in self.found_by)

	@property
	def personal_fields(self) -> set[str]:
		"""Every field that the holding says something about."""
		fields = {*(self.fields or ()), *self.emptied, *self.portable, *self.others}
		for way in self.found_by:
			fields |= {way.field} | ({way.names} if way.by == By.DYNAMIC else set())
		return fields - {""}


def holdings() -> list[Holding]:
	"""Return the map of this site, in an order in which each DocType comes after those it is found by.

	Raises:
		MapNotValid: a holding of the hook names what doesn't exist, or keeps data without saying why.
	"""
	from gdpr_consent.rights import shipped_map

	found = {one.doctype: one for one in map(_as_installed, shipped_map.holdings()) if one}
	for path in frappe.get_hooks(HOOK):
		said = frappe.get_attr(path)
		for one in said() if callable(said) else said:
			_check(one, path)
			found[one.doctype] = one
	return list(found.values())


def holding_of(doctype: str) -> Holding | None:
	"""Return what the map says of one DocType."""
	return next((one for one in holdings() if one.doctype == doctype), None)


def _as_installed(one: Holding) -> Holding | None:
	"""Return a shipped holding with the fields that this version has, None if it hasn't the DocType."""
	meta = _meta(one.doctype)
	if not meta:
		return None

	def there(fields: Iterable[str]) -> tuple[str, ...]:
		return tuple(field for field in fields if _has(meta, field))

	ways = tuple(way for way in one.found_by if not _missing_in(way, meta))
	if not ways:
		return None
	return replace(
		one,
		found_by=ways,
		fields=None if one.fields is None else there(one.fields),
		portable=there(one.portable),
		others=there(one.others),
		emptied=there(one.emptied),
	)


def _meta(doctype: str) -> Meta | None:
	"""Return the meta of a DocType that has a table of its own."""
	if not frappe.db.exists("DocType", doctype):
		return None
	meta = frappe.get_meta(doctype)
	return None if meta.issingle or meta.get("is_virtual") else meta


def _has(meta: Meta, field: str) -> bool:
	return field in ALWAYS or bool(meta.get_field(field))


def _missing_in(way: Way, meta: Meta) -> str | None:
	"""Name what a way needs and the site hasn't."""
	if way.by == By.LINK and not frappe.db.exists("DocType", way.names):
		return way.names
	if way.by == By.DYNAMIC and not _has(meta, way.names):
		return way.names
	if way.by == By.PARENT and way.names and not frappe.db.exists("DocType", way.names):
		return way.names
	return None if way.by in (By.TABLE, By.PARENT) or _has(meta, way.field) else way.field


def _check(one: Holding, path: str) -> None:
	def refuse(why: str) -> None:
		raise MapNotValid(_("Hook {0}, {1}: {2}").format(HOOK, path, why))

	if not isinstance(one, Holding):
		refuse(_("{0} is no Holding.").format(frappe.utils.escape_html(repr(one))[:100]))
	meta = _meta(one.doctype)
	if not meta:
		refuse(_("DocType {0} doesn't exist, or has no table.").format(one.doctype))
	missing = [field for field in sorted(one.personal_fields) if not _has(meta, field)]
	missing += [name for way in one.found_by if (name := _missing_in(way, meta))]
	if missing:
		refuse(_("{0} has no {1}.").format(one.doctype, ", ".join(dict.fromkeys(missing))))
	if not one.found_by:
		refuse(_("{0} says no way to find anybody's rows.").format(one.doctype))
	if one.erasure == Erasure.KEEP and not one.kept_because:
		refuse(_("{0} is kept, and kept_because names no law.").format(one.doctype))


# --- what the map doesn't know of ---------------------------------------------------------------------------


def uncovered() -> list[dict[str, str]]:
	"""List the Email, Phone and party-link fields of the site that no holding covers.

	Returns:
		`doctype`, `field`, `why`. What is known to be nobody's, such as the company's own telephone, isn't
		listed: see `shipped_map.NOBODYS`.
	"""
	from gdpr_consent.rights.shipped_map import NOBODYS

	covered = {one.doctype: one for one in holdings()}
	fields, parents = _fields(), _parents()
	found = []
	for doctype in frappe.get_all(
		"DocType", {"is_virtual": 0, "issingle": 0}, pluck="name", order_by="name", limit=0
	):
		for field, why in _suspects(fields.get(doctype, {})):
			if f"{doctype}.{field}" in NOBODYS or doctype in NOBODYS:
				continue
			if not _is_covered(doctype, field, covered, parents):
				found.append({"doctype": doctype, "field": field, "why": why})
	return found


def _fields() -> dict[str, dict[str, Any]]:
	"""Return the fields of each DocType by name; the meta of all of them would take many queries."""
	found: dict[str, dict[str, Any]] = {}
	for kind, column in (("DocField", "parent"), ("Custom Field", "dt")):
		for field in frappe.get_all(
			kind,
			fields=[f"{column} as doctype", "fieldname", "fieldtype", "options"],
			order_by="idx",
			limit=0,
		):
			found.setdefault(field.doctype, {})[field.fieldname] = field
	return found


def _is_covered(doctype: str, field: str, covered: dict[str, Holding], parents: dict[str, set[str]]) -> bool:
	one = covered.get(doctype)
	if one:
		return one.fields is None or field in one.personal_fields
	# A row of a table goes with its document.
	owners = [covered.get(parent) for parent in parents.get(doctype, ())]
	return bool(owners) and all(owner and owner.fields is None for owner in owners)


def _parents() -> dict[str, set[str]]:
	"""Return, for each DocType that is a table, the documents that it is a table of."""
	found: dict[str, set[str]] = {}
	for kind in ("DocField", "Custom Field"):
		column = "parent" if kind == "DocField" else "dt"
		for parent, child in frappe.get_all(
			kind,
			{"fieldtype": ["in", ["Table", "Table MultiSelect"]]},
			[column, "options"],
			as_list=True,
			limit=0,
		):
			found.setdefault(child, set()).add(parent)
	return found


def _suspects(fields: dict[str, Any]) -> Iterable[tuple[str, str]]:
	"""Name the fields of a DocType that by their kind are likely to hold data about a person."""
	for field in fields.values():
		if field.fieldtype == "Phone" or (
			field.fieldtype == "Data" and field.options in ("Email", "Phone", "Name")
		):
			yield field.fieldname, f"{field.fieldtype}: {field.options or field.fieldtype}"
		elif field.fieldtype == "Link" and field.options in PARTIES:
			yield field.fieldname, f"Link: {field.options}"
		elif field.fieldtype == "Dynamic Link" and _may_name_a_party(fields, field.options):
			yield field.fieldname, f"Dynamic Link: {field.options}"
		elif field.fieldtype in TEXTS and any(word in field.fieldname for word in ADDRESS_WORDS):
			yield field.fieldname, f"{field.fieldtype}: {field.fieldname}"


def _may_name_a_party(fields: dict[str, Any], type_field: str) -> bool:
	kind = fields.get(type_field)
	if not kind or kind.fieldtype == "Link":
		return True
	return bool(PARTIES & set((kind.options or "").split("\n"))) or kind.fieldtype not in ("Select",)
