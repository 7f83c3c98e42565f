"""What runs by the clock."""

import frappe
from frappe.utils import cint

from gdpr_consent import email_groups, legacy, register, renewal
from gdpr_consent.bulk_update import items
from gdpr_consent.clock import add_months, now_utc
from gdpr_consent.gate import self_check

DELETE_AT_ONCE = 10_000


def hourly() -> None:
	legacy.take_over()
	register.end_what_is_over()
	email_groups.count_members()


def daily() -> None:
	self_check.run()
	email_groups.reconcile_all()
	delete_old_decisions()
	renewal.remind()
	items.delete_unused()


def delete_old_decisions() -> None:
	"""Delete Consent Decisions whose retention (months, Consent Settings) is over."""
	months = cint(frappe.db.get_single_value("Consent Settings", "decision_retention_months"))
	if not months:
		return
	table = frappe.qb.DocType("Consent Decision")
	limit = add_months(now_utc(), -months)
	while names := (
		frappe.qb.from_(table)
		.select(table.name)
		.where(table.decided_on < limit)
		.limit(DELETE_AT_ONCE)
		.run(pluck=True)
	):
		frappe.qb.from_(table).delete().where(table.name.isin(names)).run()
		frappe.db.commit()  # nosemgrep: a part is done; an interruption loses nothing
