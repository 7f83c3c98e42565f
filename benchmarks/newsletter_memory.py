"""How much memory a Newsletter to 100,000 people takes, in the process that sends it off and in the worker.

It commits a Newsletter with its Email Group, sends it off in a process of its own as the desk does, looks at
the jobs, and has another process do one of them, which sends its mails to an SMTP server beside it. All of it
is removed again. Argument: the number of people.
"""

import subprocess
import sys
import zlib

from common import TOPIC, address, empty_register, fill_register, kept, on_the_site, progress, smtp_server

import frappe
from frappe.utils.background_jobs import execute_job, get_queue

MOST_MEMORY = 200  # MB above idle
MOST_RECIPIENTS = 1_000  # in a job
FIRST = 20_000_000  # number of the first person; the other benchmarks have people of their own
GROUP = "Benchmark"


def status_kb(name: str) -> int:
	with open("/proc/self/status") as lines:
		return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def measure_in_a_process(role: str, name: str) -> float:
	"""Return the MB that a process needs above what it needs when it is ready to begin."""
	done = subprocess.run([sys.executable, __file__, role, name], capture_output=True, text=True, check=True)
	return float(done.stdout.split()[-1])


def send_off(newsletter: str) -> None:
	letter = frappe.get_doc("Newsletter", newsletter)
	letter.get_mail_class()
	idle = status_kb("VmRSS")
	letter.send_emails()
	frappe.db.commit()
	print((status_kb("VmHWM") - idle) / 1024)


def do_a_job(job_id: str) -> None:
	job = get_queue("long").fetch_job(job_id)
	arguments = job.kwargs
	site = frappe.local.site
	idle = status_kb("VmRSS")
	frappe.destroy()
	execute_job(**arguments)
	frappe.init(site, sites_path=".")
	frappe.connect()
	print((status_kb("VmHWM") - idle) / 1024)


def jobs_of(newsletter: str) -> list:
	queue = get_queue("long")
	jobs = [queue.fetch_job(one) for one in queue.job_ids]
	name = frappe.utils.get_job_name("send_bulk_emails_for", "Newsletter", newsletter)
	return [job for job in jobs if job and job.kwargs.get("job_name") == name]


def payload(job) -> tuple[int, int]:
	"""Return the bytes of a job in Redis, and those they unpack to."""
	stored = get_queue("long").connection.hget(job.key, "data")
	return len(stored), len(zlib.decompress(stored))


def create_newsletter(sender: str, people: int) -> str:
	group = frappe.new_doc("Email Group", title=GROUP).insert()
	members = [(f"{group.name}-{number}", group.name, address(FIRST + number), 0) for number in range(people)]
	frappe.db.bulk_insert("Email Group Member", ["name", "email_group", "email", "unsubscribed"], members)
	letter = frappe.new_doc(
		"Newsletter",
		subject="News of the benchmark",
		sender_email=sender,
		content_type="Rich Text",
		message="<p>Paragraph of the news.</p>" * 200,
		subscription_topic=TOPIC,
	)
	letter.append("email_group", {"email_group": group.name})
	letter.insert()
	frappe.db.commit()
	return letter.name


def remove_newsletter(letter: str | None) -> None:
	frappe.db.rollback()
	if letter:
		for job in jobs_of(letter):
			job.delete()
		about = {"reference_doctype": "Newsletter", "reference_name": letter}
		names = frappe.get_all("Email Queue", about, pluck="name") or [""]
		frappe.db.delete("Email Queue Recipient", {"parent": ["in", names]})
		frappe.db.delete("Email Queue", {"name": ["in", names]})
		frappe.db.delete("Consent Decision", about)
		frappe.delete_doc("Newsletter", letter, force=True)
	frappe.db.delete("Email Group Member", {"email_group": GROUP})
	frappe.delete_doc("Email Group", GROUP, force=True)
	frappe.db.commit()


def main(people: int) -> int:
	letter = None
	with on_the_site(), smtp_server() as sender:
		try:
			fill_register(FIRST, FIRST + people)
			letter = create_newsletter(sender, people)
			progress("sending the Newsletter off")
			sending = measure_in_a_process("send_off", letter)
			jobs = jobs_of(letter)
			most_in_a_job = max(len(job.kwargs["kwargs"]["final_recipients"]) for job in jobs)
			stored, unpacked = max(map(payload, jobs))
			progress("doing one of its jobs")
			working = measure_in_a_process("do_a_job", jobs[0].id)
			frappe.db.rollback()
			sent = frappe.db.count("Email Queue", {"reference_name": letter, "status": "Sent"})
		finally:
			remove_newsletter(letter)
			empty_register(FIRST, FIRST + people)
			progress("")
	print(f"{people:,} people, {len(jobs)} jobs, {sent} mails sent by the first one")
	print(f"the process that sends off  {sending:6.1f} MB above idle")
	print(f"a worker with one job       {working:6.1f} MB above idle")
	print(
		f"the largest job             {stored:,} bytes, {unpacked:,} unpacked, {most_in_a_job:,} recipients"
	)
	limits = [
		kept(f"{people:,} people, MB above idle", max(sending, working), MOST_MEMORY),
		kept(f"{people:,} people, recipients a job", most_in_a_job, MOST_RECIPIENTS),
		kept("mails that the first job sent", sent, 1, least=True),
	]
	verdict = "kept" if all(limits) else "MISSED"
	print(f"limits: {MOST_MEMORY} MB, {MOST_RECIPIENTS:,} recipients a job: {verdict}")
	return int(not all(limits))


if __name__ == "__main__":
	if len(sys.argv) == 3:
		with on_the_site():
			{"send_off": send_off, "do_a_job": do_a_job}[sys.argv[1]](sys.argv[2])
	else:
		sys.exit(main(*[int(number) for number in sys.argv[1:]] or [100_000]))
