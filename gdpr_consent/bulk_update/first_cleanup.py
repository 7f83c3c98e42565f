"""Looks at what the site has, and proposes the rules of a first clean-up; a person decides on each of them.

Everything is read by the user's own rights, a page of records at a time, so that memory stays flat.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import frappe
from frappe import _
from frappe.utils import getdate

from gdpr_consent.doors import says_why
from gdpr_consent.identity import PARTY_TYPES, address_keys, addresses_in
from gdpr_consent.register import CONSENT_BASIS

AT_ONCE = 5_000  # records a page
KEYS_AT_ONCE = 1_000
CONTRACT_YEARS = 2  # a consumer's claims of conformity, Art. 10 Directive (EU) 2019/771
# Invoices, from the end of their year: 8 in Germany (§ 147(3) and (4) AO), 5 in Poland (Art. 70 § 1 OP).
RETENTION_YEARS = 8
MEMBER = "Email Group Member"
# What the seeds are called; a purpose, basis or source that somebody renamed is left to a rule of their own.
CONTRACT_FULFILMENT, CUSTOMER_SERVICE, SALES = "Contract Fulfilment", "Customer Service", "Sales"
CONTRACT, LEGAL_OBLIGATION, INTERESTS = "Contract", "Legal Obligation", "Legitimate Interests"
SOURCE = "Import"

# The keys go as one text, because the query builder takes longer over a thousand than the database does.
ASKED = """
	select asked.address_key
	from json_table(%(keys)s, '$[*]' columns (address_key varchar(80) path '$')) asked
