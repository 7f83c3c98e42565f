"""What we write to people about their requests: service mail, in their language, kept in the timeline.

A link is in the mail alone. In the timeline whoever reads it could use it in the person's place.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from babel.dates import format_date

import frappe
from frappe import _

from gdpr_consent.clock import babel_locale
from gdpr_consent.failures import log_failure

DOCTYPE = "Data Subject Request"
TEMPLATE = "data_subject_request"


@contextmanager
def in_language_of(request: Any) -> Iterator[None]:
	shown = frappe.local.lang
	frappe.local.lang = request.language or shown
	try:
		yield
	finally:
		frappe.local.lang = shown


def day_in_words(day: date) -> str:
	return format_date(day, format="long", locale=babel_locale())


def what_is_asked(request: Any) -> str:
	"""Say in the language of now what a request asks for."""
	if request.right == "Objection" and request.objects_to == "Marketing":
		return _("No more marketing")
	return {
		"Information": _("To be told what we do with personal data"),
		"Access": _("To know which data we hold, with a copy"),
		"Rectification": _("To have data corrected"),
		"Erasure": _("To have data erased"),
		"Restriction": _("To have data stored only, and not used"),
		"Portability": _("To get data in a form for other systems"),
		"Objection": _("That data are no longer processed"),
		"Human Review": _("To have an automated decision reviewed by a person"),
		"Withdrawal": _("To take back a consent"),
	}[request.right]


def no_marketing() -> str:
	return _("We have recorded that you want no marketing from us. It counts from now on, and for good.")


def your_rights() -> str:
	"""Say where the person may complain (Art. 12(4), 77, 79)."""
	authority = frappe.db.get_single_value("Consent Settings", "supervisory_authority")
	if authority:
		return _(
			"You can complain to the supervisory authority, and you can go to a court. The authority is: {0}"
		).format(authority)
	return _("You can complain to the data protection authority of your country, and you can go to a court.")


def send(
	request: Any,
	subject: str,
	paragraphs: list[str],
	*,
	url: str | None = None,
	closing: list[str] | None = None,
	to: str | None = None,
) -> bool:
	"""Queue a mail to the person of a request, and keep it in the request's timeline without its link.

	Args:
		to: another address than that of the request, such as one that we know.

	Returns:
		whether a mail was queued: not where there is no address, or where the site can't send any.
	"""
	recipient = to or request.email
	if not recipient:
		return False
	args = {"paragraphs": paragraphs, "closing": closing or [], "url": None}
	kept = frappe.new_doc(
		"Communication",
		communication_type="Communication",
		communication_medium="Email",
		sent_or_received="Sent",
		subject=subject,
		content=frappe.get_template(f"templates/emails/{TEMPLATE}.html").render(args),
		recipients=recipient,
		reference_doctype=DOCTYPE,
		reference_name=request.name,
	).insert(ignore_permissions=True)  # whoever may do what the mail tells of, may have it told
	try:
		frappe.sendmail(
			recipients=[recipient],
			subject=subject,
			template=TEMPLATE,
			args=args | {"url": url},
			reference_doctype=DOCTYPE,
			reference_name=request.name,
			communication=kept.name,
			add_unsubscribe_link=0,
		)
	except frappe.OutgoingEmailError:
		# The request counts all the same: it has reached us.
		log_failure("A mail about a request of a person can't be sent", request.name)
		kept.delete(ignore_permissions=True, force=True)
		return False
	return True


def acknowledge(request: Any) -> bool:
	with in_language_of(request):
		return send(
			request,
			_("We have received your request"),
			[
				_("This is what you asked for: {0}.").format(what_is_asked(request)),
				_("It reached us on {0}. You get an answer by {1} at the latest.").format(
					day_in_words(request.received_on), day_in_words(request.due_on)
				),
				_("Its number is {0}.").format(request.name),
				*([no_marketing()] if request.right == "Erasure" else ()),  # DS-19
			],
			closing=[your_rights()],
		)


def answer(request: Any, text: str) -> bool:
	with in_language_of(request):
		return send(
			request,
			_("The answer to your request {0}").format(request.name),
			[_("This is what you asked for: {0}.").format(what_is_asked(request)), text],
			closing=[your_rights()],
		)


def refuse(request: Any, reason: str) -> bool:
	with in_language_of(request):
		return send(
			request,
			_("The answer to your request {0}").format(request.name),
			[
				_("This is what you asked for: {0}.").format(what_is_asked(request)),
				_("We can't do that, for this reason:"),
				reason,
			],
			closing=[your_rights()],
		)
