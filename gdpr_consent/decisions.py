"""What was decided about a mail's recipients, and will be: the rows that the desk shows, before and after
sending (issue 3, "Before sending" and "After sending")."""

import uuid
from collections.abc import Iterable
from typing import Any

from pypika import Order

import frappe
from frappe.query_builder import DocType
from frappe.query_builder.functions import Concat

from gdpr_consent import ledger, policy_history
from gdpr_consent.clock import now_utc, utc_text
from gdpr_consent.identity import address_keys
from gdpr_consent.policy import Channel, Decision

AT_ONCE = 1_000
MOST = 200  # mails to one person that are shown, newest first


def explain(purpose: str | None, topic: str | None, answers: dict[str, Decision]) -> dict[str, Any]:
	"""Return what a mail is about, and a row for each address of its audience."""
	return {
		"purpose": purpose,
		"topic": topic,
		"rows": [
			{
				"email": email,
				"allowed": decision.allowed,
				"reason": decision.reason.value,
				"consent": decision.consent,
			}
			for email, decision in sorted(answers.items())
		],
	}


def log_left_out(
	doctype: str, name: str, purpose: str | None, topic: str | None, left_out: dict[str, Decision]
) -> None:
	"""Write Consent Decisions for those for whom no mail is made, in place of earlier ones."""
	decision = DocType("Consent Decision")
	frappe.qb.from_(decision).delete().where(
		(decision.reference_doctype == doctype)
		& (decision.reference_name == name)
		& decision.email_queue.isnull()
	).run()
	log(left_out, purpose, topic, doctype, (doctype, name))


def log(
	answers: dict[str, Decision],
	purpose: str | None,
	topic: str | None,
	signal: str,
	source: tuple[str | None, str | None],
	channel: str = Channel.EMAIL.value,
) -> None:
	"""Write a Consent Decision for each address. `source`: DocType and name of what it was sent from."""
	keys, now = address_keys(answers), now_utc()
	ledger.insert(
		"Consent Decision",
		[
			{
				"name": str(uuid.uuid4()),
				"decided_on": now,
				"allowed": int(answer.allowed),
				"reason": answer.reason.value,
				"consent": answer.consent,
				"address_key": keys[address],
				"channel": channel,
				"purpose": purpose,
				"topic": topic,
				"reference_doctype": source[0],
				"reference_name": source[1],
				"signal": signal,
				"policy_version": policy_history.version(),
			}
			for address, answer in answers.items()
		],
	)


def of_source(doctype: str, name: str, audience: Iterable[list[str]]) -> list[dict[str, Any]]:
	"""List the decisions about the mails of one record, with the address where one is still known.

	Args:
		audience: addresses that the record was meant for, in lists; who was never asked is known only there.
	"""
	decision = DocType("Consent Decision")
	return _told(
		frappe.qb.from_(decision)
		.where((decision.reference_doctype == doctype) & (decision.reference_name == name))
		.orderby(decision.decided_on),
		audience,
	)


def of_people(emails: Iterable[str]) -> list[dict[str, Any]]:
	"""List the decisions about mails to some addresses, newest first, and what each mail was."""
	keys = [key for key in address_keys(emails).values() if key]
	if not keys:
		return []
	decision = DocType("Consent Decision")
	rows = _told(
		frappe.qb.from_(decision)
		.where(decision.address_key.isin(keys))
		.orderby(decision.decided_on, order=Order.desc)
		.limit(MOST)
	)
	titles = _titles({(row["reference_doctype"], row["reference_name"]) for row in rows})
	for row in rows:
		row["title"] = titles.get((row["reference_doctype"], row["reference_name"]))
	return rows


def _told(query: Any, audience: Iterable[list[str]] = ()) -> list[dict[str, Any]]:
	"""Run a query over Consent Decision: each with its address, and what became of an allowed mail."""
	decision, recipient = DocType("Consent Decision"), DocType("Email Queue Recipient")
	rows = (
		query.left_join(recipient)
		.on(
			(recipient.parent == decision.email_queue)
			& (decision.name == Concat(recipient.parent, "-", recipient.name))
		)
		.select(
			decision.decided_on,
			decision.allowed,
			decision.reason,
			decision.consent,
			decision.address_key,
			decision.purpose,
			decision.topic,
			decision.reference_doctype,
			decision.reference_name,
			recipient.recipient.as_("email"),
			recipient.status.as_("mail_status"),
		)
		.run(as_dict=True)
	)
	# The queue is emptied after a month; the register remembers longer.
	unknown = {row.address_key for row in rows if not row.email and row.address_key}
	known = _addresses_on_record(unknown)
	if unknown - known.keys():
		known |= {key: email for emails in audience for email, key in address_keys(emails).items() if key}
	for row in rows:
		row.decided_on = utc_text(row.decided_on)
		address_key = row.pop("address_key")
		row.email = row.email or known.get(address_key)
	return rows


def _addresses_on_record(keys: set[str]) -> dict[str, str]:
	ordered = sorted(keys)
	found: dict[str, str] = {}
	for start in range(0, len(ordered), AT_ONCE):
		for doctype in ("Suppression", "Consent"):
			table = DocType(doctype)
			found |= dict(
				frappe.qb.from_(table)
				.select(table.address_key, table.email)
				.where(table.address_key.isin(ordered[start : start + AT_ONCE]) & table.email.isnotnull())
				.orderby(table.creation)
				.run()
			)
	return found


TITLE_FIELDS = {"Newsletter": "subject", "Email Campaign": "campaign_name"}


def _titles(sources: set[tuple[str | None, str | None]]) -> dict[tuple[str, str], str]:
	"""Return the titles of those Newsletters and campaigns that the user may read."""
	return {
		(doctype, row.name): row.title
		for doctype, field in TITLE_FIELDS.items()
		if frappe.db.exists("DocType", doctype) and frappe.has_permission(doctype, "read")
		for row in frappe.get_list(
			doctype,
			{"name": ["in", [name for one, name in sources if one == doctype] or [""]]},
			["name", f"{field} as title"],
			limit=MOST,
		)
	}
