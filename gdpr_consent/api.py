"""The doors for scripts, REST and pages: typed, thin, and each checks the user's right itself.

The arguments and answers are stable. Instants are UTC; what is returned is RFC 3339 text. Whatever takes an
address is POST, even to read: a URL ends in logs.
"""

import json
from datetime import date, datetime
from email import message_from_bytes
from typing import Any

import frappe
from frappe import _
from frappe.core.doctype.user_permission.user_permission import get_user_permissions

from gdpr_consent import (
	audience,
	decisions,
	downloads,
	identity,
	ledger,
	links,
	panel,
	past,
	preferences,
	proof,
	records,
	register,
	renewal,
	returned_mail,
	seals,
	standing,
	throttle,
	told,
)
from gdpr_consent.clock import parse_utc, utc_text
from gdpr_consent.doors import check_can_be_stored, says_why
from gdpr_consent.exceptions import (
	ConsentMissing,
	InvalidEmailAddress,
	InvalidPeriod,
	InvalidPhoneNumber,
	LinkNotValid,
	MessageNotReadable,
	UnknownReference,
)
from gdpr_consent.policy import Reason, Status
from gdpr_consent.words import reason_in_words

Instant = str | date | datetime
LARGEST_MESSAGE = 5 * 1024 * 1024  # bytes; a report holds the returned mail, at most


@frappe.whitelist(methods=["POST"])
@says_why
def record_consent(
	purpose: str | None = None,
	email: str | None = None,
	party_type: str | None = None,
	party: str | None = None,
	topic: str | None = None,
	legal_basis: str | None = "Consent",
	source: str | None = None,
	given_on: Instant | None = None,
	expires_on: Instant | None = None,
	wording: str | None = None,
	language: str | None = None,
	evidence: str | None = None,
	channel: str = "Email",
	is_minor: bool = False,
	guardian_name: str | None = None,
	guardian_verification: str | None = None,
) -> dict[str, Any]:
	"""Record that a person agreed to a purpose or a topic, or that a purpose rests on another legal basis.

	Args:
		purpose: a Processing Purpose; the default marketing purpose of Consent Settings if not given.
		email: the address the consent is for, a phone number for SMS and Phone; the party's first one if not
			given.
		party_type, party: Contact, Lead or Customer it was given by.
		topic: a Subscription Topic of the purpose. Mail about a topic needs a consent to both.
		given_on, expires_on: UTC; now, and the purpose's validity after it, if not given.
		evidence: URL of an attached file, or words that say who agreed, how and where.
		is_minor: the person is below the age of consent. A parent or guardian agreed (Art. 8, CA-18).
		guardian_name, guardian_verification: who that is, and how you made sure of it.

	Returns:
		`name, status, email, purpose, topic, legal_basis, given_on, expires_on`

	Raises:
		EvidenceMissing: legal basis Consent without source and evidence (Art. 7(1), CA-05), without a
			document where the source needs one, without a wording where Consent Settings ask for one (LB-06),
			or a child's without its guardian (CA-18); Existing Customer without source and evidence, or
			without a wording that offers to object (SO-04).
		NoSale: legal basis Existing Customer, and nothing sold that it could rest on (SO-01).
		StandingRefusal: the person said no; only they can lift that (ST-08).
		UnknownReference, LegalBasisNotAllowed, InvalidPeriod, InvalidAddress, TransitionNotAllowed
	"""
	email, party = check_subject(email, party_type, party, channel)
	_check_may_see_purpose(purpose)
	_check_may_read_file(evidence)
	row = register.record(
		email=email,
		purpose=purpose,
		topic=topic or None,
		channel=channel,
		legal_basis=legal_basis,
		source=source or None,
		given_on=parse_utc(given_on, _("Given On")),
		expires_on=parse_utc(expires_on, _("Expires On")),
		wording=wording or None,
		language=language or None,
		evidence=evidence or None,
		party_type=party_type or None,
		party=party or None,
		is_minor=is_minor,
		guardian_name=guardian_name or None,
		guardian_verification=guardian_verification or None,
	)
	_attach_evidence(row)
	return _receipt(row)


def check_subject(
	email: str | None, party_type: str | None, party: str | None, channel: str
) -> tuple[str, str | None]:
	"""Return the address and the party that the user may record a consent for. No door of its own."""
	frappe.has_permission("Consent", "create", throw=True)
	party = find_party(party_type, party)
	email = email or _first_address(party_type, party, channel)
	_check_may_see(email, party_type, party)
	return email, party


