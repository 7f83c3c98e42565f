"""RE-01, DS-23: proofs and requests are kept as long as claims are possible, and no longer."""

from collections.abc import Iterator
from datetime import date, datetime

import pytest
from conftest import BulkUpdates, Clock, give
from test_legal_hold import hold

import frappe
from frappe.utils import add_days, getdate

from gdpr_consent import api, ledger, register
from gdpr_consent.exceptions import StandingRefusal
from gdpr_consent.identity import address_key
from gdpr_consent.rights import requests, storage_limits
from gdpr_consent.rights.requests import Status

TODAY = date(2026, 11, 28)  # with 72 months, what ended in 2019 or before isn't kept


@pytest.fixture
def document(site: str) -> Iterator[str]:
	"""A document that is the proof of one consent."""
	name = f"proof-{frappe.generate_hash(length=8)}.txt"
	url = frappe.new_doc("File", file_name=name, content=name, is_private=1).insert().file_url
	frappe.db.commit()
	yield url
	frappe.db.rollback()
	frappe.db.set_value("Consent", {"evidence": url}, "evidence", None)  # past the register
	for file in frappe.get_all("File", {"file_url": url}, pluck="name"):
		frappe.delete_doc("File", file, force=True)
	frappe.db.commit()


@pytest.fixture
def ended(clock: Clock, mailbox, document):
	"""Make a committed consent with a proof, which the person has withdrawn."""

	def make(*instant: int, **more) -> tuple[str, str]:
		email = more.pop("email", None) or mailbox()
		clock.at(*instant)
		clock.forward(days=-20)
		name = api.record_consent(email=email, source="Phone", evidence=document, **more)["name"]
		clock.forward(days=20)
		api.withdraw_consent(email=email, reason="Too many mails to me")
		clock.at(2026, 11, 28)
		frappe.db.commit()
		return name, email

	return make


def row(name: str) -> frappe._dict:
	frappe.db.rollback()
	return frappe.db.get_value("Consent", name, "*", as_dict=True)


def payloads(name: str) -> list[str | None]:
	return frappe.get_all(
		"Consent Event Payload", {"name": ["like", f"{name}-%"]}, pluck="payload", order_by="name"
	)


@pytest.mark.parametrize(
	("ended_on", "is_kept"),
	[((2019, 12, 31, 23, 59), False), ((2020, 1, 1), True), ((2020, 11, 28), True), ((2026, 1, 1), True)],
)
def test_re_01_a_proof_is_kept_to_the_end_of_the_year_in_which_its_months_are_over(ended, ended_on, is_kept):
	name, _email = ended(*ended_on)
	storage_limits.erase_outdated(TODAY)
	found = row(name)
	assert bool(found.email) == bool(found.evidence) == bool(found.reason) == is_kept
	assert all(payloads(name)[:2]) == is_kept


@pytest.mark.parametrize(
	("country", "channel", "ended_on", "is_kept"),
	[
		("Germany", "Phone", (2021, 1, 1), True),
		("Germany", "Phone", (2020, 12, 31), False),
		("Germany", "SMS", (2021, 1, 1), False),
		("Poland", "Phone", (2021, 1, 1), False),
	],
)
def test_na_06_the_proof_of_consent_to_calls_is_kept_five_years(
	ended, mailbox, phone_number, country, channel, ended_on, is_kept
):
	"""§ 7a(2) UWG, whatever Consent Settings say."""
	frappe.db.set_single_value("Consent Settings", "evidence_retention_months", 12)
	name, _number = ended(*ended_on, email=mailbox(phone_number()), channel=channel)
	frappe.db.set_value("Consent", name, "country", country)  # past the register: nobody's record names one
	frappe.db.commit()
	try:
		storage_limits.erase_outdated(TODAY)
	finally:
		frappe.db.set_single_value("Consent Settings", "evidence_retention_months", 72)
		frappe.db.commit()
	assert bool(row(name).evidence) == is_kept


def test_re_01_what_was_and_what_is_stays_provable(ended, document):
	name, email = ended(2018, 5, 1)
	assert storage_limits.erase_outdated(TODAY)["consents"] == 1
	assert payloads(name)[:2] == [None, None]
	found = row(name)
	assert (found.status, found.ended_on, found.address_key) == (
		"Withdrawn",
		datetime(2018, 5, 1),
		address_key(email),
	)
	assert ledger.verify()["problem"] is None
	assert api.check_consent([email])[email]["reason"] == "WITHDRAWN"
	assert api.check_consent([email], at="2018-04-20")[email]["reason"] == "NO_EVIDENCE"
	assert not frappe.db.exists("File", {"file_url": document})
	events = frappe.db.count("Consent Event", {"consent": name})
	assert storage_limits.erase_outdated(TODAY)["consents"] == 0, "once is enough"
	assert frappe.db.count("Consent Event", {"consent": name}) == events


