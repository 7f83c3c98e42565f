"""Finds the sale that the existing-customer rule rests on (Art. 13(2) ePrivacy Directive, § 7(3) UWG).

The rule opens the channel to whom the controller sold something itself, for mail about similar products, for
some time (SO-01 to SO-03, SO-08). A Lead, a quotation and a draft are no sale.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import NamedTuple

import frappe
from frappe.query_builder.functions import Concat, Max
from frappe.utils import cint, getdate

from gdpr_consent import identity
from gdpr_consent.clock import add_months, from_system_time, to_system_time
from gdpr_consent.identity import Person

SOLD_ON = {"Sales Order": "transaction_date", "Sales Invoice": "posting_date", "POS Invoice": "posting_date"}
MONTHS = 24
DATE_LENGTH = len("2026-03-01")

Buyer = tuple[str, str | None, str | None]  # an address, and the party that it was recorded for


class Sale(NamedTuple):
	doctype: str
	name: str
	sold_on: date


def months() -> int:
	"""After how many months without a sale nobody counts as a customer any more (SO-08)."""
	return cint(frappe.db.get_single_value("Consent Settings", "existing_customer_months")) or MONTHS


def ends_on(sale: Sale) -> datetime:
	"""Return when a sale allows nothing any more, naive UTC."""
	return add_months(from_system_time(sale.sold_on), months())


def seller(company: str | None) -> str | None:
	"""Return the company that has to have sold it itself (SO-02): the controller, else that of the site."""
	return company or frappe.db.get_default("company")


def advertised(purpose: str, topic: str | None) -> list[str]:
	"""List the Item Groups that mail of a scope is about, with all below them (SO-03)."""
	doctype, name = ("Subscription Topic", topic) if topic else ("Processing Purpose", purpose)
	groups = [row.item_group for row in frappe.get_cached_doc(doctype, name).item_groups]
	below = [one for group in groups for one in frappe.db.get_descendants("Item Group", group)]
	return list(dict.fromkeys(groups + below))


def newest(
	buyers: Mapping[str, Buyer], company: str | None, item_groups: list[str], now: datetime
) -> dict[str, Sale]:
	"""Find for each buyer, by address key, the newest sale that isn't too old; without those who have none.

	Args:
		item_groups: of which one has to have been sold.
		now: naive UTC.
	"""
	customers = _customers_of(buyers)
	today = to_system_time(now)
	sales = _newest_by_customer(
		{one for theirs in customers.values() for one in theirs},
		seller(company),
		item_groups,
		(getdate(add_months(today, -months())), getdate(today)),
	)
	found = {}
	for key, theirs in customers.items():
		of_theirs = [sales[one] for one in theirs if one in sales]
		if of_theirs and ends_on(last := max(of_theirs, key=lambda one: (one.sold_on, one.name))) > now:
			found[key] = last
	return found


def _customers_of(buyers: Mapping[str, Buyer]) -> dict[str, set[str]]:
	at_address = identity.people_at([email for email, _party_type, _party in buyers.values()])
	people: dict[str, set[Person]] = {}
	for key, (email, party_type, party) in buyers.items():
		people[key] = {*at_address[email], *([Person(party_type, party)] if party_type and party else [])}
	everybody = {person for theirs in people.values() for person in theirs}
	contacts = [person.party for person in everybody if person.party_type == "Contact"]
	leads = [person.party for person in everybody if person.party_type == "Lead"]
	of_person = {("Contact", contact): found for contact, found in identity.customers_of(contacts).items()}
	customer = frappe.qb.DocType("Customer")
	query = frappe.qb.from_(customer).select(customer.lead_name, customer.name)
	for lead, name in query.where(customer.lead_name.isin(leads)).run() if leads else ():
		of_person.setdefault(("Lead", lead), []).append(name)
	return {
		key: {
			name
			for person in theirs
			for name in (
				[person.party] if person.party_type == "Customer" else of_person.get(tuple(person), ())
			)
		}
		for key, theirs in people.items()
	}


def _newest_by_customer(
	customers: Iterable[str], company: str | None, item_groups: list[str], between: tuple[date, date]
) -> dict[str, Sale]:
	customers, found = list(customers), {}
	if not (customers and company and item_groups):
		return found
	for doctype, sold_on in SOLD_ON.items():
		sale, item = frappe.qb.DocType(doctype), frappe.qb.DocType(f"{doctype} Item")
		query = (
			frappe.qb.from_(sale)
			.join(item)
			.on((item.parent == sale.name) & (item.parenttype == doctype))
			.select(sale.customer, Max(Concat(sale[sold_on], sale.name)))
			.where((sale.docstatus == 1) & (sale.company == company) & sale[sold_on].between(*between))
			.where(sale.customer.isin(customers) & item.item_group.isin(item_groups))
			.groupby(sale.customer)
		)
		if doctype != "Sales Order":
			query = query.where(sale.is_return == 0)
		for customer, dated in query.run():
			one = Sale(doctype, dated[DATE_LENGTH:], getdate(dated[:DATE_LENGTH]))
			if customer not in found or found[customer].sold_on < one.sold_on:
				found[customer] = one
	return found


def resting_on_cancelled() -> list[str]:
	"""Name the consents whose sale was cancelled or deleted since."""
	consent = frappe.qb.DocType("Consent")
	names: list[str] = []
	for doctype in SOLD_ON:
		sale = frappe.qb.DocType(doctype)
		names += (
			frappe.qb.from_(consent)
			.left_join(sale)
			.on((sale.name == consent.sale) & (sale.docstatus == 1))
			.select(consent.name)
			.where((consent.status == "Not Required") & (consent.sale_doctype == doctype))
			.where(sale.name.isnull())
			.run(pluck=True)
		)
	return names
