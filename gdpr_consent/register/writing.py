"""One visit to the register: what is locked, loaded, checked and written in it."""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import frappe
from frappe import _

from gdpr_consent import announcements, data_recipients, email_groups, journal, ledger, proof, sales, standing
from gdpr_consent.clock import now_utc, utc_text
from gdpr_consent.exceptions import EvidenceMissing, TransitionNotAllowed, UnknownReference
from gdpr_consent.identity import address_keys
from gdpr_consent.policy import (
	LIVE,
	STATUS_AFTER,
	TRANSITIONS,
	Channel,
	EventKind,
	Permission,
	Reason,
	Refusal,
	RefusalKind,
	Status,
	decide,
	refused,
)
from gdpr_consent.waiting import see_what_others_did

if TYPE_CHECKING:
	from gdpr_consent.register.terms import Subject, Terms

CONTROLLER, DATA_SUBJECT, SYSTEM = "Controller", "Data Subject", "System"
GUARDIAN = "Guardian"  # of a child, who agrees in its place
SHARD_DIGITS = 3  # of the address key: 4,096 rows to lock
SAVEPOINT = "consent_register"  # whoever catches an error and commits stores nothing by half
Row = dict[str, Any]


class Scope(NamedTuple):
	"""What a permission or a refusal is about. In a refusal, empty means every one."""

	channel: str
	purpose: str
	topic: str = ""


class Act(NamedTuple):
	"""Who did what is to be recorded, and how we know."""

	indicated_by: str = DATA_SUBJECT
	source: str | None = None
	reason: str | None = None
	wording: str | None = None


class No(NamedTuple):
	"""A refusal to be written for one address, or for a person whose address isn't known."""

	kind: RefusalKind
	scope: Scope
	email: str | None
	party_type: str | None = None
	party: str | None = None
	said_on: datetime | None = None
	origin_doctype: str | None = None
	origin: str | None = None
	address_key: str | None = None  # of an address that is erased

	@property
	def key(self) -> str | None:
		return address_keys([self.email])[self.email] if self.email else self.address_key


