"""Mail that comes back: bounces, complaints, and mails that ask to be unsubscribed (EM-18, EM-19, UN-10).

Anybody may write to an inbox, so a report isn't believed about the person it names. It counts for the reader
whose own signed token it brings back, or else for the one person who got the mail that it returns.
"""

import re
from contextlib import suppress
from datetime import datetime
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Any, NamedTuple

import frappe
from frappe import _

from gdpr_consent import identity, links, register
from gdpr_consent.clock import from_system_time, now_utc
from gdpr_consent.exceptions import LinkNotValid
from gdpr_consent.failures import log_failure
from gdpr_consent.policy import Channel, RefusalKind

# RFC 3463 and 7505: there is no such mailbox, no such domain, or no mail is taken there. Not: a full mailbox,
# a policy, a faulty sender.
GONE = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
NOT_SAID = frozenset({"", "5.0.0"})  # Exim writes 5.0.0 whatever the server said
ENHANCED_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?!\.?\d)")

KIND_OF_FEEDBACK = {  # RFC 5965 §7.3; not-spam, virus, auth-failure … are no word about our mail
	"abuse": RefusalKind.COMPLAINT,
	"opt-out": RefusalKind.UNSUBSCRIBE,
	"opt-out-list": RefusalKind.UNSUBSCRIBE,
}
RETURNED = (
	"message/rfc822",
	"text/rfc822-headers",
	"message/rfc822-headers",
	"message/global",
	"message/global-headers",
)
TOKEN = re.compile(r"[\w-]{16,200}\.[\w-]{4,16}\.[\w-]{32,100}")
TOKENS_TRIED = 5

# The whole subject of a mail that wants nothing else. Words that may also cancel an order are left out.
UNSUBSCRIBE_WORDS = frozenset(
	" ".join(words.split())
	for words in """unsubscribe, unsubscribe me, newsletter abbestellen, newsletter abmelden,
	vom newsletter abmelden, wypisz, wypisz mnie, wypisz mnie z newslettera, rezygnuję z newslettera,
	désabonner, se désabonner, me désabonner, désinscription newsletter, cancelar suscripción,
	darse de baja del boletín, cancelar subscrição, annulla iscrizione, disiscrivimi,
	nieuwsbrief uitschrijven, uitschrijven nieuwsbrief, odhlásit newsletter, odhlásit odběr,
	afmeld nyhedsbrev, avregistrera nyhetsbrev, leiratkozás""".split(",")
)

LONGEST_REASON, LONGEST_HEADER = 200, 2_000  # characters; an attacker's header may be megabytes
ALL_MAIL, ALL_MARKETING = register.Scope(Channel.EMAIL.value, ""), register.Scope("", "")


class Report(NamedTuple):
	"""What a message says.

	`said` is the cause, without addresses. `tokens` may be ours; `message_id` is that of the returned mail;
	`sender` is set where the person writes themself.
	"""

	kind: RefusalKind
	said: str
	tokens: tuple[str, ...] = ()
	message_id: str = ""
	sender: str = ""


class Returned(NamedTuple):
	"""A mail of ours that came back: to whom it went, when (naive UTC), and what it stood on.

	The address is None if it was erased since.
	"""

	email: str | None
	sent_on: datetime
	consent: str | None = None


# --- reading ------------------------------------------------------------------------------------------------


def read(message: Message) -> Report | None:
	"""Tell what a message reports, None if nothing that counts. Needs no database."""
	if message.get_content_type() != "multipart/report":
		return _read_mailto(message)
	parts: dict[str, Message] = {}
	for part in message.get_payload() if message.is_multipart() else ():
		parts.setdefault(part.get_content_type(), part)
	found = _read_delivery_status(parts) or _read_feedback(parts)
	if not found:
		return None
	kind, said = found
	original = _returned_headers(parts)
	return Report(kind, said, tuple(_tokens_in(original)), _header(original, "Message-Id").strip("<> \t"))


