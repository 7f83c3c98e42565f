"""How fast a Consent Bulk Update is, against saving one by one and against the bare INSERT … SELECT.

It makes Contacts of its own, one of twenty with a consent and one with a refusal, measures, and takes all
of it away again. Arguments: the number of Contacts, and the word `memory` for preview and run alone.
"""

import json
import multiprocessing
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from typing import NamedTuple

from common import kept, on_the_site, progress

import frappe
from frappe.contacts.doctype.contact import contact as core_contact

from gdpr_consent import api as register_api
from gdpr_consent.bulk_update import api, job

LEAST_TO_SAVES = 100.0  # times the rate of doc.save()
LEAST_TO_BARE = 0.5  # of the rate of the bare INSERT … SELECT
LONGEST_PREVIEW = 10.0  # seconds for 100,000
LARGEST_PART = 0.05  # of the run that a preview takes, if it takes longer than that
MOST_MEMORY = 300  # MB
LONGEST_DELAY = 0.2  # seconds that others wait longer beside a run
SAVES, OTHERS, BESIDE = 300, 2_000, 20_000
CALM = 300  # acts of others without a run beside them
AT_ONCE = 10_000
NAME = "Bulk Benchmark"
PURPOSE = "Email Marketing"
PROOF = "bulk-benchmark.txt"
REGISTER = {"Consent": "last_hash", "Consent Event": "hash", "Consent Event Payload": "salt"}
ITEMS = {"Consent Bulk Update Item": "name"}


class Cost(NamedTuple):
	seconds: float
	megabytes: float


def name_of(number: int) -> str:
	return f"{NAME} {number:08d}"


def address(number: int) -> str:
	return f"person.{number}@bulk-{number % 5_000}.example"


def seconds(action: Callable, *args: object) -> float:
	started = time.perf_counter()
	action(*args)
	return time.perf_counter() - started


# --- people -------------------------------------------------------------------------------------------------


def make_contacts(last: int) -> None:
	now = frappe.utils.now()
	common = {"owner": "Administrator", "creation": now, "modified": now}
	for start in range(0, last, AT_ONCE):
		contacts, rows = [], []
		for number in range(start, min(start + AT_ONCE, last)):
			name = name_of(number)
			said = {0: "Agreed", 1: "Refused"}.get(number % 20, "Nothing")
			department = "Sales" if number % 3 else "Service"
			named = {"name": name, "first_name": name, "company_name": said, "department": department}
			contacts.append(named | {"designation": f"Form {number}"} | common)
			parent = {"name": name, "parent": name, "parenttype": "Contact", "parentfield": "email_ids"}
			rows.append(parent | {"email_id": address(number), "is_primary": 1, "idx": 1} | common)
		for doctype, made in (("Contact", contacts), ("Contact Email", rows)):
			frappe.db.bulk_insert(doctype, [*made[0]], [[*row.values()] for row in made])
		frappe.db.commit()
		progress(f"making contacts: {min(start + AT_ONCE, last):,}")


def attach_proof() -> str:
	file = frappe.new_doc("File", file_name=PROOF, content="Signed.", is_private=1)
	url = file.insert().file_url
	frappe.db.commit()
	return url


def make_update(first: int, last: int, *rules: dict) -> str:
	"""Make an update about the Contacts from `first` to before `last`. A rule says `where` they fit."""
	doc = frappe.new_doc("Consent Bulk Update", title=NAME, reason="Benchmark")
	for rule in rules:
		filters = [["Contact", "name", ">=", name_of(first)], ["Contact", "name", "<", name_of(last)]]
		filters += [["Contact", field, "=", value] for field, value in rule.get("where", {}).items()]
		row = {"target_doctype": "Contact", "purpose": PURPOSE, "source": "Event", "legal_basis": "Consent"}
		values = {field: value for field, value in rule.items() if field != "where"}
		doc.append("rules", row | values | {"filters": json.dumps(filters)})
	doc.insert()
	frappe.db.commit()
	return doc.name


def let_some_speak(last: int, proof: str) -> None:
	agreed = {"action": "Set", "where": {"company_name": "Agreed"}, "evidence_file": proof}
	refused = {"action": "Withdraw", "where": {"company_name": "Refused"}}
	name = make_update(0, last, agreed, refused)
	preview(name)
	run(name)


def measured(first: int, last: int, proof: str) -> str:
	of_service = {"action": "Set", "where": {"department": "Service"}, "evidence_field": "designation"}
	return make_update(first, last, of_service, {"action": "Set", "evidence_file": proof})


def preview(name: str) -> None:
	api.preview(name)
	frappe.db.commit()
	job.work(name)
	assert api.status(name)["status"] == "Previewed", api.status(name)["problem"]


def run(name: str) -> None:
	frappe.db.set_value(
		"Consent Bulk Update", name, "needs_approval", 0
	)  # by a second person, who isn't here
	api.run(name)
	frappe.db.commit()
	job.work(name)
	assert api.status(name)["status"] == "Completed", api.status(name)["problem"]


