"""The badge, the Privacy tab and the lists, in Chromium: who may be mailed, and what may be done about it."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import parse_qs

import pytest
from conftest import PROOF, V16, BulkUpdates, forget_sales, give, rest_on_sales, sell
from playwright.sync_api import Page, expect

import frappe
from frappe.utils import now_datetime, today

from gdpr_consent import api
from gdpr_consent.clock import to_system_time

expect.set_options(timeout=60_000)  # of a machine that is busy

MARKETING = "Email Marketing"
OFFICER = ("Privacy Officer", "Sales User", "Sales Manager")
STAFF = ("Consent User", "Sales User", "Sales Manager")
DOCTYPES = ("Contact", "Lead", "Customer", "Prospect", "Opportunity")


def open_form(page: Page, doctype: str, name: str) -> None:
	page.goto(f"/app/{doctype.lower()}/{name}")
	expect(page.locator(".consent-badge")).to_be_visible()


def open_panel(page: Page, doctype: str, name: str):
	open_form(page, doctype, name)
	page.locator(".consent-badge").click()
	panel = page.locator(".consent-panel:visible")
	expect(panel.get_by_role("heading", name="History")).to_be_visible()
	return panel


def press(place, name: str) -> None:
	place.get_by_role("button", name=name, exact=True).locator("visible=true").first.click()


def dialog_of(page: Page):
	dialog = page.locator(".modal.show")
	expect(dialog).to_be_visible()
	return dialog


def fill(dialog, field: str, value: str) -> None:
	box = dialog.locator(f"[data-fieldname={field}]").locator("input, textarea").first
	box.fill(value)
	box.press("Tab")
	# The desk asks the server whether what is linked exists, and has no value until it has heard.
	dialog.page.wait_for_function(
		"""([name, value]) => {
			const field = window.cur_dialog?.fields_dict[name];
			return field?.df.fieldtype !== "Link" || field.get_value() === value;
		}""",
		arg=[field, value],
	)


def closed(page: Page) -> None:
	expect(page.locator(".modal.show")).to_have_count(0)


def reason(email: str) -> str:
	frappe.db.rollback()
	return api.check_consent([email])[email]["reason"]


@pytest.fixture
def story(bulk: BulkUpdates, mailbox, committed_topic) -> Callable[[], dict[str, str]]:
	"""A contact with two addresses, and one of each record that knows the contact or a lead."""

	def tell() -> dict[str, str]:
		work, home = mailbox("anna.{}@meble.example"), mailbox("a.nowak.{}@home.example")
		contact = bulk.contact(work, home, designation="Head of Purchasing")
		frappe.db.set_value("Contact", contact, {"first_name": "Anna Nowak", "full_name": "Anna Nowak"})
		lead = bulk.lead(mailbox("jonas.{}@gartenbau.example"))
		frappe.db.set_value("Lead", lead, {"lead_name": "Jonas Becker", "title": "Jonas Becker"})
		customer = bulk.customer(contact)
		frappe.db.set_value("Customer", customer, "customer_name", "Meble Kowalski")
		give(work)
		give(work, committed_topic)
		give(work, purpose="Customer Service", legal_basis="Contract")
		api.withdraw_consent(email=frappe.db.get_value("Lead", lead, "email_id"), source="Phone")
		prospect = bulk.prospect(lead)
		deal = bulk.opportunity("Customer", customer, contact_person=contact)
		frappe.db.commit()
		return {
			"work": work,
			"home": home,
			"Contact": contact,
			"Lead": lead,
			"Customer": customer,
			"Prospect": prospect,
			"Opportunity": deal,
		}

	return tell


BADGES = {
	"Contact": ("Mail Allowed in Part", "orange"),
	"Lead": ("Opted Out", "red"),
	"Customer": ("Mail Allowed in Part", "orange"),
	"Prospect": ("Opted Out", "red"),
	"Opportunity": ("Mail Allowed in Part", "orange"),
}


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_every_form_says_whether_the_person_may_be_mailed(bulk, story, desk, picture, theme):
	told = story()
	user = bulk.user(*OFFICER)
	frappe.db.set_value("User", user, "desk_theme", theme)
	frappe.db.commit()
	page = desk(user)
	for doctype in DOCTYPES:
		open_form(page, doctype, told[doctype])
		text, colour = BADGES[doctype]
		badge = page.locator(".consent-badge")
		expect(badge).to_have_text(text)
		expect(badge).to_have_class(re.compile(rf"\b{colour}\b"))
		picture(page, f"form-{doctype.lower()}-{theme.lower()}", full_page=False)
		panel = open_panel(page, doctype, told[doctype])
		if doctype in ("Contact", "Customer", "Opportunity"):
			expect(panel.locator("section[data-address]")).to_have_count(2)
			expect(panel.locator(f"section[data-address='{told['home']}']")).to_contain_text("No consent")
			work = panel.locator(f"section[data-address='{told['work']}']")
			expect(work).to_contain_text("Agreed")
			expect(work.locator("li", has_text="Customer Service")).to_contain_text("Contract")
		else:
			expect(panel).to_contain_text("Withdrawn")
		picture(page, f"panel-{doctype.lower()}-{theme.lower()}")
	expect(page.locator("html")).to_have_attribute("data-theme", theme.lower())


def test_each_button_does_what_it_says(bulk, story, desk, smtp, fresh_counters, picture):
	told = story()
	home = told["home"]
	page = desk(bulk.user(*OFFICER))
	panel = open_panel(page, "Contact", told["Contact"])
	at_home = panel.locator(f"section[data-address='{home}']")
	badge = page.locator(".consent-badge")

	press(panel, "Record")
	dialog = dialog_of(page)
	fill(dialog, "email", home)
	fill(dialog, "source", "Phone")
	fill(dialog, "evidence", PROOF["evidence"])
	picture(page, "record", full_page=False)
	press(dialog, "Record")
	expect(at_home).to_contain_text("Agreed")
	expect(badge).to_have_text("Mail Allowed")
	closed(page)
	assert reason(home) == "VALID_CONSENT"

	press(panel, "Send Preference Link")
	dialog = dialog_of(page)
	dialog.locator("[data-fieldname=email] select").select_option(home)
	press(dialog, "Send")
	expect(page.locator(".desk-alert").filter(has_text="Sent to").last).to_be_visible()
	closed(page)

	press(panel, "Restrict")
	dialog = dialog_of(page)
	fill(dialog, "reason", "Disputes that the data are right")
	press(dialog, "Restrict")
	expect(badge).to_have_text("Restricted")
	expect(panel.locator(f"section[data-address='{told['work']}']")).to_contain_text("Restricted")
	picture(page, "restricted")
	closed(page)

	press(panel, "Lift Restriction")
	dialog = dialog_of(page)
	told_on = frappe.utils.formatdate(today(), "dd-mm-yyyy")
	fill(dialog, "informed_on", told_on)
	fill(dialog, "reason", "The data were corrected.")
	picture(page, "lift", full_page=False)
	press(dialog, "Lift")
	expect(badge).to_have_text("Mail Allowed")
	closed(page)

	press(panel, "Withdraw")
	dialog = dialog_of(page)
	expect(dialog.locator("[data-fieldname=purpose] input")).to_have_value(MARKETING)
	press(dialog, "Withdraw")
	expect(badge).to_have_text("Opted Out")
	closed(page)
	assert reason(told["work"]) == "WITHDRAWN"

	press(panel, "Object")
	dialog = dialog_of(page)
	press(dialog, "Record Objection")
	closed(page)
	expect(panel.locator(f"section[data-address='{home}']")).to_contain_text("Objected")
	assert reason(home) == "OBJECTED"


@pytest.fixture
def resting_on_sales(bulk, site):
	"""A wording of Email Marketing, which may rest on a sale of any product."""
	yield rest_on_sales("Processing Purpose", MARKETING)
	frappe.db.rollback()
	forget_sales()


def test_so_01_who_bought_something_may_be_recorded_as_a_customer(
	bulk, mailbox, resting_on_sales, desk, picture
):
	"""Without a sale the dialog stays, and says what is missing."""
	email = mailbox("jonas.{}@gartenbau.example")
	lead = bulk.lead(email, country="Germany")
	frappe.db.commit()
	page = desk(bulk.user(*OFFICER))
	panel = open_panel(page, "Lead", lead)
	press(panel, "Record")
	dialog = dialog_of(page)
	fill(dialog, "email", email)
	fill(dialog, "legal_basis", "Existing Customer")
	expect(dialog.locator("[data-fieldname=wording] .reqd")).to_be_visible()
	fill(dialog, "source", "Contract")
	fill(dialog, "wording", resting_on_sales)
	fill(dialog, "evidence", "Order form, with the sentence about our mail above the button")
	press(dialog, "Record")
	message = page.locator(".modal.show", has_text="Nobody at this address bought")
	expect(message).to_be_visible()
	assert "record_consent" in desk.errors[0]
	desk.errors.clear()
	picture(page, "record-without-a-sale", full_page=False)
	sale = sell(email)
	frappe.db.commit()
	message.locator(".btn-modal-close").click()
	press(dialog, "Record")
	closed(page)
	expect(panel.locator(f"section[data-address='{email}']")).to_contain_text("Existing customer")
	picture(page, "recorded-with-a-sale", full_page=False)
	frappe.db.rollback()
	consent = frappe.get_all("Consent", {"email": email}, ["name", "sale", "sale_doctype"])[0]
	assert (consent.sale_doctype, consent.sale) == ("Sales Order", sale)
	press(panel, "Was Mailable On …")
	dialog = dialog_of(page)
	page.wait_for_function("() => window.cur_dialog")
	soon = (now_datetime() + timedelta(minutes=1)).isoformat(sep=" ", timespec="seconds")
	page.evaluate("(at) => cur_dialog.set_value('at', at)", soon)
	press(dialog, "Answer")
	answer = dialog.locator("section", has_text="Existing Customer")
	expect(answer.get_by_role("link", name=sale)).to_be_visible()
	picture(page, "was-mailable-with-a-sale", full_page=False)
	page.goto(f"/app/consent/{consent.name}")
	expect(page.locator("[data-fieldname=sale]:visible").first).to_contain_text(sale)
	picture(page, "consent-with-a-sale")


def test_the_export_is_asked_for_without_an_address_in_the_url(bulk, story, desk):
	told = story()
	page = desk(bulk.user(*OFFICER))
	asked = []

	def answer(route) -> None:
		asked.append(route.request)
		route.fulfill(status=204)

	page.route("**/api/method/gdpr_consent.api.download_history**", answer)
	panel = open_panel(page, "Contact", told["Contact"])
	for label, file_format in (("Export as PDF", "PDF"), ("Export as JSON-LD", "JSON-LD")):
		with page.expect_request("**/api/method/gdpr_consent.api.download_history"):
			press(panel, label)
		request = asked.pop()
		values = {name: texts[0] for name, texts in parse_qs(request.post_data).items()}
		assert request.method == "POST"
		assert (values["party"], values["file_format"]) == (told["Contact"], file_format)


@pytest.mark.parametrize("doctype", ["Consent", "Suppression"])
def test_st_02_a_record_is_made_anew_from_its_form(bulk, mailbox, desk, picture, doctype):
	email = mailbox()
	give(email)
	api.object_to_marketing(email=email)
	name = frappe.db.get_value(doctype, {"email": email})
	page = desk(bulk.user(*OFFICER))
	page.goto(f"/app/{frappe.scrub(doctype)}/{name}")
	for action, said in (
		("Rebuild from its Events", "The record is what its events say."),
		("Verify the Register", "Nothing was changed, left out or put in."),
	):
		press(page, "More")
		page.get_by_role("link", name=action).click()
		expect(page.locator(".msgprint").get_by_text(said)).to_be_visible()
		if action.startswith("Rebuild"):
			picture(page, f"rebuilt-{doctype}")
		page.locator(".modal.show .btn-modal-close").click()
		closed(page)


def test_ad_10_a_shared_mailbox_says_so(bulk, mailbox, desk, smtp, fresh_counters, picture):
	shared = mailbox("info@{}.example")
	names = [bulk.contact(shared) for _ in range(2)]
	page = desk(bulk.user(*STAFF))
	panel = open_panel(page, "Contact", names[0])
	expect(panel).to_contain_text("Read by several people: a consent counts for the mailbox.")
	expect(panel).to_contain_text("Nothing is on record. Record what the person said, or ask them by mail.")
	expect(panel.get_by_role("button", name="Lift Restriction")).to_have_count(0)
	picture(page, "shared")
	press(panel, "Ask")
	dialog = dialog_of(page)
	expect(dialog.locator("[data-fieldname=email] input")).to_have_value(shared)
	expect(dialog.locator("[data-fieldname=purpose] input")).to_have_value(MARKETING)
	press(dialog, "Send")
	expect(panel.locator("section[data-address]")).to_contain_text("Waiting for confirmation")
	expect(page.locator(".consent-badge")).to_have_text("Consent Requested")
	closed(page)


def test_without_an_address_it_says_what_to_do(bulk, desk):
	page = desk(bulk.user(*STAFF))
	panel = open_panel(page, "Contact", bulk.contact())
	expect(page.locator(".consent-badge")).to_have_text("No Address")
	expect(panel).to_contain_text("There is no address. Add one")
	expect(panel.get_by_role("button", name="Record", exact=True)).to_have_count(0)


def test_of_an_opportunity_each_act_is_for_the_person_chosen(bulk, mailbox, desk, picture):
	one, other = mailbox(), mailbox()
	contact, lead = bulk.contact(one), bulk.lead(other)
	page = desk(bulk.user(*STAFF))
	panel = open_panel(page, "Opportunity", bulk.opportunity("Lead", lead, contact_person=contact))
	expect(panel.locator("section[data-address]")).to_have_attribute("data-address", one)
	panel.get_by_role("button", name=re.compile("· Lead$")).click()
	expect(panel.locator("section[data-address]")).to_have_attribute("data-address", other)
	picture(page, "people")
	press(panel, "Object")
	dialog = dialog_of(page)
	press(dialog, "Record Objection")
	closed(page)
	expect(panel.locator("section[data-address]")).to_contain_text("Objected")
	expect(panel.locator("section[data-address]")).to_have_attribute("data-address", other)
	assert (reason(one), reason(other)) == ("NO_CONSENT", "OBJECTED")
	expect(page.locator(".consent-badge")).to_have_text("Opted Out")


def test_who_may_not_read_consents_sees_neither_badge_nor_tab(bulk, mailbox, desk):
	name = bulk.contact(mailbox())
	page = desk(bulk.user("Sales User"))
	page.goto(f"/app/contact/{name}")
	expect(page.locator(".form-layout:visible").first).to_be_visible()
	expect(page.locator("[data-fieldname=email_ids]:visible").first).to_be_visible()
	expect(page.locator(".consent-badge")).to_have_count(0)
	expect(page.get_by_role("tab", name="Privacy").locator("visible=true")).to_have_count(0)


def test_on_a_phone_everything_is_in_reach(bulk, story, desk, picture):
	told = story()
	page = desk(bulk.user(*OFFICER), width=360, height=740)
	panel = open_panel(page, "Contact", told["Contact"])
	picture(page, "phone")
	assert panel.evaluate("panel => panel.scrollWidth <= panel.clientWidth")
	for name in ("Record", "Ask", "Withdraw", "Object", "Send Preference Link", "Restrict"):
		press_box = panel.get_by_role("button", name=name, exact=True).bounding_box()
		assert press_box["x"] >= 0
		assert press_box["x"] + press_box["width"] <= 360


@pytest.mark.parametrize("doctype", DOCTYPES)
def test_a_list_filters_and_groups_by_it(bulk, story, desk, picture, doctype):
	told = story()
	page = desk(bulk.user(*OFFICER), width=1600)
	standing = frappe.db.get_value(doctype, told[doctype], "marketing_mail")
	frappe.db.rollback()
	page.goto(f"/app/{doctype.lower()}?marketing_mail={standing.replace(' ', '+')}")
	pill = page.locator(".list-row .indicator-pill", has_text=standing).first
	expect(pill).to_be_visible()
	expect(pill).to_have_class(re.compile(rf"\b{BADGES[doctype][1]}\b"))
	expect(page.locator(f".list-row [data-name='{told[doctype]}']").first).to_be_attached()
	expect(page.locator(".page-form [data-fieldname=marketing_mail] select")).to_have_value(standing)
	if V16:  # a list groups by owner, assignment and tags alone; what else there is, its report groups by
		picture(page, f"list-{doctype.lower()}", full_page=False)
		page.goto(f"/app/{doctype.lower()}/view/report?marketing_mail={standing.replace(' ', '+')}")
		page.locator(".group-by-button:visible").click()
		page.locator(".group-by-popover select.group-by").select_option("marketing_mail")
		expect(page.locator(".dt-row .dt-cell", has_text=standing).first).to_be_visible()
	else:
		page.locator(".list-group-by-fields [data-fieldname=marketing_mail]").click()
		choice = page.locator(".group-by-dropdown .group-by-item:visible", has_text=standing).first
		expect(choice).to_be_visible()
		picture(page, f"list-{doctype.lower()}", full_page=False)


@pytest.mark.parametrize("width", [1200, 360])
def test_st_10_on_what_ground_somebody_was_written_to(bulk, mailbox, desk, picture, width):
	"""The site and the user live in different zones; the answer is in the user's, and says which."""
	email, other = mailbox("anna.{}@meble.example"), mailbox("a.nowak.{}@home.example")
	contact = bulk.contact(email, other)
	consent = give(email, given_on="2026-03-01T08:00:00Z", party_type="Contact", party=contact)
	user = bulk.user(*OFFICER)
	frappe.db.set_value("User", user, "time_zone", "Europe/Warsaw")
	frappe.db.commit()
	page = desk(user, width=width, height=740)
	panel = open_panel(page, "Contact", contact)
	press(panel, "Was Mailable On …")
	dialog = dialog_of(page)
	expect(dialog).to_contain_text("In your time zone: Europe/Warsaw")
	# As the control keeps it: in the zone of the site.
	on_site = to_system_time(datetime(2026, 3, 1, 9)).isoformat(sep=" ")
	page.wait_for_function("() => window.cur_dialog")
	page.evaluate("(at) => cur_dialog.set_value('at', at)", on_site)
	expect(dialog.locator("[data-fieldname=purpose] input")).to_have_value(MARKETING)
	press(dialog, "Answer")
	yes, no = (dialog.locator(f"section[data-address='{one}']") for one in (email, other))
	expect(yes).to_contain_text("was mailable on")
	expect(yes).to_contain_text("10:00 (Europe/Warsaw, +01:00)")
	expect(yes).to_contain_text("The person agreed")
	expect(yes.locator(f"a[href='/app/consent/{consent}']")).to_be_visible()
	expect(no).to_contain_text("was not mailable on")
	expect(no).to_contain_text("Nothing on record")
	answer = dialog.locator("[data-fieldname=answer]")
	assert answer.evaluate(
		"(one) => one.scrollWidth <= one.clientWidth && one.clientWidth <= window.innerWidth"
	)
	answer.scroll_into_view_if_needed()
	picture(page, f"was-mailable-{width}", full_page=False)

	before = to_system_time(datetime(2026, 3, 1, 7, 59)).isoformat(sep=" ")
	page.evaluate("(at) => cur_dialog.set_value('at', at)", before)
	press(dialog, "Answer")
	expect(yes).to_contain_text("was not mailable on")
