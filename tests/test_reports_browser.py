"""The workspace and the reports in Chromium, as those who read them, in both themes."""

import re

import pytest
import report_data
from conftest import V16
from desk import choose, press, settle, stand_still
from playwright.sync_api import Page, expect

import frappe

from gdpr_consent.clock import now_utc

expect.set_options(timeout=60_000)  # of a machine that is busy

OFFICER = ("Privacy Officer", "Sales User", "Sales Manager")
REPORTS = (
	"Consent Register",
	"Consent Coverage",
	"Expiring and Lapsed",
	"Blocked Mail",
	"Wording in Use",
	"Record of Processing Activities",
	"Sources",
)
OF_MARKETING = ("Consent Coverage", "Blocked Mail", "Wording in Use", "Sources")
CARDS = (
	"Mailable",
	"Expiring in 30 Days",
	"Unproven Consents",
	"Blocked This Week",
	"Requests Due",
	"Self-Check Problems",
)


@pytest.fixture
def filled(bulk, committed_topic, wording, newsletter, mailbox):
	"""A committed register, and a Newsletter of which some mails were blocked."""
	emails = [mailbox() for _number in range(120)]
	texts = [wording(committed_topic, f"Yes, send me news, version {number}.") for number in (1, 2)]
	texts.append(wording(committed_topic, "Yes, send me news and offers of partners.", material=1))
	report_data.consents(emails, committed_topic, (*texts, None))
	letter = newsletter(emails[0])
	report_data.decisions(letter.name, committed_topic, emails)
	for number in range(12):
		bulk.contact(emails[number])
	frappe.db.commit()
	frappe.cache.delete_keys("consent_report")
	yield committed_topic
	frappe.db.rollback()
	report_data.remove(committed_topic)
	frappe.cache.delete_keys("consent_report")


def in_theme(user: str, theme: str) -> None:
	frappe.db.set_value("User", user, "desk_theme", theme)
	frappe.db.commit()
	frappe.clear_cache(user=user)


def open_report(page: Page, name: str) -> None:
	page.goto(f"/app/query-report/{name}")
	expect(page.locator(".page-title")).to_contain_text(name.partition("?")[0])
	expect(page.locator(".report-summary .summary-value").first).to_be_visible()
	expect(page.locator(".dt-scrollable .dt-row").first).to_be_visible()


def drawn(page: Page) -> None:
	"""Wait until the server has answered, and the charts show it: they are drawn empty first."""
	settle(page)
	stand_still(page)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize(
	("who", "roles", "reports"),
	[("officer", OFFICER, REPORTS), ("marketing", ("Newsletter Manager",), OF_MARKETING)],
)
def test_each_report_shows_its_figures_and_rows(filled, bulk, desk, picture, who, roles, reports, theme):
	user = bulk.user(*roles)
	in_theme(user, theme)
	page = desk(user, width=1400)
	for name in reports:
		open_report(page, name)
		drawn(page)
		picture(page, f"report-{name}-{who}-{theme}".lower().replace(" ", "-"), full_page=False)
		if "Newsletter Manager" in roles:
			assert not re.search(r"[\w.]+@gate\.example", page.locator(".layout-main").inner_text())


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize(
	("who", "roles"),
	[("officer", OFFICER), ("marketing", ("Newsletter Manager",)), ("consent", ("Consent User",))],
)
def test_the_workspace_has_numbers_and_charts(filled, bulk, desk, picture, who, roles, theme):
	user = bulk.user(*roles)
	in_theme(user, theme)
	page = desk(user, width=1400, height=2200)
	page.goto("/app/gdpr-consent")
	for card in CARDS:
		block = page.locator(".number-widget-box", has_text=card)
		expect(block.locator(".number")).to_have_text(re.compile(r"^\s*[\d.,\s]+\s*$"))
	expect(page.locator(".dashboard-widget-box .frappe-chart")).to_have_count(4)
	drawn(page)
	picture(page, f"workspace-{who}-{theme}".lower(), full_page=False)


def test_a_count_leads_to_the_decisions_and_their_reason(filled, bulk, desk):
	user = bulk.user(*OFFICER)
	page = desk(user, width=1400)
	open_report(page, f"Blocked Mail?topic={filled}")  # other tests leave decisions, too
	row = page.locator(".dt-row", has=page.locator("a[data-gdpr-row]")).first
	count = int(row.locator("a[data-gdpr-row]").inner_text())
	reason = row.locator(".indicator-pill").inner_text()
	row.locator("a[data-gdpr-row]").click()
	page.wait_for_url("**/consent-decision/**")
	rows = page.locator(".list-row-container .list-row")
	expect(rows).to_have_count(count)
	expect(rows.first).to_contain_text(reason)


def test_coverage_leads_to_the_list_of_those_people(filled, bulk, desk):
	page = desk(bulk.user(*OFFICER), width=1400)
	open_report(page, "Consent Coverage")
	page.locator("a[data-gdpr-row]").first.click()
	page.wait_for_url("**/contact/**")
	expect(page.locator(".list-row-container .list-row").first).to_be_visible()
	assert page.evaluate("cur_list.filter_area.get().some(([, field]) => field === 'marketing_mail')")


