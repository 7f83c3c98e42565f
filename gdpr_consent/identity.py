"""The only place that compares addresses, and that knows which records stand for the same person.

An address is an e-mail address or a phone number. It is kept as given and compared by a keyed hash (AD-01,
AD-06). Rules and key together are version 1; a later version gets a prefix and a key of its own, so that old
hashes stay readable (AD-07).
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Iterator
from email.utils import getaddresses
from typing import NamedTuple
from unicodedata import normalize

import idna
import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pypika.terms import Criterion, CustomFunction, Field

import frappe
from frappe import _
from frappe.installer import update_site_config

from gdpr_consent.exceptions import AddressKeyLost, InvalidAddress, InvalidEmailAddress, InvalidPhoneNumber

KEY_VERSION = "v1"
KEY_SETTING = "consent_address_key_v1"  # in site_config.json: a copy of the database alone reveals no address
MAX_LENGTH, MAX_LOCAL_LENGTH = 254, 64  # octets, RFC 5321 §4.5.3.1

# What nearly all addresses look like. The library says the same of them, and takes twenty times as long.
# Labels with hyphens in their third and fourth place are left to it: they may be IDNA.
PLAIN = re.compile(
	r"(?!.{255})(?!.{65,}@)[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@"
	r"(?:(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
)

LOOKS_LIKE_A_NUMBER = re.compile(r"\+?[\d\s()/.-]{5,30}")

# RFC 2142 and what companies really use. Whoever reads such a mailbox isn't one person (AD-10).
ROLE_NAMES = frozenset(
	"""abuse accounting accounts admin administration billing biuro booking buchhaltung contact einkauf
	finance hello help hostmaster hr info information invoice invoices it jobs kadry kontakt ksiegowosc mail
	marketing media news newsletter noc office orders personal postmaster poczta presse privacy reception
	rechnung recepcja sales sekretariat security service shop sklep sprzedaz support team verkauf vertrieb
	webmaster zamowienia""".split()
)


def is_phone_number(text: str | None) -> bool:
	"""Whether a text is meant as a phone number; `normalise_phone` says whether it is one."""
	return isinstance(text, str) and "@" not in text and bool(LOOKS_LIKE_A_NUMBER.fullmatch(text.strip()))


def bare(address: str) -> str:
	"""Return an address as it was given, without a display name."""
	return address.strip() if is_phone_number(address) else split_addresses(address)[0]


def split_addresses(text: str | None) -> list[str]:
	"""Take the bare e-mail addresses out of what a header or a field may hold: "Jo <jo@x.pl>, ann@y.de"."""
	# Of a list that ends in a comma, Python's parser yields nothing at all.
	listed = (text or "").strip(" ,")
	if listed.isascii() and PLAIN.fullmatch(listed.lower()):
		return [listed]  # the parser says the same, and takes ten times as long
	return [address.strip() for _name, address in getaddresses([listed]) if "@" in address]


def normalise_email(email: str | None) -> str:
	"""Return the canonical form that two spellings of one mailbox share (AD-02 to AD-05).

	Case is dropped, the domain becomes IDNA 2008 (UTS 46, non-transitional). Nothing else is folded: plus
	tags, dots, accents and full-width letters name other mailboxes. A quoted local part isn't accepted, nor
	a domain without a dot (AD-08). That a domain such as name.local is reached from the inside only is no
	fault of its form.

	Raises:
		InvalidEmailAddress: no address, more than one, or not well-formed.
	"""
	text = email.strip() if isinstance(email, str) else ""
	if text.isascii() and PLAIN.fullmatch(lower := text.lower()):
		return lower
	if any(ord(char) < 32 or ord(char) == 127 for char in text):
		raise _invalid(email, _("it contains control characters"))
	found = split_addresses(text) if "<" in text else [text]
	if not text or len(found) != 1:
		raise _invalid(email, _("exactly one address is needed"))
	address = found[0].removesuffix(".")
	try:
		parts = validate_email(
			address,
			check_deliverability=False,
			globally_deliverable=False,
			strict=True,
		)
	except EmailNotValidError as error:
		# It quotes the characters that it doesn't like, and pages show the text.
		raise _invalid(email, frappe.utils.escape_html(str(error).removesuffix("."))) from None
	if "." not in parts.ascii_domain:
		raise _invalid(email, _("its domain has no dot"))
	if len(address.encode()) > MAX_LENGTH:
		raise _invalid(email, _("it is longer than {0} bytes").format(MAX_LENGTH))
	if len(parts.local_part.encode()) > MAX_LOCAL_LENGTH:
		raise _invalid(email, _("it has more than {0} bytes before the @").format(MAX_LOCAL_LENGTH))
	return f"{normalize('NFC', parts.local_part).lower()}@{parts.ascii_domain.lower()}"


def _invalid(email: object, why: str) -> InvalidEmailAddress:
	return InvalidEmailAddress(
		_("E-mail address {0} can't be used: {1}. Enter one address such as name@example.com.").format(
			frappe.bold(frappe.utils.escape_html(str(email or ""))), why
		)
	)


def normalise_phone(number: str) -> str:
	"""Return a phone number in E.164 (AD-09). One without + is taken for a number of the site's country.

	Raises:
		InvalidPhoneNumber: no number that a country has.
	"""
	try:
		parsed = phonenumbers.parse(number.strip(), None if number.strip().startswith("+") else region())
		if phonenumbers.is_valid_number(parsed):
			return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
	except phonenumbers.NumberParseException:
		pass
	raise InvalidPhoneNumber(
		_("Phone number {0} can't be used. Enter it with its country, such as +48 600 100 200.").format(
			frappe.bold(frappe.utils.escape_html(number))
		)
	)


def region() -> str | None:
	country = frappe.db.get_single_value("System Settings", "country")
	return (frappe.get_cached_value("Country", country, "code") or "").upper() if country else None


def address_key(address: str) -> str:
	"""Return the keyed hash that the register compares addresses by.

	Raises:
		InvalidAddress: see `normalise_email` and `normalise_phone`.
		AddressKeyLost: the site has no key.
	"""
	return _versioned_hash(_key(), normalise(address))


def normalise(address: str) -> str:
	return normalise_phone(address) if is_phone_number(address) else normalise_email(address)


def address_keys(emails: Iterable[str]) -> dict[str, str | None]:
	"""Return the key of each text given, None for what can't be an address."""
	key = _key()
	keys: dict[str, str | None] = {}
	for email in emails:
		try:
			keys[email] = _versioned_hash(key, normalise(email))
		except InvalidAddress:
			keys[email] = None
	return keys


