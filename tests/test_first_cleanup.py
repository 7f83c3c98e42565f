"""What a first clean-up proposes, and to whom; the counts are those of records that a test adds."""

import json

import pytest
from conftest import give

import frappe

from gdpr_consent import api
from gdpr_consent.bulk_update import first_cleanup, rules, selection
from gdpr_consent.bulk_update.first_cleanup import overview, propose
from gdpr_consent.identity import PARTY_TYPES

CONTRACT = {"action": "Set", "channel": "Email", "legal_basis": "Contract", "source": "Import"}
WORK = {"item_name": "Work", "description": "Work", "uom": "Nos", "qty": 1, "rate": 10}


def titles(part: str) -> dict[str, int]:
	"""Return what is proposed or told whose title has these words, with its count."""
	return {row["title"]: row["count"] for row in propose() if part in row["title"]}


def total(part: str) -> int:
	return sum(titles(part).values())


def rule_of(part: str) -> dict:
	(rule,) = [row["rule"] for row in propose() if part in row["title"] and row["rule"]]
	return rule


def more(part: str, before: int) -> int:
	return total(part) - before


@pytest.fixture
def invoice(site: str):
	"""Make a submitted Sales Invoice of a Customer, so many years ago."""

	def make(customer: str, years_ago: int = 0, submit: bool = True):
		company = frappe.get_all("Company", pluck="name")[0]
		made = frappe.new_doc("Sales Invoice", customer=customer, company=company)
		income = frappe.db.get_value("Account", {"company": company, "root_type": "Income", "is_group": 0})
		made.append("items", WORK | {"income_account": income})
		made.set_missing_values()
		made.insert()
		if submit:
			made.submit()
		date = frappe.utils.add_years(frappe.utils.getdate(), -years_ago)
		frappe.db.set_value("Sales Invoice", made.name, "posting_date", date)
		return made

	return make


@pytest.fixture
def opportunity(site: str):
	def make(lead: str, status: str = "Open"):
		company = frappe.get_all("Company", pluck="name")[0]
		made = frappe.new_doc(
			"Opportunity", opportunity_from="Lead", party_name=lead, company=company
		).insert()
		frappe.db.set_value("Opportunity", made.name, "status", status)
		return made

	return make


def test_customers_are_told_apart_by_how_old_their_invoices_are(customer, invoice):
	new, old = total("none of them newer"), total("Customers with invoices")
	recent, kept, ancient, draft, both = (customer().name for _number in range(5))
	for name, years in ((recent, 0), (kept, 4), (ancient, 12), (both, 4), (both, 1)):
		invoice(name, years)
	invoice(draft, submit=False)
	assert more("none of them newer", new) == 1
	assert more("Customers with invoices", old) == 3
	left = total("Customer: without any legal basis")
	customer()
	assert total("Customer: without any legal basis") == left + 1
	rules = [row["rule"] for row in propose() if "Customers with invoices" in row["title"]]
	assert [rule["legal_basis"] for rule in rules] == ["Contract", "Legal Obligation"]
	for rule in rules:
		assert (rule["target_doctype"], rule["purpose"]) == ("Customer", "Contract Fulfilment")
		assert rule["linked_doctype"] == "Sales Invoice"
		assert ["Sales Invoice", "docstatus", "=", 1] in json.loads(rule["linked_filters"])


def test_contacts_of_customers_who_are_not_disabled(contact, customer, address):
	before, left = total("Contacts of customers"), total("Contact: without any legal basis")
	known, forgotten, stranger = (contact(address()) for _number in range(3))
	customer(known)
	frappe.db.set_value("Customer", customer(forgotten).name, "disabled", 1)
	assert more("Contacts of customers", before) == 1
	assert more("Contact: without any legal basis", left) == 2, stranger
	rule = rule_of("Contacts of customers")
	assert rule.items() >= (CONTRACT | {"target_doctype": "Contact", "purpose": "Customer Service"}).items()
	assert json.loads(rule["linked_filters"]) == [["Customer", "disabled", "=", 0]]


