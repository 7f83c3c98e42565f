"""Tells the site's own Webhooks and Notifications about consents that were given, withdrawn, or ended.

The register writes past the document API, so core doesn't notice. What was written is told after the commit,
each event once, in a job: nothing of a write that was rolled back, and nothing of an import, as core does it.
"""

from collections.abc import Iterable
from typing import Any

import frappe
from frappe.integrations.doctype import webhook
from frappe.model.document import Document

from gdpr_consent import ledger
from gdpr_consent.failures import log_failure
from gdpr_consent.policy import STATUS_AFTER

AT_ONCE = 500  # events a job
JOB = "gdpr_consent.announcements.tell"
DOCTYPE = "Consent"


def note(events: Iterable[ledger.Event]) -> None:
	"""Remember what was written to consents, to tell it if and when it is committed.

	Where nobody listens this costs two look-ups in the cache and no query.
	"""
	changes = {
		event.record: event.seq for event in events if event.kind in STATUS_AFTER
	}  # the last one of each
	if not changes or _is_silent() or not _somebody_listens():
		return
	waiting: list[str] | None = getattr(frappe.local, "consent_announcements", None)
	if waiting is None:
		waiting = frappe.local.consent_announcements = []
		frappe.db.after_commit.add(_hand_over)
		frappe.db.after_rollback.add(forget)
	waiting += [f"{record}-{seq}" for record, seq in changes.items()]


def _is_silent() -> bool:
	flags = frappe.flags
	return bool(flags.in_import or flags.in_patch or flags.in_install or flags.in_migrate)


def _somebody_listens() -> bool:
	# Core keeps these two itself, and forgets them when somebody saves one.
	if hasattr(frappe, "client_cache"):  # v16
		cache = frappe.client_cache
		webhooks = cache.get_value("webhooks", generator=webhook.get_all_webhooks)
		notifications = cache.get_value(f"notifications::{DOCTYPE}", generator=_notifications)
	else:
		webhooks = frappe.cache.get_value("webhooks", webhook.get_all_webhooks)
		notifications = frappe.cache.hget("notifications", DOCTYPE, _notifications)
	return DOCTYPE in webhooks or bool(notifications)


def _notifications() -> list[dict[str, Any]]:
	"""What core keeps under this key, see Document.run_notifications."""
	filters = {"enabled": 1, "document_type": DOCTYPE}
	return frappe.get_all("Notification", fields=["name", "event", "method"], filters=filters)


def forget() -> None:
	"""Drop what was to be done after a commit that won't come."""
	frappe.local.consent_announcements = None


def _hand_over() -> None:
	events = getattr(frappe.local, "consent_announcements", None) or []
	forget()
	for start in range(0, len(events), AT_ONCE):
		try:
			frappe.enqueue(JOB, queue="default", events=events[start : start + AT_ONCE])
		except Exception:  # the consent stands, whether or not a webhook hears of it
			log_failure("Consent webhooks weren't queued")


def tell(events: list[str]) -> None:
	"""Run the Webhooks and Notifications of consents, each as it was right after its event.

	Args:
		events: names of Consent Events. One that isn't there was rolled back to a savepoint, and isn't told.
	"""
	event = frappe.qb.DocType("Consent Event")
	found = frappe.qb.from_(event).select(event.consent, event.seq).where(event.name.isin(events)).run()
	histories = ledger.read_events(DOCTYPE, list(dict.fromkeys(consent for consent, _seq in found)))
	told = {f"{consent}-{seq}": (consent, seq) for consent, seq in found}
	for consent, seq in (told[name] for name in events if name in told):
		try:
			_run(_as_of(histories[consent], consent, seq))
		except Exception:  # a condition with a mistake in it doesn't silence the others
			log_failure("Consent webhook failed", consent)


def _as_of(history: list[ledger.Event], consent: str, seq: int) -> Document:
	def after(number: int) -> Document:
		row = ledger.fold(event for event in history if event.seq <= number)
		return frappe.get_doc({"doctype": DOCTYPE, **row, "name": consent, "last_seq": number})

	doc = after(seq)
	if seq > 1:
		doc._doc_before_save = after(seq - 1)
	doc.flags.in_insert = seq == 1
	return doc


def _run(doc: Document) -> None:
	for method in ("after_insert", "on_update") if doc.flags.in_insert else ("on_update", "on_change"):
		doc.run_notifications(method)
		webhook.run_webhooks(doc, method)
