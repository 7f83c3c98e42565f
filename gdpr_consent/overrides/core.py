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
	"Report": ["gdpr_consent.sensitive_data.reports.SensitiveReportMixin"],
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
