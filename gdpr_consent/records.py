"""Consents as files that other systems read: ISO/IEC TS 27560 in JSON-LD, and Kantara 1.1.

What the site doesn't say isn't invented: the file says "not stated" in its place, and `gaps_of` says where it
is filled in. Besides the terms of the standard, a record holds under `own` what the register holds, as it is,
so that it can be read back without loss. It never names staff (C-579/21).
"""

import uuid
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any, NamedTuple

import frappe
from frappe import _
from frappe.contacts.doctype.address.address import get_default_address
from frappe.utils import get_url

from gdpr_consent import data_recipients, dpv_terms, identity, ledger, links, register, signatures
from gdpr_consent.clock import now_utc, utc_text
from gdpr_consent.exceptions import RecordNotPossible
from gdpr_consent.policy import STATUS_AFTER, Channel, EventKind, Status

NOT_STATED = "not stated"
PREFERENCES = "/consent/preferences"  # the page that mails people their own link
KANTARA = "KI-CR-v1.1.0"
SUBJECTS = uuid.UUID("5b0f3a52-6f39-4a3c-9f0e-5a0c2b1d7e64")  # namespace of pseudonyms, RFC 9562 §5.5

# Columns of a Consent that are in its file. Who recorded it isn't: staff are nobody's business there.
TOLD = tuple(column for column in ledger.PROJECTED if column not in ("recorded_by", "company"))
TOLD_OF_REFUSALS = (
	*("kind", "email", "address_key", "channel", "purpose", "topic", "said_on", "lifted_on"),
	*("source", "reason", "party_type", "party"),
)

# What is a reference, and what is copied as it is.
CONTEXT = dpv_terms.NAMESPACES | {
	"dct": "http://purl.org/dc/terms/",
	"rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
	"schema": "https://schema.org/",
	"skos": "http://www.w3.org/2004/02/skos/core#",
	"xsd": "http://www.w3.org/2001/XMLSchema#",
	**{
		term: {"@type": "@id"}
		for term in (
			*("dct:conformsTo", "dct:publisher", "dct:replaces", "dct:isReplacedBy", "skos:broader"),
			*("dpv:hasPurpose", "dpv:hasLegalBasis", "dpv:hasPersonalData", "dpv:hasDataController"),
			*("dpv:hasDataSubject", "dpv:hasJurisdiction", "dpv:hasRight", "dpv:isExercisedAt"),
			*("dpv:isIndicatedBy", "dpv:hasNotice", "schema:url"),
		)
	},
	**{
		term: {"@type": "xsd:dateTime"}
		for term in ("dct:created", "dct:modified", "dct:valid", "dpv:isIndicatedAtTime")
	},
	"own:register": {"@type": "@json"},
}

STATUS_TERMS = {
	EventKind.IMPORT: "dpv:ConsentUnknown",
	EventKind.REQUEST: "dpv:ConsentRequested",
	EventKind.LAPSE: "dpv:ConsentRequestDeferred",
	EventKind.REFUSE: "dpv:ConsentRefused",
	EventKind.GIVE: "dpv:ConsentGiven",
	EventKind.CONFIRM: "dpv:ConsentGiven",
	EventKind.WITHDRAW: "dpv:ConsentWithdrawn",
	EventKind.REVOKE: "dpv:ConsentRevoked",
	EventKind.EXPIRE: "dpv:ConsentExpired",
	EventKind.INVALIDATE: "dpv:ConsentInvalidated",
}
INDICATED_BY = {
	register.DATA_SUBJECT: "dpv:DataSubject",
	register.GUARDIAN: "dpv:GuardianOfDataSubject",
}
PERSONAL_DATA = {
	Channel.EMAIL.value: "pd:EmailAddress",
	Channel.SMS.value: "pd:TelephoneNumber",
	Channel.PHONE.value: "pd:TelephoneNumber",
	Channel.POST.value: "pd:PhysicalAddress",
}
# Which rights a legal basis gives (requirements §2). To direct marketing one may object whatever it rests on.
COMMON_RIGHTS = ("A13", "A14", "A15", "A16", "A18", "A77")
RIGHTS = {
	"eu-gdpr:A6-1-a": ("A7-3", "A17", "A20", "A22"),
	"eu-gdpr:A6-1-b": ("A17", "A20", "A22"),
	"eu-gdpr:A6-1-c": (),
	"eu-gdpr:A6-1-d": ("A17", "A22"),
	"eu-gdpr:A6-1-e": ("A17", "A21", "A22"),
	"eu-gdpr:A6-1-f": ("A17", "A21", "A22"),
}

