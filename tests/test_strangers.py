"""What scanners, guessers and other sites can't do, through the real web server (UN-01, TK-01 to WB-11)."""

import html
import json
import pickle
import random
import re
from collections.abc import Callable, Iterator
from email.parser import Parser
from email.policy import SMTP
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import requests
from conftest import NEWSLETTER, give, wait_for_mails, wait_until
from hypothesis import given
from hypothesis import strategies as st

import frappe
from frappe.email.queue import flush, get_unsubcribed_url
from frappe.utils.verified_command import get_signed_params

from gdpr_consent import api, core_doors, links, pages, receipts, register, sign_up, throttle
from gdpr_consent.exceptions import LinkKeyLost, LinkNotValid

MARKETING = "Email Marketing"
pytestmark = pytest.mark.usefixtures("fresh_counters")
USES = (
	*(links.CONFIRM, links.UNSUBSCRIBE, links.PREFERENCES, links.SHOWN, links.STOP, links.JOIN),
	links.REQUEST,
)


def what_is_stored() -> dict[str, int]:
	"""Return a checksum of each table that a link or a form could change."""
	frappe.db.rollback()
	doctypes = (
		*("Consent", "Consent Event", "Consent Event Payload", "Suppression", "Consent Decision"),
		*("Email Group", "Email Group Member", "Email Unsubscribe", "Contact", "Contact Email", "Lead"),
		*("Email Queue", "Email Queue Recipient", "Communication", "Subscription Topic"),
	)
	tables = ", ".join(f"`tab{doctype}`" for doctype in doctypes)
	return dict(frappe.db.sql(f"checksum table {tables}"))


# --- scanners -----------------------------------------------------------------------------------------------

SCANNERS = (
	{"User-Agent": "Mozilla/5.0 (compatible; SafeLinks)"},
	{"User-Agent": "Proofpoint URL Defense", "Sec-Purpose": "prefetch;prerender"},
	{"User-Agent": "Mimecast", "Purpose": "prefetch"},
	{"User-Agent": "Barracuda Sentinel", "X-Moz": "prefetch"},
	{"User-Agent": "GoogleImageProxy", "X-Purpose": "preview"},
)


def links_in(content: str) -> set[str]:
	"""List every web address in a delivered mail: headers, text and HTML."""
	message = Parser(policy=SMTP).parsestr(content)
	texts = [html.unescape(str(value)) for value in message.values()]
	texts += [
		html.unescape(part.get_content()) for part in message.walk() if part.get_content_maintype() == "text"
	]
	return {found.rstrip(".,)") for text in texts for found in re.findall(r"https?://[^\s<>\"',]+", text)}


@pytest.fixture
def delivered(newsletter, agreed, mailbox, committed_topic, smtp, work_off_jobs) -> list[str]:
	"""Every kind of mail with links as the SMTP server got it: marketing, asking, receipt, preferences."""
	reader, asked = agreed(committed_topic), mailbox()
	letter = newsletter(reader)
	letter.send_emails()
	work_off_jobs()
	api.request_consent(asked, topics=[committed_topic])
	consent = frappe.db.get_value("Consent", {"email": reader, "topic": committed_topic})
	sign_up._send_link(reader, "en")
	receipts.send_consent([register.named_by_link(consent)])
	frappe.db.commit()
	flush()
	wait_until(lambda: len(smtp.deliveries) >= 4)
	return [delivery.content for delivery in smtp.deliveries if delivery.to in (reader, asked)]


