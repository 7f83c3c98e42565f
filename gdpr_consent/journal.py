"""Keeps each no in a file outside the database: a backup that is restored knows nothing of the later ones
(ST-18, Art. 32(1)(c) GDPR).

A line holds no address and no name, but their keyed hashes (requirements §11). `replay` says the noes again
that a restored database has forgotten.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import frappe
from frappe import _

from gdpr_consent import identity, ledger
from gdpr_consent.clock import now_utc, utc_text
from gdpr_consent.failures import log_failure
from gdpr_consent.identity import Person
from gdpr_consent.policy import EventKind

FILE_SETTING = "gdpr_consent_journal"  # in site_config.json: a whole path, or false for none
FILE = "gdpr_consent_noes.jsonl"  # of the site's private folder, of which a backup takes `files` alone
CONTROLLER = "Controller"  # who indicated it
# What takes a permission away and isn't said by the person: that is a Suppression.
ENDS = (EventKind.REVOKE, EventKind.INVALIDATE, EventKind.EXPIRE, EventKind.END)
ERASURE = ("event", "recorded_at", "erased", "gone", "suppress")  # what a line about one says
AT_ONCE = 1_000

Line = dict[str, Any]


class JournalFailed(Exception):
	"""Why the journal can't be used, in words for an administrator, without addresses or secrets."""


class Part(NamedTuple):
	"""Some lines of the journal; `end` is the position after them, `broken` how many can't be read."""

	lines: list[Line]
	end: int
	broken: int


def path() -> Path | None:
	"""Return where the journal is, None if it is switched off.

	Raises:
		JournalFailed: the setting isn't a whole path.
	"""
	setting = frappe.conf.get(FILE_SETTING)
	if setting is False:
		return None
	chosen = Path(str(setting or Path(frappe.get_site_path("private", FILE)).absolute()))
	if not chosen.is_absolute():
		raise JournalFailed(
			_("{0} in site_config.json is {1}. Write the whole path, from / on.").format(FILE_SETTING, chosen)
		)
	return chosen


# --- writing ------------------------------------------------------------------------------------------------


def note(events: Iterable[ledger.Event]) -> None:
	"""Remember what was written to the register, to keep it if and when it is committed."""
	names = [
		f"{event.record}-{event.seq}"
		for event in events
		if event.kind in (EventKind.SUPPRESS, EventKind.LIFT)
		or (event.kind in ENDS and event.indicated_by == CONTROLLER)
	]
	if names:
		_waiting().extend(names)


def note_erasure(people: Iterable[Person], suppress: bool) -> None:
	"""Remember who was erased, in the same way. Some records stay without the person; by one of them that is
	gone it is seen later that they are back.

	Args:
		suppress: whether their addresses are blocked, see `register.erase`.
	"""
	people = list(people)
	gone = [person for person in people if not frappe.db.exists(*person)]
	if gone:
		_waiting().append(
			{
				"event": "",
				"recorded_at": utc_text(now_utc()),
				"erased": sorted(identity.record_key(*person) for person in people),
				"gone": sorted(identity.record_key(*person) for person in gone),
				"suppress": bool(suppress),
			}
		)


def _waiting() -> list[str | Line]:
	waiting: list[str | Line] | None = getattr(frappe.local, "consent_journal", None)
	if waiting is None:
		waiting = frappe.local.consent_journal = []
		frappe.db.after_commit.add(_keep)
		frappe.db.after_rollback.add(forget)
	return waiting


def forget() -> None:
	"""Drop what was to be done after a commit that won't come."""
	frappe.local.consent_journal = None


def _keep() -> None:
	waiting = getattr(frappe.local, "consent_journal", None) or []
	forget()
	try:
		lines = [one for one in waiting if not isinstance(one, str)]
		append([*lines_of([one for one in waiting if isinstance(one, str)]), *lines])
	except Exception:  # the no stands; the next night keeps it
		log_failure("A no couldn't be kept outside the database")


def lines_of(events: list[str]) -> list[Line]:
	"""Read what is kept of Consent Events, given by name. One that was rolled back isn't found."""
	parts = (events[start : start + AT_ONCE] for start in range(0, len(events), AT_ONCE))
	return [line for part in parts for line in _lines("event.`name` in %s", [part])]


def lines_of_seal(number: int) -> list[Line]:
	"""Read what is kept of the events of a Ledger Seal."""
	kinds = [kind.value for kind in ENDS]
	return _lines(
		"""event.`seal` = %s and (event.`kind` in ('Suppress', 'Lift')
		or (event.`kind` in %s and event.`indicated_by` = %s))""",
		[number, kinds, CONTROLLER],
	)


def _lines(condition: str, values: list[Any]) -> list[Line]:
	rows = frappe.db.sql(
		f"""select event.`name`, event.`kind`, event.`recorded_at`, event.`indicated_by`,
			event.`effective_from`, event.`consent`, event.`suppression`, said.`kind` as no, said.`said_on`,
			said.`address_key`, said.`party_type`, said.`party`, said.`channel`, said.`purpose`, said.`topic`
		from `tabConsent Event` event
		left join `tabSuppression` said on said.`name` = event.`suppression`
		where {condition}
		order by event.`recorded_at`, event.`name`""",
		values,
		as_dict=True,
	)
	return [_line(row) for row in rows]