def test_the_view_by_legal_basis(filled, bulk, desk, picture):
	page = desk(bulk.user(*OFFICER), width=1400)
	open_report(page, "Consent Coverage")
	page.locator(".page-form [data-fieldname=view] select").select_option("Legal Basis")
	expect(page.locator(".dt-row", has_text="No Legal Basis on Record").first).to_be_visible()
	settle(page)
	picture(page, "report-consent-coverage-legal-basis", full_page=False)


def test_whose_consent_ended_is_asked_by_a_bulk_update(filled, bulk, desk, picture):
	"""CA-15: nothing is sent before its preview and its run."""
	page = desk(bulk.user(*OFFICER), width=1400)
	open_report(page, "Expiring and Lapsed")
	page.locator(".inner-group-button button", has_text="Ask Again").click()
	page.get_by_role("link", name="Whose Consent Ended").or_(
		page.locator(".dropdown-item", has_text="Whose Consent Ended")
	).first.click()
	dialog = page.locator(".modal.show")
	choose(dialog.locator("[data-fieldname=purpose]"), "Email Marketing")
	choose(dialog.locator("[data-fieldname=topic]"), filled)
	picture(page, "report-ask-again", full_page=False)
	press(dialog, "Make the Bulk Update")
	page.wait_for_url("**/consent-bulk-update/**")
	expect(page.locator('[id="page-Consent Bulk Update"] .page-title')).to_contain_text("Ask again")
	bulk.made.append(page.evaluate("cur_frm.docname"))
	frappe.db.rollback()
	(rule,) = frappe.get_doc("Consent Bulk Update", bulk.made[-1]).rules
	assert (rule.action, rule.target_doctype, rule.topic) == ("Ask", "Consent", filled)
	found = frappe.get_all(
		"Consent", filters=frappe.parse_json(rule.filters), fields=["status", "expires_on"]
	)
	assert found and {row.status for row in found} <= {"Given", "Expired"}
	assert all(row.expires_on < now_utc() for row in found)


def test_the_record_of_processing_activities_prints(filled, bulk, desk, picture):
	page = desk(bulk.user(*OFFICER), width=1400)
	open_report(page, "Record of Processing Activities")
	page.locator(".menu-btn-group button").first.click()
	page.locator(".menu-btn-group .dropdown-item", has_text="Print").first.click()
	with page.expect_popup() as opened:
		press(page.locator(".modal.show"), "Submit")
	paper = opened.value
	expect(paper.locator(".gdpr-record caption", has_text="Email Marketing")).to_be_visible()
	assert paper.locator(".gdpr-record").count() == frappe.db.count("Processing Purpose", {"enabled": 1})
	expect(paper.locator(".gdpr-record").first).to_contain_text("Categories of Recipients (d)")
	picture(paper, "report-record-printed")


@pytest.fixture
def first_steps(site):
	"""Of a new site: nothing is done. Afterwards as old as before, else no update would reach them."""
	steps = frappe.get_all("Onboarding Step Map", {"parent": "GDPR Consent"}, pluck="step", order_by="idx")
	written_on = {step: frappe.db.get_value("Onboarding Step", step, "modified") for step in steps}

	def reset() -> None:
		frappe.db.rollback()
		frappe.db.set_value("Module Onboarding", "GDPR Consent", "is_complete", 0, update_modified=False)
		for step, modified in written_on.items():
			undone = {"is_complete": 0, "is_skipped": 0, "modified": modified}
			frappe.db.set_value("Onboarding Step", step, undone, update_modified=False)
		frappe.db.commit()

	frappe.db.set_single_value("System Settings", "enable_onboarding", 1)
	frappe.db.commit()
	reset()
	yield steps
	reset()


def test_a_card_and_the_first_steps_lead_on(filled, first_steps, bulk, desk):
	page = desk(bulk.user("System Manager", *OFFICER), width=1400, first_steps=True)
	for step in first_steps:
		doc = frappe.get_doc("Onboarding Step", step)
		page.goto("/app/gdpr-consent")
		if V16:
			page.locator(".onb-panel").get_by_text(doc.action_label, exact=True).click()
		else:
			widget = page.locator(".onboarding-widget-box")
			widget.locator(".onboarding-step", has_text=doc.title).click()
			press(widget, doc.action_label)
		if doc.action == "Create Entry":
			page.wait_for_url(f"**/{doc.reference_document.lower().replace(' ', '-')}/new-*")
			expect(page.locator(".form-page").locator("visible=true").first).to_be_visible()
			page.evaluate("() => { cur_frm.doc.__unsaved = 0; }")
		else:
			page.wait_for_url(f"**/{doc.path.replace(' ', '%20')}**")
		settle(page)
	page.goto("/app/gdpr-consent")
	page.locator(".number-widget-box", has_text="Blocked This Week").locator(".number").click()
	page.wait_for_url("**/query-report/Blocked%20Mail**")
	expect(page.locator("#page-query-report .page-title")).to_contain_text("Blocked Mail")
