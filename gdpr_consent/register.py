"""The only writer of consents, suppressions and their events.

Every function locks what it touches, checks the transition, writes the event and the row it leads to, and
stores nothing if anything is wrong. Whoever calls has checked that the user may do this; see `api.py`.
"""

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.query_builder.functions import Max
from frappe.utils import getdate

from gdpr_consent import announcements, email_groups, journal, ledger, proof, sales, standing
from gdpr_consent.clock import add_months, now_utc, to_system_time, utc_text
from gdpr_consent.exceptions import (
	ChangedMeanwhile,
	ConfirmationPending,
	ConsentError,
	ConsentGiven,
	EvidenceMissing,
	InvalidPeriod,
	LegalBasisNotAllowed,
	NewerOnRecord,
	NoSale,
	NoStays,
	OtherWording,
	OverByNow,
	StandingRefusal,
	TransitionNotAllowed,
	UnknownReference,
	WrongChannel,
)
from gdpr_consent.failures import log_failure
from gdpr_consent.identity import (
	address_key,
	address_keys,
	addresses_of,
	addresses_of_the_person,
	bare,
	is_phone_number,
	is_shared,
	people_at,
)
from gdpr_consent.policy import (
	ENDED_BY_OTHERS,
	LIVE,
	NEVER,
	SAID_BY_THE_PERSON,
	STATUS_AFTER,
	TRANSITIONS,
	Channel,
	EventKind,
	MarketingGround,
	Permission,
	Reason,
	Refusal,
	RefusalKind,
	Status,
	decide,
	refused,
)
from gdpr_consent.waiting import see_what_others_did
from gdpr_consent.words import reason_in_words

CONSENT_BASIS = "Consent"
CONFIRMABLE = (Status.REQUESTED, Status.GIVEN, Status.NOT_REQUIRED)
CONTROLLER, DATA_SUBJECT, SYSTEM = "Controller", "Data Subject", "System"
REACHES_NUMBERS = {Channel.EMAIL.value: False, Channel.SMS.value: True, Channel.PHONE.value: True}
SHARD_DIGITS = 3  # of the address key: 4,096 rows to lock
AT_ONCE = 1_000
NOWHERE = proof.Place(None, "Unknown")
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


# --- locks, loading, writing --------------------------------------------------------------------------------


class _Writing:
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
		self.acts = 0  # events that aren't by the clock
		self._wording_hashes: dict[str | None, str | None] = {None: None}
		self._sales: dict[tuple[Scope, str], sales.Sale | None] = {}

	def __enter__(self) -> "_Writing":
		fresh = not self.dry_run and _lock(self.keys)
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
		"""
		occurred_at = occurred_at or self.now
		self._check_transition(row, kind, occurred_at)
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
		announcements.note(event for event, _head in self._events["Consent"])
		journal.note(event for events in self._events.values() for event, _head in events)
		if not self.bulk_update:  # whose job has the lists follow when it ends
			standing.follow_register(
				[row for changed in self._changed.values() for row in changed.values()], self.is_stale
			)

	def _keep_email_groups_in_step(self) -> None:
		changed = [
			(row["address_key"], _scope_of(row))
			for rows in self._changed.values()
			for row in rows.values()
			if row.get("address_key") in self.consents
		]
		for one in email_groups.all_groups() if changed else ():
			scope = Scope(Channel.EMAIL.value, one.purpose, one.topic)
			touched = {key for key, said in changed if _covers(said, scope)}
			standings = {key: self._standing(key, one) for key in touched}
			email_groups.set_members(one.group, {key: found for key, found in standings.items() if found})

	def _standing(self, key: str, one: email_groups.TopicGroup) -> email_groups.Standing | None:
		"""Say where an address stands with a topic, None if it never had a consent to it."""
		scope = Scope(Channel.EMAIL.value, one.purpose, one.topic)
		rows = [row for row in self.consents[key] if _scope_of(row) in (scope, scope._replace(topic=""))]
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
					if _covers(no.scope, scope) and (is_marketing or no.scope.purpose)
				),
			],
			self.now,
		)

	def allows(self, row: Row, in_other_words: bool) -> bool:
		"""Whether a marketing mail may stand on a consent now; see `permission_of`."""
		scope = _scope_of(row)
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
			if _covers(_scope_of(row), scope) and (is_marketing or row["purpose"])
		]

	def live(self, key: str, scope: Scope) -> Row | None:
		"""Return the live record of a scope. One that is over by the clock is ended first."""
		for row in self.consents[key]:
			if _scope_of(row) == scope and row["status"] in LIVE and not self.end_if_over(row):
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


def _lock(keys: list[str]) -> bool:
	"""Make everybody else who acts on these addresses wait until this transaction ends.

	Rows that always exist are locked, by primary key, so that no gap is locked and nobody else has to wait. A
	unique index on live records instead would lock gaps, and make people at different addresses deadlock.

	Returns:
		whether this transaction's view of the addresses is older than the lock, so that only reads which lock
		see what others have committed since.
	"""
	shards = sorted({_shard(key) for key in keys})
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
	_lock([key])


def _shard(key: str) -> str:
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


def _scope_of(row: Row) -> Scope:
	return Scope(row["channel"] or "", row["purpose"] or "", row["topic"] or "")


def _covers(said: Scope, scope: Scope) -> bool:
	"""Whether what was said about one scope, in which empty means every one, is about the other too."""
	return all(part in ("", whole) for part, whole in zip(said, scope, strict=True))


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
		ground=requirements.ground_in(row.get("country"), ground_of(row["legal_basis"])),
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


def ground_of(legal_basis: str) -> MarketingGround:
	return MarketingGround(frappe.get_cached_value("Legal Basis", legal_basis, "marketing"))


# --- checks -------------------------------------------------------------------------------------------------


def check_purpose(purpose: str | None, also_disabled: bool = False) -> Document:
	"""Return an enabled Processing Purpose; None means the default one."""
	if not purpose:
		purpose = frappe.db.get_single_value("Consent Settings", "default_purpose")
		if not purpose:
			raise UnknownReference(
				_(
					"Purpose is missing, and Consent Settings has no default marketing purpose. Name a "
					"purpose."
				)
			)
	return _check_enabled("Processing Purpose", purpose, _("Purpose"), also_disabled)


def check_topic(topic: str | None, purpose: str, also_disabled: bool = False) -> str | None:
	"""Return the name of an enabled topic of the purpose, as it is stored."""
	if not topic:
		return None
	found = _check_enabled("Subscription Topic", topic, _("Topic"), also_disabled)
	if found.purpose != purpose:
		raise UnknownReference(
			_("Topic {0} belongs to purpose {1}, not to {2}.").format(
				frappe.bold(found.name), frappe.bold(found.purpose), frappe.bold(purpose)
			)
		)
	return found.name


def _check_enabled(doctype: str, name: str, label: str, also_disabled: bool = False) -> Document:
	found = frappe.get_cached_doc(doctype, _check_exists(doctype, name, label))
	if not (found.enabled or also_disabled):
		raise UnknownReference(
			_("{0} {1} is disabled. Enable it, or choose another {2}.").format(
				label, frappe.bold(found.name), _(doctype)
			)
		)
	return found


def _check_exists(doctype: str, name: str, label: str) -> str:
	"""Return the name as it is stored: the database finds "phone" where "Phone" is."""
	stored = frappe.db.exists(doctype, name) if isinstance(name, str) else None
	if not stored:
		raise UnknownReference(
			_("{0} {1} doesn't exist. Choose one from the list of {2}.").format(
				label, frappe.bold(frappe.utils.escape_html(str(name))), _(doctype)
			)
		)
	return stored


def check_source(source: str | None) -> str | None:
	return _check_enabled("Consent Source", source, _("Source")).name if source else None


def source_if_known(source: str) -> str | None:
	"""Return a source of ours if the site still has it. A no isn't turned away because somebody tidied up."""
	return frappe.db.exists("Consent Source", source) or None


def check_legal_basis(legal_basis: str, purpose: Document) -> str:
	"""Return the name of an enabled Legal Basis that a purpose allows, as it is stored."""
	found = _check_enabled("Legal Basis", legal_basis, _("Legal Basis"))
	allowed = [row.legal_basis for row in purpose.allowed_legal_bases]
	if found.name not in allowed:
		raise LegalBasisNotAllowed(
			_("Legal Basis {0} isn't allowed for purpose {1}. Allowed: {2}.").format(
				frappe.bold(found.name), frappe.bold(purpose.name), ", ".join(allowed)
			)
		)
	return found.name


def _check_wording(wording: str | None, purpose: str, topic: str | None) -> Document | None:
	if not wording:
		return None
	found = frappe.get_cached_doc("Consent Wording", _check_exists("Consent Wording", wording, _("Wording")))
	if found.purpose != purpose or (found.topic or None) not in (None, topic or None):
		raise UnknownReference(
			_("Wording {0} is about {1}, not about {2}.").format(
				frappe.bold(found.name),
				frappe.bold(found.topic or found.purpose),
				frappe.bold(topic or purpose),
			)
		)
	return found


def _check_language(language: str | None) -> str | None:
	return _check_exists("Language", language, _("Language")) if language else None


def check_channel(channel: str) -> str:
	if channel not in {known.value for known in Channel}:
		raise UnknownReference(
			_("Channel {0} doesn't exist. Use one of {1}.").format(
				frappe.bold(frappe.utils.escape_html(str(channel))),
				", ".join(known.value for known in Channel),
			)
		)
	return channel


def reaches(channel: str, address: str) -> bool:
	"""Whether a channel, or any if it is empty, reaches somebody at such an address (EM-23, NA-05)."""
	return channel not in REACHES_NUMBERS or is_phone_number(address) == REACHES_NUMBERS[channel]


def _check_reaches(channel: str, address: str) -> str:
	if reaches(check_channel(channel), address):
		return channel
	needed = _("a number such as +48 600 100 200") if REACHES_NUMBERS[channel] else _("an e-mail address")
	raise WrongChannel(
		_("Channel {0} doesn't reach {1}. It needs {2}.").format(
			frappe.bold(_(channel)), frappe.bold(frappe.utils.escape_html(address)), needed
		)
	)


def _grade(evidence: str | None) -> str:
	"""Grade what staff recorded: C with a document, D with words or nothing. A is for the person's own
	confirmation only, B for the person's own form."""
	if not (evidence or "").startswith(("/files/", "/private/files/")):
		return "D"
	if not frappe.db.exists("File", {"file_url": evidence}):
		raise EvidenceMissing(
			_(
				"Evidence {0} isn't a file of this site. Attach the file, or describe the proof in words."
			).format(frappe.bold(frappe.utils.escape_html(evidence)))
		)
	return "C"