def test_un_01_no_scanner_changes_anything_by_any_link_in_any_mail(delivered, web):
	urls = set().union(*(links_in(content) for content in delivered))
	paths = {web.path_of(url) for url in urls if "/consent/" in url or "/api/" in url}
	assert {path.split("?")[0] for path in paths} == {
		"/consent/confirm",
		"/consent/unsubscribe",
		"/consent/preferences",
	}
	email = "scanned@gate.example"
	ways_out = [
		urlsplit(get_unsubcribed_url("Newsletter", "x", email, door, None))
		for door in ("/unsubscribe", "/api/method/frappe.email.queue.unsubscribe")
	]
	paths |= {f"{url.path}?{url.query}" for url in ways_out}  # of mails from before the app
	group = get_signed_params({"email": email, "email_group": "Scanned"})
	paths.add(f"/api/method/{NEWSLETTER}.confirm_subscription?{group}")
	before = what_is_stored()
	for path in sorted(paths):
		for headers in SCANNERS:
			for method in ("GET", "HEAD", "OPTIONS", "GET"):
				assert web.call(method, path, headers=headers).status_code == 200, path
	assert what_is_stored() == before


# --- tokens -------------------------------------------------------------------------------------------------


def wrong_tokens(real: dict[str, str], chance: random.Random) -> Iterator[str]:
	"""Yield what somebody may try: other bytes, shorter and longer ones, other keys, and plain junk."""
	for token in real.values():
		for at in range(len(token)):
			for bit in range(7):
				yield token[:at] + chr(ord(token[at]) ^ (1 << bit)) + token[at + 1 :]
			yield token[:at]
			yield token[at + 1 :]
			yield token[:at] + chance.choice("A-_.=+/ é\x00") + token[at:]
	key, salt = "0" * 64, links._serializer(links.UNSUBSCRIBE)
	for secret in (key, "", "secret"):
		forged = type(salt)(secret or "x", salt="gdpr_consent/unsubscribe")
		yield from (forged.dumps(name) for name in ("x", ["x"], {"x": 1}, None))
	for content in ({"t": "x"}, ["x"] * 9, pickle.dumps({"x": 1}).hex(), "{}", "null", "[]", "true", "0"):
		yield json.dumps(content)
	yield from ("x" * 4_000, "x" * 4_001, "." * 3_000, "ł" * 3_000, "💥" * 1_000, "\x00", "..", "a.b.c", "")
	while True:
		size = chance.randrange(200)
		yield "".join(
			chr(chance.choice((chance.randrange(128), chance.randrange(0xD7FF)))) for _ in range(size)
		)


def real_tokens() -> dict[str, str]:
	said = core_doors.WayOut("fuzz@gate.example", "Newsletter", "x")
	return {
		links.CONFIRM: urlsplit(links.confirmation_url(["fuzz"])).query.removeprefix("t="),
		links.UNSUBSCRIBE: links.sign(links.UNSUBSCRIBE, "fuzz"),
		links.PREFERENCES: links.sign(links.PREFERENCES, "fuzz"),
		links.SHOWN: links.sign(links.SHOWN, {"a:b": "fuzz"}),
		links.STOP: core_doors.token_for(links.STOP, said),
		links.REQUEST: urlsplit(links.request_url("fuzz", "mailbox")).query.removeprefix("t="),
		links.JOIN: core_doors.token_for(links.JOIN, core_doors.SignUp("fuzz@gate.example", "x")),
	}


READERS: dict[str, Callable] = {
	links.CONFIRM: links.read_confirmation,
	links.UNSUBSCRIBE: links.read_unsubscribe,
	links.PREFERENCES: links.read_preferences,
	links.SHOWN: lambda token: links.read(links.SHOWN, token),
	links.REQUEST: links.read_request,
	links.STOP: lambda token: core_doors.read_token(links.STOP, token),
	links.JOIN: lambda token: core_doors.read_token(links.JOIN, token),
}


def is_told_off(use: str, token: str) -> bool:
	try:
		READERS[use](token)
	except LinkNotValid as error:
		return len(token) < 20 or token not in str(error)
	return False


def test_tk_01_tk_02_ten_thousand_wrong_tokens_open_nothing():
	"""Every changed byte, and each real token with every use but its own."""
	real = real_tokens()
	for use, token in real.items():
		READERS[use](token)
		for other in set(USES) - {use}:
			assert is_told_off(other, token), (use, other)
	tried = 0
	for token in wrong_tokens(real, random.Random(4)):
		for use in USES:
			assert is_told_off(use, token), (use, token)
		tried += 1
		if tried == 15_000:
			break


