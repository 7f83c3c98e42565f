from frappe.model.document import Document


class ConsentBulkUpdateRule(Document):
	pass
