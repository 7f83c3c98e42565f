from frappe.model.document import Document

from gdpr_consent.rights import automated_decisions


class AutomatedDecision(Document):
	def validate(self) -> None:
		automated_decisions.check(self)
