"""How a request arrives: by the form on the site, by staff, by a script (DS-01, DS-08).

Whoever sends the form confirms from the mailbox, known to us or not. If the address is on a record of one
person, it is known then who asks. The answer of the form, and what it takes until it has left, are the same
for every address (WB-01).
"""

from typing import NamedTuple

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import getdate

from gdpr_consent import identity, links, pages, register, throttle
from gdpr_consent.exceptions import LinkNotValid, RequestIncomplete
from gdpr_consent.rights import handling, letters, objection, requests, subject
from gdpr_consent.rights.requests import MARKETING, OTHER_PROCESSING, Identity, Right, Status

WEB_FORM = "Web Form"
LONGEST_NAME, LONGEST_MESSAGE = 140, 5_000  # characters


class Choice(NamedTuple):
	"""A right that the form offers."""

	right: str
	objects_to: str | None = None

	@property
	def value(self) -> str:
		return f"{self.right}:{self.objects_to or ''}"

	@property
	def words(self) -> str:
		return letters.what_is_asked(self)


CHOICES = (
	Choice(Right.ACCESS.value),
	Choice(Right.RECTIFICATION.value),
	Choice(Right.ERASURE.value),
	Choice(Right.PORTABILITY.value),
	Choice(Right.OBJECTION.value, MARKETING),
	Choice(Right.WITHDRAWAL.value),
	Choice(Right.OBJECTION.value, OTHER_PROCESSING),
	Choice(Right.RESTRICTION.value),
	Choice(Right.HUMAN_REVIEW.value),
)


# --- the form -----------------------------------------------------------------------------------------------


def take(email: str, choice: str, requester_name: str, message: str, language: str) -> None:
	"""Check what somebody sent with the form, and do it after the answer has left.

	Args:
		choice: the value of one of CHOICES.

	Raises:
		InvalidEmailAddress, TooManyAttempts
		RequestIncomplete: nothing is chosen, or a text is too long.
	"""
	throttle.count_form()
	identity.normalise_email(email)
	chosen = next((one for one in CHOICES if one.value == choice), None)
	if not chosen:
		raise RequestIncomplete(_("Nothing is chosen. Choose what you ask for."))
	for text, longest, label in (
		(requester_name, LONGEST_NAME, _("Name")),
		(message, LONGEST_MESSAGE, _("Message")),
	):
		if len(text) > longest:
			raise RequestIncomplete(
				_("{0} has {1} characters; {2} are allowed. Shorten it.").format(label, len(text), longest)
			)
	pages.after_the_answer(lambda: _receive(email, chosen, requester_name, message, language))


def _receive(email: str, chosen: Choice, requester_name: str, message: str, language: str) -> None:
	key = identity.address_key(email)
	register.wait_for(key)
	waiting = frappe.db.get_value(
		requests.DOCTYPE,
		{
			"address_key": key,
			"right": chosen.right,
			"channel": WEB_FORM,
			"status": Status.RECEIVED.value,
			"mailbox_confirmed_on": ["is", "not set"],
		},
	)
	if waiting:  # the same again: the mail may not have come
		doc = frappe.get_doc(requests.DOCTYPE, waiting)
		objection.object_with_erasure(doc)
		_ask_mailbox(doc)
		return
	requests.open_request(
		chosen.right,
		objects_to=chosen.objects_to,
		email=email,
		requester_name=requester_name or None,
		message=message or None,
		channel=WEB_FORM,
		language=language if frappe.db.exists("Language", language) else None,
	)


def on_arrival(doc: Document) -> None:
	"""Do what a new request asks for at once, or tell the person that it has arrived."""
	objection.object_with_erasure(doc)
	if objection.counts_at_once(doc):
		objection.act_at_once(doc)
	elif doc.channel == WEB_FORM:
		_ask_mailbox(doc)
	elif letters.acknowledge(doc):
		requests.write(doc.name, acknowledged_on=getdate())


def _ask_mailbox(doc: Document) -> None:
	if not throttle.may_mail(doc.address_key):
		return
	with letters.in_language_of(doc):
		letters.send(
			doc,
			_("Please confirm your request"),
			[
				_("Somebody, most likely you, sent us a request on our web site."),
				_("This is what it asks for: {0}.").format(letters.what_is_asked(doc)),
				_("If it was you, open this page and press the button there:"),
			],
			url=links.request_url(doc.link_key, handling.MAILBOX),
			closing=[_("If it wasn't you, do nothing.")],
		)


# --- the link -----------------------------------------------------------------------------------------------


def behind_link(token: str) -> tuple[Document, str]:
	"""Return the request and the step that a link is for.

	Raises:
		LinkNotValid: see `links.read`; or the request is closed.
	"""
	key, step = links.read_request(token)
	name = frappe.db.get_value(requests.DOCTYPE, {"link_key": str(key)})
	if not name or step not in (handling.MAILBOX, handling.KNOWN_ADDRESS):
		raise LinkNotValid(_("What this link was for is no longer on record."))
	return frappe.get_doc(requests.DOCTYPE, name), step


def confirm(doc: Document, step: str) -> bool:
	"""Note that somebody holds the link that went to a mailbox.

	Returns:
		whether that changed anything: not twice, and not after the request was closed.
	"""
	doc = requests.get(doc.name)
	if doc.status not in {status.value for status in handling.NOT_RUNNING}:
		return False
	if step == handling.KNOWN_ADDRESS:
		if doc.identity != Identity.OPEN.value:
			return False
		handling.confirm_identity(doc.name, "Link to Known Address")
		return True
	if doc.mailbox_confirmed_on:
		return False
	requests.write(doc.name, mailbox_confirmed_on=getdate())
	requests.note(doc.name, _("The mailbox was confirmed."))
	if doc.identity == Identity.OPEN.value and subject.is_of_one_person(doc.email):
		handling.confirm_identity(doc.name, "Link to Known Address")
	if letters.acknowledge(doc):
		requests.write(doc.name, acknowledged_on=getdate())
	if doc.right == Right.OBJECTION.value and doc.status == Status.RECEIVED.value:
		handling.start(doc.name)
	return True
