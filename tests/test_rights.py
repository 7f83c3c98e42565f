"""Every right from request to closed, on somebody who is in more than 25 DocTypes, by the doors that the desk
and scripts use."""

from collections.abc import Callable, Iterator

import pytest
from conftest import run_worker
from person_everywhere import PersonEverywhere
from test_access import remove_request

import frappe

from gdpr_consent import api
from gdpr_consent.rights import api as rights
from gdpr_consent.rights import erasure_run, package
from gdpr_consent.rights.requests import Right

DOCTYPE = "Data Subject Request"


@pytest.fixture
def asked(person) -> Iterator[Callable[..., str]]:
	"""Record a request as it comes by letter, and name it."""
	names = []

	def ask(right: Right, **more) -> str:
		named = {"party_type": "Lead", "party": person.lead.name, "requester_name": person.name}
		made = rights.record_request(right.value, email=person.email, channel="Letter", **named, **more)
		names.append(made["name"])
		frappe.db.commit()
		return names[-1]

	yield ask
	for name in names:
		remove_request(name)


def take_in_hand(request: str) -> None:
	rights.confirm_identity(request, "Call to Known Number", "Called the number on the contact")
	rights.start_request(request)


def informed(request: str, _person: PersonEverywhere) -> None:
	rights.start_request(request)
	rights.answer_information(request)


def handed_a_package(request: str, _person: PersonEverywhere) -> None:
	take_in_hand(request)
	rights.prepare_package(request)
	frappe.db.commit()
	run_worker()
	assert package.status(request)["rows"]
	rights.send_package_link(request)


def corrected(request: str, person: PersonEverywhere) -> None:
	take_in_hand(request)
	lead = {"ref_doctype": "Lead", "ref_name": person.lead.name}
	rights.propose_changes(request, [{**lead, "fieldname": "city", "new_value": "Gdynia"}])
	rights.approve_changes(request)
	assert frappe.db.get_value("Lead", person.lead.name, "city") == "Gdynia"


def erased(request: str, person: PersonEverywhere) -> None:
	take_in_hand(request)
	assert len({step["ref_doctype"] for step in rights.plan_erasure(request)}) >= 25
	frappe.db.set_value(DOCTYPE, request, "owner", "Guest")  # whoever approves it didn't record it
	rights.approve_erasure(request)
	frappe.db.commit()
	erasure_run.work(request)
	assert not frappe.db.exists("Lead", person.lead.name)
	assert api.check_consent([person.email])[person.email]["reason"] == "OBJECTED"
	assert frappe.db.count("Suppression", {"origin": request, "kind": "Erasure"})


def restricted(request: str, person: PersonEverywhere) -> None:
	take_in_hand(request)
	rights.restrict_person(request)
	assert api.check_consent([person.email])[person.email]["reason"] == "RESTRICTED"


def objected(_request: str, person: PersonEverywhere) -> None:
	for email in person.emails:
		assert api.check_consent([email])[email]["reason"] == "OBJECTED"


def reviewed(request: str, _person: PersonEverywhere) -> None:
	take_in_hand(request)
	for review in rights.open_reviews(request):
		rights.finish_review(review, "Confirmed", "Looked at by a human")
	rights.answer_human_review(request)


def withdrawn(_request: str, person: PersonEverywhere) -> None:
	assert not api.check_consent([person.email])[person.email]["allowed"]


WAYS: dict[Right, tuple[dict, Callable[[str, PersonEverywhere], None]]] = {
	Right.INFORMATION: ({}, informed),
	Right.ACCESS: ({}, handed_a_package),
	Right.RECTIFICATION: ({}, corrected),
	Right.ERASURE: ({}, erased),
	Right.RESTRICTION: ({}, restricted),
	Right.PORTABILITY: ({}, handed_a_package),
	Right.OBJECTION: ({"objects_to": "Marketing"}, objected),
	Right.HUMAN_REVIEW: ({}, reviewed),
	Right.WITHDRAWAL: ({}, withdrawn),
}


@pytest.mark.parametrize("right", Right)
def test_each_right_goes_from_request_to_closed(right, person, asked):
	more, fulfil = WAYS[right]
	request = asked(right, **more)
	fulfil(request, person)
	frappe.db.commit()
	closed = frappe.get_doc(DOCTYPE, request)
	assert closed.status == "Fulfilled"
	assert closed.answered_on and closed.answered_by and closed.retention_until and closed.address_key


def test_somebody_who_is_in_more_than_25_doctypes(person):
	assert len([doctype for doctype, names in person.documents.items() if names]) >= 25
