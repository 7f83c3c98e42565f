"""What the benchmarks share: a register full of people who exist nowhere, and how progress is shown."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import frappe

from gdpr_consent import identity, journal, ledger
from gdpr_consent.clock import now_utc

PURPOSE, TOPIC = "Email Marketing", "Benchmark"
AT_ONCE = 10_000


@contextmanager
def on_the_site() -> Iterator[None]:
	"""Work as Administrator on the site named in FRAPPE_SITE; roll back in the end what wasn't committed."""
	frappe.init(os.environ["FRAPPE_SITE"], sites_path=".")
	frappe.connect()
	frappe.db.MAX_WRITES_PER_TRANSACTION = 10**9
	frappe.conf[journal.FILE_SETTING] = False  # what is taken away again would look forgotten
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
			common |= {"evidence_grade": "C", "double_opt_in": 1, "country": "Germany"}
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
		# Of what isn't committed, the database looks up each row to see whether it may be seen.
		frappe.db.commit()
		progress(f"filling the register: {min(start + AT_ONCE, last):,} people")


def empty_register(first: int, last: int) -> None:
	"""Take away what `fill_register` has committed."""
	for start in range(first, last, AT_ONCE):
		keys = [identity.address_key(address(number)) for number in range(start, min(start + AT_ONCE, last))]
		for doctype in ("Consent", "Suppression", "Consent Decision"):
			frappe.db.delete(doctype, {"address_key": ["in", keys]})
		frappe.db.commit()
		progress(f"emptying the register: {min(start + AT_ONCE, last):,} people")


def kept(what: str, figure: float, limit: float, least: bool = False) -> bool:
	"""Hold a figure against its limit, which is the most it may be, or the least. `benchmarks/run` makes a
	table of all of them."""
	is_kept = figure >= limit if least else figure <= limit
	if table := os.environ.get("BENCHMARK_TABLE"):
		row = {"what": what, "figure": figure, "limit": limit, "least": least, "kept": bool(is_kept)}
		with open(table, "a") as file:
			file.write(json.dumps(row) + "\n")
	return bool(is_kept)


def progress(text: str) -> None:
	if sys.stderr.isatty():
		print(f"\r{text:<70}", end="" if text else "\r", file=sys.stderr, flush=True)
	elif text:
		print(text, file=sys.stderr, flush=True)


# The server answers and keeps nothing. It is a process of its own, as a mail server is.
SMTP_SERVER = """
import asyncio, sys
from aiosmtpd.smtp import SMTP

class Drain:
	async def handle_DATA(self, server, session, envelope):
		return "250 OK"

async def serve():
	server = await asyncio.get_running_loop().create_server(lambda: SMTP(Drain()), "127.0.0.1", 0)
	print(server.sockets[0].getsockname()[1], flush=True)
	await server.serve_forever()

asyncio.run(serve())
"""


@contextmanager
def smtp_server() -> Iterator[str]:
	"""Run an SMTP server and an Email Account that sends there; yield the account's address."""
	with subprocess.Popen([sys.executable, "-c", SMTP_SERVER], stdout=subprocess.PIPE, text=True) as server:
		assert server.stdout
		account = frappe.new_doc(
			"Email Account",
			email_account_name="Benchmark",
			email_id="shop@benchmark.example",
			enable_outgoing=1,
			smtp_server="127.0.0.1",
			smtp_port=int(server.stdout.readline()),
			no_smtp_authentication=1,
			use_tls=0,
		).insert()
		if not frappe.db.exists("Subscription Topic", TOPIC):
			frappe.new_doc("Subscription Topic", title=TOPIC, purpose=PURPOSE).insert()
		frappe.db.commit()
		try:
			yield account.email_id
		finally:
			frappe.db.rollback()
			account.delete(force=True)
			frappe.delete_doc("Subscription Topic", TOPIC, force=True)
			frappe.db.commit()
			server.terminate()
