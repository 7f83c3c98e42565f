"""A Consent Bulk Update whose worker is killed, whose database goes away, and that others get in the way of.

BU-06: each record is done once, and nothing waits for it longer than it has to.
"""

import itertools
import json
import random
import threading
from collections.abc import Callable

import pytest
from conftest import PROOF, BulkUpdates, give, is_killed

import frappe

from gdpr_consent import journal, ledger, register
from gdpr_consent.bulk_update import api, items, job, run
from gdpr_consent.identity import address_keys
from gdpr_consent.register import writing

RULE = {"action": "Set", "legal_basis": "Consent", "source": "Phone", "evidence_file": PROOF["evidence"]}
KILLS = 50


@pytest.fixture
def small_chunks(monkeypatch):
	monkeypatch.setattr(run, "AT_ONCE", 4)


def ready(bulk: BulkUpdates, number: int, rule: dict = RULE) -> tuple[str, list[str]]:
	"""Return a bulk update that was started, and the addresses it is about; nobody works on it yet."""
	emails = bulk.many_contacts(number)
	name = bulk.preview(rule | {"records": bulk.people["Contact"][-number:]})
	api.run(name)
	frappe.db.commit()
	return name, emails


def each_once(name: str, emails: list[str]) -> bool:
	"""Whether what is noted as done is what the register has, one event for each record and none twice."""
	frappe.db.rollback()
	keys = [*address_keys(emails).values()]
	consents = frappe.get_all("Consent", {"address_key": ["in", keys]}, ["name", "last_seq"], limit=0)
	events = frappe.get_all("Consent Event", {"bulk_update": name}, pluck="consent", limit=0)
	done = frappe.get_all(
		"Consent Bulk Update Item", {"bulk_update": name, "result": "Done"}, pluck="consent"
	)
	assert sorted(done) == sorted(events) == sorted(row.name for row in consents)
	assert {row.last_seq for row in consents} <= {1}
	return len(done) == len(emails)


def all_taken_back(emails: list[str]) -> bool:
	frappe.db.rollback()
	keys = [*address_keys(emails).values()]
	rows = frappe.get_all("Consent", {"address_key": ["in", keys]}, ["status", "last_seq"], limit=0)
	return [(row.status, row.last_seq) for row in rows] == [("Revoked", 2)] * len(emails)


# --- a worker that is killed --------------------------------------------------------------------------------


def test_bu_06_a_worker_that_is_killed_again_and_again_does_each_record_once(
	bulk: BulkUpdates, site: str, small_chunks
):
	name, emails = ready(bulk, 300)
	chance, kills = random.Random(6), 0
	while api.status(name)["status"] == "Running":
		frappe.db.commit()
		kills += is_killed(site, lambda: job.work(name), chance.randint(1, 80))
		each_once(name, emails)
	assert kills >= KILLS
	assert api.status(name)["status"] == "Completed" and api.status(name)["processed"] == 300
	assert each_once(name, emails)
	assert ledger.verify()["ok"]


def test_bu_06_a_revert_that_is_killed_again_and_again_takes_each_back_once(
	bulk: BulkUpdates, site: str, small_chunks
):
	name, emails = ready(bulk, 40)
	job.work(name)
	api.revert(name, "Wrong")
	chance, kills = random.Random(7), 0
	while api.status(name)["status"] == "Reverting":
		frappe.db.commit()
		kills += is_killed(site, lambda: job.work(name), chance.randint(1, 80))
	assert kills
	assert all_taken_back(emails)


# --- a database that goes away ------------------------------------------------------------------------------


def another_connection():
	conf = frappe.conf  # v16 doesn't look there itself
	return frappe.database.get_db(
		socket=conf.db_socket,
		host=conf.db_host,
		port=conf.db_port,
		user=conf.db_user or conf.db_name,
		password=conf.db_password,
		cur_db_name=conf.db_name,
	)


