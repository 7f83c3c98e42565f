"""Asks people to confirm anew: because a text changed materially (V6), or before a consent expires (CA-15).

Silence renews nothing (CA-16): the consent goes on, or ends, as if nobody had asked.
"""

from datetime import timedelta
from typing import Any

import frappe
from frappe import _
from frappe.utils import cint

from gdpr_consent import register
from gdpr_consent.clock import now_utc
from gdpr_consent.double_opt_in import send_confirmation_mail
from gdpr_consent.failures import log_failure
from gdpr_consent.policy import Channel, Status

AT_ONCE = 500


def older_wordings(wording: str) -> list[str]:
	"""Name the earlier versions, in the same language, of a wording that is marked material."""
	found = frappe.get_cached_doc("Consent Wording", wording)
	if not found.material:
		return []
	return frappe.get_all(
		"Consent Wording",
		{
			"purpose": found.purpose,
			"topic": found.topic or ["is", "not set"],
			"language": found.language,
			"version": ["<", found.version],
		},
		pluck="name",
	)


def count_outdated(wording: str) -> int:
	"""Count the given consents that rest on an older text."""
	filters = {"wording": ["in", older_wordings(wording) or [""]], "status": Status.GIVEN.value}
	return frappe.db.count("Consent", filters)


def start(wording: str) -> None:
	"""Queue the run that asks everybody whose text is outdated; one at a time for each wording."""
	frappe.enqueue(
		"gdpr_consent.renewal.ask_about",
		queue="long",
		job_id=f"consent_renewal_{wording}",
		deduplicate=True,
		enqueue_after_commit=True,
		wording=wording,
	)


def ask_about(wording: str) -> int:
	"""Ask whoever agreed to an older text, and wasn't asked with this one yet; an interrupted run goes on.

	Returns:
		number of people asked.
	"""
	total = count_outdated(wording)
	older, language = (
		older_wordings(wording) or [""],
		frappe.db.get_value("Consent Wording", wording, "language"),
	)
	consent = frappe.qb.DocType("Consent")
	last, seen, asked = "", 0, 0
	while rows := (
		frappe.qb.from_(consent)
		.select(consent.name)
		.where(consent.wording.isin(older) & (consent.status == Status.GIVEN.value))
		.where((consent.channel == Channel.EMAIL.value) & consent.email.isnotnull())
		.where(consent.asked_wording.isnull() | (consent.asked_wording != wording))
		.where(consent.name > last)
		.orderby(consent.name)
		.limit(AT_ONCE)
		.run(pluck=True)
	):
		last = rows[-1]
		for name in rows:
			asked += _ask([name], {name: wording}, language)
		seen += len(rows)
		frappe.publish_progress(
			100 * seen / max(total, seen), title=_("Asking again"), doctype="Consent Wording", docname=wording
		)
	return asked


def start_reminding(days: int) -> None:
	"""Queue the run that asks those whose consent ends within so many days; one at a time."""
	frappe.enqueue(
		"gdpr_consent.renewal.remind",
		queue="long",
		job_id="consent_renewal_reminders",
		deduplicate=True,
		enqueue_after_commit=True,
		days=days,
	)


def remind(days: int | None = None) -> int:
	"""Ask those whose marketing consent ends soon, once for each consent.

	Args:
		days: within how many; those that Consent Settings name if not given.

	Returns:
		number of mails queued.
	"""
	if days is None:
		days = cint(frappe.db.get_single_value("Consent Settings", "renewal_notice_days"))
	if not days:
		return 0
	now = now_utc()
	consent, purpose = frappe.qb.DocType("Consent"), frappe.qb.DocType("Processing Purpose")
	due = (
		frappe.qb.from_(consent)
		.join(purpose)
		.on(purpose.name == consent.purpose)
		.where((purpose.is_marketing == 1) & (purpose.enabled == 1))
		.where((consent.status == Status.GIVEN.value) & (consent.channel == Channel.EMAIL.value))
		.where(consent.expires_on[now : now + timedelta(days=days)])
		.where(consent.asked_on.isnull() & consent.email.isnotnull())
	)
	last, asked = "", 0
	while keys := (
		due.select(consent.address_key)
		.distinct()
		.where(consent.address_key > last)
		.orderby(consent.address_key)
		.limit(AT_ONCE)
		.run(pluck=True)
	):
		last = keys[-1]
		of_one: dict[tuple[str, str], list[Any]] = {}
		for row in (
			due.select(consent.name, consent.address_key, consent.purpose, consent.wording, consent.language)
			.where(consent.address_key.isin(keys))
			.run(as_dict=True)
		):
			of_one.setdefault((row.address_key, row.purpose), []).append(row)
		asked += sum(
			_ask([row.name for row in rows], {row.name: row.wording for row in rows}, rows[0].language)
			for rows in of_one.values()
		)
	return asked


def _ask(consents: list[str], wordings: dict[str, str | None], language: str | None) -> bool:
	"""Ask one person, and commit. Who got the mails of a day already, and who can't be asked, is left for the
	next run."""
	try:
		asked = register.ask_again(consents, wordings)
		if asked and send_confirmation_mail(asked, language):
			frappe.db.commit()  # nosemgrep: the person is asked; an interruption loses nothing
			return True
		frappe.db.rollback()
	except Exception:
		frappe.db.rollback()
		log_failure("Renewal: somebody wasn't asked", ", ".join(consents))
		frappe.db.commit()  # nosemgrep: the others are asked all the same
	return False
