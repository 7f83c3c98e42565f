"""Notifications, repeated mails and webhooks: their readers aren't the user whose act sends them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import frappe
from frappe.model.document import Document

from gdpr_consent.sensitive_data import incoming, redaction, rights, rules

PRINT = "print_format_attachment"
WEBHOOK = "frappe.integrations.doctype.webhook.webhook.enqueue_webhook"
WORKFLOW_MAIL = "frappe.workflow.doctype.workflow_action.workflow_action.send_workflow_action_email"


@contextmanager
def sent_for(mail: Any) -> Iterator[None]:
	"""Inside the block, a print that a queued mail gets now, from a worker that may see everything, is one
	that the mail's author and those of its readers who are users may see. What other people get is up to the
	author."""
	readers: set[str] = set()
	if PRINT in (mail.attachments or "") and rules.all_rules().fields:
		author = {mail.owner} - {"Guest", None}
		readers = author | rights.users_among((row.recipient for row in mail.recipients), outsiders=False)
	with rights.read_also_by(readers):
		yield


@contextmanager
def written_for(doc: Any, emails: list[str]) -> Iterator[None]:
	"""Inside the block, texts are made from a document without what these people may not see."""
	with rights.read_also_by(rights.users_among(emails, outsiders=True)), redaction.emptied(doc):
		yield


class SensitiveWebhookMixin:
	"""Of Webhook, on v16, where the record that is shown is an argument and not a field (incoming.py)."""

	@frappe.whitelist()
	def preview_meets_condition(self, preview_document: str) -> str:
		incoming.refuse_if_it_hides(self.webhook_doctype)
		return super().preview_meets_condition(preview_document)

	@frappe.whitelist()
	def preview_request_body(self, preview_document: str) -> str:
		incoming.refuse_if_it_hides(self.webhook_doctype)
		return super().preview_request_body(preview_document)


class SensitiveNotificationMixin:
	"""Of Notification: what a template says of a document is for whoever gets it."""

	def send_an_email(self, doc: Any, context: dict) -> Any:
		with written_for(doc, self._readers(doc, context)):
			return super().send_an_email(doc, context)

	def create_system_notification(self, doc: Any, context: dict) -> Any:
		with written_for(doc, self._readers(doc, context)):
			return super().create_system_notification(doc, context)

	def send_a_slack_msg(self, doc: Any, context: dict) -> Any:
		with rights.read_also_by([rights.OUTSIDER]), redaction.emptied(doc):
			return super().send_a_slack_msg(doc, context)

	def send_sms(self, doc: Any, context: dict) -> Any:
		with rights.read_also_by([rights.OUTSIDER]), redaction.emptied(doc):
			return super().send_sms(doc, context)

	def _readers(self, doc: Any, context: dict) -> list[str]:
		to, cc, bcc = self.get_list_of_recipients(doc, context)
		return [*to, *cc, *bcc]


class SensitiveAutoRepeatMixin:
	def send_notification(self, new_doc: Any) -> Any:
		with written_for(new_doc, (self.recipients or "").replace(",", "\n").split("\n")):
			return super().send_notification(new_doc)


class SensitiveAssignmentRuleMixin:
	def do_assignment(self, doc: Any) -> Any:
		"""What an assignment says of a record is for whoever may be assigned."""
		with rights.read_also_by({row.user for row in self.users}):
			hidden = rights.hidden_fields(doc.get("doctype") or "")
		return super().do_assignment({name: value for name, value in doc.items() if name not in hidden})


def before_job(method: str | None = None, kwargs: dict | None = None, **_more: Any) -> None:
	"""Hook: empty the document that a Webhook or a mail about a workflow is made of. The worker has a copy of
	its own. Whom the mail goes to isn't known yet, so it says what everybody may know."""
	if method in (WEBHOOK, WORKFLOW_MAIL) and kwargs and kwargs.get("doc") is not None:
		with rights.read_also_by([rights.OUTSIDER]):
			redaction.empty(kwargs["doc"])
	if method == WORKFLOW_MAIL:
		frappe.flags.gdpr_read_also_by = frozenset([rights.OUTSIDER])  # the print that goes with it


def redact_page(context: dict) -> None:
	"""Hook `update_website_context`: what a page holds of a record is for its reader (FP-02)."""
	for name, value in [*context.items()]:
		if isinstance(value, Document) and rules.protected_fields(value.doctype):
			redaction.empty(value)
			context["no_cache"] = 1  # the next reader may see more, or less
			for field in rights.hidden_fields(value.doctype) & context.keys():
				context[field] = None  # a page about a record has its fields for variables
		elif isinstance(value, dict) and value.get("doctype") in rules.all_rules().fields:
			context[name] = redaction.Redaction().clean(value)
