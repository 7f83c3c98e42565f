"""The sign-up form: GET shows unticked boxes (CA-01), POST takes them. Another site may post here too."""

import frappe

from gdpr_consent import pages, proof, sign_up
from gdpr_consent.exceptions import ConsentError, TooManyAttempts

no_cache = 1
sitemap = 0


@pages.behind_a_link
def get_context(context: frappe._dict) -> None:
	context.boxes = sign_up.boxes(frappe.local.lang, frappe.request.args.getlist("topic"))
	context.shown = sign_up.signed_texts(context.boxes)
	context.age = proof.age_asked(None)
	if not pages.is_post():
		return
	ticked, age = frappe.request.form.getlist("on"), pages.typed("age")
	try:
		sign_up.take(pages.typed("email"), ticked, pages.typed("shown"), frappe.local.lang, age)
		context.taken = True
	except TooManyAttempts:
		raise
	except ConsentError as error:
		context.problem_with_form = str(error)
		context.email, context.ticked, context.said_age = pages.typed("email"), ticked, bool(age)
