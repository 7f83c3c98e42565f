"""A file that proves a consent is kept with it, and one of a bulk update that was run with that."""

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent.bulk_update.rules import EDITABLE
from gdpr_consent.exceptions import RegisterIsAppendOnly


def on_trash(doc: Document, _method: str | None = None) -> None:
	if not doc.file_url or doc.is_folder:
		return
	consent = frappe.db.get_value("Consent", {"evidence": doc.file_url})
	others = frappe.db.count("File", {"file_url": doc.file_url, "name": ["!=", doc.name]})
	if consent and not others:
		frappe.throw(
			_("{0} is the proof of a consent and is kept with it.").format(frappe.bold(doc.file_name)),
			RegisterIsAppendOnly,
		)
	if doc.attached_to_doctype == "Consent Bulk Update":
		status = frappe.db.get_value(doc.attached_to_doctype, doc.attached_to_name, "status")
		if status and status not in EDITABLE:
			frappe.throw(
				_("{0} belongs to a bulk update that was run, and is kept with it.").format(
					frappe.bold(doc.file_name)
				),
				RegisterIsAppendOnly,
			)
