"""Asks a person to confirm from their own mailbox, and nothing else in the mail (CA-09)."""

from datetime import timedelta
from typing import Any

import frappe
from frappe import _

from gdpr_consent import links, throttle
from gdpr_consent.clock import hours_in_words
from gdpr_consent.policy import Status


def send_confirmation_mail(pending: list[dict[str, Any]], language: str | None = None) -> bool:
	"""Queue the mail for records that wait for an answer.

	Returns:
		whether it was queued. An address that got its mails for today gets no more, so that nobody can
		molest a third person with the form (WB-02).
	"""
	first = pending[0]
	if not throttle.may_mail(first["address_key"]):
		return False
	shown = frappe.local.lang
	frappe.local.lang = language or first["language"] or shown
	try:
		names = [row["topic"] or row["purpose"] for row in pending]
		titles = [_(name) for name in names]
		company = first["company"] or frappe.db.get_default("company") or frappe.local.site
		renews = first["status"] == Status.GIVEN
		hours = frappe.db.get_single_value("Consent Settings", "confirmation_hours") or 72
		if renews:
			hours = links.MAX_AGE_OF_CONFIRMATION // timedelta(hours=1)
		frappe.sendmail(
			recipients=[first["email"]],
			subject=_("Please confirm: may {0} write to you?").format(company),
			template="consent_confirmation",
			args={
				"company": company,
				"titles": titles,
				"url": links.confirmation_url([row["name"] for row in pending]),
				"validity": hours_in_words(hours),
				"renews": renews,
				"texts": asked_texts(pending),
			},
			reference_doctype="Consent",
			reference_name=first["name"],
			add_unsubscribe_link=0,
		)
	finally:
		frappe.local.lang = shown
	return True


def asked_texts(rows: list[dict[str, Any]]) -> list[str]:
	"""Return the wordings that somebody is asked to confirm, the first time or anew."""
	first = [row.get("wording") for row in rows if row["status"] == Status.REQUESTED]
	anew = [row.get("asked_wording") for row in rows if row["status"] == Status.GIVEN]
	names = [name for name in (*first, *anew) if name]
	return frappe.get_all("Consent Wording", {"name": ["in", names]}, pluck="text") if names else []
