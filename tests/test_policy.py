"""The decision, without a database: a line per row of requirements §5, and what holds for all of them."""

import subprocess
import sys
from datetime import datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdpr_consent.policy import (
	LIVE,
	REASON_OF_STATUS,
	REFUSALS,
	STATUS_AFTER,
	TRANSITIONS,
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

MICROSECOND = timedelta(microseconds=1)
TOPICS = ("", "blog", "training")


def day(number: float) -> datetime:
	return datetime(2026, 3, 1) + timedelta(days=number)


NOW = day(100)


def consent(status: Status = Status.GIVEN, since: float = 10, topic: str = "", **more) -> Permission:
	facts = {"ground": MarketingGround.NEEDS_CONSENT, "given_on": day(since)} | more
	return Permission(f"{status.value} {topic}", topic, status, since=day(since), **facts)


def confirmed(since: float, topic: str = "") -> Permission:
	return consent(since=since, topic=topic, confirmed_on=day(since))


def customer(since: float = 10, topic: str = "", ground=MarketingGround.EXISTING_CUSTOMER) -> Permission:
	return consent(Status.NOT_REQUIRED, since, topic, ground=ground)


def no(kind: RefusalKind, said: float = 20, topic: str | None = None, **more) -> Refusal:
	return Refusal(kind, day(said), topic, **more)


def reason(topic: str | None, permissions: list[Permission], refusals: list[Refusal] = (), at=NOW) -> str:
	decision = decide(topic, permissions, refusals, at)
	assert decision.allowed is decision.reason.allows
	return decision.reason.value


# --- requirements §5 ----------------------------------------------------------------------------------------

YES, NOT_ASKED = [confirmed(10)], []
OBJECTION, WITHDRAWAL, UNSUBSCRIBE = RefusalKind.OBJECTION, RefusalKind.WITHDRAWAL, RefusalKind.UNSUBSCRIBE
LI = customer(ground=MarketingGround.NEVER)

DECISION_ORDER = [
	# Rows 0 and 1 aren't the policy's: NOT_MARKETING and ERROR are said by those who ask it.
	("2 a bounce blocks", None, YES, [no(RefusalKind.BOUNCE)], "SUPPRESSED"),
	("2 a complaint blocks", None, YES, [no(RefusalKind.COMPLAINT)], "OBJECTED"),
	("2 before 3", None, YES, [no(RefusalKind.RESTRICTION), no(RefusalKind.BOUNCE)], "SUPPRESSED"),
	("3 a restriction blocks", None, YES, [no(RefusalKind.RESTRICTION)], "RESTRICTED"),
	("3 before 4", None, YES, [no(OBJECTION), no(RefusalKind.RESTRICTION)], "RESTRICTED"),
	("4 an objection blocks", None, YES, [no(OBJECTION)], "OBJECTED"),
	("4 before 5", None, YES, [no(RefusalKind.ERASURE), no(OBJECTION)], "OBJECTED"),
	("5 an erasure blocks", None, YES, [no(RefusalKind.ERASURE)], "SUPPRESSED"),
	("5 before 6", None, YES, [no(UNSUBSCRIBE), no(RefusalKind.ERASURE)], "SUPPRESSED"),
	("6 an opt-out blocks", None, YES, [no(UNSUBSCRIBE)], "UNSUBSCRIBED"),
	(
		"6 of the topic",
		"blog",
		[*YES, confirmed(10, "blog")],
		[no(UNSUBSCRIBE, topic="blog")],
		"UNSUBSCRIBED",
	),
	("6 before 7", None, [consent(Status.WITHDRAWN)], [no(WITHDRAWAL), no(UNSUBSCRIBE)], "UNSUBSCRIBED"),
	("7 withdrawn", None, [consent(Status.WITHDRAWN)], [], "WITHDRAWN"),
	("7 withdrawn, record gone", None, [], [no(WITHDRAWAL)], "WITHDRAWN"),
	("7 refused", None, [consent(Status.REFUSED)], [], "REFUSED"),
	("7 the record says more", None, [consent(Status.REFUSED)], [no(WITHDRAWAL, 10)], "REFUSED"),
	("7 expired", None, [consent(Status.EXPIRED)], [], "EXPIRED"),
	("7 revoked", None, [consent(Status.REVOKED)], [], "REVOKED"),
	("7 invalidated", None, [consent(Status.INVALIDATED)], [], "INVALIDATED"),
	("7 and a newer valid one", None, [consent(Status.EXPIRED, 5), consent(since=10)], [], "VALID_CONSENT"),
	("8a valid consent", None, [consent()], [], "VALID_CONSENT"),
	("8a asked, not answered", None, [consent(Status.REQUESTED)], [], "REQUESTED"),
	("8a never answered", None, [consent(Status.LAPSED)], [], "LAPSED"),
	("8a claimed without proof", None, [consent(Status.UNKNOWN)], [], "NO_EVIDENCE"),
	("8b existing customer", None, [customer()], [], "EXISTING_CUSTOMER"),
	("8c a basis that opens no channel", None, [LI], [], "NO_CONSENT"),
	("8 else: never asked", None, NOT_ASKED, [], "NO_CONSENT"),
	("8 else: ended basis", None, [consent(Status.ENDED)], [], "NO_CONSENT"),
	("8 else: replaced by one for another scope", None, [consent(Status.SUPERSEDED)], [], "NO_CONSENT"),
	("9a consent to both", "blog", [*YES, confirmed(10, "blog")], [], "VALID_CONSENT"),
	("9b existing customer of both", "blog", [customer(), customer(topic="blog")], [], "EXISTING_CUSTOMER"),
	("lift: confirmed later", None, [confirmed(30)], [no(OBJECTION, 20)], "VALID_CONSENT"),
	("lift: not by staff", None, [consent(since=30)], [no(OBJECTION, 20)], "OBJECTED"),
	("lift: not by a confirmation before", None, [confirmed(10)], [no(OBJECTION, 20)], "OBJECTED"),
	("lift: an erasure too", None, [confirmed(30)], [no(RefusalKind.ERASURE, 20)], "VALID_CONSENT"),
	("lift: a complaint too", None, [confirmed(30)], [no(RefusalKind.COMPLAINT, 20)], "VALID_CONSENT"),
	("lift: a bounce isn't a word", None, [confirmed(30)], [no(RefusalKind.BOUNCE, 20)], "SUPPRESSED"),
	("lift: nor a restriction", None, [confirmed(30)], [no(RefusalKind.RESTRICTION, 20)], "RESTRICTED"),
	("lift: until it ends", None, YES, [no(RefusalKind.RESTRICTION, lifted_on=day(40))], "VALID_CONSENT"),
	("lift: not before it ends", None, YES, [no(RefusalKind.BOUNCE, lifted_on=day(101))], "SUPPRESSED"),
]

COEXISTING_FACTS = [
	(
		"valid consent + older objection: the consented topic",
		"blog",
		[confirmed(30), confirmed(30, "blog")],
		[no(OBJECTION, 20)],
		"VALID_CONSENT",
	),
	(
		"valid consent + older objection: no other topic",
		"training",
		[confirmed(30), confirmed(30, "blog"), consent(since=31, topic="training")],
		[no(OBJECTION, 20)],
		"OBJECTED",
	),
	("valid consent + newer objection", None, YES, [no(OBJECTION, 20)], "OBJECTED"),
	("withdrawn + legitimate interest", None, [consent(Status.WITHDRAWN), LI], [], "WITHDRAWN"),
	("refused + customer", None, [consent(Status.REFUSED, 5), customer(10)], [], "REFUSED"),
	("expired + customer", None, [consent(Status.EXPIRED, 5), customer(10)], [], "EXPIRED"),
	("expired by the clock + customer", None, [consent(expires_on=day(20)), customer(30)], [], "EXPIRED"),
	("revoked + customer", None, [consent(Status.REVOKED, 5), customer(10)], [], "REVOKED"),
	("invalidated + customer", None, [consent(Status.INVALIDATED, 5), customer(10)], [], "INVALIDATED"),
	("withdrawn + customer", None, [consent(Status.WITHDRAWN, 5), customer(10)], [], "WITHDRAWN"),
	("not answered + customer", None, [consent(Status.LAPSED, 5), customer(10)], [], "EXISTING_CUSTOMER"),
	("never asked + customer, allowed", None, [customer()], [], "EXISTING_CUSTOMER"),
	("never asked + customer, not allowed", None, [], [], "NO_CONSENT"),
	(
		"topic A left, B consented: A",
		"blog",
		[*YES, consent(Status.WITHDRAWN, 20, "blog"), consent(topic="training")],
		[no(WITHDRAWAL, 20, "blog")],
		"WITHDRAWN",
	),
	(
		"topic A left, B consented: B",
		"training",
		[*YES, consent(Status.WITHDRAWN, 20, "blog"), consent(topic="training")],
		[no(WITHDRAWAL, 20, "blog")],
		"VALID_CONSENT",
	),
	("contract + objection: newsletter", None, [LI], [no(OBJECTION)], "OBJECTED"),
	("a yes and a no at one instant", None, [confirmed(20)], [no(OBJECTION, 20)], "OBJECTED"),
	(
		"a withdrawal and a yes at one instant",
		None,
		[consent(Status.WITHDRAWN), confirmed(10)],
		[],
		"WITHDRAWN",
	),
]


@pytest.mark.parametrize(
	("topic", "permissions", "refusals", "expected"),
	[pytest.param(*row[1:], id=row[0]) for row in [*DECISION_ORDER, *COEXISTING_FACTS]],
)
def test_requirements_5_decision(topic, permissions, refusals, expected):
	assert reason(topic, permissions, refusals) == expected
	assert reason(topic, permissions[::-1], refusals[::-1]) == expected, "the order of the facts decides"


def test_the_policy_needs_no_frappe():
	script = "import sys, gdpr_consent.policy; sys.exit('frappe' in sys.modules)"
	subprocess.run([sys.executable, "-c", script], check=True)


# --- topics -------------------------------------------------------------------------------------------------


def test_a_mail_about_a_topic_needs_the_purpose_and_the_topic():
	purpose, topic = consent(), consent(topic="blog")
	assert reason("blog", [purpose]) == "TOPIC_NOT_SUBSCRIBED"
	assert reason("blog", [topic]) == "NO_CONSENT"
	assert reason("blog", [purpose, consent(topic="training")]) == "TOPIC_NOT_SUBSCRIBED"
	assert decide("blog", [purpose, topic], [], NOW).consent == topic.name


def test_a_no_to_a_topic_leaves_the_purpose_as_it_is():
	assert reason(None, [consent()], [no(WITHDRAWAL, topic="blog")]) == "VALID_CONSENT"


def test_an_objection_is_lifted_only_where_purpose_and_topic_were_confirmed_after_it():
	objection = [no(OBJECTION, 20)]
	assert reason("blog", [confirmed(30), consent(since=10, topic="blog")], objection) == "OBJECTED"
	assert reason("blog", [consent(since=10), confirmed(30, "blog")], objection) == "OBJECTED"
	assert reason("blog", [confirmed(30), confirmed(30, "blog")], objection) == "VALID_CONSENT"


def test_what_the_person_lifted_stays_lifted_when_staff_renew_the_consent():
	"""The confirmation was an act of the person, whatever became of the record it made."""
	confirmed_once = confirmed(30)._replace(status=Status.SUPERSEDED, since=day(40))
	assert reason(None, [confirmed_once, consent(since=40)], [no(OBJECTION, 20)]) == "VALID_CONSENT"
	assert reason(None, [confirmed_once, consent(since=40)], [no(OBJECTION, 35)]) == "OBJECTED"


def test_a_confirmation_that_never_was_valid_lifts_nothing():
	forged = confirmed(30)._replace(status=Status.INVALIDATED, since=day(40))
	assert reason(None, [forged, consent(since=40)], [no(OBJECTION, 20)]) == "OBJECTED"


# --- time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
	("offset", "expected"),
	[(-MICROSECOND, "NO_CONSENT"), (timedelta(), "VALID_CONSENT"), (MICROSECOND, "VALID_CONSENT")],
)
def test_st_04_a_consent_holds_from_its_first_instant(offset, expected):
	assert reason(None, [consent(since=10)], at=day(10) + offset) == expected


