"""Preferences, sign-up and the way out, over HTTP: GET shows, POST acts, and nobody learns anything."""

import contextlib
import re
from email.parser import Parser
from email.policy import SMTP
from urllib.parse import quote

import pytest
from conftest import give, wait_for_mails, wait_until
from conftest import reason_on_the_server as reason

import frappe

from gdpr_consent import links, pages, preferences, register, sign_up, throttle
from gdpr_consent.identity import address_key

MARKETING = "Email Marketing"
pytestmark = pytest.mark.usefixtures("fresh_counters")


def token_of(record: str, use: str = links.PREFERENCES) -> str:
	frappe.db.commit()
	return links.sign(use, record)


def switches(page: str) -> dict[str, bool]:
	found = re.findall(r'<input type="checkbox" role="switch"[^>]*value="([^"]+)"([^>]*)>', page)
	return {value: "checked" in more for value, more in found}


# --- preferences --------------------------------------------------------------------------------------------


def test_the_page_shows_what_is_on_and_names_nobody(mailbox, committed_topic, web):
	"""UN-11: no address in full, no name."""
	email = mailbox("jo.{}@gate.example")
	give(email)
	token = token_of(give(email, committed_topic))
	page = web.call("GET", f"/consent/preferences?t={token}")
	assert page.status_code == 200
	states = switches(page.text)
	assert states[f"purpose:{MARKETING}"] and states[f"topic:{committed_topic}"]
	assert "On since" in page.text and "j…@g….example" in page.text
	assert email not in page.text and email.split("@")[0] not in page.text


def test_un_01_nothing_but_post_changes_anything(mailbox, web):
	email = mailbox()
	token = token_of(give(email))
	for method in ("GET", "HEAD", "OPTIONS"):
		for more in ("", "&everything=1", "&save=1", "&save=1&on=nothing"):
			assert web.call(method, f"/consent/preferences?t={token}{more}").status_code == 200
	assert reason(email) == "VALID_CONSENT"


def test_what_is_switched_off_stops_and_the_rest_stays(mailbox, committed_topic, web):
	email = mailbox()
	give(email)
	token = token_of(give(email, committed_topic))
	data = {"t": token, "save": "1", "on": [f"purpose:{MARKETING}"]}
	page = web.call("POST", "/consent/preferences", data=data)
	assert page.status_code == 200 and committed_topic in page.text
	assert (reason(email), reason(email, committed_topic)) == ("VALID_CONSENT", "WITHDRAWN")
	ended = frappe.get_doc("Consent", {"address_key": address_key(email), "topic": committed_topic})
	assert ended.status == "Withdrawn"
	event = frappe.get_all("Consent Event", {"consent": ended.name, "kind": "Withdraw"}, ["*"])[0]
	assert (event.source, event.actor, event.indicated_by) == ("Preference Page", "Guest", "Data Subject")


def test_a_purpose_that_is_switched_off_takes_its_topics_along(mailbox, committed_topic, web):
	email = mailbox()
	give(email)
	token = token_of(give(email, committed_topic))
	data = {"t": token, "save": "1", "on": [f"topic:{committed_topic}"]}
	web.call("POST", "/consent/preferences", data=data)
	assert reason(email) == reason(email, committed_topic) == "WITHDRAWN"


def test_tk_06_what_is_switched_on_waits_for_the_mailbox(mailbox, committed_topic, web, smtp):
	email = mailbox()
	token = token_of(give(email))
	data = {"t": token, "save": "1", "on": [f"purpose:{MARKETING}", f"topic:{committed_topic}"]}
	page = web.call("POST", "/consent/preferences", data=data)
	assert "sent you a mail" in page.text
	assert reason(email, committed_topic) == "REQUESTED"
	assert frappe.db.count("Email Queue Recipient", {"recipient": email}) == 1


