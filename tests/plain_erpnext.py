"""The same trial on a site without gdpr_consent, where people say no by the means of the core alone.

Usage, in the bench's sites folder: plain_erpnext.py SITE. Prints the matrix as JSON. A no that the core has
no word for (a consent that expired, an objection …) isn't tried: everybody would be reached.
"""

import json
import sys

from aiosmtpd.controller import Controller
from conftest import Mailboxes, free_port, remove_sending, run_worker, send_to
from trial import State, Subject, Trial

import frappe


def insert(doctype: str, **values) -> None:
	frappe.get_doc(doctype=doctype, **values).insert()


def unsubscribe_globally(person) -> None:
	insert("Email Unsubscribe", email=person.email, global_unsubscribe=1)


def leave_record(person, doctype: str, name: str) -> None:
	if doctype != "Email Group":
		insert("Email Unsubscribe", email=person.email, reference_doctype=doctype, reference_name=name)


def leave_group(person, doctype: str, name: str) -> None:
	if doctype == "Email Group":
		members = {"email_group": name, "email": ["like", f"%{person.email}%"]}
		frappe.db.set_value("Email Group Member", members, "unsubscribed", 1)


def states(trial: Trial) -> dict[str, State]:
	def says_no(set_up=lambda person: None, **more) -> State:
		return State(set_up, by_the_person=True, **more)

	def lead(**values):
		return lambda person: (
			trial.made("Lead", first_name=person.email, email_id=person.email).update(values).save()
		)

	return {
		"agreed": State(lambda person: None, frozenset({"the purpose"})),  # said nothing, that is
		"withdrawn in the queue": says_no(later=unsubscribe_globally),
		"unsubscribed globally": says_no(unsubscribe_globally),
		"unsubscribed from a record": says_no(on_reference=leave_record),
		"unsubscribed in a group": says_no(on_reference=leave_group),
		"unsubscribed Contact": says_no(
			lambda person: frappe.db.set_value("Contact", person.contact, "unsubscribed", 1)
		),
		"unsubscribed Lead": says_no(lead(unsubscribed=1)),
		"Do Not Contact": says_no(lead(status="Do Not Contact")),
	}


def main(site: str) -> None:
	frappe.init(site=site, sites_path=".")
	frappe.connect()
	frappe.set_user("Administrator")
	assert "gdpr_consent" not in frappe.get_installed_apps(), f"{site} has gdpr_consent."
	mailboxes = Mailboxes()
	port = free_port()
	controller = Controller(mailboxes, hostname="127.0.0.1", port=port)
	controller.start()
	send_to(port)
	trial = Trial({}, {"the purpose": Subject("Email Marketing")}, mailboxes.deliveries, run_worker)
	trial.states = states(trial)
	trial.needs_consent = False
	# The core hands a list to SMTP as one address, which no server takes: an error, not a decision.
	trial.spellings = {name: one for name, one in trial.spellings.items() if not one.needs_lists}
	try:
		trial.run()
		print(json.dumps({"columns": list(trial.states), "rows": trial.rows(), "cells": trial.counts()}))
	finally:
		frappe.db.rollback()
		emails = [email for person in trial.people.values() for email in person[:3]]
		frappe.db.delete("Email Unsubscribe", {"email": ["in", emails]})
		trial.made.remove()
		remove_sending()
		controller.stop()


if __name__ == "__main__":
	main(sys.argv[1])
