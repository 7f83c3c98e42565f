"""The way out: GET shows, POST acts. A provider's one-click POST needs no cookie and no login (RFC 8058)."""

import frappe

from gdpr_consent import links, pages, receipts, register

no_cache = 1
sitemap = 0


@pages.behind_a_link
def get_context(context: frappe._dict) -> None:
	found = register.named_by_link(links.read(links.UNSUBSCRIBE, context.token))
	pages.address_to(context, found)
	context.action, context.subject = "/consent/unsubscribe", found["topic"] or found["purpose"]
	context.preferences_token = links.sign(links.PREFERENCES, found["name"])
	if not pages.is_post():
		return
	context.everything = pages.typed("everything") == "1"
	register.withdraw_by_link(found["name"], everything=context.everything)
	if pages.typed("receipt") == "1":
		receipts.send_refusal(found, context.everything)
	frappe.db.commit()  # nosemgrep: the page says it is stored, so it must be (UN-09)
	context.done = True
