import frappe

from gdpr_consent.append_only import AppendOnlyDocument


class ConsentPolicyChange(AppendOnlyDocument):
	how_to = "gdpr_consent.policy_history"


def on_doctype_update() -> None:
	frappe.db.add_index("Consent Policy Change", ["about_doctype", "about"], "about")