def in_a_process(role: str, name: str) -> Cost:
	"""Preview or run in a process of its own, as a worker does."""
	progress(f"{role} of {name}")
	done = subprocess.run(
		[sys.executable, __file__, role, name], stdout=subprocess.PIPE, text=True, check=True
	)
	took, kilobytes = done.stdout.split()[-2:]
	return Cost(float(took), float(kilobytes) / 1024)


def do(role: str, name: str) -> None:
	with on_the_site():
		took = seconds({"preview": preview, "run": run}[role], name)
	print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


# --- the baselines ------------------------------------------------------------------------------------------


def leave_gravatar_alone() -> None:
	"""Core asks a server for a picture whenever a Contact is saved; waiting for it would flatter the run."""
	core_contact.has_gravatar = lambda _email: ""


def save_one_by_one(first: int) -> None:
	for number in range(first, first + SAVES):
		doc = frappe.get_doc("Contact", name_of(number))
		doc.designation = f"Number {number}"
		doc.save()
		frappe.db.commit()


def insert_bare(name: str, tables: dict[str, str]) -> float:
	"""Insert the rows that a run wrote into tables with the same indexes; return the seconds."""
	# By way of the items, or millions of events are looked through.
	events = """name in (
		select event.{} from `tabConsent Bulk Update Item` item
		join `tabConsent Event` event on event.consent = item.consent and event.bulk_update = item.bulk_update
		where item.bulk_update = %(name)s)"""
	which = {
		"Consent": events.format("consent"),
		"Consent Event": events.format("name"),
		"Consent Event Payload": events.format("name"),
	}
	total = 0.0
	for doctype, order in tables.items():
		drop_copies()
		# One column of Consent is computed by the database, and can't be inserted.
		columns = ", ".join(f"`{column}`" for column in frappe.get_meta(doctype).get_valid_columns())
		# The names of the register's rows are random, so the staging copy mustn't have them in order either.
		frappe.db.sql(
			f"""create table benchmark_staged as select {columns} from `tab{doctype}`
			where {which.get(doctype, "bulk_update = %(name)s")} order by creation, `{order}`""",
			{"name": name},
		)
		frappe.db.sql_ddl(f"create table benchmark_bare like `tab{doctype}`")
		total += seconds(_insert_staged, columns)
	drop_copies()
	return total


def _insert_staged(columns: str) -> None:
	frappe.db.sql(f"insert into benchmark_bare ({columns}) select {columns} from benchmark_staged")
	frappe.db.commit()


def drop_copies() -> None:
	for table in ("staged", "bare"):
		frappe.db.sql_ddl(f"drop table if exists benchmark_{table}")


# --- others -------------------------------------------------------------------------------------------------


def act_beside(first: int, most: int, is_ready: Event, stop: Event, answers: "Queue[list[float]]") -> None:
	"""Save people and record consents of others, one after the other; answer how long each took."""
	took: list[float] = []
	with on_the_site():
		leave_gravatar_alone()
		for number in range(first, first + most):
			if stop.is_set():
				break
			doc = frappe.get_doc("Contact", name_of(number))
			doc.designation = "Beside"
			took.append(seconds(_save_and_record, doc, address(number)))
			is_ready.set()
	answers.put(sorted(took))


def _save_and_record(doc: core_contact.Contact, email: str) -> None:
	doc.save()
	register_api.record_consent(PURPOSE, email=email, source="Event", evidence="Said so.")
	frappe.db.commit()


def others_take(first: int, most: int, beside: Callable[[], None] | None = None) -> list[float]:
	processes = multiprocessing.get_context("spawn")
	is_ready, stop, answers = processes.Event(), processes.Event(), processes.Queue()
	process = processes.Process(target=act_beside, args=(first, most, is_ready, stop, answers))
	process.start()
	if beside:
		is_ready.wait()
		beside()
		stop.set()
	took = answers.get()
	process.join()
	return took


# --- the table ----------------------------------------------------------------------------------------------


