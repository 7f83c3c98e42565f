"""The site that the tests run on, the SMTP server it sends to, and the only factories.

The site is a real one: script/test makes it and names it in the environment.
"""

import asyncio
import json
import multiprocessing
import os
import secrets
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import requests
from aiosmtpd.controller import Controller
from hypothesis import HealthCheck, settings
from PIL import Image
from playwright.sync_api import sync_playwright

import frappe
from frappe.installer import update_site_config
from frappe.utils.password import get_encryption_key, update_password

from gdpr_consent import api, audience, data_recipients, journal, links, policy_history, proof, sales, tasks
from gdpr_consent.bulk_update import api as bulk_api
from gdpr_consent.bulk_update import job
from gdpr_consent.clock import to_system_time
from gdpr_consent.gate import personal
from gdpr_consent.identity import address_keys
from gdpr_consent.register import ends, writing
from gdpr_consent.rights import notifications
from gdpr_consent.standing import DOCTYPES

# No verdict by the clock of a busy machine. The same examples in every run; with --full, many and new ones.
_common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "database": None}
settings.register_profile("repeatable", max_examples=50, derandomize=True, **_common)
settings.register_profile("full", max_examples=500, print_blob=True, **_common)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
	parser.addoption("--pictures", help="folder for screenshots of the pages")
	parser.addoption("--storm", type=int, default=600, help="seconds that the storm of --full lasts")
	parser.addoption("--update-permissions", action="store_true", help="write docs/permissions.md anew")
	parser.addoption(
		"--full",
		action="store_true",
		help="also what takes long: load, faults, fuzz, and ten times the examples",
	)


def pytest_configure(config: pytest.Config) -> None:
	config.addinivalue_line("markers", "full: takes long, and runs with --full only")
	if config.getoption("--full"):
		settings.load_profile("full")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
	if config.getoption("--full"):
		return
	long = [item for item in items if item.get_closest_marker("full")]
	config.hook.pytest_deselected(items=long)
	items[:] = [item for item in items if item not in long]


def examples(share: float) -> int:
	"""How many examples a property takes, relative to the profile: some cost more than others."""
	return round(settings.default.max_examples * share)


@pytest.fixture(scope="session", autouse=True)
def site() -> Iterator[str]:
	frappe.init(site=os.environ["FRAPPE_SITE"], sites_path=".")
	frappe.connect()
	frappe.clear_cache()
	# Tests leave jobs behind, for v16 makes most mails in one, and it takes no more when there are 550.
	update_site_config("max_queued_jobs", 100_000)
	# Tests take back by hand what they committed, which the journal would take for a restored database.
	update_site_config(journal.FILE_SETTING, False)
	_create_missing_document()
	get_encryption_key()  # makes it, before v16's server has read the site's configuration without
	# Most people of the tests have no record that names a country. The tests about that turn it off.
	frappe.db.set_single_value("Consent Settings", "assume_company_country", 1)
	frappe.db.set_value("Language", "pl", "enabled", 1)  # on v16 it isn't
	frappe.clear_cache()
	frappe.db.commit()
	yield frappe.local.site
	frappe.destroy()


@pytest.fixture(autouse=True)
def rolled_back(site: str) -> Iterator[None]:
	frappe.set_user("Administrator")
	yield
	frappe.set_user("Administrator")
	frappe.db.rollback()
	frappe.local.message_log = []


@pytest.fixture
def user_with_roles():
	"""Make a desk user with the roles given, and become that user."""

	def become(*roles: str) -> str:
		email = f"{frappe.generate_hash(length=10)}@gdpr-test.example"
		user = frappe.new_doc("User", email=email, first_name="Test", send_welcome_email=0)
		user.append_roles(*roles)
		user.insert()
		frappe.set_user(email)
		return email

	return become


class Clock:
	"""What the register, the audience and the links take for now; it stands still until it is moved."""

	def __init__(self) -> None:
		self.now = datetime(2026, 3, 1, 9)

	def at(self, *moment: int) -> datetime:
		self.now = datetime(*moment)
		return self.now

	def forward(self, **by: float) -> datetime:
		self.now += timedelta(**by)
		return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
	standing = Clock()
	told = (data_recipients, notifications, tasks)
	for module in (writing, ends, audience, links, policy_history, *told):
		monkeypatch.setattr(module, "now_utc", lambda: standing.now)
	return standing


V16 = int(frappe.__version__.split(".")[0]) >= 16
DESK = "/desk" if V16 else "/app"  # v16 leads from the old path to the new one
# On v16 it is an app of its own.
NEWSLETTER = f"{'newsletter.newsletter' if V16 else 'frappe.email'}.doctype.newsletter.newsletter"

# --- what is committed, because sending commits -------------------------------------------------------------


@pytest.fixture
def mailbox(site: str) -> Iterator:
	"""Name addresses that nobody else has, and remove every trace of them afterwards."""
	named: list[str] = []

	def name(text: str = "{}@gate.example") -> str:
		named.append(text.format(frappe.generate_hash(length=12)))
		return named[-1]

	yield name
	frappe.set_user("Administrator")
	frappe.db.rollback()
	remove_traces(named)


