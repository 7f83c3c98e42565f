"""Takes in files that this app has written, on a site that has lost its records or never had them (RC-06).

What it says is recorded anew, under new names; the numbers of the file are named in the proof.
"""

import json
from typing import NamedTuple

import frappe
from frappe import _

from gdpr_consent import ledger, register, signatures
from gdpr_consent.clock import from_utc_text, now_utc
from gdpr_consent.exceptions import RecordNotPossible, StandingRefusal, TransitionNotAllowed
from gdpr_consent.policy import EventKind, RefusalKind, Status
from gdpr_consent.records import TOLD, TOLD_OF_REFUSALS, Json

SAVEPOINT = "own_files"


class Own(NamedTuple):
	"""What a file of ours says of one record of the register: its columns, and its events."""

	doctype: str
	name: str
	record: Json
	events: list[ledger.Event]


def read(file: str) -> tuple[list[Own], bool]:
	"""Read a record or a history that this app has written.

	Args:
		file: its text, JSON-LD or a signed token.

	Returns:
		what it says, and whether it carries our signature.

	Raises:
		SignatureNotValid: a token that isn't ours.
		RecordNotPossible: neither a record nor a history of this app. A receipt isn't: it is for the person.
	"""
	text = (file or "").strip()
	is_signed = not text.startswith("{")
	try:
		if is_signed:
			claims = signatures.read(text)
			document = claims.get("history") or claims.get("record") or {}
		else:
			document = json.loads(text)
		return [_own(part) for part in document.get("@graph", [document])], is_signed
	except (KeyError, ValueError, TypeError, AttributeError):
		raise RecordNotPossible(
			_(
				"The file isn't a record or a history that this app has written. Take the file as it was"
				" downloaded, JSON-LD or signed."
			)
		) from None


def _own(part: Json) -> Own:
	told = part["own:register"]
	name = part["dct:identifier"]
	events = [
		ledger.Event(
			record=name,
			seq=event["seq"],
			kind=EventKind(event["kind"]),
			occurred_at=from_utc_text(event["occurred_at"]),
			recorded_at=from_utc_text(event["recorded_at"]),
			effective_from=from_utc_text(event["effective_from"]),
			indicated_by=event["indicated_by"],
			actor="",
			source=event["source"],
			wording=event["wording"],
			wording_hash=event["wording_hash"],
			facts=event["facts"],
		)
		for event in told["events"]
	]
	is_refusal = part["@type"] == "own:Refusal"
	record = dict.fromkeys(TOLD_OF_REFUSALS if is_refusal else TOLD) | {
		column: from_utc_text(value) if column in ledger.INSTANTS else value
		for column, value in told["record"].items()
	}
	said, known = (record["kind"], RefusalKind) if is_refusal else (record["status"], Status)
	known(said)  # or it raises ValueError, for it isn't one of ours
	return Own("Suppression" if is_refusal else "Consent", name, record, events)


def take_in(file: str) -> dict[str, int]:
	"""Take in a file of ours, on a site that has lost its records or never had them (RC-06).

	What is on record already stays as it is. A no counts as it is. A yes counts only if our signature is on
	it, with the file as its proof, and never stronger than staff could record it; else it is Unknown.

	Returns:
		how many records were `known, given, unknown, refused, over`.

	Raises:
		PermissionError: only who may record and withdraw consents may. SignatureNotValid, RecordNotPossible;
		whatever `register.record` raises except for a person's no, which stays. Nothing is stored then.
	"""
	for right in ("create", "write"):
		frappe.has_permission("Consent", right, throw=True)
	owns, ours = read(file)
	known = {
		(doctype, name)
		for doctype in ("Consent", "Suppression")
		for name in frappe.get_all(
			doctype,
			{"name": ["in", [own.name for own in owns if own.doctype == doctype] or [""]]},
			pluck="name",
		)
	}
	counts = dict.fromkeys(("known", "given", "unknown", "refused", "over"), 0)
	frappe.db.savepoint(SAVEPOINT)
	try:
		# The noes first: no yes of the file may slip in before them.
		for own in sorted(owns, key=lambda own: _is_no(own), reverse=True):
			counts["known" if (own.doctype, own.name) in known else _take_in_one(own, ours)] += 1
	except Exception:
		frappe.db.rollback(save_point=SAVEPOINT)
		raise
	return counts


def _is_no(own: Own) -> bool:
	return own.doctype == "Suppression" or own.record["status"] in (Status.WITHDRAWN, Status.REFUSED)


def _take_in_one(own: Own, ours: bool) -> str:
	said = own.record
	try:
		if _is_no(own):
			return _take_in_no(own)
		return _take_in_yes(own, ours)
	except (StandingRefusal, TransitionNotAllowed):
		return "known" if said["status"] == Status.GIVEN else "over"  # what is on record here stays


def _take_in_yes(own: Own, ours: bool) -> str:
	said = own.record
	if not said["email"] or said["status"] not in (Status.GIVEN, Status.UNKNOWN, Status.REQUESTED):
		return "over"
	if said["expires_on"] and said["expires_on"] <= now_utc():
		return "over"
	about = {
		**{name: said[name] for name in ("email", "purpose", "topic", "channel", "source")},
		**_party_if_here(said),
	}
	wording = (said["wording"] and frappe.db.exists("Consent Wording", said["wording"])) or None
	proof = (_("Signed record {0}.").format(own.name) + f" {said['evidence'] or ''}").strip()
	scope = {name: said[name] for name in ("purpose", "topic", "channel", "source")}
	is_given = ours and said["status"] == Status.GIVEN
	if not is_given or register.lack_of(**scope, wording=wording, evidence=proof):
		register.record_unproven(**about)
		return "unknown"
	given = {
		name: said[name]
		for name in ("given_on", "expires_on", "language", "guardian_name", "guardian_verification")
	}
	is_minor = bool(said["is_minor"])
	register.record(**about, **given, wording=wording, evidence=proof, is_minor=is_minor)
	return "given"


def _take_in_no(own: Own) -> str:
	said = own.record
	is_refusal = own.doctype == "Suppression"
	kind = RefusalKind(said["kind"]) if is_refusal else RefusalKind.WITHDRAWAL
	lifted = is_refusal and (said["lifted_on"] or kind == RefusalKind.BOUNCE)
	if lifted or not (said["email"] or (is_refusal and said["address_key"])):
		return "over"
	scope = register.Scope(said["channel"] or "", said["purpose"] or "", said["topic"] or "")
	if scope.purpose:
		register.check_topic(
			scope.topic, register.check_purpose(scope.purpose, also_disabled=True).name, also_disabled=True
		)
	act = register.Act(
		source=register.source_if_known(said["source"]) if said["source"] else None,
		reason=said["reason"] or _("Taken over from file {0}.").format(own.name),
	)
	no = register.No(
		kind,
		scope,
		said["email"],
		**_party_if_here(said),
		said_on=said["said_on"] if is_refusal else None,
		address_key=said["address_key"],
	)
	register.say_no([no], act)
	return "refused"


def _party_if_here(said: Json) -> Json:
	here = said["party"] and frappe.db.exists(said["party_type"], said["party"])
	return {"party_type": said["party_type"], "party": said["party"]} if here else {}
