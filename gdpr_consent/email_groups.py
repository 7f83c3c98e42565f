"""Keeps the Email Groups of topics in step with the register (issue 3, "Before sending").

Whoever has a valid consent to a topic and its purpose is a subscribed member of the topic's group; whoever
loses it is switched off there. That is our doing and not the person's no, so it is marked as such, and
`legacy` doesn't take it for one. Members are written past the document events for the same reason.

A member whom somebody added by hand, and who never agreed to the topic, stays; the gate blocks them anyway.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import idna

import frappe
from frappe.query_builder import DocType

from gdpr_consent import audience
from gdpr_consent.identity import address_keys, normalise_email
from gdpr_consent.policy import Channel, Status

AT_ONCE = 1_000
# Whoever has only such records never had a consent that could be lost.
NEVER_GIVEN = tuple(status.value for status in (Status.UNKNOWN, Status.REQUESTED, Status.LAPSED))


class TopicGroup(NamedTuple):
	topic: str
	purpose: str
	group: str


class Standing(NamedTuple):
	"""Where an address, as it was given, stands with a topic."""

	email: str
	allowed: bool


def all_groups() -> list[TopicGroup]:
	topic = DocType("Subscription Topic")
	query = frappe.qb.from_(topic).select(topic.name, topic.purpose, topic.email_group)
	return [
		TopicGroup(*row) for row in query.where(topic.email_group.notnull() & (topic.email_group != "")).run()
	]


def set_members(group: str, standings: dict[str, Standing]) -> None:
	"""Subscribe those who are allowed, by address key, and switch off the others, in this transaction."""
	members = _members_at(group, [standing.email for standing in standings.values()])
	new, on, off, refused = [], [], [], {}
	for key, standing in standings.items():
		rows = members.get(key, [])
		subscribed = [row.name for row in rows if not row.unsubscribed]
		if not standing.allowed:
			off += subscribed
		elif not rows:
			new.append(standing.email)
		elif not subscribed and rows[0].consent_ended:
			on.append(rows[0].name)
		elif not subscribed:
			refused[rows[0].name] = standing.email
	lifted = _noes_on_record(list(refused))
	_delete(lifted)
	# A row of its own, so that the next no said there isn't taken for the one that was lifted.
	_insert(group, [*new, *(refused[name] for name in lifted)])
	_switch(on, to_subscribed=True)
	_switch(off, to_subscribed=False)


def _members_at(group: str, emails: Iterable[str]) -> dict[str, list[Any]]:
	spellings: set[str] = set()
	for email in emails:
		normalised = normalise_email(email)
		local, domain = normalised.split("@")
		# The database drops case by itself; a domain may be stored in either of its two forms.
		spellings |= {email, normalised, f"{local}@{idna.decode(domain)}"}
	if not spellings:
		return {}
	member = DocType("Email Group Member")
	found: dict[str, list[Any]] = {}
	for row in (
		frappe.qb.from_(member)
		.select(member.name, member.email, member.unsubscribed, member.consent_ended)
		.where((member.email_group == group) & member.email.isin(list(spellings)))
		.run(as_dict=True)
	):
		# The collation takes müller@x.pl for muller@x.pl. The key doesn't (AD-06).
		if key := address_keys([row.email])[row.email]:
			found.setdefault(key, []).append(row)
	return found


def _noes_on_record(members: list[str]) -> list[str]:
	"""Of members who said no themselves, name those whose no the register has, and so has weighed."""
	if not members:
		return []
	said = {"origin_doctype": "Email Group Member", "origin": ["in", members]}
	return frappe.get_all("Suppression", said, pluck="origin", distinct=True)


def _insert(group: str, emails: list[str]) -> None:
	if not emails:
		return
	now, user = frappe.utils.now(), frappe.session.user
	fields = ["name", "email_group", "email", "owner", "modified_by", "creation", "modified"]
	rows = [[frappe.generate_hash(length=20), group, email, user, user, now, now] for email in emails]
	# Core keeps an address unique in a group, and somebody else may have added it just now.
	frappe.db.bulk_insert("Email Group Member", fields, rows, ignore_duplicates=True)


def _delete(members: list[str]) -> None:
	if members:
		frappe.db.delete("Email Group Member", {"name": ["in", members]})


def _switch(members: list[str], to_subscribed: bool) -> None:
	if not members:
		return
	member = DocType("Email Group Member")
	# What somebody else wrote since we looked, such as the person's own no, stays.
	as_it_was = member.consent_ended == 1 if to_subscribed else member.unsubscribed == 0
	frappe.qb.update(member).set(member.unsubscribed, int(not to_subscribed)).set(
		member.consent_ended, int(not to_subscribed)
	).set(member.modified, frappe.utils.now()).set(member.modified_by, frappe.session.user).where(
		member.name.isin(members) & as_it_was
	).run()


# --- by the clock -------------------------------------------------------------------------------------------


def reconcile_all() -> None:
	"""Put right whatever was written past the register, or ended by the clock since."""
	for one in all_groups():
		reconcile(one.topic)


def reconcile(topic: str) -> None:
	"""Bring the whole group of a topic into step, a page at a time, each committed.

	An answer given meanwhile may be missed until the next run; the gate never misses it.
	"""
	found = next((one for one in all_groups() if one.topic == topic), None)
	if not found:
		return
	for emails in audience.subscribers(topic):
		_set_members(found, emails)
	last = ""
	while rows := _subscribed_members(found.group, last):
		last = rows[-1][0]
		_set_members(found, _with_a_consent_that_ended(found, [email for _name, email in rows]))
	count_members()


def _set_members(one: TopicGroup, emails: Iterable[str]) -> None:
	keys = address_keys(emails)
	decisions = audience.decide_many(keys, one.purpose, one.topic)
	set_members(
		one.group, {key: Standing(email, decisions[email].allowed) for email, key in keys.items() if key}
	)
	frappe.db.commit()  # nosemgrep: a page is done; an interruption loses nothing


def _subscribed_members(group: str, after: str) -> list[tuple[str, str]]:
	member = DocType("Email Group Member")
	return (
		frappe.qb.from_(member)
		.select(member.name, member.email)
		.where((member.email_group == group) & (member.unsubscribed == 0) & (member.name > after))
		.orderby(member.name)
		.limit(AT_ONCE)
		.run()
	)


def _with_a_consent_that_ended(one: TopicGroup, emails: list[str]) -> list[str]:
	keys = address_keys(emails)
	consent = DocType("Consent")
	known = (
		frappe.qb.from_(consent)
		.select(consent.address_key)
		.distinct()
		.where(consent.address_key.isin([key for key in keys.values() if key] or [""]))
		.where((consent.channel == Channel.EMAIL.value) & (consent.purpose == one.purpose))
		.where((consent.topic == one.topic) & consent.status.notin(NEVER_GIVEN))
		.run(pluck=True)
	)
	return [email for email, key in keys.items() if key in set(known)]


def count_members() -> None:
	"""Renew the totals that core shows; in every sign-up, all would wait for the one row of the group."""
	for one in all_groups():
		total = frappe.db.count("Email Group Member", {"email_group": one.group})
		if total != frappe.db.get_value("Email Group", one.group, "total_subscribers"):
			frappe.db.set_value("Email Group", one.group, "total_subscribers", total, update_modified=False)
