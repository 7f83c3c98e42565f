#!/usr/bin/env python3
"""Checks an export of the evidence without this app, without Frappe and without a database (AU-02 to AU-05).

Copy this one file to any machine with Python 3.10 or newer. It needs the standard library alone:

	python3 offline_verifier.py evidence.jsonl.gz [--anchors FILE]

It names the first bad row, and ends with 0 if all is well, with 1 if something was changed, left out or put
in, and with 2 if a file can't be read. The app itself checks its tables with the same `Check`, so that there
is one answer. What it proves, and what it doesn't, is in docs/ledger.md.
"""

import argparse
import gzip
import hashlib
import hmac
import json
import sqlite3
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

# What is read of an event, in this order: instants as RFC 3339 text, payload and salt as they are stored.
COLUMNS = (
	"name",
	"seq",
	"kind",
	"occurred_at",
	"recorded_at",
	"effective_from",
	"indicated_by",
	"actor",
	"source",
	"wording",
	"wording_hash",
	"bulk_update",
	"commitment",
	"prev_hash",
	"hash",
	"seal",
)
INSTANTS = frozenset({"occurred_at", "recorded_at", "effective_from"})
RECORDS = ("Consent", "Suppression")
# How much older than the end of the seal before it an event may be: more than any transaction takes.
SLACK = timedelta(days=1)
NOT_OURS = "not what this app writes"

