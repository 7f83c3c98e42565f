"""ST-18: a database that is restored learns again who said no since the backup."""

import json
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import BulkUpdates, examples, give
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_commands import run
from test_ledger import remove_seals

import frappe
from frappe.installer import update_site_config

from gdpr_consent import api, audience, journal, ledger, register, replay, seals
from gdpr_consent.exceptions import ConsentError
from gdpr_consent.gate import self_check
from gdpr_consent.identity import Person, address_key
from gdpr_consent.policy import Reason, RefusalKind
from gdpr_consent.register import writing
from gdpr_consent.rights import erasure, restriction, subject

MARKETING = "Email Marketing"
TABLES = (
	*("Consent", "Consent Event", "Consent Event Payload", "Suppression", "Singles"),
	*("Contact", "Contact Email", "Contact Phone", "Dynamic Link"),
)


@pytest.fixture
def file(site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
	"""A journal, which the database has read to its end."""
	path = tmp_path / "noes.jsonl"
	fields = (replay.POSITION, "journal_complete_to", "ledger_problems")
	before = {field: frappe.db.get_single_value("Consent Settings", field) for field in fields}
	remove_seals()
	frappe.db.set_single_value("Consent Settings", dict.fromkeys(before, 0))
	frappe.db.commit()
	monkeypatch.setitem(frappe.conf, journal.FILE_SETTING, str(path))
	yield path
	frappe.db.rollback()
	remove_seals()
	frappe.db.set_single_value("Consent Settings", before)
	frappe.db.commit()


def database(program: str, *options: str, **more: Any) -> bytes:
	conf = frappe.conf
	at = [f"--socket={conf.db_socket}"] if conf.db_socket else [f"--host={conf.db_host}"]
	command = [program, f"--user={conf.db_name}", *at, conf.db_name, *options]
	environment = os.environ | {"MYSQL_PWD": conf.db_password}
	return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, **more).stdout


@pytest.fixture
def backup(site: str) -> Callable[[], Callable[[], None]]:
	"""Back up the tables of the register and of people, and return what restores them."""

	def make() -> Callable[[], None]:
		frappe.db.commit()
		dump = database("mariadb-dump", *(f"tab{name}" for name in TABLES))

		def restore() -> None:
			frappe.db.commit()
			database("mariadb", input=dump)
			frappe.clear_cache()
			frappe.db.commit()

		return restore

	return make


def lines(file: Path) -> list[dict[str, Any]]:
	return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def reasons(emails: list[str]) -> dict[str, Reason]:
	return {email: decision.reason for email, decision in audience.decide_many(emails, MARKETING).items()}


def allowed(emails: list[str]) -> dict[str, bool]:
	return {email: reason.allows for email, reason in reasons(emails).items()}


# --- a backup of yesterday ----------------------------------------------------------------------------------


def test_st_18_after_a_restore_nobody_who_said_no_since_gets_mail(file, backup, bulk: BulkUpdates, mailbox):
	withdraws, objects, revoked, invalidated, loyal, stranger = (mailbox() for _ in range(6))
	contact = bulk.contact(restricted := mailbox())
	consents = {one: give(one) for one in (withdraws, objects, revoked, invalidated, loyal, restricted)}
	everybody = [*consents, stranger]
	restore = backup()
	api.withdraw_consent(email=withdraws, purpose=MARKETING)
	api.object_to_marketing(email=objects)
	api.object_to_marketing(email=stranger)
	register.revoke(consents[revoked], "The list was bought.")
	register.invalidate(consents[invalidated], "Somebody else ticked the box.")
	register.restrict([restricted], party_type="Contact", party=contact, reason="She asked for it.")
	frappe.db.commit()
	before = reasons(everybody)
	assert [email for email, is_allowed in allowed(everybody).items() if is_allowed] == [loyal]

	restore()
	assert [email for email, is_allowed in allowed(everybody).items() if not is_allowed] == [stranger]
	assert replay.say_again().again == 6

	assert reasons(everybody) == before
	assert frappe.db.get_value("Contact", contact, restriction.FIELD) == 1
	assert frappe.db.get_value("Suppression", {"address_key": address_key(withdraws)}, "email") == withdraws
	assert ledger.verify()["problem"] is None


def test_st_18_doing_it_twice_adds_nothing_not_even_after_the_same_backup(file, backup, mailbox):
	give(email := mailbox())
	restore = backup()
	api.object_to_marketing(email=email)
	frappe.db.commit()
	for _time in range(2):
		restore()
		assert replay.say_again().again > 0
		assert replay.say_again() == (0, 0, 0)
		kinds = frappe.get_all("Suppression", {"address_key": address_key(email)}, pluck="kind")
		assert kinds == ["Objection"]


