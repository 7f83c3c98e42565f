"""What runs by the clock."""

from datetime import datetime

import frappe
from frappe.utils import cint, getdate

from gdpr_consent import (
	breaches,
	email_groups,
	legacy,
	legal_hold,
	legitimate_interests,
	proof,
	register,
	renewal,
	seals,
	standing,
)
from gdpr_consent.bulk_update import items
from gdpr_consent.clock import add_months, now_utc
from gdpr_consent.gate import self_check
from gdpr_consent.rights import information, notifications, package, reminders, storage_limits

DELETE_AT_ONCE = 10_000
LOGS = (
	("Consent Decision", "decided_on", "decision_retention_months"),
	("Sensitive Access Log", "accessed_on", "access_log_retention_months"),
	("Recipient Notification", "told_on", "request_retention_months"),
)


def hourly() -> None:
	proof.keep_up()
	legacy.take_over()
	register.end_what_is_over()
	email_groups.count_members()
	standing.take_up()
	information.keep_up()
	package.delete_expired()
	breaches.remind()


def daily() -> None:
	self_check.run()
	standing.start()
	email_groups.reconcile_all()
	delete_old_logs()
	register.follow_sales()
	renewal.remind()
	reminders.remind()
	items.delete_unused()
	information.remind()
	notifications.remind(getdate())
	storage_limits.remind_of_refusals(getdate())
	legal_hold.remind(getdate())
	legitimate_interests.remind(getdate())


def daily_long() -> None:
	seals.nightly()
	storage_limits.erase_outdated(getdate())


def delete_old_logs() -> None:
	"""Delete what is older than its retention (months, Consent Settings)."""
	for doctype, written_on, setting in LOGS:
		if months := cint(frappe.db.get_single_value("Consent Settings", setting)):
			_delete_older(doctype, written_on, add_months(now_utc(), -months))


def _delete_older(doctype: str, written_on: str, limit: datetime) -> None:
	table = frappe.qb.DocType(doctype)
	while names := (
		frappe.qb.from_(table)
		.select(table.name)
		.where(table[written_on] < limit)
		.limit(DELETE_AT_ONCE)
		.run(pluck=True)
	):
		frappe.qb.from_(table).delete().where(table.name.isin(names)).run()
		frappe.db.commit()  # nosemgrep: a part is done; an interruption loses nothing
