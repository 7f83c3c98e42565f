"""Consent Bulk Update: what its preview says, what its run does, and what can be taken back (BU-01 to BU-08)."""

import json
from datetime import datetime, timedelta

import pytest
from conftest import DOCUMENT, PROOF, BulkUpdates, give

import frappe
from frappe.email.queue import flush

from gdpr_consent import api as register_api
from gdpr_consent import audience, ledger, links, register
from gdpr_consent.bulk_update import api, job, run
from gdpr_consent.bulk_update.api import NotApproved, NotNow, RecordsInAnotherRun
from gdpr_consent.bulk_update.rules import RuleNotValid
from gdpr_consent.exceptions import RegisterIsAppendOnly
from gdpr_consent.identity import address_key
from gdpr_consent.policy import RefusalKind

SET = {"action": "Set", "legal_basis": "Consent"}
PROVEN = SET | {"source": "Phone", "evidence_file": PROOF["evidence"]}
SALES = {"action": "Set", "purpose": "Sales", "legal_basis": "Legitimate Interests"}


def statuses(email: str, purpose: str = "Email Marketing") -> list[str]:
	filters = {"address_key": address_key(email), "purpose": purpose}
	return frappe.get_all("Consent", filters, pluck="status", order_by="since, creation")


def allowed(email: str, topic: str | None = None) -> bool:
	return audience.decide_many([email], "Email Marketing", topic)[email].allowed


def told(item: frappe._dict) -> tuple[str, str, str, str]:
	return item.plan, item.before, item.after, item.why or ""


# --- what may be set ----------------------------------------------------------------------------------------


def test_bu_01_a_consent_needs_its_own_proof(bulk: BulkUpdates):
	email = bulk.mailbox()
	name = bulk.run(PROVEN | {"records": [bulk.contact(email)]})
	item = bulk.item(name)
	assert told(item) == ("Change", "", "Given", "")
	assert item.result == "Done"
	consent = frappe.get_doc("Consent", item.consent)
	assert (consent.status, consent.evidence_grade, consent.party) == ("Given", "C", item.target)
	assert allowed(email)


def test_bu_01_without_proof_it_is_unknown_and_stays_unmailable(bulk: BulkUpdates):
	email = bulk.mailbox()
	name = bulk.run(SET | {"source": "Import", "records": [bulk.contact(email)]})
	assert told(bulk.item(name)) == ("Change", "", "Unknown", "UNPROVEN")
	assert statuses(email) == ["Unknown"]
	assert not allowed(email)


def test_bu_01_proof_from_a_field_is_that_of_the_row(bulk: BulkUpdates):
	"""Who has none becomes Unknown, beside one who has."""
	with_words, without, with_file, file_is_gone = (bulk.mailbox() for _ in range(4))
	records = {
		bulk.contact(with_words, department="Told Ann at the fair"): ("Given", "D"),
		bulk.contact(without): ("Unknown", "D"),
		bulk.contact(with_file, department=PROOF["evidence"]): ("Given", "C"),
		bulk.contact(file_is_gone, department="/private/files/nowhere.pdf"): ("Unknown", "D"),
	}
	rule = SET | {"source": "Event", "evidence_field": "department", "records": [*records]}
	name = bulk.run(rule)
	for target, item in bulk.items(name).items():
		row = frappe.db.get_value("Consent", item.consent, ["status", "evidence_grade"])
		assert row == records[target] and item.after == row[0]


@pytest.fixture
def with_existing_customers(site: str):
	"""A marketing purpose that may rest on the existing-customer rule."""
	purpose = frappe.copy_doc(frappe.get_doc("Processing Purpose", "Email Marketing"))
	purpose.title = f"Marketing {frappe.generate_hash(length=8)}"
	purpose.append("allowed_legal_bases", {"legal_basis": "Existing Customer"})
	purpose.insert()
	frappe.db.commit()
	yield purpose.name
	frappe.db.rollback()
	purpose.delete(force=True)
	frappe.db.commit()