def _check_may_read_file(evidence: str | None) -> None:
	"""Nobody names a file as proof, and so learns that it is there, whom it isn't shown to."""
	files = frappe.get_all("File", {"file_url": evidence}, pluck="name") if evidence else []
	if files and not any(frappe.has_permission("File", "read", file) for file in files):
		raise frappe.PermissionError(
			_("The file of the evidence isn't visible to you. Attach your own copy.")
		)


def _attach_evidence(row: dict[str, Any]) -> None:
	"""Let whoever may read a consent open its document, which else is for the one who uploaded it alone."""
	mine = {
		"file_url": row.get("evidence"),
		"owner": frappe.session.user,
		"attached_to_name": ["is", "not set"],
	}
	if row.get("evidence_grade") == proof.DOCUMENTED:
		for file in frappe.get_all("File", mine, pluck="name"):
			attached = {"attached_to_doctype": "Consent", "attached_to_name": row["name"]}
			frappe.db.set_value("File", file, attached)


@frappe.whitelist(methods=["POST"])
@says_why
def request_consent(
	email: str,
	purpose: str | None = None,
	topics: list[str] | str | None = None,
	source: str | None = None,
	language: str | None = None,
) -> dict[str, Any]:
	"""Ask a person to confirm from their mailbox (double opt-in); sends one mail, which holds nothing else.

	Args:
		topics: Subscription Topics to ask for besides the purpose itself; a list, or one name.
		language: of the mail, a code such as de; the site's language if not given.

	Returns:
		`status`: Requested, or Given if there is nothing left to ask; `consents`: names; `sent`: whether a
		mail was sent. An address gets a few a day at most, see Consent Settings (WB-02).

	Raises:
		StandingRefusal: the person said no. To ask again by mail would itself be marketing.
		EvidenceMissing: there is no Consent Wording for it, and Consent Settings ask for one (LB-06).
	"""
	frappe.has_permission("Consent", "create", throw=True)
	_check_may_see_purpose(purpose)
	_check_may_see(email)
	return _request(email, purpose, topics, source, language, by_the_person=False)


def _request(
	email: str,
	purpose: str | None,
	topics: list[str] | str | None,
	source: str | None,
	language: str | None,
	by_the_person: bool,
) -> dict[str, Any]:
	from gdpr_consent.double_opt_in import send_confirmation_mail

	rules = register.check_purpose(purpose)
	wordings = told.current_wordings(language or told.site_language())
	pending = register.request(
		email=email,
		purpose=rules.name,
		topics=_as_list("topics", topics),
		source=source or None,
		language=language or None,
		by_the_person=by_the_person,
		# The page behind the link shows them.
		wordings={topic: row.name for (about, topic), row in wordings.items() if about == rules.name},
	)
	sent = bool(pending) and send_confirmation_mail(pending, language)
	return {
		"status": "Requested" if pending else "Given",
		"email": email,
		"consents": [row["name"] for row in pending],
		"sent": sent,
	}


@frappe.whitelist(methods=["POST"])
@says_why
def reconsent_overview(wording: str) -> dict[str, Any]:
	"""Say whom a Consent Wording that is a material change leaves without a valid consent (V6).

	Returns:
		`consents`: how many given ones rest on an older text; `wordings`: the older texts.
	"""
	frappe.has_permission("Consent Wording", "read", wording, throw=True)
	frappe.has_permission("Consent", "read", throw=True)
	return {"consents": renewal.count_outdated(wording), "wordings": renewal.older_wordings(wording)}


@frappe.whitelist(methods=["POST"])
@says_why
def start_reconsent(wording: str) -> None:
	"""Ask them, in the background: one mail each, with the new text, where no refusal stands.

	Raises:
		PermissionError: only who may write this Consent Wording and Consents may.
	"""
	frappe.has_permission("Consent Wording", "write", throw=True)
	frappe.has_permission("Consent Wording", "write", wording, throw=True)
	frappe.has_permission("Consent", "create", throw=True)
	renewal.start(wording)


