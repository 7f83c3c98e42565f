"""The hard gate: every mail of the site passes `EmailQueue.send`, and each recipient is decided here, last.

It never raises for a recipient who is blocked, so that the others get their mail. It holds a marketing mail
that it can't decide about, and never a service mail for lack of consent (EM-03, EM-05, EM-07, EM-08).
"""

import inspect
from collections.abc import Callable
from smtplib import SMTPRecipientsRefused
from typing import Any

import frappe
from frappe import _
from frappe.utils import cint

from gdpr_consent import audience, ledger, policy_history, returned_mail
from gdpr_consent.clock import now_utc
from gdpr_consent.custom_fields import BLOCKED
from gdpr_consent.gate.classify import SERVICE, MailClass, classify, shows_signs_of_marketing
from gdpr_consent.gate.personal import personalise
from gdpr_consent.identity import address_keys, split_addresses
from gdpr_consent.policy import NEVER_ASKED, Channel, Decision, Reason, block
from gdpr_consent.sensitive_data.messages import sent_for
from gdpr_consent.words import reason_in_words


class ConsentEmailQueueMixin:
	"""Put in front of Frappe's EmailQueue: `override_doctype_class` on v15, `extend_doctype_class` on v16."""

	def send(self, *args: Any, **kwargs: Any) -> None:
		send = super().send
		force = inspect.signature(send).bind(*args, **kwargs).arguments.get("force_send")
		if not (force or self.can_send_now()):
			return
		if not _claim(self):
			return
		mail_class = _classify(self)
		if mail_class is None:
			return
		if not mail_class.is_marketing:
			_send(self, send, *args, **kwargs)
		elif others := _give_each_recipient_a_mail(self):
			for mail in (self, *others):
				mail.send(*args, **kwargs)
		elif _admit(self, mail_class):
			try:
				_send(self, send, *args, **kwargs)
			except Exception:
				_note_that_it_didnt_leave(self)
				raise


def _send(mail: Any, send: Callable, *args: Any, **kwargs: Any) -> None:
	try:
		with sent_for(mail):
			send(*args, **kwargs)
	except SMTPRecipientsRefused as refused:
		returned_mail.count_refusals(refused.recipients)
		raise


def _claim(mail: Any) -> bool:
	"""Lock the mail, so that no second process sends it too, until Frappe has written that it is being sent.

	Returns:
		whether it is as it was loaded. If not, another process has taken it.
	"""
	# A new transaction, so that a no which was committed a moment ago is seen. Frappe's own `send` commits at
	# this point too.
	frappe.db.commit()  # nosemgrep
	found = frappe.db.sql("select status from `tabEmail Queue` where name = %s for update", mail.name)
	return bool(found) and found[0][0] == mail.status


def _classify(mail: Any) -> MailClass | None:
	"""Say what a mail is about. None: it shows signs of marketing, and waits because it can't be told."""
	try:
		return classify(mail)
	except Exception:
		if not shows_signs_of_marketing(mail):
			return SERVICE
		_hold(mail)
		return None


def _admit(mail: Any, found: MailClass) -> bool:
	"""Decide about the recipient of a marketing mail, and make it their own if they may get it."""
	try:
		(row,) = [row for row in mail.recipients if not row.is_mail_sent()] or [None]
		if row is None:
			return True
		if _was_perhaps_sent(mail, row):
			_give_up(mail)
			return False
		address = (split_addresses(row.recipient) or [row.recipient])[0]
		decision = _decide(found, mail, address)
		_log(mail, found, row, address, decision)
		if decision.allowed:
			# Frappe commits the decision when it writes that the mail is being sent, and sends it then.
			personalise(mail, decision.consent, found.purpose, _may_track(mail, address))
		else:
			_block(mail, row, decision)
			frappe.db.commit()  # nosemgrep: nothing else would
		return decision.allowed
	except Exception:
		_hold(mail)
		return False


def _give_each_recipient_a_mail(mail: Any) -> list[Any]:
	"""Split a mail to several people, in to, cc and bcc, into one for each (EM-15, EM-22).

	Nobody sees the others then, each has a way out of their own, and one who is blocked stops nobody.

	Returns:
		the mails to the others. This one keeps its first recipient, and those who have had it already.
	"""
	waiting = [
		(row, address) for row in mail.recipients if not row.is_mail_sent() for address in _addresses(row)
	]
	if len(waiting) < 2:
		return []
	try:
		mails = _split(mail, waiting)
	except Exception:
		frappe.db.rollback()  # or whoever goes on would commit a part, and people would get it twice
		raise
	frappe.db.commit()  # nosemgrep: from here on each mail is sent, or tried again, for itself
	return mails


def _split(mail: Any, waiting: list[tuple[Any, str]]) -> list[Any]:
	(first, own_address), *others = waiting
	mails = []
	for _row, address in others:
		other = mail.get_duplicate([address])
		other.status = "Not Sent"
		mails.append(other.insert(ignore_permissions=True))  # the queue itself makes it
	gone = {row.name for row, _address in others} - {first.name}
	if gone:
		frappe.db.delete("Email Queue Recipient", {"name": ["in", list(gone)]})
	mail.recipients = [row for row in mail.recipients if row.name not in gone]
	first.db_set("recipient", own_address)
	return mails


