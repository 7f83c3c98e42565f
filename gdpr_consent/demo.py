"""Demo data, and a Newsletter sent for real, for `script/server`.

Writes consents only as anybody else does, through `api` and `register`. Refuses to run on a site whose mail
isn't kept by the script's own SMTP server: its users have a password that everybody knows.
"""

import mailbox
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from email import message_from_binary_file, policy
from functools import partial
from typing import Any, NamedTuple

import frappe
from frappe.utils.password import update_password

from gdpr_consent import api, proof, register
from gdpr_consent.clock import now_utc
from gdpr_consent.identity import address_keys

MAILS_SETTING = "gdpr_consent_demo_mails"  # in site_config.json: the Maildir that all mail ends in
PURPOSE = "Email Marketing"
TOPIC = "Blog Updates"
GROUP = "Everybody we know"
PASSWORD = "nordlicht"
JOB_SECONDS = 120

TOPICS = {
	TOPIC: "What we learn about plants, light and shops, every other week.",
	"White Papers": "Longer studies, some three a year.",
	"Product Training": "Dates of our courses, on site and online.",
}
WORDINGS = {
	"en": "I want to receive {0} by e-mail from {1}. I can end this at any time, with one click.",
	"de": "Ich möchte {0} per E-Mail von {1} erhalten. Das kann ich jederzeit mit einem Klick beenden.",
	"pl": "Chcę otrzymywać {0} e-mailem od {1}. Mogę z tego zrezygnować w każdej chwili jednym kliknięciem.",
}
USERS = {
	"marketing@nordlicht.example": ("Mia", "Marketing", ("Newsletter Manager", "Sales User")),
	"sales@nordlicht.example": ("Stefan", "Sales", ("Sales User", "Consent User")),
	"privacy@nordlicht.example": ("Paula", "Privacy", ("Privacy Officer",)),
}
LANGUAGES = {"Germany": "de", "Poland": "pl"}


class Person(NamedTuple):
	name: str
	email: str
	country: str
	kind: str  # Contact or Lead
	story: str
	customer: str | None = None
	in_group_as: str | None = None


CHANGES_HER_MIND = "withdrew while mail waited"
PEOPLE = (
	Person("Anna Schmidt", "anna@blumen.example", "Germany", "Contact", "subscribed", "Blumen Schmidt"),
	Person("Marek Zieliński", "marek@oranzeria.example", "Poland", "Lead", "subscribed"),
	Person(
		"Piotr Kowalski",
		"Piotr.Kowalski@meble-kowalski.example",
		"Poland",
		"Contact",
		"subscribed",
		"Meble Kowalski",
		in_group_as="PIOTR.KOWALSKI@MEBLE-KOWALSKI.EXAMPLE",
	),
	Person(
		"Julia Wagner",
		"julia.wagner@hofladen.example",
		"Germany",
		"Contact",
		"subscribed",
		"Hofladen Wagner",
		in_group_as="Julia Wagner <julia.wagner@hofladen.example>",
	),
	Person("Magdalena Król", "magda@kwiaciarnia.example", "Poland", "Contact", CHANGES_HER_MIND),
	Person("Jonas Becker", "jonas.becker@gartenbau.example", "Germany", "Lead", "wants white papers only"),
	Person("Katarzyna Nowak", "k.nowak@szkolka.example", "Poland", "Lead", "never asked"),
	Person("Lukas Hoffmann", "lukas@hoffmann-gruen.example", "Germany", "Lead", "asked, hasn't confirmed"),
	Person("Stefan Fischer", "fischer@altbestand.example", "Germany", "Lead", "on an old list, no proof"),
	Person("Agnieszka Lis", "a.lis@ogrody.example", "Poland", "Contact", "agreed too long ago", "Ogrody Lis"),
	Person("Ewa Wiśniewska", "ewa@wisniewska.example", "Poland", "Contact", "withdrew", "Wiśniewska Design"),
	Person("Thomas Müller", "t.mueller@licht.example", "Germany", "Contact", "objected", "Müller Licht"),
	Person("Paweł Wójcik", "pawel@wojcik.example", "Poland", "Contact", "Contact: unsubscribed"),
	Person("Maria Weber", "maria.weber@floristik.example", "Germany", "Contact", "Email Unsubscribe"),
	Person("Tomasz Kamiński", "tomasz@kaminski.example", "Poland", "Contact", "Group Member: unsubscribed"),
	Person("Sabine Koch", "sabine.koch@terrassen.example", "Germany", "Lead", "Lead: Do Not Contact"),
	Person("Joanna Dąbrowska", "biuro@ogrod.example", "Poland", "Contact", "shares a mailbox", "Dąbrowscy"),
)


