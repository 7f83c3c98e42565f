"""Reads the register for many addresses at once and asks `policy.decide` about each.

The same answer serves the gate, a preview, a report and a script; only the number of addresses differs.
"""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache

import frappe

from gdpr_consent import ledger, proof
from gdpr_consent.clock import now_utc
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
	block,
	decide,
)

AT_ONCE = 1_000
STATUSES = {status.value: status for status in Status}  # a third of the time of Status(value)
REFUSAL_KINDS = {kind.value: kind for kind in RefusalKind}
GROUNDS = {ground.value: ground for ground in MarketingGround}
_instant = datetime.fromisoformat


def decide_many(
	emails: Iterable[str],
	purpose: str,
	topic: str | None = None,
	channel: str = Channel.EMAIL.value,
	at: datetime | None = None,
	known_at: datetime | None = None,
) -> dict[str, Decision]:
	"""Decide about each address, in sets of a thousand, one query a set.

	Args:
		emails: in any spelling, one address each.
		at: the instant asked about, naive UTC; now if not given.
		known_at: answer with what had been recorded until then; None is what is known now.
	"""
	if not proof.is_marketing(purpose):
		return {email: Decision(True, Reason.NOT_MARKETING) for email in emails}
	keys = address_keys(dict.fromkeys(emails))
	distinct = sorted({key for key in keys.values() if key})  # neighbours in the index
	# From what isn't an address, nobody can have agreed.
	answers: dict[str | None, Decision] = {None: block(Reason.NO_CONSENT)}
	if known_at and not at:
		at = known_at
	chunks = [distinct[start : start + AT_ONCE] for start in range(0, len(distinct), AT_ONCE)]
	if at:
		answers |= _decide_at(chunks, purpose, topic, channel, at, known_at)
	else:
		answers |= _decide_now(chunks, purpose, topic, channel)
	return {email: answers[key] for email, key in keys.items()}


def subscribers(topic: str) -> Iterator[list[str]]:
	"""Yield the addresses with a live record about a topic, as they gave them, by the thousand.

	Whether they may be written to is for `decide_many` to say; it asks for the purpose too.
	"""
	consent = frappe.qb.DocType("Consent")
	last = ""
	while rows := (
		frappe.qb.from_(consent)
		.select(consent.address_key, consent.email)  # one each, since only one record of a scope is live
		.where((consent.topic == topic) & (consent.channel == Channel.EMAIL.value))
		.where(consent.status.isin([Status.GIVEN.value, Status.NOT_REQUIRED.value]))
		.where(consent.email.isnotnull() & (consent.address_key > last))
		.orderby(consent.address_key)
		.limit(AT_ONCE)
		.run()
	):
		last = rows[-1][0]
		yield [email for _key, email in rows]


# All that decides about a thousand addresses, in one statement that sees one state of the database. It is
# text, because the query builder takes longer over it than the database over rows. The addresses come first
# and bring the index with them: of a list after `in`, the database sometimes thinks that reading the whole
# table is quicker. Each row is one text, because the driver takes longer over a column than the database over
# a row; names that people choose are in hex, so that nothing in them parts it. Many rows come as one text,
# for the same reason; of a few, that takes the database longer. A row that lacks what it must have is null,
# and nothing is decided.
ASKED = "json_table(%(keys)s, '$[*]' columns (address_key varchar(80) path '$')) asked"
FEW = 100  # addresses


@cache
def facts_query(is_about_few: bool, with_wording: bool) -> str:
	"""Return the statement that reads facts.

	Args:
		is_about_few: whether each row comes by itself. If not, there is a row for consents and one for
			suppressions: how many there are, and all of them, a line each.
		with_wording: the one thing that the index has no room for. Without it, the rows of the table stay
			unread.
	"""
	before = "" if is_about_few else "set statement group_concat_max_len = 1073741824 for"
	row = "concat({})" if is_about_few else "count(*), group_concat({} separator '\\n')"
	wording = "hex(ifnull(wording, ''))" if with_wording else "''"
	consent = f"""
		asked.address_key, '|', consent.name, '|', hex(ifnull(topic, '')), '|', status, '|', marketing, '|',
		since, '|', ifnull(given_on, ''), '|', ifnull(expires_on, ''), '|', ifnull(confirmed_on, ''), '|',
		ifnull(nullif(evidence_grade, ''), '-'), ifnull(double_opt_in, 0), hex(ifnull(country, '')), '.',
		{wording}"""
	suppression = """
		asked.address_key, '|', kind, '|', said_on, '|', hex(ifnull(topic, '')), '|', ifnull(lifted_on, '')"""
	return f"""{before}
		select {row.format(consent)}
		from {ASKED}
		straight_join `tabConsent` consent force index (decision) on consent.address_key = asked.address_key
		left join `tabLegal Basis` basis on basis.name = legal_basis
		where channel = %(channel)s and purpose = %(purpose)s and (topic is null or topic in ('', %(topic)s))
		union all
		select {row.format(suppression)}
		from {ASKED}
		straight_join `tabSuppression` said force index (address_key) on said.address_key = asked.address_key
		where (channel is null or channel in ('', %(channel)s))
			and (purpose is null or purpose in ('', %(purpose)s))
			and (topic is null or topic in ('', %(topic)s))"""