@frappe.whitelist(methods=["POST"])
@says_why
def withdraw_consent(
	email: str | None = None,
	party_type: str | None = None,
	party: str | None = None,
	purpose: str | None = None,
	topic: str | None = None,
	source: str | None = None,
	reason: str | None = None,
) -> dict[str, list[str]]:
	"""Record that a person withdraws: one topic, or a purpose with all its topics (Art. 7(3)).

	It holds for every address the person has or gets later. Saying it twice changes nothing more.

	Returns:
		`withdrawn`: names of the consents that this ended.
	"""
	frappe.has_permission("Consent", "write", throw=True)
	_check_may_see_purpose(purpose)
	party = find_party(party_type, party)
	emails = _addresses(email, party_type, party)
	return {
		"withdrawn": register.withdraw(
			emails,
			purpose=purpose,
			topic=topic or None,
			party_type=party_type or None,
			party=party or None,
			act=register.Act(source=register.check_source(source or None), reason=reason),
		)
	}


@frappe.whitelist(methods=["POST"])
@says_why
def object_to_marketing(
	email: str | None = None,
	party_type: str | None = None,
	party: str | None = None,
	source: str | None = None,
	reason: str | None = None,
) -> dict[str, list[str]]:
	"""Record that a person wants no marketing at all: every purpose, every channel, at once (Art. 21(2)).

	Returns:
		`withdrawn`: names of the records that this ended.
	"""
	frappe.has_permission("Consent", "write", throw=True)
	party = find_party(party_type, party)
	emails = _addresses(email, party_type, party)
	return {
		"withdrawn": register.object_to_marketing(
			emails,
			party_type=party_type or None,
			party=party or None,
			act=register.Act(source=register.check_source(source or None), reason=reason),
		)
	}


@frappe.whitelist(methods=["POST"])
@says_why
def restrict(
	email: str | None = None,
	party_type: str | None = None,
	party: str | None = None,
	reason: str | None = None,
) -> dict[str, list[str]]:
	"""Stop all marketing to a person until the restriction is lifted, because they asked for it (Art. 18).

	It holds for every address the person has or gets later. What is on record stays as it is.

	Returns:
		`restricted`: names of the suppressions that say so.

	Raises:
		EvidenceMissing: no reason given.
	"""
	frappe.has_permission("Consent", "write", throw=True)
	party = find_party(party_type, party)
	emails = _addresses(email, party_type, party)
	names = register.restrict(emails, party_type=party_type or None, party=party or None, reason=reason)
	return {"restricted": names}


@frappe.whitelist(methods=["POST"])
@says_why
def lift_restriction(
	email: str | None = None,
	party_type: str | None = None,
	party: str | None = None,
	reason: str | None = None,
	informed_on: str | date | None = None,
) -> dict[str, list[str]]:
	"""End a restriction, after the person was told (Art. 18(3), DS-20). For the Privacy Officer only.

	Args:
		informed_on: the day on which the person was told that it will be lifted.

	Returns:
		`lifted`: names of the suppressions that this ended.

	Raises:
		EvidenceMissing: no reason or no day given.
		InvalidPeriod: not a day, one to come, or before the restriction.
	"""
	frappe.only_for("Privacy Officer", message=True)
	party = find_party(party_type, party)
	told_on = parse_utc(informed_on, _("Person Told On"))
	return {
		"lifted": register.lift_restriction(
			_addresses(email, party_type, party),
			party_type=party_type or None,
			party=party or None,
			reason=reason,
			informed_on=told_on.date() if told_on else None,
		)
	}


@frappe.whitelist(methods=["POST"])
@says_why
def send_preference_link(email: str, language: str | None = None) -> dict[str, bool]:
	"""Send a person the link to the page where they see and change what they get.

	It goes to the address itself, and only if something is on record for it.

	Args:
		language: of the mail, a code such as de; that of the record or the site if not given.

	Returns:
		`sent`: whether a mail was sent. An address gets a few a day at most, see Consent Settings (WB-02).

	Raises:
		UnknownReference: nothing is on record for the address. InvalidEmailAddress.
	"""
	frappe.has_permission("Consent", "write", throw=True)
	_check_may_see(email)
	identity.normalise_email(email)
	return {"sent": preferences.send_link(email, language)}


@frappe.whitelist(methods=["POST"])
@says_why
def revoke_consent(consent: str, reason: str) -> dict[str, Any]:
	"""End a consent from the controller's side, or a record that rests on another legal basis (T11)."""
	_check_may_see_consent(consent, "write")
	is_ended = frappe.db.get_value("Consent", consent, "status") == Status.NOT_REQUIRED
	act = register.end if is_ended else register.revoke
	return _receipt(act(consent, reason))


