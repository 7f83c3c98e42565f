"""Writes the evidence to a file that outlives the app: one JSON record a line, in the order of the tables."""

import gzip
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

import frappe
from frappe.utils import get_backups_path, now_datetime

EVIDENCE = (
	"Legal Basis",
	"Processing Purpose",
	"Consent Source",
	"Subscription Topic",
	"Consent Wording",
	"Consent",
	"Suppression",
	"Consent Event",
	"Consent Event Payload",
	"Ledger Seal",
	"Consent Decision",
	"Consent Bulk Update",
	"Consent Bulk Update Rule",
	"Consent Bulk Update Address",
	"Consent Bulk Update Item",
)
AT_ONCE = 5_000


def offer() -> None:
	"""Export the evidence, after asking whoever sits at the terminal. Nobody there: export."""
	rows = sum(frappe.db.count(doctype) for doctype in ("Consent", "Suppression", "Consent Event"))
	if not rows:
		return
	question = f"Export the evidence ({rows} consents, refusals and events) to a file first?"
	if sys.stdin.isatty() and not click.confirm(question, default=True):
		return
	path = write(Path(get_backups_path()) / f"{now_datetime():%Y%m%d_%H%M%S}-gdpr_consent-evidence.jsonl.gz")
	print(f"Evidence exported to {path}")


def count() -> int:
	"""Count the rows that `write` writes."""
	return sum(frappe.db.count(doctype) for doctype in EVIDENCE)


def write(path: Path, progress: Callable[[int], None] = lambda _rows: None) -> Path:
	"""Write all evidence of the site. The file is readable by its owner only: it holds personal data.

	Args:
		progress: is told how many more rows are written.
	"""
	descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
	with os.fdopen(descriptor, "wb") as raw, gzip.open(raw, "wt", encoding="utf-8") as file:
		for doctype in EVIDENCE:
			table, last = frappe.qb.DocType(doctype), ""
			while rows := (
				frappe.qb.from_(table)
				.select(table.star)
				.where(table.name > last)
				.orderby(table.name)
				.limit(AT_ONCE)
				.run(as_dict=True)
			):
				last = rows[-1].name
				for row in rows:
					file.write(
						json.dumps({"doctype": doctype, **row}, default=str, ensure_ascii=False) + "\n"
					)
				progress(len(rows))
	return path.resolve()