class Writing:
	"""One visit to the register: locks the addresses, loads their records, writes all changes at the end."""

	def __init__(self, keys: Iterable[str], bulk_update: str | None = None, dry_run: bool = False):
		"""
		Args:
			bulk_update: the Consent Bulk Update that each event is to name.
			dry_run: lock nothing and write nothing; what would be written stands in the rows.
		"""
		self.keys = sorted(set(keys))
		self.bulk_update, self.dry_run = bulk_update, dry_run
		self._events: dict[str, list[tuple[ledger.Event, str | None]]] = {"Consent": [], "Suppression": []}
		self._changed: dict[str, dict[str, Row]] = {"Consent": {}, "Suppression": {}}
		self._new: set[str] = set()
		self._ended: list[Row] = []
		self.acts = 0  # events that aren't by the clock
		self._wording_hashes: dict[str | None, str | None] = {None: None}
		self._sales: dict[tuple[Scope, str], sales.Sale | None] = {}

	def __enter__(self) -> "Writing":
		fresh = not self.dry_run and lock(self.keys)
		self.is_stale = fresh
		self.now = now_utc()  # not before: what others did while we waited is in the past
		self.consents = self._load("Consent", fresh)
		self.suppressions = self._load("Suppression", fresh)
		return self

	def __exit__(self, failed: type[BaseException] | None, *_args: Any) -> None:
		if failed or self.dry_run:
			return
		frappe.db.savepoint(SAVEPOINT)
		try:
			self._write()
		except Exception:
			with suppress(frappe.db.OperationalError):  # a deadlock has undone all, the savepoint too
				frappe.db.rollback(save_point=SAVEPOINT)
			raise
		frappe.db.release_savepoint(SAVEPOINT)

	def _load(self, doctype: str, fresh: bool) -> dict[str, list[Row]]:
		found: dict[str, list[Row]] = {key: [] for key in self.keys}
		if self.keys:
			query = f"select * from `tab{doctype}` where `address_key` in %s"
			for row in frappe.db.sql(f"{query} for update" if fresh else query, (self.keys,), as_dict=True):
				found[row.address_key].append(row)
		return found

	def open(self, doctype: str, kind: EventKind, facts: Row, act: Act, occurred_at: datetime) -> Row:
		"""Start a record with its first event."""
		row: Row = {"name": str(uuid.uuid4()), "last_seq": 0, "last_hash": None, "status": None}
		row |= dict.fromkeys(ledger.CHECKS, 0)
		self._new.add(row["name"])
		self.append(doctype, row, kind, act, facts, occurred_at)
		if key := row.get("address_key"):
			(self.consents if doctype == "Consent" else self.suppressions)[key].append(row)
		return row

	def append(
		self,
		doctype: str,
		row: Row,
		kind: EventKind,
		act: Act,
		facts: Row | None = None,
		occurred_at: datetime | None = None,
		effective_from: datetime | None = None,
	) -> None:
		"""Add an event to a record, and to the row what it changes.

		Raises:
			TransitionNotAllowed: not one of T1 to T13, or before the record's last event.
			EvidenceMissing: it would be a child's consent without its guardian.
		"""
		occurred_at = occurred_at or self.now
		self._check_transition(row, kind, occurred_at)
		if STATUS_AFTER.get(kind) == Status.GIVEN:
			_check_guardian({**row, **(facts or {})})
		row["last_seq"] += 1
		event = ledger.Event(
			record=row["name"],
			seq=row["last_seq"],
			kind=kind,
			occurred_at=occurred_at,
			recorded_at=self.now,
			effective_from=effective_from,
			indicated_by=act.indicated_by,
			actor=frappe.session.user,
			source=act.source,
			wording=act.wording,
			wording_hash=self._hash_of_wording(act.wording),
			bulk_update=self.bulk_update,
			facts={
				column: utc_text(value) if isinstance(value, datetime) else value
				for column, value in ((facts or {}) | ({"reason": act.reason} if act.reason else {})).items()
			},
		)
		self.acts += act.indicated_by != SYSTEM
		self._events[doctype].append((event, row["last_hash"]))
		self._changed[doctype][row["name"]] = row
		ledger.apply(row, event)
		if kind in data_recipients.ENDS_A_PERMISSION:
			self._ended.append({**row})  # with the address, which an erasure takes away next

	def _hash_of_wording(self, wording: str | None) -> str | None:
		if wording not in self._wording_hashes:
			self._wording_hashes[wording] = frappe.db.get_value("Consent Wording", wording, "text_hash")
		return self._wording_hashes[wording]

	def _check_transition(self, row: Row, kind: EventKind, occurred_at: datetime) -> None:
		if (
			row.get("since")
			and kind in STATUS_AFTER
			and occurred_at < row["since"]
			and kind != EventKind.INVALIDATE
		):
			raise TransitionNotAllowed(
				_("{0} can't be recorded as of {1} UTC: the consent has been {2} since {3} UTC.").format(
					_(kind.value), occurred_at, _(row["status"]), row["since"]
				)
			)
		after = STATUS_AFTER.get(kind)
		before = Status(row["status"]) if row.get("status") else None
		if after and after not in TRANSITIONS[before]:
			raise TransitionNotAllowed(
				_("A consent that is {0} can't become {1}.").format(
					_(before.value if before else "new"), _(after.value)
				)
			)

	def _write(self) -> None:
		for doctype in ("Consent", "Suppression"):
			heads = ledger.insert_events(doctype, self._events[doctype])
			changed = self._changed[doctype]
			for name, row in changed.items():
				row["last_hash"] = heads[name]
			columns = {
				column
				for event, _head in self._events[doctype]
				if event.record not in self._new
				for column in event.facts
			}
			_update(doctype, [row for name, row in changed.items() if name not in self._new], columns)
			new = [row for name, row in changed.items() if name in self._new]
			ledger.insert(doctype, new, columns=frappe.get_meta(doctype).get_valid_columns())
		self._keep_email_groups_in_step()
		data_recipients.note(self._ended, self._restricted())
		announcements.note(event for event, _head in self._events["Consent"])
		journal.note(event for events in self._events.values() for event, _head in events)
		if not self.bulk_update:  # whose job has the lists follow when it ends
			standing.follow_register(
				[row for changed in self._changed.values() for row in changed.values()], self.is_stale
			)

	def _restricted(self) -> Iterator[Row]:
		for event, _head in self._events["Suppression"]:
			said = self._changed["Suppression"][event.record]
			if event.kind != EventKind.SUPPRESS or said["kind"] != RefusalKind.RESTRICTION:
				continue
			for row in self.consents.get(said["address_key"], ()):
				if row["status"] in data_recipients.ALLOWED_SOMETHING and covers(
					scope_of(said), scope_of(row)
				):
					yield row

	def _keep_email_groups_in_step(self) -> None:
		changed = [
			(row["address_key"], scope_of(row))
			for rows in self._changed.values()
			for row in rows.values()
			if row.get("address_key") in self.consents
		]
		for one in email_groups.all_groups() if changed else ():
			scope = Scope(Channel.EMAIL.value, one.purpose, one.topic)
			touched = {key for key, said in changed if covers(said, scope)}
			standings = {key: self._standing(key, one) for key in touched}
			email_groups.set_members(one.group, {key: found for key, found in standings.items() if found})

	def _standing(self, key: str, one: email_groups.TopicGroup) -> email_groups.Standing | None:
		"""Say where an address stands with a topic, None if it never had a consent to it."""
		scope = Scope(Channel.EMAIL.value, one.purpose, one.topic)
		rows = [row for row in self.consents[key] if scope_of(row) in (scope, scope._replace(topic=""))]
		about_topic = [
			row
			for row in rows
			if row["topic"] and row["email"] and row["status"] not in email_groups.NEVER_GIVEN
		]
		if not about_topic:
			return None
		decision = decide(
			one.topic,
			[permission_of(row) for row in rows],
			[refusal_of(row) for row in self.refusals(key, scope, is_marketing=True)],
			self.now,
		)
		newest = max(about_topic, key=lambda row: row["since"])
		return email_groups.Standing(newest["email"], decision.allowed)

	@cached_property
	def marketing_purposes(self) -> set[str]:
		return set(frappe.get_all("Processing Purpose", {"is_marketing": 1}, pluck="name"))

	def look_for_sales(self, wanted: Iterable[tuple["Subject", "Terms"]]) -> None:
		"""Find for many people the newest sale about which each may be written to."""
		by_scope: dict[Scope, tuple[Terms, list[Subject]]] = {}
		for subject, terms in wanted:
			by_scope.setdefault(terms.scope, (terms, []))[1].append(subject)
		for scope, (terms, subjects) in by_scope.items():
			groups = sales.advertised(scope.purpose, scope.topic)
			buyers = {one.key: (one.email, one.party_type, one.party) for one in subjects if one.key}
			found = sales.newest(buyers, terms.rules.company, groups, self.now)
			self._sales |= {(scope, key): found.get(key) for key in buyers}

	def sale_of(self, subject: "Subject", terms: "Terms") -> sales.Sale | None:
		if (terms.scope, subject.key) not in self._sales:
			self.look_for_sales([(subject, terms)])
		return self._sales.get((terms.scope, subject.key))

	# --- what policy needs to know ------------------------------------------------------------------------

	def refused(self, key: str, scope: Scope, is_marketing: bool, noes: Iterable["No"] = ()) -> Reason | None:
		"""Say which no of the person stands in the way: one of the address, or one of the noes given."""
		return refused(
			scope.topic,
			[
				permission_of(row)
				for row in self.consents[key]
				if (row["channel"], row["purpose"]) == (scope.channel, scope.purpose)
			],
			[
				*(refusal_of(row) for row in self.refusals(key, scope, is_marketing)),
				*(
					Refusal(no.kind, no.said_on or self.now, no.scope.topic or None)
					for no in noes
					if covers(no.scope, scope) and (is_marketing or no.scope.purpose)
				),
			],
			self.now,
		)

	def allows(self, row: Row, in_other_words: bool) -> bool:
		"""Whether a marketing mail may stand on a consent now; see `permission_of`."""
		scope = scope_of(row)
		return decide(
			scope.topic,
			[
				permission_of(one, in_other_words)
				for one in self.consents[row["address_key"]]
				if (one["channel"], one["purpose"]) == (scope.channel, scope.purpose)
			],
			[refusal_of(one) for one in self.refusals(row["address_key"], scope, is_marketing=True)],
			self.now,
		).allowed

	def refusals(self, key: str, scope: Scope, is_marketing: bool) -> list[Row]:
		"""List the suppressions that touch a scope; an objection to all marketing touches nothing else."""
		return [
			row
			for row in self.suppressions[key]
			if covers(scope_of(row), scope) and (is_marketing or row["purpose"])
		]

	def live(self, key: str, scope: Scope) -> Row | None:
		"""Return the live record of a scope. One that is over by the clock is ended first."""
		for row in self.consents[key]:
			if scope_of(row) == scope and row["status"] in LIVE and not self.end_if_over(row):
				return row
		return None

	def end_if_over(self, row: Row) -> bool:
		if not row.get("expires_on") or row["expires_on"] > self.now:
			return False
		kind = {
			Status.GIVEN: EventKind.EXPIRE,
			Status.REQUESTED: EventKind.LAPSE,
			Status.NOT_REQUIRED: EventKind.END,
		}.get(row["status"])
		if kind:
			# A proof that came late may be older than the record that it proves.
			over = max(row["expires_on"], row["since"])
			self.append("Consent", row, kind, Act(SYSTEM), {"ended_on": over}, over)
		return bool(kind)