def test_wb_06_nobody_chooses_what_isnt_offered(mailbox, committed_topic, web):
	frappe.db.set_value("Subscription Topic", committed_topic, "public", 0)
	email = mailbox()
	token = token_of(give(email))
	assert f"topic:{committed_topic}" not in switches(web.call("GET", f"/consent/preferences?t={token}").text)
	on = [f"purpose:{MARKETING}", f"topic:{committed_topic}", "purpose:Sales", "topic:None"]
	more = {"status": "Given", "legal_basis": "Contract", "given_on": "2020-01-01"}
	web.call("POST", "/consent/preferences", data={"t": token, "save": "1", "on": on, **more})
	assert reason(email, committed_topic) == "TOPIC_NOT_SUBSCRIBED"
	assert frappe.db.count("Consent", {"address_key": address_key(email)}) == 1


def test_art_21_2_no_marketing_at_all(mailbox, web):
	email = mailbox()
	token = token_of(give(email))
	page = web.call("POST", "/consent/preferences", data={"t": token, "everything": "1"})
	assert "no more marketing" in page.text
	assert reason(email) == "OBJECTED"


def test_tk_05_an_old_link_shows_nothing_and_still_stops_everything(mailbox, web, monkeypatch):
	email = mailbox()
	consent = give(email)
	frappe.db.commit()
	old = 1_600_000_000
	monkeypatch.setattr("itsdangerous.timed.TimestampSigner.get_timestamp", lambda _self: old)
	token = links.sign(links.PREFERENCES, consent)
	monkeypatch.undo()
	page = web.call("GET", f"/consent/preferences?t={token}")
	assert page.status_code == 200 and switches(page.text) == {} and "@" not in page.text
	web.call("POST", "/consent/preferences", data={"t": token, "save": "1"})
	assert reason(email) == "VALID_CONSENT"
	web.call("POST", "/consent/preferences", data={"t": token, "everything": "1"})
	assert reason(email) == "OBJECTED"


def test_the_page_speaks_the_persons_language_or_the_one_chosen(mailbox, web):
	token = token_of(give(mailbox(), language="de"))
	assert '<html lang="de"' in web.call("GET", f"/consent/preferences?t={token}").text
	assert '<html lang="pl"' in web.call("GET", f"/consent/preferences?t={token}&_lang=pl").text


def test_many_topics_cost_no_more_queries(address, monkeypatch):
	email = address()
	found = register.named_by_link(give(email))
	preferences.offers_to(found)  # reads what is cached
	counted = []
	sql = frappe.db.sql
	monkeypatch.setattr(frappe.db, "sql", lambda *args, **more: counted.append(args) or sql(*args, **more))
	counts = []
	for more in (1, 20):
		for _number in range(more):
			title = f"Topic {frappe.generate_hash(length=8)}"
			frappe.new_doc("Subscription Topic", title=title, purpose=MARKETING).insert()
		counted.clear()
		offers = preferences.offers_to(found)
		counts.append(len(counted))
	assert len(offers[0].topics) >= 21
	assert counts[0] == counts[1] <= 6


# --- the link by mail ---------------------------------------------------------------------------------------


def mails_to(email: str) -> list[str]:
	frappe.db.rollback()
	queued = frappe.get_all("Email Queue Recipient", {"recipient": email}, pluck="parent")
	return [frappe.db.get_value("Email Queue", name, "message") for name in queued]


def test_wb_01_an_answer_doesnt_tell_whether_an_address_is_known(mailbox, committed_topic, web):
	known, unknown = mailbox("a{}@gate.example"), mailbox("b{}@gate.example")
	give(known)
	frappe.db.commit()
	for path, data in (
		("/consent/preferences", {}),
		("/consent/subscribe", {"on": f"{MARKETING}:{committed_topic}"}),
	):
		answers = [web.call("POST", path, data={"email": email, **data}) for email in (known, unknown)]
		assert answers[0].text == answers[1].text
		assert [answer.status_code for answer in answers] == [200, 200]
	wait_for_mails(**{known: 2, unknown: 1})


def test_my_link_comes_by_mail_and_opens_my_choices(mailbox, web):
	email, stranger = mailbox(), mailbox()
	give(email)
	frappe.db.commit()
	for address in (email, stranger):
		web.call("POST", "/consent/preferences", data={"email": address})
	wait_until(lambda: mails_to(email))
	assert mails_to(stranger) == []
	(mail,) = mails_to(email)
	body = Parser(policy=SMTP).parsestr(mail).get_body(("plain",)).get_content()
	path = web.path_of(re.search(r"http\S+/consent/preferences\?t=[^\s>]+", body)[0])
	assert switches(web.call("GET", path).text)[f"purpose:{MARKETING}"]


