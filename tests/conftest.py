"""The site that the tests run on, the SMTP server it sends to, and the only factories.

The site is a real one: script/test makes it and names it in the environment.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import requests
from aiosmtpd.controller import Controller
from hypothesis import HealthCheck, settings

import frappe

from gdpr_consent import api, audience, links, register
from gdpr_consent.identity import address_keys

# The same examples in every run, and no verdict by the clock of a busy machine.
settings.register_profile(
	"repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def site() -> Iterator[str]:
	os.chdir(os.environ["SITES_PATH"])  # where Frappe looks for logs and files
	frappe.init(site=os.environ["FRAPPE_SITE"], sites_path=".")
	frappe.connect()
	frappe.clear_cache()
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
	for module in (register, audience, links):
		monkeypatch.setattr(module, "now_utc", lambda: standing.now)
	return standing


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
	queued = frappe.get_all(
		"Email Queue Recipient",
		or_filters=[["recipient", "like", f"%{email}%"] for email in emails] or [["recipient", "=", ""]],
		pluck="parent",
	) or ["none"]
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


def give(email: str, topic: str | None = None, **more) -> str:
	"""Record a consent with a proof, and return its name."""
	return api.record_consent(
		email=email, topic=topic, **{"source": "Phone", "evidence": "Said so in a test call."} | more
	)["name"]


@pytest.fixture
def address(site: str):
	"""Name an address that nobody has; what is written for it is rolled back."""
	return lambda text="{}@people.example": text.format(frappe.generate_hash(length=12))


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

	async def handle_RCPT(self, _server, _session, envelope, address, _options) -> str:
		await self._hold("RCPT")
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
	frappe.clear_document_cache("Email Account", name)


def remove_sending() -> None:
	frappe.delete_doc("Email Account", "Gate Tests", force=True, ignore_missing=True)
	frappe.db.commit()


def run_worker() -> None:
	"""Let a real RQ worker do what is queued, until nothing is."""
	# With CI set, Frappe takes itself for a test and sends nothing.
	environment = {name: value for name, value in os.environ.items() if name != "CI"}
	frappe.db.commit()
	worker = os.path.join(os.path.dirname(__file__), "worker.py")
	subprocess.run([sys.executable, worker], cwd=os.environ["SITES_PATH"], env=environment, check=True)
	frappe.db.commit()  # to see what it did


@pytest.fixture(scope="session")
def work_off_jobs(site: str) -> Callable[[], None]:
	return run_worker


@pytest.fixture
def smtp(smtp_server: Mailboxes) -> Mailboxes:
	smtp_server.deliveries.clear()
	smtp_server.fails = False
	smtp_server.hold_at.clear()
	return smtp_server


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


class Web:
	"""The site over HTTP, from a server process of its own."""

	def __init__(self, port: int, site: str) -> None:
		self.base, self.site = f"http://127.0.0.1:{port}", site

	def call(self, method: str, path: str, **more) -> requests.Response:
		headers = {"Host": self.site} | more.pop("headers", {})
		return requests.request(
			method, self.base + path, headers=headers, allow_redirects=False, timeout=60, **more
		)

	def path_of(self, url: str) -> str:
		parts = urlsplit(url)
		return f"{parts.path}?{parts.query}"


@pytest.fixture(scope="session")
def web(site: str) -> Iterator[Web]:
	port = free_port()
	command = [sys.executable, "-m", "frappe.utils.bench_helper", "frappe", "serve", "--noreload"]
	with subprocess.Popen(
		[*command, "--port", str(port)],
		cwd=os.environ["SITES_PATH"],
		stdout=subprocess.DEVNULL,
		stderr=subprocess.DEVNULL,
	) as server:
		web = Web(port, site)
		wait_until(lambda: accepts(port) or server.poll() is not None)
		assert server.poll() is None, "The web server didn't start."
		yield web
		server.terminate()


def free_port() -> int:
	with socket.socket() as free:
		free.bind(("127.0.0.1", 0))
		return free.getsockname()[1]


def accepts(port: int) -> bool:
	with socket.socket() as client:
		return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until(happened: Callable[[], bool], seconds: int = 60) -> None:
	"""Wait for what another process does; a socket or a row can't notify us."""
	deadline = time.monotonic() + seconds
	while not happened():
		assert time.monotonic() < deadline, "It didn't happen."
		time.sleep(0.05)
