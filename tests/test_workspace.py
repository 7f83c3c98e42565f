"""The workspace GDPR Consent: what it leads to is there, and each of its readers gets its figures."""

import json
from pathlib import Path

import pytest
from conftest import V16

import frappe
from frappe.boot import get_bootinfo
from frappe.desk.desktop import get_desktop_page, get_workspace_sidebar_items, update_onboarding_step

from gdpr_consent.reports import cards

NAME = "GDPR Consent"
READERS = ("Newsletter Manager", "Consent User", "Privacy Officer", "System Manager")


@pytest.fixture(autouse=True)
def fresh_figures(site):
	frappe.cache.delete_keys("consent_report")
	yield
	frappe.cache.delete_keys("consent_report")


@pytest.fixture
def workspace(site):
	return frappe.get_doc("Workspace", NAME)


def page() -> dict:
	return get_desktop_page(json.dumps({"name": NAME, "title": NAME, "public": 1}))


def test_whatever_it_leads_to_is_there(workspace):
	targets = [(row.link_type, row.link_to) for row in workspace.links if row.type == "Link"]
	targets += [(row.type, row.link_to) for row in workspace.shortcuts if row.type != "URL"]
	assert len(targets) > 25
	for doctype, name in targets:
		assert frappe.db.exists(doctype, name), (doctype, name)
	for row in workspace.shortcuts:
		assert row.type != "URL" or row.url.startswith("/"), row.url


def test_the_sidebar_of_v16_leads_to_the_same(workspace):
	file = Path(frappe.get_app_path("gdpr_consent", "workspace_sidebar", "gdpr_consent.json"))
	sidebar = json.loads(file.read_text())
	leads_to = [(item["link_type"], item["link_to"]) for item in sidebar["items"] if item["type"] == "Link"]
	assert sidebar["module_onboarding"] == NAME
	assert leads_to[0] == ("Workspace", NAME)
	assert leads_to[1:] == [(row.link_type, row.link_to) for row in workspace.links if row.type == "Link"]


@pytest.mark.skipif(not V16, reason="v15 has no desktop")
@pytest.mark.parametrize("role", READERS)
def test_each_reader_finds_it_on_the_desktop_of_v16(role, user_with_roles):
	user_with_roles(role)
	boot = get_bootinfo()
	assert NAME in {icon["label"] for icon in boot["desktop_icons"]}
	shown = {item["link_to"] for item in boot["workspace_sidebar_item"][NAME.lower()]["items"]}
	assert {NAME, "Consent", "Blocked Mail"} <= shown


def test_each_block_shows_something_that_the_workspace_has(workspace):
	has = {
		"number_card": {row.number_card_name for row in workspace.number_cards},
		"chart": {row.chart_name for row in workspace.charts},
		"shortcut": {row.label for row in workspace.shortcuts},
		"card": {row.label for row in workspace.links if row.type == "Card Break"},
		"onboarding": {NAME},
	}
	shown = {kind: set() for kind in has}
	for block in json.loads(workspace.content):
		if block["type"] in has:
			shown[block["type"]].add(block["data"][f"{block['type']}_name"])
	assert shown == has


def test_every_report_and_every_doctype_for_people_is_linked(workspace):
	linked = {row.link_to for row in workspace.links}
	reports = set(frappe.get_all("Report", {"module": NAME}, pluck="name"))
	assert reports <= linked
	of_one_user = {"Consent Lock", "Consent Event Payload", "Sensitive Data Change"}  # nobody opens them
	rows = {"Consent Bulk Update Item", "Consent Bulk Update Address"}  # seen within their update
	doctypes = set(frappe.get_all("DocType", {"module": NAME, "istable": 0}, pluck="name"))
	assert doctypes - linked - of_one_user - rows == set()


