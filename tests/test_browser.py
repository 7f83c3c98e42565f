"""What people do, in Chromium as a phone of 360 pixels that speaks Polish, by keyboard alone."""

import re
from email.parser import Parser
from email.policy import SMTP

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import give, wait_until
from playwright.sync_api import Page

import frappe
from frappe.email.queue import flush

from gdpr_consent import links

MARKETING = "Email Marketing"
pytestmark = pytest.mark.usefixtures("fresh_counters")


@pytest.fixture
def other_topic(site):
	title = f"Second {frappe.generate_hash(length=8)}"
	topic = frappe.new_doc("Subscription Topic", title=title, purpose=MARKETING).insert()
	frappe.db.commit()
	yield topic.name
	frappe.db.rollback()
	topic.delete(force=True)
	frappe.db.commit()


def press_until(page: Page, selector: str, key: str = "Tab") -> None:
	"""Walk on by keyboard until something has the focus, as somebody without a mouse would."""
	for _step in range(60):
		page.keyboard.press(key)
		if page.evaluate("selector => document.activeElement.matches(selector)", selector):
			return
	raise AssertionError(f"{selector} can't be reached by keyboard")


def press_button(page: Page, selector: str) -> None:
	press_until(page, selector)
	with page.expect_navigation():
		page.keyboard.press("Enter")


def check_access(page: Page) -> None:
	"""UN-13: no serious problem for people who use it in another way, and nothing to scroll sideways."""
	problems = [
		f"{found['id']}: {node['html']}"
		for found in Axe().run(page).response["violations"]
		if found["impact"] in ("serious", "critical")
		for node in found["nodes"]
	]
	assert problems == []
	assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def mail_to(smtp, email: str):
	"""Let the queue send, and return what the SMTP server got for an address since the last time."""
	wait_until(lambda: frappe.db.rollback() or _is_queued(email))
	flush()
	(delivery,) = [one for one in smtp.deliveries if one.to == email]
	smtp.deliveries.clear()
	return Parser(policy=SMTP).parsestr(delivery.content)


def _is_queued(email: str) -> bool:
	rows = frappe.get_all("Email Queue Recipient", {"recipient": email}, ["parent"], pluck="parent")
	return bool(frappe.db.exists("Email Queue", {"name": ["in", rows or [""]], "status": "Not Sent"}))


def link_in(message, path: str, web) -> str:
	text = message.get_body(("plain",)).get_content()
	return web.path_of(re.search(rf"http\S+{path}\?t=[^\s>]+", text)[0])


def test_from_sign_up_to_one_click_on_a_phone_by_keyboard(
	phone, web, smtp, mailbox, agreed, committed_topic, other_topic, newsletter, work_off_jobs, picture
):
	email = mailbox()
	somebody = agreed(committed_topic, other_topic)  # core sends no newsletter to nobody
	frappe.db.commit()
	box = f'[name="on"][value="{MARKETING}:{committed_topic}"]'

	phone.goto("/consent/subscribe")
	assert phone.locator("html").get_attribute("lang") == "pl"
	check_access(phone)
	picture(phone, "sign-up")
	press_until(phone, "#consent-email")
	phone.keyboard.type(email)
	press_until(phone, box)
	phone.keyboard.press("Space")
	press_button(phone, "button[type=submit]")
	check_access(phone)

	confirmation = mail_to(smtp, email)
	phone.goto(link_in(confirmation, "/consent/confirm", web))
	check_access(phone)
	picture(phone, "confirm")
	press_button(phone, "button[type=submit]")
	check_access(phone)

	press_button(phone, "button[name=show]")
	check_access(phone)
	picture(phone, "preferences")

	def switch(topic: str):
		return phone.locator(f'[role=switch][value="topic:{topic}"]')

	assert (switch(committed_topic).is_checked(), switch(other_topic).is_checked()) == (True, False)

	sent_news(newsletter(email, somebody), work_off_jobs)
	news = received(smtp, email)
	assert len(news) == 1

	press_until(phone, f'[value="topic:{committed_topic}"]')
	phone.keyboard.press("Space")
	press_until(phone, f'[value="topic:{other_topic}"]')
	phone.keyboard.press("Space")
	press_button(phone, "button[name=save]")
	check_access(phone)
	picture(phone, "changed")
	assert (switch(committed_topic).is_checked(), switch(other_topic).is_checked()) == (False, False)
	phone.goto(link_in(mail_to(smtp, email), "/consent/confirm", web))
	press_button(phone, "button[type=submit]")

	sent_news(newsletter(email, somebody), work_off_jobs)
	assert received(smtp, email) == []
	sent_news(newsletter(email, somebody, topic=other_topic), work_off_jobs)
	(news,) = received(smtp, email)

	way_out = re.search(r"<(http[^>]+)>", news["List-Unsubscribe"])[1]
	assert news["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
	answer = web.call("POST", web.path_of(way_out), data={"List-Unsubscribe": "One-Click"})
	assert answer.status_code == 200
	for topic in (committed_topic, other_topic):
		sent_news(newsletter(email, somebody, topic=topic), work_off_jobs)
	assert received(smtp, email) == []


def sent_news(letter, work_off_jobs) -> None:
	letter.send_emails()
	frappe.db.commit()
	work_off_jobs()
	flush()


def received(smtp, email: str) -> list:
	found = [Parser(policy=SMTP).parsestr(one.content) for one in smtp.deliveries if one.to == email]
	smtp.deliveries.clear()
	return found


def test_the_way_out_and_the_way_back(phone, web, mailbox, committed_topic, picture):
	email = mailbox()
	give(email)
	consent = give(email, committed_topic)
	frappe.db.commit()
	phone.goto(web.path_of(links.unsubscribe_url(consent)))
	check_access(phone)
	picture(phone, "unsubscribe")
	press_button(phone, "button:not([name])")
	check_access(phone)
	picture(phone, "unsubscribed")
	press_button(phone, "button[name=show]")
	assert phone.locator(f'[role=switch][value="topic:{committed_topic}"]').is_checked() is False
	press_until(phone, "button[name=everything]")
	with phone.expect_navigation():
		phone.keyboard.press("Enter")
	assert phone.locator("[role=switch]:checked").count() == 0


def test_a_wrong_link_and_the_way_to_a_new_one(phone, picture):
	phone.goto("/consent/unsubscribe?t=wrong")
	check_access(phone)
	press_until(phone, "main a")
	with phone.expect_navigation():
		phone.keyboard.press("Enter")
	check_access(phone)
	picture(phone, "link-by-mail")
	press_until(phone, "#email")
	phone.keyboard.type("nobody@nowhere.example")
	press_button(phone, "button[type=submit]")
	assert "nobody@" not in phone.content()
