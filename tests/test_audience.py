"""The set-based answer is that of `policy.decide`, for whatever stands in the register (design, idea 2)."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from conftest import examples, give
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import frappe

from gdpr_consent import audience, ledger
from gdpr_consent.identity import address_keys
from gdpr_consent.policy import (
	Channel,
	Decision,
	MarketingGround,
	Permission,
	Reason,
	Refusal,
	RefusalKind,
	Status,
	decide,
)

PURPOSES = ("Email Marketing", "Customer Service")  # the second one is never asked about
PEOPLE = 5

moments = st.integers(-3, 3)  # microseconds from the instant asked about, so that they often meet
people = st.integers(0, PEOPLE - 1)
purposes = st.sampled_from([PURPOSES[0], PURPOSES[0], PURPOSES[1]])
channels = st.sampled_from([Channel.EMAIL.value, Channel.EMAIL.value, Channel.SMS.value])
topics = st.sampled_from([0, 1, None])
BASES = {
	"Consent": MarketingGround.NEEDS_CONSENT,
	"Existing Customer": MarketingGround.EXISTING_CUSTOMER,
	"Contract": MarketingGround.NEVER,
}


class ConsentRow(NamedTuple):
	who: int
	purpose: str
	channel: str
	topic: int | None
	status: Status
	legal_basis: str
	since: int
	given_on: int | None
	expires_on: int | None
	confirmed_on: int | None
	evidence_grade: str | None
	double_opt_in: bool
	country: str | None


class SuppressionRow(NamedTuple):
	who: int
	purpose: str | None
	channel: str | None
	topic: int | None
	kind: RefusalKind
	said_on: int
	lifted_on: int | None


def ground_of(row: ConsentRow) -> MarketingGround:
	"""The existing-customer rule is on in Germany alone, as the site is delivered."""
	is_off = row.legal_basis == "Existing Customer" and row.country != "Germany"
	return MarketingGround.NEVER if is_off else BASES[row.legal_basis]


def is_proven(row: ConsentRow) -> bool:
	if row.evidence_grade == "C":
		return True
	return row.evidence_grade == "A" and (not row.double_opt_in or row.confirmed_on is not None)


consents = st.lists(
	st.builds(
		ConsentRow,
		people,
		purposes,
		channels,
		topics,
		st.sampled_from([Status.GIVEN, *Status]),
		st.sampled_from(list(BASES)),
		moments,
		*[st.none() | moments] * 3,
		st.sampled_from(["A", "C", "C", "B", "D", None]),
		st.booleans(),
		st.sampled_from(["Germany", "Germany", "Poland", "France", None]),
	),
	max_size=12,
)
suppressions = st.lists(
	st.builds(
		SuppressionRow,
		people,
		st.none() | purposes,
		st.none() | channels,
		topics,
		st.sampled_from(RefusalKind),
		moments,
		st.none() | moments,
	),
	max_size=5,
)


@pytest.fixture
def two_topics(site: str) -> list[str]:
	"""Names with the characters in them that a text of rows might be parted by."""
	tag = frappe.generate_hash(length=6)
	return [
		frappe.new_doc("Subscription Topic", title=title, purpose=PURPOSES[0]).insert().name
		for title in (f"A|b, {tag} 'żółć'", f"C\\n|{tag}")
	]


def expected(
	who: int,
	topic: str | None,
	names: list[str],
	yes: list[ConsentRow],
	noes: list[SuppressionRow],
	clock: Any,
) -> Decision:
	def instant(offset: int | None) -> Any:
		return None if offset is None else clock.now + timedelta(microseconds=offset)

	def name_of(number: int | None) -> str:
		return "" if number is None else names[number]

	permissions = [
		Permission(
			f"{number:04}",
			name_of(row.topic),
			row.status,
			ground_of(row),
			*map(instant, (row.since, row.given_on, row.expires_on, row.confirmed_on)),
			is_proven(row),
		)
		for number, row in enumerate(yes)
		if (row.who, row.purpose, row.channel) == (who, PURPOSES[0], Channel.EMAIL.value)
	]
	refusals = [
		Refusal(row.kind, instant(row.said_on), name_of(row.topic) or None, instant(row.lifted_on))
		for row in noes
		if row.who == who
		and row.purpose in (None, PURPOSES[0])
		and row.channel in (None, Channel.EMAIL.value)
	]
	return decide(topic, permissions, refusals, clock.now)


def fill(
	keys: list[str],
	names: list[str],
	yes: list[ConsentRow],
	noes: list[SuppressionRow],
	clock: Any,
	prefix: str,
) -> None:
	def row_of(number: int, row: ConsentRow | SuppressionRow) -> dict[str, Any]:
		values = row._asdict() | {"name": f"{prefix}{number:04}", "address_key": keys[row.who]}
		del values["who"]
		values["topic"] = None if row.topic is None else names[row.topic]
		for column, value in values.items():
			if isinstance(value, Status | RefusalKind):
				values[column] = value.value
			elif isinstance(value, int) and column != "double_opt_in":
				values[column] = clock.now + timedelta(microseconds=value)
		return values

	for doctype, rows in (("Consent", yes), ("Suppression", noes)):
		ledger.insert(doctype, [row_of(number, row) for number, row in enumerate(rows)])


def test_the_index_holds_all_that_decides_while_no_wording_is_outdated(address):
	"""Or each consent is read from a place of its own on the disk."""
	asked = {"keys": json.dumps(list(address_keys([address()]).values())), "channel": Channel.EMAIL.value}
	plan = frappe.db.sql(
		"explain " + audience.facts_query(True, False),
		asked | {"purpose": PURPOSES[0], "topic": "No Such"},
		as_dict=True,
	)
	(consent,) = [row for row in plan if row.table == "consent"]
	assert consent.key == "decision"
	assert "Using index" in consent.Extra.split("; ")


def test_a_short_limit_of_the_database_for_a_text_leaves_nobody_out(mailbox, monkeypatch):
	monkeypatch.setattr(audience, "FEW", 0)
	email = mailbox()
	consent = give(email)
	frappe.db.sql("set session group_concat_max_len = 16")
	try:
		assert audience.decide_many([email], PURPOSES[0])[email].consent == consent
	finally:
		frappe.db.sql("set session group_concat_max_len = default")


@settings(
	max_examples=examples(2),
	suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
	consents,
	suppressions,
	st.sampled_from([0, 1, None]),
	st.sampled_from([audience.FEW, 0]),
	st.sampled_from([audience.AT_ONCE, 1]),
)
def test_many_are_decided_as_the_policy_decides_each(
	clock, two_topics, address, monkeypatch, yes, noes, asked, few, at_once
):
	monkeypatch.setattr(audience, "FEW", few)
	monkeypatch.setattr(audience, "AT_ONCE", at_once)
	emails = [address() for _ in range(PEOPLE)]
	prefix = frappe.generate_hash(length=8)
	fill(list(address_keys(emails).values()), two_topics, yes, noes, clock, prefix)
	topic = None if asked is None else two_topics[asked]

	answers = audience.decide_many(emails, PURPOSES[0], topic)

	for who, email in enumerate(emails):
		wanted = expected(who, topic, two_topics, yes, noes, clock)
		named = wanted.consent and prefix + wanted.consent
		assert answers[email] == wanted._replace(consent=named)
		assert audience.decide_many([email], PURPOSES[0], topic) == {email: answers[email]}


@pytest.mark.parametrize("few", [audience.FEW, 0])
@pytest.mark.parametrize("at_once", [audience.AT_ONCE, 1])
def test_a_record_that_lacks_what_it_must_have_leaves_nobody_decided(
	few, at_once, address, clock, monkeypatch
):
	"""A row that can't be read may be a no."""
	monkeypatch.setattr(audience, "FEW", few)
	monkeypatch.setattr(audience, "AT_ONCE", at_once)
	email, others = address(), [address(), address()]
	no = SuppressionRow(0, None, None, None, RefusalKind.OBJECTION, 0, None)
	fill(list(address_keys([email]).values()), [], [], [no], clock, prefix := frappe.generate_hash(length=8))
	assert audience.decide_many([email], PURPOSES[0])[email].reason == Reason.OBJECTED
	frappe.qb.update("Suppression").set("said_on", None).where(
		frappe.qb.Field("name") == f"{prefix}0000"
	).run()
	with pytest.raises(ValueError, match="lacks what decides"):
		audience.decide_many([*others, email], PURPOSES[0])


def test_an_audience_that_cant_be_made_out_is_refused_whole(mailbox, monkeypatch):
	"""Sets are decided beside the reading of the next: what fails there may not pass for an answer."""
	monkeypatch.setattr(audience, "AT_ONCE", 1)
	monkeypatch.delitem(audience.STATUSES, Status.GIVEN.value)
	emails = [mailbox() for _ in range(3)]
	give(emails[1])
	with pytest.raises(KeyError, match=Status.GIVEN.value):
		audience.decide_many(emails, PURPOSES[0])


def test_an_audience_takes_one_query_a_thousand(address, monkeypatch):
	emails = [address() for _ in range(2_500)]
	asked: list[str] = []
	sql: Callable = frappe.db.sql
	audience.decide_many(emails[:1], PURPOSES[0])  # what Frappe caches on first use isn't the audience's
	monkeypatch.setattr(
		frappe.db, "sql", lambda query, *more, **named: asked.append(query) or sql(query, *more, **named)
	)
	audience.decide_many(emails, PURPOSES[0])
	assert len(asked) == 3
