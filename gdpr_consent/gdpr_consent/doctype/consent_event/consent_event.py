import frappe

from gdpr_consent.append_only import AppendOnlyDocument


class ConsentEvent(AppendOnlyDocument):
	pass


def on_doctype_update() -> None:
	# The name of an event is its record and number, so two events can't take the same place in a chain.
	frappe.db.add_index("Consent Event", ["consent", "seq"], "consent_seq")
	frappe.db.add_index("Consent Event", ["suppression", "seq"], "suppression_seq")
	frappe.db.add_index("Consent Event", ["recorded_at"], "recorded_at")
	frappe.db.add_index("Consent Event", ["seal", "recorded_at"], "seal_recorded_at")
