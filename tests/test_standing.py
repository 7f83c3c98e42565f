"""What lists say of marketing mail to somebody: the gate's answer, kept in step with register and records."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROOF, Clock, examples, give
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import frappe
from frappe.core.doctype.communication.communication import get_contacts

from gdpr_consent import api, legacy, policy, register, standing
from gdpr_consent.clock import to_system_time
from gdpr_consent.exceptions import ConsentError
from gdpr_consent.register import restriction, writing

MARKETING = "Email Marketing"
WORDS = Path(__file__).parents[1] / "gdpr_consent" / "public" / "js" / "standing.js"


def of(doc) -> str | None:
	return frappe.db.get_value(doc.doctype, doc.name, "marketing_mail")


def restrict(email: str) -> None:
	api.restrict(email=email, reason="Asked for it")


@pytest.fixture
def opportunity(site: str):
	def make(kind: str, party: str, **more):
		values = {"opportunity_from": kind, "party_name": party, "company": frappe.get_all("Company")[0].name}
		return frappe.new_doc("Opportunity", **values | more).insert()

	return make


@pytest.fixture
def prospect(site: str):
	def make(*leads):
		rows = [{"lead": lead.name} for lead in leads]
		name = f"Prospect {frappe.generate_hash(length=8)}"
		return frappe.new_doc("Prospect", company_name=name, leads=rows).insert()

	return make


def test_a_contact_that_nobody_asked_says_so(contact, address):
	assert of(contact(address())) == "Nothing Known"
	assert of(contact()) == "No Address"


@pytest.mark.parametrize(
	("act", "says"),
	[
		(give, "Allowed"),
		(lambda email: register.record_unproven(email=email), "Not Allowed"),
		(lambda email: register.request(email=email), "Requested"),
		(lambda email: register.refuse(email=email), "Opted Out"),
		(lambda email: api.withdraw_consent(email=email), "Opted Out"),
		(lambda email: api.object_to_marketing(email=email), "Opted Out"),
		(restrict, "Restricted"),
		(lambda email: api.revoke_consent(give(email), "Why"), "Not Allowed"),
		(lambda email: api.invalidate_consent(give(email), "Why"), "Not Allowed"),
		(lambda email: register.note_bounce(email, writing.now_utc(), "5.1.1"), "Not Allowed"),
		(lambda email: give(email, purpose="Customer Service", legal_basis="Contract"), "Nothing Known"),
	],
)
def test_the_list_follows_what_is_recorded(contact, lead, address, act, says):
	email = address()
	people = [contact(email), lead(address())]
	act(email)
	assert [of(one) for one in people] == [says, "Nothing Known"]


def test_another_topic_alone_isnt_nothing(contact, address, topic):
	email = address()
	person = contact(email)
	give(email, topic)
	assert of(person) == "Not Allowed"


def test_an_open_form_isnt_told_that_the_record_was_changed(contact, address):
	"""Written past the document: `modified` stays, and a form that was loaded before can be saved."""
	email = address()
	person = contact(email)
	loaded = frappe.get_doc("Contact", person.name)
	modified = frappe.db.get_value("Contact", person.name, "modified")
	give(email)
	assert frappe.db.get_value("Contact", person.name, "modified") == modified
	assert loaded.marketing_mail == "Nothing Known"
	loaded.department = "Sales"
	loaded.save()
	assert (loaded.marketing_mail, of(person)) == ("Allowed", "Allowed")


def test_nobody_writes_the_answer_by_hand(contact, address):
	person = contact(address(), marketing_mail="Allowed")
	assert of(person) == "Nothing Known"
	person.marketing_mail = "Allowed"
	person.save()
	assert of(person) == "Nothing Known"


def test_a_contact_that_core_made_of_a_mail_says_so(address):
	email = address()
	(name,) = get_contacts([f"Jo <{email}>"], auto_create_contact=True)
	assert frappe.db.get_value("Contact", name, "marketing_mail") == "Nothing Known"


def test_the_field_and_the_desk_know_every_answer():
	answers = [one.value for one in standing.Standing]
	for doctype in standing.DOCTYPES:
		assert frappe.get_meta(doctype).get_field("marketing_mail").options.split("\n") == answers
		assert frappe.db.has_index(f"tab{doctype}", "marketing_mail_index")
	table = WORDS.read_text().split("standings = () => ({")[1].split("\n}")[0]
	assert re.findall(r'^\t"?([A-Z][A-Za-z ]*)"?: \[', table, re.MULTILINE) == answers


def test_several_addresses_and_those_that_come_and_go(contact, address):
	one, other = address(), address()
	person = contact(one, other)
	give(one)
	assert of(person) == "Allowed in Part"
	give(other)
	assert of(person) == "Allowed"
	person.reload()
	person.append("email_ids", {"email_id": address()})
	person.save()
	assert (of(person), person.marketing_mail) == ("Allowed in Part", "Allowed in Part")


def test_ad_10_everybody_with_a_shared_mailbox_has_its_answer(contact, lead, address):
	email = address("info@{}.example")
	people = [contact(email), contact(email.upper()), lead(f"Shop <{email}>")]
	give(email)
	assert [of(one) for one in people] == ["Allowed"] * 3


def test_a_no_without_an_address_counts(contact, address):
	person = contact()
	api.object_to_marketing(party_type="Contact", party=person.name)
	assert of(person) == "Opted Out"
	person.reload()
	person.append("email_ids", {"email_id": address(), "is_primary": 1})
	person.save()
	assert of(person) == "Opted Out"


def test_who_stands_behind_whom(contact, lead, customer, prospect, opportunity, address):
	emails = [address() for _ in range(3)]
	person, other, buyer = contact(emails[0]), lead(emails[1]), contact(emails[2])
	of_customer = customer(person)
	of_leads = prospect(other)
	deals = [
		opportunity("Customer", of_customer.name),
		opportunity("Lead", other.name),
		opportunity("Prospect", of_leads.name),
		opportunity("Customer", of_customer.name, contact_person=buyer.name),
	]
	everybody = [of_customer, of_leads, *deals]
	assert {of(one) for one in everybody} == {"Nothing Known"}
	give(emails[0])
	assert [of(one) for one in everybody] == [
		*("Allowed", "Nothing Known", "Allowed", "Nothing Known", "Nothing Known", "Allowed in Part")
	]
	api.withdraw_consent(email=emails[1])
	give(emails[2])
	assert [of(one) for one in everybody] == [
		*("Allowed", "Opted Out", "Allowed", "Opted Out", "Opted Out", "Allowed")
	]
	person.reload()
	person.links = []
	person.save()
	assert (of(of_customer), of(deals[0]), of(deals[3])) == ("No Address", "No Address", "Allowed")


def test_merging_and_deleting(contact, customer, address):
	one, other = address(), address()
	kept, gone = contact(one), contact(other)
	firm = customer(kept, gone)
	give(one)
	api.withdraw_consent(email=other)
	assert of(firm) == "Allowed in Part"
	frappe.rename_doc("Contact", gone.name, kept.name, merge=True, force=True)
	assert of(kept) == "Opted Out"
	assert of(firm) == "Opted Out"
	frappe.delete_doc("Contact", kept.name)
	assert of(firm) == "No Address"


def test_an_opt_out_of_cores_own(contact, address):
	person = contact(address())
	person.unsubscribed = 1
	person.save()
	assert (of(person), person.marketing_mail) == ("Opted Out", "Opted Out")
	legacy.take_over()
	assert of(person) == "Opted Out"


@pytest.fixture
def queries(monkeypatch):
	said: list[str] = []
	run = frappe.db.sql

	def note(query, *args, **kwargs):
		said.append(str(query))
		return run(query, *args, **kwargs)

	monkeypatch.setattr(frappe.db, "sql", note)
	return said


def test_many_people_take_as_many_queries_as_few(contact, address, queries):
	people = [contact(address()).name for _ in range(40)]
	give(address())  # what is cached is
	counts = []
	for names in (people[:2], people):
		frappe.db.set_value("Contact", {"name": ["in", names]}, "marketing_mail", None, update_modified=False)
		queries.clear()
		standing.refresh("Contact", names)
		counts.append(len(queries))
	assert counts[0] == counts[1]
	queries.clear()
	standing.refresh("Contact", people)
	assert not [query for query in queries if query.lstrip().lower().startswith(("update", "insert"))]


# --- many, later --------------------------------------------------------------------------------------------


def stored(names: list[str]) -> list[str | None]:
	frappe.db.rollback()  # to see what the worker committed
	return sorted({row.marketing_mail for row in frappe.get_all("Contact", {"name": ["in", names]}, ["*"])})


def test_what_many_people_said_is_left_to_a_job(bulk, work_off_jobs):
	"""A run isn't slowed down by the lists."""
	emails = bulk.many_contacts(standing.MOST_AT_ONCE + 1)
	names = bulk.people["Contact"]
	standing.refresh_everybody()
	assert stored(names) == ["Nothing Known"]
	noes = [register.No(policy.RefusalKind.OBJECTION, register.Scope("", ""), email) for email in emails]
	register.say_no(noes, register.Act())
	frappe.db.commit()
	assert stored(names) == ["Nothing Known"]
	work_off_jobs()
	assert stored(names) == ["Opted Out"]


