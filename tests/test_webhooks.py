"""Webhooks and Notifications of the site on consents: a real receiver, a real worker."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import give, run_worker

import frappe

from gdpr_consent import announcements, api, ledger

BODY = json.dumps({"consent": "{{ doc.name }}", "status": "{{ doc.status }}", "email": "{{ doc.email }}"})


class Receiver(BaseHTTPRequestHandler):
	def do_POST(self) -> None:
		body = self.rfile.read(int(self.headers["Content-Length"]))
		self.server.received.append(json.loads(body))
		self.send_response(200)
		self.end_headers()

	def log_message(self, *_args) -> None:
		pass


@pytest.fixture
def receiver():
	with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
		server.received = []
		threading.Thread(target=server.serve_forever, daemon=True).start()
		yield server
		server.shutdown()


@pytest.fixture
def webhook(receiver):
	"""Make a Webhook on Consent that posts to the receiver; returns what it has received."""
	made = []
	run_worker()  # what others have left in the queue

	def make(condition: str = "", event: str = "on_update", **more) -> list[dict]:
		doc = frappe.new_doc(
			"Webhook",
			webhook_doctype="Consent",
			webhook_docevent=event,
			condition=condition,
			enabled=1,
			request_url=f"http://127.0.0.1:{receiver.server_address[1]}/",
			request_method="POST",
			request_structure="JSON",
			webhook_json=BODY,
			**more,
		)
		doc.name = frappe.generate_hash()
		made.append(doc.insert().name)
		frappe.db.commit()
		return receiver.received

	yield make
	frappe.set_user("Administrator")
	frappe.db.rollback()
	for name in made:
		frappe.delete_doc("Webhook", name, force=True)
		frappe.db.delete("Webhook Request Log", {"webhook": name})
	frappe.cache.delete_value("webhooks")
	frappe.db.commit()


def test_a_webhook_hears_of_each_yes_and_each_no_once(webhook, mailbox):
	given = webhook("doc.status == 'Given'")
	webhook("doc.status == 'Withdrawn'")
	email = mailbox()
	name = give(email)
	frappe.db.commit()
	api.withdraw_consent(email=email)
	frappe.db.commit()
	run_worker()
	# Both were written before the worker came, and each is told as it was.
	assert given == [
		{"consent": name, "status": "Given", "email": email},
		{"consent": name, "status": "Withdrawn", "email": email},
	]
	run_worker()
	assert len(given) == 2


def test_no_webhook_hears_of_what_was_rolled_back(webhook, mailbox):
	received = webhook()
	kept, undone, undone_in_part = mailbox(), mailbox(), mailbox()
	give(undone)
	frappe.db.rollback()
	frappe.db.savepoint("part")
	give(undone_in_part)
	frappe.db.rollback(save_point="part")
	give(kept)
	frappe.db.commit()
	run_worker()
	assert [one["email"] for one in received] == [kept]


def test_what_changes_no_status_is_not_told_again(webhook, mailbox, contact):
	received = webhook("doc.status == 'Given'")
	email = mailbox()
	person = contact(email)
	give(email, party_type="Contact", party=person.name)
	frappe.db.commit()
	frappe.rename_doc("Contact", person.name, f"{person.name} renamed")
	frappe.db.commit()
	run_worker()
	frappe.delete_doc("Contact", f"{person.name} renamed", force=True)
	frappe.db.commit()
	assert [one["email"] for one in received] == [email]


def test_the_events_of_core_mean_what_they_say(webhook, mailbox):
	inserted, email = webhook(event="after_insert"), mailbox()
	give(email)
	frappe.db.commit()
	api.withdraw_consent(email=email)
	frappe.db.commit()
	run_worker()
	assert [one["status"] for one in inserted] == ["Given"]


def test_a_thousand_consents_at_once_are_a_few_jobs(webhook, mailbox, monkeypatch):
	webhook("doc.status == 'Lapsed'")
	jobs: list[dict] = []
	monkeypatch.setattr(frappe, "enqueue", lambda method, **more: jobs.append({"method": method} | more))
	monkeypatch.setattr(announcements, "AT_ONCE", 10)
	for _ in range(25):
		give(mailbox())
	frappe.db.commit()
	events = [job["events"] for job in jobs if job["method"] == announcements.JOB]
	assert [len(part) for part in events] == [10, 10, 5]
	assert len({name for part in events for name in part}) == 25


def test_where_nobody_listens_it_costs_no_query_and_no_job(address, monkeypatch):
	give(address())  # the caches are filled
	jobs, queries = [], []
	monkeypatch.setattr(frappe, "enqueue", lambda *args, **more: jobs.append(args))
	event = ledger.read_events("Consent", [give(address())])
	sql = frappe.db.sql
	monkeypatch.setattr(frappe.db, "sql", lambda *args, **more: queries.append(args) or sql(*args, **more))
	announcements.note(one for events in event.values() for one in events)
	assert queries == [] and jobs == []


def test_an_import_calls_no_webhook_as_core_does_it(webhook, mailbox):
	received, email = webhook(), mailbox()
	frappe.flags.in_import = True
	try:
		frappe.new_doc("Consent", email=email).insert()
	finally:
		frappe.flags.in_import = False
	frappe.db.commit()
	run_worker()
	assert received == []


def test_a_condition_that_fails_for_one_consent_does_not_silence_the_next(webhook, mailbox, contact):
	received = webhook("doc.status != 'Given' or doc.party.lower()")  # not everybody has a party
	failing, working = mailbox(), mailbox()
	person = contact(working)
	give(failing)
	give(working, party_type="Contact", party=person.name)
	frappe.db.commit()
	run_worker()
	frappe.delete_doc("Contact", person.name, force=True)
	frappe.db.commit()
	assert [one["email"] for one in received] == [working]
	assert api.check_consent([failing])[failing]["allowed"]


def test_a_redis_that_is_down_does_not_undo_a_consent(webhook, mailbox, monkeypatch):
	webhook()
	email = mailbox()

	def down(*_args, **_more):
		raise ConnectionError("Redis is down")

	monkeypatch.setattr(frappe, "enqueue", down)
	give(email)
	frappe.db.commit()
	monkeypatch.undo()
	frappe.db.rollback()
	assert api.check_consent([email])[email]["allowed"]


def test_a_notification_on_consent_is_sent(mailbox, smtp, colleague):
	run_worker()
	notification = frappe.new_doc(
		"Notification",
		name=f"No more {frappe.generate_hash(length=6)}",
		subject="{{ doc.name }} is {{ doc.status }}",
		document_type="Consent",
		event="Value Change",
		value_changed="status",
		condition="doc.status == 'Withdrawn'",
		channel="System Notification",
		message="Look at it.",
		enabled=1,
		recipients=[{"receiver_by_role": "Newsletter Manager"}],
	).insert()
	frappe.db.commit()
	try:
		email = mailbox()
		name = give(email)
		frappe.db.commit()
		api.withdraw_consent(email=email)
		frappe.db.commit()
		run_worker()
		logs = frappe.get_all("Notification Log", {"for_user": colleague, "document_name": name}, ["subject"])
		assert [log.subject for log in logs] == [f"{name} is Withdrawn"]
	finally:
		frappe.db.rollback()
		frappe.delete_doc("Notification", notification.name, force=True)
		frappe.db.delete("Notification Log", {"document_type": "Consent"})
		frappe.db.commit()
