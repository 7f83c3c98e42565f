"""Core's own ways to subscribe and unsubscribe, which strangers and mail scanners reach (FR-01 to FR-05)."""

import http.client
import re
from urllib.parse import quote, urlsplit

import pytest
from conftest import NEWSLETTER, give, wait_for_mails, wait_until
from conftest import reason_on_the_server as reason

import frappe
from frappe.email.queue import get_unsubcribed_url
from frappe.utils.verified_command import get_signed_params

from gdpr_consent import api, core_doors, links, throttle
from gdpr_consent.identity import address_key

PAGE, METHOD = "/unsubscribe", "/api/method/frappe.email.queue.unsubscribe"
SUBSCRIBE, CONFIRM = f"/api/method/{NEWSLETTER}.subscribe", f"/api/method/{NEWSLETTER}.confirm_subscription"
MARKETING = "Email Marketing"
pytestmark = pytest.mark.usefixtures("fresh_counters")


def old_link(door: str, email: str, doctype: str, name: str) -> str:
	"""Return the path of a link as core has put it into mails."""
	url = urlsplit(get_unsubcribed_url(doctype, name, email, door, None))
	return f"{url.path}?{url.query}"


def hidden_token(page: str) -> str:
	return re.search(r'name="t" value="([^"]+)"', page)[1]


@pytest.mark.parametrize("door", [PAGE, METHOD, METHOD.replace("/api/", "/api/v2/")])
def test_an_old_link_says_no_to_its_topic_when_its_button_is_pressed(
	door, newsletter, agreed, committed_topic, web
):
	"""FR-03, FR-04, UN-01, UN-11: looking changes nothing, and the page names nobody."""
	email = agreed(committed_topic)
	path = old_link(door, email, "Newsletter", newsletter(email).name)
	for method in ("GET", "HEAD", "OPTIONS", "GET"):
		page = web.call(method, path)
		assert page.status_code == 200
	assert committed_topic in page.text and email not in page.text
	assert "default-src 'none'" in page.headers["Content-Security-Policy"]
	assert (reason(email), reason(email, committed_topic)) == ("VALID_CONSENT", "VALID_CONSENT")

	token = hidden_token(page.text)
	for _time in range(2):
		answer = web.call("POST", "/consent/stop", data={"t": token})
		assert answer.status_code == 200 and "no more mail" in answer.text
	assert (reason(email), reason(email, committed_topic)) == ("VALID_CONSENT", "UNSUBSCRIBED")
	assert frappe.db.count("Suppression", {"address_key": address_key(email)}) == 1


def test_an_old_link_of_a_deleted_newsletter_stops_all_marketing_mail(agreed, web):
	email = agreed()
	frappe.db.commit()
	page = web.call("GET", old_link(METHOD, email, "Newsletter", "deleted long ago"))
	web.call("POST", "/consent/stop", data={"t": hidden_token(page.text)})
	assert reason(email) == "UNSUBSCRIBED"


def test_an_old_link_offers_no_marketing_at_all(agreed, web):
	email = agreed()
	frappe.db.commit()
	page = web.call("GET", old_link(PAGE, email, "Newsletter", "x"))
	answer = web.call("POST", "/consent/stop", data={"t": hidden_token(page.text), "everything": "1"})
	assert "every channel" in answer.text
	assert reason(email) == "OBJECTED"


def test_a_no_through_an_old_link_holds_for_all_addresses_of_the_person(mailbox, contact, web):
	email, other = mailbox(), mailbox()
	person = contact(email, other)
	for address in (email, other):
		give(address)
	frappe.db.commit()
	page = web.call("GET", old_link(PAGE, email, "Newsletter", "x"))
	web.call("POST", "/consent/stop", data={"t": hidden_token(page.text)})
	assert (reason(email), reason(other)) == ("UNSUBSCRIBED", "UNSUBSCRIBED")
	person.delete()
	frappe.db.commit()


def test_leaving_a_conversation_leaves_it_in_core_too(agreed, contact, web):
	email = agreed()
	about = contact()
	frappe.db.commit()
	page = web.call("GET", old_link(METHOD, email, "Contact", about.name))
	assert "conversation" in page.text
	for _time in range(2):
		assert web.call("POST", "/consent/stop", data={"t": hidden_token(page.text)}).status_code == 200
	assert reason(email) == "UNSUBSCRIBED"
	left = {"email": email, "reference_doctype": "Contact", "reference_name": about.name}
	assert frappe.db.count("Email Unsubscribe", left) == 1
	about.delete()
	frappe.db.commit()


