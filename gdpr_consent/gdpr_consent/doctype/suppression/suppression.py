import frappe

from gdpr_consent.append_only import AppendOnlyDocument


class Suppression(AppendOnlyDocument):
	how_to = "gdpr_consent.api.object_to_marketing"


def on_doctype_update() -> None:
	frappe.db.add_index("Suppression", ["address_key"], "address_key")
	frappe.db.add_index("Suppression", ["party_type", "party"], "party")
	frappe.db.add_index("Suppression", ["origin_doctype", "origin"], "origin")
