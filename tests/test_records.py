"""Consents as files: ISO/IEC TS 27560 in JSON-LD, Kantara, signed, on paper, read back (RC-01 to RC-07)."""

import base64
import hashlib
import hmac
import json
import shutil
from io import BytesIO
from pathlib import Path

import jwt
import pytest
from conftest import DESK, examples, give
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from pypdf import PdfReader
from rdflib import Graph, URIRef

import frappe
from frappe.deferred_insert import save_to_db

from gdpr_consent import api, dpv_terms, links, own_files, paper, records, register, signatures
from gdpr_consent.clock import now_utc, to_system_time
from gdpr_consent.exceptions import RecordNotPossible, SignatureNotValid
from gdpr_consent.policy import Status
from gdpr_consent.seeds import LEGAL_BASES, PROCESSING_PURPOSES

GOLDEN = Path(__file__).parent / "golden"
STATED = {
	"storage": "In our ERP, in Frankfurt; erased by its retention",
	"recipients": "Our mail provider\nOur hosting provider",
	"retention_months": 36,
	"dpv_purpose": "dpv:DirectMarketing",
}
# What 27560 and its GDPR profile ask of every record (requirements §9.3, column M).
MANDATORY = (
	"dct:conformsTo",
	"dct:identifier",
	"dpv:hasIdentifier",
	"dpv:hasDataSubject.@id",
	"dpv:hasNotice.dct:language",
	"dpv:hasProcess.dpv:hasPurpose.dct:title",
	"dpv:hasProcess.dpv:hasPersonalData",
	"dpv:hasProcess.dpv:hasLegalBasis",
	"dpv:hasProcess.dpv:hasDataController.dpv:hasIdentifier",
	"dpv:hasProcess.dpv:hasDataController.dpv:hasName",
	"dpv:hasProcess.dpv:hasDataController.schema:address",
	"dpv:hasProcess.dpv:hasDataController.schema:contactPoint",
	"dpv:hasProcess.dpv:hasStorageCondition",
	"dpv:hasProcess.dpv:hasJurisdiction",
	"dpv:hasProcess.dpv:hasRecipient",
	"dpv:hasProcess.dpv:hasConsentControl.dpv:isExercisedAt",
	"dpv:hasProcess.dpv:hasRight",
	"dpv:hasConsentStatus",
)


@pytest.fixture
def stated(site):
	"""The site says everything that a record needs; rolled back."""
	purpose = frappe.get_doc("Processing Purpose", "Email Marketing")
	purpose.update({name: value for name, value in STATED.items() if purpose.meta.has_field(name)}).save()
	frappe.db.set_value("Company", purpose.company, {"email": "privacy@shop.example", "phone_no": "+49 30 1"})
	frappe.db.set_single_value("Consent Settings", "privacy_notice_url", "https://shop.example/privacy")
	frappe.new_doc(
		"Address",
		address_title=purpose.company,
		address_line1="Ring 1",
		pincode="10115",
		city="Berlin",
		country="Germany",
		links=[{"link_doctype": "Company", "link_name": purpose.company}],
	).insert()
	for doctype, name in (("Company", purpose.company), ("Consent Settings", "Consent Settings")):
		frappe.clear_document_cache(doctype, name)
	yield purpose.company
	frappe.db.rollback()
	for doctype, name in (("Company", purpose.company), ("Consent Settings", "Consent Settings")):
		frappe.clear_document_cache(doctype, name)


@pytest.fixture
def worded(topic):
	"""A wording for the purpose, and a topic; rolled back."""
	text = "Yes, send me news — „with“ ümlauts.\nI can stop at any time."
	made = frappe.new_doc("Consent Wording", purpose="Email Marketing", language="en", text=text).insert()
	return made.name, topic


def at(document: dict, path: str):
	for step in path.split("."):
		document = document[step]
	return document


def all_texts(document) -> list[str]:
	if isinstance(document, dict):
		return [text for key, value in document.items() for text in (key, *all_texts(value))]
	if isinstance(document, list):
		return [text for value in document for text in all_texts(value)]
	return [document] if isinstance(document, str) else []


def graph_of(document: dict) -> Graph:
	return Graph().parse(data=json.dumps(document), format="json-ld")


def without_context(document: dict) -> dict:
	return {key: value for key, value in document.items() if key != "@context"}


# --- RC-01, RC-02, RC-07 ------------------------------------------------------------------------------------


