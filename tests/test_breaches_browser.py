"""The register of breaches, as an officer works with it in a hurry."""

import pytest
from conftest import BulkUpdates
from desk import go, press, settle
from playwright.sync_api import expect
from test_breaches import ago, breach

import frappe

from gdpr_consent import breaches


@pytest.mark.usefixtures("remove_breaches")
def test_an_officer_writes_down_a_breach_counts_the_people_and_sees_the_clock(
	bulk: BulkUpdates, desk, picture
):
	contacts = [bulk.contact(bulk.mailbox()) for _number in range(3)]
	found = breach(aware_on=ago(hours=60), risk="High Risk", nature="A laptop was stolen from a car.")
	frappe.db.commit()
	page = desk(bulk.user("Privacy Officer", "Sales User"))
	page.goto("/app/personal-data-breach")
	expect(page.locator(".list-row", has_text="Stolen laptop")).to_contain_text("Open")
	go(page, f"/app/personal-data-breach/{found.name}")
	expect(page.locator(".form-message")).to_contain_text("12 hours left")
	page.locator("[data-fieldname=scope]").get_by_role("button", name="Add Row").click()
	dialog = page.get_by_role("dialog")
	expect(dialog).to_be_visible()
	link = dialog.locator("[data-fieldname=ref_doctype] input")
	link.fill("Contact")
	dialog.locator("[role=option]", has=page.get_by_text("Contact", exact=True)).first.click()
	expect(dialog.get_by_text("All records that you may see.")).to_be_visible()
	settle(page)
	press(dialog, "Choose")
	expect(page.locator("[data-fieldname=scope] .grid-row").nth(1)).to_contain_text("all")
	press(page, "Count People")
	settle(page)
	frappe.db.rollback()  # to see what the server wrote
	counted = frappe.db.get_value("Personal Data Breach", found.name, "people_count")
	assert counted >= len(contacts)
	expect(page.locator("input[data-fieldname=people_count]").last).to_have_value(str(counted))
	page.evaluate("window.scrollTo(0, 0)")
	picture(page, "breach")
	press(page, "Close Breach")
	expect(page.locator(".modal.show")).to_contain_text(
		"Missing: Likely Consequences, Measures Taken or Proposed"
	)
	desk.errors.clear()  # of the answer that says so


def test_a_list_shows_what_is_overdue(remove_breaches, bulk, desk):
	breach(aware_on=ago(hours=80), title="Forgotten letter")
	frappe.db.commit()
	page = desk(bulk.user("Privacy Officer", "Sales User"))
	page.goto("/app/personal-data-breach")
	expect(page.locator(".list-row", has_text="Forgotten letter")).to_contain_text("Overdue")
	assert breaches.remind() >= 1
