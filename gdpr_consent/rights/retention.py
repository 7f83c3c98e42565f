"""Finds and erases what isn't needed any more, by the months of a Retention Rule (Art. 5(1)(e) GDPR, RE-01,
RE-03).

Somebody is due when nothing has happened for so long: no mail, no document, no change to a consent. Who has a
consent that counts isn't due; who falls under a Legal Hold, or asked for restriction, isn't erased.
"""

import hashlib
from collections.abc import Iterator
from datetime import date, datetime
from itertools import islice
from typing import Any, NamedTuple

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.query_builder.functions import Max
from frappe.utils import getdate, now_datetime

from gdpr_consent import filters, identity, legal_hold
from gdpr_consent.clock import add_months, now_utc
from gdpr_consent.doors import says_why
from gdpr_consent.exceptions import ChangedMeanwhile, FilterNotValid, NotNow
from gdpr_consent.failures import log_failure
from gdpr_consent.identity import Person
from gdpr_consent.policy import Status
from gdpr_consent.rights import erasure, restriction, subject

PEOPLE_AT_ONCE = 20  # of an erasure
KEEPS = (Status.GIVEN.value, Status.REQUESTED.value)
# What counts as activity: DocType, its date, the fields that name the person, by kind of record. A field with
# a second one is a dynamic link.
ACTIVITIES: dict[str, tuple[tuple[str, str, str, str | None], ...]] = {
	"Contact": (
		("Quotation", "transaction_date", "contact_person", None),
		("Sales Order", "transaction_date", "contact_person", None),
		("Delivery Note", "posting_date", "contact_person", None),
		("Sales Invoice", "posting_date", "contact_person", None),
		("Opportunity", "transaction_date", "contact_person", None),
		("Issue", "opening_date", "contact", None),
	),
	"Lead": (
		("Quotation", "transaction_date", "party_name", "quotation_to"),
		("Opportunity", "transaction_date", "party_name", "opportunity_from"),
		("Issue", "opening_date", "lead", None),
	),
}
OF_CUSTOMERS = (
	("Quotation", "transaction_date", "party_name"),
	("Sales Order", "transaction_date", "customer"),
	("Delivery Note", "posting_date", "customer"),
	("Sales Invoice", "posting_date", "customer"),
	("Issue", "opening_date", "customer"),
)


class Due(NamedTuple):
	"""Somebody whose data aren't needed any more. `held_by` says what keeps them all the same."""

	person: Person
	last_activity: date
	held_by: tuple[str, ...]


def check_rule(rule: Document) -> None:
	"""Check the filters of a rule.

	Raises:
		FilterNotValid
	"""
	try:
		next(_chosen(rule), None)
	except FilterNotValid as error:
		problem = _("The conditions can't be read. Choose them again.")
		raise FilterNotValid(f"{problem} {error}") from None


def _chosen(rule: Document, *more: list[Any]) -> Iterator[list[str]]:
	return filters.pages(rule.ref_doctype, rule.filters, _("Conditions"), *more)


def due(rule: Document, day: date | None = None) -> Iterator[Due]:
	"""Yield the people whose data are past the months of a rule, of those that the user may see.

	A few queries for each 500 records, whatever they hold.

	Args:
		day: on which they are past; today if not given.
	"""
	limit = add_months(day or getdate(), -rule.months)
	for names in _chosen(rule, [rule.ref_doctype, "creation", "<", limit]):
		active = _last_activities(rule.ref_doctype, names)
		silent = [name for name in names if active[name] < limit]
		needed = _needed(rule.ref_doctype, silent)
		people = [Person(rule.ref_doctype, name) for name in silent if name not in needed]
		held = legal_hold.by_person(people)
		restricted = _restricted(rule.ref_doctype, silent)
		for person in people:
			holds = (*held.get(person, ()), *([_("Restriction")] if person.party in restricted else []))
			yield Due(person, active[person.party], holds)


def _restricted(doctype: str, names: list[str]) -> set[str]:
	"""Name those whose data may only be stored (Art. 18(2)): they may need what we don't."""
	marked = {"name": ["in", names or [""]], restriction.FIELD: 1}
	return set(frappe.get_all(doctype, marked, pluck="name", limit=0))


def _last_activities(doctype: str, names: list[str]) -> dict[str, date]:
	newest: dict[str, date] = {}

	def note(rows: Any) -> None:
		for name, when in rows:
			if when:
				newest[name] = max(newest.get(name, date.min), getdate(when))

	table = frappe.qb.DocType(doctype)
	note(frappe.qb.from_(table).select(table.name, table.creation).where(table.name.isin(names)).run())
	for activity, when, field, kind in ACTIVITIES[doctype]:
		note(_newest(activity, when, field, names, kind, doctype))
	note(_newest_mails(doctype, names))
	if doctype == "Contact":
		customers = identity.customers_of(names)
		everybody = [*{customer for found in customers.values() for customer in found}]
		of_customers: dict[str, date] = {}
		for activity, when, field in OF_CUSTOMERS:
			kind = "quotation_to" if activity == "Quotation" else None
			for customer, day in _newest(activity, when, field, everybody, kind, "Customer"):
				if day:
					of_customers[customer] = max(of_customers.get(customer, date.min), getdate(day))
		note(
			(contact, of_customers.get(customer))
			for contact, found in customers.items()
			for customer in found
		)
	return newest


