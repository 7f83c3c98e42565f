"""Requests of people: deadlines, states, intake and life (Art. 12 GDPR, DS-01 to DS-09)."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import frappe
from frappe.utils import getdate

from gdpr_consent.exceptions import (
	InvalidEmailAddress,
	InvalidPeriod,
	RequestIncomplete,
	RequestIsKept,
	RequestNotPossible,
	UnknownReference,
)
from gdpr_consent.rights import deadlines, requests
from gdpr_consent.rights.requests import CLOSED, TRANSITIONS, Identity, Right, Status

DOCTYPE = requests.DOCTYPE


# --- deadlines ----------------------------------------------------------------------------------------------

VECTORS = [  # requirements §11; Polish holidays, with 24 December
	("2026-01-31", "2026-02-28", "2026-03-02", "2026-04-30"),
	("2026-03-05", "2026-04-05", "2026-04-07", "2026-06-05"),
	("2026-04-01", "2026-05-01", "2026-05-04", "2026-07-01"),
	("2026-08-31", "2026-09-30", "2026-09-30", "2026-11-30"),
	("2026-11-24", "2026-12-24", "2026-12-28", "2027-02-24"),
	("2028-01-30", "2028-02-29", "2028-02-29", "2028-05-02"),
]


@pytest.mark.parametrize(("received", "raw", "due", "longest"), VECTORS)
def test_ds_03_the_vectors_of_regulation_1182_71(received, raw, due, longest):
	day = date.fromisoformat
	assert deadlines.deadline(day(received), "PL") == (day(raw), day(due))
	assert deadlines.deadline(day(received), "PL", deadlines.EXTENDED_MONTHS).due == day(longest)


def test_ds_03_a_part_of_a_country_has_holidays_of_its_own():
	received = date(2025, 12, 6)  # a month later is Epiphany: a holiday in Bavaria, not in Berlin
	assert deadlines.deadline(received, "DE-BE").due == date(2026, 1, 6)
	assert deadlines.deadline(received, "DE-BY").due == date(2026, 1, 7)
	assert deadlines.deadline(received, "DE").due == date(2026, 1, 6)


def test_ds_03_without_a_calendar_only_weekends_count():
	assert deadlines.deadline(date(2026, 4, 1), None).due == date(2026, 5, 1)
	assert deadlines.deadline(date(2026, 1, 31), None).due == date(2026, 3, 2)


def test_ds_04_the_pause_moves_the_day_before_weekends_and_holidays_do():
	assert deadlines.deadline(date(2026, 3, 2), "PL", paused_days=3) == (date(2026, 4, 5), date(2026, 4, 7))


@pytest.mark.parametrize("calendar", ["XX", "DE-ZZ", "-", "PLX"])
def test_nobody_knows_the_holidays_of_what_is_no_country(calendar):
	with pytest.raises(ValueError):
		deadlines.deadline(date(2026, 3, 2), calendar)


@given(
	st.dates(date(2020, 1, 1), date(2040, 12, 31)),
	st.sampled_from(["PL", "DE", "DE-BY", "FR", None]),
	st.integers(0, 60),
)
def test_ds_03_a_deadline_is_a_working_day_that_is_never_early(received, calendar, paused):
	found = deadlines.deadline(received, calendar, paused_days=paused)
	assert found.due >= found.raw > received
	assert deadlines.next_working_day(found.due, calendar) == found.due
	assert all(
		deadlines.next_working_day(date.fromordinal(day), calendar) == found.due
		for day in range(found.raw.toordinal(), found.due.toordinal())
	)
	assert found.due <= deadlines.deadline(received, calendar, deadlines.EXTENDED_MONTHS, paused).due


# --- one request --------------------------------------------------------------------------------------------


@pytest.fixture
def ask(site, address):
	"""Open a request of a person whom nobody knows, unless something else is said."""

	def make(right: str = "Access", **more):
		return requests.open_request(right, **{"email": address(), "channel": "E-mail"} | more)

	return make


def test_ds_01_a_request_needs_no_form_and_starts_the_clock_at_receipt(ask):
	company = frappe.get_all("Company", {"country": "Poland"}, pluck="name")
	request = ask(received_on="2026-01-31", company=company[0] if company else None)
	assert request.status == "Received" and request.identity == "Open"
	assert getdate(request.due_raw) == date(2026, 2, 28)
	assert getdate(request.due_on) == date(2026, 3, 2)


def test_ds_03_the_rule_of_the_country_names_the_calendar(ask, monkeypatch):
	company = frappe.get_doc("Company", frappe.get_all("Company", pluck="name")[0])
	frappe.db.set_value("Company", company.name, "country", "Germany")
	frappe.clear_document_cache("Company", company.name)
	try:
		assert requests.calendar_of(company.name) == "DE"
		frappe.db.set_value("Consent Country Rule", "Germany", "holidays", "DE-BY")
		assert requests.calendar_of(company.name) == "DE-BY"
		assert getdate(ask(received_on="2025-12-06", company=company.name).due_on) == date(2026, 1, 7)
	finally:
		frappe.db.rollback()
		frappe.clear_document_cache("Company", company.name)


@pytest.mark.parametrize("right", ["Objection", "Withdrawal", "Information"])
def test_ds_08_a_no_needs_no_proof_of_identity(ask, right):
	assert ask(right, objects_to="Marketing").identity == "Not Needed"


@pytest.mark.parametrize(
	("values", "error", "says"),
	[
		({"right": "Everything"}, UnknownReference, "Everything"),
		({"email": "nobody"}, InvalidEmailAddress, "nobody"),
		({"email": None}, RequestIncomplete, "E-mail Address"),
		({"received_on": "2999-01-01"}, InvalidPeriod, "2999-01-01"),
		({"received_on": "soon"}, InvalidPeriod, "soon"),
		({"right": "Objection"}, RequestIncomplete, "Other Processing"),
	],
)
def test_bad_input_names_the_field_and_stores_nothing(ask, values, error, says):
	before = frappe.db.count(DOCTYPE)
	with pytest.raises(error, match=says):
		ask(values.pop("right", "Access"), **values)
	assert frappe.db.count(DOCTYPE) == before


def test_wb_06_what_comes_with_a_new_request_beside_what_is_typed_counts_for_nothing(address):
	doc = frappe.new_doc(DOCTYPE, right="Erasure", channel="E-mail", email=address(), received_on=getdate())
	doc.update({"status": "Fulfilled", "identity": "Confirmed", "due_on": "2099-01-01", "kept_data": "{}"})
	doc.append("steps", {"ref_doctype": "Contact", "status": "Done"})
	doc.insert()
	assert (doc.status, doc.identity, doc.kept_data, doc.steps) == ("Received", "Open", None, [])
	assert getdate(doc.due_on).year < 2099


def test_ds_23_nobody_writes_renames_or_deletes_one_past_the_module(ask):
	request = ask()
	for act in (
		lambda: request.save(),
		lambda: request.db_set("status", "Fulfilled"),
		lambda: frappe.rename_doc(DOCTYPE, request.name, "DSR-X", force=True),
		lambda: frappe.delete_doc(DOCTYPE, request.name, force=True),
		lambda: frappe.delete_doc(DOCTYPE, request.name, force=True, ignore_on_trash=True),
	):
		with pytest.raises(RequestIsKept):
			act()


def test_ad_10_nobody_at_a_mailbox_that_several_people_read_is_ticked(ask, address, contact):
	alone, shared = address(), address("info+{}@people.example")
	contact(alone)
	contact(shared)
	(row,) = ask(email=alone).records
	assert (row.party_type, row.included) == ("Contact", 1)
	(row,) = ask(email=shared).records
	assert row.included == 0


# --- states -------------------------------------------------------------------------------------------------


def put(name: str, status: Status, identity: Identity = Identity.CONFIRMED) -> None:
	frappe.db.set_value(DOCTYPE, name, {"status": status.value, "identity": identity.value})


def test_the_options_are_the_constants():
	meta = frappe.get_meta(DOCTYPE)
	for field, words in (("right", Right), ("status", Status), ("identity", Identity)):
		assert meta.get_field(field).options.split("\n") == [word.value for word in words]
	assert set(requests.DPV_STATUS) == set(TRANSITIONS) == set(Status)


def test_ds_only_the_transitions_of_the_table(ask):
	name = ask().name
	for before in Status:
		for after in Status:
			put(name, before)
			if after in TRANSITIONS[before]:
				requests.move(name, after)
				assert frappe.db.get_value(DOCTYPE, name, "status") == after.value
			else:
				with pytest.raises(RequestNotPossible, match=name):
					requests.move(name, after)
				assert frappe.db.get_value(DOCTYPE, name, "status") == before.value


@pytest.mark.parametrize("known", [Identity.OPEN, Identity.FAILED])
@pytest.mark.parametrize("after", requests.FOR_THE_RIGHT_PERSON)
def test_ds_07_nothing_is_done_before_it_is_known_who_asks(ask, known, after):
	name = ask().name
	for before in Status:
		put(name, before, known)
		with pytest.raises(RequestNotPossible):
			requests.move(name, after)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(Status), max_size=12))
def test_no_way_through_the_states_leaves_what_is_closed(steps):
	name = requests.open_request("Access", requester_name="Jo", channel="Phone").name
	frappe.db.set_value(DOCTYPE, name, "identity", "Confirmed")
	shown = Status.RECEIVED
	for wanted in steps:
		try:
			requests.move(name, wanted)
		except RequestNotPossible:
			assert wanted not in TRANSITIONS[shown]
		else:
			assert shown not in CLOSED
			shown = wanted
	assert frappe.db.get_value(DOCTYPE, name, "status") == shown.value
	frappe.db.rollback()


def test_ds_23_what_is_left_of_a_person_are_right_days_outcome_and_key(ask, contact, address):
	email = address()
	contact(email)
	name = ask("Erasure", email=email, requester_name="Jo Nowak", message="Delete me, Jo Nowak").name
	put(name, Status.RUNNING)
	requests.fulfil(name, "Dear Jo Nowak, it is done.")
	key = frappe.db.get_value(DOCTYPE, name, "address_key")
	requests.forget_person(name)
	kept = frappe.get_doc(DOCTYPE, name)
	text = frappe.as_json(kept.as_dict())
	assert "Nowak" not in text and email not in text and kept.records == []
	assert (kept.right, kept.status, kept.address_key) == ("Erasure", "Fulfilled", key)
	assert kept.answered_on and kept.retention_until
