"""A request in Chromium: a person sends it from a phone, an officer works on it to the end."""

from datetime import timedelta

import pytest
from conftest import wait_until
from desk import go, press, settle
from playwright.sync_api import expect
from test_browser import check_access
from test_request_page import link_in_mail, remove_requests, request_of

import frappe
from frappe.utils import getdate

from gdpr_consent.rights import requests

expect.set_options(timeout=60_000)  # of a machine that is busy

DOCTYPE = requests.DOCTYPE
OFFICER = ("Privacy Officer", "Sales User", "Sales Manager", "Sales Master Manager")
pytestmark = pytest.mark.usefixtures("fresh_counters", "smtp_server")


@pytest.fixture(autouse=True)
def removed(site, bulk):
	before = {*frappe.get_all(DOCTYPE, pluck="name")}
	yield
	frappe.set_user("Administrator")
	frappe.db.rollback()
	remove_requests({*frappe.get_all(DOCTYPE, pluck="name")} - before)


def opened(right: str, **more) -> str:
	name = requests.open_request(right, **{"channel": "E-mail"} | more).name
	frappe.db.commit()
	return name


def headline(page):
	return page.locator(".consent-headline:visible")


def more(page, name: str) -> None:
	page.locator(".inner-group-button:visible", has_text="More").locator("button").first.click()
	page.locator(".dropdown-menu:visible .dropdown-item", has_text=name).first.click()


def fill(page, field: str, value: str) -> None:
	place = page.locator(f".modal.show .frappe-control[data-fieldname={field}]")
	expect(place).to_be_visible()
	if place.locator("select").count():
		place.locator("select").select_option(value)
	else:
		place.locator("input, textarea").first.fill(value)


def submit(page) -> None:
	page.locator(".modal.show .btn-modal-primary, .modal.show .btn-primary").locator(
		"visible=true"
	).last.click()
	expect(page.locator(".modal.show")).to_have_count(0)
	settle(page)


def status(name: str) -> str:
	frappe.db.rollback()
	return frappe.db.get_value(DOCTYPE, name, "status")


def test_a_person_sends_a_request_from_a_phone_and_confirms_it(phone, bulk, smtp, web, picture):
	email = bulk.mailbox()
	bulk.contact(email)
	phone.goto("/consent/request?_lang=pl")
	check_access(phone)
	picture(phone, "request-form")
	phone.get_by_label("mail", exact=False).fill(email)
	phone.locator("#choice-1").check()
	phone.locator("button[type=submit]").click()
	expect(phone.locator("form")).to_have_count(0)
	check_access(phone)
	picture(phone, "request-taken")
	request_of(email)
	phone.goto(link_in_mail(smtp, email, web))
	check_access(phone)
	picture(phone, "request-link")
	phone.locator("button[type=submit]").click()
	expect(phone.locator("form")).to_have_count(0)
	check_access(phone)
	row = request_of(email)
	assert (row.identity, row.language) == ("Confirmed", "pl")


def test_an_officer_brings_a_restriction_to_its_end(desk, bulk, picture):
	email = bulk.mailbox("anna.{}@meble.example")
	contact = bulk.contact(email)
	bulk_user = bulk.user(*OFFICER)
	name = opened("Restriction", email=email, requester_name="Anna Nowak", message="Please only store it.")
	page = desk(bulk_user)
	page.goto(f"/app/data-subject-request/{name}")
	expect(headline(page)).to_contain_text("Find out who asks")
	picture(page, "request-received", full_page=False)

	press(page, "Confirm Identity")
	fill(page, "method", "Call to Known Number")
	fill(page, "note", "Called at the number of the order.")
	submit(page)
	expect(headline(page)).to_contain_text("then start")
	press(page, "Start")
	expect(headline(page)).to_contain_text("Restrict the records")
	picture(page, "request-in-progress", full_page=False)
	press(page, "Restrict")
	press(page.locator(".modal.show"), "Yes")
	expect(headline(page)).to_contain_text("The records are restricted")
	assert status(name) == "Fulfilled"
	assert frappe.db.get_value("Contact", contact, "processing_restricted") == 1
	picture(page, "request-restricted", full_page=True)

	page.goto(f"/app/contact/{contact}")
	expect(page.locator(".restriction-headline:visible")).to_contain_text("restricted")
	picture(page, "contact-restricted", full_page=False)
	page.goto(f"/app/data-subject-request/{name}")
	press(page, "Tell of the Lifting")
	fill(page, "reason", "The suit is over.")
	submit(page)
	press(page, "Lift Restriction")
	press(page.locator(".modal.show"), "Yes")
	expect(headline(page)).to_contain_text("Nothing is left to do")
	frappe.db.rollback()
	assert frappe.db.get_value("Contact", contact, "processing_restricted") == 0


