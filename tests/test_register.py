"""The register: what may be recorded, by whom, and that nothing is lost, forged or half written."""

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import rfc8785
from conftest import PROOF, give, give_to_customer, rest_on_sales
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

import frappe
from frappe import client
from frappe.api import v1

from gdpr_consent import api, audience, ledger, links, register
from gdpr_consent.clock import from_system_time, parse_utc, utc_text
from gdpr_consent.exceptions import (
	ConsentError,
	ConsentMissing,
	EvidenceMissing,
	InvalidEmailAddress,
	InvalidPeriod,
	LegalBasisNotAllowed,
	LinkNotValid,
	RegisterIsAppendOnly,
	StandingRefusal,
	TransitionNotAllowed,
	UnknownReference,
)
from gdpr_consent.identity import address_key
from gdpr_consent.policy import TRANSITIONS, RefusalKind, Status

MARKETING = "Email Marketing"
STORED = ("Consent", "Suppression", "Consent Event", "Consent Event Payload")


def stored() -> dict[str, int]:
	return {doctype: frappe.db.count(doctype) for doctype in STORED}


def status(name: str) -> str:
	return frappe.db.get_value("Consent", name, "status")


def reason(email: str, topic: str | None = None, **when) -> str:
	(answer,) = api.check_consent([email], topic=topic, **when).values()
	assert answer["allowed"] is (answer["reason"] in ("VALID_CONSENT", "EXISTING_CUSTOMER", "NOT_MARKETING"))
	return answer["reason"]


def kinds(name: str) -> list[str]:
	events = frappe.get_all("Consent Event", {"consent": name}, ["seq", "kind"], order_by="seq")
	assert [event.seq for event in events] == list(range(1, len(events) + 1))
	return [event.kind for event in events]


def request(email: str, *topics: str, **more) -> list[str]:
	return [row["name"] for row in register.request(email=email, topics=topics, **more)]


def confirm(*names: str) -> list[str]:
	return [row["name"] for row in register.confirm(list(names), links.now_utc())]


def withdraw(email: str, topic: str | None = None) -> list[str]:
	return api.withdraw_consent(email=email, topic=topic)["withdrawn"]


@pytest.fixture
def customers_allowed(site) -> None:
	"""Email Marketing may also rest on the existing-customer rule and on legitimate interests."""
	rest_on_sales("Processing Purpose", MARKETING)
	purpose = frappe.get_doc("Processing Purpose", MARKETING)
	purpose.append("allowed_legal_bases", {"legal_basis": "Legitimate Interests"})
	purpose.save()


# --- transitions --------------------------------------------------------------------------------------------


@pytest.fixture
def in_state(clock, customers_allowed) -> Callable[[str, Status], str]:
	"""Bring a record of an address to a state, by the ways that lead there, and return its name."""

	def other_basis(email: str) -> str:
		return give_to_customer(email)

	def lapsed(email: str) -> str:
		(name,) = request(email)
		clock.forward(days=8)
		request(email)
		return name

	def expired(email: str) -> str:
		name = give(email, expires_on=clock.now + timedelta(days=1))
		clock.forward(days=1)
		register.record_unproven(email=email)
		return name

	def superseded(email: str) -> str:
		name = give(email)
		clock.forward(days=1)
		give(email)
		return name

	def after(name: str, act: Callable, *args) -> str:
		clock.forward(seconds=1)
		act(name, *args)
		return name

	ways = {
		Status.UNKNOWN: lambda email: register.record_unproven(email=email)["name"],
		Status.REQUESTED: lambda email: request(email)[0],
		Status.LAPSED: lapsed,
		Status.REFUSED: lambda email: register.refuse(email=email)["name"],
		Status.GIVEN: give,
		Status.WITHDRAWN: lambda email: after(give(email), lambda _name: withdraw(email)),
		Status.REVOKED: lambda email: after(give(email), api.revoke_consent, "No campaign"),
		Status.EXPIRED: expired,
		Status.SUPERSEDED: superseded,
		Status.INVALIDATED: lambda email: after(give(email), register.invalidate, "Forged"),
		Status.NOT_REQUIRED: other_basis,
		Status.ENDED: lambda email: after(other_basis(email), api.revoke_consent, "No longer a customer"),
	}

	def bring(email: str, to: Status) -> str:
		name = ways[to](email)
		assert status(name) == to.value
		clock.forward(seconds=1)
		return name

	return bring


@pytest.mark.parametrize(
	("act", "leads_to"),
	[
		(lambda name: register.revoke(name, "No campaign"), Status.REVOKED),
		(lambda name: register.end(name, "No longer a customer"), Status.ENDED),
		(lambda name: register.invalidate(name, "Forged"), Status.INVALIDATED),
	],
	ids=["revoke", "end", "invalidate"],
)
@pytest.mark.parametrize("before", Status)
def test_st_01_acts_on_a_record_follow_the_table_or_store_nothing(address, in_state, before, act, leads_to):
	name = in_state(address(), before)
	was = stored()
	if leads_to in TRANSITIONS[before]:
		act(name)
		assert status(name) == leads_to.value
		assert stored()["Consent Event"] == was["Consent Event"] + 1
	else:
		with pytest.raises(TransitionNotAllowed, match=f"{before.value} can't become {leads_to.value}"):
			act(name)
		assert (status(name), stored()) == (before.value, was)


@pytest.mark.parametrize("before", Status)
def test_t5_only_what_was_requested_can_be_confirmed(address, in_state, before):
	name = in_state(address(), before)
	was = stored()
	confirmed = confirm(name)
	if before == Status.REQUESTED:
		assert confirmed == [name]
		assert kinds(name) == ["Request", "Confirm"]
	else:
		assert confirmed == ([name] if before == Status.GIVEN else [])
		assert (status(name), stored()) == (before.value, was)


STAND, NEW, SAME = StandingRefusal, "a new record", "the same record"


@pytest.mark.parametrize(
	("before", "outcome"),
	[
		(Status.UNKNOWN, SAME),  # T13
		(Status.REQUESTED, TransitionNotAllowed),
		(Status.LAPSED, TransitionNotAllowed),  # since the one after it is requested
		(Status.REFUSED, STAND),
		(Status.GIVEN, NEW),  # T10
		(Status.WITHDRAWN, STAND),
		(Status.REVOKED, NEW),
		(Status.EXPIRED, SAME),  # the Unknown one that is live now
		(Status.SUPERSEDED, NEW),
		(Status.INVALIDATED, NEW),
		(Status.NOT_REQUIRED, NEW),
		(Status.ENDED, NEW),
	],
)
def test_t2_t10_t13_recording_in_each_state(address, in_state, before, outcome):
	email = address()
	in_state(email, before)
	was, had = stored(), set(frappe.get_all("Consent", {"address_key": address_key(email)}, pluck="name"))
	if isinstance(outcome, str):
		name = give(email)
		assert (name in had) is (outcome == SAME)
		assert (reason(email), status(name)) == ("VALID_CONSENT", "Given")
	else:
		with pytest.raises(outcome):
			give(email)
		assert stored() == was


@pytest.mark.parametrize("by_the_person", [True, False])
@pytest.mark.parametrize("before", Status)
def test_t1_t13_requesting_in_each_state(address, in_state, before, by_the_person):
	email = address()
	name = in_state(email, before)
	was = stored()
	if before in (Status.REFUSED, Status.WITHDRAWN) and not by_the_person:
		with pytest.raises(StandingRefusal):
			request(email)
		assert stored() == was
	elif before in (Status.GIVEN, Status.NOT_REQUIRED, Status.SUPERSEDED):
		assert request(email, by_the_person=by_the_person) == []
		assert stored() == was
	else:
		(pending,) = request(email, by_the_person=by_the_person)
		assert status(pending) == "Requested"
		assert (pending == name) is (before in (Status.UNKNOWN, Status.REQUESTED))


