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
