from frappe.model.document import Document


class DataSubjectRequestStep(Document):
	pass