class Result(NamedTuple):
	"""What became of the Newsletter for one member of its group."""

	address: str
	story: str
	allowed: bool
	reason: str
	decided_by: str
	received: int

	@property
	def agrees(self) -> bool:
		return self.received == int(self.allowed)


class Report(NamedTuple):
	newsletter: str
	results: list[Result]
	strangers: list[str]  # who got the Newsletter without being in its group

	@property
	def agrees(self) -> bool:
		return not self.strangers and all(result.agrees for result in self.results)


# --- data ---------------------------------------------------------------------------------------------------


def create() -> None:
	"""Create what is missing of the demo, and leave the rest as it is."""
	_mails()
	_create_missing_topics()
	_create_missing_users()
	_create_missing("Email Group", GROUP, title=GROUP)
	for country in LANGUAGES:
		_create_missing("Territory", country, territory_name=country, parent_territory="All Territories")
	for person in PEOPLE:
		_create_missing_person(person)
	_draft()
	frappe.db.commit()  # nosemgrep: run by a script


def _create_missing(doctype: str, name: str, **values: Any) -> None:
	if not frappe.db.exists(doctype, name):
		frappe.get_doc(doctype=doctype, **values).insert()


def _create_missing_topics() -> None:
	company = frappe.get_cached_value("Processing Purpose", PURPOSE, "company")
	for topic, description in TOPICS.items():
		_create_missing("Subscription Topic", topic, title=topic, purpose=PURPOSE, description=description)
	for topic in (None, *TOPICS):
		for language, text in WORDINGS.items():
			if not _wording(topic, language):
				frappe.get_doc(
					doctype="Consent Wording",
					purpose=PURPOSE,
					topic=topic,
					language=language,
					text=text.format(topic or PURPOSE, company),
				).insert()


def _wording(topic: str | None, language: str) -> str | None:
	scope = {"purpose": PURPOSE, "topic": topic or ["is", "not set"], "language": language}
	return frappe.db.get_value("Consent Wording", scope, "name", order_by="version desc")


def _create_missing_users() -> None:
	for email, (first_name, last_name, roles) in USERS.items():
		if not frappe.db.exists("User", email):
			user = frappe.new_doc("User", email=email, first_name=first_name, last_name=last_name)
			user.send_welcome_email = 0
			user.append_roles(*roles)
			user.insert()
			update_password(email, PASSWORD)


def _create_missing_person(person: Person) -> None:
	member = {"email_group": GROUP, "email": person.in_group_as or person.email}
	if frappe.db.exists("Email Group Member", member):
		return
	party = _create_record(person)
	frappe.get_doc(doctype="Email Group Member", **member).insert()
	STORIES[person.story](person, party)
	frappe.db.commit()  # nosemgrep: all of a person, or nothing


def _create_record(person: Person) -> Any:
	first_name, last_name = person.name.split(" ", 1)
	names = {"first_name": first_name, "last_name": last_name}
	if person.kind == "Lead":
		return frappe.get_doc(
			doctype="Lead", **names, email_id=person.email, country=person.country, territory=person.country
		).insert()
	contact = frappe.get_doc(doctype="Contact", **names)
	contact.append("email_ids", {"email_id": person.email, "is_primary": 1})
	if person.customer:
		_create_missing(
			"Customer",
			person.customer,
			customer_name=person.customer,
			customer_group="Commercial",
			territory=person.country,
		)
		contact.append("links", {"link_doctype": "Customer", "link_name": person.customer})
	return contact.insert()


def _draft() -> Any:
	"""Return the Newsletter that hasn't been sent yet; there always is one to be sent from the desk."""
	draft = frappe.db.get_value("Newsletter", {"subscription_topic": TOPIC, "email_sent": 0})
	if draft:
		return frappe.get_doc("Newsletter", draft)
	issue = 1 + frappe.db.count("Newsletter", {"subscription_topic": TOPIC})
	return frappe.get_doc(
		doctype="Newsletter",
		subject=f"{TOPIC}, issue {issue}",
		sender_name="Nordlicht Handel",
		sender_email="crm@nordlicht.example",
		email_group=[{"email_group": GROUP}],
		consent_purpose=PURPOSE,
		subscription_topic=TOPIC,
		content_type="Rich Text",
		message="<p>How much light does a fern need? Less than you think.</p>",
		send_unsubscribe_link=1,
	).insert()


