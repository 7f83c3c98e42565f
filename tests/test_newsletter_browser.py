"""A Newsletter on the desk, as who sends it meets it: who will get it, and why the others don't."""

from conftest import BulkUpdates, give
from desk import press
from playwright.sync_api import expect

import frappe

from gdpr_consent import api

expect.set_options(timeout=60_000)  # of a machine that is busy


def test_em_08_who_gets_a_newsletter_and_why_the_others_dont(
	bulk: BulkUpdates, committed_topic, newsletter, desk, picture
):
	anna, jonas, magda, piotr = (
		bulk.mailbox(f"{name}.{{}}@meble-kowalski.example") for name in ("anna", "jonas", "magda", "piotr")
	)
	for email in (anna, jonas, magda):
		give(email)
	for email in (anna, magda):
		give(email, committed_topic)
	api.withdraw_consent(email=magda, source="Phone")
	letter = newsletter(anna, jonas, magda, piotr)
	frappe.db.commit()

	page = desk(bulk.user("Newsletter Manager", "Sales User"))
	page.goto(f"/app/newsletter/{letter.name}")
	press(page, "Who Gets It?")
	dialog = page.locator(".modal.show")
	expect(dialog).to_contain_text("Will get it: 1. Won't get it: 3.")
	for email, reason in (
		(anna, "Agreed"),
		(jonas, "Another topic"),
		(magda, "Withdrawn"),
		(piotr, "No consent"),
	):
		expect(dialog.locator("li", has_text=email)).to_contain_text(reason)
	picture(page, "newsletter", full_page=False)
