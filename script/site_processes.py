"""What runs behind the site that FRAPPE_SITE names, and behind no other, whatever else is in the bench.

`bench serve` listens to the whole network with a debugger that executes code, and `bench worker` and
`bench schedule` work for every site. Runs in the bench's sites folder: site_processes.py worker|scheduler,
and, for the web server, gunicorn "site_processes:web()".
"""

import os
import sys
import time
from typing import NoReturn

import frappe

SITE = os.environ["FRAPPE_SITE"]


def web():
	import frappe.app

	frappe.app._site = SITE
	return frappe.app.application_with_statics()


def worker() -> None:
	from rq import Worker

	from frappe.utils.background_jobs import get_queue_list, get_redis_conn

	with frappe.init_site(SITE):
		connection = get_redis_conn()
		queues = get_queue_list(build_queue_name=True)
	Worker(queues, connection=connection).work(logging_level="INFO")


def scheduler() -> NoReturn:
	from frappe.utils.scheduler import enqueue_events_for_site

	while True:
		enqueue_events_for_site(SITE)
		time.sleep(60 - time.time() % 60)  # jobs are due at full minutes


if __name__ == "__main__":
	{"worker": worker, "scheduler": scheduler}[sys.argv[1]]()
