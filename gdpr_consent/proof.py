"""How strong the proof of a consent has to be: by the country of the person, and by the purpose.

Rules are data (Consent Country Rule, Processing Purpose). They are read here, and turned into what `policy`
weighs: whether a consent is proven, and whether the existing-customer rule opens the channel.
"""

from datetime import datetime
from typing import Any, NamedTuple

import frappe

from gdpr_consent.identity import Person, people_at
from gdpr_consent.policy import Channel, MarketingGround

ANY_OTHER_COUNTRY = "Any Other Country"
RULES = "consent_country_rules"  # in the cache
GRADES = {"": "ABCD", "Any": "ABCD", "A, B or C": "ABC", "A or C": "AC", "A": "A"}
CONFIRMED, OWN_FORM, DOCUMENTED = "A", "B", "C"


class Rule(NamedTuple):
	double_opt_in: bool
	existing_customer: bool
	grades: str


class Place(NamedTuple):
	"""Where a person is, as far as we know, and how we know (NA-07)."""

	country: str | None
	source: str


STRICTEST = Rule(double_opt_in=True, existing_customer=False, grades=GRADES["A or C"])


def rule_of(country: str | None) -> Rule:
	"""Return the rule of a country; one that isn't known, or has none, gets that of Any Other Country."""
	rules = frappe.cache.get_value(RULES, _read_rules)
	return Rule(*(rules.get(country or "") or rules.get("") or STRICTEST))


def _read_rules() -> dict[str, list]:
	rule = frappe.qb.DocType("Consent Country Rule")
	return {
		country or "": [bool(double_opt_in), bool(existing_customer), GRADES[grades or "A or C"]]
		for country, double_opt_in, existing_customer, grades in frappe.qb.from_(rule)
		.select(rule.applies_to, rule.double_opt_in, rule.existing_customer, rule.accepted_grades)
		.where(rule.enabled == 1)
		.run()
	}


def forget_rules() -> None:
	"""Read the rules anew: now, and when it is certain which ones stand."""

	def forget() -> None:
		frappe.cache.delete_value(RULES)

	forget()
	frappe.db.after_commit.add(forget)
	frappe.db.after_rollback.add(forget)


def is_proven(
	purpose: str,
	channel: str,
	country: str | None,
	grade: str | None,
	double_opt_in: Any,
	confirmed_on: datetime | str | None,
) -> bool:
	"""Whether the proof of a consent is enough to send on.

	The grades that count are those which the country and the purpose accept today. Where a double opt-in was
	asked for when the person agreed (V4), only the confirmation or a document will do. Both are about e-mail:
	a click in a mail proves nothing for another channel (NA-05).
	"""
	if channel != Channel.EMAIL.value:
		return True
	if double_opt_in and not confirmed_on and grade != DOCUMENTED:
		return False
	wanted = frappe.get_cached_value("Processing Purpose", purpose, "accepted_grades") or ""
	return (grade or "D") in rule_of(country).grades and (grade or "D") in GRADES[wanted]


def ground_in(country: str | None, ground: MarketingGround) -> MarketingGround:
	"""Return what a legal basis means for marketing in a country: the existing-customer rule isn't everywhere
	(SO-07)."""
	if ground == MarketingGround.EXISTING_CUSTOMER and not rule_of(country).existing_customer:
		return MarketingGround.NEVER
	return ground


def needs_double_opt_in(channel: str, topic: str | None, country: str | None) -> bool:
	"""Whether somebody who signs up has to confirm, by the rules in force now (V4)."""
	if channel != Channel.EMAIL.value:
		return False
	by_topic = topic and frappe.get_cached_value("Subscription Topic", topic, "double_opt_in")
	return bool(by_topic) or rule_of(country).double_opt_in


def place_of(email: str, party_type: str | None, party: str | None, company: str | None) -> Place:
	"""Find out in which country somebody is: from their record, else from the controller's (NA-07).

	Records of one address that name several countries say nothing, so the strictest rule is taken.
	"""
	people = [Person(party_type, party)] if party_type and party else people_at([email])[email]
	countries = {country for person in people for country in _countries_on(person)}
	if countries:
		return Place(countries.pop(), "Person") if len(countries) == 1 else Place(None, "Several Countries")
	country = frappe.get_cached_value("Company", company, "country") if company else None
	return Place(country, "Company") if country else Place(None, "Unknown")


def _countries_on(person: Person) -> set[str]:
	"""Return the countries of the addresses of a Contact or a Customer, or what a Lead says."""
	if person.party_type == "Lead":
		country = frappe.db.get_value("Lead", person.party, "country")
		return {country} if country else set()
	if person.party_type == "Contact":
		own = frappe.db.get_value("Contact", person.party, "address")
		if country := own and frappe.db.get_value("Address", own, "country"):
			return {country}
	link, address = frappe.qb.DocType("Dynamic Link"), frappe.qb.DocType("Address")
	of_customers = frappe.qb.from_(link).select(link.link_name)
	whose = (
		link.link_name.isin(
			of_customers.where(
				(link.parenttype == "Contact")
				& (link.parent == person.party)
				& (link.link_doctype == "Customer")
			)
		)
		if person.party_type == "Contact"
		else link.link_name == person.party
	)
	return set(
		frappe.qb.from_(link)
		.join(address)
		.on(address.name == link.parent)
		.select(address.country)
		.distinct()
		.where((link.parenttype == "Address") & (link.link_doctype == "Customer") & whose)
		.where(address.country.isnotnull() & (address.country != ""))
		.run(pluck=True)
	)
