"""The hard gate: every mail of the site passes `EmailQueue.send`, and each recipient is decided here, last.

It never raises for a recipient who is blocked, so that the others get their mail. It holds a marketing mail
that it can't decide about, and never a service mail for lack of consent (EM-03, EM-05, EM-07, EM-08).
"""

import inspect
from email.parser import Parser
from email.policy import SMTP
from typing import Any

import frappe
from frappe import _
from frappe.utils import cint

from gdpr_consent import audience, ledger
from gdpr_consent.clock import now_utc
from gdpr_consent.custom_fields import BLOCKED
from gdpr_consent.gate.classify import MailClass, classify, shows_signs_of_marketing
from gdpr_consent.identity import address_keys, split_addresses
from gdpr_consent.policy import Channel, Decision, Reason, block


class ConsentEmailQueueMixin:
	"""Put in front of Frappe's EmailQueue: `override_doctype_class` on v15, `extend_doctype_class` on v16."""

	def send(self, *args: Any, **kwargs: Any) -> Any:
		send = super().send
		force = inspect.signature(send).bind(*args, **kwargs).arguments.get("force_send")
		if (force or self.can_send_now()) and not admit(self):
			return None
		return send(*args, **kwargs)


def admit(mail: Any) -> bool:
	"""Decide about each recipient of a mail that is about to be sent, and take the blocked ones out.

	Returns:
		whether anybody is left to send to.
	"""
	try:
		# A new transaction, so that a no which was committed a moment ago is seen. Frappe's own `send`
		# commits
		# at this point too.
		frappe.db.commit()  # nosemgrep
		found = classify(mail)
	except Exception:
		if not shows_signs_of_marketing(mail):
			return True
		return _hold(mail)
	if not found.is_marketing:
		return True
	try:
		return _admit_marketing(mail, found)
	except Exception:
		return _hold(mail)


def _admit_marketing(mail: Any, found: MailClass) -> bool:
	_give_each_address_its_row(mail)
	waiting = [row for row in mail.recipients if not row.is_mail_sent()]
	decisions = _decide(found, [row.recipient for row in waiting])
	blocked = [row for row in waiting if not decisions[row.recipient].allowed]
	_log(mail, found, waiting, decisions)
	_mark(mail, waiting, blocked, decisions)
	out = {row.name for row in blocked}
	mail.recipients = [row for row in mail.recipients if row.name not in out]
	frappe.db.commit()  # nosemgrep: the decision is on record before anything leaves
	if len(blocked) == len(waiting):
		return False
	_hide_recipients_from_each_other(mail)
	return True


def _decide(found: MailClass, recipients: list[str]) -> dict[str, Decision]:
	if found.unclear:
		return {recipient: block(Reason.ERROR) for recipient in recipients}
	addresses = {recipient: (split_addresses(recipient) or [recipient])[0] for recipient in recipients}
	decisions = audience.decide_many(addresses.values(), found.purpose or "", found.topic)
	return {recipient: decisions[address] for recipient, address in addresses.items()}


def _give_each_address_its_row(mail: Any) -> None:
	"""A row may hold "a@x, b@y". Each is decided for itself, and one may not stop the other."""
	for row in list(mail.recipients):
		addresses = split_addresses(row.recipient)
		if len(addresses) < 2 or row.is_mail_sent():
			continue
		row.db_set("recipient", addresses[0])
		for address in addresses[1:]:
			more = mail.append("recipients", {"recipient": address, "status": row.status})
			more.db_insert()


def _log(mail: Any, found: MailClass, waiting: list[Any], decisions: dict[str, Decision]) -> None:
	"""Write one Consent Decision per recipient; of a mail that is retried, the last decision counts."""
	addresses = {row.name: (split_addresses(row.recipient) or [""])[0] for row in waiting}
	keys = address_keys(addresses.values())
	now = now_utc()
	rows = []
	for row in waiting:
		decision = decisions[row.recipient]
		rows.append(
			{
				"name": f"{mail.name}-{row.name}",
				"decided_on": now,
				"allowed": cint(decision.allowed),
				"reason": decision.reason.value,
				"consent": decision.consent,
				"address_key": keys[addresses[row.name]],
				"channel": Channel.EMAIL.value,
				"purpose": found.purpose,
				"topic": found.topic,
				"reference_doctype": mail.reference_doctype,
				"reference_name": mail.reference_name,
				"email_queue": mail.name,
				"signal": found.signal,
			}
		)
	table = frappe.qb.DocType("Consent Decision")
	frappe.qb.from_(table).delete().where(table.name.isin([row["name"] for row in rows])).run()
	ledger.insert("Consent Decision", rows)


def _mark(mail: Any, waiting: list[Any], blocked: list[Any], decisions: dict[str, Decision]) -> None:
	recipient, queue = frappe.qb.DocType("Email Queue Recipient"), frappe.qb.DocType("Email Queue")
	if blocked:
		frappe.qb.update(recipient).set(recipient.status, BLOCKED).where(
			recipient.name.isin([row.name for row in blocked])
		).run()
	if len(blocked) == len(waiting):
		reasons = sorted({decisions[row.recipient].reason.value for row in blocked})
		anyone_got_it = any(row.is_mail_sent() for row in mail.recipients)
		mail.status = "Sent" if anyone_got_it else BLOCKED
		frappe.qb.update(queue).set(queue.status, mail.status).set(
			queue.error, _("Not sent, for lack of permission: {0}").format(", ".join(reasons))
		).where(queue.name == mail.name).run()
		if mail.communication and not anyone_got_it:
			# Core knows no such status, and would show the mail as sent in the timeline.
			frappe.db.set_value("Communication", mail.communication, "delivery_status", "Rejected")


def _hide_recipients_from_each_other(mail: Any) -> None:
	"""Marketing names nobody but its reader: for this sending only, nothing of it is stored (EM-15,
	EM-22)."""
	mail.expose_recipients = None
	head = mail.message.replace("\r\n", "\n").split("\n\n", 1)[0].lower()
	if "<!--recipient-->" in head and "\ncc:" not in head:
		return
	message = Parser(policy=SMTP.clone(refold_source="none")).parsestr(mail.message)
	for header in ("To", "Cc", "Bcc"):
		del message[header]
	message["To"] = "<!--recipient-->"
	mail.message = message.as_string()


def _hold(mail: Any) -> bool:
	"""Leave a mail that couldn't be decided in the queue, to be tried again (EM-07)."""
	frappe.db.rollback()
	# The log entry must not name the recipients (WB-11).
	frappe.log_error(
		title="Consent gate: marketing mail held", message=frappe.get_traceback(with_context=False)
	)
	frappe.db.commit()  # nosemgrep: the flush that called would go on and lose it
	return False