def test_bu_01_existing_customers_need_proof_too(bulk: BulkUpdates, with_existing_customers: str):
	rule = {"action": "Set", "legal_basis": "Existing Customer", "purpose": with_existing_customers}
	name = bulk.run(rule | {"records": [bulk.contact(bulk.mailbox())]})
	assert told(bulk.item(name)) == ("Skip", "", "", "NO_PROOF")


def test_another_legal_basis_is_recorded_with_its_date_from_a_field(bulk: BulkUpdates):
	email, undated = bulk.mailbox(), bulk.mailbox()
	dated = bulk.lead(email, qualified_on="2026-02-01")
	rule = SALES | {"target_doctype": "Lead", "date_field": "qualified_on"}
	name = bulk.run(rule | {"records": [dated, bulk.lead(undated)]})
	items = bulk.items(name)
	assert told(items[dated]) == ("Change", "", "Legitimate Interests", "")
	in_site_time = frappe.db.get_value("Consent", items[dated].consent, "given_on")
	assert abs(in_site_time - datetime(2026, 2, 1)) < timedelta(hours=15)
	assert {item.why for item in items.values()} == {"", "NO_DATE"}
	assert statuses(undated, "Sales") == []


def test_the_same_again_changes_nothing(bulk: BulkUpdates):
	contact = bulk.contact(bulk.mailbox())
	bulk.run(SALES | {"records": [contact]})
	name = bulk.run(SALES | {"records": [contact]})
	item = bulk.item(name)
	assert told(item) == ("Unchanged", "Legitimate Interests", "Legitimate Interests", "ENOUGH_ON_RECORD")
	assert item.result == "Unchanged"


def test_weaker_proof_takes_the_place_of_none_that_is_stronger(bulk: BulkUpdates):
	email = bulk.mailbox()
	contact = bulk.contact(email, department="Said so")
	stronger = give(email)
	rule = SET | {"source": "Event", "evidence_field": "department", "records": [contact]}
	item = bulk.item(bulk.run(rule))
	assert (item.plan, item.why, item.consent) == ("Unchanged", "ENOUGH_ON_RECORD", None)
	assert frappe.db.get_value("Consent", stronger, "status") == "Given"


def test_a_claim_gets_its_proof_later(bulk: BulkUpdates):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	bulk.run(SET | {"records": [contact]})
	name = bulk.run(PROVEN | {"records": [contact]})
	assert told(bulk.item(name)) == ("Change", "Unknown", "Given", "")
	assert statuses(email) == ["Given"]


# --- what stands in the way ---------------------------------------------------------------------------------


def _withdrew(email: str, _contact: str) -> None:
	give(email)
	register_api.withdraw_consent(email=email)


def _objected(email: str, _contact: str) -> None:
	register_api.object_to_marketing(email=email)


def _unsubscribed(_email: str, contact: str) -> None:
	doc = frappe.get_doc("Contact", contact)
	doc.unsubscribed = 1
	doc.save()


def _suppressed(kind: RefusalKind):
	def say(email: str, contact: str) -> None:
		no = register.No(kind, register.Scope("", ""), email, "Contact", contact)
		register.say_no([no], register.Act())

	return say


NOES = {
	"WITHDRAWN": _withdrew,
	"OBJECTED": _objected,
	"UNSUBSCRIBED": _unsubscribed,
	"RESTRICTED": _suppressed(RefusalKind.RESTRICTION),
	"SUPPRESSED": _suppressed(RefusalKind.ERASURE),
}


def test_bu_02_who_refused_is_left_alone(bulk: BulkUpdates):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	register.refuse(email=email)
	item = bulk.item(bulk.run(PROVEN | {"records": [contact]}))
	assert told(item) == ("Skip", "Refused", "Refused", "WITHDRAWN")  # a refusal is remembered like one


