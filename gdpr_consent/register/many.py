"""Many records at once, and back again: what a Consent Bulk Update does."""

import hashlib
from datetime import datetime
from enum import Enum
from typing import NamedTuple

import frappe
from frappe import _

from gdpr_consent.exceptions import (
	ChangedMeanwhile,
	ConfirmationPending,
	ConsentError,
	EvidenceMissing,
	NoStays,
	OtherWording,
	OverByNow,
	StandingRefusal,
)
from gdpr_consent.policy import LIVE, SAID_BY_THE_PERSON, EventKind, Reason, RefusalKind, Status
from gdpr_consent.register.asking import write_request
from gdpr_consent.register.no import write_noes
from gdpr_consent.register.people import noes_of, rows_of_parties
from gdpr_consent.register.terms import CONSENT_BASIS, Questions, Subject, Terms, mark_used
from gdpr_consent.register.writing import (
	CONTROLLER,
	DATA_SUBJECT,
	SYSTEM,
	Act,
	No,
	Row,
	Writing,
	covers,
	scope_of,
)
from gdpr_consent.register.yes import check_not_refused, facts_again, replace_live, write_claim, write_yes


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


ByParty = dict[tuple[str | None, str | None], tuple[list[Row], list[Row]]]


def change_many(orders: list[Order], bulk_update: str, dry_run: bool = False) -> list[Outcome]:
	"""Do what a Consent Bulk Update asks for many records, each of them or not at all, in one visit.

	Args:
		dry_run: say what would happen, lock and write nothing.
	"""
	with Writing({key for order in orders for key in order.keys}, bulk_update, dry_run) as writing:
		by_party = rows_of_parties(_parties_of(orders))
		writing.look_for_sales(
			(one.subject, one.terms)
			for one in orders
			if one.action == BulkAction.SET and one.terms.rests_on_a_sale
		)
		outcomes = [_change(writing, order, by_party) for order in orders]
		for wording in {order.terms.wording for order in orders} if not dry_run else ():
			mark_used(wording)
		return outcomes


def _parties_of(orders: list[Order]) -> list[tuple[str, str]]:
	return [(one.subject.party_type, one.subject.party) for one in orders if one.subject.party_type]


def _change(writing: Writing, order: Order, by_party: ByParty) -> Outcome:
	theirs = by_party.get((order.subject.party_type, order.subject.party), ([], []))
	state, before = _state_of(writing, order, theirs), _label_of(writing, order)
	acts = writing.acts
	pending: list[Row] = []
	consent = None
	try:
		if order.state and order.state != state:
			raise ChangedMeanwhile(_("It changed since the preview."))
		noes = noes_of(writing, order.subject, *theirs)
		if order.action == BulkAction.WITHDRAW:
			consent = _withdraw_one(writing, order)
		elif _is_restricted(writing, order, theirs[0]):
			raise StandingRefusal(_("Processing is restricted (Art. 18 GDPR)."), Reason.RESTRICTED)
		elif order.action == BulkAction.SET:
			consent = _set_one(writing, order, noes)
		elif order.action == BulkAction.ASSIGN_TOPIC:
			consent = _assign_topic(writing, order, noes)
		elif order.action == BulkAction.ASK:
			pending = write_request(writing, order.asked, order.subject, noes)
			consent = pending[-1]["name"] if pending else None
		else:
			consent = _end_one(writing, order)
	except ConsentError as error:
		return Outcome(False, before, before, state, state, error=error)
	if writing.acts == acts:
		return Outcome(False, before, before, state, state, consent, pending=tuple(pending))
	after, state_after = _label_of(writing, order), _state_of(writing, order, theirs)
	return Outcome(True, before, after, state, state_after, consent, pending=tuple(pending))


def _label_of(writing: Writing, order: Order) -> str:
	rows = [row for row in writing.consents.get(order.subject.key, ()) if scope_of(row) == order.terms.scope]
	if not rows:
		return ""
	row = max(rows, key=lambda one: (one["status"] in LIVE, one["since"], one["name"]))
	return row["legal_basis"] if row["status"] == Status.NOT_REQUIRED else Status(row["status"]).value


def _state_of(writing: Writing, order: Order, by_party: tuple[list[Row], list[Row]]) -> str:
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


def _is_restricted(writing: Writing, order: Order, of_party: list[Row]) -> bool:
	at_addresses = (
		row for key in order.keys for row in writing.refusals(key, order.terms.scope, is_marketing=True)
	)
	return any(
		row["kind"] == RefusalKind.RESTRICTION and not row.get("lifted_on")
		for row in (*at_addresses, *of_party)
		if covers(scope_of(row), order.terms.scope)
	)


