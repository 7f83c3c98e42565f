"""Confirmation page: GET shows, POST acts (CA-11), since mail scanners follow links."""

import frappe
from frappe import _

from gdpr_consent import links, pages, proof, receipts, register
from gdpr_consent.double_opt_in import asked_texts
from gdpr_consent.exceptions import AgeNotStated, LinkNotValid

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
	context.age = proof.age_asked(rows[0].company)
	if not pages.is_post():
		return
	context.wants_receipt = pages.typed("receipt") == "1"
	try:
		given = register.confirm(consents, made, pages.typed("age"))
	except AgeNotStated as error:
		context.problem_with_form = str(error)
		return
	if given and context.wants_receipt:
		receipts.send_consent(given)
	frappe.db.commit()  # nosemgrep: the page says it is stored, so it must be
	context.confirmed = bool(given)
	context.late = not given
	context.preferences_token = links.sign(links.PREFERENCES, consents[0])
