"""What gdpr_consent plugs into Frappe: a table of contents, no logic."""

import frappe

from gdpr_consent.overrides import core as _core

app_name = "gdpr_consent"
app_title = "GDPR Consent"
app_publisher = "gdpr_consent contributors"
app_description = "Consent, legal bases and the rights of the people in ERPNext's CRM"
app_email = "maintainers@gdpr-consent.example"
app_license = "gpl-3.0"

required_apps = ["frappe/erpnext"]

before_install = "gdpr_consent.install.before_install"
after_install = "gdpr_consent.install.after_install"
after_app_install = "gdpr_consent.install.after_app_install"
after_migrate = "gdpr_consent.install.after_migrate"
before_uninstall = "gdpr_consent.install.before_uninstall"
after_uninstall = "gdpr_consent.install.after_uninstall"

app_include_js = "consent.bundle.js"
_forms = (*_core.PEOPLE, "Email Campaign", "Newsletter")
doctype_js = {name: f"overrides/{name.lower().replace(' ', '_')}.js" for name in _forms}
doctype_list_js = {name: f"overrides/{name.lower()}_list.js" for name in _core.PEOPLE}

if int(frappe.__version__.split(".")[0]) < 16:  # one class for a DocType, whose name is that without blanks
	override_doctype_class = {name: f"gdpr_consent.gate.v15.{name.replace(' ', '')}" for name in _core.MIXINS}
else:  # all apps may add to it
	extend_doctype_class = _core.MIXINS

override_whitelisted_methods = _core.DOORS
jinja = {"methods": _core.IN_TEMPLATES}
extend_bootinfo = ["gdpr_consent.sensitive_data.api.add_to_boot"]
make_email_body_message = ["gdpr_consent.gate.marking.add_headers"]

_sensitive = "gdpr_consent.sensitive_data"
has_permission = {"*": f"{_sensitive}.documents.has_permission"}
permission_query_conditions = _core.CONDITIONS
doc_events = _core.EVENTS

before_request = _core.BEFORE_REQUEST
after_request = _core.AFTER_REQUEST
update_website_context = [f"{_sensitive}.messages.redact_page"]
before_job = ["gdpr_consent.waiting.see_what_others_did", f"{_sensitive}.messages.before_job"]
page_renderer = ["gdpr_consent.pages.ConsentPage", "gdpr_consent.embedding.SignUpScript"]

_register = ("Consent", "Suppression", "Consent Event", "Consent Decision", "Consent Bulk Update Item")
_requests = [f"Data Subject Request{table}" for table in ("", " Record", " Change")]
_rights = [*_requests, "Information Duty", "Automated Decision Review", "Recipient Notification"]
ignore_links_on_delete = [*_register, *_rights, "Sensitive Access Log"]  # they outlive whom they name
# Besides people: the field of the address.
consent_bulk_update_targets = {"Email Group Member": "email", "Consent": "email"}

scheduler_events = {
	"all": [
		"gdpr_consent.bulk_update.job.take_up",
		"gdpr_consent.rights.erasure_run.take_up",
		"gdpr_consent.replay.every_few_minutes",
		"gdpr_consent.rights.notifications.tell",
	],
	"hourly": ["gdpr_consent.tasks.hourly"],
	"daily": ["gdpr_consent.tasks.daily", "gdpr_consent.gate.canary.run"],
	"daily_long": ["gdpr_consent.tasks.daily_long"],
}