@pytest.mark.parametrize("before", Status)
@pytest.mark.parametrize(
	("say_no", "word"),
	[
		(lambda email: withdraw(email), ("WITHDRAWN", "REFUSED")),
		(lambda email: api.object_to_marketing(email=email), ("OBJECTED",)),
		(lambda email: register.refuse(email=email), ("WITHDRAWN", "REFUSED")),
	],
	ids=["withdraw", "object", "refuse"],
)
def test_design_4_a_no_is_taken_in_every_state_and_stands(address, in_state, before, say_no, word):
	"""T6, T8: whatever is on record, nobody who says no hears an error, and nobody else may undo it."""
	email = address()
	in_state(email, before)
	say_no(email)
	assert reason(email) in word
	for basis in ("Consent", "Existing Customer"):
		with pytest.raises(StandingRefusal):
			give(email, legal_basis=basis)
	was = stored()
	say_no(email)
	assert stored() == was, "saying it twice adds nothing"


def test_t3_a_refusal_outlives_the_record_it_was_written_in(address):
	email = address()
	name = register.refuse(email=email)["name"]
	register.invalidate(name, "Wrong form")
	assert reason(email) == "WITHDRAWN"
	with pytest.raises(StandingRefusal):
		give(email)


def test_t4_a_claim_without_proof_allows_nothing(address):
	email = address()
	first = register.record_unproven(email=email, source="Import")
	assert (first["status"], first["evidence_grade"], reason(email)) == ("Unknown", "D", "NO_EVIDENCE")
	assert register.record_unproven(email=email, source="Import")["name"] == first["name"]


def test_t13_a_claim_that_is_proven_becomes_a_consent_on_the_same_record(address):
	email = address()
	name = register.record_unproven(email=email)["name"]
	assert give(email) == name
	assert kinds(name) == ["Import", "Give"]
	assert reason(email) == "VALID_CONSENT"


def test_t13_an_old_proof_for_a_claim_ends_when_it_would_have_ended(address, clock):
	email = address()
	name = register.record_unproven(email=email)["name"]
	clock.forward(days=1)
	give(email, given_on="2020-01-01")
	assert reason(email) == "EXPIRED"
	withdraw(email)
	assert status(name) == "Expired"
	assert reason(email) == "WITHDRAWN"


def test_t10_a_renewal_supersedes_in_one_step(address, clock):
	email = address()
	old = give(email)
	clock.forward(days=10)
	new = give(email, evidence="Said so again.")
	assert (status(old), status(new)) == ("Superseded", "Given")
	assert frappe.db.get_value("Consent", old, ["superseded_by", "ended_on"]) == (new, clock.now)
	assert frappe.db.get_value("Consent", new, "supersedes") == old
	assert (kinds(old), kinds(new)) == (["Give", "Supersede"], ["Give"])


def test_t10_the_same_facts_again_change_nothing(address, clock):
	email = address()
	facts = {"given_on": "2026-02-01T10:00:00Z", "expires_on": "2027-02-01"}
	name = give(email, **facts)
	was = stored()
	clock.forward(days=1)
	assert give(email, **facts) == name
	assert stored() == was
	assert give(email, **facts | {"expires_on": "2026-12-01"}) != name


def test_t10_a_renewal_by_staff_keeps_what_the_person_confirmed(address, clock):
	"""The objection that they lifted themselves doesn't come back to life."""
	email = address()
	api.object_to_marketing(email=email)
	clock.forward(days=1)
	confirm(*request(email, by_the_person=True))
	clock.forward(days=1)
	give(email)
	assert reason(email) == "VALID_CONSENT"


def test_t10_a_renewal_cant_be_older_than_what_it_renews(address, clock):
	email = address()
	give(email)
	was = stored()
	with pytest.raises(TransitionNotAllowed, match="2026-02-01"):
		give(email, given_on="2026-02-01")
	assert stored() == was


@pytest.mark.parametrize("basis", ["Existing Customer", "Legitimate Interests"])
def test_st_07_no_other_basis_takes_the_place_of_a_consent(address, clock, customers_allowed, basis):
	email = address()
	name = give(email)
	was = stored()
	clock.forward(days=1)
	with pytest.raises(TransitionNotAllowed, match=basis):
		if basis == "Existing Customer":
			give_to_customer(email)
		else:
			give(email, legal_basis=basis)
	assert (status(name), stored()) == ("Given", was)


def test_st_07_an_existing_customer_is_not_one_after_their_consent_expired(address, clock, customers_allowed):
	email = address()
	give(email, expires_on="2026-03-02")
	clock.forward(days=5)
	give_to_customer(email)
	assert reason(email) == "EXPIRED"


def test_a_consent_that_is_over_when_it_is_recorded_says_so(address, clock):
	email = address()
	receipt = api.record_consent(email=email, given_on="2020-01-01", **PROOF)
	assert receipt["status"] == "Expired"
	assert reason(email) == "EXPIRED"


# --- evidence -----------------------------------------------------------------------------------------------


@pytest.fixture
def proof(site) -> str:
	"""An attached file, as its URL."""
	content = f"I agree. {frappe.generate_hash()}"
	return frappe.new_doc("File", file_name="proof.txt", content=content, is_private=1).insert().file_url


def test_ca_05_evidence_is_graded(address, proof):
	def grade(name: str) -> str:
		return frappe.db.get_value("Consent", name, "evidence_grade")

	(requested,) = request(address(), by_the_person=True)
	confirm(requested)
	assert grade(requested) == "A"
	assert grade(give(address(), evidence=proof)) == "C"
	assert grade(give(address(), evidence="Told Jo at the fair.")) == "D"
	assert grade(register.record_unproven(email=address())["name"]) == "D"


def test_ca_06_what_was_shown_is_kept_and_frozen(address, topic):
	wording = frappe.new_doc(
		"Consent Wording", purpose=MARKETING, topic=topic, language="en", text="Yes, write to me about it."
	).insert()
	email = address()
	give(email)
	name = give(email, topic, wording=wording.name)
	event = frappe.get_doc("Consent Event", f"{name}-1")
	assert (event.wording, event.wording_hash) == (wording.name, wording.text_hash)
	assert frappe.db.get_value("Consent", name, "language") == "en"
	wording.reload()
	wording.text = "Yes, write to me about everything."
	with pytest.raises(ConsentError, match="stays as it is"):
		wording.save()


def test_ca_20_staff_record_what_the_person_indicated(address, user_with_roles):
	user = user_with_roles("Consent User")
	name = give(address())
	assert frappe.db.get_value("Consent", name, "recorded_by") == user
	event = frappe.get_doc("Consent Event", f"{name}-1")
	assert (event.indicated_by, event.actor) == ("Data Subject", user)


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.fixture
def other_topic(site) -> str:
	purpose = frappe.get_doc("Processing Purpose", MARKETING)
	other = frappe.copy_doc(purpose)
	other.title = "Another Marketing"
	other.insert()
	return frappe.new_doc("Subscription Topic", title="Its Topic", purpose=other.name).insert().name


@pytest.fixture
def disabled(site) -> dict[str, str]:
	names = {}
	for doctype, values in {
		"Processing Purpose": {
			"default_legal_basis": "Consent",
			"allowed_legal_bases": [{"legal_basis": "Consent"}],
			"is_marketing": 1,
		},
		"Subscription Topic": {"purpose": MARKETING},
		"Consent Source": {},
	}.items():
		names[doctype] = (
			frappe.get_doc(doctype=doctype, title=f"Old {doctype}", enabled=0, **values).insert().name
		)
	return names


