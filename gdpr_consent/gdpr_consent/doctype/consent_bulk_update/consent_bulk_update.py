from frappe.model.document import Document


class ConsentBulkUpdate(Document):
	pass