@pytest.mark.parametrize(
	("permission", "before", "after"),
	[
		(consent(expires_on=day(20)), "VALID_CONSENT", "EXPIRED"),
		(consent(Status.REQUESTED, expires_on=day(20)), "REQUESTED", "LAPSED"),
		(customer()._replace(expires_on=day(20)), "EXISTING_CUSTOMER", "NO_CONSENT"),
	],
)
def test_st_04_a_permission_is_over_at_the_very_instant_it_expires(permission, before, after):
	assert reason(None, [permission], at=day(20) - MICROSECOND) == before
	assert reason(None, [permission], at=day(20)) == after


def test_st_04_a_no_counts_from_its_first_instant():
	assert reason(None, YES, [no(OBJECTION, 20)], at=day(20) - MICROSECOND) == "VALID_CONSENT"
	assert reason(None, YES, [no(OBJECTION, 20)], at=day(20)) == "OBJECTED"


def test_a_confirmation_lifts_from_one_microsecond_after_the_no():
	later = confirmed(20)._replace(confirmed_on=day(20) + MICROSECOND, since=day(20) + MICROSECOND)
	assert reason(None, [later], [no(OBJECTION, 20)]) == "VALID_CONSENT"


# --- words --------------------------------------------------------------------------------------------------

REQUIREMENTS_3 = {
	"T1": (None, Status.REQUESTED),
	"T2": (None, Status.GIVEN),
	"T3": (None, Status.REFUSED),
	"T4": (None, Status.UNKNOWN),
	"T5": (Status.REQUESTED, Status.GIVEN),
	"T6": (Status.REQUESTED, Status.REFUSED),
	"T7": (Status.REQUESTED, Status.LAPSED),
	"T8": (Status.GIVEN, Status.WITHDRAWN),
	"T9": (Status.GIVEN, Status.EXPIRED),
	"T10": (Status.GIVEN, Status.SUPERSEDED),
	"T11": (Status.GIVEN, Status.REVOKED),
	"T12 given": (Status.GIVEN, Status.INVALIDATED),
	"T12 withdrawn": (Status.WITHDRAWN, Status.INVALIDATED),
	"T12 revoked": (Status.REVOKED, Status.INVALIDATED),
	"T12 expired": (Status.EXPIRED, Status.INVALIDATED),
	"T12 superseded": (Status.SUPERSEDED, Status.INVALIDATED),
	"T12 refused": (Status.REFUSED, Status.INVALIDATED),
	"T12 unknown": (Status.UNKNOWN, Status.INVALIDATED),
	"T13 asked": (Status.UNKNOWN, Status.REQUESTED),
	"T13 proven": (Status.UNKNOWN, Status.GIVEN),
	# Of records that rest on another legal basis.
	"other basis": (None, Status.NOT_REQUIRED),
	"other basis ends": (Status.NOT_REQUIRED, Status.ENDED),
	"other basis is replaced": (Status.NOT_REQUIRED, Status.SUPERSEDED),
}


