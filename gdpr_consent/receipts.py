"""Tells a person by mail what was recorded, if they ask for it (UN-14, RC-03). Nothing else is in it."""

from typing import Any

import frappe
from frappe import _

from gdpr_consent import links


def send_consent(given: list[dict[str, Any]]) -> None:
	"""Queue a receipt for consents of one person."""
	names = [row["topic"] or row["purpose"] for row in given]
	titles = [_(name) for name in names]
	_send(given[0], _("You agreed to hear from us"), titles, agreed=True)


def send_refusal(found: dict[str, Any], everything: bool) -> None:
	"""Queue a receipt for a no, said through a link that names a record."""
	name = found["topic"] or found["purpose"]
	titles = [_("All marketing") if everything else _(name)]
	_send(found, _("You will hear no more from us"), titles, agreed=False)


def _send(row: dict[str, Any], subject: str, titles: list[str], agreed: bool) -> None:
	if not row["email"]:
		return
	frappe.sendmail(
		recipients=[row["email"]],
		subject=subject,
		template="consent_receipt",
		args={
			"agreed": agreed,
			"titles": titles,
			"record": row["name"],
			"url": links.preferences_url(row["name"]),
		},
		reference_doctype="Consent",
		reference_name=row["name"],
		add_unsubscribe_link=0,
	)
