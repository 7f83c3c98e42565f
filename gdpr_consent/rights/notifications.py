"""Tells those who have people's data from us that a permission has ended (Art. 19 GDPR, C-129/21; ST-16).

What is to be told was written down with what happened, see `data_recipients`. Each recipient gets one mail
for all that is due about a purpose. A mail that doesn't leave is tried again; a person's address is forgotten
once they know.
"""

import csv
import io
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Any

import frappe
from frappe import _
from frappe.utils import add_days

from gdpr_consent.alerts import alert_once, officers
from gdpr_consent.clock import now_utc, utc_text
from gdpr_consent.data_recipients import DOCTYPE, DUE, FAILED, NOTIFICATION, SENDING, TOLD
from gdpr_consent.doors import rows_of, says_why
from gdpr_consent.exceptions import EvidenceMissing, NotNow
from gdpr_consent.failures import log_failure
from gdpr_consent.reports.common import safe_cell

AT_ONCE = 1_000  # people a mail
MOST_ATTEMPTS = 6
SAVEPOINT = "consent_recipient"
TEMPLATE = "data_subject_request"
COLUMNS = ("address", "channel", "purpose", "topic", "what", "happened_on")


def tell() -> int:
	"""Queue a mail to each recipient whom something is to be told, and see what became of the earlier ones.

	Returns:
		how many mails were queued.
	"""
	_follow_up()
	count = 0
	for recipient, purpose in _who_waits():
		while rows := _due(recipient, purpose):
			count += _mail(recipient, purpose, rows)
			frappe.db.commit()  # nosemgrep: these are on their way; an interruption loses nothing
	return count


def _who_waits() -> list[tuple[str, str]]:
	notification, recipient = frappe.qb.DocType(NOTIFICATION), frappe.qb.DocType(DOCTYPE)
	return [
		*frappe.qb.from_(notification)
		.join(recipient)
		.on(recipient.name == notification.recipient)
		.select(notification.recipient, notification.purpose)
		.distinct()
		.where((notification.status == DUE) & (notification.try_after <= now_utc()))
		.where((recipient.enabled == 1) & (recipient.email != ""))
		.orderby(notification.recipient)
		.orderby(notification.purpose)
		.run()
	]


def _due(recipient: str, purpose: str) -> list[frappe._dict]:
	"""Lock what is due, by name alone: nobody who says no meanwhile has to wait."""
	row = frappe.qb.DocType(NOTIFICATION)
	names = (
		frappe.qb.from_(row)
		.select(row.name)
		.where((row.recipient == recipient) & (row.purpose == purpose))
		.where((row.status == DUE) & (row.try_after <= now_utc()))
		.orderby(row.happened_on)
		.limit(AT_ONCE)
		.run(pluck=True)
	)
	return (
		frappe.qb.from_(row)
		.select(row.name, row.email, row.channel, row.purpose, row.topic, row.what, row.happened_on)
		.select(row.attempts)
		.where(row.name.isin(names) & (row.status == DUE))
		.orderby(row.happened_on)
		.for_update()
		.run(as_dict=True)
		if names
		else []
	)


def _mail(recipient: str, purpose: str, rows: list[frappe._dict]) -> int:
	"""Queue one mail for all rows, or note why it can't be. Returns whether one was queued."""
	names = [row.name for row in rows]
	frappe.db.savepoint(SAVEPOINT)
	try:
		queued = _queue(frappe.get_cached_doc(DOCTYPE, recipient), purpose, rows)
	except Exception as error:
		frappe.db.rollback(save_point=SAVEPOINT)
		log_failure("A recipient of data can't be told", recipient)
		_tried(names, rows[0].attempts + 1, type(error).__name__)
		return 0
	_set(names, {"status": SENDING, "email_queue": queued, "attempts": rows[0].attempts + 1, "error": None})
	return 1


def _queue(recipient: Any, purpose: str, rows: list[frappe._dict]) -> str:
	shown = frappe.local.lang
	frappe.local.lang = recipient.language or shown
	try:
		company = frappe.get_cached_value("Processing Purpose", purpose, "company")
		company = company or frappe.db.get_default("company") or frappe.local.site
		return frappe.sendmail(
			recipients=[recipient.email],
			subject=_("{0}: people who no longer permit the use of their data").format(company),
			template=TEMPLATE,
			args={
				"paragraphs": [
					_("You have got data from {0} for this purpose: {1}.").format(company, _(purpose)),
					_(
						"The people in the attached list no longer permit that. Please stop using their data"
						" for it at once, and tell those whom you have given them to (Art. 19 GDPR)."
					),
					_("The list says since when (UTC), and what happened."),
				],
				"closing": [],
				"url": None,
			},
			attachments=[{"fname": "people.csv", "fcontent": _list_of(rows)}],
			reference_doctype=DOCTYPE,
			reference_name=recipient.name,
			add_unsubscribe_link=0,
		).name
	finally:
		frappe.local.lang = shown