@pytest.mark.parametrize(
	("facts", "error", "named"),
	[
		({"email": None}, InvalidEmailAddress, ["E-mail address"]),
		({"email": ""}, InvalidEmailAddress, ["E-mail address"]),
		({"email": "jo@x"}, InvalidEmailAddress, ["E-mail address", "jo@x"]),
		({"email": "jo@x.pl, ann@x.pl"}, InvalidEmailAddress, ["E-mail address", "ann@x.pl"]),
		({"email": "jo\r\n@x.pl"}, InvalidEmailAddress, ["E-mail address", "control characters"]),
		({"purpose": "Spam"}, UnknownReference, ["Purpose", "Spam"]),
		({"purpose": "Old Processing Purpose"}, UnknownReference, ["Purpose", "Old Processing", "disabled"]),
		({"topic": "Spam"}, UnknownReference, ["Topic", "Spam"]),
		({"topic": "Old Subscription Topic"}, UnknownReference, ["Topic", "Old Subscription", "disabled"]),
		({"topic": "Its Topic"}, UnknownReference, ["Topic", "Its Topic", "Another Marketing", MARKETING]),
		({"source": "Rumour"}, UnknownReference, ["Source", "Rumour"]),
		({"source": "Old Consent Source"}, UnknownReference, ["Source", "Old Consent Source", "disabled"]),
		({"legal_basis": "Hope"}, UnknownReference, ["Legal Basis", "Hope"]),
		({"legal_basis": "Contract"}, LegalBasisNotAllowed, ["Legal Basis", "Contract", MARKETING]),
		({"channel": "Fax"}, UnknownReference, ["Channel", "Fax"]),
		({"wording": "Blah 1"}, UnknownReference, ["Wording", "Blah 1"]),
		({"language": "klingon"}, UnknownReference, ["Language", "klingon"]),
		({"given_on": "2100-01-01"}, InvalidPeriod, ["Given On", "2100-01-01", "future"]),
		({"given_on": "next week"}, InvalidPeriod, ["Given On", "next week"]),
		({"given_on": "0001-01-01T00:00:00+14:00"}, InvalidPeriod, ["Given On", "0001-01-01"]),
		({"expires_on": "soon"}, InvalidPeriod, ["Expires On", "soon"]),
		({"given_on": "2026-02-01", "expires_on": "2026-01-01"}, InvalidPeriod, ["Expires On", "2026-01-01"]),
		({"given_on": "2026-02-01", "expires_on": "2026-02-01"}, InvalidPeriod, ["Expires On", "2026-02-01"]),
		({"source": None}, EvidenceMissing, ["Source"]),
		({"evidence": None}, EvidenceMissing, ["Evidence"]),
		({"evidence": "  "}, EvidenceMissing, ["Evidence"]),
		({"evidence": "/files/nowhere.pdf"}, EvidenceMissing, ["Evidence", "/files/nowhere.pdf"]),
		({"party_type": "User", "party": "Administrator"}, UnknownReference, ["Party Type", "User"]),
		({"party": "Jo"}, UnknownReference, ["Party Type"]),
		({"party_type": "Contact", "party": "No Such Jo"}, UnknownReference, ["Contact", "No Such Jo"]),
		({"party_type": "Contact"}, UnknownReference, ["Contact"]),
		({"evidence": "<script>"} | {"purpose": "<b>Spam"}, UnknownReference, ["&lt;b&gt;Spam"]),
	],
	ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)
def test_bad_input_is_named_and_nothing_is_stored(address, other_topic, disabled, facts, error, named):
	was = stored()
	with pytest.raises(error) as refused:
		api.record_consent(**{"email": address()} | PROOF | facts)
	assert type(refused.value) is error
	for text in named:
		assert text in str(refused.value)
	assert stored() == was


@pytest.mark.parametrize(
	("act", "error", "named"),
	[
		(lambda _to: api.request_consent("jo@x"), InvalidEmailAddress, "jo@x"),
		(lambda to: api.request_consent(to, topics=["Spam"]), UnknownReference, "Spam"),
		(lambda to: api.request_consent(to, topics="[oops"), UnknownReference, "oops"),
		(lambda to: api.request_consent(to, source="Rumour"), UnknownReference, "Rumour"),
		(lambda to: api.request_consent(to, language="klingon"), UnknownReference, "klingon"),
		(
			lambda to: api.request_consent(to, "Contract Fulfilment"),
			LegalBasisNotAllowed,
			"Contract Fulfilment",
		),
		(lambda _to: api.withdraw_consent(), InvalidEmailAddress, "Email or Party is missing"),
		(lambda _to: api.withdraw_consent(email="jo@x"), InvalidEmailAddress, "jo@x"),
		(lambda to: api.withdraw_consent(email=to, purpose="Spam"), UnknownReference, "Spam"),
		(lambda to: api.withdraw_consent(email=to, topic="Its Topic"), UnknownReference, "Another Marketing"),
		(lambda to: api.withdraw_consent(email=to, source="Rumour"), UnknownReference, "Rumour"),
		(lambda _to: api.object_to_marketing(email="jo@x"), InvalidEmailAddress, "jo@x"),
		(lambda _to: api.object_to_marketing(party_type="Lead", party="Nobody"), UnknownReference, "Nobody"),
		(lambda _to: api.revoke_consent("none-such", "Why"), UnknownReference, "none-such"),
		(lambda to: api.revoke_consent(give(to), " "), EvidenceMissing, "Reason"),
		(lambda _to: api.invalidate_consent("none-such", "Why"), UnknownReference, "none-such"),
		(lambda to: api.invalidate_consent(give(to), ""), EvidenceMissing, "Reason"),
		(lambda to: api.invalidate_consent(give(to), "Why", "2100-01-01"), InvalidPeriod, "2100-01-01"),
		(lambda to: api.invalidate_consent(give(to), "Why", "2000-01-01"), InvalidPeriod, "2000-01-01"),
		(lambda _to: api.check_consent(["a@x.pl"], purpose="Spam"), UnknownReference, "Spam"),
		(lambda _to: api.check_consent(["a@x.pl"], topic="Spam"), UnknownReference, "Spam"),
		(lambda _to: api.check_consent(["a@x.pl"], channel="Fax"), UnknownReference, "Fax"),
		(lambda _to: api.check_consent(["a@x.pl"], at="then"), InvalidPeriod, "then"),
		(lambda _to: api.check_consent([5]), UnknownReference, "list of texts"),
		(lambda _to: api.consent_history(), InvalidEmailAddress, "Email or Party is missing"),
		(lambda _to: api.confirm_consent("forged"), LinkNotValid, "link"),
		(lambda _to: api.rebuild("none-such"), UnknownReference, "none-such"),
	],
)
def test_every_door_names_what_is_wrong_and_stores_nothing(address, other_topic, act, error, named):
	email = address()
	was = stored()
	frappe.db.savepoint("untouched")
	with pytest.raises(error, match=named.replace("[", "\\[")):
		act(email)
	if not frappe.db.exists("Consent", {"address_key": address_key(email)}):
		assert stored() == was
	else:
		assert [name for name in frappe.get_all("Consent", {"address_key": address_key(email)}, pluck="name")]
		assert reason(email) == "VALID_CONSENT"


def test_a_name_in_another_letter_case_is_the_same_name(address, topic):
	"""The database's collation finds it; one scope mustn't become two."""
	email = address()
	give(email, purpose=MARKETING.upper())
	name = give(email, topic.upper(), source="PHONE")
	assert frappe.db.get_value("Consent", name, ["purpose", "topic", "source"]) == (MARKETING, topic, "Phone")
	assert reason(email, topic.lower()) == "VALID_CONSENT"
	give(email, topic)
	assert status(name) == "Superseded"
	withdraw(email, topic.upper())
	assert reason(email, topic) == "WITHDRAWN"


def test_the_longest_address_can_be_recorded_and_withdrawn(address):
	email = f"{frappe.generate_hash(length=60)}@{'.'.join(['b' * 46] * 4)}.x"
	frappe.db.get_value("Consent", give(f"A rather long display name <{email}>"), "email")
	withdraw(email)
	assert reason(email) == "WITHDRAWN"