# --- yes ----------------------------------------------------------------------------------------------------


def record(
	*,
	email: str,
	purpose: str | None = None,
	topic: str | None = None,
	channel: str = Channel.EMAIL.value,
	legal_basis: str = CONSENT_BASIS,
	source: str | None = None,
	given_on: datetime | None = None,
	expires_on: datetime | None = None,
	wording: str | None = None,
	language: str | None = None,
	evidence: str | None = None,
	party_type: str | None = None,
	party: str | None = None,
) -> Row:
	"""Record that somebody agreed, or that a purpose rests on another legal basis (T2, T10, T13).

	A live record of the same scope is replaced; the same facts again change nothing.

	Args:
		given_on, expires_on: naive UTC; now, and the purpose's validity in months after it, if not given.
		evidence: URL of a File, or words.

	Raises:
		EvidenceMissing, NoSale, StandingRefusal, TransitionNotAllowed, UnknownReference,
		LegalBasisNotAllowed, InvalidPeriod, InvalidAddress
	"""
	key = address_key(email)
	terms = terms_of(purpose, topic, channel, legal_basis, source, wording, language)
	_check_reaches(channel, email)
	if terms.needs_proof and not (terms.source and (evidence or "").strip()):
		raise EvidenceMissing(
			_(
				"{0} is missing. A consent counts only with its source and a proof: a file, or words that say"
				" who agreed, how and where (Art. 7(1) GDPR)."
			).format(frappe.bold(_("Evidence") if terms.source else _("Source")))
		)
	subject = Subject(
		email,
		key,
		party_type,
		party,
		_addresses_of_the_party(party_type, party),
		proof.place_of(email, party_type, party, terms.rules.company),
	)
	grade = _grade(evidence)
	with _Writing([key, *subject.theirs]) as writing:
		noes = _noes_of(writing, subject, *_rows_of_party(party_type, party))
		row = _record(writing, terms, subject, noes, evidence, grade, given_on, expires_on)
		_mark_used(terms.wording)
	return row


class Terms(NamedTuple):
	"""What a record of the register is to say, apart from whom it is about."""

	rules: Document
	scope: Scope
	legal_basis: str
	source: str | None
	wording: str | None
	language: str | None

	@property
	def needs_proof(self) -> bool:
		return self.legal_basis == CONSENT_BASIS or self.rests_on_a_sale

	@property
	def rests_on_a_sale(self) -> bool:
		return bool(
			self.rules.is_marketing and ground_of(self.legal_basis) == MarketingGround.EXISTING_CUSTOMER
		)


class Subject(NamedTuple):
	"""Whom a record is about: an address, and the party that gave it."""

	email: str
	key: str
	party_type: str | None
	party: str | None
	theirs: dict[str, str]  # addresses, by key, from which the party speaks for itself
	place: proof.Place


def terms_of(
	purpose: str | None,
	topic: str | None,
	channel: str,
	legal_basis: str | None,
	source: str | None,
	wording: str | None = None,
	language: str | None = None,
) -> Terms:
	"""Check what is asked for against the site's purposes, topics, legal bases, sources and wordings.

	Raises:
		UnknownReference, LegalBasisNotAllowed
	"""
	rules = check_purpose(purpose)
	scope = Scope(check_channel(channel), rules.name, check_topic(topic, rules.name) or "")
	legal_basis = check_legal_basis(legal_basis or rules.default_legal_basis, rules)
	source = check_source(source)
	text = _check_wording(wording, scope.purpose, scope.topic)
	language = _check_language(language) or (text.language if text else None)
	return Terms(rules, scope, legal_basis, source, text.name if text else None, language)


def terms_to_end(purpose: str | None, topic: str | None, channel: str, source: str | None) -> Terms:
	"""Check what is to end. A purpose or a topic that is disabled by now can still be ended."""
	rules = check_purpose(purpose, also_disabled=True)
	topic = check_topic(topic, rules.name, also_disabled=True)
	scope = Scope(check_channel(channel), rules.name, topic or "")
	return Terms(rules, scope, CONSENT_BASIS, check_source(source), None, None)


def _record(
	writing: _Writing,
	terms: Terms,
	subject: Subject,
	noes: list[No],
	evidence: str | None,
	grade: str,
	given_on: datetime | None,
	expires_on: datetime | None = None,
	reason: str | None = None,
) -> Row:
	facts = {
		**_facts_of(terms, subject),
		"evidence": evidence,
		"evidence_grade": grade,
		**_period(given_on, expires_on, terms.rules.validity_months, writing.now),
	}
	_check_not_refused(writing, terms, subject, noes)
	if terms.rests_on_a_sale:
		facts |= _facts_of_the_sale(writing, terms, subject, facts["expires_on"])
	by_consent = terms.legal_basis == CONSENT_BASIS
	kind = EventKind.GIVE if by_consent else EventKind.RECORD
	act = Act(DATA_SUBJECT if by_consent else CONTROLLER, terms.source, reason, terms.wording)
	row = _replace(writing, writing.live(subject.key, terms.scope), kind, facts, act)
	writing.end_if_over(row)
	return row


def _facts_of_the_sale(writing: _Writing, terms: Terms, subject: Subject, expires_on: datetime | None) -> Row:
	"""Name the sale that the existing-customer rule rests on, as long as it does (SO-01 to SO-04, SO-08).

	Raises:
		EvidenceMissing: no wording that offered to object. NoSale
	"""
	if not (terms.wording and frappe.get_cached_value("Consent Wording", terms.wording, "offers_objection")):
		raise EvidenceMissing(
			_(
				"{0} needs a wording that was shown with the sale and offers to object. Choose it as {1}, or"
				" tick {2} in the wording, if its text does (Art. 13(2) ePrivacy)."
			).format(
				frappe.bold(_(terms.legal_basis)),
				frappe.bold(_("Wording")),
				frappe.bold(_("Offers to Object")),
			)
		)
	sale = writing.sale_of(subject, terms)
	if not sale:
		raise NoSale(
			_(
				"Nobody at this address bought one of the products that {0} is about from {1} in the last {2}"
				" months. Without such a sale {3} allows nothing (Art. 13(2) ePrivacy). The products are set"
				" in {0}, in the field {4}."
			).format(
				frappe.bold(terms.scope.topic or terms.scope.purpose),
				frappe.bold(sales.seller(terms.rules.company) or "?"),
				sales.months(),
				frappe.bold(_(terms.legal_basis)),
				frappe.bold(_("Advertised Products")),
			)
		)
	return _resting_on(sale, expires_on)


def _resting_on(sale: sales.Sale, expires_on: datetime | None) -> Row:
	until = sales.ends_on(sale)
	return {
		"sale_doctype": sale.doctype,
		"sale": sale.name,
		"expires_on": min(expires_on, until) if expires_on else until,
	}


def _facts_of(terms: Terms, subject: Subject) -> Row:
	return {
		**_subject(subject.email, subject.key, terms.scope, terms.rules.company),
		**_demands(terms.scope, subject.place),
		"party_type": subject.party_type,
		"party": subject.party,
		"legal_basis": terms.legal_basis,
		"source": terms.source,
		"recorded_by": frappe.session.user,
		"wording": terms.wording,
		"language": terms.language,
	}


def _check_not_refused(writing: _Writing, terms: Terms, subject: Subject, noes: list[No]) -> None:
	reason = writing.refused(subject.key, terms.scope, terms.rules.is_marketing, noes)
	if reason:
		raise StandingRefusal(
			_(
				"The person said no to {0} ({1}). Only they can lift that, by confirming from their own"
				" mailbox; see the preference link."
			).format(frappe.bold(terms.scope.topic or terms.scope.purpose), reason_in_words(reason)),
			reason,
		)


def _replace(writing: _Writing, live: Row | None, kind: EventKind, facts: Row, act: Act) -> Row:
	"""Write a yes: on the live record of its scope, or on a new one that takes the place of that one."""
	given_on = facts["given_on"]
	if live and live["status"] == Status.UNKNOWN:
		writing.append("Consent", live, kind, act, facts, given_on if given_on >= live["since"] else None)
		return live
	if not live:
		return writing.open("Consent", kind, facts, act, given_on)
	if _same_facts(live, facts):
		return live
	_check_may_follow(live, facts)
	row = writing.open("Consent", kind, facts | {"supersedes": live["name"]}, act, given_on)
	superseded = {"superseded_by": row["name"], "ended_on": given_on}
	writing.append("Consent", live, EventKind.SUPERSEDE, act, superseded, given_on)
	return row


def _period(
	given_on: datetime | None, expires_on: datetime | None, validity_months: int | None, now: datetime
) -> Row:
	given_on = given_on or now
	if given_on > now:
		raise InvalidPeriod(_("Given On {0} UTC lies in the future.").format(given_on))
	if expires_on is None and validity_months:
		expires_on = add_months(given_on, validity_months)
	if expires_on and expires_on <= given_on:
		raise InvalidPeriod(
			_("Expires On {0} UTC isn't after Given On {1} UTC.").format(expires_on, given_on)
		)
	return {"given_on": given_on, "expires_on": expires_on}


def _subject(email: str, key: str, scope: Scope, company: str | None) -> Row:
	return {
		"email": bare(email),
		"address_key": key,
		"channel": scope.channel,
		"purpose": scope.purpose,
		"topic": scope.topic or None,
		"company": company,
	}


def _demands(scope: Scope, place: proof.Place) -> Row:
	"""What the rules in force now ask of a consent, which stays with it (V4, NA-07)."""
	return {
		"double_opt_in": int(proof.needs_double_opt_in(scope.channel, scope.topic, place.country)),
		"country": place.country,
		"country_source": place.source,
	}


def _same_facts(live: Row, facts: Row) -> bool:
	same = ("legal_basis", "sale", "source", "given_on", "expires_on", "wording", "evidence")
	return all((live.get(column) or None) == (facts.get(column) or None) for column in same)


def _check_may_follow(live: Row, facts: Row) -> None:
	if live["status"] == Status.REQUESTED:
		raise ConfirmationPending(
			_("A confirmation is pending until {0} UTC. Wait for the person's answer.").format(
				live["expires_on"]
			)
		)
	if live["status"] == Status.GIVEN and facts["legal_basis"] != CONSENT_BASIS:
		raise ConsentGiven(
			_("The person gave consent. {0} can't take its place (EDPB 05/2020).").format(
				frappe.bold(facts["legal_basis"])
			)
		)
	if facts["given_on"] < live["since"]:
		raise NewerOnRecord(
			_("Given On {0} UTC is before the consent on record, which was given on {1} UTC.").format(
				facts["given_on"], live["since"]
			)
		)


