"""Who tampers with the ledger is found, by the app and by the offline verifier alike (§6.10, §7).

Seals are committed, because sealing commits; what tampers with them isn't, and is rolled back.
"""

import base64
import gzip
import json
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from conftest import examples, give, remove_sending, send_to
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_commands import run
from test_concurrency import act_elsewhere
from test_register import set_by_sql, withdraw

import frappe

from gdpr_consent import api, export, ledger, offline_verifier, register, seals
from gdpr_consent.clock import now_utc, utc_text
from gdpr_consent.gate import self_check

EVENT, PAYLOAD, SEAL = "Consent Event", "Consent Event Payload", "Ledger Seal"


@pytest.fixture(autouse=True)
def without_seals(mailbox, monkeypatch) -> Iterator[None]:
	# Not the tables that a check doesn't look at: other tests leave much in them.
	monkeypatch.setattr(export, "EVIDENCE", tuple(name for name in export.EVIDENCE if name in COLUMNS))
	remove_seals()
	yield
	frappe.set_user("Administrator")
	frappe.db.rollback()
	remove_seals()


def remove_seals() -> None:
	frappe.db.delete(SEAL)
	frappe.db.sql(f"update `tab{EVENT}` set seal = 0 where seal != 0")
	frappe.db.commit()


def record(email: str) -> str:
	"""Record a person who is imported, agrees and withdraws: three events. Committed."""
	name = register.record_unproven(email=email)["name"]
	give(email)
	withdraw(email)
	frappe.db.commit()
	return name


@pytest.fixture
def chain(mailbox) -> str:
	return record(mailbox())


def offline(anchors: list[dict] = ()) -> dict:
	"""Export what is there now, and check the export."""
	path = Path(frappe.utils.get_site_path(f"{frappe.generate_hash()}.jsonl.gz"))
	try:
		return offline_verifier.verify(export.write(path), anchors)
	finally:
		path.unlink(missing_ok=True)


def verified(anchors: list[dict] = ()) -> dict:
	"""Check the database and an export of it: both say the same, though they may go another way to it."""
	found = ledger.verify(anchors=anchors)
	assert offline(anchors) | {"checked": 0} == found | {"checked": 0}
	return found


def bad(anchors: list[dict] = ()) -> tuple[str | None, str | None]:
	found = verified(anchors)
	assert found["ok"] is (found["first_bad"] is None)
	return found["first_bad"], found["problem"]


SOUND = (None, None)


def anchors() -> list[dict]:
	return [json.loads(seals.as_line(seals.last_seal()))]


# --- seals --------------------------------------------------------------------------------------------------


def test_au_05_a_seal_covers_each_event_once_and_hashes_the_one_before(chain, mailbox):
	assert seals.seal() == 1
	assert seals.seal() == 0  # nothing new
	second = give(mailbox())
	frappe.db.commit()
	assert seals.seal() == 1
	first, last = frappe.get_all(SEAL, fields=["*"], order_by="number")
	assert (first.number, first.prev_hash) == (1, None)
	assert (last.number, last.prev_hash, last.events) == (2, first.hash, 1)
	assert frappe.get_all(EVENT, {"consent": second}, pluck="seal") == [2]
	assert first.events + last.events == frappe.db.count(EVENT)
	assert last.first_recorded_at <= last.last_recorded_at <= last.sealed_at
	assert verified() | {"checked": 0} == {
		"ok": True,
		"checked": 0,
		"first_bad": None,
		"problem": None,
		"seal": 2,
	}


def test_au_05_a_stranger_recomputes_the_root_with_sort_and_sha256sum(chain):
	seals.seal()
	lines = ""
	for row in frappe.get_all(EVENT, fields=["consent", "suppression", "seq", "hash"], order_by="hash"):
		record = f"Consent {row.consent}" if row.consent else f"Suppression {row.suppression}"
		lines += f"{record} {row.seq:010d} {row.hash}\n"
	script = "LC_ALL=C sort | sha256sum"
	said = subprocess.run(
		["sh", "-c", script], input=lines, capture_output=True, text=True, check=True
	).stdout
	assert said.split()[0] == seals.last_seal().root