Json = dict[str, Any]


class Gap(NamedTuple):
	"""What a file can't say, and where it is to be filled in; both in the user's language."""

	what: str
	where: str


class Book(NamedTuple):
	"""Records with their events, as the register holds them."""

	rows: list[frappe._dict]
	events: dict[str, list[ledger.Event]]


def read_consents(names: list[str]) -> Book:
	"""Read consents and their events, in two queries."""
	return _read("Consent", frappe.qb.DocType("Consent").name.isin(names)) if names else Book([], {})


def _read(doctype: str, which: Any) -> Book:
	table = frappe.qb.DocType(doctype)
	rows = (
		frappe.qb.from_(table)
		.select(table.star)
		.where(which)
		.orderby(table.since if doctype == "Consent" else table.said_on)
		.orderby(table.name)
		.run(as_dict=True)
	)
	return Book(rows, ledger.read_events(doctype, [row.name for row in rows]))


def read_person(email: str | None, party_type: str | None, party: str | None) -> tuple[Book, Book]:
	"""Read all consents and all refusals of a person: of their addresses, and of the party itself."""
	emails = [email] if email else identity.addresses_of(party_type or "", party or "")
	keys = [key for key in identity.address_keys(emails).values() if key]
	return read_all(keys, [identity.Person(party_type or "", party)] if party else [])


def read_all(keys: Iterable[str], people: Iterable[identity.Person]) -> tuple[Book, Book]:
	"""Read all consents and all refusals of some addresses, by their keys, and of some records."""
	keys, people = list(keys), list(people)

	def read(doctype: str) -> Book:
		table = frappe.qb.DocType(doctype)
		whose = table.address_key.isin(keys) if keys else (table.name == "")
		for person in people:
			whose |= (table.party_type == person.party_type) & (table.party == person.party)
		return _read(doctype, whose)

	return read("Consent"), read("Suppression")


def subject_id(row: frappe._dict) -> str:
	"""Return the pseudonym of the person: the same for one address, and none can guess the address (RC-07).

	It is made of the keyed hash of the address, whose key isn't in the database.
	"""
	return str(uuid.uuid5(SUBJECTS, row.address_key or f"{row.party_type}|{row.party}|{row.name}"))


def iri(kind: str, name: str) -> str:
	return get_url(f"/{kind}/{frappe.utils.quote(name)}")


# --- what the site says -------------------------------------------------------------------------------------


