"""Carries what a mail is about from the record that sends it to the message, where core passes nothing on.

The headers go into the message when it is built, in the process that knows; the queue may send it in another.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent import proof
from gdpr_consent.gate import sms
from gdpr_consent.gate.classify import PURPOSE_HEADER, TOPIC_HEADER, fields_of, resolve

MAY_SAY_SERVICE = frozenset({"Privacy Officer", "System Manager"})


@contextmanager
def mail_about(purpose: str | None, topic: str | None) -> Iterator[None]:
	"""Mark every mail that is built inside the block."""
	before = frappe.flags.consent_mail_about
	frappe.flags.consent_mail_about = (purpose, topic)
	try:
		yield
	finally:
		frappe.flags.consent_mail_about = before


def add_headers(mail: Any) -> None:
	"""Hook `make_email_body_message`: what a script says itself is left as it is."""
	purpose, topic = frappe.flags.consent_mail_about or (None, None)
	if PURPOSE_HEADER in mail.msg_root or TOPIC_HEADER in mail.msg_root:
		return
	for header, value in ((PURPOSE_HEADER, purpose), (TOPIC_HEADER, topic)):
		if value:
			mail.set_header(header, value)


def refuse_a_service_purpose(doc: Document, _method: str | None = None) -> None:
	"""Hook `validate` of what mails are made from: only who answers for it says that a mail is no marketing.

	Raises:
		PermissionError: a service purpose by anybody but a Privacy Officer or a System Manager (EM-06).
	"""
	purpose = doc.get("consent_purpose")
	if not purpose or not doc.has_value_changed("consent_purpose"):
		return
	if not proof.is_marketing(purpose) and MAY_SAY_SERVICE.isdisjoint(frappe.get_roles()):
		frappe.throw(
			_("{0}: {1} is no marketing purpose. Only a Privacy Officer can choose it here.").format(
				_(doc.meta.get_label("consent_purpose")), frappe.bold(purpose)
			),
			frappe.PermissionError,
		)


class NobodyAgreed(Exception):
	pass


class ConsentNotificationMixin:
	def send_an_email(self, *args: Any, **kwargs: Any) -> Any:
		with mail_about(self.get("consent_purpose"), self.get("subscription_topic")):
			return super().send_an_email(*args, **kwargs)

	def send_sms(self, *args: Any, **kwargs: Any) -> Any:
		with suppress(NobodyAgreed):
			return super().send_sms(*args, **kwargs)

	def get_receiver_list(self, *args: Any, **kwargs: Any) -> list[str]:
		numbers = super().get_receiver_list(*args, **kwargs)
		purpose, topic = self.get("consent_purpose"), self.get("subscription_topic")
		about = resolve(purpose, topic, self.doctype, marketing_source=False) if purpose or topic else None
		admitted = sms.admit(numbers, about, self.doctype, self.name)
		if numbers and not admitted:
			raise NobodyAgreed  # core takes an empty list for a mistake
		return admitted


class ConsentAutoRepeatMixin:
	def send_notification(self, *args: Any, **kwargs: Any) -> Any:
		with mail_about(*fields_of("Email Template", self.get("template"))):
			return super().send_notification(*args, **kwargs)