def _read_delivery_status(parts: dict[str, Message]) -> tuple[RefusalKind, str] | None:
	"""Read a report of RFC 3464. It is a bounce if the mail reached nobody, for good."""
	blocks = _blocks(parts.get("message/delivery-status"))
	recipients = [block for block in blocks if block["Action"]]
	codes = [_status(block) for block in recipients if _header(block, "Action").lower().startswith("failed")]
	if not codes or len(codes) < len(recipients) or not GONE.issuperset(codes):
		return None
	servers = [_header(block, "Reporting-MTA").rpartition(";")[2] for block in blocks]
	server = next((name for name in servers if name), "")
	diagnostic = _header(recipients[0], "Diagnostic-Code").partition(";")[2]
	return RefusalKind.BOUNCE, _cleaned(codes[0], server, diagnostic)


def _status(block: Message) -> str:
	for field in ("Status", "Diagnostic-Code"):
		found = ENHANCED_STATUS.search(_header(block, field))
		if found and found.group() not in NOT_SAID:
			return found.group()
	return ""


def _read_feedback(parts: dict[str, Message]) -> tuple[RefusalKind, str] | None:
	"""Read a report of RFC 5965."""
	for fields in _blocks(parts.get("message/feedback-report")):
		feedback = _header(fields, "Feedback-Type").lower()
		if kind := KIND_OF_FEEDBACK.get(feedback):
			return kind, _cleaned(feedback, _header(fields, "Reporting-MTA"), _header(fields, "User-Agent"))
	return None


def _read_mailto(message: Message) -> Report | None:
	subject = _decoded(_header(message, "Subject"))
	tokens = TOKEN.findall(subject)[:TOKENS_TRIED]
	words = " ".join(TOKEN.sub("", subject).lower().split()).strip(" .!")
	senders = identity.split_addresses(_header(message, "From")) if words in UNSUBSCRIBE_WORDS else []
	if not tokens and len(senders) != 1:
		return None
	return Report(
		RefusalKind.UNSUBSCRIBE,
		_("A mail that asks to be unsubscribed."),
		tuple(tokens),
		sender=senders[0] if len(senders) == 1 else "",
	)


def _blocks(part: Message | None) -> list[Message]:
	payload = part.get_payload() if part is not None and part.is_multipart() else []
	return [block for block in payload if isinstance(block, Message)]


def _returned_headers(parts: dict[str, Message]) -> Message:
	part = next((parts[kind] for kind in RETURNED if kind in parts), None)
	if part is None:
		return Message()
	if blocks := _blocks(part):
		return blocks[0]
	return BytesHeaderParser().parsebytes(part.get_payload(decode=True) or b"")


def _tokens_in(original: Message) -> list[str]:
	headers = (original.get_all("List-Unsubscribe") or [])[:TOKENS_TRIED]
	# A server may have folded the header inside an address.
	values = ["".join(str(value)[:LONGEST_HEADER].split()).replace("%20", " ") for value in headers]
	return [token for value in values for token in TOKEN.findall(value)][:TOKENS_TRIED]


def _header(message: Message, name: str) -> str:
	return str(message[name] or "")[:LONGEST_HEADER].strip()


def _decoded(text: str) -> str:
	try:
		return str(make_header(decode_header(text)))
	except (MessageError, LookupError, UnicodeError, ValueError):
		return text


def _cleaned(what: str, server: str, text: str) -> str:
	"""Put together what was reported, in one line and without the address of anybody."""
	line = ", ".join(" ".join(part.split()) for part in (what, server, text) if part.strip())
	line = "".join(char for char in line if char.isprintable())
	return re.sub(r"\S*@\S*", "…", line)[:LONGEST_REASON]


# --- counting -----------------------------------------------------------------------------------------------


def count(report: Report) -> bool:
	"""Write into the register what a report says, if it can be told about whom.

	Returns:
		whether it counted. A report about nobody we wrote to, and one about a mail that several people got,
		counts for nobody: a forged one must not reach a stranger.
	"""
	returned = _find_returned(report)
	if report.kind == RefusalKind.UNSUBSCRIBE and returned and returned.consent:
		register.withdraw_by_link(returned.consent)
		return True
	email = returned.email if returned else _known_sender(report)
	if not email:
		return False
	if report.kind == RefusalKind.BOUNCE and returned:
		reason = _("Mail comes back: {0}").format(report.said)
		return register.note_bounce(email, returned.sent_on, reason)
	scope = ALL_MARKETING if report.kind == RefusalKind.COMPLAINT else ALL_MAIL
	noes = [register.No(report.kind, scope, one) for one in identity.addresses_of_the_person(email)]
	register.say_no(noes, register.Act(reason=report.said))
	return bool(noes)


