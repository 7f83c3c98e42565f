"""What a person said no to: withdrawn, objected, refused, by staff's word or by a link."""

from collections.abc import Iterable

import frappe
from frappe import _

from gdpr_consent import proof
from gdpr_consent.exceptions import UnknownReference
from gdpr_consent.identity import address_key, addresses_of_the_person, bare
from gdpr_consent.policy import (
	ENDED_BY_OTHERS,
	LIVE,
	SAID_BY_THE_PERSON,
	Channel,
	EventKind,
	RefusalKind,
	Status,
)
from gdpr_consent.register.terms import (
	CONSENT_BASIS,
	check_purpose,
	check_reaches,
	check_source,
	check_topic,
	check_wording,
	demands_on,
	mark_used,
	reaches,
	subject_facts,
)
from gdpr_consent.register.writing import (
	DATA_SUBJECT,
	Act,
	No,
	Row,
	Scope,
	Writing,
	covers,
	party_of,
	scope_of,
)


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
	with Writing(key for no in noes if (key := no.key)) as writing:
		return write_noes(writing, noes, act)


def write_noes(writing: Writing, noes: Iterable[No], act: Act) -> list[str]:
	ended: list[str] = []
	for no in noes:
		key = no.key
		if no.email and not reaches(no.scope.channel, no.email):
			continue
		if key:
			if no.kind not in ENDED_BY_OTHERS:
				ended += _end_live(writing, key, no, act)
			if not stands_already(writing, key, no):
				write_suppression(writing, key, no, act)
		elif (no.party or no.origin) and not _stands_without_address(no):
			write_suppression(writing, None, no, act)
	return ended


def _end_live(writing: Writing, key: str, no: No, act: Act) -> list[str]:
	ended = []
	said_on = no.said_on or writing.now
	for row in list(writing.consents[key]):
		if row["status"] not in LIVE or writing.end_if_over(row) or not covers(no.scope, scope_of(row)):
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


def stands_already(writing: Writing, key: str, no: No) -> bool:
	"""Whether the same no stands, and the person confirmed nothing in its scope between the two.

	Who is restricted for themselves has a restriction of their own, so that it outlasts that of somebody else
	who shares the address.
	"""
	said_on = no.said_on or writing.now
	confirmed = [
		row["confirmed_on"]
		for row in writing.consents[key]
		if row.get("confirmed_on") and covers(no.scope, scope_of(row))
	]
	return any(
		row["kind"] == no.kind
		and scope_of(row) == no.scope
		and not row.get("lifted_on")
		and (no.kind != RefusalKind.RESTRICTION or not no.party or party_of(row) == (no.party_type, no.party))
		# Each opt-out of core's is noted, or it would be looked at again every hour.
		and (not no.origin or (row["origin_doctype"], row["origin"]) == (no.origin_doctype, no.origin))
		and not any(row["said_on"] < yes <= said_on for yes in confirmed)
		for row in writing.suppressions[key]
	)


def write_suppression(writing: Writing, key: str | None, no: No, act: Act) -> None:
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
	check_reaches(Channel.EMAIL.value, email)
	rules = check_purpose(purpose, also_disabled=True)
	topic = check_topic(topic, rules.name, also_disabled=True)
	source = check_source(source)
	text = check_wording(wording, rules.name, topic)
	act = Act(DATA_SUBJECT, source, wording=text.name if text else None)
	scope = Scope(Channel.EMAIL.value, rules.name, topic or "")
	place = proof.place_of(email, party_type, party, rules.company)
	with Writing([key]) as writing:
		write_noes(writing, [No(RefusalKind.WITHDRAWAL, scope, email, party_type, party)], act)
		if said := [
			row
			for row in writing.consents[key]
			if scope_of(row) == scope and row["status"] in SAID_BY_THE_PERSON
		]:
			return max(said, key=lambda row: row["since"])
		facts = {
			**subject_facts(email, key, scope, rules.company),
			**demands_on(scope, place),
			"party_type": party_type,
			"party": party,
			"legal_basis": CONSENT_BASIS,
			"source": source,
			"wording": act.wording,
			"recorded_by": frappe.session.user,
			"ended_on": writing.now,
		}
		mark_used(act.wording)
		return writing.open("Consent", EventKind.REFUSE, facts, act, writing.now)


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
	scopes = [] if everything else [scope_of(found)]
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
