"""Shows one protected value of one record to somebody who needs it now, and writes down why (FP-06,
AU-08)."""

import frappe
from frappe import _

from gdpr_consent import throttle
from gdpr_consent.exceptions import FieldProtected
from gdpr_consent.sensitive_data import access_log, rights, rules

SHORTEST_REASON = 5


def may_reveal(doctype: str, fieldname: str, user: str | None = None) -> bool:
	rule = rules.protected_fields(doctype).get(fieldname)
	return bool(rule and set(rule.revealers) & set(frappe.get_roles(user)))


def reveal(doctype: str, name: str, fieldname: str, purpose: str, reason: str) -> str:
	"""Return the value as text, after the access was logged.

	Raises:
		frappe.PermissionError: the user may not read the record
		FieldProtected: no protected field, or the user has none of the roles that may reveal it
		frappe.ValidationError: no such purpose, or no reason
		TooManyAttempts: more than 30 in an hour
	"""
	field = fieldname in rules.protected_fields(doctype) and frappe.get_meta(doctype).get_field(fieldname)
	if not field:
		frappe.throw(
			_("{0} of {1} isn't a protected field.").format(
				frappe.bold(frappe.utils.escape_html(fieldname)), frappe.utils.escape_html(_(doctype))
			),
			FieldProtected,
		)
	doc = frappe.get_doc(doctype, name)
	doc.check_permission("read")
	if fieldname in rights.hidden_fields(doctype) and not may_reveal(doctype, fieldname):
		frappe.throw(
			_("You may not reveal {0} of {1}. {2} says who may.").format(
				rules.bold_label(doctype, fieldname), _(doctype), _("Sensitive Field")
			),
			FieldProtected,
		)
	if not purpose or not frappe.db.exists("Processing Purpose", purpose):
		frappe.throw(
			_("Purpose: {0} isn't a Processing Purpose. Choose what you need {1} for.").format(
				frappe.bold(frappe.utils.escape_html(purpose or "")), rules.bold_label(doctype, fieldname)
			)
		)
	if len((reason or "").strip()) < SHORTEST_REASON:
		frappe.throw(
			_("Reason: say in a few words why you need {0} now.").format(rules.bold_label(doctype, fieldname))
		)
	throttle.count_reveal(frappe.session.user)
	access_log.record("Reveal", doctype, [fieldname], [name], purpose, reason.strip())
	value = doc.get(fieldname)
	return "" if value is None else str(value)