# --- stories: how each person came to be where they are -----------------------------------------------------


def _document() -> str:
	"""Return the URL of the signed list that the demo's consents rest on, made if it is missing."""
	values = {"file_name": "signed-list-spring-fair.txt", "is_private": 1}
	found = frappe.db.get_value("File", values, "file_url")
	content = (
		"I want to hear from Nordlicht Handel GmbH by e-mail. Signed at the spring fair by those listed."
	)
	return found or frappe.new_doc("File", content=content, **values).insert().file_url


def _agree(person: Person, party: Any, *topics: str) -> None:
	language = LANGUAGES[person.country]
	for topic in (None, *topics):
		api.record_consent(
			purpose=PURPOSE,
			topic=topic,
			email=person.email,
			party_type=party.doctype,
			party=party.name,
			source="Event",
			evidence=_document(),
			wording=_wording(topic, language),
			language=language,
		)


def _subscribed(person: Person, party: Any) -> None:
	_agree(person, party, *TOPICS)


def _white_papers_only(person: Person, party: Any) -> None:
	_agree(person, party, "White Papers")


def _never_asked(person: Person, party: Any) -> None:
	"""Somebody's card from a fair."""


def _asked(person: Person, party: Any) -> None:
	api.request_consent(
		person.email, PURPOSE, topics=[TOPIC], source="Phone", language=LANGUAGES[person.country]
	)


def _unproven(person: Person, party: Any) -> None:
	for topic in (None, TOPIC):
		register.record_unproven(
			email=person.email,
			purpose=PURPOSE,
			topic=topic,
			source="Import",
			party_type=party.doctype,
			party=party.name,
		)


def _agreed_long_ago(person: Person, party: Any) -> None:
	for topic in (None, TOPIC):
		api.record_consent(
			purpose=PURPOSE,
			topic=topic,
			email=person.email,
			party_type=party.doctype,
			party=party.name,
			source="Event",
			evidence=_document(),
			given_on=now_utc() - timedelta(days=3 * 365),
		)


def _withdrew(person: Person, party: Any) -> None:
	_subscribed(person, party)
	api.withdraw_consent(email=person.email, purpose=PURPOSE, source="E-mail", reason="Too many mails.")


def _objected(person: Person, party: Any) -> None:
	_subscribed(person, party)
	api.object_to_marketing(party_type=party.doctype, party=party.name, source="Phone")


def _contact_unsubscribed(person: Person, contact: Any) -> None:
	_subscribed(person, contact)
	contact.unsubscribed = 1
	contact.save()


def _email_unsubscribe(person: Person, party: Any) -> None:
	"""In other letters than the address has everywhere else."""
	_subscribed(person, party)
	frappe.get_doc(doctype="Email Unsubscribe", email=person.email.upper(), global_unsubscribe=1).insert()


def _member_unsubscribed(person: Person, party: Any) -> None:
	_subscribed(person, party)
	member = frappe.get_doc("Email Group Member", {"email_group": GROUP, "email": person.email})
	member.unsubscribed = 1
	member.save()


def _do_not_contact(person: Person, lead: Any) -> None:
	_subscribed(person, lead)
	lead.status = "Do Not Contact"
	lead.save()


def _shares_a_mailbox(person: Person, party: Any) -> None:
	"""She agreed, and her colleague wants none of it: nobody can tell who would read the mail."""
	_subscribed(person, party)
	colleague = frappe.get_doc(doctype="Contact", first_name="Michał", last_name="Dąbrowski")
	colleague.append("email_ids", {"email_id": person.email, "is_primary": 1})
	colleague.insert()
	api.object_to_marketing(party_type="Contact", party=colleague.name, source="Phone")


def _signs_up(person: Person, party: Any = None) -> None:
	"""She asks for the mails on the web site, again if need be, and confirms from her mailbox."""
	asked = register.request(
		email=person.email, purpose=PURPOSE, topics=[TOPIC], source="Web Form", by_the_person=True
	)
	register.confirm([consent["name"] for consent in asked], now_utc(), proof.age_asked(None))


