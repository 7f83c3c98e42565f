"""The page /consent/request and its links, over HTTP: nobody learns who is known (WB-01, DS-07, DS-08)."""

import re
from email.parser import Parser
from email.policy import SMTP

import pytest
from conftest import give, wait_until
from conftest import reason_on_the_server as reason
from werkzeug.test import Client

import frappe
from frappe.email.queue import flush

from gdpr_consent import links, register, throttle
from gdpr_consent.identity import address_key
from gdpr_consent.register import writing
from gdpr_consent.rights import intake, requests

DOCTYPE = requests.DOCTYPE
PAGE = "/consent/request"
pytestmark = pytest.mark.usefixtures("fresh_counters", "smtp_server")


@pytest.fixture(autouse=True)
def removed(site, mailbox):
	"""Remove the requests of a test, which nobody else may."""
	before = {*frappe.get_all(DOCTYPE, pluck="name")}
	yield
	frappe.set_user("Administrator")
	frappe.db.rollback()
	remove_requests({*frappe.get_all(DOCTYPE, pluck="name")} - before)


def remove_requests(names: set[str]) -> None:
	made = ["in", [*names] or ["none"]]
	for table in frappe.get_meta(DOCTYPE).get_table_fields():
		frappe.db.delete(table.options, {"parent": made})
	frappe.db.delete("Communication", {"reference_doctype": DOCTYPE, "reference_name": made})
	frappe.db.delete("Comment", {"reference_doctype": DOCTYPE, "reference_name": made})
	frappe.db.delete(DOCTYPE, {"name": made})
	frappe.db.commit()


def form(email: str, choice: str = "Access:", **more) -> dict[str, str]:
	return {"email": email, "choice": choice, "requester_name": "", "message": "", "_lang": "en"} | more


def request_of(email: str) -> frappe._dict:
	def found():
		frappe.db.rollback()
		return frappe.get_all(DOCTYPE, {"address_key": address_key(email)}, ["*"])

	wait_until(found)
	(row,) = found()
	return row


def link_in_mail(smtp, email: str, web) -> str:
	frappe.db.commit()
	flush()
	wait_until(lambda: [one for one in smtp.deliveries if one.to == email])
	mail = [one for one in smtp.deliveries if one.to == email][-1].content
	smtp.deliveries.clear()
	body = Parser(policy=SMTP).parsestr(mail).get_body(("plain",)).get_content()
	return web.path_of(re.search(r"http\S+/consent/request\?t=[^\s>]+", body)[0])


def test_ds_07_who_writes_from_an_address_on_record_confirms_by_one_button(bulk, smtp, web):
	email = bulk.mailbox()
	bulk.contact(email)
	answer = web.call("POST", PAGE, data=form(email, requester_name="Jo", message="Please"))
	assert answer.status_code == 200 and email not in answer.text
	row = request_of(email)
	assert (row.status, row.identity, row.channel, row.owner) == ("Received", "Open", "Web Form", "Guest")
	path = link_in_mail(smtp, email, web)
	assert row.name not in path and email not in path  # TK-07
	for method in ("GET", "HEAD", "OPTIONS"):
		assert web.call(method, path).status_code == 200
	assert request_of(email).identity == "Open"  # CA-11: only the button counts
	assert web.call("POST", PAGE, data={"t": path.split("t=")[1]}).status_code == 200
	row = request_of(email)
	assert (row.identity, row.identity_method) == ("Confirmed", "Link to Known Address")
	assert row.mailbox_confirmed_on and row.acknowledged_on


@pytest.mark.parametrize("text", ["{}@gate.example", "info+{}@gate.example"])
def test_ds_07_a_mailbox_that_names_nobody_leaves_the_identity_open(bulk, smtp, web, text):
	email = bulk.mailbox(text)
	if text.startswith("info"):
		bulk.contact(email)  # several people read it (AD-10)
	web.call("POST", PAGE, data=form(email))
	request_of(email)
	web.call("POST", PAGE, data={"t": link_in_mail(smtp, email, web).split("t=")[1]})
	row = request_of(email)
	assert (row.status, row.identity) == ("Received", "Open") and row.mailbox_confirmed_on


