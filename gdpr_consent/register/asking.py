"""The question whether somebody agrees, and their answer from their own mailbox (T1, T5, T10)."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import frappe
from frappe import _

from gdpr_consent import children, proof
from gdpr_consent.clock import add_months
from gdpr_consent.exceptions import StandingRefusal
from gdpr_consent.identity import address_key
from gdpr_consent.policy import Channel, EventKind, MarketingGround, Reason, RefusalKind, Status
from gdpr_consent.register.bounces import bounces_in, lift_bounces_in
from gdpr_consent.register.people import addresses_of_the_party, noes_of, rows_of_party
from gdpr_consent.register.restriction import restrictions_in
from gdpr_consent.register.terms import (
	CONSENT_BASIS,
	Questions,
	Subject,
	check_reaches,
	demands_on,
	mark_used,
	period_of,
	questions_of,
	subject_facts,
	wording_required,
)
from gdpr_consent.register.writing import (
	CONTROLLER,
	DATA_SUBJECT,
	Act,
	No,
	Row,
	Scope,
	Writing,
	permission_of,
	rows_named,
	scope_of,
)
from gdpr_consent.register.yes import replace_live
from gdpr_consent.words import reason_in_words

CONFIRMABLE = (Status.REQUESTED, Status.GIVEN, Status.NOT_REQUIRED)


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
		EvidenceMissing: there are no words for it, where Consent Settings ask for them (LB-06).
	"""
	key = address_key(email)
	check_reaches(Channel.EMAIL.value, email)
	declared = {topic: text for topic, text in (declarations or {}).items() if text}
	asked = questions_of(purpose, topics, source, language, wordings, declared)
	place = proof.place_of(email, party_type, party, asked.rules.company)
	theirs = addresses_of_the_party(party_type, party)
	subject = Subject(email, key, party_type, party, theirs, place)
	with Writing([key, *theirs]) as writing:
		noes = [] if by_the_person else noes_of(writing, subject, *rows_of_party(party_type, party))
		if not by_the_person and (
			restrictions_in(writing, party_type, party)
			or any(no.kind == RefusalKind.RESTRICTION for no in noes)
		):
			raise StandingRefusal(
				_("Processing is restricted (Art. 18 GDPR). Nobody is asked by mail before that is lifted."),
				Reason.RESTRICTED,
			)
		return write_request(writing, asked, subject, noes, by_the_person, declared, evidence)


def write_request(
	writing: Writing,
	asked: Questions,
	subject: Subject,
	noes: list[No],
	by_the_person: bool = False,
	declared: Mapping[str, str] | None = None,
	evidence: str | None = None,
) -> list[Row]:
	"""Note each question in a visit to the register; see `request`."""
	rules = asked.rules
	mail_comes_back = any(not row.get("lifted_on") for row in bounces_in(writing, subject.key))
	if mail_comes_back and not by_the_person:
		raise StandingRefusal(
			_(
				"Mail to this address comes back. Ask the person for another address, or lift the bounce if"
				" it works again."
			),
			Reason.SUPPRESSED,
		)
	needs_opt_in = _needs_opt_in(asked, subject.place.country)
	pending = []
	for topic in dict.fromkeys(["", *asked.topics]):
		scope = Scope(Channel.EMAIL.value, rules.name, topic)
		reason = writing.refused(subject.key, scope, rules.is_marketing, noes)
		if reason and not by_the_person:
			raise StandingRefusal(
				_(
					"The person said no to {0} ({1}). Asking again by mail would be marketing; they can"
					" sign up themselves."
				).format(frappe.bold(topic or rules.name), reason_in_words(reason)),
				reason,
			)
		gives_at_once = bool(by_the_person and evidence and not reason and not needs_opt_in[topic])
		wording = asked.wordings[topic]
		act = Act(DATA_SUBJECT if by_the_person else CONTROLLER, asked.source, wording=wording)
		live = writing.live(subject.key, scope)
		if live and live["status"] in (Status.GIVEN, Status.NOT_REQUIRED):
			if not by_the_person or not (mail_comes_back or _opens_nothing(live, rules)):
				continue
			if not _may_answer(live):
				continue
			if mail_comes_back or not gives_at_once:
				told = _words_for(topic, asked, declared or {})
				pending.append(_ask_again(writing, live, act._replace(reason=told)))
				continue
		if live and live["status"] == Status.REQUESTED:
			pending.append(live)
			continue
		facts = _facts_of_the_question(writing, asked, subject, scope, declared or {})
		if not writing.dry_run:
			mark_used(wording)
		if gives_at_once:
			facts |= period_of(None, None, rules.validity_months, writing.now)
			facts |= {"double_opt_in": 0, "evidence_grade": proof.OWN_FORM}
			told = (declared or {}).get(topic)
			facts["evidence"] = told or "\n".join(dict.fromkeys(filter(None, [evidence, facts["evidence"]])))
			replace_live(writing, live, EventKind.GIVE, facts, act)
		elif live:
			writing.append("Consent", live, EventKind.REQUEST, act, facts)
			pending.append(live)
		else:
			pending.append(writing.open("Consent", EventKind.REQUEST, facts, act, writing.now))
	return pending


