"""Scores about people: which there are, and that a human looks at them anew (Art. 22; DS-22)."""

import pytest
from test_access import a_request, remove_request

import frappe

from gdpr_consent.exceptions import RequestNotPossible, ReviewNotPossible
from gdpr_consent.identity import Person
from gdpr_consent.rights import api, automated_decisions, information, requests, restriction, subject, traces

FIELD = "gdpr_test_score"
REVIEW = "Automated Decision Review"


@pytest.fixture(scope="module")
def scored(site):
	"""Give Lead a field that holds a score."""
	frappe.set_user("Administrator")
	field = {
		"dt": "Lead",
		"fieldname": FIELD,
		"label": "Buying Score",
		"fieldtype": "Int",
		"insert_after": "status",
	}
	made = frappe.get_doc(doctype="Custom Field", **field).insert()
	frappe.db.commit()
	yield FIELD
	frappe.set_user("Administrator")
	frappe.db.rollback()
	made.delete()
	frappe.db.commit()
	frappe.clear_cache(doctype="Lead")


@pytest.fixture
def decision(scored, bulk):
	reviewer = bulk.user("Sales User")
	made = frappe.new_doc(
		"Automated Decision",
		title=f"Score {frappe.generate_hash(length=8)}",
		ref_doctype="Lead",
		fieldname=FIELD,
		logic="Points for each mail that was opened.",
		significance="Whoever has many points is called first.",
		reviewer=reviewer,
	).insert()
	frappe.db.commit()
	yield made
	frappe.set_user("Administrator")
	frappe.db.rollback()
	frappe.db.delete("ToDo", {"reference_type": REVIEW})
	frappe.db.delete("Automated Decision", {"name": made.name})
	frappe.db.commit()


@pytest.fixture
def asked(decision, bulk):
	"""Return a lead with a score, and the request of the person for a human to look at it."""
	email = bulk.mailbox()
	lead = bulk.lead(email, **{FIELD: 42})
	name = a_request("Human Review", email, message="I opened nothing.")
	yield lead, name
	remove_request(name)


def test_a_score_that_nobody_describes_is_found(scored, site):
	found = automated_decisions.undescribed()
	assert {"doctype": "Lead", "fieldname": FIELD, "label": "Buying Score"} in found


def test_one_that_is_described_isnt(decision):
	assert not [one for one in automated_decisions.undescribed() if one["fieldname"] == FIELD]


def test_only_a_field_that_there_is_can_be_described(decision):
	decision.fieldname = "no_such_field"
	with pytest.raises(ReviewNotPossible, match="no_such_field"):
		decision.save()


def test_people_are_told_of_it(decision):
	"""Art. 13(2)(f), 15(1)(h), C-203/22: existence, logic, consequences."""
	(told,) = [
		one for one in information.processing(None)["automated_decisions"] if one["title"] == decision.title
	]
	assert told["logic"].startswith("Points for") and told["significance"].startswith("Whoever")


def test_from_request_to_answer(asked, decision, smtp, user_with_roles):
	"""DS-22: the score is ignored, a human is given the task, and the person learns result and reasons."""
	lead, request = asked
	assert not automated_decisions.may_use("Lead", lead, FIELD)  # from the request on
	(review,) = api.open_reviews(request)
	assert api.open_reviews(request) == [review]
	doc = frappe.get_doc(REVIEW, review)
	assert (doc.value, doc.ref_name, doc.point_of_view) == ("42", lead, "I opened nothing.")
	assert frappe.db.exists(
		"ToDo", {"reference_name": review, "allocated_to": decision.reviewer, "status": "Open"}
	)
	with pytest.raises(ReviewNotPossible, match="1"):
		api.answer_human_review(request)
	frappe.set_user(decision.reviewer)
	for result, reasons in (("Perhaps", "Because."), ("Confirmed", " ")):
		with pytest.raises(ReviewNotPossible):
			api.finish_review(review, result, reasons)
	api.finish_review(review, "Corrected", "Those were opened by a scanner.")
	frappe.set_user("Administrator")
	assert not frappe.db.exists("ToDo", {"reference_name": review, "status": "Open"})
	api.answer_human_review(request)
	doc = frappe.get_doc("Data Subject Request", request)
	assert doc.status == "Fulfilled" and "opened by a scanner" in doc.answer
	mail = frappe.get_last_doc("Email Queue", {"reference_name": request})
	assert "scanner" in mail.message
	assert automated_decisions.may_use("Lead", lead, FIELD)