@frappe.whitelist(methods=["POST"])
@says_why
def invalidate_consent(consent: str, reason: str, effective_from: Instant | None = None) -> dict[str, Any]:
	"""Declare that a consent never was valid, or not since an instant (T12). For the Privacy Officer only."""
	frappe.only_for("Privacy Officer", message=True)
	_check_may_see_consent(consent, "write")
	return _receipt(register.invalidate(consent, reason, parse_utc(effective_from, _("Effective From"))))


@frappe.whitelist(methods=["POST"])
@says_why
def report_returned_mail(message: str) -> dict[str, Any]:
	"""Take in a bounce (RFC 3464), a complaint (ARF, RFC 5965) or a mail that asks to be unsubscribed.

	For a provider's feedback loop or a mail server, which post as an API user. A bounce stops marketing to
	the address, a complaint is an objection to all marketing (EM-18, EM-19). Reporting twice changes nothing.

	Args:
		message: the whole message, headers first, as it was received; 5 MB at most.

	Returns:
		`kind`: Bounce, Complaint, Unsubscribe, or None if it is none of them; `counted`: whether it stands in
		the register now. For that the message has to bring back the List-Unsubscribe header of our mail, or
		the Message-Id of a mail that one person got.

	Raises:
		MessageNotReadable: empty, too large, or without headers.
	"""
	frappe.has_permission("Consent", "write", throw=True)
	raw = message.encode(errors="replace")
	if len(raw) > LARGEST_MESSAGE:
		raise MessageNotReadable(
			_("Message has {0} bytes; {1} are allowed. Leave out the body of the returned mail.").format(
				len(raw), LARGEST_MESSAGE
			)
		)
	parsed = message_from_bytes(raw)
	if not parsed.keys():
		raise MessageNotReadable(
			_("Message is empty or has no headers. Post the whole e-mail as it was received, headers first.")
		)
	report = returned_mail.read(parsed)
	return {
		"kind": report.kind.value if report else None,
		"counted": bool(report) and returned_mail.count(report),
	}


@frappe.whitelist(methods=["POST"])
@says_why
def lift_bounce(email: str, reason: str) -> dict[str, list[str]]:
	"""Let an address get marketing again whose mail came back, because its mailbox works again.

	A complaint can't be lifted: it is the person's own no.

	Returns:
		`lifted`: names of the suppressions that this ended.

	Raises:
		EvidenceMissing: no reason given. InvalidEmailAddress.
	"""
	frappe.has_permission("Consent", "write", throw=True)
	_check_may_see(email)
	return {"lifted": register.lift_bounce(email, reason)}


@frappe.whitelist(methods=["POST"])
@says_why
def check_consent(
	emails: list[str] | str,
	purpose: str | None = None,
	topic: str | None = None,
	channel: str = "Email",
	at: Instant | None = None,
	known_at: Instant | None = None,
) -> dict[str, dict[str, Any]]:
	"""Say for each address whether marketing may be sent to it, and why.

	Args:
		emails: a list, or one address; in any case, also as `Name <a@x>`.
		at: ask about another instant. What happened at that very instant counts. One to come is answered as
			things stand, with what expires until then expired.
		known_at: answer with what had been recorded by then; without `at` about that instant.
		purpose, topic: with `at` or `known_at`, also disabled or deleted ones.

	Returns:
		for each text given: `allowed`, `reason` (see `policy.Reason`) and `consent`, the record it stands on.
	"""
	frappe.has_permission("Consent", "read", throw=True)
	_check_may_see_purpose(purpose)
	instant, known = parse_utc(at, _("At")), parse_utc(known_at, _("Known At"))
	answers = audience.decide_many(
		_as_list("emails", emails),
		*_check_scope(purpose, topic, is_past=bool(instant or known)),
		register.check_channel(channel),
		instant,
		known,
	)
	return {
		email: {"allowed": decision.allowed, "reason": decision.reason.value, "consent": decision.consent}
		for email, decision in answers.items()
	}


def _check_scope(purpose: str | None, topic: str | None, is_past: bool) -> tuple[str, str | None]:
	if purpose and is_past:
		return past.scope_of(purpose, topic)
	rules = register.check_purpose(purpose)
	return rules.name, register.check_topic(topic, rules.name, also_disabled=is_past)