def test_rc_01_every_mandatory_field_of_a_record_is_there(address, stated, worded):
	record = records.record_of(give(address(), wording=worded[0]))
	assert record["dct:conformsTo"] == "https://w3id.org/dpv/schema/dpv-27560#record-eu-gdpr"
	for path in MANDATORY:
		assert at(record, path), path
	(status,) = record["dpv:hasConsentStatus"]
	assert status["@type"] == "dpv:ConsentGiven" and status["dpv:hasDuration"]["rdf:value"].endswith("Z")
	assert status["dpv:isIndicatedBy"] == "dpv:DataSubject"
	assert records.NOT_STATED not in all_texts(record)
	assert {gap.what for gap in records.gaps_of([record["dct:identifier"]])} == set()


def test_rc_01_what_the_site_does_not_say_is_not_invented(address, monkeypatch):
	name = give(address())
	purpose = frappe.get_doc("Processing Purpose", "Email Marketing")
	purpose.update({"storage": None, "recipients": None, "retention_months": 0}).save()
	record = records.record_of(name)
	for path in MANDATORY:
		assert at(record, path), path
	process = record["dpv:hasProcess"]
	assert [one["dct:description"] for one in process["dpv:hasStorageCondition"]] == [records.NOT_STATED] * 2
	assert process["dpv:hasRecipient"][0]["dct:description"] == records.NOT_STATED
	gaps = {gap.what: gap.where for gap in records.gaps_of([name])}
	assert gaps["Retention Months"] == gaps["Storage and Erasure"] == "Processing Purpose Email Marketing"
	assert "Wording" in gaps and api.record_gaps(name)


@pytest.mark.parametrize(
	("doctype", "field", "path"),
	[
		("Processing Purpose", "joint_controllers", "dpv:hasProcess.dpv:hasJointDataControllers"),
		("Processing Purpose", "safeguards", "dpv:hasProcess.dpv:hasTechnicalOrganisationalMeasure"),
		("Consent Settings", "representative", "dpv:hasProcess.dpv:hasDataController.dpv:hasRepresentative"),
	],
)
def test_rc_01_what_only_some_controllers_have_is_told_if_they_have_it(address, stated, doctype, field, path):
	"""Joint controllers (Art. 26), a representative (Art. 27), safeguards of transfers (Art. 46)."""
	name = give(address())
	parent, last = path.rsplit(".", 1)
	said = frappe.get_doc(doctype, "Email Marketing" if doctype == "Processing Purpose" else doctype)
	said.update({field: ""}).save()
	assert last not in at(records.record_of(name), parent)
	said.update({field: "Shop Group SE, Ring 2, Berlin"}).save()
	record = records.record_of(name)
	assert at(record, path)["dct:description"] == "Shop Group SE, Ring 2, Berlin"
	assert {term for term in all_texts(at(record, path)) if term.startswith("dpv:")} <= dpv_terms.TERMS
	assert last in dpv_terms.TERMS


def every_life(email: str, topic: str) -> dict[str, str]:
	"""Make a consent of each status, and return its name."""
	made = {}
	made["Given"] = give(email())
	made["Unknown"] = register.record_unproven(email=email())["name"]
	made["Requested"] = register.request(email=email(), by_the_person=True)[0]["name"]
	for status, act in (
		("Withdrawn", lambda who, _name: api.withdraw_consent(email=who)),
		("Revoked", lambda _who, name: api.revoke_consent(name, "Tidied up")),
		("Invalidated", lambda _who, name: register.invalidate(name, "Was ticked")),
		("Superseded", lambda who, _name: give(who, evidence="She said it again.")),
	):
		who = email()
		made[status] = give(who, given_on="2026-01-01")
		act(who, made[status])
	made["Expired"] = give(email(), given_on="2020-01-01", expires_on="2021-01-01")
	refusing = email()
	made["Refused"] = register.request(email=refusing, by_the_person=True)[0]["name"]
	api.withdraw_consent(email=refusing)
	made["Not Required"] = api.record_consent("Sales", email(), legal_basis="Contract")["name"]
	ended = api.record_consent("Sales", email(), legal_basis="Legitimate Interests")["name"]
	made["Ended"] = api.revoke_consent(ended, "Over")["name"]
	made["Topic"] = give(email(), topic)
	return made