def remove_traces(emails: list[str]) -> None:
	if not emails:
		return
	keys = [key for key in address_keys(emails).values() if key] or ["none"]
	records = [
		name
		for doctype in ("Consent", "Suppression")
		for name in frappe.get_all(doctype, {"address_key": ["in", keys]}, pluck="name")
	] or ["none"]  # an empty text would match what is null
	events = [
		name
		for field in ("consent", "suppression")
		for name in frappe.get_all("Consent Event", {field: ["in", records]}, pluck="name")
	] or ["none"]
	queued = [
		name
		for some in frappe.utils.create_batch([*emails], 100)  # v16 makes no query of many more
		for name in frappe.get_all(
			"Email Queue Recipient",
			or_filters=[["recipient", "like", f"%{email}%"] for email in some],
			pluck="parent",
		)
	] or ["none"]
	for doctype, field, values in (
		("Consent Event Payload", "name", events),
		("Consent Event", "name", events),
		("Consent", "name", records),
		("Suppression", "name", records),
		("Consent Decision", "email_queue", queued),
		("Email Queue Recipient", "parent", queued),
		("Email Queue", "name", queued),
		("Email Unsubscribe", "email", emails),
		("Email Group Member", "email", emails),
	):
		frappe.db.delete(doctype, {field: ["in", values]})
	frappe.db.commit()


@pytest.fixture
def colleague(mailbox) -> Iterator[str]:
	"""The address of somebody who works with newsletters in the desk."""
	user = frappe.new_doc("User", email=mailbox(), first_name="Colleague", send_welcome_email=0)
	user.append_roles("Newsletter Manager")
	user.insert()
	frappe.db.commit()
	yield user.name
	frappe.db.rollback()
	frappe.delete_doc("User", user.name, force=True)
	frappe.db.commit()


@pytest.fixture
def committed_topic(site: str) -> Iterator[str]:
	topic = frappe.new_doc(
		"Subscription Topic", title=f"Topic {frappe.generate_hash(length=8)}", purpose="Email Marketing"
	).insert()
	frappe.db.commit()
	yield topic.name
	frappe.db.rollback()
	topic.delete(force=True)
	frappe.db.commit()


@pytest.fixture
def no_double_opt_in(committed_topic):
	"""Neither the topic nor any country asks for a confirmation."""
	rule = frappe.get_doc("Consent Country Rule", "Germany")
	before = {field: rule.get(field) for field in ("double_opt_in", "accepted_grades")}
	rule.update({"double_opt_in": 0, "accepted_grades": "Any"}).save()
	frappe.db.set_value("Subscription Topic", committed_topic, "double_opt_in", 0)
	frappe.db.commit()
	yield
	frappe.db.rollback()
	rule.reload()
	rule.update(before).save()
	frappe.db.commit()


@pytest.fixture
def fresh_counters(site: str) -> Iterator[None]:
	"""Let no test meet the limits that another has used up."""
	frappe.cache.delete_keys("consent_")
	yield
	frappe.cache.delete_keys("consent_")


@pytest.fixture
def wording(site: str) -> Iterator[Callable[..., str]]:
	"""Make a committed Consent Wording of Email Marketing for a topic, and name it."""
	made = []

	def make(topic: str | None, text: str, language: str = "en", **more) -> str:
		values = {"purpose": "Email Marketing", "topic": topic, "language": language, "text": text} | more
		made.append(frappe.new_doc("Consent Wording", **values).insert().name)
		frappe.db.commit()
		return made[-1]

	yield make
	frappe.db.rollback()
	frappe.db.delete("Consent Wording", {"name": ["in", made or [""]]})  # also those in use
	proof.forget_wordings()
	frappe.db.commit()


@pytest.fixture
def words_needed(site):
	"""Consent Settings ask for a wording, committed."""
	frappe.db.set_single_value("Consent Settings", "wording_required", 1)
	frappe.db.commit()
	yield
	frappe.set_user("Administrator")
	frappe.db.rollback()
	frappe.db.set_single_value("Consent Settings", "wording_required", 0)
	frappe.db.commit()


@pytest.fixture
def tracking_purpose(site: str) -> Iterator[str]:
	purpose = frappe.copy_doc(frappe.get_doc("Processing Purpose", "Email Marketing"))
	purpose.title = f"Tracking {frappe.generate_hash(length=8)}"
	purpose.insert()
	frappe.db.commit()
	yield purpose.name
	frappe.db.rollback()
	purpose.delete(force=True)
	frappe.db.commit()


@pytest.fixture
def group_of(site: str) -> Iterator[Callable[[str], str]]:
	"""Give a topic an Email Group, and name it; who leaves the topic leaves the group."""
	made = []

	def make(topic: str) -> str:
		group = frappe.new_doc("Email Group", title=f"Group {frappe.generate_hash(length=8)}").insert()
		made.append((topic, group.name))
		frappe.db.set_value("Subscription Topic", topic, "email_group", group.name)
		return group.name

	yield make
	frappe.db.rollback()
	for topic, group in made:
		if frappe.db.exists("Email Group", group):
			frappe.db.set_value("Subscription Topic", topic, "email_group", None)
			frappe.delete_doc("Email Group", group, force=True)
	frappe.db.commit()


# --- people -------------------------------------------------------------------------------------------------


