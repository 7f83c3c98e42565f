"""Protected fields on the desk, in Chromium: who sees them, who sees dots, and what a reveal leaves."""

import re
import secrets
from collections.abc import Callable, Iterator
from datetime import timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from conftest import BulkUpdates
from desk import choose, press, settle
from playwright.sync_api import Page, expect

import frappe
from frappe.custom.doctype.custom_field.custom_field import create_custom_field

from gdpr_consent.sensitive_data import api as sensitive_api
from gdpr_consent.sensitive_data.open_paths import OPEN_PATHS

LOG = "Sensitive Access Log"
DOTS = "••••••••"
SEES, MAY_REVEAL, SEES_NOT = (
	("Sales User", "Sensitive Data Editor"),
	("Sales User", "Sales Manager"),
	("Sales User",),
)
OFFICER = ("Privacy Officer", "Sales User")
PURPOSE, REASON = "Contract Fulfilment", "The tax office asks for invoice 17"

expect.set_options(timeout=60_000)  # of a machine that is busy


@pytest.fixture
def tax_id() -> str:
	"""A number that stands nowhere else."""
	return f"PL{secrets.randbelow(10**10):010}"


@pytest.fixture
def customer(bulk: BulkUpdates, tax_id: str) -> Iterator[str]:
	frappe.db.delete(LOG)
	frappe.cache.delete_keys("consent_reveal")
	name = bulk.customer(tax_id=tax_id)
	frappe.db.set_value("Customer", name, "customer_name", "Meble Kowalski")
	frappe.db.commit()
	yield name
	frappe.db.rollback()
	frappe.db.delete(LOG)
	frappe.db.commit()


def open_customer(page: Page, name: str):
	"""Open the form at the tax number, and return the place of the field."""
	page.goto(f"/app/customer/{name}")
	page.get_by_role("tab", name="Tax", exact=True).click()
	field = page.locator(".frappe-control[data-fieldname=tax_id]")
	expect(field).to_be_visible()
	return field


def reveal(page: Page, field) -> None:
	field.get_by_role("button", name="Reveal: Tax ID").click()
	dialog = page.locator(".modal.show")
	dialog.locator("[data-fieldname=purpose] select").select_option(PURPOSE)
	dialog.locator("[data-fieldname=reason] textarea").fill(REASON)
	press(dialog, "Reveal")


def save(page: Page) -> None:
	with page.expect_response("**/api/method/frappe.desk.form.save.savedocs") as answer:
		press(page, "Save")
	assert answer.value.ok, answer.value.text()


def stored(customer: str) -> frappe._dict:
	frappe.db.rollback()
	return frappe.db.get_value("Customer", customer, ["tax_id", "website"], as_dict=True)


def log_of(user: str) -> list[frappe._dict]:
	frappe.db.rollback()
	return frappe.get_all(LOG, {"user": user}, ["*"], order_by="accessed_on")


def what_page_holds(page: Page) -> str:
	return page.content() + page.evaluate(
		"JSON.stringify([cur_frm.doc, frappe.get_doc(cur_frm.doctype, cur_frm.docname)])"
	)