@pytest.mark.parametrize(("before", "after"), product([None, *Status], Status))
def test_st_01_only_the_transitions_of_requirements_3(before, after):
	assert (after in TRANSITIONS[before]) is ((before, after) in REQUIREMENTS_3.values())


def test_a_live_record_is_one_that_can_still_be_answered_or_used():
	assert LIVE == {Status.UNKNOWN, Status.REQUESTED, Status.GIVEN, Status.NOT_REQUIRED}
	assert all(TRANSITIONS[status] for status in LIVE)


def test_every_status_every_refusal_and_every_event_has_its_meaning():
	assert REASON_OF_STATUS.keys() == set(Status)
	assert {kind for kind, _reason in REFUSALS} == set(RefusalKind)
	assert set(STATUS_AFTER.values()) == set(Status)
	without = {EventKind.MOVE, EventKind.ASK, EventKind.SUPPRESS, EventKind.LIFT, EventKind.ERASE}
	assert set(EventKind) - STATUS_AFTER.keys() == without


def test_every_reason_is_reached_and_says_of_itself_whether_it_allows():
	topics = [reason("blog", [consent()])]
	reached = {row[-1] for row in [*DECISION_ORDER, *COEXISTING_FACTS]} | set(topics)
	assert reached == {one.value for one in Reason} - {"NOT_MARKETING", "ERROR"}
	assert {one.value for one in Reason if one.allows} == {
		"VALID_CONSENT",
		"EXISTING_CUSTOMER",
		"NOT_MARKETING",
	}


