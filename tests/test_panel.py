"""What the Privacy tab says and does: states, restriction (Art. 18), preference link. Without a browser."""

import re
from email.parser import Parser
from email.policy import SMTP

import pytest
from conftest import PROOF, give

import frappe
from frappe.desk.form.load import getdoc
from frappe.email.queue import flush
from frappe.utils import add_days, today

from gdpr_consent import api, register
from gdpr_consent.exceptions import EvidenceMissing, InvalidPeriod, StandingRefusal, UnknownReference

MARKETING = "Email Marketing"


def panel(doc) -> list[dict]:
	return api.privacy_panel(doc.doctype, doc.name)["people"]


def only(doc) -> dict:
	(person,) = panel(doc)
	return person


def states(address: dict) -> dict[tuple[str, str | None], str]:
	return {(row["purpose"], row["topic"]): row["reason"] for row in address["rows"]}


def row_of(address: dict, purpose: str = MARKETING, topic: str | None = None) -> dict:
	(row,) = [row for row in address["rows"] if (row["purpose"], row["topic"]) == (purpose, topic)]
	return row


def test_each_address_has_its_own_state(contact, address, topic):
	work, home = address(), address()
	person = contact(work, home)
	name = give(home)
	one, other = only(person)["addresses"]
	assert (one["email"], one["standing"]) == (work, "Nothing Known")
	assert (other["email"], other["standing"]) == (home, "Allowed")
	assert (states(one)[MARKETING, None], states(one)[MARKETING, topic]) == ("NO_CONSENT", "NO_CONSENT")
	assert states(other)[MARKETING, topic] == "TOPIC_NOT_SUBSCRIBED"
	row = row_of(other)
	assert (row["record"], row["record_type"], row["status"]) == (name, "Consent", "Given")
	assert (row["legal_basis"], row["source"], row["evidence_grade"]) == ("Consent", PROOF["source"], "C")
	assert row["recorded_by"] == "Administrator"
	assert row["since"] < row["until"]


def test_other_purposes_are_shown_where_something_is_on_record(contact, address):
	email = address()
	person = contact(email)
	assert {row["purpose"] for row in only(person)["addresses"][0]["rows"]} == {MARKETING}
	give(email, purpose="Customer Service", legal_basis="Contract")
	row = row_of(only(person)["addresses"][0], "Customer Service")
	assert (row["allowed"], row["reason"], row["status"]) == (True, "NOT_MARKETING", "Not Required")


def test_a_no_is_shown_with_who_wrote_it_down(contact, address, topic):
	email = address()
	person = contact(email)
	api.object_to_marketing(email=email, source="Phone")
	said = only(person)["addresses"][0]
	for row in (row_of(said), row_of(said, topic=topic)):
		assert (row["reason"], row["record_type"], row["status"]) == ("OBJECTED", "Suppression", "Objection")
		assert (row["source"], row["recorded_by"]) == ("Phone", "Administrator")


def test_an_address_that_is_spelled_twice_is_shown_once(lead, address):
	email = address()
	assert len(only(lead(f"{email}, Jo <{email.upper()}>"))["addresses"]) == 1


def test_ad_10_a_shared_mailbox_is_called_that(contact, address):
	role, own = address("info@{}.example"), address()
	person = contact(role, own)
	contact(own)
	assert [(one["is_shared"], one["people"]) for one in only(person)["addresses"]] == [(True, 1), (False, 2)]


def test_nothing_on_record_and_no_address(contact, address):
	assert only(contact(address()))["is_on_record"] is False
	nobody = contact()
	assert only(nobody)["addresses"] == []
	api.object_to_marketing(party_type="Contact", party=nobody.name)
	person = only(nobody)
	assert person["is_on_record"] is True
	assert [row["kind"] for row in person["without_address"]] == ["Objection"]


def test_a_number_is_shown_where_something_is_on_record(contact, address, phone_number):
	number = phone_number()
	person = contact(address(), phone_nos=[{"phone": number}])
	assert len(only(person)["addresses"]) == 1
	give(number, channel="SMS")
	_email, phone = only(person)["addresses"]
	assert [(row["channel"], row["reason"]) for row in phone["rows"]] == [("SMS", "VALID_CONSENT")]