def test_fp_06_au_08_dots_until_a_reveal_that_is_logged(bulk, customer, tax_id, desk, picture):
	user = bulk.user(*MAY_REVEAL)
	page = desk(user)
	page.clock.install()
	responses: list = []
	page.on("response", lambda answer: responses.append(answer))
	field = open_customer(page, customer)
	value = field.locator("output")
	expect(value).to_contain_text(DOTS)
	expect(field.get_by_text("Tax ID", exact=True)).to_be_visible()
	expect(value).to_have_accessible_name("Tax ID")
	expect(page.get_by_text("Created by").or_(page.get_by_text("created this")).first).to_be_attached()
	picture(page, "dots", full_page=False)
	kinds = ("document", "xhr", "fetch")
	whole = [answer for answer in responses if answer.request.resource_type in kinds and answer.ok]
	texts = [answer.text() for answer in whole]
	assert any(customer in text for text in texts)
	assert not [text for text in texts if tax_id in text]
	assert tax_id not in what_page_holds(page)
	assert log_of(user) == []

	field.get_by_role("button", name="Reveal: Tax ID").click()
	dialog = page.locator(".modal.show")
	expect(dialog).to_contain_text("is written down; the value isn't")
	dialog.locator("[data-fieldname=purpose] select").select_option(PURPOSE)
	dialog.locator("[data-fieldname=reason] textarea").fill(REASON)
	picture(page, "reveal", full_page=False)
	press(dialog, "Reveal")
	expect(value).to_have_text(tax_id)
	expect(field).to_contain_text("Hidden in")
	expect(field.get_by_role("button", name="Hide: Tax ID")).to_be_focused()
	assert tax_id not in page.evaluate("JSON.stringify(cur_frm.doc)")
	expect(page.locator(".modal-backdrop")).to_have_count(0)
	picture(page, "revealed", full_page=False)

	(row,) = log_of(user)
	assert (row.how, row.ref_doctype, row.fields, row.records) == ("Reveal", "Customer", "tax_id", customer)
	assert (row.purpose, row.reason, row.record_count) == (PURPOSE, REASON, 1)
	assert tax_id not in frappe.as_json(row)

	page.clock.fast_forward(61_000)
	expect(value).to_contain_text(DOTS)
	assert tax_id not in what_page_holds(page)


def test_a_revealed_value_goes_with_hide_refresh_and_leaving(bulk, customer, tax_id, desk):
	page = desk(bulk.user(*MAY_REVEAL))
	field = open_customer(page, customer)
	value = field.locator("output")

	reveal(page, field)
	expect(value).to_have_text(tax_id)
	field.get_by_role("button", name="Hide: Tax ID").click()
	expect(value).to_contain_text(DOTS)

	reveal(page, field)
	expect(value).to_have_text(tax_id)
	page.evaluate("cur_frm.refresh()")
	expect(value).to_contain_text(DOTS)

	reveal(page, field)
	expect(value).to_have_text(tax_id)
	page.evaluate("frappe.set_route('List', 'Customer')")
	page.wait_for_url("**/customer")
	expect(value).to_contain_text(DOTS)
	assert tax_id not in page.content()


def test_fp_02_with_the_right_all_is_as_before_and_without_are_dots(bulk, customer, tax_id, desk, picture):
	user = bulk.user(*SEES)
	page = desk(user)
	field = open_customer(page, customer)
	expect(field.locator("input")).to_have_value(tax_id)
	expect(page.locator(".sensitive-field")).to_have_count(0)
	picture(page, "with-the-right", full_page=False)
	field.locator("input").fill("PL1234563218")
	field.locator("input").blur()  # Tab would ask for Tax Categories, which a Sales User may not read
	save(page)
	assert stored(customer).tax_id == "PL1234563218"
	assert {(row.how, row.fields, row.records) for row in log_of(user)} == {("View", "tax_id", customer)}

	other = desk(bulk.user(*MAY_REVEAL))
	field = open_customer(other, customer)
	expect(field.locator("output")).to_contain_text(DOTS)
	assert "PL1234563218" not in what_page_holds(other)
	reveal(other, field)
	expect(field.locator("output")).to_have_text("PL1234563218")


def test_without_the_right_a_save_keeps_the_value(bulk, customer, tax_id, desk):
	page = desk(bulk.user(*SEES_NOT))
	field = open_customer(page, customer)
	expect(field.locator("output")).to_contain_text(DOTS)
	expect(field.get_by_role("button")).to_have_count(0)
	page.get_by_role("tab", name="Details", exact=True).click()
	page.evaluate("cur_frm.set_value('website', 'https://shop.example')")
	save(page)
	assert stored(customer) == {"tax_id": tax_id, "website": "https://shop.example"}
	assert tax_id not in what_page_holds(page)


