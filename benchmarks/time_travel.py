"""How long it takes to ask about another instant, by address, on a million events, against asking about now.

It fills the register with people of its own past its writer, measures, and takes them away again. Argument:
number of people; each has five events of two consents, every twentieth one more.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

from common import (
	AT_ONCE,
	PURPOSE,
	TOPIC,
	address,
	empty_register,
	fill_register,
	kept,
	on_the_site,
	progress,
)

import frappe

from gdpr_consent import audience, identity, ledger
from gdpr_consent.clock import now_utc, utc_text
from gdpr_consent.policy import EventKind

MOST = 50.0  # milliseconds an address
ASKED = 200
PEOPLE = 200_000


def fill_events(first: int, last: int) -> None:
	"""Write the events of what `fill_register` has written: asked, given, moved with the person's record."""
	for start in range(first, last, AT_ONCE):
		keys = [identity.address_key(address(number)) for number in range(start, min(start + AT_ONCE, last))]
		consent, suppression = frappe.qb.DocType("Consent"), frappe.qb.DocType("Suppression")
		of_them = frappe.qb.from_(consent).where(consent.address_key.isin(keys))
		wanted = (consent.name, consent.topic, consent.given_on, consent.expires_on)
		rows = of_them.select(*wanted).run(as_dict=True)
		ledger.insert_events("Consent", ((event, None) for row in rows for event in _events_of(row)))
		said = frappe.qb.from_(suppression).where(suppression.address_key.isin(keys))
		noes = said.select(suppression.name, suppression.said_on).run()
		suppressed = ((_event(name, 1, EventKind.SUPPRESS, said_on, {}), None) for name, said_on in noes)
		ledger.insert_events("Suppression", suppressed)
		frappe.db.commit()
		progress(f"filling the ledger: {min(start + AT_ONCE, last):,} people")


def _events_of(row: frappe._dict) -> Iterator[ledger.Event]:
	given = row.given_on
	facts = {"given_on": utc_text(given), "expires_on": utc_text(row.expires_on), "legal_basis": "Consent"}
	facts |= {"evidence_grade": "C", "double_opt_in": 1, "country": "Germany"}
	yield _event(row.name, 1, EventKind.REQUEST, given - timedelta(hours=1), {"legal_basis": "Consent"})
	yield _event(row.name, 2, EventKind.GIVE, given, facts)
	if not row.topic:
		yield _event(row.name, 3, EventKind.MOVE, given + timedelta(days=1), {"party": "Somebody"})


def _event(record: str, seq: int, kind: EventKind, when, facts: ledger.Facts) -> ledger.Event:
	who = ("Data Subject", "Administrator")
	return ledger.Event(record, seq, kind, when, when, None, *who, None, None, None, facts)


def empty_events(first: int, last: int) -> None:
	"""Take them away, before `empty_register` takes the records that they are found by."""
	for start in range(first, last, AT_ONCE):
		keys = [identity.address_key(address(number)) for number in range(start, min(start + AT_ONCE, last))]
		for doctype in ("Consent", "Suppression"):
			frappe.db.sql(
				f"""delete event, payload from `tab{doctype}` record
				join `tabConsent Event` event on event.`{frappe.scrub(doctype)}` = record.name
				join `tabConsent Event Payload` payload on payload.name = event.name
				where record.address_key in %s""",
				(keys,),
			)
		frappe.db.commit()
		progress(f"emptying the ledger: {min(start + AT_ONCE, last):,} people")


def measure(people: int, **when) -> tuple[float, float]:
	"""Return the median and the slowest of asking about one address, in milliseconds."""
	taken = []
	for number in range(ASKED):
		email = address(number * (people // ASKED))
		started = time.perf_counter()
		audience.decide_many([email], PURPOSE, TOPIC, **when)
		taken.append((time.perf_counter() - started) * 1_000)
	return statistics.median(taken), max(taken)


def main(people: int) -> int:
	with on_the_site():
		try:
			fill_register(0, people)
			fill_events(0, people)
			events = frappe.db.count("Consent Event")
			now = now_utc()
			then = now - timedelta(days=20)
			measure(people)  # what is cached for everybody is
			questions = {"now": {}, "at, cold": {"at": then}, "at": {"at": then}}
			questions["at, known at"] = {"at": now, "known_at": then}
			found = {name: measure(people, **when) for name, when in questions.items()}
		finally:
			frappe.db.rollback()
			empty_events(0, people)
			empty_register(0, people)
	progress("")
	print(f"{events:,} events; {ASKED} addresses, one at a time")
	print(f"{'asked':>14} {'median':>10} {'slowest':>10} {'to now':>7}")
	for name, (median, slowest) in found.items():
		print(f"{name:>14} {median:>7.2f} ms {slowest:>7.2f} ms {median / found['now'][0]:>7.2f}")
	limits = [kept(f"asked {name}, median ms", median, MOST) for name, (median, _slowest) in found.items()]
	print(f"limit: {MOST:.0f} ms: {'kept' if all(limits) else 'MISSED'}")
	return int(not all(limits))


if __name__ == "__main__":
	sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else PEOPLE))