def test_the_people_behind_an_opportunity(contact, lead, address):
	of_lead, of_contact = lead(address()), contact(address())
	deal = frappe.new_doc(
		"Opportunity",
		opportunity_from="Lead",
		party_name=of_lead.name,
		contact_person=of_contact.name,
		company=frappe.get_all("Company")[0].name,
	).insert()
	assert [(one["party_type"], one["party"]) for one in panel(deal)] == [
		("Contact", of_contact.name),
		("Lead", of_lead.name),
	]


def test_wb_07_people_whom_the_user_may_not_see_are_left_out(contact, lead, address, user_with_roles):
	of_lead, of_contact = lead(address()), contact(address())
	deal = frappe.new_doc(
		"Prospect", company_name=frappe.generate_hash(length=8), leads=[{"lead": of_lead.name}]
	).insert()
	of_contact.append("links", {"link_doctype": "Prospect", "link_name": deal.name})
	of_contact.save()
	assert {one["party_type"] for one in panel(deal)} == {"Lead", "Contact"}
	user = user_with_roles("Consent User", "Sales User")
	frappe.set_user("Administrator")
	frappe.new_doc("User Permission", user=user, allow="Contact", for_value=contact(address()).name).insert()
	frappe.set_user(user)
	assert {one["party_type"] for one in panel(deal)} == {"Lead"}


def test_wb_07_the_panel_is_for_those_who_may_read_consents(contact, address, user_with_roles):
	person = contact(address())
	user_with_roles("Sales User")
	with pytest.raises(frappe.PermissionError):
		panel(person)
	getdoc("Contact", person.name)
	assert "marketing_mail" not in frappe.response.docs[0].get("__onload")


def test_what_isnt_a_person_has_no_panel():
	with pytest.raises(UnknownReference, match="Item"):
		api.privacy_panel("Item", "x")
	with pytest.raises(UnknownReference, match="Nobody"):
		api.privacy_panel("Contact", "Nobody")


# --- opening the form ---------------------------------------------------------------------------------------


def opened(doc) -> dict:
	frappe.response.docs = []
	getdoc(doc.doctype, doc.name)
	(found,) = frappe.response.docs
	return found


def test_the_badge_knows_what_the_clock_has_changed(contact, address):
	email = address()
	person = contact(email)
	name = give(email)
	frappe.db.sql("update tabConsent set expires_on = '2020-01-01' where name = %s", name)
	found = opened(person)
	assert (found.marketing_mail, found.get_onload("marketing_mail")) == ("Allowed", "Not Allowed")


@pytest.mark.parametrize("addresses", [0, 1, 3])
def test_opening_a_contact_costs_five_queries_at_most(contact, address, monkeypatch, addresses):
	person = contact(*(address() for _ in range(addresses)))
	run, said = frappe.db.sql, []

	def note(query, *args, **kwargs):
		said.append(str(query))
		return run(query, *args, **kwargs)

	monkeypatch.setattr(frappe.db, "sql", note)

	def queries() -> int:
		frappe.local.role_permissions = {}
		frappe.db.value_cache.clear()
		frappe.clear_document_cache("Contact", person.name)
		said.clear()
		opened(person)
		return len(said)

	queries()  # what is cached for everybody is
	ours = queries()
	hooks = frappe.get_doc_hooks()["Contact"]
	monkeypatch.setitem(hooks, "onload", [])
	plain = queries()
	assert 0 < ours - plain <= 5


# --- restriction --------------------------------------------------------------------------------------------


def reason(email: str) -> str:
	return api.check_consent([email])[email]["reason"]


def test_ds_20_a_restriction_stops_marketing_and_leaves_the_record(contact, address):
	work, home = address(), address()
	person = contact(work, home)
	name = give(work)
	for _time in range(2):
		assert len(api.restrict(email=home, reason="Disputes the data")["restricted"]) == 2
	assert (reason(work), reason(home)) == ("RESTRICTED", "RESTRICTED")
	assert frappe.db.get_value("Consent", name, "status") == "Given"
	assert only(person)["is_restricted"] is True
	person.reload()
	new = address()
	person.append("email_ids", {"email_id": new})
	person.save()
	assert reason(new) == "RESTRICTED"

	whose = {"party_type": "Contact", "party": person.name}
	assert len(api.lift_restriction(**whose, reason="Settled.", informed_on=today())["lifted"]) == 3
	assert api.lift_restriction(**whose, reason="Settled.", informed_on=today()) == {"lifted": []}
	assert (reason(work), reason(home)) == ("VALID_CONSENT", "NO_CONSENT")
	assert only(person)["is_restricted"] is False
	event = api.consent_history(email=work)[0]
	assert (event["kind"], event["reason"]) == ("Lift", f"Settled. The person was told on {today()}.")