def test_without_the_role_no_reveal_by_hand_either(bulk, customer, tax_id, desk):
	page = desk(user := bulk.user(*SEES_NOT))
	open_customer(page, customer)
	door = "gdpr_consent.sensitive_data.api.reveal"
	args = {
		"doctype": "Customer",
		"name": customer,
		"fieldname": "tax_id",
		"purpose": PURPOSE,
		"reason": REASON,
	}
	with page.expect_response(f"**/{door}") as answer:
		page.evaluate("([method, args]) => frappe.call({method, args}).catch(() => {})", [door, args])
	assert answer.value.status == 403
	assert tax_id not in answer.value.text()
	expect(page.locator(".msgprint")).to_contain_text("You may not reveal Tax ID of Customer")
	assert all("403" in error or "FieldProtected" in error or error == "Object" for error in desk.errors)
	desk.errors.clear()
	assert log_of(user) == []


def test_a_reveal_without_a_reason_is_refused_and_can_be_mended(bulk, customer, tax_id, desk):
	page = desk(user := bulk.user(*MAY_REVEAL))
	field = open_customer(page, customer)
	field.get_by_role("button", name="Reveal: Tax ID").click()
	dialog = page.locator(".modal.show", has=page.locator("[data-fieldname=purpose]"))
	dialog.locator("[data-fieldname=purpose] select").select_option(PURPOSE)
	dialog.locator("[data-fieldname=reason] textarea").fill("x")
	press(dialog, "Reveal")
	expect(page.locator(".msgprint")).to_contain_text("say in a few words why")
	assert "417" in desk.errors[0]
	desk.errors.clear()
	assert log_of(user) == []
	page.locator(".msgprint-dialog .btn-modal-close").click()
	dialog.locator("[data-fieldname=reason] textarea").fill(REASON)
	press(dialog, "Reveal")
	expect(field.locator("output")).to_have_text(tax_id)


@pytest.fixture
def bank_account(bulk: BulkUpdates) -> Iterator[str]:
	bank = frappe.new_doc("Bank", bank_name=f"Bank {frappe.generate_hash(length=8)}").insert()
	account = frappe.new_doc(
		"Bank Account", account_name="Main", bank=bank.name, iban="DE89370400440532013000"
	).insert()
	frappe.db.commit()
	yield account.name
	frappe.db.rollback()
	account.delete()
	bank.delete()
	frappe.db.commit()


def test_a_section_shows_though_all_its_fields_are_protected(bulk, bank_account, desk):
	page = desk(bulk.user("Accounts User"))
	page.goto(f"/app/bank-account/{bank_account}")
	expect(page.locator(".sensitive-field[data-fieldname=iban] output")).to_contain_text(DOTS)
	section = page.locator(".form-section", has=page.locator("[data-fieldname=iban]"))
	fields = section.locator(".frappe-control").locator("visible=true")
	names = fields.evaluate_all("all => all.map((one) => one.dataset.fieldname)")
	assert sorted(names) == ["bank_account_no", "branch_code", "iban"]
	assert "DE89370400440532013000" not in what_page_holds(page)


def test_no_dots_on_a_new_document(bulk, customer, desk):
	page = desk(bulk.user(*MAY_REVEAL))
	open_customer(page, customer)
	page.evaluate("frappe.new_doc('Customer', true)")
	page.evaluate("frappe.set_route('Form', 'Customer', frappe.model.make_new_doc_and_get_name('Customer'))")
	page.wait_for_url("**/customer/new-customer-*")
	expect(page.locator(".frappe-control[data-fieldname=customer_name]").first).to_be_visible()
	expect(page.locator(".sensitive-field:visible")).to_have_count(0)


