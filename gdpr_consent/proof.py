"""How strong the proof of a consent has to be: by the country of the person, and by the purpose.

Rules are data (Consent Country Rule, Processing Purpose). They are read here, and turned into what `policy`
weighs: whether a consent is proven, and whether the existing-customer rule opens the channel.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, NamedTuple

import frappe

from gdpr_consent import policy_history, shared_cache
from gdpr_consent.identity import Person, people_at
from gdpr_consent.policy import Channel, MarketingGround

ANY_OTHER_COUNTRY = "Any Other Country"
# in the cache
RULES, OUTDATED, PURPOSES = "consent_rules_of_countries", "consent_outdated_wordings", "consent_purposes"
TOPICS, GROUNDS = "consent_topics", "consent_grounds"
GRADES = {"": "ABCD", "Any": "ABCD", "A, B or C": "ABC", "A or C": "AC", "A": "A"}
CONFIRMED, OWN_FORM, DOCUMENTED = "A", "B", "C"

# Text, because the query builder takes longer over a thousand names than the database does.
COUNTRIES = (
	("Lead", "select `name`, `country` from `tabLead` where `name` in %s and `country` != ''"),
	(
		"Contact",
		"""select contact.`name`, address.`country`
		from `tabContact` contact
		join `tabAddress` address on address.`name` = contact.`address`
		where contact.`name` in %s and address.`country` != ''""",
	),
	(
		"Contact",
		"""select customer.`parent`, address.`country`
		from `tabDynamic Link` customer
		join `tabDynamic Link` link
		on link.`link_doctype` = 'Customer' and link.`link_name` = customer.`link_name`
		join `tabAddress` address on address.`name` = link.`parent` and link.`parenttype` = 'Address'
		where customer.`parent` in %s and customer.`parenttype` = 'Contact'
		and customer.`link_doctype` = 'Customer' and address.`country` != ''""",
	),
	(
		"Customer",
		"""select link.`link_name`, address.`country`
		from `tabDynamic Link` link
		join `tabAddress` address on address.`name` = link.`parent`
		where link.`link_name` in %s and link.`link_doctype` = 'Customer'
		and link.`parenttype` = 'Address' and address.`country` != ''""",
	),
)

WITHDRAWAL_WORDS = {  # their stems
	"de": ("widerruf", "widerrief", "abmeld", "abbestell", "austrag"),
	"en": ("withdraw", "unsubscribe", "opt out", "opt-out", "revoke", "at any time"),
	"pl": ("wycof", "cofn", "odwoł", "wypis", "rezygn"),
}


class Rule(NamedTuple):
	double_opt_in: bool
	existing_customer: bool
	grades: str
	age_of_consent: int


class Place(NamedTuple):
	"""Where a person is, as far as we know, and how we know (NA-07)."""

	country: str | None
	source: str


AGE_OF_CONSENT = 16  # years, where a country has made no law of its own (Art. 8(1))
STRICTEST = Rule(
	double_opt_in=True, existing_customer=False, grades=GRADES["A or C"], age_of_consent=AGE_OF_CONSENT
)
UNKNOWN_PURPOSE = (True, "A or C")  # also one that is spelt in another way than it is stored


def rule_of(country: str | None) -> Rule:
	"""Return the rule of a country; one that isn't known, or has none, gets that of Any Other Country."""
	return _rule_among(_rules(), country)


def age_of_consent(country: str | None) -> int:
	"""Return from which age on somebody in a country agrees for themselves (Art. 8)."""
	return rule_of(country).age_of_consent


def asks_age() -> bool:
	return bool(frappe.db.get_single_value("Consent Settings", "asks_age"))


def age_asked(company: str | None) -> int | None:
	"""Return the age that people who sign up have to say they have reached, None if nobody asks them.

	Args:
		company: the controller; the site's if not given.
	"""
	if not asks_age():
		return None
	return age_of_consent(_place_by_company(company or frappe.db.get_default("company")).country)


def _rule_among(rules: dict[str, list], country: str | None) -> Rule:
	return Rule(*(rules.get(country or "") or rules.get("") or STRICTEST))


def _rules() -> dict[str, list]:
	return shared_cache.get(RULES, _read_rules)


def _read_rules() -> dict[str, list]:
	rule = frappe.qb.DocType("Consent Country Rule")
	query = frappe.qb.from_(rule).select(
		rule.applies_to,
		rule.double_opt_in,
		rule.existing_customer,
		rule.accepted_grades,
		rule.age_of_consent,
	)
	return _rules_in(query.where(rule.enabled == 1).run(as_dict=True))


