"""Addresses: which spellings are one mailbox (requirements §6.8 and §11), and whose it is."""

import re
from email.utils import getaddresses
from unittest.mock import patch

import pytest
from conftest import give
from hypothesis import example, given
from hypothesis import strategies as st

import frappe

from gdpr_consent import api, identity
from gdpr_consent.exceptions import AddressKeyLost, InvalidEmailAddress
from gdpr_consent.identity import (
	PLAIN,
	Person,
	address_key,
	address_keys,
	addresses_of,
	addresses_of_people,
	is_shared,
	keyed_hash,
	normalise_email,
	people_at,
	split_addresses,
)

KELVIN, FULL_WIDTH_K = "\u212a", "\uff2b"
LOCAL_64, DOMAIN_189 = "a" * 64, ".".join(["b" * 46] * 4) + ".x"


@pytest.mark.parametrize(
	("written", "normalised"),
	[
		("Anna@Straße.de", "anna@xn--strae-oqa.de"),
		("x@faß.de", "x@xn--fa-hia.de"),
		("x@BÜCHER.example", "x@xn--bcher-kva.example"),
		("x@xn--bcher-kva.example", "x@xn--bcher-kva.example"),
		("x@XN--BCHER-KVA.example", "x@xn--bcher-kva.example"),
		("x@bücher。example", "x@xn--bcher-kva.example"),  # an ideographic full stop
		("x@example.com.", "x@example.com"),
		("straße@x.pl", "straße@x.pl"),
		("strasse@x.pl", "strasse@x.pl"),
		(f"{KELVIN}owalski@x.pl", "kowalski@x.pl"),
		("Kowalski@x.pl", "kowalski@x.pl"),
		("  jo@x.pl\t", "jo@x.pl"),
		("Jo Doe <Jo@X.pl>", "jo@x.pl"),
		('"Doe, Jo" <jo@x.pl>', "jo@x.pl"),
		("<jo@x.pl>", "jo@x.pl"),
		("ŻÓŁĆ@x.pl", "żółć@x.pl"),
		("cafe\u0301@x.pl", "caf\u00e9@x.pl"),
		("\u0130@x.pl", "i\u0307@x.pl"),
	],
)
def test_ad_02_vectors(written, normalised):
	assert normalise_email(written) == normalised
	assert normalise_email(normalised) == normalised


@pytest.mark.parametrize(
	("one", "other"),
	[
		("Anna@Straße.de", "anna@strasse.de"),  # AD-03
		("x@faß.de", "x@fass.de"),  # AD-03
		("straße@x.pl", "strasse@x.pl"),  # AD-04
		(f"{FULL_WIDTH_K}OWALSKI@x.pl", "kowalski@x.pl"),  # AD-04
		("müller@x.pl", "muller@x.pl"),  # AD-06
		("jo+news@x.pl", "jo@x.pl"),  # AD-05
		("j.o@gmail.com", "jo@gmail.com"),  # AD-05
		("jo@x.pl", "jo@y.pl"),
	],
)
def test_ad_04_different_mailboxes_stay_different(one, other):
	def key(email: str) -> str | None:
		return address_keys([email])[email]

	assert key(other)
	assert key(one) != key(other)


def test_requirements_11_hmac_vector():
	digest = keyed_hash(bytes(range(32)), normalise_email("Anna@example.com"))
	assert digest == "f9342c0591d5f904a146dfba1dce7e43b79acd2a749769bad1616350e25b12b8"


def test_ad_07_a_key_carries_its_version_and_no_address():
	key = address_key("Anna@example.com")
	version, digest = key.split(":")
	assert version == "v1"
	assert len(bytes.fromhex(digest)) == 32


def test_without_its_key_a_site_says_so(monkeypatch):
	monkeypatch.delitem(frappe.local.conf, identity.KEY_SETTING)
	with pytest.raises(AddressKeyLost, match="consent_address_key_v1"):
		address_key("jo@x.pl")


NOT_ADDRESSES = [
	None,
	"",
	"  ",
	"jo",
	"jo@",
	"@x.pl",
	"jo@x",
	"jo@@x.pl",
	"jo@x..pl",
	"jo@x.pl, ann@y.de",
	"jo@x.pl ann@y.de",
	"Jo <jo@x.pl>, Ann <ann@y.de>",
	"Jo <>",
	"jo@x.pl\x00",
	"jo\n@x.pl",
	"jo@x.pl\r\nBcc: ann@y.de",
	"j o@x.pl",
	'"j o"@x.pl',
	"jo@[127.0.0.1]",
	"jo@-x.pl",
	"jo@x.pl..",
	"\ud800@x.pl",
	"jo@\ud800.pl",
	f"{'a' * 65}@x.pl",
	f"{LOCAL_64}@{DOMAIN_189}y",
	f"{'ł' * 33}@x.pl",
	5,
	["jo@x.pl"],
]


