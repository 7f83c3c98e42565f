"""What the rules that decide said, and since when: answers about the past take those of then (EM-09, V6)."""

from datetime import timedelta

import pytest
from conftest import PROOF, give

import frappe

from gdpr_consent import api, decisions, policy_history, proof, shared_cache
from gdpr_consent.exceptions import RegisterIsAppendOnly
from gdpr_consent.policy import Decision, Reason

MARKETING = "Email Marketing"


@pytest.fixture(autouse=True)
def noted_before(site: str):
	"""Name what is on record; from now on all is, since long ago: the site is younger than the clock."""
	noted = set(frappe.get_all(policy_history.DOCTYPE, pluck="about"))
	policy_history.keep_up()  # other tests take wordings away by SQL
	frappe.db.sql(f"update `tab{policy_history.DOCTYPE}` set `in_force_from` = '2020-01-01'")
	shared_cache.forget(policy_history.CHANGES)
	yield noted
	frappe.db.rollback()
	frappe.clear_cache()


def reason(email: str, **more) -> str:
	return api.check_consent([email], **more)[email]["reason"]


def newest() -> frappe._dict:
	return frappe.get_all(policy_history.DOCTYPE, fields=["*"], order_by="number desc", limit=1)[0]


def test_each_rule_is_on_record_from_the_beginning(noted_before):
	assert {"Germany", "Poland", "Any Other Country", MARKETING} <= noted_before
	for doctype in policy_history.DECISIVE:
		names = set(frappe.get_all(doctype, pluck="name"))
		noted = frappe.get_all(policy_history.DOCTYPE, {"about_doctype": doctype}, pluck="about")
		assert names <= set(noted)
	before = policy_history.version()
	policy_history.keep_up()
	assert policy_history.version() == before > 0


def test_na_07_the_rule_of_a_country_counts_as_it_was(lead, address, clock):
	email = lead(address(), country="Germany").email_id
	give(email, **PROOF)
	rule = frappe.get_doc("Consent Country Rule", "Germany")
	clock.forward(days=10)
	rule.update({"accepted_grades": "A"}).save()
	assert reason(email) == "NO_EVIDENCE"
	assert reason(email, at=clock.now - timedelta(seconds=1)) == "VALID_CONSENT"
	assert reason(email, at=clock.now) == "NO_EVIDENCE"
	clock.forward(days=10)
	rule.update({"accepted_grades": "A or C"}).save()
	assert reason(email) == "VALID_CONSENT"
	assert reason(email, at=clock.now - timedelta(days=5)) == "NO_EVIDENCE"
	clock.forward(days=10)
	rule.delete()
	assert reason(email, at=clock.now - timedelta(days=15)) == "NO_EVIDENCE"


def test_ca_05_the_grades_that_a_purpose_accepted_count_as_they_were(address, clock):
	email = address()
	give(email, **PROOF)
	clock.forward(days=10)
	purpose = frappe.get_doc("Processing Purpose", MARKETING)
	purpose.update({"accepted_grades": "A"}).save()
	assert reason(email) == "NO_EVIDENCE"
	assert reason(email, at=clock.now - timedelta(days=5)) == "VALID_CONSENT"


def test_v6_a_wording_outdates_others_from_when_it_was_there(address, clock):
	email = address()
	texts = [
		frappe.new_doc("Consent Wording", purpose=MARKETING, language="en", text=f"Version {number}")
		for number in range(2)
	]
	give(email, wording=texts[0].insert().name, **PROOF)
	clock.forward(days=10)
	texts[1].update({"material": 1}).insert()
	assert reason(email) == "NO_EVIDENCE"
	assert reason(email, at=clock.now - timedelta(days=5)) == "VALID_CONSENT"
	assert reason(email, at=clock.now) == "NO_EVIDENCE"


def test_what_was_written_by_sql_counts_from_when_it_was_noticed(lead, address, clock):
	email = lead(address(), country="Germany").email_id
	give(email, **PROOF)
	frappe.db.set_value("Consent Country Rule", "Germany", "accepted_grades", "A")
	clock.forward(days=1)
	assert reason(email) == reason(email, at=clock.now) == "VALID_CONSENT"
	proof.keep_up()
	assert (newest().about, newest().in_force_from) == ("Germany", clock.now)
	assert reason(email) == reason(email, at=clock.now) == "NO_EVIDENCE"


def test_what_is_saved_without_a_change_is_no_new_version():
	before = policy_history.version()
	frappe.get_doc("Consent Country Rule", "Germany").save()
	assert policy_history.version() == before
	frappe.get_doc("Consent Country Rule", "Germany").update({"double_opt_in": 0}).save()
	assert policy_history.version() == before + 1


def test_em_09_each_decision_names_the_version_it_was_made_by(address):
	email = address()
	frappe.get_doc("Consent Country Rule", "Germany").update({"double_opt_in": 0}).save()
	answers = {email: Decision(False, Reason.NO_CONSENT, None)}
	decisions.log(answers, MARKETING, None, "Test", ("Note", "none"))
	(logged,) = frappe.get_all("Consent Decision", {"reference_name": "none"}, pluck="policy_version")
	assert logged == policy_history.version() == newest().number
	assert newest().about == "Germany"


def test_au_01_nobody_writes_the_history_by_hand():
	change = frappe.get_doc(policy_history.DOCTYPE, newest().name)
	for act in (change.save, change.delete, lambda: change.db_set("says", "{}")):
		with pytest.raises(RegisterIsAppendOnly):
			act()
