"""What the badge costs when a Contact is opened: queries, and milliseconds more than without our `onload`.

Opens Contacts as the desk does, as a user who may read consents, each time on a new connection as in a
request, in turns with the hook and without. Makes people and takes them away again. Arguments: rounds (200),
people in the register (50000), and `alone` to leave out the limits, for looking.
"""

import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from common import address, empty_register, fill_register, kept, on_the_site

import frappe
from frappe.desk.form.load import getdoc

MOST_MS, MOST_QUERIES = 30, 5
ADDRESSES = (1, 3)
USER = "benchmark-form@gdpr-test.example"


@contextmanager
def people() -> Iterator[dict[int, str]]:
	"""Yield a Contact for each number of addresses; each address has agreed."""
	with on_the_site():
		remove()
		user = frappe.new_doc("User", email=USER, first_name="Benchmark", send_welcome_email=0)
		user.append_roles("Consent User", "Sales User")
		user.insert()
		made = {}
		for number in ADDRESSES:
			# Not the one at 0, who has objected, which would be written for the others of the person.
			rows = [{"email_id": address(at), "is_primary": at == 1} for at in range(1, number + 1)]
			values = {"first_name": f"Benchmark of Forms {number}", "email_ids": rows}
			made[number] = frappe.new_doc("Contact", **values).insert().name
		frappe.db.commit()
	try:
		yield made
	finally:
		with on_the_site():
			remove()


def remove() -> None:
	for name in frappe.get_all("Contact", {"first_name": ["like", "Benchmark of Forms%"]}, pluck="name"):
		frappe.delete_doc("Contact", name, force=True)
	frappe.delete_doc("User", USER, force=True, ignore_missing=True)
	frappe.db.commit()


def open_form(name: str, with_hook: bool, count: bool) -> float:
	"""Return milliseconds, or the number of queries."""
	frappe.init(os.environ["FRAPPE_SITE"], sites_path=".", force=True)
	frappe.connect()
	try:
		frappe.set_user(USER)
		hooks = frappe.get_doc_hooks()["Contact"]
		if not with_hook:
			frappe.local.doc_events_hooks["Contact"] = {**hooks, "onload": []}
		frappe.local.response = frappe._dict(docs=[])
		said = 0
		run = frappe.db.sql

		def note(*args, **kwargs):
			nonlocal said
			said += 1
			return run(*args, **kwargs)

		if count:
			frappe.db.sql = note
		started = time.perf_counter()
		getdoc("Contact", name)
		taken = (time.perf_counter() - started) * 1000
		assert ("marketing_mail" in frappe.response.docs[0].get("__onload")) is with_hook
		return said if count else taken
	finally:
		frappe.destroy()


def main(rounds: int, size: int) -> int:
	missed = 0
	with on_the_site():
		fill_register(0, size)
	try:
		with people() as made:
			for addresses, name in made.items():
				times: dict[bool, list[float]] = {True: [], False: []}
				for number in range(rounds + 10):
					for with_hook in (True, False) if number % 2 else (False, True):
						taken = open_form(name, with_hook, count=False)
						if number >= 10:  # caches are warm
							times[with_hook].append(taken)
				queries = open_form(name, True, count=True) - open_form(name, False, count=True)
				ours, plain = (statistics.median(times[which]) for which in (True, False))
				print(
					f"{addresses} addresses, {size:,} people, {rounds} times each: plain {plain:.2f} ms, "
					f"ours {ours:.2f} ms, {ours - plain:.2f} ms and {queries:.0f} queries more"
				)
				limits = [
					kept(f"opening a Contact with {addresses} addresses, ms more", ours - plain, MOST_MS),
					kept(
						f"opening a Contact with {addresses} addresses, queries more", queries, MOST_QUERIES
					),
				]
				missed += not all(limits)
	finally:
		with on_the_site():
			empty_register(0, size)
	if missed:
		print(f"missed: more than {MOST_MS} ms or {MOST_QUERIES} queries.")
	return missed


if __name__ == "__main__":
	numbers = [int(argument) for argument in sys.argv[1:] if argument != "alone"]
	count = main(*(numbers + [200, 50_000][len(numbers) :]))
	sys.exit(0 if "alone" in sys.argv else count)
