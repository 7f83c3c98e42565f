"""Erases what is kept for claims once they can't be made any more: what ended consents stood on, and whom
closed requests were about (Art. 5(1)(e), Art. 17(3)(e) GDPR, RE-01, DS-23). Who was asked to confirm and
never did, with whom there is nothing to claim, is forgotten much sooner (CA-12).

Whose data a Legal Hold keeps, who asked for restriction, and who waits for an answer, is left alone.
"""

from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import date, datetime, time, timedelta

import frappe
from frappe import _
from frappe.query_builder.functions import Concat
from frappe.utils import add_days, cint, getdate

from gdpr_consent import identity, legal_hold, register
from gdpr_consent.alerts import alert, alert_once, officers
from gdpr_consent.clock import add_months
from gdpr_consent.exceptions import RegisterIsAppendOnly
from gdpr_consent.failures import log_failure
from gdpr_consent.identity import Person
from gdpr_consent.policy import LIVE, Channel, RefusalKind, Status
from gdpr_consent.rights import package, requests

AT_ONCE = 500
ENDED = frozenset(Status) - LIVE
# Months for which the law demands the proof, whatever the settings say: § 7a(2) UWG (NA-06).
PROOF_OF_CALLS = {(Channel.PHONE.value, "Germany"): 60}

Row = frappe._dict


def erase_outdated(today: date) -> dict[str, int]:
	"""Erase what is past its time, some at a time, and return how many consents and requests that were, and
	how many requests to confirm.

	Commits after each part: it may be interrupted, and goes on the next night. The Privacy Officers are told,
	but not of who never confirmed, which is everyday.
	"""
	lapsed = _erase_lapsed(today)
	erased = {"consents": _erase_evidence(today), "requests": _forget_requests(today)}
	if any(erased.values()):
		alert(
			officers(),
			_(
				"Past their time and erased: the proof of {consents} consents, the people of {requests} "
				"requests."
			).format(**erased),
			"Consent Settings",
			"Consent Settings",
		)
		frappe.db.commit()  # nosemgrep: whoever is told finds it done
	return erased | {"lapsed": lapsed}


# --- the proof of consents that have ended ------------------------------------------------------------------


def _erase_evidence(today: date) -> int:
	months = cint(frappe.db.get_single_value("Consent Settings", "evidence_retention_months"))
	return _erase_ended(first_day_kept(today, months), ENDED, today) if months else 0


def _erase_lapsed(today: date) -> int:
	days = cint(frappe.db.get_single_value("Consent Settings", "lapsed_retention_days"))
	limit = datetime.combine(today - timedelta(days), time())
	return _erase_ended(limit, {Status.LAPSED}, today) if days else 0


def _erase_ended(limit: datetime, statuses: Collection[Status], today: date) -> int:
	done = 0
	for rows in _ended_before(limit, statuses):
		try:
			kept = _kept(rows) | {row.name for row in rows if _is_demanded(row, today)}
			erased = register.erase_ended(row.name for row in rows if row.name not in kept)
			_delete_files([row.evidence for row in rows if row.name in erased and row.evidence])
			done += len(erased)
		except Exception:
			frappe.db.rollback()
			log_failure("The proof of ended consents couldn't be erased", rows[0].name)
		frappe.db.commit()  # nosemgrep: a part is done; an interruption loses nothing
	return done


def first_day_kept(today: date, months: int) -> datetime:
	"""Return the instant before which what has ended isn't kept: claims lapse at the end of a year (Polish
	Civil Code art. 118, German BGB §199)."""
	return datetime(add_months(today, -months).year, 1, 1)


def _ended_before(limit: datetime, statuses: Collection[Status]) -> Iterator[list[Row]]:
	table, payload = frappe.qb.DocType("Consent"), frappe.qb.DocType("Consent Event Payload")
	last = ""
	while rows := (
		frappe.qb.from_(table)
		.left_join(payload)  # of the first event: an erasure may have kept it for claims
		.on(payload.name == Concat(table.name, "-1"))
		.select(table.name, table.email, table.address_key, table.party_type, table.party, table.evidence)
		.select(table.channel, table.country, table.ended_on)
		.where((table.name > last) & (table.ended_on < limit))
		.where(table.status.isin([status.value for status in statuses]))
		.where(
			table.email.isnotnull()
			| table.evidence.isnotnull()
			| table.reason.isnotnull()
			| payload.payload.isnotnull()
		)
		.orderby(table.name)
		.limit(AT_ONCE)
		.run(as_dict=True)
	):
		yield rows
		last = rows[-1].name


