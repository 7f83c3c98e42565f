"""How much longer a Newsletter takes through the gate than through plain Frappe.

Both ways make and send each mail as core's Newsletter does, with a queue row of its own, to an SMTP server in
a process beside this one. They take turns of a few mails, so that a busy machine slows both down. What is
committed for it is removed again. Argument: the number of mails each way.
"""

import sys
import time
from collections.abc import Callable, Iterator
from statistics import median

from common import TOPIC, address, empty_register, fill_register, kept, on_the_site, progress, smtp_server

import frappe
from frappe.email.doctype.email_queue.email_queue import EmailQueue
from frappe.model.base_document import get_controller

MOST = 1.03  # times plain Frappe
TURN = 20  # mails
FIRST = 10_000_000  # number of the first person; the other benchmarks have people of their own

MESSAGE = "".join(
	f"<p>Paragraph {number}: news of our trainings, and why you might like them.</p>" for number in range(30)
)


class Campaign:
	"""A Newsletter, and what core's job for it is called with."""

	def __init__(self, sender: str) -> None:
		self.letter = frappe.new_doc(
			"Newsletter",
			subject=f"News {frappe.generate_hash(length=6)}",
			sender_email=sender,
			content_type="Rich Text",
			message=MESSAGE,
			subscription_topic=TOPIC,
			send_unsubscribe_link=1,
		).insert()
		frappe.db.commit()

	def job(self, emails: list[str]) -> Callable[[], None]:
		"""Return what core would leave to a worker."""
		enqueue, jobs = frappe.enqueue, []
		frappe.enqueue = lambda method, **more: jobs.append((method, more))
		self.letter.send_newsletter(emails)
		frappe.enqueue = enqueue
		((method, more),) = jobs
		return lambda: method(queue_data=more["queue_data"], final_recipients=more["final_recipients"])

	def remove(self) -> None:
		frappe.db.rollback()
		about = {"reference_doctype": "Newsletter", "reference_name": self.letter.name}
		for names in in_parts(frappe.get_all("Email Queue", about, pluck="name")):
			frappe.db.delete("Email Queue Recipient", {"parent": ["in", names]})
			frappe.db.delete("Email Queue", {"name": ["in", names]})
		frappe.db.delete("Consent Decision", about)
		self.letter.delete(force=True)
		frappe.db.commit()


def in_parts(names: list[str]) -> Iterator[list[str]]:
	for start in range(0, len(names), 1_000):
		yield names[start : start + 1_000]


def timed(action: Callable[[], object]) -> float:
	started = time.perf_counter()
	action()
	return time.perf_counter() - started


def take_turns(campaign: Campaign, number: int) -> tuple[list[float], list[float]]:
	"""Send to everybody both ways, and return the seconds of each turn."""
	gate = get_controller("Email Queue")
	controllers = frappe.controllers[frappe.local.site]
	plain_turns: list[float] = []
	gate_turns: list[float] = []
	ways = [(EmailQueue, plain_turns), (gate, gate_turns)]
	# Who objected would get no mail from the gate, which is quicker.
	emails = [address(FIRST + one) for one in range(2 * number + 2 * TURN) if one % 20][: number + TURN]
	for start in range(0, number + TURN, TURN):
		for controller, turns in ways:
			controllers["Email Queue"] = controller
			turns.append(timed(campaign.job(emails[start : start + TURN])))
		ways.reverse()
		progress(f"sending: {start:,} mails each way")
	controllers["Email Queue"] = gate
	return plain_turns[1:], gate_turns[1:]  # in the first one, everything is loaded


def check(campaign: Campaign, number: int) -> None:
	"""No mail may have been left out, or the comparison means nothing."""
	about = {"reference_doctype": "Newsletter", "reference_name": campaign.letter.name}
	assert frappe.db.count("Email Queue", about | {"status": "Sent"}) == 2 * (number + TURN)
	assert frappe.db.count("Consent Decision", about | {"allowed": 1}) == number + TURN


def main(number: int) -> int:
	last = FIRST + 2 * number + 2 * TURN
	with on_the_site(), smtp_server() as sender:
		fill_register(FIRST, last)
		frappe.db.commit()
		campaign = None
		try:
			campaign = Campaign(sender)
			plain, gate = take_turns(campaign, number)
			check(campaign, number)
		finally:
			if campaign:
				campaign.remove()
			empty_register(FIRST, last)
			progress("")
	ratio = sum(gate) / sum(plain)
	typical = median(through / by for through, by in zip(gate, plain, strict=True))
	each = 1_000 / TURN
	print(f"plain Frappe     {sum(plain):7.2f} s for {number:,} mails, {median(plain) * each:6.2f} ms each")
	print(f"through the gate {sum(gate):7.2f} s for {number:,} mails, {median(gate) * each:6.2f} ms each")
	is_kept = kept("a mail, times plain Frappe", typical, MOST)
	verdict = "kept" if is_kept else "MISSED"
	print(f"ratio {ratio:.3f}, in the median turn {typical:.3f}; at most {MOST}: {verdict}")
	return int(not is_kept)


if __name__ == "__main__":
	sys.exit(main(*[int(number) for number in sys.argv[1:]] or [2_000]))
