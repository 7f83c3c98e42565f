"""What a person sees and changes on their preference page (Art. 7(3), Art. 21(2)); www/consent shows it.

Whoever holds a link to it got it in a mail to the address. To say no that is enough. To say yes it isn't,
since mails are forwarded: a topic that is switched on is confirmed from the mailbox (TK-06).
"""

from datetime import datetime
from typing import Any, NamedTuple

import frappe
from frappe import _

from gdpr_consent import children, links, register, throttle, told
from gdpr_consent.clock import now_utc
from gdpr_consent.double_opt_in import send_confirmation_mail
from gdpr_consent.exceptions import AgeNotStated, UnknownReference
from gdpr_consent.identity import address_key
from gdpr_consent.policy import Channel, Status, decide, status_at
from gdpr_consent.register import DATA_SUBJECT, Act, Scope

SOURCE = "Preference Page"
PURPOSE, TOPIC = "purpose", "topic"


class Choice(NamedTuple):
	"""A switch: a purpose, or one of its topics. `since` is naive UTC, `wording` what its text is, if any."""

	kind: str
	name: str
	text: str
	wording: str | None
	on: bool
	since: datetime | None
	is_pending: bool
	is_offered: bool

	@property
	def value(self) -> str:
		return f"{self.kind}:{self.name}"

	@property
	def beside(self) -> told.Beside:
		return told.Beside(f"{_(self.name)}\n{self.text}".strip(), self.wording)


class Offer(NamedTuple):
	"""A purpose of a company, and those of its topics that people may choose."""

	purpose: Choice
	topics: list[Choice]


class Outcome(NamedTuple):
	"""What became of a form; `problem` says why nothing was switched on."""

	stopped: list[str]
	asked: list[str]
	mail_sent: bool
	problem: str | None = None


def offers_to(found: register.Row) -> list[Offer]:
	"""List what the person that a record is about can choose: the company's marketing, each with its state.

	Two queries for the person and three for what there is, however many topics. Where Consent Settings ask
	for a wording, what has none isn't offered, unless it is on, or waits for the person (LB-06).
	"""
	permissions, refusals = _facts_about(found["address_key"])
	wordings = told.current_wordings(frappe.local.lang)
	needs_wording = register.wording_required()
	now = now_utc()

	def choice(kind: str, row: Any, purpose: str, topic: str) -> Choice:
		theirs = [one for one in permissions if one["purpose"] == purpose]
		decision = decide(
			topic or None,
			[register.permission_of(one) for one in theirs],
			[register.refusal_of(one) for one in refusals if (one["purpose"] or purpose) == purpose],
			now,
		)
		since = next((one["given_on"] for one in theirs if one["name"] == decision.consent), None)
		is_pending = any(
			(one["topic"] or "") == topic
			and one["status"] == Status.REQUESTED
			and status_at(register.permission_of(one), now) == Status.REQUESTED
			for one in theirs
		)
		shown = wordings.get((purpose, topic))
		text = shown.text if shown else (_(row.description) if row.description else "")
		is_offered = decision.allowed or not needs_wording or bool(shown)
		wording = shown.name if shown else None
		return Choice(kind, row.name, text, wording, decision.allowed, since, is_pending, is_offered)

	offers = []
	for purpose, topics in _what_there_is(found, {one["topic"] for one in permissions}):
		about = choice(PURPOSE, purpose, purpose.name, "")
		choices = [choice(TOPIC, topic, purpose.name, topic.name) for topic in topics]
		choices = [one for one in choices if one.is_offered or one.is_pending]
		if choices or about.is_offered or about.is_pending:
			offers.append(Offer(about, choices))
	return offers


def signed_texts(offers: list[Offer]) -> str:
	"""Sign what stands beside which switch."""
	return told.sign(_beside(offers))


def _beside(offers: list[Offer]) -> dict[str, told.Beside]:
	return {one.value: one.beside for offer in offers for one in (offer.purpose, *offer.topics)}


def _facts_about(key: str) -> tuple[list[register.Row], list[register.Row]]:
	loaded = []
	for doctype in ("Consent", "Suppression"):
		table = frappe.qb.DocType(doctype)
		loaded.append(
			frappe.qb.from_(table)
			.select(table.star)
			.where(table.address_key == key)
			.where(table.channel.isnull() | table.channel.isin(["", Channel.EMAIL.value]))
			.run(as_dict=True)
		)
	return loaded[0], loaded[1]


def _what_there_is(found: register.Row, known_topics: set[str | None]) -> list[tuple[Any, list[Any]]]:
	"""List the marketing purposes of the company, with the public topics and those the person has."""
	purpose, topic = frappe.qb.DocType("Processing Purpose"), frappe.qb.DocType("Subscription Topic")
	query = (
		frappe.qb.from_(purpose)
		.select(purpose.name, purpose.description)
		.where((purpose.is_marketing == 1) & (purpose.enabled == 1))
		.orderby(purpose.name)
	)
	if company := found.get("company"):
		query = query.where(purpose.company == company)
	purposes = query.run(as_dict=True)
	topics = (
		frappe.qb.from_(topic)
		.select(topic.name, topic.description, topic.purpose)
		.where(topic.enabled == 1)
		.where((topic.public == 1) | topic.name.isin([name for name in known_topics if name] or [""]))
		.orderby(topic.sort_order)
		.orderby(topic.name)
		.run(as_dict=True)
	)
	return [(one, [row for row in topics if row.purpose == one.name]) for one in purposes]