def test_rc_02_every_term_of_every_state_is_a_real_one(address, topic, stated):
	made = every_life(address, topic)
	statuses = {frappe.db.get_value("Consent", name, "status") for name in made.values()}
	assert {status.value for status in Status} - statuses == {"Lapsed"}
	used = set()
	for name in made.values():
		if (record := records.record_of(name))["@type"] == "dpv:ConsentRecord":
			assert all(at(record, path) for path in MANDATORY), name
		for document in (records.record_of(name), records.receipt_of(name)):
			used |= {
				text
				for text in all_texts(without_context(document))
				if text.split(":")[0] in dpv_terms.NAMESPACES and " " not in text
			}
			# As a machine reads it, the same terms come out, and every reference is one.
			terms = {part for triple in graph_of(document) for part in triple if isinstance(part, URIRef)}
			for prefix, namespace in sorted(dpv_terms.NAMESPACES.items(), key=lambda one: -len(one[1])):
				inside = {str(term) for term in terms if str(term).startswith(namespace)}
				terms -= {URIRef(term) for term in inside}
				assert {f"{prefix}:{term.removeprefix(namespace)}" for term in inside} <= dpv_terms.TERMS
	assert used <= dpv_terms.TERMS
	assert {"dpv:ConsentWithdrawn", "dpv:ConsentRevoked", "dpv:ConsentUnknown", "loc:DE"} <= used


def test_rc_02_a_term_that_does_not_exist_is_a_gap_and_not_exported(address, stated, monkeypatch):
	name = give(address())
	purpose = frappe.get_cached_doc("Processing Purpose", "Email Marketing")
	chosen = frappe._dict(name=purpose.name, is_marketing=1, dpv_purpose="dpv:SpamEverybody")
	writer = records.Writer()
	assert writer.purpose_term(chosen) is None
	assert "dpv:SpamEverybody" in next(iter(writer.gaps)).what and name


def test_rc_02_the_terms_that_a_new_site_starts_with_are_real(site):
	assert {one["dpv_term"] for one in LEGAL_BASES} - {""} <= dpv_terms.LEGAL_BASIS_TERMS
	assert {one.get("dpv_purpose", "dpv:Marketing") for one in PROCESSING_PURPOSES} <= dpv_terms.PURPOSE_TERMS


def test_rc_02_a_legal_basis_without_a_term_gets_one_of_ours(address, stated):
	basis = records.Writer().legal_basis("Existing Customer")
	assert basis["@id"] == "own:existing_customer" and basis["dpv:hasApplicableLaw"] == "ePrivacy 13(2)"


def test_rc_03_a_receipt_shows_the_person_the_way_out(address, stated):
	name = give(address())
	receipt = records.receipt_of(name)
	record = receipt["dpv:hasRecordOfActivity"]
	assert receipt["@type"] == "dpv:ConsentReceipt" and receipt["dct:identifier"] != name
	assert receipt["dct:conformsTo"].endswith("#receipt-eu-gdpr") and record["dct:identifier"] == name
	url = at(record, "dpv:hasProcess.dpv:hasConsentControl.dpv:isExercisedAt")
	assert links.read_preferences(url.split("t=")[1]) == (name, True)
	assert "t=" not in at(records.record_of(name), "dpv:hasProcess.dpv:hasConsentControl.dpv:isExercisedAt")


def test_who_may_not_withdraw_gets_no_link_to_say_no_in_the_persons_name(address, user_with_roles, stated):
	name = give(address())
	user_with_roles("Newsletter Manager")
	for document in (records.receipt_of(name), records.kantara_of(name), paper.consent_receipt(name)):
		texts = all_texts(document)
		assert any("/consent/preferences" in text for text in texts)
		assert not [text for text in texts if "preferences?t=" in text]


def test_rc_07_the_person_is_a_pseudonym_that_one_address_always_has(address, stated):
	email = address("Jo.Ann+{}@people.example")
	first, second = give(email), give(email.upper(), evidence="Said so again.")
	ids = {at(records.record_of(name), "dpv:hasDataSubject.@id") for name in (first, second)}
	assert len(ids) == 1
	assert at(records.record_of(give(address())), "dpv:hasDataSubject.@id") not in ids
	for document in (records.receipt_of(first), records.kantara_of(first)):
		assert not [text for text in all_texts(document) if "@people.example" in text.lower()]


