"""Mail that comes back (EM-19)."""

from datetime import datetime

from frappe import _

from gdpr_consent.exceptions import EvidenceMissing
from gdpr_consent.identity import address_key, address_keys
from gdpr_consent.policy import Channel, EventKind, RefusalKind
from gdpr_consent.register.no import write_noes
from gdpr_consent.register.writing import CONTROLLER, SYSTEM, Act, No, Row, Scope, Writing


def note_bounce(email: str, sent_on: datetime, reason: str) -> bool:
	"""Stop marketing to an address that doesn't take mail (EM-19). The person's other addresses may.

	Args:
		sent_on: when the mail that came back was sent, naive UTC.
		reason: what was reported, without anybody's address.

	Returns:
		whether it counts. It doesn't if the address was found to work since the mail was sent.
	"""
	key = address_keys([email])[email]
	if not key:
		return False
	with Writing([key]) as writing:
		worked = [row.get("lifted_on") for row in bounces_in(writing, key)]
		worked += [row.get("confirmed_on") for row in writing.consents[key]]
		if any(found and found >= sent_on for found in worked):
			return False
		no = No(RefusalKind.BOUNCE, Scope(Channel.EMAIL.value, ""), email)
		write_noes(writing, [no], Act(SYSTEM, reason=reason))
		return True


def lift_bounce(email: str, reason: str) -> list[str]:
	"""End the bounces of an address whose mailbox works again.

	Returns:
		names of the suppressions that this lifted. Saying it twice lifts nothing more.

	Raises:
		EvidenceMissing: no reason given.
		InvalidEmailAddress: see `identity.normalise_email`.
	"""
	if not (reason or "").strip():
		raise EvidenceMissing(_("Reason is missing. Say why the mailbox is thought to work again."))
	key = address_key(email)
	with Writing([key]) as writing:
		return lift_bounces_in(writing, key, Act(CONTROLLER, reason=reason))


def lift_bounces_in(writing: Writing, key: str, act: Act) -> list[str]:
	standing = [row for row in bounces_in(writing, key) if not row.get("lifted_on")]
	for row in standing:
		writing.append("Suppression", row, EventKind.LIFT, act, {"lifted_on": writing.now})
	return [row["name"] for row in standing]


def bounces_in(writing: Writing, key: str) -> list[Row]:
	return [row for row in writing.suppressions[key] if row["kind"] == RefusalKind.BOUNCE]
