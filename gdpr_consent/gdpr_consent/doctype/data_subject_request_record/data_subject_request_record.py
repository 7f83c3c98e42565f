from frappe.model.document import Document


class DataSubjectRequestRecord(Document):
	pass