def test_a_reveal_on_a_phone_and_by_keyboard(bulk, customer, tax_id, desk, picture):
	page = desk(bulk.user(*MAY_REVEAL), width=390, height=800)
	field = open_customer(page, customer)
	button = field.get_by_role("button", name="Reveal: Tax ID")
	button.scroll_into_view_if_needed()
	assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
	button.focus()
	page.keyboard.press("Enter")
	dialog = page.locator(".modal.show")
	expect(dialog.locator("[data-fieldname=purpose] select")).to_be_focused()
	page.keyboard.type("Contract")
	page.keyboard.press("Tab")
	page.keyboard.type(REASON)
	picture(page, "phone-dialog", full_page=False)
	page.keyboard.press("Tab")
	page.keyboard.press("Tab")
	expect(dialog.get_by_role("button", name="Reveal")).to_be_focused()
	page.keyboard.press("Enter")
	expect(field.locator("output")).to_have_text(tax_id)
	expect(page.locator(".modal-backdrop")).to_have_count(0)
	picture(page, "phone", full_page=False)
	assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# --- rules --------------------------------------------------------------------------------------------------


@pytest.fixture
def custom_field() -> Iterator[Callable[..., str]]:
	"""Add a field to Customer whose name the finder knows, and name it."""
	made = []

	def make(label: str = "Health Note") -> str:
		made.append(f"health_note_{frappe.generate_hash(length=6)}")
		field = {"fieldname": made[-1], "label": label, "fieldtype": "Small Text"}
		create_custom_field("Customer", field | {"insert_after": "tax_category"})
		frappe.db.commit()
		return made[-1]

	yield make
	frappe.db.rollback()
	for name in made:
		for rule in frappe.get_all("Sensitive Field", {"fieldname": name}, pluck="name"):
			frappe.delete_doc("Sensitive Field", rule)
		frappe.delete_doc("Custom Field", f"Customer-{name}", force=True)
		frappe.db.sql_ddl(f"alter table `tabCustomer` drop column `{name}`")
	frappe.clear_cache(doctype="Customer")
	frappe.db.commit()


def find_candidates(page: Page):
	page.goto("/app/sensitive-field")
	expect(page.locator(".list-row-container").first).to_be_visible()
	press(page, "Find Candidates…")
	dialog = page.locator(".modal.show")
	expect(dialog.locator(".btn-modal-primary")).to_have_class(re.compile("disabled"))
	return dialog


def test_find_candidates_protects_a_custom_field(bulk, customer, custom_field, desk, picture):
	name = custom_field()
	page = desk(bulk.user("Privacy Officer"))
	dialog = find_candidates(page)
	picture(page, "candidates", full_page=False)
	dialog.get_by_role("searchbox").fill("customer health")
	rows = dialog.locator("tbody tr:visible")
	expect(rows).to_have_count(1)
	expect(rows).to_contain_text("Special Category")
	dialog.get_by_role("button", name="Choose All: Special Category").click()
	expect(dialog.get_by_role("checkbox", checked=True)).to_have_count(1)
	dialog.locator("[data-fieldname=why_kept] textarea").fill("For deliveries to people who can't carry")
	page.set_viewport_size({"width": 390, "height": 800})
	assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
	page.set_viewport_size({"width": 1200, "height": 900})
	press(dialog, "Protect")
	expect(dialog).to_have_count(0)
	expect(page.locator(".list-row-container", has_text="Customer: Health").first).to_be_visible()
	picture(page, "rules", full_page=False)
	frappe.db.rollback()
	rule = frappe.get_doc("Sensitive Field", f"Customer-{name}")
	assert (rule.state, rule.sensitivity, rule.enabled) == ("In Force", "Special Category", 1)
	assert rule.why_kept == "For deliveries to people who can't carry"

	other = desk(bulk.user(*SEES_NOT))
	open_customer(other, customer)
	expect(other.locator(f".sensitive-field[data-fieldname={name}]")).to_contain_text("Health Note")


