"""`bench --site SITE gdpr-consent …`: checks and files for whoever runs the server.

Each command ends with 0 if all is well and with 1 if not, so that scripts can tell.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, TextIO

import click

import frappe
from frappe.commands import get_site, pass_context
from frappe.utils import get_backups_path, now_datetime

from gdpr_consent import export, filters, journal, own_files, register, replay, seals, signatures
from gdpr_consent.exceptions import ConsentError
from gdpr_consent.offline_verifier import RECORDS, FileNotReadable


@click.group("gdpr-consent")
def group() -> None:
	"""Check the consent gate and the register of one site, save its evidence, or repair its records.

	\b
	Say which site: bench --site erp.example.com gdpr-consent check
	"""


@contextmanager
def _site(context: frappe._dict) -> Iterator[None]:
	frappe.init(get_site(context))
	try:
		frappe.connect()
		frappe.set_user("Administrator")  # whoever runs bench owns the site
		yield
	finally:
		frappe.destroy()


def _end(ok: bool) -> None:
	sys.exit(0 if ok else 1)


@group.command("check", short_help="Is every marketing mail checked?")
@pass_context
def check(context: frappe._dict) -> None:
	"""Ask whether every marketing mail is really checked, and protected fields are protected.

	Prints each problem with what to do about it. Changes nothing.
	"""
	from gdpr_consent.gate import self_check

	with _site(context):
		problems = self_check.find_problems()
	for problem in problems:
		click.secho(f"✗ {problem}", fg="red")
	if not problems:
		click.secho("✓ The gate is sound: every marketing mail is checked.", fg="green")
	_end(not problems)


@group.command("canary", short_help="Does any marketing get through to who said no?")
@pass_context
def try_canary(context: frappe._dict) -> None:
	"""Try every sending path with people who don't exist, some of whom must not be written to.

	Nothing leaves this machine. Ends with 1 if one of them was reached.
	"""
	from gdpr_consent.gate import canary
	from gdpr_consent.gate.canary_report import Outcome, label

	marks = {
		Outcome.PASSED: ("✓", "green"),
		Outcome.LEAKED: ("✗", "red"),
		Outcome.NOT_TRIED: ("?", "yellow"),
		Outcome.ABSENT: ("-", None),
	}
	with _site(context):
		tried = canary.run()
		frappe.db.commit()  # nosemgrep: a command has no request that would
		lines = [(*marks[one.outcome], label(one.path), one.why) for one in tried]
	for mark, colour, path, why in lines:
		click.secho(f"{mark} {path}" + (f": {why}" if why else ""), fg=colour)
	_end(all(one.outcome != Outcome.LEAKED for one in tried))


@group.command("senders", short_help="Can receivers tell that our mail is ours?")
@click.option("--nameserver", metavar="ADDRESS", help="Ask this one instead of the machine's own.")
@click.option(
	"--port", type=click.IntRange(1, 65535), default=53, show_default=True, help="Of the nameserver."
)
@click.option(
	"--mail",
	type=click.File("rb"),
	help="A marketing mail as it came into a mailbox, with all headers: is one click signed, too?",
)
@pass_context
def check_senders(context: frappe._dict, nameserver: str | None, port: int, mail: BinaryIO | None) -> None:
	"""Look up SPF and DMARC of each domain that the site sends from, whether mail goes encrypted, and how one
	is signed.

	Prints what is there, or what to do. Changes nothing.
	"""
	from gdpr_consent import sender_check

	with _site(context):
		try:
			resolver = sender_check.resolver_at(nameserver, port)
		except ValueError as error:
			raise click.BadParameter(str(error), param_hint="--nameserver") from error
		domains = sender_check.domains()
		found = [one for domain in domains for one in sender_check.check_domain(domain, resolver)]
		found += sender_check.check_accounts()
		if mail:
			found.append(sender_check.check_mail(mail.read()))
	for one in found:
		click.secho(one.line, fg="green" if one.ok else "red")
	if not found:
		click.secho("- No Email Account sends anything.")
	_end(all(one.ok for one in found))


@group.command("verify", short_help="Was any event of the register changed?")
@click.option(
	"--anchors",
	type=click.Path(dir_okay=False, path_type=Path),
	help="File with the anchors that were kept outside the database. Left out: that of site_config.json.",
)
@pass_context
def verify(context: frappe._dict, anchors: Path | None) -> None:
	"""Check that no event of the register was changed, left out or put in since it was written.

	Checks the seals over them as well, that the seals are those that were told outside the database, and that
	the rows of consents and suppressions are what their events say.
	"""
	anchors = anchors and Path.cwd() / anchors
	with _site(context):
		try:
			with _bar("Checking events", frappe.db.count("Consent Event")) as progress:
				found = seals.verify(progress, anchors)
		except FileNotReadable as error:
			click.secho(f"✗ {error}", fg="red")
			_end(False)
	if found["ok"]:
		click.secho(
			f"✓ {found['checked']} events checked. Nothing was changed, left out or put in.", fg="green"
		)
	else:
		click.secho(
			f"✗ {found['first_bad']}: {found['problem']} ({found['checked']} events checked).", fg="red"
		)
		click.echo("Compare with the last backup, and find out who wrote to the database: docs/ledger.md.")
	_end(found["ok"])


@group.command("seal", short_help="Seal the events, and tell the seal outside.")
@pass_context
def seal(context: frappe._dict) -> None:
	"""Seal all events that no seal covers, and tell the last seal outside the database, as every night.

	May be interrupted at any time: each seal is stored before the next.
	"""
	with _site(context):
		with _bar("Sealing events", frappe.db.count("Consent Event", {"seal": 0})) as progress:
			made = seals.seal(progress)
		problems = seals.anchor()
		last = seals.last_seal()
	if last:
		click.secho(f"✓ {made} seals made. The last one is {last.number}: {last.hash}", fg="green")
	else:
		click.secho("✓ There is nothing to seal yet.", fg="green")
	for problem in problems:
		click.secho(f"✗ {problem}", fg="red")
	_end(not problems)


@group.command("replay", short_help="After a restore: say again who said no since the backup.")
@click.option(
	"--erase-since",
	"day",
	type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
	help="When the backup was made (UTC): also erase again who was erased since, and is back.",
)
@click.option("--yes", is_flag=True, help="Erase without asking.")
@pass_context
def replay_journal(context: frappe._dict, day: datetime | None, yes: bool) -> None:
	"""Say again each no that the journal outside the database holds and a restored database has forgotten.

	The scheduler does this every few minutes, and bench migrate does; erasing again, only this does. May be
	interrupted at any time, and adds nothing when it is done twice.
	"""
	with _site(context):
		try:
			with _bar("Comparing the journal", journal.size()) as progress:
				said = replay.say_again(progress)
			back = replay.back_since(day) if day else []
		except journal.JournalFailed as error:
			click.secho(f"✗ {error}", fg="red")
			_end(False)
		click.secho(f"✓ {said.again} noes were said again.", fg="green")
		if said.broken:
			why = "can't be read, or are about nobody on record"
			click.secho(f"✗ {said.broken} lines of the journal {why}.", fg="red")
		if said.back and not day:
			click.secho(
				f"✗ {said.back} records are back that were erased. Add --erase-since DAY-OF-THE-BACKUP.",
				fg="red",
			)
		for erased in back:
			click.echo(", ".join(f"{person.party_type} {person.party}" for person in erased.people))
		if back and not yes:
			click.confirm(f"Erase these {len(back)} again?", abort=True)
		try:
			with _bar("Erasing again", len(back)) as progress:
				for _erased in replay.erase_again(back):
					progress(1)
		except ConsentError as error:
			click.secho(f"✗ {frappe.utils.strip_html(str(error))}", fg="red")
			_end(False)
	_end(not said.broken and (bool(day) or not said.back))


@group.command("export", short_help="Save all evidence to a file.")
@click.option(
	"--to",
	"target",
	type=click.Path(dir_okay=False, path_type=Path),
	help="File to write; it must not exist yet. Left out: a new one in the site's folder for backups.",
)
@pass_context
def export_evidence(context: frappe._dict, target: Path | None) -> None:
	"""Write all evidence to a file that outlives the app: one JSON record a line, compressed.

	The file holds personal data. Only its owner may read it.
	"""
	target = target and Path.cwd() / target
	with _site(context):
		name = f"{now_datetime():%Y%m%d_%H%M%S}-gdpr_consent-evidence.jsonl.gz"
		path = target or Path(get_backups_path()) / name
		try:
			with _bar("Writing records", export.count()) as progress:
				path = export.write(path, progress)
		except OSError as error:
			click.secho(
				f"✗ {path} can't be written: {error.strerror}. Name another file with --to.", fg="red"
			)
			_end(False)
	click.secho(f"✓ {path}", fg="green")
	_end(True)


@group.command("import", short_help="Take in a record or a history that this app wrote.")
@click.argument("file", type=click.File(encoding="utf-8", errors="replace"))
@pass_context
def import_own_file(context: frappe._dict, file: TextIO) -> None:
	"""Take in FILE, a record or a history that this app has written, as JSON-LD or signed.

	For a site that has lost its records. What is on record stays as it is. Each no counts; a yes counts only
	if the file is signed by this site, and is Unknown else. All of the file is stored, or nothing.
	"""
	with _site(context):
		try:
			counts = own_files.take_in(file.read())
			frappe.db.commit()  # nosemgrep: a command has nobody else to do it
		except ConsentError as error:
			click.secho(f"✗ {frappe.utils.strip_html(str(error))}", fg="red")
			_end(False)
	told = {
		"given": "count as given",
		"unknown": "are Unknown: the file isn't signed, or says no more",
		"refused": "say no",
		"known": "were on record already",
		"over": "are over",
	}
	for outcome, words in told.items():
		click.echo(f"{counts[outcome]} {words}")
	click.secho("✓ The file was taken in.", fg="green")
	_end(True)


@group.command("rebuild", short_help="Make records anew from their events.")
@click.argument("consent", required=False)
@click.option("--all", "everything", is_flag=True, help="Rebuild every consent and suppression of the site.")
@pass_context
def rebuild(context: frappe._dict, consent: str | None, everything: bool) -> None:
	"""Make the row of a CONSENT or of a suppression anew from its events, or with --all every row.

	May be interrupted at any time: each record is stored before the next, and starting again does no harm.
	"""
	if bool(consent) == everything:
		raise click.UsageError("Name a consent, or say --all.")
	with _site(context):
		total = sum(map(frappe.db.count, RECORDS)) if everything else 1
		every = (name for doctype in RECORDS for names in filters.all_names(doctype) for name in names)
		names = every if everything else iter([consent])
		repaired: dict[str, list[str]] = {}
		done = 0
		try:
			with _bar("Rebuilding records", total) as progress:
				for name in names:
					changed = register.rebuild(name)["changed"]
					frappe.db.commit()  # nosemgrep: a part is done; an interruption loses nothing
					if changed:
						repaired[name] = [*changed]
					done += 1
					progress(1)
		except ConsentError as error:
			click.secho(f"✗ {frappe.utils.strip_html(str(error))}", fg="red")
			_end(False)
		except KeyboardInterrupt:
			click.secho(f"\nStopped after {done} of {total} records. What is done is stored.", fg="yellow")
			_end(False)
	for name, columns in repaired.items():
		click.echo(f"{name}: {', '.join(columns)}")
	click.secho(f"✓ {done} records rebuilt, {len(repaired)} of them had to be put right.", fg="green")
	_end(True)


@group.command("public-key", short_help="Print the keys that check signed files.")
@pass_context
def public_key(context: frappe._dict) -> None:
	"""Print the public keys that signed records are checked with, as JSON Web Key Set."""
	with _site(context):
		click.echo(json.dumps(signatures.public_keys(), indent=1))


@contextmanager
def _bar(label: str, length: int) -> Iterator[Callable[[int], None]]:
	with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
		yield bar.update


commands = [group]