DOCUMENT = "proof-of-consent.txt"
PROOF = {"source": "Phone", "evidence": f"/files/{DOCUMENT}"}  # public, so that every user may name it


def _create_missing_document() -> None:
	if not frappe.db.exists("File", {"file_url": PROOF["evidence"]}):
		attached = {"attached_to_doctype": "User", "attached_to_name": "Administrator"}
		frappe.new_doc("File", file_name=DOCUMENT, content="She said so.", **attached).insert()
		frappe.db.commit()


def give(email: str, topic: str | None = None, **more) -> str:
	"""Record a consent with a document, and return its name."""
	return api.record_consent(email=email, topic=topic, **PROOF | more)["name"]


def rest_on_sales(doctype: str, name: str) -> str:
	"""Let a purpose, or a topic, rest on the existing-customer rule for every product; return a wording."""
	about = frappe.get_doc(doctype, name)
	about.append("item_groups", {"item_group": "All Item Groups"})
	if doctype == "Processing Purpose":
		about.append("allowed_legal_bases", {"legal_basis": "Existing Customer"})
	about.save()
	shown = (
		{"purpose": name} if doctype == "Processing Purpose" else {"purpose": about.purpose, "topic": name}
	)
	text = "We write to you about similar products. You can object at any time, at no cost."
	return (
		frappe.new_doc("Consent Wording", **shown, language="en", text=text, offers_objection=1).insert().name
	)


def sell(email: str, on: date | None = None, doctype: str = "Sales Order", **more) -> str:
	"""Store a sale to whoever has an address, without what selling takes in ERPNext; return its name.

	Args:
		on: the site's date; today, by the clock of the test, if not given.
	"""
	lead = frappe.db.get_value("Lead", {"email_id": email})
	customer = frappe.new_doc("Customer", customer_name=f"Buyer {email}", lead_name=lead).insert().name
	if not lead:
		contact = frappe.db.get_value("Contact Email", {"email_id": email}, "parent")
		person = (
			frappe.get_doc("Contact", contact) if contact else frappe.new_doc("Contact", first_name=email)
		)
		if not contact:
			person.append("email_ids", {"email_id": email, "is_primary": 1})
		person.append("links", {"link_doctype": "Customer", "link_name": customer})
		person.save()
	item_group = more.pop("item_group", "Products")
	values = {
		"name": f"Sale {frappe.generate_hash(length=8)}",
		"customer": customer,
		"company": frappe.db.get_default("company"),
		"docstatus": 1,
		sales.SOLD_ON[doctype]: on or to_system_time(writing.now_utc()).date(),
	}
	sale = frappe.get_doc({"doctype": doctype, **values, **more})
	sale.db_insert()
	item = frappe.new_doc(f"{doctype} Item", parent=sale.name, parenttype=doctype, parentfield="items")
	item.update({"name": frappe.generate_hash(), "item_group": item_group}).db_insert()
	return sale.name


def forget_sales() -> None:
	"""Take back what `sell` and `rest_on_sales` stored, where it was committed."""
	buyers = frappe.get_all("Customer", {"customer_name": ["like", "Buyer %@%"]}, pluck="name") or ["none"]
	to_buyers = {"link_doctype": "Customer", "link_name": ["in", buyers]}
	contacts = frappe.get_all("Dynamic Link", to_buyers, pluck="parent") or ["none"]
	made = frappe.get_all("Contact", {"name": ["in", contacts], "first_name": ["like", "%@%"]}, pluck="name")
	for doctype in ("Contact Email", "Dynamic Link"):
		frappe.db.delete(doctype, {"parent": ["in", made or ["none"]]})
	frappe.db.delete("Contact", {"name": ["in", made or ["none"]]})
	frappe.db.delete("Dynamic Link", to_buyers)
	for doctype in sales.SOLD_ON:
		sold = frappe.get_all(doctype, {"customer": ["in", buyers]}, pluck="name")
		frappe.db.delete(f"{doctype} Item", {"parent": ["in", sold or ["none"]]})
		frappe.db.delete(doctype, {"name": ["in", sold or ["none"]]})
	frappe.db.delete("Customer", {"name": ["in", buyers]})
	frappe.db.delete("Consent Wording", {"offers_objection": 1})
	frappe.db.delete("Processing Purpose Legal Basis", {"legal_basis": "Existing Customer"})
	frappe.db.delete("Advertised Item Group")
	frappe.clear_cache()
	frappe.db.commit()


def give_to_customer(email: str, topic: str | None = None, purpose: str = "Email Marketing", **more) -> str:
	"""Record that mail rests on a sale; `rest_on_sales` has to have been called for the scope."""
	scope = {"purpose": purpose, "topic": topic or ["is", "not set"]}
	wording = frappe.db.get_value("Consent Wording", scope | {"offers_objection": 1})
	sell(email)
	return give(email, topic, purpose=purpose, legal_basis="Existing Customer", wording=wording, **more)


@pytest.fixture
def address(site: str):
	"""Name an address that nobody has; what is written for it is rolled back."""
	return lambda text="{}@people.example": text.format(frappe.generate_hash(length=12))


