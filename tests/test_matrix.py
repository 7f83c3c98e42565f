"""Who gets marketing mail: every path, position and spelling, for people in every state, over real SMTP.

Issue 3, "Done when". Run with -s to see the matrix; with MATRIX=path it is added to that file.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path as File

import pytest
from conftest import (
	PLAIN_SITE,
	forget_sales,
	forget_sending,
	give,
	give_to_customer,
	make_plain_site,
	remove_traces,
	rest_on_sales,
)
from paths import Documents
from trial import BLOCKED, FALSE_BLOCK, LEAK, State, Subject, Trial, as_table

import frappe
from frappe.core.doctype.communication.email import make
from frappe.email.queue import flush

from gdpr_consent import api, register
from gdpr_consent.clock import now_utc
from gdpr_consent.identity import address_key, addresses_of_the_person
from gdpr_consent.policy import RefusalKind

MARKETING = "Email Marketing"
THE_PURPOSE, THE_TOPIC, A_TOPIC_THAT_GOES = "the purpose", "the topic", "a topic that is gone"
BOTH = frozenset({THE_PURPOSE, THE_TOPIC})


class States:
	"""Brings people into the states, most of them after they had agreed to everything."""

	def __init__(self, made: Documents, topic: str, vanishing: str) -> None:
		self.made, self.topic, self.vanishing = made, topic, vanishing

	def agree(self, email: str, *topics: str, **more) -> list[str]:
		return [give(email, topic, **more) for topic in (None, *(topics or (self.topic,)))]

	def agree_everywhere(self, person) -> None:
		for email in (person.email, person.alias, person.shared):
			self.agree(email)

	def then(self, act):
		"""With a consent for each address, so that what is said from one must reach the others."""

		def set_up(person) -> None:
			self.agree_everywhere(person)
			act(person)

		return set_up

	def refuse(self, person) -> None:
		"""When asked for the first time; with their other addresses they had agreed."""
		for email in (person.alias, person.shared):
			self.agree(email)
		for email in addresses_of_the_person(person.email):
			register.refuse(email=email, source="Phone")

	def lapse(self, person) -> None:
		(row,) = register.request(email=person.email, by_the_person=True)
		self.over(row["name"])

	def over(self, *consents: str) -> None:
		frappe.db.set_value("Consent", {"name": ["in", consents]}, "expires_on", now_utc())

	def suppress(self, kind: RefusalKind, whole_person: bool = True):
		def act(person) -> None:
			emails = addresses_of_the_person(person.email) if whole_person else [person.email]
			register.say_no(
				[register.No(kind, register.Scope("", ""), one) for one in emails], register.Act()
			)

		return act

	def lead(self, **values):
		def act(person) -> None:
			self.made("Lead", first_name=person.email, email_id=person.email).update(values).save()

		return act

	def leave(self, person, doctype: str, name: str) -> None:
		frappe.new_doc(
			"Email Unsubscribe", email=person.email, reference_doctype=doctype, reference_name=name
		).insert()

	def all(self, group: str, note: str) -> dict[str, tuple[State, dict[str, str]]]:
		"""Each state, and its reason by subject."""

		def same(reason: str) -> dict[str, str]:
			return dict.fromkeys(BOTH, reason)

		def said(act, reason: str):
			return State(self.then(act), by_the_person=True), same(reason)

		def customer(person) -> None:
			"""The purpose allows that ground only as long as it takes: it isn't open in every country."""
			rest_on_sales("Processing Purpose", MARKETING)
			rest_on_sales("Subscription Topic", self.topic)
			for topic in (None, self.topic):
				give_to_customer(person.email, topic)
			for doctype, name in (("Processing Purpose", MARKETING), ("Subscription Topic", self.topic)):
				frappe.db.delete("Advertised Item Group", {"parenttype": doctype, "parent": name})
				frappe.clear_document_cache(doctype, name)
			basis = {"parent": MARKETING, "legal_basis": "Existing Customer"}
			frappe.db.delete("Processing Purpose Legal Basis", basis)

		return {
			"agreed": (State(lambda one: self.agree(one.email), BOTH), same("VALID_CONSENT")),
			"existing customer": (State(customer, BOTH), same("EXISTING_CUSTOMER")),
			"topic not wanted": (
				State(lambda one: give(one.email), frozenset({THE_PURPOSE})),
				{THE_PURPOSE: "VALID_CONSENT", THE_TOPIC: "TOPIC_NOT_SUBSCRIBED"},
			),
			"topic left": (
				State(
					lambda one: (
						self.agree(one.email),
						api.withdraw_consent(email=one.email, topic=self.topic),
					),
					frozenset({THE_PURPOSE}),
				),
				{THE_PURPOSE: "VALID_CONSENT", THE_TOPIC: "WITHDRAWN"},
			),
			"never asked": (State(lambda _one: None), same("NO_CONSENT")),
			"Unknown": (
				State(lambda one: register.record_unproven(email=one.email, source="Import")),
				same("NO_EVIDENCE"),
			),
			"Requested": (
				State(lambda one: register.request(email=one.email, by_the_person=True)),
				same("REQUESTED"),
			),
			"Lapsed": (State(self.lapse), same("LAPSED")),
			"Refused": (State(self.refuse, by_the_person=True), same("REFUSED")),
			"Withdrawn": said(lambda one: api.withdraw_consent(email=one.email), "WITHDRAWN"),
			"withdrawn in the queue": (
				State(
					self.agree_everywhere,
					by_the_person=True,
					later=lambda one: api.withdraw_consent(email=one.email),
				),
				same("WITHDRAWN"),
			),
			"Revoked": (
				State(lambda one: [api.revoke_consent(name, "No more") for name in self.agree(one.email)]),
				same("REVOKED"),
			),
			"Expired": (
				State(lambda one: self.over(*self.agree(one.email, given_on="2020-01-01"))),
				same("EXPIRED"),
			),
			"Invalidated": (
				State(lambda one: [register.invalidate(name, "Forged") for name in self.agree(one.email)]),
				same("INVALIDATED"),
			),
			"objected": said(lambda one: api.object_to_marketing(email=one.email), "OBJECTED"),
			"unsubscribed globally": said(
				lambda one: frappe.new_doc(
					"Email Unsubscribe", email=one.email.upper(), global_unsubscribe=1
				).insert(),
				"UNSUBSCRIBED",
			),
			"unsubscribed from a record": said(lambda one: self.leave(one, "Note", note), "UNSUBSCRIBED"),
			"unsubscribed in a group": said(
				lambda one: frappe.new_doc(
					"Email Group Member", email_group=group, email=one.email, unsubscribed=1
				).insert(),
				"UNSUBSCRIBED",
			),
			"unsubscribed Contact": said(
				lambda one: frappe.get_doc("Contact", one.contact).update({"unsubscribed": 1}).save(),
				"UNSUBSCRIBED",
			),
			"unsubscribed Lead": said(self.lead(unsubscribed=1), "UNSUBSCRIBED"),
			"Do Not Contact": said(self.lead(status="Do Not Contact"), "UNSUBSCRIBED"),
			"restricted": said(self.suppress(RefusalKind.RESTRICTION), "RESTRICTED"),
			"erased": said(self.suppress(RefusalKind.ERASURE), "SUPPRESSED"),
			"bounced": (
				State(
					lambda one: (
						self.agree(one.email),
						self.suppress(RefusalKind.BOUNCE, whole_person=False)(one),
					)
				),
				same("SUPPRESSED"),
			),
			"complained": said(self.suppress(RefusalKind.COMPLAINT), "OBJECTED"),
			"gate in error": (
				State(
					lambda one: self.agree(one.email, self.vanishing),
					abouts=frozenset({A_TOPIC_THAT_GOES}),
				),
				{A_TOPIC_THAT_GOES: "ERROR"},
			),
		}