def test_no_file_names_staff(address, user_with_roles):
	officer = user_with_roles("Privacy Officer", "Consent User")
	email = address()
	give(email)
	assert officer not in json.dumps(records.history_of(email, None, None))


def test_ca_06_the_wording_is_reproduced_to_the_byte(address, worded):
	name = give(address(), wording=worded[0])
	text = records.record_of(name)["dpv:hasNotice"]["dct:description"]
	stored = frappe.db.get_value("Consent Wording", worded[0], ["text", "text_hash"])
	assert (text, hashlib.sha256(text.encode()).hexdigest()) == stored


def test_a_file_costs_the_same_few_queries_for_one_consent_and_for_twenty(address, topic, stated):
	email = address()
	give(email)
	few = count_queries(lambda: records.history_of(email, None, None))
	for number in range(20):
		give(email, evidence=f"Said so for the {number}th time.")
	many = count_queries(lambda: records.history_of(email, None, None))
	assert few == many


def count_queries(act) -> int:
	before, queries = frappe.db.sql, []

	def counting(*args, **kwargs):
		queries.append(args)
		return before(*args, **kwargs)

	act()  # what is cached is cached now
	frappe.db.sql = counting
	try:
		act()
	finally:
		frappe.db.sql = before
	return len(queries)


# --- RC-04 --------------------------------------------------------------------------------------------------


def test_rc_04_a_kantara_receipt_is_the_golden_one(address, stated, monkeypatch):
	name = give(address(), given_on="2026-03-01T09:05:00Z", language="de")
	receipt = records.kantara_of(name)
	numbers = {
		"consentReceiptID": receipt["consentReceiptID"],
		"piiPrincipalId": records.subject_id(records.one_consent(name)[0]),
		"publicKey": signatures.public_keys()["keys"][-1]["x"],
	}
	purpose = receipt["services"][0]["purposes"][0]
	assert links.read_preferences(purpose["termination"].split("t=")[1])[0] == name
	for field, number in numbers.items():
		assert receipt[field] == number
		receipt[field] = f"<{field}>"
	purpose["termination"] = "<termination>"
	golden = json.loads((GOLDEN / "kantara.json").read_text())
	golden["piiControllers"][0] |= {"piiController": stated, "contact": stated}
	assert receipt == golden


def test_rc_04_only_a_consent_that_was_given_has_one(address):
	other = api.record_consent("Sales", address(), legal_basis="Contract")["name"]
	for name in (other, register.record_unproven(email=address())["name"]):
		with pytest.raises(RecordNotPossible, match="JSON-LD"):
			records.kantara_of(name)


# --- RC-05 --------------------------------------------------------------------------------------------------


def test_rc_05_a_signed_record_says_who_when_which_and_about_whom(address, stated):
	name = give(address())
	token = records.signed(records.record_of(name))
	header = jwt.get_unverified_header(token)
	key = jwt.PyJWK(next(key for key in signatures.public_keys()["keys"] if key["kid"] == header["kid"]))
	claims = jwt.decode(token, key.key, algorithms=["EdDSA"])  # as anybody does, with the public key
	assert header["alg"] == "EdDSA" and claims["iss"] == frappe.utils.get_url()
	assert claims["jti"] == name and isinstance(claims["iat"], int)
	assert claims["sub"] == records.subject_id(records.one_consent(name)[0])
	assert claims["record"] == records.record_of(name)
	assert signatures.read(token) == claims


@pytest.mark.parametrize(
	("make", "kind"),
	[
		(records.receipt_of, "receipt"),
		(records.kantara_of, "receipt"),
		(
			lambda name: records.history_of(frappe.db.get_value("Consent", name, "email"), None, None),
			"history",
		),
	],
)
def test_rc_05_each_kind_of_file_can_be_signed(address, make, kind):
	document = make(give(address()))
	assert signatures.read(records.signed(document))[kind] == document


def forged_with_none(token: str) -> str:
	return jwt.encode(jwt.decode(token, options={"verify_signature": False}), None, algorithm="none")


def forged_with_the_public_key(token: str) -> str:
	"""HS256 with the public key for a secret: what a verifier accepts that takes the token's word for it."""
	public = signatures.public_keys()["keys"][-1]
	secret = base64.urlsafe_b64decode(public["x"] + "=")
	header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": public["kid"]}).encode()).rstrip(
		b"="
	)
	said = header + b"." + token.split(".")[1].encode()
	signature = base64.urlsafe_b64encode(hmac.digest(secret, said, "sha256")).rstrip(b"=")
	return (said + b"." + signature).decode()