def _set_one(writing: Writing, order: Order, noes: list[No]) -> str:
	"""Record a yes with its own proof; without one it is Unknown, which allows nothing (BU-01)."""
	terms, subject = order.terms, order.subject
	is_proven = not terms.lack(order.evidence, order.grade)
	if terms.legal_basis != CONSENT_BASIS and not is_proven:
		raise EvidenceMissing(_("Source or proof is missing."))
	check_not_refused(writing, terms, subject, noes)
	live = writing.live(subject.key, terms.scope)
	if live and live["status"] == Status.REQUESTED:
		raise ConfirmationPending(_("The person was asked, and hasn't answered yet."))
	if live and (not is_proven or _says_as_much(writing, live, order)):
		return live["name"]
	if live and live.get("is_minor"):
		raise EvidenceMissing(_("A guardian agreed for this person, and would have to again."))
	if not is_proven:
		return write_claim(writing, terms, subject, order.reason)["name"]
	return write_yes(
		writing,
		terms,
		subject,
		noes,
		order.evidence,
		order.grade,
		order.given_on,
		reason=order.reason,
	)["name"]


def _says_as_much(writing: Writing, live: Row, order: Order) -> bool:
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


def _withdraw_one(writing: Writing, order: Order) -> str | None:
	party = (order.subject.party_type, order.subject.party)
	emails = [*order.addresses.values()] or [None]
	noes = [No(RefusalKind.WITHDRAWAL, order.terms.scope, email, *party) for email in emails]
	ended = write_noes(writing, noes, Act(DATA_SUBJECT, order.terms.source, order.reason))
	return ended[0] if ended else None


def _end_one(writing: Writing, order: Order) -> str | None:
	"""End what is live about the purpose, or the topic, at each address of the record (T9, T11, T12)."""
	ended = None
	for row in [row for key in order.keys for row in writing.consents[key]]:
		if row["status"] not in LIVE or not covers(order.terms.scope, scope_of(row)):
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


def _assign_topic(writing: Writing, order: Order, noes: list[No]) -> str:
	"""Note the topic for whoever agreed to words that are known to name it; it stands on that very proof.

	A consent doesn't reach topics that its words don't name (V3).
	"""
	terms, subject = order.terms, order.subject
	check_not_refused(writing, terms, subject, noes)
	agreed = [
		row
		for row in writing.consents[subject.key]
		if row["status"] == Status.GIVEN
		and not writing.end_if_over(row)
		and covers(terms.scope._replace(topic=""), scope_of(row))
		and row["wording"] == terms.wording
	]
	live = writing.live(subject.key, terms.scope)
	if live and live["status"] == Status.GIVEN:
		return live["name"]
	if not agreed:
		raise OtherWording(_("The person didn't agree to this wording."))
	stands_on = max(agreed, key=lambda row: row["since"])
	facts = facts_again(stands_on) | {"topic": terms.scope.topic}
	act = Act(CONTROLLER, stands_on["source"], order.reason, terms.wording)
	return replace_live(writing, live, EventKind.GIVE, facts, act)["name"]


def take_back_many(orders: list[Order], bulk_update: str) -> list[Outcome]:
	"""Undo by new events what a Consent Bulk Update did to many records, if nobody changed them since.

	What it recorded ends; what it ended or replaced is recorded again as it was, unless that is over or the
	person said no. A no that it recorded stays, for only the person lifts it (ST-08).

	Args:
		orders: as they were carried out, with `Outcome.state_after` from then.
	"""
	with Writing({key for order in orders for key in order.keys}, bulk_update) as writing:
		by_party = rows_of_parties(_parties_of(orders))
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


def _take_back(writing: Writing, order: Order, by_party: ByParty, done: dict[str, EventKind]) -> Outcome:
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
		noes = noes_of(writing, order.subject, *theirs)
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
	writing: Writing, row: Row, replaced: Row | None, order: Order, noes: list[No], act: Act
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
	writing: Writing, row: Row, order: Order, noes: list[No], act: Act, instead_of: Row | None = None
) -> None:
	"""Record again what a record that has ended said, with its own proof, dates and end."""
	scope = scope_of(row)
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
	facts = facts_again(row) | {"supersedes": (instead_of or row)["name"]}
	restored = writing.open("Consent", kind, facts, act, writing.now)
	if instead_of:
		superseded = {"superseded_by": restored["name"], "ended_on": writing.now}
		writing.append("Consent", instead_of, EventKind.SUPERSEDE, act, superseded)
