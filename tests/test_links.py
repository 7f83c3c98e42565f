"""The pages behind signed links, over HTTP: GET shows, POST acts."""

from email.parser import Parser
from email.policy import SMTP
from pathlib import Path

import pytest
from conftest import give
from conftest import reason_on_the_server as reason

import frappe

from gdpr_consent import api, identity, links, register, throttle
from gdpr_consent.api import check_consent
from gdpr_consent.exceptions import LinkNotValid

SCANNERS = (
	"Mozilla/5.0 (compatible; SafeLinks)",
	"Proofpoint URL Defense",
	"Mimecast",
	"Barracuda Sentinel",
	"GoogleImageProxy",
)


@pytest.fixture
def asked(mailbox):
	"""Return an address that was asked to confirm, and the path of its link."""

	def ask() -> tuple[str, str]:
		email = mailbox()
		pending = register.request(email=email, by_the_person=True, source="Web Form")
		frappe.db.commit()
		return email, links.confirmation_url([row["name"] for row in pending])

	return ask


def test_ca_11_looking_at_a_confirmation_link_agrees_to_nothing(asked, web):
	email, url = asked()
	for scanner in SCANNERS:
		for method in ("GET", "HEAD", "GET"):
			answer = web.call(
				method, web.path_of(url), headers={"User-Agent": scanner, "Sec-Purpose": "prefetch"}
			)
			assert answer.status_code == 200
	assert reason(email) == "REQUESTED"


def test_t5_pressing_the_button_confirms(asked, web):
	email, url = asked()
	shown = web.call("GET", web.path_of(url))
	assert email not in shown.text
	answer = web.call("POST", "/consent/confirm", data={"t": web.path_of(url).split("t=")[1]})
	assert answer.status_code == 200
	assert reason(email) == "VALID_CONSENT"
	consent = frappe.get_doc("Consent", check_consent([email])[email]["consent"])
	assert (consent.evidence_grade, bool(consent.confirmed_on)) == ("A", True)


def test_st_14_a_link_made_before_an_objection_confirms_nothing(asked, web):
	email, url = asked()
	api.object_to_marketing(email=email)
	frappe.db.commit()
	web.call("POST", "/consent/confirm", data={"t": web.path_of(url).split("t=")[1]})
	assert reason(email) == "OBJECTED"


@pytest.mark.parametrize("encoding", ["form", "multipart"])
def test_un_02_one_click_works_in_both_encodings_and_repeats_harmlessly(
	mailbox, committed_topic, web, encoding
):
	"""UN-02, UN-03, UN-04, UN-08: no cookie, no redirect, no second event."""
	email = mailbox()
	give(email)
	consent = give(email, committed_topic)
	frappe.db.commit()
	body = {"List-Unsubscribe": "One-Click"}
	path = web.path_of(links.unsubscribe_url(consent))
	for _time in range(3):
		answer = web.call(
			"POST",
			path,
			**({"data": body} if encoding == "form" else {"files": {k: (None, v) for k, v in body.items()}}),
		)
		assert (answer.status_code, answer.headers.get("Location")) == (200, None)
	assert reason(email, committed_topic) == "WITHDRAWN"
	assert reason(email) == "VALID_CONSENT"  # UN-07: that topic only
	assert frappe.db.count("Consent Event", {"consent": consent}) == 2


def test_un_01_looking_at_the_way_out_changes_nothing(mailbox, web):
	email = mailbox()
	path = web.path_of(links.unsubscribe_url(give(email)))
	frappe.db.commit()
	for scanner in SCANNERS:
		for method in ("GET", "HEAD"):
			assert web.call(method, path, headers={"User-Agent": scanner}).status_code == 200
	page = web.call("GET", path).text
	assert email not in page  # UN-11
	assert "Get Updates" not in page  # core's own sign-up, in the footer of other pages
	assert reason(email) == "VALID_CONSENT"


def test_art_21_2_the_page_offers_no_marketing_at_all(mailbox, web):
	email = mailbox()
	path = web.path_of(links.unsubscribe_url(give(email)))
	frappe.db.commit()
	assert web.call("POST", path, data={"everything": "1"}).status_code == 200
	assert reason(email) == "OBJECTED"