@frappe.whitelist(methods=["POST"])
@says_why
def was_mailable(
	party_type: str,
	party: str,
	at: Instant,
	purpose: str | None = None,
	topic: str | None = None,
	known_at: Instant | None = None,
) -> dict[str, Any]:
	"""Say for each e-mail address of a person whether marketing might be sent to it at an instant, and why.

	Args:
		at, known_at: UTC; see `check_consent`.
		purpose: the default marketing purpose of Consent Settings if not given.

	Returns:
		`purpose`, `topic`, `at`, `known_at`, and `rows`, see `past.describe`.

	Raises:
		InvalidPeriod: `at` is missing or not an instant. UnknownReference.
	"""
	frappe.has_permission("Consent", "read", throw=True)
	_check_may_see_purpose(purpose)
	stored = find_party(party_type, party)
	instant, known = parse_utc(at, _("At")), parse_utc(known_at, _("Known At"))
	if not (stored and instant):
		raise InvalidPeriod(
			_("{0} is missing. Write it as 2026-03-01 or 2026-03-01T09:00:00Z (UTC).").format(_("At"))
		)
	about = _check_scope(purpose, topic, is_past=True)
	return {
		"purpose": about[0],
		"topic": about[1],
		"at": utc_text(instant),
		"known_at": utc_text(known),
		"rows": past.describe(party_type, stored, *about, instant, known),
	}


@frappe.whitelist(methods=["POST"])
@says_why
def check_party(
	party_type: str,
	party: str,
	purpose: str | None = None,
	topic: str | None = None,
	channel: str = "Email",
) -> dict[str, dict[str, Any]]:
	"""Answer `check_consent` for each address of a Contact, of a Lead, or of a Customer and its contacts."""
	frappe.has_permission("Consent", "read", throw=True)
	find_party(party_type, party)
	return check_consent(_reached_by(channel, party_type, party), purpose, topic, channel)


@frappe.whitelist(methods=["POST"])
@says_why
def has_consent(email: str, purpose: str | None = None, topic: str | None = None) -> bool:
	"""Whether marketing may be sent to one address now. For scripts; `require_consent` insists."""
	return check_consent([email], purpose, topic)[email]["allowed"]


@frappe.whitelist(methods=["POST"])
@says_why
def require_consent(email: str, purpose: str | None = None, topic: str | None = None) -> None:
	"""Stop with ConsentMissing unless marketing may be sent to this address now."""
	answer = check_consent([email], purpose, topic)[email]
	if not answer["allowed"]:
		raise ConsentMissing(
			_(
				"No permission to write to this address about {0}: {1}. Ask for it with Request Consent."
			).format(
				frappe.bold(topic or register.check_purpose(purpose).name),
				reason_in_words(Reason(answer["reason"])),
			)
		)


@frappe.whitelist(methods=["POST"])
@says_why
def consent_history(
	email: str | None = None, party_type: str | None = None, party: str | None = None
) -> list[dict[str, Any]]:
	"""List what happened to the permissions and refusals of a person, newest first.

	Returns:
		rows with `occurred_at, recorded_at, kind, record_type, record, what, purpose, topic, channel, email,
		source, indicated_by, actor, reason, evidence, evidence_grade, guardian_name, guardian_verification,
		wording`.
	"""
	party = _check_may_see_history(email, party_type, party)
	return _of_purposes_to_see(history(email, party_type, party))


def history(email: str | None, party_type: str | None, party: str | None) -> list[dict[str, Any]]:
	emails = [email] if email else identity.addresses_of(party_type or "", party or "")
	keys = [key for key in identity.address_keys(emails).values() if key]
	rows = []
	for doctype in ("Consent", "Suppression"):
		table = frappe.qb.DocType(doctype)
		whose = table.address_key.isin(keys) if keys else (table.name == "")
		if party:
			whose |= (table.party_type == party_type) & (table.party == party)
		records = {
			row.name: row for row in frappe.qb.from_(table).select(table.star).where(whose).run(as_dict=True)
		}
		for name, events in ledger.read_events(doctype, list(records)).items():
			for event in events:
				record = records[name]
				rows.append(
					{
						"occurred_at": utc_text(event.occurred_at),
						"recorded_at": utc_text(event.recorded_at),
						"kind": event.kind.value,
						"record_type": doctype,
						"record": name,
						"what": record.kind if doctype == "Suppression" else record.status,
						"purpose": record.purpose,
						"topic": record.topic,
						"channel": record.channel,
						"email": record.email,
						"source": event.source,
						"indicated_by": event.indicated_by,
						"actor": event.actor,
						"reason": event.facts.get("reason"),
						"evidence": event.facts.get("evidence"),
						"evidence_grade": ledger.fold([event]).get("evidence_grade"),
						"guardian_name": event.facts.get("guardian_name"),
						"guardian_verification": event.facts.get("guardian_verification"),
						"wording": event.wording,
					}
				)
	return sorted(rows, key=lambda row: (row["occurred_at"], row["recorded_at"]), reverse=True)