"""
CONSENT = "select 1 from `tabConsent` consent where consent.address_key = asked.address_key"
REFUSAL = "select 1 from `tabSuppression` refusal where refusal.address_key = asked.address_key"
ANYTHING = f"exists ({CONSENT}) or exists ({REFUSAL})"
AGREED = f"exists ({CONSENT} and consent.channel = 'Email' and consent.topic = %(topic)s)"

Filters = list[list[Any]]
Names = set[str]


class Page(NamedTuple):
	"""Records in the order of their names: those after one, up to and with another."""

	after: str
	until: str

	def filters(self, doctype: str, field: str) -> Filters:
		return [[doctype, field, ">", self.after], [doctype, field, "<=", self.until]]


class Proposal(NamedTuple):
	"""A rule that could be, and how to find its records. Without a rule, something to know.

	`claims`: a record that it finds isn't left for a later one, as in a Consent Bulk Update.
	"""

	doctype: str
	title: str
	why: str
	rule: dict[str, Any] | None
	find: Callable[[Page], Names]
	claims: bool = True


@frappe.whitelist(methods=["POST"])
@says_why
def propose() -> list[dict[str, Any]]:
	"""Propose rules for the data of this site, in the order in which they should apply.

	Only purposes, legal bases and sources that are there, enabled and allowed are proposed, and only for
	records that the user may read.

	Returns:
		for each `title` and `why`, plain text in the user's language; `count`: records that it is the first
		to find; `rule`: values of a row of Consent Bulk Update, None where there is only something to know.
	"""
	frappe.has_permission("Consent Bulk Update", "create", throw=True)
	frappe.has_permission("Consent", "read", throw=True)
	found, hidden = [], []
	for doctype in PARTY_TYPES:
		if not frappe.has_permission(doctype, "read"):
			hidden.append(
				_told(_("{0}: not visible to you").format(_(doctype)), _("Ask somebody who may see them."), 0)
			)
			continue
		found += _count(doctype, [one for one in _proposals() if one.doctype == doctype])
	found += _unproven_members()
	# What is only to be known comes after what can be done.
	rules = [one for one in found if one["rule"]]
	return [*rules, *(one for one in found if not one["rule"]), *hidden]


@frappe.whitelist(methods=["POST"])
@says_why
def overview() -> list[dict[str, Any]]:
	"""Say of how many Contacts, Leads and Customers the register knows anything, of those the user may read.

	Known is who has an e-mail address that a consent or a refusal is about, or is named by one.

	Returns:
		for each DocType `doctype`, `total`, `known`.
	"""
	frappe.has_permission("Consent Bulk Update", "create", throw=True)
	frappe.has_permission("Consent", "read", throw=True)
	parts = []
	for doctype in PARTY_TYPES:
		if frappe.has_permission(doctype, "read"):
			total = known = 0
			for page, names in _pages(doctype):
				total += len(names)
				known += len(_known(doctype, page) & names)
			parts.append({"doctype": doctype, "total": total, "known": known})
	return parts


# --- what is proposed ---------------------------------------------------------------------------------------


def _proposals() -> Iterator[Proposal]:
	today = getdate()
	sold_since = today.replace(year=today.year - CONTRACT_YEARS, day=1)
	kept_since = today.replace(year=today.year - RETENTION_YEARS, month=1, day=1)
	sold = [["Sales Invoice", "docstatus", "=", 1], ["Sales Invoice", "posting_date", ">=", str(sold_since)]]
	kept = [["Sales Invoice", "docstatus", "=", 1], ["Sales Invoice", "posting_date", ">=", str(kept_since)]]
	reachable = [["Lead", "status", "!=", "Do Not Contact"]]
	offered = [["Quotation", "docstatus", "=", 1], ["Quotation", "status", "in", ["Open", "Replied"]]]
	enquired = [["Opportunity", "status", "in", ["Open", "Replied", "Quotation"]]]

	yield from _linked(
		"Customer",
		_("Customers with invoices since {0}").format(sold_since),
		_("They bought something, and may have claims. Their data are needed to fulfil the contract."),
		("Sales Invoice", sold),
		_by_field("Sales Invoice", sold, "customer"),
		CONTRACT_FULFILMENT,
		(CONTRACT,),
	)
	yield from _linked(
		"Customer",
		_("Customers with invoices since {0}, none of them newer").format(kept_since),
		_("The law asks to keep invoices for years, up to {0} in Germany and 5 in Poland.").format(
			RETENTION_YEARS
		),
		("Sales Invoice", kept),
		_by_field("Sales Invoice", kept, "customer"),
		CONTRACT_FULFILMENT,
		(LEGAL_OBLIGATION, CONTRACT),
	)
	active = [["Customer", "disabled", "=", 0]]
	yield from _linked(
		"Contact",
		_("Contacts of customers"),
		_("They speak for a customer, who is served under a contract."),
		("Customer", active),
		_customers_of_contacts(active),
		CUSTOMER_SERVICE,
		(CONTRACT, INTERESTS),
	)
	converted = [["Lead", "status", "=", "Converted"]]
	yield from _rule(
		Proposal(
			"Lead",
			_("Leads that became customers"),
			_("They are served under a contract."),
			{"target_doctype": "Lead", "filters": json.dumps(converted)},
			_own("Lead", converted),
		),
		CUSTOMER_SERVICE,
		(CONTRACT, INTERESTS),
	)
	yield from _linked(
		"Lead",
		_("Leads with an open quotation"),
		_("They asked for an offer, which prepares a contract."),
		("Quotation", offered),
		_by_field("Quotation", offered, "party_name", "quotation_to"),
		SALES,
		(CONTRACT, INTERESTS),
		reachable,
	)
	yield from _linked(
		"Lead",
		_("Leads with an open opportunity"),
		_("Business with them is being discussed. Weigh your interests against theirs, and keep the result."),
		("Opportunity", enquired),
		_by_field("Opportunity", enquired, "party_name", "opportunity_from"),
		SALES,
		(INTERESTS, CONTRACT),
		reachable,
	)
	for doctype, opted_out in (
		("Contact", [[["Contact", "unsubscribed", "=", 1]]]),
		("Lead", [[["Lead", "unsubscribed", "=", 1]], [["Lead", "status", "=", "Do Not Contact"]]]),
	):
		finders = [_own(doctype, filters) for filters in opted_out]
		yield Proposal(
			doctype,
			_("{0}: said no to marketing").format(_(doctype)),
			_("The register has taken over their no. It stays, and no rule is needed."),
			None,
			lambda page, finders=finders: set().union(*(find(page) for find in finders)),
			claims=False,
		)


def _linked(
	doctype: str,
	title: str,
	why: str,
	linked: tuple[str, Filters],
	find_linked: Callable[[Page], Names],
	purpose: str,
	bases: tuple[str, ...],
	filters: Filters | None = None,
) -> Iterator[Proposal]:
	"""Yield the proposal about records that are linked with others, if the user may read those."""
	linked_doctype, linked_filters = linked
	if not frappe.has_permission(linked_doctype, "read"):
		return
	rule = {
		"target_doctype": doctype,
		"filters": json.dumps(filters or []),
		"linked_doctype": linked_doctype,
		"linked_filters": json.dumps(linked_filters),
	}
	fits = _own(doctype, filters) if filters else None

	def find(page: Page) -> Names:
		found = find_linked(page)
		return found & fits(page) if fits else found

	yield from _rule(Proposal(doctype, title, why, rule, find), purpose, bases)


def _rule(proposal: Proposal, purpose: str, bases: tuple[str, ...]) -> Iterator[Proposal]:
	"""Yield the proposal with the first legal basis that its purpose allows, if there is one."""
	terms = _terms(purpose, bases)
	if terms:
		yield proposal._replace(rule=proposal.rule | terms)


def _terms(purpose: str, bases: tuple[str, ...]) -> dict[str, Any] | None:
	if not frappe.db.get_value("Processing Purpose", purpose, "enabled"):
		return None
	allowed = frappe.get_all(
		"Processing Purpose Legal Basis",
		{"parent": purpose, "legal_basis": ["in", bases]},
		pluck="legal_basis",
	)
	enabled = frappe.get_all("Legal Basis", {"name": ["in", allowed or [""]], "enabled": 1}, pluck="name")
	basis = next((basis for basis in bases if basis in enabled), None)
	if not basis:
		return None
	source = SOURCE if frappe.db.get_value("Consent Source", SOURCE, "enabled") else None
	return {"action": "Set", "purpose": purpose, "channel": "Email", "legal_basis": basis, "source": source}


# --- counting -----------------------------------------------------------------------------------------------


def _count(doctype: str, proposals: list[Proposal]) -> list[dict[str, Any]]:
	"""Count what each is the first to find, and what is left that neither a rule nor the register knows."""
	counts = [0] * len(proposals)
	left = 0
	for page, names in _pages(doctype):
		for at, proposal in enumerate(proposals):
			hit = proposal.find(page) & names
			counts[at] += len(hit)
			if proposal.claims:
				names -= hit
		if names:
			left += len(names - _known(doctype, page))
	rows = [
		{"title": one.title, "why": one.why, "count": count, "rule": one.rule}
		for one, count in zip(proposals, counts, strict=True)
		if count
	]
	if left:
		rows.append(
			_told(
				_("{0}: without any legal basis").format(_(doctype)),
				_("No rule fits them, and the register knows nothing of them. Find out why they are kept."),
				left,
			)
		)
	return rows


def _told(title: str, why: str, count: int) -> dict[str, Any]:
	return {"title": title, "why": why, "count": count, "rule": None}


def _pages(doctype: str) -> Iterator[tuple[Page, Names]]:
	last = ""
	while names := frappe.get_list(
		doctype,
		filters=[[doctype, "name", ">", last]],
		order_by=f"`tab{doctype}`.`name` asc",
		limit_page_length=AT_ONCE,
		pluck="name",
	):
		yield Page(last, names[-1]), set(names)
		last = names[-1]


def _names(doctype: str, filters: Filters, page: Page, field: str = "name") -> Names:
	column = f"`tab{doctype}`.`{field}`"
	return set(
		frappe.get_list(
			doctype,
			filters=[*filters, *page.filters(doctype, field)],
			fields=[column],
			distinct=True,
			order_by=f"{column} asc",
			limit_page_length=0,
			pluck=field,
		)
	)


def _own(doctype: str, filters: Filters) -> Callable[[Page], Names]:
	return lambda page: _names(doctype, filters, page)


def _by_field(linked: str, filters: Filters, field: str, kind: str | None = None) -> Callable[[Page], Names]:
	"""Find records by a field of others that names them: a Link, or a Dynamic Link of the kind given."""
	doctype = "Lead" if kind else "Customer"
	more = [[linked, kind, "=", doctype]] if kind else []
	return lambda page: _names(linked, [*filters, *more], page, field)


def _customers_of_contacts(filters: Filters) -> Callable[[Page], Names]:
	link = frappe.qb.DocType("Dynamic Link")

	def find(page: Page) -> Names:
		pairs = (
			frappe.qb.from_(link)
			.select(link.parent, link.link_name)
			.where((link.parenttype == "Contact") & (link.link_doctype == "Customer"))
			.where((link.parent > page.after) & (link.parent <= page.until))
			.run()
		)
		named = sorted({customer for _contact, customer in pairs if customer})
		fitting = set()
		if named:
			wanted = [*filters, ["Customer", "name", "in", named]]
			fitting = set(frappe.get_list("Customer", filters=wanted, limit_page_length=0, pluck="name"))
		return {contact for contact, customer in pairs if customer in fitting}

	return find


# --- what the register knows --------------------------------------------------------------------------------


def _known(doctype: str, page: Page) -> Names:
	"""Name the records of a page that a consent or a refusal is about, by their address or by themselves."""
	of_address: dict[str, Names] = {}
	for name, stored in _stored_addresses(doctype, page):
		# Most fields hold one address alone, and the parser takes ten times as long as the key.
		is_plain = stored and not ("<" in stored or "," in stored)
		for address in [stored] if is_plain else addresses_in(stored):
			of_address.setdefault(address, set()).add(name)
	of_key: dict[str, Names] = {}
	for address, key in address_keys(of_address).items():
		if key:
			of_key.setdefault(key, set()).update(of_address[address])
	known: Names = set().union(*(of_key[key] for key in _on_record(list(of_key))))
	for register_doctype in ("Consent", "Suppression"):
		row = frappe.qb.DocType(register_doctype)
		query = frappe.qb.from_(row).select(row.party).where(row.party_type == doctype)
		known |= set(query.where((row.party > page.after) & (row.party <= page.until)).run(pluck=True))
	return known


def _stored_addresses(doctype: str, page: Page) -> list[tuple[str, str | None]]:
	email, link = frappe.qb.DocType("Contact Email"), frappe.qb.DocType("Dynamic Link")
	if doctype == "Contact":
		query = frappe.qb.from_(email).select(email.parent, email.email_id)
		name = email.parent
		return query.where((email.parenttype == "Contact") & (name > page.after) & (name <= page.until)).run()
	record = frappe.qb.DocType(doctype)
	own = frappe.qb.from_(record).select(record.name, record.email_id)
	found = own.where((record.name > page.after) & (record.name <= page.until)).run()
	if doctype == "Customer":
		found += (
			frappe.qb.from_(link)
			.join(email)
			.on((email.parent == link.parent) & (email.parenttype == "Contact"))
			.select(link.link_name, email.email_id)
			.where((link.parenttype == "Contact") & (link.link_doctype == "Customer"))
			.where((link.link_name > page.after) & (link.link_name <= page.until))
			.run()
		)
	return found


def _on_record(keys: list[str], topic: str | None = None) -> set[str]:
	"""Return those of the keys that the register has a row about, or a consent to the topic."""
	found: set[str] = set()
	keys = sorted(keys)  # neighbours in the index
	for start in range(0, len(keys), KEYS_AT_ONCE):
		asked = {"keys": json.dumps(keys[start : start + KEYS_AT_ONCE]), "topic": topic}
		query = f"{ASKED} where {AGREED if topic else ANYTHING}"
		found.update(key for (key,) in frappe.db.sql(query, asked))
	return found


# --- Email Groups -------------------------------------------------------------------------------------------


def _unproven_members() -> list[dict[str, Any]]:
	"""Propose what to do with members of the Email Groups of topics who have no consent on record."""
	if not frappe.has_permission(MEMBER, "read"):
		return []
	rows = []
	topics = frappe.get_all(
		"Subscription Topic",
		{"enabled": 1, "email_group": ["is", "set"]},
		["name", "purpose", "email_group"],
		order_by="sort_order, name",
	)
	for topic in topics:
		terms = _terms(topic.purpose, (CONSENT_BASIS,))
		filters = [[MEMBER, "email_group", "=", topic.email_group], [MEMBER, "unsubscribed", "=", 0]]
		count = _count_unproven(filters, topic.name) if terms else 0
		if count:
			rule = {"target_doctype": MEMBER, "filters": json.dumps(filters), "topic": topic.name}
			why = _("No consent is on record. Without proof they become Unknown, which allows nothing.")
			title = _("Members of {0} without a consent").format(topic.email_group)
			rows.append({"title": title, "why": why, "count": count, "rule": rule | terms})
	return rows


def _count_unproven(filters: Filters, topic: str) -> int:
	count, last = 0, ""
	while members := frappe.get_list(
		MEMBER,
		filters=[*filters, [MEMBER, "name", ">", last]],
		fields=["name", "email"],
		order_by=f"`tab{MEMBER}`.`name` asc",
		limit_page_length=AT_ONCE,
	):
		last = members[-1]["name"]
		keys = address_keys(member["email"] for member in members)
		on_record = _on_record([key for key in keys.values() if key], topic)
		count += sum(1 for member in members if keys[member["email"]] not in on_record)
	return count
