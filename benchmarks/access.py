"""How long a package of a person with many mails takes, and how much memory: flat, whatever the number.

It commits a Lead with mails, makes the package of an Access request about it in a process of its own, as a
worker does, and removes everything again. Arguments: numbers of mails; the first one is the baseline.
"""

import subprocess
import sys
import time
import uuid
from importlib import import_module

from common import AT_ONCE, kept, on_the_site, progress

import frappe
from frappe.utils import now

from gdpr_consent.rights import package, requests

MOST_SECONDS = 60
MOST_GROWTH = 1.5  # of the memory above idle, from the fewest mails to the most
SENDER = "shop@benchmark.example"
TEXT = "<p>Dear customer, thank you for your order. We write to anna@other.example as well.</p>" * 20


def status_kb(name: str) -> int:
	with open("/proc/self/status") as lines:
		return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def fill(lead: str, email: str, first: int, last: int) -> None:
	columns = (
		*(
			"name",
			"creation",
			"modified",
			"owner",
			"modified_by",
			"subject",
			"content",
			"sender",
			"recipients",
		),
		*("sent_or_received", "communication_medium", "communication_type", "communication_date"),
		*("reference_doctype", "reference_name"),
	)
	for start in range(first, last, AT_ONCE // 10):
		rows = [
			(
				*(uuid.uuid4().hex, now(), now(), "Administrator", "Administrator"),
				*(f"Your order {number}", TEXT, SENDER, f'"A Person" <{email}>, anna@other.example'),
				*("Sent", "Email", "Communication", now(), "Lead", lead),
			)
			for number in range(start, min(start + AT_ONCE // 10, last))
		]
		frappe.db.bulk_insert("Communication", columns, rows)
		frappe.db.commit()
		progress(f"writing mails: {min(start + AT_ONCE // 10, last):,}")


def make_request(email: str) -> str:
	doc = requests.open_request("Access", email=email, channel="API")
	requests.write(doc.name, identity="Confirmed", identity_method="Signed In")
	requests.move(doc.name, requests.Status.IN_PROGRESS)
	frappe.db.commit()
	return doc.name


def measure(request: str) -> None:
	"""Make the package, and print seconds, MB above idle, and MB of the file. In a process of its own."""
	for module in ("access", "portability"):  # a worker has them already
		import_module(f"gdpr_consent.rights.{module}")
	idle, begun = status_kb("VmRSS"), time.monotonic()
	package.make(request)
	seconds = time.monotonic() - begun
	file = package._path_of(frappe.db.get_value("Data Subject Request", request, "package_file"))
	print(seconds, (status_kb("VmHWM") - idle) / 1024, file.stat().st_size / 2**20)


def measure_in_a_process(request: str) -> tuple[float, float, float]:
	done = subprocess.run([sys.executable, __file__, "measure", request], capture_output=True, text=True)
	if done.returncode:
		raise SystemExit(done.stderr)
	seconds, memory, size = map(float, done.stdout.split()[-3:])
	frappe.db.rollback()
	return seconds, memory, size


def remove(lead: str | None, made: list[str]) -> None:
	frappe.db.rollback()
	for name in made:
		package.forget(name)
		frappe.db.delete("Data Subject Request", {"name": name})
		for table in ("Record", "Notice", "Change", "Step"):
			frappe.db.delete(f"Data Subject Request {table}", {"parent": name})
		queued = frappe.get_all("Email Queue", {"reference_name": name}, pluck="name") or [""]
		frappe.db.delete("Email Queue Recipient", {"parent": ["in", queued]})
		frappe.db.delete("Email Queue", {"name": ["in", queued]})
		frappe.db.delete("Communication", {"reference_name": name})
		frappe.db.delete("Comment", {"reference_name": name})
	if lead:
		frappe.db.delete("Communication", {"reference_doctype": "Lead", "reference_name": lead})
		for contact in frappe.get_all(
			"Dynamic Link", {"link_name": lead, "parenttype": "Contact"}, pluck="parent"
		):
			frappe.delete_doc("Contact", contact, force=True)
		frappe.delete_doc("Lead", lead, force=True)
	frappe.db.commit()


def main(numbers: list[int]) -> int:
	lead, made, found = None, [], []
	with on_the_site():
		try:
			email = f"access.{uuid.uuid4().hex[:12]}@benchmark.example"
			lead = (
				frappe.new_doc("Lead", first_name="Access", last_name="Benchmark", email_id=email)
				.insert()
				.name
			)
			frappe.db.commit()
			there = 0
			for number in numbers:
				fill(lead, email, there, number)
				there = number
				progress(f"making the package of {number:,} mails")
				made.append(make_request(email))
				found.append(measure_in_a_process(made[-1]))
		finally:
			remove(lead, made)
			progress("")
	for number, (seconds, memory, size) in zip(numbers, found, strict=True):
		print(f"{number:7,} mails  {seconds:6.1f} s  {memory:6.1f} MB above idle  a file of {size:.1f} MB")
	growth = found[-1][1] / found[0][1]
	print(
		f"{numbers[-1] / numbers[0]:.0f} times the mails: {found[-1][0] / found[0][0]:.1f} times as long,"
		f" {growth:.2f} times the memory"
	)
	limits = [
		kept(f"a package of {numbers[-1]:,} mails, seconds", found[-1][0], MOST_SECONDS),
		kept(f"a package of {numbers[-1]:,} mails, times the memory of {numbers[0]:,}", growth, MOST_GROWTH),
	]
	print(f"limits: {MOST_SECONDS} s, {MOST_GROWTH} times the memory: {'kept' if all(limits) else 'MISSED'}")
	return int(not all(limits))


if __name__ == "__main__":
	if sys.argv[1:2] == ["measure"]:
		with on_the_site():
			measure(sys.argv[2])
	else:
		sys.exit(main([int(number) for number in sys.argv[1:]] or [1_000, 10_000]))
