"""What isn't needed any more is found, looked at and erased (RE-01, RE-03)."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from conftest import BulkUpdates, give
from test_legal_hold import hold

import frappe
from frappe.utils import add_to_date, get_datetime, nowdate

from gdpr_consent import api
from gdpr_consent.exceptions import ChangedMeanwhile, FilterNotValid, NotNow
from gdpr_consent.identity import address_key
from gdpr_consent.reports import past_retention
from gdpr_consent.rights import restriction, retention

LONG_AGO = "2021-03-01 09:00:00"


@pytest.fixture
def rule(site: str) -> Iterator[Callable]:
	"""Make a committed rule of 36 months for the records named."""
	made: list[str] = []

	def make(doctype: str, *names: str, **more):
		filters = json.dumps([[doctype, "name", "in", names]])
		values = {"purpose": "Sales", "months": 36, "ref_doctype": doctype, "filters": filters}
		title = f"Rule {frappe.generate_hash(length=8)}"
		doc = frappe.new_doc("Retention Rule", title=title, **values | more).insert()
		made.append(doc.name)
		frappe.db.commit()
		return doc

	yield make
	frappe.db.rollback()
	frappe.db.delete("Retention Rule", {"name": ["in", made or ["none"]]})
	frappe.db.commit()


def made_long_ago(doctype: str, *names: str) -> None:
	for name in names:
		frappe.db.set_value(doctype, name, "creation", LONG_AGO, update_modified=False)


def due_names(rule) -> list[str]:
	return sorted(one.person.party for one in retention.due(rule))


def test_re_03_only_the_silent_are_due(bulk: BulkUpdates, rule, mailbox):
	addresses = [mailbox() for _number in range(6)]
	silent, _fresh, mailed, agreed, bought, withdrew = contacts = [bulk.contact(one) for one in addresses]
	made_long_ago("Contact", silent, mailed, agreed, bought, withdrew)
	frappe.new_doc(
		"Communication",
		subject="A question",
		communication_date=nowdate(),
		timeline_links=[{"link_doctype": "Contact", "link_name": mailed}],
	).insert()
	give(addresses[3])
	give(addresses[5])
	api.withdraw_consent(email=addresses[5])
	customer = bulk.customer(bought)
	quotation(customer, nowdate())
	assert due_names(rule("Contact", *contacts)) == sorted([silent, withdrew])


def quotation(customer: str, day: str) -> None:
	"""Put a quotation on record, without what ERPNext asks of one before it is sent."""
	doc = frappe.new_doc("Quotation", quotation_to="Customer", party_name=customer, transaction_date=day)
	doc.name = f"Q-{frappe.generate_hash(length=8)}"
	doc.db_insert()


@pytest.mark.parametrize("days, is_due", [(-1, False), (0, False), (1, True)])
def test_re_03_the_day_on_which_the_months_are_over_is_the_last_one_kept(days, is_due, bulk, rule):
	lead = bulk.lead(bulk.mailbox())
	limit = get_datetime(add_to_date(nowdate(), months=-36))
	frappe.db.set_value("Lead", lead, "creation", limit - timedelta(days=days), update_modified=False)
	assert due_names(rule("Lead", lead)) == ([lead] if is_due else [])


def test_re_03_who_is_held_is_told_apart(bulk: BulkUpdates, rule):
	contacts = [bulk.contact(bulk.mailbox()) for _number in range(2)]
	made_long_ago("Contact", *contacts)
	held = hold("Contact", contacts[0])
	found = rule("Contact", *contacts)
	assert {one.person.party: one.held_by for one in retention.due(found)} == {
		contacts[0]: (held.name,),
		contacts[1]: (),
	}
	counted = retention.overview(found)
	assert (counted["due"], counted["held"]) == (1, 1)
	shown = past_retention.execute({"rule": found.name})
	assert {row["party"]: row["held_by"] for row in shown.rows} == {contacts[0]: held.name, contacts[1]: ""}
	assert [figure["value"] for figure in shown.summary] == [1, 1]


def test_ds_20_what_may_only_be_stored_is_not_erased(bulk: BulkUpdates, rule):
	lead = bulk.lead(bulk.mailbox())
	made_long_ago("Lead", lead)
	frappe.db.set_value("Lead", lead, restriction.FIELD, 1)
	assert [one.held_by for one in retention.due(rule("Lead", lead))] == [("Restriction",)]


def test_conditions_that_cannot_be_read_are_refused(rule):
	with pytest.raises(FilterNotValid, match="conditions"):
		rule("Contact", filters="{}")


def test_another_500_people_take_a_handful_of_queries(bulk: BulkUpdates, rule, monkeypatch):
	bulk.many_contacts(1_000)
	names = bulk.people["Contact"]
	frappe.db.sql("update `tabContact` set creation = %s where name in %s", (LONG_AGO, names))
	queries: list[str] = []
	original = frappe.db.sql
	monkeypatch.setattr(
		frappe.db, "sql", lambda query, *args, **more: queries.append(query) or original(query, *args, **more)
	)

	def queries_for(number: int) -> int:
		some = rule("Contact", *names[:number])
		queries.clear()
		assert len(list(retention.due(some))) == number
		return len(queries)

	queries_for(1)  # reads what is cached
	assert queries_for(1_000) - queries_for(500) <= 20  # 19 for a page


def erase_by(found) -> dict[str, int]:
	"""Look, press Erase and work it off, as the form and a worker do."""
	seen = retention.look(found.name)["selection_hash"]
	retention.erase(found.name, seen)
	frappe.db.commit()
	return retention.work(found.name, nowdate(), seen)


def test_re_03_who_was_looked_at_is_erased_and_who_is_held_stays(bulk: BulkUpdates, rule, mailbox):
	emails = [mailbox("retained.{}@gate.example") for _number in range(3)]
	gone, held, fresh = contacts = [bulk.contact(email, last_name="Retained") for email in emails]
	made_long_ago("Contact", gone, held)
	hold("Contact", held)
	found = rule("Contact", *contacts, enabled=1)
	assert erase_by(found) == {"erased": 1, "held": 1, "failed": 0}
	assert frappe.get_all("Contact", {"name": ["in", contacts]}, pluck="name", order_by="name") == sorted(
		[held, fresh]
	)
	assert not frappe.db.exists("Contact Email", {"email_id": emails[0]})
	assert not frappe.db.exists("Suppression", {"address_key": address_key(emails[0])})
	found.reload()
	assert (found.last_erased, found.last_held, found.last_failed) == (1, 1, 0)


def test_re_02_a_no_outlives_the_retention(bulk: BulkUpdates, rule, mailbox):
	"""It goes on blocking by its key alone, whoever brings the address back."""
	email = mailbox()
	contact = bulk.contact(email)
	made_long_ago("Contact", contact)
	api.object_to_marketing(email=email)
	assert erase_by(rule("Contact", contact, enabled=1))["erased"] == 1
	(no,) = frappe.get_all("Suppression", {"address_key": address_key(email)}, ["kind", "email"])
	assert (no.kind, no.email) == ("Objection", None)
	bulk.contact(email)
	assert api.check_consent([email])[email]["reason"] == "OBJECTED"


def test_bu_03_who_came_later_was_not_looked_at(bulk: BulkUpdates, rule):
	contacts = [bulk.contact(bulk.mailbox()) for _number in range(2)]
	made_long_ago("Contact", contacts[0])
	found = rule("Contact", *contacts, enabled=1)
	seen = retention.look(found.name)
	made_long_ago("Contact", contacts[1])
	with pytest.raises(ChangedMeanwhile, match="other people"):
		retention.erase(found.name, seen["selection_hash"])


def test_bu_03_a_rule_that_is_edited_before_the_worker_comes_erases_nobody(bulk: BulkUpdates, rule):
	contacts = [bulk.contact(bulk.mailbox()) for _number in range(2)]
	made_long_ago("Contact", *contacts)
	found = rule("Contact", contacts[0], enabled=1)
	seen = retention.look(found.name)["selection_hash"]
	retention.erase(found.name, seen)
	found.update({"filters": json.dumps([["Contact", "name", "in", contacts]])}).save()
	frappe.db.commit()
	with pytest.raises(ChangedMeanwhile, match="other people"):
		retention.work(found.name, nowdate(), seen)
	assert frappe.db.count("Contact", {"name": ["in", contacts]}) == 2


def test_fp_03_nobody_finds_out_by_a_condition_what_isnt_shown_to_them(bulk, rule, user_with_roles):
	user_with_roles("Privacy Officer", "Sales User")
	with pytest.raises(FilterNotValid, match="isn't shown to you"):
		rule("Contact", filters=json.dumps([["Contact", "user_password", "like", "a%"]]))
	with pytest.raises(FilterNotValid, match="operator"):
		rule("Contact", filters=json.dumps([["Contact", "name", "regexp", "a"]]))


def test_a_rule_that_is_off_erases_nobody(bulk: BulkUpdates, rule):
	found = rule("Contact", bulk.contact(bulk.mailbox()))
	with pytest.raises(NotNow, match="switched off"):
		retention.erase(found.name, retention.look(found.name)["selection_hash"])


@pytest.mark.parametrize("role", ["Consent User", "Newsletter Manager", "System Manager"])
def test_only_a_privacy_officer_looks_and_erases(role, bulk, rule, user_with_roles):
	found = rule("Contact", bulk.contact(bulk.mailbox()), enabled=1)
	user_with_roles(role)
	for act in (retention.look, lambda name: retention.erase(name, "")):
		with pytest.raises(frappe.PermissionError):
			act(found.name)