def test_a_first_seal_of_many_events_is_many_seals_and_can_be_interrupted(chain, mailbox, monkeypatch):
	record(mailbox())
	monkeypatch.setattr(seals, "EVENTS_A_SEAL", 2)
	monkeypatch.setattr(seals, "UPDATE_AT_ONCE", 1)
	number = frappe.db.count(EVENT)

	def stop(_events: int) -> None:
		raise KeyboardInterrupt

	with pytest.raises(KeyboardInterrupt):
		seals.seal(stop)
	frappe.db.rollback()
	assert frappe.db.count(EVENT, {"seal": 0}) == number - 2
	seen: list[int] = []
	seals.seal(seen.append)
	assert sum(seen) == number - 2
	assert frappe.db.count(SEAL) == -(-number // 2) == seals.last_seal().number
	assert bad() == SOUND


def elsewhere(act: Callable) -> threading.Thread:
	results: list = []
	thread = threading.Thread(target=act_elsewhere, args=(frappe.local.site, [act], results))
	thread.results = results
	thread.start()
	return thread


def test_what_is_committed_after_a_seal_began_is_in_the_next_and_waits_for_none(chain, mailbox, monkeypatch):
	"""AU-05: sealing shares no lock with who writes. One writes before it begins and commits after its end;
	another one writes from beginning to end while the seal holds all that it holds."""
	early, late = mailbox(), mailbox()
	has_written, may_commit = threading.Event(), threading.Event()

	def write_and_wait() -> None:
		give(early)
		has_written.set()
		assert may_commit.wait(60)

	waiting = elsewhere(write_and_wait)
	assert has_written.wait(60)
	commit, written = frappe.db.commit, []

	def write_meanwhile() -> None:
		if frappe.db.exists(SEAL, "1") and not written:  # the seal is whole, and not yet committed
			writer = elsewhere(lambda: give(late))
			writer.join(30)
			written.append(writer.results)
		commit()

	monkeypatch.setattr(frappe.db, "commit", write_meanwhile)
	assert seals.seal() == 2  # the second one for who wrote meanwhile
	monkeypatch.undo()
	assert [type(result) for result in written[0]] == [str]
	may_commit.set()
	waiting.join()
	assert seals.seal() == 1

	def sealed_in(email: str) -> list[int]:
		(name,) = frappe.get_all("Consent", {"email": email}, pluck="name")
		return frappe.get_all(EVENT, {"consent": name}, pluck="seal")

	assert (sealed_in(late), sealed_in(early)) == ([2], [3])
	assert bad() == SOUND


def test_two_who_seal_at_once_seal_each_event_once(chain, mailbox, monkeypatch):
	for _person in range(5):
		record(mailbox())
	start = threading.Barrier(2, timeout=60)
	results: list = []
	sealers = [
		threading.Thread(target=act_elsewhere, args=(frappe.local.site, [seals.seal], results, start))
		for _number in range(2)
	]
	for one in sealers:
		one.start()
	for one in sealers:
		one.join()
	frappe.db.rollback()
	assert sorted(results) == [0, 1]
	assert frappe.db.count(EVENT, {"seal": 0}) == 0
	assert bad() == SOUND


def test_a_seal_that_the_database_turns_back_is_made_anew(chain, mailbox, monkeypatch):
	"""MariaDB ends one of two that wait for each other."""
	mark = seals._mark

	def turned_back(*_args) -> None:
		monkeypatch.setattr(seals, "_mark", mark)
		raise frappe.QueryDeadlockError

	record(mailbox())
	monkeypatch.setattr(seals, "_mark", turned_back)
	assert seals.seal() == 1
	assert frappe.db.count(EVENT, {"seal": 0}) == 0
	assert bad() == SOUND


# --- tampering ----------------------------------------------------------------------------------------------


def delete_event(name: str) -> None:
	frappe.db.delete(EVENT, {"name": name})
	frappe.db.delete(PAYLOAD, {"name": name})


def cut_off_the_last(chain: str) -> None:
	delete_event(f"{chain}-3")
	set_by_sql("Consent", chain, last_hash=frappe.db.get_value(EVENT, f"{chain}-2", "hash"), last_seq=2)
	register.rebuild(chain)


def delete_record(chain: str) -> None:
	for name in frappe.get_all(EVENT, {"consent": chain}, pluck="name"):
		delete_event(name)
	frappe.db.delete("Consent", {"name": chain})


def swap(chain: str) -> None:
	for number, seq in ((1, 2), (2, 1)):
		set_by_sql(EVENT, f"{chain}-{number}", seq=seq)


def add_event(chain: str, seal: int = 0) -> None:
	"""Add a consent of long ago with a chain that is right in itself."""
	(event,) = ledger.read_events("Consent", [chain])[chain][:1]
	made = frappe.generate_hash(length=36)
	long_ago = now_utc() - timedelta(days=900)
	forged = event._replace(record=made, occurred_at=long_ago, recorded_at=long_ago)
	heads = ledger.insert_events("Consent", [(forged, None)])
	row = ledger.fold([forged]) | {"name": made, "last_seq": 1, "last_hash": heads[made]}
	ledger.insert("Consent", [row], columns=frappe.get_meta("Consent").get_valid_columns())
	set_by_sql(EVENT, f"{made}-1", seal=seal)


TAMPERED = {
	"envelope": (lambda chain: set_by_sql(EVENT, f"{chain}-2", kind="Confirm"), "{}-2", "event changed"),
	"time": (
		lambda chain: set_by_sql(EVENT, f"{chain}-2", occurred_at="2020-01-01"),
		"{}-2",
		"event changed",
	),
	"actor": (
		lambda chain: set_by_sql(EVENT, f"{chain}-2", actor="x@y.example"),
		"{}-2",
		"payload changed",
	),
	"payload": (lambda chain: set_by_sql(PAYLOAD, f"{chain}-2", payload="{}"), "{}-2", None),
	"payload gone": (
		lambda chain: set_by_sql(PAYLOAD, f"{chain}-1", payload=None, salt=None),
		"{}-1",
		"payload missing",
	),
	"middle gone": (lambda chain: delete_event(f"{chain}-2"), "{}-3", "gap in the sequence"),
	"last gone": (lambda chain: delete_event(f"{chain}-3"), "{}", "record and last event differ"),
	"reordered": (swap, "{}-2", None),
	"events gone": (
		lambda chain: [delete_event(f"{chain}-{number}") for number in (1, 2, 3)],
		"{}",
		"record without events",
	),
	"record gone": (
		lambda chain: frappe.db.delete("Consent", {"name": chain}),
		"{}-1",
		"its record is missing",
	),
}


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("how", TAMPERED)
def test_au_02_the_chain_alone_finds(chain, how, sealed):
	if sealed:
		seals.seal()
	tamper, named, problem = TAMPERED[how]
	assert bad() == SOUND
	tamper(chain)
	first_bad, found = bad()
	assert first_bad == named.format(chain)
	assert problem in (None, found)


ONLY_A_SEAL = {
	"cut off": (cut_off_the_last, "events were sealed"),
	"record gone with its events": (delete_record, "events were sealed"),
	"put in": (add_event, "put in later than it says"),
	"put in with a seal": (lambda chain: add_event(chain, seal=1), "events were sealed"),
}


@pytest.mark.parametrize("how", ONLY_A_SEAL)
def test_au_05_only_a_seal_finds(chain, how):
	tamper, problem = ONLY_A_SEAL[how]
	if how != "put in with a seal":
		frappe.db.savepoint("untouched")
		tamper(chain)
		assert bad() == SOUND  # so it isn't the chain that finds it
		frappe.db.rollback(save_point="untouched")
	seals.seal()
	assert bad() == SOUND
	tamper(chain)
	assert problem in bad()[1]


@pytest.mark.parametrize(
	("column", "value", "problem"),
	[
		("sealed_at", "2020-01-01", "seal changed"),
		("events", 7, "seal changed"),
		("first_recorded_at", "2020-01-01", "seal changed"),
		("root", "ab", "seal changed"),
		("hash", "ab", "seal changed"),
		("prev_hash", "ab", "broken link"),
		("number", 5, "seal missing"),
	],
)
def test_au_05_a_seal_that_is_changed_is_found(chain, mailbox, column, value, problem):
	seals.seal()
	record(mailbox())
	seals.seal()
	set_by_sql(SEAL, "1", **{column: value})
	assert bad() == ("Seal 1", problem)


@pytest.mark.parametrize("number", [1, 2])
def test_au_05_a_seal_that_is_gone_is_found(chain, mailbox, number):
	seals.seal()
	record(mailbox())
	seals.seal()
	frappe.db.delete(SEAL, {"number": number})
	assert bad() == (f"Seal {number}", "seal missing")


def test_au_05_only_an_anchor_finds_that_the_end_was_cut_off(chain, mailbox):
	seals.seal()
	second = give(mailbox())
	frappe.db.commit()
	seals.seal()
	kept = anchors()
	assert bad(kept) == SOUND
	delete_record(second)
	frappe.db.delete(SEAL, {"number": 2})
	assert bad() == SOUND  # the database has forgotten all of it
	assert bad(kept) == ("Seal 2", "seal missing, though it was anchored")


def rewrite(chain: str) -> None:
	"""Change what an event says, and make every hash after it anew, as who owns the database can."""
	set_by_sql(EVENT, f"{chain}-2", source="Event")
	previous = None
	for event in ledger.read_events("Consent", [chain])[chain]:
		name = f"{chain}-{event.seq}"
		made = ledger.hash_of(event, previous, frappe.db.get_value(EVENT, name, "commitment"))
		set_by_sql(EVENT, name, prev_hash=previous, hash=made)
		previous = made
	set_by_sql("Consent", chain, last_hash=previous)
	before = None
	for seal in frappe.get_all(SEAL, fields=["*"], order_by="number"):
		columns = ("name", "consent", "suppression", "seq", "hash")
		rows = frappe.get_all(EVENT, {"seal": seal.number}, columns, as_list=True)
		seal |= {"root": seals.root_of(rows), "prev_hash": before}
		instants = ("sealed_at", "first_recorded_at", "last_recorded_at")
		before = seals.seal_hash(seal | {name: utc_text(seal[name]) for name in instants})
		set_by_sql(SEAL, seal.name, root=seal.root, prev_hash=seal.prev_hash, hash=before)


def test_au_05_only_an_anchor_finds_that_all_was_written_anew(chain, mailbox):
	seals.seal()
	kept = anchors()
	record(mailbox())
	seals.seal()
	rewrite(chain)
	assert bad() == SOUND
	assert bad(kept) == ("Seal 1", "not the seal that was anchored: everything up to it was written anew")


@pytest.mark.parametrize("when", ["before the seal", "after the seal"])
def test_au_03_au_04_an_erasure_is_no_error(chain, when):
	if when == "after the seal":
		seals.seal()
	register.erase([frappe.db.get_value("Consent", chain, "email")], [])
	frappe.db.commit()
	if when == "before the seal":
		seals.seal()
	assert not frappe.db.get_value(PAYLOAD, f"{chain}-1", "payload")
	assert bad() == SOUND
	# What was erased stays erased, and is nothing to hide behind: the Erase event itself has to be whole.
	last = frappe.db.get_value(EVENT, {"consent": chain, "kind": "Erase"})
	set_by_sql(PAYLOAD, last, payload=None, salt=None)
	assert bad() == (last, "payload missing")


# --- rows ---------------------------------------------------------------------------------------------------


def found_here() -> tuple[str | None, str | None]:
	"""What the site finds. An export holds no more of a row than who it is."""
	found = ledger.verify()
	assert offline()["ok"]
	assert found["ok"] is (found["first_bad"] is None)
	return found["first_bad"], found["problem"]


def refusal_of(consent: str) -> str:
	key = frappe.db.get_value("Consent", consent, "address_key")
	return frappe.get_all("Suppression", {"address_key": key}, pluck="name", limit=1)[0]


@pytest.mark.parametrize(
	"edited",
	[
		{"status": "Given", "evidence_grade": "A"},
		{"given_on": "2020-01-01"},
		{"expires_on": None},
		{"confirmed_on": "2026-03-01"},  # no event says anything about it
		{"double_opt_in": 0},
		{"email": "somebody@else.example"},
		{"address_key": "1:ab"},
		{"topic": "Another"},
	],
	ids=str,
)
def test_st_02_au_06_a_consent_edited_by_sql_is_found_and_rebuilt(chain, edited):
	given = frappe.get_all("Consent", {"name": chain}, [*edited])[0]
	assert found_here() == SOUND
	set_by_sql("Consent", chain, **edited)
	columns = [column for column in ledger.PROJECTED if column in edited]
	assert found_here() == (chain, f"Consent differs from its events in {', '.join(columns)}")
	assert not api.verify_ledger()["ok"]
	assert [*api.rebuild(chain)["changed"]] == columns
	assert found_here() == SOUND
	assert frappe.get_all("Consent", {"name": chain}, [*edited]) == [given]


@pytest.mark.parametrize(
	("column", "value"),
	[
		("lifted_on", "2026-03-01"),
		("said_on", "2020-01-01"),
		("kind", "Bounce"),
		("address_key", "1:ab"),
		("purpose", "Sales"),
	],
)
def test_st_02_au_06_a_suppression_edited_by_sql_is_found_and_rebuilt(chain, column, value):
	refusal = refusal_of(chain)
	before = frappe.db.get_value("Suppression", refusal, "*")
	assert before[column] != value
	set_by_sql("Suppression", refusal, **{column: value})
	assert found_here() == (refusal, f"Suppression differs from its events in {column}")
	assert api.rebuild(refusal)["changed"].keys() == {column}
	assert found_here() == SOUND
	after = frappe.db.get_value("Suppression", refusal, "*")
	assert {**before, "modified": None} == {**after, "modified": None}
	assert api.rebuild(refusal) == {"name": refusal, "changed": {}}


def test_st_02_an_erased_row_is_compared_with_what_is_left_of_its_events(chain):
	register.erase([frappe.db.get_value("Consent", chain, "email")], [])
	assert found_here() == SOUND
	set_by_sql("Consent", chain, status="Given", email="somebody@else.example")
	assert found_here() == (chain, "Consent differs from its events in email, status")
	api.rebuild(chain)
	assert found_here() == SOUND


def test_au_06_all_rows_that_differ_are_told_and_events_before_them(chain, mailbox, monkeypatch):
	monkeypatch.setattr(ledger, "NAMED_AT_MOST", 2)
	first, second, third = sorted([chain, record(mailbox()), record(mailbox())])
	for name in (first, second, third):
		set_by_sql("Consent", name, status="Given")
	told = f"Consent differs from its events in status; so do others: {second} and 1 more"
	assert found_here() == (first, told)
	set_by_sql(EVENT, f"{second}-2", kind="Confirm")
	assert bad() == (f"{second}-2", "event changed")


@pytest.mark.parametrize("column", ["company", "country", "language"])
def test_what_core_renamed_is_no_difference(column):
	known = frappe.get_all(frappe.get_meta("Consent").get_field(column).options, pluck="name", limit=1)[0]
	gone, said = {column: "What is called otherwise now"}, {column: known}
	assert ledger.differences("Consent", said, gone, is_whole=False) == {}
	assert ledger.differences("Consent", {column: "Another"}, said, is_whole=False) == said


def test_rows_cost_no_statement_each(chain, mailbox, monkeypatch):
	asked: list[object] = []
	sql = frappe.db.sql

	def statements() -> int:
		asked.clear()
		assert ledger.verify()["ok"]
		return len(asked)

	statements()  # what is cached for everybody is
	monkeypatch.setattr(
		frappe.db, "sql", lambda query, *more, **named: asked.append(query) or sql(query, *more, **named)
	)
	few = statements()
	record(mailbox())
	assert statements() == few


# --- whatever is done ---------------------------------------------------------------------------------------

COLUMNS = {
	EVENT: [*offline_verifier.COLUMNS, "consent", "suppression"],
	PAYLOAD: ["name", "payload", "salt"],
	SEAL: [
		"number",
		"sealed_at",
		"events",
		"first_recorded_at",
		"last_recorded_at",
		"root",
		"prev_hash",
		"hash",
	],
	"Consent": ["name", "last_hash"],
	"Suppression": ["name", "last_hash"],
}
PLACES = [(doctype, column) for doctype, columns in COLUMNS.items() for column in columns]
VALUES = st.one_of(
	st.none(),
	st.integers(-3, 2**40),
	st.text(st.characters(codec="utf-8"), max_size=12),
	st.sampled_from(
		["2026-03-01 09:00:00", "2026-03-01 09:00:00.000001", "ab" * 32, "Consent", "{}", True, 1.5]
	),
)


@pytest.fixture
def everything(chain, mailbox, tmp_path) -> Iterator[list[dict]]:
	"""The rows of an export: sealed twice, with somebody erased, a refusal, and events without a seal."""
	seals.seal()
	other = mailbox()
	record(other)
	register.erase([other], [])
	frappe.db.commit()
	seals.seal()
	record(mailbox())
	with gzip.open(export.write(tmp_path / "sound.gz"), "rt") as file:
		yield [row for row in map(json.loads, file) if row["doctype"] in COLUMNS]


def checked_as_a_file(rows: list[dict], path: Path) -> dict:
	with gzip.open(path, "wt", compresslevel=1) as file:
		file.writelines(json.dumps(row) + "\n" for row in rows)
	return offline_verifier.verify(path)


def says_nothing(row: dict, column: str, rows: list[dict]) -> bool:
	"""Whether nobody can tell: what an erasure took away bound these columns."""
	event = row["name"]
	payloads = {one["name"]: one["payload"] for one in rows if one["doctype"] == PAYLOAD}
	if event in payloads and not payloads[event]:
		return (row["doctype"], column) in (
			(EVENT, "actor"),
			(EVENT, "wording"),
			(PAYLOAD, "salt"),
			(PAYLOAD, "name"),
		)
	return False


def may_be_erased(row: dict, rows: list[dict]) -> bool:
	"""Whether an erasure that kept a payload for claims might as well have taken it."""
	record, _dash, seq = row["name"].rpartition("-")
	erasures = {
		one["seq"]
		for one in rows
		if one["doctype"] == EVENT and one["kind"] == "Erase" and one["name"].startswith(f"{record}-")
	}
	return row["doctype"] == PAYLOAD and max(erasures, default=0) > int(seq)


def test_a_payload_of_no_event_is_found_though_its_event_may_be_erased(chain, mailbox):
	"""AU-04"""
	kept = mailbox()
	record(kept)
	register.erase([kept], [], keep_evidence=True)
	frappe.db.commit()
	assert bad() == SOUND
	(renamed,) = frappe.db.sql(
		f"""select payload.name from `tab{PAYLOAD}` payload join `tab{EVENT}` erased
		on erased.consent = left(payload.name, 36) and erased.kind = 'Erase' and erased.seq > 1
		where payload.name like '%%-1' and payload.payload is not null
		order by erased.creation desc limit 1""",
		pluck=True,
	)
	frappe.db.sql(f"update `tab{PAYLOAD}` set name = 'renamed' where name = %s", renamed)
	try:
		assert bad() == ("renamed", "its event is missing")
	finally:
		frappe.db.rollback()


def test_whatever_is_changed_in_an_export_the_offline_verifier_finds_it(everything, tmp_path):
	assert checked_as_a_file(everything, tmp_path / "same.gz")["ok"]

	@settings(max_examples=examples(1.6))
	@given(st.data())
	def tamper(data) -> None:
		place = data.draw(st.sampled_from([*PLACES, "leave out", "twice", "swap"]))
		rows = [dict(row) for row in everything]
		if isinstance(place, tuple):
			doctype, column = place
			row = data.draw(st.sampled_from([row for row in rows if row["doctype"] == doctype]))
			assume(not says_nothing(row, column, everything))
			value = data.draw(VALUES)
			assume((value or None) != (row[column] or None) and value != row[column])
			assume(column != "payload" or value or not may_be_erased(row, everything))
			row[column] = value
		else:
			at = data.draw(st.integers(0, len(rows) - 1))
			row = rows[at]
			assume(not says_nothing(row, "name", everything))
			assume(place != "leave out" or not may_be_erased(row, everything))
			if place == "leave out":
				del rows[at]
			elif place == "twice":
				rows.append(row)
			else:
				same = [one for one in rows if one["doctype"] == row["doctype"]]
				other = data.draw(st.sampled_from(same))
				column = {EVENT: "hash", PAYLOAD: "salt", SEAL: "root"}.get(row["doctype"], "last_hash")
				assume(row[column] != other[column])
				row[column], other[column] = other[column], row[column]
		found = checked_as_a_file(rows, tmp_path / "tampered.gz")
		assert not found["ok"] and found["first_bad"] and found["problem"], (place, row)

	tamper()


def test_whatever_is_changed_in_the_database_both_find_it(everything):
	assert bad() == SOUND

	@settings(max_examples=examples(0.5))
	@given(st.data())
	def tamper(data) -> None:
		doctype, column = data.draw(st.sampled_from(PLACES))
		row = data.draw(st.sampled_from([row for row in everything if row["doctype"] == doctype]))
		assume(not says_nothing(row, column, everything))
		value = data.draw(VALUES)
		frappe.db.savepoint("untouched")
		try:
			try:
				frappe.db.sql(
					f"update `tab{doctype}` set `{column}` = %s where name = %s", (value, row["name"])
				)
			except Exception:
				assume(False)  # nothing that such a column can hold
			name = value if column == "name" else row["name"]
			stored = frappe.db.sql(f"select `{column}` from `tab{doctype}` where name = %s", [name])
			assume(stored and str(stored[0][0] or None) != str(row[column] or None))
			assume(column != "payload" or stored[0][0] or not may_be_erased(row, everything))
			here, there = ledger.verify(), offline()
			assert not here["ok"] and not there["ok"], (row, column, value, here, there)
		finally:
			frappe.db.rollback(save_point="untouched")

	tamper()


# --- the offline verifier -----------------------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path) -> Callable[..., tuple[int, str]]:
	"""Run the one file in an empty folder, with nothing but the standard library."""
	shutil.copy(offline_verifier.__file__, tmp_path / "verifier.py")

	def start(*arguments: str) -> tuple[int, str]:
		done = subprocess.run(
			[sys.executable, "-I", "-S", "verifier.py", *arguments],
			cwd=tmp_path,
			env={},
			capture_output=True,
			text=True,
		)
		assert done.stderr == ""
		return done.returncode, done.stdout

	return start


def test_the_offline_verifier_needs_nothing_of_ours(chain, alone, tmp_path):
	seals.seal()
	export.write(tmp_path / "evidence.jsonl.gz")
	(tmp_path / "anchors").write_text(seals.as_line(seals.last_seal()) + "\n")
	number = frappe.db.count(EVENT)
	said = f"OK: {number} events checked, sealed up to seal 1; no anchors were given."
	assert alone("evidence.jsonl.gz") == (0, f"{said} Nothing was changed, left out or put in.\n")
	code, said = alone("evidence.jsonl.gz", "--anchors", "anchors")
	assert code == 0 and "1 anchors agree" in said
	set_by_sql(EVENT, f"{chain}-2", kind="Confirm")
	export.write(tmp_path / "tampered.gz")
	code, said = alone("tampered.gz")
	assert code == 1 and said.startswith(f"BAD: {chain}-2: event changed (")
	(tmp_path / "anchors").write_text(json.dumps({"seal": 1, "hash": "ab"}))
	code, said = alone("evidence.jsonl.gz", "--anchors", "anchors")
	assert code == 1 and said.startswith("BAD: Seal 1: not the seal that was anchored")


def test_the_offline_verifier_takes_no_broken_file_for_a_sound_one(chain, alone, tmp_path):
	whole = export.write(tmp_path / "whole.gz").read_bytes()
	(tmp_path / "half.gz").write_bytes(whole[: len(whole) // 2])
	code, said = alone("half.gz")
	assert code == 2 and "broken off" in said
	(tmp_path / "text").write_text("no export")
	assert alone("text")[0] == 2
	assert alone("none")[0] == 2
	(tmp_path / "lines.gz").write_bytes(gzip.compress(b'{"doctype": "Consent"}\n[1]\n'))
	assert alone("lines.gz") == (2, "Line 2 of lines.gz is no record.\n")
	for text, problem in (
		("", "no anchors"),
		('{"seal": 1, "hash": "a"}\n{"seal"', "Line 2"),
		("[]", "Line 1"),
	):
		(tmp_path / "anchors").write_text(text)
		code, said = alone("whole.gz", "--anchors", "anchors")
		assert code == 2 and problem in said


# --- anchors ------------------------------------------------------------------------------------------------


@pytest.fixture
def anchor_file(tmp_path, monkeypatch) -> Path:
	path = tmp_path / "anchors.jsonl"
	monkeypatch.setitem(frappe.conf, seals.FILE_SETTING, str(path))
	return path


def test_au_05_an_anchor_is_a_line_in_a_file_that_is_only_ever_added_to(chain, mailbox, anchor_file):
	anchor_file.write_text("")
	first = anchor_file.stat().st_ino
	seals.seal()
	assert seals.anchor() == seals.anchor() == []  # told once
	record(mailbox())
	seals.seal()
	assert seals.anchor() == []
	kept = offline_verifier.read_anchors(anchor_file)
	assert [anchor["seal"] for anchor in kept] == [1, 2]
	assert kept[1] | {"events": frappe.db.count(EVENT)} == kept[1]
	assert anchor_file.stat().st_ino == first
	assert bad(kept) == SOUND
	rewrite(chain)
	assert ledger.verify()["ok"]
	found = api.verify_ledger()  # knows the file
	assert (found["ok"], found["first_bad"]) == (False, "Seal 1")


def test_au_05_a_file_of_anchors_is_for_its_owner_only(chain, anchor_file):
	seals.seal()
	assert seals.anchor() == []
	assert anchor_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("path", ["/nowhere/anchors", "anchors"])
def test_au_05_an_anchor_that_cant_be_written_is_said_and_written_later(chain, tmp_path, monkeypatch, path):
	monkeypatch.setitem(frappe.conf, seals.FILE_SETTING, path)
	seals.seal()
	(problem,) = seals.anchor()
	assert problem.startswith("Ledger Seal 1 isn't anchored.") and path in problem
	monkeypatch.setitem(frappe.conf, seals.FILE_SETTING, str(tmp_path / "anchors"))
	assert seals.anchor() == []
	assert offline_verifier.read_anchors(tmp_path / "anchors")[0]["seal"] == 1


def test_au_05_a_file_of_anchors_that_is_gone_is_found(chain, anchor_file):
	seals.seal()
	seals.anchor()
	assert seals.verify()["ok"]
	anchor_file.unlink()
	assert seals.verify()["first_bad"] == seals.FILE_SETTING


def test_au_05_an_anchor_is_mailed_to_the_privacy_officers(chain, bulk, smtp):
	officer, colleague = bulk.user("Privacy Officer"), bulk.user("Consent User")
	seals.seal()
	assert seals.anchor() == seals.anchor() == []
	(mail,) = frappe.get_all("Email Queue", {"reference_doctype": SEAL, "reference_name": "1"}, pluck="name")
	reached = frappe.get_all("Email Queue Recipient", {"parent": mail}, pluck="recipient")
	assert officer in reached and colleague not in reached and len(reached) == len(set(reached))
	frappe.get_doc("Email Queue", mail).send()
	(content,) = [delivery.content for delivery in smtp.deliveries if delivery.to == officer]
	text = content.replace("=\n", "").replace("=\r\n", "")
	assert seals.last_seal().hash in text or base64_holds(content, seals.last_seal().hash)
	frappe.db.delete("Email Queue Recipient", {"parent": mail})
	frappe.db.delete("Email Queue", {"name": mail})


def test_au_05_a_site_that_cant_send_mail_says_so_and_mails_later(chain, bulk, smtp):
	bulk.user("Privacy Officer")
	seals.seal()
	remove_sending()
	try:
		(problem,) = seals.anchor()
	finally:
		send_to(smtp.port)
	assert "can't send mail" in problem and not seals.last_seal().mailed_on
	assert seals.anchor() == [] and seals.last_seal().mailed_on
	frappe.db.delete("Email Queue", {"reference_doctype": SEAL})


def base64_holds(content: str, text: str) -> bool:
	parts = content.replace("\r", "").split("\n\n")
	decoded = [base64.b64decode(part.replace("\n", ""), validate=False) for part in parts if " " not in part]
	return any(text.encode() in part for part in decoded)


@pytest.fixture
def authority(tmp_path, monkeypatch) -> Iterator:
	"""A time-stamping authority of openssl's, behind HTTPS with a certificate that this process trusts."""

	def openssl(*arguments: str) -> None:
		subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

	(tmp_path / "tsa.cnf").write_text(
		"[tsa]\ndefault_tsa = here\n[here]\nserial = serial\ncrypto_device = builtin\nsigner_cert = tsa.pem\n"
		"signer_key = tsa.key\nsigner_digest = sha256\ndefault_policy = 1.2.3.4\n"
		"digests = sha256\naccuracy = secs:1\nordering = yes\ntsa_name = yes\ness_cert_id_chain = no\n"
		"[ca]\nbasicConstraints = critical,CA:true\nkeyUsage = keyCertSign\nsubjectKeyIdentifier = hash\n"
		"[stamp]\nextendedKeyUsage = critical,timeStamping\n[web]\nsubjectAltName = DNS:localhost\n"
		"[req]\ndistinguished_name = dn\n[dn]\n"
	)
	(tmp_path / "serial").write_text("01")
	new = ("req", "-newkey", "rsa:2048", "-nodes", "-config", "tsa.cnf")
	openssl(
		*new,
		"-x509",
		"-days",
		"30",
		"-subj",
		"/CN=CA",
		"-extensions",
		"ca",
		"-keyout",
		"ca.key",
		"-out",
		"ca.pem",
	)
	for name, extensions in (("tsa", "stamp"), ("web", "web")):
		openssl(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
		signing = (
			"x509",
			"-req",
			"-in",
			f"{name}.csr",
			"-CA",
			"ca.pem",
			"-CAkey",
			"ca.key",
			"-CAcreateserial",
		)
		openssl(
			*signing, "-days", "30", "-extfile", "tsa.cnf", "-extensions", extensions, "-out", f"{name}.pem"
		)

	class Answers(BaseHTTPRequestHandler):
		instead: bytes | None = None
		status = 200

		def do_POST(self) -> None:
			(tmp_path / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
			openssl("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply.tsr")
			content = (tmp_path / "reply.tsr").read_bytes() if self.instead is None else self.instead
			self.send_response(self.status)
			self.send_header("Location", "https://localhost/elsewhere")
			self.end_headers()
			self.wfile.write(content)

		def log_message(self, *_args) -> None:
			pass

	server = HTTPServer(("localhost", 0), Answers)
	context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
	context.load_cert_chain(tmp_path / "web.pem", tmp_path / "web.key")
	server.socket = context.wrap_socket(server.socket, server_side=True)
	threading.Thread(target=server.serve_forever, daemon=True).start()
	monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
	monkeypatch.setenv("NO_PROXY", "localhost")
	url = f"https://localhost:{server.server_port}/tsa"
	monkeypatch.setitem(frappe.conf, seals.TIMESTAMP_SETTING, url)
	yield Answers
	server.shutdown()
	server.server_close()


def test_au_05_a_time_stamp_is_one_that_openssl_accepts(chain, authority, tmp_path, anchor_file):
	seals.seal()
	assert seals.anchor() == []
	seal = seals.last_seal()
	assert seal.timestamped_on
	(tmp_path / "seal").write_text(seal.hash)
	(tmp_path / "seal.tsr").write_bytes(base64.b64decode(seal.timestamp))
	verify = ["openssl", "ts", "-verify", "-data", "seal", "-in", "seal.tsr", "-CAfile", "ca.pem"]
	done = subprocess.run(verify, cwd=tmp_path, capture_output=True, text=True)
	assert "Verification: OK" in done.stdout + done.stderr
	(tmp_path / "seal").write_text("another")
	assert subprocess.run(verify, cwd=tmp_path, capture_output=True).returncode != 0
	(kept,) = offline_verifier.read_anchors(anchor_file)
	assert kept["timestamp"] == seal.timestamp


@pytest.mark.parametrize("how", ["old answer", "no answer", "redirect", "error", "http", "gone"])
def test_au_05_what_is_no_time_stamp_of_this_seal_isnt_kept(chain, authority, tmp_path, monkeypatch, how):
	url = frappe.conf[seals.TIMESTAMP_SETTING]
	if how == "old answer":  # of another seal, and so with another nonce
		authority.instead = seals.timestamp_of(b"another", url)
	elif how == "no answer":
		authority.instead = b"<html>Sign in to our network</html>"
	elif how in ("redirect", "error"):
		authority.status = {"redirect": 302, "error": 500}[how]
	else:
		other = {"http": "http://localhost/tsa", "gone": "https://localhost:1/tsa"}[how]
		monkeypatch.setitem(frappe.conf, seals.TIMESTAMP_SETTING, other)
	seals.seal()
	(problem,) = seals.anchor()
	assert problem.startswith("Ledger Seal 1 isn't anchored.") and "localhost" not in problem
	assert not seals.last_seal().timestamped_on and not seals.last_seal().timestamp


def test_nothing_is_called_over_the_network_unless_it_is_set(chain, monkeypatch):
	def call(*_args, **_more) -> None:
		raise AssertionError

	monkeypatch.setattr(seals.requests, "post", call)
	seals.seal()
	assert seals.anchor() == []


# --- every night, and at the terminal -----------------------------------------------------------------------


@pytest.fixture
def forget_the_night(site) -> Iterator[None]:
	yield
	frappe.db.rollback()
	frappe.db.set_single_value("Consent Settings", {"ledger_checked_on": None, "ledger_problems": None})
	frappe.db.delete("Notification Log", {"document_type": "Consent Settings"})
	frappe.db.delete("Email Queue", {"reference_doctype": SEAL})
	frappe.db.commit()


def test_au_06_the_night_seals_and_verifies_and_alerts_when_it_fails(chain, bulk, forget_the_night):
	officer = bulk.user("Privacy Officer")
	assert "gdpr_consent.tasks.daily_long" in frappe.get_hooks("scheduler_events")["daily_long"]
	frappe.get_attr("gdpr_consent.tasks.daily_long")()
	assert seals.last_seal().number == 1
	assert frappe.db.get_single_value("Consent Settings", "ledger_checked_on")
	assert seals.problems() == []

	def alerts() -> list[str]:
		return frappe.get_all("Notification Log", {"for_user": officer}, pluck="subject")

	assert alerts() == []
	set_by_sql(EVENT, f"{chain}-2", kind="Confirm")
	frappe.db.commit()
	problem = f"{chain}-2 isn't as it was written: event changed"
	assert seals.nightly() == [problem]
	assert alerts() == [f"The ledger isn't sound: {problem}"]
	assert problem in self_check.find_problems()
	set_by_sql(EVENT, f"{chain}-2", kind="Give")
	frappe.db.commit()
	assert seals.nightly() == []
	assert problem not in self_check.find_problems()


def test_au_06_the_night_alerts_when_a_row_opens_what_its_events_close(chain, bulk, forget_the_night):
	officer, refusal = bulk.user("Privacy Officer"), refusal_of(chain)
	set_by_sql("Suppression", refusal, lifted_on="2026-03-01")
	frappe.db.commit()
	problem = f"{refusal} isn't as it was written: Suppression differs from its events in lifted_on"
	try:
		assert seals.nightly() == [problem]
	finally:
		register.rebuild(refusal)
		frappe.db.commit()
	alerts = frappe.get_all("Notification Log", {"for_user": officer}, pluck="subject")
	assert alerts == [f"The ledger isn't sound: {problem}"]
	assert seals.nightly() == []


def test_au_06_a_night_that_didnt_come_is_said(site, forget_the_night):
	frappe.db.set_single_value("Consent Settings", "ledger_checked_on", None)
	assert seals.problems() == []  # a new site had no night yet
	before = frappe.utils.add_days(frappe.utils.now(), -5)
	frappe.db.set_single_value("Consent Settings", "ledger_checked_on", before)
	assert "wasn't checked for 3 days" in "".join(seals.problems())


def test_au_06_a_seal_that_fails_doesnt_keep_the_night_from_verifying(chain, monkeypatch, forget_the_night):
	def fail(*_args) -> None:
		raise frappe.QueryDeadlockError

	monkeypatch.setattr(seals, "_seal_oldest", fail)
	set_by_sql(EVENT, f"{chain}-2", kind="Confirm")
	frappe.db.commit()
	first, second = seals.nightly()
	assert "couldn't be sealed" in first and f"{chain}-2" in second


def test_the_commands_seal_and_verify_against_a_file(chain, tmp_path):
	code, said, _progress = run("seal")
	assert code == 0
	last = seals.last_seal()
	assert f"✓ 1 seals made. The last one is 1: {last.hash}" in said
	path = tmp_path / "anchors"
	path.write_text(seals.as_line(last))
	assert run("verify", "--anchors", str(path))[0] == 0
	path.write_text(json.dumps({"seal": 1, "hash": "ab"}))
	code, said, _progress = run("verify", "--anchors", str(path))
	assert code == 1 and "✗ Seal 1: not the seal that was anchored" in said
	path.write_text("")
	code, said, _progress = run("verify", "--anchors", str(path))
	assert code == 1 and "has no anchors" in said


@pytest.mark.parametrize("role", ["Consent User", "Newsletter Manager", "Sales User"])
def test_au_01_seals_are_read_by_who_answers_for_them(chain, user_with_roles, role):
	seals.seal()
	user_with_roles(role)
	assert not frappe.has_permission(SEAL)
	frappe.set_user("Administrator")
	for reader in ("Privacy Officer", "System Manager"):
		user_with_roles(reader)
		assert frappe.has_permission(SEAL, "read") and not frappe.has_permission(SEAL, "write")
		frappe.set_user("Administrator")