def cut() -> None:
	"""What a restart of the database looks like from here: the connection is cut, its locks are gone."""
	elsewhere = another_connection()
	elsewhere.sql(f"kill {frappe.db._conn.thread_id()}")
	elsewhere.close()


def before_each_query(monkeypatch, act: Callable[[str], object]) -> None:
	sql = frappe.db.sql

	def sql_after_act(query, *args, **more):
		act(str(query))
		return sql(query, *args, **more)

	monkeypatch.setattr(frappe.db, "sql", sql_after_act)


def work_while_the_connection_is_lost(monkeypatch, name: str, seed: int) -> None:
	chance, seen, cuts = random.Random(seed), [], []

	def now_and_then(query: str) -> None:
		if seen and chance.random() < 0.02:
			cuts.append(query)
			cut()
		seen.append(query)  # the first one takes the lock

	with monkeypatch.context() as patched:
		before_each_query(patched, now_and_then)
		job.work(name)
	assert cuts


@pytest.mark.parametrize("seed", range(4))
def test_bu_06_a_connection_that_is_lost_again_and_again_loses_nothing(
	bulk: BulkUpdates, small_chunks, monkeypatch, seed: int
):
	"""Neither of the run, nor of the revert."""
	name, emails = ready(bulk, 60)
	work_while_the_connection_is_lost(monkeypatch, name, seed)
	assert api.status(name)["status"] == "Completed"
	assert each_once(name, emails)
	api.revert(name, "Wrong")
	work_while_the_connection_is_lost(monkeypatch, name, seed)
	assert api.status(name)["status"] == "Reverted"
	assert all_taken_back(emails)


def is_cut_before_query(monkeypatch, name: str, number: int) -> bool:
	"""Work until it is done, with the connection cut once; return whether there were as many queries."""
	seen = itertools.count(1)
	with monkeypatch.context() as patched:
		before_each_query(patched, lambda _query: next(seen) == number and cut())
		job.work(name)
	return next(seen) > number


def test_bu_06_a_preview_is_whole_whenever_its_connection_is_lost(bulk: BulkUpdates, monkeypatch):
	bulk.many_contacts(10)
	records = bulk.people["Contact"][-10:]
	name = bulk.make(RULE | {"records": records})
	for number in itertools.count(2):  # the first one takes the lock
		api.preview(name)
		frappe.db.commit()
		was_cut = is_cut_before_query(monkeypatch, name, number)
		assert api.status(name)["status"] == "Previewed"
		assert {item.target for item in bulk.items(name).values()} == set(records)
		assert {item.plan for item in bulk.items(name).values()} == {"Change"}
		if not was_cut:
			break
	assert number > 20


def test_bu_06_a_run_does_each_once_whenever_its_connection_is_lost(
	bulk: BulkUpdates, small_chunks, monkeypatch
):
	for number in itertools.count(2):
		name, emails = ready(bulk, 5)
		was_cut = is_cut_before_query(monkeypatch, name, number)
		assert (api.status(name)["status"], api.status(name)["problem"]) == ("Completed", None)
		assert each_once(name, emails)
		if not was_cut:
			break
	assert number > 40


@pytest.mark.parametrize(
	"moments",
	[
		["`tabConsent Bulk Update Item`"],  # as it begins
		["`position`", "get_lock"],  # as the lock that went with the connection is taken again
		["`finished_on`"],
		["release_lock"],
	],
)
def test_bu_06_a_connection_may_be_lost_at_any_moment(
	bulk: BulkUpdates, small_chunks, monkeypatch, moments: list[str]
):
	name, emails = ready(bulk, 8)
	left = moments.copy()

	def at_the_moment(query: str) -> None:
		if left and left[0] in query:
			del left[0]
			cut()

	with monkeypatch.context() as patched:
		before_each_query(patched, at_the_moment)
		job.work(name)
	assert not left
	assert (api.status(name)["status"], api.status(name)["problem"]) == ("Completed", None)
	assert each_once(name, emails)


