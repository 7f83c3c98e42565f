"""Makes a marketing mail its one reader's own: who writes, a way out, nobody else's address, no beacon.

It changes the mail in memory only, at the moment of sending. A link that is made then is never stored in the
queue or the timeline, where others could read and use it.
"""

import quopri
import re
from email.message import EmailMessage
from email.parser import Parser
from email.policy import SMTP
from typing import Any

import frappe
from frappe import _
from frappe.utils import escape_html
from frappe.utils.caching import site_cache

from gdpr_consent import links, records

# Placeholders of frappe.email.doctype.email_queue, which it fills in per recipient.
LINK, BEACON, RECIPIENT = "<!--unsubscribe_url-->", "<!--email_open_check-->", "<!--recipient-->"

# In the text of a mail, or between the quotes of an HTML attribute, as quoted-printable writes it.
PLACE = re.compile(rf"""(?P<opening>=(?:3D)?(?:=\r?\n)?["'])?{LINK}""")


def personalise(mail: Any, consent: str | None, purpose: str | None, may_be_tracked: bool = False) -> None:
	"""Prepare an Email Queue document with one recipient left for sending.

	Args:
		consent: the Consent that the mail stands on; a mail to one's own staff has none, and no way out.
		purpose: what the mail is about, whose controller is named in it (Art. 13(4) ePrivacy, EM-10).
		may_be_tracked: whether the recipient agreed to it; else opening a mail is nobody's business (CA-19).
	"""
	if not may_be_tracked:
		mail.email_read_tracker_url = None
		mail.message = mail.message.replace(BEACON, "")
	mail.expose_recipients = None
	_name_nobody_else(mail)
	if not consent:
		return
	url, choices = links.unsubscribe_url(consent), links.preferences_url(consent)
	language = frappe.db.get_value("Consent", consent, "language")
	last_words = _last_words(mail, purpose, language)
	if LINK in mail.message:
		_fill_in_links(mail, url, choices, _("Your choices", language), last_words)
		mail.add_unsubscribe_link = 0  # core needn't sign its own, for which there is no place left
	else:
		_append_links(
			mail, {_("Unsubscribe", language): url, _("Your choices", language): choices}, last_words
		)
	# RFC 8058 §3.1. In front, since a header folded by core would break the address.
	mail.message = (
		f"List-Unsubscribe: {_ways_out(mail, consent, url)}\n"
		"List-Unsubscribe-Post: List-Unsubscribe=One-Click\n" + mail.message
	)


def _ways_out(mail: Any, consent: str, url: str) -> str:
	mailbox = _mailbox_of_the_site()
	if not mailbox:
		return f"<{url}>"
	return f"<{url}>,\n <mailto:{mailbox}?subject=unsubscribe%20{links.sign(links.UNSUBSCRIBE, consent)}>"


@site_cache(ttl=60)
def _mailbox_of_the_site() -> str | None:
	return frappe.db.get_value("Email Account", {"default_incoming": 1, "enable_incoming": 1}, "email_id")


def _name_nobody_else(mail: Any) -> None:
	head = mail.message.replace("\r\n", "\n").split("\n\n", 1)[0].lower()
	if RECIPIENT in head and "\ncc:" not in head:
		return
	message = _parsed(mail)
	for header in ("To", "Cc", "Bcc"):
		del message[header]
	message["To"] = RECIPIENT
	mail.message = message.as_string()


def _last_words(mail: Any, purpose: str | None, language: str | None) -> list[str]:
	"""Say that one can object (Art. 21(4) GDPR; SO-05, LB-08), and who writes, with their postal address, if
	the mail doesn't say it itself (EM-10)."""
	imprint, street = _imprint(purpose)
	says_so = street and _encoded(street) in mail.message.replace("\r\n", "\n").replace("=\n", "")
	object_to_it = _("You can object to marketing at any time, at no cost.", language)
	return [object_to_it] if says_so or not imprint else [object_to_it, imprint]


@site_cache(ttl=60)
def _imprint(purpose: str | None) -> tuple[str, str]:
	company = purpose and frappe.get_cached_value("Processing Purpose", purpose, "company")
	company = company or frappe.db.get_default("company")
	address = (records.postal_address(company) if company else None) or {}
	street, country = address.get("schema:streetAddress", ""), address.get("schema:addressCountry")
	place = " ".join(filter(None, (address.get("schema:postalCode"), address.get("schema:addressLocality"))))
	told = (company, street, place, country)
	return ", ".join(part for part in told if part), street


def _fill_in_links(mail: Any, url: str, choices: str, label: str, last_words: list[str]) -> None:
	"""Put the way out where the mail has a place for it, with the link to the person's choices before it,
	and the last words at the end.

	The mail isn't parsed for that: of a Newsletter there are very many.
	"""
	out, its_choices = _encoded(url), _encoded(choices)
	html_label, text_label = _encoded(escape_html(label)), _encoded(label)
	in_text = "".join(f"\n\n{_encoded(words)}" for words in last_words)

	def fill_in(place: re.Match) -> str:
		if not (opening := place["opening"]):
			return f"{out}\n\n{text_label}: {its_choices}{in_text}"
		quote = opening[-1]
		return f"{opening}{its_choices}{quote}>{html_label}</a> &middot; <a href=3D{quote}{out}"

	before, body_end, after = mail.message.partition("</body>")
	in_html = f"{_encoded(_in_html(last_words))}\n" if body_end else ""
	mail.message = PLACE.sub(fill_in, f"{before}{in_html}{body_end}{after}")


def _in_html(last_words: list[str]) -> str:
	style = "font: 12px sans-serif; color: #6b7280; margin: 8px"
	return "".join(f'<p style="{style}">{escape_html(words)}</p>' for words in last_words)


def _encoded(text: str) -> str:
	"""As core encodes the parts of a mail, for a place in the middle of a line."""
	return quopri.encodestring(text.encode()).decode()


def _append_links(mail: Any, urls: dict[str, str], last_words: list[str]) -> None:
	"""Add visible links to a mail that has no place for them, in its text and in its HTML (EM-14)."""
	message = _parsed(mail)
	for part in message.walk():
		if part.get_content_maintype() != "text" or part.get_content_disposition() == "attachment":
			continue
		content = part.get_content()
		if part.get_content_subtype() == "html":
			visible = " &middot; ".join(
				f'<a href="{escape_html(url)}">{escape_html(label)}</a>' for label, url in urls.items()
			)
			added = f"<p>{visible}</p>{_in_html(last_words)}"
			before, body_end, after = content.partition("</body>")
			content = f"{before}{added}{body_end}{after}" if body_end else f"{content}{added}"
		elif part.get_content_subtype() == "plain":
			content += "\n\n" + "".join(f"{label}: {url}\n" for label, url in urls.items())
			content += "".join(f"\n{words}\n" for words in last_words)
		else:
			continue
		part.set_content(content, subtype=part.get_content_subtype(), cte="quoted-printable")
	mail.message = message.as_string()


def _parsed(mail: Any) -> EmailMessage:
	return Parser(policy=SMTP.clone(refold_source="none")).parsestr(mail.message)