@pytest.mark.parametrize("role", READERS)
def test_each_reader_sees_all_figures_and_charts(role, user_with_roles):
	user_with_roles(role)
	assert NAME in {row["name"] for row in get_workspace_sidebar_items()["pages"]}
	shown = page()
	assert {row.number_card_name for row in shown["number_cards"]["items"]} == set(
		frappe.get_all("Number Card", {"module": NAME}, pluck="name")
	)
	assert {row.chart_name for row in shown["charts"]["items"]} == set(cards.CHARTS)
	for row in shown["number_cards"]["items"]:
		card = frappe.get_doc("Number Card", row.number_card_name)
		card.check_permission("read")
		answer = frappe.get_attr(card.method)()
		assert isinstance(answer["value"], int) and answer["value"] >= 0
	for row in shown["charts"]["items"]:
		frappe.get_doc("Dashboard Chart", row.chart_name).check_permission("read")
		cards.get_chart(row.chart_name)


def test_it_is_for_its_readers(user_with_roles):
	user_with_roles("Sales User")
	assert NAME not in {row["name"] for row in get_workspace_sidebar_items()["pages"]}
	for name in ("mailable", "expiring", "unproven", "blocked_this_week", "requests_due"):
		with pytest.raises(frappe.PermissionError):
			getattr(cards, name)()
	with pytest.raises(frappe.PermissionError):
		cards.get_chart("Consents by Source")


def test_a_figure_leads_to_what_it_counts(user_with_roles):
	"""Nobody is sent to a page that is closed to them."""
	user_with_roles("Newsletter Manager")
	assert cards.self_check_problems()["route"] == []
	frappe.set_user("Administrator")
	assert cards.self_check_problems()["route"] == ["consent-settings"]
	for name in ("mailable", "expiring", "unproven", "blocked_this_week"):
		kind, target = getattr(cards, name)()["route"]
		assert kind == "query-report" and frappe.db.exists("Report", target)


def test_what_is_expensive_is_counted_once(site, monkeypatch):
	cards.unproven()
	cards.get_chart("Consents by Source")
	asked = []
	sql = frappe.db.sql
	monkeypatch.setattr(frappe.db, "sql", lambda *args, **more: asked.append(args[0]) or sql(*args, **more))
	cards.unproven()
	cards.get_chart("Consents by Source")
	assert [query for query in asked if "tabConsent`" in query] == []


# --- onboarding ---------------------------------------------------------------------------------------------


@pytest.fixture
def onboarding(site):
	"""Of a new site: nothing is done."""
	doc = frappe.get_doc("Module Onboarding", NAME)
	frappe.db.set_single_value("System Settings", "enable_onboarding", 1)
	frappe.db.set_value("Module Onboarding", NAME, "is_complete", 0)
	for row in doc.steps:
		frappe.db.set_value("Onboarding Step", row.step, {"is_complete": 0, "is_skipped": 0})
	frappe.clear_document_cache("Module Onboarding", NAME)
	return doc


@pytest.mark.skipif(V16, reason="v16 shows them beside the sidebar, not on the page.")
@pytest.mark.parametrize("role", READERS)
def test_the_first_steps_are_for_who_sets_up(role, onboarding, user_with_roles):
	user_with_roles(role)
	shown = page()["onboardings"]["items"]
	assert bool(shown) == (role in ("Privacy Officer", "System Manager"))


def test_each_step_leads_somewhere_and_can_be_done(onboarding, user_with_roles):
	for step in onboarding.get_steps():
		if step.action == "Create Entry":
			assert frappe.db.exists("DocType", step.reference_document)
		else:
			slug, *name = step.path.split("/")
			doctype = "Report" if slug == "query-report" else slug.replace("-", " ").title()
			assert frappe.db.exists("DocType", doctype), step.path
			assert not name or frappe.db.exists(doctype, name[0])
	user_with_roles("Privacy Officer")
	for row in onboarding.steps:
		update_onboarding_step(row.step, "is_complete", 1)
	assert page()["onboardings"]["items"] == []