@pytest.mark.parametrize("action", [PROVEN, SET, {"action": "Ask"}], ids=["proven", "claimed", "ask"])
@pytest.mark.parametrize("no", NOES)
def test_bu_02_a_no_stands_and_the_reason_is_told(bulk: BulkUpdates, no: str, action: dict):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	NOES[no](email, contact)
	frappe.db.commit()
	events = frappe.db.count("Consent Event")
	name = bulk.run(action | {"records": [contact]})
	item = bulk.item(name)
	assert (item.plan, item.why, item.result) == ("Skip", no, "Skipped")
	assert frappe.db.count("Consent Event") == events
	assert not allowed(email)


@pytest.mark.parametrize("refused", [True, False])
def test_bu_02_what_was_withdrawn_gets_no_other_legal_basis(bulk: BulkUpdates, refused: bool):
	"""ST-07: for a purpose that isn't marketing, too."""
	email = bulk.mailbox()
	contact = bulk.contact(email)
	consent = {"purpose": "Sales", "email": email}
	if refused:
		register.refuse(**consent)
	else:
		register_api.record_consent(**consent, **PROOF)
		register_api.withdraw_consent(**consent)
	frappe.db.commit()
	item = bulk.item(bulk.run(SALES | {"records": [contact]}))
	assert (item.plan, item.why) == ("Skip", "WITHDRAWN")


def test_bu_02_what_a_person_said_elsewhere_holds_here(bulk: BulkUpdates):
	"""A no said from the person's other address, and one that only the record remembers."""
	address, other = bulk.mailbox(), bulk.mailbox()
	contact = bulk.contact(address, other)
	no = register.No(RefusalKind.WITHDRAWAL, register.Scope("Email", "Email Marketing"), other)
	register.say_no([no], register.Act())
	item = bulk.item(bulk.run(PROVEN | {"records": [contact]}))
	assert (item.plan, item.why) == ("Skip", "WITHDRAWN")

	without_address = register.No(RefusalKind.OBJECTION, register.Scope("", ""), None, "Lead", "")
	email = bulk.mailbox()
	lead = bulk.lead(email)
	register.say_no([without_address._replace(party=lead)], register.Act())
	rule = PROVEN | {"target_doctype": "Lead", "records": [lead]}
	assert bulk.item(bulk.run(rule)).why == "OBJECTED"


def test_consent_that_was_given_is_kept_from_another_legal_basis(bulk: BulkUpdates):
	email = bulk.mailbox()
	register_api.record_consent(purpose="Sales", email=email, **PROOF)
	item = bulk.item(bulk.run(SALES | {"records": [bulk.contact(email)]}))
	assert told(item) == ("Skip", "Given", "Given", "CONSENT_GIVEN")


def test_who_was_asked_is_left_to_answer(bulk: BulkUpdates):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	register.request(email=email)
	assert bulk.item(bulk.run(PROVEN | {"records": [contact]})).why == "PENDING"
	assert told(bulk.item(bulk.run({"action": "Ask", "records": [contact]})))[3] == "PENDING"


def test_what_is_on_record_is_not_replaced_by_something_older(bulk: BulkUpdates):
	email = bulk.mailbox()
	give(email)
	rule = PROVEN | {"given_on": "2020-01-01 00:00:00", "records": [bulk.contact(email)]}
	assert bulk.item(bulk.run(rule)).why == "NEWER_ON_RECORD"


def test_a_date_in_the_future_is_told(bulk: BulkUpdates):
	rule = PROVEN | {"given_on": "2120-01-01 00:00:00", "records": [bulk.contact(bulk.mailbox())]}
	assert bulk.item(bulk.run(rule)).why == "PERIOD"


def test_a_record_without_an_address_is_told(bulk: BulkUpdates):
	item = bulk.item(bulk.run(PROVEN | {"records": [bulk.contact()]}))
	assert (item.plan, item.why, item.email) == ("Skip", "NO_ADDRESS", "")


