"""Consent Bulk Update: what its preview says, what its run does, and what can be taken back (BU-01 to 08)."""

import json
from datetime import datetime, timedelta

import pytest
from conftest import PROOF, BulkUpdates, give

import frappe
from frappe import client
from frappe.email.queue import flush

from gdpr_consent import api as register_api
from gdpr_consent import audience, ledger, links, register
from gdpr_consent.bulk_update import api, items, job, preview, report, run
from gdpr_consent.bulk_update.api import NotApproved, RecordsInAnotherRun
from gdpr_consent.bulk_update.rules import RuleNotValid
from gdpr_consent.exceptions import NotNow, RegisterIsAppendOnly
from gdpr_consent.identity import address_key
from gdpr_consent.policy import RefusalKind
from gdpr_consent.register import writing

SET = {"action": "Set", "legal_basis": "Consent"}
PROVEN = SET | {"source": "Phone", "evidence_file": PROOF["evidence"]}
SALES = {"action": "Set", "purpose": "Sales", "legal_basis": "Legitimate Interests"}


def statuses(email: str, purpose: str = "Email Marketing") -> list[str]:
	filters = {"address_key": address_key(email), "purpose": purpose}
	return frappe.get_all("Consent", filters, pluck="status", order_by="since, creation")


def allowed(email: str, topic: str | None = None) -> bool:
	return audience.decide_many([email], "Email Marketing", topic)[email].allowed


def rows_read() -> int:
	"""How many rows of tables this connection has read."""
	return sum(int(count) for _name, count in frappe.db.sql("show session status like 'Handler_read%'"))


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
	name = bulk.run(PROVEN | {"records": [contact]}, PROVEN | {"target_doctype": "Lead", "records": [lead]})
	items = bulk.items(name)
	assert items[contact].result == "Done"
	assert (items[lead].result, items[lead].why, items[lead].note) == (
		"Skipped",
		"SAME_ADDRESS",
		f"Contact {contact}",
	)
	assert statuses(email) == ["Given"]


# --- which records ------------------------------------------------------------------------------------------


def test_a_chunk_reads_only_the_items_that_it_is_about(bulk: BulkUpdates):
	name = bulk.make()
	names = [f"{name}-{number:08d}" for number in range(2_000)]
	item = {"bulk_update": name, "rule": 1, "target_doctype": "Contact", "result": ""}
	items.insert([item | {"name": one, "target": one} for one in names])
	frappe.db.commit()
	before = rows_read()
	items.set_results([{"name": one, "result": "Done"} for one in names[::100]])
	read = rows_read() - before
	done = frappe.get_all("Consent Bulk Update Item", {"bulk_update": name, "result": "Done"}, pluck="name")
	assert sorted(done) == names[::100]
	assert read < len(names) / 2


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


@pytest.mark.parametrize(
	("protected", "condition"),
	[
		("department", ["Contact", "department", "like", "%x%"]),
		("email_ids", ["Contact Email", "email_id", "like", "%x%"]),
	],
	ids=["field", "table"],
)
def test_fp_03_nobody_filters_by_what_is_not_shown_to_them(
	bulk: BulkUpdates, protected: str, condition: list[str]
):
	user = bulk.user("Privacy Officer", "Sales User")
	field = {"parent": "Contact", "fieldname": protected}
	frappe.db.set_value("DocField", field, "permlevel", 2)
	frappe.clear_cache(doctype="Contact")
	try:
		frappe.set_user(user)
		with pytest.raises(RuleNotValid, match=condition[1] if protected == condition[1] else condition[0]):
			bulk.make(SALES | {"filters": json.dumps([condition])})
	finally:
		frappe.set_user("Administrator")
		frappe.db.set_value("DocField", field, "permlevel", 0)
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


# --- the preview is what is run -----------------------------------------------------------------------------


def test_bu_03_the_preview_writes_nothing(bulk: BulkUpdates):
	contacts = [bulk.contact(bulk.mailbox()) for _ in range(3)]
	before = [frappe.db.count(doctype) for doctype in ("Consent", "Consent Event", "Suppression")]
	name = bulk.preview(PROVEN | {"records": contacts})
	assert [frappe.db.count(doctype) for doctype in ("Consent", "Consent Event", "Suppression")] == before
	status = api.status(name)
	assert (status["status"], status["total"], status["to_change"]) == ("Previewed", 3, 3)
	assert status["rules"] == [{"rule": 1, "plans": {"Change": 3}, "results": {}}]
	assert status["chart"] == {"labels": ["Nothing", "Given"], "before": [3, 0], "after": [0, 3]}


