"""How fast an audience is decided, as a ratio to the bare SQL join that reads the same rows.

It fills the register with people of its own past its writer, measures, and takes them away again. Arguments:
numbers of people, who have two consents each.
"""

import json
import sys
import time
from collections.abc import Callable

from common import PURPOSE, TOPIC, address, empty_register, fill_register, kept, on_the_site, progress

import frappe

from gdpr_consent import audience, identity

MOST = 3.0  # times the bare join
LEAST = 50_000  # decisions a second
FLAT = 1.25  # times the cost of an address among the fewest people
AUDIENCE = 100_000

BARE_JOIN = f"""
	select consent.address_key, consent.status, consent.topic, refusal.kind
	from {audience.ASKED}
	straight_join `tabConsent` consent force index (decision) on consent.address_key = asked.address_key
	left join `tabSuppression` refusal on refusal.address_key = asked.address_key
	where consent.purpose = %(purpose)s and consent.channel = 'Email'
"""


def best_of(times: int, action: Callable[[], object]) -> float:
	measured = []
	for _time in range(times):
		started = time.perf_counter()
		action()
		measured.append(time.perf_counter() - started)
	return min(measured)


def measure(emails: list[str]) -> tuple[float, float, int]:
	"""Return the seconds of the bare join and of the decisions, and the number of queries these took."""
	keys = sorted(identity.address_keys(emails).values())

	def bare() -> None:
		for start in range(0, len(keys), audience.AT_ONCE):
			chunk = json.dumps(keys[start : start + audience.AT_ONCE])
			frappe.db.sql(BARE_JOIN, {"keys": chunk, "purpose": PURPOSE})

	audience.decide_many(emails[:1], PURPOSE, TOPIC)  # what is cached for everybody is
	queries = 0
	sql = frappe.db.sql

	def counted(*args, **kwargs):
		nonlocal queries
		queries += 1
		return sql(*args, **kwargs)

	frappe.db.sql = counted
	audience.decide_many(emails, PURPOSE, TOPIC)
	frappe.db.sql = sql
	times = max(5, AUDIENCE // len(emails))  # a few thousand are soon decided, and soon disturbed
	decided = best_of(times, lambda: audience.decide_many(emails, PURPOSE, TOPIC))
	return best_of(times, bare), decided, queries


def main(sizes: list[int]) -> int:
	failed = False
	filled = 0
	cost_among_fewest = 0.0
	print(
		f"{'people':>10} {'bare join':>10} {'decided':>10} {'ratio':>6} {'µs each':>8} {'a second':>9}"
		f" {'queries':>8}"
	)
	with on_the_site():
		try:
			for size in sizes:
				fill_register(filled, size)
				filled = size
				asked = min(size, AUDIENCE)
				bare, decided, queries = measure([address(number) for number in range(asked)])
				rate = asked / decided
				progress("")
				print(
					f"{size:>10,} {bare:>9.2f}s {decided:>9.2f}s {decided / bare:>6.2f} {1e6 / rate:>8.1f}"
					f" {rate:>9,.0f} {queries:>8,}",
					flush=True,
				)
				limits = [
					kept(f"{size:,} people, times the bare join", decided / bare, MOST),
					kept(f"{size:,} people, a second", rate, LEAST, least=True),
					kept(f"{size:,} people, queries", queries, asked / 1_000 + 1),
				]
				cost_among_fewest = cost_among_fewest or 1 / rate
				if size > sizes[0]:
					growth = 1 / rate / cost_among_fewest
					limits.append(kept(f"{size:,} people, cost of an address to {sizes[0]:,}", growth, FLAT))
					print(f"{'':>10} an address costs {growth:.2f} times what it does among {sizes[0]:,}")
				failed |= not all(limits)
		finally:
			frappe.db.rollback()
			empty_register(0, max(sizes))
	verdict = "MISSED" if failed else "kept"
	print(f"limits: ratio at most {MOST}, at least {LEAST:,} a second, growth at most {FLAT}: {verdict}")
	return int(failed)


if __name__ == "__main__":
	sys.exit(main([int(size) for size in sys.argv[1:]] or [5_000, 100_000, 500_000]))