def test_of_two_records_with_one_address_the_first_counts(bulk: BulkUpdates):
	email = bulk.mailbox()
	contact, lead = bulk.contact(email), bulk.lead(email)
	name = bulk.run(
		PROVEN | {"records": [contact]}, PROVEN | {"target_doctype": "Lead", "records": [lead]}
	)
	items = bulk.items(name)
	assert items[contact].result == "Done"
	assert (items[lead].result, items[lead].why, items[lead].note) == (
		"Skipped",
		"SAME_ADDRESS",
		f"Contact {contact}",
	)
	assert statuses(email) == ["Given"]


# --- which records ------------------------------------------------------------------------------------------


def test_the_first_rule_that_fits_applies(bulk: BulkUpdates):
	contact, other = bulk.contact(bulk.mailbox()), bulk.contact(bulk.mailbox())
	name = bulk.run(
		SALES | {"records": [contact]},
		SALES | {"legal_basis": "Contract", "records": [contact, other]},
	)
	items = bulk.items(name)
	assert {target: (item.rule, item.after) for target, item in items.items()} == {
		contact: (1, "Legitimate Interests"),
		other: (2, "Contract"),
	}


def test_conditions_reach_into_tables_of_the_record(bulk: BulkUpdates):
	email = bulk.mailbox()
	contact = bulk.contact(email, bulk.mailbox())
	bulk.contact(bulk.mailbox())
	filters = json.dumps([["Contact Email", "email_id", "=", email]])
	assert [*bulk.items(bulk.preview(SALES | {"filters": filters}))] == [contact]


@pytest.mark.parametrize("fits", [True, False])
def test_conditions_reach_linked_records(bulk: BulkUpdates, fits: bool):
	"""Through the links of a Contact, a link to the Customer, and a link from it."""
	contact = bulk.contact(bulk.mailbox())
	customer = bulk.customer(contact, market_segment=None, website="a.example")
	linked = {
		"linked_doctype": "Customer",
		"linked_filters": json.dumps([["Customer", "website", "=", "a.example" if fits else "b.example"]]),
	}
	assert [*bulk.items(bulk.preview(SALES | linked | {"records": [contact]}))] == [contact] * fits

	to_group = {
		"target_doctype": "Customer",
		"linked_doctype": "Customer Group",
		"linked_filters": json.dumps([["Customer Group", "is_group", "=", 0 if fits else 1]]),
	}
	group = frappe.db.get_value("Customer Group", {"is_group": 0})
	frappe.db.set_value("Customer", customer, "customer_group", group)
	frappe.db.commit()
	found = bulk.items(bulk.preview(SALES | to_group | {"records": [customer]}))
	assert [*found] == [customer] * fits

	from_note = {
		"target_doctype": "Customer",
		"linked_doctype": "Contact",
		"linked_filters": json.dumps([["Contact", "name", "=" if fits else "!=", contact]]),
	}
	found = bulk.items(bulk.preview(SALES | from_note | {"records": [customer]}))
	assert [*found] == [customer] * fits


def test_a_customer_is_reached_at_its_contacts(bulk: BulkUpdates):
	email = bulk.mailbox()
	customer = bulk.customer(bulk.contact(email))
	rule = SALES | {"target_doctype": "Customer", "legal_basis": "Contract", "records": [customer]}
	item = bulk.item(bulk.run(rule))
	assert (item.email, item.result) == (email, "Done")
	assert frappe.db.get_value("Consent", item.consent, ["party_type", "party"]) == ("Customer", customer)


def test_lines_of_an_address_list_are_records_too(bulk: BulkUpdates):
	emails = [bulk.mailbox() for _ in range(2)]
	name = bulk.make(SALES | {"records": []})
	ledger.insert(
		"Consent Bulk Update Address",
		[
			{"name": f"{name}-{line}", "bulk_update": name, "line": line, "email": email, "evidence": words}
			for line, (email, words) in enumerate(zip(emails, ["Signed", None], strict=True), start=2)
		],
	)
	doc = frappe.get_doc("Consent Bulk Update", name)
	rule = SET | {"source": "Import", "evidence_field": "evidence", "purpose": "Email Marketing"}
	doc.set("rules", [rule | {"target_doctype": "Consent Bulk Update Address"}])
	doc.save()
	bulk.do(api.preview, name)
	bulk.do(api.run, name)
	assert [statuses(email) for email in emails] == [["Given"], ["Unknown"]]