@pytest.mark.parametrize("written", NOT_ADDRESSES, ids=ascii)
def test_ad_08_what_isnt_one_address_is_refused_by_name(written):
	with pytest.raises(InvalidEmailAddress) as refused:
		normalise_email(written)
	message = str(refused.value)
	assert "E-mail address" in message
	assert frappe.utils.escape_html(str(written or "")) in message


def test_ad_08_the_longest_address_is_accepted():
	assert len(f"{LOCAL_64}@{DOMAIN_189}") == 254
	assert normalise_email(f"{LOCAL_64}@{DOMAIN_189}")


def test_ad_08_an_address_in_a_message_cant_inject_html():
	with pytest.raises(InvalidEmailAddress) as refused:
		normalise_email("<script>alert(1)</script>")
	assert "<script>" not in str(refused.value)


# Mostly near-misses: pieces of addresses in any order, and anything at all.
PIECES = st.sampled_from(
	[
		*'jo @ . x pl < > " , ; : ( ) \\ + xn-- -- ab--c 1 [ ] ß İ Σ'.split(),
		*(" ", "\u0301", "\u0323", "\u200d", "\u3002", "\u212b", "\ud800", "\x00", "\x85"),
	]
)
TEXTS = st.one_of(
	st.text(max_size=40),
	st.lists(PIECES, max_size=10).map("".join),
	st.builds("{}@{}.pl".format, st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8)),
	st.builds("{}@x.pl".format, st.text(min_size=1, max_size=12)),
)


@given(TEXTS)
@example("jo@r3--sn.example")
def test_ad_08_only_invalid_email_address_ever_comes_out_and_twice_is_once(text):
	try:
		normalised = normalise_email(text)
	except InvalidEmailAddress:
		return
	assert normalise_email(normalised) == normalised
	assert normalised.count("@") == 1
	is_shared(text)
	people_at([text])


@given(TEXTS)
def test_splitting_never_fails_and_yields_bare_addresses(text):
	assert all("@" in one and one == one.strip() for one in split_addresses(text))


@given(st.from_regex(PLAIN, fullmatch=True), st.booleans())
def test_what_isnt_parsed_is_split_as_the_parser_splits_it(text, shouted):
	written = text.upper() if shouted else text
	assert split_addresses(written) == [address for _name, address in getaddresses([written])]


@pytest.mark.parametrize(
	("text", "addresses"),
	[
		(None, []),
		("", []),
		("Jo", []),
		("jo@x.pl", ["jo@x.pl"]),
		("Jo Doe <Jo@x.pl>, ann@y.de", ["Jo@x.pl", "ann@y.de"]),
		('"Doe, Jo" <jo@x.pl>,ann@y.de', ["jo@x.pl", "ann@y.de"]),
		("jo@x.pl,", ["jo@x.pl"]),
		(" jo@x.pl , jo@x.pl ", ["jo@x.pl", "jo@x.pl"]),
	],
)
def test_a_field_is_split_into_its_addresses(text, addresses):
	assert split_addresses(text) == addresses


@pytest.mark.parametrize(
	("email", "is_role"),
	[
		("info@x.pl", True),
		("INFO@x.pl", True),
		("Sales <sales+de@x.pl>", True),
		("sekretariat@x.pl", True),
		("jo@x.pl", False),
		("information.jo@x.pl", False),
	],
)
def test_ad_10_role_addresses_are_known(email, is_role):
	assert is_shared(email) is is_role


# --- on the site --------------------------------------------------------------------------------------------


def test_ad_01_an_address_is_kept_as_given_and_compared_by_its_key(address):
	email = address("Jo.{}@People.example")
	row = frappe.get_doc("Consent", give(email))
	assert row.email == email
	assert row.address_key == address_key(email.lower())
	assert api.check_consent([email.upper(), f"Jo <{email}>"]).keys() == {email.upper(), f"Jo <{email}>"}
	assert all(one["allowed"] for one in api.check_consent([email.upper(), f"Jo <{email}>"]).values())


def test_ad_06_the_collation_doesnt_lend_a_consent_to_another_mailbox(address):
	accented = address("müller{}@people.example")
	plain = accented.replace("ü", "u")
	give(accented)
	answers = api.check_consent([accented, plain])
	assert answers[accented]["allowed"]
	assert not answers[plain]["allowed"]


