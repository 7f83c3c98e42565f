import frappe

from gdpr_consent.append_only import AppendOnlyDocument


class ConsentDecision(AppendOnlyDocument):
	how_to = "gdpr_consent.gate"


def on_doctype_update() -> None:
	frappe.db.add_index("Consent Decision", ["reference_doctype", "reference_name"], "reference")
	frappe.db.add_index("Consent Decision", ["address_key", "decided_on"], "address_time")
	frappe.db.add_index("Consent Decision", ["email_queue"], "email_queue")
	frappe.db.add_index("Consent Decision", ["decided_on"], "decided_on")