def _decide_now(
	chunks: list[list[str]], purpose: str, topic: str | None, channel: str
) -> dict[str, Decision]:
	"""Decide about a thousand addresses while the database looks for the next thousand.

	The database is asked by this thread alone. The other one has all that it needs in memory, and would fail
	if it asked: outside this thread there is no connection.
	"""
	requirements = proof.requirements_for(purpose, channel)

	def read(keys: list[str]) -> tuple[list[str], list[str], datetime]:
		return keys, _rows(keys, purpose, topic, channel, requirements), now_utc()

	def decide_on(keys: list[str], rows: list[str], instant: datetime) -> dict[str, Decision]:
		permissions, refusals = _facts_in(rows, requirements)
		return {key: decide(topic, permissions.get(key, ()), refusals.get(key, ()), instant) for key in keys}

	if len(chunks) == 1:
		return decide_on(*read(chunks[0]))
	with ThreadPoolExecutor(max_workers=1) as beside:
		decided = [beside.submit(decide_on, *read(keys)) for keys in chunks]
	return {key: decision for part in decided for key, decision in part.result().items()}


def _facts_in(
	rows: list[str], requirements: proof.Requirements
) -> tuple[dict[str, list[Permission]], dict[str, list[Refusal]]]:
	permissions: dict[str, list[Permission]] = {}
	refusals: dict[str, list[Refusal]] = {}
	topics, grounds, proofs = _Unhexed(), _Grounds(requirements), _Proofs(requirements)
	for row in rows:
		match row.split("|"):
			case key, name, topic, status, ground, since, given_on, expires_on, confirmed_on, strength:
				permission = Permission(
					name,
					topics[topic],
					STATUSES[status],
					grounds[ground, strength],
					_instant(since),
					_instant(given_on) if given_on else None,
					_instant(expires_on) if expires_on else None,
					_instant(confirmed_on) if confirmed_on else None,
					proofs[strength, bool(confirmed_on)],
				)
				permissions.setdefault(key, []).append(permission)
			case key, kind, said_on, topic, lifted_on:
				refusal = Refusal(
					REFUSAL_KINDS[kind],
					_instant(said_on),
					topics[topic] or None,
					_instant(lifted_on) if lifted_on else None,
				)
				refusals.setdefault(key, []).append(refusal)
			case _:
				raise ValueError("Neither a consent nor a suppression")
	return permissions, refusals


def _rows(
	keys: list[str], purpose: str, topic: str | None, channel: str, requirements: proof.Requirements
) -> list[str]:
	asked = {"keys": json.dumps(keys), "channel": channel, "purpose": purpose, "topic": topic or ""}
	is_about_few = len(keys) <= FEW
	found = frappe.db.sql(facts_query(is_about_few, bool(requirements.outdated_wordings)), asked)
	if is_about_few:
		rows = [row for (row,) in found]
		is_complete = None not in rows
	else:
		rows = [row for _number, text in found if text for row in text.split("\n")]
		is_complete = len(rows) == sum(number for number, _text in found)
	if not is_complete:
		raise ValueError("A consent or a suppression lacks what decides")
	return rows


class _Unhexed(dict[str, str]):
	def __missing__(self, digits: str) -> str:
		self[digits] = bytes.fromhex(digits).decode()
		return self[digits]


def _names_in(strength: str) -> list[str]:
	"""Return the country and the wording."""
	return [bytes.fromhex(digits).decode() for digits in strength[2:].split(".")]


