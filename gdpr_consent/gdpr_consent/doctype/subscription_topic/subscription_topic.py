import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent.exceptions import UnknownReference


class SubscriptionTopic(Document):
	def validate(self) -> None:
		if not frappe.get_cached_value("Processing Purpose", self.purpose, "is_marketing"):
			frappe.throw(
				_("{0} {1} isn't a marketing purpose. Topics are for marketing.").format(
					_(self.meta.get_label("purpose")), frappe.bold(self.purpose)
				),
				UnknownReference,
			)
