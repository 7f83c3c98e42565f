"""A person's data to download: GET shows a button, POST hands the package out, once (DS-24, TK-09)."""

import frappe

from gdpr_consent import pages
from gdpr_consent.rights import package

no_cache = 1
sitemap = 0


@pages.behind_a_link
def get_context(context: frappe._dict) -> None:
	found = package.behind_link(context.token)
	pages.address_to(context, found)
	context.until = pages.local_moment(found.package_expires_on)
	if pages.is_post() and pages.typed("download") == "1":
		context.answer = package.answer_with(package.take(context.token), found.name)