# Canonical JSON (RFC 8785) of what an event holds: texts, whole numbers and None under ASCII names. The
# library rfc8785 writes the same, as the tests prove, but takes 84 µs an event where this takes 12, and a
# bulk update takes 414 for a person. Nor would this file be the only one that a check needs.
canonical = json.JSONEncoder(
	sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode


class Problem(NamedTuple):
	name: str  # of the event, the record or the seal
	text: str


class FileNotReadable(Exception):
	"""A file that isn't what it should be; the message says where."""


def seal_hash(seal: Mapping[str, Any]) -> str:
	"""Return the hash of a seal: SHA-256 of its canonical JSON, with the hash of the seal before it."""
	sealed = {
		"v": 1,
		"number": seal["number"],
		"sealed_at": seal["sealed_at"],
		"events": seal["events"],
		"first_recorded_at": seal["first_recorded_at"],
		"last_recorded_at": seal["last_recorded_at"],
		"root": seal["root"],
		"prev": seal["prev_hash"] or "",
	}
	return hashlib.sha256(canonical(sealed).encode()).hexdigest()


def sealed_line(doctype: str, record: str, seq: int, event_hash: str) -> str:
	"""Return the line that stands for an event in its seal: the root is the SHA-256 of all lines, sorted."""
	return f"{doctype} {record} {seq:010d} {event_hash}\n"


class Check:
	"""Checks records one after the other, and in the end the seals over them.

	Args:
		seals: as they are stored, instants as RFC 3339 text.
		anchors: what was told of seals outside the database, see `read_anchors`.
	"""

	def __init__(self, seals: Iterable[Mapping[str, Any]], anchors: Iterable[Mapping[str, Any]] = ()) -> None:
		self.checked = self.payloads = 0
		self.seals = sorted(seals, key=itemgetter("number"))
		self._anchors = list(anchors)
		self._lines: dict[int, Any] = {}  # by seal, the running hash over its events
		self._counts: dict[int, int] = {}
		self._earliest = self._earliest_of_each_seal()

	@property
	def last_seal(self) -> int:
		return self.seals[-1]["number"] if self.seals else 0

	def _earliest_of_each_seal(self) -> dict[int, str]:
		"""Return by seal, and under 0 for events without one, how old its oldest event may be."""
		earliest, latest = {}, ""
		for seal in self.seals:
			earliest[seal["number"]] = latest
			latest = max(latest, _earlier(seal["last_recorded_at"]))
		earliest[0] = latest
		return earliest

	def record(self, doctype: str, record: str, head: str | None, events: list[tuple]) -> Problem | None:
		"""Check the chain of a record. They come sorted by DocType and name, or the seals don't agree.

		Args:
			head: the hash of its last event, which the record remembers.
			events: its events by their number; of each the COLUMNS, the payload and its salt.
		"""
		if not events:
			return Problem(str(record or doctype), "record without events")
		previous = None
		erased_before = max(
			(row[1] for row in events if row[2] == "Erase" and type(row[1]) is int), default=0
		)
		for position, row in enumerate(events, start=1):
			self.checked += 1
			self.payloads += bool(row[-2])
			try:
				text = self._problem_of(doctype, record, position, row, previous, erased_before)
			except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
				text = NOT_OURS
			if text:
				return Problem(str(row[0] or record), text)
			previous = row[14]
		if previous != head:
			return Problem(record, "record and last event differ")
		return None

	def _problem_of(
		self,
		doctype: str,
		record: str,
		position: int,
		row: tuple,
		previous: str | None,
		erased_before: int,
	) -> str | None:
		(
			name,
			seq,
			kind,
			occurred_at,
			recorded_at,
			effective_from,
			indicated_by,
			actor,
			source,
			wording,
			wording_hash,
			bulk_update,
			commitment,
			prev_hash,
			event_hash,
			seal,
			payload,
			salt,
		) = row
		if seq != position:
			return "gap in the sequence"
		if name != f"{record}-{seq}":
			return "name of another event"
		if (prev_hash or None) != previous:
			return "broken link"
		envelope = {
			"v": 1,
			"record": record,
			"seq": seq,
			"prev": previous or "",
			"kind": kind,
			"occurred_at": occurred_at,
			"recorded_at": recorded_at,
			"effective_from": effective_from,
			"indicated_by": indicated_by,
			"source": source or None,
			"wording_hash": wording_hash or None,
			"commitment": commitment,
		}
		if bulk_update:
			envelope["bulk_update"] = bulk_update
		if hashlib.sha256(canonical(envelope).encode()).hexdigest() != event_hash:
			return "event changed"
		if payload:
			committed = hmac.new(bytes.fromhex(salt or ""), payload.encode(), hashlib.sha256).hexdigest()
			# What is committed to is as it was written, so its two ends tell whether the columns are, too.
			starts = f'{{"actor":{canonical(actor)},"facts":{{'
			ends = f'}},"wording":{canonical(wording or None)}}}'
			if committed != commitment or not (payload.startswith(starts) and payload.endswith(ends)):
				return "payload changed"
		elif position >= erased_before:
			return "payload missing"  # only what a later event of kind Erase names may be without (AU-04)
		if seal:
			if seal not in self._lines:
				self._lines[seal] = hashlib.sha256()
				self._counts[seal] = 0
			self._lines[seal].update(sealed_line(doctype, record, seq, event_hash).encode())
			self._counts[seal] += 1
		if recorded_at < self._earliest.get(seal or 0, ""):
			return "put in later than it says"
		return None

	def first_bad_seal(self) -> Problem | None:
		"""Check the seals, once all records are, and then what was told of them outside."""
		previous = None
		for number, seal in enumerate(self.seals, start=1):
			name = f"Seal {number}"
			if seal["number"] != number:
				return Problem(name, "seal missing")
			if (seal["prev_hash"] or None) != previous:
				return Problem(name, "broken link")
			if seal_hash(seal) != seal["hash"]:
				return Problem(name, "seal changed")
			counted = self._counts.get(number, 0)
			if counted != seal["events"]:
				return Problem(name, f"{seal['events']} events were sealed, {counted} are there")
			if counted and self._lines[number].hexdigest() != seal["root"]:
				return Problem(name, "other events than were sealed")
			previous = seal["hash"]
		unknown = self._counts.keys() - {seal["number"] for seal in self.seals}
		if unknown:
			return Problem(f"Seal {min(unknown, key=str)}", "seal missing")
		return self._first_bad_anchor()

	def _first_bad_anchor(self) -> Problem | None:
		hashes = {seal["number"]: seal["hash"] for seal in self.seals}
		for anchor in self._anchors:
			name = f"Seal {anchor['seal']}"
			if anchor["seal"] not in hashes:
				return Problem(name, "seal missing, though it was anchored")
			if anchor["hash"] != hashes[anchor["seal"]]:
				return Problem(name, "not the seal that was anchored: everything up to it was written anew")
		return None


def _earlier(instant: str) -> str:
	try:
		moment = datetime.fromisoformat(str(instant).removesuffix("Z")) - SLACK
	except (ValueError, OverflowError):
		return ""  # nothing that we write, which the hash of its seal shows
	return moment.isoformat(timespec="microseconds") + "Z"


def read_anchors(path: Path) -> list[dict[str, Any]]:
	"""Read a file of anchors: JSON, one a line, each at least with `seal` (its number) and `hash`.

	Raises:
		FileNotReadable: no such file, no anchors in it, or a line that is none.
	"""
	try:
		lines = path.read_text(encoding="utf-8").splitlines()
	except (OSError, UnicodeDecodeError) as error:
		raise FileNotReadable(f"{path} can't be read: {getattr(error, 'strerror', error)}.") from None
	anchors = []
	for number, line in enumerate(lines, start=1):
		if not line.strip():
			continue
		try:
			anchor = json.loads(line)
			if type(anchor["seal"]) is not int or type(anchor["hash"]) is not str:
				raise ValueError
		except (ValueError, TypeError, KeyError, RecursionError):
			raise FileNotReadable(f"Line {number} of {path} is no anchor. Was it broken off?") from None
		anchors.append(anchor)
	if not anchors:
		raise FileNotReadable(f"{path} has no anchors in it.")
	return anchors


# --- the export ---------------------------------------------------------------------------------------------


def _instant(text: Any) -> Any:
	"""Turn an instant as the export has it, 2026-03-01 09:00:00[.000001], into RFC 3339 text."""
	if not isinstance(text, str):
		return text
	return text.replace(" ", "T") + ("Z" if "." in text else ".000000Z")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
	number = 0
	try:
		with gzip.open(path, "rt", encoding="utf-8") as file:
			for line in file:
				number += 1
				row = json.loads(line)
				if not isinstance(row, dict):
					raise ValueError
				yield row
	except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
		why = getattr(error, "strerror", None) or "it is broken off, or not compressed"
		raise FileNotReadable(f"{path} can't be read after line {number}: {why}.") from None
	except (ValueError, RecursionError):
		raise FileNotReadable(f"Line {number} of {path} is no record.") from None


def _storable(value: Any) -> Any:
	if value is None or isinstance(value, str):
		return value.encode(errors="replace").decode() if value else value
	if type(value) is int and abs(value) < 2**63:
		return value
	return json.dumps(value)  # nothing that we write, which the check finds


def _load(path: Path, database: sqlite3.Connection) -> list[dict[str, Any]]:
	"""Put the rows in order in a database on disk, because they may be more than memory holds."""
	database.execute("create table head (doctype, name, hash)")
	database.execute(f"create table event (doctype, record, {', '.join(COLUMNS)})")
	database.execute("create table payload (name, payload, salt)")
	event = f"insert into event values ({', '.join('?' * (len(COLUMNS) + 2))})"
	seals = []
	for row in _rows(path):
		doctype = row.get("doctype")
		if doctype in RECORDS:
			values = (doctype, row.get("name"), row.get("last_hash"))
			database.execute("insert into head values (?, ?, ?)", [*map(_storable, values)])
		elif doctype == "Consent Event":
			values = [_instant(row.get(name)) if name in INSTANTS else row.get(name) for name in COLUMNS]
			of = "Suppression" if row.get("suppression") else "Consent"
			record = row.get("suppression") or row.get("consent")
			if row.get("suppression") and row.get("consent"):
				record = f"{row['consent']} and {row['suppression']}"
			database.execute(event, [*map(_storable, (of, record, *values))])
		elif doctype == "Consent Event Payload":
			values = (row.get("name"), row.get("payload"), row.get("salt"))
			database.execute("insert into payload values (?, ?, ?)", [*map(_storable, values)])
		elif doctype == "Ledger Seal":
			instants = ("sealed_at", "first_recorded_at", "last_recorded_at")
			seals.append(row | {name: _instant(row.get(name)) for name in instants})
	for table, column in (("head", "doctype, name"), ("event", "doctype, record, seq"), ("payload", "name")):
		database.execute(f"create index of_{table} on {table} ({column})")
	return seals


def verify(
	path: Path, anchors: Iterable[Mapping[str, Any]] = (), progress: Callable[[int], None] = lambda _n: None
) -> dict[str, Any]:
	"""Check an export: `ok, checked, first_bad, problem, seal`, as `ledger.verify` does the database.

	Args:
		progress: is told how many more events were checked.

	Raises:
		FileNotReadable: it isn't an export, or not a whole one.
	"""
	with sqlite3.connect("") as database:  # a file that the system takes away
		seals = _load(path, database)
		try:
			check = Check(seals, anchors)
			bad = (
				_first_bad(check, database, progress)
				or _payload_of_no_event(check.payloads, database)
				or check.first_bad_seal()
			)
		except (KeyError, TypeError, ValueError):
			return {"ok": False, "checked": 0, "first_bad": "Ledger Seal", "problem": NOT_OURS, "seal": 0}
	return {
		"ok": not bad,
		"checked": check.checked,
		"first_bad": bad and bad.name,
		"problem": bad and bad.text,
		"seal": check.last_seal,
	}


def _first_bad(check: Check, database: sqlite3.Connection, progress: Callable[[int], None]) -> Problem | None:
	columns = ", ".join(f"event.{name}" for name in COLUMNS)
	events = groupby(
		database.execute(
			f"select event.doctype, event.record, {columns}, payload.payload, payload.salt"
			" from event left join payload on payload.name = event.name"
			" order by event.doctype, event.record, event.seq"
		),
		key=lambda row: row[:2],
	)
	of, rows = next(events, (None, iter(())))
	for doctype, name, head in database.execute(
		"select doctype, name, hash from head order by doctype, name"
	):
		if of != (doctype, name):
			if of is not None and (of[1] is None or of < (doctype, name)):
				return Problem(str(next(rows)[2]), "its record is missing")
			return Problem(str(name or doctype), "record without events")
		found = [row[2:] for row in rows]
		bad = check.record(doctype, name, head, found)
		if bad:
			return bad
		progress(len(found))
		of, rows = next(events, (None, iter(())))
	if of is not None:
		return Problem(str(next(rows)[2]), "its record is missing")
	return None


def _payload_of_no_event(known: int, database: sqlite3.Connection) -> Problem | None:
	"""An erasure leaves none behind. Who renames one makes an event look as if it had been erased."""
	((there,),) = database.execute("select count(*) from payload where payload <> ''")
	if there == known:
		return None
	((name,),) = database.execute(
		"select min(payload.name) from payload left join event on event.name = payload.name"
		" where event.name is null and payload.payload <> ''"
	)
	return Problem(str(name or "Consent Event Payload"), "its event is missing")


def main(arguments: list[str] | None = None) -> int:
	parser = argparse.ArgumentParser(
		description="Check an export of gdpr_consent: was any event changed, left out or put in?"
	)
	parser.add_argument("export", type=Path, help="what `bench gdpr-consent export` wrote: …jsonl.gz")
	parser.add_argument("--anchors", type=Path, help="anchors kept outside the database: JSON, one a line")
	given = parser.parse_args(arguments)
	done = 0

	def progress(events: int) -> None:
		nonlocal done
		if sys.stderr.isatty() and done // 10_000 != (done + events) // 10_000:
			print(f"\r{done + events:,} events checked", end="", file=sys.stderr, flush=True)
		done += events

	try:
		anchors = read_anchors(given.anchors) if given.anchors else []
		found = verify(given.export, anchors, progress)
	except FileNotReadable as error:
		print(error)
		return 2
	if not found["ok"]:
		print(f"BAD: {found['first_bad']}: {found['problem']} ({found['checked']} events checked).")
		return 1
	compared = f"{len(anchors)} anchors agree" if anchors else "no anchors were given"
	print(
		f"OK: {found['checked']} events checked, sealed up to seal {found['seal']}; {compared}."
		" Nothing was changed, left out or put in."
	)
	return 0


if __name__ == "__main__":
	sys.exit(main())
