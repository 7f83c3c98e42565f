"""What a record is to say, checked against the site's purposes, topics, sources and wordings."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import NamedTuple

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent import legitimate_interests, proof
from gdpr_consent.clock import add_months
from gdpr_consent.exceptions import (
	EvidenceMissing,
	InvalidPeriod,
	LegalBasisNotAllowed,
	UnknownReference,
	WrongChannel,
)
from gdpr_consent.identity import bare, is_phone_number
from gdpr_consent.policy import Channel, MarketingGround
from gdpr_consent.register.writing import Row, Scope, label_of

CONSENT_BASIS = "Consent"
REACHES_NUMBERS = {Channel.EMAIL.value: False, Channel.SMS.value: True, Channel.PHONE.value: True}


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
	if assessment := legitimate_interests.ruled_out_by(purpose.name, found.name):
		raise LegalBasisNotAllowed(
			_(
				"Assessment {0} found that the people's interests outweigh ours in {1}. Nothing more can"
				" rest on {2} (Art. 6(1)(f) GDPR): choose another legal basis."
			).format(assessment, frappe.bold(purpose.name), frappe.bold(found.name))
		)
	return found.name


def check_wording(wording: str | None, purpose: str, topic: str | None) -> Document | None:
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


def check_reaches(channel: str, address: str) -> str:
	if reaches(check_channel(channel), address):
		return channel
	needed = _("a number such as +48 600 100 200") if REACHES_NUMBERS[channel] else _("an e-mail address")
	raise WrongChannel(
		_("Channel {0} doesn't reach {1}. It needs {2}.").format(
			frappe.bold(_(channel)), frappe.bold(frappe.utils.escape_html(address)), needed
		)
	)


def check_reason(reason: str | None) -> None:
	if not (reason or "").strip():
		raise EvidenceMissing(_("Reason is missing. Say why, for whoever asks later."))


def wording_required() -> bool:
	"""Whether nobody agrees to what isn't on record in words (Art. 7(2) and 13 GDPR, LB-06)."""
	return bool(frappe.db.get_single_value("Consent Settings", "wording_required"))


def wording_missing(about: str) -> EvidenceMissing:
	return EvidenceMissing(
		_(
			"{0} of {1} is missing. Consent Settings ask for the text that people agree to (Art. 7(2) and 13"
			" GDPR): choose a Consent Wording of it, or write one first."
		).format(frappe.bold(_("Wording")), frappe.bold(about))
	)


class Lack(str, Enum):
	"""What a record would need to count, and doesn't come with."""

	SOURCE = "SOURCE"
	EVIDENCE = "EVIDENCE"
	DOCUMENT = "DOCUMENT"
	WORDING = "WORDING"


class Terms(NamedTuple):
	"""What a record of the register is to say, apart from whom it is about, and what it has to come with."""

	rules: Document
	scope: Scope
	legal_basis: str
	source: str | None
	wording: str | None
	language: str | None
	needs_document: bool = False
	needs_wording: bool = False

	def lack(self, evidence: str | None, grade: str) -> Lack | None:
		"""Say what keeps a proof from being enough to record what these terms say (CA-05, LB-06)."""
		if not self.needs_proof:
			return None
		if not self.source:
			return Lack.SOURCE
		if not (evidence or "").strip():
			return Lack.EVIDENCE
		if self.needs_document and grade != proof.DOCUMENTED:
			return Lack.DOCUMENT
		return Lack.WORDING if self.needs_wording and not self.wording else None

	@property
	def needs_proof(self) -> bool:
		return self.legal_basis == CONSENT_BASIS or self.rests_on_a_sale

	@property
	def rests_on_a_sale(self) -> bool:
		return bool(
			self.rules.is_marketing and proof.ground_of(self.legal_basis) == MarketingGround.EXISTING_CUSTOMER
		)


class Guardian(NamedTuple):
	"""Who agreed in the place of a child, and how that was verified (Art. 8)."""

	name: str
	verification: str