def _rules_in(rows: Iterable[dict[str, Any]]) -> dict[str, list]:
	return {
		row["applies_to"] or "": [
			bool(row["double_opt_in"]),
			bool(row["existing_customer"]),
			GRADES[row["accepted_grades"] or "A or C"],
			row.get("age_of_consent") or AGE_OF_CONSENT,
		]
		for row in rows
	}


def outdated_wordings() -> set[str]:
	"""Name the wordings that a later version in the same language changes materially (V6)."""
	return set(shared_cache.get(OUTDATED, _read_outdated))


def _read_outdated() -> list[str]:
	wording = frappe.qb.DocType("Consent Wording")
	query = frappe.qb.from_(wording).select(
		wording.name, wording.purpose, wording.topic, wording.language, wording.version, wording.material
	)
	return _outdated_in(query.run(as_dict=True))


def _outdated_in(rows: Iterable[dict[str, Any]]) -> list[str]:
	newest_change: dict[tuple[str, str, str], int] = {}
	outdated = []
	for row in sorted(rows, key=lambda one: one["version"], reverse=True):
		scope = (row["purpose"], row["topic"] or "", row["language"])
		if row["version"] < newest_change.get(scope, 0):
			outdated.append(row["name"])
		elif row["material"] and scope not in newest_change:
			newest_change[scope] = row["version"]
	return outdated


def tells_how_to_withdraw(text: str, language: str) -> bool | None:
	"""Whether a wording says how to withdraw (Art. 7(3), CA-13). None: it is in a language we don't know."""
	words = WITHDRAWAL_WORDS.get(language.split("-")[0].lower())
	return any(word in text.casefold() for word in words) if words else None


def is_marketing(purpose: str) -> bool:
	"""Whether a purpose is marketing. One that isn't there, any more, has to be permitted as if it were."""
	marketing, _grades = _purposes().get(purpose, UNKNOWN_PURPOSE)
	return marketing


def _accepted_grades(purpose: str) -> str:
	_marketing, grades = _purposes().get(purpose, UNKNOWN_PURPOSE)
	return grades


def _purposes() -> dict[str, tuple[bool, str]]:
	return shared_cache.get(PURPOSES, _read_purposes)


def _read_purposes() -> dict[str, tuple[bool, str]]:
	purpose = frappe.qb.DocType("Processing Purpose")
	query = frappe.qb.from_(purpose).select(purpose.name, purpose.is_marketing, purpose.accepted_grades)
	return {name: (bool(marketing), grades or "") for name, marketing, grades in query.run()}


def keep_up() -> None:
	"""Have what was written by SQL count from now on."""
	if policy_history.keep_up():
		forget_rules()
		forget_wordings()
		forget_purposes()
	forget_topics()
	forget_grounds()


def forget_topics() -> None:
	shared_cache.forget(TOPICS)


def forget_grounds() -> None:
	shared_cache.forget(GROUNDS)


def forget_purposes() -> None:
	shared_cache.forget(PURPOSES)


def forget_rules() -> None:
	shared_cache.forget(RULES)


def forget_wordings() -> None:
	shared_cache.forget(OUTDATED)


class Requirements(NamedTuple):
	"""What the proof of a consent to a purpose has to be like on a channel, by the rules in force.

	They are read once, and asked about any number of consents without the database.
	"""

	channel: str
	grades: str  # that the purpose accepts
	rules: dict[str, list]
	outdated_wordings: frozenset[str]

	def are_met(
		self,
		country: str | None,
		grade: str | None,
		double_opt_in: Any,
		confirmed_on: Any,
		wording: str | None,
	) -> bool:
		"""Whether the proof of a consent is enough to send on.

		The grades that count are those which the country and the purpose accept today. Where a double opt-in
		was asked for when the person agreed (V4), only the confirmation or a document will do. Both are about
		e-mail: a click in a mail proves nothing for another channel (NA-05). What was agreed to before the
		purpose or the controller changed materially isn't what we do now (V6).
		"""
		if wording and wording in self.outdated_wordings:
			return False
		if self.channel != Channel.EMAIL.value:
			return True
		if double_opt_in and not confirmed_on and grade != DOCUMENTED:
			return False
		given = grade or "D"
		return given in _rule_among(self.rules, country).grades and given in self.grades

	def ground_in(self, country: str | None, ground: MarketingGround) -> MarketingGround:
		"""Return what a legal basis means for marketing in a country: the existing-customer rule isn't
		everywhere (SO-07)."""
		is_existing_customer = ground == MarketingGround.EXISTING_CUSTOMER
		if is_existing_customer and not _rule_among(self.rules, country).existing_customer:
			return MarketingGround.NEVER
		return ground