@pytest.fixture
def phone_number(site: str):
	"""Name a Polish mobile number that nobody has; what is written for it is rolled back."""
	return lambda: f"+48 60{secrets.randbelow(10)} {secrets.randbelow(1000):03} {secrets.randbelow(1000):03}"


@pytest.fixture
def topic(site: str) -> str:
	"""Make a Subscription Topic of Email Marketing, and name it."""
	made = frappe.new_doc(
		"Subscription Topic", title=f"Topic {frappe.generate_hash(length=8)}", purpose="Email Marketing"
	).insert()
	return made.name


@pytest.fixture
def contact(site: str):
	"""Make a Contact with the addresses given, the first one primary."""

	def make(*emails: str, **more):
		rows = [{"email_id": email, "is_primary": email == emails[0]} for email in emails]
		names = {"first_name": f"Contact {frappe.generate_hash(length=8)}"}
		return frappe.new_doc("Contact", **names | {"email_ids": rows} | more).insert()

	return make


@pytest.fixture
def lead(site: str):
	"""Make a Lead with the address given."""

	def make(email: str | None = None, **more):
		names = {"first_name": f"Lead {frappe.generate_hash(length=8)}"}
		return frappe.new_doc("Lead", **names | {"email_id": email} | more).insert()

	return make


@pytest.fixture
def customer(site: str):
	"""Make a Customer, with the Contacts given."""

	def make(*contacts):
		made = frappe.new_doc("Customer", customer_name=f"Customer {frappe.generate_hash(length=8)}").insert()
		for one in contacts:
			one.append("links", {"link_doctype": "Customer", "link_name": made.name})
			one.save()
		return made

	return make


@pytest.fixture
def agreed(mailbox):
	"""Return a new address whose owner agreed to Email Marketing, and to the topics given."""

	def agree(*topics: str) -> str:
		email = mailbox()
		for topic in (None, *topics):
			give(email, topic)
		return email

	return agree


# --- bulk updates -------------------------------------------------------------------------------------------


class BulkUpdates:
	"""Makes people and bulk updates that are committed, because the work commits; removes them afterwards."""

	def __init__(self, mailbox: Callable[..., str]) -> None:
		self.mailbox = mailbox
		self.people: dict[str, list[str]] = {doctype: [] for doctype in (*DOCTYPES, "User")}
		self.made: list[str] = []

	def contact(self, *emails: str, **more) -> str:
		rows = [{"email_id": email, "is_primary": email == emails[0]} for email in emails]
		return self._insert("Contact", first_name=_name("Contact"), email_ids=rows, **more)

	def many_contacts(self, number: int) -> list[str]:
		"""Return the addresses of new Contacts, which nobody could make one by one in time."""
		now, tag = frappe.utils.now(), frappe.generate_hash(length=8)
		names = [f"Contact {tag}-{position:05d}" for position in range(number)]
		emails = [self.mailbox() for _ in names]
		common = {"owner": "Administrator", "creation": now, "modified": now}
		contacts = [common | {"name": name, "first_name": name} for name in names]
		rows = [
			common
			| {"name": name, "parent": name, "parenttype": "Contact", "parentfield": "email_ids"}
			| {"email_id": email, "is_primary": 1, "idx": 1}
			for name, email in zip(names, emails, strict=True)
		]
		for doctype, values in (("Contact", contacts), ("Contact Email", rows)):
			columns = [*values[0]]
			frappe.db.bulk_insert(doctype, columns, [[*row.values()] for row in values])
		frappe.db.commit()
		self.people["Contact"] += names
		return emails

	def lead(self, email: str | None = None, **more) -> str:
		return self._insert("Lead", first_name=_name("Lead"), email_id=email, **more)

	def customer(self, *contacts: str, **more) -> str:
		name = self._insert("Customer", customer_name=_name("Customer"), **more)
		for contact in contacts:
			doc = frappe.get_doc("Contact", contact)
			doc.append("links", {"link_doctype": "Customer", "link_name": name})
			doc.save()
		frappe.db.commit()
		return name

	def user(self, *roles: str) -> str:
		email = f"{frappe.generate_hash(length=10)}@gdpr-test.example"
		user = frappe.new_doc("User", email=email, first_name="Test", send_welcome_email=0)
		user.append_roles(*roles)
		user.insert()
		self.people["User"].append(email)
		frappe.db.commit()
		return email

	def prospect(self, *leads: str, **more) -> str:
		rows = [{"lead": lead} for lead in leads]
		return self._insert("Prospect", company_name=_name("Prospect"), leads=rows, **more)

	def opportunity(self, kind: str, party: str, **more) -> str:
		company = frappe.get_all("Company", pluck="name")[0]
		more |= {"opportunity_from": kind, "party_name": party, "company": company}
		return self._insert("Opportunity", **more)

	def _insert(self, doctype: str, **values) -> str:
		self.people[doctype].append(frappe.new_doc(doctype, **values).insert().name)
		frappe.db.commit()
		return self.people[doctype][-1]

	def make(self, *rules: dict, reason: str = "For a test") -> str:
		"""Make a bulk update. A rule says `records`: whom it is about, by name, all of one DocType."""
		doc = frappe.new_doc("Consent Bulk Update", title="Test", reason=reason)
		for rule in rules:
			records = rule.pop("records", None)
			row = {"target_doctype": "Contact", "purpose": "Email Marketing"} | rule
			if records is not None:
				row["filters"] = json.dumps([[row["target_doctype"], "name", "in", records]])
			doc.append("rules", row)
		self.made.append(doc.insert().name)
		frappe.db.commit()
		return doc.name

	def preview(self, *rules: dict, **more) -> str:
		name = self.make(*rules, **more)
		self.do(bulk_api.preview, name)
		return name

	def run(self, *rules: dict, **more) -> str:
		name = self.preview(*rules, **more)
		self.do(bulk_api.run, name)
		return name

	def do(self, door: Callable, name: str, *args) -> dict:
		door(name, *args)
		frappe.db.commit()
		job.work(name)
		return bulk_api.status(name)

	def items(self, name: str) -> dict[str, frappe._dict]:
		frappe.db.commit()
		rows = frappe.get_all("Consent Bulk Update Item", {"bulk_update": name}, ["*"], order_by="name")
		return {row.target: row for row in rows}

	def item(self, name: str) -> frappe._dict:
		(item,) = self.items(name).values()
		return item

	def remove(self) -> None:
		frappe.set_user("Administrator")
		frappe.db.rollback()
		for doctype in ("Consent Bulk Update Item", "Consent Bulk Update Address"):
			frappe.db.delete(doctype, {"bulk_update": ["in", self.made or ["none"]]})
		frappe.db.delete("Consent Bulk Update Rule", {"parent": ["in", self.made or ["none"]]})
		frappe.db.delete("Consent Bulk Update", {"name": ["in", self.made or ["none"]]})
		for doctype in DOCTYPES:  # faster than `delete_doc`, which looks everywhere
			names = ["in", self.people[doctype] or ["none"]]
			frappe.db.delete(doctype, {"name": names})
			for table in frappe.get_meta(doctype).get_table_fields():
				frappe.db.delete(table.options, {"parenttype": doctype, "parent": names})
		for name in self.people["User"]:
			frappe.delete_doc("User", name, force=True, ignore_missing=True)
		frappe.db.commit()


