"""Newsletter's audience is who may get it, so that its counts are those of the mails that will go."""

from typing import Any

import frappe

from gdpr_consent.audience import decide_many
from gdpr_consent.custom_fields import BLOCKED
from gdpr_consent.gate.classify import MailClass, fields_of, resolve
from gdpr_consent.policy import Decision, Reason, block

BATCH = 1_000  # recipients a job carries


class ConsentNewsletterMixin:
	def get_recipients(self) -> list[str]:
		return [email for email, decision in self.decide_audience().items() if decision.allowed]

	def decide_audience(self) -> dict[str, Decision]:
		"""Decide about everybody in the Newsletter's groups."""
		emails = super().get_recipients()
		about = self.get_mail_class()
		if about.unclear:
			return {email: block(Reason.ERROR) for email in emails}
		return decide_many(emails, about.purpose or "", about.topic)

	def get_mail_class(self) -> MailClass:
		purpose, topic = self.get("consent_purpose"), self.get("subscription_topic")
		if not (purpose or topic) and self.name:
			purpose, topic = fields_of(self.doctype, self.name)
		return resolve(purpose, topic, self.doctype, marketing_source=True)

	@frappe.whitelist()
	def explain_audience(self) -> list[dict[str, Any]]:
		"""Say for each address in the groups whether it will get the Newsletter, and why."""
		self.check_permission("read")
		return [
			{
				"email": email,
				"allowed": decision.allowed,
				"reason": decision.reason.value,
				"consent": decision.consent,
			}
			for email, decision in sorted(self.decide_audience().items())
		]

	def send_newsletter(self, emails: list[str], test_email: bool = False) -> None:
		# A job carries the list it was given, so a long one is handed over in parts.
		for start in range(0, len(emails), BATCH):
			super().send_newsletter(emails=emails[start : start + BATCH], test_email=test_email)

	@frappe.whitelist()
	def get_sending_status(self) -> dict[str, Any]:
		status = super().get_sending_status()
		blocked = frappe.db.count(
			"Email Queue", {"reference_doctype": self.doctype, "reference_name": self.name, "status": BLOCKED}
		)
		# The form waits until sent and error make up the total.
		return status | {"blocked": blocked, "error": status["error"] + blocked}
