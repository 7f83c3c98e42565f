"""Objection (Art. 21) and withdrawal (Art. 7(3)). A no to marketing counts at once and for good, without a
word of why or a proof of who says it; who asks to be erased says it, too. An objection to other processing
restricts until it is decided."""

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import getdate

from gdpr_consent import identity, register, throttle
from gdpr_consent.rights import handling, letters, requests, restriction
from gdpr_consent.rights.requests import MARKETING, OTHER_PROCESSING, Right, Status

# Art. 21(1) is about what rests on these alone.
ON_INTERESTS = ("Legitimate Interests", "Public Task")


def counts_at_once(doc: Document) -> bool:
	return doc.right == Right.WITHDRAWAL.value or (
		doc.right == Right.OBJECTION.value and doc.objects_to == MARKETING
	)


def act_at_once(doc: Document) -> None:
	"""Write the no into the register and close the request (DS-08, ST-05, ST-06)."""
	act = _act_of(doc)
	with letters.in_language_of(doc):
		if doc.right == Right.WITHDRAWAL.value:
			_withdraw(doc, _purposes_to_withdraw(doc), act)
			text = _("You have taken your consent back. We have recorded that, and it counts from now on.")
		else:
			_object(doc, act)
			text = letters.no_marketing()
	# Anybody may write anybody's address into the form, so that it could be used to molest them (WB-02).
	if doc.channel == "Web Form" and not throttle.may_mail(doc.address_key):
		requests.close_fulfilled(doc.name, text)
	else:
		requests.fulfil(doc.name, text)


def object_with_erasure(doc: Document) -> None:
	"""Stop marketing to whoever asks to be erased, without waiting for the erasure (Art. 17(1)(c), DS-19).

	It needs as little proof of who asks as a mere objection, and stays if the request is refused.
	"""
	if doc.right == Right.ERASURE.value:
		_object(doc, _act_of(doc))


def _act_of(doc: Document) -> register.Act:
	reason = _("Asked for in {0}.").format(doc.name)
	return register.Act(source=register.source_if_known(doc.channel), reason=reason)


def _object(doc: Document, act: register.Act) -> None:
	for emails, party in _whom(doc):
		register.object_to_marketing(emails, **party, act=act)


def _whom(doc: Document) -> list[tuple[list[str], dict[str, str]]]:
	"""List the addresses of the person that nobody in particular has, and those of each record of theirs."""
	written = [address for address in (doc.email, doc.phone) if address]
	addresses = [one for found in identity.addresses_of_people(written).values() for one in found]
	whom: list[tuple[list[str], dict[str, str]]] = [(addresses, {})] if addresses else []
	for person in restriction.people_of(doc):
		theirs = identity.addresses_of(*person)
		keys = identity.address_keys([*addresses, *theirs])
		# A customer is many: one of them says no for themselves alone.
		if person.party_type != "Customer" or not written:
			whom.append(([one for one in theirs if keys[one]], person._asdict()))
	return whom


def _withdraw(doc: Document, purposes: list[str], act: register.Act) -> None:
	for emails, party in _whom(doc):
		for purpose in purposes:
			register.withdraw(emails, purpose=purpose, **party, act=act)


def _purposes_to_withdraw(doc: Document) -> list[str]:
	if doc.purpose:
		return [doc.purpose]
	# Asked of all there are, whoever it is: what takes longer for a known address would tell of it.
	return frappe.get_all(
		"Processing Purpose Legal Basis",
		{"legal_basis": "Consent", "parenttype": "Processing Purpose"},
		pluck="parent",
		order_by="parent",
		distinct=True,
	)


# --- other processing (Art. 21(1)) --------------------------------------------------------------------------


def restrict_meanwhile(name: str) -> None:
	"""Restrict what is ticked until it is decided whose grounds weigh more (Art. 18(1)(d))."""
	doc = requests.get(name)
	if doc.objects_to == OTHER_PROCESSING and not doc.restricted_on:
		restriction.restrict_records(doc, _("Objected in {0} (Art. 18(1)(d) GDPR).").format(name))


def uphold(name: str, answer: str | None = None) -> None:
	"""Grant an objection to other processing: it stops, and the restriction meanwhile ends.

	To refuse it needs compelling grounds and reasons: see `handling.refuse`.
	"""
	doc = requests.get(name, Status.IN_PROGRESS)
	handling.check_right(doc, Right.OBJECTION)
	act = register.Act(
		source=register.source_if_known(doc.channel),
		reason=_("Objected in {0} (Art. 21(1) GDPR).").format(name),
	)
	_withdraw(doc, [doc.purpose] if doc.purpose else _purposes_on_interests(), act)
	with letters.in_language_of(doc):
		text = answer or _("We have stopped what you objected to. The restriction of your data ends with it.")
	sent = letters.answer(doc, text)
	requests.close_fulfilled(name, text)
	if doc.restricted_on:
		restriction.lift_now(doc, _("The objection was granted."), getdate())
	if not sent and doc.email:
		requests.note(name, _("No mail could be sent."))


def _purposes_on_interests() -> list[str]:
	return frappe.get_all(
		"Processing Purpose", {"default_legal_basis": ["in", ON_INTERESTS]}, pluck="name", order_by="name"
	)