def _name(kind: str) -> str:
	return f"{kind} {frappe.generate_hash(length=8)}"


@pytest.fixture
def bulk(mailbox) -> Iterator[BulkUpdates]:
	updates = BulkUpdates(mailbox)
	yield updates
	updates.remove()


# --- breaches -----------------------------------------------------------------------------------------------


@pytest.fixture
def remove_breaches(site: str) -> Iterator[None]:
	before = frappe.get_all("Personal Data Breach", pluck="name")
	yield
	frappe.db.rollback()
	for doctype, field in (("Personal Data Breach", "name"), ("Personal Data Breach Notice", "breach")):
		frappe.db.delete(doctype, {field: ["not in", before or ["none"]]})
	frappe.db.commit()


# --- mail ---------------------------------------------------------------------------------------------------


class Delivery(NamedTuple):
	to: str
	content: str


class Mailboxes:
	"""An SMTP server that remembers what it was really given, by envelope."""

	def __init__(self) -> None:
		self.deliveries: list[Delivery] = []
		self.fails = False
		self.port = 0
		self.hold_at: dict[str, Callable[[], None]] = {}  # what to wait for at RCPT, or after DATA
		self.refusals: dict[str, str] = {}  # what is said to RCPT TO, by address

	async def handle_RCPT(self, _server, _session, envelope, address: str, _options) -> str:
		await self._hold("RCPT")
		if address in self.refusals:
			return self.refusals[address]
		envelope.rcpt_tos.append(address)
		return "250 OK"

	async def handle_DATA(self, _server, _session, envelope) -> str:
		if self.fails:
			return "451 Try again later"
		content = envelope.content.decode()
		self.deliveries += [Delivery(recipient, content) for recipient in envelope.rcpt_tos]
		await self._hold("after DATA")
		return "250 OK"

	async def _hold(self, moment: str) -> None:
		if hold := self.hold_at.pop(moment, None):
			await asyncio.get_running_loop().run_in_executor(None, hold)

	def reached(self) -> list[str]:
		return sorted(delivery.to for delivery in self.deliveries)


@pytest.fixture(scope="session")
def smtp_server(site: str) -> Iterator[Mailboxes]:
	mailboxes = Mailboxes()
	port = free_port()
	controller = Controller(mailboxes, hostname="127.0.0.1", port=port)
	controller.start()
	mailboxes.port = port
	send_to(port)
	yield mailboxes
	controller.stop()


def send_to(port: int) -> None:
	name = "Gate Tests"
	if not frappe.db.exists("Email Account", name):
		frappe.new_doc(
			"Email Account",
			email_account_name=name,
			email_id="shop@gate.example",
			enable_outgoing=1,
			default_outgoing=1,
			smtp_server="127.0.0.1",
			smtp_port=port,
			no_smtp_authentication=1,
			use_tls=0,
		).insert()
	frappe.db.set_value("Email Account", name, "smtp_port", port)
	frappe.db.commit()
	forget_sending()


def forget_sending() -> None:
	frappe.clear_document_cache("Email Account", "Gate Tests")
	frappe.local.outgoing_email_account = {}  # core keeps what it found while a process lasts