@pytest.fixture(scope="module")
def trial(site, smtp_server, work_off_jobs) -> Iterator[Trial]:
	"""All of it at once: thousands of mails, one worker, one look at what the SMTP server got."""
	frappe.set_user("Administrator")
	forget_sending()
	smtp_server.deliveries.clear()
	smtp_server.fails = False
	topics = [
		frappe.new_doc(
			"Subscription Topic", title=f"Trial {frappe.generate_hash(length=8)}", purpose=MARKETING
		).insert()
		for _ in range(2)
	]
	topic, vanishing = (one.name for one in topics)
	trial = Trial({}, {}, smtp_server.deliveries, work_off_jobs)
	group = trial.made("Email Group", title=f"Trial {frappe.generate_hash(length=8)}").name
	note = trial.made("Note", title=f"Trial {frappe.generate_hash(length=8)}").name
	everything = States(trial.made, topic, vanishing).all(group, note)
	trial.states = {name: state for name, (state, _reasons) in everything.items()}
	trial.reasons = {name: reasons for name, (_state, reasons) in everything.items()}
	trial.subjects = {
		THE_PURPOSE: Subject(purpose=MARKETING, thorough=False),
		THE_TOPIC: Subject(topic=topic),
		A_TOPIC_THAT_GOES: Subject(topic=vanishing, gone=True, thorough=False),
	}
	try:
		trial.run()
		yield trial
	finally:
		frappe.db.rollback()
		forget_sales()
		remove_traces([email for person in trial.people.values() for email in person[:3]])
		trial.made.remove()
		frappe.db.delete("Subscription Topic", {"name": ["in", [topic, vanishing]]})
		frappe.db.commit()
		frappe.clear_cache()


def test_em_01_nobody_is_reached_who_said_no_and_nobody_held_back_who_agreed(trial):
	"""EM-01, EM-02, EM-03, EM-08, AD-06, ST-09."""
	matrix = as_table(trial.rows(), trial.states)
	publish("With gdpr_consent", trial.counts(), matrix)
	assert len(trial.cells) > 4_000
	assert trial.bad() == []


