"""Newsletter's audience is who may get it, so that its counts are those of the mails that will go."""

from collections.abc import Iterator
from typing import Any

import frappe
from frappe import _

from gdpr_consent import audience, decisions
from gdpr_consent.custom_fields import BLOCKED
from gdpr_consent.gate.classify import MailClass, fields_of, resolve
from gdpr_consent.policy import Decision, Reason, block

BATCH = 1_000  # recipients a job carries


class ConsentNewsletterMixin:
	def validate(self) -> None:
		super().validate()
		if not (self.get("subscription_topic") or self.get_email_groups() or self.flags.ignore_mandatory):
			frappe.throw(
				_("Nobody would get it. Choose a {0}, or an {1}.").format(
					frappe.bold(_("Subscription Topic")), frappe.bold(_("Email Group"))
				),
				frappe.MandatoryError,
			)

	def get_recipients(self) -> list[str]:
		answers = self.decide_audience()
		self._left_out = {email: decision for email, decision in answers.items() if not decision.allowed}
		return [email for email, decision in answers.items() if decision.allowed]

	def decide_audience(self) -> dict[str, Decision]:
		"""Decide about everybody in the Newsletter's groups, or about the topic's subscribers."""
		about = self.get_mail_class()
		answers: dict[str, Decision] = {}
		for emails in self._audience():
			if about.unclear:
				answers |= {email: block(Reason.ERROR) for email in emails}
			else:
				answers |= audience.decide_many(emails, about.purpose or "", about.topic)
		return answers

	def _audience(self) -> Iterator[list[str]]:
		if self.get("subscription_topic") and not self.get_email_groups():
			yield from audience.subscribers(self.subscription_topic)
		else:
			yield super().get_recipients()

	def get_mail_class(self) -> MailClass:
		purpose, topic = self.get("consent_purpose"), self.get("subscription_topic")
		if not (purpose or topic) and self.name:
			purpose, topic = fields_of(self.doctype, self.name)
		return resolve(purpose, topic, self.doctype, marketing_source=True)

	@frappe.whitelist()
	def explain_audience(self) -> dict[str, Any]:
		"""Say for each address in the audience whether it will get the Newsletter, and why."""
		self.check_permission("read")
		about = self.get_mail_class()
		return decisions.explain(about.purpose, about.topic, self.decide_audience())

	@frappe.whitelist()
	def explain_delivery(self) -> dict[str, Any]:
		"""Say for each address whether it got the Newsletter, why, and on which consent it stood."""
		self.check_permission("read")
		about = self.get_mail_class()
		return {
			"purpose": about.purpose,
			"topic": about.topic,
			"rows": decisions.of_source(self.doctype, self.name, self._audience()),
		}

	def queue_all(self) -> None:
		super().queue_all()
		# No mail of theirs reaches the gate, so the reason goes on record here.
		about = self.get_mail_class()
		decisions.log_left_out(self.doctype, self.name, about.purpose, about.topic, self._left_out)

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
