"""Sign-up from elsewhere: a Web Form of the site's own, and our form in a page of another site."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import give, wait_until
from conftest import reason_on_the_server as reason

import frappe

from gdpr_consent import links, register
from gdpr_consent.exceptions import ConsentError
from gdpr_consent.identity import address_key

MARKETING = "Email Marketing"
pytestmark = pytest.mark.usefixtures("fresh_counters")
BOX, OTHER_BOX = "gdpr_test_newsletter", "gdpr_test_contact_me"
ACCEPT = "/api/method/frappe.website.doctype.web_form.web_form.accept"


@pytest.fixture(autouse=True)
def unlimited_forms(site):
	frappe.cache.delete_keys("rl:")  # core lets a form be sent ten times a minute


# --- Web Form -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lead_boxes(site):
	"""Two boxes on Lead, as an administrator would add them to ask for consent there."""
	names = [
		frappe.get_doc(doctype="Custom Field", dt="Lead", fieldname=fieldname, label="Box", fieldtype="Check")
		.insert()
		.name
		for fieldname in (BOX, OTHER_BOX)
	]
	frappe.db.commit()
	yield
	frappe.db.rollback()
	for name in names:
		frappe.delete_doc("Custom Field", name, force=True)
	frappe.db.commit()


@pytest.fixture
def lead_form(lead_boxes, committed_topic):
	made = []

	def make(*boxes: dict, email: bool = True, **values):
		fields = [{"fieldname": "first_name", "fieldtype": "Data", "label": "First name"}]
		if email:
			fields.append(
				{"fieldname": "email_id", "fieldtype": "Data", "options": "Email", "label": "E-mail"}
			)
		newsletter = {
			"fieldname": BOX,
			"fieldtype": "Check",
			"label": "Send me the newsletter",
			"description": "Once a month. I can stop at any time.",
			"subscription_topic": committed_topic,
		}
		title = f"Form {frappe.generate_hash(length=8)}"
		form = frappe.new_doc(
			"Web Form", title=title, route=frappe.scrub(title), doc_type="Lead", published=1
		)
		form.update({"allow_multiple": 1, "module": "CRM"} | values)
		for field in (*fields, *(newsletter | box for box in boxes or ({},))):
			form.append("web_form_fields", field)
		form.insert()
		frappe.db.commit()
		made.append(form)
		return form

	yield make
	frappe.db.rollback()
	for form in made:
		frappe.delete_doc("Web Form", form.name, force=True)
	frappe.db.commit()


@pytest.fixture
def send(web):
	"""Send a Web Form as a stranger's browser does; the Leads it makes are deleted."""
	leads = []

	def post(form, *, referer: str | None = None, **data):
		body = {"web_form": form.name, "data": json.dumps({"first_name": "Jo", **data})}
		answer = web.call("POST", ACCEPT, data=body, headers={"Referer": referer} if referer else {})
		if answer.status_code == 200:
			leads.append(answer.json()["message"]["name"])
		return answer

	yield post
	frappe.db.rollback()
	for lead in leads:
		frappe.delete_doc("Lead", lead, force=True, ignore_missing=True)
	frappe.db.commit()


def test_ca_07_a_ticked_box_of_a_web_form_is_on_record_as_it_stood(
	lead_form, send, mailbox, committed_topic, web
):
	form, email = lead_form(), mailbox()
	lead = send(form, email_id=email, **{BOX: 1}).json()["message"]["name"]
	wait_until(lambda: reason(email, committed_topic) == "REQUESTED")
	row = frappe.get_doc("Consent", {"address_key": address_key(email), "topic": committed_topic})
	assert (row.source, row.party_type, row.party) == ("Web Form", "Lead", lead)
	assert form.name in row.evidence
	assert "Send me the newsletter\nOnce a month. I can stop at any time." in row.evidence
	(event,) = frappe.get_all("Consent Event", {"consent": row.name}, ["actor", "indicated_by"])
	assert (event.actor, event.indicated_by) == ("Guest", "Data Subject")
	whole = frappe.get_doc("Consent", {"address_key": address_key(email), "topic": ["is", "not set"]})
	assert whole.evidence == row.evidence

	path = web.path_of(links.confirmation_url([row.name, whole.name]))
	web.call("POST", path)
	assert reason(email, committed_topic) == "VALID_CONSENT"
	confirmed = frappe.get_doc("Consent", row.name)
	assert "Send me the newsletter" in confirmed.evidence and confirmed.evidence_grade == "A"


