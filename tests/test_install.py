"""Installation, migration and uninstallation, by bench's own commands on a site of their own."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PLAIN_SITE as SITE
from conftest import PLAIN_SITE_IS_CLEAN as CLEAN
from conftest import make_plain_site

FRAPPE = [sys.executable, "-m", "frappe.utils.bench_helper", "frappe"]


def bench(*arguments: str) -> str:
	done = subprocess.run([*FRAPPE, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
	assert done.returncode == 0, done.stdout + done.stderr
	return done.stdout


def on_site(code: str) -> str:
	"""Run statements on the site, as a script of the administrator's would, and return what they print."""
	head = f"import frappe; frappe.init(site={SITE!r}, sites_path='.'); frappe.connect()\n"
	done = subprocess.run(
		[sys.executable, "-c", head + code + "\nfrappe.db.commit()"], capture_output=True, text=True
	)
	assert done.returncode == 0, done.stderr
	return done.stdout.strip()


def state() -> dict[str, list]:
	script = Path(__file__).with_name("site_state.py")
	done = subprocess.run([sys.executable, script, SITE], capture_output=True, text=True)
	assert done.returncode == 0, done.stderr
	return json.loads(done.stdout)


@pytest.fixture
def erpnext_site(site: str) -> Iterator[dict[str, list]]:
	"""A site with ERPNext and without the app. It is kept for the next run if the test leaves it clean."""
	make_plain_site()
	CLEAN.unlink(missing_ok=True)
	on_site(OF_THE_ADMINISTRATOR)
	yield state()


def differences(before: dict[str, list], after: dict[str, list]) -> dict[str, list]:
	return {
		part: [row for row in before[part] + after[part] if (row in before[part]) != (row in after[part])]
		for part in before
		if before[part] != after[part]
	}


OF_THE_ADMINISTRATOR = """
hidden = {"fieldname": "priority", "property": "hidden", "value": "1", "property_type": "Check"}
frappe.make_property_setter({"doctype": "Email Queue", **hidden})
level = {"fieldname": "tax_id", "property": "permlevel", "value": "1", "property_type": "Int"}
frappe.make_property_setter({"doctype": "Supplier", **level})
from frappe.permissions import add_permission
if not frappe.db.exists("Custom DocPerm", {"parent": "Supplier"}):
	add_permission("Supplier", "Auditor", 1)
# Core adds an index that it lacks whenever a field is added to a DocType that is sorted by it, and leaves it.
frappe.db.updatedb("Prospect")
"""
OPTED_OUT = """
def new(doctype, **values):
	return frappe.get_doc(doctype=doctype, **values).insert(ignore_permissions=True)
if not frappe.db.exists("Contact", {"first_name": "Optout"}):
	addresses = [{"email_id": "one@install.example", "is_primary": 1}, {"email_id": "two@install.example"}]
	new("Contact", first_name="Optout", unsubscribed=1, email_ids=addresses)
	new("Lead", first_name="Optout", email_id="lead@install.example", unsubscribed=1)
	new("Lead", first_name="Leaveme", email_id="dnc@install.example", status="Do Not Contact")
	new("Email Unsubscribe", email="GLOBAL@Install.example", global_unsubscribe=1)
	new("Email Group", title="Install")
	new("Email Group Member", email_group="Install", email="member@install.example", unsubscribed=1)
"""
GLOBAL = """
print(frappe.db.get_value("Email Unsubscribe", {"email": "global@install.example"}, "global_unsubscribe"))
"""
CHECK = """
import json
from gdpr_consent.api import check_consent
names = ("one", "two", "lead", "dnc", "global", "member")
answers = check_consent([f"{name}@install.example" for name in names])
print(json.dumps({email: answer["reason"] for email, answer in answers.items()}))
"""


def test_the_app_comes_stays_and_goes_without_a_trace(erpnext_site):
	on_site(OPTED_OUT)

	bench("--site", SITE, "install-app", "gdpr_consent")
	installed = state()
	assert {"roles", "custom fields", "property setters", "columns", "indexes", "scheduled jobs"} <= set(
		differences(erpnext_site, installed)
	)
	assert set(json.loads(on_site(CHECK)).values()) == {"UNSUBSCRIBED"}

	on_site("frappe.db.set_value('Consent Source', 'Phone', 'description', 'Our own words')")
	for _time in range(2):
		bench("--site", SITE, "migrate")
		assert differences(installed, state()) == {}
	assert on_site("print(frappe.db.get_value('Consent Source', 'Phone', 'description'))") == "Our own words"

	bench("--site", SITE, "uninstall-app", "gdpr_consent", "--dry-run")
	assert differences(installed, state()) == {}

	assert on_site(GLOBAL) == "0"
	said = bench("--site", SITE, "uninstall-app", "gdpr_consent", "--yes", "--no-backup")
	assert on_site(GLOBAL) == "1"
	assert differences(erpnext_site, state()) == {}
	(line,) = [line for line in said.splitlines() if line.startswith("Evidence exported to ")]
	evidence = Path(line.removeprefix("Evidence exported to "))
	with gzip.open(evidence, "rt") as file:
		records = [json.loads(line) for line in file]
	assert {record["doctype"] for record in records} >= {"Suppression", "Consent Event", "Legal Basis"}
	assert evidence.stat().st_mode & 0o077 == 0
	evidence.unlink()

	bench("--site", SITE, "install-app", "gdpr_consent")
	assert {part for part in differences(installed, state()) if not part.endswith("exactly")} == set()
	assert set(json.loads(on_site(CHECK)).values()) == {"UNSUBSCRIBED"}
	bench("--site", SITE, "uninstall-app", "gdpr_consent", "--yes", "--no-backup")
	assert differences(erpnext_site, state()) == {}
	CLEAN.touch()
