"""Renders the pages under /consent, and what they share: headers, language, the answer to a bad link.

They are for people without an account, so a desk session in the same browser changes nothing: what happens is
done by the person, as Guest (UN-03).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from pathlib import PurePosixPath
from posixpath import normpath
from typing import Any
from urllib.parse import urlencode

from babel.dates import format_date, format_datetime
from werkzeug.wrappers import Request, Response

import frappe
from frappe import _
from frappe.website.page_renderers.template_page import TemplatePage

from gdpr_consent import failures, links, throttle
from gdpr_consent.clock import babel_locale, to_system_time
from gdpr_consent.exceptions import ConsentError, LinkKeyLost, LinkNotValid, TooManyAttempts

HEADERS = {
	"Content-Security-Policy": (
		"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
		"frame-ancestors 'none'"
	),
	"Referrer-Policy": "no-referrer",  # the link is the authority, so it goes nowhere else (TK-08)
	"Cache-Control": "no-store",
	"X-Robots-Tag": "noindex",
	"X-Frame-Options": "DENY",
	"X-Content-Type-Options": "nosniff",
}
# What these do is done by the person, so a desk session in the same browser is no reason to turn them away:
# a provider's one click, and a form on another page of the same domain (UN-03, WB-05).
WITHOUT_SESSION = ("consent/unsubscribe", "consent/subscribe", "consent/request")
STOP, JOIN = "consent/stop", "consent/join"  # the first one at the address of core's own page too
LANGUAGES = (("en", "English"), ("pl", "Polski"), ("de", "Deutsch"))


class ConsentPage(TemplatePage):
	def __init__(self, path: str, http_status_code: int | None = None) -> None:
		super().__init__(STOP if is_cores_unsubscribe(path) else path, http_status_code)

	def can_render(self) -> bool:
		return self.path.startswith("consent/") and super().can_render()

	def render(self) -> Response:
		with as_the_person():
			html = self.get_html()
		if self.context.answer:  # a file in place of the page
			self.context.answer.headers.extend(HEADERS)
			return self.context.answer
		return self.build_response(html, self.context.get("http_status_code"), HEADERS)


def after_the_answer(act: Callable[[], None]) -> None:
	"""Do what somebody sent with a form once the answer has left: the time it takes tells nothing (WB-01)."""

	def run() -> None:
		with as_the_person():
			try:
				act()
				frappe.db.commit()  # nosemgrep: the request is over, nobody else will
			except Exception:
				frappe.db.rollback()
				failures.log_failure("Consent form failed")
				frappe.db.commit()  # nosemgrep

	frappe.request.after_response.add(run)


def is_cores_unsubscribe(path: str) -> bool:
	"""Whether core would show its own /unsubscribe, which lets anybody unsubscribe anybody (FR-04)."""
	page = PurePosixPath(normpath(path.strip("/ ")))
	return page.parent == PurePosixPath() and page.name.split(".")[0] == "unsubscribe"


@contextmanager
def as_the_person() -> Iterator[None]:
	user = frappe.session.user
	frappe.session.user = "Guest"
	try:
		yield
	finally:
		frappe.session.user = user


def behind_a_link(get_context: Callable) -> Callable:
	"""Let `get_context` raise what is wrong with the link of its page, and show that plainly (TK-10)."""

	door = get_context.__module__.rpartition(".")[2]

	@wraps(get_context)
	def show(context: frappe._dict) -> None:
		context.no_cache = 1
		context.company = frappe.db.get_default("company") or frappe.local.site
		context.privacy_notice_url = frappe.db.get_single_value("Consent Settings", "privacy_notice_url")
		try:
			context.token = _one_text("t")
			get_context(context)
		except LinkNotValid as error:
			_show_problem(context, error, 410)
			try:
				throttle.count_wrong_link(door)
			except TooManyAttempts as too_many:
				_show_problem(context, too_many, 429)
		except TooManyAttempts as error:
			_show_problem(context, error, 429)
		except LinkKeyLost:
			failures.log_failure("Consent pages: the key of the links is lost")
			_show_problem(context, _("We can't read links at the moment."), 503)
		except ConsentError as error:  # what the link names is gone, or what was typed is wrong
			_show_problem(context, error, 410)
		context.lang = frappe.local.lang
		context.languages = (
			[]  # its address is core's, and names the person
			if context.behind_core_link
			else [(code, name, _url_in(code, context.token)) for code, name in LANGUAGES]
		)

	return show


def _url_in(language: str, token: str) -> str:
	arguments = {"t": token} if token else {"topic": frappe.request.args.getlist("topic")}
	return f"{frappe.request.path}?{urlencode(arguments | {'_lang': language}, doseq=True)}"


def _show_problem(context: frappe._dict, problem: Exception | str, status: int) -> None:
	frappe.db.rollback()
	context.http_status_code = status
	is_the_link = status == 410
	context.problem_title = _("This link doesn't work") if is_the_link else _("Please try again later")
	context.problem = str(problem)


def _one_text(name: str) -> str:
	values = {*frappe.request.args.getlist(name), *frappe.request.form.getlist(name)}
	if len(values) > 1:  # whichever it is, the other isn't (TK-10)
		raise links.not_valid()
	return values.pop() if values else ""


def typed(name: str) -> str:
	"""Return the text of a field of a form, never of the address bar."""
	return (frappe.request.form.get(name) or "").strip()


def is_post() -> bool:
	return frappe.request.method == "POST"


def address_to(context: frappe._dict, found: dict[str, Any]) -> None:
	"""Show the page in the person's language, unless they chose another, and in their controller's name."""
	language = found.get("language")
	if language and not frappe.form_dict.get("_lang") and frappe.db.exists("Language", language):
		frappe.local.lang = language
	context.company = found.get("company") or context.company


def local_date(instant: datetime) -> str:
	"""Write the day of an instant in UTC as it is in the site's time zone, in the language of the page."""
	return format_date(to_system_time(instant), format="long", locale=babel_locale())


def local_moment(moment: datetime) -> str:
	"""Write a moment in the site's time zone, in the language of the page."""
	zone = frappe.utils.get_system_timezone()
	return f"{format_datetime(moment, format='medium', locale=babel_locale())} ({zone})"


def act_without_session(response: Response, request: Request) -> None:
	"""Hook `after_request`: do what a POST asks although it came with somebody's session (UN-03).

	Core turns away a POST whose cookie belongs to a session that knows a CSRF token, before any app is asked.
	The authority is the token in the link, or the mailbox that is asked to confirm, whoever is logged in.
	"""
	if response.status_code != frappe.CSRFTokenError.http_status_code or request.method != "POST":
		return
	path = request.path.strip("/")
	if path not in WITHOUT_SESSION or frappe.flags.consent_without_session:
		return
	frappe.flags.consent_without_session = True
	page = ConsentPage(path).render()
	frappe.db.commit()  # nosemgrep: core has rolled back, and does nothing more
	response.set_data(page.get_data())
	response.status_code = page.status_code
	response.headers.update(dict(page.headers))