def test_fr_14_one_reader_of_a_campaign_doesnt_stop_it_for_the_others(agreed):
	email = agreed()
	said = core_doors.WayOut(email, "Email Campaign", "any")
	core_doors.stop(said, everything=False)
	assert not frappe.db.exists("Email Unsubscribe", {"email": email})
	assert api.check_consent([email])[email]["reason"] == "UNSUBSCRIBED"


@pytest.mark.parametrize("door", [PAGE, METHOD, "/consent/stop"])
def test_fr_04_nobody_unsubscribes_anybody_else(door, agreed, newsletter, web):
	"""An unsigned POST in core's form, a token for something else, a signature over something else."""
	victim = agreed()
	letter = newsletter(victim)
	(group,) = letter.get_email_groups()
	consent = frappe.db.get_value("Consent", {"address_key": address_key(victim)})
	signed = old_link(door, victim, "Newsletter", letter.name)
	for query, data in (
		("", {"user_email": victim, group: "on"}),
		("", {"email": victim, "doctype": "Newsletter", "name": letter.name}),
		(f"?{urlsplit(signed).query}", {"user_email": victim, group: "on"}),
		("", {"t": links.sign(links.UNSUBSCRIBE, consent)}),
		("", {"t": links.sign(links.JOIN, "x")}),
	):
		answer = web.call("POST", door + query, data=data)
		assert answer.status_code == 410 and "Traceback" not in answer.text
	assert reason(victim) == "VALID_CONSENT"
	assert not frappe.db.get_value("Email Group Member", {"email": victim}, "unsubscribed")


@pytest.mark.parametrize(
	"change",
	[
		lambda query: query.replace("email=", "email=x"),
		lambda query: query + "&_signature=" + "0" * 128,
		lambda query: query + "&email=other%40gate.example",
		lambda query: query[:-1],
		lambda query: query.replace("&_signature=", "&doctype=Lead&_signature="),
		lambda query: query.split("&_signature=")[0],
		lambda query: query + "%FF" + quote("é"),
		lambda query: get_signed_params("email=a%40x.pl"),
		lambda query: get_signed_params("email=a%40x.pl&email=b%40x.pl&doctype=Newsletter&name=x"),
		lambda query: get_signed_params("email=a%40x.pl&email_group=Website"),
	],
)
@pytest.mark.parametrize("door", [PAGE, METHOD])
def test_a_link_that_core_didnt_sign_for_this_is_told_off_plainly(door, change, web):
	path, query = old_link(door, "a@x.pl", "Newsletter", "x").split("?")
	answer = web.call("GET", f"{path}?{change(query)}")
	assert answer.status_code == 410
	assert "Traceback" not in answer.text and "a@x.pl" not in answer.text


@pytest.mark.parametrize(
	"path",
	[
		"/unsubscribe.html",
		"/unsubscribe/",
		"/unsubscribe.html.html",
		"/_test/../unsubscribe",
		"//unsubscribe",
	],
)
def test_fr_04_no_spelling_of_the_address_leads_to_cores_page(path, agreed, newsletter, web):
	victim = agreed()
	(group,) = newsletter(victim).get_email_groups()
	host, port = web.base.removeprefix("http://").split(":")
	connection = http.client.HTTPConnection(host, int(port), timeout=60)  # sends the path as it is
	body = f"user_email={quote(victim)}&{quote(group)}=on"
	headers = {"Host": web.site, "Content-Type": "application/x-www-form-urlencoded"}
	connection.request("POST", path, body, headers)
	answer = connection.getresponse()
	assert answer.status in (301, 308, 404, 410), answer.read()
	connection.close()
	frappe.db.rollback()
	assert not frappe.db.get_value("Email Group Member", {"email": victim}, "unsubscribed")


# --- core's newsletter form ---------------------------------------------------------------------------------


def test_cores_form_asks_to_confirm_for_the_topic_of_the_group(mailbox, committed_topic, group_of, web):
	email = mailbox()
	group = group_of(committed_topic)
	frappe.db.commit()
	answer = web.call("POST", SUBSCRIBE, data={"email": email, "email_group": group})
	assert answer.status_code == 200
	wait_until(lambda: reason(email, committed_topic) == "REQUESTED")
	wait_until(
		lambda: frappe.db.rollback() or frappe.db.exists("Email Queue Recipient", {"recipient": email})
	)
	mail = frappe.db.get_value("Email Queue Recipient", {"recipient": email}, "parent")
	message = frappe.db.get_value("Email Queue", mail, "message")
	assert "/consent/confirm" in message and "confirm_subscription" not in message
	assert not frappe.db.exists("Email Group Member", {"email": email})