class Writer:
	"""Turns records into files, and collects what can't be said. Reads each purpose and company once."""

	def __init__(self) -> None:
		self.gaps: dict[Gap, None] = {}
		self.settings = frappe.get_cached_doc("Consent Settings")
		self._controllers: dict[str | None, Json] = {}
		self._wordings: dict[str, frappe._dict | None] = {}
		self._countries: dict[str, str | None] = {}
		self._recipients: dict[str, list[str]] = {}

	def way_out(self, row: frappe._dict) -> str:
		"""Return the person's own link to withdraw.

		Whoever holds it can say no in their name, so it is for those only who may record that anyway.
		"""
		if row.address_key and frappe.has_permission("Consent", "write"):
			return links.preferences_url(row.name)
		return get_url(PREFERENCES)

	@staticmethod
	def context() -> Json:
		return CONTEXT | {"own": get_url("/ns/gdpr-consent#")}

	def missing(self, what: str, where: str) -> None:
		self.gaps[Gap(what, where)] = None

	def recipients(self, purpose: Any) -> list[str]:
		"""List the kinds of recipients that a purpose states, and those who are known by name."""
		if purpose.name not in self._recipients:
			named = data_recipients.of_purposes([purpose.name]).get(purpose.name, [])
			stated = (purpose.recipients or "").strip().splitlines()
			self._recipients[purpose.name] = [*stated, *map(data_recipients.in_words, named)]
		return self._recipients[purpose.name]

	def _or_gap(self, text: str | None, kind: str, what: str, where: str) -> Json:
		"""Say a text of the site as an instance of a DPV class, or that it isn't stated."""
		if not (text or "").strip():
			self.missing(what, where)
		return {"@type": kind, "dct:description": (text or "").strip() or NOT_STATED}

	def record(self, row: frappe._dict, events: list[ledger.Event], for_the_person: bool = False) -> Json:
		purpose = frappe.get_cached_doc("Processing Purpose", row.purpose)
		is_consent = row.legal_basis == register.CONSENT_BASIS
		controller = self.controller(row.company or purpose.company)
		written: Json = {
			"@id": iri("consent", row.name),
			"@type": "dpv:ConsentRecord" if is_consent else "dpv:DataProcessingRecord",
			"dct:identifier": row.name,
			"dpv:hasIdentifier": row.name,
			"own:dpvVersion": dpv_terms.VERSION,
			"dct:created": utc_text(events[0].recorded_at) if events else NOT_STATED,
			"dct:modified": utc_text(events[-1].recorded_at) if events else NOT_STATED,
			"dct:publisher": controller["@id"],
			"dpv:hasDataSubject": {"@id": f"urn:uuid:{subject_id(row)}", "@type": "dpv:DataSubject"},
			"dpv:hasNotice": self.notice(row),
			"dpv:hasProcess": self.process(row, purpose, controller, for_the_person),
		}
		if is_consent:
			written["dct:conformsTo"] = dpv_terms.PROFILE + "record-eu-gdpr"
			written["dpv:hasConsentStatus"] = [
				self.status(row, event, controller) for event in events if event.kind in STATUS_TERMS
			]
		for property_, other in (("dct:replaces", row.supersedes), ("dct:isReplacedBy", row.superseded_by)):
			if other:
				written[property_] = iri("consent", other)
		if not for_the_person:
			written["own:register"] = _as_in_register(row, events, TOLD)
		return written

	def refusal(self, row: frappe._dict, events: list[ledger.Event]) -> Json:
		return {
			"@id": iri("suppression", row.name),
			"@type": "own:Refusal",
			"dct:identifier": row.name,
			"dpv:hasDataSubject": {"@id": f"urn:uuid:{subject_id(row)}", "@type": "dpv:DataSubject"},
			"own:register": _as_in_register(row, events, TOLD_OF_REFUSALS),
		}

	def notice(self, row: frappe._dict) -> Json:
		"""Say what the person was told, to the byte (CA-06), or at least where the privacy notice is."""
		wording = self.wording(row.wording)
		language = row.language or (wording.language if wording else None)
		if not language:
			self.missing(_("Language"), _("Say the language, or the wording, when you record a consent."))
		if wording:
			return {
				"@id": iri("consent-wording", row.wording),
				"@type": "dpv:ConsentNotice",
				"dct:language": language,
				"dct:description": wording.text,
				"own:sha256": wording.text_hash,
			}
		self.missing(_("Wording"), _("Name the wording when you record a consent."))
		url = self.settings.privacy_notice_url
		notice = {"@type": "dpv:PrivacyNotice", "dct:language": language or "und"}
		return notice | ({"@id": url} if url else {"dct:description": NOT_STATED})

	def wording(self, name: str | None) -> frappe._dict | None:
		if name and name not in self._wordings:
			self._wordings[name] = frappe.db.get_value(
				"Consent Wording", name, ["text", "text_hash", "language", "version"], as_dict=True
			)
		return self._wordings[name] if name else None

	def process(
		self, row: frappe._dict, purpose: Any, controller: Json, for_the_person: bool = False
	) -> Json:
		where = _("Processing Purpose {0}").format(_(purpose.name))
		basis = self.legal_basis(row.legal_basis)
		return {
			"@type": "dpv:Process",
			"dpv:hasPurpose": self.purpose(row, purpose),
			"dpv:hasLegalBasis": basis,
			"dpv:hasPersonalData": [
				PERSONAL_DATA[row.channel],
				self._or_gap(purpose.data_categories, "dpv:PersonalData", _("Categories of Data"), where),
			],
			"dpv:hasDataController": controller,
			**_if_stated(
				"dpv:hasJointDataControllers", "dpv:JointDataControllers", purpose.joint_controllers
			),
			"dpv:hasStorageCondition": [
				self._or_gap(purpose.storage, "dpv:StorageLocation", _("Storage and Erasure"), where),
				self.retention(purpose, where),
			],
			"dpv:hasRecipient": [
				self._or_gap(line, "dpv:Recipient", _("Categories of Recipients"), where)
				for line in self.recipients(purpose) or [""]
			],
			**_if_stated(
				"dpv:hasTechnicalOrganisationalMeasure", "dpv:SafeguardForDataTransfer", purpose.safeguards
			),
			"dpv:hasJurisdiction": self.jurisdiction(row, purpose),
			"dpv:hasRight": self.rights(basis, purpose),
			"dpv:hasConsentControl": {
				"@type": "dpv:WithdrawConsent"
				if row.legal_basis == register.CONSENT_BASIS
				else "dpv:ObjectingToProcess",
				"dpv:isExercisedAt": self.way_out(row) if for_the_person else get_url(PREFERENCES),
			},
		}

	def purpose(self, row: frappe._dict, purpose: Any) -> Json:
		told = {
			"@id": iri("processing-purpose", purpose.name),
			"@type": "dpv:Purpose",
			"dct:title": row.topic or purpose.name,
			"dct:description": purpose.description or NOT_STATED,
		}
		term = self.purpose_term(purpose)
		return told | ({"skos:broader": term} if term else {})

	def purpose_term(self, purpose: Any) -> str | None:
		"""Return the term that an administrator has chosen, if it is one that exists (RC-02)."""
		where = _("Processing Purpose {0}").format(_(purpose.name))
		chosen = (purpose.get("dpv_purpose") or "").strip()
		if chosen in dpv_terms.PURPOSE_TERMS:
			return chosen
		if chosen:
			known = ", ".join(sorted(dpv_terms.PURPOSE_TERMS))
			self.missing(
				_("{0} is no term of DPV {1}").format(chosen, dpv_terms.VERSION), f"{where}: {known}"
			)
		elif not purpose.is_marketing:
			self.missing(_("DPV Purpose"), where)
		return "dpv:DirectMarketing" if purpose.is_marketing and not chosen else None

	def legal_basis(self, name: str) -> str | Json:
		"""Return the term of a legal basis; of our own if DPV has none, as for ePrivacy 13(2)."""
		basis = frappe.get_cached_doc("Legal Basis", name)
		if basis.dpv_term in dpv_terms.LEGAL_BASIS_TERMS:
			return basis.dpv_term
		return {
			"@id": f"own:{frappe.scrub(name)}",
			"@type": "dpv:LegalBasis",
			"dct:title": name,
			"dpv:hasApplicableLaw": basis.article,
		}

	def rights(self, basis: str | Json, purpose: Any) -> list[str]:
		of_basis = RIGHTS.get(basis[:14], ()) if isinstance(basis, str) else ("A17", "A21")
		of_marketing = ("A21",) if purpose.is_marketing else ()
		return [f"eu-gdpr:{right}" for right in sorted({*COMMON_RIGHTS, *of_basis, *of_marketing})]

	def retention(self, purpose: Any, where: str) -> Json:
		months = purpose.retention_months
		if not months:
			return self._or_gap(None, "dpv:StorageDuration", _("Retention Months"), where)
		return {
			"@type": "dpv:StorageDuration",
			"dct:description": f"{months} months after it ended",
			"dpv:hasDuration": {"@type": "dpv:TemporalDuration", "rdf:value": f"P{months}M"},
		}

	def jurisdiction(self, row: frappe._dict, purpose: Any) -> list[Any]:
		"""Name the country of the controller, and the one whose rules the consent was judged by."""
		company = row.company or purpose.company
		of_company = frappe.get_cached_value("Company", company, "country") if company else None
		places = [self.place(country) for country in (of_company, row.country) if country]
		found: list[Any] = list(dict.fromkeys(place for place in places if place))
		return found or [
			self._or_gap(None, "dpv:Location", _("Country"), _("Company {0}").format(company or ""))
		]

	def place(self, country: str) -> str | None:
		if country not in self._countries:
			code = frappe.get_cached_value("Country", country, "code") or ""
			term = f"loc:{code.upper()}"
			self._countries[country] = term if term in dpv_terms.TERMS else None
		return self._countries[country]

	def controller(self, company: str | None) -> Json:
		if company not in self._controllers:
			self._controllers[company] = self._controller(company)
		return self._controllers[company]

	def _controller(self, company: str | None) -> Json:
		if not company:
			self.missing(_("Company"), _("Processing Purpose"))
			return {"@id": "own:controller", "@type": "dpv:DataController", "dpv:hasName": NOT_STATED}
		about = frappe.get_cached_doc("Company", company)
		where = _("Company {0}").format(company)
		address = postal_address(company)
		officer = self.settings.get("data_protection_officer_contact")
		if not address:
			self.missing(_("Address"), _("An Address that is linked with {0}").format(where))
		if not (about.email or about.phone_no or officer):
			self.missing(_("E-mail or phone of the controller"), where)
		telephone = {"schema:telephone": about.phone_no} if about.phone_no else {}
		contact: Json = {"@type": "schema:ContactPoint"} | telephone
		if about.email or officer:
			contact["schema:email"] = about.email or officer
		if not contact.keys() & {"schema:email", "schema:telephone"}:
			contact["dct:description"] = NOT_STATED
		written: Json = {
			"@id": iri("company", company),
			"@type": "dpv:DataController",
			"dpv:hasIdentifier": iri("company", company),
			"dpv:hasName": company,
			"schema:address": {
				"@type": "schema:PostalAddress",
				**(address or {"dct:description": NOT_STATED}),
			},
			"schema:contactPoint": contact,
			**_if_stated("dpv:hasRepresentative", "dpv:Representative", self.settings.representative),
		}
		return written | ({"schema:url": about.website} if about.website else {})

	def status(self, row: frappe._dict, event: ledger.Event, controller: Json) -> Json:
		term = STATUS_TERMS[event.kind]
		if term == "dpv:ConsentGiven" and (event.facts.get("supersedes") or row.supersedes):
			term = "dpv:RenewedConsentGiven"
		written: Json = {
			"@type": term,
			"dpv:isIndicatedBy": INDICATED_BY.get(event.indicated_by, controller["@id"]),
			"dpv:isIndicatedAtTime": utc_text(event.occurred_at),
			"dpv:hasIndicationMethod": _method(event),
		}
		if event.effective_from:
			written["dct:valid"] = utc_text(event.effective_from)
		if STATUS_AFTER[event.kind] in (Status.GIVEN, Status.REQUESTED):
			written["dpv:hasDuration"] = _validity(event, row)
		if event.wording:
			written["dpv:hasNotice"] = {
				"@id": iri("consent-wording", event.wording),
				"@type": "dpv:ConsentNotice",
				"own:sha256": event.wording_hash,
			}
		return written


