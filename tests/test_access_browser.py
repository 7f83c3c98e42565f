"""An officer prepares a person's package and sends the link; the person downloads it on a phone (DS-24)."""

import zipfile

import pytest
from conftest import BulkUpdates, run_worker
from desk import press, settle
from playwright.sync_api import expect
from test_access import a_request, remove_request, token_in_mail
from test_browser import check_access

import frappe

expect.set_options(timeout=20_000)  # of a machine that is busy
pytestmark = pytest.mark.usefixtures("fresh_counters")


@pytest.fixture
def person(bulk: BulkUpdates):
	email = bulk.mailbox()
	bulk.lead(email, mobile_no="+48 600 123 456")
	return email


@pytest.fixture
def request_of(person):
	made = []

	def make(right: str) -> str:
		made.append(a_request(right, person, language="pl"))
		return made[-1]

	yield make
	for name in made:
		remove_request(name)


def test_an_officer_prepares_it_and_the_person_downloads_it_once(
	person, request_of, bulk, desk, phone, web, smtp, picture, tmp_path
):
	name = request_of("Access")
	officer = bulk.user("Privacy Officer", "Sales User")
	page = desk(officer)
	page.goto(f"/app/data-subject-request/{name}")
	expect(page.get_by_text("There is no package yet.")).to_be_visible()
	press(page, "Prepare Package")
	expect(page.get_by_text("The package is being made.")).to_be_visible()
	run_worker()
	expect(page.get_by_text("The package is ready.")).to_be_visible()
	page.get_by_text("What is inside").click()
	expect(page.locator(".consent-package tr", has_text="Lead").first).to_be_visible()
	settle(page)
	picture(page, "request-package")
	with page.expect_download() as downloading:
		press(page, "Download")
	downloading.value.save_as(tmp_path / "officer.zip")
	assert zipfile.ZipFile(tmp_path / "officer.zip").testzip() is None
	press(page, "Send Link")
	dialog = page.locator(".modal-dialog:visible")
	expect(dialog.locator("select")).to_have_value(person)
	press(dialog, "Send")
	expect(page.get_by_text("The link was sent.")).to_be_visible()
	settle(page)
	frappe.db.rollback()
	token = token_in_mail(name)

	phone.goto(f"/consent/package?t={token}")
	expect(phone.locator("html")).to_have_attribute("lang", "pl")
	check_access(phone)
	picture(phone, "package-page")
	with phone.expect_download() as downloading:
		phone.locator("button[name=download]").click()
	downloading.value.save_as(tmp_path / "person.zip")
	assert "data.json" in zipfile.ZipFile(tmp_path / "person.zip").namelist()
	phone.goto(f"/consent/package?t={token}")
	expect(phone.locator("button[name=download]")).to_have_count(0)
	check_access(phone)
	picture(phone, "package-page-used")

	page.reload()
	expect(page.get_by_text("The request is closed").or_(page.get_by_text("Fulfilled").first)).to_be_visible()


def test_people_are_told_where_their_data_came_from(bulk, desk, smtp, picture, mailbox):
	"""Art. 14: the list says who is late; the form shows the notice and sends it."""
	officer = bulk.user("Privacy Officer", "Sales User")
	lead = bulk.lead(mailbox())
	email = frappe.db.get_value("Lead", lead, "email_id")
	values = {"party_type": "Lead", "party": lead, "email": email, "obtained_from": "a list that we bought"}
	late = frappe.utils.add_days(frappe.utils.nowdate(), -40)
	duty = frappe.new_doc("Information Duty", obtained_on=late, **values).insert().name
	frappe.db.commit()
	try:
		page = desk(officer)
		page.goto("/app/information-duty")
		row = page.locator(".list-row", has_text=email)
		expect(row.get_by_text("Overdue").first).to_be_visible()
		settle(page)
		picture(page, "information-duties")
		page.goto(f"/app/information-duty/{duty}")
		press(page, "Show Notice")
		dialog = page.locator(".modal-dialog:visible")
		expect(dialog.get_by_text("You may object", exact=True)).to_be_visible()
		expect(dialog.get_by_text("a list that we bought")).to_be_visible()
		settle(page)
		picture(page, "information-notice", full_page=False)
		page.locator(".modal.show .btn-modal-close").click()
		expect(page.locator(".modal.show")).to_have_count(0)
		press(page, "Send Notice")
		settle(page)
		run_worker()
		assert frappe.db.get_value("Information Duty", duty, "status") == "Sent"
	finally:
		frappe.db.rollback()
		frappe.db.delete("Information Duty", {"name": duty})
		frappe.db.commit()