def forged_with_another_key(token: str) -> str:
	from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

	claims = jwt.decode(token, options={"verify_signature": False})
	kid = jwt.get_unverified_header(token)["kid"]
	return jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": kid})


def changed(token: str) -> str:
	header, body, signature = token.split(".")
	said = json.loads(base64.urlsafe_b64decode(body + "=="))
	said["record"]["own:register"]["record"]["status"] = "Given"
	body = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
	return f"{header}.{body}.{signature}"


@pytest.mark.parametrize(
	"forge",
	[
		forged_with_none,
		forged_with_the_public_key,
		forged_with_another_key,
		changed,
		lambda token: token.rsplit(".", 1)[0] + ".",
		lambda token: token[:-8],
		lambda _token: "",
		lambda _token: "a.b.c",
	],
)
def test_rc_05_what_is_not_signed_by_us_is_refused(address, forge):
	token = records.signed(records.record_of(register.record_unproven(email=address())["name"]))
	assert signatures.read(token)
	with pytest.raises(SignatureNotValid):
		signatures.read(forge(token))


def test_rc_05_a_key_that_was_replaced_goes_on_verifying(address, monkeypatch):
	token = records.signed(records.record_of(give(address())))
	keys = [*frappe.conf[signatures.KEYS_SETTING], "11" * 32]
	monkeypatch.setitem(frappe.local.conf, signatures.KEYS_SETTING, keys)
	assert signatures.read(token)
	newer = records.signed(records.record_of(give(address())))
	assert jwt.get_unverified_header(newer)["kid"] != jwt.get_unverified_header(token)["kid"]
	monkeypatch.setitem(frappe.local.conf, signatures.KEYS_SETTING, keys[1:])
	with pytest.raises(SignatureNotValid):
		signatures.read(token)
	assert signatures.read(newer)


def test_the_private_key_is_not_in_the_database(site):
	(secret, *_older) = frappe.conf[signatures.KEYS_SETTING]
	assert len(secret) == 64 and secret not in json.dumps(signatures.public_keys())
	assert not frappe.db.sql("select 1 from tabSingles where value like %s", f"%{secret}%")


# --- RC-06 --------------------------------------------------------------------------------------------------


def as_told(row: dict) -> dict:
	return {column: row[column] for column in records.TOLD}


LIVES = st.lists(
	st.sampled_from(["give", "give again", "withdraw", "revoke", "request", "claim", "object", "topic"]),
	min_size=1,
	max_size=5,
)


@settings(max_examples=examples(0.3))
@for_all(steps=LIVES, is_signed=st.booleans())
def test_rc_06_reading_our_own_export_loses_nothing(site, steps, is_signed):
	frappe.db.savepoint("example")
	email = f"{frappe.generate_hash(length=12)}@people.example"
	topic = frappe.new_doc("Subscription Topic", title=email, purpose="Email Marketing").insert().name
	acts = {
		"give": lambda: give(email),
		"give again": lambda: give(email, evidence="Words", given_on=now_utc()),
		"withdraw": lambda: api.withdraw_consent(email=email, reason="No more"),
		"revoke": lambda: api.revoke_consent(frappe.get_last_doc("Consent", {"email": email}).name, "Why"),
		"request": lambda: register.request(email=email, by_the_person=True),
		"claim": lambda: register.record_unproven(email=email),
		"object": lambda: api.object_to_marketing(email=email),
		"topic": lambda: give(email, topic),
	}
	for step in steps:
		try:
			acts[step]()
		except (frappe.ValidationError, frappe.DoesNotExistError):
			pass  # no transition from here
	document = records.history_of(email, None, None)
	owns, ours = own_files.read(records.signed(document) if is_signed else json.dumps(document))
	assert ours == is_signed
	consents, refusals = records.read_person(email, None, None)
	assert {own.name: own.record for own in owns if own.doctype == "Consent"} == {
		row.name: as_told(row) for row in consents.rows
	}
	assert {own.name: own.record for own in owns if own.doctype == "Suppression"} == {
		row.name: {column: row[column] for column in records.TOLD_OF_REFUSALS} for row in refusals.rows
	}
	for book in (consents, refusals):
		for name, events in book.events.items():
			(read,) = [own.events for own in owns if own.name == name]
			assert read == [
				event._replace(
					actor="",
					bulk_update=None,
					facts={key: value for key, value in event.facts.items() if key != "recorded_by"},
				)
				for event in events
			]
	graph_of(document)
	frappe.db.rollback(save_point="example")


