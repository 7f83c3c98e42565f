"""What somebody agreed to, or what rests on another legal basis, with its proof."""

from datetime import datetime

import frappe
from frappe import _

from gdpr_consent import ledger, proof, sales
from gdpr_consent.exceptions import (
	ConfirmationPending,
	ConsentGiven,
	EvidenceMissing,
	NewerOnRecord,
	NoSale,
	StandingRefusal,
)
from gdpr_consent.identity import address_key
from gdpr_consent.policy import Channel, EventKind, Status
from gdpr_consent.register.people import addresses_of_the_party, noes_of, rows_of_party
from gdpr_consent.register.terms import (
	CONSENT_BASIS,
	Lack,
	Subject,
	Terms,
	check_reaches,
	facts_of,
	guardian_of,
	mark_used,
	period_of,
	terms_of,
	wording_missing,
)
from gdpr_consent.register.writing import CONTROLLER, DATA_SUBJECT, GUARDIAN, Act, No, Row, Writing
from gdpr_consent.words import reason_in_words


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


def _check_proof(terms: Terms, evidence: str | None, grade: str) -> None:
	lack = terms.lack(evidence, grade)
	if lack == Lack.WORDING:
		raise wording_missing(terms.scope.topic or terms.scope.purpose)
	if lack == Lack.DOCUMENT:
		raise EvidenceMissing(
			_(
				"{0} {1} counts only with a document, and {2} {3} isn't a file of this site. Attach the file,"
				" such as the scan of the signed form, or choose how else the person agreed."
			).format(
				_("Source"),
				frappe.bold(terms.source),
				_("Evidence"),
				frappe.bold(frappe.utils.escape_html(evidence)),
			)
		)
	if lack:
		raise EvidenceMissing(
			_(
				"{0} is missing. A consent counts only with its source and a proof: a file, or words that say"
				" who agreed, how and where (Art. 7(1) GDPR)."
			).format(frappe.bold(_("Source") if lack == Lack.SOURCE else _("Evidence")))
		)


def lack_of(
	*,
	purpose: str | None = None,
	topic: str | None = None,
	channel: str = Channel.EMAIL.value,
	source: str | None = None,
	wording: str | None = None,
	evidence: str | None = None,
) -> Lack | None:
	"""Say what a consent lacks to be recorded as given, for what else becomes Unknown."""
	terms = terms_of(purpose, topic, channel, CONSENT_BASIS, source, wording)
	return terms.lack(evidence, _grade(evidence))


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
	is_minor: bool = False,
	guardian_name: str | None = None,
	guardian_verification: str | None = None,
) -> Row:
	"""Record that somebody agreed, or that a purpose rests on another legal basis (T2, T10, T13).

	A live record of the same scope is replaced; the same facts again change nothing.

	Args:
		given_on, expires_on: naive UTC; now, and the purpose's validity in months after it, if not given.
		evidence: URL of a File, or words.
		is_minor: the person is below the age of consent; then who agreed is the guardian (Art. 8, CA-18).

	Raises:
		EvidenceMissing, NoSale, StandingRefusal, TransitionNotAllowed, UnknownReference,
		LegalBasisNotAllowed, InvalidPeriod, InvalidAddress
	"""
	key = address_key(email)
	terms = terms_of(purpose, topic, channel, legal_basis, source, wording, language)
	check_reaches(channel, email)
	grade = _grade(evidence)
	_check_proof(terms, evidence, grade)
	subject = Subject(
		email,
		key,
		party_type,
		party,
		addresses_of_the_party(party_type, party),
		proof.place_of(email, party_type, party, terms.rules.company),
		guardian_of(is_minor, guardian_name, guardian_verification),
	)
	with Writing([key, *subject.theirs]) as writing:
		noes = noes_of(writing, subject, *rows_of_party(party_type, party))
		row = write_yes(writing, terms, subject, noes, evidence, grade, given_on, expires_on)
		mark_used(terms.wording)
	return row


def write_yes(
	writing: Writing,
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
		**facts_of(terms, subject),
		"evidence": evidence,
		"evidence_grade": grade,
		**period_of(given_on, expires_on, terms.rules.validity_months, writing.now),
	}
	check_not_refused(writing, terms, subject, noes)
	if terms.rests_on_a_sale:
		facts |= _facts_of_the_sale(writing, terms, subject, facts["expires_on"])
	by_consent = terms.legal_basis == CONSENT_BASIS
	kind = EventKind.GIVE if by_consent else EventKind.RECORD
	by_whom = (GUARDIAN if subject.guardian else DATA_SUBJECT) if by_consent else CONTROLLER
	act = Act(by_whom, terms.source, reason, terms.wording)
	row = replace_live(writing, writing.live(subject.key, terms.scope), kind, facts, act)
	writing.end_if_over(row)
	return row


def _facts_of_the_sale(writing: Writing, terms: Terms, subject: Subject, expires_on: datetime | None) -> Row:
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
	return resting_on(sale, expires_on)


def resting_on(sale: sales.Sale, expires_on: datetime | None) -> Row:
	until = sales.ends_on(sale)
	return {
		"sale_doctype": sale.doctype,
		"sale": sale.name,
		"expires_on": min(expires_on, until) if expires_on else until,
	}


def check_not_refused(writing: Writing, terms: Terms, subject: Subject, noes: list[No]) -> None:
	reason = writing.refused(subject.key, terms.scope, terms.rules.is_marketing, noes)
	if reason:
		raise StandingRefusal(
			_(
				"The person said no to {0} ({1}). Only they can lift that, by confirming from their own"
				" mailbox; see the preference link."
			).format(frappe.bold(terms.scope.topic or terms.scope.purpose), reason_in_words(reason)),
			reason,
		)


def replace_live(writing: Writing, live: Row | None, kind: EventKind, facts: Row, act: Act) -> Row:
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


def _same_facts(live: Row, facts: Row) -> bool:
	same = (
		*("legal_basis", "sale", "source", "given_on", "expires_on", "wording", "evidence"),
		*("is_minor", "guardian_name", "guardian_verification"),
	)
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
	check_reaches(channel, email)
	terms = terms_of(purpose, topic, channel, CONSENT_BASIS, source)
	place = proof.place_of(email, party_type, party, terms.rules.company)
	subject = Subject(email, key, party_type, party, {}, place)
	with Writing([key]) as writing:
		return writing.live(key, terms.scope) or write_claim(writing, terms, subject, reason)


def write_claim(writing: Writing, terms: Terms, subject: Subject, reason: str | None = None) -> Row:
	facts = facts_of(terms, subject) | {"evidence_grade": "D"}
	act = Act(CONTROLLER, terms.source, reason)
	return writing.open("Consent", EventKind.IMPORT, facts, act, writing.now)


# What a record says of its own life, and not of what the person agreed to.
OF_ITS_OWN = ("status", "since", "ended_on", "reason", "recorded_by", "supersedes", "superseded_by")


def facts_again(row: Row) -> Row:
	"""What a record says, for another one that says the same."""
	facts = {column: row.get(column) for column in ledger.PROJECTED if column not in OF_ITS_OWN}
	return facts | {"recorded_by": frappe.session.user, "asked_on": None, "asked_wording": None}
