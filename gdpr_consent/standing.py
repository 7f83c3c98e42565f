"""Keeps on each Contact, Lead, Customer, Prospect and Opportunity what the gate says of marketing mail to it.

Lists filter and group by it. It is a copy of `audience`'s answer for the default purpose, as of the last
refresh; nothing is decided by it. It is written past the documents, so that an open form isn't told that
somebody else has changed it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

import frappe
from frappe.model.document import Document
from frappe.utils.background_jobs import is_job_enqueued

from gdpr_consent import audience, filters, identity
from gdpr_consent.clock import from_utc_text, now_utc, utc_text
from gdpr_consent.identity import Person
from gdpr_consent.policy import REFUSALS, Channel, Decision, Reason, RefusalKind
from gdpr_consent.waiting import see_what_others_did

FIELD = "marketing_mail"
DOCTYPES = (*identity.PARTY_TYPES, "Prospect", "Opportunity")  # people first, then who follows them
AT_ONCE = 1_000
MOST_AT_ONCE = 50  # changed records whose people are refreshed in the same transaction
TIMEOUT = 6 * 60 * 60  # seconds
CAUGHT_UP = "gdpr_consent_standing_until"  # the last event whose people were refreshed by the job, in UTC
LOOKS_BACK = timedelta(minutes=15)
BEGINNING = datetime(1970, 1, 1)


class Standing(str, Enum):
	NOTHING_KNOWN = "Nothing Known"
	ALLOWED = "Allowed"
	ALLOWED_IN_PART = "Allowed in Part"
	REQUESTED = "Requested"
	NOT_ALLOWED = "Not Allowed"
	OPTED_OUT = "Opted Out"
	RESTRICTED = "Restricted"
	NO_ADDRESS = "No Address"


OF_REASON = {
	Reason.RESTRICTED: Standing.RESTRICTED,
	Reason.OBJECTED: Standing.OPTED_OUT,
	Reason.UNSUBSCRIBED: Standing.OPTED_OUT,
	Reason.WITHDRAWN: Standing.OPTED_OUT,
	Reason.REFUSED: Standing.OPTED_OUT,
	Reason.REQUESTED: Standing.REQUESTED,
}
# Of several addresses to which nothing may be sent, the strictest answer speaks for the person.
STRICTEST_FIRST = (
	Standing.RESTRICTED,
	Standing.OPTED_OUT,
	Standing.REQUESTED,
	Standing.NOT_ALLOWED,
	Standing.NOTHING_KNOWN,
)
REASON_OF = dict(REFUSALS)


# --- the answer ---------------------------------------------------------------------------------------------


def standings(doctype: str, names: list[str]) -> dict[str, Standing | None]:
	"""Work out where each of many records of one kind stands, from what is stored; None without a default
	purpose. A set takes a fixed number of queries."""
	purpose = default_purpose()
	if not purpose:
		return dict.fromkeys(names)
	behind = identity.people_behind(doctype, names)
	return _judge(purpose, behind, _addresses_of(person for people in behind.values() for person in people))


def _addresses_of(people: Iterable[Person]) -> dict[Person, list[str]]:
	of_type: dict[str, dict[str, None]] = {}
	for person in people:
		of_type.setdefault(person.party_type, {})[person.party] = None
	return {
		Person(party_type, party): [one for one in addresses if not identity.is_phone_number(one)]
		for party_type, parties in of_type.items()
		for party, addresses in identity.addresses_of_parties(party_type, list(parties)).items()
	}


def _judge(
	purpose: str, behind: Mapping[str, list[Person]], addresses: Mapping[Person, list[str]]
) -> dict[str, Standing | None]:
	emails = list(dict.fromkeys(email for listed in addresses.values() for email in listed))
	answers = answers_for(purpose, emails)
	noes = noes_without_address(purpose, {one for people in behind.values() for one in people})
	return {
		name: combine(
			[answers[email] for one in people for email in addresses.get(one, ()) if email in answers],
			[no for one in people for no in noes.get(one, ())],
		)
		for name, people in behind.items()
	}


def answers_for(purpose: str, emails: list[str]) -> dict[str, Standing]:
	"""Say of each address what the gate would; what isn't an address has no answer."""
	decisions = audience.decide_many(emails, purpose)
	keys = {email: key for email, key in identity.address_keys(emails).items() if key}
	silent = {keys[email] for email in keys if decisions[email] == NOTHING_SAID}
	on_record = _about_topics(purpose, silent)
	return {
		email: Standing.NOT_ALLOWED if key in on_record else _of_decision(decisions[email])
		for email, key in keys.items()
	}


NOTHING_SAID = Decision(False, Reason.NO_CONSENT)


def _of_decision(decision: Decision) -> Standing:
	if decision.allowed:
		return Standing.ALLOWED
	if decision == NOTHING_SAID:
		return Standing.NOTHING_KNOWN
	return OF_REASON.get(decision.reason, Standing.NOT_ALLOWED)


