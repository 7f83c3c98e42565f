"""Children: a guardian agrees for them, and people who sign up say that they are old enough (Art. 8)."""

import json
import re
from collections.abc import Iterator

import pytest
from conftest import PROOF, BulkUpdates, give, wait_until
from conftest import reason_on_the_server as reason
from desk import press
from playwright.sync_api import expect
from test_browser import check_access
from test_bulk_update import PROVEN, allowed, revert, statuses
from test_forms import ACCEPT, form_in
from test_panel_browser import OFFICER, dialog_of, fill, open_panel

import frappe

from gdpr_consent import api, ledger, links, own_files, paper, past, proof, records, register, renewal
from gdpr_consent.clock import now_utc
from gdpr_consent.exceptions import AgeNotStated, ConsentError, EvidenceMissing
from gdpr_consent.gate import canary
from gdpr_consent.identity import address_key
from gdpr_consent.register.yes import facts_again, write_claim
from gdpr_consent.rights import personal_data

MARKETING = "Email Marketing"
MOTHER = {
	"is_minor": True,
	"guardian_name": "Maria Nowak",
	"guardian_verification": "Showed her identity card in the shop",
}
CHILD_FIELDS = [*MOTHER]
ASKED = "Say that you are at least 16 years old."
pytestmark = pytest.mark.usefixtures("fresh_counters")


@pytest.fixture
def asks_age(site) -> Iterator[None]:
	frappe.db.set_single_value("Consent Settings", "asks_age", 1)
	frappe.db.commit()
	yield
	frappe.db.rollback()
	frappe.db.set_single_value("Consent Settings", "asks_age", 0)
	frappe.db.commit()


def give_for_a_child(email: str, topic: str | None = None, **more) -> str:
	return give(email, topic, **MOTHER | more)


def row_of(email: str, **more) -> frappe._dict:
	return frappe.get_doc("Consent", {"address_key": address_key(email), **more})


def events_of(consent: str) -> list[tuple[str, str]]:
	return [(one.kind.value, one.indicated_by) for one in ledger.read_events("Consent", [consent])[consent]]


def confirm(consents: list[str], age: int | None = None) -> list[dict]:
	return register.confirm(consents, now_utc(), age)


# --- the register -------------------------------------------------------------------------------------------


def test_ca_18_a_guardian_agrees_for_a_child(address):
	"""CA-18, V8: the guardian is a fact of the event, and it is the guardian who said it."""
	email = address()
	name = give_for_a_child(email)
	row = row_of(email)
	assert {field: row.get(field) for field in CHILD_FIELDS} == MOTHER | {"is_minor": 1}
	assert events_of(name) == [("Give", "Guardian")]
	assert allowed(email)
	assert register.rebuild(name)["changed"] == {}
	frappe.db.set_value("Consent", name, {"is_minor": 0, "guardian_name": "Somebody else"})
	assert register.rebuild(name)["changed"].keys() == {"is_minor", "guardian_name"}
	assert row_of(email).guardian_name == "Maria Nowak"
	assert ledger.verify()["ok"]


