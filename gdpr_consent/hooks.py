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
_histories = ("Version", "Deleted Document")
permission_query_conditions = dict.fromkeys(_histories, f"{_sensitive}.documents.history_conditions") | {
	name: "gdpr_consent.rights.restriction_in_reports.conditions" for name in ("Contact", "Lead", "Customer")
}
_copies = {"on_update": f"{_sensitive}.finder.protect_new_copies"}
doc_events = {
	"*": {name: f"{_sensitive}.documents.{name}" for name in ("validate", "before_print", "after_mapping")},
	"Version": {"before_insert": f"{_sensitive}.documents.mask_version"},
	**_core.MESSAGES,
	"Custom Field": _copies | {"on_trash": f"{_sensitive}.finder.forget_field"},
	"Property Setter": _copies,
	**_core.PEOPLE,
	**_core.DEALINGS,
	"File": {"on_trash": "gdpr_consent.overrides.evidence.on_trash"},
	"Email Unsubscribe": {"after_insert": "gdpr_consent.overrides.opt_out.email_unsubscribe_after_insert"},
	"Email Group Member": {
		"validate": "gdpr_consent.overrides.opt_out.email_group_member_validate",
		"on_update": "gdpr_consent.overrides.opt_out.email_group_member_on_update",
	},
	"Web Form": {"validate": "gdpr_consent.web_forms.validate"},
}

before_request = [f"{_sensitive}.incoming.check_request"]
after_request = ["gdpr_consent.pages.act_without_session", f"{_sensitive}.outgoing.redact_response"]
update_website_context = [f"{_sensitive}.messages.redact_page"]
before_job = [f"{_sensitive}.messages.before_job"]
page_renderer = ["gdpr_consent.pages.ConsentPage", "gdpr_consent.embedding.SignUpScript"]

_register = ("Consent", "Suppression", "Consent Event", "Consent Decision", "Consent Bulk Update Item")
_requests = [f"Data Subject Request{table}" for table in ("", " Record", " Change")]
_rights = [*_requests, "Information Duty", "Automated Decision Review"]
ignore_links_on_delete = [*_register, *_rights, "Sensitive Access Log"]  # they outlive whom they name
# Besides people: the field of the address.
consent_bulk_update_targets = {"Email Group Member": "email", "Consent": "email"}

scheduler_events = {
	"all": ["gdpr_consent.bulk_update.job.take_up", "gdpr_consent.rights.erasure_run.take_up"],
	"hourly": ["gdpr_consent.tasks.hourly"],
	"daily": ["gdpr_consent.tasks.daily", "gdpr_consent.gate.canary.run"],
}