def test_ds_08_a_no_from_the_form_counts_without_the_mailbox(agreed, web):
	objects, withdraws = agreed(), agreed()
	web.call("POST", PAGE, data=form(objects, "Objection:Marketing"))
	web.call("POST", PAGE, data=form(withdraws, "Withdrawal:"))
	wait_until(lambda: reason(objects) == "OBJECTED" and reason(withdraws) == "WITHDRAWN")
	assert [request_of(email).status for email in (objects, withdraws)] == ["Fulfilled", "Fulfilled"]


def test_ds_19_who_asks_to_be_erased_gets_no_marketing_before_the_mailbox_has_confirmed(agreed, web):
	"""Like an objection, which anybody may send; nothing is erased by that."""
	email = agreed()
	web.call("POST", PAGE, data=form(email, "Erasure:"))
	wait_until(lambda: reason(email) == "OBJECTED")
	row = request_of(email)
	assert (row.status, row.identity) == ("Received", "Open")
	rows = register.request(email=email, by_the_person=True)
	register.confirm([one["name"] for one in rows], writing.now_utc())
	frappe.db.commit()
	web.call("POST", PAGE, data=form(email, "Erasure:"))
	wait_until(lambda: reason(email) == "OBJECTED")
	assert request_of(email).name == row.name, "the same request again"


def test_art_21_1_a_confirmed_objection_restricts_at_once(bulk, smtp, web):
	email = bulk.mailbox()
	contact = bulk.contact(email)
	web.call("POST", PAGE, data=form(email, "Objection:Other Processing"))
	request_of(email)
	assert not frappe.db.get_value("Contact", contact, "processing_restricted")
	web.call("POST", PAGE, data={"t": link_in_mail(smtp, email, web).split("t=")[1]})
	frappe.db.rollback()
	assert frappe.db.get_value("Contact", contact, "processing_restricted") == 1
	assert request_of(email).status == "In Progress"


def test_wb_01_the_answer_is_the_same_byte_for_byte(bulk, web):
	known, unknown, often = bulk.mailbox(), bulk.mailbox(), bulk.mailbox()
	bulk.contact(known)
	give(known)
	frappe.db.commit()
	for _time in range(frappe.db.get_single_value("Consent Settings", "confirmations_per_day") + 1):
		throttle.may_mail(address_key(often))
	answers = [web.call("POST", PAGE, data=form(email)) for email in (known, unknown, often)]
	assert len({(answer.status_code, answer.content) for answer in answers}) == 1
	for email in (known, unknown, often):
		request_of(email)


def test_wb_02_strangers_cause_so_many_mails_an_hour_all_together(bulk, web):
	"""The request stands, and the answer is the same; what staff sends isn't counted."""
	first, fresh, mailed = bulk.mailbox(), bulk.mailbox(), bulk.mailbox()
	before = web.call("POST", PAGE, data=form(first))
	request_of(first)
	counter = frappe.cache.make_key("consent_strangers_mails:all")
	wait_until(lambda: frappe.cache.get(counter))
	assert int(frappe.cache.get(counter)) == 1 and 0 < frappe.cache.ttl(counter) <= throttle.AN_HOUR
	frappe.cache.incrby(counter, throttle.STRANGERS_MAILS_AN_HOUR - 1)
	after = web.call("POST", PAGE, data=form(fresh))
	assert (before.status_code, before.content) == (after.status_code, after.content)
	assert request_of(fresh).status == "Received"
	frappe.db.rollback()
	assert frappe.db.count("Email Queue Recipient", {"recipient": first}) == 1
	assert frappe.db.count("Email Queue Recipient", {"recipient": fresh}) == 0
	assert throttle.may_mail(address_key(mailed))
	frappe.set_user("Guest")
	assert not throttle.may_mail(address_key(mailed))


