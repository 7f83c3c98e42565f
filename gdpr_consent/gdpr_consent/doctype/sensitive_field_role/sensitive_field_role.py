from frappe.model.document import Document


class SensitiveFieldRole(Document):
	pass
