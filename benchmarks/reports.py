"""How long each report and figure takes on a large register, as a ratio to counting the same table once.

The baseline is `select count(*) … group by` over the whole table, in the same run, so a faster or busier
machine changes both. It fills the register with consents and decisions of its own, past its writer, and takes
them away again. Argument: number of consents.
"""

import random
import sys
import time
import uuid
from collections.abc import Callable
from datetime import timedelta

from common import PURPOSE, TOPIC, address, kept, on_the_site, progress

import frappe

from gdpr_consent import identity, ledger
from gdpr_consent.clock import now_utc
from gdpr_consent.reports import (
	blocked_mail,
	cards,
	common,
	consent_register,
	coverage,
	expiring,
	processing,
	sources,
	wordings,
)

AT_ONCE = 10_000
TOPICS = [f"{TOPIC} {number}" for number in range(20)]
WORDINGS = [f"{TOPIC} Wording {number}" for number in range(40)]
SOURCES = ("Web Form", "Phone", "Event", "Import", "E-mail")
STATUSES = ("Given",) * 12 + ("Withdrawn",) * 2 + ("Expired",) * 3 + ("Requested", "Unknown", "Not Required")
PEOPLE = 10_000  # Contacts for the coverage by legal basis

# Each: what it is, what it is measured against, at most so many times that, and how it is done.
Case = tuple[str, str, float, Callable[[], object]]
CASES: list[Case] = [
	("Consent Register", "Consent", 3.0, lambda: consent_register.execute({})),
	("… of one topic", "Consent", 3.0, lambda: consent_register.execute({"topic": TOPICS[3]})),
	(
		"… expired, by phone",
		"Consent",
		3.0,
		lambda: consent_register.execute({"status": "Expired", "source": "Phone"}),
	),
	(
		"… grade B, of a month",
		"Consent",
		3.0,
		lambda: consent_register.execute({"grade": "B", "from_date": "2026-01-01", "to_date": "2026-01-31"}),
	),
	("Consent Coverage, marketing mail", "Consent", 3.0, lambda: coverage.execute({})),
	("Expiring and Lapsed", "Consent", 3.0, lambda: expiring.execute({})),
	("Blocked Mail", "Consent Decision", 5.0, lambda: blocked_mail.execute({})),
	("Wording in Use", "Consent", 3.0, lambda: wordings.execute({})),
	("Record of Processing Activities", "Consent", 3.0, lambda: processing.execute({})),
	("Sources", "Consent", 3.0, lambda: sources.execute({})),
	("Card: Mailable", "Consent", 1.0, cards.mailable),
	("Card: Expiring in 30 Days", "Consent", 1.0, cards.expiring),
	("Card: Unproven Consents", "Consent", 4.0, cards.unproven),
	("Card: Blocked This Week", "Consent Decision", 1.0, cards.blocked_this_week),
	("Card: Requests Due", "Consent", 1.0, cards.requests_due),
	*((f"Chart: {name}", "Consent", 4.0, lambda name=name: cards.get_chart(name)) for name in cards.CHARTS),
]
BASELINES = {
	"Consent": "select `status`, count(*) from `tabConsent` group by `status`",
	"Consent Decision": "select `allowed`, count(*) from `tabConsent Decision` group by `allowed`",
}


