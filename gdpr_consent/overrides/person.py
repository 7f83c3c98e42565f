"""What becomes of refusals and consents when a person changes (design, idea 5; ST-12, ST-13)."""

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent import identity, legacy, legal_hold, register, standing


def on_update(doc: Document, _method: str | None = None) -> None:
	previous = doc.get_doc_before_save()
	register.carry_refusals(
		doc.doctype,
		doc.name,
		addresses_on(previous) if previous else [],
		addresses_on(doc),
		_("The person has another address; what they refused holds for each."),
	)
	_take_over_opt_out(doc, previous)
	standing.follow_document(doc)


def addresses_on(doc: Document) -> list[str]:
	if doc.doctype == "Contact":
		fields = [*(row.email_id for row in doc.email_ids), *(row.phone for row in doc.phone_nos)]
	else:
		fields = [doc.email_id, *(doc.get(field) for field in identity.LEAD_NUMBERS)]
	return [address for field in fields for address in identity.addresses_in(field)]


def _take_over_opt_out(doc: Document, previous: Document | None) -> None:
	"""Note a box that is ticked now, or a status that is set now; not every later edit of the record."""

	def changed_to(field: str, value: object) -> bool:
		return doc.get(field) == value and not (previous and previous.get(field) == value)

	if changed_to("unsubscribed", 1) or changed_to("status", "Do Not Contact"):
		opt_out = (
			legacy.lead(doc)
			if doc.doctype == "Lead"
			else legacy.OptOut(doc.doctype, doc.name, None, None, legacy.EMAIL_MARKETING)
		)
		legacy.write([opt_out._replace(since=None)])


def validate(doc: Document, _method: str | None = None) -> None:
	"""Unticking the box lifts nothing, so it doesn't look as if it did (ST-08)."""
	previous = doc.get_doc_before_save()
	if (
		previous
		and previous.unsubscribed
		and not doc.unsubscribed
		and register.has_opted_out(doc.doctype, doc.name, addresses_on(doc))
	):
		doc.unsubscribed = 1
		frappe.msgprint(
			_("{0} stays ticked: the person said no to marketing, and only they can lift that.").format(
				frappe.bold(_(doc.meta.get_label("unsubscribed")))
			),
			indicator="orange",
		)


def before_rename(doc: Document, _method: str | None, old: str, new: str, merge: bool = False) -> None:
	"""Core rewrites links by SQL, and drops the second address and the opt-out of a merged record."""
	register.move_party(doc.doctype, old, new)
	legal_hold.move_party(doc.doctype, old, new)
	if merge and doc.doctype != "Customer":
		gone, kept = identity.addresses_of(doc.doctype, old), identity.addresses_of(doc.doctype, new)
		reason = _("{0} was merged with {1}; what either refused holds for both.").format(old, new)
		register.carry_refusals(doc.doctype, new, kept, [*kept, *gone], reason)
		register.carry_refusals(doc.doctype, new, [*kept, *gone], kept, reason)


def after_rename(doc: Document, _method: str | None, old: str, new: str, merge: bool = False) -> None:
	if merge and doc.meta.has_field("unsubscribed") and not doc.unsubscribed:
		if frappe.db.get_value(doc.doctype, old, "unsubscribed"):
			frappe.db.set_value(doc.doctype, new, "unsubscribed", 1)
	standing.later(standing.follow_people([identity.Person(doc.doctype, new)]))


def on_trash(doc: Document, _method: str | None = None) -> None:
	# A later record may get the same name, and isn't the same person.
	register.move_party(doc.doctype, doc.name, None)


def after_delete(doc: Document, _method: str | None = None) -> None:
	standing.follow_deletion(doc)