def _method(event: ledger.Event) -> str:
	if event.kind == EventKind.CONFIRM:
		return "confirmed from the mailbox by the link in a mail (double opt-in)"
	if event.indicated_by == register.SYSTEM:
		return "by the clock"
	return event.source or NOT_STATED


def _validity(event: ledger.Event, row: frappe._dict) -> Json:
	until = event.facts.get("expires_on") or utc_text(row.expires_on)
	if until:
		return {"@type": "dpv:UntilTimeDuration", "rdf:value": until}
	return {"@type": "dpv:UntilEventDuration", "rdf:value": "until it is withdrawn"}


def postal_address(company: str) -> Json | None:
	"""Return the postal address of a company in the terms of schema.org."""
	name = get_default_address("Company", company)
	if not name:
		return None
	address = frappe.get_cached_doc("Address", name)
	found = {
		"schema:streetAddress": ", ".join(
			line for line in (address.address_line1, address.address_line2) if line
		),
		"schema:postalCode": address.pincode,
		"schema:addressLocality": address.city,
		"schema:addressRegion": address.state,
		"schema:addressCountry": address.country,
	}
	return {term: value for term, value in found.items() if value}


def _as_in_register(row: frappe._dict, events: list[ledger.Event], columns: Iterable[str]) -> Json:
	def plain(value: Any) -> Any:
		return utc_text(value) if isinstance(value, datetime) else value

	return {
		"record": {column: plain(row.get(column)) for column in columns},
		"events": [
			{
				"seq": event.seq,
				"kind": event.kind.value,
				"occurred_at": utc_text(event.occurred_at),
				"recorded_at": utc_text(event.recorded_at),
				"effective_from": utc_text(event.effective_from),
				"indicated_by": event.indicated_by,
				"source": event.source,
				"wording": event.wording,
				"wording_hash": event.wording_hash,
				"facts": {name: value for name, value in event.facts.items() if name != "recorded_by"},
			}
			for event in events
		],
	}