def test_ad_06_the_collation_lends_no_person_to_another_mailbox(address, contact):
	accented = address("müller{}@people.example")
	plain = accented.replace("ü", "u")
	jo, ann = contact(address()), contact(plain)
	frappe.db.set_value("Contact Email", {"parent": jo.name}, "email_id", accented)
	assert people_at([accented, plain]) == {
		accented: [Person("Contact", jo.name)],
		plain: [Person("Contact", ann.name)],
	}


def test_ad_06_a_person_is_found_by_two_mailboxes_that_the_collation_takes_for_one(address, contact):
	accented = address("müller{}@people.example")
	plain = accented.replace("ü", "u")
	jo = contact(plain)
	jo.append("email_ids", {"email_id": address()})
	jo.save()
	frappe.db.set_value("Contact Email", jo.email_ids[1].name, "email_id", accented)
	found = [Person("Contact", jo.name)]
	assert people_at([accented, plain]) == {accented: found, plain: found}


@pytest.mark.parametrize(
	("stored", "asked"),
	[
		("{}@people.example", "{}@people.example"),
		("Jo.{}@People.Example", "jo.{}@people.example"),
		("{}@people.example", "{}@PEOPLE.example."),
		("{}@bücher.example", "{}@xn--bcher-kva.example"),
		("{}@xn--bcher-kva.example", "{}@bücher.example"),
		("{}@people.example", "Jo <{}@people.example>"),
		("Jo Doe <{}@people.example>", "{}@people.example"),
		("o.{}@people.example, {}@people.example", "{}@people.example"),
		("{}@people.example,o.{}@people.example", "{}@PEOPLE.example"),
		("caf\u00e9{}@people.example", "cafe\u0301{}@people.example"),
	],
)
@pytest.mark.parametrize("doctype", ["Contact", "Lead"])
def test_a_person_is_found_by_every_spelling_of_an_address(lead, contact, doctype, stored, asked):
	unique = frappe.generate_hash(length=10)
	stored, asked = stored.replace("{}", unique), asked.replace("{}", unique)
	if doctype == "Contact":
		person = contact(unique + "@elsewhere.example")
		# What Contact's own check would refuse today may stand there from an import.
		frappe.db.set_value("Contact Email", {"parent": person.name}, "email_id", stored)
	else:
		person = lead(unique + "@elsewhere.example")
		frappe.db.set_value("Lead", person.name, "email_id", stored)
	assert people_at([asked]) == {asked: [Person(doctype, person.name)]}


def test_people_are_found_for_many_addresses_at_once(address, contact):
	shared, own, nobodys = address(), address(), address()
	jo, ann = contact(shared, own), contact(shared)
	found = people_at([shared, own, nobodys, "no address"])
	assert {email: {person.party for person in people} for email, people in found.items()} == {
		shared: {jo.name, ann.name},
		own: {jo.name},
		nobodys: set(),
		"no address": set(),
	}


def test_addresses_of_a_contact_begin_with_the_primary_one(address, contact):
	first, second = address(), address()
	person = contact(second, first)
	person.email_ids[0].is_primary, person.email_ids[1].is_primary = 0, 1
	person.save()
	assert addresses_of("Contact", person.name) == [first, second]


def test_addresses_of_a_lead_are_split(address, lead):
	one, other = address(), address()
	assert addresses_of("Lead", lead(f"{one}, {other}").name) == [one, other]


def test_addresses_of_a_customer_are_those_of_its_contacts(address, contact, customer):
	one, other, third = address(), address(), address()
	found = addresses_of("Customer", customer(contact(one, other), contact(third)).name)
	assert sorted(found) == sorted([one, other, third])


@pytest.mark.parametrize("party_type", identity.PARTY_TYPES)
def test_a_party_that_doesnt_exist_has_no_addresses(party_type):
	assert addresses_of(party_type, "nobody at all") == []


def test_the_person_at_an_address_has_their_other_addresses_too(address, contact, lead):
	mine, also_mine, work = address(), address(), address()
	contact(mine, also_mine)
	lead(f"{mine}, {work}")
	found = addresses_of_people([mine.upper(), work])
	assert found[mine.upper()][0] == mine.upper()
	assert set(found[mine.upper()]) == {mine.upper(), also_mine, work}
	assert found[work] == [work, mine]


def test_ad_10_the_readers_of_a_role_mailbox_arent_one_person(address, contact):
	role, own = address("info@{}.example"), address()
	contact(role, own)
	assert addresses_of_people([role, own]) == {role: [role], own: [own, role]}


@given(st.from_regex(identity.PLAIN, fullmatch=True, alphabet="abxnAB019-_+.@"))
def test_a_plain_address_is_what_the_library_says(text):
	if not identity.PLAIN.fullmatch(text.lower()):
		return
	plain = normalise_email(text)
	with patch.object(identity, "PLAIN", re.compile("(?!)")):
		assert normalise_email(text) == plain