def test_an_old_date_is_kept_exactly(address):
	name = give(address(), given_on="0800-12-25", expires_on="2100-01-01")
	assert frappe.db.get_value("Consent", name, "given_on") == datetime(800, 12, 25)
	assert register.rebuild(name)["changed"] == {}


# --- noes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["Administrator", "Privacy Officer", "System Manager", "Consent User"])
@pytest.mark.parametrize(
	"say_no",
	[lambda email: withdraw(email), lambda email: api.object_to_marketing(email=email)],
	ids=["withdrawal", "objection"],
)
def test_st_08_no_role_lifts_a_no(address, user_with_roles, role, say_no):
	email = address()
	give(email)
	say_no(email)
	if role != "Administrator":
		user_with_roles(role)
	was = stored()
	for attempt in (
		lambda: give(email),
		lambda: api.request_consent(email),
		lambda: give(email, given_on="2020-01-01", expires_on="2100-01-01"),
	):
		with pytest.raises(StandingRefusal, match=f"{MARKETING}.*(Withdrawn|Objected)"):
			attempt()
	assert stored() == was


def test_st_08_not_even_by_invalidating_the_withdrawn_consent(address):
	email = address()
	name = give(email)
	withdraw(email)
	register.invalidate(name, "Entered twice")
	with pytest.raises(StandingRefusal):
		give(email)


def test_st_08_a_person_who_objected_isnt_signed_up_with_another_address(address, contact):
	objected, other = address(), address()
	person = contact(objected)
	api.object_to_marketing(email=objected)
	was = stored()
	for attempt in (
		lambda: give(other, party_type="Contact", party=person.name),
		lambda: register.request(email=other, party_type="Contact", party=person.name),
	):
		with pytest.raises(StandingRefusal):
			attempt()
	assert stored() == was


def test_withdrawing_twice_ends_nothing_more(address):
	email = address()
	name = give(email)
	assert withdraw(email) == [name]
	was = stored()
	assert withdraw(email) == []
	assert stored() == was


def test_withdrawing_what_was_never_given_is_remembered(address):
	email = address()
	assert withdraw(email) == []
	with pytest.raises(StandingRefusal):
		give(email)


def test_withdrawing_a_topic_leaves_the_others(address, topic):
	other = frappe.new_doc("Subscription Topic", title="Other Topic", purpose=MARKETING).insert().name
	email = address()
	names = [give(email, one) for one in (None, topic, other)]
	assert withdraw(email, topic) == [names[1]]
	assert (reason(email), reason(email, topic), reason(email, other)) == (
		"VALID_CONSENT",
		"WITHDRAWN",
		"VALID_CONSENT",
	)


def test_withdrawing_a_purpose_ends_its_topics_on_every_channel(address, topic):
	email = address()
	names = [give(email), give(email, topic), give(email, channel="Post")]
	assert sorted(withdraw(email)) == sorted(names)
	assert reason(email, topic) == reason(email, channel="Post") == "WITHDRAWN"


@pytest.mark.parametrize("doctype", ["Processing Purpose", "Subscription Topic"])
def test_design_4_what_is_disabled_can_still_be_withdrawn(address, topic, doctype):
	email = address()
	give(email)
	name = give(email, topic)
	frappe.get_doc(doctype, MARKETING if doctype == "Processing Purpose" else topic).update(
		{"enabled": 0}
	).save()
	assert name in withdraw(email, topic)


def test_st_05_an_objection_ends_all_marketing_on_every_channel_and_nothing_else(address, topic, other_topic):
	email = address()
	other = frappe.db.get_value("Subscription Topic", other_topic, "purpose")
	marketing = [
		give(email),
		give(email, topic),
		give(email, channel="Post"),
		give(email, purpose=other),
		give(email, other_topic, purpose=other),
	]
	sales = give(email, purpose="Sales", legal_basis="Contract")
	assert sorted(api.object_to_marketing(email=email)["withdrawn"]) == sorted(marketing)
	for channel in ("Email", "SMS", "Phone", "Post"):
		assert reason(email, channel=channel) == reason(email, purpose=other, channel=channel) == "OBJECTED"
	assert (status(sales), reason(email, purpose="Sales")) == ("Not Required", "NOT_MARKETING")


def test_st_05_what_isnt_marketing_can_still_be_recorded_after_an_objection(address):
	email = address()
	api.object_to_marketing(email=email)
	give(email, purpose="Sales")
	assert request(email, purpose="Sales") == []


@pytest.mark.parametrize("kind", [RefusalKind.BOUNCE, RefusalKind.RESTRICTION])
def test_what_isnt_the_persons_word_ends_no_consent(address, kind):
	email = address()
	name = give(email)
	register.say_no([register.No(kind, register.Scope("", ""), email)], register.Act("System"))
	assert status(name) == "Given"
	assert reason(email) in ("SUPPRESSED", "RESTRICTED")


# --- request and confirm ------------------------------------------------------------------------------------


def test_a_request_allows_nothing_until_it_is_confirmed(address, clock, topic):
	email = address()
	names = request(email, topic, by_the_person=True)
	assert reason(email, topic) == "REQUESTED"
	clock.forward(hours=1)
	assert sorted(confirm(*names)) == sorted(names)
	assert reason(email) == reason(email, topic) == "VALID_CONSENT"
	row = frappe.get_doc("Consent", names[0])
	assert (row.given_on, row.confirmed_on, row.evidence_grade) == (clock.now, clock.now, "A")
	assert row.expires_on == datetime(2028, 3, 1, 10)


def test_a_link_that_was_used_changes_nothing_the_second_time(address):
	names = request(address(), by_the_person=True)
	confirm(*names)
	was = stored()
	assert confirm(*names) == names
	assert stored() == was


def test_ca_10_a_request_lapses_at_the_very_instant(address, clock):
	email = address()
	names = request(email, by_the_person=True)
	hours = frappe.db.get_single_value("Consent Settings", "confirmation_hours")
	clock.forward(hours=hours, microseconds=-1)
	assert reason(email) == "REQUESTED"
	clock.forward(microseconds=1)
	assert reason(email) == "LAPSED"
	assert confirm(*names) == []
	assert status(names[0]) == "Lapsed"
	(again,) = request(email)
	assert again not in names


@pytest.mark.parametrize("say_no", [withdraw, lambda email: api.object_to_marketing(email=email)])
def test_st_14_a_link_made_before_a_no_confirms_nothing(address, clock, say_no):
	email = address()
	names, made = request(email, by_the_person=True), clock.now
	clock.forward(minutes=1)
	say_no(email)
	clock.forward(minutes=1)
	again = request(email, by_the_person=True)
	assert register.confirm([*names, *again], made) == []
	assert register.confirm(again, clock.now)
	assert reason(email) == "VALID_CONSENT"


def test_st_14_nor_does_a_link_made_at_the_same_instant(address, clock):
	email = address()
	api.object_to_marketing(email=email)
	names = request(email, by_the_person=True)
	assert register.confirm(names, clock.now) == []


def test_an_old_no_that_arrives_late_doesnt_break_the_persons_new_request(address, clock, contact):
	"""The no of another address of theirs is carried over while the confirmation is under way."""
	email, other = address(), address()
	api.object_to_marketing(email=other)
	clock.forward(days=1)
	names = request(email, by_the_person=True)
	contact(email, other)
	assert reason(email) == "OBJECTED"
	clock.forward(minutes=1)
	assert confirm(*names) == names
	assert (reason(email), reason(other)) == ("VALID_CONSENT", "OBJECTED")