# --- files --------------------------------------------------------------------------------------------------


def record_of(consent: str) -> Json:
	"""Return a consent as ISO/IEC TS 27560 record in JSON-LD, profile record-eu-gdpr (RC-01)."""
	row, events = one_consent(consent)
	return {"@context": Writer.context(), **Writer().record(row, events)}


def receipt_of(consent: str) -> Json:
	"""Return a receipt for the person in JSON-LD, with the way to withdraw (RC-03)."""
	row, events = one_consent(consent)
	writer, number = Writer(), str(uuid.uuid4())
	record = writer.record(row, events, for_the_person=True)
	return {
		"@context": writer.context(),
		"@id": f"urn:uuid:{number}",
		"@type": "dpv:ConsentReceipt",
		"dct:conformsTo": dpv_terms.PROFILE + "receipt-eu-gdpr",
		"dct:identifier": number,
		"dpv:hasIdentifier": number,
		"dct:created": utc_text(now_utc()),
		"dct:publisher": record["dct:publisher"],
		"dpv:hasRecordOfActivity": record,
	}


def history_of(email: str | None, party_type: str | None, party: str | None) -> Json:
	"""Return everything the register says of a person: each consent and each refusal with all events."""
	return document_of(*read_person(email, party_type, party))


def document_of(consents: Book, refusals: Book) -> Json:
	"""Return consents and refusals as one document in JSON-LD."""
	writer = Writer()
	return {
		"@context": writer.context(),
		"@id": f"urn:uuid:{uuid.uuid4()}",
		"dct:created": utc_text(now_utc()),
		"@graph": [
			*(writer.record(row, consents.events[row.name]) for row in consents.rows),
			*(writer.refusal(row, refusals.events[row.name]) for row in refusals.rows),
		],
	}