def _versioned_hash(key: bytes, normalised: str) -> str:
	return f"{KEY_VERSION}:{keyed_hash(key, normalised)}"


def record_key(doctype: str, name: str) -> str:
	"""Return the keyed hash of a record's name, which often is that of a person."""
	record = hmac.digest(_key(), f"{KEY_VERSION}|record|{doctype}|{name}".encode(), "sha256").hex()
	return f"{KEY_VERSION}:{record}"


def client_key(client: str) -> str:
	"""Return the keyed hash of a network address, short enough for a line of a log."""
	return hmac.digest(_key(), f"{KEY_VERSION}|client|{client}".encode(), "sha256").hex()[:16]


def keyed_hash(key: bytes, normalised: str) -> str:
	"""HMAC-SHA-256 in hex (requirements §11). A plain hash of an address can be guessed back."""
	kind = "email" if "@" in normalised else "phone"
	return hmac.digest(key, f"{KEY_VERSION}|{kind}|{normalised}".encode(), "sha256").hex()


def _key() -> bytes:
	key = frappe.conf.get(KEY_SETTING)
	if not key:
		raise AddressKeyLost(
			_(
				"The site has no {0} in site_config.json. Restore it from the backup of the configuration."
			).format(KEY_SETTING)
		)
	return bytes.fromhex(key)


def create_missing_key() -> None:
	if not frappe.conf.get(KEY_SETTING):
		key = secrets.token_hex(32)
		update_site_config(KEY_SETTING, key, validate=False)
		frappe.conf[KEY_SETTING] = key


def key_fingerprint() -> str:
	"""Tell one key from another without revealing it, to notice that the wrong one was restored."""
	return hmac.new(_key(), b"fingerprint", hashlib.sha256).hexdigest()[:16]


def is_shared(address: str) -> bool:
	"""Whether several people are likely to be reached there: a role's mailbox, or a telephone (AD-10)."""
	return is_phone_number(address) or normalise_email(address).split("@")[0].split("+")[0] in ROLE_NAMES


# --- people -------------------------------------------------------------------------------------------------

PARTY_TYPES = ("Contact", "Lead", "Customer")
LEAD_NUMBERS = ("mobile_no", "phone", "whatsapp_no")


