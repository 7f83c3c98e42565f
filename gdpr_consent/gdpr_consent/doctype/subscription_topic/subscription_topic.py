import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent import proof
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
		self._check_email_group_is_its_own()

	def _check_email_group_is_its_own(self) -> None:
		"""Whoever leaves one topic would be switched off, or kept, for the sake of the other."""
		others = {"email_group": self.email_group, "name": ["!=", self.name]}
		if self.email_group and (other := frappe.db.exists("Subscription Topic", others)):
			frappe.throw(
				_("{0} {1} belongs to topic {2} already. Choose another one.").format(
					_(self.meta.get_label("email_group")), frappe.bold(self.email_group), frappe.bold(other)
				)
			)

	def on_update(self) -> None:
		proof.forget_topics()
		if self.email_group and self.has_value_changed("email_group"):
			frappe.enqueue(
				"gdpr_consent.email_groups.reconcile",
				topic=self.name,
				queue="long",
				enqueue_after_commit=True,
			)

	def after_delete(self) -> None:
		proof.forget_topics()
