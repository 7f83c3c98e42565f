"""Classes for `override_doctype_class`, which v15 needs. v16 takes the mixins themselves."""

from functools import cache
from typing import Any

import frappe
from frappe.automation.doctype.assignment_rule.assignment_rule import AssignmentRule as CoreAssignmentRule
from frappe.automation.doctype.auto_repeat.auto_repeat import AutoRepeat as CoreAutoRepeat
from frappe.core.doctype.report.report import Report as CoreReport
from frappe.email.doctype.auto_email_report.auto_email_report import AutoEmailReport as CoreAutoEmailReport
from frappe.email.doctype.email_account.email_account import EmailAccount as CoreEmailAccount
from frappe.email.doctype.email_queue.email_queue import EmailQueue as CoreEmailQueue
from frappe.email.doctype.newsletter.newsletter import Newsletter as CoreNewsletter
from frappe.email.doctype.notification.notification import Notification as CoreNotification

from erpnext.selling.doctype.sms_center.sms_center import SMSCenter as CoreSMSCenter

from gdpr_consent.gate.email_queue import ConsentEmailQueueMixin
from gdpr_consent.gate.marking import ConsentAutoRepeatMixin, ConsentNotificationMixin
from gdpr_consent.gate.newsletter import ConsentNewsletterMixin
from gdpr_consent.gate.sms import ConsentSMSCenterMixin
from gdpr_consent.returned_mail import ConsentEmailAccountMixin
from gdpr_consent.rights.restriction_in_reports import RestrictedReportMixin
from gdpr_consent.sensitive_data.messages import (
	SensitiveAssignmentRuleMixin,
	SensitiveAutoRepeatMixin,
	SensitiveNotificationMixin,
)
from gdpr_consent.sensitive_data.reports import SensitiveAutoEmailReportMixin, SensitiveReportMixin


class EmailQueue(ConsentEmailQueueMixin, CoreEmailQueue):
	pass


class Newsletter(ConsentNewsletterMixin, CoreNewsletter):
	pass


class Notification(SensitiveNotificationMixin, ConsentNotificationMixin, CoreNotification):
	pass


class AutoRepeat(SensitiveAutoRepeatMixin, ConsentAutoRepeatMixin, CoreAutoRepeat):
	pass


def __getattr__(name: str) -> type:
	"""Make `EmailAccount` out of the class that an app installed before us has for it, as Helpdesk does.

	Which apps are installed differs between the sites that one process serves.
	"""
	if name != "EmailAccount":
		raise AttributeError(name)
	paths = frappe.get_hooks("override_doctype_class").get("Email Account", [])
	others = [path for path in paths if path != f"{__name__}.EmailAccount"]
	return _email_account(frappe.get_attr(others[-1]) if others else CoreEmailAccount)


@cache
def _email_account(base: type) -> type:
	def reduce(self: Any) -> tuple:
		# Pickled by its base: a background job loads it before it knows its site.
		return _blank, (base,), self.__getstate__()

	members = {"__module__": __name__, "__reduce__": reduce}
	return type("EmailAccount", (ConsentEmailAccountMixin, base), members)


def _blank(base: type) -> Any:
	return object.__new__(_email_account(base))


class SMSCenter(ConsentSMSCenterMixin, CoreSMSCenter):
	pass


class Report(RestrictedReportMixin, SensitiveReportMixin, CoreReport):
	pass


class AutoEmailReport(SensitiveAutoEmailReportMixin, CoreAutoEmailReport):
	pass


class AssignmentRule(SensitiveAssignmentRuleMixin, CoreAssignmentRule):
	pass
