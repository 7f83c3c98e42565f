"""A record whose person had processing restricted is stored, and nothing else (Art. 18(2), DS-20)."""

import frappe
from frappe.model.document import Document

from gdpr_consent.rights import restriction


def validate(doc: Document, _method: str | None = None) -> None:
	restriction.check_write(doc)


def on_trash(doc: Document, _method: str | None = None) -> None:
	restriction.check_may_change(doc, doc.get(restriction.FIELD))


def before_rename(doc: Document, _method: str | None, old: str, new: str, merge: bool = False) -> None:
	for name in (old, new) if merge else (old,):
		is_restricted = frappe.db.get_value(doc.doctype, name, restriction.FIELD)
		restriction.check_may_change(doc, is_restricted)


def after_rename(doc: Document, _method: str | None, old: str, new: str, merge: bool = False) -> None:
	if merge and frappe.db.get_value(doc.doctype, old, restriction.FIELD):
		frappe.db.set_value(doc.doctype, new, restriction.FIELD, 1)


def before_insert(doc: Document, _method: str | None = None) -> None:
	restriction.check_new_document(doc)
