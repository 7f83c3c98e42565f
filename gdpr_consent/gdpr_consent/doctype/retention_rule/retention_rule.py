from frappe.model.document import Document

from gdpr_consent.rights import retention

WRITTEN_BY_THE_WORK = ("last_run_on", "last_run_by", "last_erased", "last_held", "last_failed")


class RetentionRule(Document):
	def validate(self) -> None:
		before = self.get_doc_before_save()
		for field in WRITTEN_BY_THE_WORK:
			self.set(field, before.get(field) if before else None)
		retention.check_rule(self)
