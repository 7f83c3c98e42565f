"""Answers "on what ground did you write to me on 1 March?": the decision at an instant, and its ground."""

from datetime import datetime
from typing import Any

import frappe

from gdpr_consent import audience, decisions, identity, ledger
from gdpr_consent.clock import utc_text
from gdpr_consent.policy import Channel

MOST_ADDRESSES = 50  # of one person; a Customer may have thousands
TOLD = ("given_on", "confirmed_on", "expires_on")  # instants of a consent
NAMED = (
	*("legal_basis", "sale_doctype", "sale", "source", "wording", "evidence", "evidence_grade"),
	*("guardian_name", "guardian_verification", "recorded_by"),
)


def scope_of(purpose: str, topic: str | None) -> tuple[str, str | None]:
	"""Return a scope that the register knows, though its purpose or topic is disabled or deleted by now.

	A deleted one is taken as it is written: the records about it still are.
	"""
	stored_purpose = frappe.db.exists("Processing Purpose", purpose) or purpose
	return stored_purpose, (frappe.db.exists("Subscription Topic", topic) or topic) if topic else None


def describe(
	party_type: str,
	party: str,
	purpose: str,
	topic: str | None,
	at: datetime,
	known_at: datetime | None = None,
) -> list[dict[str, Any]]:
	"""Say for each e-mail address of a person whether marketing might be sent to it at an instant, and why.

	Args:
		at, known_at: naive UTC, see `audience.decide_many`.

	Returns:
		rows with `email, allowed, reason, consent`, what the consent said then: `legal_basis,
		sale_doctype, sale, source, wording, evidence, evidence_grade, guardian_name, guardian_verification,
		recorded_by, given_on, confirmed_on, expires_on`, and `mails`: the decisions about mails to this
		address that stood on that consent, for those who may see them.
	"""
	emails = [email for email in identity.addresses_of(party_type, party) if "@" in email][:MOST_ADDRESSES]
	answers = audience.decide_many(emails, purpose, topic, Channel.EMAIL.value, at, known_at)
	consents = [decision.consent for decision in answers.values() if decision.consent]
	events = ledger.read_events("Consent", consents, at, known_at)
	said = {name: ledger.fold(found) for name, found in events.items()}
	mails = decisions.of_people(emails) if frappe.has_permission("Consent Decision", "read") else []
	rows = []
	for email, decision in answers.items():
		facts = said.get(decision.consent or "", {})
		rows.append(
			{
				"email": email,
				"allowed": decision.allowed,
				"reason": decision.reason.value,
				"consent": decision.consent,
				**{name: facts.get(name) for name in NAMED},
				**{name: utc_text(facts.get(name)) for name in TOLD},
				"mails": [one for one in mails if decision.consent and one["consent"] == decision.consent],
			}
		)
	return rows
