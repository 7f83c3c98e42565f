import frappe

from gdpr_consent.append_only import AppendOnlyDocument


class ConsentBulkUpdateAddress(AppendOnlyDocument):
	how_to = "Consent Bulk Update"


def on_doctype_update() -> None:
	frappe.db.add_unique("Consent Bulk Update Address", ["bulk_update", "line"], "line")
