"""A request of a person. Without a link: GET shows the form, POST takes it. Behind one: POST confirms."""

import frappe

from gdpr_consent import pages
from gdpr_consent.exceptions import ConsentError, TooManyAttempts
from gdpr_consent.rights import intake

no_cache = 1
sitemap = 0


@pages.behind_a_link
def get_context(context: frappe._dict) -> None:
	if context.token:
		_confirm(context)
		return
	context.choices = intake.CHOICES
	if not pages.is_post():
		return
	typed = {name: pages.typed(name) for name in ("email", "choice", "requester_name", "message")}
	try:
		intake.take(**typed, language=frappe.local.lang)
		context.taken = True
	except TooManyAttempts:
		raise
	except ConsentError as error:
		context.problem_with_form = str(error)
		context.typed = typed


def _confirm(context: frappe._dict) -> None:
	doc, step = intake.behind_link(context.token)
	pages.address_to(context, {"language": doc.language, "company": doc.company})
	context.asked = intake.letters.what_is_asked(doc)
	if not pages.is_post():
		return
	intake.confirm(doc, step)
	frappe.db.commit()  # nosemgrep: the page says it is stored, so it must be
	context.confirmed = True