def _check_guardian(said: Mapping[str, Any]) -> None:
	"""Whichever way a child's consent is given, its guardian gives it, and was verified (Art. 8, V8)."""
	for column in ("guardian_name", "guardian_verification") if said.get("is_minor") else ():
		if not said.get(column):
			raise EvidenceMissing(
				_(
					"{0} is missing. Below the age of consent a parent or guardian agrees: say who, and how"
					" you made sure of it (Art. 8 GDPR)."
				).format(frappe.bold(label_of(column)))
			)


def label_of(column: str) -> str:
	return _(frappe.get_meta("Consent").get_label(column))


def lock(keys: list[str]) -> bool:
	"""Make everybody else who acts on these addresses wait until this transaction ends.

	Rows that always exist are locked, by primary key, so that no gap is locked and nobody else has to wait. A
	unique index on live records instead would lock gaps, and make people at different addresses deadlock.

	Returns:
		whether this transaction's view of the addresses is older than the lock, so that only reads which lock
		see what others have committed since.
	"""
	shards = sorted({shard_of(key) for key in keys})
	if not shards:
		return False
	see_what_others_did()
	query = "select `name`, `version` from `tabConsent Lock` where `name` in %s"
	locked = dict(frappe.db.sql(f"{query} order by `name` for update", (shards,)))
	missing = set(shards) - set(locked)
	if missing:
		raise UnknownReference(
			_("Consent Lock has no row {0}. Run bench migrate, which restores it.").format(sorted(missing)[0])
		)
	seen = dict(frappe.db.sql(query, (shards,)))
	frappe.db.sql("update `tabConsent Lock` set `version` = `version` + 1 where `name` in %s", (shards,))

	stale: set[str] = getattr(frappe.local, "consent_stale_shards", None) or set()
	frappe.local.consent_stale_shards = stale
	stale |= {shard for shard in shards if locked[shard] != seen.get(shard)}
	for callbacks in (frappe.db.after_commit, frappe.db.after_rollback):
		callbacks.add(stale.clear)
	return not stale.isdisjoint(shards)