def forget(email: str) -> None:
	"""As if the site had never known them."""
	for doctype in ("Consent", "Suppression"):
		names = frappe.get_all(doctype, {"email": email}, pluck="name")
		events = {frappe.scrub(doctype): ["in", names or ["none"]]}
		numbered = frappe.get_all("Consent Event", events, pluck="name")
		frappe.db.delete("Consent Event Payload", {"name": ["in", numbered or ["none"]]})
		frappe.db.delete("Consent Event", events)
		frappe.db.delete(doctype, {"name": ["in", names or ["none"]]})


def exported(email: str, is_signed: bool) -> str:
	document = records.history_of(email, None, None)
	return records.signed(document) if is_signed else json.dumps(document)


def statuses(email: str) -> list[str]:
	return sorted(frappe.get_all("Consent", {"email": email}, pluck="status"))


@pytest.mark.parametrize(("is_signed", "status"), [(True, "Given"), (False, "Unknown")])
def test_rc_06_a_yes_comes_back_only_with_our_signature(address, is_signed, status):
	email = address()
	give(email, given_on="2026-01-02")
	file = exported(email, is_signed)
	forget(email)
	assert own_files.take_in(file)[status.lower()] == 1
	assert statuses(email) == [status]
	row = frappe.get_last_doc("Consent", {"email": email})
	assert row.evidence_grade == "D" and bool(row.given_on) == is_signed


def test_rc_06_a_file_with_a_yes_written_into_it_is_unknown(address):
	email = address()
	register.record_unproven(email=email)
	document = records.history_of(email, None, None)
	record = document["@graph"][0]["own:register"]["record"]
	record |= {"status": "Given", "given_on": "2026-01-01T00:00:00.000000Z", "evidence_grade": "A"}
	record |= {"confirmed_on": "2026-01-01T00:00:00.000000Z", "evidence": "Clicked", "source": "Phone"}
	forget(email)
	assert own_files.take_in(json.dumps(document))["unknown"] == 1
	assert statuses(email) == ["Unknown"]


def test_rc_06_what_is_on_record_stays_and_a_second_import_changes_nothing(address):
	email = address()
	give(email)
	file = exported(email, is_signed=True)
	assert own_files.take_in(file)["known"] == 1
	api.withdraw_consent(email=email)
	assert own_files.take_in(file)["known"] == 1
	assert statuses(email) == ["Withdrawn"]


@pytest.mark.parametrize("is_signed", [True, False])
def test_rc_06_a_no_comes_back_whoever_signed_and_no_yes_gets_past_it(address, is_signed):
	email = address()
	give(email)
	api.object_to_marketing(email=email)
	file = exported(email, is_signed)
	forget(email)
	assert own_files.take_in(file)["refused"] >= 1
	assert api.check_consent([email])[email]["reason"] == "OBJECTED"
	other = address()
	give(other)
	file = exported(other, is_signed)
	forget(other)
	api.object_to_marketing(email=other)
	own_files.take_in(file)
	assert "Given" not in statuses(other)
	assert api.check_consent([other])[other]["allowed"] is False


def test_rc_06_a_foreign_token_is_refused_whole(address):
	email = address()
	give(email)
	token = forged_with_another_key(exported(email, is_signed=True))
	forget(email)
	with pytest.raises(SignatureNotValid):
		own_files.take_in(token)
	assert statuses(email) == []


@pytest.mark.parametrize("file", ["", "{}", "[]", '{"@graph": [1]}', '{"own:register": {}}', "{"])
def test_rc_06_what_is_no_file_of_ours_is_refused_in_words(file):
	with pytest.raises((RecordNotPossible, SignatureNotValid), match="file"):
		own_files.take_in(file)


@pytest.mark.parametrize("says_no", [True, False])
@pytest.mark.parametrize("record", [{}, {"status": "Perhaps", "kind": "Perhaps"}])
def test_rc_06_a_file_of_ours_with_a_record_that_isnt_one_is_refused_in_words(address, says_no, record):
	email = address()
	api.object_to_marketing(email=email) if says_no else give(email)
	document = records.history_of(email, None, None)
	document["@graph"][0]["own:register"]["record"] = record
	with pytest.raises(RecordNotPossible, match="file"):
		own_files.take_in(json.dumps(document))