def test_lb_06_the_box_of_a_web_form_says_what_they_are_told(
	lead_form, send, mailbox, committed_topic, words_needed
):
	"""Its label and description are kept word for word, so that no Consent Wording is needed."""
	form, email = lead_form(), mailbox()
	send(form, email_id=email, **{BOX: 1})
	wait_until(lambda: reason(email, committed_topic) == "REQUESTED")
	row = frappe.get_doc("Consent", {"address_key": address_key(email), "topic": committed_topic})
	assert row.wording is None and "Once a month. I can stop at any time." in row.evidence


@pytest.mark.parametrize("value", [0, "0", "", None, 2, "yes", [1], {"a": 1}])
def test_ca_01_what_isnt_ticked_is_no_consent(lead_form, send, mailbox, value):
	form, email, witness = lead_form(), mailbox(), mailbox()
	answer = send(form, email_id=email, **{BOX: value})
	if isinstance(value, list | dict):
		assert frappe.db.count("Consent", {"address_key": address_key(email)}) == 0
		return  # core itself can't store such a value
	assert answer.status_code == 200, answer.text
	send(form, email_id=witness, **{BOX: 1})
	wait_until(lambda: reason(witness) == "REQUESTED")
	assert reason(email) == "NO_CONSENT"


def test_wb_06_what_a_client_adds_reaches_nothing(lead_form, send, mailbox, committed_topic):
	form, email = lead_form(), mailbox()
	forged = {
		"status": "Given",
		"given_on": "2000-01-01",
		"legal_basis": "Contract",
		"evidence": "forged",
		"consent_purpose": "Sales",
		OTHER_BOX: 1,  # a field of Lead, and none of this form
	}
	send(form, email_id=email, **{BOX: 1}, **forged)
	wait_until(lambda: reason(email) == "REQUESTED")
	rows = frappe.get_all("Consent", {"address_key": address_key(email)}, ["*"])
	assert {(row.purpose, row.status, row.legal_basis) for row in rows} == {
		(MARKETING, "Requested", "Consent")
	}
	assert "forged" not in str(rows)


def test_a_lead_is_kept_though_its_consent_cant_be_asked_for(lead_form, send, mailbox, committed_topic):
	"""WB-11: the log says where it failed, and neither for whom nor in which words."""
	form, email = lead_form(), mailbox()
	frappe.db.set_value("Subscription Topic", committed_topic, "enabled", 0)
	frappe.db.commit()
	frappe.clear_document_cache("Subscription Topic", committed_topic)
	before = set(frappe.get_all("Error Log", pluck="name"))
	answer = send(form, email_id=email, **{BOX: 1})
	assert frappe.db.rollback() or frappe.db.exists("Lead", answer.json()["message"]["name"])

	def logged() -> list:
		frappe.db.rollback()
		return [
			log
			for log in frappe.get_all("Error Log", {"method": ["like", "Consent form%"]}, ["name", "error"])
			if log.name not in before
		]

	wait_until(lambda: bool(logged()))
	(log,) = logged()
	assert "UnknownReference" in log.error and email not in log.error
	assert reason(email) == "NO_CONSENT"


def test_who_edits_a_document_ticks_nothing_that_was_on_before(lead_form, mailbox, lead):
	from gdpr_consent import web_forms

	form = lead_form({"fieldname": BOX}, {"fieldname": OTHER_BOX, "label": "Call me"})
	known = lead(mailbox(), **{BOX: 1})
	sent = frappe._dict(name=known.name, **{BOX: 1, OTHER_BOX: 1})
	boxes = [row for row in form.web_form_fields if row.fieldtype == "Check"]
	assert web_forms._ticked_before(form, boxes, sent) == {BOX}
	assert web_forms._ticked_before(form, boxes, frappe._dict(sent, name=["!=", "x"])) == set()
	assert web_forms._ticked_before(form, boxes, frappe._dict({BOX: 1})) == set()


