"""Pure decisions and the words they are made in. Imports neither Frappe nor anything of ours.

A *yes* is a `Permission`: a record that somebody may be written to for a purpose, or for one topic of it.
A *no* is a `Refusal`. `decide` weighs them for one address at one instant; the order is requirements §5.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import NamedTuple


class MarketingGround(str, Enum):
	"""What a legal basis means for the e-mail channel: ePrivacy Art. 13, apart from GDPR Art. 6 (LB-02)."""

	NEEDS_CONSENT = "Needs Consent"
	EXISTING_CUSTOMER = "Existing Customer"
	NEVER = "Never"


class Channel(str, Enum):
	EMAIL = "Email"
	SMS = "SMS"
	PHONE = "Phone"
	POST = "Post"


class Status(str, Enum):
	"""State of a consent (requirements §3), and of a record that rests on another legal basis."""

	UNKNOWN = "Unknown"
	REQUESTED = "Requested"
	LAPSED = "Lapsed"
	REFUSED = "Refused"
	GIVEN = "Given"
	WITHDRAWN = "Withdrawn"
	REVOKED = "Revoked"
	EXPIRED = "Expired"
	SUPERSEDED = "Superseded"
	INVALIDATED = "Invalidated"
	NOT_REQUIRED = "Not Required"
	ENDED = "Ended"


LIVE = frozenset({Status.UNKNOWN, Status.REQUESTED, Status.GIVEN, Status.NOT_REQUIRED})

# Requirements §3, T1-T13. What isn't listed is not a transition. `None` is a record that doesn't exist yet.
TRANSITIONS: dict[Status | None, frozenset[Status]] = {
	None: frozenset({Status.REQUESTED, Status.GIVEN, Status.REFUSED, Status.UNKNOWN, Status.NOT_REQUIRED}),
	Status.UNKNOWN: frozenset({Status.REQUESTED, Status.GIVEN, Status.INVALIDATED}),
	Status.REQUESTED: frozenset({Status.GIVEN, Status.REFUSED, Status.LAPSED}),
	Status.LAPSED: frozenset(),
	Status.REFUSED: frozenset({Status.INVALIDATED}),
	Status.GIVEN: frozenset(
		{Status.WITHDRAWN, Status.EXPIRED, Status.SUPERSEDED, Status.REVOKED, Status.INVALIDATED}
	),
	Status.WITHDRAWN: frozenset({Status.INVALIDATED}),
	Status.REVOKED: frozenset({Status.INVALIDATED}),
	Status.EXPIRED: frozenset({Status.INVALIDATED}),
	Status.SUPERSEDED: frozenset({Status.INVALIDATED}),
	Status.INVALIDATED: frozenset(),
	# Not a consent, so no state of one: it ends, or the person objects, which is a Suppression.
	Status.NOT_REQUIRED: frozenset({Status.ENDED, Status.SUPERSEDED}),
	Status.ENDED: frozenset(),
}


class EventKind(str, Enum):
	"""What can happen to a record of the register."""

	IMPORT = "Import"
	REQUEST = "Request"
	LAPSE = "Lapse"
	REFUSE = "Refuse"
	GIVE = "Give"
	CONFIRM = "Confirm"
	WITHDRAW = "Withdraw"
	REVOKE = "Revoke"
	EXPIRE = "Expire"
	SUPERSEDE = "Supersede"
	INVALIDATE = "Invalidate"
	RECORD = "Record"
	END = "End"
	MOVE = "Move"
	ASK = "Ask"
	SUPPRESS = "Suppress"
	LIFT = "Lift"
	ERASE = "Erase"


STATUS_AFTER = {
	EventKind.IMPORT: Status.UNKNOWN,
	EventKind.REQUEST: Status.REQUESTED,
	EventKind.LAPSE: Status.LAPSED,
	EventKind.REFUSE: Status.REFUSED,
	EventKind.GIVE: Status.GIVEN,
	EventKind.CONFIRM: Status.GIVEN,
	EventKind.WITHDRAW: Status.WITHDRAWN,
	EventKind.REVOKE: Status.REVOKED,
	EventKind.EXPIRE: Status.EXPIRED,
	EventKind.SUPERSEDE: Status.SUPERSEDED,
	EventKind.INVALIDATE: Status.INVALIDATED,
	EventKind.RECORD: Status.NOT_REQUIRED,
	EventKind.END: Status.ENDED,
}


class RefusalKind(str, Enum):
	"""Why an address is suppressed."""

	OBJECTION = "Objection"
	WITHDRAWAL = "Withdrawal"
	UNSUBSCRIBE = "Unsubscribe"
	ERASURE = "Erasure"
	RESTRICTION = "Restriction"
	BOUNCE = "Bounce"
	COMPLAINT = "Complaint"


class Reason(str, Enum):
	VALID_CONSENT = "VALID_CONSENT"
	EXISTING_CUSTOMER = "EXISTING_CUSTOMER"
	NOT_MARKETING = "NOT_MARKETING"
	NO_CONSENT = "NO_CONSENT"
	REQUESTED = "REQUESTED"
	LAPSED = "LAPSED"
	REFUSED = "REFUSED"
	WITHDRAWN = "WITHDRAWN"
	REVOKED = "REVOKED"
	EXPIRED = "EXPIRED"
	INVALIDATED = "INVALIDATED"
	NO_EVIDENCE = "NO_EVIDENCE"
	TOPIC_NOT_SUBSCRIBED = "TOPIC_NOT_SUBSCRIBED"
	OBJECTED = "OBJECTED"
	UNSUBSCRIBED = "UNSUBSCRIBED"
	RESTRICTED = "RESTRICTED"
	SUPPRESSED = "SUPPRESSED"
	ERROR = "ERROR"

	@property
	def allows(self) -> bool:
		return self in (Reason.VALID_CONSENT, Reason.EXISTING_CUSTOMER, Reason.NOT_MARKETING)


class Permission(NamedTuple):
	"""A Consent as the decision sees it, for the purpose, channel and controller asked about.

	Instants are naive UTC. `topic` is "" for the purpose itself. `since` is when the record last changed its
	state. `confirmed_on` is set where the person acted through a link sent to the address itself. `ground` is
	what the basis means where the person is; `is_proven` whether a consent's evidence is enough there.
	"""

	name: str
	topic: str
	status: Status
	ground: MarketingGround
	since: datetime
	given_on: datetime | None = None
	expires_on: datetime | None = None
	confirmed_on: datetime | None = None
	is_proven: bool = True


class Refusal(NamedTuple):
	"""A Suppression as the decision sees it. `topic` None: the whole purpose, or all marketing."""

	kind: RefusalKind
	said_on: datetime
	topic: str | None = None
	lifted_on: datetime | None = None


class Decision(NamedTuple):
	allowed: bool
	reason: Reason
	consent: str | None = None


def block(reason: Reason, consent: str | None = None) -> Decision:
	return Decision(False, reason, consent)


# Strictest first. Lifted by the person's later confirmed act or not at all; a restriction and a bounce are
# facts about processing, not words of the person, and end with `lifted_on` only.
REFUSALS = (
	(RefusalKind.BOUNCE, Reason.SUPPRESSED),
	(RefusalKind.COMPLAINT, Reason.OBJECTED),
	(RefusalKind.RESTRICTION, Reason.RESTRICTED),
	(RefusalKind.OBJECTION, Reason.OBJECTED),
	(RefusalKind.ERASURE, Reason.SUPPRESSED),
	(RefusalKind.UNSUBSCRIBE, Reason.UNSUBSCRIBED),
	(RefusalKind.WITHDRAWAL, Reason.WITHDRAWN),
)
ENDED_BY_OTHERS = frozenset({RefusalKind.RESTRICTION, RefusalKind.BOUNCE})

REASON_OF_STATUS = {
	Status.UNKNOWN: Reason.NO_EVIDENCE,
	Status.REQUESTED: Reason.REQUESTED,
	Status.LAPSED: Reason.LAPSED,
	Status.REFUSED: Reason.REFUSED,
	Status.WITHDRAWN: Reason.WITHDRAWN,
	Status.REVOKED: Reason.REVOKED,
	Status.EXPIRED: Reason.EXPIRED,
	Status.INVALIDATED: Reason.INVALIDATED,
	Status.SUPERSEDED: Reason.NO_CONSENT,  # its successor has a state of its own, and it is newer
	Status.ENDED: Reason.NO_CONSENT,
	Status.NOT_REQUIRED: Reason.NO_CONSENT,  # a basis that doesn't open this channel
	Status.GIVEN: Reason.NO_EVIDENCE,  # too weak a proof, or none since its payload was erased
}

NEVER = datetime.min  # before every instant: nobody confirmed anything

SAID_BY_THE_PERSON = frozenset({Status.WITHDRAWN, Status.REFUSED})
SAID_NO = frozenset(REASON_OF_STATUS[status] for status in SAID_BY_THE_PERSON)
NEVER_ASKED = frozenset({Reason.NO_CONSENT, Reason.TOPIC_NOT_SUBSCRIBED})
# A no that was lifted, and a record that was replaced or that opens no channel, explain little.
SAYS_LITTLE = SAID_NO | {Reason.NO_CONSENT}
# Once a consent has ended like this, no other legal basis takes its place (ST-07).
NO_SWAP = SAID_BY_THE_PERSON | {Status.EXPIRED, Status.REVOKED, Status.INVALIDATED}


def status_at(permission: Permission, at: datetime) -> Status:
	"""The state at an instant, whether or not the nightly job has written it yet (ST-03, ST-04)."""
	if permission.expires_on and at >= permission.expires_on:
		if permission.status == Status.GIVEN:
			return Status.EXPIRED
		if permission.status == Status.REQUESTED:
			return Status.LAPSED
		if permission.status == Status.NOT_REQUIRED:
			return Status.ENDED
	return permission.status


def decide(
	topic: str | None,
	permissions: Iterable[Permission],
	refusals: Iterable[Refusal],
	at: datetime,
) -> Decision:
	"""Say whether a marketing mail may go to one address, and why (requirements §5, rules 2 to 10).

	Args:
		topic: the topic of the mail; empty or None if it is about the purpose as a whole.
		permissions: records of the address for the purpose and channel; other topics are ignored.
		refusals: suppressions of the address that touch the purpose and channel; other topics are ignored.
		at: the instant asked about, naive UTC.

	A mail about a topic needs the purpose *and* the topic; the consent named is the topic's.
	"""
	permissions = list(permissions)
	about_purpose = _decide_scope([p for p in permissions if not p.topic], at)
	about_topic = _decide_scope([p for p in permissions if p.topic == topic], at) if topic else about_purpose

	standing = set()
	for refusal in refusals:
		if refusal.topic is None:
			# What was said about everything is lifted when each permission that the mail needs came after it.
			lifting = min(about_purpose.confirmed_on, about_topic.confirmed_on)
		elif refusal.topic == topic:
			lifting = about_topic.confirmed_on
		else:
			continue
		if _stands(refusal, lifting, at):
			standing.add(refusal.kind)
	answer = about_topic.decision if about_purpose.decision.allowed else about_purpose.decision
	for kind, reason in REFUSALS if standing else ():
		if kind in standing:
			# The record that was withdrawn or refused says more than the suppression that goes with it.
			return answer if kind == RefusalKind.WITHDRAWAL and answer.reason in SAID_NO else block(reason)
	if topic and about_purpose.decision.allowed and answer.reason == Reason.NO_CONSENT:
		return block(Reason.TOPIC_NOT_SUBSCRIBED)
	return answer


class _ScopeAnswer(NamedTuple):
	decision: Decision
	confirmed_on: datetime  # when the person last confirmed anything here


def refused(
	topic: str | None, permissions: Iterable[Permission], refusals: Iterable[Refusal], at: datetime
) -> Reason | None:
	"""Return the person's own no that stands for exactly this scope, which nobody else may lift (ST-07,
	ST-08)."""
	answer = _decide_scope([p for p in permissions if p.topic == (topic or "")], at)
	for kind, reason in REFUSALS:
		if kind not in ENDED_BY_OTHERS and any(
			refusal.kind == kind
			and refusal.topic in (None, topic or None)
			and _stands(refusal, answer.confirmed_on, at)
			for refusal in refusals
		):
			return reason
	return answer.decision.reason if answer.decision.reason in SAID_NO else None


def _stands(refusal: Refusal, lifting: datetime, at: datetime) -> bool:
	if refusal.said_on > at or (refusal.lifted_on and refusal.lifted_on <= at):
		return False
	# A tie counts as the no (requirements §0.5).
	return refusal.kind in ENDED_BY_OTHERS or lifting <= refusal.said_on


def _holds(consent: Permission, at: datetime) -> bool:
	"""Whether this is a consent that was given and proven, and neither ended nor expired."""
	return (
		consent.status == Status.GIVEN
		and consent.is_proven
		and consent.since <= at
		and consent.given_on is not None
		and consent.given_on <= at
		and (consent.expires_on is None or at < consent.expires_on)
	)


def _decide_scope(permissions: list[Permission], at: datetime) -> _ScopeAnswer:
	"""Decide one purpose, or one topic, by its own records."""
	if len(permissions) == 1 and _holds(permissions[0], at):
		# What most people of an audience have. The rules below say the same, and take three times as long.
		(only,) = permissions
		return _ScopeAnswer(Decision(True, Reason.VALID_CONSENT, only.name), only.confirmed_on or NEVER)
	newest_first = [
		(permission, status_at(permission, at))
		# By name too, so that of two at one instant it is always the same that is named.
		for permission in sorted(permissions, key=lambda one: (one.since, one.name), reverse=True)
		if permission.since <= at
	]
	# What the person confirmed lifts their older noes, even if another record has replaced that one since.
	confirmed_on = max(
		(
			permission.confirmed_on
			for permission, status in newest_first
			if permission.confirmed_on and status != Status.INVALIDATED
		),
		default=NEVER,
	)
	last_no = next((one for one, status in newest_first if status in SAID_BY_THE_PERSON), None)
	if last_no and confirmed_on <= last_no.since:
		return _ScopeAnswer(block(REASON_OF_STATUS[last_no.status], last_no.name), confirmed_on)

	for permission, _status in newest_first:
		if _holds(permission, at):
			return _ScopeAnswer(Decision(True, Reason.VALID_CONSENT, permission.name), confirmed_on)
	ended = any(
		# What was claimed, and found to be untrue, nobody relied on.
		status in NO_SWAP and not (status == Status.INVALIDATED and not permission.given_on)
		for permission, status in newest_first
	)
	for permission, status in newest_first:
		if (
			status == Status.NOT_REQUIRED
			and permission.ground == MarketingGround.EXISTING_CUSTOMER
			and not ended
		):
			return _ScopeAnswer(Decision(True, Reason.EXISTING_CUSTOMER, permission.name), confirmed_on)

	why = [(REASON_OF_STATUS[status], permission.name) for permission, status in newest_first]
	telling = [pair for pair in why if pair[0] not in SAYS_LITTLE] or why or [(Reason.NO_CONSENT, None)]
	return _ScopeAnswer(block(*telling[0]), confirmed_on)
