"""Consent Bulk Update as officers use it, in Chromium: from the rules to the revert (BU-01 to BU-07)."""

import json
from itertools import product

import pytest
from conftest import BulkUpdates, give, start_worker
from desk import choose, press
from playwright.sync_api import Page, expect

import frappe

from gdpr_consent import api as register_api

OFFICER = ("Privacy Officer", "Sales User", "Sales Manager")
FIRST = (
	"Anna Bartosz Celina Dawid Ewa Filip Gosia Hanna Igor Julia Karl Lena Marek Nina Otto Paula Rita".split()
)
LAST = (
	"Nowak Weber Lis Fischer Kaczmarek Wolf Zając Krause Mazur Vogel Sikora Lang Pawlak Busch Dudek".split()
)

expect.set_options(timeout=60_000)  # of a machine that is busy


@pytest.fixture
def visitors(bulk: BulkUpdates):
	"""Make people who left a card at a fair, more than a run does at once. Name the fair and the people."""

	def make(number: int) -> tuple[str, list[str]]:
		fair = f"Garden Fair {frappe.generate_hash(length=6)}"
		pairs = list(product(FIRST, LAST))
		people = [(*pairs[at % len(pairs)], f"{fair}-{at:04}") for at in range(number)]
		names = [f"{first} {last}-{unique}" for first, last, unique in people]
		emails = [bulk.mailbox() for _person in people]
		columns = [
			"name",
			"first_name",
			"last_name",
			"company_name",
			"email_id",
			"creation",
			"modified",
			"owner",
		]
		now = frappe.utils.now()
		frappe.db.bulk_insert(
			"Contact",
			columns,
			[
				(name, first, last, fair, email, now, now, "Administrator")
				for name, (first, last, _unique), email in zip(names, people, emails, strict=True)
			],
		)
		frappe.db.bulk_insert(
			"Contact Email",
			["name", "parent", "parenttype", "parentfield", "idx", "email_id", "is_primary"],
			[
				(frappe.generate_hash(length=10), name, "Contact", "email_ids", 1, email, 1)
				for name, email in zip(names, emails, strict=True)
			],
		)
		bulk.people["Contact"] += names
		frappe.db.commit()
		return fair, emails

	return make


def field(page: Page, name: str):
	return page.locator(f".form-in-grid [data-fieldname={name}]")


def says(page: Page, text: str) -> None:
	expect(page.locator(".consent-headline")).to_contain_text(text)


def open_form(page: Page, name: str) -> None:
	page.goto(f"/app/consent-bulk-update/{name}")
	expect(page.locator(".consent-headline")).to_be_visible()


