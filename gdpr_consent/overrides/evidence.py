"""A file that proves a consent is kept with it, and one of a bulk update that was run with that."""

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent.bulk_update.items import EDITABLE
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
	if _belongs_to_a_run(doc, is_last=not others):
		frappe.throw(
			_("{0} belongs to a bulk update that was run, and is kept with it.").format(
				frappe.bold(doc.file_name)
			),
			RegisterIsAppendOnly,
		)


def _belongs_to_a_run(doc: Document, is_last: bool) -> bool:
	"""Whether it is attached to one, or the last copy of what one names: an attachment can be moved."""
	updates = [doc.attached_to_name] if doc.attached_to_doctype == "Consent Bulk Update" else []
	if is_last:
		updates += frappe.get_all("Consent Bulk Update", {"address_list": doc.file_url}, pluck="name")
		updates += frappe.get_all("Consent Bulk Update Rule", {"evidence_file": doc.file_url}, pluck="parent")
	was_run = {"name": ["in", updates], "status": ["not in", EDITABLE]}
	return bool(updates and frappe.db.exists("Consent Bulk Update", was_run))