def change(
	found: register.Row,
	wanted: set[str],
	language: str | None = None,
	shown: str = "",
	age: str | None = None,
) -> Outcome:
	"""Stop what is switched off, and ask for confirmation of what is switched on.

	Args:
		wanted: values of the choices that are on in the form; others than those shown are ignored (WB-06).
		shown: what `signed_texts` made for the form.
		age: what the person says to have reached, see `children.check_age`. A no is taken without.
	"""
	offers = offers_to(found)
	off: list[Scope] = []
	stopped: list[str] = []
	for offer in offers:
		name = offer.purpose.name
		if offer.purpose.on and offer.purpose.value not in wanted:
			off.append(Scope(Channel.EMAIL.value, name))  # and with it each of its topics
			stopped.append(name)
			continue
		gone = [topic for topic in offer.topics if topic.on and topic.value not in wanted]
		off += [Scope(Channel.EMAIL.value, name, topic.name) for topic in gone]
		stopped += [topic.name for topic in gone]
	if off:
		register.refuse_by_link(found, off, Act(DATA_SUBJECT, register.source_if_known(SOURCE)))
	seen = told.read(shown, _beside(offers))
	try:
		asked, sent = _ask(found, offers, wanted, stopped, language, seen, age)
	except AgeNotStated as error:
		return Outcome(stopped, [], False, str(error))
	return Outcome(stopped, asked, sent)


def _ask(
	found: register.Row,
	offers: list[Offer],
	wanted: set[str],
	stopped: list[str],
	language: str | None,
	seen: told.Told,
	age: str | None,
) -> tuple[list[str], bool]:
	asked: list[str] = []
	sent = False
	needs_wording = register.wording_required()
	for offer in offers:
		if offer.purpose.name in stopped or not found["email"]:
			continue
		# By the name that the register has for it: its topic, or none.
		named = {"": offer.purpose} | {topic.name: topic for topic in offer.topics}
		switched_on = {
			name: one
			for name, one in named.items()
			if one.value in wanted
			and not one.on
			and one.is_offered
			and (one.value in seen or not needs_wording)
		}
		if not switched_on:
			continue
		children.check_age(age, found.get("company"))
		topics = [name for name in switched_on if name]
		pending = register.request(
			email=found["email"],
			purpose=offer.purpose.name,
			topics=topics,
			source=SOURCE,
			language=language,
			by_the_person=True,
			wordings={name: seen.wordings.get(one.value) for name, one in switched_on.items()},
			declarations={
				name: _('Switched on, on the preference page: "{0}"').format(seen.texts[one.value])
				for name, one in switched_on.items()
				if one.value in seen.texts
			},
		)
		sent |= bool(pending) and send_confirmation_mail(pending, language)
		asked += topics or [offer.purpose.name]
	return asked, sent


def refuse_everything(found: register.Row) -> None:
	"""Record that the person wants no marketing at all: every company, purpose and channel (Art. 21(2))."""
	register.refuse_by_link(found, [], Act(DATA_SUBJECT, register.source_if_known(SOURCE)))


def masked(email: str | None) -> str:
	"""Show who is meant to whoever knows it, and to nobody else (UN-11)."""
	if not email:
		return "…"
	local, _at, domain = email.rpartition("@")
	return f"{local[:1]}…@{domain[:1]}….{domain.rpartition('.')[2]}"


def send_link(email: str, language: str | None = None) -> bool:
	"""Send the link to the preferences to an address that is in the register.

	Returns:
		whether it was sent; an address gets a few mails a day at most (WB-02).

	Raises:
		UnknownReference: nothing is on record for it.
	"""
	key = address_key(email)
	record = newest_record_of(key)
	if not record:
		raise UnknownReference(
			_("Nothing is on record for {0}, so there is nothing to choose. Ask for a consent first.").format(
				frappe.bold(frappe.utils.escape_html(email))
			)
		)
	if not throttle.may_mail(key):
		return False
	shown = frappe.local.lang
	frappe.local.lang = language or frappe.db.get_value("Consent", record, "language") or shown
	try:
		frappe.sendmail(
			recipients=[email],
			subject=_("Your link to your choices"),
			template="consent_preferences",
			args={"url": links.preferences_url(record)},
			reference_doctype="Consent",
			add_unsubscribe_link=0,
		)
	finally:
		frappe.local.lang = shown
	return True


def newest_record_of(key: str) -> str | None:
	"""Return a record by which a link can name the person who has an address, None if there is none."""
	for doctype in ("Consent", "Suppression"):
		found = frappe.get_all(doctype, {"address_key": key}, pluck="name", order_by="creation desc", limit=1)
		if found:
			return found[0]
	return None
