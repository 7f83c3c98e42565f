"""The workspace and the reports in Chromium, as those who read them, in both themes."""

import re

import pytest
import report_data
from desk import settle
from playwright.sync_api import Page, expect

import frappe

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
	"Open Confirmation Requests",
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
	expect(page.locator(".page-title")).to_contain_text(name)
	expect(page.locator(".report-summary .summary-value").first).to_be_visible()
	expect(page.locator(".dt-scrollable .dt-row").first).to_be_visible()


def drawn(page: Page) -> None:
	"""Wait until the server has answered, and there is a chart; none grows."""
	settle(page)


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