def test_a_bulk_run_has_the_lists_follow_when_it_ends(bulk, mailbox, work_off_jobs):
	email = mailbox()
	name = bulk.contact(email)
	bulk.run({"action": "Withdraw", "source": "Phone", "records": [name]})
	assert api.check_consent([email])[email]["reason"] == "WITHDRAWN"
	frappe.db.commit()
	work_off_jobs()
	assert stored([name]) == ["Opted Out"]


def test_the_clock_and_the_rules_change_answers_once_a_day(bulk, mailbox, work_off_jobs):
	email = mailbox()
	name = bulk.contact(email)
	give(email)
	frappe.db.commit()
	assert stored([name]) == ["Allowed"]
	frappe.db.sql("update tabConsent set expires_on = '2020-01-01' where email = %s", email)
	frappe.db.sql("update tabContact set marketing_mail = 'Allowed' where name = %s", name)
	standing.start()
	frappe.db.commit()
	work_off_jobs()
	assert stored([name]) == ["Not Allowed"]


HOLD = """
import sys
import frappe
frappe.init(site=sys.argv[1], sites_path="."); frappe.connect()
frappe.db.sql("select name from tabContact where name = %s for update", sys.argv[2])
print("held", flush=True)
sys.stdin.readline()
"""


def test_who_holds_a_record_isnt_waited_for(bulk, mailbox, work_off_jobs):
	"""Whoever saves a person asks the register next: to wait for them while we hold it is a deadlock."""
	email = mailbox()
	name = bulk.contact(email)
	command = [sys.executable, "-c", HOLD, frappe.local.site, name]
	with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
		assert holder.stdout.readline() == "held\n"
		give(email)
		frappe.db.commit()
		assert stored([name]) == ["Nothing Known"]
		holder.communicate("done\n")
	work_off_jobs()
	assert stored([name]) == ["Allowed"]


