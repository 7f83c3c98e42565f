"""Takes over the opt-outs that Frappe and ERPNext keep, as refusals of the register.

They count from the moment of installation. Changes arrive through doc_events at once; `take_over` runs
hourly for what was written past them. A box that is unticked again lifts nothing: that is for the person
(ST-08).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import frappe
from frappe import _
from frappe.query_builder import DocType

from gdpr_consent import identity
from gdpr_consent.clock import from_system_time
from gdpr_consent.policy import Channel, RefusalKind
from gdpr_consent.register import Act, No, Scope, reaches, say_no

AT_ONCE = 500
EMAIL_MARKETING = Scope(Channel.EMAIL.value, "")
ALL_MARKETING = Scope("", "")


class OptOut(NamedTuple):
	"""A legacy opt-out: whose, since when (system time, as stored), and for what."""

	doctype: str
	name: str
	email: str | None
	since: datetime | None
	scope: Scope


def take_over(chunk: int = AT_ONCE) -> int:
	"""Write a refusal for every opt-out that has none yet, commit each part, and return their number."""
	taken = 0
	let_service_mail_through()
	for find in (_unsubscribes, _members, _contacts, _leads):
		last = ""
		while found := list(find(last, chunk)):
			last = found[-1].name
			write(found)
			frappe.db.commit()  # nosemgrep: a part is done; an interruption loses nothing
			taken += len(found)
	return taken


def let_service_mail_through() -> None:
	"""Turn core's global opt-outs that are in the register into ones about their Suppression.

	Core holds back every mail to whoever has a global one, invoices and password resets too, before any app
	sees it. It says no to marketing, and that the register now does (EM-05).
	"""
	opt_out, suppression = DocType("Email Unsubscribe"), DocType("Suppression")
	frappe.qb.update(opt_out).join(suppression).on(
		(suppression.origin_doctype == "Email Unsubscribe") & (suppression.origin == opt_out.name)
	).set(opt_out.global_unsubscribe, 0).set(opt_out.reference_doctype, "Suppression").set(
		opt_out.reference_name, suppression.name
	).where(opt_out.global_unsubscribe == 1).run()


def restore_global_opt_outs() -> None:
	"""Give core back what `let_service_mail_through` took, when the app goes."""
	opt_out = DocType("Email Unsubscribe")
	frappe.qb.update(opt_out).set(opt_out.global_unsubscribe, 1).set(opt_out.reference_doctype, None).set(
		opt_out.reference_name, None
	).where(opt_out.reference_doctype == "Suppression").run()


def write(opt_outs: list[OptOut]) -> None:
	"""Write refusals for the addresses of the people behind the opt-outs."""
	by_address = identity.addresses_of_people(
		out.email for out in opt_outs if out.email and out.doctype not in identity.PARTY_TYPES
	)
	noes = []
	for out in opt_outs:
		is_party = out.doctype in identity.PARTY_TYPES
		party = (out.doctype, out.name) if is_party else (None, None)
		addresses = identity.addresses_of(*party) if is_party else by_address.get(out.email or "", [])
		if out.doctype == "Lead":
			# The same person may be a Contact too, with more addresses than a Lead has room for.
			found = identity.addresses_of_people(addresses)
			addresses = [address for own in addresses for address in found[own]]
		valid = [
			address
			for address, key in identity.address_keys(addresses).items()
			if key and reaches(out.scope.channel, address)
		]
		# An opt-out of nobody is noted too, so that it isn't looked at again.
		for address in valid or [None]:
			noes.append(
				No(
					RefusalKind.UNSUBSCRIBE,
					out.scope,
					address,
					*party,
					said_on=from_system_time(out.since),
					origin_doctype=out.doctype,
					origin=out.name,
				)
			)
	say_no(noes, Act(reason=_("Taken over from an opt-out that was on the site.")))
	if any(out.doctype == "Email Unsubscribe" for out in opt_outs):
		let_service_mail_through()


def _not_taken(doctype: str, after: str, limit: int) -> tuple[Any, Any]:
	"""Return the table, and a query over its next rows that no suppression comes from yet."""
	table, suppression = DocType(doctype), DocType("Suppression")
	query = (
		frappe.qb.from_(table)
		.left_join(suppression)
		.on((suppression.origin_doctype == doctype) & (suppression.origin == table.name))
		.where(suppression.name.isnull() & (table.name > after))
		.orderby(table.name)
		.limit(limit)
	)
	return table, query


def _unsubscribes(after: str, limit: int) -> Iterator[OptOut]:
	table, query = _not_taken("Email Unsubscribe", after, limit)
	rows = query.select(
		table.name, table.email, table.creation, table.reference_doctype, table.reference_name
	)
	for row in rows.run(as_dict=True):
		yield unsubscribe(row)


def unsubscribe(row: Any) -> OptOut:
	scope = scope_of_reference(row.reference_doctype, row.reference_name)
	return OptOut("Email Unsubscribe", row.name, row.email, row.creation, scope)


def scope_of_reference(doctype: str | None, name: str | None) -> Scope:
	"""Leaving a Newsletter about a topic is about that topic; any other opt-out is about all marketing."""
	from gdpr_consent.gate.classify import MARKETING_SOURCES, fields_of

	if doctype in MARKETING_SOURCES and frappe.db.exists("DocType", doctype):
		_purpose, topic = fields_of(doctype, name)
		if topic:
			return _scope_of_topic(topic)
	return EMAIL_MARKETING


def _scope_of_topic(topic: str) -> Scope:
	return Scope(Channel.EMAIL.value, frappe.get_cached_value("Subscription Topic", topic, "purpose"), topic)


def _members(after: str, limit: int) -> Iterator[OptOut]:
	table, query = _not_taken("Email Group Member", after, limit)
	rows = query.select(table.name, table.email, table.modified, table.email_group).where(
		(table.unsubscribed == 1) & (table.consent_ended == 0)
	)
	for row in rows.run(as_dict=True):
		yield member(row)


def member(row: Any) -> OptOut:
	topic = frappe.db.get_value("Subscription Topic", {"email_group": row.email_group})
	scope = _scope_of_topic(topic) if topic else EMAIL_MARKETING
	return OptOut("Email Group Member", row.name, row.email, row.modified, scope)


def _contacts(after: str, limit: int) -> Iterator[OptOut]:
	table, query = _not_taken("Contact", after, limit)
	for row in query.select(table.name, table.modified).where(table.unsubscribed == 1).run(as_dict=True):
		yield OptOut("Contact", row.name, None, row.modified, EMAIL_MARKETING)


def _leads(after: str, limit: int) -> Iterator[OptOut]:
	table, query = _not_taken("Lead", after, limit)
	opted_out = (table.unsubscribed == 1) | (table.status == "Do Not Contact")
	rows = query.select(table.name, table.modified, table.status).where(opted_out)
	for row in rows.run(as_dict=True):
		yield lead(row)


def lead(row: Any) -> OptOut:
	scope = ALL_MARKETING if row.status == "Do Not Contact" else EMAIL_MARKETING
	return OptOut("Lead", row.name, None, row.modified, scope)
