"""What protected fields cost on a list of 500 customers and on opening a form, over HTTP, as a ratio to plain
Frappe: a site without the app, served by the same process, asked in turns.

Makes customers and users on both sites and takes them away again. Arguments: rounds (200), and `alone` to
leave out the limit, for looking. The plain site is the one that tests/test_install.py uses.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from common import kept

import frappe
from frappe.utils.password import update_password

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from conftest import PLAIN_SITE, accepts, free_port, make_plain_site, wait_until

MOST = 1.05  # times plain Frappe
CUSTOMERS = 500
PREFIX = "Benchmark of Protected Fields"
ROLES = ("Sales User", "Sales Manager", "Accounts User")
LIST_FIELDS = [
	f"`tabCustomer`.`{field}`"
	for field in (
		*("name", "owner", "creation", "modified", "modified_by", "docstatus", "idx", "_user_tags"),
		*("_comments", "_assign", "_liked_by", "customer_name", "customer_group", "territory", "disabled"),
		*("customer_type", "mobile_no", "email_id", "image"),
	)
]


@contextmanager
def on(site: str) -> Iterator[None]:
	frappe.init(site=site, sites_path=".", force=True)
	frappe.connect()
	try:
		yield
		frappe.db.commit()
	finally:
		frappe.destroy()


def fill(site: str, user: str, roles: tuple[str, ...]) -> None:
	with on(site):
		remove()
		now = frappe.utils.now()
		common = {"owner": "Administrator", "creation": now, "modified": now, "customer_type": "Company"}
		rows = [
			common
			| {"name": f"{PREFIX} {number:03d}", "customer_name": f"{PREFIX} {number:03d}"}
			| {"tax_id": f"DE{number:09d}", "customer_group": "Commercial", "territory": "Germany"}
			for number in range(CUSTOMERS)
		]
		frappe.db.bulk_insert("Customer", [*rows[0]], [[*row.values()] for row in rows])
		doc = frappe.new_doc("User", email=user, first_name="Benchmark", send_welcome_email=0)
		doc.append_roles(*roles)
		doc.insert()
		update_password(user, "admin")


def remove() -> None:
	frappe.db.delete("Customer", {"name": ["like", f"{PREFIX}%"]})
	for user in frappe.get_all("User", {"name": ["like", "benchmark-%"]}, pluck="name"):
		if frappe.db.table_exists("Sensitive Access Log"):
			frappe.db.delete("Sensitive Access Log", {"user": user})
		frappe.delete_doc("User", user, force=True)


class Reader:
	def __init__(self, base: str, site: str, user: str) -> None:
		self.base = base
		self.session = requests.Session()
		self.session.headers.update({"Host": site, "Accept": "application/json"})
		answer = self.session.post(f"{base}/api/method/login", data={"usr": user, "pwd": "admin"}, timeout=60)
		answer.raise_for_status()
		# Cookies are of the name, and the address is another one.
		self.cookies = answer.cookies.get_dict()

	def time(self, path: str, parameters: dict) -> float:
		started = time.perf_counter()
		answer = self.session.get(self.base + path, params=parameters, cookies=self.cookies, timeout=60)
		taken = time.perf_counter() - started
		answer.raise_for_status()
		return taken


def requests_of(columns: list[str]) -> dict[str, tuple[str, dict]]:
	in_the_list = {
		"doctype": "Customer",
		"fields": json.dumps(columns),
		"filters": json.dumps([["Customer", "name", "like", f"{PREFIX}%"]]),
		"order_by": "`tabCustomer`.modified desc",
		"start": 0,
		"page_length": CUSTOMERS,
		"view": "List",
	}
	return {
		f"list of {CUSTOMERS}": ("/api/method/frappe.desk.reportview.get", in_the_list),
		"form": (
			"/api/method/frappe.desk.form.load.getdoc",
			{"doctype": "Customer", "name": f"{PREFIX} 007"},
		),
	}


def measure(rounds: int, readers: dict[str, Reader], wanted: dict[str, tuple]) -> dict[str, float]:
	"""Return by request how many times as long ours takes, from medians; the two take turns, in either
	order."""
	ratios = {}
	for name, request in wanted.items():
		times: dict[str, list[float]] = {"plain": [], "ours": []}
		for number in range(rounds + 10):
			for which in ("plain", "ours") if number % 2 else ("ours", "plain"):
				taken = readers[which].time(*request)
				if number >= 10:  # caches are warm
					times[which].append(taken)
		plain, ours = (statistics.median(times[which]) for which in ("plain", "ours"))
		ratios[name] = ours / plain
		print(f"  {name:<14} plain {plain * 1000:7.2f} ms   ours {ours * 1000:7.2f} ms   {ours / plain:.3f}")
	return ratios


def main(rounds: int) -> int:
	site = os.environ["FRAPPE_SITE"]
	make_plain_site()
	port = free_port()
	serve = [sys.executable, "-m", "frappe.utils.bench_helper", "frappe", "serve", "--noreload"]
	server = subprocess.Popen(
		[*serve, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
	)
	missed = []
	try:
		wait_until(lambda: accepts(port))
		for who, more, columns in (
			("without the right", (), LIST_FIELDS),
			("with the right", ("Sensitive Data Viewer",), LIST_FIELDS),
			(
				"with the right, tax number in the list",
				("Sensitive Data Viewer",),
				[*LIST_FIELDS, "`tabCustomer`.`tax_id`"],
			),
		):
			user = f"benchmark-{abs(hash(who))}@gdpr-test.example"
			fill(PLAIN_SITE, user, ROLES)
			fill(site, user, (*ROLES, *more))
			base = f"http://127.0.0.1:{port}"
			readers = {"plain": Reader(base, PLAIN_SITE, user), "ours": Reader(base, site, user)}
			print(f"{who}, {rounds} times each:")
			ratios = measure(rounds, readers, requests_of(columns))
			missed += [
				f"{name} {who}"
				for name, ratio in ratios.items()
				if not kept(f"{name} {who}, times plain Frappe", ratio, MOST)
			]
	finally:
		server.terminate()
		for one in (site, PLAIN_SITE):
			with on(one):
				remove()
	for name in missed:
		print(f"missed: {name} takes more than {MOST} times as long.")
	return len(missed)


if __name__ == "__main__":
	arguments = [argument for argument in sys.argv[1:] if argument != "alone"]
	count = main(int(arguments[0]) if arguments else 200)
	sys.exit(0 if "alone" in sys.argv else count)