def main(number: int) -> int:
	beside = number + min(number, BESIDE)
	with on_the_site():
		leave_gravatar_alone()
		try:
			proof = attach_proof()
			make_contacts(beside + CALM + OTHERS)
			let_some_speak(beside, proof)
			progress("saving one by one")
			saving = seconds(save_one_by_one, beside) / SAVES
			name = measured(0, number, proof)
			previewing = in_a_process("preview", name)
			running = in_a_process("run", name)
			frappe.db.commit()
			plan = api.status(name)
			bare = min(insert_bare(name, REGISTER) for _ in range(2))
			bare_items = min(insert_bare(name, ITEMS) for _ in range(2))
			progress("others, without a run and beside one")
			calm = others_take(beside, CALM)
			other = measured(number, beside, proof)
			preview(other)
			busy = others_take(beside + CALM, OTHERS, lambda: in_a_process("run", other) and None)
		finally:
			clean_up()
	changed = plan["to_change"]
	to_saves = saving / (running.seconds / changed)
	to_bare = bare / running.seconds
	all_to_bare = (bare + bare_items) / (previewing.seconds + running.seconds)
	slowest = busy[-1] - calm[-1]
	most = max(previewing.megabytes, running.megabytes)
	print(f"{plan['total']:,} contacts, {changed:,} to change, {plan['to_skip']:,} to leave as they are")
	print(f"doc.save()             {saving * 1e6:9.0f} µs each")
	print_costs(number, previewing, running)
	print(f"bare, of the register  {bare / changed * 1e6:9.0f} µs each")
	print(f"bare, of the items     {bare_items / number * 1e6:9.0f} µs each")
	print(f"run, in doc.save()s: {to_saves:.0f} times the rate, limit {LEAST_TO_SAVES:.0f}")
	print(f"run: {to_bare:.2f} of the bare rate; preview and run: {all_to_bare:.2f}; limit {LEAST_TO_BARE}")
	for what, took in (("without a run", calm), ("beside a run", busy)):
		percentile = took[int(len(took) * 0.99)]
		print(
			f"others {what}: {len(took):,} acts, half within {took[len(took) // 2] * 1e3:.0f} ms,"
			f" 99 % within {percentile * 1e3:.0f}, slowest {took[-1] * 1e3:.0f}"
		)
	print(f"the slowest is delayed by {slowest * 1e3:.0f} ms, limit {LONGEST_DELAY * 1e3:.0f}")
	limits = {
		"saves": kept("a run, in doc.save()s", to_saves, LEAST_TO_SAVES, least=True),
		"run to bare": kept("a run, of the bare rate", to_bare, LEAST_TO_BARE, least=True),
		"preview and run to bare": kept(
			"preview and run, of the bare rate", all_to_bare, LEAST_TO_BARE, least=True
		),
		"preview": kept("a preview, seconds", previewing.seconds, longest_preview(number, running)),
		"memory": kept("preview and run, MB", most, MOST_MEMORY),
		"others": kept("others, slowest act later by seconds", slowest, LONGEST_DELAY),
	}
	return print_limits(limits)


def memory(number: int) -> int:
	with on_the_site():
		try:
			proof = attach_proof()
			make_contacts(number)
			name = measured(0, number, proof)
			previewing = in_a_process("preview", name)
			running = in_a_process("run", name)
		finally:
			clean_up()
	print_costs(number, previewing, running)
	most = max(previewing.megabytes, running.megabytes)
	return print_limits({"memory": kept("preview and run, MB", most, MOST_MEMORY)})


def longest_preview(number: int, running: Cost) -> float:
	"""Return the seconds that a preview may take."""
	return max(LONGEST_PREVIEW * number / 100_000, LARGEST_PART * running.seconds)


def print_costs(number: int, previewing: Cost, running: Cost) -> None:
	for what, cost in (("preview", previewing), ("run", running)):
		each = cost.seconds / number * 1e6
		print(f"{what:<22} {each:9.0f} µs each, {cost.seconds:.1f} s, {cost.megabytes:.0f} MB at most")


def print_limits(limits: dict[str, bool]) -> int:
	print("; ".join(f"{limit}: {'kept' if is_kept else 'MISSED'}" for limit, is_kept in limits.items()))
	return int(not all(limits.values()))


def clean_up() -> None:
	"""Take away what was made, a part at a time, each committed."""
	frappe.db.rollback()
	drop_copies()
	for record, column in (("Consent", "consent"), ("Suppression", "suppression")):
		while names := frappe.get_all(
			record, {"email": ["like", "person.%@bulk-%.example"]}, pluck="name", limit=AT_ONCE // 2
		):
			events = frappe.get_all("Consent Event", {column: ["in", names]}, pluck="name", limit=0)
			for doctype in ("Consent Event Payload", "Consent Event"):
				frappe.db.delete(doctype, {"name": ["in", events or ["none"]]})
			frappe.db.delete(record, {"name": ["in", names]})
			frappe.db.commit()
			progress(f"taking away: {record}")
	updates = frappe.get_all("Consent Bulk Update", {"title": NAME}, pluck="name") or ["none"]
	for doctype, of_ours in (
		("Consent Bulk Update Item", {"bulk_update": ["in", updates]}),
		("Contact Email", {"parent": ["like", f"{NAME} %"]}),
		("Contact", {"name": ["like", f"{NAME} %"]}),
	):
		while names := frappe.get_all(doctype, of_ours, pluck="name", limit=AT_ONCE):
			frappe.db.delete(doctype, {"name": ["in", names]})
			frappe.db.commit()
			progress(f"taking away: {doctype}")
	frappe.db.delete("Consent Bulk Update Rule", {"parent": ["in", updates]})
	frappe.db.delete("Consent Bulk Update", {"name": ["in", updates]})
	for file in frappe.get_all("File", {"file_name": ["like", "bulk-benchmark%.txt"]}, pluck="name"):
		frappe.delete_doc("File", file, force=True)
	frappe.db.commit()
	progress("")


if __name__ == "__main__":
	if sys.argv[1:2] in (["preview"], ["run"]):
		do(*sys.argv[1:])
	else:
		size = next((int(one) for one in sys.argv[1:] if one.isdigit()), 100_000)
		sys.exit(memory(size) if "memory" in sys.argv else main(size))
