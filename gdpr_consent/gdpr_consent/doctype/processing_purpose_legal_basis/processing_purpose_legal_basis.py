from frappe.model.document import Document


class ProcessingPurposeLegalBasis(Document):
	pass