def test_re_01_what_an_erasure_has_kept_for_claims_goes_in_time(ended):
	name, email = ended(2018, 5, 1)
	register.erase([email], [], keep_evidence=True)
	frappe.db.commit()
	assert all(payloads(name)[:2]) and row(name).email is None
	assert storage_limits.erase_outdated(TODAY)["consents"] == 1
	assert payloads(name)[:2] == [None, None]
	assert storage_limits.erase_outdated(TODAY)["consents"] == 0
	assert ledger.verify()["problem"] is None


def test_re_01_one_that_cant_be_erased_is_logged_and_stops_nothing(ended, monkeypatch):
	def fail(_consents):
		raise frappe.ValidationError

	name, email = ended(2018, 5, 1)
	with monkeypatch.context() as broken:
		broken.setattr(register, "erase_ended", fail)
		assert storage_limits.erase_outdated(TODAY)["consents"] == 0
	assert row(name).email == email
	assert frappe.db.count("Error Log", {"method": ["like", "%proof of ended consents%"]})


def test_re_01_a_document_that_another_consent_names_stays(ended, document, clock, mailbox):
	name, _email = ended(2018, 5, 1)
	api.record_consent(email=mailbox(), source="Phone", evidence=document)
	frappe.db.commit()
	storage_limits.erase_outdated(TODAY)
	assert not row(name).evidence
	assert frappe.db.exists("File", {"file_url": document})


def test_re_01_what_is_live_is_never_touched(clock, mailbox, document):
	clock.at(2012, 3, 1)
	name = api.record_consent(email=(email := mailbox()), source="Phone", evidence=document)["name"]
	frappe.db.commit()
	storage_limits.erase_outdated(TODAY)
	assert (row(name).email, row(name).evidence) == (email, document)
	assert register.erase_ended([name]) == []


def test_re_01_with_0_months_it_is_kept_for_ever(ended):
	name, email = ended(2013, 5, 1)
	before = frappe.db.get_single_value("Consent Settings", "evidence_retention_months")
	frappe.db.set_single_value("Consent Settings", "evidence_retention_months", 0)
	frappe.db.commit()
	try:
		storage_limits.erase_outdated(TODAY)
	finally:
		frappe.db.set_single_value("Consent Settings", "evidence_retention_months", before)
		frappe.db.commit()
	assert row(name).email == email


@pytest.mark.parametrize("why", ["hold", "hold on the party", "restriction", "request"])
def test_re_03_a_proof_that_is_needed_longer_stays(ended, bulk: BulkUpdates, why):
	contact = bulk.contact(email := bulk.mailbox())
	party = {"party_type": "Contact", "party": contact} if why == "hold on the party" else {}
	name, _email = ended(2018, 5, 1, email=email, **party)
	made = []
	match why:
		case "restriction":
			register.restrict([email], reason="She asked for it.")
		case "request":
			made.append(
				("Data Subject Request", requests.open_request("Access", email=email, channel="Letter").name)
			)
		case _:
			made.append(("Legal Hold", hold("Contact", contact).name))
	frappe.db.commit()
	try:
		storage_limits.erase_outdated(TODAY)
		assert row(name).email == email
	finally:
		for doctype, other in made:
			frappe.db.delete(doctype, {"name": other})
		frappe.db.commit()
	if why != "restriction":
		storage_limits.erase_outdated(TODAY)
		assert row(name).email is None


def test_re_02_a_no_goes_on_counting_for_all_addresses_of_the_person(ended, bulk: BulkUpdates):
	contact = bulk.contact(first := bulk.mailbox(), second := bulk.mailbox())
	ended(2018, 5, 1, email=first, party_type="Contact", party=contact)
	storage_limits.erase_outdated(TODAY)
	with pytest.raises(StandingRefusal):
		give(second, party_type="Contact", party=contact)


# --- requests to confirm that nobody has answered -----------------------------------------------------------


@pytest.fixture
def lapsed(clock: Clock, mailbox, committed_topic):
	"""Make committed requests of people who never confirmed; they were over on 4 March 2026."""

	def make(email: str | None = None, **more) -> tuple[list[str], str]:
		email = email or mailbox()
		clock.at(2026, 3, 1, 9)
		said = {"source": "Web Form", "declarations": {committed_topic: f"News for {email}, please"}}
		rows = register.request(email=email, topics=[committed_topic], by_the_person=True, **said | more)
		frappe.db.commit()
		clock.at(2026, 3, 4, 10)
		register.end_what_is_over()
		return [row["name"] for row in rows], email

	return make