def test_wb_02_nobody_is_molested_with_links(mailbox, web):
	email = mailbox()
	give(email)
	frappe.db.commit()
	limit = frappe.db.get_single_value("Consent Settings", "confirmations_per_day")
	for _time in range(limit + 2):
		assert web.call("POST", "/consent/preferences", data={"email": email}).status_code == 200
	wait_until(lambda: len(mails_to(email)) >= limit)
	assert len(mails_to(email)) == limit


# --- sign-up ------------------------------------------------------------------------------------------------


def test_ca_01_every_box_is_unticked(committed_topic, web):
	page = web.call("GET", "/consent/subscribe").text
	assert committed_topic in page
	assert not re.search(r"<input[^>]*checkbox[^>]*checked", page)


def test_ca_06_the_wording_that_was_shown_is_on_record(mailbox, committed_topic, wording, web):
	shown = wording(committed_topic, "Yes, tell me. I can stop at any time.")
	page = web.call("GET", "/consent/subscribe").text
	assert "Yes, tell me. I can stop at any time." in page
	signed = re.search(r'name="shown" value="([^"]+)"', page)[1]
	wording(committed_topic, "A newer text.")
	email = mailbox()
	data = {"email": email, "on": f"{MARKETING}:{committed_topic}", "shown": signed}
	assert "mailbox" in web.call("POST", "/consent/subscribe", data=data).text
	wait_until(lambda: reason(email, committed_topic) == "REQUESTED")
	asked = {"address_key": address_key(email), "topic": committed_topic}
	fields = ["wording", "source", "recorded_by"]
	assert frappe.db.get_value("Consent", asked, fields) == (shown, "Web Form", "Guest")


@pytest.mark.parametrize(
	("data", "said"),
	[({"email": "nobody", "on": f"{MARKETING}:"}, "nobody"), ({"email": "jo@x.example"}, "No box is ticked")],
)
def test_what_is_wrong_with_a_form_is_said_and_what_was_typed_stays(web, data, said):
	page = web.call("POST", "/consent/subscribe", data=data)
	assert said in page.text and 'role="alert"' in page.text
	assert f'value="{data["email"]}"' in page.text


def test_a_client_chooses_neither_status_nor_time_nor_basis(mailbox, committed_topic, web):
	email = mailbox()
	forged = {"status": "Given", "given_on": "2000-01-01", "legal_basis": "Contract", "ip": "1.2.3.4"}
	data = {"email": email, "on": f"{MARKETING}:{committed_topic}", "shown": "forged", **forged}
	web.call("POST", "/consent/subscribe", data=data)
	wait_until(lambda: reason(email) == "REQUESTED")
	row = frappe.get_doc("Consent", {"address_key": address_key(email), "topic": committed_topic})
	assert (row.status, row.legal_basis, row.wording) == ("Requested", "Consent", None)
	events = frappe.get_all("Consent Event", {"consent": row.name}, pluck="name")
	assert "1.2.3.4" not in str(frappe.get_all("Consent Event Payload", {"name": ["in", events]}, ["*"]))


# --- one click, and what strangers try ----------------------------------------------------------------------


def test_un_03_one_click_works_though_somebody_else_is_logged_in(mailbox, web):
	email, other = mailbox(), mailbox()
	token = token_of(give(email), links.UNSUBSCRIBE)
	give(other)
	frappe.db.commit()
	session = web.login("Administrator")
	page = web.call(
		"POST",
		f"/consent/unsubscribe?t={token}",
		data={"List-Unsubscribe": "One-Click"},
		cookies=session,
	)
	assert (page.status_code, "Location" in page.headers) == (200, False)
	assert (reason(email), reason(other)) == ("WITHDRAWN", "VALID_CONSENT")
	(actor,) = frappe.get_all(
		"Consent Event", {"kind": "Withdraw", "consent": links.read(links.UNSUBSCRIBE, token)}, pluck="actor"
	)
	assert actor == "Guest"
	still = web.call("GET", "/api/method/frappe.auth.get_logged_user", cookies=session)
	assert still.json()["message"] == "Administrator"