class _Grounds(dict[tuple[str, str], MarketingGround]):
	"""What each legal basis means in each country."""

	def __init__(self, requirements: proof.Requirements) -> None:
		self.requirements = requirements

	def __missing__(self, asked: tuple[str, str]) -> MarketingGround:
		ground, strength = asked
		self[asked] = self.requirements.ground_in(_names_in(strength)[0], GROUNDS[ground])
		return self[asked]


class _Proofs(dict[tuple[str, bool], bool]):
	"""Whether a consent of such a grade, opt-in rule, country and wording counts."""

	def __init__(self, requirements: proof.Requirements) -> None:
		self.requirements = requirements

	def __missing__(self, kind: tuple[str, bool]) -> bool:
		strength, is_confirmed = kind
		country, wording = _names_in(strength)
		grade, double_opt_in = strength[0], strength[1] == "1"
		self[kind] = self.requirements.are_met(country, grade, double_opt_in, is_confirmed, wording)
		return self[kind]


def _decide_at(
	chunks: list[list[str]],
	purpose: str,
	topic: str | None,
	channel: str,
	at: datetime,
	known_at: datetime | None,
) -> dict[str, Decision]:
	decisions = {}
	for keys in chunks:
		permissions, refusals = _facts_at(keys, purpose, topic, channel, at, known_at)
		for key in keys:
			decisions[key] = decide(topic, permissions.get(key, ()), refusals.get(key, ()), at)
	return decisions


def _facts_at(
	keys: list[str],
	purpose: str,
	topic: str | None,
	channel: str,
	at: datetime,
	known_at: datetime | None,
) -> tuple[dict[str, list[Permission]], dict[str, list[Refusal]]]:
	"""The same facts as they were at an instant, from the events up to it (ST-10, ST-11)."""
	consent, suppression = frappe.qb.DocType("Consent"), frappe.qb.DocType("Suppression")
	requirements = proof.requirements_for(purpose, channel, at)
	permissions: dict[str, list[Permission]] = {}
	# What a record is about never changes, so it is read from its row: the payloads may have been erased.
	about = {
		row.name: row
		for row in _consents(consent, keys, purpose, topic, channel)
		.select(consent.name, consent.address_key, consent.topic, consent.legal_basis)
		.run(as_dict=True)
	}
	for name, events in ledger.read_events("Consent", list(about), at, known_at).items():
		row = ledger.fold(events)
		if row:
			country = row.get("country")
			permissions.setdefault(about[name].address_key, []).append(
				Permission(
					name,
					about[name].topic or "",
					Status(row["status"]),
					requirements.ground_in(
						country, proof.ground_of(row.get("legal_basis") or about[name].legal_basis)
					),
					# An invalidation counts from when it takes effect, not from when it was found out.
					min(row["since"], at),
					row.get("given_on"),
					row.get("expires_on"),
					row.get("confirmed_on"),
					requirements.are_met(
						country,
						row.get("evidence_grade"),
						row.get("double_opt_in"),
						row.get("confirmed_on"),
						row.get("wording"),
					),
				)
			)
	refusals: dict[str, list[Refusal]] = {}
	said = {
		row.name: row
		for row in _suppressions(suppression, keys, purpose, topic, channel)
		.select(suppression.star)
		.run(as_dict=True)
	}
	for name, events in ledger.read_events("Suppression", list(said), at, known_at).items():
		if events:
			lifted_on = ledger.fold(events).get("lifted_on")
			refusals.setdefault(said[name].address_key, []).append(
				Refusal(RefusalKind(said[name].kind), said[name].said_on, said[name].topic or None, lifted_on)
			)
	return permissions, refusals


def _consents(consent, keys: list[str], purpose: str, topic: str | None, channel: str):
	return (
		frappe.qb.from_(consent)
		.where(consent.address_key.isin(keys))
		.where((consent.purpose == purpose) & (consent.channel == channel))
		.where(consent.topic.isnull() | (consent.topic == (topic or "")))
	)


def _suppressions(suppression, keys: list[str], purpose: str, topic: str | None, channel: str):
	return (
		frappe.qb.from_(suppression)
		.where(suppression.address_key.isin(keys))
		.where(suppression.channel.isnull() | (suppression.channel == channel))
		.where(suppression.purpose.isnull() | (suppression.purpose == purpose))
		.where(suppression.topic.isnull() | (suppression.topic == (topic or "")))
	)