def test_rc_06_who_may_not_record_may_not_import(address, user_with_roles):
	file = json.dumps(records.record_of(give(address())))
	user_with_roles("Newsletter Manager")
	with pytest.raises(frappe.PermissionError):
		own_files.take_in(file)


# --- on paper -----------------------------------------------------------------------------------------------


@pytest.fixture
def confirmed(address, worded, stated):
	"""The address of a person who was asked and confirmed, and the consent."""
	email = address()
	pending = register.request(
		email=email,
		topics=[worded[1]],
		source="Web Form",
		by_the_person=True,
		language="en",
		wordings={"": worded[0]},
	)
	register.confirm([row["name"] for row in pending], now_utc())
	return email, pending[0]["name"]


def text_of(pdf: bytes) -> tuple[str, int]:
	pages = PdfReader(BytesIO(pdf)).pages
	return " ".join(" ".join(page.extract_text() for page in pages).split()), len(pages)


@pytest.mark.usefixtures("wkhtmltopdf")
def test_ca_07_the_receipt_shows_the_declaration_and_the_double_opt_in(confirmed):
	email, name = confirmed
	pdf = paper.receipt_pdf(name)
	text, pages = text_of(pdf)
	for part in (
		"Consent Receipt",
		"Ring 1, 10115, Berlin, Germany",
		email,
		"Yes, send me news",
		"I can stop at any time.",
		"Asked to confirm",
		"Confirmed by the person",
		"Consent (GDPR 6(1)(a))",
		"36 months after it ended",
		"Our mail provider",
		f"1 / {pages}",
		"to complain to a data protection authority",
	):
		assert part in text, part
	squeezed = text.replace(" ", "")
	assert frappe.db.get_value("Consent", name, "wording") and name in squeezed
	confirmed_on = frappe.db.get_value("Consent", name, "confirmed_on")
	assert frappe.utils.format_datetime(to_system_time(confirmed_on)) in text


@pytest.mark.usefixtures("wkhtmltopdf")
def test_the_history_on_paper_has_every_consent_and_every_refusal(confirmed, stated):
	email, _name = confirmed
	give(email, purpose="Sales", legal_basis="Contract")
	api.object_to_marketing(email=email, reason="<b>Too many</b> mails")
	text, pages = text_of(paper.history_pdf(email, None, None))
	for part in (
		"Consent History",
		"Objected to all marketing",
		"<b>Too many</b> mails",
		"Sales",
		"Withdrawn",
	):
		assert part in text, part
	assert f"{pages} / {pages}" in text and pages > 1
	assert text.count(f"{stated} · Consent History") == pages - 1


@pytest.mark.usefixtures("wkhtmltopdf")
def test_the_history_on_paper_has_each_mail_and_what_it_stood_on(agreed, queued):
	"""Art. 15: "on what ground did you write to me?" is answered with proof."""
	email = agreed()
	queued(email, purpose="Email Marketing").send()
	text, _pages = text_of(paper.history_pdf(email, None, None))
	assert "Mail Decisions" in text and "was allowed: Agreed" in text
	assert text.count(frappe.db.get_value("Consent", {"email": email})) == 2


def test_what_people_typed_is_no_markup_on_paper(address):
	name = give(address(), evidence="<script>alert(1)</script>", source="Phone")
	page = frappe.get_print("Consent", name, paper.FORMAT)
	assert "&lt;script&gt;alert(1)" in page and "<script>alert(1)" not in page


def test_a_server_without_wkhtmltopdf_says_what_to_install(address, monkeypatch):
	monkeypatch.setattr(shutil, "which", lambda _command: None)
	name = give(address())
	with pytest.raises(RecordNotPossible, match="apt install wkhtmltopdf"):
		api.download_record(name)
	with pytest.raises(RecordNotPossible, match="apt install wkhtmltopdf"):
		api.download_history(email=address())


def test_what_the_template_calls_checks_the_right_too(address, user_with_roles):
	name = give(address())
	user_with_roles("Sales User")
	with pytest.raises(frappe.PermissionError):
		paper.consent_receipt(name)


# --- the doors ----------------------------------------------------------------------------------------------


