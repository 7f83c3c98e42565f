"""Legitimate interests need an assessment in force (LB-03), special categories a condition (LB-05)."""

import pytest
from conftest import give

import frappe
from frappe.utils import add_days, getdate, nowdate

from gdpr_consent import install, legitimate_interests
from gdpr_consent.exceptions import InvalidPeriod, LegalBasisNotAllowed
from gdpr_consent.reports import processing
from gdpr_consent.rights import information

SALES = "Sales"
BALANCING_TEST = "Balancing Test"


def assessed(**values):
	row = {
		"purpose": SALES,
		"outcome": legitimate_interests.OUTWEIGHS,
		"interest": "To answer whoever asks for an offer",
		"necessity": "Nobody can be answered without an address",
		"balancing": "Who asks expects an answer",
		"review_on": add_days(nowdate(), 365),
	}
	doc = frappe.new_doc(legitimate_interests.DOCTYPE, **row | values).insert()
	doc.submit()
	return doc


def missing_of(purpose: str) -> str:
	(row,) = [row for row in processing.execute()[1] if row["purpose"] == purpose]
	return row["missing"]


def test_lb_03_the_record_of_activities_misses_an_assessment_until_one_counts(site):
	assert BALANCING_TEST in missing_of(SALES)
	assert BALANCING_TEST not in missing_of("Email Marketing"), "it relies on consent"
	doc = assessed()
	assert BALANCING_TEST not in missing_of(SALES)
	doc.cancel()
	assert BALANCING_TEST in missing_of(SALES)


def test_lb_03_a_basis_of_ones_own_is_known_by_its_article(site, address):
	frappe.new_doc("Legal Basis", title="Prospecting", article="Art. 6(1)(f)", marketing="Never").insert()
	purpose = frappe.get_doc("Processing Purpose", "Contract Fulfilment")
	today = getdate(nowdate())
	assert purpose.name not in legitimate_interests.lacking(today)
	purpose.append("allowed_legal_bases", {"legal_basis": "Prospecting"})
	purpose.save()
	assert purpose.name in legitimate_interests.lacking(today)
	assessed(purpose=purpose.name, outcome="The people's interests outweigh")
	with pytest.raises(LegalBasisNotAllowed, match="outweigh"):
		give(address(), purpose=purpose.name, legal_basis="Prospecting")


@pytest.mark.parametrize(("days", "counts"), [(-1, True), (0, False), (1, False)])
def test_lb_03_it_counts_until_the_day_of_its_review(site, days, counts):
	doc = assessed()
	assert (SALES not in legitimate_interests.lacking(getdate(add_days(doc.review_on, days)))) == counts


def test_lb_03_a_draft_doesnt_count_and_a_later_one_takes_the_place_of_an_earlier(site):
	today = getdate(nowdate())
	draft = frappe.copy_doc(
		assessed(assessed_on=add_days(nowdate(), -400), review_on=add_days(nowdate(), -35))
	)
	draft.update({"assessed_on": nowdate(), "review_on": add_days(nowdate(), 10)})
	draft.insert()
	assert SALES in legitimate_interests.lacking(today)
	draft.submit()
	assert SALES not in legitimate_interests.lacking(today)
	assessed(outcome="The people's interests outweigh")
	assert SALES in legitimate_interests.lacking(today)


def test_lb_03_nothing_new_rests_on_an_interest_that_was_found_not_to_outweigh(address):
	given = give(address(), purpose=SALES, legal_basis="Legitimate Interests")
	assessed(outcome="The people's interests outweigh")
	with pytest.raises(LegalBasisNotAllowed, match="outweigh"):
		give(address(), purpose=SALES, legal_basis="Legitimate Interests")
	assert frappe.db.get_value("Consent", given, "status") == "Not Required", "that is for the officer"
	assert give(address(), purpose=SALES, legal_basis="Contract")
	assessed()
	assert give(address(), purpose=SALES, legal_basis="Legitimate Interests")


def test_art_14_people_are_told_the_interest(site):
	assessed()
	notice = information.notice(frappe._dict(email="a@example.com", company=None, obtained_from=""))
	(sales,) = [purpose for purpose in notice["purposes"] if purpose["name"] == SALES]
	assert ("Interest", "To answer whoever asks for an offer") in sales["facts"]
	(marketing,) = [purpose for purpose in notice["purposes"] if purpose["name"] == "Email Marketing"]
	assert "Interest" not in dict(marketing["facts"])


@pytest.mark.parametrize("late", [0, 3])
def test_privacy_officers_are_reminded_of_a_review_once(site, user_with_roles, late):
	"""Also where the scheduler stood still on the day."""
	officer = user_with_roles("Privacy Officer")
	frappe.set_user("Administrator")
	doc = assessed(assessed_on=add_days(nowdate(), -9), review_on=add_days(nowdate(), -late))
	told = {"for_user": officer, "document_name": doc.name}
	assert not legitimate_interests.remind(getdate(add_days(doc.review_on, -1)))
	assert legitimate_interests.remind(getdate()) == 1
	assert doc.name in frappe.db.get_value("Notification Log", told, "subject")
	assert not legitimate_interests.remind(getdate())
	assert frappe.db.count("Notification Log", told) == 1


def test_the_days_of_an_assessment_have_to_be_right(site):
	with pytest.raises(InvalidPeriod, match="Assessed On"):
		assessed(assessed_on=add_days(nowdate(), 1))
	with pytest.raises(InvalidPeriod, match="Review On"):
		assessed(review_on=nowdate())


@pytest.mark.parametrize(
	("role", "right", "may"),
	[
		*(("Privacy Officer", right, True) for right in ("create", "submit", "cancel")),
		("System Manager", "read", True),
		("System Manager", "write", False),
		("Consent User", "read", False),
	],
)
def test_only_a_privacy_officer_assesses(role, right, may, user_with_roles):
	user = user_with_roles(role)
	assert bool(frappe.has_permission(legitimate_interests.DOCTYPE, right, user=user)) == may


def test_lb_05_special_categories_need_a_condition_of_art_9(site):
	purpose = frappe.get_doc("Processing Purpose", SALES)
	purpose.uses_special_categories = 1
	with pytest.raises(frappe.ValidationError, match=r"Condition of Art\. 9"):
		purpose.save()
	purpose.reload()
	purpose.update({"uses_special_categories": 1, "article_9_condition": "9(2)(a) Explicit consent"})
	purpose.save()
	purpose.uses_special_categories = 0
	purpose.save()
	assert not purpose.article_9_condition


def test_lb_05_a_condition_from_before_stays(site):
	for purpose, text in ((SALES, "Art. 9(2)(a) GDPR"), ("Customer Service", "")):
		frappe.db.set_value("Processing Purpose", purpose, "article_9_condition", text)
	install.tick_special_categories()
	stored = dict(
		frappe.get_all(
			"Processing Purpose",
			{"uses_special_categories": 1},
			["name", "article_9_condition"],
			as_list=True,
		)
	)
	assert stored == {SALES: "9(2)(a) Explicit consent"}