def _needs_opt_in(asked: Questions, country: str | None) -> dict[str, bool]:
	"""Say whether each topic takes a confirmation; the purpose is given with the first that doesn't."""
	needed = {topic: proof.needs_double_opt_in(Channel.EMAIL.value, topic, country) for topic in asked.topics}
	of_the_purpose = all(needed.values()) if asked.topics else proof.rule_of(country).double_opt_in
	return needed | {"": of_the_purpose}


def _facts_of_the_question(
	writing: Writing, asked: Questions, subject: Subject, scope: Scope, declared: Mapping[str, str]
) -> Row:
	return {
		**subject_facts(subject.email, subject.key, scope, asked.rules.company),
		**demands_on(scope, subject.place),
		"double_opt_in": 1,
		"party_type": subject.party_type,
		"party": subject.party,
		"legal_basis": CONSENT_BASIS,
		"source": asked.source,
		"recorded_by": frappe.session.user,
		"language": asked.language,
		"wording": asked.wordings[scope.topic],
		"evidence": _words_for(scope.topic, asked, declared),
		"expires_on": writing.now + timedelta(hours=asked.hours),
	}


def _words_for(topic: str, asked: Questions, declared: Mapping[str, str]) -> str | None:
	"""Return what the person was told, where no Consent Wording of the record says it."""
	if topic or declared.get(topic) or asked.wordings[topic]:
		return declared.get(topic)
	# Who asks for a topic asks for its purpose with the same words.
	shown = [_("Wording shown: {0}.").format(one) for one in asked.wordings.values() if one]
	return "\n".join([*declared.values(), *shown]) or None


def _opens_nothing(live: Row, rules: Any) -> bool:
	"""Whether marketing can't stand on a record that goes on: its proof isn't enough, or its basis isn't one
	where the person is."""
	permission = permission_of(live)
	if permission.status == Status.GIVEN:
		return not permission.is_proven
	return bool(rules.is_marketing) and permission.ground != MarketingGround.EXISTING_CUSTOMER


def _may_answer(live: Row) -> bool:
	"""Whether a click in the mailbox may renew a consent: not one that a guardian gave, unless who clicks has
	to say that they are old enough by now (Art. 8)."""
	return not live.get("is_minor") or proof.asks_age()


def _ask_again(writing: Writing, live: Row, act: Act) -> Row:
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
	keys = {row.address_key for row in rows_named("Consent", consents) if row.address_key}
	needs_wording = wording_required()
	asked = []
	with Writing(keys) as writing:
		rows = [row for key in keys for row in writing.consents[key] if row["name"] in set(consents)]
		in_words = {(row["address_key"], row["purpose"]) for row in rows if wordings.get(row["name"])}
		for row in rows:
			if writing.end_if_over(row) or row["status"] != Status.GIVEN or not row["email"]:
				continue
			if not _may_answer(row):
				continue
			wording = wordings.get(row["name"])
			is_told = wording or (not row["topic"] and (row["address_key"], row["purpose"]) in in_words)
			if needs_wording and not is_told:
				continue
			if not writing.allows(row, in_other_words=(row["wording"] or None) != (wording or None)):
				continue
			act = Act(CONTROLLER, row["source"], wording=wording)
			asked.append(_ask_again(writing, row, act))
			mark_used(act.wording)
	return asked