def test_un_03_other_posts_of_a_session_still_need_its_token(web):
	session = web.login("Administrator")
	for path in ("/consent/preferences", "/api/method/gdpr_consent.api.check_consent"):
		assert web.call("POST", path, data={"emails": "a@x.pl"}, cookies=session).status_code == 400


def test_one_click_works_after_the_contact_was_deleted(mailbox, contact, web):
	email = mailbox()
	person = contact(email)
	token = token_of(give(email, party_type="Contact", party=person.name), links.UNSUBSCRIBE)
	person.delete()
	frappe.db.commit()
	web.call("POST", f"/consent/unsubscribe?t={token}", data={"List-Unsubscribe": "One-Click"})
	assert reason(email) == "WITHDRAWN"


def test_one_click_works_after_the_address_was_erased(mailbox, web):
	email = mailbox()
	consent = give(email)
	frappe.db.set_value("Consent", consent, "email", None)
	token = token_of(consent, links.UNSUBSCRIBE)
	assert web.call("POST", f"/consent/unsubscribe?t={token}").status_code == 200
	assert reason(email) == "WITHDRAWN"


def test_wb_03_valid_one_click_posts_are_never_throttled_and_wrong_links_are(mailbox, web):
	token = token_of(give(mailbox()), links.UNSUBSCRIBE)
	wrong = [web.call("POST", "/consent/unsubscribe?t=wrong").status_code for _time in range(35)]
	assert wrong == [410] * throttle.WRONG_LINKS_AN_HOUR + [429] * (35 - throttle.WRONG_LINKS_AN_HOUR)
	for _time in range(40):
		assert web.call("POST", f"/consent/unsubscribe?t={token}").status_code == 200


@pytest.mark.parametrize(
	("direct", "forwarded", "client"),
	[
		("8.8.4.4", None, "8.8.4.4"),
		("8.8.4.4", "1.2.3.4", "8.8.4.4"),
		("127.0.0.1", "1.2.3.4, 8.8.4.4", "8.8.4.4"),
		("10.0.0.7", "8.8.4.4", "8.8.4.4"),
	],
)
def test_wb_04_a_client_cant_choose_its_own_address(monkeypatch, direct, forwarded, client):
	request = frappe._dict(remote_addr=direct)
	monkeypatch.setattr(frappe.local, "request", request, raising=False)
	monkeypatch.setattr(frappe, "get_request_header", lambda _name: forwarded)
	assert throttle.client_address() == client


@pytest.mark.parametrize("path", ["preferences", "unsubscribe", "confirm"])
@pytest.mark.parametrize("query", ["t=x", "t=", "t=a&t=b", "t=" + "x" * 9_000, "t=" + quote("é\x00<script>")])
def test_tk_10_a_wrong_link_shows_a_plain_page(web, path, query):
	frappe.cache.delete_keys("consent_")
	answer = web.call("GET", f"/consent/{path}?{query}")
	assert answer.status_code in ((200, 410) if path == "preferences" else (410,))
	assert "Traceback" not in answer.text and "<script" not in answer.text


def test_un_13_a_page_is_small_and_asks_nobody_else(web):
	page = web.call("GET", "/consent/subscribe")
	links_on_it = re.findall(r'(?:src|href|action)="([^"]+)"', page.text)
	assert all(url.startswith("/") for url in links_on_it), links_on_it
	style = web.call("GET", next(url for url in links_on_it if url.endswith(".css") or ".css?" in url))
	assert style.status_code == 200
	assert len(page.content) + len(style.content) < 100_000
	assert "default-src 'none'" in page.headers["Content-Security-Policy"]
	assert page.headers["Cache-Control"] == "no-store"