BAD_RULES = {
	"no purpose": ({"purpose": None, "legal_basis": "Consent"}, "Purpose"),
	"unknown purpose": (SET | {"purpose": "Nothing"}, "Nothing"),
	"no legal basis": ({"action": "Set"}, "Legal Basis"),
	"basis not allowed": (SET | {"legal_basis": "Contract"}, "Contract"),
	"not a target": (SALES | {"target_doctype": "User"}, "User"),
	"not JSON": (SALES | {"filters": "status = 1"}, "JSON"),
	"not a list": (SALES | {"filters": '{"status": "Open"}'}, "list"),
	"SQL as field": (SALES | {"filters": '[["Contact", "1=1 or name", "=", "x"]]'}, "1=1"),
	"SQL as operator": (SALES | {"filters": '[["Contact", "name", "= 1 or 1 =", "x"]]'}, "= 1 or"),
	"other table": (SALES | {"filters": '[["User", "name", "=", "x"]]'}, "User"),
	"value of values": (SALES | {"filters": '[["Contact", "name", "=", {"a": 1}]]'}, "value"),
	"unknown field": (SALES | {"filters": '[["Contact", "nothing", "=", "x"]]'}, "nothing"),
	"date field of words": (SALES | {"date_field": "department"}, "department"),
	"two dates": (SALES | {"date_field": "creation", "given_on": "2026-01-01"}, "Since"),
	"no such file": (PROVEN | {"evidence_file": "/private/files/nowhere.pdf"}, "nowhere.pdf"),
	"withdraw without source": ({"action": "Withdraw"}, "Source"),
	"topic without wording": ({"action": "Assign Topic"}, "Wording"),
	"linked with a table": (SALES | {"linked_doctype": "Contact Email"}, "Contact Email"),
}


@pytest.mark.parametrize("bad", BAD_RULES)
def test_a_rule_that_can_not_be_meant_is_refused_by_name(bulk: BulkUpdates, bad: str):
	rule, named = BAD_RULES[bad]
	with pytest.raises((RuleNotValid, frappe.MandatoryError, frappe.LinkValidationError), match=named):
		bulk.make(rule)


def test_fp_03_nobody_filters_by_what_is_not_shown_to_them(bulk: BulkUpdates):
	user = bulk.user("Privacy Officer", "Sales User")
	frappe.db.sql("update tabDocField set permlevel = 2 where parent = 'Contact' and fieldname = 'department'")
	frappe.clear_cache(doctype="Contact")
	try:
		frappe.set_user(user)
		with pytest.raises(RuleNotValid, match="department"):
			bulk.make(SALES | {"filters": '[["Contact", "department", "like", "%x%"]]'})
	finally:
		frappe.set_user("Administrator")
		frappe.db.sql(
			"update tabDocField set permlevel = 0 where parent = 'Contact' and fieldname = 'department'"
		)
		frappe.clear_cache(doctype="Contact")
		frappe.db.commit()


# --- the other actions --------------------------------------------------------------------------------------


def test_withdraw_ends_it_for_all_addresses_of_the_person(bulk: BulkUpdates):
	first, second = bulk.mailbox(), bulk.mailbox()
	contact = bulk.contact(first, second)
	for email in (first, second):
		give(email)
	name = bulk.run({"action": "Withdraw", "source": "Phone", "records": [contact]})
	assert told(bulk.item(name)) == ("Change", "Given", "Withdrawn", "")
	for email in (first, second):
		assert statuses(email) == ["Withdrawn"]
	again = bulk.item(bulk.run({"action": "Withdraw", "source": "Phone", "records": [contact]}))
	assert (again.plan, again.why) == ("Unchanged", "NOTHING_TO_END")