def test_an_officer_corrects_what_is_wrong(desk, bulk, picture):
	contact = bulk.contact(bulk.mailbox())
	name = opened("Rectification", requester_name="Jo", party_type="Contact", party=contact, channel="Phone")
	page = desk(bulk.user(*OFFICER))
	page.goto(f"/app/data-subject-request/{name}")
	press(page, "Confirm Identity")
	submit(page)
	press(page, "Start")
	press(page, "Propose Changes")
	fill(page, "last_name", "Nowak-Kowalska")
	picture(page, "request-correct", full_page=False)
	submit(page)
	expect(headline(page)).to_contain_text("approve it")
	picture(page, "request-to-approve", full_page=True)
	press(page, "Approve")
	press(page.locator(".modal.show"), "Yes")
	wait_until(lambda: status(name) == "Fulfilled")
	assert frappe.db.get_value("Contact", contact, "last_name") == "Nowak-Kowalska"


def test_ds_04_the_clock_stops_only_on_a_day_on_which_the_person_was_asked(desk, bulk, picture):
	name = opened("Access", requester_name="Jo Nowak", channel="Letter")
	page = desk(bulk.user(*OFFICER))
	page.goto(f"/app/data-subject-request/{name}")
	expect(headline(page)).to_be_visible()
	page.locator(".page-actions, .consent-headline").get_by_text("Ask Who They Are").locator(
		"visible=true"
	).first.click()
	expect(page.locator(".modal.show input[data-fieldname=told_on]")).to_be_visible()
	picture(page, "request-ask-identity", full_page=False)
	page.wait_for_function("() => window.cur_dialog")
	page.evaluate("cur_dialog.set_value('told_on', frappe.datetime.get_today())")
	submit(page)
	assert status(name) == "Identity Open"


def test_an_officer_extends_and_refuses(desk, bulk, picture):
	name = opened("Access", email=bulk.mailbox())
	page = desk(bulk.user(*OFFICER))
	page.goto(f"/app/data-subject-request/{name}")
	expect(headline(page)).to_be_visible()
	more(page, "Extend")
	fill(page, "ground", "Complexity")
	fill(page, "reason", "Twelve systems are searched.")
	submit(page)
	frappe.db.rollback()
	assert frappe.db.get_value(DOCTYPE, name, "extended_to")
	more(page, "Refuse")
	fill(page, "ground", "Manifestly Excessive")
	fill(page, "reason", "You asked for the same last week.")
	picture(page, "request-refuse", full_page=False)
	submit(page)
	expect(headline(page)).to_contain_text("Nothing is left to do")
	assert status(name) == "Refused"


def test_the_list_and_the_calendar_say_how_long_there_is(desk, bulk, picture):
	late = opened("Erasure", email=bulk.mailbox(), received_on=getdate() - timedelta(days=40))
	opened("Access", email=bulk.mailbox(), received_on=getdate() - timedelta(days=27))
	opened("Portability", email=bulk.mailbox())
	page = desk(bulk.user(*OFFICER))
	page.goto("/app/data-subject-request/view/list")
	row = page.locator(".list-row", has_text=late)
	expect(row.locator(".indicator-pill.red").first).to_contain_text("days late")
	picture(page, "request-list", full_page=False)
	go(page, "data-subject-request/view/calendar/default")
	expect(page.locator(".fc-event").first).to_be_visible()
	picture(page, "request-calendar", full_page=False)


def test_a_request_is_recorded_from_the_privacy_tab(desk, bulk, picture):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	page = desk(bulk.user("Consent User", "Sales User", "Sales Manager"))
	page.goto(f"/app/contact/{contact}")
	page.locator(".consent-badge").click()
	press(page, "Record Request")
	fill(page, "right", "Access")
	fill(page, "channel", "Phone")
	fill(page, "email", email)
	picture(page, "request-record", full_page=False)
	submit(page)
	row = request_of(email)
	(record,) = frappe.get_doc(DOCTYPE, row.name).records
	assert (row.right, row.channel, record.party, record.included) == ("Access", "Phone", contact, 1)
	page.goto(f"/app/data-subject-request/{row.name}")
	expect(headline(page)).to_contain_text("days left")
	expect(page.locator("[data-fieldname=records]:visible")).to_have_count(0)  # for the officer alone