@given(st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("latin-1")), st.characters()))
def test_tk_10_no_text_is_a_token(text):
	assert all(is_told_off(use, text) for use in USES)


PATHS = (
	*("consent/confirm", "consent/unsubscribe", "consent/preferences", "consent/stop", "consent/join"),
	"consent/request",
)


def test_tk_10_hundreds_of_wrong_tokens_over_http_show_a_plain_page(web, mailbox):
	"""TK-10, WB-11: no 500, no traceback, nothing stored, nothing logged."""
	chance = random.Random(10)
	email = mailbox()
	token = links.sign(links.UNSUBSCRIBE, give(email))
	frappe.db.commit()
	before, logs = what_is_stored(), Logs()
	tokens = list(zip(range(9_000), wrong_tokens(real_tokens(), chance), strict=False))
	queries = [f"t={quote(one)}" for _number, one in chance.sample(tokens, 90)]
	queries += [
		f"t={token}&t={token}x",
		f"t={token}%00",
		f"t=%FF{token}",
		"t=%C3%28",
	]
	with requests.Session() as session:
		for number, query in enumerate(queries):
			if number % 5 == 0:
				frappe.cache.delete_keys("consent_")  # or the throttle answers all the others
			for path in PATHS[number % 2 :: 2] if number % 3 else PATHS:
				method = "POST" if number % 4 else "GET"
				answer = session.request(
					method, f"{web.base}/{path}?{query}", headers={"Host": web.site}, timeout=60
				)
				assert answer.status_code in (410, 429), (path, query, answer.status_code)
				assert "Traceback" not in answer.text and "<script" not in answer.text
	answer = web.call("POST", "/consent/unsubscribe", data={"t": [token, token + "x"]})
	assert answer.status_code == 410
	assert what_is_stored() == before
	assert logs.new_lines_with(token, email) == []


def test_wb_03_valid_links_work_from_an_address_that_tried_many_wrong_ones(web, mailbox):
	token = links.sign(links.UNSUBSCRIBE, give(mailbox()))
	frappe.db.commit()
	counter = frappe.cache.make_key("consent_wrong_link:127.0.0.1")
	frappe.cache.incrby(counter, throttle.WRONG_LINKS_AN_HOUR)
	assert web.call("GET", "/consent/unsubscribe?t=x").status_code == 429
	old = urlsplit(get_unsubcribed_url("Newsletter", "x", mailbox(), "/unsubscribe", None))
	for method in ("GET", "POST"):
		assert web.call(method, f"/consent/unsubscribe?t={token}").status_code == 200
	assert web.call("GET", f"{old.path}?{old.query}").status_code == 200


# --- logs ---------------------------------------------------------------------------------------------------


class Logs:
	"""What the site writes down about its visitors: its log files, and Error Log."""

	def __init__(self) -> None:
		folders = (Path(frappe.get_site_path("logs")), Path("..", "logs"))
		self.files = {file: file.stat().st_size for folder in folders for file in folder.glob("*.log")}
		frappe.db.rollback()
		self.errors = set(frappe.get_all("Error Log", pluck="name"))

	def new_lines_with(self, *secrets: str) -> list[str]:
		frappe.db.rollback()
		lines = [
			line
			for log in frappe.get_all("Error Log", ["name", "method", "error"])
			if log.name not in self.errors
			for line in f"{log.method}\n{log.error}".splitlines()
		]
		for file, size in self.files.items():
			lines += file.read_bytes()[size:].decode(errors="replace").splitlines()
		return [line for line in lines if any(secret in line for secret in secrets)]