def _mark_used(wording: str | None) -> None:
	if wording and not frappe.db.get_value("Consent Wording", wording, "used"):
		frappe.db.set_value("Consent Wording", wording, "used", 1, update_modified=False)


def record_unproven(
	*,
	email: str,
	purpose: str | None = None,
	topic: str | None = None,
	channel: str = Channel.EMAIL.value,
	source: str | None = None,
	party_type: str | None = None,
	party: str | None = None,
	reason: str | None = None,
) -> Row:
	"""Record a consent that is claimed without proof: status Unknown, which allows nothing (T4, CA-17)."""
	key = address_key(email)
	_check_reaches(channel, email)
	terms = terms_of(purpose, topic, channel, CONSENT_BASIS, source)
	place = proof.place_of(email, party_type, party, terms.rules.company)
	subject = Subject(email, key, party_type, party, {}, place)
	with _Writing([key]) as writing:
		return writing.live(key, terms.scope) or _claim(writing, terms, subject, reason)


def _claim(writing: _Writing, terms: Terms, subject: Subject, reason: str | None = None) -> Row:
	facts = _facts_of(terms, subject) | {"evidence_grade": "D"}
	act = Act(CONTROLLER, terms.source, reason)
	return writing.open("Consent", EventKind.IMPORT, facts, act, writing.now)


def request(
	*,
	email: str,
	purpose: str | None = None,
	topics: Iterable[str] = (),
	source: str | None = None,
	language: str | None = None,
	party_type: str | None = None,
	party: str | None = None,
	by_the_person: bool = False,
	wordings: Mapping[str, str | None] | None = None,
	declarations: Mapping[str, str | None] | None = None,
	evidence: str | None = None,
) -> list[Row]:
	"""Note that somebody was asked to confirm: the purpose, and each topic (T1, T13).

	Args:
		wordings: the Consent Wording that was shown for each topic, "" being the purpose itself.
		declarations: what the person agreed to, in words, for each topic, where that is no Consent Wording.
		evidence: words that say what the person did just now, and where. What needs no double opt-in by the
			rules of the topic and the country (V4), and against which no refusal stands, is given by that.

	Returns:
		the records that wait for the answer. None if nothing is left to ask.

	Raises:
		StandingRefusal: the person said no, and it isn't the person who asks now.
	"""
	key = address_key(email)
	_check_reaches(Channel.EMAIL.value, email)
	asked = questions_of(purpose, topics, source, language, wordings)
	declared = {topic: text for topic, text in (declarations or {}).items() if text}
	place = proof.place_of(email, party_type, party, asked.rules.company)
	theirs = _addresses_of_the_party(party_type, party)
	subject = Subject(email, key, party_type, party, theirs, place)
	with _Writing([key, *theirs]) as writing:
		noes = [] if by_the_person else _noes_of(writing, subject, *_rows_of_party(party_type, party))
		if not by_the_person and (
			_restrictions(writing, party_type, party)
			or any(no.kind == RefusalKind.RESTRICTION for no in noes)
		):
			raise StandingRefusal(
				_("Processing is restricted (Art. 18 GDPR). Nobody is asked by mail before that is lifted."),
				Reason.RESTRICTED,
			)
		return _request(writing, asked, subject, noes, by_the_person, declared, evidence)


class Questions(NamedTuple):
	"""What somebody is asked to confirm: a purpose, and topics of it, each with the wording shown."""

	rules: Document
	topics: list[str]
	source: str | None
	language: str | None
	wordings: dict[str, str | None]
	hours: int  # to answer


def questions_of(
	purpose: str | None,
	topics: Iterable[str],
	source: str | None,
	language: str | None,
	wordings: Mapping[str, str | None] | None = None,
) -> Questions:
	"""Check what somebody is to be asked against the site's purposes, topics, sources and wordings.

	Raises:
		UnknownReference, LegalBasisNotAllowed
	"""
	rules = check_purpose(purpose)
	topics = list(dict.fromkeys(check_topic(topic, rules.name) or "" for topic in topics))
	source, language = check_source(source), _check_language(language)
	check_legal_basis(CONSENT_BASIS, rules)
	texts = {topic: _check_wording((wordings or {}).get(topic), rules.name, topic) for topic in ["", *topics]}
	hours = frappe.db.get_single_value("Consent Settings", "confirmation_hours") or 72
	shown = {topic: text.name if text else None for topic, text in texts.items()}
	return Questions(rules, topics, source, language, shown, min(hours, 168))


def _request(
	writing: _Writing,
	asked: Questions,
	subject: Subject,
	noes: list[No],
	by_the_person: bool = False,
	declared: Mapping[str, str] | None = None,
	evidence: str | None = None,
) -> list[Row]:
	rules, declared = asked.rules, declared or {}
	needs_opt_in = {
		topic: proof.needs_double_opt_in(Channel.EMAIL.value, topic, subject.place.country)
		for topic in asked.topics
	}
	# The purpose is given with the first topic that is.
	needs_opt_in[""] = (
		all(needs_opt_in.values()) if asked.topics else proof.rule_of(subject.place.country).double_opt_in
	)
	mail_comes_back = any(not row.get("lifted_on") for row in _bounces(writing, subject.key))
	if mail_comes_back and not by_the_person:
		raise StandingRefusal(
			_(
				"Mail to this address comes back. Ask the person for another address, or lift the bounce if"
				" it works again."
			),
			Reason.SUPPRESSED,
		)
	at_once = by_the_person and evidence
	pending = []
	for topic in dict.fromkeys(["", *asked.topics]):
		scope = Scope(Channel.EMAIL.value, rules.name, topic)
		wording = asked.wordings[topic]
		act = Act(DATA_SUBJECT if by_the_person else CONTROLLER, asked.source, wording=wording)
		reason = writing.refused(subject.key, scope, rules.is_marketing, noes)
		if reason and not by_the_person:
			raise StandingRefusal(
				_(
					"The person said no to {0} ({1}). Asking again by mail would be marketing; they can"
					" sign up themselves."
				).format(frappe.bold(topic or rules.name), reason_in_words(reason)),
				reason,
			)
		live = writing.live(subject.key, scope)
		if live and live["status"] in (Status.GIVEN, Status.NOT_REQUIRED):
			if not by_the_person or not (mail_comes_back or _opens_nothing(live, rules)):
				continue
			if not at_once or reason or needs_opt_in[topic] or mail_comes_back:
				pending.append(_ask_again(writing, live, act))
				continue
		if live and live["status"] == Status.REQUESTED:
			pending.append(live)
			continue
		facts = {
			**_subject(subject.email, subject.key, scope, rules.company),
			**_demands(scope, subject.place),
			"double_opt_in": 1,
			"party_type": subject.party_type,
			"party": subject.party,
			"legal_basis": CONSENT_BASIS,
			"source": asked.source,
			"recorded_by": frappe.session.user,
			"language": asked.language,
			"wording": wording,
			# Who asks for a topic asks for its purpose with the same words.
			"evidence": declared.get(topic) or (None if topic else "\n".join(declared.values()) or None),
			"expires_on": writing.now + timedelta(hours=asked.hours),
		}
		if not writing.dry_run:
			_mark_used(wording)
		if at_once and not reason and not needs_opt_in[topic]:
			facts |= _period(None, None, rules.validity_months, writing.now)
			facts |= {"double_opt_in": 0, "evidence_grade": proof.OWN_FORM}
			facts["evidence"] = facts["evidence"] or evidence
			_replace(writing, live, EventKind.GIVE, facts, act)
		elif live:
			writing.append("Consent", live, EventKind.REQUEST, act, facts)
			pending.append(live)
		else:
			pending.append(writing.open("Consent", EventKind.REQUEST, facts, act, writing.now))
	return pending


def _opens_nothing(live: Row, rules: Any) -> bool:
	"""Whether marketing can't stand on a record that goes on: its proof isn't enough, or its basis isn't one
	where the person is."""
	permission = permission_of(live)
	if permission.status == Status.GIVEN:
		return not permission.is_proven
	return bool(rules.is_marketing) and permission.ground != MarketingGround.EXISTING_CUSTOMER


def _ask_again(writing: _Writing, live: Row, act: Act) -> Row:
	"""Note that the person of a consent that goes on was asked to confirm it anew (T10).

	There is no second live record until they do. The request stays on the one there is, with its wording.
	"""
	facts = {"asked_on": writing.now, "asked_wording": act.wording}
	writing.append("Consent", live, EventKind.ASK, act, facts)
	return live


def ask_again(consents: list[str], wordings: Mapping[str, str | None]) -> list[Row]:
	"""Note that the person of consents that go on is asked to confirm them anew (CA-15, V6).

	Args:
		consents: names.
		wordings: the Consent Wording that is shown, by consent.

	Returns:
		the records to ask about: those that are given, and that a mail may stand on now, or might if it
		weren't for the words that have changed.
	"""
	keys = {row.address_key for row in _named("Consent", consents) if row.address_key}
	asked = []
	with _Writing(keys) as writing:
		for row in [row for key in keys for row in writing.consents[key] if row["name"] in set(consents)]:
			if writing.end_if_over(row) or row["status"] != Status.GIVEN or not row["email"]:
				continue
			wording = wordings.get(row["name"])
			if not writing.allows(row, in_other_words=(row["wording"] or None) != (wording or None)):
				continue
			act = Act(CONTROLLER, row["source"], wording=wording)
			asked.append(_ask_again(writing, row, act))
			_mark_used(act.wording)
	return asked