def _line(row: frappe._dict) -> Line:
	line = {"event": row.name, "recorded_at": utc_text(row.recorded_at), "by": row.indicated_by}
	if row.kind == EventKind.LIFT:
		return line | {"lifts": row.suppression}
	if row.consent:
		ends = {"ends": row.kind, "consent": row.consent, "effective_from": utc_text(row.effective_from)}
		return line | ends
	return line | {
		"no": row.no,
		"suppression": row.suppression,
		"said_on": utc_text(row.said_on),
		"address_key": row.address_key,
		"party_type": row.party_type,
		"party": identity.record_key(row.party_type, row.party) if row.party else None,
		"channel": row.channel or "",
		"purpose": row.purpose or "",
		"topic": row.topic or "",
	}


def append(lines: list[Line]) -> None:
	"""Write lines at the end of the journal.

	Raises:
		JournalFailed
	"""
	target = path()
	if not target or not lines:
		return
	try:
		add_to_end(target, "".join(json.dumps(line) + "\n" for line in lines))
	except OSError as error:
		raise JournalFailed(_("{0} can't be written: {1}").format(target, error.strerror)) from error


def add_to_end(file: Path, text: str) -> None:
	"""Add to a file that is for its owner alone, at once, and wait until it is on the disk.

	Raises:
		OSError
	"""
	content = text.encode()
	descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
	try:
		written = os.write(descriptor, content)
		os.fsync(descriptor)
	finally:
		os.close(descriptor)
	if written != len(content):
		raise OSError(None, "disk full")


# --- reading ------------------------------------------------------------------------------------------------


def size() -> int:
	"""Return the number of bytes of the journal, 0 if there is none.

	Raises:
		JournalFailed
	"""
	target = path()
	try:
		return os.stat(target).st_size if target else 0
	except FileNotFoundError:
		return 0
	except OSError as error:
		raise JournalFailed(_("{0} can't be read: {1}").format(target, error.strerror)) from error


def read(start: int, end: int, at_once: int = AT_ONCE) -> Iterator[Part]:
	"""Yield the lines between two positions (bytes). What isn't a line of ours, such as half of one that a
	full disk has left, is counted and left out.

	Raises:
		JournalFailed
	"""
	target = path()
	if not target or start >= end:
		return
	try:
		with open(target, "rb") as file:
			file.seek(start)
			lines: list[Line] = []
			position, broken = start, 0
			while position < end and (text := file.readline()):
				position += len(text)
				if line := _parsed(text):
					lines.append(line)
				else:
					broken += 1
				if len(lines) >= at_once:
					yield Part(lines, position, broken)
					lines, broken = [], 0
			yield Part(lines, position, broken)
	except OSError as error:
		raise JournalFailed(_("{0} can't be read: {1}").format(target, error.strerror)) from error


def _parsed(text: bytes) -> Line | None:
	try:
		line = json.loads(text)
	except ValueError:
		return None
	if not isinstance(line, dict):
		return None
	needed = ERASURE if "erased" in line else ("event", "recorded_at")
	return line if line.keys() >= {*needed} else None


# --- every night --------------------------------------------------------------------------------------------


def complete() -> int:
	"""Write what is sealed and isn't in the journal: the disk was full, or there was no journal yet.

	Commits after each seal: it may be interrupted, and goes on where it was.

	Returns:
		how many lines were missing.

	Raises:
		JournalFailed
	"""
	if not path():
		return 0
	seal = frappe.qb.DocType("Ledger Seal")
	kept = frappe.db.get_single_value("Consent Settings", "journal_complete_to") or 0
	seals = (
		frappe.qb.from_(seal)
		.select(seal.number, seal.first_recorded_at)
		.where(seal.number > kept)
		.orderby(seal.number)
		.run()
	)
	if not seals:
		return 0
	earliest = utc_text(min(first for _number, first in seals))
	known = {
		line["event"]
		for part in read(0, size())
		for line in part.lines
		if line.get("recorded_at", "") >= earliest
	}
	added = 0
	for number, _first in seals:
		missing = [line for line in lines_of_seal(number) if line["event"] not in known]
		append(missing)
		added += len(missing)
		frappe.db.set_single_value("Consent Settings", "journal_complete_to", number, update_modified=False)
		frappe.db.commit()  # nosemgrep: a part is done; an interruption loses nothing
	return added


def problems() -> Iterator[str]:
	"""Say for the self-check whether a no couldn't be kept now."""
	try:
		target = path()
		where = target and (target if target.exists() else target.parent)
	except (JournalFailed, OSError) as error:
		yield str(error)
		return
	if where and not os.access(where, os.W_OK):
		yield _(
			"{0} can't be written, so a restored backup wouldn't know who said no since. Give the user that "
			"runs bench the right to write it."
		).format(target)