def confirm(consents: list[str], issued_at: datetime, age: str | int | None = None) -> list[Row]:
	"""Record the person's own yes, given through a link sent to the address itself (T5).

	Args:
		consents: names of the records that the link was sent for.
		issued_at: when the link was made, naive UTC. A no said since then wins (ST-14).
		age: what the person says to have reached, see `children.check_age`. A child's consent that is
			confirmed anew is its own from then on.

	Returns:
		the records that are given now. Those that were confirmed before are left as they are.

	Raises:
		AgeNotStated: nothing is confirmed.
	"""
	keys = {row.address_key for row in rows_named("Consent", consents) if row.address_key}
	with Writing(keys) as writing:
		rows = [row for key in keys for row in writing.consents[key] if row["name"] in set(consents)]
		for row in rows:
			if writing.end_if_over(row) or row["status"] not in CONFIRMABLE:
				continue
			# Of a record that goes on, only a link that was made to renew it says anything more.
			renews = row["status"] != Status.REQUESTED
			if renews and not (row.get("asked_on") and row["since"] < row["asked_on"] <= issued_at):
				continue
			if renews and not _may_answer(row):
				continue
			rules = frappe.get_cached_doc("Processing Purpose", row["purpose"])
			if any(
				refusal["said_on"] >= issued_at and not refusal.get("lifted_on")
				for refusal in writing.refusals(row["address_key"], scope_of(row), rules.is_marketing)
			):
				continue
			said_of_age = children.check_age(age, row["company"])
			months = rules.validity_months
			wording = row.get("asked_wording") if renews else row["wording"]
			is_told = wording or (not renews and row.get("evidence"))
			facts = {
				"given_on": writing.now,
				"confirmed_on": writing.now,
				"expires_on": add_months(writing.now, months) if months else None,
				"evidence": "\n".join(
					filter(None, [row.get("evidence"), _confirmation_of(is_told), said_of_age])
				),
				"evidence_grade": proof.CONFIRMED,
				"double_opt_in": 1,
			}
			act = Act(DATA_SUBJECT, row["source"], wording=wording)
			if renews:
				_renew(writing, row, facts, act, rules.company)
			else:
				writing.append("Consent", row, EventKind.CONFIRM, act, facts)
			# Who follows a link that was sent there reads the mailbox.
			lift_bounces_in(writing, row["address_key"], Act(DATA_SUBJECT, reason=_confirmation_of(is_told)))
		successors = {  # of a renewal that was confirmed before
			row["supersedes"]: row
			for key in keys
			for row in writing.consents[key]
			if row.get("supersedes") and row.get("confirmed_on")
		}
		rows = [successors.get(row["name"], row) for row in rows]
		return [row for row in rows if row["status"] == Status.GIVEN]


def _renew(writing: Writing, live: Row, confirmed: Row, act: Act, company: str | None) -> None:
	"""Put a confirmed consent in the place of one that goes on: same scope, new proof, new period (T10)."""
	same = ("party_type", "party", "language", "source", "country", "country_source")
	facts = {
		**subject_facts(live["email"], live["address_key"], scope_of(live), company),
		**{column: live.get(column) for column in same},
		"legal_basis": CONSENT_BASIS,
		"recorded_by": frappe.session.user,
		"wording": act.wording,
		**confirmed,
	}
	replace_live(writing, live, EventKind.GIVE, facts, act)
	mark_used(act.wording)


def _confirmation_of(is_told: Any) -> str:
	if is_told:
		return _("Confirmed through the link sent to the address.")
	return _("Confirmed through the link sent to the address. No wording is on record.")
