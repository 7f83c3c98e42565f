"""Who a request is about: the records that stand for the person, and what is theirs alone.

What several people share, such as a role's mailbox or the telephone of a company, finds nobody's data and is
erased for nobody (AD-10).
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import frappe
from frappe.model.document import Document

from gdpr_consent.identity import (
	Person,
	address_keys,
	addresses_in,
	addresses_of_parties,
	customers_with,
	followers_of,
	is_phone_number,
	is_shared,
	people_at,
)

PARTY_TYPES = ("Contact", "Lead", "Customer", "User")
TITLE = {"Contact": "full_name", "Lead": "lead_name", "Customer": "customer_name", "User": "full_name"}
FEWEST_DIGITS = 7  # of a telephone number that says whose it is
USER_FIELDS = ("email", "phone", "mobile_no")


class Subject(NamedTuple):
	people: tuple[Person, ...]  # identity.Person; party_type Contact, Lead, Customer or User
	addresses: tuple[str, ...]  # e-mail addresses and phone numbers that are this person's alone
	names: tuple[str, ...]  # full names as on those records, for texts

	def named(self, party_type: str) -> list[str]:
		"""Name the records of one kind."""
		return [person.party for person in self.people if person.party_type == party_type]


def candidates(
	email: str | None = None,
	phone: str | None = None,
	party_type: str | None = None,
	party: str | None = None,
) -> list[dict[str, Any]]:
	"""List the records that may be the person's, for the officer to tick.

	Returns:
		`party_type`, `party`, `title`, `found_by` and `included`: 1 for the record named, and for whoever
		holds the e-mail address, unless several people do. A telephone alone says too little.
	"""
	found: dict[Person, tuple[str, bool]] = {}
	if party_type and party:
		found[Person(party_type, party)] = ("Record", True)
	keys = address_keys(address for address in (email, phone) if address)
	for address, found_by in ((email, "E-mail"), (phone, "Phone")):
		if not address or not keys[address]:
			continue
		people = people_at([address])[address]
		of_one = found_by == "E-mail" and not is_shared(address) and _bear_one_name(people)
		for person in people:
			found.setdefault(person, (found_by, of_one))
		if found_by == "E-mail":
			for name in _individuals(customers_with([address])):
				found.setdefault(Person("Customer", name), (found_by, of_one))
	contacts = [person for person in found if person.party_type == "Contact"]
	for name in _individuals(followers_of(contacts)["Customer"] if contacts else []):
		of_one = any(found[person][1] for person in contacts)
		found.setdefault(Person("Customer", name), ("Contact", of_one))
	for name in _users(email, contacts):
		found.setdefault(Person("User", name), ("E-mail", not is_shared(name)))
	titles = _titles(found)
	return [
		{
			"party_type": person.party_type,
			"party": person.party,
			"title": titles.get(person, person.party),
			"found_by": found_by,
			"included": int(included),
		}
		for person, (found_by, included) in found.items()
	]


def is_of_one_person(email: str) -> bool:
	"""Whether a record has the address, and nobody else is likely to read what is sent there: it is no role's
	mailbox, and its records aren't called by the names of two people, such as a couple's (AD-10, DS-07)."""
	people = people_at([email])[email]
	return bool(people) and not is_shared(email) and _bear_one_name(people)


def _bear_one_name(people: Iterable[Person]) -> bool:
	"""Whether each name is a part of the longest: a Lead may have a Contact's first name alone, or none."""
	people = list(people)
	names = [
		frozenset(re.findall(r"\w+", f"{first or ''} {last or ''}".casefold()))
		for doctype in ("Contact", "Lead")
		for _name, first, last in _read(
			doctype,
			[person.party for person in people if person.party_type == doctype],
			["first_name", "last_name"],
		)
	]
	longest = max(names, key=len, default=frozenset())
	return all(name <= longest for name in names)


def of_request(request: Document) -> Subject:
	"""Return the person of a Data Subject Request: the ticked records, and the address it came from."""
	ticked = [Person(row.party_type, row.party) for row in request.records if row.included]
	said = [address for address in (request.get("email"), request.get("phone")) if address]
	return _subject(ticked, said)


def of_people(people: Iterable[Person]) -> Subject:
	return _subject(list(people), [])


def _subject(people: list[Person], said: list[str]) -> Subject:
	people = [Person(*person) for person in dict.fromkeys(people)]
	stored: list[str] = []
	for person, addresses in _stored(people).items():
		stored += addresses if person.party_type != "Customer" or _individuals([person.party]) else []
	return Subject(tuple(people), tuple(_theirs_alone([*stored, *said], set(people))), tuple(_names(people)))