@pytest.mark.parametrize(
	("box", "said"),
	[
		({"default": "1"}, "Default"),
		({"reqd": 1}, "Mandatory"),
		({"hidden": 1}, "Hidden"),
		({"read_only": 1}, "Read Only"),
		({"fieldtype": "Data"}, "Only a box to tick"),
		({"consent_purpose": "Sales"}, "belongs to purpose"),
		({"consent_purpose": "Contract Fulfilment", "subscription_topic": None}, "isn't allowed for purpose"),
	],
)
def test_ca_01_ca_02_a_box_that_nobody_ticks_freely_cant_be_saved(lead_form, box, said):
	with pytest.raises((frappe.ValidationError, ConsentError), match=said):
		lead_form(box)
	frappe.db.rollback()


def test_a_form_that_asks_for_consent_needs_an_address(lead_form):
	with pytest.raises(frappe.ValidationError, match="no field for the address"):
		lead_form(email=False)


def test_a_web_form_without_such_boxes_is_left_alone(lead_form, send, mailbox):
	form, email = lead_form({"subscription_topic": None, "default": "1", "reqd": 1}), mailbox()
	assert send(form, email_id=email, **{BOX: 1}).status_code == 200
	assert reason(email) == "NO_CONSENT"


# --- another site -------------------------------------------------------------------------------------------


def form_in(script: str) -> str:
	return json.loads(re.search(r"insertAdjacentHTML\('afterend', (\".*\")\);", script)[1])


def test_the_script_holds_the_form_and_nobodys_session(committed_topic, web):
	path = f"/consent/sign-up.js?topic={committed_topic}"
	plain = web.call("GET", path)
	assert plain.headers["Content-Type"].startswith("application/javascript")
	assert plain.headers["Cache-Control"] == "public, max-age=300"
	assert "Set-Cookie" not in plain.headers
	form = form_in(plain.text)
	assert 'action="http' in form and "/consent/subscribe" in form
	assert committed_topic in form and "checked" not in form
	assert "<" not in plain.text and "csrf" not in form
	as_somebody = web.call("GET", path, cookies=web.login("Administrator"), headers={"Accept-Language": "pl"})
	assert "Set-Cookie" not in as_somebody.headers and "csrf" not in as_somebody.text
	without_signature = [
		re.sub(r'name=\\"shown\\" value=\\"[^"]+', "", answer.text) for answer in (plain, as_somebody)
	]
	assert without_signature[0] == without_signature[1]


def test_the_script_speaks_the_language_that_is_named(committed_topic, wording, web):
	wording(committed_topic, "Ja, bitte.", "de")
	path = f"/consent/sign-up.js?topic={committed_topic}&_lang="
	assert "Ja, bitte." in form_in(web.call("GET", path + "de").text)
	assert "Ja, bitte." not in form_in(web.call("GET", path + "nonsense").text)


def test_a_topic_that_isnt_offered_is_no_script(committed_topic, web):
	frappe.db.set_value("Subscription Topic", committed_topic, "public", 0)
	frappe.db.commit()
	answer = web.call("GET", f"/consent/sign-up.js?topic={committed_topic}")
	assert answer.status_code == 404 and "Traceback" not in answer.text


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_un_01_asking_for_the_script_changes_nothing(committed_topic, web, method):
	events = frappe.db.count("Consent Event")
	assert web.call(method, f"/consent/sign-up.js?topic={committed_topic}").status_code == 200
	frappe.db.rollback()
	assert frappe.db.count("Consent Event") == events


@pytest.fixture
def other_site(web):
	"""A page of another site that embeds the script."""

	class Page(BaseHTTPRequestHandler):
		body = b""

		def do_GET(self) -> None:
			self.send_response(200)
			self.send_header("Content-Type", "text/html; charset=utf-8")
			self.end_headers()
			self.wfile.write(self.body)

		def log_message(self, *_args) -> None:
			pass

	with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
		threading.Thread(target=server.serve_forever, daemon=True).start()

		def serve(script: str) -> str:
			Page.body = f'<!doctype html><p>Ours</p><script src="{script}"></script>'.encode()
			return f"http://127.0.0.1:{server.server_address[1]}/"

		yield serve
		server.shutdown()