class Person(NamedTuple):
	"""A Contact or a Lead: the records that stand for one human being. A Customer may be many."""

	party_type: str
	party: str


def addresses_of(party_type: str, party: str) -> list[str]:
	"""List the e-mail addresses and then the phone numbers on a record; of a Customer, its contacts' too."""
	return addresses_of_parties(party_type, [party]).get(party, [])


def addresses_of_parties(party_type: str, parties: list[str]) -> dict[str, list[str]]:
	"""List the addresses of each of many records of one kind, see `addresses_of`; without those that have
	none."""
	if party_type == "Customer":
		return _addresses_of_customers(parties)
	on_record = _addresses_on_record(Person(party_type, party) for party in parties)
	return {person.party: addresses for person, addresses in on_record.items()}


def _addresses_of_customers(names: list[str]) -> dict[str, list[str]]:
	customer, link = frappe.qb.DocType("Customer"), frappe.qb.DocType("Dynamic Link")
	found: dict[str, list[str]] = {}
	for name, stored in (
		frappe.qb.from_(customer)
		.select(customer.name, customer.email_id)
		.where(customer.name.isin(names))
		.run()
	):
		found[name] = split_addresses(stored)
	linked = (
		frappe.qb.from_(link)
		.select(link.link_name, link.parent)
		.where(
			(link.parenttype == "Contact") & (link.link_doctype == "Customer") & link.link_name.isin(names)
		)
		.orderby(link.creation)
		.run()
	)
	contacts = _addresses_on_record({Person("Contact", contact) for _name, contact in linked})
	for name, contact in linked:
		found.setdefault(name, []).extend(contacts.get(Person("Contact", contact), ()))
	return {
		name: sorted(dict.fromkeys(addresses), key=is_phone_number)
		for name, addresses in found.items()
		if addresses
	}


def people_behind(doctype: str, names: list[str]) -> dict[str, list[Person]]:
	"""Say whose wishes count for each of many records of one kind.

	A Contact, a Lead and a Customer stand for themselves; a Prospect for its leads and contacts; an
	Opportunity for the party it is from, its contact person and its contacts.
	"""
	if doctype in PARTY_TYPES:
		return {name: [Person(doctype, name)] for name in names}
	linked = contacts_linked_to(doctype, names)
	if doctype == "Prospect":
		row = frappe.qb.DocType("Prospect Lead")
		for name, lead in (
			frappe.qb.from_(row)
			.select(row.parent, row.lead)
			.where((row.parenttype == "Prospect") & row.parent.isin(names) & row.lead.isnotnull())
			.orderby(row.idx)
			.run()
		):
			linked.setdefault(name, []).insert(0, Person("Lead", lead))
		return _distinct(linked, names)
	opportunity = frappe.qb.DocType("Opportunity")
	rows = (
		frappe.qb.from_(opportunity)
		.select(
			opportunity.name, opportunity.opportunity_from, opportunity.party_name, opportunity.contact_person
		)
		.where(opportunity.name.isin(names))
		.run()
	)
	prospects = [party for _name, kind, party, _contact in rows if kind == "Prospect" and party]
	of_prospects = people_behind("Prospect", prospects) if prospects else {}
	for name, kind, party, contact in rows:
		people = [Person("Contact", contact)] if contact else []
		if party:
			people += [Person(kind, party)] if kind in PARTY_TYPES else of_prospects.get(party, [])
		linked[name] = [*people, *linked.get(name, ())]
	return _distinct(linked, names)


def _distinct(people: dict[str, list[Person]], names: list[str]) -> dict[str, list[Person]]:
	return {name: list(dict.fromkeys(people.get(name, ()))) for name in names}


def contacts_linked_to(doctype: str, names: list[str]) -> dict[str, list[Person]]:
	"""List the Contacts of each of many records, such as Customers."""
	link = frappe.qb.DocType("Dynamic Link")
	found: dict[str, list[Person]] = {}
	for name, contact in (
		frappe.qb.from_(link)
		.select(link.link_name, link.parent)
		.where((link.parenttype == "Contact") & (link.link_doctype == doctype) & link.link_name.isin(names))
		.orderby(link.creation)
		.run()
	):
		found.setdefault(name, []).append(Person("Contact", contact))
	return found