@pytest.fixture
def lapsed_days(site: str) -> Iterator:
	def set_days(days: int) -> None:
		frappe.db.set_single_value("Consent Settings", "lapsed_retention_days", days)
		frappe.db.commit()

	before = frappe.db.get_single_value("Consent Settings", "lapsed_retention_days")
	yield set_days
	frappe.db.rollback()
	set_days(before)


def says_nothing(name: str, email: str) -> bool:
	found = row(name)
	events = frappe.get_all("Consent Event", {"consent": name}, ["*"])
	return not (found.email or found.evidence) and email not in str([found, events, payloads(name)])


def test_ca_12_a_site_has_30_days_unless_it_says_otherwise(site):
	assert frappe.db.get_single_value("Consent Settings", "lapsed_retention_days") == 30


@pytest.mark.parametrize(
	("days", "today", "is_kept"),
	[
		(30, (2026, 4, 3), True),
		(30, (2026, 4, 4), False),
		(1, (2026, 3, 6), False),
		(0, (2030, 1, 1), True),
	],
)
def test_ca_12_an_address_that_was_never_confirmed_is_gone_after_so_many_days(
	lapsed, lapsed_days, days, today, is_kept
):
	names, email = lapsed()
	lapsed_days(days)
	storage_limits.erase_outdated(date(*today))
	assert [says_nothing(name, email) for name in names] == [not is_kept] * 2
	assert {(row(name).status, row(name).address_key) for name in names} == {("Lapsed", address_key(email))}


def test_ca_12_the_chain_holds_and_the_person_may_sign_up_again(lapsed, clock, committed_topic):
	names, email = lapsed()
	count = frappe.db.count("Consent", {"status": "Lapsed"})
	assert storage_limits.erase_outdated(TODAY)["lapsed"] >= 2
	assert storage_limits.erase_outdated(TODAY)["lapsed"] == 0, "once is enough"
	assert frappe.db.count("Consent", {"status": "Lapsed"}) == count
	assert ledger.verify()["problem"] is None
	assert register.rebuild(names[0])["changed"] == {}
	assert api.check_consent([email])[email]["reason"] == "LAPSED"
	clock.at(2026, 11, 28, 9)
	rows = register.request(email=email, topics=[committed_topic], by_the_person=True)
	assert len(rows) == 2 and not {one["name"] for one in rows} & {*names}
	made = clock.now
	clock.forward(hours=1)
	register.confirm([one["name"] for one in rows], made)
	assert api.check_consent([email], topic=committed_topic)[email]["reason"] == "VALID_CONSENT"


def test_ca_12_nobody_is_alerted_of_what_happens_every_night(lapsed, ended, bulk: BulkUpdates):
	officer = {"for_user": bulk.user("Privacy Officer")}
	lapsed()
	storage_limits.erase_outdated(date(2026, 4, 4))
	assert frappe.db.count("Notification Log", officer) == 0
	ended(2018, 5, 1)
	storage_limits.erase_outdated(date(2026, 4, 4))
	assert frappe.db.count("Notification Log", officer) == 1


def test_ca_12_an_interrupted_night_is_taken_up_in_the_next(lapsed, monkeypatch):
	made = [lapsed() for _number in range(2)]
	erase, done = register.erase_ended, []

	def stops_after_one(consents):
		if done:
			raise KeyboardInterrupt
		done.append(erase(consents))
		return done[-1]

	with monkeypatch.context() as broken:
		broken.setattr(storage_limits, "AT_ONCE", 1)
		broken.setattr(register, "erase_ended", stops_after_one)
		with pytest.raises(KeyboardInterrupt):
			storage_limits.erase_outdated(TODAY)
	said = [says_nothing(name, email) for names, email in made for name in names]
	assert said.count(True) == 1
	storage_limits.erase_outdated(TODAY)
	assert all(says_nothing(name, email) for names, email in made for name in names)


@pytest.mark.parametrize("why", ["hold", "restriction", "request"])
def test_re_03_a_request_to_confirm_that_is_needed_longer_stays(lapsed, bulk: BulkUpdates, why):
	contact = bulk.contact(email := bulk.mailbox())
	names, _email = lapsed(email)
	made = []
	match why:
		case "hold":
			made.append(("Legal Hold", hold("Contact", contact).name))
		case "restriction":
			register.restrict([email], reason="She asked for it.")
		case _:
			made.append(
				("Data Subject Request", requests.open_request("Access", email=email, channel="Letter").name)
			)
	frappe.db.commit()
	try:
		storage_limits.erase_outdated(TODAY)
		assert [row(name).email for name in names] == [email] * 2
	finally:
		for doctype, other in made:
			frappe.db.delete(doctype, {"name": other})
		frappe.db.commit()