def confirm(consents: list[str], issued_at: datetime) -> list[Row]:
	"""Record the person's own yes, given through a link sent to the address itself (T5).

	Args:
		consents: names of the records that the link was sent for.
		issued_at: when the link was made, naive UTC. A no said since then wins (ST-14).

	Returns:
		the records that are given now. Those that were confirmed before are left as they are.
	"""
	keys = {row.address_key for row in _named("Consent", consents) if row.address_key}
	with _Writing(keys) as writing:
		rows = [row for key in keys for row in writing.consents[key] if row["name"] in set(consents)]
		for row in rows:
			if writing.end_if_over(row) or row["status"] not in CONFIRMABLE:
				continue
			# Of a record that goes on, only a link that was made to renew it says anything more.
			renews = row["status"] != Status.REQUESTED
			if renews and not (row.get("asked_on") and row["since"] < row["asked_on"] <= issued_at):
				continue
			rules = frappe.get_cached_doc("Processing Purpose", row["purpose"])
			if any(
				refusal["said_on"] >= issued_at and not refusal.get("lifted_on")
				for refusal in writing.refusals(row["address_key"], _scope_of(row), rules.is_marketing)
			):
				continue
			months = rules.validity_months
			wording = row.get("asked_wording") if renews else row["wording"]
			facts = {
				"given_on": writing.now,
				"confirmed_on": writing.now,
				"expires_on": add_months(writing.now, months) if months else None,
				"evidence": "\n".join(filter(None, [row.get("evidence"), _confirmation_of(wording)])),
				"evidence_grade": proof.CONFIRMED,
				"double_opt_in": 1,
			}
			act = Act(DATA_SUBJECT, row["source"], wording=wording)
			if renews:
				_renew(writing, row, facts, act, rules.company)
			else:
				writing.append("Consent", row, EventKind.CONFIRM, act, facts)
			# Who follows a link that was sent there reads the mailbox.
			_lift_bounces(writing, row["address_key"], Act(DATA_SUBJECT, reason=_confirmation_of(wording)))
		successors = {  # of a renewal that was confirmed before
			row["supersedes"]: row
			for key in keys
			for row in writing.consents[key]
			if row.get("supersedes") and row.get("confirmed_on")
		}
		rows = [successors.get(row["name"], row) for row in rows]
		return [row for row in rows if row["status"] == Status.GIVEN]


def _renew(writing: _Writing, live: Row, confirmed: Row, act: Act, company: str | None) -> None:
	"""Put a confirmed consent in the place of one that goes on: same scope, new proof, new period (T10)."""
	same = ("party_type", "party", "language", "source", "country", "country_source")
	facts = {
		**_subject(live["email"], live["address_key"], _scope_of(live), company),
		**{column: live.get(column) for column in same},
		"legal_basis": CONSENT_BASIS,
		"recorded_by": frappe.session.user,
		"wording": act.wording,
		**confirmed,
	}
	_replace(writing, live, EventKind.GIVE, facts, act)
	_mark_used(act.wording)


def _confirmation_of(wording: str | None) -> str:
	if wording:
		return _("Confirmed through the link sent to the address.")
	return _("Confirmed through the link sent to the address. No wording is on record.")


def regrade() -> None:
	"""Give the rows written before grades meant what they mean now the grade that their events fold to."""
	table = frappe.qb.DocType("Consent")
	for old, new in sorted(ledger.OLD_GRADES.items(), reverse=True):  # C becomes D before B becomes C
		frappe.qb.update(table).set(table.evidence_grade, new).where(table.evidence_grade == old).run()


# --- no -----------------------------------------------------------------------------------------------------


def withdraw(
	emails: list[str],
	*,
	purpose: str | None = None,
	topic: str | None = None,
	party_type: str | None = None,
	party: str | None = None,
	channel: str = "",
	act: Act,
) -> list[str]:
	"""End what a person agreed to, and remember the no for each of the person's addresses (T6, T8).

	Args:
		channel: empty means every channel.

	Returns:
		names of the consents that this ended. Saying it twice ends nothing more.
	"""
	rules = check_purpose(purpose, also_disabled=True)  # a no isn't turned away because we tidied up
	scope = Scope(channel, rules.name, check_topic(topic, rules.name, also_disabled=True) or "")
	return say_no(
		[No(RefusalKind.WITHDRAWAL, scope, email, party_type, party) for email in emails]
		or [No(RefusalKind.WITHDRAWAL, scope, None, party_type, party)],
		act,
	)


def object_to_marketing(
	emails: list[str], *, party_type: str | None = None, party: str | None = None, act: Act
) -> list[str]:
	"""Stop all marketing on every channel, whatever it rests on (Art. 21(2), ST-05)."""
	scope = Scope("", "")
	return say_no(
		[No(RefusalKind.OBJECTION, scope, email, party_type, party) for email in emails]
		or [No(RefusalKind.OBJECTION, scope, None, party_type, party)],
		act,
	)


def say_no(noes: Iterable[No], act: Act) -> list[str]:
	"""Write refusals: end the live records they touch, and suppress each address where that isn't enough.

	Returns:
		names of the consents that were ended.
	"""
	noes = list(noes)
	with _Writing(key for no in noes if (key := no.key)) as writing:
		return _say_no(writing, noes, act)


def _say_no(writing: _Writing, noes: Iterable[No], act: Act) -> list[str]:
	ended: list[str] = []
	for no in noes:
		key = no.key
		if no.email and not reaches(no.scope.channel, no.email):
			continue
		if key:
			if no.kind not in ENDED_BY_OTHERS:
				ended += _end_live(writing, key, no, act)
			if not _stands_already(writing, key, no):
				_suppress(writing, key, no, act)
		elif (no.party or no.origin) and not _stands_without_address(no):
			_suppress(writing, None, no, act)
	return ended


def _end_live(writing: _Writing, key: str, no: No, act: Act) -> list[str]:
	ended = []
	said_on = no.said_on or writing.now
	for row in list(writing.consents[key]):
		if row["status"] not in LIVE or writing.end_if_over(row) or not _covers(no.scope, _scope_of(row)):
			continue
		if not no.scope.purpose and row["purpose"] not in writing.marketing_purposes:
			continue
		kind = {
			Status.GIVEN: EventKind.WITHDRAW,
			Status.REQUESTED: EventKind.REFUSE,
			Status.NOT_REQUIRED: EventKind.END,
		}.get(row["status"])
		if not kind:
			continue  # Unknown allows nothing, and the suppression says the rest
		asked = row["since"] if row["status"] == Status.REQUESTED else None
		if (row.get("confirmed_on") or asked or said_on) > said_on:
			continue  # an old no that is taken over now doesn't undo the person's newer yes, nor its asking
		at = max(said_on, row["since"])
		writing.append("Consent", row, kind, act, {"ended_on": at}, at)
		ended.append(row["name"])
	return ended


def _stands_already(writing: _Writing, key: str, no: No) -> bool:
	"""Whether the same no stands, and the person confirmed nothing in its scope between the two.

	Who is restricted for themselves has a restriction of their own, so that it outlasts that of somebody else
	who shares the address.
	"""
	said_on = no.said_on or writing.now
	confirmed = [
		row["confirmed_on"]
		for row in writing.consents[key]
		if row.get("confirmed_on") and _covers(no.scope, _scope_of(row))
	]
	return any(
		row["kind"] == no.kind
		and _scope_of(row) == no.scope
		and not row.get("lifted_on")
		and (no.kind != RefusalKind.RESTRICTION or not no.party or _whose(row) == (no.party_type, no.party))
		# Each opt-out of core's is noted, or it would be looked at again every hour.
		and (not no.origin or (row["origin_doctype"], row["origin"]) == (no.origin_doctype, no.origin))
		and not any(row["said_on"] < yes <= said_on for yes in confirmed)
		for row in writing.suppressions[key]
	)


def _whose(row: Row) -> tuple[str | None, str | None]:
	return row.get("party_type"), row.get("party")


def _suppress(writing: _Writing, key: str | None, no: No, act: Act) -> None:
	facts = {
		"kind": no.kind.value,
		"email": bare(no.email) if no.email else None,
		"address_key": key,
		"party_type": no.party_type,
		"party": no.party,
		"channel": no.scope.channel or None,
		"purpose": no.scope.purpose or None,
		"topic": no.scope.topic or None,
		"said_on": no.said_on or writing.now,
		"source": act.source,
		"recorded_by": frappe.session.user,
		"origin_doctype": no.origin_doctype,
		"origin": no.origin,
	}
	writing.open("Suppression", EventKind.SUPPRESS, facts, act, no.said_on or writing.now)


def _stands_without_address(no: No) -> bool:
	facts = {
		"kind": no.kind.value,
		"party_type": no.party_type,
		"party": no.party,
		"channel": no.scope.channel,
		"purpose": no.scope.purpose,
		"topic": no.scope.topic,
		**({"origin_doctype": no.origin_doctype, "origin": no.origin} if no.origin else {}),
	}
	return bool(
		frappe.db.exists(
			"Suppression",
			{column: value or ["is", "not set"] for column, value in facts.items()}
			| {"lifted_on": ["is", "not set"]},
		)
	)


def refuse(
	*,
	email: str,
	purpose: str | None = None,
	topic: str | None = None,
	source: str | None = None,
	wording: str | None = None,
	party_type: str | None = None,
	party: str | None = None,
) -> Row:
	"""Record that somebody was asked and said no (T3, T6, T8).

	Returns:
		the record that says so: the one that was live, or a new one.
	"""
	key = address_key(email)
	_check_reaches(Channel.EMAIL.value, email)
	rules = check_purpose(purpose, also_disabled=True)
	topic = check_topic(topic, rules.name, also_disabled=True)
	source = check_source(source)
	text = _check_wording(wording, rules.name, topic)
	act = Act(DATA_SUBJECT, source, wording=text.name if text else None)
	scope = Scope(Channel.EMAIL.value, rules.name, topic or "")
	place = proof.place_of(email, party_type, party, rules.company)
	with _Writing([key]) as writing:
		_say_no(writing, [No(RefusalKind.WITHDRAWAL, scope, email, party_type, party)], act)
		if said := [
			row
			for row in writing.consents[key]
			if _scope_of(row) == scope and row["status"] in SAID_BY_THE_PERSON
		]:
			return max(said, key=lambda row: row["since"])
		facts = {
			**_subject(email, key, scope, rules.company),
			**_demands(scope, place),
			"party_type": party_type,
			"party": party,
			"legal_basis": CONSENT_BASIS,
			"source": source,
			"wording": act.wording,
			"recorded_by": frappe.session.user,
			"ended_on": writing.now,
		}
		_mark_used(act.wording)
		return writing.open("Consent", EventKind.REFUSE, facts, act, writing.now)


# --- restriction (Art. 18) ----------------------------------------------------------------------------------


def restrict(
	emails: list[str], *, party_type: str | None = None, party: str | None = None, reason: str | None
) -> list[str]:
	"""Stop everything but storage for a person, as they may ask for (Art. 18, DS-20).

	Returns:
		names of the restrictions that stand. Saying it twice adds nothing.

	Raises:
		EvidenceMissing: no reason given.
	"""
	_check_reason(reason)
	scope = Scope("", "")
	noes = [No(RefusalKind.RESTRICTION, scope, email, party_type, party) for email in emails] or [
		No(RefusalKind.RESTRICTION, scope, None, party_type, party)
	]
	with _Writing(key for no in noes if (key := no.key)) as writing:
		_say_no(writing, noes, Act(DATA_SUBJECT, reason=reason))
		return [row["name"] for row in _restrictions(writing, party_type, party)]


