import frappe

from gdpr_consent.append_only import AppendOnlyDocument


class Consent(AppendOnlyDocument):
	how_to = "gdpr_consent.api.record_consent"


def on_doctype_update() -> None:
	# The order of the columns is that of audience.py's question.
	frappe.db.add_index("Consent", ["address_key", "channel", "purpose", "topic"], "address_scope")
	frappe.db.add_index("Consent", ["party_type", "party"], "party")
	frappe.db.add_index("Consent", ["status", "expires_on"], "expiry")
	frappe.db.add_index("Consent", ["topic", "status", "address_key"], "topic_status")