def test_a_label_is_text(bulk, customer, custom_field, desk):
	label = "Health <i>Note</i>"
	name = custom_field(label)
	page = desk(bulk.user("Privacy Officer", *MAY_REVEAL))
	dialog = find_candidates(page)
	dialog.get_by_role("searchbox").fill("customer health")
	expect(dialog.locator("tbody tr:visible")).to_contain_text(label)
	roles = [{"role": "Sales Manager"}]
	values = {"ref_doctype": "Customer", "fieldname": name, "why_kept": "For a test", "revealers": roles}
	frappe.get_doc(doctype="Sensitive Field", **values).insert()
	frappe.db.commit()
	page.goto("/app/sensitive-field?ref_doctype=Customer")
	expect(page.locator(".list-row", has_text=f"Customer: {label}")).to_be_visible()
	open_customer(page, customer)
	field = page.locator(f".sensitive-field[data-fieldname={name}]")
	expect(field.get_by_text(label, exact=True)).to_be_visible()
	field.get_by_role("button", name=f"Reveal: {label}").click()
	expect(page.locator(".modal.show .modal-title")).to_have_text(f"Reveal {label}")


def test_candidates_are_added_all_or_none(bulk, custom_field, desk):
	good, bad = sorted((custom_field(), custom_field()))
	page = desk(bulk.user("Privacy Officer"))
	dialog = find_candidates(page)
	dialog.get_by_role("searchbox").fill("customer health")
	dialog.get_by_role("button", name="Choose All: Special Category").click()
	expect(dialog.get_by_role("checkbox", checked=True)).to_have_count(2)
	dialog.locator("[data-fieldname=why_kept] textarea").fill("For a test")
	frappe.db.set_value("Custom Field", f"Customer-{bad}", "reqd", 1)
	frappe.db.commit()
	frappe.clear_cache(doctype="Customer")
	press(dialog, "Protect")
	expect(page.locator(".msgprint")).to_contain_text("must be filled in")
	assert "417" in desk.errors[0]
	desk.errors.clear()
	frappe.db.rollback()
	frappe.clear_cache(doctype="Customer")
	assert not frappe.get_all("Sensitive Field", {"fieldname": ["in", [good, bad]]})
	assert frappe.get_meta("Customer").get_field(good).permlevel == 0
	page.locator(".msgprint-dialog .btn-modal-close").click()
	expect(dialog.get_by_role("checkbox", checked=True)).to_have_count(2)


def test_a_rule_is_made_by_label_and_switched_off(bulk, customer, tax_id, custom_field, desk, picture):
	name = custom_field()
	page = desk(bulk.user("Privacy Officer"), height=1100)
	page.goto("/app/sensitive-field/new")
	choose(page.locator(".frappe-control[data-fieldname=ref_doctype]"), "Customer")
	choose(page.locator(".frappe-control[data-fieldname=fieldname]"), name)
	page.locator("[data-fieldname=why_kept] textarea").fill("For a test")
	choose(page.locator(".frappe-control[data-fieldname=revealers]"), "Stock Manager")
	expect(page.locator(".frappe-control[data-fieldname=revealers] .tb-selected-value")).to_have_text(
		"Stock Manager"
	)
	page.keyboard.press("Tab")
	save(page)
	expect(page.locator(".consent-headline")).to_have_text("In force.")
	picture(page, "rule", full_page=False)
	frappe.db.rollback()
	rule = frappe.get_doc("Sensitive Field", f"Customer-{name}")
	assert (rule.fieldname, rule.state, rule.field_label) == (name, "In Force", "Health Note")
	assert [row.role for row in rule.revealers] == ["Stock Manager"]

	settle(page)  # the form is drawn anew after it is saved
	page.get_by_role("checkbox", name="Enabled").uncheck()
	expect(page.locator(".consent-headline")).to_contain_text("Save to switch it off")
	save(page)
	expect(page.locator(".consent-headline")).to_contain_text("Off.")
	frappe.clear_cache(doctype="Customer")
	frappe.db.rollback()
	assert frappe.get_meta("Customer").get_field(name).permlevel == 0