class Subject(NamedTuple):
	"""Whom a record is about: an address, and the party that gave it. Only a child has a guardian."""

	email: str
	key: str
	party_type: str | None
	party: str | None
	theirs: dict[str, str]  # addresses, by key, from which the party speaks for itself
	place: proof.Place
	guardian: Guardian | None = None


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
	text = check_wording(wording, scope.purpose, scope.topic)
	language = _check_language(language) or (text.language if text else None)
	by_consent = legal_basis == CONSENT_BASIS
	return Terms(
		rules,
		scope,
		legal_basis,
		source,
		text.name if text else None,
		language,
		# Here, once for many records, and not for each of them.
		bool(by_consent and source and frappe.get_cached_value("Consent Source", source, "needs_document")),
		by_consent and wording_required(),
	)


def terms_to_end(purpose: str | None, topic: str | None, channel: str, source: str | None) -> Terms:
	"""Check what is to end. A purpose or a topic that is disabled by now can still be ended."""
	rules = check_purpose(purpose, also_disabled=True)
	topic = check_topic(topic, rules.name, also_disabled=True)
	scope = Scope(check_channel(channel), rules.name, topic or "")
	return Terms(rules, scope, CONSENT_BASIS, check_source(source), None, None)


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
	declared: Mapping[str, str] | None = None,
) -> Questions:
	"""Check what somebody is to be asked against the site's purposes, topics, sources and wordings.

	Args:
		declared: the words that the person agrees to, for each topic, where they are no Consent Wording.

	Raises:
		UnknownReference, LegalBasisNotAllowed
		EvidenceMissing: no words for it, where Consent Settings ask for them (LB-06).
	"""
	rules = check_purpose(purpose)
	topics = list(dict.fromkeys(check_topic(topic, rules.name) or "" for topic in topics))
	source, language = check_source(source), _check_language(language)
	check_legal_basis(CONSENT_BASIS, rules)
	texts = {topic: check_wording((wordings or {}).get(topic), rules.name, topic) for topic in ["", *topics]}
	hours = frappe.db.get_single_value("Consent Settings", "confirmation_hours") or 72
	shown = {topic: text.name if text else None for topic, text in texts.items()}
	# Who asks for a topic asks for its purpose with the same words.
	told = {topic: shown[topic] or (declared or {}).get(topic) for topic in topics or [""]}
	if not all(told.values()) and wording_required():
		raise wording_missing(next(topic or rules.name for topic in told if not told[topic]))
	return Questions(rules, topics, source, language, shown, min(hours, 168))


def facts_of(terms: Terms, subject: Subject) -> Row:
	return {
		**subject_facts(subject.email, subject.key, terms.scope, terms.rules.company),
		**demands_on(terms.scope, subject.place),
		"party_type": subject.party_type,
		"party": subject.party,
		"legal_basis": terms.legal_basis,
		"source": terms.source,
		"recorded_by": frappe.session.user,
		"wording": terms.wording,
		"language": terms.language,
		**_facts_of_the_guardian(subject.guardian),
	}


def _facts_of_the_guardian(guardian: Guardian | None) -> Row:
	if not guardian:
		return {}
	named = {"guardian_name": guardian.name or None, "guardian_verification": guardian.verification or None}
	return {"is_minor": 1, **named}


def guardian_of(is_minor: bool, name: str | None, verification: str | None) -> Guardian | None:
	"""Return the guardian of a child, None of a grown-up."""
	said = {"guardian_name": (name or "").strip(), "guardian_verification": (verification or "").strip()}
	if is_minor:
		return Guardian(*said.values())
	for column, value in said.items():
		if value:
			raise EvidenceMissing(
				_(
					"{0} is only for people whom a guardian agrees for. Say that the person is {1}, or leave"
					" {0} empty (Art. 8 GDPR)."
				).format(frappe.bold(label_of(column)), frappe.bold(label_of("is_minor")))
			)
	return None


def subject_facts(email: str, key: str, scope: Scope, company: str | None) -> Row:
	return {
		"email": bare(email),
		"address_key": key,
		"channel": scope.channel,
		"purpose": scope.purpose,
		"topic": scope.topic or None,
		"company": company,
	}


def demands_on(scope: Scope, place: proof.Place) -> Row:
	"""What the rules in force now ask of a consent, which stays with it (V4, NA-07)."""
	return {
		"double_opt_in": int(proof.needs_double_opt_in(scope.channel, scope.topic, place.country)),
		"country": place.country,
		"country_source": place.source,
	}


def period_of(
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


def mark_used(wording: str | None) -> None:
	if wording and not frappe.db.get_value("Consent Wording", wording, "used"):
		frappe.db.set_value("Consent Wording", wording, "used", 1, update_modified=False)
