"""A person's choices. Behind a link: GET shows, POST changes. Without one: asks where to mail it."""

from collections.abc import Callable

import frappe
from frappe import _

from gdpr_consent import links, pages, preferences, proof, register, sign_up
from gdpr_consent.exceptions import InvalidAddress

no_cache = 1
sitemap = 0


@pages.behind_a_link
def get_context(context: frappe._dict) -> None:
	context.local_date = pages.local_date
	context.loop_id = numbered()
	if not context.token:
		if pages.is_post():
			_mail_the_link(context)
		return
	record, may_show = links.read_preferences(context.token)
	found = register.named_by_link(record)
	pages.address_to(context, found)
	if pages.is_post():
		_change(context, found, may_show)
	context.address = preferences.masked(found["email"])
	context.offers = preferences.offers_to(found) if may_show else None
	context.shown = preferences.signed_texts(context.offers or [])
	if any(not choice.on for offer in context.offers or () for choice in (offer.purpose, *offer.topics)):
		context.age = proof.age_asked(found.get("company"))


def _mail_the_link(context: frappe._dict) -> None:
	try:
		sign_up.send_link(pages.typed("email"), frappe.local.lang)
		context.link_sent = True
	except InvalidAddress as error:
		context.problem_with_form = str(error)


def _change(context: frappe._dict, found: register.Row, may_show: bool) -> None:
	if pages.typed("everything") == "1":
		preferences.refuse_everything(found)
		context.everything = True
	elif pages.typed("save") == "1" and may_show:
		wanted = set(frappe.request.form.getlist("on"))
		outcome = preferences.change(
			found, wanted, frappe.local.lang, pages.typed("shown"), pages.typed("age")
		)
		context.stopped = [_(name) for name in outcome.stopped]
		context.asked = [_(name) for name in outcome.asked]
		context.mail_sent = outcome.mail_sent
		context.unchanged = not (outcome.stopped or outcome.asked or outcome.problem)
		if outcome.problem:
			context.problem_with_form, context.wanted = outcome.problem, wanted
	frappe.db.commit()  # nosemgrep: the page says it is stored, so it must be


def numbered() -> Callable[[preferences.Choice], int]:
	"""Give each choice a number: its name may hold blanks, which an id in HTML may not."""
	numbers: dict[str, int] = {}
	return lambda choice: numbers.setdefault(choice.value, len(numbers) + 1)