def test_leads_are_told_apart_by_what_is_going_on_with_them(lead, opportunity, address):
	parts = ("open opportunity", "became customers", "Lead: without any legal basis", "Lead: said no")
	before = {part: total(part) for part in parts}
	open_one, lost, converted, stop = (lead(address()).name for _number in range(4))
	opportunity(open_one)
	opportunity(lost, "Lost")
	opportunity(stop)
	frappe.db.set_value("Lead", converted, "status", "Converted")
	frappe.db.set_value("Lead", stop, "status", "Do Not Contact")
	frappe.db.set_value("Lead", lost, "unsubscribed", 1)
	assert {part: more(part, before[part]) for part in parts} == {
		"open opportunity": 1,
		"became customers": 1,
		"Lead: without any legal basis": 2,
		"Lead: said no": 2,
	}
	rule = rule_of("open opportunity")
	assert (rule["purpose"], rule["legal_basis"]) == ("Sales", "Legitimate Interests")
	assert json.loads(rule["filters"]) == [["Lead", "status", "!=", "Do Not Contact"]]
	assert json.loads(rule_of("became customers")["filters"]) == [["Lead", "status", "=", "Converted"]]


def test_the_first_rule_that_finds_a_lead_has_it(lead, opportunity, address):
	before = total("open opportunity")
	name = lead(address()).name
	opportunity(name)
	frappe.db.set_value("Lead", name, "status", "Converted")
	assert more("open opportunity", before) == 0


def test_leads_with_an_open_quotation(lead, address):
	before = total("open quotation")
	name = lead(address()).name
	company = frappe.get_all("Company", pluck="name")[0]
	made = frappe.new_doc("Quotation", quotation_to="Lead", party_name=name, company=company)
	made.append("items", WORK)
	made.set_missing_values()
	made.insert()
	assert more("open quotation", before) == 0, "A draft is no offer."
	made.submit()
	assert more("open quotation", before) == 1
	rule = rule_of("open quotation")
	assert (rule["purpose"], rule["legal_basis"], rule["linked_doctype"]) == (
		"Sales",
		"Contract",
		"Quotation",
	)


def test_who_said_no_is_told_and_gets_no_rule(contact, address):
	before = total("Contact: said no")
	contact(address(), unsubscribed=1)
	(told,) = [row for row in propose() if row["title"].startswith("Contact: said no")]
	assert told["count"] == before + 1 and told["rule"] is None


def test_members_of_the_group_of_a_topic_who_never_agreed(topic, group_of, address):
	group = group_of(topic)
	agreed, silent, gone = address(), address(), address()
	for email in (None, topic):
		give(agreed, email)
	for email in (silent, gone):
		frappe.new_doc("Email Group Member", email_group=group, email=email).insert()
	frappe.db.set_value("Email Group Member", {"email_group": group, "email": gone}, "unsubscribed", 1)
	assert frappe.db.exists("Email Group Member", {"email_group": group, "email": agreed})
	(row,) = [row for row in propose() if group in row["title"]]
	assert row["count"] == 1
	assert (
		row["rule"].items()
		>= {
			"target_doctype": "Email Group Member",
			"purpose": "Email Marketing",
			"topic": topic,
			"legal_basis": "Consent",
			"action": "Set",
		}.items()
	)
	assert "evidence_file" not in row["rule"], "Without proof it becomes Unknown."
	assert "Ask" not in [row["rule"]["action"] for row in propose() if row["rule"]]


def test_whom_the_register_knows_is_not_left_over(contact, lead, customer, address):
	parts = [f"{doctype}: without any legal basis" for doctype in ("Contact", "Lead")]
	before = {part: total(part) for part in parts}
	known, refused = address("{}@Known.example"), address()
	contact(known.upper())
	give(known)
	lead(refused)
	api.object_to_marketing(email=refused)
	lead("")
	assert {part: more(part, before[part]) for part in parts} == {parts[0]: 1, parts[1]: 1}, (
		"Of each Lead ERPNext makes a Contact with the same address, or with none."
	)


def test_the_overview_counts_people_with_any_record_in_the_register(contact, lead, customer, address):
	def numbers() -> dict[str, tuple[int, int]]:
		return {part["doctype"]: (part["total"], part["known"]) for part in overview()}

	before = numbers()
	email, former = address(), address()
	one = contact(email)
	customer(one)
	contact(address())
	give(email)
	moved = lead(former)
	give(former, party_type="Lead", party=moved.name)
	frappe.db.set_value("Lead", moved.name, "email_id", address())
	after = numbers()
	change = {
		doctype: tuple(new - old for new, old in zip(after[doctype], before[doctype], strict=True))
		for doctype in after
	}
	# Of each Lead ERPNext makes a Contact with the same address.
	assert change == {"Contact": (3, 2), "Lead": (1, 1), "Customer": (1, 1)}


