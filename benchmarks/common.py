"""What the benchmarks share: a register full of people who exist nowhere, and how progress is shown."""

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import frappe

from gdpr_consent import identity, ledger
from gdpr_consent.clock import now_utc

PURPOSE, TOPIC = "Email Marketing", "Benchmark"
AT_ONCE = 10_000


@contextmanager
def on_the_site() -> Iterator[None]:
	"""Work as Administrator on the site named in FRAPPE_SITE; roll back in the end what wasn't committed."""
	frappe.init(os.environ["FRAPPE_SITE"], sites_path=".")
	frappe.connect()
	frappe.db.MAX_WRITES_PER_TRANSACTION = 10**9
	try:
		yield
	finally:
		frappe.db.rollback()
		frappe.destroy()


def address(number: int) -> str:
	return f"person.{number}@company-{number % 5_000}.example"


def fill_register(first: int, last: int) -> None:
	"""Two consents each, for the purpose and the topic; every twentieth person has objected."""
	now = now_utc()
	for start in range(first, last, AT_ONCE):
		consents, refusals = [], []
		for number in range(start, min(start + AT_ONCE, last)):
			key = identity.address_key(address(number))
			given = now - timedelta(days=30, milliseconds=number)  # no two people agree at one instant
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
						"expires_on": given + timedelta(days=730),
					}
				)
			if number % 20 == 0:
				refusals.append(
					{"name": str(uuid.uuid4()), "address_key": key, "kind": "Objection", "said_on": now}
				)
		ledger.insert("Consent", consents)
		ledger.insert("Suppression", refusals)
		progress(f"filling the register: {min(start + AT_ONCE, last):,} people")


def empty_register(last: int) -> None:
	"""Take away what `fill_register` has committed."""
	for start in range(0, last, AT_ONCE):
		keys = [identity.address_key(address(number)) for number in range(start, min(start + AT_ONCE, last))]
		for doctype in ("Consent", "Suppression", "Consent Decision"):
			frappe.db.delete(doctype, {"address_key": ["in", keys]})
		frappe.db.commit()
		progress(f"emptying the register: {min(start + AT_ONCE, last):,} people")


def progress(text: str) -> None:
	if sys.stderr.isatty():
		print(f"\r{text:<70}", end="" if text else "\r", file=sys.stderr, flush=True)
	elif text:
		print(text, file=sys.stderr, flush=True)
