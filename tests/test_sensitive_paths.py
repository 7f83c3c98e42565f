"""Who gets to see a protected value: every path, by people with and without the right (FP-02, FP-03, AU-09).

Issue 6, "Done when". Run with -s to see the table; with MATRIX=path it is added to that file.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path as File

import pytest
from canaries import CONTROL, PROTECTED, Planted
from conftest import PLAIN_SITE, PLAIN_SITE_IS_CLEAN, make_plain_site
from read_trial import OWN_SCRIPTS, PATHS, Outcome, ReadTrial, load_paths
from trial import as_table

import frappe

from gdpr_consent.sensitive_data.installed_rules import RULES
from gdpr_consent.sensitive_data.open_paths import OPEN_PATHS

# What of the trial each of the published open paths stands for, as "path: case".
PUBLISHED = {
	"Scripts, and templates that read the database themselves": re.compile(
		rf"{OWN_SCRIPTS}|a query report with columns of another name"
	),
	"Error Log": None,  # only where something fails
	"Backups, the bench and the database": None,  # nothing that goes over HTTP
}
MAIL = ("Email Queue", "message")  # holds canaries of others: "a mail to somebody with the right"
ONLY = os.environ.get("PATHS", "")  # to try some paths alone


@pytest.fixture(scope="module")
def outcomes(site, smtp_server, work_off_jobs, web) -> Iterator[list[Outcome]]:
	frappe.set_user("Administrator")
	frappe.db.delete("Email Queue", {"status": "Not Sent"})
	frappe.db.commit()
	smtp_server.deliveries.clear()
	smtp_server.fails = False
	load_paths()
	planted = Planted("Sensitive Data Viewer", add_rule)
	conditions = article_9_conditions()
	try:
		planted.make_users()
		frappe.get_doc("User", planted.users[CONTROL]).add_roles("Sensitive Data Editor")
		planted.make_records()
		yield ReadTrial(planted, web, smtp_server.deliveries, work_off_jobs).run(ONLY)
	finally:
		frappe.set_user("Administrator")
		frappe.db.rollback()
		for rule in frappe.get_all("Sensitive Field", {"is_standard": 0}, pluck="name"):
			frappe.delete_doc("Sensitive Field", rule)  # of custom fields, which go without their controllers
		frappe.db.commit()
		planted.remove()
		frappe.db.delete("Sensitive Access Log", {"user": ["in", [*planted.users.values()]]})
		for name, condition in conditions.items():
			frappe.db.set_value("Sensitive Field", name, "article_9_condition", condition)
		frappe.db.commit()
		frappe.clear_cache()


def add_rule(doctype: str, field: str) -> None:
	values = {
		"ref_doctype": doctype,
		"fieldname": field,
		"sensitivity": "Sensitive",
		"why_kept": "For a test",
	}
	frappe.new_doc("Sensitive Field", **values).insert()
	frappe.db.commit()


def article_9_conditions() -> dict[str, str | None]:
	"""Let special categories be filled, and return what stood there before."""
	rules = frappe.get_all(
		"Sensitive Field", {"sensitivity": "Special Category"}, ["name", "article_9_condition"]
	)
	for rule in rules:
		doc = frappe.get_doc("Sensitive Field", rule.name)
		doc.article_9_condition = "9(2)(b) Employment and social security law"
		doc.save()
	frappe.db.commit()
	return {rule.name: rule.article_9_condition for rule in rules}


@pytest.fixture(scope="module")
def plain_outcomes(site) -> list[Outcome]:
	make_plain_site()
	PLAIN_SITE_IS_CLEAN.unlink(missing_ok=True)
	script = File(__file__).with_name("plain_reads.py")
	done = subprocess.run([sys.executable, script, PLAIN_SITE, ONLY], capture_output=True, text=True)
	assert done.returncode == 0, done.stderr[-3_000:]
	PLAIN_SITE_IS_CLEAN.touch()
	return [Outcome(**values) for values in json.loads(done.stdout.splitlines()[-1])]


def leaks_of(outcomes: list[Outcome]) -> dict[str, str]:
	return {
		f"{one.path}: {one.case}": ", ".join(sorted({field for seen in one.leaks.values() for field in seen}))
		for one in outcomes
		if one.leaked
	}


def unproven(outcomes: list[Outcome], where_plain_proves: bool) -> list[str]:
	"""The cases in which not even somebody with the right saw a canary, so that a zero would mean nothing."""
	paths = {one.name: one for one in PATHS}
	return [
		f"{one.path}: {one.case}: {one.errors[-1:]}"
		for one in outcomes
		if not one.proven
		and one.case not in paths[one.path].closed
		and (paths[one.path].control or not where_plain_proves)
	]


def test_each_installed_rule_has_a_canary():
	rules = {(rule["ref_doctype"], rule["fieldname"]) for rule in RULES} - {MAIL}
	assert rules == {(doctype, field) for doctype, fields in PROTECTED.items() for field in fields or ("",)}


def test_fp_02_no_canary_reaches_anybody_without_the_right(outcomes):
	"""FP-02, FP-03, AU-09: outside the published list, which is short."""
	open_paths = [one for one in (PUBLISHED[path.title] for path in OPEN_PATHS) if one]
	assert len(OPEN_PATHS) <= 3
	leaks = leaks_of(outcomes)
	assert {
		path: fields for path, fields in leaks.items() if not any(one.search(path) for one in open_paths)
	} == {}


def test_somebody_with_the_right_sees_as_before(outcomes):
	"""So that none of the zeros is vacuous."""
	assert unproven(outcomes, where_plain_proves=True) == []


@pytest.mark.full
def test_plain_permlevel_leaks_on_more(outcomes, plain_outcomes):
	"""The same run on a site without the app, where an administrator gave the fields a level of their own."""
	publish(plain_outcomes, outcomes)
	assert unproven(plain_outcomes, where_plain_proves=False) == []
	assert leaks_of(outcomes).keys() <= leaks_of(plain_outcomes).keys()
	assert len(leaks_of(plain_outcomes)) > 10 * len(leaks_of(outcomes))


def publish(plain: list[Outcome], ours: list[Outcome]) -> None:
	counts = [
		f"{side}: {len({one.path for one in of if one.leaked})} of {len({one.path for one in of})} paths, "
		f"{sum(one.leaked for one in of)} of {len(of)} cases"
		for side, of in (("Plain permlevel leaks on", plain), ("gdpr_consent leaks on", ours))
	]
	names = [*dict.fromkeys(one.path for one in ours)]
	rows = [(name, [mark_of(name, plain), mark_of(name, ours)]) for name in names]
	text = f"## Plain permlevel and gdpr_consent\n\n{counts[0]}. {counts[1]}.\n\n"
	text += as_table(rows, ["plain", "ours"]) + "\n\n"
	print(f"\n\n{text}")
	if path := os.environ.get("MATRIX"):
		with File(path).open("a") as file:
			file.write(text)


def mark_of(path: str, outcomes: list[Outcome]) -> str:
	cases = [one for one in outcomes if one.path == path]
	leaks = sum(one.leaked for one in cases)
	if leaks:
		return f"leaks {leaks}/{len(cases)}"
	return "refused" if cases and all(one.refused for one in cases) else "closed"