def fill(number: int) -> None:
	chance, now = random.Random(3), now_utc()
	for start in range(0, number, AT_ONCE):
		consents, decisions = [], []
		for at in range(start, min(start + AT_ONCE, number)):
			given = now - timedelta(days=chance.randrange(900), milliseconds=at)
			key, email = identity.address_key(address(at)), address(at)
			topic, status = chance.choice(TOPICS), chance.choice(STATUSES)
			common = {"address_key": key, "channel": "Email", "purpose": PURPOSE, "topic": topic}
			consents.append(
				{
					"name": str(uuid.uuid4()),
					**common,
					"email": email,
					"status": status,
					"since": given,
					"given_on": given,
					"expires_on": given + timedelta(days=730),
					"legal_basis": "Contract" if status == "Not Required" else "Consent",
					"source": chance.choice(SOURCES),
					"evidence_grade": chance.choice("AABCD"),
					"double_opt_in": 1,
					"country": chance.choice(["Germany", "Poland", None]),
					"wording": chance.choice(WORDINGS),
					"recorded_by": "Administrator",
				}
			)
			allowed = chance.random() < 0.7
			decisions.append(
				{
					"name": str(uuid.uuid4()),
					**common,
					"decided_on": now - timedelta(days=chance.randrange(400), seconds=at % 80_000),
					"allowed": int(allowed),
					"reason": "VALID_CONSENT"
					if allowed
					else chance.choice(["OBJECTED", "NO_CONSENT", "EXPIRED"]),
					"reference_doctype": "Newsletter",
					"reference_name": f"{TOPIC} {at % 300}",
				}
			)
		ledger.insert("Consent", consents)
		ledger.insert("Consent Decision", decisions)
		frappe.db.commit()
		progress(f"filling the register: {min(start + AT_ONCE, number):,} consents")
	for table in BASELINES:
		frappe.db.sql(f"analyze table `tab{table}`")


def empty() -> None:
	for doctype in ("Consent", "Consent Decision"):
		while frappe.db.sql(f"select 1 from `tab{doctype}` where `topic` like %s limit 1", f"{TOPIC} %"):
			frappe.db.sql(f"delete from `tab{doctype}` where `topic` like %s limit 20000", f"{TOPIC} %")
			frappe.db.commit()
			progress(f"emptying {doctype}")


def add_people(number: int) -> None:
	now = frappe.utils.now()
	names = [f"{TOPIC} {at:06}" for at in range(number)]
	common = {"owner": "Administrator", "creation": now, "modified": now}
	frappe.db.bulk_insert(
		"Contact", ["name", "first_name", *common], [[name, name, *common.values()] for name in names]
	)
	frappe.db.bulk_insert(
		"Contact Email",
		["name", "parent", "parenttype", "parentfield", "idx", "email_id", "is_primary"],
		[[name, name, "Contact", "email_ids", 1, address(at), 1] for at, name in enumerate(names)],
	)
	frappe.db.commit()


def remove_people() -> None:
	frappe.db.delete("Contact", {"name": ["like", f"{TOPIC} %"]})
	frappe.db.delete("Contact Email", {"parent": ["like", f"{TOPIC} %"]})
	frappe.db.commit()


def seconds(action: Callable[[], object], times: int = 3) -> float:
	"""Return the best of some runs, each without what the last one has left in the cache."""
	measured = []
	for _time in range(times):
		frappe.cache.delete_keys("consent_report")
		started = time.perf_counter()
		action()
		measured.append(time.perf_counter() - started)
	return min(measured)


def main(number: int) -> int:
	failed = False
	with on_the_site():
		try:
			fill(number)
			add_people(PEOPLE)
			progress("")
			in_file, common.IN_FILE = common.IN_FILE, common.ON_SCREEN
			base = {
				table: seconds(lambda query=query: frappe.db.sql(query)) for table, query in BASELINES.items()
			}
			for table, took in base.items():
				print(f"baseline, {table}: {1e3 * took:,.0f} ms")
			print(f"{'':36}{'ms':>8} {'ratio':>7} {'limit':>6}")
			for name, table, limit, action in CASES:
				took = seconds(action)
				missed = not kept(f"{name.strip()}, times the count by status", took / base[table], limit)
				failed |= missed
				print(
					f"{name:36}{1e3 * took:>8,.0f} {took / base[table]:>7.2f} {limit:>6}"
					f"{'  MISSED' if missed else ''}",
					flush=True,
				)
			common.IN_FILE = in_file
			took = seconds(lambda: consent_register.execute({}), 1)
			print(f"Consent Register as a file of {in_file:,} rows: {took:.1f} s, no limit")
			took = seconds(lambda: coverage.execute({"view": "Legal Basis", "party_type": "Contact"}), 1)
			print(f"Consent Coverage by legal basis: {1e6 * took / PEOPLE:.0f} µs a Contact, no limit")
		finally:
			frappe.db.rollback()
			empty()
			remove_people()
			progress("")
	print(f"limits {'MISSED' if failed else 'kept'}")
	return int(failed)


if __name__ == "__main__":
	sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
