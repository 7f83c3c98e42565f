"""Writes and reads the events that each record of the register is made of; only `register` writes with it.

An event has two parts: an envelope without personal data, which is hashed and chained, and a payload that
holds the data and can be erased later. The envelope holds a salted commitment to the payload, so that erasing
it breaks no chain and changing it does (requirements §7.1). Each record has a chain of its own, so that no
lock is shared between people.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

import frappe
from frappe.query_builder.functions import Coalesce

from gdpr_consent.clock import from_utc_text, utc_text
from gdpr_consent.offline_verifier import COLUMNS, NOT_OURS, RECORDS, Check, Problem, canonical
from gdpr_consent.offline_verifier import INSTANTS as EVENT_INSTANTS
from gdpr_consent.policy import STATUS_AFTER, EventKind

Facts = dict[str, str | int | None]

# The columns that the events of a record make.
PROJECTED = (
	*("email", "address_key", "party_type", "party", "channel", "purpose", "topic", "company"),
	*(
		"legal_basis",
		"sale_doctype",
		"sale",
		"source",
		"status",
		"since",
		"given_on",
		"confirmed_on",
		"expires_on",
		"ended_on",
	),
	*("recorded_by", "wording", "language", "reason", "evidence", "evidence_grade"),
	*("is_minor", "guardian_name", "guardian_verification"),
	*("double_opt_in", "country", "country_source", "asked_on", "asked_wording"),
	*("supersedes", "superseded_by"),
)
SAID_BY_A_NO = (
	*("kind", "email", "address_key", "party_type", "party", "channel", "purpose", "topic", "said_on"),
	*("lifted_on", "recorded_by", "source", "reason", "origin_doctype", "origin"),
)
COLUMNS_OF = {"Consent": PROJECTED, "Suppression": SAID_BY_A_NO}
CHECKS = ("double_opt_in", "is_minor")
# What no event says. A Check field is never empty.
UNSAID = {
	doctype: {column: 0 if column in CHECKS else None for column in columns}
	for doctype, columns in COLUMNS_OF.items()
}
# Columns of a record that are instants. In facts they are RFC 3339 text.
INSTANTS = frozenset(
	{"given_on", "confirmed_on", "expires_on", "ended_on", "since", "said_on", "lifted_on", "asked_on"}
)
# Core lets these be renamed or merged, and writes the new name into each row that links to one.
RENAMED_BY_CORE = {"company": "Company", "country": "Country", "language": "Language"}
STATUS_BY_KIND = {kind.value: status.value for kind, status in STATUS_AFTER.items()}
AT_ONCE = 2_000  # rows a statement
# What an event that says nothing of double opt-in meant by a grade: B a document, C words.
OLD_GRADES = {"B": "C", "C": "D"}
VERIFY_AT_ONCE = 2_000
NAMED_AT_MOST = 10  # rows that differ, in one message
# Where things stand in an event as `Check.record` wants it.
KIND_AT, OCCURRED_AT, PAYLOAD_AT = COLUMNS.index("kind"), COLUMNS.index("occurred_at"), len(COLUMNS)
RFC_3339 = "%Y-%m-%dT%H:%i:%s.%fZ"


class Event(NamedTuple):
	record: str
	seq: int
	kind: EventKind
	occurred_at: datetime
	recorded_at: datetime
	effective_from: datetime | None
	indicated_by: str
	actor: str
	source: str | None
	wording: str | None
	wording_hash: str | None
	facts: Facts
	bulk_update: str | None = None

	def envelope(self, previous: str | None, commitment: str) -> bytes:
		"""Return the canonical JSON that the hash of the event is taken of."""
		return canonical(
			{
				"v": 1,
				"record": self.record,
				"seq": self.seq,
				"prev": previous or "",
				"kind": self.kind.value,
				"occurred_at": utc_text(self.occurred_at),
				"recorded_at": utc_text(self.recorded_at),
				"effective_from": utc_text(self.effective_from),
				"indicated_by": self.indicated_by,
				"source": self.source or None,
				"wording_hash": self.wording_hash or None,
				"commitment": commitment,
			}
			| ({"bulk_update": self.bulk_update} if self.bulk_update else {})
		).encode()

	def payload(self) -> str:
		return canonical({"actor": self.actor, "facts": self.facts, "wording": self.wording or None})


def commit_to(payload: str, salt: str) -> str:
	return hmac.new(bytes.fromhex(salt), payload.encode(), hashlib.sha256).hexdigest()


def hash_of(event: Event, previous: str | None, commitment: str) -> str:
	return hashlib.sha256(event.envelope(previous, commitment)).hexdigest()


def fold(events: Iterable[Event]) -> dict[str, Any]:
	"""Return the columns of a record as its events make them, in the order of their sequence (ST-02)."""
	row: dict[str, Any] = {}
	for event in events:
		apply(row, event)
	return row


def apply(row: dict[str, Any], event: Event) -> None:
	facts = {
		column: from_utc_text(value) if column in INSTANTS else value for column, value in event.facts.items()
	}
	_apply(row, event.kind.value, event.occurred_at, facts)


def _apply(row: dict[str, Any], kind: str, occurred_at: Any, facts: dict[str, Any]) -> None:
	row.update(facts)
	if "evidence_grade" in facts and "double_opt_in" not in facts:
		row["evidence_grade"] = OLD_GRADES.get(str(row["evidence_grade"]), row["evidence_grade"])
	if status := STATUS_BY_KIND.get(kind):
		row["status"] = status
		row["since"] = occurred_at


def differences(
	doctype: str, stored: Mapping[str, Any], folded: dict[str, Any], is_whole: bool
) -> dict[str, Any]:
	"""Return the columns in which a row isn't what its events fold to, each with what they say (ST-02).

	Args:
		is_whole: no event was erased, so what none of them says isn't so.
	"""
	if is_whole:
		folded = {**UNSAID[doctype], **folded}
	found = {
		column: folded[column]
		for column in COLUMNS_OF[doctype]
		if column in folded and column in stored and (stored[column] or None) != (folded[column] or None)
	}
	for column, master in RENAMED_BY_CORE.items():
		if found.get(column) and not frappe.db.exists(master, found[column], cache=True):
			del found[column]
	return found


def insert(
	doctype: str,
	rows: Iterable[dict[str, Any]],
	replace: bool = False,
	columns: Collection[str] | None = None,
) -> None:
	"""Insert rows past the controllers, which refuse every write of the register's records.

	Args:
		replace: put each row in the place of the one that has its name, if there is one.
		columns: those that the table has, if the rows hold more than that.
	"""
	now, user = frappe.utils.now(), frappe.session.user
	common = {"owner": user, "modified_by": user, "creation": now, "modified": now}
	rows = list(rows)
	named = [
		column for column in dict.fromkeys(chain.from_iterable(rows)) if columns is None or column in columns
	]
	_insert(f"{'replace' if replace else 'insert'} into", doctype, rows, named, common)


def update(doctype: str, rows: Iterable[dict[str, Any]], columns: Collection[str]) -> None:
	"""Set columns of rows that exist, past the controllers.

	Args:
		rows: each with its name and all the columns.
	"""
	common = {"modified_by": frappe.session.user, "modified": frappe.utils.now()}
	# There is no statement that updates each row with values of its own.
	values = ", ".join(f"`{column}` = values(`{column}`)" for column in (*columns, *common))
	otherwise = f"on duplicate key update {values}"
	_insert("insert into", doctype, list(rows), ["name", *columns], common, otherwise)


def _insert(
	verb: str,
	doctype: str,
	rows: list[dict[str, Any]],
	columns: list[str],
	common: dict[str, Any],
	otherwise: str = "",
) -> None:
	"""Insert the columns of the rows, and into all of them what is common.

	What several rows share is sent once, in variables of the session: most columns of a bulk are the same in
	each row. It is text, because the query builder takes longer over a value than the database does.
	"""
	for start in range(0, len(rows), AT_ONCE):
		batch = rows[start : start + AT_ONCE]
		own: dict[str, list[Any]] = {}
		shared: dict[str, Any] = {}
		for column in columns:
			if column in common:
				continue
			values = [row.get(column) for row in batch]
			if len(values) > 1 and values.count(values[0]) == len(values):
				shared[column] = values[0]
			else:
				own[column] = values
		if len(batch) > 1:
			shared |= common
		else:
			own |= {column: [value] for column, value in common.items()}
		variables = [f"@_{number}" for number in range(len(shared))]
		if shared:
			frappe.db.sql(
				f"set {', '.join(f'{variable} = %s' for variable in variables)}", list(shared.values())
			)
		names = ", ".join(f"`{column}`" for column in (*own, *shared))
		row = f"({','.join(['%s'] * len(own) + variables)})"
		frappe.db.sql(
			f"{verb} `tab{doctype}` ({names}) values {','.join([row] * len(batch))} {otherwise}",
			list(chain.from_iterable(zip(*own.values(), strict=True))),
		)


def insert_events(doctype: str, events: Iterable[tuple[Event, str | None]]) -> dict[str, str]:
	"""Insert events, each with the hash of the one before it, and return the new head of each record.

	Args:
		doctype: Consent or Suppression, what the records are.
		events: in the order of their sequence; the hash given counts for the first one of each record only.
	"""
	heads: dict[str, str] = {}
	rows, payloads = [], []
	for event, head in events:
		previous = heads.get(event.record, head)
		salt, payload = secrets.token_hex(32), event.payload()
		commitment = commit_to(payload, salt)
		heads[event.record] = hash_of(event, previous, commitment)
		name = f"{event.record}-{event.seq}"
		rows.append(
			{
				"name": name,
				frappe.scrub(doctype): event.record,
				"seq": event.seq,
				"kind": event.kind.value,
				"occurred_at": event.occurred_at,
				"recorded_at": event.recorded_at,
				"effective_from": event.effective_from,
				"indicated_by": event.indicated_by,
				"actor": event.actor,
				"source": event.source,
				"wording": event.wording,
				"wording_hash": event.wording_hash,
				"bulk_update": event.bulk_update,
				"commitment": commitment,
				"prev_hash": previous,
				"hash": heads[event.record],
			}
		)
		payloads.append({"name": name, "payload": payload, "salt": salt})
	insert("Consent Event", rows)
	insert("Consent Event Payload", payloads)
	return heads


def erase_payloads(doctype: str, records: list[str], addresses: Iterable[str]) -> None:
	"""Delete for good what events before those of kind Erase said: their payloads, and the salts with them.

	Args:
		doctype: Consent or Suppression, what the records are.
		addresses: of the people, who may also have been the ones who acted.
	"""
	if not records:
		return
	record = frappe.scrub(doctype)
	# Text, because the query builder doesn't say which table a column is set in.
	erased = f"""join `tabConsent Event` erase on erase.`{record}` = event.`{record}`
		and erase.`kind` = 'Erase' and erase.`seq` > event.`seq`"""
	frappe.db.sql(
		f"""update `tabConsent Event Payload` payload
		join `tabConsent Event` event on event.`name` = payload.`name` {erased}
		set payload.`payload` = null, payload.`salt` = null where event.`{record}` in %s""",
		[records],
	)
	frappe.db.sql(
		f"""update `tabConsent Event` event {erased}
		set event.`actor` = null where event.`{record}` in %s and event.`actor` in %s""",
		[records, [*addresses] or [""]],
	)


def read_events(
	doctype: str,
	records: list[str],
	at: datetime | None = None,
	known_at: datetime | None = None,
) -> dict[str, list[Event]]:
	"""Read the events of each record in order.

	Args:
		at: leave out what happened after this instant; an invalidation happened when it takes effect.
		known_at: leave out what was recorded after this instant.
	"""
	event = frappe.qb.DocType("Consent Event")
	payload = frappe.qb.DocType("Consent Event Payload")
	record = event[frappe.scrub(doctype)]
	found: dict[str, list[Event]] = {name: [] for name in records}
	if not records:
		return found
	query = (
		frappe.qb.from_(event)
		.left_join(payload)
		.on(payload.name == event.name)
		.select(event.star, payload.payload)
		.where(record.isin(records))
		.orderby(record)
		.orderby(event.seq)
	)
	if known_at:
		query = query.where(event.recorded_at <= known_at)
	for row in query.run(as_dict=True):
		if at and (row.effective_from or row.occurred_at) > at:
			continue
		event_found = _event_of(row)
		found[event_found.record].append(event_found)
	return found


def _event_of(row: frappe._dict) -> Event:
	return Event(
		record=row.consent or row.suppression,
		seq=row.seq,
		kind=EventKind(row.kind),
		occurred_at=row.occurred_at,
		recorded_at=row.recorded_at,
		effective_from=row.effective_from,
		indicated_by=row.indicated_by,
		actor=row.actor,
		source=row.source,
		wording=row.wording,
		wording_hash=row.wording_hash,
		bulk_update=row.bulk_update,
		facts=json.loads(row.payload)["facts"] if row.payload else {},
	)


def verify(
	progress: Callable[[int], None] = lambda _events: None, anchors: Iterable[dict[str, Any]] = ()
) -> dict[str, Any]:
	"""Check every chain of the register, and every seal over them (AU-02).

	Args:
		progress: is told how many more events were checked.
		anchors: what was told of seals outside the database, see `offline_verifier.read_anchors`.

	Returns:
		`ok`, `checked` (number of events), `first_bad` (name of the first event, record or seal that doesn't
		agree), `problem`, and `seal`, the number of the last one. It proves that records weren't changed,
		not that they are true (AU-10). Records whose rows aren't what their events say come last: only events
		that are sound say so.
	"""
	check, rows = Check(_seals(), anchors), _Rows()
	bad = (
		_first_bad(check, rows, progress)
		or _event_of_no_record(check.checked)
		or _payload_of_no_event(check.payloads)
		or check.first_bad_seal()
		or rows.first_bad()
	)
	return {
		"ok": not bad,
		"checked": check.checked,
		"first_bad": bad and bad.name,
		"problem": bad and bad.text,
		"seal": check.last_seal,
	}


def _seals() -> list[frappe._dict]:
	seal = frappe.qb.DocType("Ledger Seal")
	seals = frappe.qb.from_(seal).select(seal.star).orderby(seal.number).run(as_dict=True)
	instants = ("sealed_at", "first_recorded_at", "last_recorded_at")
	return [row | {name: utc_text(row[name]) for name in instants} for row in seals]


class _Rows:
	"""Compares the rows that are asked, by the gate and by all others, with the events they are made of."""

	def __init__(self) -> None:
		self.differ = 0
		self._first: Problem | None = None
		self._named: list[str] = []

	def compare(self, doctype: str, stored: dict[str, Any], events: list[tuple]) -> Problem | None:
		"""Compare a row with its events, once they are known to be sound; instants are text in both."""
		folded: dict[str, Any] = {}
		is_whole = True
		try:
			for row in events:
				payload = row[PAYLOAD_AT]
				facts = json.loads(payload)["facts"] if payload else {}
				is_whole = is_whole and bool(facts)
				_apply(folded, row[KIND_AT], row[OCCURRED_AT], facts)
			differing = differences(doctype, stored, folded, is_whole)
		except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
			return Problem(events[-1][0], NOT_OURS)
		if differing:
			self.differ += 1
			name = stored["name"]
			text = f"{doctype} differs from its events in {', '.join(differing)}"
			self._first = self._first or Problem(name, text)
			if self.differ <= NAMED_AT_MOST:
				self._named.append(name)
		return None

	def first_bad(self) -> Problem | None:
		others = self._named[1:]
		if not self._first or not others:
			return self._first
		more = self.differ - len(self._named)
		named = ", ".join(others) + (f" and {more} more" if more else "")
		return self._first._replace(text=f"{self._first.text}; so do others: {named}")


def _first_bad(check: Check, rows: _Rows, progress: Callable[[int], None]) -> Problem | None:
	"""Go through all records in the order of their names, which is the order of the lines in a seal."""
	for doctype in RECORDS:
		last: str | None = ""
		while last is not None:
			stored = _rows_after(doctype, last)
			first, last = last, stored[-1]["name"] if stored else None
			events, named = _events_between(doctype, first, last), {row["name"] for row in stored}
			for record, its_events in events.items():
				if record not in named:
					return Problem(its_events[0][0], "its record is missing")
			for row in stored:
				its_events = events.get(row["name"], [])
				bad = check.record(doctype, row["name"], row["last_hash"], its_events) or rows.compare(
					doctype, row, its_events
				)
				if bad:
					return bad
			progress(sum(map(len, events.values())))
	return None


def _rows_after(doctype: str, name: str) -> list[dict[str, Any]]:
	stored = set(frappe.db.get_table_columns(doctype))
	names = ["name", "last_hash", *(column for column in COLUMNS_OF[doctype] if column in stored)]
	columns = ", ".join(
		f"date_format(`{column}`, %(rfc_3339)s)" if column in INSTANTS else f"`{column}`" for column in names
	)
	found = frappe.db.sql(
		f"select {columns} from `tab{doctype}` where name > %(after)s order by name limit %(limit)s",
		{"rfc_3339": RFC_3339, "after": name, "limit": VERIFY_AT_ONCE},
	)
	return [dict(zip(names, row, strict=True)) for row in found]


def _events_between(doctype: str, after: str, last: str | None) -> dict[str, list[tuple]]:
	"""Read by record what `Check.record` wants; the instants as text, which the database writes faster."""
	record = f"event.{frappe.scrub(doctype)}"
	columns = ", ".join(
		f"date_format(event.{column}, %(rfc_3339)s)" if column in EVENT_INSTANTS else f"event.{column}"
		for column in COLUMNS
	)
	up_to = f"and {record} <= %(last)s" if last else ""
	found: dict[str, list[tuple]] = {}
	for name, *row in frappe.db.sql(
		f"""select {record}, {columns}, payload.payload, payload.salt
		from `tabConsent Event` event force index ({frappe.scrub(doctype)}_seq)
		left join `tabConsent Event Payload` payload on payload.name = event.name
		where {record} > %(after)s {up_to}
		order by {record}, event.seq""",
		{"rfc_3339": RFC_3339, "after": after, "last": last},
	):
		found.setdefault(name, []).append(row)
	return found


def _event_of_no_record(checked: int) -> Problem | None:
	if frappe.db.count("Consent Event") == checked:
		return None
	event = frappe.qb.DocType("Consent Event")
	of_none = (Coalesce(event.consent, "") == "") & (Coalesce(event.suppression, "") == "")
	names = frappe.qb.from_(event).select(event.name).where(of_none).limit(1).run(pluck=True)
	return Problem(names[0] if names else "Consent Event", "its record is missing")


def _payload_of_no_event(known: int) -> Problem | None:
	"""An erasure leaves none behind. Who renames one makes an event look as if it had been erased."""
	((there,),) = frappe.db.sql("select count(*) from `tabConsent Event Payload` where payload <> ''")
	if there == known:
		return None
	names = frappe.db.sql(
		"""select min(payload.name) from `tabConsent Event Payload` payload
		left join `tabConsent Event` event on event.name = payload.name
		where event.name is null and payload.payload <> ''""",
		pluck=True,
	)
	return Problem(names[0] or "Consent Event Payload", "its event is missing")