def test_wb_11_no_log_names_a_token_or_an_address(web, mailbox, committed_topic):
	"""A walk through all pages, with what goes wrong on the way."""
	logs = Logs()
	email, other = mailbox(), mailbox()
	consent = give(email)
	frappe.db.commit()
	tokens = {use: links.sign(use, consent) for use in (links.UNSUBSCRIBE, links.PREFERENCES)}
	names = [row["name"] for row in register.request(email=other, by_the_person=True)]
	frappe.db.commit()
	confirmation = web.path_of(links.confirmation_url(names))
	old = urlsplit(get_unsubcribed_url("Newsletter", "x", email, "/unsubscribe", None))
	for method in ("GET", "POST"):
		web.call(method, f"/consent/unsubscribe?t={tokens[links.UNSUBSCRIBE]}")
		web.call(method, f"/consent/preferences?t={tokens[links.PREFERENCES]}")
		web.call(method, confirmation)
		web.call(method, f"{old.path}?{old.query}")
	for wrong in (email + "@", email):
		web.call("POST", "/consent/subscribe", data={"email": wrong, "on": f"{MARKETING}:{committed_topic}"})
		web.call("POST", "/consent/preferences", data={"email": wrong})
	web.call("POST", "/consent/subscribe", data={"email": other, "on": f"{MARKETING}:{committed_topic}"})
	wait_for_mails(**{email: 2, other: 1})
	secrets = [email, quote(email), other, *tokens.values(), confirmation.split("t=")[1]]
	assert logs.new_lines_with(*secrets) == []


def test_wb_11_a_lost_key_is_logged_without_the_link_it_met(web, mailbox, monkeypatch):
	logs = Logs()
	token = links.sign(links.UNSUBSCRIBE, give(mailbox()))

	@pages.behind_a_link
	def page(context: frappe._dict) -> None:
		raise LinkKeyLost(f"no key for {context.token}")

	context = frappe._dict()
	request = frappe._dict(args=frappe._dict(getlist=lambda _name: [token]), path="/consent/unsubscribe")
	request.form = frappe._dict(getlist=lambda _name: [])
	monkeypatch.setattr(frappe.local, "request", request, raising=False)
	monkeypatch.setattr(frappe.db, "rollback", lambda *args, **more: None)
	page(context)
	assert context.http_status_code == 503
	new = [log for log in frappe.get_all("Error Log", ["name", "error"]) if log.name not in logs.errors]
	assert len(new) == 1 and "LinkKeyLost" in new[0].error and token not in new[0].error


# --- what answers tell, and what pages show -----------------------------------------------------------------


def test_wb_01_no_answer_tells_whether_an_address_is_known(web, mailbox, committed_topic):
	"""Byte for byte, with its headers: known, unknown, objected, and asked too often."""
	known, unknown, objected, often = (mailbox() for _number in range(4))
	for email in (known, objected, often):
		give(email)
	api.object_to_marketing(email=objected)
	frappe.db.commit()
	for _time in range(frappe.db.get_single_value("Consent Settings", "confirmations_per_day") + 1):
		throttle.may_mail(frappe.db.get_value("Consent", {"email": often}, "address_key"))
	on = f"{MARKETING}:{committed_topic}"
	for path, data in (
		("/consent/preferences", {}),
		("/consent/subscribe", {"on": on}),
		(f"/api/method/{NEWSLETTER}.subscribe", {"email_group": "x"}),
	):
		answers = [
			web.call("POST", path, data={"email": email, **data})
			for email in (known, unknown, objected, often)
		]
		ignored = ("Date", "X-Frappe-Request-Id", "Set-Cookie")
		told = {
			(
				answer.status_code,
				answer.content,
				str({name: value for name, value in answer.headers.items() if name not in ignored}),
			)
			for answer in answers
		}
		assert len(told) == 1, path
		assert answers[0].status_code == 200
	wait_for_mails(**{known: 2, unknown: 2, objected: 3, often: 0})


