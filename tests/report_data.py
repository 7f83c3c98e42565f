"""A register full of consents in every state, for the reports; computed from a number, so it is the same each
time."""

import random
import uuid
from datetime import timedelta

import frappe

from gdpr_consent import ledger
from gdpr_consent.clock import now_utc
from gdpr_consent.identity import address_key
from gdpr_consent.policy import Reason, Status

SOURCES = ("Web Form", "Phone", "Event", "Import", None)
BLOCKING = [reason.value for reason in Reason if not reason.allows]


def consents(emails: list[str], topic: str, wordings: tuple[str | None, ...] = (None,)) -> list[dict]:
	"""Insert one consent for each address, past the register's writer, and return the rows.

	Some have run out without any job having noticed.
	"""
	chance, now = random.Random(7), now_utc()
	company = frappe.db.get_value("Processing Purpose", "Email Marketing", "company")
	rows = []
	for email in emails:
		status = chance.choice(list(Status)).value
		given = now - timedelta(days=chance.randrange(1, 700), minutes=chance.randrange(1_440))
		basis = "Contract" if status in ("Not Required", "Ended") else "Consent"
		was_given = status not in ("Requested", "Lapsed", "Refused", "Unknown")
		rows.append(
			{
				"name": str(uuid.uuid4()),
				"email": email,
				"address_key": address_key(email),
				"channel": "Email",
				"purpose": "Email Marketing",
				"topic": topic,
				"company": company,
				"legal_basis": basis,
				"source": chance.choice(SOURCES),
				"status": status,
				"since": given,
				"given_on": given if was_given else None,
				"expires_on": chance.choice([None, now + timedelta(days=chance.randrange(-60, 60), hours=3)]),
				"evidence_grade": chance.choice(["A", "B", "C", "D"]) if was_given else None,
				"double_opt_in": 1,
				"wording": chance.choice(wordings),
				"recorded_by": "Administrator",
			}
		)
	ledger.insert("Consent", rows)
	return rows


def decisions(newsletter: str, topic: str, emails: list[str]) -> list[dict]:
	"""Insert decisions of the last 40 days about the mails of a Newsletter."""
	chance, now = random.Random(11), now_utc()
	rows = []
	for email in emails:
		allowed = chance.random() < 0.4
		rows.append(
			{
				"name": str(uuid.uuid4()),
				"decided_on": now - timedelta(days=chance.randrange(40), seconds=chance.randrange(80_000)),
				"allowed": int(allowed),
				"reason": Reason.VALID_CONSENT.value if allowed else chance.choice(BLOCKING),
				"address_key": address_key(email),
				"channel": "Email",
				"purpose": "Email Marketing",
				"topic": topic,
				"reference_doctype": "Newsletter",
				"reference_name": newsletter,
			}
		)
	ledger.insert("Consent Decision", rows)
	return rows


def remove(topic: str) -> None:
	"""Take away what was committed."""
	for doctype in ("Consent", "Consent Decision"):
		frappe.db.delete(doctype, {"topic": topic})
	frappe.db.commit()