def test_cores_form_for_a_group_without_a_topic_asks_for_marketing_and_makes_no_group(mailbox, web):
	email = mailbox()
	web.call("POST", SUBSCRIBE, data={"email": email, "email_group": "Nobody's group"})
	wait_until(lambda: reason(email) == "REQUESTED")
	assert not frappe.db.exists("Email Group", "Nobody's group")


def test_a_group_of_a_topic_that_isnt_public_opens_no_way_to_it(mailbox, committed_topic, group_of, web):
	email = mailbox()
	group = group_of(committed_topic)
	frappe.db.set_value("Subscription Topic", committed_topic, "public", 0)
	frappe.db.commit()
	web.call("POST", SUBSCRIBE, data={"email": email, "email_group": group})
	wait_until(lambda: reason(email) == "REQUESTED")
	assert frappe.db.count("Consent", {"address_key": address_key(email), "topic": committed_topic}) == 0


def test_wb_01_cores_form_answers_the_same_whoever_it_is(agreed, mailbox, web):
	known, unknown, objected = agreed(), mailbox(), agreed()
	api.object_to_marketing(email=objected)
	frappe.db.commit()
	answers = [web.call("POST", SUBSCRIBE, data={"email": email}) for email in (known, unknown, objected)]
	assert len({(answer.status_code, answer.content) for answer in answers}) == 1
	assert answers[0].status_code == 200
	wait_for_mails(**{known: 0, unknown: 1, objected: 1})


def test_un_01_cores_form_does_nothing_on_get(mailbox, web):
	email = mailbox()
	assert web.call("GET", f"{SUBSCRIBE}?email={email}").status_code == 403
	assert reason(email) == "NO_CONSENT"


def test_wb_02_cores_form_is_limited(mailbox, web):
	email = mailbox()
	frappe.cache.incrby(frappe.cache.make_key("consent_form:127.0.0.1"), throttle.FORMS_AN_HOUR)
	answer = web.call("POST", SUBSCRIBE, data={"email": email})
	assert answer.status_code != 200 and "TooManyAttempts" in answer.text
	assert reason(email) == "NO_CONSENT"


def test_fr_05_cores_confirmation_is_a_request_when_its_button_is_pressed(
	mailbox, committed_topic, group_of, web
):
	email = mailbox()
	group = group_of(committed_topic)
	frappe.db.commit()
	path = f"{CONFIRM}?{get_signed_params({'email': email, 'email_group': group})}"
	for method in ("GET", "HEAD", "GET"):
		page = web.call(method, path)
		assert page.status_code == 200
	assert committed_topic in page.text and email not in page.text
	assert reason(email) == "NO_CONSENT"
	assert not frappe.db.exists("Email Group Member", {"email": email})
	answer = web.call("POST", "/consent/join", data={"t": hidden_token(page.text)})
	assert "mailbox" in answer.text
	wait_until(lambda: reason(email, committed_topic) == "REQUESTED")


def test_fr_02_a_way_out_opens_no_way_in(agreed, mailbox, web):
	email = mailbox()
	query = urlsplit(old_link(PAGE, email, "Newsletter", "x")).query
	assert web.call("GET", f"{CONFIRM}?{query}").status_code == 410
	page = web.call("GET", f"{PAGE}?{query}")
	assert web.call("POST", "/consent/join", data={"t": hidden_token(page.text)}).status_code == 410
	assert reason(email) == "NO_CONSENT"


@pytest.mark.parametrize("door", [SUBSCRIBE, CONFIRM])
def test_fr_05_what_core_asked_is_confirmed_even_where_nobody_has_to(
	door, mailbox, committed_topic, group_of, no_double_opt_in, web
):
	"""Nobody ticked a box of ours there, so nothing may say that somebody did (CA-07)."""
	email, group = mailbox(), group_of(committed_topic)
	frappe.db.commit()
	if door == SUBSCRIBE:
		web.call("POST", SUBSCRIBE, data={"email": email, "email_group": group})
	else:
		page = web.call("GET", f"{CONFIRM}?{get_signed_params({'email': email, 'email_group': group})}")
		web.call("POST", "/consent/join", data={"t": hidden_token(page.text)})
	wait_until(lambda: reason(email, committed_topic) != "NO_CONSENT")
	assert reason(email, committed_topic) == "REQUESTED"
