"""Opt-outs that people leave through Frappe's own pages count at once."""

from frappe.model.document import Document

from gdpr_consent import legacy


def email_unsubscribe_after_insert(doc: Document, _method: str | None = None) -> None:
	legacy.write([legacy.unsubscribe(doc)._replace(since=None)])


def email_group_member_validate(doc: Document, _method: str | None = None) -> None:
	"""Only `email_groups` says that a member was switched off without a word of the person."""
	previous = doc.get_doc_before_save()
	still_off = previous and previous.unsubscribed and doc.unsubscribed
	doc.consent_ended = previous.consent_ended if still_off else 0


def email_group_member_on_update(doc: Document, _method: str | None = None) -> None:
	previous = doc.get_doc_before_save()
	if doc.unsubscribed and not (previous and previous.unsubscribed):
		legacy.write([legacy.member(doc)._replace(since=None)])
