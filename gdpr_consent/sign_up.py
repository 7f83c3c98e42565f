"""The public sign-up form: what it shows, and what becomes of what people send with it (CA-01, CA-06, WB-01).

The texts that somebody saw come back with the form, signed (see `told`), so that the evidence names exactly
those. Nothing else that a browser sends reaches it (WB-06).
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import frappe
from frappe import _
from frappe.utils import get_url

from gdpr_consent import children, identity, pages, preferences, register, throttle, told
from gdpr_consent.double_opt_in import send_confirmation_mail
from gdpr_consent.exceptions import ConsentError, UnknownReference

SOURCE = "Web Form"


class Box(NamedTuple):
	"""A box to tick: a topic, or a purpose that has none. `wording` is the Consent Wording beside it."""

	purpose: str
	topic: str
	title: str
	text: str
	wording: str | None

	@property
	def value(self) -> str:
		return f"{self.purpose}:{self.topic}"

	@property
	def beside(self) -> told.Beside:
		return told.Beside(f"{self.title}\n{self.text}".strip(), self.wording)


def boxes(language: str, topics: list[str] | None = None) -> list[Box]:
	"""List what a form offers: the public topics, or those of them that are named, and marketing without any.

	Where Consent Settings ask for a wording, only what has one is offered (LB-06).

	Args:
		language: of the wordings; where one is missing, the site's language is taken, then English.
	"""
	found = [box for box in _all_boxes(language) if not topics or box.topic in topics]
	return [box for box in found if box.wording] if register.wording_required() else found


def _all_boxes(language: str) -> list[Box]:
	wordings = told.current_wordings(language)
	return [_box(row, wordings.get((row.purpose, row.topic or ""))) for row in told.offers()]


def _box(row: Any, wording: Any) -> Box:
	text = wording.text if wording else _described(row.topic_text if row.topic else row.purpose_text)
	return Box(row.purpose, row.topic or "", _named(row), text, wording.name if wording else None)


def _named(row: Any) -> str:
	"""Name what a box is about, and the controller where it isn't the one that the page names (LB-11)."""
	title = _(row.topic or row.purpose)
	if row.company in (None, "", frappe.db.get_default("company")):
		return title
	return _("{0}, by {1}").format(title, row.company)


def _described(text: str | None) -> str:
	return _(text) if text else ""


def signed_texts(shown: list[Box]) -> str:
	"""Sign what stands beside which box."""
	return told.sign({box.value: box.beside for box in shown})


def take(email: str, ticked: list[str], shown: str, language: str, age: str | None = None) -> None:
	"""Check what somebody sent with the form, and do it after the answer has left.

	The answer, and the time it takes, are the same whether or not the address is known (WB-01).

	Args:
		ticked: values of the boxes. Those that the site doesn't offer are ignored.
		shown: what `signed_texts` made for the form; empty for a form that somebody else wrote.
		age: what the person says to have reached, see `children.check_age`.

	Raises:
		InvalidEmailAddress, TooManyAttempts, AgeNotStated
		ConsentError: no box is ticked.
	"""
	throttle.count_form()
	identity.normalise_email(email)
	wanted = [box for box in boxes(language) if box.value in ticked]
	if not wanted:
		raise ConsentError(_("No box is ticked. Tick what you want to hear about."))
	said_of_age = children.check_age(age, None)
	ticks = _("Ticked on the sign-up form: {0}.").format(", ".join(box.title for box in wanted))
	evidence = "\n".join(filter(None, [ticks, said_of_age]))
	seen = told.read(shown, {box.value: box.beside for box in wanted})
	declarations = {
		value: "\n".join(filter(None, [_('Ticked on the sign-up form: "{0}"').format(text), said_of_age]))
		for value, text in seen.texts.items()
	}
	ask(email, wanted, language, evidence=evidence, wordings=seen.wordings, declarations=declarations)


def ask(
	email: str,
	wanted: list[Box],
	language: str,
	*,
	evidence: str | None = None,
	wordings: Mapping[str, str] | None = None,
	declarations: Mapping[str, str] | None = None,
	party_type: str | None = None,
	party: str | None = None,
) -> None:
	"""Let the person who signed up with a form confirm it, after the answer has left (WB-01).

	Args:
		evidence: what the person did, in words. Without it they have to confirm, whatever the rules say.
		wordings: the Consent Wording beside each box, by the box's value.
		declarations: what each box said, by its value, where that is no Consent Wording.
		party_type, party: the record that the form has made of the person.

	Raises:
		ConsentError: nobody knows what the form said, and Consent Settings ask for it (LB-06).
	"""
	said = {*(wordings or {}), *(declarations or {})}
	if not said.issuperset(box.value for box in wanted) and register.wording_required():
		raise ConsentError(
			_("This form doesn't say what you agree to. Please read it at {0}, and sign up there.").format(
				get_url("/consent/subscribe")
			)
		)
	pages.after_the_answer(
		lambda: _sign_up(
			email,
			wanted,
			language,
			evidence,
			wordings or {},
			declarations or {},
			party_type=party_type,
			party=party,
		)
	)


def _sign_up(
	email: str,
	wanted: list[Box],
	language: str,
	evidence: str | None,
	wordings: Mapping[str, str],
	declarations: Mapping[str, str],
	**party: str | None,
) -> None:
	for purpose in dict.fromkeys(box.purpose for box in wanted):
		boxes_of_purpose = [box for box in wanted if box.purpose == purpose]
		pending = register.request(
			email=email,
			purpose=purpose,
			topics=[box.topic for box in boxes_of_purpose if box.topic],
			source=SOURCE,
			language=language,
			by_the_person=True,
			wordings={box.topic: wordings.get(box.value) for box in boxes_of_purpose},
			declarations={box.topic: declarations.get(box.value) for box in boxes_of_purpose},
			evidence=evidence,
			**party,
		)
		if pending:
			send_confirmation_mail(pending, language)


def send_link(email: str, language: str) -> None:
	"""Send somebody the link to their preferences, if the address is in the register.

	The answer is the same if it isn't (WB-01).

	Raises:
		InvalidEmailAddress, TooManyAttempts
	"""
	throttle.count_form()
	identity.normalise_email(email)
	pages.after_the_answer(lambda: _send_link(email, language))


def _send_link(email: str, language: str) -> None:
	with suppress(UnknownReference):
		preferences.send_link(email, language)
