from frappe.model.document import Document

from gdpr_consent import legitimate_interests


class LegitimateInterestsAssessment(Document):
	def validate(self) -> None:
		legitimate_interests.check(self)
