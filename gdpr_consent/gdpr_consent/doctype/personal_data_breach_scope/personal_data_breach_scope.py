from frappe.model.document import Document


class PersonalDataBreachScope(Document):
	pass