def _kept(rows: list[Row]) -> set[str]:
	"""Name those whose proof is needed longer."""
	by_email = identity.people_at({row.email for row in rows if row.email})
	people = {
		row.name: [*([Person(row.party_type, row.party)] if row.party else ()), *by_email.get(row.email, ())]
		for row in rows
	}
	held = legal_hold.by_person({person for persons in people.values() for person in persons})
	keys = [row.address_key for row in rows if row.address_key] or [""]
	said, request = frappe.qb.DocType("Suppression"), frappe.qb.DocType(requests.DOCTYPE)
	restricted = (
		frappe.qb.from_(said)
		.select(said.address_key)
		.where(said.address_key.isin(keys) & (said.kind == RefusalKind.RESTRICTION.value))
		.where(said.lifted_on.isnull())
		.run(pluck=True)
	)
	waiting = (
		frappe.qb.from_(request)
		.select(request.address_key)
		.where(request.address_key.isin(keys))
		.where(request.status.isin([status.value for status in requests.OPEN]))
		.run(pluck=True)
	)
	needed = {*restricted, *waiting}
	return {
		row.name
		for row in rows
		if row.address_key in needed or any(person in held for person in people[row.name])
	}


def _is_demanded(row: Row, today: date) -> bool:
	months = PROOF_OF_CALLS.get((row.channel, row.country))
	return bool(months) and row.ended_on >= first_day_kept(today, months)


def _delete_files(evidence: list[str]) -> None:
	"""Delete documents that were attached to consents, and that no consent names any more."""
	consent, file = frappe.qb.DocType("Consent"), frappe.qb.DocType("File")
	named = frappe.qb.from_(consent).select(consent.evidence).where(consent.evidence.isin(evidence or [""]))
	still_named = set(named.run(pluck=True))
	for name in (
		frappe.qb.from_(file)
		.select(file.name)
		.where(file.file_url.isin([url for url in evidence if url not in still_named] or [""]))
		.where(file.attached_to_doctype == "Consent")
		.run(pluck=True)
	):
		with suppress(RegisterIsAppendOnly):  # a bulk update that was run names it, too
			frappe.delete_doc("File", name, ignore_permissions=True)  # nobody's any more


# --- requests that are closed -------------------------------------------------------------------------------


def _forget_requests(today: date) -> int:
	request = frappe.qb.DocType(requests.DOCTYPE)
	rows = (
		frappe.qb.from_(request)
		.select(request.name, request.email, request.address_key)
		.where(request.status.isin([status.value for status in requests.CLOSED]))
		.where(request.retention_until < today)
		.where(request.email.isnotnull() | request.phone.isnotnull() | request.requester_name.isnotnull())
		.where(request.restricted_on.isnull() | request.restriction_lifted_on.isnotnull())
		.orderby(request.retention_until)
		.run(as_dict=True)
	)
	kept = _kept(rows)
	done = 0
	for name in [row.name for row in rows if row.name not in kept]:
		try:
			package.forget(name)
			requests.forget_person(name)
			done += 1
		except Exception:
			frappe.db.rollback()
			log_failure("A closed request couldn't be forgotten", name)
		frappe.db.commit()  # nosemgrep: one is done; an interruption loses nothing
	return done


# --- noes that are kept -------------------------------------------------------------------------------------


def remind_of_refusals(today: date) -> bool:
	"""Ask the Privacy Officers, once a month, to look at noes that nobody has looked at for long (RE-02).

	Returns:
		whether anybody was asked.
	"""
	settings = frappe.get_cached_doc("Consent Settings")
	if not settings.refusal_review_months:
		return False
	limit = add_months(today, -settings.refusal_review_months)
	if settings.refusals_reviewed_on and getdate(settings.refusals_reviewed_on) > limit:
		return False
	said = frappe.qb.DocType("Suppression")
	oldest = (
		frappe.qb.from_(said)
		.select(said.name)
		.where(said.lifted_on.isnull() & (said.said_on < limit))
		.orderby(said.said_on)
		.limit(1)
		.run(pluck=True)
	)
	subject = _(
		"Are refusals older than {0} months still needed? Look, and note it in Consent Settings."
	).format(settings.refusal_review_months)
	return bool(oldest) and alert_once(officers(), subject, "Suppression", oldest[0], add_days(today, -30))