def test_a_rule_out_of_force_says_why(bulk, custom_field, desk):
	name = custom_field()
	reason = "Somebody set its <i>permission level</i> to 3"
	rule = frappe.get_doc(
		doctype="Sensitive Field", ref_doctype="Customer", fieldname=name, why_kept="For a test"
	).insert()
	rule.db_set({"state": "Not in Force", "state_reason": reason})
	frappe.db.commit()
	page = desk(bulk.user("Privacy Officer"))
	page.goto(f"/app/sensitive-field/{rule.name}")
	expect(page.locator(".consent-headline")).to_have_text(f"Not in force. {reason}")
	page.goto(f"/app/sensitive-field?fieldname={name}")
	expect(page.locator(".list-row .indicator-pill.red", has_text="Not in Force").first).to_be_visible()


def test_the_settings_publish_the_open_paths(bulk, desk, picture):
	page = desk(bulk.user("Privacy Officer"), height=1200)
	page.goto("/app/consent-settings")
	place = page.locator("[data-fieldname=open_paths]")
	expect(place.locator("li")).to_have_count(len(OPEN_PATHS))
	for path in OPEN_PATHS:
		expect(place).to_contain_text(path.workaround)
	place.scroll_into_view_if_needed()
	picture(page, "open-paths", full_page=False)


def test_the_documentation_publishes_the_open_paths():
	text = " ".join((Path(__file__).parents[1] / "docs" / "sensitive-data.md").read_text().split())
	published = text.split("<!-- open paths -->")[1]
	assert published.count("- **") == len(OPEN_PATHS)
	for path in OPEN_PATHS:
		entry = f"- **{path.title}** (Frappe {path.frappe}). {path.why} What helps: {path.workaround}"
		assert entry in published


def test_contract_is_closed_to_whom_no_rule_names(bulk, desk):
	page = desk(bulk.user("Sales Manager"))
	page.goto("/app/contract")
	expect(page.get_by_text("Not permitted").or_(page.get_by_text("No permission")).first).to_be_visible()
	assert all("403" in error for error in desk.errors)
	desk.errors.clear()
	assert page.request.get("/api/resource/Contract").status == 403


# --- the log ------------------------------------------------------------------------------------------------


def test_who_saw_it_leads_from_the_record_to_the_log(bulk, customer, tax_id, desk, picture):
	other = bulk.customer(tax_id="PL5260250274")
	colleague = bulk.user(*MAY_REVEAL)
	for name in (customer, other):
		frappe.set_user(colleague)
		sensitive_api.reveal("Customer", name, "tax_id", PURPOSE, REASON)
		frappe.set_user("Administrator")
	frappe.db.commit()
	page = desk(bulk.user(*OFFICER), width=1500)
	open_customer(page, customer)
	page.locator(".menu-btn-group button").click()
	page.get_by_text("Who Saw It?").click()
	page.wait_for_url("**/sensitive-access-log**")
	rows = page.locator(".list-row")
	expect(rows).to_have_count(1)
	expect(rows).to_contain_text("Reveal")
	expect(rows).to_contain_text(colleague)
	expect(rows).to_contain_text(customer)
	(row,) = frappe.get_all(LOG, {"records": customer}, ["accessed_on"])
	local = row.accessed_on.replace(tzinfo=timezone.utc).astimezone(
		ZoneInfo(frappe.utils.get_system_timezone())
	)
	expect(rows).to_contain_text(local.strftime("%d.%m.%Y %H:%M"))
	picture(page, "log", full_page=False)
	rows.locator(".list-subject a").click()
	expect(page.locator(".consent-headline:visible")).to_contain_text("Revealed on a form")
	expect(page.locator("[data-fieldname=reason]")).to_contain_text(REASON)
	expect(page.get_by_role("button", name="Save", exact=True)).to_have_count(0)
	picture(page, "log-entry", full_page=False)
	assert tax_id not in page.content()