def _list_of(rows: list[frappe._dict]) -> bytes:
	text = io.StringIO()
	sheet = csv.writer(text)
	sheet.writerow(COLUMNS)
	for row in rows:
		cells = (row.email, row.channel, row.purpose, row.topic, row.what, utc_text(row.happened_on))
		sheet.writerow([safe_cell(cell or "") for cell in cells])
	return text.getvalue().encode("utf-8-sig")


def _follow_up() -> None:
	"""Note of each mail that was on its way whether it has left."""
	row, queue = frappe.qb.DocType(NOTIFICATION), frappe.qb.DocType("Email Queue")
	for mail, attempts, status in (
		frappe.qb.from_(row)
		.left_join(queue)
		.on(queue.name == row.email_queue)
		.select(row.email_queue, row.attempts, queue.status)
		.distinct()
		.where(row.status == SENDING)
		.run()
	):
		carried = {"email_queue": mail, "status": SENDING}
		names = frappe.get_all(NOTIFICATION, carried, pluck="name")
		if status == "Sent":
			_note_as_told(names, _("E-mail"))
		elif status in ("Error", None):  # None: somebody has deleted it
			_tried(names, attempts, _("The mail was not sent. See Email Queue {0}.").format(mail))
		else:
			continue
		# It has the addresses of all, in a form in which no erasure finds them.
		frappe.db.set_value("Email Queue", mail, "message", "", update_modified=False)
		frappe.db.commit()  # nosemgrep: each mail by itself


def _note_as_told(names: list[str], how: str) -> None:
	_set(names, {"status": TOLD, "told_on": now_utc(), "how": how, "email": None, "error": None})


def _tried(names: list[str], attempts: int, why: str) -> None:
	"""Wait twice as long after each attempt, and leave it to people after the last one."""
	after = now_utc() + timedelta(minutes=15 * 4**attempts)
	status = FAILED if attempts >= MOST_ATTEMPTS else DUE
	_set(
		names,
		{"status": status, "attempts": attempts, "try_after": after, "error": why, "email_queue": None},
	)


def _set(names: list[str], values: dict[str, Any]) -> None:
	row = frappe.qb.DocType(NOTIFICATION)
	query = frappe.qb.update(row).where(row.name.isin(names or [""]))
	for column, value in (values | {"modified": frappe.utils.now()}).items():
		query = query.set(row[column], value)
	query.run()


# --- what the mail can't do ---------------------------------------------------------------------------------


@frappe.whitelist(methods=["POST"])
@says_why
def note_as_told(names: list[str] | str, how: str) -> dict[str, int]:
	"""Note that recipients were told in another way than by our mail. For Privacy Officers only.

	Args:
		names: Recipient Notifications; those that were told already stay as they are.
		how: in words, such as by phone.

	Returns:
		`told`: how many were noted.

	Raises:
		EvidenceMissing: nothing said about how.
	"""
	frappe.only_for("Privacy Officer", message=True)
	if not (how or "").strip():
		raise EvidenceMissing(_("How is missing. Say how they were told, such as by phone."))
	return {"told": _among(names, (DUE, FAILED), lambda found: _note_as_told(found, how.strip()))}


@frappe.whitelist(methods=["POST"])
@says_why
def try_again(names: list[str] | str) -> dict[str, int]:
	"""Tell recipients by mail once more after the last attempt has failed. For Privacy Officers only.

	Returns:
		`due`: how many will be told.
	"""
	frappe.only_for("Privacy Officer", message=True)
	again = {"status": DUE, "attempts": 0, "try_after": now_utc()}
	return {"due": _among(names, (DUE, FAILED), lambda found: _set(found, again))}


def _among(names: list[str] | str, states: Iterable[str], act: Callable[[list[str]], None]) -> int:
	wanted = rows_of("names", names, str)
	found = frappe.get_all(
		NOTIFICATION, {"name": ["in", wanted or [""]], "status": ["in", [*states]]}, pluck="name"
	)
	if not found:
		raise NotNow(_("None of these waits to be told. Load the list anew."))
	act(found)
	return len(found)


def remind(today: date) -> int:
	"""Alert the officers, once a week, to recipients whom no mail tells. Returns to how many recipients."""
	row, recipient = frappe.qb.DocType(NOTIFICATION), frappe.qb.DocType(DOCTYPE)
	no_mail = recipient.email.isnull() | (recipient.email == "") | (recipient.enabled == 0)
	waiting = (
		frappe.qb.from_(row)
		.join(recipient)
		.on(recipient.name == row.recipient)
		.select(row.recipient)
		.distinct()
		.where((row.status == FAILED) | ((row.status == DUE) & no_mail))
		.orderby(row.recipient)
		.run(pluck=True)
	)
	return sum(
		alert_once(
			officers(),
			_("{0} has to be told that people said no").format(name),
			DOCTYPE,
			name,
			since=add_days(today, -6),
		)
		for name in waiting
	)
