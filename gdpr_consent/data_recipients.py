"""Who has people's data from us, and what they are to be told: that a permission has ended (Art. 19 GDPR,
C-129/21; ST-16, RE-05). `rights/notifications.py` tells them."""

import uuid
from collections.abc import Iterable
from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent import ledger, shared_cache
from gdpr_consent.clock import now_utc
from gdpr_consent.exceptions import ConsentError, NotNow
from gdpr_consent.policy import EventKind, RefusalKind, Status

DOCTYPE, NOTIFICATION = "Data Recipient", "Recipient Notification"
PROCESSOR = "Processor"
DUE, SENDING, TOLD, FAILED = "Due", "Sending", "Told", "Failed"
TOLD_OF = "consent_recipients_to_tell"  # in the cache

ENDS_A_PERMISSION = frozenset(
	{EventKind.WITHDRAW, EventKind.REVOKE, EventKind.EXPIRE, EventKind.INVALIDATE, EventKind.END}
)
ALLOWED_SOMETHING = frozenset({Status.GIVEN, Status.NOT_REQUIRED})

Row = dict[str, Any]


def note(ended: Iterable[Row], restricted: Iterable[Row]) -> None:
	"""Write down, in the transaction of what happened, whom to tell of it.

	Where nobody has to be told this costs a look-up in the cache and no query.

	Args:
		ended, restricted: rows of Consent; one that never allowed anything was passed on to nobody.
	"""
	recipients = shared_cache.get(TOLD_OF, _read_whom_to_tell)
	if not recipients:
		return
	happened = [(row, row["status"]) for row in ended if row.get("given_on")]
	happened += [(row, RefusalKind.RESTRICTION.value) for row in restricted]
	now = now_utc()
	ledger.insert(
		NOTIFICATION,
		[
			{
				"name": uuid.uuid4().hex,
				"recipient": recipient,
				"status": DUE,
				"what": getattr(what, "value", what),
				"happened_on": row.get("ended_on") or now,
				"email": row["email"],
				"consent": row["name"],
				"address_key": row["address_key"],
				"channel": row["channel"],
				"purpose": row["purpose"],
				"topic": row["topic"] or None,
				"attempts": 0,
				"try_after": now,
			}
			for row, what in happened
			for recipient in recipients.get(row["purpose"], ())
			if row.get("email")
		],
	)


def forget() -> None:
	shared_cache.forget(TOLD_OF)


def _read_whom_to_tell() -> dict[str, list[str]]:
	"""Return for each purpose who is told of it."""
	recipient, purpose = frappe.qb.DocType(DOCTYPE), frappe.qb.DocType(f"{DOCTYPE} Purpose")
	rows = (
		frappe.qb.from_(recipient)
		.join(purpose)
		.on((purpose.parent == recipient.name) & (purpose.parenttype == DOCTYPE))
		.select(purpose.purpose, recipient.name)
		.distinct()
		.where((recipient.enabled == 1) & (recipient.is_told == 1))
		.orderby(recipient.name)
		.run()
	)
	found: dict[str, list[str]] = {}
	for name, who in rows:
		found.setdefault(name, []).append(who)
	return found


def of_purposes(purposes: Iterable[str]) -> dict[str, list[Row]]:
	"""List for each purpose the recipients of its data: `name, role, located_in, contract, email`."""
	purposes = list(purposes)
	recipient, purpose = frappe.qb.DocType(DOCTYPE), frappe.qb.DocType(f"{DOCTYPE} Purpose")
	rows = (
		frappe.qb.from_(recipient)
		.join(purpose)
		.on((purpose.parent == recipient.name) & (purpose.parenttype == DOCTYPE))
		.select(purpose.purpose, recipient.name, recipient.role, recipient.located_in, recipient.contract)
		.select(recipient.email)
		.distinct()
		.where((recipient.enabled == 1) & purpose.purpose.isin(purposes))
		.orderby(recipient.name)
		.run(as_dict=True)
		if purposes
		else []
	)
	found: dict[str, list[Row]] = {}
	for row in rows:
		found.setdefault(row.pop("purpose"), []).append(row)
	return found


def in_words(recipient: Row) -> str:
	"""Name a recipient as the record of processing does: "Mailhouse (Processor, Germany)"."""
	what = ", ".join(_(one) for one in (recipient["role"], recipient["located_in"]) if one)
	return f"{recipient['name']} ({what})"


def check_knows_all(recipient: str) -> None:
	"""Refuse to forget a recipient who is still to be told something.

	Raises:
		NotNow
	"""
	if waiting := frappe.db.count(NOTIFICATION, {"recipient": recipient, "status": ["!=", TOLD]}):
		frappe.throw(
			_("{0} is still to be told of {1} people. Tell them first, or note that they were told.").format(
				frappe.bold(recipient), waiting
			),
			NotNow,
		)


def check(recipient: Document) -> None:
	"""Refuse a recipient that is named twice for a purpose.

	Raises:
		ConsentError
	"""
	named = [row.purpose for row in recipient.purposes]
	if twice := [purpose for purpose in named if named.count(purpose) > 1]:
		frappe.throw(
			_("Purpose {0} stands twice. Remove one of the two.").format(frappe.bold(twice[0])), ConsentError
		)