# --- whether anybody else may write a yes -------------------------------------------------------------------


@pytest.mark.parametrize(
	("topic", "permissions", "refusals", "expected"),
	[
		(None, [], [], None),
		(None, [], [no(OBJECTION)], Reason.OBJECTED),
		("blog", [], [no(OBJECTION)], Reason.OBJECTED),
		("blog", [], [no(WITHDRAWAL, topic="blog")], Reason.WITHDRAWN),
		("training", [], [no(WITHDRAWAL, topic="blog")], None),
		(None, [], [no(WITHDRAWAL, topic="blog")], None),
		(None, [consent(Status.REFUSED)], [], Reason.REFUSED),
		(None, [consent(Status.WITHDRAWN)], [], Reason.WITHDRAWN),
		(None, [consent(Status.WITHDRAWN, 10), confirmed(20)], [no(WITHDRAWAL, 10)], None),
		(None, [consent(Status.EXPIRED)], [], None),
		(None, [consent(Status.REVOKED)], [], None),
		(None, [], [no(RefusalKind.BOUNCE), no(RefusalKind.RESTRICTION)], None),
	],
)
def test_st_08_only_what_the_person_said_stands_in_the_way_of_a_record(
	topic, permissions, refusals, expected
):
	assert refused(topic, permissions, refusals, NOW) == expected


