"""The same reads on a site without gdpr_consent, where fields are protected by permlevel alone.

Usage, in the bench's sites folder: plain_reads.py SITE [path]. Prints the outcomes as JSON.
"""

import json
import os
import sys

from aiosmtpd.controller import Controller
from canaries import Planted, protect_by_permlevel, raise_level, unprotect
from conftest import Mailboxes, free_port, remove_sending, run_worker, send_to, serve
from read_trial import ReadTrial, load_paths

import frappe

RIGHT = "Canary Reader"


def grant(doctype: str, field: str) -> None:
	raise_level(doctype, field)  # the parent's permissions hold for its rows
	frappe.clear_cache()


def main(site: str, only: str = "") -> None:
	frappe.init(site=site, sites_path=".")
	frappe.connect()
	frappe.set_user("Administrator")
	assert "gdpr_consent" not in frappe.get_installed_apps(), f"{site} has gdpr_consent."
	mailboxes = Mailboxes()
	port = free_port()
	controller = Controller(mailboxes, hostname="127.0.0.1", port=port)
	controller.start()
	send_to(port)
	load_paths()
	frappe.db.delete("Email Queue", {"status": "Not Sent"})
	frappe.db.commit()
	unprotect(RIGHT)
	protect_by_permlevel(RIGHT)
	planted = Planted(RIGHT, grant)
	try:
		planted.make_users()
		planted.make_records()
		with serve(site) as web:
			outcomes = ReadTrial(planted, web, mailboxes.deliveries, run_worker).run(only)
		print(json.dumps([outcome._asdict() for outcome in outcomes]))
	finally:
		planted.remove()
		unprotect(RIGHT)
		remove_sending()
		controller.stop()


if __name__ == "__main__":
	os.environ["FRAPPE_SITE"] = sys.argv[1]
	main(*sys.argv[1:])
