"""The page behind core's links to unsubscribe: GET shows, POST acts, with our token only (FR-04)."""

import frappe

from gdpr_consent import core_doors, links, pages

no_cache = 1
sitemap = 0


@pages.behind_a_link
def get_context(context: frappe._dict) -> None:
	context.behind_core_link = True
	if pages.is_post():
		said = core_doors.WayOut(*core_doors.read_token(links.STOP, context.token))
	else:
		said = core_doors.read_way_out()
		context.token = core_doors.token_for(links.STOP, said)
	pages.address_to(context, core_doors.record_of(said.email))
	context.action, context.subject = "/consent/stop", said.topic
	context.is_conversation = said.is_conversation
	if not pages.is_post():
		return
	context.everything = pages.typed("everything") == "1"
	core_doors.stop(said, context.everything)
	frappe.db.commit()  # nosemgrep: the page says it is stored, so it must be (UN-09)
	context.done = True
