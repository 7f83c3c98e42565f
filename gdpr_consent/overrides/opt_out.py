"""Opt-outs that people leave through Frappe's own pages count at once."""

from frappe.model.document import Document

from gdpr_consent import legacy


def email_unsubscribe_after_insert(doc: Document, _method: str | None = None) -> None:
	legacy.write([legacy.unsubscribe(doc)._replace(since=None)])


def email_group_member_on_update(doc: Document, _method: str | None = None) -> None:
	previous = doc.get_doc_before_save()
	if doc.unsubscribed and not (previous and previous.unsubscribed):
		legacy.write([legacy.member(doc)._replace(since=None)])
