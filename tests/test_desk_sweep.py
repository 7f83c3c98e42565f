"""Opens every page that the app has on the desk or adds to, as each role, light and dark."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from conftest import BulkUpdates, give
from desk import go, settle, stand_still
from playwright.sync_api import expect
from test_breaches import ago, breach
from test_legitimate_interests import assessed
from test_roles import COLUMNS

import frappe

from gdpr_consent import api
from gdpr_consent.legitimate_interests import DOCTYPE as ASSESSMENT
from gdpr_consent.rights import api as rights

ALL = frozenset(COLUMNS)
READERS = ALL - {"Sales User"}
KEEPERS = READERS - {"Newsletter Manager"}
OFFICERS = KEEPERS - {"Consent User"}
ONLY_OFFICER = frozenset({"Privacy Officer"})
OF_PEOPLE = ("Contact", "Lead", "Customer", "Prospect", "Opportunity")

expect.set_options(timeout=20_000)  # of a machine that is busy


class Place(NamedTuple):
	name: str  # of the picture
	path: str
	shows: str  # a selector
	for_whom: frozenset[str] = ALL


ONLY_FOR_OFFICERS = (
	"Legal Hold",
	"Retention Rule",
	"Personal Data Breach Notice",
	"Information Duty",
	"Automated Decision Review",
	"Recipient Notification",
)
FORM, LIST, REPORT = ".form-page", ".frappe-list", "#page-query-report .layout-main-section"
PRINT = ".print-format-container"


def places(people: dict[str, str]) -> list[Place]:
	def form(doctype: str, name: str, for_whom: frozenset[str] = ALL) -> Place:
		slug = doctype.lower().replace(" ", "-")
		return Place(slug, f"/app/{slug}/{name}", FORM, for_whom)

	def a_list(doctype: str, for_whom: frozenset[str]) -> Place:
		slug = doctype.lower().replace(" ", "-")
		return Place(f"{slug}-list", f"/app/{slug}/view/list", LIST, for_whom)

	def report(name: str, for_whom: frozenset[str]) -> Place:
		slug = name.lower().replace(" ", "-")
		return Place(f"report-{slug}", f"/app/query-report/{name}", REPORT, for_whom)

	return [
		Place("workspace", "/app/gdpr-consent", ".number-widget-box", READERS),
		*(report(name, KEEPERS) for name in ("Consent Register", "Expiring and Lapsed")),
		*(
			report(name, READERS)
			for name in ("Consent Coverage", "Blocked Mail", "Wording in Use", "Sources")
		),
		report("Record of Processing Activities", OFFICERS),
		*(form(doctype, people[doctype]) for doctype in OF_PEOPLE),
		*(a_list(doctype, ALL) for doctype in OF_PEOPLE),
		form("Consent", people["Consent"], READERS),
		Place("consent-print", f"/app/print/Consent/{people['Consent']}", PRINT, READERS),
		Place("data-import", "/app/data-import/new", FORM, frozenset({"System Manager"})),
		*(a_list(doctype, READERS) for doctype in ("Consent", "Suppression", "Consent Decision")),
		*(form("Processing Purpose", "Email Marketing", READERS), a_list("Subscription Topic", READERS)),
		*(a_list("Consent Wording", READERS), a_list("Consent Country Rule", READERS)),
		a_list("Data Recipient", KEEPERS),
		*(a_list("Consent Source", KEEPERS), a_list("Legal Basis", KEEPERS)),
		Place("consent-settings", "/app/consent-settings", FORM, OFFICERS | {"Consent User"}),
		a_list("Consent Bulk Update", KEEPERS),
		a_list("Sensitive Field", OFFICERS),
		a_list("Ledger Seal", OFFICERS),
		a_list("Consent Policy Change", OFFICERS),
		a_list("Sensitive Access Log", ONLY_OFFICER),
		*(a_list(doctype, ONLY_OFFICER) for doctype in ONLY_FOR_OFFICERS),
		a_list("Personal Data Breach", OFFICERS),
		a_list("Data Subject Request", ONLY_OFFICER | {"Consent User"}),
		form("Data Subject Request", people["Data Subject Request"], ONLY_OFFICER),
		form("Personal Data Breach", people["Personal Data Breach"], OFFICERS),
		Place("legal-hold", "/app/legal-hold/new", FORM, ONLY_OFFICER),
		Place("retention-rule", "/app/retention-rule/new", FORM, ONLY_OFFICER),
		report("Data Past Retention", ONLY_OFFICER),
		report("Personal Data Map", OFFICERS),
		a_list("Automated Decision", OFFICERS),
		a_list(ASSESSMENT, OFFICERS),
		form(ASSESSMENT, people[ASSESSMENT], OFFICERS),
	]


@pytest.fixture
def people(bulk: BulkUpdates, committed_topic: str, remove_breaches: None) -> Iterator[dict[str, str]]:
	"""Somebody of each kind whose records have something to show."""
	emails = [bulk.mailbox(f"{name}.{{}}@meble-kowalski.example") for name in ("anna", "biuro", "piotr")]
	consent = give(emails[0])
	give(emails[0], committed_topic)
	give(emails[2])
	contact, lead = bulk.contact(*emails[:2]), bulk.lead(emails[2])
	customer = bulk.customer(contact)
	api.withdraw_consent(email=emails[2])
	request = rights.record_request("Access", email=emails[0], channel="Phone")["name"]
	stolen = breach(aware_on=ago(hours=30), risk="Risk").name
	assessment = assessed().name
	frappe.db.commit()
	yield {
		ASSESSMENT: assessment,
		"Data Subject Request": request,
		"Personal Data Breach": stolen,
		"Contact": contact,
		"Lead": lead,
		"Customer": customer,
		"Prospect": bulk.prospect(lead),
		"Opportunity": bulk.opportunity("Customer", customer, contact_person=contact),
		"Consent": consent,
	}
	frappe.db.delete(ASSESSMENT, {"name": assessment})
	frappe.db.commit()


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize("role", COLUMNS)
def test_every_page_opens_without_an_error(role, theme, bulk, people, desk, picture):
	user = bulk.user(role, "Sales User")
	frappe.db.set_value("User", user, "desk_theme", theme)
	frappe.db.commit()
	page = desk(user)
	page.goto("/app/contact/view/list")
	settle(page)
	assert page.locator(f"html[data-theme={theme.lower()}]").count()
	for place in [place for place in places(people) if role in place.for_whom]:
		go(page, place.path)
		expect(page.locator(place.shows).locator("visible=true").first, place.name).to_be_visible()
		settle(page)
		assert page.locator(".modal.show").all_inner_texts() == [], place.name
		assert desk.errors == [], place.name
		stand_still(page)
		picture.add_to_sheet(page)
		if role == "Privacy Officer":
			picture(page, f"{place.name}-{theme.lower()}", full_page=False)
	picture.sheet(f"{frappe.scrub(role)}-{theme.lower()}")


@pytest.mark.parametrize("role", COLUMNS)
def test_what_is_closed_to_a_role_says_so(role, bulk, people, desk):
	page = desk(bulk.user(role, "Sales User"))
	for place in [place for place in places(people) if role not in place.for_whom]:
		page.goto(place.path)
		told = page.get_by_text(re.compile("Not permitted|not found|don't have access"))
		expect(told.locator("visible=true").first, place.name).to_be_visible()
		desk.errors.clear()  # of a desk that was refused something