def wait_for(key: str) -> None:
	"""Make everybody else who acts on an address wait until this transaction ends. For who writes beside the
	register what there may be once for an address; to be called before anything is read."""
	lock([key])


def shard_of(key: str) -> str:
	return key.split(":")[1][:SHARD_DIGITS]


def create_missing_locks() -> None:
	existing = set(frappe.get_all("Consent Lock", pluck="name"))
	names = (f"{number:0{SHARD_DIGITS}x}" for number in range(16**SHARD_DIGITS))
	ledger.insert("Consent Lock", [{"name": name, "version": 0} for name in names if name not in existing])


def _update(doctype: str, rows: list[Row], columns: Iterable[str]) -> None:
	"""Store the columns given, and those that each event changes."""
	changed = {*columns, "status", "since", "last_seq", "last_hash"}
	stored = frappe.get_meta(doctype).get_valid_columns()
	ledger.update(doctype, rows, [column for column in stored if column in changed])


def scope_of(row: Row) -> Scope:
	return Scope(row["channel"] or "", row["purpose"] or "", row["topic"] or "")


def covers(said: Scope, scope: Scope) -> bool:
	"""Whether what was said about one scope, in which empty means every one, is about the other too."""
	return all(part in ("", whole) for part, whole in zip(said, scope, strict=True))


def party_of(row: Row) -> tuple[str | None, str | None]:
	return row.get("party_type"), row.get("party")


def permission_of(row: Row, in_other_words: bool = False) -> Permission:
	"""Return what a consent means by the rules of today.

	Args:
		in_other_words: take the words of it for today's, to ask about those that have changed since (V6).
	"""
	requirements = proof.requirements_for(row["purpose"], row["channel"])
	if in_other_words:
		requirements = requirements._replace(outdated_wordings=frozenset())
	return Permission(
		name=row["name"],
		topic=row["topic"] or "",
		status=Status(row["status"]),
		ground=requirements.ground_in(row.get("country"), proof.ground_of(row["legal_basis"])),
		since=row["since"],
		given_on=row.get("given_on"),
		expires_on=row.get("expires_on"),
		confirmed_on=row.get("confirmed_on"),
		is_proven=requirements.are_met(
			row.get("country"),
			row.get("evidence_grade"),
			row.get("double_opt_in"),
			row.get("confirmed_on"),
			row.get("wording"),
		),
	)


def refusal_of(row: Row) -> Refusal:
	return Refusal(RefusalKind(row["kind"]), row["said_on"], row["topic"] or None, row.get("lifted_on"))


def rows_named(doctype: str, names: list[str]) -> list[frappe._dict]:
	table = frappe.qb.DocType(doctype)
	found = (
		frappe.qb.from_(table).select(table.star).where(table.name.isin(names)).run(as_dict=True)
		if names
		else []
	)
	if missing := set(names) - {row.name for row in found}:
		raise UnknownReference(
			_("{0} {1} doesn't exist.").format(
				_(doctype), frappe.bold(frappe.utils.escape_html(missing.pop()))
			)
		)
	return found