@pytest.fixture
def officer(mailbox, web):
	"""Cookies and CSRF token of a Privacy Officer, and a committed consent of somebody."""
	email = mailbox()
	return email, give(email)


def download(web, method: str, **data):
	cookies = web.login("Administrator")
	page = web.call("GET", DESK, cookies=cookies).text
	token = page.split('csrf_token = "')[1].split('"')[0]
	return web.call(
		"POST",
		f"/api/method/gdpr_consent.api.{method}",
		data=data,
		cookies=cookies,
		headers={"X-Frappe-CSRF-Token": token},
	)


def test_a_record_is_downloaded_over_http_as_each_kind_of_file(officer, web):
	email, name = officer
	frappe.db.commit()
	for file_format, ending in (("JSON-LD", "jsonld"), ("JSON-LD Receipt", "jsonld"), ("Kantara", "json")):
		answer = download(web, "download_record", consent=name, file_format=file_format)
		assert answer.status_code == 200, answer.text
		assert f"consent-{name}.{ending}" in answer.headers["Content-Disposition"]
		assert name in answer.text or file_format == "Kantara"
	answer = download(web, "download_record", consent=name, file_format="JSON-LD", signed="1")
	assert f"consent-{name}.jwt" in answer.headers["Content-Disposition"]
	assert signatures.read(answer.text)["jti"] == name
	answer = download(web, "download_history", email=email, file_format="JSON-LD")
	assert email not in answer.headers["Content-Disposition"]
	assert len(answer.json()["@graph"]) == 1
	frappe.db.rollback()
	save_to_db()  # v16 leaves it to the scheduler
	assert frappe.db.exists("Access Log", {"reference_document": name, "file_type": "Kantara"})


@pytest.mark.usefixtures("wkhtmltopdf")
def test_a_pdf_is_downloaded_over_http(officer, web):
	_email, name = officer
	frappe.db.commit()
	answer = download(web, "download_record", consent=name)
	assert answer.content.startswith(b"%PDF") and answer.headers["Content-Type"] == "application/pdf"


@pytest.mark.parametrize("method", ["download_record", "download_history", "record_gaps"])
def test_no_file_by_get_and_none_for_guests(officer, web, method):
	email, name = officer
	frappe.db.commit()
	path = f"/api/method/gdpr_consent.api.{method}"
	assert web.call("GET", f"{path}?consent={name}", cookies=web.login("Administrator")).status_code == 403
	assert web.call("POST", path, data={"consent": name, "email": email}).status_code == 403


def test_a_format_that_is_not_there_and_a_signed_pdf_are_refused(address):
	name = give(address())
	with pytest.raises(RecordNotPossible, match=r"Word.*Use one of PDF, JSON-LD"):
		api.download_record(name, "Word")
	with pytest.raises(RecordNotPossible, match="can't be signed"):
		api.download_record(name, signed="1")


def test_files_are_for_those_who_may_see_the_person(address, contact, user_with_roles):
	email = address()
	hidden, visible = contact(email), contact(address())
	name = give(email)
	user = user_with_roles("Consent User", "Sales User")
	frappe.set_user("Administrator")
	frappe.new_doc("User Permission", user=user, allow="Contact", for_value=visible.name).insert()
	frappe.set_user(user)
	for act in (
		lambda: api.download_record(name, "JSON-LD"),
		lambda: api.record_gaps(name),
		lambda: api.download_history(email=email, file_format="JSON-LD"),
		lambda: api.download_history(party_type="Contact", party=hidden.name, file_format="JSON-LD"),
	):
		with pytest.raises(frappe.PermissionError):
			act()


def test_the_form_says_what_is_missing_and_downloads_the_record(officer, desk, tmp_path):
	_email, name = officer
	frappe.db.commit()
	page = desk("Administrator")
	page.goto(f"/app/consent/{name}")
	page.get_by_role("button", name="Download").first.click()
	dialog = page.locator(".modal.show")
	dialog.get_by_text("Retention Months").wait_for()
	dialog.locator("select").select_option("JSON-LD")
	dialog.get_by_label("Sign it with the key of this site").check()
	with page.expect_download() as started:
		dialog.get_by_role("button", name="Download").click()
	started.value.save_as(tmp_path / "file")
	assert started.value.suggested_filename == f"consent-{name}.jwt"
	assert signatures.read((tmp_path / "file").read_text())["jti"] == name