def test_pages_lose_nobody(contact, customer, lead, address, monkeypatch):
	for _number in range(3):
		customer(contact(address()))
	give(email := address())
	contact(email)
	whole, seen = propose(), overview()
	monkeypatch.setattr(first_cleanup, "AT_ONCE", 2)
	monkeypatch.setattr(first_cleanup, "KEYS_AT_ONCE", 2)
	assert propose() == whole and overview() == seen


@pytest.mark.parametrize(
	("doctype", "name"),
	[
		("Processing Purpose", "Customer Service"),
		("Legal Basis", "Contract"),
		("Legal Basis", "Legitimate Interests"),
	],
)
def test_what_is_disabled_is_not_proposed(doctype, name, contact, customer, address):
	customer(contact(address()))
	frappe.db.set_value(doctype, name, "enabled", 0)
	frappe.clear_document_cache(doctype, name)
	rules = [row["rule"] for row in propose() if row["rule"]]
	assert name not in [rule["purpose"] for rule in rules] + [rule["legal_basis"] for rule in rules]
	found = {row["title"] for row in propose()}
	assert ("Contacts of customers" in found) == (name != "Customer Service")


def test_a_basis_that_the_purpose_does_not_allow_is_not_proposed(contact, customer, address):
	customer(contact(address()))
	frappe.db.delete(
		"Processing Purpose Legal Basis", {"parent": "Customer Service", "legal_basis": "Contract"}
	)
	assert rule_of("Contacts of customers")["legal_basis"] == "Legitimate Interests"


def test_a_source_that_is_gone_is_left_out(contact, customer, address):
	customer(contact(address()))
	frappe.db.set_value("Consent Source", "Import", "enabled", 0)
	assert rule_of("Contacts of customers")["source"] is None


def test_bu_05_only_what_the_user_may_read_is_counted(contact, customer, address, user_with_roles):
	mine, theirs = contact(address()), contact(address())
	customer(mine)
	customer(theirs)
	user = user_with_roles("Privacy Officer", "Sales User")
	frappe.set_user("Administrator")
	frappe.new_doc("User Permission", user=user, allow="Contact", for_value=mine.name).insert()
	frappe.set_user(user)
	assert total("Contacts of customers") == 1
	assert {part["doctype"]: part["total"] for part in overview()}["Contact"] == 1


def test_bu_05_who_may_not_read_invoices_gets_no_rule_about_them(customer, invoice, user_with_roles):
	invoice(customer().name)
	assert titles("Customers with invoices")
	user_with_roles("Privacy Officer")
	assert not titles("Customers with invoices")
	assert [row for row in propose() if row["title"] == "Customer: not visible to you"]
	assert not any(part["total"] for part in overview())


@pytest.mark.parametrize("door", [propose, overview])
def test_bu_05_the_doors_are_for_those_who_may_make_bulk_updates(door, user_with_roles):
	user_with_roles("Sales User", "Newsletter Manager")
	with pytest.raises(frappe.PermissionError):
		door()


@pytest.mark.parametrize("door", ["propose", "overview"])
def test_the_doors_are_post_only(door, web):
	path = f"/api/method/gdpr_consent.bulk_update.first_cleanup.{door}"
	assert web.call("GET", path).status_code == 403
	assert web.call("POST", path).status_code == 403


def test_a_bulk_update_of_the_proposals_finds_as_many_as_they_say(
	contact, customer, invoice, lead, opportunity, address
):
	one = customer(contact(address()), contact(address()))
	invoice(one.name)
	invoice(customer().name, 4)
	opportunity(lead(address()).name)
	frappe.db.set_value("Lead", lead(address()).name, "status", "Converted")
	proposals = [row for row in propose() if row["rule"]]
	rows = [dict(row["rule"]) for row in proposals]
	made = frappe.new_doc("Consent Bulk Update", title="First", reason="First", rules=rows).insert()
	found: set[tuple[str, str]] = set()
	for proposal, rule in zip(proposals, rules.read(made), strict=True):
		if rule.doctype in PARTY_TYPES:
			names = {(one.doctype, one.name) for page in selection.pages(rule) for one in page}
			assert len(names - found) == proposal["count"], proposal["title"]
			found |= names
	assert len({doctype for doctype, _name in found}) == 3