def test_tk_02_a_confirmation_link_opens_nothing_else_and_names_no_address(address):
	email = address()
	url = links.confirmation_url(request(email))
	token = url.split("t=")[1]
	assert email not in url
	assert links.read_confirmation(token)[0]
	for forged in (token[:-2], token + "x", links.sign("unsubscribe", ["x", "y"]), "", "a.b.c"):
		with pytest.raises(LinkNotValid):
			links.read_confirmation(forged)


def test_t5_a_guest_confirms_with_the_link_alone(address):
	email = address()
	names = request(email, by_the_person=True)
	token = links.confirmation_url(names).split("t=")[1]
	frappe.set_user("Guest")
	assert api.confirm_consent(token) == {"confirmed": 1}
	frappe.set_user("Administrator")
	assert reason(email) == "VALID_CONSENT"


# --- time ---------------------------------------------------------------------------------------------------


def test_st_03_a_consent_expires_by_the_clock_alone(address, clock):
	email = address()
	name = give(email, expires_on=clock.now + timedelta(days=1))
	clock.forward(days=1, microseconds=-1)
	assert reason(email) == "VALID_CONSENT"
	clock.forward(microseconds=1)
	assert reason(email) == "EXPIRED"
	assert status(name) == "Given", "the job hasn't run"


def test_st_03_the_job_writes_down_what_the_clock_ended(mailbox, clock):
	given, asked = mailbox(), mailbox()
	name = give(given, expires_on=clock.now + timedelta(days=1))
	(requested,) = request(asked)
	clock.forward(days=8)
	assert register.end_what_is_over() >= 2
	assert (status(name), status(requested)) == ("Expired", "Lapsed")
	assert frappe.db.get_value("Consent", name, "ended_on") == datetime(2026, 3, 2, 9)
	assert register.end_what_is_over() == 0


def test_t11_what_the_clock_has_ended_cant_be_revoked(address, clock):
	name = give(address(), expires_on=clock.now + timedelta(days=1))
	clock.forward(days=1)
	with pytest.raises(TransitionNotAllowed, match="Expired"):
		register.revoke(name, "No campaign")


def test_tm_05_validity_is_counted_in_months(address, clock):
	clock.at(2028, 3, 1, 9)
	name = give(address(), given_on="2028-02-29T12:00:00.000001Z")
	assert frappe.db.get_value("Consent", name, "expires_on") == datetime(2030, 2, 28, 12, 0, 0, 1)


def test_tm_02_the_hour_that_exists_twice_reverses_nothing(address, clock):
	"""Warsaw, 25 October 2026: given at 02:40, then the clocks go back, withdrawn at 02:10."""
	warsaw = ZoneInfo("Europe/Warsaw")
	given = datetime(2026, 10, 25, 2, 40, tzinfo=warsaw, fold=0)
	email = address()
	clock.at(2026, 10, 25, 1, 10)
	name = give(email, given_on=given)
	assert frappe.db.get_value("Consent", name, "given_on") == datetime(2026, 10, 25, 0, 40)
	withdraw(email)
	assert reason(email) == "WITHDRAWN"
	assert reason(email, at="2026-10-25T00:50:00Z") == "VALID_CONSENT"


def test_tm_02_a_field_of_frappe_in_that_hour_is_read_as_the_later_one(monkeypatch):
	monkeypatch.setattr("gdpr_consent.clock.get_system_timezone", lambda: "Europe/Warsaw")
	assert from_system_time("2026-10-25 02:30:00") == datetime(2026, 10, 25, 1, 30)
	assert from_system_time("2026-07-01 12:00:00") == datetime(2026, 7, 1, 10)


@pytest.mark.parametrize(
	("text", "instant"),
	[
		("2026-03-01", datetime(2026, 3, 1)),
		("2026-03-01 09:00:00", datetime(2026, 3, 1, 9)),
		("2026-03-01T09:00:00Z", datetime(2026, 3, 1, 9)),
		("2026-03-01T09:00:00.000001+02:00", datetime(2026, 3, 1, 7, 0, 0, 1)),
		(date(2026, 3, 1), datetime(2026, 3, 1)),
		(datetime(2026, 3, 1, 9), datetime(2026, 3, 1, 9)),
		("", None),
		(None, None),
	],
)
def test_tm_03_instants_are_read_and_written_in_utc(text, instant):
	assert parse_utc(text, "At") == instant
	if instant:
		assert utc_text(instant).endswith("Z")
		assert parse_utc(utc_text(instant), "At") == instant


def test_st_10_what_was_valid_at_another_instant(address, clock, topic):
	email = address()
	clock.at(2026, 3, 1)
	give(email)
	give(email, topic)
	clock.at(2026, 4, 1)
	withdraw(email)
	clock.at(2026, 6, 1)
	for about in (None, topic):
		assert reason(email, about, at="2026-02-28T23:59:59.999999Z") == "NO_CONSENT"
		assert reason(email, about, at="2026-03-01") == "VALID_CONSENT"
		assert reason(email, about, at="2026-03-31T23:59:59.999999Z") == "VALID_CONSENT"
		assert reason(email, about, at="2026-04-01") == "WITHDRAWN"
		assert reason(email, about) == "WITHDRAWN"


def test_st_10_what_was_known_then(address, clock):
	"""Given on 1 March by phone, entered on 10 March."""
	email = address()
	clock.at(2026, 3, 10)
	give(email, given_on="2026-03-01")
	clock.at(2026, 6, 1)
	assert reason(email, at="2026-03-05") == "VALID_CONSENT"
	assert reason(email, at="2026-03-05", known_at="2026-03-09") == "NO_CONSENT"
	assert reason(email, at="2026-03-05", known_at="2026-03-10") == "VALID_CONSENT"
	assert reason(email, known_at="2026-03-09") == "NO_CONSENT"


def test_st_10_an_objection_known_later(address, clock):
	email = address()
	clock.at(2026, 3, 1)
	give(email)
	clock.at(2026, 5, 1)
	no = register.No(RefusalKind.OBJECTION, register.Scope("", ""), email, said_on=datetime(2026, 4, 1))
	register.say_no([no], register.Act())
	assert reason(email, at="2026-04-15") == "OBJECTED"
	assert reason(email, at="2026-04-15", known_at="2026-04-15") == "VALID_CONSENT"
	assert reason(email, at="2026-03-15") == "VALID_CONSENT"


@pytest.mark.parametrize("effective_from", [None, "2026-03-10"])
def test_st_11_an_invalidation_holds_for_the_past(address, clock, effective_from):
	email = address()
	clock.at(2026, 3, 1)
	name = give(email)
	clock.at(2026, 4, 1)
	api.invalidate_consent(name, "Pre-ticked box", effective_from)
	clock.at(2026, 5, 1)
	assert reason(email) == "INVALIDATED"
	assert reason(email, at="2026-03-15") == "INVALIDATED"
	assert reason(email, at="2026-03-15", known_at="2026-03-15") == "VALID_CONSENT"
	assert reason(email, at="2026-03-05") == ("VALID_CONSENT" if effective_from else "INVALIDATED")
	assert reason(email, at="2026-02-01") == "NO_CONSENT"


def test_st_10_the_past_can_be_asked_about_after_an_erasure(address, clock):
	"""The payload is gone: the answer is a no, not an error."""
	email, no = address(), address()
	name = give(email)
	give(no)
	api.object_to_marketing(email=no)
	erase_payloads(name, *frappe.get_all("Suppression", {"address_key": address_key(no)}, pluck="name"))
	assert reason(email, at=clock.now) == "NO_EVIDENCE"
	assert reason(no, at=clock.now) == "OBJECTED"


# --- answers ------------------------------------------------------------------------------------------------


def test_each_address_asked_about_gets_an_answer(address):
	yes, no = address(), address()
	give(yes)
	asked = [yes, yes.upper(), f"Jo <{yes}>", no, "no address", "", yes]
	answers = api.check_consent(asked)
	assert list(answers) == list(dict.fromkeys(asked))
	assert {text: answer["allowed"] for text, answer in answers.items()} == {
		text: yes in text.lower() for text in asked
	}
	assert api.check_consent(json.dumps(asked)) == answers
	assert api.check_consent([]) == {}