def test_st_18_what_is_on_record_is_left_alone(file, mailbox):
	give(email := mailbox())
	api.object_to_marketing(email=email)
	frappe.db.commit()
	events = frappe.db.count("Consent Event")
	assert replay.say_again() == (0, 0, 0)
	assert frappe.db.count("Consent Event") == events


def test_st_18_a_no_without_an_address_is_said_again_or_counted(file, backup, bulk: BulkUpdates):
	contact, other = bulk.contact(), bulk.contact()
	restore = backup()
	for party in (contact, other):
		register.restrict([], party_type="Contact", party=party, reason="She asked for it.")
	frappe.db.commit()
	restore()
	frappe.delete_doc("Contact", other, force=True)
	frappe.db.commit()
	said = replay.say_again()
	assert (said.again, said.broken) == (1, 1)
	assert frappe.db.exists("Suppression", {"party_type": "Contact", "party": contact})
	assert frappe.db.get_value("Contact", contact, restriction.FIELD) == 1


def test_st_18_each_way_in_which_staff_end_consents_is_kept():
	assert {kind for kinds in register.ENDS.values() for kind in kinds.values()} <= {*journal.ENDS}


@pytest.mark.parametrize("action", ["Revoke", "Expire", "Invalidate"])
def test_st_18_what_a_bulk_update_ended_is_ended_again(file, backup, bulk: BulkUpdates, action):
	contact = bulk.contact(email := bulk.mailbox())
	name = give(email, party_type="Contact", party=contact)
	restore = backup()
	order = register.Order(
		register.BulkAction(action),
		register.terms_to_end(MARKETING, None, "Email", None),
		None,
		"The list was bought.",
		register.Subject(email, address_key(email), "Contact", contact, {}, register.NOWHERE),
		{address_key(email): email},
	)
	(outcome,) = register.change_many([order], "CBU-TEST")
	frappe.db.commit()
	assert outcome.changed
	ended = frappe.db.get_value("Consent", name, "status")
	restore()
	assert frappe.db.get_value("Consent", name, "status") == "Given"
	assert replay.say_again().again == 1
	assert frappe.db.get_value("Consent", name, "status") == ended


def test_st_18_a_restriction_or_bounce_that_was_lifted_since_doesnt_come_back(file, backup, mailbox):
	give(restricted := mailbox())
	give(bounced := mailbox())
	restore = backup()
	register.restrict([restricted], reason="She asked for it.")
	today = frappe.utils.getdate()
	register.lift_restriction([restricted], reason="It is settled.", informed_on=today)
	register.note_bounce(bounced, writing.now_utc(), "No such mailbox")
	register.lift_bounce(bounced, "The mailbox was full.")
	frappe.db.commit()
	restore()
	replay.say_again()
	assert allowed([restricted, bounced]) == {restricted: True, bounced: True}


def test_st_18_a_no_that_the_person_has_lifted_since_stands_again(file, backup, mailbox):
	"""The newer yes is lost with its proof."""
	give(email := mailbox())
	restore = backup()
	api.object_to_marketing(email=email)
	(no,) = frappe.get_all("Suppression", {"address_key": address_key(email)}, pluck="name")
	journal.append([{"event": f"{no}-2", "recorded_at": "2026-11-28T00:00:00.000000Z", "lifts": no}])
	frappe.db.commit()
	restore()
	replay.say_again()
	assert allowed([email]) == {email: False}


def test_st_18_a_person_who_was_erased_is_found_and_erased_again(file, backup, bulk: BulkUpdates):
	contact = bulk.contact(email := bulk.mailbox())
	give(email, party_type="Contact", party=contact)
	bulk.user("Privacy Officer")  # to hear of it
	day = writing.now_utc()
	restore = backup()
	erasure.carry_out(subject.of_people([Person("Contact", contact)]))
	assert not frappe.db.exists("Contact", contact)

	restore()
	alerts = frappe.db.count("Notification Log", {"subject": ["like", "%erased%"]})
	said = replay.say_again()
	assert said.back == 1
	assert frappe.db.count("Notification Log", {"subject": ["like", "%erased%"]}) > alerts
	assert allowed([email]) == {email: False}
	assert frappe.db.exists("Contact", contact), "nobody is erased by a job"
	assert frappe.db.get_value("Suppression", {"address_key": address_key(email)}, "email") is None
	assert replay.back_since(day) == [([Person("Contact", contact)], True)]
	assert replay.back_since(writing.now_utc()) == []
	assert len(list(replay.erase_again(replay.back_since(day)))) == 1
	assert not frappe.db.exists("Contact", contact)
	assert replay.back_since(day) == []


