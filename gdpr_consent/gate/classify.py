"""Says what a queued mail is about, by the first of these signs that it shows:

1. the fields Consent Purpose and Subscription Topic of its Email Queue row;
2. the headers X-Consent-Purpose and X-Consent-Topic, which a script sets with `email_headers`;
3. the record it was sent from: Newsletter and Email Campaign are marketing;
4. the Communication it belongs to: its record as in 3, or its Email Template;
5. a Consent, request, information duty, breach or recipient of data that it was sent from: service;
6. the subject of an Email Group's welcome mail, which core sends with no other sign;
7. the administrator's own signs in Consent Settings;
8. the setting for mail of unknown kind.

`explain_signs` tells the administrator the same.

A Newsletter or Email Campaign stays marketing even if somebody puts a service purpose on it (EM-04, EM-06).
"""

from email.errors import MessageError
from email.header import decode_header, make_header
from email.parser import HeaderParser
from typing import Any, NamedTuple

import frappe
from frappe import _
from frappe.utils import strip_html

from gdpr_consent import proof
from gdpr_consent.doors import says_why
from gdpr_consent.identity import address_keys, split_addresses

MARKETING_SOURCES = ("Newsletter", "Email Campaign")
SERVICE_SOURCES = (
	*("Consent", "Data Subject Request", "Information Duty", "Personal Data Breach"),
	"Data Recipient",
)
SENT_FROM, SENDER, SUBJECT_STARTS_WITH = "Sent From", "Sender", "Subject Starts With"  # Consent Mail Sign
PURPOSE_HEADER, TOPIC_HEADER = "X-Consent-Purpose", "X-Consent-Topic"


class MailClass(NamedTuple):
	"""What a mail is about. `unclear` says why the purpose of a marketing mail can't be told."""

	is_marketing: bool
	purpose: str | None = None
	topic: str | None = None
	signal: str = ""
	unclear: str | None = None


SERVICE = MailClass(False)


@frappe.whitelist(methods=["GET"])
@says_why
def explain_signs() -> list[str]:
	"""List the signs in the order in which they are read, for Consent Settings."""
	frappe.has_permission("Consent Settings", "read", throw=True)
	return [
		_("The fields Consent Purpose and Subscription Topic of its Email Queue row."),
		_("The headers {0} and {1}, which a script or a Notification sets.").format(
			PURPOSE_HEADER, TOPIC_HEADER
		),
		_(
			"The record it was sent from: {0} are marketing, with their own topic or their Campaign's; an"
			" Auto Email Report is what its fields say."
		).format(" / ".join(_(one) for one in MARKETING_SOURCES)),
		_("The Communication it belongs to: its record, or the fields of its Email Template."),
		_("The record it was sent from once more: {0} are service.").format(
			" / ".join(_(one) for one in SERVICE_SOURCES)
		),
		_("The subject of an Email Group's welcome template: marketing."),
		_("The signs of your own below, from the first to the last."),
		_("The setting {0}.").format(_("Mail of Unknown Kind")),
	]


def classify(mail: Any) -> MailClass:
	"""Classify an Email Queue document."""
	purpose, topic, signal, marketing_source = _signs_of(mail)
	if not (purpose or topic or marketing_source):
		return SERVICE._replace(signal=signal) if signal else _unknown_kind(mail)
	return resolve(purpose, topic, signal, marketing_source)


def shows_signs_of_marketing(mail: Any) -> bool:
	"""The part of `classify` that needs no database: for the moment when there is none."""
	headers = _headers(mail)
	return bool(
		mail.get("consent_purpose")
		or mail.get("subscription_topic")
		or PURPOSE_HEADER in headers
		or TOPIC_HEADER in headers
		or mail.reference_doctype in MARKETING_SOURCES
		or mail.unsubscribe_method == "/unsubscribe"
	)


def _signs_of(mail: Any) -> tuple[str | None, str | None, str, bool]:
	marketing_source = mail.reference_doctype in MARKETING_SOURCES
	if mail.get("consent_purpose") or mail.get("subscription_topic"):
		return mail.consent_purpose, mail.subscription_topic, "Email Queue", marketing_source

	purpose, topic = _consent_headers(mail)
	if purpose or topic:
		return purpose, topic, "Header", marketing_source

	if marketing_source:
		return *fields_of(mail.reference_doctype, mail.reference_name), mail.reference_doctype, True
	if mail.reference_doctype == "Auto Email Report":
		purpose, topic = fields_of(mail.reference_doctype, mail.reference_name)
		if purpose or topic:
			return purpose, topic, mail.reference_doctype, False

	communication = None
	if mail.communication:
		communication = frappe.db.get_value(
			"Communication",
			mail.communication,
			["reference_doctype", "reference_name", "email_template"],
			as_dict=True,
		)
		if communication and communication.reference_doctype in MARKETING_SOURCES:
			source = communication.reference_doctype, communication.reference_name
			return *fields_of(*source), source[0], True
		if communication and communication.email_template:
			purpose, topic = fields_of("Email Template", communication.email_template)
			if purpose or topic:
				return purpose, topic, "Email Template", False
	# Core's composer, which makes Communications, lets everybody name a DocType without a record.
	if mail.reference_doctype in SERVICE_SOURCES and (mail.reference_name or not mail.communication):
		return None, None, mail.reference_doctype, False
	group = _group_that_welcomes(mail)
	if group:
		purpose, topic = fields_of("Email Template", group.welcome_email_template)
		topic = topic or frappe.db.get_value("Subscription Topic", {"email_group": group.name})
		return purpose, topic, "Email Group", True
	sent_from = (mail.reference_doctype, communication and communication.reference_doctype)
	for row in frappe.get_cached_doc("Consent Settings").mail_signs:
		if _shows(mail, row, sent_from):
			return row.consent_purpose, row.subscription_topic, f"Consent Settings: {row.sign}", False
	return None, None, "", False