@frappe.whitelist(methods=["POST"])
@says_why
def privacy_panel(doctype: str, name: str) -> dict[str, Any]:
	"""Say what the Privacy tab shows of a Contact, Lead, Customer, Prospect or Opportunity.

	Returns:
		`marketing_mail`: a `standing.Standing`, about `purpose`; `people`: a row for each of the people
		behind the record whom the user may see, see `panel.describe`.
	"""
	frappe.has_permission("Consent", "read", throw=True)
	if doctype in standing.DOCTYPES:
		frappe.has_permission(doctype, "read", throw=True)
	else:
		raise UnknownReference(
			_("{0} isn't one of {1}.").format(
				frappe.bold(frappe.utils.escape_html(str(doctype))), ", ".join(standing.DOCTYPES)
			)
		)
	stored = frappe.db.exists(doctype, name)
	if not stored:
		raise UnknownReference(
			_("{0} {1} doesn't exist. Choose one from the list.").format(
				_(doctype), frappe.bold(frappe.utils.escape_html(str(name)))
			)
		)
	frappe.has_permission(doctype, "read", stored, throw=True)
	found = standing.standings(doctype, [stored])[stored]
	people = panel.describe(doctype, stored)
	for address in (address for person in people for address in person["addresses"]):
		address["rows"] = _of_purposes_to_see(address["rows"])
	return {
		"marketing_mail": found.value if found else None,
		"purpose": standing.default_purpose(),
		"people": people,
	}


@frappe.whitelist(methods=["POST"])
@says_why
def mail_decisions(
	email: str | None = None, party_type: str | None = None, party: str | None = None
) -> list[dict[str, Any]]:
	"""List which marketing mails a person got or didn't get, and why, newest first.

	Returns:
		rows with `decided_on, allowed, reason, consent, email, purpose, topic, reference_doctype,
		reference_name, title, mail_status`.
	"""
	frappe.has_permission("Consent Decision", "read", throw=True)
	party = find_party(party_type, party)
	if email:
		_check_may_see(email, party_type, party)
	elif not party:
		raise InvalidEmailAddress(_("Email or Party is missing. Say whose mails are asked for."))
	emails = [email] if email else identity.addresses_of(party_type or "", party or "")
	return _of_purposes_to_see(decisions.of_people(emails))


@frappe.whitelist(methods=["POST"])
@says_why
def download_record(consent: str, file_format: str = "PDF", signed: bool | int | str = False) -> None:
	"""Download a consent as a file.

	Args:
		file_format: PDF; JSON-LD, a record by ISO/IEC TS 27560; JSON-LD Receipt, the same for the person,
			with the way to withdraw; Kantara, a Consent Receipt 1.1.
		signed: as a JSON Web Token with the site's key instead; not for PDF.

	Raises:
		RecordNotPossible: no such record or format, or this server makes no PDFs.
	"""
	_check_may_see_consent(consent)
	downloads.consent(consent, file_format, bool(frappe.utils.sbool(signed)))


@frappe.whitelist(methods=["POST"])
@says_why
def download_history(
	email: str | None = None,
	party_type: str | None = None,
	party: str | None = None,
	file_format: str = "PDF",
	signed: bool | int | str = False,
) -> None:
	"""Download what the register says of a person: all consents and refusals, with all events.

	Args:
		file_format: PDF or JSON-LD.
		signed: as a JSON Web Token with the site's key instead; not for PDF.
	"""
	party = _check_may_see_history(email, party_type, party)
	if _purposes_to_see() is not None:
		told = history(email, party_type, party)
		if len(_of_purposes_to_see(told)) < len(told):
			raise frappe.PermissionError(
				_("The history holds records of a company that isn't yours. Ask somebody who may see them.")
			)
	downloads.history(email, party_type, party, file_format, bool(frappe.utils.sbool(signed)))