def remove_sending() -> None:
	frappe.delete_doc("Email Account", "Gate Tests", force=True, ignore_missing=True)
	frappe.db.commit()
	forget_sending()


def start_worker() -> subprocess.Popen:
	"""Start a real RQ worker, which does what is queued until nothing is."""
	# With CI set, Frappe takes itself for a test and sends nothing.
	environment = {name: value for name, value in os.environ.items() if name != "CI"}
	worker = os.path.join(os.path.dirname(__file__), "worker.py")
	return subprocess.Popen([sys.executable, worker], cwd=os.environ["SITES_PATH"], env=environment)


def run_worker() -> None:
	frappe.db.commit()
	assert start_worker().wait() == 0
	frappe.db.commit()  # to see what it did


@pytest.fixture(scope="session")
def work_off_jobs(site: str) -> Callable[[], None]:
	return run_worker


@pytest.fixture
def smtp(smtp_server: Mailboxes) -> Mailboxes:
	forget_sending()
	# What an earlier test has left in the queue would go out with this one's.
	frappe.db.delete("Email Queue", {"status": "Not Sent"})
	frappe.db.commit()
	smtp_server.deliveries.clear()
	smtp_server.fails = False
	smtp_server.hold_at.clear()
	smtp_server.refusals = {}
	return smtp_server


def reason_on_the_server(email: str, topic: str | None = None) -> str:
	frappe.db.rollback()  # to see what the server committed
	return api.check_consent([email], topic=topic)[email]["reason"]


def wait_for_mails(**numbers: int) -> None:
	"""Wait until so many mails to each address are queued: a form is worked off after its answer has left."""

	def queued() -> dict[str, int]:
		frappe.db.rollback()
		return {email: frappe.db.count("Email Queue Recipient", {"recipient": email}) for email in numbers}

	wait_until(lambda: queued() == numbers)


@pytest.fixture
def queued(smtp: Mailboxes):
	"""Queue a mail as `frappe.sendmail` does, committed, and return its Email Queue row."""

	def queue(*recipients: str, purpose: str | None = None, topic: str | None = None, **more):
		headers = {"X-Consent-Purpose": purpose, "X-Consent-Topic": topic}
		before = set(frappe.get_all("Email Queue", pluck="name"))
		frappe.sendmail(
			recipients=list(recipients),
			subject="A word from us",
			message="<p>Hello</p>",
			email_headers={name: value for name, value in headers.items() if value} or None,
			**more,
		)
		frappe.db.commit()
		new = set(frappe.get_all("Email Queue", pluck="name")) - before
		(name,) = new
		return frappe.get_doc("Email Queue", name)

	return queue


class PopSession(socketserver.StreamRequestHandler):
	"""As much of a POP3 server as Frappe talks to (RFC 1939)."""

	def handle(self) -> None:
		mails, deleted = self.server.mails, set()
		self.say("+OK")
		for line in self.rfile:
			command, *numbers = line.decode().split()
			number = int(numbers[0]) - 1 if numbers and numbers[0].isdigit() else 0
			if command == "LIST":
				self.say("+OK", *(f"{at} {len(mail)}" for at, mail in enumerate(mails, 1)), ".")
			elif command == "RETR":
				lines = mails[number].decode().splitlines()
				self.say("+OK", *(f".{line}" if line.startswith(".") else line for line in lines), ".")
			else:
				if command == "DELE":
					deleted.add(number)
				self.say("+OK")
			if command == "QUIT":
				mails[:] = [mail for at, mail in enumerate(mails) if at not in deleted]
				return

	def say(self, *lines: str) -> None:
		self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


class Inbox:
	"""The default incoming mailbox of the site, and what waits in it."""

	address = "replies@gate.example"

	def __init__(self, mails: list[bytes]) -> None:
		self.mails = mails

	def receive(self, *mails: bytes) -> None:
		"""Deliver mails, and let Frappe fetch them as its scheduler does."""
		self.mails += mails
		frappe.get_doc("Email Account", {"email_id": self.address}).receive()
		assert not self.mails, "Frappe left mails behind."


@pytest.fixture(scope="session")
def inbox(site: str) -> Iterator[Inbox]:
	with socketserver.ThreadingTCPServer(("127.0.0.1", 0), PopSession) as server:
		server.mails, server.daemon_threads = [], True
		threading.Thread(target=server.serve_forever, daemon=True).start()
		name = "Gate Replies"
		frappe.set_user("Administrator")
		frappe.delete_doc("Email Account", name, force=True, ignore_missing=True)
		frappe.new_doc(
			"Email Account",
			email_account_name=name,
			email_id=Inbox.address,
			password="secret",
			enable_incoming=1,
			default_incoming=1,
			email_server="127.0.0.1",
			incoming_port=server.server_address[1],
			email_sync_option="ALL",
		).insert()
		frappe.db.commit()
		personal._mailbox_of_the_site.clear_cache()  # else it is found after a minute
		yield Inbox(server.mails)
		frappe.db.rollback()
		frappe.db.delete("Communication", {"email_account": name})
		frappe.delete_doc("Email Account", name, force=True)
		frappe.db.commit()
		personal._mailbox_of_the_site.clear_cache()
		server.shutdown()