def test_wb_08_every_page_and_every_error_carries_the_headers(web):
	for path in (*PATHS, "consent/subscribe", "unsubscribe", "api/method/frappe.email.queue.unsubscribe"):
		headers = web.call("GET", f"/{path}").headers
		assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], path
		assert headers["X-Content-Type-Options"] == "nosniff"
		assert headers["X-Frame-Options"] == "DENY"
		assert headers["Referrer-Policy"] == "no-referrer"
		assert headers["Cache-Control"] == "no-store"
		assert headers["X-Robots-Tag"] == "noindex"


ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>\"' onfocus=alert(3) {{ 7*7 }}"


@pytest.fixture
def hostile_topic(site, wording):
	"""A topic whose texts are written by somebody who means ill, or past every form."""
	title = f"A \"quoted\" & 'sharp' onfocus=alert(4) {frappe.generate_hash(length=6)}"
	topic = frappe.new_doc("Subscription Topic", title=title, purpose=MARKETING).insert().name
	frappe.db.set_value("Subscription Topic", topic, "description", ATTACK)
	text = wording(topic, "to be replaced")
	frappe.db.set_value("Consent Wording", text, "text", ATTACK)
	frappe.db.commit()
	frappe.clear_document_cache("Subscription Topic", topic)
	yield topic
	frappe.db.rollback()
	frappe.db.delete("Consent Wording", {"name": text})
	frappe.db.delete("Subscription Topic", {"name": topic})
	frappe.db.commit()


def test_wb_09_texts_of_topics_and_visitors_are_shown_and_never_run(web, mailbox, hostile_topic):
	email = mailbox()
	give(email)
	consent = give(email, hostile_topic)
	names = [
		row["name"] for row in register.request(email=mailbox(), topics=[hostile_topic], by_the_person=True)
	]
	frappe.db.commit()
	preferences = links.sign(links.PREFERENCES, consent)
	hostile = {"email": ATTACK, "on": ATTACK, "shown": ATTACK, "_lang": ATTACK, "receipt": ATTACK}
	shown = {
		"form": web.call("GET", "/consent/subscribe"),
		"form again": web.call("POST", "/consent/subscribe", data=hostile),
		"form of": web.call("GET", f"/consent/subscribe?topic={quote(ATTACK)}&_lang={quote(ATTACK)}"),
		"choices": web.call("GET", f"/consent/preferences?t={preferences}"),
		"changed": web.call("POST", "/consent/preferences", data={"t": preferences, "save": "1"}),
		"link": web.call("POST", "/consent/preferences", data={"email": ATTACK}),
		"confirm": web.call("GET", web.path_of(links.confirmation_url(names))),
		"way out": web.call("GET", f"/consent/unsubscribe?t={links.sign(links.UNSUBSCRIBE, consent)}"),
		"gone": web.call("POST", f"/consent/unsubscribe?t={links.sign(links.UNSUBSCRIBE, consent)}"),
		"wrong": web.call("GET", f"/consent/unsubscribe?t={quote(ATTACK)}"),
	}
	for name, page in shown.items():
		assert page.status_code in (200, 410), name
		assert "<script" not in page.text and "<img" not in page.text, name
		# Of what is in an attribute, no quotation mark may end it.
		tags = re.findall(r"<[a-zA-Z](?:[^>\"']|\"[^\"]*\"|'[^']*')*>", page.text)
		assert not any(re.search(r"\son\w+=", re.sub(r"\"[^\"]*\"|'[^']*'", "", tag)) for tag in tags), name
		assert "49" not in re.findall(r"onfocus=alert\(3\) (\S+)", page.text), name
	for name in ("form", "choices"):
		assert html.escape("<script>alert(1)</script>") in shown[name].text, name
	for name in ("form", "choices", "changed", "confirm", "way out", "gone"):
		assert hostile_topic in html.unescape(shown[name].text), name
	script = web.call("GET", f"/consent/sign-up.js?topic={quote(hostile_topic)}").text
	assert "<" not in script and "alert(1)" in script
	assert "<script" not in json.loads(re.search(r"(\".*\")\);", script)[1])
