"""Confirmation page: GET shows, POST acts (CA-11), since mail scanners follow links."""

import frappe
from frappe import _

from gdpr_consent import links, pages, receipts, register
from gdpr_consent.double_opt_in import asked_texts
from gdpr_consent.exceptions import LinkNotValid

no_cache = 1
sitemap = 0


@pages.behind_a_link
def get_context(context: frappe._dict) -> None:
	consents, made = links.read_confirmation(context.token)
	rows = frappe.get_all(
		"Consent",
		{"name": ["in", consents]},
		["topic", "purpose", "language", "company", "status", "wording", "asked_wording"],
	)
	if not rows:
		raise LinkNotValid(_("What this link was for is no longer on record."))
	pages.address_to(context, rows[0])
	context.titles = sorted({_(row.topic or row.purpose) for row in rows})
	context.texts = asked_texts(rows)
	if not pages.is_post():
		return
	given = register.confirm(consents, made)
	if given and pages.typed("receipt") == "1":
		receipts.send_consent(given)
	frappe.db.commit()  # nosemgrep: the page says it is stored, so it must be
	context.confirmed = bool(given)
	context.late = not given
	context.preferences_token = links.sign(links.PREFERENCES, consents[0])