def _addresses(row: Any) -> list[str]:
	"""A row may hold "Jo <a@x>, b@y"."""
	found = split_addresses(row.recipient)
	return found if len(found) > 1 else [row.recipient]


def _decide(found: MailClass, mail: Any, address: str) -> Decision:
	if found.unclear:
		return block(Reason.ERROR)
	decision = audience.decide_many([address], found.purpose or "", found.topic)[address]
	if decision.reason in NEVER_ASKED and _is_colleague(mail, address):
		return Decision(True, Reason.NOT_MARKETING)
	return decision


def _may_track(mail: Any, address: str) -> bool:
	if not mail.get("email_read_tracker_url"):
		return False
	purpose = frappe.get_cached_value("Consent Settings", "Consent Settings", "tracking_purpose")
	return bool(purpose) and audience.decide_many([address], purpose)[address].allowed


def _is_colleague(mail: Any, address: str) -> bool:
	"""Whether this is a test of a Newsletter, sent to somebody who may read it in the desk anyway."""
	if mail.reference_doctype != "Newsletter":
		return False
	user = frappe.db.get_value("User", {"email": address, "enabled": 1, "user_type": "System User"})
	return bool(user) and frappe.has_permission("Newsletter", "read", mail.reference_name, user=user)


def _log(mail: Any, found: MailClass, row: Any, address: str, decision: Decision) -> None:
	"""Write the Consent Decision; of a mail that is tried again, the last decision counts."""
	ledger.insert(
		"Consent Decision",
		[
			{
				"name": _decision_name(mail, row),
				"decided_on": now_utc(),
				"allowed": cint(decision.allowed),
				"handed_over": cint(decision.allowed),
				"reason": decision.reason.value,
				"consent": decision.consent,
				"address_key": address_keys([address])[address],
				"channel": Channel.EMAIL.value,
				"purpose": found.purpose,
				"topic": found.topic,
				"reference_doctype": mail.reference_doctype,
				"reference_name": mail.reference_name,
				"email_queue": mail.name,
				"signal": found.signal,
				"policy_version": policy_history.version(),
			}
		],
		replace=True,
	)


def _decision_name(mail: Any, row: Any) -> str:
	return f"{mail.name}-{row.name}"


def _was_perhaps_sent(mail: Any, row: Any) -> bool:
	"""Whether an earlier attempt ended with neither a success nor an error: its process died.

	Frappe takes such a mail up again after 15 minutes, though the SMTP server may have it. Somebody who gets
	marketing twice is worse off than somebody who doesn't get it (at most once).
	"""
	is_first_attempt = mail.status == "Not Sent" and not mail.retry
	return not is_first_attempt and bool(
		frappe.db.get_value("Consent Decision", _decision_name(mail, row), "handed_over")
	)


def _note_that_it_didnt_leave(mail: Any) -> None:
	"""Let a mail be tried again: by the flush after an SMTP error, or by somebody who has looked."""
	table = frappe.qb.DocType("Consent Decision")
	frappe.qb.update(table).set(table.handed_over, 0).where(
		(table.email_queue == mail.name) & (table.handed_over == 1)
	).run()
	frappe.db.commit()  # nosemgrep: the error that is on its way would undo it


def _give_up(mail: Any) -> None:
	queue = frappe.qb.DocType("Email Queue")
	mail.status = "Error"
	frappe.qb.update(queue).set(queue.status, mail.status).set(
		queue.error,
		_(
			"Perhaps sent: the process that sent it ended before it could note that. It isn't sent again by "
			"itself. If you know that it didn't arrive, choose Retry Sending."
		),
	).where(queue.name == mail.name).run()
	_note_that_it_didnt_leave(mail)


def _block(mail: Any, row: Any, decision: Decision) -> None:
	recipient, queue = frappe.qb.DocType("Email Queue Recipient"), frappe.qb.DocType("Email Queue")
	frappe.qb.update(recipient).set(recipient.status, BLOCKED).where(recipient.name == row.name).run()
	anyone_got_it = any(one.is_mail_sent() for one in mail.recipients)
	mail.status = "Sent" if anyone_got_it else BLOCKED
	frappe.qb.update(queue).set(queue.status, mail.status).set(
		queue.error, _("Not sent, for lack of permission: {0}").format(reason_in_words(decision.reason))
	).where(queue.name == mail.name).run()
	if mail.communication and not anyone_got_it:
		# Core knows no such status, and would show the mail as sent in the timeline.
		frappe.db.set_value("Communication", mail.communication, "delivery_status", "Rejected")


def _hold(mail: Any) -> None:
	"""Leave a mail that couldn't be decided in the queue, to be tried again (EM-07)."""
	frappe.db.rollback()
	# The log entry must not name the recipients (WB-11).
	frappe.log_error(
		title="Consent gate: marketing mail held", message=frappe.get_traceback(with_context=False)
	)
	frappe.db.commit()  # nosemgrep: the flush that called would go on and lose it
