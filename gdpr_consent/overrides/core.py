"""Which classes, doors and events of ours stand in front of which of the core's."""

import frappe

MIXINS = {
	"Assignment Rule": ["gdpr_consent.sensitive_data.messages.SensitiveAssignmentRuleMixin"],
	"Auto Email Report": ["gdpr_consent.sensitive_data.reports.SensitiveAutoEmailReportMixin"],
	"Auto Repeat": [
		"gdpr_consent.gate.marking.ConsentAutoRepeatMixin",
		"gdpr_consent.sensitive_data.messages.SensitiveAutoRepeatMixin",
	],
	"Email Account": ["gdpr_consent.returned_mail.ConsentEmailAccountMixin"],
	"Email Queue": ["gdpr_consent.gate.email_queue.ConsentEmailQueueMixin"],
	"Newsletter": ["gdpr_consent.gate.newsletter.ConsentNewsletterMixin"],
	"Notification": [
		"gdpr_consent.gate.marking.ConsentNotificationMixin",
		"gdpr_consent.sensitive_data.messages.SensitiveNotificationMixin",
	],
	"Report": [
		"gdpr_consent.sensitive_data.reports.SensitiveReportMixin",
		"gdpr_consent.rights.restriction_in_reports.RestrictedReportMixin",
	],
	"SMS Center": ["gdpr_consent.gate.sms.ConsentSMSCenterMixin"],
}

if int(frappe.__version__.split(".")[0]) >= 16:
	MIXINS["Webhook"] = ["gdpr_consent.sensitive_data.messages.SensitiveWebhookMixin"]

# Core lets a request name a whitelisted function by any module that imports it.
_SMS = (
	"frappe.core.doctype.sms_settings.sms_settings",
	"frappe.email.doctype.notification.notification",
	"erpnext.selling.doctype.sms_center.sms_center",
)
DOORS = {
	"frappe.email.queue.unsubscribe": "gdpr_consent.core_doors.unsubscribe",
	"frappe.website.doctype.web_form.web_form.accept": "gdpr_consent.web_forms.accept",
	**{f"{module}.send_sms": "gdpr_consent.gate.sms.send_sms" for module in _SMS},
} | {
	f"{place}.newsletter.{method}": f"gdpr_consent.core_doors.{method}"
	for place in ("frappe.email.doctype.newsletter", "newsletter.newsletter.doctype.newsletter")  # v15, v16
	for method in ("subscribe", "confirm_subscription")
}

BEFORE_REQUEST = [
	"gdpr_consent.waiting.see_what_others_did",
	"gdpr_consent.doors.keep_traces_to_ourselves",
	"gdpr_consent.sensitive_data.incoming.check_request",
]
AFTER_REQUEST = [
	"gdpr_consent.pages.act_without_session",
	"gdpr_consent.sensitive_data.outgoing.redact_response",
	"gdpr_consent.doors.tell_what_cant_be_read",
]

IN_TEMPLATES = [
	"gdpr_consent.bulk_update.report.consent_bulk_update_report",
	"gdpr_consent.paper.consent_receipt",
	"gdpr_consent.sensitive_data.documents.consent_before_print",
]


def _events(module: str, *names: str) -> dict[str, str]:
	return {name: f"gdpr_consent.overrides.{module}.{name}" for name in names}


def _all(*events: dict[str, str]) -> dict[str, list[str]]:
	"""Put together what several modules do at the same event, in the order in which they are named."""
	names = dict.fromkeys(name for one in events for name in one)
	return {name: [one[name] for one in events if name in one] for name in names}


_RESTRICTION = _events("restriction", "validate", "on_trash", "before_rename", "after_rename")
_DEALING = _events("restriction", "before_insert")
_PERSON = _events(
	"person", "validate", "on_update", "before_rename", "after_rename", "on_trash", "after_delete"
)
_STANDING = _events("standing", "on_update", "onload")
PEOPLE = {
	"Contact": _all(_RESTRICTION, _STANDING | _PERSON),  # theirs does what the other does, and more
	"Lead": _all(_RESTRICTION, _STANDING | _PERSON),
	"Customer": _all(
		_DEALING | _RESTRICTION, _STANDING | _events("person", "before_rename", "after_rename", "on_trash")
	),
	"Prospect": _DEALING | _STANDING,
	"Opportunity": _DEALING | _STANDING,
}
_DEALINGS = dict.fromkeys(("Appointment", "Contract", "Email Campaign", "Quotation", "Sales Order"), _DEALING)

_SENSITIVE = "gdpr_consent.sensitive_data.documents"
_FINDER = "gdpr_consent.sensitive_data.finder"
_OPT_OUT = "gdpr_consent.overrides.opt_out"
_QUIET = "gdpr_consent.gate.canary_paths.keep_quiet"
_MAIL = {"validate": "gdpr_consent.gate.marking.refuse_a_service_purpose"}
_COPIES = {"on_update": f"{_FINDER}.protect_new_copies"}
EVENTS: dict[str, dict] = {
	"*": {name: f"{_SENSITIVE}.{name}" for name in ("validate", "before_print", "after_mapping")},
	"Version": {"before_insert": f"{_SENSITIVE}.mask_version"},
	"Communication": {"before_insert": [f"{_SENSITIVE}.mask_communication", _QUIET]},
	"Email Queue": {"before_insert": _QUIET, "after_insert": f"{_SENSITIVE}.mask_sent_communication"},
	"Custom Field": _COPIES | {"on_trash": f"{_FINDER}.forget_field"},
	"Property Setter": _COPIES,
	**PEOPLE,
	**_DEALINGS,
	"File": _events("evidence", "on_trash"),
	"Email Unsubscribe": {"after_insert": "gdpr_consent.overrides.opt_out.email_unsubscribe_after_insert"},
	"Email Group Member": {
		name: f"gdpr_consent.overrides.opt_out.email_group_member_{name}"
		for name in ("validate", "on_update")
	},
	"Web Form": {"validate": "gdpr_consent.web_forms.validate"},
	**dict.fromkeys(("Auto Email Report", "Email Template", "Notification"), _MAIL),
}

_NOT_RESTRICTED = "gdpr_consent.rights.restriction_in_reports.conditions"
CONDITIONS = {
	**dict.fromkeys(("Version", "Deleted Document"), f"{_SENSITIVE}.history_conditions"),
	**dict.fromkeys(("Contact", "Lead", "Customer"), _NOT_RESTRICTED),
}