def lift_restriction(
	emails: list[str],
	*,
	party_type: str | None = None,
	party: str | None = None,
	reason: str | None,
	informed_on: date | None,
) -> list[str]:
	"""End a restriction. The person is told before that (Art. 18(3), DS-20).

	It ends for all addresses that it was said for, also those that the person doesn't have any more. One of
	somebody else, who is restricted for themselves at the same address, stays.

	Args:
		informed_on: the day on which the person was told that it will be lifted.

	Returns:
		names of the restrictions that this lifted.

	Raises:
		EvidenceMissing: no reason or no day given.
		InvalidPeriod: a day to come, or before the restriction.
	"""
	_check_reason(reason)
	if not informed_on:
		raise EvidenceMissing(
			_("Person Told On is missing. Tell the person first, then say on which day (Art. 18(3) GDPR).")
		)
	if informed_on > getdate():
		raise InvalidPeriod(_("Person Told On {0} lies in the future.").format(informed_on))
	keys = {key: email for email, key in address_keys(emails).items() if key}
	people = [(party_type, party)] if party_type and party else _people_alone_at(keys.values())
	theirs = [row for rows, _consents in _rows_of_parties(people).values() for row in rows if _restricts(row)]
	with _Writing([*keys, *(row["address_key"] for row in theirs if row["address_key"])]) as writing:
		names = {row["name"] for row in theirs}
		found = [row for row in theirs if not row["address_key"]]
		found += [
			row
			for key, rows in writing.suppressions.items()
			for row in rows
			if _restricts(row) and (row["name"] in names or (key in keys and not (party and row["party"])))
		]
		if any(informed_on < to_system_time(row["said_on"]).date() for row in found):
			raise InvalidPeriod(
				_("Person Told On {0} lies before the restriction itself.").format(informed_on)
			)
		act = Act(CONTROLLER, reason=_("{0} The person was told on {1}.").format(reason, informed_on))
		for row in found:
			writing.append("Suppression", row, EventKind.LIFT, act, {"lifted_on": writing.now})
		return [row["name"] for row in found]


def _check_reason(reason: str | None) -> None:
	if not (reason or "").strip():
		raise EvidenceMissing(_("Reason is missing. Say why, for whoever asks later."))


def _people_alone_at(emails: Iterable[str]) -> set[tuple[str, str]]:
	found = people_at(email for email in emails if not is_shared(email))
	return {(person.party_type, person.party) for people in found.values() for person in people}


def _restricts(row: Row) -> bool:
	return row["kind"] == RefusalKind.RESTRICTION and not row.get("lifted_on")


def _restrictions(writing: _Writing, party_type: str | None, party: str | None) -> list[Row]:
	"""List the restrictions that stand at the addresses of a visit, or for a party without an address."""
	whose = (party_type, party)
	rows = [row for found in writing.suppressions.values() for row in found]
	rows += [row for row in _rows_of_party(*whose)[0] if not row["address_key"]]
	return [
		row
		for row in rows
		if _restricts(row)
		and not (party and row["party"] and _whose(row) != whose and row["email"] and is_shared(row["email"]))
	]


# --- mail that comes back -----------------------------------------------------------------------------------


def note_bounce(email: str, sent_on: datetime, reason: str) -> bool:
	"""Stop marketing to an address that doesn't take mail (EM-19). The person's other addresses may.

	Args:
		sent_on: when the mail that came back was sent, naive UTC.
		reason: what was reported, without anybody's address.

	Returns:
		whether it counts. It doesn't if the address was found to work since the mail was sent.
	"""
	key = address_keys([email])[email]
	if not key:
		return False
	with _Writing([key]) as writing:
		worked = [row.get("lifted_on") for row in _bounces(writing, key)]
		worked += [row.get("confirmed_on") for row in writing.consents[key]]
		if any(found and found >= sent_on for found in worked):
			return False
		no = No(RefusalKind.BOUNCE, Scope(Channel.EMAIL.value, ""), email)
		_say_no(writing, [no], Act(SYSTEM, reason=reason))
		return True


def lift_bounce(email: str, reason: str) -> list[str]:
	"""End the bounces of an address whose mailbox works again.

	Returns:
		names of the suppressions that this lifted. Saying it twice lifts nothing more.

	Raises:
		EvidenceMissing: no reason given.
		InvalidEmailAddress: see `identity.normalise_email`.
	"""
	if not (reason or "").strip():
		raise EvidenceMissing(_("Reason is missing. Say why the mailbox is thought to work again."))
	key = address_key(email)
	with _Writing([key]) as writing:
		return _lift_bounces(writing, key, Act(CONTROLLER, reason=reason))


def _lift_bounces(writing: _Writing, key: str, act: Act) -> list[str]:
	standing = [row for row in _bounces(writing, key) if not row.get("lifted_on")]
	for row in standing:
		writing.append("Suppression", row, EventKind.LIFT, act, {"lifted_on": writing.now})
	return [row["name"] for row in standing]


def _bounces(writing: _Writing, key: str) -> list[Row]:
	return [row for row in writing.suppressions[key] if row["kind"] == RefusalKind.BOUNCE]


# --- the controller's own acts, and the clock's -------------------------------------------------------------


# --- erasure ------------------------------------------------------------------------------------------------

# What a record says about the person. The key stays: without the key of the site it tells nobody anything.
PERSONAL = (
	*("email", "party_type", "party", "sale_doctype", "sale", "reason", "evidence", "recorded_by"),
	*("origin_doctype", "origin"),
)
OF_THE_PROOF = ("email", "reason", "evidence", "recorded_by")
ENDED_BY_ERASURE = {
	Status.UNKNOWN: EventKind.INVALIDATE,
	Status.REQUESTED: EventKind.REFUSE,
	Status.GIVEN: EventKind.WITHDRAW,
	Status.NOT_REQUIRED: EventKind.END,
}


def erase(
	addresses: Iterable[str],
	parties: Iterable[tuple[str, str]],
	request: str | None = None,
	keep_evidence: bool = False,
	suppress: bool = True,
) -> list[str]:
	"""Erase what the register says about a person, and go on blocking their addresses (Art. 17, DS-19).

	Each address gets a suppression that holds its key alone; live consents end; from then on each record and
	its events say nothing about the person, and their chain still holds (AU-03). Doing it twice adds nothing.
	What the person refused goes on blocking them, by key.

	Args:
		addresses: those that are the person's alone.
		parties: the records that stand for the person, which other addresses may have been noted with.
		request: the Data Subject Request that it is done for.
		keep_evidence: keep the payloads of the events, which Privacy Officers alone read, for claims
			(Art. 17(3)(e)).
		suppress: block the addresses, since the person asked to be erased. Who is erased because nobody needs
			their data any more has said no to nothing.

	Returns:
		names of the records that were erased.
	"""
	addresses, parties = list(addresses), {(kind, name) for kind, name in parties}
	keys = {key for key in address_keys(addresses).values() if key}
	noted = [row for rows in _rows_at_parties(parties) for row in rows]
	act = Act(CONTROLLER)
	erased: dict[str, list[str]] = {"Consent": [], "Suppression": []}
	with _Writing(keys | {row["address_key"] for row in noted if row["address_key"]}) as writing:
		no = No(RefusalKind.ERASURE, Scope("", ""), None)
		for key in sorted(keys):
			for row in writing.consents[key]:
				kind = ENDED_BY_ERASURE.get(Status(row["status"]))
				if kind and not writing.end_if_over(row):
					writing.append("Consent", row, kind, act, {"ended_on": writing.now})
			if suppress and not _stands_already(writing, key, no):
				origin = {"origin_doctype": "Data Subject Request", "origin": request} if request else {}
				_suppress(writing, key, no._replace(**origin), act)
		for doctype, loaded in (("Consent", writing.consents), ("Suppression", writing.suppressions)):
			rows = [row for group in loaded.values() for row in group]
			rows += _named(doctype, [row["name"] for row in noted if row["is_loose"] == doctype])
			for row in rows:
				is_theirs = row["address_key"] in keys
				if not (is_theirs or (row["party_type"], row["party"]) in parties):
					continue
				if row.get("kind") == RefusalKind.ERASURE or not _says_something(row, is_theirs):
					continue  # what holds a key alone
				_erase_row(writing, doctype, row, _personal(is_theirs), act)
				erased[doctype].append(row["name"])
	if not keep_evidence:
		for doctype, records in erased.items():
			ledger.erase_payloads(doctype, records, addresses)
	return [name for records in erased.values() for name in records]


def erase_ended(consents: Iterable[str]) -> list[str]:
	"""Erase the proof of consents that have ended, and the address; that they were there stays (RE-01).

	The key and the party stay too, so that a no goes on counting for the person. What is live is left alone.
	What an erasure has kept for claims goes as well.

	Returns:
		names of the consents whose proof was erased.
	"""
	table = frappe.qb.DocType("Consent")
	named = table.name.isin([*consents] or [""]) & table.address_key.isnotnull()
	found = dict(frappe.qb.from_(table).select(table.name, table.address_key).where(named).run())
	names: list[str] = []
	emails: set[str] = set()
	with _Writing(found.values()) as writing:
		for row in [row for rows in writing.consents.values() for row in rows if row["name"] in found]:
			if row["status"] in LIVE:
				continue
			names.append(row["name"])
			emails |= {row["email"]} - {None}
			if any(row.get(column) for column in OF_THE_PROOF):
				_erase_row(writing, "Consent", row, OF_THE_PROOF, Act(SYSTEM))
	ledger.erase_payloads("Consent", names, emails)
	return names


def _rows_at_parties(parties: Iterable[tuple[str, str]]) -> list[list[Row]]:
	"""Read name and key of what is noted with parties. `is_loose` is the DocType of a row that has no key."""
	found = []
	for doctype in ("Consent", "Suppression"):
		table = frappe.qb.DocType(doctype)
		for party_type, party in parties:
			rows = (
				frappe.qb.from_(table)
				.select(table.name, table.address_key)
				.where((table.party_type == party_type) & (table.party == party))
				.run(as_dict=True)
			)
			found.append([row | {"is_loose": "" if row.address_key else doctype} for row in rows])
	return found


def _personal(is_theirs: bool) -> list[str]:
	"""Name the columns to erase; the address is somebody else's if the key isn't the person's."""
	return [column for column in PERSONAL if is_theirs or column != "email"]


def _says_something(row: Row, is_theirs: bool) -> bool:
	return any(row.get(column) for column in _personal(is_theirs))