def customers_of(contacts: list[str]) -> dict[str, list[str]]:
	"""Name the Customers that each of many Contacts belongs to; without those that belong to none."""
	link = frappe.qb.DocType("Dynamic Link")
	found: dict[str, list[str]] = {}
	for contact, customer in (
		frappe.qb.from_(link)
		.select(link.parent, link.link_name)
		.where((link.parenttype == "Contact") & (link.link_doctype == "Customer"))
		.where(link.parent.isin(contacts or [""]))
		.orderby(link.creation)
		.run()
	):
		found.setdefault(contact, []).append(customer)
	return found


def followers_of(people: Iterable[Person]) -> dict[str, list[str]]:
	"""Name, by DocType, the Customers, Prospects and Opportunities that follow some of those given; see
	`people_behind`."""
	of_type: dict[str, list[str]] = {}
	for person in dict.fromkeys(people):
		of_type.setdefault(person.party_type, []).append(person.party)
	contacts, leads = of_type.get("Contact", []), of_type.get("Lead", [])
	found: dict[str, dict[str, None]] = {"Customer": {}, "Prospect": {}, "Opportunity": {}}
	link, row = frappe.qb.DocType("Dynamic Link"), frappe.qb.DocType("Prospect Lead")
	opportunity = frappe.qb.DocType("Opportunity")
	if contacts:
		for doctype, name in (
			frappe.qb.from_(link)
			.select(link.link_doctype, link.link_name)
			.where((link.parenttype == "Contact") & link.parent.isin(contacts))
			.where(link.link_doctype.isin([*found]))
			.run()
		):
			found[doctype][name] = None
	if leads:
		prospects = frappe.qb.from_(row).select(row.parent).where(row.parenttype == "Prospect")
		found["Prospect"] |= dict.fromkeys(prospects.where(row.lead.isin(leads)).run(pluck=True))
	parties = {
		"Lead": leads,
		"Customer": [*of_type.get("Customer", []), *found["Customer"]],
		"Prospect": [*of_type.get("Prospect", []), *found["Prospect"]],
	}
	theirs = opportunity.contact_person.isin(contacts or [""])
	for doctype, names in parties.items():
		if names:
			theirs |= (opportunity.opportunity_from == doctype) & opportunity.party_name.isin(names)
	query = frappe.qb.from_(opportunity).select(opportunity.name)
	found["Opportunity"] |= dict.fromkeys(query.where(theirs).run(pluck=True))
	return {doctype: list(names) for doctype, names in found.items()}


def customers_with(emails: Iterable[str]) -> list[str]:
	"""Name the Customers that hold one of the addresses themselves: a copy of their contact's, or what it
	was."""
	spellings = _spellings(emails)
	if not spellings:
		return []
	customer = frappe.qb.DocType("Customer")
	query = frappe.qb.from_(customer).select(customer.name)
	return query.where(customer.email_id.isin(list(spellings))).run(pluck=True)


def _spellings(emails: Iterable[str]) -> set[str]:
	"""Return how each address may be stored. The database drops case by itself; a domain has two forms."""
	spellings: set[str] = set()
	for email, key in address_keys(emails).items():
		if key and not is_phone_number(email):
			normalised = normalise_email(email)
			local, domain = normalised.split("@")
			spellings |= {email, normalised, f"{local}@{idna.decode(domain)}"}
	return spellings


# A field may also hold "Jo <jo@x.pl>", or several addresses. No index finds those, so the narrowest one is
# read through, by REGEXP, which takes a third of the time of LIKE: 0.2 s for a million. "union" alone would
# take müller@x.pl for muller@x.pl.
HOLDERS = """
	select `email_id`, `parenttype`, `parent` from `tabContact Email`
	where `parenttype` = 'Contact' and `email_id` in %(spellings)s
	union all
	select holder.`email_id`, holder.`parenttype`, holder.`parent`
	from (select `name` from `tabContact Email` where `email_id` regexp '[,<]') found
	join `tabContact Email` holder on holder.`name` = found.`name` and holder.`parenttype` = 'Contact'
	union all
	select `email_id`, 'Lead', `name` from `tabLead`
	where `email_id` in %(spellings)s or `email_id` regexp '[,<]'
"""