@pytest.fixture
def newsletter(smtp, committed_topic, newsletters):
	made = []

	def make(*members: str, topic: str | None = committed_topic):
		group = frappe.new_doc("Email Group", title=frappe.generate_hash(length=10)).insert()
		for email in members:
			frappe.new_doc("Email Group Member", email_group=group.name, email=email).insert()
		letter = frappe.new_doc(
			"Newsletter",
			subject=f"News {frappe.generate_hash(length=6)}",
			sender_email="shop@gate.example",
			content_type="Rich Text",
			message="<p>Hello</p>",
			subscription_topic=topic,
		)
		letter.append("email_group", {"email_group": group.name})
		letter.insert()
		frappe.db.commit()
		made.extend([letter, group])
		return letter

	yield make
	frappe.db.rollback()
	for doc in made:
		frappe.delete_doc(doc.doctype, doc.name, force=True, ignore_permissions=True)
	frappe.db.commit()


@pytest.fixture(scope="session")
def newsletters(site: str) -> None:
	"""Skip the test where the site has no Newsletter, which can only be on v16."""
	if not frappe.db.exists("DocType", "Newsletter"):
		assert V16, "On v15 Newsletter is a part of Frappe, and its gate has to be tested."
		pytest.skip("On v16 Newsletter is an app of its own, and this bench doesn't have it.")


# --- a site with ERPNext and without the app ---------------------------------------------------------------

PLAIN_SITE = "gdpr-install.localhost"
PLAIN_SITE_IS_OURS = Path(PLAIN_SITE) / "made-by-gdpr_consent-tests"
PLAIN_SITE_IS_CLEAN = Path(PLAIN_SITE) / "clean"  # the site is as it was before the app came


def make_plain_site() -> None:
	"""Make the site, or make it anew unless the last test that used it has left it clean."""
	os.chdir(os.environ["SITES_PATH"])
	if PLAIN_SITE_IS_CLEAN.exists():
		return
	assert PLAIN_SITE_IS_OURS.exists() or not Path(PLAIN_SITE).exists(), (
		f"There is a site {PLAIN_SITE} that these tests didn't make."
	)
	prepare = Path(__file__).parents[1] / "script" / "prepare_site.py"
	subprocess.run([sys.executable, prepare, "create", PLAIN_SITE], check=True, stdin=subprocess.DEVNULL)
	PLAIN_SITE_IS_OURS.touch()
	PLAIN_SITE_IS_CLEAN.touch()


# --- the web ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def wkhtmltopdf() -> None:
	"""Skip where there can be no PDF: v15 makes it with nothing else, and script/bench.sh installs it where
	the distribution has it."""
	if not shutil.which("wkhtmltopdf"):
		pytest.skip("This distribution has no wkhtmltopdf, and so Frappe v15 no PDF.")


@pytest.fixture(scope="session")
def chromium() -> Iterator:
	with sync_playwright() as playwright:
		# The one of the distribution, else the one that Playwright has downloaded.
		browser = playwright.chromium.launch(
			executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
		)
		yield browser
		browser.close()


@pytest.fixture
def phone(chromium, web) -> Iterator:
	"""A page on a small phone that speaks Polish. If it asks anything of another site, the test fails."""
	context = chromium.new_context(
		viewport={"width": 360, "height": 740}, locale="pl-PL", base_url=web.browser_base
	)
	page = context.new_page()
	foreign: list[str] = []
	ours = web.browser_base
	page.on("request", lambda request: request.url.startswith(ours) or foreign.append(request.url))
	yield page
	context.close()
	assert foreign == []


@pytest.fixture
def desk(chromium, web) -> Iterator[Callable]:
	"""Open a page for the desk, as a user. If it says an error on its console, the test fails, unless it has
	expected it and taken it out of `errors`."""
	contexts, errors = [], []

	def note(message) -> None:
		# There is no realtime server; pages must do without.
		if message.type == "error" and "socket.io" not in message.text + message.location["url"]:
			errors.append(f"{message.text} {message.location['url']}")

	def note_thrown(error) -> None:
		# On v16, core writes the breadcrumb of a form that has been left before its header came.
		if not (V16 and "set_form_breadcrumb" in (error.stack or "")):
			errors.append(error.stack or str(error))

	def open_as(user: str, width: int = 1200, height: int = 900, first_steps: bool = False):
		if user != "Administrator":
			update_password(user, "admin")
			frappe.db.commit()
		cookies = web.login(user)
		context = chromium.new_context(viewport={"width": width, "height": height}, base_url=web.browser_base)
		context.add_cookies(
			[{"name": name, "value": value, "url": web.browser_base} for name, value in cookies.items()]
		)
		contexts.append(context)
		if not first_steps:  # on v16 they lie over whatever is below them, dialogs too, until they are closed
			context.add_init_script(
				"document.addEventListener('DOMContentLoaded', () => document.head.insertAdjacentHTML("
				"'beforeend', '<style>.onb-panel { display: none !important }</style>'))"
			)
		page = context.new_page()
		page.on("console", note)
		page.on("pageerror", note_thrown)
		return page

	open_as.errors = errors
	yield open_as
	for context in contexts:
		context.close()
	assert errors == []


