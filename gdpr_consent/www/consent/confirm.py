"""Confirmation page: GET shows, POST acts (CA-11), since mail scanners follow links."""

import frappe
from frappe import _

from gdpr_consent import links, register
from gdpr_consent.exceptions import ConsentError

no_cache = 1
sitemap = 0


def get_context(context: frappe._dict) -> None:
	context.no_breadcrumbs = True
	context.hide_footer_signup = True
	try:
		context.token = str(frappe.form_dict.get("t") or "")
		consents, made = links.read_confirmation(context.token)
		if frappe.request.method == "POST":
			context.confirmed = bool(register.confirm(consents, made))
			context.late = not context.confirmed
			frappe.db.commit()  # nosemgrep: the page says it is stored, so it must be
		context.titles = sorted(
			{
				_(row.topic or row.purpose)
				for row in frappe.get_all("Consent", {"name": ["in", consents]}, ["topic", "purpose"])
			}
		)
	except ConsentError as error:  # the link, or a record that is gone
		context.http_status_code = 410
		context.problem = str(error)
