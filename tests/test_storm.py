"""Twenty clients give, withdraw and send at once, while the database, Redis and workers go down and come
back.

Nothing that was acknowledged is lost, nothing is written twice, no mail goes against a no, and the ledger
verifies. `script/test --full tests/test_storm.py --storm=60` is a short one.
"""

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from conftest import Mailboxes, Web, accepts, free_port, remove_traces, run_worker, start_worker, wait_until
from redis import Redis

import frappe

from gdpr_consent import ledger, register
from gdpr_consent.clock import now_utc
from gdpr_consent.identity import address_key

pytestmark = pytest.mark.full

CLIENTS, SERVERS, THREADS = 20, 4, 5
PAUSE = 0.5  # seconds, on average, that a client takes before its next act
SHARED = 40  # mailboxes that all clients act upon; the others belong to one client each
SENDER = "shop@gate.example"
NO_ANSWER = (requests.RequestException,)


class Act(NamedTuple):
	what: str
	email: str
	marker: str
	answered_at: datetime | None  # UTC; None if the outcome isn't known
	records: tuple[str, ...] = ()


class Storm:
	def __init__(self, site: str, web: Web, key: str, domain: str) -> None:
		self.site, self.web, self.key, self.domain = site, web, key, domain
		self.acts: list[Act] = []
		self.over = threading.Event()
		self.failures: Counter[str] = Counter()
		self.problems: list[str] = []

	# --- clients --------------------------------------------------------------------------------------------

	def client(self, number: int) -> None:
		chance, turn = random.Random(number), 0
		while not self.over.is_set():
			turn += 1
			mine = f"c{number}n{turn}@{self.domain}"
			email = mine if chance.random() < 0.7 else f"shared{chance.randrange(SHARED)}@{self.domain}"
			for act in (self.give, self.send, self.withdraw, self.send):
				if act == self.withdraw and chance.random() < 0.4:
					break
				if not self.over.wait(chance.uniform(0, 2 * PAUSE)):
					act(email, f"{number}-{turn}-{frappe.generate_hash(length=8)}")

	def give(self, email: str, marker: str) -> None:
		evidence = f"Said so at the stand, {marker}"
		told = self._ask("record_consent", email=email, source="Event", evidence=evidence)
		self._note("give", email, marker, told and [told["name"]])

	def withdraw(self, email: str, marker: str) -> None:
		told = self._ask("withdraw_consent", email=email, source="Phone", reason=marker)
		self._note("withdraw", email, marker, told and told["withdrawn"])

	def send(self, email: str, marker: str) -> None:
		"""Queue a marketing mail, as a script does."""
		try:
			with elsewhere(self.site):
				row = frappe.new_doc("Email Queue", sender=SENDER, consent_purpose="Email Marketing")
				row.message = f"Subject: {marker}\nFrom: {SENDER}\nTo: {email}\n\nHello"
				row.append("recipients", {"recipient": email, "status": "Not Sent"})
				row.insert(ignore_permissions=True)
				frappe.db.commit()
				self._note("send", email, marker, [row.name])
		except Exception as error:  # the database or Redis is away
			self.failures[type(error).__name__] += 1
			self._note("send", email, marker, None)

	def _ask(self, method: str, **form: str) -> dict | None:
		"""Return what the server answered, or None if nobody knows what came of it."""
		headers = {"Authorization": f"token {self.key}"}
		try:
			answer = self.web.call(
				"POST", f"/api/method/gdpr_consent.api.{method}", headers=headers, data=form
			)
		except NO_ANSWER as error:
			self.failures[type(error).__name__] += 1
			return None
		if answer.status_code == 200:
			return answer.json()["message"]
		self.failures[str(answer.status_code)] += 1
		# Who has said no can't be recorded as agreed (ST-08); a lock that waits too long is for another try.
		if answer.status_code not in (403, 409, 417, 500, 502, 503, 508):
			self.problems.append(f"{method}: {answer.status_code} {answer.text[:300]}")
		return None

	def _note(self, what: str, email: str, marker: str, records: list[str] | None) -> None:
		answered_at = now_utc() if records is not None else None
		self.acts.append(Act(what, email, marker, answered_at, tuple(records or ())))

	# --- what goes wrong ------------------------------------------------------------------------------------

	def keep_workers(self, seed: int) -> None:
		"""Flush the queue with real workers, and kill every other one at a moment of its own."""
		chance = random.Random(seed)
		while not self.over.is_set():
			with suppress(Exception), elsewhere(self.site):
				frappe.enqueue("frappe.email.queue.flush", queue="short")
			worker = start_worker()
			with suppress(subprocess.TimeoutExpired):
				worker.wait(timeout=chance.uniform(0.5, 6) if chance.random() < 0.5 else 60)
			if worker.poll() is None:
				worker.send_signal(signal.SIGKILL)
				self.failures["worker killed"] += 1
			worker.wait()

	def kill_a_web_worker(self, server: subprocess.Popen) -> None:
		children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
		os.kill(int(random.choice(children)), signal.SIGKILL)
		self.failures["web worker killed"] += 1


