from frappe.model.document import Document


class DataRecipientPurpose(Document):
	pass