def test_somebody_signs_up_in_the_page_of_another_site(
	chromium, other_site, web, mailbox, committed_topic, monkeypatch
):
	email = mailbox()
	page = chromium.new_page()
	url = f"{web.browser_base}/consent/sign-up.js?topic={committed_topic}".replace(" ", "%20")
	page.goto(other_site(url))
	page.fill("input[type=email]", email)
	page.check("input[type=checkbox]")
	action = page.get_attribute("form", "action")
	assert action.startswith("http")
	# Where the site thinks it is reached has another port than the server of the tests.
	page.evaluate("url => document.forms[0].action = url", f"{web.browser_base}/consent/subscribe")
	with page.expect_navigation():
		page.click("button")
	assert "mailbox" in page.content()
	page.close()
	wait_until(lambda: reason(email, committed_topic) == "REQUESTED")


def test_fr_19_a_form_elsewhere_works_with_and_without_a_desk_session(mailbox, committed_topic, web):
	for cookies in ({}, web.login("Administrator")):
		email = mailbox()
		data = {"email": email, "on": f"{MARKETING}:{committed_topic}"}
		headers = {"Origin": "https://shop.example", "Referer": "https://shop.example/"}
		answer = web.call("POST", "/consent/subscribe", data=data, cookies=cookies, headers=headers)
		assert answer.status_code == 200 and "mailbox" in answer.text
		wait_until(lambda email=email: reason(email, committed_topic) == "REQUESTED")
		consent = frappe.db.get_value("Consent", {"address_key": address_key(email)}, "recorded_by")
		assert consent == "Guest"


def test_wb_05_a_desk_session_changes_nothing_for_its_own_user(mailbox, committed_topic, web):
	"""A page of another site that posts in an administrator's browser does what a stranger could do."""
	victim = mailbox()
	consent = give(victim)
	frappe.db.commit()
	session = web.login("Administrator")
	web.call("POST", "/consent/subscribe", data={"email": victim, "on": f"{MARKETING}:"}, cookies=session)
	token = links.sign(links.PREFERENCES, consent)
	answer = web.call("POST", "/consent/preferences", data={"t": token, "everything": "1"}, cookies=session)
	assert answer.status_code == 400
	assert reason(victim) == "VALID_CONSENT"
	assert frappe.db.get_value("Consent", consent, "status") == "Given"
	assert register.named_by_link(consent)["recorded_by"] == "Administrator"


def test_un_01_a_web_form_sent_by_get_asks_nobody(lead_form, mailbox, web):
	form, email = lead_form(), mailbox()
	sent = {"web_form": form.name, "data": json.dumps({"first_name": "Jo", "email_id": email, BOX: 1})}
	assert web.call("GET", ACCEPT, params=sent).status_code == 403
	assert frappe.db.count("Consent", {"address_key": address_key(email)}) == 0


@pytest.mark.parametrize(
	("query", "state"),
	[
		("", "VALID_CONSENT"),
		("?first_name=Jo", "VALID_CONSENT"),
		(f"?{BOX}=1", "REQUESTED"),
		(None, "REQUESTED"),  # nothing says what the address was
	],
)
def test_ca_01_a_box_that_the_address_may_have_ticked_is_confirmed_even_where_nobody_has_to(
	lead_form, send, mailbox, committed_topic, no_double_opt_in, web, query, state
):
	form, email = lead_form(), mailbox()
	referer = None if query is None else f"{web.base}/{form.route}/new{query}"
	send(form, referer=referer, email_id=email, **{BOX: 1})
	wait_until(lambda: reason(email, committed_topic) != "NO_CONSENT")
	assert reason(email, committed_topic) == state
	if state == "VALID_CONSENT":
		row = frappe.get_doc("Consent", {"address_key": address_key(email), "topic": committed_topic})
		assert (row.evidence_grade, row.source) == ("B", "Web Form")
		assert "Send me the newsletter" in row.evidence