def _about_topics(purpose: str, keys: set[str]) -> set[str]:
	"""Of addresses about which the purpose itself knows nothing, name those with a word about a topic."""
	found: set[str] = set()
	ordered = sorted(keys)
	for start in range(0, len(ordered), AT_ONCE):
		consents, suppressions = (
			frappe.qb.from_(table)
			.select(table.address_key)
			.where(table.address_key.isin(ordered[start : start + AT_ONCE]))
			.where((table.purpose == purpose) & (table.topic != ""))
			.where(table.channel.isnull() | table.channel.isin(["", Channel.EMAIL.value]))
			for table in map(frappe.qb.DocType, ("Consent", "Suppression"))
		)
		found |= set(consents.union(suppressions).run(pluck=True))
	return found


def noes_without_address(purpose: str, people: Iterable[Person]) -> dict[Person, list[Standing]]:
	"""Read the noes that are on record for people themselves, because no address of theirs was known."""
	table = frappe.qb.DocType("Suppression")
	of_type: dict[str, list[str]] = {}
	for person in people:
		of_type.setdefault(person.party_type, []).append(person.party)
	found: dict[Person, list[Standing]] = {}
	whose = [(table.party_type == kind) & table.party.isin(names) for kind, names in of_type.items()]
	if not whose:
		return found
	for party_type, party, kind in (
		frappe.qb.from_(table)
		.select(table.party_type, table.party, table.kind)
		.where(_any_of(whose) & table.address_key.isnull() & table.lifted_on.isnull())
		.where(table.channel.isnull() | table.channel.isin(["", Channel.EMAIL.value]))
		.where(table.purpose.isnull() | table.purpose.isin(["", purpose]))
		.where(table.topic.isnull() | (table.topic == ""))
		.run()
	):
		said = OF_REASON.get(REASON_OF[RefusalKind(kind)], Standing.NOT_ALLOWED)
		found.setdefault(Person(party_type, party), []).append(said)
	return found


def _any_of(criteria: list[Any]) -> Any:
	whole = criteria[0]
	for one in criteria[1:]:
		whole |= one
	return whole


def combine(at_addresses: Iterable[Standing], without_address: Iterable[Standing] = ()) -> Standing:
	"""Sum up what is known of the addresses of a record, and what was said without one.

	Where the gate lets mail to an address through, the record says so.
	"""
	answers = set(at_addresses)
	if Standing.ALLOWED in answers:
		return Standing.ALLOWED if len(answers) == 1 else Standing.ALLOWED_IN_PART
	said = answers | set(without_address)
	return next((one for one in STRICTEST_FIRST if one in said), Standing.NO_ADDRESS)


def default_purpose() -> str | None:
	return frappe.db.get_single_value("Consent Settings", "default_purpose")


# --- keeping it ---------------------------------------------------------------------------------------------


def refresh(doctype: str, names: Iterable[str], wait: bool = False) -> list[str]:
	"""Store where records stand, where that differs from what they say.

	Args:
		wait: for records that somebody else is writing, in a job, which may commit. Else they are left to a
			job, because whoever saves a person asks the register while the person is locked.

	Returns:
		names of the records left to the job.
	"""
	names = list(dict.fromkeys(names))
	left: list[str] = []
	if not frappe.get_meta(doctype).has_field(FIELD):  # it comes at the end of a migration
		return left
	for start in range(0, len(names), AT_ONCE):
		part = _refresh(doctype, names[start : start + AT_ONCE], wait)
		if wait:
			frappe.db.commit()  # nosemgrep: a part is done, and holds nobody up
			if part:  # others have written meanwhile, which is seen from now on
				part = _refresh(doctype, part, wait)
				frappe.db.commit()  # nosemgrep: the same
		left += part
	return left


def _refresh(doctype: str, names: list[str], wait: bool) -> list[str]:
	table = frappe.qb.DocType(doctype)
	query = frappe.qb.from_(table).select(table.name, table[FIELD])
	stored = dict(query.where(table.name.isin(names)).run())
	wanted = standings(doctype, list(stored))
	different = [name for name in stored if (stored[name] or None) != wanted[name]]
	if not different:
		return []
	see_what_others_did()
	locking = query.where(table.name.isin(different))
	locked = dict((locking.for_update() if wait else locking.for_update(skip_locked=True)).run())
	of_standing: dict[Standing | None, list[str]] = {}
	for name in different:
		# Another value than we saw: somebody knew more than this transaction can see.
		if name in locked and locked[name] == stored[name]:
			of_standing.setdefault(wanted[name], []).append(name)
	for standing, theirs in of_standing.items():
		value = standing.value if standing else None
		frappe.qb.update(table).set(table[FIELD], value).where(table.name.isin(theirs)).run()
	written = {name for theirs in of_standing.values() for name in theirs}
	return [name for name in different if name not in written]


def follow_people(people: Iterable[Person], wait: bool = False) -> dict[str, list[str]]:
	"""Refresh people and the Customers, Prospects and Opportunities that they stand behind.

	Returns:
		the records left to the job, by DocType.
	"""
	people = list(dict.fromkeys(people))
	records: dict[str, list[str]] = {}
	for person in people:
		records.setdefault(person.party_type, []).append(person.party)
	for doctype, names in identity.followers_of(people).items():
		records.setdefault(doctype, []).extend(names)
	left = {doctype: refresh(doctype, records[doctype], wait) for doctype in DOCTYPES if doctype in records}
	return {doctype: names for doctype, names in left.items() if names}


