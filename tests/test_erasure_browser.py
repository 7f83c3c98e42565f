"""The plan of an erasure, its approval and its report on the form of a request, as an officer sees them."""

from collections.abc import Iterator

import pytest
from conftest import run_worker
from person_everywhere import PersonEverywhere

import frappe

from gdpr_consent.rights import requests
from gdpr_consent.rights.requests import Identity, Status

DOCTYPE = "Data Subject Request"


@pytest.fixture
def asked(smtp) -> Iterator[tuple[PersonEverywhere, str]]:
	person = PersonEverywhere().make()
	doc = requests.open_request(
		"Erasure", email=person.email, party_type="Lead", party=person.lead.name, channel="Letter"
	)
	requests.move(doc.name, Status.IN_PROGRESS, identity=Identity.CONFIRMED.value)
	frappe.db.commit()
	yield person, doc.name
	frappe.set_user("Administrator")
	frappe.db.rollback()
	frappe.db.delete(DOCTYPE, {"name": doc.name})
	for table in ("Record", "Step", "Change", "Notice"):
		frappe.db.delete(f"{DOCTYPE} {table}", {"parent": doc.name})
	person.remove()


@pytest.fixture
def officer(user_with_roles) -> str:
	user = user_with_roles("Privacy Officer", "Desk User")
	frappe.set_user("Administrator")
	frappe.db.commit()
	return user


def test_ds_16_an_officer_plans_approves_and_reads_the_report(desk, picture, asked, officer):
	person, name = asked
	page = desk(officer, height=1400)
	page.goto(f"/app/data-subject-request/{name}")
	page.get_by_role("button", name="Plan Erasure").click()
	plan = page.locator(".erasure-plan")
	plan.get_by_text("Nothing is erased before a Privacy Officer approves this.").wait_for()
	invoices = plan.locator("tr", has_text="Sales Invoice")
	assert "Kept" in invoices.inner_text()
	assert "Tax and commercial law" in invoices.inner_text()
	assert "Deleted" in plan.locator("tr", has_text="Lead").first.inner_text()
	plan.scroll_into_view_if_needed()
	picture(page, "erasure-plan")
	assert frappe.db.exists("Lead", person.lead.name)

	page.get_by_role("button", name="Approve Erasure").click()
	dialog = page.locator(".modal-dialog:visible")
	dialog.get_by_text("This can't be undone.").wait_for()
	picture(page, "erasure-approval")
	dialog.get_by_role("button", name="Erase").click()
	plan.get_by_text("The erasure is running. You may close this page.").wait_for()
	picture(page, "erasure-running")
	run_worker()
	plan.get_by_text("The data are erased.").wait_for()
	assert "What still names the person" in plan.inner_text()
	plan.scroll_into_view_if_needed()
	picture(page, "erasure-report")
	frappe.db.rollback()
	assert not frappe.db.exists("Lead", person.lead.name)
	assert person.name not in page.content()


def test_ds_16_an_officer_stops_a_run_and_plans_the_rest(desk, asked, officer):
	_person, name = asked
	page = desk(officer, height=1400)
	page.goto(f"/app/data-subject-request/{name}")
	page.get_by_role("button", name="Plan Erasure").click()
	page.get_by_role("button", name="Approve Erasure").click()
	page.locator(".modal-dialog:visible").get_by_role("button", name="Erase").click()
	page.get_by_role("button", name="Stop", exact=True).click()
	page.get_by_text("The erasure isn't running. Plan it again to see what is left.").wait_for()
	page.get_by_role("button", name="Plan Again").click()
	page.get_by_role("button", name="Approve Erasure").wait_for()


def test_ds_10_the_map_is_a_report_for_whoever_looks_after_the_site(desk, picture, officer):
	page = desk(officer, width=1500)
	page.goto("/app/query-report/Personal Data Map")
	page.get_by_text("Record types in the map").wait_for()
	page.locator(".dt-cell__content", has_text="Contact").first.wait_for()
	picture(page, "personal-data-map")
