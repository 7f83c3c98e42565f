"""Reads the records that a rule finds, thousands at a time, with Frappe's filters and the user's rights."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import frappe
from frappe.model.meta import Meta

from gdpr_consent import identity, proof, register
from gdpr_consent.bulk_update.rules import ADDRESS_LIST, Rule, readable_files
from gdpr_consent.clock import from_system_time
from gdpr_consent.register import Order, Subject

AT_ONCE = 5_000


class Found(NamedTuple):
	"""A record that a rule finds, as it is now: its addresses, its date (UTC) and its proof."""

	doctype: str
	name: str
	addresses: list[str]
	given_on: datetime | None
	evidence: str | None


def pages(rule: Rule, size: int = AT_ONCE) -> Iterator[list[Found]]:
	"""Yield what a rule finds among the records that the user may read."""
	last = ""
	while names := _names(rule, [[rule.doctype, "name", ">", last]], size):
		last = names[-1]["name"]
		yield _found(rule, names)


def among(rule: Rule, names: list[str]) -> dict[str, Found]:
	"""Return those of the records named that the rule still finds, and that the user may still read."""
	rows = _names(rule, [[rule.doctype, "name", "in", names]], len(names))
	return {found.name: found for found in _found(rule, rows)}


def _names(rule: Rule, more: list[list[Any]], size: int) -> list[dict[str, Any]]:
	fields = {"name", rule.address_field, rule.date_field, rule.evidence_field} - {None}
	return frappe.get_list(
		rule.doctype,
		filters=[*rule.filters, *more],
		fields=sorted(fields),
		order_by=f"`tab{rule.doctype}`.`name` asc",
		distinct=any(one[0] != rule.doctype for one in rule.filters),
		limit_page_length=size,
	)


def _found(rule: Rule, rows: list[dict[str, Any]]) -> list[Found]:
	names = [row["name"] for row in rows]
	if rule.linked_doctype:
		linked = _linked(rule, names)
		rows = [row for row in rows if row["name"] in linked]
		names = [row["name"] for row in rows]
	if rule.address_field:
		addresses = {row["name"]: identity.addresses_in(row[rule.address_field]) for row in rows}
		if rule.doctype == ADDRESS_LIST:
			hidden = _of_people_not_visible([one for theirs in addresses.values() for one in theirs])
			rows = [row for row in rows if hidden.isdisjoint(addresses[row["name"]])]
	else:
		addresses = identity.addresses_of_parties(rule.doctype, names) if names else {}
	return [
		Found(
			rule.doctype,
			row["name"],
			addresses.get(row["name"], []),
			_instant(rule, row),
			rule.evidence_file or (_text(row, rule.evidence_field) if rule.evidence_field else None),
		)
		for row in rows
	]


def _of_people_not_visible(addresses: list[str]) -> set[str]:
	"""Return the addresses that belong to people of whom the user may see none."""
	people = identity.people_at(addresses)
	named: dict[str, set[str]] = {}
	for person in {person for found in people.values() for person in found}:
		named.setdefault(person.party_type, set()).add(person.party)
	visible = {
		(doctype, name) for doctype, names in named.items() for name in _readable(doctype, sorted(names))
	}
	return {address for address, found in people.items() if found and visible.isdisjoint(found)}


def _readable(doctype: str, names: list[str]) -> list[str]:
	if not frappe.has_permission(doctype, "read"):
		return []
	return frappe.get_list(doctype, {"name": ["in", names]}, pluck="name", limit_page_length=0)


def _instant(rule: Rule, row: dict[str, Any]) -> datetime | None:
	if not rule.date_field:
		return rule.given_on
	value = row.get(rule.date_field)
	if rule.doctype == ADDRESS_LIST:
		return value  # in UTC already
	return from_system_time(value) if value else None


def _text(row: dict[str, Any], field: str) -> str | None:
	return (str(row.get(field) or "")).strip() or None


# --- linked records -----------------------------------------------------------------------------------------


def _linked(rule: Rule, names: list[str]) -> set[str]:
	"""Return which of the records are linked, in either direction, with a record that fits the filters."""
	if not names:
		return set()
	target, linked = frappe.get_meta(rule.doctype), frappe.get_meta(rule.linked_doctype)
	found: set[str] = set()
	for way in (_by_fields_of_target, _by_fields_of_linked, _by_links_of_target, _by_links_of_linked):
		found |= way(rule, names, target, linked)
	return found


def _fitting(rule: Rule, more: list[Any], field: str) -> set[str]:
	return set(
		frappe.get_list(
			rule.linked_doctype,
			filters=[*rule.linked_filters, *more],
			fields=[f"`tab{rule.linked_doctype}`.`{field}`"],
			distinct=True,
			limit_page_length=0,
			order_by=None,
			pluck=field,
		)
	)


def _by_fields_of_target(rule: Rule, names: list[str], target: Meta, linked: Meta) -> set[str]:
	found: set[str] = set()
	for field in _shown_fields(target, {"fieldtype": "Link", "options": linked.name}):
		pairs = frappe.get_all(
			target.name, {"name": ["in", names]}, ["name", field.fieldname], as_list=True, limit=0
		)
		found |= _via(rule, pairs)
	return found


def _via(rule: Rule, pairs: Iterable[tuple[str, str]]) -> set[str]:
	others = {other for _name, other in pairs if other}
	fitting = (
		_fitting(rule, [[rule.linked_doctype, "name", "in", sorted(others)]], "name") if others else set()
	)
	return {name for name, other in pairs if other in fitting}


def _shown_fields(meta: Meta, kind: dict[str, str]) -> list[Any]:
	"""Whom a record is linked with isn't found out through a field that isn't shown to the user (FP-03)."""
	shown = set(meta.get_permitted_fieldnames())
	return [field for field in meta.get("fields", kind) if field.fieldname in shown]


def _by_fields_of_linked(rule: Rule, names: list[str], target: Meta, linked: Meta) -> set[str]:
	found: set[str] = set()
	for field in _shown_fields(linked, {"fieldtype": "Link", "options": target.name}):
		found |= _fitting(rule, [[linked.name, field.fieldname, "in", names]], field.fieldname)
	for field in _shown_fields(linked, {"fieldtype": "Dynamic Link"}):
		kind = [linked.name, field.options, "=", target.name]
		found |= _fitting(rule, [kind, [linked.name, field.fieldname, "in", names]], field.fieldname)
	return found & set(names)


def _by_links_of_target(rule: Rule, names: list[str], target: Meta, linked: Meta) -> set[str]:
	links = {"parenttype": target.name, "parent": ["in", names], "link_doctype": linked.name}
	pairs = frappe.get_all("Dynamic Link", links, ["parent", "link_name"], as_list=True, limit=0)
	return _via(rule, pairs)


def _by_links_of_linked(rule: Rule, names: list[str], target: Meta, linked: Meta) -> set[str]:
	links = {"parenttype": linked.name, "link_doctype": target.name, "link_name": ["in", names]}
	pairs = frappe.get_all("Dynamic Link", links, ["link_name", "parent"], as_list=True, limit=0)
	return _via(rule, pairs)


# --- what the register is asked to do -----------------------------------------------------------------------


def orders_for(rule: Rule, found: list[Found], reason: str) -> list[Order]:
	"""Turn what was found into orders for the register, in the same order."""
	by_record = [identity.address_keys(one.addresses) for one in found]
	channel = rule.terms.scope.channel
	grades = _grades({one.evidence for one in found if one.evidence})
	orders = []
	for one, keys in zip(found, by_record, strict=True):
		addresses = {key: address for address, key in reversed(keys.items()) if key}
		main = next(
			(
				address
				for address, key in keys.items()
				if key and addresses[key] == address and register.reaches(channel, address)
			),
			"",
		)
		is_party = rule.doctype in identity.PARTY_TYPES
		evidence = one.evidence if grades.get(one.evidence) else None
		orders.append(
			Order(
				rule.action,
				rule.terms,
				rule.asked,
				reason,
				Subject(
					main,
					keys.get(main) or "",
					rule.doctype if is_party else None,
					one.name if is_party else None,
					addresses if rule.doctype in ("Contact", "Lead") else {},
					register.NOWHERE,
				),
				addresses,
				one.given_on,
				evidence,
				grades.get(evidence) or "D",
			)
		)
	return _with_places(orders)


def _with_places(orders: list[Order]) -> list[Order]:
	companies = {order.terms.rules.company for order in orders}
	places: dict[tuple[str, str | None, str | None], proof.Place] = {}
	for company in companies:
		about = [
			(order.subject.email, order.subject.party_type, order.subject.party)
			for order in orders
			if order.subject.key
		]
		places = dict(zip(about, proof.places_of(about, company), strict=True))
	return [
		order._replace(
			subject=order.subject._replace(
				place=places.get(
					(order.subject.email, order.subject.party_type, order.subject.party), register.NOWHERE
				)
			)
		)
		for order in orders
	]


def _grades(evidences: set[str]) -> dict[str | None, str]:
	"""Grade each proof: C a document that the user may read, D words. A document that isn't there is none."""
	files = {one for one in evidences if one.startswith(("/files/", "/private/files/"))}
	readable = readable_files(files) if files else set()
	words = {one for one in evidences - files if any(char.isalnum() for char in one)}
	return dict.fromkeys(words, "D") | dict.fromkeys(readable, "C")