def test_st_18_a_commit_that_fails_keeps_no_no_from_the_journal(
	bulk: BulkUpdates, small_chunks, monkeypatch, tmp_path
):
	"""Nor those of the chunks after it."""
	name, emails = ready(bulk, 12)
	job.work(name)
	records = bulk.people["Contact"][-12:]
	ends = bulk.preview({"action": "Revoke", "records": records})
	api.run(ends)
	frappe.db.commit()
	monkeypatch.setitem(frappe.conf, journal.FILE_SETTING, str(tmp_path / "noes.jsonl"))
	chunks = itertools.count(1)
	in_chunk = []

	def cut_at_commit(query: str) -> None:
		if query.startswith("UPDATE `tabConsent Bulk Update` SET `position`"):
			in_chunk.append(next(chunks))
		elif query == "commit" and in_chunk == [1]:
			in_chunk.clear()
			cut()

	with monkeypatch.context() as patched:
		before_each_query(patched, cut_at_commit)
		job.work(ends)
	assert api.status(ends)["status"] == "Completed"
	kept = [json.loads(line) for line in (tmp_path / "noes.jsonl").read_text().splitlines()]
	theirs = {"address_key": ["in", [*address_keys(emails).values()]]}
	consents = frappe.get_all("Consent", theirs, pluck="name")
	assert sorted(line["consent"] for line in kept) == sorted(consents)


def test_bu_06_a_server_that_is_slow_to_end_a_lost_connection_is_waited_for(
	bulk: BulkUpdates, small_chunks, monkeypatch
):
	"""Until it has, the lock is held: by us, who are gone, which looks like another worker."""
	name, emails = ready(bulk, 8)
	holder = another_connection()
	lock = job._name_of_lock(name)
	released = threading.Timer(1, holder.close)

	def lose_it(query: str) -> None:
		if "`position`" in query and not released.is_alive() and not released.finished.is_set():
			cut()
			assert holder.sql("select get_lock(%s, 60)", lock)[0][0]
			released.start()

	with monkeypatch.context() as patched:
		before_each_query(patched, lose_it)
		job.work(name)
	released.join()
	assert api.status(name)["status"] == "Completed"
	assert each_once(name, emails)


def test_bu_06_what_is_paused_while_the_connection_is_lost_is_paused(
	bulk: BulkUpdates, small_chunks, monkeypatch
):
	name, _emails = ready(bulk, 8)
	paused = []

	def pause(query: str) -> None:
		if "`position`" in query and not paused:
			paused.append(query)
			cut()
			elsewhere = another_connection()
			elsewhere.sql("update `tabConsent Bulk Update` set status = 'Paused' where name = %s", name)
			elsewhere.commit()
			elsewhere.close()

	with monkeypatch.context() as patched:
		before_each_query(patched, pause)
		job.work(name)
	assert (api.status(name)["status"], api.status(name)["processed"]) == ("Paused", 0)


def test_bu_06_a_deadlock_is_tried_again(bulk: BulkUpdates, site: str, small_chunks, monkeypatch):
	"""Somebody holds the row that the chunk needs last, and wants the one that it has locked first."""
	name, emails = ready(bulk, 8)
	holds, chunk_is_at_work, deadlocks = threading.Event(), threading.Event(), []

	def other() -> None:
		frappe.init(site=site, sites_path=".")
		frappe.connect()
		try:
			rows = [{"name": f"{name}-{line}", "bulk_update": "none", "line": line} for line in range(5_000)]
			ledger.insert("Consent Bulk Update Address", rows)  # who has written less gives way
			frappe.db.sql("select name from `tabConsent Bulk Update` where name = %s for update", name)
			holds.set()
			chunk_is_at_work.wait(60)
			frappe.db.sql("select name from `tabConsent Lock` for update")
		finally:
			frappe.db.rollback()
			frappe.destroy()

	change_many = register.change_many

	def meet(*args, **more):
		outcomes = change_many(*args, **more)
		chunk_is_at_work.set()
		return outcomes

	try_again = job._may_try_again

	def noted(bulk_update: str, error: Exception) -> bool:
		deadlocks.append(job._code_of(error))
		return try_again(bulk_update, error)

	monkeypatch.setattr(register, "change_many", meet)
	monkeypatch.setattr(job, "_may_try_again", noted)
	thread = threading.Thread(target=other)
	thread.start()
	assert holds.wait(60)
	job.work(name)
	thread.join()
	assert deadlocks == [1213]
	assert api.status(name)["status"] == "Completed"
	assert each_once(name, emails)