def _erase_row(writing: _Writing, doctype: str, row: Row, erased: Iterable[str], act: Act) -> None:
	"""Say again what a record says, without the columns that are erased."""
	columns = frappe.get_meta(doctype).get_valid_columns()
	facts = {column: row.get(column) for column in ledger.COLUMNS_OF[doctype] if column in columns}
	facts |= {column: None for column in erased if column in columns}
	for made_by_events in ("status", "since"):
		facts.pop(made_by_events, None)
	writing.append(doctype, row, EventKind.ERASE, act, facts)


def revoke(consent: str, reason: str) -> Row:
	"""End a consent that the controller no longer wants to use (T11)."""
	return _end(consent, EventKind.REVOKE, reason)


def end(consent: str, reason: str) -> Row:
	"""End a record that rests on another legal basis."""
	return _end(consent, EventKind.END, reason)


def follow_sales() -> int:
	"""Have records whose sale was cancelled rest on another one, or end (SO-01).

	A cancelled invoice is often amended, so this is done once a day. Each is committed by itself.

	Returns:
		how many there were.
	"""
	names = sales.resting_on_cancelled()
	for name in names:
		try:
			_follow_sale(name)
			frappe.db.commit()  # nosemgrep: one is done; an interruption loses nothing
		except ConsentError:
			frappe.db.rollback()
			log_failure("A consent couldn't follow its sale", name)
	return len(names)


def _follow_sale(consent: str) -> None:
	(found,) = _named("Consent", [consent])
	with _Writing([found.address_key]) as writing:
		row = next(one for one in writing.consents[found.address_key] if one["name"] == consent)
		if row["status"] != Status.NOT_REQUIRED or writing.end_if_over(row):
			return
		rules = frappe.get_cached_doc("Processing Purpose", row["purpose"])
		terms = Terms(
			rules, _scope_of(row), row["legal_basis"], row["source"], row["wording"], row["language"]
		)
		place = proof.Place(row["country"], row["country_source"])
		subject = Subject(row["email"], row["address_key"], row["party_type"], row["party"], {}, place)
		act = Act(CONTROLLER, row["source"], _("The sale that it rested on was cancelled."), row["wording"])
		sale = writing.sale_of(subject, terms)
		if not sale:
			writing.append("Consent", row, EventKind.END, act, {"ended_on": writing.now})
			return
		period = _period(None, None, rules.validity_months, writing.now)
		facts = _again(row) | period | _resting_on(sale, period["expires_on"])
		_replace(writing, row, EventKind.RECORD, facts, act)


def invalidate(consent: str, reason: str, effective_from: datetime | None = None) -> Row:
	"""Declare that a consent never was valid, or not since an instant (T12, ST-11)."""
	return _end(consent, EventKind.INVALIDATE, reason, effective_from)


def _end(consent: str, kind: EventKind, reason: str, effective_from: datetime | None = None) -> Row:
	_check_reason(reason)
	(found,) = _named("Consent", [consent])
	with _Writing([found.address_key] if found.address_key else []) as writing:
		loaded = writing.consents.get(found.address_key, ())  # nothing, if its address was erased
		row = next((one for one in loaded if one["name"] == consent), found)
		writing.end_if_over(row)
		if kind == EventKind.INVALIDATE:
			began = row.get("given_on") or row["since"]
			effective_from = effective_from or began
			if not began <= effective_from <= writing.now:
				raise InvalidPeriod(
					_("Effective From {0} UTC lies before the consent, {1} UTC, or in the future.").format(
						effective_from, began
					)
				)
		writing.append(
			"Consent",
			row,
			kind,
			Act(CONTROLLER, reason=reason),
			{"ended_on": row.get("ended_on") or writing.now},
			effective_from=effective_from,
		)
		return row


def end_again(ends: Iterable[tuple[str, EventKind, datetime | None]], reason: str) -> int:
	"""End consents that somebody who works here has ended, which a restored database has forgotten (ST-18).

	Args:
		ends: name of the consent, what ended it, and from when an invalidation counts (UTC). What is not on
			record, or is over in another way, is left alone.

	Returns:
		how many this has ended.
	"""
	ends = list(ends)
	consent = frappe.qb.DocType("Consent")
	named = consent.name.isin([name for name, *_rest in ends] or [""])
	keys = frappe.qb.from_(consent).select(consent.address_key).where(named).run(pluck=True)
	act = Act(CONTROLLER, reason=reason)
	with _Writing(key for key in keys if key) as writing:
		by_name = {row["name"]: row for rows in writing.consents.values() for row in rows}
		for name, kind, effective_from in ends:
			row = by_name.get(name)
			if not row or writing.end_if_over(row):
				continue
			if STATUS_AFTER[kind] in TRANSITIONS[Status(row["status"])]:
				ended = {"ended_on": writing.now}
				writing.append("Consent", row, kind, act, ended, effective_from=effective_from)
		return writing.acts


def _named(doctype: str, names: list[str]) -> list[frappe._dict]:
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


def end_what_is_over() -> int:
	"""Write down what the clock has ended: expired consents, lapsed requests (T7, T9).

	Decisions don't wait for it; they compare times themselves (ST-03). Returns the number of records ended.
	"""
	table = frappe.qb.DocType("Consent")
	done = 0
	while keys := (
		frappe.qb.from_(table)
		.select(table.address_key)
		.distinct()
		.where(
			table.status.isin([Status.GIVEN.value, Status.REQUESTED.value, Status.NOT_REQUIRED.value])
			& (table.expires_on <= now_utc())
			& table.address_key.isnotnull()
		)
		.limit(AT_ONCE)
		.run()
	):
		with _Writing(key for (key,) in keys) as writing:
			done += sum(
				writing.end_if_over(row)
				for rows in writing.consents.values()
				for row in rows
				if row["status"] in LIVE
			)
		frappe.db.commit()  # nosemgrep: a chunk is done; an interruption loses nothing
	return done


# --- people change ------------------------------------------------------------------------------------------


def move_party(party_type: str, old: str, new: str | None) -> None:
	"""Let records follow a party that is renamed or merged, or let go of one that is deleted."""
	for doctype in ("Consent", "Suppression"):
		table = frappe.qb.DocType(doctype)
		rows = (
			frappe.qb.from_(table)
			.select(table.name, table.address_key)
			.where((table.party_type == party_type) & (table.party == old))
			.run(as_dict=True)
		)
		names = {row.name for row in rows}
		with _Writing(row.address_key for row in rows if row.address_key) as writing:
			loaded = writing.consents if doctype == "Consent" else writing.suppressions
			found = [row for group in loaded.values() for row in group if row["name"] in names]
			found += _named(doctype, [row.name for row in rows if not row.address_key])
			for row in found:
				facts: Row = {"party_type": party_type if new else None, "party": new}
				if row.get("origin_doctype") == party_type:
					# Or its opt-out would look like another one under the new name.
					facts |= {"origin_doctype": facts["party_type"], "origin": new}
				writing.append(doctype, row, EventKind.MOVE, Act(CONTROLLER), facts)


def carry_refusals(
	party_type: str, party: str, before: Iterable[str], after: Iterable[str], reason: str
) -> None:
	"""Let a person's noes hold for all their addresses, and outlive one they lose (design, idea 5; ST-13).

	Args:
		before, after: the addresses of the person before and after the change.
	"""
	old = {key: email for email, key in address_keys(before).items() if key}
	new = {key: email for email, key in address_keys(after).items() if key}
	if old.keys() == new.keys():
		return
	with _Writing([*old, *new]) as writing:
		subject = Subject("", "", party_type, party, {**old, **new}, NOWHERE)
		noes = _noes_of(writing, subject, *_rows_of_party(party_type, party))
		entries = [no._replace(email=email) for email in new.values() for no in noes]
		if old.keys() - new.keys():  # kept with the person
			entries += [
				no._replace(email=None, party_type=party_type, party=party)
				for no in noes
				if not new or (no.party_type, no.party) == (party_type, party)
			]
		_say_no(writing, entries, Act(DATA_SUBJECT, reason=reason))


def has_opted_out(party_type: str, party: str, addresses: list[str]) -> bool:
	"""Whether a refusal of e-mail marketing as a whole stands for a person, or for one of the addresses."""
	keys = [key for key in address_keys(addresses).values() if key] or [""]
	table, consent = frappe.qb.DocType("Suppression"), frappe.qb.DocType("Consent")
	lifted = dict(
		frappe.qb.from_(consent)
		.select(consent.address_key, Max(consent.confirmed_on))
		.where(consent.address_key.isin(keys) & (consent.status != Status.INVALIDATED.value))
		.groupby(consent.address_key)
		.run()
	)
	by_party = table.address_key.isnull() & (table.party_type == party_type) & (table.party == party)
	return any(
		said_on >= (lifted.get(key) or NEVER)
		for key, said_on in frappe.qb.from_(table)
		.select(table.address_key, table.said_on)
		.where(table.address_key.isin(keys) | by_party)
		.where(table.purpose.isnull() & table.lifted_on.isnull())
		.where(table.kind.notin([kind.value for kind in ENDED_BY_OTHERS]))
		.where(table.channel.isnull() | (table.channel == Channel.EMAIL.value))
		.run()
	)


def _addresses_of_the_party(party_type: str | None, party: str | None) -> dict[str, str]:
	"""Return the addresses, by key, from which a party speaks for itself: a Customer may be many people."""
	emails = addresses_of(party_type, party) if party and party_type in ("Contact", "Lead") else []
	return {key: email for email, key in address_keys(emails).items() if key}


def _rows_of_party(party_type: str | None, party: str | None) -> tuple[list[Row], list[Row]]:
	return _rows_of_parties([(party_type, party)] if party_type and party else []).get(
		(party_type, party), ([], [])
	)


def _rows_of_parties(
	parties: Iterable[tuple[str, str]],
) -> dict[tuple[str | None, str | None], tuple[list[Row], list[Row]]]:
	"""Read the suppressions, and the consents with a no, that were recorded for each party."""
	found: dict[tuple[str | None, str | None], tuple[list[Row], list[Row]]] = {}
	names: dict[str, list[str]] = {}
	for party_type, party in parties:
		names.setdefault(party_type, []).append(party)
	for position, doctype in enumerate(("Suppression", "Consent")):
		table = frappe.qb.DocType(doctype)
		for party_type, theirs in names.items():
			query = (
				frappe.qb.from_(table)
				.select(table.star)
				.where((table.party_type == party_type) & table.party.isin(theirs))
			)
			if doctype == "Consent":
				query = query.where(table.status.isin([status.value for status in SAID_BY_THE_PERSON]))
			for row in query.run(as_dict=True):
				found.setdefault((row.party_type, row.party), ([], []))[position].append(row)
	return found


