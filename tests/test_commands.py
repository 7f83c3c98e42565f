"""The commands of bench, run as an administrator runs them."""

import gzip
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import give, wait_until

import frappe

from gdpr_consent import api, export, ledger, records, signatures


def command(*arguments: str, site: str | None = None, commit: bool = True) -> subprocess.Popen:
	"""Start what `bench --site SITE gdpr-consent …` starts."""
	if commit:
		frappe.db.commit()
	at = ["--site", site or frappe.local.site]
	return subprocess.Popen(
		[sys.executable, "-m", "frappe.utils.bench_helper", "frappe", *at, "gdpr-consent", *arguments],
		cwd=os.environ["SITES_PATH"],
		stdout=subprocess.PIPE,
		stderr=subprocess.PIPE,
		text=True,
		# Who runs the tests in the background has it ignored, and so would what is started here.
		preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
	)


def run(*arguments: str, **more) -> tuple[int, str, str]:
	process = command(*arguments, **more)
	said, progress = process.communicate()
	frappe.db.rollback()  # to see what it did
	return process.returncode, said, progress


@pytest.mark.parametrize(
	"name",
	["canary", "check", "senders", "verify", "seal", "replay", "export", "import", "rebuild", "public-key"],
)
def test_each_command_says_what_it_is_for(site, name):
	code, said, _progress = run(name, "--help")
	assert code == 0 and "Usage:" in said and len(said.split("\n\n")[1]) > 40
	code, said, _progress = run("--help")
	assert name in said and "--site" in said


def test_check_is_happy_with_a_sound_gate_and_says_what_is_wrong_with_another(site):
	assert run("check")[:2] == (0, "✓ The gate is sound: every marketing mail is checked.\n")
	before = frappe.db.get_single_value("Consent Settings", "default_purpose")
	frappe.db.set_single_value("Consent Settings", "default_purpose", None)
	try:
		code, said, _progress = run("check")
	finally:
		frappe.db.set_single_value("Consent Settings", "default_purpose", before)
		frappe.db.commit()
	assert code == 1 and "✗ Consent Settings has no default marketing purpose" in said


def test_verify_counts_every_event_and_names_the_one_that_was_changed(mailbox):
	name = give(mailbox())
	code, said, _progress = run("verify")
	assert code == 0 and f"✓ {frappe.db.count('Consent Event')} events checked" in said
	frappe.db.set_value("Consent Event", f"{name}-1", "source", "Phone call", update_modified=False)
	code, said, _progress = run("verify")
	assert code == 1 and f"✗ {name}-1: event changed" in said


def test_rc_06_import_takes_in_a_signed_history_however_often_and_refuses_what_is_no_file_of_ours(
	mailbox, tmp_path
):
	email = mailbox()
	name = give(email)
	file = tmp_path / "history.jwt"
	file.write_text(records.signed(records.history_of(email, None, None)))
	frappe.db.delete("Consent Event Payload", {"name": ["like", f"{name}-%"]})
	frappe.db.delete("Consent Event", {"consent": name})
	frappe.db.delete("Consent", {"name": name})
	for _time in range(2):
		code, said, _progress = run("import", str(file))
		assert (code, "1 count as given" in said) == (0, True), said
	assert frappe.get_all("Consent", {"email": email}, pluck="status") == ["Given"]

	for foreign in (b'{"name": "Somebody else\'s"}', b"\xff\xfe\x00"):
		file.write_bytes(foreign)
		code, said, _progress = run("import", str(file))
		assert code == 1 and said.startswith("✗ The") and "file" in said


def test_progress_reaches_the_whole(mailbox):
	give(mailbox())
	seen: list[int] = []
	ledger.verify(seen.append)
	assert sum(seen) == frappe.db.count("Consent Event")


def test_export_writes_every_row_into_a_file_that_is_for_its_owner_only(mailbox, tmp_path):
	name = give(mailbox())
	path = tmp_path / "evidence.jsonl.gz"
	code, said, _progress = run("export", "--to", str(path))
	assert (code, said) == (0, f"✓ {path}\n")
	assert stat.S_IMODE(path.stat().st_mode) == 0o600
	with gzip.open(path, "rt") as file:
		rows = [json.loads(line) for line in file]
	assert len(rows) == export.count()
	assert [row["status"] for row in rows if row["doctype"] == "Consent" and row["name"] == name] == ["Given"]