def test_a_lost_key_is_said_and_not_made_anew(monkeypatch):
	from gdpr_consent import install
	from gdpr_consent.gate import self_check

	keys = frappe.conf[links.KEYS_SETTING]
	monkeypatch.setitem(frappe.conf, links.KEYS_SETTING, ["0" * 64])
	assert any(links.KEYS_SETTING in problem for problem in self_check.find_problems())
	monkeypatch.setitem(frappe.conf, links.KEYS_SETTING, [*keys, "0" * 64])
	assert not any(links.KEYS_SETTING in problem for problem in self_check.find_problems())
	monkeypatch.delitem(frappe.conf, links.KEYS_SETTING)
	install._create_first_keys()
	assert not frappe.conf.get(links.KEYS_SETTING)
	assert any(links.KEYS_SETTING in problem for problem in self_check.find_problems())


@pytest.mark.parametrize("agrees", [True, False])
def test_a_receipt_comes_to_who_asks_for_it(mailbox, web, agrees):
	email = mailbox()
	if agrees:
		names = [row["name"] for row in register.request(email=email, by_the_person=True)]
		frappe.db.commit()
		path = web.path_of(links.confirmation_url(names))
	else:
		path = f"/consent/unsubscribe?t={token_of(give(email), links.UNSUBSCRIBE)}"
	for receipt in ("", "1"):
		web.call("POST", path, data={"receipt": receipt})
	if agrees:  # the second time there is nothing new, so the receipt says the same
		assert reason(email) == "VALID_CONSENT"
	(mail,) = mails_to(email)
	assert ("agreed" in mail) is agrees


def test_sign_up_takes_the_wording_of_the_language_then_of_the_site(topic, wording):
	wording(topic, "English text")
	wording(topic, "Deutscher Text", "de")
	texts = {
		language: next(box.text for box in sign_up.boxes(language) if box.topic == topic)
		for language in ("de", "de-AT", "pl", "en")
	}
	assert texts == {
		"de": "Deutscher Text",
		"de-AT": "Deutscher Text",
		"pl": "English text",
		"en": "English text",
	}


def test_dates_are_written_as_people_of_the_language_do(monkeypatch):
	from datetime import datetime

	written = {}
	for language in ("en", "de", "pl", "xx-nonsense"):
		monkeypatch.setattr(frappe.local, "lang", language)
		written[language] = pages.local_date(datetime(2026, 3, 1, 9))
	assert written == {
		"en": "March 1, 2026",
		"de": "1. März 2026",
		"pl": "1 marca 2026",
		"xx-nonsense": "March 1, 2026",
	}


@pytest.mark.parametrize("data", [{"save": "1"}, {"everything": "1"}])
def test_design_4_a_no_isnt_turned_away_because_its_source_is_disabled(mailbox, web, data):
	email = mailbox()
	token = token_of(give(email))
	frappe.db.set_value("Consent Source", "Preference Page", "enabled", 0)
	frappe.db.commit()
	try:
		page = web.call("POST", "/consent/preferences", data={"t": token, **data})
	finally:
		frappe.db.set_value("Consent Source", "Preference Page", "enabled", 1)
		frappe.db.commit()
	assert page.status_code == 200
	assert reason(email) in ("WITHDRAWN", "OBJECTED")


def test_a_link_is_mailed_to_addresses_only(phone_number, web):
	number = phone_number()
	page = web.call("POST", "/consent/preferences", data={"email": number})
	assert 'role="alert"' in page.text and number in page.text


def test_wb_02_a_counter_that_is_begun_also_ends(site, monkeypatch):
	"""Or an address whose first mail fell together with a crash would never get one again."""

	def dies(*_args) -> None:
		raise KeyboardInterrupt

	monkeypatch.setattr(type(frappe.cache), "expire", dies)
	with contextlib.suppress(KeyboardInterrupt):
		throttle.may_mail("v1:crash")
	monkeypatch.undo()
	left = frappe.cache.ttl(frappe.cache.make_key("consent_mail:v1:crash"))
	assert left == -2 or left > 0  # not there, or with an end


def test_what_comes_too_often_isnt_called_a_broken_link(web):
	for _time in range(throttle.FORMS_AN_HOUR + 1):
		page = web.call("POST", "/consent/preferences", data={"email": "nobody@nowhere.example"})
	assert page.status_code == 429
	assert "Please try again later" in page.text and "This link" not in page.text