def follow_document(doc: Document) -> None:
	"""Refresh a record that was just stored, and whoever follows it or did; the document says the same.

	What a form or an import brings for the field is overwritten by that.
	"""
	previous = doc.get_doc_before_save()
	later(follow_people([Person(doc.doctype, doc.name), *_linked(previous)]))
	doc.set(FIELD, frappe.db.get_value(doc.doctype, doc.name, FIELD))


def follow_deletion(doc: Document) -> None:
	later(follow_people([Person(doc.doctype, doc.name), *_linked(doc)]))


def _linked(doc: Document | None) -> list[Person]:
	links = doc.get("links") or () if doc else ()
	return [Person(row.link_doctype, row.link_name) for row in links if row.link_doctype in DOCTYPES]


def follow_register(changed: Iterable[dict[str, Any]], is_stale: bool) -> None:
	"""Refresh the people about whom something was written: at once if they are few, else by a job.

	Args:
		changed: rows of Consent and of Suppression.
		is_stale: this transaction can't see all that others wrote about them, so it is done after it.
	"""
	purpose = default_purpose()
	bearing = [
		row
		for row in changed
		if (row.get("channel") or Channel.EMAIL.value) == Channel.EMAIL.value
		and (row.get("purpose") or purpose) == purpose
	]
	if len(bearing) > MOST_AT_ONCE or is_stale or _follow_rows(bearing):
		take_up()


def _follow_rows(rows: list[dict[str, Any]], wait: bool = False) -> dict[str, list[str]]:
	emails = {row["email"] for row in rows if row.get("email") and "@" in row["email"]}
	people = {Person(row["party_type"], row["party"]) for row in rows if row.get("party")}
	people |= {Person("Customer", name) for name in identity.customers_with(emails)}
	people |= {person for found in identity.people_at(emails).values() for person in found}
	return follow_people(people, wait) if people else {}


def later(records: Mapping[str, list[str]]) -> None:
	"""Have records refreshed, by DocType, by a job after this transaction."""
	if not records:
		return
	digest = hashlib.blake2b(repr(sorted(records.items())).encode(), digest_size=12).hexdigest()
	_enqueue("work", job_id=f"consent_standing_{digest}", records=dict(records))


def work(records: dict[str, list[str]]) -> None:
	"""Job: refresh the records that `later` was told."""
	for doctype, names in records.items():
		refresh(doctype, names, wait=True)


def take_up() -> None:
	"""Queue the job that refreshes the people of whatever was written to the register since it last ran."""
	_enqueue("catch_up", job_id="consent_standing_catch_up", timeout=TIMEOUT)


def start() -> None:
	"""Queue the job that refreshes everybody: rules, wordings and the clock change answers without an act."""
	_enqueue("refresh_everybody", job_id="consent_standing_everybody", timeout=TIMEOUT)


def _enqueue(job: str, **more: Any) -> None:
	with suppress(RedisConnectionError):  # no act fails for that; the hourly and the daily task do the same
		if is_job_enqueued(more["job_id"]):
			return  # Frappe would note that as an error
		frappe.enqueue(f"{__name__}.{job}", queue="long", deduplicate=True, enqueue_after_commit=True, **more)


def catch_up() -> None:
	"""Job: refresh the people of the events recorded since it last ran, by the thousand, each committed.

	How far it has come is kept, so that an interrupted run goes on there. It looks back a little further, for
	what was recorded before and committed since.
	"""
	reached = from_utc_text(frappe.db.get_global(CAUGHT_UP)) or BEGINNING
	event = frappe.qb.DocType("Consent Event")
	at, name = reached - LOOKS_BACK, ""
	while rows := (
		frappe.qb.from_(event)
		.select(event.recorded_at, event.name, event.consent, event.suppression)
		.where((event.recorded_at > at) | ((event.recorded_at == at) & (event.name > name)))
		.orderby(event.recorded_at)
		.orderby(event.name)
		.limit(AT_ONCE)
		.run()
	):
		for doctype, records in (
			("Consent", {consent for *_, consent, _suppression in rows if consent}),
			("Suppression", {suppression for *_, suppression in rows if suppression}),
		):
			names = ["in", list(records) or [""]]
			_follow_rows(
				frappe.get_all(doctype, {"name": names}, ["email", "party_type", "party"]), wait=True
			)
		at, name, *_records = rows[-1]
		reached = max(reached, at)
		frappe.db.set_global(CAUGHT_UP, utc_text(reached))
		frappe.db.commit()  # nosemgrep: a part is done; an interruption loses nothing


def refresh_everybody() -> None:
	"""Job: bring all records up to date, by the thousand, each committed; only those that differ are
	written."""
	begun = now_utc()
	for doctype in DOCTYPES:
		for names in filters.all_names(doctype, AT_ONCE):
			refresh(doctype, names, wait=True)
	frappe.db.set_global(CAUGHT_UP, utc_text(begun))
	frappe.db.commit()  # nosemgrep: what was recorded until the beginning is done
