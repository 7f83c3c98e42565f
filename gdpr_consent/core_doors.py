"""What becomes of the doors that Frappe leaves open to guests: its links in old mails, its newsletter form.

Core signs the query of a link, with the address in it, and acts when the link is looked at. Here such a link
shows a page with a button, and the button carries a token of ours. A core signature says neither what it is
for nor when it was made, so what a link may do follows from what it names (FR-01 to FR-05).
"""

import json
from hmac import compare_digest
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from werkzeug.wrappers import Response

import frappe
from frappe import _
from frappe.utils.password import decrypt, encrypt
from frappe.utils.verified_command import get_signed_params

from gdpr_consent import identity, legacy, links, pages, preferences, register, sign_up, throttle
from gdpr_consent.doors import says_why
from gdpr_consent.gate.classify import MARKETING_SOURCES
from gdpr_consent.policy import RefusalKind
from gdpr_consent.register import DATA_SUBJECT, Act, No


class WayOut(NamedTuple):
	"""A link of core's to unsubscribe: who, and what the mail was sent from."""

	email: str
	doctype: str
	name: str

	@property
	def topic(self) -> str:
		return legacy.scope_of_reference(self.doctype, self.name).topic

	@property
	def is_conversation(self) -> bool:
		"""Whether core itself holds back mail about the record from then on."""
		return (
			self.doctype not in MARKETING_SOURCES
			and bool(self.doctype and self.name and frappe.db.exists("DocType", self.doctype))
			and bool(frappe.db.exists(self.doctype, self.name))
		)


class SignUp(NamedTuple):
	"""A link of core's to confirm that an address joins an Email Group."""

	email: str
	email_group: str


# --- what core calls ----------------------------------------------------------------------------------------


@frappe.whitelist(allow_guest=True, methods=["GET", "HEAD", "POST"])
@says_why
def unsubscribe() -> Response:
	"""Show the page behind a link of `frappe.email.queue.unsubscribe`; its button acts (UN-01, FR-03)."""
	return pages.ConsentPage(pages.STOP).render()


@frappe.whitelist(allow_guest=True, methods=["GET", "HEAD", "POST"])
@says_why
def confirm_subscription() -> Response:
	"""Show the page behind a link of core's newsletter form; its button signs up (FR-05)."""
	return pages.ConsentPage(pages.JOIN).render()


@frappe.whitelist(allow_guest=True, methods=["POST"])
@says_why
def subscribe(email: str, email_group: str | None = None) -> None:
	"""Sign an address up for the topic of an Email Group, by double opt-in, instead of core's way.

	A group that belongs to no public topic, or that doesn't exist, stands for marketing as such. The answer
	is the same for every address (WB-01).

	Raises:
		InvalidEmailAddress, TooManyAttempts
	"""
	throttle.count_form()
	identity.normalise_email(email)
	sign_up.ask(email, [_box_of(email_group)], frappe.local.lang)


# --- links --------------------------------------------------------------------------------------------------


def read_way_out() -> WayOut:
	"""Read the request as a link of core's to unsubscribe.

	Raises:
		LinkNotValid: not signed by core, or for something else.
	"""
	said = _signed_by_core()
	if not said.keys() >= {"email", "doctype", "name"}:
		raise links.not_valid()
	return WayOut(said["email"], said["doctype"], said["name"])


def read_sign_up() -> SignUp:
	"""Read the request as a link of core's newsletter form. A way out opens no way in (FR-02).

	Raises:
		LinkNotValid: not signed by core, or for something else.
	"""
	said = _signed_by_core()
	if said.keys() != {"email", "email_group"}:
		raise links.not_valid()
	return SignUp(said["email"], said["email_group"])


def _signed_by_core() -> dict[str, str]:
	query = frappe.request.query_string
	said, mark, _signature = query.partition(b"&_signature=")
	try:
		text = said.decode()
	except UnicodeDecodeError:
		raise links.not_valid() from None
	if not mark or not compare_digest(get_signed_params(text).encode(), query):
		raise links.not_valid()
	pairs = parse_qsl(text, keep_blank_values=True)
	if len(dict(pairs)) != len(pairs):
		raise links.not_valid()
	return dict(pairs)


def token_for(use: str, said: WayOut | SignUp) -> str:
	"""Sign what a link of core's says, for the button of our page; encrypted, since it holds an address."""
	return links.sign(use, encrypt(json.dumps(said)))


def read_token(use: str, token: str) -> list[str]:
	"""Return what `token_for` signed.

	Raises:
		LinkNotValid: see `links.read`; or the site's encryption key is another one now.
	"""
	sealed = links.read(use, token)
	try:
		return json.loads(decrypt(sealed))
	except frappe.ValidationError:
		raise links.not_valid() from None


def record_of(email: str) -> dict[str, Any]:
	"""Return a record about the person, which tells their language and controller; empty if there is none."""
	key = identity.address_keys([email])[email]
	name = preferences.newest_record_of(key) if key else None
	return register.named_by_link(name) if name else {}


# --- what the buttons do ------------------------------------------------------------------------------------


def stop(said: WayOut, everything: bool) -> None:
	"""Write the no of whoever holds a link of core's, at once and for all addresses of the person.

	Args:
		everything: object to all marketing (Art. 21(2)), not only to what the mail was about.
	"""
	emails = identity.addresses_of_the_person(said.email)
	act = Act(DATA_SUBJECT, reason=_("Through the link in a mail."))
	if everything:
		register.object_to_marketing(emails, act=act)
	if said.is_conversation:
		_leave_conversation(said)
	scope = legacy.scope_of_reference(said.doctype, said.name)
	register.say_no([No(RefusalKind.UNSUBSCRIBE, scope, email) for email in emails], act)


def _leave_conversation(said: WayOut) -> None:
	left = {"email": said.email, "reference_doctype": said.doctype, "reference_name": said.name}
	if not frappe.db.exists("Email Unsubscribe", left):
		# The link that core signed is the authority, and core asks no other.
		frappe.get_doc(doctype="Email Unsubscribe", **left).insert(ignore_permissions=True)


def join(said: SignUp) -> None:
	"""Ask the person to confirm, as if they had just signed up: what core asked proves nothing (FR-05)."""
	identity.normalise_email(said.email)
	sign_up.ask(said.email, [_box_of(said.email_group)], frappe.local.lang)


def title_of(email_group: str) -> str:
	"""Name what an Email Group stands for."""
	box = _box_of(email_group)
	return box.topic or box.purpose


def _box_of(email_group: str | None) -> sign_up.Box:
	topic = frappe.qb.DocType("Subscription Topic")
	purpose = frappe.qb.DocType("Processing Purpose")
	group = email_group or _("Website", lang=frappe.db.get_default("language"))  # core's own default
	found = (
		frappe.qb.from_(topic)
		.join(purpose)
		.on(purpose.name == topic.purpose)
		.select(topic.name, topic.purpose)
		.where((topic.email_group == group) & (topic.enabled == 1) & (topic.public == 1))
		.where((purpose.enabled == 1) & (purpose.is_marketing == 1))
		.run(as_dict=True)
	)
	if found:
		return sign_up.Box(found[0].purpose, found[0].name, found[0].name, "", None)
	default = register.check_purpose(None).name
	return sign_up.Box(default, "", default, "", None)