def test_ds_20_a_person_without_an_address_can_be_restricted(contact):
	person = contact()
	whose = {"party_type": "Contact", "party": person.name}
	api.restrict(**whose, reason="Disputes the data")
	assert only(person)["is_restricted"] is True
	api.lift_restriction(**whose, reason="Settled.", informed_on=today())
	assert only(person)["is_restricted"] is False


@pytest.mark.parametrize(
	("why", "days_ahead", "error"),
	[
		(None, 0, EvidenceMissing),
		(" ", 0, EvidenceMissing),
		("Settled.", None, EvidenceMissing),
		("Settled.", 1, InvalidPeriod),
		("Settled.", -1, InvalidPeriod),
	],
)
def test_ds_20_nothing_is_lifted_before_the_person_is_told(address, why, days_ahead, error):
	email = address()
	api.restrict(email=email, reason="Disputes the data")
	told_on = None if days_ahead is None else add_days(today(), days_ahead)
	with pytest.raises(error):
		api.lift_restriction(email=email, reason=why, informed_on=told_on)
	assert reason(email) == "RESTRICTED"


def test_ds_20_nobody_is_asked_while_restricted(smtp, address):
	email = address()
	api.restrict(email=email, reason="Disputes the data")
	with pytest.raises(StandingRefusal, match="restricted"):
		api.request_consent(email)
	assert frappe.get_all("Consent", {"email": email}) == []


def test_ds_20_a_restriction_says_why(address):
	with pytest.raises(EvidenceMissing):
		api.restrict(email=address())


def test_ds_20_ad_10_somebody_elses_restriction_at_a_shared_mailbox_stays(contact, address):
	shared = address("info@{}.example")
	one, other = contact(address(), shared), contact(address(), shared)
	api.restrict(party_type="Contact", party=one.name, reason="Disputes the data")
	lifted = api.lift_restriction(
		party_type="Contact", party=other.name, reason="Not theirs.", informed_on=today()
	)
	assert lifted == {"lifted": []}
	assert reason(shared) == "RESTRICTED"


def test_ds_20_a_confirmation_lifts_no_restriction(address, clock):
	email = address()
	api.restrict(email=email, reason="Disputes the data")
	clock.forward(hours=1)
	rows = register.request(email=email, by_the_person=True)
	made = clock.now
	clock.forward(hours=1)
	register.confirm([row["name"] for row in rows], made)
	assert reason(email) == "RESTRICTED"


# --- the preference link ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fresh_counters")
def test_the_preference_link_goes_to_the_address_and_opens_its_page(smtp, web, mailbox):
	email = mailbox()
	give(email)
	assert api.send_preference_link(email.upper()) == {"sent": True}
	frappe.db.commit()
	flush()
	(delivery,) = smtp.deliveries
	assert delivery.to.lower() == email
	text = Parser(policy=SMTP).parsestr(delivery.content).get_body(("plain",)).get_content()
	# v16 writes a link beside itself: http://x<http://x>
	(link,) = {word for word in re.split(r"[\s<>]+", text) if "/consent/preferences?t=" in word}
	assert web.call("GET", web.path_of(link)).status_code == 200


@pytest.mark.usefixtures("fresh_counters")
def test_wb_02_an_address_gets_a_few_links_a_day(smtp, mailbox):
	email = mailbox()
	give(email)
	limit = frappe.db.get_single_value("Consent Settings", "confirmations_per_day")
	assert [api.send_preference_link(email)["sent"] for _ in range(limit + 1)] == [True] * limit + [False]


def test_nobody_gets_a_link_of_whom_nothing_is_on_record(smtp, address):
	with pytest.raises(UnknownReference, match="Nothing is on record"):
		api.send_preference_link(address())
