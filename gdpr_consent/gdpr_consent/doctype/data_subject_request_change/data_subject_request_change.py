from frappe.model.document import Document


class DataSubjectRequestChange(Document):
	pass