def test_st_18_an_erasure_alarms_nobody_while_it_runs_and_after(file, bulk: BulkUpdates):
	contact = bulk.contact(email := bulk.mailbox())
	give(email, party_type="Contact", party=contact)
	kept = frappe.new_doc("Customer", customer_name=f"Kept {email}", customer_type="Individual").insert()
	frappe.db.commit()
	seen = []
	people = [Person("Contact", contact), Person("Customer", kept.name)]
	bulk.people["Customer"].append(kept.name)
	erasure.carry_out(subject.of_people(people), progress=lambda _steps: seen.append(replay.say_again().back))
	assert seen and not any(seen)
	assert replay.say_again().back == 0
	(line,) = [line for line in lines(file) if "erased" in line]
	assert len(line["erased"]) == 2


def test_st_18_one_line_that_cant_be_said_stops_no_other(file, backup, mailbox):
	give(email := mailbox())
	restore = backup()
	at = "2026-11-28T00:00:00.000000Z"
	journal.append([{"event": "x-1", "recorded_at": at, "no": "Nonsense"}, {"event": "", "erased": ["x"]}])
	api.object_to_marketing(email=email)
	frappe.db.commit()
	restore()
	said = replay.say_again()
	assert (said.again, said.broken) == (1, 2)
	assert allowed([email]) == {email: False}
	assert replay.say_again() == (0, 0, 0)


# --- any history --------------------------------------------------------------------------------------------

WORDS = ["give", "withdraw", "object", "restrict", "unrestrict", "bounce", "revoke", "erase"]
ACTS = st.lists(
	st.tuples(
		st.integers(0, 2),
		st.sampled_from(WORDS),
	),
	max_size=6,
)


def act(email: str, what: str) -> None:
	try:
		match what:
			case "give":
				give(email)
			case "withdraw":
				api.withdraw_consent(email=email, purpose=MARKETING)
			case "object":
				api.object_to_marketing(email=email)
			case "restrict":
				register.restrict([email], reason="She asked for it.")
			case "unrestrict":
				today = frappe.utils.getdate()
				register.lift_restriction([email], reason="It is settled.", informed_on=today)
			case "bounce":
				register.note_bounce(email, writing.now_utc(), "No such mailbox")
			case "revoke":
				given = {"address_key": address_key(email), "status": "Given"}
				for name in frappe.get_all("Consent", given, pluck="name"):
					register.revoke(name, "The list was bought.")
			case "erase":
				register.erase([email], [])
	except ConsentError:
		pass  # after some acts, others aren't possible


@settings(max_examples=examples(0.5), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=ACTS, since=ACTS)
def test_st_18_a_replay_never_allows_more_than_was_allowed(file, mailbox, before, since):
	emails = [mailbox() for _ in range(3)]
	for who, what in before:
		act(emails[who], what)
	frappe.db.commit()
	restore = rows_of(emails)
	for who, what in since:
		act(emails[who], what)
	frappe.db.commit()
	was_allowed = allowed(emails)
	restore()
	had_allowed = allowed(emails)

	replay.say_again()

	for email, is_allowed in allowed(emails).items():
		assert is_allowed <= had_allowed[email]
		if not any(emails[who] == email and what in ("give", "unrestrict") for who, what in since):
			assert is_allowed == was_allowed[email]
	assert replay.say_again() == (0, 0, 0)


def rows_of(emails: list[str]) -> Callable[[], None]:
	"""Remember what the register says about addresses, and return what makes it say so again."""
	keys = [address_key(email) for email in emails]
	position = frappe.db.get_single_value("Consent Settings", replay.POSITION)

	def records() -> dict[str, list[str]]:
		of_keys = {"address_key": ["in", keys]}
		named = {
			doctype: frappe.get_all(doctype, of_keys, pluck="name") for doctype in ("Consent", "Suppression")
		}
		events = [
			name
			for doctype, found in named.items()
			for name in frappe.get_all(
				"Consent Event", {frappe.scrub(doctype): ["in", found or ["none"]]}, pluck="name"
			)
		]
		return named | {"Consent Event": events, "Consent Event Payload": events}

	kept = {
		doctype: frappe.get_all(doctype, {"name": ["in", names or [""]]}, ["*"])
		for doctype, names in records().items()
	}

	def restore() -> None:
		for doctype, names in records().items():
			frappe.db.delete(doctype, {"name": ["in", names or [""]]})
		for doctype, rows in kept.items():
			for row in rows:
				row.pop("given_month", None)  # the database computes it
				columns = ", ".join(f"`{column}`" for column in row)
				values = [*row.values()]
				frappe.db.sql(
					f"insert into `tab{doctype}` ({columns}) values ({', '.join(['%s'] * len(row))})", values
				)
		frappe.db.set_single_value("Consent Settings", replay.POSITION, position)
		frappe.db.commit()

	return restore


# --- the file -----------------------------------------------------------------------------------------------


