"""Keeps people's data while a claim or a duty needs them (Art. 17(3)(e) GDPR, RE-03)."""

from collections.abc import Iterable
from datetime import date

import frappe
from frappe import _

from gdpr_consent import identity
from gdpr_consent.alerts import alert_once, users_with
from gdpr_consent.doors import says_why
from gdpr_consent.exceptions import EvidenceMissing, NotNow, UnknownReference
from gdpr_consent.identity import Person


def holds_on(people: Iterable[Person]) -> list[str]:
	"""Name the Legal Holds in force on people, or on a Customer whose contacts they are."""
	held = by_person(people)
	return list(dict.fromkeys(hold for holds in held.values() for hold in holds))


def by_person(people: Iterable[Person]) -> dict[Person, list[str]]:
	"""Name the Legal Holds in force on each of the people who have one; see `holds_on`."""
	people = list(dict.fromkeys(people))
	if not people:
		return {}
	customers = identity.customers_of([person.party for person in people if person.party_type == "Contact"])
	held_through = {person: [person] for person in people}
	for person in people:
		if person.party_type == "Contact":
			held_through[person] += [Person("Customer", one) for one in customers.get(person.party, ())]
	hold = frappe.qb.DocType("Legal Hold")
	in_force: dict[Person, list[str]] = {}
	for name, party_type, party in (
		frappe.qb.from_(hold)
		.select(hold.name, hold.party_type, hold.party)
		.where(hold.released_on.isnull())
		.where(hold.party.isin([one.party for held in held_through.values() for one in held]))
		.orderby(hold.name)
		.run()
	):
		in_force.setdefault(Person(party_type, party), []).append(name)
	found = {
		person: [hold for one in held for hold in in_force.get(one, ())]
		for person, held in held_through.items()
	}
	return {person: holds for person, holds in found.items() if holds}


@frappe.whitelist(methods=["POST"])
@says_why
def release(name: str, reason: str) -> None:
	"""End a hold, so that the person's data may be erased again. For Privacy Officers only.

	Raises:
		EvidenceMissing: no reason given.
		NotNow: it is released already.
	"""
	frappe.only_for("Privacy Officer", message=True)
	if not (reason or "").strip():
		raise EvidenceMissing(_("Reason of Release is missing. Say why the data are no longer needed."))
	hold = frappe.get_doc("Legal Hold", name, for_update=True)
	if hold.released_on:
		raise NotNow(_("{0} is released already.").format(frappe.bold(name)))
	hold.flags.is_released_now = True
	hold.update(
		{
			"released_on": frappe.utils.now_datetime(),
			"released_by": frappe.session.user,
			"release_reason": reason.strip(),
		}
	)
	hold.save()


def move_party(party_type: str, old: str, new: str) -> None:
	"""Let holds follow a record that is renamed or merged."""
	hold = frappe.qb.DocType("Legal Hold")
	theirs = (hold.party_type == party_type) & (hold.party == old)
	frappe.qb.update(hold).set(hold.party, new).where(theirs).run()


def remind(today: date) -> int:
	"""Tell the Privacy Officers, once, of holds that are to be looked at. Returns of how many."""
	due = frappe.get_all(
		"Legal Hold",
		{"review_on": ["<=", today], "released_on": ["is", "not set"]},
		["name", "review_on"],
		order_by="name",
	)
	return sum(
		alert_once(
			users_with(["Privacy Officer"]),
			_("Is Legal Hold {0} still needed?").format(hold.name),
			"Legal Hold",
			hold.name,
			since=hold.review_on,
		)
		for hold in due
	)


def check_may_be_held(party_type: str, party: str) -> None:
	"""Raise if there is no such record.

	Raises:
		UnknownReference
	"""
	if party_type not in identity.PARTY_TYPES or not frappe.db.exists(party_type, party):
		frappe.throw(
			_("{0} {1} doesn't exist.").format(_(party_type), frappe.bold(frappe.utils.escape_html(party))),
			UnknownReference,
		)
