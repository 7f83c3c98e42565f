"""Reminds the Privacy Officers of requests, each time once, and of an overdue one all of them (§8.3)."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import frappe
from frappe import _
from frappe.utils import get_url_to_form, getdate

from gdpr_consent import alerts
from gdpr_consent.failures import log_failure
from gdpr_consent.rights import letters
from gdpr_consent.rights.requests import DOCTYPE, OPEN, Status, write

TRIAGE_DAYS, WARNING_DAYS = 3, 21  # after receipt
LAST_DAYS = (5, 1)  # before the day the answer is due
OVERDUE = "overdue"


def remind() -> None:
	"""Write to the officers about each open request for which it is time. The clock of one whose person was
	asked who they are stands still."""
	request = frappe.qb.DocType(DOCTYPE)
	rows = (
		frappe.qb.from_(request)
		.select(request.name, request.right, request.objects_to, request.status, request.received_on)
		.select(request.due_on, request.reminders, request["_assign"].as_("assigned"))
		.where(request.status.isin([one.value for one in OPEN if one is not Status.IDENTITY_OPEN]))
		.run(as_dict=True)
	)
	officers = None
	for row in rows:
		sent = set((row.reminders or "").split())
		due = [step for step in steps_due(row, getdate()) if step not in sent]
		if not due:
			continue
		officers = officers if officers is not None else alerts.officers()
		try:
			_write_to_officers(row, due[-1], officers)
			write(row.name, reminders=" ".join(sorted(sent | set(due))))
			frappe.db.commit()  # nosemgrep: the mail is queued, and isn't to be queued again
		except Exception:
			frappe.db.rollback()
			log_failure("Reminder of a request failed", row.name)


def steps_due(row: Any, today: date) -> Iterator[str]:
	"""Name the reminders for which it is time, the most urgent one last."""
	received, due_on = getdate(row.received_on), getdate(row.due_on)
	if row.status == Status.RECEIVED.value and today >= received + timedelta(days=TRIAGE_DAYS):
		yield "triage"
	if today >= received + timedelta(days=WARNING_DAYS):
		yield "warning"
	for days in LAST_DAYS:
		if today >= due_on - timedelta(days=days):
			yield f"due-{days}"
	if today > due_on:
		yield OVERDUE


def _write_to_officers(row: Any, step: str, officers: list[str]) -> None:
	assigned = [user for user in frappe.parse_json(row.assigned or "[]") if user in officers]
	to = officers if step == OVERDUE or not assigned else assigned
	if not to:
		return
	days = (getdate(row.due_on) - getdate()).days
	subject = (
		_("Overdue: request {0} of a person").format(row.name)
		if step == OVERDUE
		else _("Request {0} of a person: {1} days left").format(row.name, days)
	)
	frappe.sendmail(
		recipients=to,
		subject=subject,
		template=letters.TEMPLATE,
		args={
			"paragraphs": [
				f"{_(row.right)} · {_(row.status)}",
				_("The answer is due on {0}.").format(letters.day_in_words(getdate(row.due_on))),
			],
			"url": get_url_to_form(DOCTYPE, row.name),
			"closing": [],
		},
		reference_doctype=DOCTYPE,
		reference_name=row.name,
		add_unsubscribe_link=0,
	)