def _find_returned(report: Report) -> Returned | None:
	for token in report.tokens:
		with suppress(LinkNotValid):
			consent, sent_on = links.read_unsubscribe(token)
			if found := frappe.db.get_value("Consent", consent, ["name", "email"], as_dict=True):
				return Returned(found.email, sent_on, found.name)
	return _find_in_queue(report.message_id) if report.message_id else None


def _find_in_queue(message_id: str) -> Returned | None:
	"""Find the mail by its id, which only its reader knows; the readers of a Newsletter share one, though."""
	queue, recipient = frappe.qb.DocType("Email Queue"), frappe.qb.DocType("Email Queue Recipient")
	rows = (
		frappe.qb.from_(queue)
		.join(recipient)
		.on(recipient.parent == queue.name)
		.select(recipient.recipient, queue.creation)
		.where((queue.message_id == message_id) & (recipient.status == "Sent"))
		.limit(2)
		.run()
	)
	if len(rows) != 1:
		return None
	addresses = identity.split_addresses(rows[0][0])
	return Returned(addresses[0], from_system_time(rows[0][1])) if len(addresses) == 1 else None


def _known_sender(report: Report) -> str | None:
	"""Return who wrote, if we know them. A sender can be forged, but all it can do is stop mail."""
	key = identity.address_keys([report.sender])[report.sender]
	if not key:
		return None
	people = identity.people_at([report.sender])[report.sender]
	return report.sender if people or frappe.db.exists("Consent", {"address_key": key}) else None


def count_refusals(refused: dict[str, tuple[int, bytes]]) -> None:
	"""Count the addresses that a server refused while we were sending, as `smtplib` gives them.

	It never raises: the caller has an error of its own to report.
	"""
	try:
		for recipient, (code, answer) in refused.items():
			text = answer.decode("ascii", "replace")
			status = ENHANCED_STATUS.match(text)
			addresses = identity.split_addresses(recipient)
			if 500 <= code < 600 and status and status.group() in GONE and len(addresses) == 1:
				reason = _("The server refused the address: {0}").format(_cleaned(str(code), "", text))
				register.note_bounce(addresses[0], now_utc(), reason)
		frappe.db.commit()  # nosemgrep: the mail's own state is committed, and the caller raises
	except Exception:
		_log("Email Queue")


# --- the inbox ----------------------------------------------------------------------------------------------


class ConsentEmailAccountMixin:
	"""Put in front of Frappe's EmailAccount: `override_doctype_class` on v15, `extend_doctype_class` on v16.

	Here the raw messages are at hand. Frappe goes on with them as if nothing had been.
	"""

	def get_inbound_mails(self, *args: Any, **kwargs: Any) -> list[Any]:
		mails = super().get_inbound_mails(*args, **kwargs)
		if mails:
			frappe.db.commit()  # nosemgrep: what Frappe noted about the mailbox stays, should ours fail
		for mail in mails:
			_take_in(mail, self.name)
		return mails


def _take_in(mail: Any, account: str) -> None:
	try:
		report = read(mail.mail)
		# A mail that the server gives us again, under other numbers, was counted the first time.
		if not report or mail.is_exist_in_system():
			return
		_count_twice_if_deadlocked(report)
		frappe.db.commit()  # nosemgrep: Frappe rolls back if it fails with this mail or another
		if report.kind == RefusalKind.UNSUBSCRIBE:
			mail.subject = TOKEN.sub("…", mail.subject)  # nobody else needs it in the timeline
	except Exception:
		_log(account)


def _count_twice_if_deadlocked(report: Report) -> None:
	try:
		count(report)
	except frappe.QueryDeadlockError:
		frappe.db.rollback()
		count(report)


def _log(where: str) -> None:
	frappe.db.rollback()
	log_failure("Returned mail not counted", where)
	frappe.db.commit()  # nosemgrep: the caller goes on, and may roll back