def _noes_of(writing: _Writing, subject: Subject, suppressions: list[Row], consents: list[Row]) -> list[No]:
	"""Collect what one party refused, from the addresses given or under its name.

	What was said from a role's mailbox, or at a telephone, isn't one person's word. A restriction stays that
	of the party that it was said for, and ends with it.

	Args:
		suppressions, consents: what was recorded for the party, see `_rows_of_parties`.
	"""
	party_type, party = subject.party_type, subject.party
	if not (party_type and party):
		return []
	own = {key for key, email in subject.theirs.items() if not is_shared(email)}
	loaded_keys = {subject.key, *subject.theirs}
	noes: dict[tuple[RefusalKind, Scope, tuple[str | None, str | None]], No] = {}

	def is_theirs(row: Row) -> bool:
		return _whose(row) == (party_type, party)

	def note(kind: RefusalKind, row: Row, said_on: datetime) -> None:
		whose = _whose(row) if kind == RefusalKind.RESTRICTION else (party_type, party)
		no = No(kind, _scope_of(row), row["email"], *whose, said_on=said_on)
		known = noes.setdefault((kind, no.scope, whose), no)
		noes[kind, no.scope, whose] = max(known, no, key=lambda one: one.said_on)

	for by_party, loaded, is_consent in (
		(suppressions, writing.suppressions, False),
		(consents, writing.consents, True),
	):
		rows = {row["name"]: row for row in by_party}
		for key in loaded_keys | {row["address_key"] for row in by_party}:
			for row in loaded.get(key, ()):
				if row["name"] in rows or key in own or is_theirs(row):
					rows[row["name"]] = row  # what was loaded under the lock is newer
		for row in rows.values():
			if is_consent:
				if row["status"] in SAID_BY_THE_PERSON:
					note(RefusalKind.WITHDRAWAL, row, row["since"])
			elif not row.get("lifted_on") and row["kind"] != RefusalKind.BOUNCE:
				note(RefusalKind(row["kind"]), row, row["said_on"])
	return list(noes.values())


# --- many at once -------------------------------------------------------------------------------------------


class BulkAction(str, Enum):
	"""What a Consent Bulk Update may do to a record (BU-01)."""

	SET = "Set"
	WITHDRAW = "Withdraw"
	REVOKE = "Revoke"
	EXPIRE = "Expire"
	INVALIDATE = "Invalidate"
	ASK = "Ask"
	ASSIGN_TOPIC = "Assign Topic"


ENDS = {
	BulkAction.REVOKE: {Status.GIVEN: EventKind.REVOKE, Status.NOT_REQUIRED: EventKind.END},
	BulkAction.EXPIRE: {Status.GIVEN: EventKind.EXPIRE, Status.NOT_REQUIRED: EventKind.END},
	BulkAction.INVALIDATE: {Status.GIVEN: EventKind.INVALIDATE, Status.UNKNOWN: EventKind.INVALIDATE},
}
TAKEN_BACK_BY = {
	Status.GIVEN: EventKind.REVOKE,
	Status.NOT_REQUIRED: EventKind.END,
	Status.UNKNOWN: EventKind.INVALIDATE,
	Status.REQUESTED: EventKind.LAPSE,
}
HALF = 32  # characters of `Outcome.state` that are about the register; the others are about the order
# What a record says of its own life, and not of what the person agreed to.
OF_ITS_OWN = ("status", "since", "ended_on", "reason", "recorded_by", "supersedes", "superseded_by")


class Order(NamedTuple):
	"""What is asked for one record of many.

	Args:
		subject: with the address that a yes is for; its key is "" if the record has none.
		addresses: all of the record, by key: what ends, and a no, is for each.
		evidence, grade: the proof of this very record, and how strong it is.
		state: what `Outcome.state` was when the order was planned. If it differs, nothing is done.
	"""

	action: BulkAction
	terms: Terms
	asked: Questions | None
	reason: str
	subject: Subject
	addresses: dict[str, str]
	given_on: datetime | None = None
	evidence: str | None = None
	grade: str = "D"
	state: str | None = None

	@property
	def ends(self) -> bool:
		return self.action == BulkAction.WITHDRAW or self.action in ENDS

	@property
	def keys(self) -> set[str]:
		everybody = self.addresses if self.ends else ()
		return {self.subject.key, *self.subject.theirs, *everybody} - {""}


class Outcome(NamedTuple):
	"""What became of one order, or would.

	`before` and `after` are a Status, or the Legal Basis where there is no consent, or "" if nothing is on
	record. `error` says why nothing was changed; without it and without `changed` nothing was left to do.
	`state` and `state_after` tell whether somebody else has changed anything since, see `_state_of`.
	"""

	changed: bool
	before: str
	after: str
	state: str
	state_after: str
	consent: str | None = None
	error: ConsentError | None = None
	pending: tuple[Row, ...] = ()


def change_many(orders: list[Order], bulk_update: str, dry_run: bool = False) -> list[Outcome]:
	"""Do what a Consent Bulk Update asks for many records, each of them or not at all, in one visit.

	Args:
		dry_run: say what would happen, lock and write nothing.
	"""
	with _Writing({key for order in orders for key in order.keys}, bulk_update, dry_run) as writing:
		by_party = _rows_of_parties(_parties_of(orders))
		writing.look_for_sales(
			(one.subject, one.terms)
			for one in orders
			if one.action == BulkAction.SET and one.terms.rests_on_a_sale
		)
		outcomes = [_change(writing, order, by_party) for order in orders]
		for wording in {order.terms.wording for order in orders} if not dry_run else ():
			_mark_used(wording)
		return outcomes


def _parties_of(orders: list[Order]) -> list[tuple[str, str]]:
	return [(one.subject.party_type, one.subject.party) for one in orders if one.subject.party_type]


ByParty = dict[tuple[str | None, str | None], tuple[list[Row], list[Row]]]


def _change(writing: _Writing, order: Order, by_party: ByParty) -> Outcome:
	theirs = by_party.get((order.subject.party_type, order.subject.party), ([], []))
	state, before = _state_of(writing, order, theirs), _label_of(writing, order)
	acts = writing.acts
	pending: list[Row] = []
	consent = None
	try:
		if order.state and order.state != state:
			raise ChangedMeanwhile(_("It changed since the preview."))
		noes = _noes_of(writing, order.subject, *theirs)
		if order.action == BulkAction.WITHDRAW:
			consent = _withdraw_one(writing, order)
		elif _is_restricted(writing, order, theirs[0]):
			raise StandingRefusal(_("Processing is restricted (Art. 18 GDPR)."), Reason.RESTRICTED)
		elif order.action == BulkAction.SET:
			consent = _set_one(writing, order, noes)
		elif order.action == BulkAction.ASSIGN_TOPIC:
			consent = _assign_topic(writing, order, noes)
		elif order.action == BulkAction.ASK:
			pending = _request(writing, order.asked, order.subject, noes)
			consent = pending[-1]["name"] if pending else None
		else:
			consent = _end_one(writing, order)
	except ConsentError as error:
		return Outcome(False, before, before, state, state, error=error)
	if writing.acts == acts:
		return Outcome(False, before, before, state, state, consent, pending=tuple(pending))
	after, state_after = _label_of(writing, order), _state_of(writing, order, theirs)
	return Outcome(True, before, after, state, state_after, consent, pending=tuple(pending))


def _label_of(writing: _Writing, order: Order) -> str:
	rows = [row for row in writing.consents.get(order.subject.key, ()) if _scope_of(row) == order.terms.scope]
	if not rows:
		return ""
	row = max(rows, key=lambda one: (one["status"] in LIVE, one["since"], one["name"]))
	return row["legal_basis"] if row["status"] == Status.NOT_REQUIRED else Status(row["status"]).value


def _state_of(writing: _Writing, order: Order, by_party: tuple[list[Row], list[Row]]) -> str:
	"""Hash what the register says that bears on an order, and what the order says, to notice changes."""
	purpose = order.terms.scope.purpose
	rows = [row for rows in by_party for row in rows]
	for key in order.keys:
		rows += writing.suppressions[key]
		rows += [
			row
			for row in writing.consents[key]
			# A yes at another address of the person is neither here nor there.
			if order.ends or key == order.subject.key or row["status"] in SAID_BY_THE_PERSON
		]
	said = {row["name"]: row["last_seq"] for row in rows if (row["purpose"] or purpose) == purpose}
	asked = (order.subject.key, sorted(order.keys), order.given_on, order.evidence, order.grade)
	return _short_hash(sorted(said.items())) + _short_hash(asked)