def test_from_the_rules_to_the_revert(bulk, visitors, desk, work_off_jobs, picture):
	fair, emails = visitors(520)
	objector, agreed = emails[:2]
	register_api.object_to_marketing(email=objector)
	give(agreed)
	maker, approver = bulk.user(*OFFICER), bulk.user(*OFFICER)
	frappe.db.commit()

	page = desk(maker)
	page.goto("/app/consent-bulk-update/new")
	page.locator("[data-fieldname=title] input").fill("Visitors of the garden fair")
	page.locator("[data-fieldname=reason] textarea").fill("Cards collected at the fair, on file since")
	press(page, "Add Row")
	choose(field(page, "target_doctype"), "Contact")
	press(page, "+ Add a Filter")
	condition = page.locator(".form-in-grid .filter-box")
	choose(condition.locator(".fieldname-select-area"), "Company Name")
	condition.locator(".filter-field input").fill(fair)
	choose(field(page, "source"), "Event")
	expect(field(page, "conditions")).to_contain_text(f"Company Name is like %{fair}%")
	picture(page, "rule", full_page=False)
	page.locator(".grid-collapse-row").click()
	press(page, "Save")
	says(page, "It changes nothing")
	name = page.evaluate("cur_frm.docname")
	bulk.made.append(name)
	frappe.db.commit()
	rule = frappe.get_doc("Consent Bulk Update", name).rules[0]
	assert json.loads(rule.filters) == [["Contact", "company_name", "like", f"%{fair}%"]]
	assert (rule.purpose, rule.legal_basis, rule.source) == ("Email Marketing", "Consent", "Event")

	press(page, "Preview")
	says(page, "waits for a worker")
	work_off_jobs()
	says(page, "To change: 518. Unchanged: 1. To skip: 1. A second Privacy Officer has to approve it.")
	expect(page.get_by_role("button", name="Run…")).to_have_count(0)
	page.get_by_role("button", name="Objected: 1").click()
	expect(page.locator(".bulk-update-items li")).to_have_count(1)
	expect(page.locator(".bulk-update-items")).to_contain_text(objector)

	other = desk(approver, height=1450)
	open_form(other, name)
	expect(other.locator(".bulk-update-chart")).to_contain_text("600")  # of the axis, once it is drawn
	picture(other, "preview", full_page=False)
	other.get_by_role("button", name="Approve…").click()
	press(other, "Approve")
	says(other, "Approved by")

	open_form(page, name)
	page.get_by_role("button", name="Run…").click()
	expect(page.locator(".modal.show")).to_contain_text("518 of 520")
	press(page, "Run")
	says(page, "waits for a worker")
	press(page, "Pause")
	says(page, "Paused")
	press(page, "Resume")
	says(page, "waits for a worker")
	# Who writes the last record has to wait, so that the page can be looked at in the middle of the run.
	last = frappe.get_all(
		"Consent Bulk Update Item", {"bulk_update": name}, pluck="name", order_by="address_key desc"
	)[0]
	frappe.db.commit()
	frappe.db.sql("select name from `tabConsent Bulk Update Item` where name = %s for update", last)
	worker = start_worker()
	says(page, "Processed: 500 of 520")
	assert page.locator(".bulk-update-progress [role=progressbar]").get_attribute("aria-valuenow") == "96"
	picture(page, "progress", full_page=False)
	frappe.db.rollback()
	assert worker.wait() == 0
	says(page, "Complete. Done: 518. Unchanged: 1. Skipped: 1.")
	picture(page, "done", full_page=False)
	assert page.evaluate("cur_frm.get_field('reason').get_status()") == "Read"

	page.get_by_role("button", name="Revert…").click()
	page.locator(".modal.show textarea").fill("The wrong fair")
	press(page, "Take Back")
	says(page, "waits for a worker")
	work_off_jobs()
	says(page, "Taken back. Reverted: 518.")
	page.set_viewport_size({"width": 390, "height": 800})
	assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_saved_filters_come_back_and_looking_changes_nothing(bulk, desk):
	filters = [
		["Contact", "status", "=", "Open"],
		["Contact Email", "email_id", "like", "%@gate.example"],
		["Contact", "creation", "Between", ["2026-01-01", "2026-12-31"]],
		["Contact", "name", "in", ["Lis, Anna", "Wolf"]],
		["Contact", "unsubscribed", "=", 0],
	]
	name = bulk.make({"action": "Withdraw", "source": "Phone", "filters": json.dumps(filters)})
	page = desk(bulk.user(*OFFICER))
	open_form(page, name)
	page.locator(".grid-row[data-idx='1'] .data-row").click()
	boxes = page.locator(".form-in-grid .filter-box")
	expect(boxes).to_have_count(len(filters))
	expect(field(page, "conditions")).to_contain_text("Email ID (Contact Email) is like %@gate.example")
	boxes.nth(1).locator(".filter-field input").focus()
	page.keyboard.press("Tab")
	assert not page.evaluate("cur_frm.is_dirty()")
	boxes.nth(0).locator(".condition").select_option("!=")
	expect(field(page, "conditions")).to_contain_text("Status ≠ Open")
	page.locator(".grid-collapse-row").click()
	press(page, "Save")
	expect(page.get_by_role("button", name="Preview", exact=True)).to_be_visible()
	frappe.db.commit()
	(rule,) = frappe.get_doc("Consent Bulk Update", name).rules
	assert json.loads(rule.filters) == [["Contact", "status", "!=", "Open"], *filters[1:]]


