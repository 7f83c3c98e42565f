"""Makes the test site as large as a site becomes in years: for each person a Contact with an address, two
consents (one to the purpose, one to a topic), and five events in the chain of each.

The other benchmarks are run on it then. It goes on where an earlier run was interrupted. Arguments: number of
people (1000000), or `remove`.
"""

import sys
import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

from common import PURPOSE, TOPIC, on_the_site, progress

import frappe

from gdpr_consent import identity, ledger
from gdpr_consent.clock import now_utc, utc_text
from gdpr_consent.ledger import Event
from gdpr_consent.policy import EventKind

PREFIX = "Large Site"
AT_ONCE = 5_000
DAYS = 900  # over which the people came


def address(number: int) -> str:
	return f"inhabitant.{number}@town-{number % 5_000}.example"


def events_of(record: str, number: int, topic: str | None, now: datetime) -> Iterator[Event]:
	"""An old list, two requests, the yes, and the record that it was moved to."""
	came = now - timedelta(days=40 + number % DAYS, seconds=number % 86_400)
	given = came + timedelta(days=30)
	email = address(number)
	subject = {
		"email": email,
		"address_key": identity.address_key(email),
		"channel": "Email",
		"purpose": PURPOSE,
		"topic": topic,
		"legal_basis": "Consent",
		"source": "Import",
		"country": "Germany",
	}
	proven = {"evidence_grade": "A", "double_opt_in": 1, "evidence": "Confirmed from the mailbox"}
	times = {"given_on": utc_text(given), "confirmed_on": utc_text(given)}
	steps: list[tuple[EventKind, datetime, dict]] = [
		(EventKind.IMPORT, came, subject),
		(EventKind.ASK, came + timedelta(days=1), {"asked_on": utc_text(came + timedelta(days=1))}),
		(EventKind.ASK, came + timedelta(days=15), {"asked_on": utc_text(came + timedelta(days=15))}),
		(EventKind.GIVE, given, proven | times | {"expires_on": utc_text(given + timedelta(days=1_460))}),
		(EventKind.MOVE, given, {"party_type": "Contact", "party": name_of(number)}),
	]
	for seq, (kind, moment, facts) in enumerate(steps, start=1):
		yield Event(
			record=record,
			seq=seq,
			kind=kind,
			occurred_at=moment,
			recorded_at=moment,
			effective_from=None,
			indicated_by="Data Subject" if kind is EventKind.GIVE else "Controller",
			actor="Administrator",
			source="Import",
			wording=None,
			wording_hash=None,
			facts=facts,
		)


def name_of(number: int) -> str:
	return f"{PREFIX} {number:08}"


def make_people(first: int, last: int) -> None:
	common = {"owner": "Administrator", "creation": frappe.utils.now(), "modified": frappe.utils.now()}
	names = {number: name_of(number) for number in range(first, last)}
	columns = ["name", "first_name", "email_id", *common]
	people = [[name, name, address(number), *common.values()] for number, name in names.items()]
	frappe.db.bulk_insert("Contact", columns, people)
	rows = [[name, name, "Contact", "email_ids", 1, address(number), 1] for number, name in names.items()]
	columns = ["name", "parent", "parenttype", "parentfield", "idx", "email_id", "is_primary"]
	frappe.db.bulk_insert("Contact Email", columns, rows)


def make_records(first: int, last: int, now: datetime) -> None:
	"""In the order of their names, as the table is: otherwise every row would be put on another page."""
	names = sorted(str(uuid.uuid4()) for _number in range(2 * (last - first)))
	chains = [
		[*events_of(name, first + at // 2, TOPIC if at % 2 else None, now)] for at, name in enumerate(names)
	]
	heads = ledger.insert_events("Consent", [(event, None) for chain in chains for event in chain])
	ledger.insert(
		"Consent",
		(
			ledger.fold(chain)
			| {"name": name, "last_seq": len(chain), "last_hash": heads[name], "recorded_by": "Administrator"}
			for name, chain in zip(names, chains, strict=True)
		),
	)


def fill(people: int) -> None:
	if not frappe.db.exists("Subscription Topic", TOPIC):
		frappe.new_doc("Subscription Topic", title=TOPIC, purpose=PURPOSE).insert()
	there = frappe.db.count("Contact", {"name": ["like", f"{PREFIX} %"]})
	started, now = time.perf_counter(), now_utc()
	for first in range(there, people, AT_ONCE):
		last = min(first + AT_ONCE, people)
		make_people(first, last)
		make_records(first, last, now)
		frappe.db.commit()
		rate = (last - there) / (time.perf_counter() - started)
		progress(f"{last:,} of {people:,} people, {10 * rate:,.0f} events a second")
	progress("")
	for table in ("Contact", "Contact Email", "Consent", "Consent Event", "Consent Event Payload"):
		frappe.db.sql(f"analyze table `tab{table}`")
	print(f"{people:,} people, {2 * people:,} consents, {10 * people:,} events.")


def remove() -> None:
	"""Take it all away again, a part at a time."""
	ours = {"party": ["like", f"{PREFIX} %"]}
	while names := frappe.get_all("Consent", ours, pluck="name", limit=AT_ONCE):
		events = [f"{name}-{seq}" for name in names for seq in range(1, 6)]
		for doctype, some in (
			("Consent Event Payload", events),
			("Consent Event", events),
			("Consent", names),
		):
			frappe.db.delete(doctype, {"name": ["in", some]})
		frappe.db.commit()
		progress("taking away consents")
	for doctype, column in (("Contact Email", "parent"), ("Contact", "name")):
		ours = {column: ["like", f"{PREFIX} %"]}
		while names := frappe.get_all(doctype, ours, pluck="name", limit=AT_ONCE):
			frappe.db.delete(doctype, {"name": ["in", names]})
			frappe.db.commit()
			progress(f"taking away: {doctype}")
	progress("")


if __name__ == "__main__":
	with on_the_site():
		if sys.argv[1:] == ["remove"]:
			remove()
		else:
			fill(int(sys.argv[1]) if sys.argv[1:] else 1_000_000)
