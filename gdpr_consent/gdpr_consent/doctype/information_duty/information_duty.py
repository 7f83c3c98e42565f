import frappe
from frappe.model.document import Document

from gdpr_consent.rights import information


class InformationDuty(Document):
	def validate(self) -> None:
		information.check(self)


def on_doctype_update() -> None:
	frappe.db.add_unique("Information Duty", ["party_type", "party"], "party")
	frappe.db.add_index("Information Duty", ["status", "due_on"], "due")
	frappe.db.add_index("Information Duty", ["email", "status"], "email_status")
	frappe.db.add_index("Information Duty", ["address_key", "status"], "address_key_status")