def test_what_isnt_to_be_used_again_isnt(asked, decision):
	lead, request = asked
	(review,) = api.open_reviews(request)
	api.finish_review(review, "Not Used Again", "It says nothing about this person.")
	api.answer_human_review(request)
	assert not automated_decisions.may_use("Lead", lead, FIELD)
	assert automated_decisions.may_use("Lead", lead, "status")


def test_what_the_person_contests_somebody_else_looks_at(asked, decision, bulk):
	"""Art. 22(3)"""
	lead, request = asked
	(review,) = api.open_reviews(request)
	with pytest.raises(ReviewNotPossible):
		api.contest_review(review, "No.")
	frappe.set_user(decision.reviewer)
	api.finish_review(review, "Confirmed", "It is right.")
	with pytest.raises(frappe.PermissionError):
		api.contest_review(review, "No.")
	frappe.set_user("Administrator")
	api.contest_review(review, "It isn't.")
	assert not automated_decisions.may_use("Lead", lead, FIELD)
	frappe.set_user(decision.reviewer)
	with pytest.raises(frappe.PermissionError):
		api.finish_review(review, "Confirmed", "It is right, I said.")
	frappe.set_user("Administrator")
	api.finish_review(review, "Corrected", "The person is right.")


def test_strangers_review_nothing(asked, user_with_roles):
	_lead, request = asked
	(review,) = api.open_reviews(request)
	user_with_roles("Sales Manager")
	with pytest.raises(frappe.PermissionError):
		api.finish_review(review, "Confirmed", "I say so.")
	with pytest.raises(frappe.PermissionError):
		api.open_reviews(request)


def test_an_objection_stops_a_score_until_it_is_answered(scored, bulk):
	"""DS-22: objection → score ignored."""
	email = bulk.mailbox()
	lead = bulk.lead(email)
	assert automated_decisions.may_use("Lead", lead, FIELD)
	doc = requests.open_request("Objection", email=email, channel="Phone", objects_to="Other Processing")
	try:
		assert not automated_decisions.may_use("Lead", lead, FIELD)
		opportunity = bulk.opportunity("Lead", lead)
		assert not automated_decisions.may_use("Opportunity", opportunity, "probability")
	finally:
		remove_request(doc.name)
	assert automated_decisions.may_use("Lead", lead, FIELD)


def test_ds_20_what_is_restricted_is_scored_by_nobody(bulk):
	"""Also once the request is closed: the restriction lasts."""
	lead = bulk.lead(bulk.mailbox())
	opportunity = bulk.opportunity("Lead", lead)
	frappe.db.set_value("Lead", lead, restriction.FIELD, 1)
	assert not automated_decisions.may_use("Lead", lead, FIELD)
	assert not automated_decisions.may_use("Opportunity", opportunity, "probability")
	frappe.db.set_value("Lead", lead, restriction.FIELD, 0)
	assert automated_decisions.may_use("Opportunity", opportunity, "probability")


def test_a_request_for_something_else_opens_no_review(bulk):
	name = a_request("Access", bulk.mailbox())
	try:
		with pytest.raises(ReviewNotPossible, match="Access"):
			api.open_reviews(name)
		requests.close_fulfilled(name, None)
		with pytest.raises(RequestNotPossible):
			api.open_reviews(name)
	finally:
		remove_request(name)


def test_the_value_is_found_where_the_map_finds_the_person(scored, bulk):
	lead = bulk.lead(bulk.mailbox(), **{FIELD: 7})
	about = subject.of_people([Person("Lead", lead)])
	traces.locate(about)
	assert automated_decisions._values("Lead", FIELD, about) == [(lead, 7)]