def test_ca_12_what_waits_for_an_answer_or_was_confirmed_is_left_alone(
	lapsed, clock, mailbox, committed_topic
):
	clock.at(2026, 3, 1, 9)
	confirmed, waiting = mailbox(), mailbox()
	rows = register.request(email=confirmed, by_the_person=True)
	clock.forward(hours=1)
	register.confirm([one["name"] for one in rows], clock.now)
	clock.at(2026, 4, 4)
	register.request(email=waiting, by_the_person=True)
	frappe.db.commit()
	storage_limits.erase_outdated(date(2026, 4, 4))
	assert {
		one.email for one in frappe.get_all("Consent", {"email": ["in", [confirmed, waiting]]}, ["email"])
	} == {
		confirmed,
		waiting,
	}


# --- requests -----------------------------------------------------------------------------------------------


@pytest.fixture
def closed(mailbox) -> Iterator:
	made: list[str] = []

	def make(days_over: int, **more) -> str:
		email = mailbox()
		values = {"email": email, "requester_name": "Jo Example", "channel": "Letter"}
		name = requests.open_request("Access", **values).name
		made.append(name)
		columns = {"status": Status.FULFILLED.value, "retention_until": add_days(getdate(), -days_over)}
		frappe.db.set_value("Data Subject Request", name, columns | more)
		frappe.db.commit()
		return name

	yield make
	frappe.db.rollback()
	frappe.db.delete("Data Subject Request", {"name": ["in", made or [""]]})
	frappe.db.delete("Data Subject Request Record", {"parent": ["in", made or [""]]})
	frappe.db.commit()


@pytest.mark.parametrize("days_over, is_kept", [(-1, True), (0, True), (1, False)])
def test_ds_23_whom_a_closed_request_was_about_is_forgotten_in_time(closed, days_over, is_kept):
	name = closed(days_over)
	storage_limits.erase_outdated(getdate())
	frappe.db.rollback()
	doc = frappe.get_doc("Data Subject Request", name)
	assert bool(doc.email) == bool(doc.requester_name) == is_kept
	assert doc.address_key and doc.status == "Fulfilled" and doc.right == "Access"


@pytest.mark.parametrize("more", [{"status": "In Progress"}, {"restricted_on": "2020-03-01"}])
def test_ds_23_a_request_that_isnt_over_is_kept(closed, more):
	name = closed(1, **more)
	storage_limits.erase_outdated(getdate())
	assert frappe.db.get_value("Data Subject Request", name, "requester_name") == "Jo Example"


# --- noes that are kept -------------------------------------------------------------------------------------


@pytest.fixture
def old_refusal(clock, mailbox) -> Iterator[str]:
	"""A no from long before anybody's, and an officer to ask about it."""
	clock.at(2001, 5, 1)
	api.object_to_marketing(email=mailbox())
	name = frappe.get_all("Suppression", order_by="said_on", pluck="name", limit=1)[0]
	officer = frappe.new_doc(
		"User", email=f"{name[:8]}@gdpr-test.example", first_name="Officer", send_welcome_email=0
	)
	officer.append_roles("Privacy Officer")
	officer.insert()
	yield name
	frappe.db.set_single_value(
		"Consent Settings", {"refusal_review_months": 60, "refusals_reviewed_on": None}
	)


def review(**settings) -> None:
	frappe.db.set_single_value("Consent Settings", settings)
	frappe.clear_document_cache("Consent Settings", "Consent Settings")


def test_re_02_officers_are_asked_to_look_at_old_noes_once_a_month(old_refusal):
	review(refusal_review_months=60, refusals_reviewed_on=None)
	assert storage_limits.remind_of_refusals(TODAY)
	assert frappe.db.exists(
		"Notification Log", {"document_name": old_refusal, "subject": ["like", "%60 months%"]}
	)
	assert not storage_limits.remind_of_refusals(TODAY)
	assert storage_limits.remind_of_refusals(add_days(getdate(), 31))


@pytest.mark.parametrize(
	("settings", "asked"),
	[
		({"refusal_review_months": 0}, False),
		({"refusals_reviewed_on": date(2021, 11, 28)}, True),
		({"refusals_reviewed_on": date(2021, 11, 29)}, False),
	],
)
def test_re_02_not_where_somebody_has_looked_or_nobody_has_to(old_refusal, settings, asked):
	review(**{"refusal_review_months": 60, "refusals_reviewed_on": None} | settings)
	assert storage_limits.remind_of_refusals(TODAY) == asked
