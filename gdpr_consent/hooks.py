"""What gdpr_consent plugs into Frappe: a table of contents, no logic."""

app_name = "gdpr_consent"
app_title = "GDPR Consent"
app_publisher = "gdpr_consent contributors"
app_description = "Consent, legal bases and the rights of the people in ERPNext's CRM"
app_email = "maintainers@gdpr-consent.example"
app_license = "gpl-3.0"

required_apps = ["frappe/erpnext"]

after_install = "gdpr_consent.install.create_missing_seeds"
after_migrate = "gdpr_consent.install.create_missing_seeds"
