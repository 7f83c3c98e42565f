"""What breaks while mail is on its way: nothing undecided leaves, nothing leaves twice, and the queue drains
when the fault is gone. Issue 3, "Done when"; EM-03, EM-05, EM-07.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pymysql
import pytest
from conftest import Mailboxes, free_port, send_to

import frappe
from frappe.email.queue import flush, retry_sending_emails
from frappe.utils import add_to_date, now_datetime

from gdpr_consent import api
from gdpr_consent.gate.canary_paths import retry_sending

MARKETING, SERVICE = "Email Marketing", "Contract Fulfilment"
ASIDE = "tabConsent_aside_for_a_test"


@pytest.fixture(scope="module", autouse=True)
def heal(smtp_server: Mailboxes) -> None:
	"""Put back what a test run that was killed has moved aside, and send what others left in the queue."""
	_put_back()
	flush()


def _put_back() -> None:
	frappe.db.rollback()
	if ASIDE in frappe.db.get_tables(cached=False):
		frappe.db.sql_ddl("drop table if exists `tabConsent`")
		frappe.db.sql_ddl(f"rename table `{ASIDE}` to `tabConsent`")


@pytest.fixture
def mails(queued, agreed, mailbox, smtp):
	"""Marketing to somebody who agreed and to somebody who never did, and a service mail to the latter."""
	yes, never_asked = agreed(), mailbox()
	marketing = queued(yes, never_asked, purpose=MARKETING)
	service = queued(never_asked, purpose=SERVICE)
	return yes, never_asked, marketing.name, service.name


def status_of(mail: str) -> str:
	return frappe.db.get_value("Email Queue", mail, "status")


def flush_elsewhere(**environment: str) -> subprocess.Popen:
	"""Flush in a process of its own, as a worker does."""
	code = (
		"import frappe, sys; frappe.init(site=sys.argv[1], sites_path='.'); frappe.connect()\n"
		"from frappe.email.queue import flush; flush(); frappe.db.commit()"
	)
	environment = {name: value for name, value in os.environ.items() if name != "CI"} | environment
	return subprocess.Popen(
		[sys.executable, "-c", code, frappe.local.site],
		cwd=os.environ["SITES_PATH"],
		env=environment,
		stdout=subprocess.DEVNULL,
		stderr=subprocess.DEVNULL,
	)


@pytest.fixture
def other_connection() -> Iterator[pymysql.Connection]:
	connection = pymysql.connect(
		unix_socket=frappe.conf.db_socket,
		host=frappe.conf.db_host or "localhost",
		user=frappe.conf.db_name,
		password=frappe.conf.db_password,
		database=frappe.conf.db_name,
	)
	yield connection
	connection.close()


@pytest.fixture
def impatient(site: str) -> Iterator[None]:
	"""Wait a second for a lock, not fifty."""
	frappe.db.sql("set session innodb_lock_wait_timeout = 1")
	yield
	frappe.db.rollback()
	frappe.db.sql("set session innodb_lock_wait_timeout = default")


def drains(smtp: Mailboxes, yes: str, never_asked: str) -> None:
	"""The fault is gone: each mail leaves exactly once, or is blocked."""
	frappe.db.rollback()
	flush()
	flush()
	assert smtp.reached() == sorted([yes, never_asked])
	(service,) = [one for one in smtp.deliveries if one.to == never_asked]
	assert "List-Unsubscribe" not in service.content


def test_em_07_a_table_that_is_missing_holds_marketing_and_nothing_else(mails, smtp):
	yes, never_asked, marketing, service = mails
	frappe.db.sql_ddl(f"rename table `tabConsent` to `{ASIDE}`")
	try:
		flush()
		assert smtp.reached() == [never_asked]
		assert (status_of(marketing), status_of(service)) == ("Not Sent", "Sent")
	finally:
		_put_back()
	drains(smtp, yes, never_asked)


@pytest.mark.parametrize(
	"error", [(1205, "Lock wait timeout exceeded"), (1213, "Deadlock found"), (2013, "Lost connection")]
)
def test_em_07_a_database_error_in_the_decision_holds_marketing(mails, smtp, monkeypatch, error):
	yes, never_asked, marketing, service = mails
	whole = frappe.db.sql

	def fail_at_the_facts(query, *args, **kwargs):
		if "tabSuppression" in str(query) and "tabConsent" in str(query):
			raise frappe.db.OperationalError(*error)
		return whole(query, *args, **kwargs)

	with monkeypatch.context() as broken:
		broken.setattr(frappe.db, "sql", fail_at_the_facts)
		flush()
	assert smtp.reached() == [never_asked]
	assert (status_of(marketing), status_of(service)) == ("Not Sent", "Sent")
	drains(smtp, yes, never_asked)


def test_em_07_who_locks_the_row_of_the_queue_delays_that_mail_alone(
	mails, smtp, other_connection, impatient
):
	yes, never_asked, marketing, _service = mails
	with other_connection.cursor() as cursor:
		cursor.execute("select name from `tabEmail Queue` where name = %s for update", (marketing,))
	flush()
	assert smtp.reached() == [never_asked]
	assert status_of(marketing) == "Not Sent"
	other_connection.rollback()
	drains(smtp, yes, never_asked)


def test_em_07_who_locks_the_decisions_delays_marketing_alone(mails, smtp, other_connection, impatient):
	yes, never_asked, marketing, _service = mails
	with other_connection.cursor() as cursor:
		cursor.execute("lock tables `tabConsent Decision` write")
	frappe.db.sql("set session lock_wait_timeout = 1")
	try:
		flush()
		assert smtp.reached() == [never_asked]
		assert status_of(marketing) == "Not Sent"
	finally:
		with other_connection.cursor() as cursor:
			cursor.execute("unlock tables")
		frappe.db.rollback()
		frappe.db.sql("set session lock_wait_timeout = default")
	drains(smtp, yes, never_asked)


def test_em_07_without_redis_the_flush_decides_from_the_database(mails, smtp):
	yes, never_asked, _marketing, _service = mails
	dead = f"redis://127.0.0.1:{free_port()}"
	assert flush_elsewhere(FRAPPE_REDIS_CACHE=dead, FRAPPE_REDIS_QUEUE=dead).wait() == 0
	frappe.db.rollback()
	assert smtp.reached() == sorted([yes, never_asked])
	mine = frappe.get_all("Email Queue Recipient", {"recipient": never_asked}, pluck="status")
	assert sorted(mine) == ["Blocked", "Sent"]
	drains(smtp, yes, never_asked)


def test_an_smtp_server_that_is_down_costs_nothing_but_time(mails, smtp):
	yes, never_asked, _marketing, service = mails
	send_to(port := free_port())
	try:
		flush()
		assert smtp.reached() == []
		# Whose mail the marketing mail itself has become, after it was split, is by chance.
		theirs = frappe.db.get_value("Email Queue Recipient", {"recipient": yes}, "parent")
		assert (status_of(theirs), status_of(service)) == ("Not Sent", "Not Sent")
	finally:
		frappe.db.rollback()
		assert port != smtp.port
		send_to(smtp.port)
	drains(smtp, yes, never_asked)


# --- a worker that dies -------------------------------------------------------------------------------------


def kill_at(smtp: Mailboxes, moment: str) -> None:
	"""Flush in another process, and kill it when it comes to that moment of the SMTP dialogue."""
	came, killed = threading.Event(), threading.Event()

	def hold() -> None:
		came.set()
		killed.wait(60)

	smtp.hold_at[moment] = hold
	try:
		worker = flush_elsewhere()
		assert came.wait(60), "The worker never came to that point."
		worker.send_signal(signal.SIGKILL)
		worker.wait()
	finally:
		smtp.hold_at.clear()
		killed.set()


def a_quarter_of_an_hour_later(*mails: str) -> None:
	frappe.db.rollback()
	for mail in mails:
		before = add_to_date(now_datetime(), minutes=-16)
		frappe.db.set_value("Email Queue", mail, "modified", before, update_modified=False)
	frappe.db.commit()
	retry_sending_emails()


@pytest.mark.parametrize("moment", ["RCPT", "after DATA"])
def test_marketing_is_sent_at_most_once_though_its_worker_was_killed(queued, agreed, smtp, moment):
	email = agreed()
	mail = queued(email, purpose=MARKETING).name
	kill_at(smtp, moment)
	delivered = smtp.reached()
	a_quarter_of_an_hour_later(mail)
	flush()
	assert smtp.reached() == delivered == ([email] if moment == "after DATA" else [])
	assert status_of(mail) == "Error"
	assert "Perhaps sent" in frappe.db.get_value("Email Queue", mail, "error")

	retry_sending(mail)
	frappe.db.commit()
	flush()
	assert smtp.reached() == sorted([*delivered, email])


def test_a_no_counts_also_for_a_mail_that_somebody_retries(queued, agreed, smtp):
	email = agreed()
	mail = queued(email, purpose=MARKETING).name
	kill_at(smtp, "RCPT")
	api.withdraw_consent(email=email)
	frappe.db.commit()
	a_quarter_of_an_hour_later(mail)
	flush()
	retry_sending(mail)
	frappe.db.commit()
	flush()
	assert smtp.reached() == []
	assert status_of(mail) == "Blocked"


def test_service_mail_is_sent_at_least_once_though_its_worker_was_killed(queued, mailbox, smtp):
	email = mailbox()
	mail = queued(email, purpose=SERVICE).name
	kill_at(smtp, "RCPT")
	a_quarter_of_an_hour_later(mail)
	flush()
	assert smtp.reached() == [email]


def test_the_others_of_a_mail_get_theirs_when_the_worker_died_at_the_first(queued, agreed, mailbox, smtp):
	"""The mail has been split before the first of them goes."""
	people, never_asked = [agreed() for _ in range(3)], mailbox()
	queued(*people, never_asked, purpose=MARKETING)
	kill_at(smtp, "RCPT")
	frappe.db.rollback()
	stuck = frappe.get_all("Email Queue", {"status": "Sending"}, pluck="name")
	assert len(stuck) == 1
	(first,) = frappe.get_all("Email Queue Recipient", {"parent": stuck[0]}, pluck="recipient")
	flush()
	a_quarter_of_an_hour_later(*stuck)
	flush()
	assert smtp.reached() == sorted(set(people) - {first})