def _shows(mail: Any, row: Any, sent_from: tuple[str | None, ...]) -> bool:
	if row.sign == SENT_FROM:
		return row.value in sent_from
	headers = _headers(mail)
	if row.sign == SENDER:
		senders = split_addresses(mail.sender) + split_addresses(_decoded(headers.get("From")))
		return address_keys([row.value])[row.value] in address_keys(senders).values()
	return (_decoded(headers.get("Subject")) or "").lower().startswith(row.value.lower())


def _group_that_welcomes(mail: Any) -> Any:
	if mail.reference_doctype or mail.communication:
		return None
	groups = frappe.get_all(
		"Email Group", {"welcome_email_template": ["is", "set"]}, ["name", "welcome_email_template"]
	)
	subject = _decoded(_headers(mail).get("Subject"))
	for group in groups:
		if frappe.get_cached_value("Email Template", group.welcome_email_template, "subject") == subject:
			return group
	return None


def fields_of(doctype: str, name: str | None) -> tuple[str | None, str | None]:
	source = _cached(doctype, name)
	if not source:
		return None, None
	purpose, topic = source.get("consent_purpose"), source.get("subscription_topic")
	if not (purpose or topic):
		campaign = doctype in MARKETING_SOURCES and _cached(
			"Campaign", source.get("campaign") or source.get("campaign_name")
		)
		if campaign:
			purpose, topic = campaign.get("consent_purpose"), campaign.get("subscription_topic")
	return purpose, topic


def resolve(purpose: str | None, topic: str | None, signal: str, marketing_source: bool) -> MailClass:
	if topic:
		found = _cached("Subscription Topic", topic)
		found = found and found.purpose
		if not found or (purpose and purpose != found):
			return MailClass(
				True, None, None, signal, "its topic doesn't exist or belongs to another purpose"
			)
		return MailClass(True, found, topic, signal)
	if purpose and not frappe.db.exists("Processing Purpose", purpose):
		return MailClass(True, None, None, signal, "its purpose doesn't exist")
	if purpose and proof.is_marketing(purpose):
		return MailClass(True, purpose, None, signal)
	if purpose and not marketing_source:
		return MailClass(False, purpose, None, signal)
	return default_purpose(signal)


def _cached(doctype: str, name: str | None) -> Any:
	"""Return a record as Frappe's cache has it, or None: many mails in a row are about the same one."""
	try:
		return frappe.get_cached_doc(doctype, name) if name else None
	except frappe.DoesNotExistError:
		frappe.clear_last_message()
		return None


def default_purpose(signal: str) -> MailClass:
	purpose = frappe.db.get_single_value("Consent Settings", "default_purpose")
	if not purpose:
		return MailClass(True, None, None, signal, "Consent Settings has no default marketing purpose")
	return MailClass(True, purpose, None, signal)


def _unknown_kind(mail: Any) -> MailClass:
	if not unknown_is_marketing():
		return SERVICE
	addresses = [address for row in mail.recipients for address in split_addresses(row.recipient)]
	users = address_keys(
		frappe.get_all("User", {"enabled": 1, "email": ["in", addresses]}, pluck="email") if addresses else []
	)
	if all(key in users.values() for key in address_keys(addresses).values()):
		return SERVICE
	return default_purpose("Setting")


def unknown_is_marketing() -> bool:
	return frappe.db.get_single_value("Consent Settings", "unclassified_mail") == "Treat as Marketing"


def _headers(mail: Any) -> Any:
	# Headers end at the first empty line; the body may be megabytes long.
	head = (mail.message or "").replace("\r\n", "\n").split("\n\n", 1)[0]
	return HeaderParser().parsestr(head)


def _consent_headers(mail: Any) -> tuple[str | None, str | None]:
	if "x-consent-" not in (mail.message or "").lower():
		return None, None  # parsing takes as long as the rest of classify
	headers = _headers(mail)
	return _decoded(headers.get(PURPOSE_HEADER)), _decoded(headers.get(TOPIC_HEADER))


def _decoded(value: str | None) -> str | None:
	if not value:
		return None
	try:
		return strip_html(str(make_header(decode_header(value)))).strip() or None
	except (MessageError, LookupError, UnicodeError):
		return value