def test_withdraw_reaches_who_has_no_address(bulk: BulkUpdates):
	"""The person's next address will find it."""
	contact = bulk.contact()
	name = bulk.run({"action": "Withdraw", "source": "Phone", "records": [contact]})
	assert bulk.item(name).result == "Done"
	email = bulk.mailbox()
	doc = frappe.get_doc("Contact", contact)
	doc.append("email_ids", {"email_id": email, "is_primary": 1})
	doc.save()
	with pytest.raises(frappe.ValidationError):
		give(email)


@pytest.mark.parametrize(
	("action", "status"), [("Revoke", "Revoked"), ("Expire", "Expired"), ("Invalidate", "Invalidated")]
)
def test_bu_01_a_consent_can_be_ended(bulk: BulkUpdates, action: str, status: str):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	give(email)
	name = bulk.preview({"action": action, "records": [contact]})
	assert told(bulk.item(name)) == ("Change", "Given", status, "")
	if action == "Invalidate":
		approve(bulk, name)
	bulk.do(api.run, name)
	assert statuses(email) == [status]
	assert not allowed(email)


def approve(bulk: BulkUpdates, name: str) -> None:
	frappe.set_user(bulk.user("Privacy Officer"))
	api.approve(name, api.status(name)["selection_hash"])
	frappe.set_user("Administrator")
	frappe.db.commit()


def test_what_rests_on_another_basis_ends_when_revoked(bulk: BulkUpdates):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	bulk.run(SALES | {"records": [contact]})
	name = bulk.run({"action": "Revoke", "purpose": "Sales", "records": [contact]})
	assert told(bulk.item(name)) == ("Change", "Legitimate Interests", "Ended", "")


def test_ask_sends_one_mail_with_a_link_that_works(bulk: BulkUpdates, smtp, fresh_counters):
	email = bulk.mailbox()
	name = bulk.run({"action": "Ask", "records": [bulk.contact(email)]})
	assert told(bulk.item(name)) == ("Change", "", "Requested", "")
	flush()
	assert smtp.reached() == [email]
	register_api.confirm_consent(links.confirmation_url([bulk.item(name).consent]).split("t=")[1])
	assert allowed(email)


def test_ask_molests_nobody(bulk: BulkUpdates, smtp, fresh_counters):
	"""WB-02: who got enough mails for today gets no more, and no request that nobody hears of."""
	email = bulk.mailbox()
	contact = bulk.contact(email)
	frappe.db.set_single_value("Consent Settings", "confirmations_per_day", 0)
	try:
		item = bulk.item(bulk.run({"action": "Ask", "records": [contact]}))
	finally:
		frappe.db.set_single_value("Consent Settings", "confirmations_per_day", 3)
		frappe.db.commit()
	assert (item.result, item.why) == ("Skipped", "TOO_MANY_MAILS")
	assert statuses(email) == []


def test_a_topic_is_for_those_whose_words_named_it(bulk: BulkUpdates, committed_topic, wording):
	agreed, other, nothing = (bulk.mailbox() for _ in range(3))
	records = [bulk.contact(email) for email in (agreed, other, nothing)]
	text = wording(None, "News about our products and our events.")
	give(agreed, wording=text)
	give(other)
	rule = {"action": "Assign Topic", "topic": committed_topic, "wording": text, "records": records}
	items = bulk.items(bulk.run(rule))
	assert [items[record].why or items[record].result for record in records] == [
		"Done",
		"OTHER_WORDING",
		"OTHER_WORDING",
	]
	assert allowed(agreed, committed_topic)
	proof = ["given_on", "expires_on", "evidence", "evidence_grade", "wording"]
	about = {"address_key": address_key(agreed)}
	of_topic = frappe.db.get_value("Consent", about | {"topic": committed_topic}, proof)
	assert of_topic == frappe.db.get_value("Consent", about | {"topic": ["is", "not set"]}, proof)
