import frappe

from gdpr_consent.append_only import AppendOnlyDocument


class ConsentBulkUpdateItem(AppendOnlyDocument):
	how_to = "Consent Bulk Update"


def on_doctype_update() -> None:
	frappe.db.add_unique("Consent Bulk Update Item", ["bulk_update", "target_doctype", "target"], "record")
	frappe.db.add_index("Consent Bulk Update Item", ["bulk_update", "address_key"], "address")