def test_st_08_a_no_that_was_lifted_and_let_lapse_stands_in_nobodys_way():
	over = confirmed(30)._replace(expires_on=day(40))
	assert refused(None, [over], [no(OBJECTION, 20)], NOW) is None


# --- for all facts ------------------------------------------------------------------------------------------

days = st.integers(0, 120)
permissions = st.builds(
	lambda status, since, topic, ground, is_confirmed, lasts: consent(
		status,
		since,
		topic,
		ground=ground,
		confirmed_on=day(since) if is_confirmed else None,
		expires_on=day(since + lasts) if lasts else None,
	),
	st.sampled_from(Status),
	days,
	st.sampled_from(TOPICS),
	st.sampled_from(MarketingGround),
	st.booleans(),
	st.integers(0, 60),
)
refusals = st.builds(
	lambda kind, said, topic, lasts: no(
		kind, said, topic or None, lifted_on=day(said + lasts) if lasts else None
	),
	st.sampled_from(RefusalKind),
	days,
	st.sampled_from(TOPICS),
	st.integers(0, 60),
)
facts = st.lists(permissions, max_size=6), st.lists(refusals, max_size=4)
topics = st.sampled_from(TOPICS)


@given(topics, *facts, refusals)
def test_no_further_no_ever_turns_a_block_into_an_allow(topic, yes, noes, another):
	if not decide(topic, yes, noes, NOW).allowed:
		assert not decide(topic, yes, [*noes, another], NOW).allowed


@given(topics, *facts, st.sampled_from(TOPICS[1:]), *facts)
def test_facts_about_another_topic_change_nothing(topic, yes, noes, other, more_yes, more_noes):
	if topic == other:
		return
	elsewhere = (
		[one._replace(topic=other) for one in more_yes],
		[one._replace(topic=other) for one in more_noes],
	)
	assert decide(topic, yes, noes, NOW) == decide(topic, yes + elsewhere[0], noes + elsewhere[1], NOW)


@given(topics, *facts)
def test_what_lies_in_the_future_changes_nothing(topic, yes, noes):
	past = [one for one in yes if one.since <= NOW], [one for one in noes if one.said_on <= NOW]
	assert decide(topic, yes, noes, NOW) == decide(topic, *past, NOW)


@given(topics, *facts, st.sampled_from([OBJECTION, WITHDRAWAL, UNSUBSCRIBE, RefusalKind.ERASURE]))
def test_st_05_a_newest_no_blocks_whatever_else_is_true(topic, yes, noes, kind):
	assert not decide(topic, yes, [*noes, Refusal(kind, NOW)], NOW).allowed
	assert refused(topic, yes, [*noes, Refusal(kind, NOW)], NOW)


@given(topics, *facts)
def test_only_a_valid_record_of_the_scope_ever_allows(topic, yes, noes):
	decision = decide(topic, yes, noes, NOW)
	if decision.allowed:
		(named,) = [
			one
			for one in yes
			if (one.name, one.topic) == (decision.consent, topic)
			and one.status in (Status.GIVEN, Status.NOT_REQUIRED)
		][:1]
		assert named.since <= NOW


@given(topics, *facts)
def test_st_07_another_basis_never_replaces_a_consent_that_ended(topic, yes, noes):
	ended = (Status.WITHDRAWN, Status.REFUSED, Status.EXPIRED, Status.REVOKED, Status.INVALIDATED)
	if any(one.topic == "" and one.status in ended and one.since <= NOW for one in yes):
		assert reason("", yes, noes) != "EXISTING_CUSTOMER"


@given(topics, st.lists(permissions, max_size=2), st.lists(refusals, max_size=2))
def test_a_fact_that_is_told_twice_changes_nothing(topic, yes, noes):
	"""What is decided the short way, for a single record, is what all the rules say."""
	assert decide(topic, yes, noes, NOW) == decide(topic, yes * 2, noes * 2, NOW)


@given(topics, *facts)
def test_the_order_of_the_facts_changes_nothing(topic, yes, noes):
	named = [one._replace(name=str(number)) for number, one in enumerate(yes)]
	assert decide(topic, named, noes, NOW) == decide(topic, named[::-1], noes[::-1], NOW)
