"""Makes a marketing mail its one reader's own: a way out that works, nobody else's address, no beacon.

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

from gdpr_consent import links

# Placeholders of frappe.email.doctype.email_queue, which it fills in per recipient.
LINK, BEACON, RECIPIENT = "<!--unsubscribe_url-->", "<!--email_open_check-->", "<!--recipient-->"

# In the text of a mail, or between the quotes of an HTML attribute, as quoted-printable writes it.
PLACE = re.compile(rf"""(?P<opening>=(?:3D)?(?:=\r?\n)?["'])?{LINK}""")


def personalise(mail: Any, consent: str | None, may_be_tracked: bool = False) -> None:
	"""Prepare an Email Queue document with one recipient left for sending.

	Args:
		consent: the Consent that the mail stands on; a mail to one's own staff has none, and no way out.
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
	if LINK in mail.message:
		_fill_in_links(mail, url, choices, _("Your choices", language))
		mail.add_unsubscribe_link = 0  # core needn't sign its own, for which there is no place left
	else:
		_append_links(mail, {_("Unsubscribe", language): url, _("Your choices", language): choices})
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


def _fill_in_links(mail: Any, url: str, choices: str, label: str) -> None:
	"""Put the way out where the mail has a place for it, and the link to the person's choices in front of it.

	The mail isn't parsed for that: of a Newsletter there are very many.
	"""
	out, its_choices = _encoded(url), _encoded(choices)
	html_label, text_label = _encoded(escape_html(label)), _encoded(label)

	def fill_in(place: re.Match) -> str:
		if not (opening := place["opening"]):
			return f"{out}\n\n{text_label}: {its_choices}"
		quote = opening[-1]
		return f"{opening}{its_choices}{quote}>{html_label}</a> &middot; <a href=3D{quote}{out}"

	mail.message = PLACE.sub(fill_in, mail.message)


def _encoded(text: str) -> str:
	"""As core encodes the parts of a mail, for a place in the middle of a line."""
	return quopri.encodestring(text.encode()).decode()


def _append_links(mail: Any, urls: dict[str, str]) -> None:
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
			before, body_end, after = content.rpartition("</body>")
			content = (
				f"{before}<p>{visible}</p>{body_end}{after}" if body_end else f"{content}<p>{visible}</p>"
			)
		elif part.get_content_subtype() == "plain":
			content += "\n\n" + "".join(f"{label}: {url}\n" for label, url in urls.items())
		else:
			continue
		part.set_content(content, subtype=part.get_content_subtype(), cte="quoted-printable")
	mail.message = message.as_string()


def _parsed(mail: Any) -> EmailMessage:
	return Parser(policy=SMTP.clone(refold_source="none")).parsestr(mail.message)