def kantara_of(consent: str) -> Json:
	"""Return a Kantara Consent Receipt 1.1 (RC-04).

	Raises:
		RecordNotPossible: the record isn't a consent that was given.
	"""
	row, _events = one_consent(consent)
	if row.legal_basis != register.CONSENT_BASIS or not row.given_on:
		raise RecordNotPossible(
			_("A Kantara receipt is for a consent that was given. {0} is {1}: choose JSON-LD.").format(
				row.name, _(row.status)
			)
		)
	writer = Writer()
	purpose = frappe.get_cached_doc("Processing Purpose", row.purpose)
	company = row.company or purpose.company
	controller = writer.controller(company)
	contact = controller.get("schema:contactPoint", {})
	address = {
		term.removeprefix("schema:"): value
		for term, value in controller.get("schema:address", {}).items()
		if term.startswith("schema:")
	}
	places = writer.jurisdiction(row, purpose)
	first = places[0]
	term = writer.purpose_term(purpose)
	recipients = "\n".join(writer.recipients(purpose))
	officer = writer.settings.get("data_protection_officer")
	keys = signatures.public_keys()["keys"]
	receipt: Json = {
		"version": KANTARA,
		"jurisdiction": first.removeprefix("loc:") if isinstance(first, str) else NOT_STATED,
		# Whole seconds: that some read milliseconds is their error (requirements §1).
		"consentTimestamp": int(row.given_on.replace(tzinfo=timezone.utc).timestamp()),
		"collectionMethod": row.source or NOT_STATED,
		"consentReceiptID": str(uuid.uuid4()),
		"publicKey": keys[-1]["x"],
		"language": row.language or None,
		"piiPrincipalId": subject_id(row),
		"piiControllers": [
			{
				"piiController": company or NOT_STATED,
				"contact": officer or company or NOT_STATED,
				"address": address or {"streetAddress": NOT_STATED},
				"email": contact.get("schema:email", NOT_STATED),
				"phone": contact.get("schema:telephone", NOT_STATED),
				"piiControllerUrl": controller.get("schema:url"),
			}
		],
		"policyUrl": writer.settings.privacy_notice_url or NOT_STATED,
		"services": [
			{
				"service": row.topic or purpose.name,
				"purposes": [
					{
						"purpose": purpose.description or purpose.name,
						"purposeCategory": [(term or NOT_STATED).removeprefix("dpv:")],
						"consentType": "EXPLICIT",
						"piiCategory": [PERSONAL_DATA[row.channel].removeprefix("pd:")],
						"primaryPurpose": True,
						"termination": writer.way_out(row),
						"thirdPartyDisclosure": bool(recipients),
						"thirdPartyName": recipients or None,
					}
				],
			}
		],
		"sensitive": False,
		"spiCat": [],
	}
	return _without_none(receipt)


