from frappe.model.document import Document


class DataSubjectRequestNotice(Document):
	pass