@contextmanager
def elsewhere(site: str) -> Iterator[None]:
	"""Act with a database connection of one's own, as another process would."""
	frappe.init(site=site, sites_path=".")
	try:
		frappe.connect()
		yield
	finally:
		frappe.destroy()


# --- services -----------------------------------------------------------------------------------------------


def restart_database() -> None:
	folder = Path(frappe.conf.db_socket).parent
	pid = int((folder / "pid").read_text())
	command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
	os.kill(pid, signal.SIGTERM)
	wait_until(lambda: not Path(f"/proc/{pid}").exists())
	detach(command)


def restart_redis(name: str) -> None:
	port = int(frappe.conf[name].rsplit(":", 1)[1].split("/")[0])
	with suppress(Exception):
		Redis(port=port).shutdown(nosave=True)
	wait_until(lambda: not accepts(port))
	detach(["redis-server", str(Path("../config", f"{name}.conf").resolve())])
	wait_until(lambda: accepts(port))


def detach(command: list[str]) -> None:
	nowhere = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
	subprocess.Popen(command, start_new_session=True, **nowhere)


@pytest.fixture
def many_servers(site: str) -> Iterator[tuple[Web, subprocess.Popen]]:
	"""The site over HTTP as production serves it, by several processes that may die."""
	port = free_port()
	gunicorn = str(Path(sys.executable).with_name("gunicorn"))
	command = [gunicorn, "-b", f"127.0.0.1:{port}", "-w", str(SERVERS), "-k", "gthread"]
	command += ["--threads", str(THREADS), "-t", "60", "frappe.app:application"]
	server = subprocess.Popen(
		command, cwd=os.environ["SITES_PATH"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
	)
	try:
		wait_until(lambda: accepts(port) or server.poll() is not None)
		assert server.poll() is None, "The web server didn't start."
		yield Web(port, site), server
	finally:
		server.terminate()
		server.wait()


@pytest.fixture
def key(site: str) -> Iterator[str]:
	"""The API key and secret of a Privacy Officer."""
	email, secret = "storm@gdpr-test.example", frappe.generate_hash(length=15)
	frappe.delete_doc("User", email, force=True, ignore_missing=True)
	user = frappe.new_doc("User", email=email, first_name="Storm", send_welcome_email=0)
	user.append_roles("Privacy Officer", "Consent User", "System Manager")
	user.update({"api_key": frappe.generate_hash(length=15), "api_secret": secret}).insert()
	frappe.db.commit()
	yield f"{user.api_key}:{secret}"
	frappe.delete_doc("User", email, force=True)
	frappe.db.commit()


# --- the trial ----------------------------------------------------------------------------------------------


@pytest.fixture
def storm(site, many_servers, key, smtp, no_double_opt_in, pytestconfig) -> Iterator[Storm]:
	web, server = many_servers
	storm = Storm(site, web, key, f"{frappe.generate_hash(length=8)}.storm.example")
	frappe.db.commit()
	threads = [threading.Thread(target=storm.client, args=[number]) for number in range(CLIENTS)]
	threads += [threading.Thread(target=storm.keep_workers, args=[seed]) for seed in (1, 2)]
	faults: list[Callable[[], Any]] = [
		lambda: storm.kill_a_web_worker(server),
		restart_database,
		lambda: storm.kill_a_web_worker(server),
		lambda: [restart_redis(name) for name in ("redis_cache", "redis_queue")],
		lambda: storm.kill_a_web_worker(server),
	]
	between_faults = pytestconfig.getoption("--storm") / (len(faults) + 1)
	for thread in threads:
		thread.start()
	try:
		for fault in faults:
			storm.over.wait(between_faults)
			fault()
		storm.over.wait(between_faults)
	finally:
		storm.over.set()
		for thread in threads:
			thread.join()
	wait_until(database_answers)
	until_nothing_waits(storm)
	yield storm
	frappe.db.rollback()
	remove_traces(sorted({act.email for act in storm.acts}))
	frappe.db.commit()


def database_answers() -> bool:
	try:
		frappe.db.close()
		frappe.connect()
		return bool(frappe.db.sql("select 1"))
	except Exception:
		return False


def until_nothing_waits(storm: Storm) -> None:
	def waiting() -> int:
		frappe.db.rollback()
		ours = ["like", f"%@{storm.domain}"]
		return frappe.db.count("Email Queue Recipient", {"recipient": ours, "status": "Not Sent"})

	frappe.db.commit()
	left = waiting()
	while left:
		frappe.enqueue("frappe.email.queue.flush", queue="short")
		run_worker()
		before, left = left, waiting()
		if left == before:
			return  # a worker was killed while it held them: see the test


def test_st_09_nothing_is_lost_or_doubled_and_no_mail_goes_against_a_no(storm: Storm, smtp: Mailboxes):
	"""ST-09, ST-15, EM-01, EM-03, AU-02, AU-07."""
	assert storm.problems == []
	counts = Counter((act.what, act.answered_at is not None) for act in storm.acts)
	mails = len(smtp.deliveries)
	queued = [act.records[0] for act in storm.acts if act.what == "send" and act.records]
	about_them = {"email_queue": ["in", queued]}
	reasons = Counter(frappe.get_all("Consent Decision", about_them, pluck="reason", limit_page_length=0))
	print(f"\n{dict(counts)}, {mails} mails, {dict(reasons)}, faults {dict(storm.failures)}")
	assert min(counts["give", True], counts["withdraw", True], counts["send", True], mails) > 50
	assert not lost(storm)
	assert not doubled(storm)
	assert not against_a_no(storm, smtp)
	assert not delivered_twice(smtp)
	assert ledger.verify()["problem"] is None
	assert not torn(storm)


def payloads_of(storm: Storm) -> dict[str, list[tuple[str, str]]]:
	"""Kind and payload of each event of the trial's people, by record."""
	keys = [address_key(email) for email in {act.email for act in storm.acts}]
	rows = frappe.db.sql(
		"""select event.`consent`, event.`kind`, payload.`payload` from `tabConsent Event` event
		join `tabConsent` consent on consent.`name` = event.`consent`
		join `tabConsent Event Payload` payload on payload.`name` = event.`name`
		where consent.`address_key` in %s order by event.`consent`, event.`seq`""",
		[keys],
	)
	found: dict[str, list[tuple[str, str]]] = {}
	for record, kind, payload in rows:
		found.setdefault(record, []).append((kind, payload))
	return found


def lost(storm: Storm) -> list[Act]:
	"""Acts that were acknowledged and left no event."""
	written = payloads_of(storm)
	everything = " ".join(payload for events in written.values() for _kind, payload in events)
	kinds = {record: {kind for kind, _payload in events} for record, events in written.items()}
	return [
		act
		for act in storm.acts
		if act.answered_at
		and (
			(act.what == "give" and act.marker not in everything)
			or (act.what == "withdraw" and any("Withdraw" not in kinds.get(name, ()) for name in act.records))
			or (act.what == "send" and not frappe.db.exists("Email Queue", act.records[0]))
		)
	]


def doubled(storm: Storm) -> list[str]:
	"""Acts that left two events of a kind, and records that were withdrawn twice."""
	found = []
	said: Counter[tuple[str, str]] = Counter()
	markers = {act.marker for act in storm.acts if act.what == "give"}
	for record, events in payloads_of(storm).items():
		of_kind = Counter(kind for kind, _payload in events)
		if of_kind["Withdraw"] > 1:
			found.append(record)
		for kind, payload in events:
			evidence = frappe.parse_json(payload)["facts"].get("evidence") or ""
			if (marker := str(evidence).rpartition(", ")[2]) in markers:
				said[kind, marker] += 1
	return found + [marker for (_kind, marker), times in said.items() if times > 1]


def against_a_no(storm: Storm, smtp: Mailboxes) -> list[str]:
	"""Mails that were let through after a no had been acknowledged, or that nobody has let through."""
	nos: dict[str, datetime] = {}
	for act in storm.acts:
		if act.what == "withdraw" and act.answered_at:
			nos[act.email] = min(act.answered_at, nos.get(act.email, act.answered_at))
	rows = frappe.get_all(
		"Email Queue", {"message": ["like", f"%@{storm.domain}%"]}, ["name", "message"], limit_page_length=0
	)
	queued = {subject_of(row.message): row.name for row in rows}
	decided = dict(
		frappe.db.sql(
			"select `email_queue`, max(`decided_on`) from `tabConsent Decision`"
			" where `email_queue` in %s and `allowed` = 1 group by `email_queue`",
			[[*queued.values()]],
		)
	)
	found = []
	for delivery in smtp.deliveries:
		marker = subject_of(delivery.content)
		let_through = decided.get(queued[marker])
		if not let_through or let_through > nos.get(delivery.to, let_through):
			found.append(marker)
	return found


def delivered_twice(smtp: Mailboxes) -> list[str]:
	subjects = Counter(subject_of(delivery.content) for delivery in smtp.deliveries)
	return [subject for subject, times in subjects.items() if times > 1]


def subject_of(message: str) -> str:
	return message.partition("Subject: ")[2].split()[0]


def torn(storm: Storm) -> list[str]:
	"""Records that aren't what their events make them (ST-02)."""
	return [record for record in payloads_of(storm) if register.rebuild(record)["changed"]]