def _if_stated(term: str, kind: str, text: str | None) -> Json:
	"""Say what only some have as an instance of a DPV class: joint controllers (Art. 26), a representative
	(Art. 27), safeguards of transfers (Art. 46)."""
	told = (text or "").strip()
	return {term: {"@type": kind, "dct:description": told}} if told else {}


def _without_none(value: Any) -> Any:
	if isinstance(value, dict):
		return {name: _without_none(one) for name, one in value.items() if one is not None}
	if isinstance(value, list):
		return [_without_none(one) for one in value]
	return value


def gaps_of(consents: list[str]) -> list[Gap]:
	"""List what the files of these consents can't say, and where that is filled in."""
	book = read_consents(consents)
	writer = Writer()
	for row in book.rows:
		writer.record(row, book.events[row.name])
	if not writer.settings.privacy_notice_url:
		writer.missing(_("Address of the Privacy Notice"), _("Consent Settings"))
	return list(writer.gaps)


def one_consent(consent: str) -> tuple[frappe._dict, list[ledger.Event]]:
	book = read_consents([consent])
	if not book.rows:
		raise RecordNotPossible(
			_("Consent {0} doesn't exist. Choose one from the list.").format(
				frappe.utils.escape_html(str(consent))
			)
		)
	(row,) = book.rows
	return row, book.events[row.name]


def signed(document: Json) -> str:
	"""Sign a record, a receipt, a history or a Kantara receipt."""
	if "@graph" in document:
		kind, number = "history", document["@id"].removeprefix("urn:uuid:")
		about = next((part["dpv:hasDataSubject"]["@id"] for part in document["@graph"]), document["@id"])
	elif "version" in document:
		kind, number, about = "receipt", document["consentReceiptID"], document["piiPrincipalId"]
	else:
		record = document.get("dpv:hasRecordOfActivity", document)
		kind = "record" if record is document else "receipt"
		number, about = document["dct:identifier"], record["dpv:hasDataSubject"]["@id"]
	issued_at = int(now_utc().replace(tzinfo=timezone.utc).timestamp())
	return signatures.sign(document, kind, number, about.removeprefix("urn:uuid:"), issued_at)