def people_at(emails: Iterable[str]) -> dict[str, list[Person]]:
	"""Find the people that have each address, by its key: Contacts and Leads."""
	people: dict[str, list[Person]] = {email: [] for email in emails}
	by_key: dict[str, list[str]] = {}
	for email, key in address_keys(people).items():
		if key and is_phone_number(email):
			people[email] = _people_with_number(email)
		elif key:
			by_key.setdefault(key, []).append(email)
	spellings = _spellings(people)
	if not spellings:
		return people
	for stored, party_type, party in frappe.db.sql(HOLDERS, {"spellings": list(spellings)}):
		# The collation takes müller@x.pl for muller@x.pl. The key doesn't (AD-06).
		for key in set(address_keys(split_addresses(stored)).values()):
			for email in by_key.get(key or "", ()):
				people[email].append(Person(party_type, party))
	return people


def addresses_of_the_person(email: str) -> list[str]:
	"""List the addresses that a no said from this one holds for, itself first (design, idea 5)."""
	return addresses_of_people([email])[email]


def addresses_of_people(emails: Iterable[str]) -> dict[str, list[str]]:
	"""For each address, list those of the person who has it, itself first.

	Those who share the mailbox of a role, or a telephone, aren't one person, so a no said there stays there
	(AD-10).
	"""
	emails = list(dict.fromkeys(emails))
	people = people_at(email for email in emails if address_keys([email])[email] and not is_shared(email))
	everybody = {person for found in people.values() for person in found}
	on_record = _addresses_on_record(everybody)
	found: dict[str, list[str]] = {}
	for email in emails:
		by_key: dict[str, str] = {}
		others = [address for person in people.get(email, ()) for address in on_record.get(person, ())]
		for address, key in address_keys([email, *others]).items():
			if key:
				by_key.setdefault(key, address)
		found[email] = list(by_key.values())
	return found


def _addresses_on_record(people: Iterable[Person]) -> dict[Person, list[str]]:
	"""Return what is on each record: its e-mail addresses, the first one first, then its phone numbers."""
	people = list(people)
	found: dict[Person, list[str]] = {}
	for doctype, read_stored in (("Contact", _stored_of_contacts), ("Lead", _stored_of_leads)):
		names = [person.party for person in people if person.party_type == doctype]
		for name, stored in read_stored(names) if names else ():
			found.setdefault(Person(doctype, name), []).extend(addresses_in(stored))
	return found


def addresses_in(stored: str | None) -> list[str]:
	"""Take the addresses out of a field for e-mail addresses or for a phone number."""
	return [stored.strip()] if stored and is_phone_number(stored) else split_addresses(stored)


def _stored_of_contacts(names: list[str]) -> Iterator[tuple[str, str]]:
	for doctype, field, first in (
		("Contact Email", "email_id", "is_primary"),
		("Contact Phone", "phone", "is_primary_mobile_no"),
	):
		# Of thousands of names, the query builder makes a list for longer than the database looks for them.
		yield from frappe.db.sql(
			f"""select `parent`, `{field}` from `tab{doctype}`
			where `parenttype` = 'Contact' and `parent` in %s order by `{first}` desc, `idx`""",
			(names,),
		)


def _stored_of_leads(names: list[str]) -> Iterator[tuple[str, str]]:
	lead = frappe.qb.DocType("Lead")
	for name, *fields in (
		frappe.qb.from_(lead)
		.select(lead.name, lead.email_id, *(lead[field] for field in LEAD_NUMBERS))
		.where(lead.name.isin(names))
		.run()
	):
		yield from ((name, field) for field in fields)


def _people_with_number(number: str) -> list[Person]:
	# People write numbers in many ways, and nobody indexes them: their last digits narrow the search.
	last_digits = f"%{normalise_phone(number)[-7:]}"
	key = address_key(number)
	row, lead = frappe.qb.DocType("Contact Phone"), frappe.qb.DocType("Lead")

	def may_be_it(column: Field) -> Criterion:
		return CustomFunction("regexp_replace", ["text", "what", "by"])(column, "[^0-9]", "").like(
			last_digits
		)

	rows = [
		(Person("Contact", name), stored)
		for name, stored in frappe.qb.from_(row)
		.select(row.parent, row.phone)
		.where((row.parenttype == "Contact") & may_be_it(row.phone))
		.run()
	]
	for field in LEAD_NUMBERS:
		rows += [
			(Person("Lead", name), stored)
			for name, stored in frappe.qb.from_(lead)
			.select(lead.name, lead[field])
			.where(may_be_it(lead[field]))
			.run()
		]
	return list(dict.fromkeys(person for person, stored in rows if address_keys([stored])[stored] == key))