def _newest(
	doctype: str, when: str, field: str, names: list[str], kind: str | None, of_kind: str
) -> list[tuple[str, date]]:
	if not names:
		return []
	table = frappe.qb.DocType(doctype)
	query = (
		frappe.qb.from_(table)
		.select(table[field], Max(table[when]))
		.where(table[field].isin(names))
		.groupby(table[field])
	)
	return query.where(table[kind] == of_kind).run() if kind else query.run()


def _newest_mails(doctype: str, names: list[str]) -> list[tuple[str, datetime]]:
	link, mail = frappe.qb.DocType("Communication Link"), frappe.qb.DocType("Communication")
	return (
		frappe.qb.from_(link)
		.join(mail)
		.on(mail.name == link.parent)
		.select(link.link_name, Max(mail.communication_date))
		.where((link.link_doctype == doctype) & link.link_name.isin(names))
		.groupby(link.link_name)
		.run()
	)


def _needed(doctype: str, names: list[str]) -> set[str]:
	"""Name those who have a consent that counts, or were asked for one, at one of their addresses."""
	addresses = identity.addresses_of_parties(doctype, names)
	keys = identity.address_keys(address for found in addresses.values() for address in found)
	wanted = [key for key in keys.values() if key]
	if not wanted:
		return set()
	consent = frappe.qb.DocType("Consent")
	live = set(
		frappe.qb.from_(consent)
		.select(consent.address_key)
		.where(consent.address_key.isin(wanted) & consent.status.isin(KEEPS))
		.where(consent.expires_on.isnull() | (consent.expires_on > now_utc()))
		.run(pluck=True)
	)
	return {name for name, found in addresses.items() if any(keys[address] in live for address in found)}


def overview(rule: Document, day: date | None = None) -> dict[str, Any]:
	"""Count who is due and who is held, with a hash of those due: what is erased is what was looked at."""
	names, held = [], 0
	for one in due(rule, day):
		if one.held_by:
			held += 1
		else:
			names.append(one.person.party)
	return {
		"due": len(names),
		"held": held,
		"selection_hash": hashlib.sha256("\n".join(names).encode()).hexdigest(),
	}


@frappe.whitelist(methods=["POST"])
@says_why
def look(rule: str) -> dict[str, Any]:
	"""See `overview`. For Privacy Officers only."""
	frappe.only_for("Privacy Officer", message=True)
	doc = frappe.get_doc("Retention Rule", rule)
	doc.check_permission("read")
	return overview(doc)


@frappe.whitelist(methods=["POST"])
@says_why
def erase(rule: str, selection_hash: str) -> None:
	"""Erase the data of those whom `look` has counted, in the background. For Privacy Officers only.

	Raises:
		NotNow: the rule is switched off.
		ChangedMeanwhile: it concerns others than it did then.
	"""
	frappe.only_for("Privacy Officer", message=True)
	doc = frappe.get_doc("Retention Rule", rule)
	doc.check_permission("read")
	if not doc.enabled:
		raise NotNow(_("{0} is switched off. Enable it first.").format(frappe.bold(rule)))
	_check_is_what_was_looked_at(doc, getdate(), selection_hash)
	frappe.enqueue(
		"gdpr_consent.rights.retention.work",
		queue="long",
		timeout=24 * 60 * 60,
		enqueue_after_commit=True,
		job_id=f"gdpr_consent::retention::{frappe.local.site}::{rule}",
		deduplicate=True,
		rule=rule,
		last_day=str(frappe.utils.nowdate()),
		selection_hash=selection_hash,
	)


def _check_is_what_was_looked_at(rule: Document, day: date, selection_hash: str) -> None:
	if overview(rule, day)["selection_hash"] != selection_hash:
		raise ChangedMeanwhile(_("The rule concerns other people by now. Look at them again."))


def work(rule: str, last_day: str, selection_hash: str) -> dict[str, int]:
	"""Erase whom a rule concerned on a day, some people at a time, each of them for good.

	Whoever edits the rule before a worker comes has let somebody look at other people: then it erases nobody.

	A worker that is killed has lost nothing: those who are left are due the next time somebody looks.
	"""
	doc = frappe.get_doc("Retention Rule", rule)
	_check_is_what_was_looked_at(doc, getdate(last_day), selection_hash)
	counts = {"erased": 0, "held": 0, "failed": 0}
	for batch in _batches(due(doc, getdate(last_day)), PEOPLE_AT_ONCE):
		people = [one.person for one in batch if not one.held_by]
		counts["held"] += len(batch) - len(people)
		try:
			if people:
				erasure.carry_out(subject.of_people(people), suppress=False)
			counts["erased"] += len(people)
		except Exception:
			frappe.db.rollback()
			log_failure("Retention: people were not erased", rule)
			counts["failed"] += len(people)
		_write(doc, counts)
		frappe.publish_realtime("consent_retention", {"name": rule, **counts}, user=frappe.session.user)
	_write(doc, counts)
	frappe.publish_realtime(
		"consent_retention", {"name": rule, **counts, "is_done": True}, user=frappe.session.user
	)
	return counts


def _batches(everybody: Iterator[Due], size: int) -> Iterator[list[Due]]:
	while batch := list(islice(everybody, size)):
		yield batch


def _write(rule: Document, counts: dict[str, int]) -> None:
	columns = {f"last_{what}": number for what, number in counts.items()}
	columns |= {"last_run_on": now_datetime(), "last_run_by": frappe.session.user}
	frappe.db.set_value("Retention Rule", rule.name, columns, update_modified=False)
	frappe.db.commit()  # nosemgrep: these people are done; an interruption loses nothing