def test_records_selected_in_a_list(bulk, desk, work_off_jobs, picture):
	officer = bulk.user(*OFFICER)
	contacts = [bulk.contact(bulk.mailbox()) for _one in range(2)]
	page = desk(officer)
	page.goto(f"/app/contact?name={json.dumps(['in', ','.join(contacts)])}")
	expect(page.locator(".list-row-checkbox")).to_have_count(2)
	page.locator(".list-check-all:visible").check()
	page.get_by_role("button", name="Actions").click()
	expect(
		page.get_by_role("menuitem", name="Download vCards").or_(page.get_by_text("Download vCards"))
	).to_be_visible()
	page.get_by_text("Set Legal Basis…").click()
	dialog = page.locator(".modal.show")
	expect(dialog).to_contain_text("Selected records: 2.")
	expect(dialog.locator("[data-fieldname=legal_basis] input")).to_have_value("Consent")
	choose(dialog.locator("[data-fieldname=source]"), "Phone")
	page.evaluate("cur_dialog.set_value('given_on', '2026-03-01 13:00:00')")  # in the zone of the site
	dialog.locator("[data-fieldname=reason] textarea").fill("They told us at the fair")
	picture(page, "set-legal-basis", full_page=False)
	press(page, "Preview")
	page.wait_for_url("**/consent-bulk-update/**")
	says(page, "waits for a worker")
	name = page.evaluate("cur_frm.docname")
	bulk.made.append(name)
	work_off_jobs()
	says(page, "To change: 2.")
	(rule,) = frappe.get_doc("Consent Bulk Update", name).rules
	assert json.loads(rule.filters)[0][:3] == ["Contact", "name", "in"]
	assert sorted(json.loads(rule.filters)[0][3]) == sorted(contacts)
	assert (rule.source, str(rule.given_on)) == ("Phone", "2026-03-01 12:00:00")  # the site is in Warsaw


def test_a_first_clean_up(bulk, visitors, desk, picture):
	_fair, emails = visitors(40)
	for email in emails[:9]:
		give(email)
	for _one in range(3):
		bulk.customer(bulk.contact(bulk.mailbox()))
		bulk.lead(bulk.mailbox(), status="Open")
	frappe.db.commit()
	page = desk(bulk.user(*OFFICER, "Accounts User"))
	page.goto("/app/consent-bulk-update")
	page.get_by_role("button", name="First Clean-up…").click()
	dialog = page.locator(".modal.show")
	expect(dialog).to_contain_text("have something on record")
	picture(page, "first-clean-up", full_page=False)
	boxes = dialog.locator("[data-proposal]")
	chosen = boxes.count()
	assert chosen
	press(page, "Create")
	page.wait_for_url("**/consent-bulk-update/**")
	says(page, "It changes nothing")
	name = page.evaluate("cur_frm.docname")
	bulk.made.append(name)
	frappe.db.commit()
	doc = frappe.get_doc("Consent Bulk Update", name)
	assert (doc.title, len(doc.rules)) == ("First clean-up", chosen)
	expect(page.locator(".grid-row [data-fieldname=conditions]").last).to_contain_text(
		"linked with Customer: Disabled = No"
	)


def test_bu_08_an_address_list_with_faults(bulk, desk, tmp_path, work_off_jobs, picture):
	good = bulk.mailbox()
	file = tmp_path / "addresses.csv"
	file.write_text(
		f"email,date,proof,shoe size\n{good},2026-03-01,Card 17,42\n<b>nobody,2026-03-01,Card 18,43\n"
	)
	page = desk(bulk.user(*OFFICER))
	page.goto("/app/consent-bulk-update/new")
	page.locator("[data-fieldname=title] input").fill("Cards of the fair")
	page.locator("[data-fieldname=reason] textarea").fill("Typed from cards")
	page.keyboard.press("Tab")
	press(page, "Save")
	says(page, "Add a rule")
	name = page.evaluate("cur_frm.docname")
	bulk.made.append(name)
	page.locator("[data-fieldname=address_list] .btn-attach").click()
	with page.expect_file_chooser() as chooser:
		page.locator(".modal.show .btn-file-upload").first.click()
	chooser.value.set_files(file)
	press(page, "Upload")
	press(page, "Check and Load")
	dialog = page.locator(".modal.show")
	expect(dialog).to_contain_text("Lines loaded: 1.")
	expect(dialog).to_contain_text("Columns that aren't read: shoe size")
	expect(dialog.locator("tbody td").nth(2)).to_have_text("<b>nobody")
	picture(page, "address-list", full_page=False)
	press(page, "Add a Rule about Its Lines")
	expect(field(page, "evidence_field").locator("select")).to_have_value("evidence")
	expect(field(page, "legal_basis").locator("input")).to_have_value("Consent")
	choose(field(page, "source"), "Event")
	page.locator(".grid-collapse-row").click()
	press(page, "Save")
	press(page, "Preview")
	says(page, "waits for a worker")
	work_off_jobs()
	says(page, "To change: 1.")
	frappe.db.commit()
	(item,) = bulk.items(name).values()
	assert (item.email, item.after, item.evidence) == (good, "Given", "Card 17")
