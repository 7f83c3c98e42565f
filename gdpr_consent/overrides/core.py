"""Which classes and doors of ours stand in front of which of the core's."""

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

DOORS = {
	"frappe.core.doctype.sms_settings.sms_settings.send_sms": "gdpr_consent.gate.sms.send_sms",
	"frappe.email.queue.unsubscribe": "gdpr_consent.core_doors.unsubscribe",
	"frappe.website.doctype.web_form.web_form.accept": "gdpr_consent.web_forms.accept",
} | {
	f"{place}.newsletter.{method}": f"gdpr_consent.core_doors.{method}"
	for place in ("frappe.email.doctype.newsletter", "newsletter.newsletter.doctype.newsletter")  # v15, v16
	for method in ("subscribe", "confirm_subscription")
}

IN_TEMPLATES = [
	"gdpr_consent.bulk_update.report.consent_bulk_update_report",
	"gdpr_consent.paper.consent_receipt",
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
DEALINGS = dict.fromkeys(("Appointment", "Contract", "Email Campaign", "Quotation", "Sales Order"), _DEALING)

_QUIET = "gdpr_consent.gate.canary_paths.keep_quiet"
_MASKING = "gdpr_consent.sensitive_data.documents"
MESSAGES = {
	"Communication": {"before_insert": [f"{_MASKING}.mask_communication", _QUIET]},
	"Email Queue": {"before_insert": _QUIET, "after_insert": f"{_MASKING}.mask_sent_communication"},
}
