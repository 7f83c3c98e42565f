"""A real RQ worker that does what is queued and ends. It doesn't fork for each job, which takes most time."""

from rq import SimpleWorker

import frappe
from frappe.utils.background_jobs import get_queue_list, get_redis_conn

with frappe.init_site():
	connection = get_redis_conn()
	queues = get_queue_list(build_queue_name=True)
SimpleWorker(queues, connection=connection).work(burst=True, logging_level="WARNING")
