"""The way out: GET shows, POST acts. A provider's one-click POST needs no cookie and no login (RFC 8058)."""

import frappe

from gdpr_consent import links, register
from gdpr_consent.exceptions import ConsentError

no_cache = 1
sitemap = 0


def get_context(context: frappe._dict) -> None:
	context.no_breadcrumbs = True
	context.hide_footer_signup = True  # no invitation to sign up below a way out
	try:
		context.token = str(frappe.form_dict.get("t") or "")
		consent = links.read(links.UNSUBSCRIBE, context.token)
		context.title = register.title_of(consent)
		if frappe.request.method == "POST":
			context.everything = frappe.form_dict.get("everything") == "1"
			register.withdraw_by_link(consent, everything=context.everything)
			frappe.db.commit()  # nosemgrep: the page says it is stored, so it must be (UN-09)
			context.done = True
	except ConsentError as error:  # the link, or a record that is gone
		context.http_status_code = 410
		context.problem = str(error)
