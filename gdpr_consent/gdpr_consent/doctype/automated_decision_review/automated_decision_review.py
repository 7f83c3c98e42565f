import frappe
from frappe.model.document import Document


class AutomatedDecisionReview(Document):
	pass


def on_doctype_update() -> None:
	frappe.db.add_index("Automated Decision Review", ["ref_doctype", "ref_name"], "record")
	frappe.db.add_index("Automated Decision Review", ["request", "status"], "request")