STORIES: dict[str, Callable[[Person, Any], None]] = {
	"subscribed": _subscribed,
	CHANGES_HER_MIND: _signs_up,
	"wants white papers only": _white_papers_only,
	"never asked": _never_asked,
	"asked, hasn't confirmed": _asked,
	"on an old list, no proof": _unproven,
	"agreed too long ago": _agreed_long_ago,
	"withdrew": _withdrew,
	"objected": _objected,
	"Contact: unsubscribed": _contact_unsubscribed,
	"Email Unsubscribe": _email_unsubscribe,
	"Group Member: unsubscribed": _member_unsubscribed,
	"Lead: Do Not Contact": _do_not_contact,
	"shares a mailbox": _shares_a_mailbox,
}


# --- sending ------------------------------------------------------------------------------------------------


def send() -> Report:
	"""Send the Newsletter through the queue and the worker, and compare decisions with what arrived.

	One person changes her mind after her mail was queued: the gate is the last to ask.
	"""
	mails = _mails()
	there_before = set(mails.keys())
	newsletter = _draft()
	doubtful = [person for person in PEOPLE if person.story == CHANGES_HER_MIND]
	for person in doubtful:
		_signs_up(person)
	frappe.db.commit()  # nosemgrep: the worker has to see it

	suspended = frappe.db.get_default("suspend_email_queue")
	_suspend_queue(1)
	try:
		newsletter.send_emails()
		_work("frappe.ping")  # comes after the job that queues the mails
		for person in doubtful:
			api.withdraw_consent(email=person.email, purpose=PURPOSE, source="Phone")
	finally:
		_suspend_queue(suspended)
	_work("frappe.email.queue.flush")
	frappe.db.rollback()  # to see what the worker wrote
	_draft()
	frappe.db.commit()  # nosemgrep: for the desk, and the next time

	received = _recipients(mails, set(mails.keys()) - there_before, newsletter.subject)
	return _compare(newsletter.name, received)


def _suspend_queue(value: Any) -> None:
	frappe.db.set_default("suspend_email_queue", value or 0)
	frappe.db.commit()  # nosemgrep: the worker has to see it


def _work(method: str) -> None:
	"""Let the worker do a job, after all that is queued already, and wait until it is done."""
	job = frappe.enqueue(method, queue="long")  # the queue that Newsletters are sent from
	deadline = time.monotonic() + JOB_SECONDS
	while (status := job.get_status()) != "finished":
		if status == "failed" or time.monotonic() > deadline:
			raise RuntimeError(f"The worker didn't finish {method}: it is {status}.")
		time.sleep(0.05)  # this version of RQ can't be waited for


def _compare(newsletter: str, received: Counter[str]) -> Report:
	members = frappe.get_all("Email Group Member", {"email_group": GROUP}, pluck="email", order_by="creation")
	stories = {person.in_group_as or person.email: person.story for person in PEOPLE}
	keys = address_keys([*members, *received])
	received_by_key = Counter({keys[email]: number for email, number in received.items()})
	decisions = {
		row.address_key: row
		for row in frappe.get_all(
			"Consent Decision",
			{"reference_doctype": "Newsletter", "reference_name": newsletter},
			["address_key", "allowed", "reason", "email_queue"],
			order_by="decided_on",  # of two decisions, the gate's is the later one
		)
	}
	left_out = api.check_consent(members, PURPOSE, TOPIC)
	results = []
	for member in members:
		decision = decisions.get(keys[member])
		answer = decision or left_out[member]
		results.append(
			Result(
				member,
				stories.get(member, ""),
				bool(answer["allowed"]),
				answer["reason"],
				"gate" if decision and decision.email_queue else "audience",
				received_by_key[keys[member]],
			)
		)
	known = {keys[member] for member in members}
	return Report(newsletter, results, [email for email in received if keys[email] not in known])


def _mails() -> mailbox.Maildir:
	folder = frappe.conf.get(MAILS_SETTING)
	if not folder:
		raise RuntimeError("This is no demo site: nothing keeps its mail. Start script/server.")
	return mailbox.Maildir(folder, factory=partial(message_from_binary_file, policy=policy.default))


def _recipients(mails: mailbox.Maildir, keys: set[str], subject: str) -> Counter[str]:
	"""Count the mails with a subject by whom the SMTP server was told to bring them to."""
	return Counter(
		recipient
		for key in keys
		if (mail := mails[key])["Subject"] == subject
		for recipient in mail["X-Envelope-To"].split(", ")
	)