def test_em_23_consent_for_mail_is_none_for_the_phone(address):
	email = address()
	give(email)
	assert reason(email, channel="Phone") == "NO_CONSENT"


def test_scripts_can_ask_and_insist(address, topic):
	email = address()
	assert api.has_consent(email) is False
	with pytest.raises(ConsentMissing, match="No consent"):
		api.require_consent(email)
	give(email)
	assert api.has_consent(email) is True
	assert api.require_consent(email) is None
	with pytest.raises(ConsentMissing, match=f"{topic}.*Another topic"):
		api.require_consent(email, topic=topic)


def test_the_history_of_a_person_is_complete_and_newest_first(address, clock, contact):
	email = address()
	person = contact(email)
	give(email, party_type="Contact", party=person.name)
	clock.forward(days=1)
	api.withdraw_consent(email=email, source="Phone", reason="Too many mails")
	by_email, by_party = (
		api.consent_history(email=email.upper()),
		api.consent_history(party_type="Contact", party=person.name),
	)
	assert by_email == by_party
	assert [row["kind"] for row in by_email] == ["Withdraw", "Suppress", "Give"]
	assert by_email[0]["reason"] == "Too many mails"
	assert by_email[2]["evidence"] == PROOF["evidence"]


def test_many_addresses_are_decided_as_each_is(address, topic):
	emails = [address() for _ in range(12)]
	for number, email in enumerate(emails):
		if number % 2:
			give(email)
		if number % 3:
			give(email, topic)
		if number % 5 == 0:
			withdraw(email, topic if number else None)
	together = audience.decide_many(emails, MARKETING, topic)
	assert together == {email: audience.decide_many([email], MARKETING, topic)[email] for email in emails}
	assert len({decision.reason for decision in together.values()}) > 3


# --- proof --------------------------------------------------------------------------------------------------


def set_by_sql(doctype: str, name: str, **values) -> None:
	frappe.db.set_value(doctype, name, values, update_modified=False)


def erase_payloads(*records: str) -> None:
	for record in records:
		frappe.db.delete("Consent Event Payload", {"name": ["like", f"{record}-%"]})


@pytest.fixture
def chain(address, clock) -> str:
	"""A consent with three events."""
	email = address()
	name = register.record_unproven(email=email)["name"]
	clock.forward(days=1)
	give(email)
	clock.forward(days=1)
	withdraw(email)
	assert kinds(name) == ["Import", "Give", "Withdraw"]
	assert api.verify_ledger()["ok"]
	return name


@pytest.mark.parametrize(
	("column", "value"),
	[
		("kind", "Confirm"),
		("kind", "Nonsense"),
		("seq", 7),
		("occurred_at", "2020-01-01"),
		("occurred_at", None),
		("recorded_at", "2020-01-01"),
		("effective_from", "2020-01-01"),
		("indicated_by", "Controller"),
		("source", "Event"),
		("actor", "somebody@else.example"),
		("wording", "Another"),
		("wording_hash", "ab"),
		("commitment", "ab"),
		("prev_hash", "ab"),
		("prev_hash", None),
		("hash", "ab"),
		("consent", None),
	],
)
def test_au_02_an_event_edited_by_sql_is_found(chain, column, value):
	set_by_sql("Consent Event", f"{chain}-2", **{column: value})
	found = api.verify_ledger()
	assert not found["ok"]
	assert found["first_bad"].startswith(chain)


@pytest.mark.parametrize(
	("column", "value"),
	[
		("payload", "{}"),
		("payload", "not JSON"),
		("payload", '{"facts": 5}'),
		("salt", "ab"),
		("salt", "no hex"),
	],
)
def test_au_02_a_payload_edited_by_sql_is_found(chain, column, value):
	set_by_sql("Consent Event Payload", f"{chain}-2", **{column: value})
	found = api.verify_ledger()
	assert (found["ok"], found["first_bad"]) == (False, f"{chain}-2")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_au_02_a_deleted_event_is_found(chain, number):
	frappe.db.delete("Consent Event", {"name": f"{chain}-{number}"})
	found = api.verify_ledger()
	assert not found["ok"]
	assert found["first_bad"].startswith(chain)


def test_au_02_swapped_events_are_found(chain):
	for number, seq in ((1, 2), (2, 1)):
		set_by_sql("Consent Event", f"{chain}-{number}", seq=seq)
	assert not api.verify_ledger()["ok"]


def test_au_02_swapped_payloads_are_found(chain):
	first, second = (
		frappe.db.get_value("Consent Event Payload", f"{chain}-{number}", ["payload", "salt"])
		for number in (1, 2)
	)
	set_by_sql("Consent Event Payload", f"{chain}-1", payload=second[0], salt=second[1])
	set_by_sql("Consent Event Payload", f"{chain}-2", payload=first[0], salt=first[1])
	assert not api.verify_ledger()["ok"]


def test_au_02_an_added_event_is_found(chain):
	columns = ("consent", "kind", "occurred_at", "recorded_at", "indicated_by", "actor", "commitment", "hash")
	added = frappe.db.get_value("Consent Event", f"{chain}-3", columns, as_dict=True)
	ledger.insert("Consent Event", [added | {"name": f"{chain}-4", "seq": 4, "prev_hash": added.hash}])
	assert not api.verify_ledger()["ok"]


def test_au_02_a_deleted_record_is_found_by_its_events(chain):
	frappe.db.delete("Consent", {"name": chain})
	assert not api.verify_ledger()["ok"]


def test_au_03_erasing_the_payload_breaks_no_chain(chain):
	register.erase([frappe.db.get_value("Consent", chain, "email")], [])
	assert not frappe.db.get_value("Consent Event Payload", f"{chain}-1", "payload")
	assert api.verify_ledger()["ok"]
	assert register.rebuild(chain)["changed"] == {}


def test_au_03_the_envelope_holds_no_personal_data(chain):
	email = frappe.db.get_value("Consent", chain, "email")
	events = frappe.get_all("Consent Event", {"consent": chain}, ["*"])
	assert email not in str(events)
	assert address_key(email) not in str(events)


@pytest.mark.parametrize(
	("column", "value"),
	[
		("status", "Given"),
		("given_on", "2020-01-01"),
		("expires_on", None),
		("confirmed_on", "2026-03-01"),  # no event says anything about it
		("superseded_by", "another"),
		("email", "somebody@else.example"),
		("topic", "Another"),
		("evidence_grade", "A"),
		("reason", "None of ours"),
	],
)
def test_st_02_rebuilding_restores_a_row_edited_by_sql(chain, column, value):
	before = frappe.db.get_value("Consent", chain, "*")
	set_by_sql("Consent", chain, **{column: value})
	assert list(api.rebuild(chain)["changed"]) == [column]
	after = frappe.db.get_value("Consent", chain, "*")
	assert {**before, "modified": None} == {**after, "modified": None}
	assert api.rebuild(chain)["changed"] == {}


# --- how it is stored ---------------------------------------------------------------------------------------

ASCII_NAMES = st.text(st.characters(min_codepoint=1, max_codepoint=127))
INT_53 = st.integers(-(2**53) + 1, 2**53 - 1)  # all that RFC 8785 has
FACTS = st.dictionaries(ASCII_NAMES, st.none() | INT_53 | st.text(st.characters(exclude_categories=["Cs"])))


@given(FACTS, FACTS)
def test_au_01_what_is_hashed_is_canonical_json_of_rfc_8785(facts, nested):
	for value in (facts, nested | {"facts": facts}):
		assert ledger.canonical(value).encode() == rfc8785.dumps(value)


def test_au_01_each_character_is_hashed_as_rfc_8785_writes_it():
	everything = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF)
	assert ledger.canonical({"text": everything}).encode() == rfc8785.dumps({"text": everything})