@pytest.mark.parametrize("missing", ["guardian_name", "guardian_verification"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_ca_18_v8_a_childs_consent_without_its_guardian_is_none(address, missing, value):
	email = address()
	label = frappe.get_meta("Consent").get_label(missing)
	with pytest.raises(EvidenceMissing, match=label):
		give_for_a_child(email, **{missing: value})
	assert not frappe.db.exists("Consent", {"address_key": address_key(email)})


@pytest.mark.parametrize("field", ["guardian_name", "guardian_verification"])
def test_ca_18_a_guardian_of_somebody_who_isnt_said_to_be_a_child_is_an_error(address, field):
	"""It says what to do: else the mark is forgotten, and nobody hears of it."""
	email = address()
	with pytest.raises(ConsentError, match="Below the Age of Consent"):
		give(email, **{field: "Maria Nowak"})
	assert not frappe.db.exists("Consent", {"address_key": address_key(email)})


def test_ca_18_another_legal_basis_needs_no_guardian(address):
	email = address()
	name = give(email, purpose="Customer Service", legal_basis="Contract", is_minor=True)
	assert row_of(email).is_minor
	assert events_of(name) == [("Record", "Controller")]


def test_ca_18_who_agrees_for_themselves_later_is_no_child_any_more(address):
	email = address()
	child, grown_up = give_for_a_child(email), give(email, evidence="Told Ann at 18")
	assert frappe.db.get_value("Consent", child, "status") == "Superseded"
	assert not any(frappe.db.get_value("Consent", grown_up, CHILD_FIELDS))
	assert events_of(grown_up) == [("Give", "Data Subject")]


def test_ca_18_the_same_facts_with_another_guardian_are_others(address):
	email, given_on = address(), "2026-01-05"
	first = give_for_a_child(email, given_on=given_on)
	assert give_for_a_child(email, given_on=given_on) == first
	assert give_for_a_child(email, given_on=given_on, guardian_name="Jan Nowak") != first


def test_ca_18_a_claim_of_no_proof_becomes_the_childs_own_record(address):
	email = address()
	claim = register.record_unproven(email=email)["name"]
	assert give_for_a_child(email) == claim
	assert events_of(claim) == [("Import", "Controller"), ("Give", "Guardian")]


def test_v8_no_way_leads_to_given_without_a_guardian(address):
	"""Whatever calls: each way to Given passes one door, and that looks."""
	email = address()
	name = give_for_a_child(email)
	frappe.db.sql("update `tabConsent` set guardian_name = null where name = %s", name)
	key = address_key(email)
	with pytest.raises(EvidenceMissing), register.writing.Writing([key]) as writing:
		(row,) = writing.consents[key]
		writing.open("Consent", register.writing.EventKind.GIVE, facts_again(row), register.Act(), now_utc())
	assert frappe.db.count("Consent", {"address_key": key}) == 1


def test_what_is_said_again_in_the_same_visit_says_that_it_is_no_childs(address, topic):
	"""A column of type Check is never empty, and the row isn't read back before."""
	email = address()
	terms = register.terms_of(None, None, "Email", "Consent", None)
	subject = register.Subject(email, address_key(email), None, None, {}, proof.Place(None, "Unknown"))
	with register.writing.Writing([subject.key]) as writing:
		facts = facts_again(write_claim(writing, terms, subject)) | {"topic": topic}
		writing.open("Consent", register.writing.EventKind.IMPORT, facts, register.Act(), writing.now)
	assert frappe.get_all("Consent", {"address_key": subject.key}, pluck="is_minor") == [0, 0]


# --- where it goes ------------------------------------------------------------------------------------------


def test_ca_18_files_name_the_guardian(address):
	email = address()
	name = give_for_a_child(email)
	record = records.record_of(name)
	(status,) = record["dpv:hasConsentStatus"]
	assert status["dpv:isIndicatedBy"] == "dpv:GuardianOfDataSubject"
	told = record["own:register"]["record"]
	assert {field: told[field] for field in CHILD_FIELDS} == MOTHER | {"is_minor": 1}
	shown = paper.consent_receipt(name)["consent"]
	assert ("Guardian Name", "Maria Nowak") in shown["facts"]
	assert ("How the Guardian Was Verified", MOTHER["guardian_verification"]) in shown["facts"]
	assert shown["events"][0]["by"] == "the guardian"
	history = api.consent_history(email=email)[0]
	assert (history["indicated_by"], history["guardian_name"]) == ("Guardian", "Maria Nowak")


def test_ca_18_who_asks_why_they_were_written_to_hears_of_the_guardian(address, contact):
	email = address()
	person = contact(email).name
	give_for_a_child(email)
	(row,) = past.describe("Contact", person, MARKETING, None, now_utc())
	assert row["guardian_name"] == "Maria Nowak"


@pytest.mark.parametrize(("is_signed", "status"), [(True, "Given"), (False, "Unknown")])
def test_ca_18_rc_06_a_signed_file_brings_the_guardian_back(address, is_signed, status):
	email = address()
	document = records.record_of(give_for_a_child(email))
	file = records.signed(document) if is_signed else json.dumps(document)
	frappe.db.delete("Consent", {"address_key": address_key(email)})
	own_files.take_in(file)
	row = row_of(email)
	assert row.status == status and bool(row.is_minor) == bool(row.guardian_name) == is_signed


def test_ca_18_ds_10_the_guardian_is_personal_data_of_the_record(site):
	assert set(CHILD_FIELDS) <= set(personal_data.holding_of("Consent").fields)


def test_ca_18_ds_19_the_guardian_is_erased_with_the_person(address):
	email = address()
	name = give_for_a_child(email)
	register.erase([email], [])
	row = frappe.get_doc("Consent", name)
	assert not (row.guardian_name or row.guardian_verification or row.evidence)
	payloads = frappe.get_all("Consent Event Payload", {"name": ["like", f"{name}-%"]}, pluck="payload")
	assert "Nowak" not in str(payloads)
	assert ledger.verify()["ok"]


# --- many at once -------------------------------------------------------------------------------------------


def test_ca_18_a_bulk_update_records_nothing_over_what_a_guardian_said(bulk: BulkUpdates):
	email, other = bulk.mailbox(), bulk.mailbox()
	child, grown_up = bulk.contact(email), bulk.contact(other)
	give_for_a_child(email, evidence="Told Ann")
	items = bulk.items(bulk.run(PROVEN | {"records": [child, grown_up]}))
	assert (items[child].result, items[child].why) == ("Skipped", "NO_PROOF")
	assert items[grown_up].result == "Done"
	assert statuses(email) == ["Given"] and row_of(email).guardian_name


def test_ca_18_v8_what_was_taken_back_has_its_guardian_again(bulk: BulkUpdates):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	give_for_a_child(email)
	name = bulk.run({"action": "Revoke", "records": [contact]})
	assert not allowed(email)
	assert revert(bulk, name).result == "Reverted"
	row = row_of(email, status="Given")
	assert {field: row.get(field) for field in CHILD_FIELDS} == MOTHER | {"is_minor": 1}
	assert ledger.verify()["ok"]


def test_ca_18_v8_an_assigned_topic_stands_on_the_guardians_words(
	bulk: BulkUpdates, committed_topic, wording
):
	"""Together with a grown-up's, whose row says nothing of a guardian."""
	email, other = bulk.mailbox(), bulk.mailbox()
	text = wording(None, "News about our products and our events. You can withdraw at any time.")
	people = [bulk.contact(one) for one in (email, other)]
	give_for_a_child(email, wording=text)
	give(other, wording=text)
	bulk.run({"action": "Assign Topic", "topic": committed_topic, "wording": text, "records": people})
	assert row_of(email, topic=committed_topic).guardian_name == "Maria Nowak"
	assert not row_of(other, topic=committed_topic).is_minor


def test_ca_18_ca_17_a_file_to_import_names_the_guardian(address):
	complete, without = address(), address()
	said = {"source": "Event", "given_on": "2026-01-05", "is_minor": 1}
	named = {field: MOTHER[field] for field in CHILD_FIELDS[1:]}
	frappe.flags.in_import = True
	try:
		frappe.new_doc("Consent", email=complete, evidence="A card", **said, **named).insert()
		for more in ({"evidence": "A card"}, named):  # without a guardian, or without a proof
			with pytest.raises(EvidenceMissing):
				frappe.new_doc("Consent", email=without, **said, **more).insert()
	finally:
		frappe.flags.in_import = False
	assert events_of(row_of(complete).name) == [("Give", "Guardian")]
	assert not frappe.db.exists("Consent", {"address_key": address_key(without)})


# --- a click isn't a guardian's act -------------------------------------------------------------------------


def test_v8_a_click_renews_nothing_that_a_guardian_gave(address, clock):
	email = address()
	name = give_for_a_child(email)
	clock.forward(days=1)
	assert register.ask_again([name], {}) == []
	grown_up = give(address())
	clock.forward(days=1)
	assert len(register.ask_again([name, grown_up], {})) == 1
	asked = register.request(email=email, by_the_person=True, evidence="Ticked the form")
	assert asked == []
	assert events_of(name) == [("Give", "Guardian")]


def test_v8_a_link_of_before_renews_nothing_once_nobody_is_asked_for_the_age(address, clock, asks_age):
	name = give_for_a_child(address())
	clock.forward(days=1)
	assert len(register.ask_again([name], {})) == 1
	frappe.db.set_single_value("Consent Settings", "asks_age", 0)
	clock.forward(days=1)
	(still,) = register.confirm([name], clock.now)
	assert (still["name"], events_of(name)[-1][0]) == (name, "Ask")


def test_v8_who_says_to_be_old_enough_agrees_for_themselves(address, clock, asks_age):
	"""The new record isn't a child's, and says what was said."""
	name = give_for_a_child(address())
	clock.forward(days=1)
	register.ask_again([name], {})
	clock.forward(days=1)
	with pytest.raises(AgeNotStated):
		register.confirm([name], clock.now)
	(renewed,) = register.confirm([name], clock.now, 16)
	row = frappe.get_doc("Consent", renewed["name"])
	assert row.supersedes == name and not (row.is_minor or row.guardian_name)
	assert "The person says to be at least 16." in row.evidence
	assert events_of(row.name) == [("Give", "Data Subject")]


def test_v8_a_run_of_renewals_asks_no_child(mailbox, committed_topic, wording):
	old = wording(committed_topic, "News. You can withdraw at any time.")
	email = mailbox()
	give(email)
	give_for_a_child(email, committed_topic, wording=old)
	newest = wording(committed_topic, "News and offers. You can withdraw at any time.", material=1)
	frappe.db.commit()
	assert renewal.ask_about(newest) == 0
	assert frappe.db.count("Email Queue Recipient", {"recipient": email}) == 0


# --- people say so themselves -------------------------------------------------------------------------------


def test_ca_18_nobody_is_asked_where_the_settings_dont_say_so(address):
	assert proof.age_asked(None) is None
	pending = register.request(email=address(), by_the_person=True)
	(row,) = confirm([pending[0]["name"]])
	assert "at least" not in row["evidence"]


def test_ca_18_the_age_is_that_of_the_country_rule(asks_age):
	company = frappe.get_doc("Company", frappe.db.get_default("company"))
	rule = frappe.get_doc("Consent Country Rule", company.country)
	rule.age_of_consent = 14
	rule.save()
	any_other = frappe.get_doc("Consent Country Rule", {"applies_to": ["is", "not set"]})
	any_other.age_of_consent = 15
	any_other.save()
	assert (proof.age_of_consent(company.country), proof.age_of_consent("Nowhere")) == (14, 15)
	assert proof.age_asked(None) == proof.age_asked(company.name) == 14
	frappe.db.set_single_value("Consent Settings", "assume_company_country", 0)
	assert proof.age_asked(company.name) == 15
	rule.age_of_consent = 0
	rule.save()
	assert proof.age_of_consent(company.country) == 16, "No age at all isn't what an empty field means."


def box_of(page: str) -> str:
	return re.search(r'<input type="checkbox" id="consent-age"[^>]*>', page)[0]


def test_ca_18_the_form_asks_for_the_age_and_insists(mailbox, committed_topic, web, asks_age, smtp):
	email = mailbox()
	shown = web.call("GET", f"/consent/subscribe?topic={committed_topic}")
	box = box_of(shown.text)
	assert " required" in box and "checked" not in box and 'value="16"' in box
	assert "I am at least 16 years old" in shown.text
	company = frappe.db.get_default("company")
	assert f"a parent or guardian can agree for you: ask them to contact {company}." in shown.text
	assert len(shown.content) < 100_000
	data = {"email": email, "on": f"{MARKETING}:{committed_topic}"}
	for age in ("", "15", "yes", "-16"):
		page = web.call("POST", "/consent/subscribe", data=data | {"age": age})
		assert ASKED in page.text and 'role="alert"' in page.text
		assert re.search(rf'value="{MARKETING}:{committed_topic}" checked', page.text)
		assert f'value="{email}"' in page.text
	assert reason(email) == "NO_CONSENT"
	web.call("POST", "/consent/subscribe", data=data | {"age": "16"})
	wait_until(lambda: reason(email, committed_topic) == "REQUESTED")


def test_ca_18_what_was_said_on_the_form_is_in_the_evidence(
	mailbox, web, asks_age, no_double_opt_in, committed_topic
):
	email = mailbox()
	data = {"email": email, "on": f"{MARKETING}:{committed_topic}", "age": "16"}
	web.call("POST", "/consent/subscribe", data=data)
	wait_until(lambda: reason(email, committed_topic) == "VALID_CONSENT")
	row = row_of(email, topic=committed_topic)
	assert row.evidence_grade == "B" and "The person says to be at least 16." in row.evidence


def test_ca_18_the_form_on_another_site_asks_too(web, committed_topic, asks_age):
	form = form_in(web.call("GET", f"/consent/sign-up.js?topic={committed_topic}").text)
	assert " required" in box_of(form) and '<label for="consent-age">' in form


def test_ca_18_without_the_setting_no_page_asks(mailbox, web, committed_topic):
	email = mailbox()
	token = links.sign(links.PREFERENCES, give(email))
	pending = register.request(email=mailbox(), by_the_person=True)
	frappe.db.commit()
	confirmation = web.path_of(links.confirmation_url([pending[0]["name"]]))
	for path in (
		"/consent/subscribe",
		"/consent/sign-up.js",
		f"/consent/preferences?t={token}",
		confirmation,
	):
		assert "consent-age" not in web.call("GET", path).text


def test_ca_18_the_confirmation_page_insists(mailbox, web, asks_age):
	email = mailbox()
	pending = register.request(email=email, by_the_person=True)
	frappe.db.commit()
	path = web.path_of(links.confirmation_url([pending[0]["name"]]))
	assert " required" in box_of(web.call("GET", path).text)
	for more in ({}, {"age": "15"}):
		page = web.call("POST", path, data={"receipt": "1", **more})
		assert page.status_code == 200 and ASKED in page.text
		assert re.search(r'name="receipt" value="1" checked', page.text)
		assert reason(email) == "REQUESTED"
	assert "it is confirmed" in web.call("POST", path, data={"age": "16"}).text
	assert reason(email) == "VALID_CONSENT"
	row = row_of(email)
	assert row.status == "Given" and row.evidence.endswith("The person says to be at least 16.")


def test_ca_18_the_door_of_the_api_insists_too(mailbox, web, asks_age):
	email = mailbox()
	pending = register.request(email=email, by_the_person=True)
	frappe.db.commit()
	token = links.confirmation_url([pending[0]["name"]]).partition("t=")[2]
	door = "/api/method/gdpr_consent.api.confirm_consent"
	answer = web.call("POST", door, data={"t": token})
	assert answer.status_code == 417 and "at least 16" in answer.text
	assert reason(email) == "REQUESTED"
	assert web.call("POST", door, data={"t": token, "age": 16}).json()["message"] == {"confirmed": 1}


def test_ca_18_preferences_ask_for_what_is_switched_on_only(
	mailbox, committed_topic, tracking_purpose, web, asks_age, smtp
):
	"""A no is taken at once, though the same form asks for something else."""
	email = mailbox()
	give(email)
	token = links.sign(links.PREFERENCES, give(email, purpose=tracking_purpose))
	frappe.db.commit()
	path = "/consent/preferences"
	box = box_of(web.call("GET", f"{path}?t={token}").text)
	assert "required" not in box and "checked" not in box
	on = [f"purpose:{MARKETING}", f"topic:{committed_topic}"]  # and not the other purpose
	page = web.call("POST", path, data={"t": token, "save": "1", "on": on}).text
	assert ASKED in page and f"Stopped: {tracking_purpose}" in page
	assert "Nothing was changed" not in page
	assert re.search(rf'value="topic:{committed_topic}" checked', page), "What was ticked stays."
	assert reason(email, committed_topic) == "TOPIC_NOT_SUBSCRIBED"
	assert api.check_consent([email], purpose=tracking_purpose)[email]["reason"] == "WITHDRAWN"
	page = web.call("POST", path, data={"t": token, "save": "1", "on": on, "age": "16"}).text
	assert "sent you a mail" in page
	assert reason(email, committed_topic) == "REQUESTED"


@pytest.mark.parametrize("no", [{"save": "1"}, {"everything": "1"}])
def test_ca_18_a_no_needs_no_age(mailbox, web, asks_age, no):
	email = mailbox()
	token = links.sign(links.PREFERENCES, give(email))
	frappe.db.commit()
	page = web.call("POST", "/consent/preferences", data={"t": token, **no}).text
	assert 'role="alert"' not in page
	assert reason(email) in ("WITHDRAWN", "OBJECTED")


def test_ca_18_one_click_needs_no_age(mailbox, web, asks_age):
	email = mailbox()
	token = links.sign(links.UNSUBSCRIBE, give_for_a_child(email))
	frappe.db.commit()
	web.call("POST", f"/consent/unsubscribe?t={token}", data={"List-Unsubscribe": "One-Click"})
	assert reason(email) == "WITHDRAWN"


@pytest.fixture
def contact_form(committed_topic, site):
	"""A Web Form of the site's own that makes a Lead, and asks for consent."""
	field = frappe.get_doc(
		doctype="Custom Field", dt="Lead", fieldname="gdpr_test_news", label="Box", fieldtype="Check"
	).insert()
	title = f"Form {frappe.generate_hash(length=8)}"
	form = frappe.new_doc("Web Form", title=title, route=frappe.scrub(title), doc_type="Lead", published=1)
	form.update({"allow_multiple": 1, "module": "CRM"})
	box = {"fieldtype": "Check", "label": "News", "subscription_topic": committed_topic}
	for row in (
		{"fieldname": "first_name", "fieldtype": "Data", "label": "First name"},
		{"fieldname": "email_id", "fieldtype": "Data", "options": "Email", "label": "E-mail"},
		{"fieldname": "gdpr_test_news", **box},
	):
		form.append("web_form_fields", row)
	form.insert()
	frappe.db.commit()
	yield form
	frappe.db.rollback()
	frappe.db.delete("Lead", {"first_name": title})
	frappe.delete_doc("Web Form", form.name, force=True)
	frappe.delete_doc("Custom Field", field.name, force=True)
	frappe.db.commit()


def test_ca_18_a_web_form_of_the_sites_own_is_confirmed_by_mail(
	contact_form, web, mailbox, asks_age, no_double_opt_in, committed_topic, smtp
):
	"""It doesn't ask for the age, so the page behind the mail does, whatever rules there are for mails."""
	email = mailbox()
	data = {"first_name": contact_form.title, "email_id": email, "gdpr_test_news": 1}
	page = f"{web.base}/{contact_form.route}/new"
	body = {"web_form": contact_form.name, "data": json.dumps(data)}
	assert web.call("POST", ACCEPT, data=body, headers={"Referer": page}).status_code == 200
	wait_until(lambda: reason(email, committed_topic) == "REQUESTED")


def test_ca_18_the_pages_can_be_used_by_everybody(phone, mailbox, committed_topic, asks_age, picture):
	pending = register.request(email=mailbox(), by_the_person=True)
	token = links.sign(links.PREFERENCES, pending[0]["name"])
	frappe.db.commit()
	confirmation = links.confirmation_url([pending[0]["name"]])
	for name, path in (
		("sign-up-age", "/consent/subscribe"),
		("preferences-age", f"/consent/preferences?t={token}"),
		("confirm-age", "/" + confirmation.split("/", 3)[3]),
	):
		phone.goto(path)
		expect(phone.locator("#consent-age")).to_be_visible()
		check_access(phone)
		picture(phone, name)


# --- the desk -----------------------------------------------------------------------------------------------


def open_dialog(desk, bulk: BulkUpdates, email: str):
	lead = bulk.lead(email)
	frappe.db.commit()
	page = desk(bulk.user(*OFFICER))
	press(open_panel(page, "Lead", lead), "Record")
	return page, dialog_of(page)


def test_ca_18_the_dialog_hides_what_isnt_asked(bulk, desk):
	_page, dialog = open_dialog(desk, bulk, bulk.mailbox())
	expect(dialog.locator("textarea[data-fieldname=evidence]")).to_be_visible()
	expect(dialog.locator("[data-fieldname=is_minor]")).to_have_count(0)


def test_ca_18_the_dialog_asks_for_the_guardian_of_a_child(bulk, desk, asks_age, picture):
	email = bulk.mailbox()
	page, dialog = open_dialog(desk, bulk, email)
	fill(dialog, "email", email)
	fill(dialog, "source", PROOF["source"])
	fill(dialog, "evidence", "Signed by the mother in the shop")
	name = dialog.locator(".frappe-control[data-fieldname=guardian_name]")
	expect(name).not_to_be_visible()
	dialog.locator("input[data-fieldname=is_minor]").check()
	expect(name.locator(".reqd")).to_be_visible()
	fill(dialog, "guardian_name", MOTHER["guardian_name"])
	fill(dialog, "guardian_verification", MOTHER["guardian_verification"])
	picture(page, "record-for-a-child", full_page=False)
	press(dialog, "Record")
	wait_until(lambda: frappe.db.rollback() or frappe.db.exists("Consent", {"email": email}))
	assert row_of(email).guardian_name == MOTHER["guardian_name"]
	page.keyboard.press("Escape")


def test_ca_18_the_canary_sings_where_the_age_is_asked(asks_age, address):
	email = address()
	canary._agree_by_link(email)
	assert row_of(email).status == "Given"