@frappe.whitelist(methods=["POST"])
@says_why
def record_gaps(consent: str) -> list[dict[str, str]]:
	"""List what the files of a consent say "not stated" for: `what`, and `where` it is filled in."""
	_check_may_see_consent(consent)
	return [gap._asdict() for gap in records.gaps_of([consent])]


@frappe.whitelist(methods=["POST"])
@says_why
def rebuild(consent: str) -> dict[str, Any]:
	"""Make the row of a consent anew from its events. For the Privacy Officer and the System Manager.

	Args:
		consent: name of a Consent, or of a Suppression.
	"""
	frappe.only_for(("Privacy Officer", "System Manager"), message=True)
	if register.doctype_of(consent) == "Suppression":
		frappe.has_permission("Consent", "write", throw=True)  # a Suppression is nobody's to write
		frappe.has_permission("Suppression", "read", consent, throw=True)
	else:
		_check_may_see_consent(consent, "write")
	return register.rebuild(consent)


@frappe.whitelist(methods=["GET", "POST"])
@says_why
def verify_ledger() -> dict[str, Any]:
	"""Check all events, seals, anchors and rows: `ok, checked, first_bad, problem, seal` (the last one)."""
	frappe.only_for(("Privacy Officer", "System Manager"), message=True)
	return seals.verify()


@frappe.whitelist(methods=["POST"], allow_guest=True)
@says_why
def confirm_consent(t: str, age: int | None = None) -> dict[str, Any]:
	"""Record the yes of the person who holds a confirmation link. Guests may: the link is the authority (T5).

	Args:
		age: what the person says to have reached, where Consent Settings asks for it (Art. 8).

	Raises:
		AgeNotStated: younger than the age of consent, or not said.
		LinkNotValid
	"""
	try:
		consents, made = links.read_confirmation(t)
	except LinkNotValid:
		if getattr(frappe.local, "request", None):
			throttle.count_wrong_link("confirm_consent")
		raise
	return {"confirmed": len(register.confirm(consents, made, age))}


# --- checks of the caller -----------------------------------------------------------------------------------


def _as_list(name: str, value: list[str] | str | None) -> list[str]:
	if isinstance(value, str):
		try:
			value = json.loads(value) if value.lstrip().startswith("[") else [value]
		except (ValueError, RecursionError):
			shown = frappe.bold(frappe.utils.escape_html(value[:60]))
			raise UnknownReference(_("{0} isn't a list. Write it as JSON.").format(shown)) from None
	if value is None:
		return []
	if not isinstance(value, list | tuple | set) or not all(isinstance(item, str) for item in value):
		raise UnknownReference(_("A list of texts is needed, not {0}.").format(type(value).__name__))
	check_can_be_stored(name, value)  # in JSON, a character may be written that no body may hold
	return list(value)


def find_party(party_type: str | None, party: str | None) -> str | None:
	"""Return the name of a party that exists and that the user may see, as it is stored. No door."""
	if not party and not party_type:
		return None
	if party_type not in identity.PARTY_TYPES:
		raise UnknownReference(
			_("Party Type {0} isn't one of {1}.").format(
				frappe.bold(frappe.utils.escape_html(str(party_type))), ", ".join(identity.PARTY_TYPES)
			)
		)
	frappe.has_permission(party_type, "read", throw=True)  # before anything is said of what there is
	stored = frappe.db.exists(party_type, party) if isinstance(party, str) else None
	if not stored:
		raise UnknownReference(
			_("{0} {1} doesn't exist. Choose one from the list.").format(
				_(party_type), frappe.bold(frappe.utils.escape_html(str(party or "")))
			)
		)
	frappe.has_permission(party_type, "read", stored, throw=True)
	return stored


def _check_may_see_history(email: str | None, party_type: str | None, party: str | None) -> str | None:
	"""Return the name of the party, as it is stored, if there is one."""
	frappe.has_permission("Consent", "read", throw=True)
	party = find_party(party_type, party)
	if email:
		_check_may_see(email, party_type, party)
	elif not party:
		raise InvalidEmailAddress(_("Email or Party is missing. Say whose history is asked for."))
	return party


