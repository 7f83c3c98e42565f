"""What gdpr_consent plugs into Frappe: a table of contents, no logic."""

import frappe

app_name = "gdpr_consent"
app_title = "GDPR Consent"
app_publisher = "gdpr_consent contributors"
app_description = "Consent, legal bases and the rights of the people in ERPNext's CRM"
app_email = "maintainers@gdpr-consent.example"
app_license = "gpl-3.0"

required_apps = ["frappe/erpnext"]

before_install = "gdpr_consent.install.before_install"
after_install = "gdpr_consent.install.after_install"
after_migrate = "gdpr_consent.install.after_migrate"
before_uninstall = "gdpr_consent.install.before_uninstall"
after_uninstall = "gdpr_consent.install.after_uninstall"

app_include_js = "consent.bundle.js"
_forms = ("Contact", "Customer", "Email Campaign", "Lead", "Newsletter")
doctype_js = {name: f"overrides/{name.lower().replace(' ', '_')}.js" for name in _forms}
doctype_list_js = {name: f"overrides/{name.lower()}_list.js" for name in ("Contact", "Customer", "Lead")}

_mixins = {
	"Auto Repeat": "gdpr_consent.gate.marking.ConsentAutoRepeatMixin",
	"Email Account": "gdpr_consent.returned_mail.ConsentEmailAccountMixin",
	"Email Queue": "gdpr_consent.gate.email_queue.ConsentEmailQueueMixin",
	"Newsletter": "gdpr_consent.gate.newsletter.ConsentNewsletterMixin",
	"Notification": "gdpr_consent.gate.marking.ConsentNotificationMixin",
	"SMS Center": "gdpr_consent.gate.sms.ConsentSMSCenterMixin",
}
if int(frappe.__version__.split(".")[0]) < 16:  # one class for a DocType, whose name is that without blanks
	override_doctype_class = {name: f"gdpr_consent.gate.v15.{name.replace(' ', '')}" for name in _mixins}
else:  # all apps may add to it
	extend_doctype_class = {name: [mixin] for name, mixin in _mixins.items()}

override_whitelisted_methods = {
	"frappe.core.doctype.sms_settings.sms_settings.send_sms": "gdpr_consent.gate.sms.send_sms",
	"frappe.email.queue.unsubscribe": "gdpr_consent.core_doors.unsubscribe",
	"frappe.website.doctype.web_form.web_form.accept": "gdpr_consent.web_forms.accept",
} | {
	f"{place}.newsletter.{method}": f"gdpr_consent.core_doors.{method}"
	for place in ("frappe.email.doctype.newsletter", "newsletter.newsletter.doctype.newsletter")  # v15, v16
	for method in ("subscribe", "confirm_subscription")
}
jinja = {"methods": ["gdpr_consent.bulk_update.report.consent_bulk_update_report"]}
make_email_body_message = ["gdpr_consent.gate.marking.add_headers"]

_person = {
	event: f"gdpr_consent.overrides.person.{event}"
	for event in ("validate", "on_update", "before_rename", "after_rename", "on_trash")
}
doc_events = {
	"Contact": _person,
	"Lead": _person,
	"Customer": {event: _person[event] for event in ("before_rename", "on_trash")},
	"File": {"on_trash": "gdpr_consent.overrides.evidence.on_trash"},
	"Email Unsubscribe": {"after_insert": "gdpr_consent.overrides.opt_out.email_unsubscribe_after_insert"},
	"Email Group Member": {
		"validate": "gdpr_consent.overrides.opt_out.email_group_member_validate",
		"on_update": "gdpr_consent.overrides.opt_out.email_group_member_on_update",
	},
	"Web Form": {"validate": "gdpr_consent.web_forms.validate"},
}

after_request = ["gdpr_consent.pages.act_without_session"]
page_renderer = ["gdpr_consent.pages.ConsentPage", "gdpr_consent.embedding.SignUpScript"]

_register = ("Consent", "Suppression", "Consent Event", "Consent Decision", "Consent Bulk Update Item")
ignore_links_on_delete = [*_register]  # it outlives the people and records it names
consent_bulk_update_targets = {"Email Group Member": "email"}  # besides people: the field of the address

scheduler_events = {
	"all": ["gdpr_consent.bulk_update.job.take_up"],
	"hourly": ["gdpr_consent.tasks.hourly"],
	"daily": ["gdpr_consent.tasks.daily"],
}
