"""Runs the demo on a site: run_demo.py create|send SITE, in the bench's sites folder."""

import logging
import sys

import cssutils

import frappe

from gdpr_consent import demo


def create() -> None:
	demo.create()


def send() -> None:
	demo.create()
	report = demo.send()
	rows = [("Address", "Story", "Decision", "Reason", "Decided by", "Received")]
	for result in report.results:
		rows.append(
			(
				result.address,
				result.story,
				"allowed" if result.allowed else "blocked",
				result.reason,
				result.decided_by,
				("yes" if result.received == 1 else f"{result.received} times" if result.received else "-")
				+ ("" if result.agrees else "  <-- WRONG"),
			)
		)
	widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
	print(f"Newsletter {report.newsletter}:\n")
	for row in rows:
		print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
	for stranger in report.strangers:
		print(f"{stranger} received it and isn't in its group  <-- WRONG")
	wrong = sum(not result.agrees for result in report.results) + len(report.strangers)
	allowed = sum(result.allowed for result in report.results)
	received = sum(bool(result.received) for result in report.results)
	print(f"\n{len(report.results)} people: {allowed} allowed, {received} received it.")
	if wrong:
		sys.exit(f"Decision and delivery DISAGREE for {wrong}.")
	print("Decision and delivery agree for everybody.")


cssutils.log.setLevel(logging.CRITICAL)  # of Frappe's own style sheet for mails
frappe.init(sys.argv[2], sites_path=".")
frappe.connect()
frappe.set_user("Administrator")
{"create": create, "send": send}[sys.argv[1]]()
frappe.destroy()