def test_export_overwrites_nothing(tmp_path):
	path = tmp_path / "mine"
	path.write_text("mine")
	code, said, _progress = run("export", "--to", str(path))
	assert code == 1 and "File exists" in said and "--to" in said
	assert path.read_text() == "mine"


def test_export_without_a_name_goes_to_the_backups(site):
	code, said, _progress = run("export")
	path = Path(said.removeprefix("✓ ").strip())
	assert code == 0 and path.parent == Path(frappe.utils.get_backups_path()).resolve()
	path.unlink()


def test_rebuild_puts_one_record_right(mailbox):
	name = give(mailbox())
	frappe.db.set_value("Consent", name, "status", "Withdrawn", update_modified=False)
	code, said, _progress = run("rebuild", name)
	assert code == 0 and f"{name}: status" in said and "1 of them had to be put right" in said
	assert frappe.db.get_value("Consent", name, "status") == "Given"


def test_rebuild_all_goes_through_every_record(mailbox):
	names = [give(mailbox()) for _ in range(3)]
	frappe.db.set_value("Consent", names[1], "status", "Revoked", update_modified=False)
	api.withdraw_consent(email=frappe.db.get_value("Consent", names[2], "email"))
	key = frappe.db.get_value("Consent", names[2], "address_key")
	(refusal,) = frappe.get_all("Suppression", {"address_key": key}, pluck="name")
	frappe.db.set_value("Suppression", refusal, "lifted_on", "2026-03-01", update_modified=False)
	code, said, _progress = run("rebuild", "--all")
	total = frappe.db.count("Consent") + frappe.db.count("Suppression")
	assert code == 0 and f"✓ {total} records rebuilt" in said
	assert f"{names[1]}: status" in said and f"{refusal}: lifted_on" in said


def with_a_lock_of_its_own(mailbox) -> tuple[str, str]:
	"""Record a consent whose lock no other record of the site shares, and return both."""
	while True:
		name = give(mailbox())
		lock = frappe.db.get_value("Consent", name, "address_key").split(":")[1][:3]
		if frappe.db.count("Consent", {"address_key": ["like", f"%:{lock}%"]}) == 1:
			return name, lock


def test_rebuild_that_is_interrupted_keeps_what_is_done_and_can_start_again(mailbox):
	"""The second of two records is locked, so that the command stands there when it is interrupted."""
	(first, _lock), (second, lock) = sorted(with_a_lock_of_its_own(mailbox) for _ in range(2))
	frappe.db.set_value(
		"Consent", {"name": ["in", [first, second]]}, "status", "Revoked", update_modified=False
	)
	frappe.db.commit()
	frappe.db.sql("select name from `tabConsent Lock` where name = %s for update", lock)
	process = command("rebuild", "--all", commit=False)

	def waits() -> bool:
		running = frappe.db.sql(
			"select info from information_schema.processlist where info like %s and time_ms > 300",
			"%Consent Lock%for update",
		)
		return bool([info for (info,) in running if "processlist" not in info])

	wait_until(waits)
	process.send_signal(signal.SIGINT)
	frappe.db.rollback()  # lets the statement end that the command waits for
	said, _progress = process.communicate()
	assert process.returncode == 1 and "Stopped after" in said and "What is done is stored." in said
	assert frappe.db.get_value("Consent", first, "status") == "Given"
	assert run("rebuild", "--all")[0] == 0
	assert frappe.db.get_value("Consent", second, "status") == "Given"


@pytest.mark.parametrize(
	("arguments", "says"),
	[
		(["rebuild"], "Name a consent, or say --all."),
		(["rebuild", "x", "--all"], "Name a consent, or say --all."),
	],
)
def test_what_is_not_said_is_asked_for(site, arguments, says):
	code, _said, errors = run(*arguments)
	assert code == 2 and says in errors


def test_a_consent_that_is_not_there_is_named(site):
	code, said, _progress = run("rebuild", "no-such-consent")
	assert code == 1 and "no-such-consent" in said


def test_a_site_that_is_not_there_is_named(site):
	code, said, errors = run("check", site="no-such.localhost")
	assert code and "no-such.localhost" in said + errors  # 1 on v15, 2 on v16


def test_rc_05_the_public_keys_are_printed_and_the_private_ones_are_not(site):
	code, said, _progress = run("public-key")
	assert code == 0 and json.loads(said) == signatures.public_keys()
	assert not [key for key in frappe.conf[signatures.KEYS_SETTING] if key in said]