@pytest.fixture
def person(smtp: Mailboxes) -> Iterator:
	"""Somebody who is everywhere: see `person_everywhere`."""
	from person_everywhere import PersonEverywhere  # which needs what is here

	made = PersonEverywhere().make()
	yield made
	frappe.set_user("Administrator")
	frappe.db.rollback()
	made.remove()


class Pictures:
	"""Keeps screenshots for docs/, with `script/test --pictures=FOLDER`."""

	SHEET_COLUMNS, SHEET_WIDTH = 5, 400  # pictures in a row of a sheet, pixels of each

	def __init__(self, folder: str | None) -> None:
		self.folder = folder
		self.on_sheet: list[Image.Image] = []

	def __call__(self, page, name: str, full_page: bool = True) -> None:
		if self.folder:
			page.screenshot(path=f"{self.folder}/{name}.png", full_page=full_page, animations="disabled")

	def add_to_sheet(self, page) -> None:
		if self.folder:
			one = Image.open(BytesIO(page.screenshot(animations="disabled")))
			self.on_sheet.append(one.resize((self.SHEET_WIDTH, one.height * self.SHEET_WIDTH // one.width)))

	def sheet(self, name: str) -> None:
		"""Keep what was added as one picture."""
		if not self.folder:
			return
		height = max(one.height for one in self.on_sheet)
		rows = -(-len(self.on_sheet) // self.SHEET_COLUMNS)
		whole = Image.new("RGB", (self.SHEET_COLUMNS * self.SHEET_WIDTH, rows * height), "white")
		for number, one in enumerate(self.on_sheet):
			row, column = divmod(number, self.SHEET_COLUMNS)
			whole.paste(one, (column * self.SHEET_WIDTH, row * height))
		whole.quantize(64).save(f"{self.folder}/{name}.png", optimize=True)


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Pictures:
	return Pictures(request.config.getoption("--pictures"))


class Web:
	"""The site over HTTP, from a server process of its own."""

	def __init__(self, port: int, site: str) -> None:
		self.base, self.site = f"http://127.0.0.1:{port}", site
		self.browser_base = f"http://{site}:{port}"  # what ends in localhost is this machine

	def call(self, method: str, path: str, **more) -> requests.Response:
		headers = {"Host": self.site} | more.pop("headers", {})
		return requests.request(
			method, self.base + path, headers=headers, allow_redirects=False, timeout=60, **more
		)

	def login(self, user: str) -> dict[str, str]:
		"""Return the cookies of a desk session that has a CSRF token, as a browser would hold them."""
		answer = self.call("POST", "/api/method/login", data={"usr": user, "pwd": "admin"})
		assert answer.status_code == 200, answer.text
		cookies = answer.cookies.get_dict()
		assert self.call("GET", DESK, cookies=cookies).status_code == 200
		return cookies

	def path_of(self, url: str) -> str:
		parts = urlsplit(url)
		return f"{parts.path}?{parts.query}"


@pytest.fixture(scope="session")
def web(site: str) -> Iterator[Web]:
	with serve(site) as web:
		yield web


@contextmanager
def serve(site: str) -> Iterator[Web]:
	port = free_port()
	command = [
		sys.executable,
		"-m",
		"frappe.utils.bench_helper",
		"frappe",
		"--site",
		site,
		"serve",
		"--noreload",
	]
	with subprocess.Popen(
		[*command, "--port", str(port)],
		cwd=os.environ["SITES_PATH"],
		stdout=subprocess.DEVNULL,
		stderr=subprocess.DEVNULL,
	) as server:
		web = Web(port, site)
		wait_until(lambda: accepts(port) or server.poll() is not None)
		assert server.poll() is None, "The web server didn't start."
		try:
			yield web
		finally:
			server.terminate()


def free_port() -> int:
	with socket.socket() as free:
		free.bind(("127.0.0.1", 0))
		return free.getsockname()[1]


def accepts(port: int) -> bool:
	with socket.socket() as client:
		return client.connect_ex(("127.0.0.1", port)) == 0


def is_killed(site: str, work: Callable[[], object], at_query: int) -> bool:
	"""Work in a process of its own that is killed at one of its queries: no cleaning up, no last word.

	Return whether it was; else it had fewer queries.
	"""
	worker = multiprocessing.get_context("fork").Process(target=_until_killed, args=(site, work, at_query))
	worker.start()
	worker.join()
	return worker.exitcode == -signal.SIGKILL


def _until_killed(site: str, work: Callable[[], object], at_query: int) -> None:
	_of_the_parent = frappe.db._conn  # closing it here would close it there
	frappe.init(site=site, sites_path=".", force=True)
	frappe.connect()
	asked, sql = 0, frappe.db.sql

	def counted(*args, **more):
		nonlocal asked
		asked += 1
		if asked == at_query:
			os.kill(os.getpid(), signal.SIGKILL)
		return sql(*args, **more)

	frappe.db.sql = counted
	work()
	os._exit(0)


def wait_until(happened: Callable[[], bool], seconds: int = 60) -> None:
	"""Wait for what another process does; a socket or a row can't notify us."""
	deadline = time.monotonic() + seconds
	while not happened():
		assert time.monotonic() < deadline, "It didn't happen."
		time.sleep(0.05)