def test_plain_erpnext_reaches_people_who_said_no(trial):
	"""The same drivers on a site without the app, so that the matrix above shows what it changes."""
	make_plain_site()
	script = File(__file__).with_name("plain_erpnext.py")
	done = subprocess.run([sys.executable, script, PLAIN_SITE], capture_output=True, text=True)
	assert done.returncode == 0, done.stderr[-3_000:]
	plain = json.loads(done.stdout.splitlines()[-1])
	found = {name: dict(zip(plain["columns"], marks, strict=True)) for name, marks in plain["rows"]}
	rows = [(name, [found[name].get(state, "·") for state in trial.states]) for name, _marks in trial.rows()]
	publish("Plain ERPNext", plain["cells"], as_table(rows, trial.states))
	assert plain["cells"][LEAK] > plain["cells"][BLOCKED]


def publish(title: str, counts: dict[str, int], matrix: str) -> None:
	total, leaks, false_blocks = sum(counts.values()), counts[LEAK], counts[FALSE_BLOCK]
	said = f"{total:,} combinations, {leaks:,} leaks, {false_blocks:,} false blocks."
	text = f"## {title}\n\n{said}\n\n{matrix}\n\n"
	print(f"\n\n{text}")
	if path := os.environ.get("MATRIX"):
		with File(path).open("a") as file:
			file.write(text)


def test_nobody_gets_a_mail_twice(trial):
	assert trial.failures == []


def test_each_state_gives_its_own_reason(trial):
	"""EM-09: what was decided, for each of the mails, whether it got as far as the queue or not."""
	topic = trial.subjects[THE_TOPIC].topic
	wrong = []
	for state, reasons in trial.reasons.items():
		found = frappe.get_all(
			"Consent Decision",
			{"address_key": address_key(trial.people[state].email)},
			["topic", "reason"],
			distinct=True,
		)
		for subject, reason in reasons.items():
			about = topic if subject == THE_TOPIC else None
			given = {row.reason for row in found if (row.topic or None) == about}
			# What was sent at once, before the person withdrew, stood on their consent.
			early = {"VALID_CONSENT"} if trial.states[state].later else set()
			if given - early != {reason}:
				wrong.append((state, subject, reason, given))
	assert wrong == []


def test_em_22_no_reader_sees_another(trial):
	people = {email for person in trial.people.values() for email in person[:3]}
	assert trial.mails
	for combination, reader, text in trial.mails:
		seen = {email for email in people if email in text} - {reader}
		assert not seen, trial.describe(combination)


def test_a_block_is_never_counted_as_sent(trial):
	reached = {(combination.marker, reader) for combination, reader, _text in trial.mails}
	recipient, queue = frappe.qb.DocType("Email Queue Recipient"), frappe.qb.DocType("Email Queue")
	rows = (
		frappe.qb.from_(recipient)
		.join(queue)
		.on(queue.name == recipient.parent)
		.where(recipient.recipient.like(f"%{trial.domain}%"))
		.select(recipient.recipient, recipient.status, queue.message, queue.status)
		.run()
	)
	statuses = {(status, whole) for _text, status, _message, whole in rows}
	assert statuses == {("Sent", "Sent"), ("Blocked", "Blocked")}
	assert sum(status == "Sent" for _text, status, *_ in rows) == len(reached)


SERVICE = {
	"invoice": lambda email: make(
		doctype="Note",
		name=frappe.get_all("Note", pluck="name", limit=1)[0],
		subject="Your invoice",
		content="Please find it attached",
		recipients=email,
		sender="shop@gate.example",
		send_email=True,
	),
	"password reset": lambda email: frappe.get_doc(
		doctype="User", email=email, first_name="Jo"
	).password_reset_mail("https://shop.example/update-password"),
	"confirmation request": lambda email: api._request(
		email, None, None, source="Web Form", language=None, by_the_person=True
	),
	"answer to a privacy request": lambda email: frappe.sendmail(
		recipients=[email],
		subject="Your request",
		message="Here is what we know about you.",
		reference_doctype="Personal Data Download Request",
		reference_name="1",
	),
}


NOTHING_TO_CONFIRM = (
	*("agreed", "existing customer", "topic not wanted", "topic left", "gate in error"),
	*("restricted", "bounced"),  # their consent stands, though nothing may be sent on it
)


@pytest.mark.parametrize("kind", SERVICE)
def test_em_05_service_mail_reaches_people_in_every_state(trial, kind):
	people = [
		person.email
		for state, person in trial.people.items()
		if kind != "confirmation request" or state not in NOTHING_TO_CONFIRM
	]
	before = len(trial.deliveries)
	for email in people:
		SERVICE[kind](email)
	frappe.db.commit()
	flush()
	reached = [delivery.to for delivery in trial.deliveries[before:]]
	assert sorted(reached) == sorted(people)
