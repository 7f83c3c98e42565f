"""The page behind core's links to confirm a subscription: GET shows, POST signs up (FR-05)."""

import frappe

from gdpr_consent import core_doors, links, pages

no_cache = 1
sitemap = 0


@pages.behind_a_link
def get_context(context: frappe._dict) -> None:
	context.behind_core_link = True
	if pages.is_post():
		said = core_doors.SignUp(*core_doors.read_token(links.JOIN, context.token))
		core_doors.join(said)
		context.taken = True
	else:
		said = core_doors.read_sign_up()
		context.token = core_doors.token_for(links.JOIN, said)
	context.subject = core_doors.title_of(said.email_group)