def test_st_18_the_journal_names_nobody_and_is_for_its_owner_alone(file, bulk: BulkUpdates):
	contact = bulk.contact(email := bulk.mailbox())
	give(email, party_type="Contact", party=contact)
	register.restrict([email], party_type="Contact", party=contact, reason="She asked for it.")
	erasure.carry_out(subject.of_people([Person("Contact", contact)]))
	text = file.read_text()
	assert len(text.splitlines()) >= 3
	assert email not in text and email.split("@")[0] not in text
	assert contact not in text and "asked for it" not in text
	assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_st_18_a_no_that_is_rolled_back_isnt_kept(file, mailbox):
	give(email := mailbox())
	api.object_to_marketing(email=email)
	frappe.db.rollback()
	frappe.db.commit()
	assert lines(file) == []
	frappe.db.savepoint("before_it")
	api.object_to_marketing(email=email)
	frappe.db.rollback(save_point="before_it")
	frappe.db.commit()
	assert lines(file) == []
	api.object_to_marketing(email=email)
	frappe.db.commit()
	assert [line["no"] for line in lines(file)] == [RefusalKind.OBJECTION.value]


def test_st_18_a_yes_isnt_kept_and_neither_is_what_the_clock_ends(file, mailbox, clock):
	give(email := mailbox())
	clock.forward(days=5_000)
	api.record_consent(email=email, source="Phone", evidence="She said so again.")
	frappe.db.commit()
	assert lines(file) == []


def test_st_18_where_the_journal_cant_be_written_the_no_stands_and_the_night_keeps_it(
	file, mailbox, tmp_path, monkeypatch
):
	(tmp_path / "closed").mkdir()
	monkeypatch.setitem(frappe.conf, journal.FILE_SETTING, str(tmp_path / "closed/missing/noes.jsonl"))
	give(email := mailbox())
	api.object_to_marketing(email=email)
	frappe.db.commit()
	assert allowed([email]) == {email: False}
	assert any("can't be written" in problem for problem in self_check.find_problems())
	assert any("can't be written" in problem for problem in seals.nightly())

	monkeypatch.setitem(frappe.conf, journal.FILE_SETTING, str(file))
	assert list(journal.problems()) == []
	journal.complete()
	key = address_key(email)
	assert [line["no"] for line in lines(file) if line.get("address_key") == key] == ["Objection"]
	assert journal.complete() == 0


def test_st_18_half_a_line_is_counted_and_kept_anew(file, mailbox):
	give(email := mailbox())
	api.object_to_marketing(email=email)
	frappe.db.commit()
	file.write_bytes(file.read_bytes()[:40])
	api.object_to_marketing(email=(other := mailbox()))
	frappe.db.commit()
	assert replay.say_again() == (0, 1, 0)
	seals.seal()
	journal.complete()
	kept = {line.get("address_key") for part in journal.read(0, journal.size()) for line in part.lines}
	assert {address_key(email), address_key(other)} <= kept


@pytest.mark.parametrize("setting", ["noes.jsonl", "../noes.jsonl"])
def test_st_18_a_path_that_isnt_whole_is_named(file, setting, monkeypatch):
	monkeypatch.setitem(frappe.conf, journal.FILE_SETTING, setting)
	with pytest.raises(journal.JournalFailed, match=f"gdpr_consent_journal.*{setting}.*whole path"):
		replay.say_again()
	assert any(setting in problem for problem in self_check.find_problems())
	replay.every_few_minutes()  # the other jobs run all the same


def test_st_18_by_itself_the_journal_is_where_no_backup_of_frappe_takes_it(site, monkeypatch):
	monkeypatch.delitem(frappe.conf, journal.FILE_SETTING)
	path = journal.path()
	assert path.parent == Path(frappe.get_site_path("private")).absolute()
	monkeypatch.setitem(frappe.conf, journal.FILE_SETTING, False)
	assert journal.path() is None and journal.size() == 0


# --- bench --------------------------------------------------------------------------------------------------


def test_st_18_the_command_says_what_it_did_and_erases_when_told_to(file, backup, bulk: BulkUpdates):
	contact = bulk.contact(email := bulk.mailbox())
	give(email, party_type="Contact", party=contact)
	day = writing.now_utc().isoformat(timespec="seconds")
	restore = backup()
	erasure.carry_out(subject.of_people([Person("Contact", contact)]))
	restore()
	update_site_config(journal.FILE_SETTING, str(file))
	try:
		code, said, _progress = run("replay")
		assert code == 1 and "✓ 1 noes were said again." in said and "1 records are back" in said
		assert frappe.db.exists("Contact", contact)
		code, said, _progress = run("replay", "--erase-since", day, "--yes")
		assert code == 0 and f"Contact {contact}" in said
	finally:
		update_site_config(journal.FILE_SETTING, False)
	assert not frappe.db.exists("Contact", contact)
