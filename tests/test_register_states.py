"""Anything that may happen to a few people, in any order, on the real register.

After each step the rows are what their events make them, and no no is lost.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from conftest import PROOF, Clock, examples, rest_on_sales, sell
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import frappe

from gdpr_consent import api, audience, ledger, register
from gdpr_consent.exceptions import ConsentError
from gdpr_consent.identity import address_key
from gdpr_consent.policy import LIVE

PEOPLE = 3
NEVER = datetime.min

people = st.sampled_from([0, 0, 1, 2])  # often the same one, so that things meet
purposes = st.sampled_from([0, 0, 1])
about_topic = st.booleans()
guardians = st.sampled_from([None, None, "Maria Nowak", ""])  # of a grown-up, and of a child
numbers = st.integers(0, 1_000)
moments = st.sampled_from(
	[timedelta(microseconds=1), timedelta(hours=1), timedelta(days=4), timedelta(days=400)]
)


class Register(RuleBasedStateMachine):
	"""Two addresses of one Contact and one of nobody; two purposes with a topic each."""

	def __init__(self, clock: Clock) -> None:
		super().__init__()
		self.clock = clock
		clock.at(2026, 3, 1, 9)
		tag = frappe.generate_hash(length=8)
		self.emails = [f"{number}.{tag}@people.example" for number in range(PEOPLE)]
		rows = [{"email_id": email, "is_primary": not number} for number, email in enumerate(self.emails[:2])]
		frappe.new_doc("Contact", first_name=tag, email_ids=rows).insert()
		other = frappe.copy_doc(frappe.get_doc("Processing Purpose", "Email Marketing"))
		other.title = f"Marketing {tag}"
		other.append("allowed_legal_bases", {"legal_basis": "Legitimate Interests"})
		self.purposes = ["Email Marketing", other.insert().name]
		self.topics = [
			frappe.new_doc("Subscription Topic", title=f"{tag} of {purpose}", purpose=purpose).insert().name
			for purpose in self.purposes
		]
		scopes = [("Processing Purpose", self.purposes[1]), ("Subscription Topic", self.topics[1])]
		self.shown = {name: rest_on_sales(doctype, name) for doctype, name in scopes}
		for email in self.emails:
			sell(email)
		self.links: list[tuple[list[str], datetime]] = []
		# When the last no and the last confirmation came, by address, purpose and topic; "" is the purpose.
		self.noes: dict[tuple[str, str, str], datetime] = {}
		self.yeses: dict[tuple[str, str, str], datetime] = {}

	def teardown(self) -> None:
		assert ledger.verify()["problem"] is None
		frappe.db.rollback()

	# --- what happens ---------------------------------------------------------------------------------------

	@rule(by=moments)
	def time_passes(self, by: timedelta) -> None:
		self.clock.now += by

	@rule(
		who=people,
		purpose=purposes,
		topical=about_topic,
		late=st.booleans(),
		other_basis=st.booleans(),
		guardian=guardians,
	)
	def staff_record(
		self, who: int, purpose: int, topical: bool, late: bool, other_basis: bool, guardian: str | None
	) -> None:
		email, purpose_name, topic = self.scope(who, purpose, topical)
		receipt = self.attempt(
			lambda: api.record_consent(
				email=email,
				purpose=purpose_name,
				topic=topic,
				given_on=self.clock.now - timedelta(days=30) if late else None,
				**(
					{
						"legal_basis": "Existing Customer",
						"wording": self.shown[topic or purpose_name],
					}
					if other_basis and purpose
					else {}
				),
				**(
					{}
					if guardian is None
					else {"is_minor": True, "guardian_name": guardian, "guardian_verification": "Known here"}
				),
				**PROOF,
			)
		)
		if receipt and (receipt["status"], receipt["legal_basis"]) == ("Given", "Consent"):
			for_purpose = self.decision(email, purpose_name).allowed
			assert for_purpose or topic
			assert self.decision(email, purpose_name, topic).allowed is for_purpose

	@rule(who=people, purpose=purposes, topical=about_topic)
	def a_list_claims_a_consent(self, who: int, purpose: int, topical: bool) -> None:
		email, purpose_name, topic = self.scope(who, purpose, topical)
		self.attempt(lambda: register.record_unproven(email=email, purpose=purpose_name, topic=topic))

	@rule(who=people, purpose=purposes, topical=about_topic, by_the_person=st.booleans())
	def somebody_asks(self, who: int, purpose: int, topical: bool, by_the_person: bool) -> None:
		email, purpose_name, topic = self.scope(who, purpose, topical)
		topics = [topic] if topic else []
		pending = self.attempt(
			lambda: register.request(
				email=email, purpose=purpose_name, topics=topics, by_the_person=by_the_person
			)
		)
		if pending:
			self.links.append(([row["name"] for row in pending], self.clock.now))

	@rule(number=numbers)
	def the_person_uses_a_link(self, number: int) -> None:
		if not self.links:
			return
		names, made = self.links[number % len(self.links)]
		before = {row.name for row in self.rows() if row.status == "Given"}
		for row in self.attempt(lambda: register.confirm(names, made)) or []:
			if row["name"] not in before:
				self.yeses[row["email"], row["purpose"], row["topic"] or ""] = self.clock.now

	@rule(who=people, purpose=purposes, topical=about_topic)
	def the_person_withdraws(self, who: int, purpose: int, topical: bool) -> None:
		email, purpose_name, topic = self.scope(who, purpose, topical)
		api.withdraw_consent(email=email, purpose=purpose_name, topic=topic)
		for address in self.addresses_of(who):
			self.said_no(address, purpose_name, topic)

	@rule(who=people)
	def the_person_objects(self, who: int) -> None:
		api.object_to_marketing(email=self.emails[who])
		for address in self.addresses_of(who):
			for purpose in self.purposes:
				self.said_no(address, purpose, None)

	@rule(who=people, purpose=purposes, topical=about_topic)
	def the_person_refuses(self, who: int, purpose: int, topical: bool) -> None:
		email, purpose_name, topic = self.scope(who, purpose, topical)
		register.refuse(email=email, purpose=purpose_name, topic=topic)
		self.said_no(email, purpose_name, topic)

	@rule(number=numbers, act=st.sampled_from([register.revoke, register.end, register.invalidate]))
	def the_controller_ends_something(self, number: int, act: Callable) -> None:
		if rows := self.rows():
			self.attempt(lambda: act(rows[number % len(rows)].name, "For a test"))

	# --- what is always true --------------------------------------------------------------------------------

	@invariant()
	def each_row_is_what_its_events_make_it(self) -> None:
		rows = self.rows()
		events = ledger.read_events("Consent", [row.name for row in rows])
		for row in rows:
			assert [event.seq for event in events[row.name]] == list(range(1, row.last_seq + 1))
			folded = ledger.UNSAID["Consent"] | ledger.fold(events[row.name])
			assert {column: folded.get(column) for column in ledger.PROJECTED} == {
				column: row[column] for column in ledger.PROJECTED
			}

	@invariant()
	def no_childs_consent_is_given_without_its_guardian(self) -> None:
		"""CA-18, V8"""
		for row in self.rows():
			if row.is_minor and row.status == "Given":
				assert row.guardian_name and row.guardian_verification

	@invariant()
	def no_scope_has_two_live_records(self) -> None:
		live = [(row.address_key, row.purpose, row.topic) for row in self.rows() if row.status in LIVE]
		assert len(live) == len(set(live))

	@invariant()
	def no_no_is_lost(self) -> None:
		for (email, purpose, said_about), said_on in self.noes.items():
			for topic in ["", self.topics[self.purposes.index(purpose)]]:
				if said_about not in ("", topic):
					continue
				needed = {(email, purpose, topic), (email, purpose, said_about)}
				if min(self.yeses.get(one, NEVER) for one in needed) <= said_on:
					assert not self.decision(email, purpose, topic).allowed

	@invariant()
	def only_live_records_of_the_purpose_and_the_topic_allow(self) -> None:
		now = self.clock.now
		usable = {
			(row.email, row.purpose, row.topic or "")
			for row in self.rows()
			if row.status in ("Given", "Not Required") and not (row.expires_on and row.expires_on <= now)
		}
		for purpose, topic in zip(self.purposes, self.topics, strict=True):
			for email in self.emails:
				if self.decision(email, purpose, topic).allowed:
					assert {(email, purpose, ""), (email, purpose, topic)} <= usable
				if self.decision(email, purpose).allowed:
					assert (email, purpose, "") in usable

	@invariant()
	def many_are_decided_as_each_is(self) -> None:
		for purpose, topic in zip(self.purposes, self.topics, strict=True):
			assert audience.decide_many(self.emails, purpose, topic) == {
				email: self.decision(email, purpose, topic) for email in self.emails
			}

	@invariant()
	def the_past_of_now_is_now(self) -> None:
		"""The answer from the events is that from the rows."""
		for purpose, topic in zip(self.purposes, self.topics, strict=True):
			now = audience.decide_many(self.emails, purpose, topic)
			assert audience.decide_many(self.emails, purpose, topic, at=self.clock.now) == now

	# --- help -----------------------------------------------------------------------------------------------

	def said_no(self, email: str, purpose: str, topic: str | None) -> None:
		self.noes[email, purpose, topic or ""] = self.clock.now
		ended = [
			row.status
			for row in self.rows()
			if (row.email, row.purpose) == (email, purpose) and topic in (None, row.topic)
		]
		assert not {"Given", "Requested", "Not Required"} & set(ended)

	def scope(self, who: int, purpose: int, topical: bool) -> tuple[str, str, str | None]:
		return self.emails[who], self.purposes[purpose], self.topics[purpose] if topical else None

	def addresses_of(self, who: int) -> list[str]:
		return self.emails[:2] if who < 2 else [self.emails[who]]

	def rows(self) -> list[Any]:
		keys = [address_key(email) for email in self.emails]
		return frappe.get_all("Consent", {"address_key": ["in", keys]}, ["*"], order_by="creation, name")

	def decision(self, email: str, purpose: str, topic: str | None = None) -> Any:
		return audience.decide_many([email], purpose, topic or None)[email]

	def attempt(self, act: Callable) -> Any:
		"""Act; if it is refused, it is by an error of ours, and nothing is stored."""
		stored = ("Consent", "Suppression", "Consent Event", "Consent Event Payload")
		before = [frappe.db.count(doctype) for doctype in stored]
		try:
			return act()
		except ConsentError:
			assert [frappe.db.count(doctype) for doctype in stored] == before
			return None


def test_whatever_happens_no_no_is_lost_and_every_row_follows_from_its_events(site, clock):
	run_state_machine_as_test(
		lambda: Register(clock),
		settings=settings(max_examples=examples(0.4), stateful_step_count=35),
	)