def test_wb_01_the_answer_takes_the_same_work(bulk, monkeypatch):
	"""Counted, not timed: the same statements until the answer has left, and the search only after it."""
	from frappe.app import application
	from frappe.database.database import Database

	known, unknown, warm = bulk.mailbox(), bulk.mailbox(), bulk.mailbox()
	bulk.contact(known)
	give(known)
	frappe.db.commit()
	statements: list[str] = []
	late: list[int] = []
	run, search = Database.sql, intake._receive

	def note(self, query, *args, **kwargs):
		statements.append(re.sub(r"\d+|'[^']*'", "?", str(query)))
		return run(self, query, *args, **kwargs)

	def note_search(*args):
		late.append(len(statements))
		return search(*args)

	monkeypatch.setattr(Database, "sql", note)
	monkeypatch.setattr(intake, "_receive", note_search)
	site = frappe.local.site
	seen = {}
	for email in (warm, known, unknown):
		statements.clear()
		late.clear()
		answer = Client(application).post(PAGE, data=form(email), headers={"Host": site})
		body = answer.get_data()
		before = len(statements) if not late else late[0]
		seen[email] = (answer.status_code, body, statements[:before])
		answer.close()  # only now the answer has left, and the rest is done
		assert late == [before] and before > 0
	frappe.init(site=site, sites_path=".", force=True)
	frappe.connect()
	assert seen[known] == seen[unknown] and seen[known][0] == 200


@pytest.mark.parametrize(
	("values", "says"),
	[
		({"email": "nobody"}, "nobody"),
		({"choice": "Everything:"}, "Nothing is chosen"),
		({"choice": ""}, "Nothing is chosen"),
		({"requester_name": "x" * 141}, "141"),
		({"message": "x" * 5001}, "5001"),
	],
)
def test_what_is_wrong_in_the_form_is_named_and_nothing_is_stored(mailbox, web, values, says):
	before = frappe.db.count(DOCTYPE)
	answer = web.call("POST", PAGE, data=form(mailbox()) | values)
	assert answer.status_code == 200 and says in answer.text
	frappe.db.rollback()
	assert frappe.db.count(DOCTYPE) == before


def test_wb_06_what_else_is_sent_reaches_nothing(mailbox, web):
	email = mailbox()
	web.call("POST", PAGE, data=form(email, status="Fulfilled", identity="Confirmed", due_on="2099-01-01"))
	row = request_of(email)
	assert (row.status, row.identity) == ("Received", "Open") and row.due_on.year < 2099


def test_wb_02_the_same_request_again_is_one_request_and_few_mails(mailbox, web):
	email = mailbox()
	limit = frappe.db.get_single_value("Consent Settings", "confirmations_per_day")
	for _time in range(limit + 2):
		assert web.call("POST", PAGE, data=form(email)).status_code == 200
	name = request_of(email).name

	def mails() -> int:
		frappe.db.rollback()  # to see what the server committed
		return frappe.db.count("Email Queue Recipient", {"recipient": email})

	wait_until(lambda: mails() == limit)
	assert request_of(email).name == name


def test_wb_02_one_client_is_stopped(web, monkeypatch):
	for _time in range(throttle.FORMS_AN_HOUR):
		web.call("POST", PAGE, data={"email": "x", "_lang": "en"})
	assert web.call("POST", PAGE, data={"email": "x", "_lang": "en"}).status_code == 429


def test_tk_02_no_other_link_opens_a_request_and_a_closed_one_stays(mailbox, web):
	email = mailbox()
	web.call("POST", PAGE, data=form(email))
	row = request_of(email)
	for use in (links.CONFIRM, links.UNSUBSCRIBE, links.PREFERENCES, links.SHOWN):
		token = links.sign(use, [row.link_key, "mailbox"])
		assert web.call("POST", PAGE, data={"t": token}).status_code == 410
	for content in ([row.name, "mailbox"], [row.link_key, "everything"]):
		assert web.call("POST", PAGE, data={"t": links.sign(links.REQUEST, content)}).status_code == 410
	frappe.db.set_value(DOCTYPE, row.name, "status", "Withdrawn")
	frappe.db.commit()
	token = links.sign(links.REQUEST, [row.link_key, "mailbox"])
	assert web.call("POST", PAGE, data={"t": token}).status_code == 200
	assert request_of(email).mailbox_confirmed_on is None