GIVE = """
import sys
import frappe
frappe.init(site=sys.argv[1], sites_path="."); frappe.connect()
from gdpr_consent import api
api.record_consent(email=sys.argv[2], source="Phone", evidence=sys.argv[3])
frappe.db.commit()
"""


def test_who_knows_less_than_is_stored_leaves_it_to_the_job(bulk, mailbox, work_off_jobs):
	"""Two addresses of one person get a yes at once; neither transaction sees the other's."""
	one, other = mailbox(), mailbox()
	name = bulk.contact(one, other)
	assert stored([name]) == ["Nothing Known"]  # and from here on this transaction sees no other state
	arguments = [frappe.local.site, other, PROOF["evidence"]]
	subprocess.run([sys.executable, "-c", GIVE, *arguments], check=True)
	give(one)
	frappe.db.commit()
	assert stored([name]) == ["Allowed in Part"]
	work_off_jobs()
	assert stored([name]) == ["Allowed"]


# --- anything, in any order ---------------------------------------------------------------------------------

people = st.sampled_from([0, 0, 1, 2, 3])
places = st.integers(0, 3)


class People(RuleBasedStateMachine):
	"""Two Contacts and a Lead with four addresses, one of a role; a Customer, a Prospect, an Opportunity."""

	def __init__(self, clock: Clock) -> None:
		super().__init__()
		self.clock = clock
		clock.at(2026, 3, 1, 9)
		tag = frappe.generate_hash(length=8)
		self.emails = [f"{name}@{tag}.example" for name in ("one", "two", "info", "four")]
		self.topic = frappe.new_doc("Subscription Topic", title=tag, purpose=MARKETING).insert().name
		self.contacts = [
			frappe.new_doc("Contact", first_name=f"{tag} {number}").insert().name for number in range(2)
		]
		self.lead = frappe.new_doc("Lead", first_name=tag, email_id=self.emails[3]).insert().name
		self.customer = frappe.new_doc("Customer", customer_name=tag).insert().name
		self.prospect = (
			frappe.new_doc("Prospect", company_name=tag, leads=[{"lead": self.lead}]).insert().name
		)
		values = {"opportunity_from": "Customer", "party_name": self.customer}
		company = frappe.get_all("Company")[0].name
		self.opportunity = frappe.new_doc("Opportunity", company=company, **values).insert().name
		self.links: list = []

	def teardown(self) -> None:
		frappe.db.rollback()

	def attempt(self, act) -> None:
		try:
			act()
		except ConsentError:
			frappe.local.message_log = []

	@rule(days=st.sampled_from([1, 400, 800]))
	def a_day_passes(self, days: int) -> None:
		self.clock.forward(days=days)
		for doctype, name in self.records():
			standing.refresh(doctype, [name])

	def records(self) -> list[tuple[str, str]]:
		return [
			*(("Contact", name) for name in self.contacts),
			("Lead", self.lead),
			("Customer", self.customer),
			("Prospect", self.prospect),
			("Opportunity", self.opportunity),
		]

	@rule(who=people, topical=st.booleans())
	def staff_record(self, who: int, topical: bool) -> None:
		self.attempt(lambda: give(self.emails[who], self.topic if topical else None))

	@rule(who=people)
	def a_list_claims(self, who: int) -> None:
		self.attempt(lambda: register.record_unproven(email=self.emails[who]))

	@rule(who=people)
	def the_person_asks_and_confirms(self, who: int) -> None:
		rows = register.request(email=self.emails[who], by_the_person=True)
		self.links.append(([row["name"] for row in rows], self.clock.now))

	@rule(number=st.integers(0, 9))
	def a_link_is_used(self, number: int) -> None:
		if self.links:
			names, made = self.links[number % len(self.links)]
			self.clock.forward(hours=1)
			register.confirm(names, made)

	@rule(who=people, topical=st.booleans())
	def withdraws(self, who: int, topical: bool) -> None:
		api.withdraw_consent(email=self.emails[who], topic=self.topic if topical else None)

	@rule(who=places, party=st.booleans())
	def objects(self, who: int, party: bool) -> None:
		if party:
			api.object_to_marketing(party_type="Contact", party=self.contacts[who % 2])
		else:
			api.object_to_marketing(email=self.emails[who])

	@rule(who=places)
	def is_restricted(self, who: int) -> None:
		api.restrict(party_type="Contact", party=self.contacts[who % 2], reason="Why")

	@rule(who=places)
	def the_restriction_is_lifted(self, who: int) -> None:
		day = to_system_time(self.clock.now).date()
		whose = {"party_type": "Contact", "party": self.contacts[who % 2]}
		self.attempt(lambda: api.lift_restriction(**whose, reason="Why", informed_on=day))

	@rule(who=people)
	def mail_comes_back(self, who: int) -> None:
		register.note_bounce(self.emails[who], self.clock.now, "5.1.1")

	@rule(who=people)
	def the_mailbox_works_again(self, who: int) -> None:
		api.lift_bounce(self.emails[who], "It works.")

	@rule(contact=places, wanted=st.sets(people, max_size=3), linked=st.booleans())
	def a_contact_is_edited(self, contact: int, wanted: set[int], linked: bool) -> None:
		doc = frappe.get_doc("Contact", self.contacts[contact % 2])
		doc.email_ids = []
		for number, who in enumerate(sorted(wanted)):
			doc.append("email_ids", {"email_id": self.emails[who].upper(), "is_primary": number == 0})
		doc.links = []
		if linked:
			doc.append("links", {"link_doctype": "Customer", "link_name": self.customer})
		doc.save()

	@rule(who=people)
	def the_lead_is_edited(self, who: int) -> None:
		doc = frappe.get_doc("Lead", self.lead)
		doc.email_id = self.emails[who]
		doc.save()

	@rule(contact=places)
	def the_opportunity_is_edited(self, contact: int) -> None:
		doc = frappe.get_doc("Opportunity", self.opportunity)
		doc.contact_person = [*self.contacts, None, None][contact]
		doc.save()

	@invariant()
	def what_is_stored_is_what_comes_out_anew(self) -> None:
		for doctype, name in self.records():
			found = frappe.db.get_value(doctype, name, "marketing_mail")
			assert found == standing.standings(doctype, [name])[name].value

	@invariant()
	def a_contact_says_what_the_gate_would(self) -> None:
		for name in self.contacts:
			rows = frappe.get_doc("Contact", name).email_ids
			answers = api.check_consent([row.email_id for row in rows])
			allowed = {answer["allowed"] for answer in answers.values()}
			found = frappe.db.get_value("Contact", name, "marketing_mail")
			if allowed == {True}:
				assert found == "Allowed"
			elif allowed == {True, False}:
				assert found == "Allowed in Part"
			else:
				assert found not in ("Allowed", "Allowed in Part")


def test_the_list_says_what_the_register_says_after_anything(clock, fresh_counters, monkeypatch):
	monkeypatch.setattr(restriction, "getdate", lambda: to_system_time(clock.now).date())
	steps = settings(max_examples=examples(0.25), stateful_step_count=25)
	run_state_machine_as_test(lambda: People(clock), settings=steps)