def test_tk_02_a_link_for_one_thing_opens_nothing_else(mailbox, web):
	consent = give(mailbox())
	token = links.sign(links.UNSUBSCRIBE, consent)
	for use, text in (
		(links.CONFIRM, token),
		(links.UNSUBSCRIBE, token[:-1]),
		(links.UNSUBSCRIBE, "x" * 9_000),
	):
		with pytest.raises(LinkNotValid):
			links.read(use, text)
	frappe.db.commit()
	for path in (f"/consent/confirm?t={token}", "/consent/unsubscribe?t=nonsense", "/consent/unsubscribe"):
		answer = web.call("POST", path)
		assert answer.status_code == 410
		assert "Traceback" not in answer.text
		assert answer.headers["Referrer-Policy"] == "no-referrer"  # TK-08


def test_tk_03_old_links_go_on_working_after_the_key_is_changed(mailbox):
	token = links.sign(links.UNSUBSCRIBE, "x")
	old = frappe.conf[links.KEYS_SETTING]
	frappe.conf[links.KEYS_SETTING] = [*old, "0" * 64]
	try:
		assert links.read(links.UNSUBSCRIBE, token) == "x"
		assert links.sign(links.UNSUBSCRIBE, "x") != token
	finally:
		frappe.conf[links.KEYS_SETTING] = old


@pytest.mark.usefixtures("fresh_counters")
def test_wb_03_wrong_links_are_counted_at_the_door_too_and_valid_ones_never(asked, web):
	def answer_to(token: str):
		return web.call("POST", "/api/method/gdpr_consent.api.confirm_consent", data={"t": token})

	for _time in range(throttle.WRONG_LINKS_AN_HOUR):
		assert "LinkNotValid" in answer_to("wrong").text
	assert "TooManyAttempts" in answer_to("wrong").text
	email, url = asked()
	for _time in range(2):
		assert answer_to(url.split("t=")[1]).status_code == 200
	assert reason(email) == "VALID_CONSENT"
	assert web.call("GET", "/consent/unsubscribe?t=wrong").status_code == 429  # one count for all doors


@pytest.mark.usefixtures("fresh_counters")
def test_wb_12_a_wrong_link_is_logged_without_a_token_or_an_address(web):
	log = Path(frappe.get_site_path("logs", "gdpr_consent.security.log"))
	before = log.stat().st_size if log.exists() else 0
	for path in (
		"/consent/confirm",
		"/consent/preferences",
		"/consent/unsubscribe",
		"/unsubscribe.jo@x.example",
	):
		web.call("POST", path, data={"t": "nonsense"})
	web.call("POST", "/api/method/gdpr_consent.api.confirm_consent", data={"t": "nonsense"})
	text = log.read_bytes()[before:].decode()
	client = identity.client_key("127.0.0.1")
	doors = ("confirm", "preferences", "unsubscribe", "stop", "confirm_consent")
	assert [line.split("hour: ")[1] for line in text.splitlines()] == [
		f"{door}, client {client}" for door in doors
	]
	for secret in ("nonsense", "127.0.0.1", "jo@x.example"):
		assert secret not in text
	for _time in range(throttle.WRONG_LINKS_AN_HOUR + 5):
		web.call("POST", "/consent/confirm", data={"t": "nonsense"})
	lines = log.read_bytes()[before:].decode().splitlines()
	assert len(lines) == throttle.WRONG_LINKS_AN_HOUR + 1  # whoever goes on doesn't fill the log


def test_wb_02_an_address_gets_a_few_confirmation_mails_a_day(mailbox, smtp):
	email = mailbox()
	limit = frappe.db.get_single_value("Consent Settings", "confirmations_per_day")
	sent = [api.request_consent(email)["sent"] for _time in range(limit + 1)]
	assert sent == [True] * limit + [False]
	assert frappe.db.count("Email Queue Recipient", {"recipient": email}) == limit


def test_ca_09_the_confirmation_mail_holds_one_link_and_nothing_else(mailbox, queued, smtp):
	email = mailbox()
	api.request_consent(email)
	frappe.db.commit()
	name = frappe.db.get_value("Email Queue Recipient", {"recipient": email}, "parent")
	frappe.get_doc("Email Queue", name).send()
	(delivery,) = smtp.deliveries
	assert delivery.to == email
	message = Parser(policy=SMTP).parsestr(delivery.content)
	for kind, times in (("plain", 1), ("html", 2)):  # in HTML as address and as text
		body = message.get_body((kind,)).get_content()
		assert body.count("consent/confirm") == times
		assert "/unsubscribe" not in body.lower()
		assert "<img" not in body
