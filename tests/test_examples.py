"""The examples of docs/api.md, run as they stand there."""

import json
import re
import socket
from pathlib import Path

import jwt
import pytest
from conftest import give

import frappe

from gdpr_consent import api, records, signatures

DOCS = Path(__file__).parents[1] / "docs"
MARKED = re.compile(r"<!-- example: (?P<name>.+?) -->\n\n```python\n(?P<code>.+?)```", re.DOTALL)
EXAMPLES = {found["name"]: found["code"] for found in MARKED.finditer((DOCS / "api.md").read_text())}


def run(name: str, **names) -> dict:
	exec(compile(EXAMPLES[name], f"docs/api.md, {name}", "exec"), names)
	return names


def test_every_example_has_a_test():
	tested = re.findall(r"EXAMPLES\[\"(.+?)\"\]|run\(\s*\"(.+?)\"", Path(__file__).read_text())
	assert {one or other for one, other in tested} == set(EXAMPLES)


def test_every_block_of_python_in_the_docs_is_python():
	for path in (DOCS / "api.md", DOCS / "extending.md"):
		for code in re.findall(r"```python\n(.+?)```", path.read_text(), re.DOTALL):
			compile(code, str(path), "exec")


# --- REST ---------------------------------------------------------------------------------------------------


@pytest.fixture
def any_localhost(monkeypatch):
	"""Names that end in localhost are this machine (RFC 6761), which not every resolver knows."""
	resolve = socket.getaddrinfo

	def resolved(host, *args, **more):
		return resolve("127.0.0.1" if str(host).endswith(".localhost") else host, *args, **more)

	monkeypatch.setattr(socket, "getaddrinfo", resolved)


@pytest.fixture
def key(site):
	"""API key and secret of a Consent User, committed."""
	user = frappe.new_doc("User", email=f"{frappe.generate_hash()}@gdpr-test.example", first_name="Script")
	user.send_welcome_email = 0
	user.append_roles("Consent User", "Sales User")
	user.api_key, user.api_secret = "key" + frappe.generate_hash(length=12), "secret"
	user.insert()
	frappe.db.commit()
	yield user.api_key, "secret"
	frappe.db.rollback()
	frappe.delete_doc("User", user.name, force=True)
	frappe.db.commit()


def test_rest_records_asks_and_withdraws(web, key, mailbox, any_localhost, capsys):
	email = mailbox()
	names = run("rest", ERP=web.browser_base, API_KEY=key[0], API_SECRET=key[1], EMAIL=email)
	assert capsys.readouterr().out == "False NO_EVIDENCE\n"
	frappe.db.rollback()
	assert api.check_consent([email])[email]["reason"] == "WITHDRAWN"
	with pytest.raises(RuntimeError, match="StandingRefusal"):
		names["call"]("record_consent", email=email, source="Event", evidence="Said so")


# --- Server Scripts -----------------------------------------------------------------------------------------


@pytest.fixture
def server_script(site):
	"""Make Server Scripts, which the bench allows for this test; committed."""
	path = Path(frappe.local.sites_path) / "common_site_config.json"
	before = path.read_text()
	path.write_text(json.dumps(json.loads(before) | {"server_script_enabled": 1}))
	made = []

	def make(code: str, **more) -> str:
		doc = frappe.new_doc("Server Script", script=code, **more)
		doc.name = f"Example {frappe.generate_hash(length=8)}"
		made.append(doc.insert().name)
		frappe.db.commit()
		return doc.name

	yield make
	frappe.set_user("Administrator")
	frappe.db.rollback()
	for name in made:
		frappe.delete_doc("Server Script", name, force=True)
	frappe.db.commit()
	path.write_text(before)


def test_a_server_script_of_type_api_answers_over_http(server_script, web, key, agreed, mailbox):
	server_script(EXAMPLES["server script, API"], script_type="API", api_method="may_i_write")
	yes, no = agreed(), mailbox()
	frappe.db.commit()
	headers = {"Authorization": f"token {key[0]}:{key[1]}"}
	for email, allowed in ((yes, True), (no, False)):
		answer = web.call("POST", "/api/method/may_i_write", headers=headers, data={"email": email})
		assert answer.json()["message"] is allowed, answer.text
	assert web.call("POST", "/api/method/may_i_write", data={"email": yes}).status_code == 403


@pytest.fixture
def box(site):
	field = frappe.get_doc(
		doctype="Custom Field", dt="Lead", fieldname="newsletter_box", label="Newsletter", fieldtype="Check"
	).insert()
	yield
	frappe.db.rollback()
	frappe.delete_doc("Custom Field", field.name, force=True)
	frappe.db.commit()


def test_a_server_script_on_lead_records_a_consent(server_script, box, lead, mailbox):
	server_script(
		EXAMPLES["server script, Lead"],
		script_type="DocType Event",
		reference_doctype="Lead",
		doctype_event="After Insert",
	)
	with_box, without = lead(mailbox(), newsletter_box=1), lead(mailbox())
	given = frappe.get_all("Consent", {"party": with_box.name}, ["status", "evidence", "source"])
	assert given == [
		{
			"status": "Given",
			"evidence": f"Ticked the box of our form at the fair, Lead {with_box.name}",
			"source": "Event",
		}
	]
	assert not frappe.db.exists("Consent", {"party": without.name})


def test_a_server_script_on_todo_asks_before_somebody_writes(server_script, lead, agreed, mailbox):
	server_script(
		EXAMPLES["server script, ToDo"],
		script_type="DocType Event",
		reference_doctype="ToDo",
		doctype_event="Before Insert",
	)
	yes, no = lead(agreed()), lead(mailbox())

	def task(about):
		return frappe.new_doc(
			"ToDo", description="Write", reference_type="Lead", reference_name=about.name
		).insert()

	assert task(yes).name
	with pytest.raises(frappe.ValidationError, match="may not be written to"):
		task(no)


# --- mail and other channels --------------------------------------------------------------------------------


def test_a_mail_with_headers_reaches_only_who_agreed(smtp, agreed, mailbox, committed_topic):
	yes, no = agreed(committed_topic), mailbox()
	for email in (yes, no):
		run("sendmail", frappe=frappe, EMAIL=email, TOPIC=committed_topic)
	frappe.db.commit()
	for name in frappe.get_all("Email Queue", {"status": "Not Sent"}, pluck="name"):
		frappe.get_doc("Email Queue", name).send()
	assert smtp.reached() == [yes]


def test_another_channel_asks_first(agreed, mailbox, committed_topic):
	yes, no = agreed(committed_topic), mailbox()
	assert run("other channel", emails=[yes, no], TOPIC=committed_topic)["allowed"] == [yes]


def test_anybody_checks_a_signed_record_with_the_public_key(address, capsys):
	name = give(address())
	keys = json.dumps(signatures.public_keys())
	token = records.signed(records.record_of(name))
	run("verify", TOKEN=token, PUBLIC_KEYS=keys)
	assert capsys.readouterr().out == f"{name}\n"
	header, body, signature = token.split(".")
	with pytest.raises(jwt.InvalidSignatureError):
		run("verify", TOKEN=f"{header}.{body[:-4]}AAAA.{signature}", PUBLIC_KEYS=keys)


def test_the_webhook_is_one_that_core_takes(site):
	run("webhook", frappe=frappe)
	doc = frappe.get_doc("Webhook", "consent-withdrawn")
	assert doc.enabled
	frappe.cache.delete_value("webhooks")
