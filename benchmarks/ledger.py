"""How fast all events, seals and rows are checked, as a ratio to plainly reading the same rows.

It commits consents of its own with four events each, seals them, measures, and takes them away again. The
argument is the number of events.
"""

import os
import sys
import time
import uuid
from datetime import timedelta

from common import address, kept, on_the_site, progress

import frappe

from gdpr_consent import identity, ledger, seals
from gdpr_consent.clock import now_utc, utc_text
from gdpr_consent.policy import EventKind

MOST_SECONDS = 60  # for a million events
KINDS = (EventKind.REQUEST, EventKind.CONFIRM, EventKind.SUPERSEDE, EventKind.WITHDRAW)
RECORDS_AT_ONCE = 2_500

BARE_READ = """
	select event.*, payload.payload, payload.salt from `tabConsent Event` event
	join `tabConsent Event Payload` payload on payload.name = event.name
	where event.name > %s order by event.name limit 10000
"""


def facts(number: int) -> ledger.Facts:
	given = utc_text(now_utc())
	return {
		"email": address(number),
		"address_key": identity.address_key(address(number)),
		"channel": "Email",
		"purpose": "Email Marketing",
		"topic": None,
		"legal_basis": "Consent",
		"source": "Web Form",
		"given_on": given,
		"expires_on": given,
		"evidence": "Said so on the phone to the shop.",
		"evidence_grade": "C",
		"double_opt_in": 1,
		"language": "en",
		"country": "Germany",
	}


def fill(names: list[str]) -> None:
	for start in range(0, len(names), RECORDS_AT_ONCE):
		events = []
		began = now_utc()
		rows = {}
		for number, name in enumerate(names[start : start + RECORDS_AT_ONCE], start):
			for seq, kind in enumerate(KINDS, 1):
				at = began + timedelta(microseconds=number)
				more = (None, "Data Subject", "Administrator", "Web Form", None, None, facts(number))
				event = ledger.Event(name, seq, kind, at, at, *more)
				ledger.apply(rows.setdefault(name, {"name": name, "last_seq": len(KINDS)}), event)
				events.append((event, None))
		heads = ledger.insert_events("Consent", events)
		ledger.insert("Consent", [row | {"last_hash": heads[name]} for name, row in rows.items()])
		frappe.db.commit()
		progress(f"filling the ledger: {start + len(rows):,} of {len(names):,} records")
	progress("sealing")
	began_at = time.perf_counter()
	seals.seal()
	progress("")
	print(f"sealing: {(time.perf_counter() - began_at) / len(names) / len(KINDS) * 1e6:.0f} µs an event")


def empty(names: list[str]) -> None:
	for start in range(0, len(names), RECORDS_AT_ONCE):
		some = names[start : start + RECORDS_AT_ONCE]
		events = [f"{name}-{seq}" for name in some for seq in range(1, len(KINDS) + 1)]
		named = {"Consent Event Payload": events, "Consent Event": events, "Consent": some}
		for doctype, rows in named.items():
			frappe.db.delete(doctype, {"name": ["in", rows]})
		frappe.db.commit()
		progress(f"emptying the ledger: {start + len(some):,} records")
	frappe.db.delete("Ledger Seal")
	frappe.db.sql("update `tabConsent Event` set seal = 0 where seal != 0")
	frappe.db.commit()
	progress("")


def read_plainly() -> int:
	last, number = "", 0
	while rows := frappe.db.sql(BARE_READ, [last]):
		last, number = rows[-1][0], number + len(rows)
	return number


def main(events: int) -> int:
	names = sorted(str(uuid.uuid4()) for _number in range(events // len(KINDS)))
	with on_the_site():
		if frappe.db.count("Ledger Seal"):
			print("This site has seals. Measure on one that has none: they are taken away in the end.")
			return 1
		try:
			fill(names)
			began = time.perf_counter()
			number = read_plainly()
			bare = time.perf_counter() - began
			done = 0

			def more(checked: int) -> None:
				nonlocal done
				done += checked
				progress(f"checking: {done:,} events")

			began, computed = time.perf_counter(), time.process_time()
			found = ledger.verify(more)
			taken, computed = time.perf_counter() - began, time.process_time() - computed
			progress("")
			assert found["ok"] and found["checked"] == number, found
		finally:
			frappe.db.rollback()
			empty(names)
	per_million = taken / number * 1e6
	is_kept = kept("checking events, seconds a million", per_million, MOST_SECONDS)
	print(
		f"{number:,} events, {found['seal']} seals: read plainly {bare:.1f} s, checked {taken:.1f} s,"
		f" ratio {taken / bare:.2f}, {per_million:.1f} s a million, of which this process computed"
		f" {computed / number * 1e6:.1f} s; load {os.getloadavg()[0]:.1f}"
	)
	print(f"limit: {MOST_SECONDS} s a million: {'kept' if is_kept else 'MISSED'}")
	return int(not is_kept)


if __name__ == "__main__":
	sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