def _another_address(contact: str, _email: str, bulk: BulkUpdates) -> None:
	doc = frappe.get_doc("Contact", contact)
	doc.email_ids[0].email_id = bulk.mailbox()
	doc.save()


def _a_consent(_contact: str, email: str, _bulk: BulkUpdates) -> None:
	give(email)


def _a_no_from_another_address(contact: str, _email: str, bulk: BulkUpdates) -> None:
	doc = frappe.get_doc("Contact", contact)
	doc.append("email_ids", {"email_id": bulk.mailbox()})
	doc.save()
	register_api.object_to_marketing(email=doc.email_ids[1].email_id)


def _fits_no_more(contact: str, _email: str, _bulk: BulkUpdates) -> None:
	frappe.db.set_value("Contact", contact, "department", "Other")


def _deleted(contact: str, _email: str, _bulk: BulkUpdates) -> None:
	frappe.delete_doc("Contact", contact)


def _other_proof(contact: str, _email: str, _bulk: BulkUpdates) -> None:
	frappe.db.set_value("Contact", contact, "designation", "Other words")


CHANGES = {
	_another_address: "CHANGED",
	_a_consent: "CHANGED",
	_a_no_from_another_address: "CHANGED",
	_other_proof: "CHANGED",
	_fits_no_more: "GONE",
	_deleted: "GONE",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_bu_03_what_changed_since_the_preview_is_skipped_and_told(bulk: BulkUpdates, change):
	email, other = bulk.mailbox(), bulk.mailbox()
	fields = {"department": "Some", "designation": "Signed"}
	contact, untouched = bulk.contact(email, **fields), bulk.contact(other, **fields)
	filters = [["Contact", "name", "in", [contact, untouched]], ["Contact", "department", "=", "Some"]]
	rule = SET | {"source": "Event", "evidence_field": "designation", "filters": json.dumps(filters)}
	name = bulk.preview(rule)
	change(contact, email, bulk)
	frappe.db.commit()
	events = frappe.db.count("Consent Event", {"bulk_update": name})
	status = bulk.do(api.run, name)
	items = bulk.items(name)
	assert (items[contact].result, items[contact].why) == ("Skipped", CHANGES[change])
	assert items[untouched].result == "Done"
	assert frappe.db.count("Consent Event", {"bulk_update": name}) == events + 1
	told = [(one["why"], one["result"], one["count"]) for one in status["why"]]
	assert told == [(CHANGES[change], "Skipped", 1)]


def test_bu_03_it_is_told_how_many_changed_since(bulk: BulkUpdates):
	email = bulk.mailbox()
	contacts = [bulk.contact(email), bulk.contact(bulk.mailbox()), bulk.contact(bulk.mailbox())]
	name = bulk.preview(PROVEN | {"records": contacts})
	assert api.status(name)["changed_since"] == 0
	give(email)
	doc = frappe.get_doc("Contact", contacts[1])
	doc.department = "Other"
	doc.save()
	assert api.status(name)["changed_since"] == 2


def test_bu_03_other_rules_are_another_preview(bulk: BulkUpdates):
	name = bulk.preview(PROVEN | {"records": [bulk.contact(bulk.mailbox())]})
	doc = frappe.get_doc("Consent Bulk Update", name)
	doc.rules[0].purpose, doc.rules[0].legal_basis = "Sales", "Contract"
	doc.save()
	frappe.db.commit()
	assert api.status(name)["status"] == "Draft"
	with pytest.raises(NotNow):
		api.run(name)


def test_bu_03_a_preview_that_was_stopped_and_changed_is_not_of_the_old_rules(bulk: BulkUpdates, monkeypatch):
	"""Whoever stops it, changes a rule and starts it again meets the worker that is still at the old ones."""
	contacts = [bulk.contact(bulk.mailbox()) for _ in range(3)]
	name = bulk.make(SALES | {"records": contacts})
	api.preview(name)
	frappe.db.commit()
	plan, pages = preview._plan, []

	def change_meanwhile(*args):
		rows = plan(*args)
		pages.append(rows)
		if len(pages) == 1:
			api.pause(name)
			doc = frappe.get_doc("Consent Bulk Update", name)
			doc.rules[0].legal_basis = "Contract"
			doc.save()
			api.preview(name)
		return rows

	monkeypatch.setattr(preview, "_plan", change_meanwhile)
	job.work(name)
	assert api.status(name)["status"] == "Previewed"
	assert {item.after for item in bulk.items(name).values()} == {"Contract"}


def test_what_is_not_run_does_not_stay_for_ever(bulk: BulkUpdates):
	"""Art. 5(1)(e): a preview and an uploaded list are copies of people's data."""
	old = bulk.preview(SALES | {"records": [bulk.contact(bulk.mailbox())]})
	new = bulk.preview(SALES | {"records": [bulk.contact(bulk.mailbox())]})
	line = {"name": f"{old}-1", "bulk_update": old, "line": 1, "email": bulk.mailbox()}
	ledger.insert("Consent Bulk Update Address", [line])
	long_ago = frappe.utils.add_days(frappe.utils.now(), -31)
	frappe.db.set_value("Consent Bulk Update", old, "modified", long_ago, update_modified=False)
	items.delete_unused()
	assert (api.status(old)["status"], api.status(new)["status"]) == ("Draft", "Previewed")
	assert not bulk.items(old) and bulk.items(new)
	assert not frappe.db.count("Consent Bulk Update Address", {"bulk_update": old})


def test_bu_03_items_that_were_tampered_with_are_not_run(bulk: BulkUpdates):
	email = bulk.mailbox()
	name = bulk.preview(PROVEN | {"records": [bulk.contact(email)]})
	other = bulk.contact(bulk.mailbox())
	frappe.db.set_value("Consent Bulk Update Item", {"bulk_update": name}, "target", other)
	status = bulk.do(api.run, name)
	assert status["status"] == "Draft" and "preview" in status["problem"]
	assert statuses(email) == []
	assert bulk.do(api.preview, name)["status"] == "Previewed"


# --- four eyes ----------------------------------------------------------------------------------------------


@pytest.fixture
def two_are_many(site: str):
	frappe.db.set_single_value("Consent Settings", "approval_from", 2)
	frappe.db.commit()
	yield
	frappe.db.rollback()
	frappe.db.set_single_value("Consent Settings", "approval_from", 500)
	frappe.db.commit()


def test_bu_04_many_need_a_second_privacy_officer(bulk: BulkUpdates, two_are_many):
	contacts = [bulk.contact(bulk.mailbox()) for _ in range(2)]
	officer, other, colleague = (
		bulk.user("Privacy Officer", "Sales User"),
		bulk.user("Privacy Officer"),
		bulk.user("Consent User", "System Manager"),
	)
	frappe.set_user(officer)
	name = bulk.preview(PROVEN | {"records": contacts})
	status = api.status(name)
	assert status["needs_approval"] and not status["may"]["approve"] and not status["may"]["run"]
	with pytest.raises(NotApproved):
		api.run(name)
	with pytest.raises(NotApproved, match="Another"):
		api.approve(name, status["selection_hash"])
	frappe.set_user(colleague)
	with pytest.raises(NotApproved, match="Only a Privacy Officer"):
		api.approve(name, status["selection_hash"])
	frappe.set_user(other)
	with pytest.raises(NotApproved, match="anew"):
		api.approve(name, "another")
	api.approve(name, status["selection_hash"])
	frappe.set_user(officer)
	assert bulk.do(api.run, name)["status"] == "Completed"
	assert frappe.get_doc("Consent Bulk Update", name).approved_by == other


def test_bu_04_an_approval_is_for_one_preview(bulk: BulkUpdates, two_are_many):
	name = bulk.preview(PROVEN | {"records": [bulk.contact(bulk.mailbox()) for _ in range(2)]})
	approve(bulk, name)
	bulk.do(api.preview, name)
	with pytest.raises(NotApproved):
		api.run(name)


def test_bu_04_who_edited_it_does_not_approve_it(bulk: BulkUpdates, two_are_many):
	name = bulk.make(PROVEN | {"records": [bulk.contact(bulk.mailbox()) for _ in range(2)]})
	editor = bulk.user("Privacy Officer", "Sales User")
	frappe.set_user(editor)
	doc = frappe.get_doc("Consent Bulk Update", name)
	doc.title = "Another one"
	doc.save()
	frappe.set_user("Administrator")
	bulk.do(api.preview, name)
	frappe.set_user(editor)
	with pytest.raises(NotApproved):
		api.approve(name, api.status(name)["selection_hash"])


def test_bu_04_each_invalidation_needs_approval(bulk: BulkUpdates):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	give(email)
	name = bulk.preview({"action": "Invalidate", "records": [contact]})
	with pytest.raises(NotApproved):
		api.run(name)
	frappe.set_user(bulk.user("Consent User", "Sales User"))
	with pytest.raises(RuleNotValid, match="Privacy Officer"):
		bulk.make({"action": "Invalidate", "records": [contact]})


def test_bu_04_a_reason_is_needed(bulk: BulkUpdates):
	with pytest.raises(frappe.MandatoryError):
		bulk.make(SALES | {"records": []}, reason="")


# --- who may ------------------------------------------------------------------------------------------------


@pytest.fixture
def sales_of_one_territory(bulk: BulkUpdates):
	"""A Consent User who sees the Leads of one territory only; that, and another territory."""
	mine, other = frappe.get_all("Territory", {"is_group": 0}, pluck="name", limit=2)
	user = bulk.user("Consent User", "Sales User")
	permission = frappe.new_doc("User Permission", user=user, allow="Territory", for_value=mine).insert()
	frappe.db.commit()
	yield user, mine, other
	frappe.set_user("Administrator")
	frappe.db.rollback()
	permission.delete(force=True)
	frappe.db.commit()


def test_bu_05_each_record_needs_the_users_own_right(bulk: BulkUpdates, sales_of_one_territory):
	user, mine, other = sales_of_one_territory
	visible = bulk.lead(bulk.mailbox(), territory=mine)
	hidden = bulk.lead(bulk.mailbox(), territory=other)
	rule = SALES | {"target_doctype": "Lead", "records": [visible, hidden]}
	frappe.set_user(user)
	assert [*bulk.items(bulk.preview(rule))] == [visible]


def test_bu_05_the_right_counts_when_it_is_run(bulk: BulkUpdates, sales_of_one_territory):
	user, mine, other = sales_of_one_territory
	visible = bulk.lead(bulk.mailbox(), territory=mine)
	moved = bulk.lead(bulk.mailbox(), territory=mine)
	frappe.set_user(user)
	name = bulk.preview(SALES | {"target_doctype": "Lead", "records": [visible, moved]})
	frappe.db.set_value("Lead", moved, "territory", other)
	bulk.do(api.run, name)
	items = bulk.items(name)
	assert (items[visible].result, items[moved].result, items[moved].why) == ("Done", "Skipped", "GONE")


def test_bu_05_addresses_of_hidden_people_are_left_out(bulk: BulkUpdates, sales_of_one_territory):
	user, _mine, other = sales_of_one_territory
	hidden, unknown = bulk.mailbox(), bulk.mailbox()
	bulk.lead(hidden, territory=other)
	frappe.db.delete("Contact Email", {"email_id": hidden})  # ERPNext makes a Contact of each Lead
	frappe.set_user(user)
	name = bulk.make(SALES | {"target_doctype": "Consent Bulk Update Address"})
	ledger.insert(
		"Consent Bulk Update Address",
		[
			{"name": f"{name}-{line}", "bulk_update": name, "line": line, "email": email}
			for line, email in enumerate((hidden, unknown))
		],
	)
	bulk.do(api.preview, name)
	assert bulk.item(name).email == unknown


DOORS = {
	"preview": (),
	"approve": ("hash",),
	"run": (),
	"pause": (),
	"resume": (),
	"revert": ("Because",),
	"status": (),
}


@pytest.mark.parametrize("door", DOORS)
def test_asvs_8_2_2_doors_are_for_those_who_may(bulk: BulkUpdates, door: str):
	name = bulk.make(SALES | {"records": []})
	for roles in (("Sales User",), ("Consent User",)):  # who may make their own, too
		frappe.set_user(bulk.user(*roles))
		with pytest.raises(frappe.PermissionError):
			getattr(api, door)(name, *DOORS[door])
		frappe.set_user("Administrator")


def test_doors_change_nothing_on_get(bulk: BulkUpdates, web):
	name = bulk.preview(SALES | {"records": [bulk.contact(bulk.mailbox())]})
	cookies = web.login("Administrator")
	for door in DOORS:
		path = f"/api/method/gdpr_consent.bulk_update.api.{door}?bulk_update={name}"
		assert web.call("GET", path, cookies=cookies).status_code == 403
	frappe.db.commit()
	assert api.status(name)["status"] == "Previewed"


# --- afterwards ---------------------------------------------------------------------------------------------


def test_bu_07_what_was_run_stays(bulk: BulkUpdates):
	name = bulk.run(SALES | {"records": [bulk.contact(bulk.mailbox())]})
	doc = frappe.get_doc("Consent Bulk Update", name)
	doc.reason = "Another one"
	item = frappe.get_doc("Consent Bulk Update Item", bulk.item(name).name)
	for act in (
		doc.save,
		doc.delete,
		lambda: frappe.delete_doc("Consent Bulk Update", name, force=True, ignore_on_trash=True),
		lambda: doc.db_set("reason", "Another one"),
		lambda: frappe.rename_doc("Consent Bulk Update", name, "CBU-other"),
		item.save,
		item.delete,
		lambda: item.db_set("result", "Failed"),
	):
		with pytest.raises(RegisterIsAppendOnly):
			act()
		frappe.db.rollback()
	for door in (api.preview, api.run, api.resume):
		with pytest.raises(NotNow):
			door(name)


def test_bu_07_the_files_of_what_was_run_stay(bulk: BulkUpdates):
	name = bulk.preview(SALES | {"records": [bulk.contact(bulk.mailbox())]})
	attached = {"attached_to_doctype": "Consent Bulk Update", "attached_to_name": name, "is_private": 1}
	draft, kept = (
		frappe.new_doc("File", file_name=f"{one}.txt", content=one, **attached).insert() for one in "ab"
	)
	draft.delete()
	bulk.do(api.run, name)
	with pytest.raises(RegisterIsAppendOnly):
		kept.delete()


def test_bu_01_a_document_that_the_user_may_not_read_proves_nothing(bulk: BulkUpdates):
	"""It is somebody else's, and naming it would tell that it is there."""
	secret = frappe.new_doc("File", file_name="secret.txt", content="Not yours", is_private=1).insert()
	email = bulk.mailbox()
	contact = bulk.contact(email, department=secret.file_url)
	frappe.set_user(bulk.user("Consent User", "Sales User"))
	with pytest.raises(RuleNotValid, match="visible"):
		bulk.make(SET | {"source": "Event", "evidence_file": secret.file_url, "records": [contact]})
	rule = SET | {"source": "Event", "evidence_field": "department", "records": [contact]}
	assert bulk.item(bulk.run(rule)).after == "Unknown"
	frappe.set_user("Administrator")
	secret.delete()


def test_a_draft_can_be_deleted_with_its_items(bulk: BulkUpdates):
	name = bulk.preview(SALES | {"records": [bulk.contact(bulk.mailbox())]})
	frappe.delete_doc("Consent Bulk Update", name)
	assert not frappe.db.count("Consent Bulk Update Item", {"bulk_update": name})


def test_nobody_writes_the_outcome_by_hand(bulk: BulkUpdates):
	name = bulk.make(SALES | {"records": [bulk.contact(bulk.mailbox())]})
	doc = frappe.get_doc("Consent Bulk Update", name)
	doc.update({"status": "Previewed", "needs_approval": 0, "approved_by": "me", "selection_hash": "x"})
	doc.save()
	assert (doc.status, doc.approved_by, doc.selection_hash) == ("Draft", None, None)


def test_bu_05_each_event_names_the_update(bulk: BulkUpdates):
	contacts = [bulk.contact(bulk.mailbox()) for _ in range(3)]
	name = bulk.run(PROVEN | {"records": contacts})
	consents = [item.consent for item in bulk.items(name).values()]
	events = frappe.get_all("Consent Event", {"bulk_update": name}, ["consent", "kind"])
	assert sorted(event.consent for event in events) == sorted(consents)
	assert {event.kind for event in events} == {"Give"}
	assert ledger.verify()["ok"]


# --- two at once, and errors --------------------------------------------------------------------------------


def test_bu_06_two_runs_do_not_overlap_on_a_record(bulk: BulkUpdates):
	shared, other = bulk.contact(bulk.mailbox()), bulk.contact(bulk.mailbox())
	first = bulk.preview(SALES | {"records": [shared]})
	second = bulk.preview(SALES | {"legal_basis": "Contract", "records": [shared, other]})
	third = bulk.preview(SALES | {"records": [other]})
	api.run(first)
	with pytest.raises(RecordsInAnotherRun, match=first):
		api.run(second)
	api.run(third)
	for name in (first, third):
		job.work(name)
	bulk.do(api.run, second)
	assert bulk.items(second)[shared].why == "CHANGED"


def test_bu_06_a_record_that_fails_is_listed_and_stops_no_other(bulk: BulkUpdates, monkeypatch):
	emails = [bulk.mailbox() for _ in range(5)]
	contacts = [bulk.contact(email) for email in emails]
	name = bulk.preview(PROVEN | {"records": contacts})
	carry_out = register.change_many

	def fail_for_one(orders, *args, **more):
		if any(order.subject.email == emails[2] for order in orders):
			raise ZeroDivisionError
		return carry_out(orders, *args, **more)

	monkeypatch.setattr(register, "change_many", fail_for_one)
	status = bulk.do(api.run, name)
	items = bulk.items(name)
	assert status["status"] == "Completed" and status["processed"] == 5
	assert {items[contact].result for contact in contacts} == {"Done", "Failed"}
	assert (items[contacts[2]].result, items[contacts[2]].why) == ("Failed", "ERROR")
	assert [statuses(email) for email in emails] == [["Given"], ["Given"], [], ["Given"], ["Given"]]
	log = frappe.get_last_doc("Error Log", {"method": ["like", "%a record failed%"]})
	assert emails[2] not in log.error and items[contacts[2]].name in log.error


def test_bu_06_a_run_is_paused_and_goes_on(bulk: BulkUpdates, monkeypatch):
	emails = [bulk.mailbox() for _ in range(6)]
	name = bulk.preview(PROVEN | {"records": [bulk.contact(email) for email in emails]})
	monkeypatch.setattr(run, "AT_ONCE", 2)
	chunks = []
	monkeypatch.setattr(job, "tell", lambda _name: chunks.append(1) or (len(chunks) == 2 and api.pause(name)))
	status = bulk.do(api.run, name)
	assert (status["status"], status["processed"]) == ("Paused", 4)
	assert status["may"]["resume"] and status["may"]["revert"]
	monkeypatch.setattr(job, "tell", lambda _name: None)
	assert bulk.do(api.resume, name)["status"] == "Completed"
	assert [statuses(email) for email in emails] == [["Given"]] * 6


def test_bu_06_what_a_dead_worker_left_is_taken_up(bulk: BulkUpdates, monkeypatch):
	name = bulk.preview(PROVEN | {"records": [bulk.contact(bulk.mailbox())]})
	api.run(name)
	frappe.db.commit()
	started = []
	monkeypatch.setattr(job, "start", started.append)
	job.take_up()
	assert name in started


def test_a_preview_that_fails_says_why(bulk: BulkUpdates):
	name = bulk.make(SALES | {"records": [bulk.contact(bulk.mailbox())]})
	api.preview(name)
	frappe.db.set_value("Processing Purpose", "Sales", "enabled", 0)
	frappe.clear_document_cache("Processing Purpose", "Sales")
	frappe.db.commit()
	try:
		job.work(name)
	finally:
		frappe.db.set_value("Processing Purpose", "Sales", "enabled", 1)
		frappe.clear_document_cache("Processing Purpose", "Sales")
		frappe.db.commit()
	status = api.status(name)
	assert status["status"] == "Draft" and "Sales" in status["problem"]


def test_a_chunk_takes_as_many_queries_for_many_as_for_few(bulk: BulkUpdates, monkeypatch):
	counts = []
	for number in (2, 2, 20):  # the first one fills caches
		contacts = [bulk.contact(bulk.mailbox()) for _ in range(number)]
		name = bulk.preview(SALES | {"legal_basis": "Contract", "records": contacts})
		api.run(name)
		frappe.db.commit()
		sql, asked = frappe.db.sql, []
		monkeypatch.setattr(
			frappe.db,
			"sql",
			lambda *args, sql=sql, asked=asked, **more: asked.append(1) or sql(*args, **more),
		)
		job.work(name)
		monkeypatch.undo()
		counts.append(len(asked))
	assert counts[2] <= counts[1]


# --- and back -----------------------------------------------------------------------------------------------


def revert(bulk: BulkUpdates, name: str) -> frappe._dict:
	bulk.do(api.revert, name, "It was wrong")
	return bulk.item(name)


@pytest.mark.parametrize(
	("rule", "status"),
	[(PROVEN, "Revoked"), (SET, "Invalidated"), (SALES, "Ended"), ({"action": "Ask"}, "Lapsed")],
	ids=["consent", "claim", "other basis", "asked"],
)
def test_what_was_recorded_ends(bulk: BulkUpdates, smtp, rule: dict, status: str):
	email = bulk.mailbox()
	name = bulk.run(rule | {"records": [bulk.contact(email)]})
	assert revert(bulk, name).result == "Reverted"
	assert statuses(email, rule.get("purpose", "Email Marketing")) == [status]
	assert not allowed(email)


def test_what_was_replaced_is_recorded_again_as_it_was(bulk: BulkUpdates):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	before = give(email, evidence="Told Ann", given_on="2026-01-05")
	name = bulk.run(PROVEN | {"records": [contact]})
	assert statuses(email) == ["Superseded", "Given"]
	assert revert(bulk, name).result == "Reverted"
	same = ["source", "evidence", "evidence_grade", "given_on", "expires_on", "wording", "party", "country"]
	now = {"address_key": address_key(email), "status": "Given"}
	assert frappe.db.get_value("Consent", now, same) == frappe.db.get_value("Consent", before, same)
	assert sorted(statuses(email)) == ["Given", "Superseded", "Superseded"]
	assert ledger.verify()["ok"]


@pytest.mark.parametrize("action", ["Revoke", "Expire", "Invalidate"])
def test_what_was_ended_is_recorded_again(bulk: BulkUpdates, action: str, committed_topic):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	for topic in (None, committed_topic):
		give(email, topic)
	name = bulk.preview({"action": action, "records": [contact]})
	if action == "Invalidate":
		approve(bulk, name)
	bulk.do(api.run, name)
	assert not allowed(email)
	assert revert(bulk, name).result == "Reverted"
	assert allowed(email, committed_topic)


def test_st_08_a_no_stays_when_the_update_is_taken_back(bulk: BulkUpdates):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	give(email)
	name = bulk.run({"action": "Withdraw", "source": "Phone", "records": [contact]})
	item = revert(bulk, name)
	assert (item.result, item.why) == ("Not Reverted", "NO_STAYS")
	assert not allowed(email)


MIND = {
	"withdrew": lambda email: register_api.withdraw_consent(email=email),
	"objected": lambda email: register_api.object_to_marketing(email=email),
	"refused": lambda email: register.refuse(email=email),
}


@pytest.mark.parametrize("changed", MIND)
@pytest.mark.parametrize("rule", [PROVEN, {"action": "Revoke"}, {"action": "Expire"}], ids=str)
def test_who_changed_their_mind_since_is_left_as_they_are(bulk: BulkUpdates, rule: dict, changed: str):
	email, other = bulk.mailbox(), bulk.mailbox()
	contact, same = bulk.contact(email), bulk.contact(other)
	for one in (email, other):
		give(one, source="Event")
	name = bulk.run(rule | {"records": [contact, same]})
	MIND[changed](email)
	frappe.db.commit()
	after = statuses(email)
	bulk.do(api.revert, name, "It was wrong")
	items = bulk.items(name)
	assert (items[contact].result, items[contact].why) == ("Not Reverted", "CHANGED")
	assert items[same].result == "Reverted"
	assert statuses(email) == after and not allowed(email)
	assert allowed(other)


def test_who_confirmed_since_keeps_their_yes(bulk: BulkUpdates, smtp, fresh_counters):
	email = bulk.mailbox()
	name = bulk.run({"action": "Ask", "records": [bulk.contact(email)]})
	register_api.confirm_consent(links.confirmation_url([bulk.item(name).consent]).split("t=")[1])
	frappe.db.commit()
	item = revert(bulk, name)
	assert (item.result, item.why) == ("Not Reverted", "CHANGED")
	assert allowed(email)


def test_what_is_over_by_now_does_not_come_back(bulk: BulkUpdates, monkeypatch):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	give(email, given_on="2026-01-05", expires_on=writing.now_utc() + timedelta(hours=1))
	name = bulk.run({"action": "Revoke", "records": [contact]})
	later = writing.now_utc() + timedelta(hours=2)
	monkeypatch.setattr(writing, "now_utc", lambda: later)
	item = revert(bulk, name)
	assert (item.result, item.why) == ("Not Reverted", "OVER")
	assert statuses(email) == ["Revoked"]


def test_a_run_that_was_paused_is_taken_back_as_far_as_it_came(bulk: BulkUpdates, monkeypatch):
	emails = [bulk.mailbox() for _ in range(4)]
	name = bulk.preview(SALES | {"records": [bulk.contact(email) for email in emails]})
	monkeypatch.setattr(run, "AT_ONCE", 2)
	monkeypatch.setattr(job, "tell", lambda _name: job.phase_of(name) and api.pause(name))
	bulk.do(api.run, name)
	monkeypatch.setattr(job, "tell", lambda _name: None)
	assert bulk.do(api.revert, name, "Wrong")["status"] == "Reverted"
	assert sorted(statuses(email, "Sales") for email in emails) == [[], [], ["Ended"], ["Ended"]]


def test_what_had_to_be_approved_is_taken_back_by_an_officer(bulk: BulkUpdates, two_are_many):
	contacts = [bulk.contact(bulk.mailbox()) for _ in range(2)]
	user = bulk.user("Consent User", "Sales User")
	frappe.set_user(user)
	name = bulk.preview(SALES | {"records": contacts})
	frappe.set_user("Administrator")
	approve(bulk, name)
	frappe.set_user(user)
	bulk.do(api.run, name)
	with pytest.raises(NotApproved):
		api.revert(name, "Wrong")


def test_a_reason_is_needed_to_take_back(bulk: BulkUpdates):
	name = bulk.run(SALES | {"records": [bulk.contact(bulk.mailbox())]})
	with pytest.raises(NotNow, match="Reason"):
		api.revert(name, " ")


# --- what a review found ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["approved", "run"])
def test_bu_04_bu_07_a_rule_is_not_changed_by_itself(bulk: BulkUpdates, state: str):
	"""Neither behind an approval nor behind a run."""
	name = bulk.preview(SALES | {"records": [bulk.contact(bulk.mailbox())]})
	if state == "run":
		bulk.do(api.run, name)
	row = frappe.get_doc("Consent Bulk Update", name).rules[0]
	values = row.as_dict() | {"action": "Withdraw"}
	by_its_parent = () if state == "approved" else (lambda: client.delete(row.doctype, row.name),)
	for act in (
		*by_its_parent,  # which saves that, and so takes the approval back
		lambda: client.save(values),
		lambda: frappe.delete_doc(row.doctype, row.name, force=True, ignore_on_trash=True),
		lambda: frappe.get_doc(row.doctype, row.name).db_set("action", "Withdraw"),
	):
		with pytest.raises(RegisterIsAppendOnly):
			act()
		frappe.db.rollback()
	assert frappe.db.get_value(row.doctype, row.name, "action") == "Set"


def test_bu_01_a_claim_that_was_invalidated_comes_back_as_a_claim(bulk: BulkUpdates):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	bulk.run(SET | {"records": [contact]})
	name = bulk.preview({"action": "Invalidate", "records": [contact]})
	approve(bulk, name)
	bulk.do(api.run, name)
	assert revert(bulk, name).result == "Reverted"
	assert sorted(statuses(email)) == ["Invalidated", "Unknown"]


@pytest.mark.parametrize("merge", [False, True])
def test_bu_03_a_renamed_record_is_skipped_and_stops_no_other(bulk: BulkUpdates, merge: bool):
	renamed, other = bulk.contact(bulk.mailbox()), bulk.contact(bulk.mailbox())
	name = bulk.preview(SALES | {"records": [renamed, other]})
	new = other if merge else f"{renamed} renamed"
	frappe.rename_doc("Contact", renamed, new, merge=merge, force=True)
	bulk.people["Contact"].append(new)
	frappe.db.commit()
	assert bulk.do(api.run, name)["status"] == "Completed"
	assert bulk.items(name)[renamed].why == "GONE"


def test_what_was_run_is_taken_back_though_its_purpose_is_disabled(bulk: BulkUpdates):
	name = bulk.run(SALES | {"records": [bulk.contact(bulk.mailbox())]})
	purpose = frappe.get_doc("Processing Purpose", "Sales")
	frappe.db.set_value("Processing Purpose", "Sales", "enabled", 0)
	frappe.clear_document_cache("Processing Purpose", "Sales")
	frappe.db.commit()
	try:
		assert revert(bulk, name).result == "Reverted"
	finally:
		frappe.db.set_value("Processing Purpose", "Sales", "enabled", purpose.enabled)
		frappe.clear_document_cache("Processing Purpose", "Sales")
		frappe.db.commit()


def test_bu_05_a_report_shows_nobody_whom_the_reader_may_not_see(bulk: BulkUpdates):
	"""Somebody else's preview of my rules found them, not mine."""
	email = bulk.mailbox()
	contact = bulk.contact(email)
	user = bulk.user("Consent User", "Sales User")
	frappe.set_user(user)
	name = bulk.make(SALES | {"records": [contact]})
	frappe.set_user("Administrator")
	bulk.do(api.preview, name)
	frappe.set_user(user)
	assert email not in str(report.consent_bulk_update_report(name))
	frappe.set_user("Administrator")
	assert email in str(report.consent_bulk_update_report(name))


def test_bu_07_a_file_named_by_a_run_stays_wherever_it_is_attached(bulk: BulkUpdates):
	tag = frappe.generate_hash()  # of the same content there would be one file
	file = frappe.new_doc("File", file_name=f"{tag}.txt", content=tag).insert()
	contact = bulk.contact()  # nobody is changed, so no consent names it
	bulk.run(SET | {"source": "Event", "evidence_file": file.file_url, "records": [contact]})
	with pytest.raises(RegisterIsAppendOnly):
		file.delete()
	frappe.db.rollback()


def test_bu_01_a_dash_is_no_proof(bulk: BulkUpdates):
	contact = bulk.contact(bulk.mailbox(), department="-")
	rule = SET | {"source": "Event", "evidence_field": "department", "records": [contact]}
	assert bulk.item(bulk.run(rule)).after == "Unknown"