def test_au_01_half_a_character_is_stored_by_neither(address):
	half = {"evidence": "\ud83d"}
	with pytest.raises(ValueError):
		rfc8785.dumps(half)
	email, before = address(), stored()
	with pytest.raises(ValueError):
		give(email, **half)
	assert stored() == before


ODD = "ż'\"\\ `%s` %(a)s %% ifnull(a, b) @_0 🙂\n\0\x1a"


def test_rows_are_stored_as_given_whether_they_share_a_value_or_not():
	long = "x" * 70_000  # more than a text column holds: cut off by nobody
	rows = [
		{"name": frappe.generate_hash(), "payload": payload, "salt": salt}
		for payload, salt in ((ODD, ODD), (long, ODD), (None, ODD), ("", ODD))
	]
	shared = [{"name": frappe.generate_hash(), "payload": ODD + long, "salt": None} for _number in range(3)]
	for batch in (rows, shared, rows[:1] and [rows[0] | {"name": frappe.generate_hash()}]):
		ledger.insert("Consent Event Payload", batch)
		found = frappe.get_all(
			"Consent Event Payload",
			{"name": ["in", [row["name"] for row in batch]]},
			["name", "payload", "salt", "owner", "modified_by", "creation"],
		)
		assert {row.name: (row.payload, row.salt) for row in found} == {
			row["name"]: (row["payload"], row["salt"]) for row in batch
		}
		assert {(row.owner, row.modified_by) for row in found} == {("Administrator",) * 2}
		assert all(row.creation for row in found)


def test_what_doesnt_fit_is_refused_not_cut_off(address):
	before = stored()
	with pytest.raises(frappe.db.DataError):
		ledger.insert(
			"Consent", [{"name": frappe.generate_hash(), "email": "x" * 300} for _number in range(2)]
		)
	assert stored() == before


def test_an_update_of_many_rows_leaves_everything_else_as_it_is(address, user_with_roles):
	names = [give(address()) for _number in range(3)]
	before = [frappe.db.get_value("Consent", name, "*") for name in names]
	user = user_with_roles("Privacy Officer")
	changes = [
		{
			"name": name,
			"reason": f"{ODD} {number}",
			"ended_on": datetime(2026, 3, 1, 9, 0, number, 5),
			"topic": "?",
		}
		for number, name in enumerate(names[:2])
	]
	ledger.update("Consent", changes, ["reason", "ended_on"])
	after = [frappe.db.get_value("Consent", name, "*") for name in names]
	assert after[2] == before[2]
	for old, new, change in zip(before, after, changes, strict=False):
		assert new == old | {
			"reason": change["reason"],
			"ended_on": change["ended_on"],
			"modified_by": user,
			"modified": new["modified"],
		}
		assert new["modified"] > old["modified"]


# --- nobody else writes -------------------------------------------------------------------------------------


@pytest.fixture
def one_of_each(address) -> dict[str, str]:
	email = address()
	consent = give(email)
	withdraw(email)
	decision = frappe.generate_hash()
	ledger.insert("Consent Decision", [{"name": decision, "allowed": 0, "reason": "WITHDRAWN"}])
	seal = frappe.generate_hash()
	ledger.insert("Ledger Seal", [{"name": seal, "number": 10**9}])
	change = frappe.generate_hash()
	ledger.insert("Consent Policy Change", [{"name": change, "number": 10**9}])
	return {
		"Ledger Seal": seal,
		"Consent Policy Change": change,
		"Consent": consent,
		"Consent Event": f"{consent}-1",
		"Consent Event Payload": f"{consent}-1",
		"Suppression": frappe.db.get_value("Suppression", {"address_key": address_key(email)}),
		"Consent Decision": decision,
		"Consent Lock": "000",
	}


FIELD = {
	"Ledger Seal": ("root", "ab"),
	"Consent Policy Change": ("says", "{}"),
	"Consent": ("status", "Given"),
	"Consent Event": ("kind", "Confirm"),
	"Consent Event Payload": ("payload", "{}"),
	"Suppression": ("lifted_on", "2026-01-01"),
	"Consent Decision": ("allowed", 1),
	"Consent Lock": ("version", 7),
}


def edited(doctype: str, name: str, **flags):
	doc = frappe.get_doc(doctype, name)
	doc.set(*FIELD[doctype])
	doc.flags.update(flags)
	return doc


def copied(doctype: str, name: str):
	doc = frappe.copy_doc(frappe.get_doc(doctype, name))
	doc.name = frappe.generate_hash()
	return doc