def _short_hash(value: object) -> str:
	return hashlib.blake2b(repr(value).encode(), digest_size=HALF // 2).hexdigest()


def _is_restricted(writing: _Writing, order: Order, of_party: list[Row]) -> bool:
	at_addresses = (
		row for key in order.keys for row in writing.refusals(key, order.terms.scope, is_marketing=True)
	)
	return any(
		row["kind"] == RefusalKind.RESTRICTION and not row.get("lifted_on")
		for row in (*at_addresses, *of_party)
		if _covers(_scope_of(row), order.terms.scope)
	)


def _set_one(writing: _Writing, order: Order, noes: list[No]) -> str:
	"""Record a yes with its own proof; without one it is Unknown, which allows nothing (BU-01)."""
	terms, subject = order.terms, order.subject
	is_proven = bool(terms.source and order.evidence)
	if terms.needs_proof and terms.legal_basis != CONSENT_BASIS and not is_proven:
		raise EvidenceMissing(_("Source or proof is missing."))
	_check_not_refused(writing, terms, subject, noes)
	live = writing.live(subject.key, terms.scope)
	if live and live["status"] == Status.REQUESTED:
		raise ConfirmationPending(_("The person was asked, and hasn't answered yet."))
	if live and (
		_says_as_much(writing, live, order) or not (is_proven or terms.legal_basis != CONSENT_BASIS)
	):
		return live["name"]
	if not live and terms.legal_basis == CONSENT_BASIS and not is_proven:
		return _claim(writing, terms, subject, order.reason)["name"]
	return _record(
		writing,
		terms,
		subject,
		noes,
		order.evidence,
		order.grade,
		order.given_on,
		reason=order.reason,
	)["name"]


def _says_as_much(writing: _Writing, live: Row, order: Order) -> bool:
	"""Whether a live record has the stronger proof, or says the same, where no other date is asked for."""
	if order.terms.rests_on_a_sale:
		sale = writing.sale_of(order.subject, order.terms)
		if not sale or live.get("sale") != sale.name:
			return False
	by_consent = order.terms.legal_basis == CONSENT_BASIS
	if live["status"] == Status.GIVEN and by_consent and (live["evidence_grade"] or "D") < order.grade:
		return True
	return (
		live["status"] in (Status.GIVEN, Status.NOT_REQUIRED)
		and live["legal_basis"] == order.terms.legal_basis
		and (live["source"] or None) == order.terms.source
		and (live["wording"] or None) == order.terms.wording
		and (live["evidence"] or None) == order.evidence
		and order.given_on in (None, live["given_on"])
	)


def _withdraw_one(writing: _Writing, order: Order) -> str | None:
	party = (order.subject.party_type, order.subject.party)
	emails = [*order.addresses.values()] or [None]
	noes = [No(RefusalKind.WITHDRAWAL, order.terms.scope, email, *party) for email in emails]
	ended = _say_no(writing, noes, Act(DATA_SUBJECT, order.terms.source, order.reason))
	return ended[0] if ended else None


def _end_one(writing: _Writing, order: Order) -> str | None:
	"""End what is live about the purpose, or the topic, at each address of the record (T9, T11, T12)."""
	ended = None
	for row in [row for key in order.keys for row in writing.consents[key]]:
		if row["status"] not in LIVE or not _covers(order.terms.scope, _scope_of(row)):
			continue
		kind = ENDS[order.action].get(Status(row["status"]))
		if kind and not writing.end_if_over(row):
			began = row.get("given_on") or row["since"]
			writing.append(
				"Consent",
				row,
				kind,
				Act(CONTROLLER, reason=order.reason),
				{"ended_on": writing.now},
				effective_from=began if kind == EventKind.INVALIDATE else None,
			)
			ended = row["name"]
	return ended


def _assign_topic(writing: _Writing, order: Order, noes: list[No]) -> str:
	"""Note the topic for whoever agreed to words that are known to name it; it stands on that very proof.

	A consent doesn't reach topics that its words don't name (V3).
	"""
	terms, subject = order.terms, order.subject
	_check_not_refused(writing, terms, subject, noes)
	agreed = [
		row
		for row in writing.consents[subject.key]
		if row["status"] == Status.GIVEN
		and not writing.end_if_over(row)
		and _covers(terms.scope._replace(topic=""), _scope_of(row))
		and row["wording"] == terms.wording
	]
	live = writing.live(subject.key, terms.scope)
	if live and live["status"] == Status.GIVEN:
		return live["name"]
	if not agreed:
		raise OtherWording(_("The person didn't agree to this wording."))
	stands_on = max(agreed, key=lambda row: row["since"])
	facts = _again(stands_on) | {"topic": terms.scope.topic}
	act = Act(CONTROLLER, stands_on["source"], order.reason, terms.wording)
	return _replace(writing, live, EventKind.GIVE, facts, act)["name"]


def _again(row: Row) -> Row:
	"""What a record says, for another one that says the same."""
	facts = {column: row.get(column) for column in ledger.PROJECTED if column not in OF_ITS_OWN}
	return facts | {"recorded_by": frappe.session.user, "asked_on": None, "asked_wording": None}


def take_back_many(orders: list[Order], bulk_update: str) -> list[Outcome]:
	"""Undo by new events what a Consent Bulk Update did to many records, if nobody changed them since.

	What it recorded ends; what it ended or replaced is recorded again as it was, unless that is over or the
	person said no. A no that it recorded stays, for only the person lifts it (ST-08).

	Args:
		orders: as they were carried out, with `Outcome.state_after` from then.
	"""
	with _Writing({key for order in orders for key in order.keys}, bulk_update) as writing:
		by_party = _rows_of_parties(_parties_of(orders))
		done = _events_of(bulk_update, [row["name"] for rows in writing.consents.values() for row in rows])
		return [_take_back(writing, order, by_party, done) for order in orders]


def _events_of(bulk_update: str, consents: list[str]) -> dict[str, EventKind]:
	"""Return the last thing, apart from what the clock did, that a bulk update did to each consent."""
	event = frappe.qb.DocType("Consent Event")
	rows = (
		frappe.qb.from_(event)
		.select(event.consent, event.kind)
		.where(event.consent.isin(consents) & (event.bulk_update == bulk_update))
		.where(event.indicated_by != SYSTEM)
		.orderby(event.seq)
		.run()
		if consents
		else []
	)
	return {consent: EventKind(kind) for consent, kind in rows}


def _take_back(writing: _Writing, order: Order, by_party: ByParty, done: dict[str, EventKind]) -> Outcome:
	theirs = by_party.get((order.subject.party_type, order.subject.party), ([], []))
	state, before = _state_of(writing, order, theirs), _label_of(writing, order)
	act = Act(CONTROLLER, reason=order.reason)
	acts = writing.acts
	error: ConsentError | None = None
	try:
		if order.action == BulkAction.WITHDRAW:
			raise NoStays(_("The person said no, and only the person can lift that."))
		if (order.state or "")[:HALF] != state[:HALF]:
			raise ChangedMeanwhile(_("It changed since the run."))
		noes = _noes_of(writing, order.subject, *theirs)
		by_name = {row["name"]: row for key in order.keys for row in writing.consents[key]}
		for row in [row for row in by_name.values() if row["purpose"] == order.terms.scope.purpose]:
			kind = done.get(row["name"])
			if kind in (EventKind.GIVE, EventKind.RECORD, EventKind.IMPORT, EventKind.REQUEST):
				_take_back_yes(writing, row, by_name.get(row.get("supersedes")), order, noes, act)
			elif kind in (EventKind.REVOKE, EventKind.EXPIRE, EventKind.INVALIDATE, EventKind.END):
				_restore(writing, row, order, noes, act)
	except ConsentError as raised:
		error = raised
	changed = writing.acts > acts
	after, state_after = _label_of(writing, order), _state_of(writing, order, theirs)
	return Outcome(changed, before, after, state, state_after, error=None if changed else error)


def _take_back_yes(
	writing: _Writing, row: Row, replaced: Row | None, order: Order, noes: list[No], act: Act
) -> None:
	if writing.end_if_over(row) or row["status"] not in TAKEN_BACK_BY:
		raise OverByNow(_("It is over by now."))
	if replaced and replaced["status"] == Status.SUPERSEDED:
		try:
			_restore(writing, replaced, order, noes, act, instead_of=row)
			return
		except ConsentError:
			pass  # it can't come back, and what took its place goes all the same
	facts = {"ended_on": writing.now}
	kind = TAKEN_BACK_BY[Status(row["status"])]
	effective_from = row["since"] if kind == EventKind.INVALIDATE else None
	writing.append("Consent", row, kind, act, facts, effective_from=effective_from)


def _restore(
	writing: _Writing, row: Row, order: Order, noes: list[No], act: Act, instead_of: Row | None = None
) -> None:
	"""Record again what a record that has ended said, with its own proof, dates and end."""
	scope = _scope_of(row)
	reason = writing.refused(row["address_key"], scope, order.terms.rules.is_marketing, noes)
	if reason:
		raise NoStays(_("The person said no, and only the person can lift that."))
	if row.get("expires_on") and row["expires_on"] <= writing.now:
		raise OverByNow(_("It is over by now."))
	live = writing.live(row["address_key"], scope)
	if live and live is not instead_of:
		raise ChangedMeanwhile(_("It changed since the run."))
	kind = EventKind.RECORD
	if row["legal_basis"] == CONSENT_BASIS:
		kind = EventKind.GIVE if row.get("given_on") else EventKind.IMPORT  # a claim stays one
	facts = _again(row) | {"supersedes": (instead_of or row)["name"]}
	restored = writing.open("Consent", kind, facts, act, writing.now)
	if instead_of:
		superseded = {"superseded_by": restored["name"], "ended_on": writing.now}
		writing.append("Consent", instead_of, EventKind.SUPERSEDE, act, superseded)


# --- proof --------------------------------------------------------------------------------------------------


def rebuild(record: str) -> Row:
	"""Make the row of a Consent or a Suppression anew from its events (ST-02).

	Returns:
		`name`, `changed`: the columns that differed, each with what was stored and what the events say.
	"""
	doctype = doctype_of(record)
	_named(doctype, [record])
	# The key in the row may be what is wrong with it.
	key = ledger.fold(ledger.read_events(doctype, [record])[record]).get("address_key")
	with _Writing([key] if key else []):
		(stored,) = _named(doctype, [record])
		events = ledger.read_events(doctype, [record])[record]
		differing = ledger.differences(
			doctype, stored, ledger.fold(events), is_whole=all(event.facts for event in events)
		)
		if differing:
			ledger.update(doctype, [{**stored, **differing}], [*differing])
	changed = {column: {"stored": stored[column], "events": value} for column, value in differing.items()}
	return {"name": record, "changed": changed}


def doctype_of(record: str) -> str:
	"""Say whether a name is that of a Suppression. A name that is neither's is taken for a Consent's."""
	return "Suppression" if frappe.db.exists("Suppression", record) else "Consent"


# --- links --------------------------------------------------------------------------------------------------


def named_by_link(record: str) -> frappe._dict:
	"""Return the Consent or Suppression that a link names: whoever it is about holds the link."""
	for doctype in ("Consent", "Suppression"):
		table = frappe.qb.DocType(doctype)
		found = frappe.qb.from_(table).select(table.star).where(table.name == str(record)).run(as_dict=True)
		if found:
			return found[0]
	raise UnknownReference(_("What this link was for is no longer on record."))


def withdraw_by_link(record: str, everything: bool = False) -> list[str]:
	"""Withdraw what a mail stood on, for whoever holds its link, which can only reduce permission (TK-06).

	Args:
		everything: object to all marketing instead (Art. 21(2)).
	"""
	found = named_by_link(record)
	scopes = [] if everything else [_scope_of(found)]
	return refuse_by_link(found, scopes, Act(DATA_SUBJECT, reason=_("Through the link in a mail.")))


def refuse_by_link(found: Row, scopes: list[Scope], act: Act) -> list[str]:
	"""Write the no of whoever holds a link: to the scopes given, to all marketing if there are none.

	It holds for all addresses of the person. If the address was erased since, its key is suppressed.
	"""
	emails: list[str | None] = [*addresses_of_the_person(found["email"])] if found["email"] else [None]
	kind = RefusalKind.WITHDRAWAL if scopes else RefusalKind.OBJECTION
	return say_no(
		[
			No(kind, scope, email, address_key=found["address_key"])
			for scope in scopes or [Scope("", "")]
			for email in emails
		],
		act,
	)