def _check_may_see_consent(consent: str, ptype: str = "read") -> None:
	frappe.has_permission("Consent", ptype, throw=True)
	found = frappe.db.get_value("Consent", consent, ["email", "party_type", "party"], as_dict=True)
	if not found:
		raise UnknownReference(
			_("{0} {1} doesn't exist. Choose one from the list.").format(
				_("Consent"), frappe.bold(frappe.utils.escape_html(str(consent)))
			)
		)
	frappe.has_permission("Consent", ptype, consent, throw=True)  # it may be another company's
	if found.email:
		_check_may_see(found.email)
	elif found.party and frappe.db.exists(found.party_type, found.party):
		frappe.has_permission(found.party_type, "read", found.party, throw=True)


def _check_may_see_purpose(purpose: str | None) -> None:
	"""A purpose is a controller's. Who may not see it asks and records nothing about it."""
	if not get_user_permissions(frappe.session.user):
		return
	name = purpose or frappe.db.get_single_value("Consent Settings", "default_purpose")
	if name and frappe.db.exists("Processing Purpose", name):
		frappe.has_permission("Processing Purpose", "read", name, throw=True)


def _purposes_to_see() -> set[str] | None:
	"""Return the purposes that User Permissions leave to the user, or None if there are no such."""
	if not get_user_permissions(frappe.session.user):
		return None
	return set(frappe.get_list("Processing Purpose", pluck="name", limit_page_length=0))


def _of_purposes_to_see(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
	"""Leave out what is about another company's purpose. What is about none is the person's own no."""
	purposes = _purposes_to_see()
	return [row for row in rows if purposes is None or not row["purpose"] or row["purpose"] in purposes]


def _first_address(party_type: str | None, party: str | None, channel: str) -> str:
	addresses = _reached_by(channel, party_type, party) if party_type and party else []
	if not addresses:
		named = frappe.bold(party or _("the party"))
		if register.REACHES_NUMBERS.get(channel):
			raise InvalidPhoneNumber(
				_("Phone number is missing, and {0} has none. Enter one such as +48 600 100 200.").format(
					named
				)
			)
		raise InvalidEmailAddress(
			_("E-mail address is missing, and {0} has none. Enter one such as name@example.com.").format(
				named
			)
		)
	return addresses[0]


def _reached_by(channel: str, party_type: str, party: str) -> list[str]:
	addresses = identity.addresses_of(party_type, party)
	return [address for address in addresses if register.reaches(channel, address)]


def _check_may_see(email: str, party_type: str | None = None, party: str | None = None) -> None:
	"""An address that belongs to people is for those who may see one of them, or the party that has it."""
	key = identity.address_key(email)
	of_party = identity.addresses_of(party_type, party) if party_type and party else []
	if key in identity.address_keys(of_party).values():
		return
	people = identity.people_at([email])[email]
	if people and not any(frappe.has_permission(kind, "read", name) for kind, name in people):
		raise frappe.PermissionError(
			_("The people who have this address aren't visible to you. Ask somebody who may see them.")
		)


def _addresses(email: str | None, party_type: str | None, party: str | None) -> list[str]:
	"""Return the addresses a no holds for: those of the party, and of the person who has the address.

	A Customer with no address beside it is everybody who belongs to it; with one, it is that person.
	"""
	if email:
		_check_may_see(email, party_type, party)
	elif not party:
		raise InvalidEmailAddress(_("Email or Party is missing. Say who it is."))
	addresses = identity.addresses_of_the_person(email) if email else []
	if party_type and party and not (email and party_type == "Customer"):
		addresses += identity.addresses_of(party_type, party)
		# Those they gave a consent from and have no more, too.
		addresses += frappe.get_all(
			"Consent", {"party_type": party_type, "party": party, "email": ["is", "set"]}, pluck="email"
		)
	return list({key: address for address, key in identity.address_keys(addresses).items() if key}.values())


def _receipt(row: dict[str, Any]) -> dict[str, Any]:
	return {
		"name": row["name"],
		"status": row["status"],
		"email": row["email"],
		"purpose": row["purpose"],
		"topic": row["topic"],
		"legal_basis": row["legal_basis"],
		"given_on": utc_text(row.get("given_on")),
		"expires_on": utc_text(row.get("expires_on")),
	}