WRITES = {
	"save": lambda doctype, name: edited(doctype, name).save(),
	"save under flags": lambda doctype, name: edited(
		doctype, name, ignore_permissions=True, ignore_validate=True, in_migrate=True
	).save(),
	"insert": lambda doctype, name: copied(doctype, name).insert(ignore_permissions=True),
	"insert under flags": lambda doctype, name: copied(doctype, name).db_insert(),
	"db_set": lambda doctype, name: frappe.get_doc(doctype, name).db_set(*FIELD[doctype]),
	"db_update": lambda doctype, name: edited(doctype, name).db_update(),
	"delete": lambda doctype, name: frappe.get_doc(doctype, name).delete(),
	"delete_doc": lambda doctype, name: frappe.delete_doc(doctype, name, force=True, ignore_permissions=True),
	"delete_doc past on_trash": lambda doctype, name: frappe.delete_doc(
		doctype, name, force=True, ignore_on_trash=True
	),
	"delete_doc as for a reload": lambda doctype, name: frappe.delete_doc(doctype, name, for_reload=True),
	"rename": lambda doctype, name: frappe.rename_doc(doctype, name, "renamed", force=True),
	"client.set_value": lambda doctype, name: client.set_value(doctype, name, *FIELD[doctype]),
	"client.insert": lambda doctype, name: client.insert(copied(doctype, name).as_dict()),
	"client.save": lambda doctype, name: client.save(edited(doctype, name).as_dict()),
	"client.delete": lambda doctype, name: client.delete(doctype, name),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("doctype", FIELD)
def test_au_01_nobody_writes_past_the_register(one_of_each, doctype, write):
	name = one_of_each[doctype]
	before, number = frappe.get_all(doctype, {"name": name}, ["*"]), frappe.db.count(doctype)
	frappe.db.savepoint("untouched")
	with pytest.raises((RegisterIsAppendOnly, frappe.PermissionError)) as refused:
		WRITES[write](doctype, name)
	if write not in ("client.insert", "client.save", "rename"):
		assert isinstance(refused.value, RegisterIsAppendOnly | frappe.PermissionError)
	frappe.db.rollback(save_point="untouched")
	assert frappe.get_all(doctype, {"name": name}, ["*"]) == before
	assert frappe.db.count(doctype) == number


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
@pytest.mark.parametrize("doctype", FIELD)
def test_au_01_nor_over_rest(one_of_each, monkeypatch, doctype, method):
	name = one_of_each[doctype]
	values = dict([FIELD[doctype]]) | {"name": name if method == "PUT" else frappe.generate_hash()}
	request = EnvironBuilder(method=method, json=values).get_request()
	monkeypatch.setattr(frappe.local, "request", request, raising=False)
	monkeypatch.setattr(frappe.local, "form_dict", frappe._dict(values))
	act = {
		"PUT": lambda: v1.update_doc(doctype, name),
		"POST": lambda: v1.create_doc(doctype),
		"DELETE": lambda: v1.delete_doc(doctype, name),
	}[method]
	with pytest.raises((RegisterIsAppendOnly, frappe.PermissionError)):
		act()


# --- who may ------------------------------------------------------------------------------------------------

RECORD, REQUEST, WITHDRAW, OBJECT = (
	"record_consent",
	"request_consent",
	"withdraw_consent",
	"object_to_marketing",
)
DOORS: dict[str, Callable[[str, str], object]] = {
	RECORD: lambda email, _given: api.record_consent(email=email, **PROOF),
	REQUEST: lambda email, _given: api.request_consent(email),
	WITHDRAW: lambda email, _given: api.withdraw_consent(email=email),
	OBJECT: lambda email, _given: api.object_to_marketing(email=email),
	"revoke_consent": lambda _email, given: api.revoke_consent(given, "Why"),
	"report_returned_mail": lambda _email, _given: api.report_returned_mail("Subject: Hello\n\n"),
	"lift_bounce": lambda email, _given: api.lift_bounce(email, "It works."),
	"restrict": lambda email, _given: api.restrict(email=email, reason="Why"),
	"lift_restriction": lambda email, _given: api.lift_restriction(
		email=email, reason="Why", informed_on=frappe.utils.today()
	),
	"send_preference_link": lambda _email, given: api.send_preference_link(
		frappe.db.get_value("Consent", given, "email")
	),
	"invalidate_consent": lambda _email, given: api.invalidate_consent(given, "Why"),
	"check_consent": lambda email, _given: api.check_consent([email]),
	"has_consent": lambda email, _given: api.has_consent(email),
	"require_consent": lambda _email, given: api.require_consent(
		frappe.db.get_value("Consent", given, "email")
	),
	"consent_history": lambda email, _given: api.consent_history(email=email),
	"mail_decisions": lambda email, _given: api.mail_decisions(email=email),
	"download_record": lambda _email, given: api.download_record(given, "JSON-LD"),
	"download_history": lambda email, _given: api.download_history(email=email, file_format="JSON-LD"),
	"record_gaps": lambda _email, given: api.record_gaps(given),
	"rebuild": lambda _email, given: api.rebuild(given),
	"verify_ledger": lambda _email, _given: api.verify_ledger(),
}
READS = {"check_consent", "has_consent", "require_consent"}
FILES = {"download_record", "download_history", "record_gaps"}
STAFF = {
	*READS,
	*FILES,
	RECORD,
	REQUEST,
	WITHDRAW,
	OBJECT,
	"revoke_consent",
	"report_returned_mail",
	"lift_bounce",
	"restrict",
	"send_preference_link",
	"consent_history",
	"mail_decisions",
}
MAY = {
	"Privacy Officer": set(DOORS),
	"System Manager": set(DOORS) - {"invalidate_consent", "lift_restriction"},
	"Consent User": STAFF,
	"Newsletter Manager": READS | FILES | {"consent_history", "mail_decisions"},
	"Sales User": set(),
	"Guest": set(),
}


def test_every_door_is_in_the_table_of_rights():
	doors = {
		name
		for name, function in vars(api).items()
		if callable(function)
		and getattr(function, "__module__", "") == api.__name__
		and not name.startswith("_")
	}
	# `check_party` has its test in test_desk.py, re-consent in test_proof.py, the panel in test_panel.py.
	elsewhere = {"history", "confirm_consent", "check_party", "reconsent_overview", "start_reconsent"}
	elsewhere |= {"privacy_panel", "was_mailable"}  # the latter in test_time_travel.py
	elsewhere |= {"says_why", "check_subject", "find_party"}
	assert doors - elsewhere == set(DOORS)


@pytest.mark.usefixtures("smtp", "fresh_counters")
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("role", MAY)
def test_wb_07_who_may_pass_each_door(address, user_with_roles, role, door):
	email, given = address(), give(address())
	if role == "Guest":
		frappe.set_user("Guest")
	else:
		user_with_roles(role)
	was = stored()
	if door in MAY[role]:
		DOORS[door](email, given)
	else:
		with pytest.raises(frappe.PermissionError):
			DOORS[door](email, given)
		assert stored() == was


@pytest.fixture
def stranger(address, contact, user_with_roles):
	"""A person whom a Consent User, who is logged in now, may not see: somebody else is all they may."""
	email = address()
	hidden, visible = contact(email), contact(address())
	given = give(email)
	frappe.set_user("Administrator")
	user = user_with_roles("Consent User", "Sales User")
	frappe.set_user("Administrator")
	frappe.new_doc("User Permission", user=user, allow="Contact", for_value=visible.name).insert()
	frappe.set_user(user)
	assert not frappe.has_permission("Contact", "read", hidden.name)
	assert frappe.has_permission("Contact", "read", visible.name)
	return frappe._dict(email=email, given=given, hidden=hidden.name, visible=visible.name)


@pytest.mark.parametrize(
	"act",
	[
		lambda who: api.record_consent(email=who.email, **PROOF),
		lambda who: api.record_consent(party_type="Contact", party=who.hidden, **PROOF),
		lambda who: api.record_consent(email=who.email, party_type="Contact", party=who.visible, **PROOF),
		lambda who: api.request_consent(who.email),
		lambda who: api.withdraw_consent(email=who.email.upper()),
		lambda who: api.withdraw_consent(party_type="Contact", party=who.hidden),
		lambda who: api.withdraw_consent(email=who.email, party_type="Contact", party=who.visible),
		lambda who: api.object_to_marketing(email=f"Jo <{who.email}>"),
		lambda who: api.object_to_marketing(email=who.email, party_type="Contact", party=who.visible),
		lambda who: api.revoke_consent(who.given, "Why"),
		lambda who: api.consent_history(email=who.email),
		lambda who: api.consent_history(email=who.email, party_type="Contact", party=who.visible),
		lambda who: api.consent_history(party_type="Contact", party=who.hidden),
		lambda who: api.restrict(email=who.email, reason="Why"),
		lambda who: api.restrict(email=who.email, party_type="Contact", party=who.visible, reason="Why"),
		lambda who: api.restrict(party_type="Contact", party=who.hidden, reason="Why"),
		lambda who: api.send_preference_link(who.email),
		lambda who: api.privacy_panel("Contact", who.hidden),
		lambda who: api.mail_decisions(email=who.email),
		lambda who: api.mail_decisions(email=who.email, party_type="Contact", party=who.visible),
		lambda who: api.mail_decisions(party_type="Contact", party=who.hidden),
	],
)
def test_wb_07_who_may_not_see_a_person_acts_for_them_by_no_door(stranger, act):
	was = stored()
	with pytest.raises(frappe.PermissionError):
		act(stranger)
	assert stored() == was


def test_wb_07_who_may_see_a_person_acts_for_them(stranger):
	(email,) = frappe.get_all(
		"Contact Email", {"parent": stranger.visible}, pluck="email_id", parent_doctype="Contact"
	)
	party = {"party_type": "Contact", "party": stranger.visible}
	name = api.record_consent(**party, **PROOF)["name"]
	assert api.withdraw_consent(email=email, **party)["withdrawn"] == [name]
	assert api.consent_history(**party)


def test_wb_07_a_party_that_a_user_may_not_read_at_all(address, lead, user_with_roles):
	someone = lead(address())
	user_with_roles("Consent User")
	with pytest.raises(frappe.PermissionError):
		api.record_consent(party_type="Lead", party=someone.name, **PROOF)
	with pytest.raises(frappe.PermissionError):
		api.withdraw_consent(email=someone.email_id)


def test_au_07_an_error_while_writing_leaves_nothing_though_the_caller_goes_on(address, monkeypatch):
	before = frappe.db.count("Consent Event")
	with monkeypatch.context() as broken:
		insert = ledger.insert

		def fail_late(doctype: str, *args, **more) -> None:
			if doctype == "Consent":
				raise frappe.db.OperationalError(1205, "Lock wait timeout exceeded")
			insert(doctype, *args, **more)

		broken.setattr(ledger, "insert", fail_late)
		with pytest.raises(frappe.db.OperationalError):
			give(address())
	assert frappe.db.count("Consent Event") == before
	assert api.verify_ledger()["ok"]
