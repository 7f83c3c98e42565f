"""Makes a marketing mail its one reader's own: a way out that works, nobody else's address, no beacon.

It changes the mail in memory only, at the moment of sending. A link that is made then is never stored in the
queue or the timeline, where others could read and use it.
"""

import quopri
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
	url = links.unsubscribe_url(consent)
	if LINK in mail.message:
		mail.message = mail.message.replace(LINK, quopri.encodestring(url.encode()).decode())
		mail.add_unsubscribe_link = 0  # core needn't sign its own, for which there is no place left
	else:
		_append_link(mail, url, frappe.db.get_value("Consent", consent, "language"))
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


def _append_link(mail: Any, url: str, language: str | None) -> None:
	"""Add the visible link to a mail that has no place for it, in its text and in its HTML (EM-14)."""
	label = _("Unsubscribe", language)
	message = _parsed(mail)
	for part in message.walk():
		if part.get_content_maintype() != "text" or part.get_content_disposition() == "attachment":
			continue
		content = part.get_content()
		if part.get_content_subtype() == "html":
			link = f'<p><a href="{escape_html(url)}">{escape_html(label)}</a></p>'
			before, body_end, after = content.rpartition("</body>")
			content = f"{before}{link}{body_end}{after}" if body_end else content + link
		elif part.get_content_subtype() == "plain":
			content = f"{content}\n\n{label}: {url}\n"
		else:
			continue
		part.set_content(content, subtype=part.get_content_subtype(), cte="quoted-printable")
	mail.message = message.as_string()


def _parsed(mail: Any) -> EmailMessage:
	return Parser(policy=SMTP.clone(refold_source="none")).parsestr(mail.message)