def _stored(people: list[Person]) -> dict[Person, list[str]]:
	"""Return the addresses on each record itself; a Customer's contacts are people of their own."""
	found: dict[Person, list[str]] = {}
	for doctype in ("Contact", "Lead"):
		names = [person.party for person in people if person.party_type == doctype]
		for name, addresses in (addresses_of_parties(doctype, names) if names else {}).items():
			found[Person(doctype, name)] = list(addresses)
	for doctype, fields in (("Customer", ("email_id", "mobile_no")), ("User", USER_FIELDS)):
		names = [person.party for person in people if person.party_type == doctype]
		for name, *values in _read(doctype, names, fields):
			found[Person(doctype, name)] = [one for value in values for one in addresses_in(value)]
	for person in people:
		for doctype in ("Consent", "Suppression"):
			noted = {"party_type": person.party_type, "party": person.party, "email": ["is", "set"]}
			found.setdefault(person, []).extend(frappe.get_all(doctype, noted, pluck="email", limit=0))
	for name, value in _of_postal_addresses(people):
		found.setdefault(name, []).extend(addresses_in(value))
	return found


def _of_postal_addresses(people: list[Person]) -> list[tuple[Person, str]]:
	"""Return the e-mail addresses and numbers on the postal addresses linked to each record."""
	link, address = frappe.qb.DocType("Dynamic Link"), frappe.qb.DocType("Address")
	found = []
	for doctype in {person.party_type for person in people}:
		names = [person.party for person in people if person.party_type == doctype]
		rows = (
			frappe.qb.from_(link)
			.join(address)
			.on(address.name == link.parent)
			.select(link.link_name, address.email_id, address.phone)
			.where((link.parenttype == "Address") & (link.link_doctype == doctype))
			.where(link.link_name.isin(names))
			.run()
		)
		found += [(Person(doctype, name), value) for name, *values in rows for value in values if value]
	return found


def _read(doctype: str, names: list[str], fields: Iterable[str]) -> list[tuple[Any, ...]]:
	if not names:
		return []
	table = frappe.qb.DocType(doctype)
	query = frappe.qb.from_(table).select(table.name, *(table[field] for field in fields))
	return query.where(table.name.isin(names)).run()


def _theirs_alone(addresses: list[str], people: set[Person]) -> list[str]:
	"""Leave out what others have too: role mailboxes, shared telephones, accounts of ours and of staff."""
	distinct = list({address.lower(): address for address in reversed(addresses) if address}.values())[::-1]
	ours = _ours()
	holders = people_at(
		address for address, key in address_keys(distinct).items() if key
	)  # what no country has as a number is held by whoever wrote it down
	theirs = []
	for address in distinct:
		if set(holders.get(address, ())) - people or address.lower() in ours:
			continue
		if is_phone_number(address):
			if len(re.sub(r"\D", "", address)) < FEWEST_DIGITS:
				continue
		elif address_keys([address])[address] is None or is_shared(address):
			continue
		theirs.append(address)
	return theirs


def _ours() -> set[str]:
	"""Return the addresses of the site itself and of those who work with it."""
	found: set[str] = set()
	for doctype, fields, filters in (
		("Email Account", ("email_id",), {}),
		("Company", ("email", "phone_no"), {}),
		("User", USER_FIELDS, {"user_type": "System User"}),
	):
		for row in frappe.get_all(doctype, filters, [*fields], as_list=True, limit=0):
			found |= {value.lower() for value in row if value}
	return found


def _individuals(customers: list[str]) -> list[str]:
	"""Of some Customers, name those that are a human being and not a company."""
	if not customers:
		return []
	return frappe.get_all(
		"Customer", {"name": ["in", customers], "customer_type": "Individual"}, pluck="name", limit=0
	)


def _users(email: str | None, contacts: list[Person]) -> list[str]:
	"""Name the website users with the address, or of the contacts. Staff are nobody's lead or customer."""
	filters = [{"email": email}] if email else []
	users = frappe.get_all("Contact", {"name": ["in", [one.party for one in contacts]]}, pluck="user")
	filters += [{"name": ["in", [user for user in users if user]]}] if any(users) else []
	return [
		name
		for one in filters
		for name in frappe.get_all("User", one | {"user_type": "Website User"}, pluck="name")
		if name != "Guest"
	]


def _titles(people: Iterable[Person]) -> dict[Person, str]:
	people = list(people)
	return {
		Person(doctype, name): title or name
		for doctype, field in TITLE.items()
		for name, title in _read(doctype, [one.party for one in people if one.party_type == doctype], [field])
	}


def _names(people: list[Person]) -> list[str]:
	"""Return the full names. A single word is no name that a text could be searched for."""
	parts = {
		"Contact": ("full_name", "first_name", "middle_name", "last_name"),
		"Lead": ("lead_name", "first_name", "middle_name", "last_name"),
		"User": ("full_name", "first_name", "middle_name", "last_name"),
	}
	found: dict[str, None] = {}
	for doctype, fields in parts.items():
		rows = _read(doctype, [one.party for one in people if one.party_type == doctype], fields)
		for _name, full, first, middle, last in rows:
			if doctype == "Lead" and not first:
				continue  # then core puts the company there
			spellings = (full, f"{first or ''} {last or ''}", " ".join(filter(None, (first, middle, last))))
			found |= dict.fromkeys(spelling.strip() for spelling in spellings if spelling)
	customers = _individuals([person.party for person in people if person.party_type == "Customer"])
	found |= dict.fromkeys(name for _key, name in _read("Customer", customers, ["customer_name"]) if name)
	return [name for name in found if len(name.split()) > 1]
