"""How fast an audience is decided, as a ratio to the bare SQL join that reads the same rows.

Run in the sites folder of a bench: FRAPPE_SITE=… python benchmarks/audience.py [people …]. It fills the
register with people of its own past its writer, measures, and rolls everything back.
"""

import os
import sys
import time
import uuid
from datetime import timedelta

import frappe

from gdpr_consent import audience, identity, ledger
from gdpr_consent.clock import now_utc

PURPOSE, TOPIC = "Email Marketing", "Benchmark"
MOST = 3.0  # times the bare join
LEAST = 50_000  # decisions a second
AUDIENCE = 100_000

BARE_JOIN = """
	select consent.address_key, consent.status, consent.topic, suppression.kind
	from `tabConsent` consent
	left join `tabSuppression` suppression on suppression.address_key = consent.address_key
	where consent.address_key in %(keys)s and consent.purpose = %(purpose)s and consent.channel = 'Email'
"""


def address(number: int) -> str:
	return f"person.{number}@company-{number % 5_000}.example"


def fill(first: int, last: int) -> None:
	"""Two consents each, for the purpose and the topic; every twentieth person has objected."""
	now = now_utc()
	given = now - timedelta(days=30)
	for start in range(first, last, 10_000):
		consents, refusals = [], []
		for number in range(start, min(start + 10_000, last)):
			key = identity.address_key(address(number))
			common = {"address_key": key, "channel": "Email", "purpose": PURPOSE, "legal_basis": "Consent"}
			for topic in (None, TOPIC):
				consents.append(
					{
						"name": str(uuid.uuid4()),
						**common,
						"topic": topic,
						"status": "Given",
						"since": given,
						"given_on": given,
						"expires_on": now + timedelta(days=300),
					}
				)
			if number % 20 == 0:
				refusals.append(
					{"name": str(uuid.uuid4()), "address_key": key, "kind": "Objection", "said_on": now}
				)
		ledger.insert("Consent", consents)
		ledger.insert("Suppression", refusals)
		progress(f"filling the register: {min(start + 10_000, last):,} people")


def progress(text: str) -> None:
	if sys.stderr.isatty():
		print(f"\r{text:<70}", end="", file=sys.stderr, flush=True)


def best_of(times: int, action) -> float:
	measured = []
	for _time in range(times):
		started = time.perf_counter()
		action()
		measured.append(time.perf_counter() - started)
	return min(measured)


def measure(emails: list[str]) -> tuple[float, float, int]:
	keys = list(identity.address_keys(emails).values())

	def bare() -> None:
		for start in range(0, len(keys), audience.AT_ONCE):
			chunk = keys[start : start + audience.AT_ONCE]
			frappe.db.sql(BARE_JOIN, {"keys": chunk, "purpose": PURPOSE})

	queries = 0
	sql = frappe.db.sql

	def counted(*args, **kwargs):
		nonlocal queries
		queries += 1
		return sql(*args, **kwargs)

	frappe.db.sql = counted
	audience.decide_many(emails, PURPOSE, TOPIC)
	frappe.db.sql = sql
	return best_of(3, bare), best_of(3, lambda: audience.decide_many(emails, PURPOSE, TOPIC)), queries


def main(sizes: list[int]) -> int:
	frappe.init(os.environ["FRAPPE_SITE"], sites_path=".")
	frappe.connect()
	frappe.db.MAX_WRITES_PER_TRANSACTION = 10**9
	emails = [address(number) for number in range(AUDIENCE)]
	failed = False
	print(f"{'people':>10} {'bare join':>10} {'decided':>10} {'ratio':>6} {'per second':>11} {'queries':>8}")
	filled = 0
	try:
		for size in sizes:
			fill(filled, size)
			filled = max(filled, size)
			bare, decided, queries = measure(emails[: min(size, AUDIENCE)])
			asked = min(size, AUDIENCE)
			rate = asked / decided
			progress("")
			print(
				f"\r{size:>10,} {bare:>9.2f}s {decided:>9.2f}s {decided / bare:>6.2f}"
				f" {rate:>11,.0f} {queries:>8,}"
			)
			failed |= decided / bare > MOST or rate < LEAST
	finally:
		frappe.db.rollback()
		frappe.destroy()
	print(f"limits: ratio at most {MOST}, at least {LEAST:,} a second: {'MISSED' if failed else 'kept'}")
	return int(failed)


if __name__ == "__main__":
	sys.exit(main([int(size) for size in sys.argv[1:]] or [10_000, 100_000, 1_000_000]))
