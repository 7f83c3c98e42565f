"""Who may see and write a protected field. Frappe's own permissions answer: the level of the field, and the
roles that have this level (FP-01, FP-02)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import frappe

from gdpr_consent.sensitive_data import rules

OUTSIDER = ""  # whoever has no account: a webhook, a mail address of somebody else


def hidden_fields(doctype: str, user: str | None = None) -> frozenset[str]:
	"""Return the protected fields of a DocType that the user, or somebody who reads along, may not see."""
	protected = rules.protected_fields(doctype)
	if not protected:
		return frozenset()
	readers = {user or frappe.session.user, *(frappe.flags.gdpr_read_also_by or ())}
	return frozenset().union(*(_beyond(doctype, protected, reader, "read") for reader in readers))


def locked_fields(doctype: str, user: str | None = None) -> frozenset[str]:
	"""Return the protected fields of a DocType that the user may not write."""
	protected = rules.protected_fields(doctype)
	return _beyond(doctype, protected, user or frappe.session.user, "write") if protected else frozenset()


def _beyond(doctype: str, protected: dict[str, rules.Rule], user: str, right: str) -> frozenset[str]:
	if user == "Administrator":
		return frozenset()
	if user == OUTSIDER:
		return frozenset(name for name, rule in protected.items() if not rule.may_leave_site)
	meta = rules.meta_of(doctype)
	parents = rules.all_rules().tables.get(doctype) or [None]
	for parent in filter(None, parents):
		rules.meta_of(parent)  # the next question takes it from Frappe's cache
	levels = set.intersection(
		*(set(meta.get_permlevel_access(right, parenttype=parent, user=user)) for parent in parents)
	)
	fields = (meta.get_field(name) for name in protected)
	return frozenset(
		field.fieldname for field in fields if field and (field.permlevel or 0) not in {0, *levels}
	)


def hidden_anywhere(user: str | None = None) -> dict[str, frozenset[str]]:
	"""Return by DocType what the user may not see."""
	hidden = {doctype: hidden_fields(doctype, user) for doctype in rules.all_rules().fields}
	return {doctype: names for doctype, names in hidden.items() if names}


def hidden_names(user: str | None = None) -> frozenset[str]:
	"""Return the names that are hidden where nobody knows which DocType a value is from."""
	return frozenset(
		name
		for doctype, names in hidden_anywhere(user).items()
		for name in names
		if rules.protected_fields(doctype)[name].known_by_name
	)


def closed_doctypes(user: str | None = None) -> list[str]:
	"""Return the DocTypes that are protected as a whole and that the user may not read."""
	whole = rules.all_rules().whole
	for doctype in whole:
		rules.meta_of(doctype)  # as above
	return [doctype for doctype in whole if not frappe.has_permission(doctype, user=user)]


@contextmanager
def read_also_by(readers: Iterable[str]) -> Iterator[None]:
	"""What is made inside the block is read by these users too, or by an OUTSIDER."""
	before = frappe.flags.gdpr_read_also_by
	frappe.flags.gdpr_read_also_by = frozenset(before or ()) | set(readers)
	try:
		yield
	finally:
		frappe.flags.gdpr_read_also_by = before


def users_among(emails: Iterable[str | None], outsiders: bool) -> set[str]:
	"""Return the users whom mail to these addresses reaches, and OUTSIDER if there are others and they
	count."""
	addresses = {email.strip().lower() for email in emails if email and email.strip()}
	if not addresses:
		return set()
	users = frappe.get_all(
		"User",
		or_filters=[["name", "in", [*addresses]], ["email", "in", [*addresses]]],
		fields=["name", "email", "enabled"],
	)
	known = {text.lower() for user in users for text in (user.name, user.email) if text}
	readers = {user.name for user in users}
	return readers | {OUTSIDER} if outsiders and addresses - known else readers
