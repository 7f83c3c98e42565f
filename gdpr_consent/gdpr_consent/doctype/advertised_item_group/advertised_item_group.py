from frappe.model.document import Document


class AdvertisedItemGroup(Document):
	pass
