"""What lists and the head of the form say about somebody follows the record; see `standing` and `panel`."""

import frappe
from frappe.model.document import Document

from gdpr_consent import panel, standing
from gdpr_consent.overrides.person import addresses_on


def on_update(doc: Document, _method: str | None = None) -> None:
	standing.follow_document(doc)


def onload(doc: Document, _method: str | None = None) -> None:
	if doc.is_new() or not frappe.has_permission("Consent", "read"):
		return
	found = panel.badge(doc, addresses_on(doc) if doc.doctype in ("Contact", "Lead") else None)
	doc.set_onload("marketing_mail", found.value if found else None)