# --- others -------------------------------------------------------------------------------------------------


def in_a_thread(site: str, act: Callable, results: list) -> threading.Thread:
	def run_it() -> None:
		frappe.init(site=site, sites_path=".")
		frappe.connect()
		try:
			results.append(act())
			frappe.db.commit()
		finally:
			frappe.destroy()

	thread = threading.Thread(target=run_it)
	thread.start()
	return thread


def test_bu_06_one_worker_at_a_time(bulk: BulkUpdates, site: str, small_chunks, monkeypatch):
	"""The second one leaves it to the first, whatever queued it."""
	name, emails = ready(bulk, 12)
	second: list[str] = []
	monkeypatch.setattr(
		job,
		"tell",
		lambda _name: second or in_a_thread(site, lambda: job.work(name) or "left", second).join(),
	)
	job.work(name)
	assert second == ["left"]
	assert each_once(name, emails)


def test_two_runs_at_once_about_one_address_do_it_once(bulk: BulkUpdates, site: str, small_chunks):
	"""A Contact and a Lead share addresses: two updates, two workers, and one of them finds it changed."""
	emails = bulk.many_contacts(24)
	leads = [bulk.lead(email) for email in emails]
	first = bulk.preview(RULE | {"records": bulk.people["Contact"][:24]})
	second = bulk.preview(RULE | {"target_doctype": "Lead", "records": leads})
	for name in (first, second):
		api.run(name)
	frappe.db.commit()
	threads = [in_a_thread(site, lambda name=name: job.work(name), []) for name in (first, second)]
	for thread in threads:
		thread.join()
	frappe.db.rollback()
	keys = [*address_keys(emails).values()]
	rows = frappe.get_all("Consent", {"address_key": ["in", keys]}, ["status", "last_seq"], limit=0)
	assert [(row.status, row.last_seq) for row in rows] == [("Given", 1)] * 24
	results = [item.result for name in (first, second) for item in bulk.items(name).values()]
	assert (results.count("Done"), results.count("Skipped")) == (24, 24)


def test_only_one_of_two_who_press_run_at_once_starts_it(bulk: BulkUpdates, site: str):
	emails = bulk.many_contacts(2)
	contacts = bulk.people["Contact"][-2:]
	updates = [bulk.preview(RULE | {"records": contacts}) for _ in range(2)]
	both, results = threading.Barrier(2), []

	def press(name: str):
		both.wait(60)
		try:
			return api.run(name)["status"]
		except api.RecordsInAnotherRun:
			return "refused"

	threads = [in_a_thread(site, lambda name=name: press(name), results) for name in updates]
	for thread in threads:
		thread.join()
	assert sorted(results) == ["Running", "refused"]
	assert emails


def test_people_of_no_chunk_are_saved_while_one_is_open(
	bulk: BulkUpdates, site: str, small_chunks, monkeypatch
):
	"""What a chunk locks is what it is about: whoever works on somebody else doesn't wait for it."""
	name, emails = ready(bulk, 4)
	shards = {writing.shard_of(key) for key in address_keys(emails).values()}
	stranger = next(
		email
		for email in (bulk.mailbox() for _ in range(100))
		if writing.shard_of(address_keys([email])[email]) not in shards
	)
	saved: list[str] = []
	set_results = items.set_results

	def meanwhile(results) -> None:
		set_results(results)
		in_a_thread(site, lambda: give(stranger), saved).join()

	monkeypatch.setattr(items, "set_results", meanwhile)
	job.work(name)
	assert len(saved) == 1
	assert each_once(name, emails)
