from frappe.model.document import Document


class ConsentSource(Document):
	pass