def requirements_for(purpose: str, channel: str, at: datetime | None = None) -> Requirements:
	"""Return the requirements in force now, or at an instant, naive UTC."""
	if at:
		return _requirements_at(purpose, channel, at)
	return Requirements(channel, GRADES[_accepted_grades(purpose)], _rules(), frozenset(outdated_wordings()))


def _requirements_at(purpose: str, channel: str, at: datetime) -> Requirements:
	rules, wordings, grades = [], [], ""
	for (doctype, name), said in policy_history.said_at(at).items():
		if doctype == "Consent Country Rule" and said["enabled"]:
			rules.append(said)
		elif doctype == "Consent Wording":
			wordings.append(said | {"name": name})
		elif (doctype, name) == ("Processing Purpose", purpose):
			grades = said["accepted_grades"] or ""
	outdated = frozenset(_outdated_in(wordings))
	return Requirements(channel, GRADES[grades], _rules_in(rules), outdated)


def needs_double_opt_in(channel: str, topic: str | None, country: str | None) -> bool:
	"""Whether somebody who signs up has to confirm, by the rules in force now (V4)."""
	if channel != Channel.EMAIL.value:
		return False
	return bool(topic and _asks_to_confirm(topic)) or rule_of(country).double_opt_in


def _asks_to_confirm(topic: str) -> bool:
	"""Whether a topic has its subscribers confirm. One that isn't there is taken to."""
	return shared_cache.get(TOPICS, _read_topics).get(topic, True)


def _read_topics() -> dict[str, bool]:
	topic = frappe.qb.DocType("Subscription Topic")
	rows = frappe.qb.from_(topic).select(topic.name, topic.double_opt_in).run()
	return {name: bool(asks) for name, asks in rows}


def ground_of(legal_basis: str) -> MarketingGround:
	"""Return what a legal basis means for marketing. Of one that is deleted by now nobody can say."""
	return MarketingGround(shared_cache.get(GROUNDS, _read_grounds).get(legal_basis, MarketingGround.NEVER))


def _read_grounds() -> dict[str, str]:
	basis = frappe.qb.DocType("Legal Basis")
	return dict(frappe.qb.from_(basis).select(basis.name, basis.marketing).run())


def place_of(email: str, party_type: str | None, party: str | None, company: str | None) -> Place:
	"""Find out in which country somebody is; see `places_of`."""
	return places_of([(email, party_type, party)], company)[0]


def places_of(subjects: Iterable[tuple[str, str | None, str | None]], company: str | None) -> list[Place]:
	"""Find out in which country each of many people is, from their records (NA-07).

	Where they name none or several, the strictest rule is taken. Consent Settings may take people without a
	country to be in the controller's.

	Args:
		subjects: the address of each, and the type and the name of their party, as it is stored. Of somebody
			without a party, the records that have the address are read.
		company: the controller.
	"""
	subjects = list(subjects)
	by_email = people_at({email for email, party_type, party in subjects if not (party_type and party)})
	people = [
		[Person(party_type, party)] if party_type and party else by_email[email]
		for email, party_type, party in subjects
	]
	countries = _countries_on({person for persons in people for person in persons})
	without_country: Place | None = None
	places = []
	for persons in people:
		named = {country for person in persons for country in countries.get(person, ())}
		if named:
			places.append(
				Place(named.pop(), "Person") if len(named) == 1 else Place(None, "Several Countries")
			)
		else:
			without_country = without_country or _place_by_company(company)
			places.append(without_country)
	return places


def _place_by_company(company: str | None) -> Place:
	if company and frappe.db.get_single_value("Consent Settings", "assume_company_country"):
		return Place(frappe.get_cached_value("Company", company, "country"), "Company")
	return Place(None, "Unknown")


def _countries_on(people: Collection[Person]) -> dict[Person, set[str]]:
	"""Return the countries of the addresses of Contacts and Customers, and what Leads say.

	The address on a Contact counts before those of its Customers.
	"""
	found: dict[Person, set[str]] = {}
	for party_type, query in COUNTRIES:
		names = [person.party for person in people if person.party_type == party_type and person not in found]
		for name, country in frappe.db.sql(query, (names,)) if names else ():
			found.setdefault(Person(party_type, name), set()).add(country)
	return found
