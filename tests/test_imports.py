"""Consents of an old list through core's Data Import, over HTTP and with a worker (CA-17)."""

import csv
import io
import json

import pytest
from conftest import DESK, PROOF, give, run_worker

import frappe
from frappe.core.doctype.data_import.importer import Importer

from gdpr_consent import api, register
from gdpr_consent.exceptions import RegisterIsAppendOnly

API = "/api/method/frappe.core.doctype.data_import.data_import"
WORDS = "She said so to Ann at the fair in Leipzig."
WHEN = "2025-03-01 09:00:00"


@pytest.fixture
def active_scheduler(site):
	"""Core imports in the background only where somebody would work it off."""
	before = frappe.db.get_single_value("System Settings", "enable_scheduler")
	frappe.db.set_single_value("System Settings", "enable_scheduler", 1)
	frappe.db.commit()
	yield
	frappe.db.set_single_value("System Settings", "enable_scheduler", before)
	frappe.db.commit()


@pytest.fixture
def made(site):
	names: list[tuple[str, str]] = []
	yield names
	frappe.set_user("Administrator")
	frappe.db.rollback()
	for doctype, name in reversed(names):
		frappe.delete_doc(doctype, name, force=True, ignore_missing=True)
	frappe.db.commit()


@pytest.fixture
def data_import(made):
	"""Make a Data Import of rows, committed."""

	def make(rows: list[dict], kind: str = "Insert New Records") -> str:
		file = io.StringIO()
		writer = csv.DictWriter(file, list(dict.fromkeys(column for row in rows for column in row)))
		writer.writeheader()
		writer.writerows(rows)
		stored = frappe.new_doc(
			"File", file_name=f"{frappe.generate_hash()}.csv", content=file.getvalue(), is_private=1
		)
		stored.insert()
		made.append(("File", stored.name))
		doc = frappe.new_doc(
			"Data Import", reference_doctype="Consent", import_type=kind, import_file=stored.file_url
		).insert()
		made.append(("Data Import", doc.name))
		frappe.db.commit()
		return doc.name

	return make


@pytest.fixture
def run(data_import, web, active_scheduler):
	"""Import rows as an administrator does in the desk, and return what the log says of each."""

	def work(rows: list[dict], **more) -> list[frappe._dict]:
		name = data_import(rows, **more)
		cookies = web.login("Administrator")
		token = web.call("GET", DESK, cookies=cookies).text.split('csrf_token = "')[1].split('"')[0]
		headers = {"X-Frappe-CSRF-Token": token}
		started = web.call(
			"POST", f"{API}.form_start_import", data={"data_import": name}, cookies=cookies, headers=headers
		)
		assert started.status_code == 200, started.text
		run_worker()
		doc = frappe.get_doc("Data Import", name)
		assert doc.status != "Pending", doc.template_warnings
		return frappe.get_all("Data Import Log", {"data_import": name}, ["*"], order_by="log_index")

	return work


@pytest.fixture
def run_here(data_import):
	"""Import rows with core's importer in this process, and return what the log says of each."""

	def work(rows: list[dict]) -> list[frappe._dict]:
		name = data_import(rows)
		Importer("Consent", data_import=frappe.get_doc("Data Import", name)).import_data()
		return frappe.get_all("Data Import Log", {"data_import": name}, ["*"], order_by="log_index")

	return work


def said(log: frappe._dict) -> str:
	found = [json.loads(one) if isinstance(one, str) else one for one in json.loads(log.messages or "[]")]
	return " ".join(one["message"] for one in found)


def consent_of(email: str) -> frappe._dict:
	(row,) = frappe.get_all("Consent", {"email": email}, ["*"])
	return row


def test_ca_17_each_kind_of_row_becomes_what_its_proof_is_worth(run, mailbox, committed_topic):
	proven, documented, claimed, other, objected, broken = (mailbox() for _ in range(6))
	common = {"Purpose": "Email Marketing", "Source": "Event"}
	logs = run(
		[
			common
			| {
				"E-mail Address": proven,
				"Evidence": WORDS,
				"Given On": "2025-11-03 10:00:00",
				"Status": "Given",
			},
			common
			| {
				"E-mail Address": documented,
				"Evidence": PROOF["evidence"],
				"Given On": WHEN,
				"Topic": committed_topic,
			},
			common | {"E-mail Address": claimed, "Status": "Given", "Given On": "2020-01-01 00:00:00"},
			common | {"E-mail Address": other, "Purpose": "Sales", "Legal Basis": "Contract"},
			common | {"E-mail Address": objected, "Status": "Withdrawn", "Evidence": WORDS},
			common | {"E-mail Address": broken.replace("@", "@@"), "Evidence": WORDS, "Given On": WHEN},
		]
	)
	assert [log.success for log in logs] == [1, 1, 1, 1, 1, 0]
	row = consent_of(proven)
	assert (row.status, row.evidence, row.evidence_grade, row.source) == ("Given", WORDS, "D", "Event")
	assert str(row.given_on) == "2025-11-03 10:00:00" and logs[0].docname == row.name
	assert row.recorded_by == "Administrator" and row.language is None
	assert (consent_of(documented).evidence_grade, consent_of(documented).topic) == ("C", committed_topic)
	row = consent_of(claimed)
	assert (row.status, row.given_on) == ("Unknown", None)
	assert row.reason == "Imported without a proof; said to be given on 2020-01-01 00:00:00."
	assert api.check_consent([claimed])[claimed]["reason"] == "NO_EVIDENCE"
	assert consent_of(other).status == "Not Required"
	assert api.check_consent([objected])[objected]["reason"] == "WITHDRAWN"
	assert frappe.get_all("Suppression", {"email": objected}, pluck="reason") == [WORDS]
	(row_number,) = json.loads(logs[5].row_indexes)
	assert row_number == 7 and broken.replace("@", "@@") in said(logs[5])
	assert "E-mail address" in said(logs[5]) and "Enter one address" in said(logs[5])
	assert api.verify_ledger()["ok"]


@pytest.mark.parametrize(
	("column", "value", "says"),
	[
		("Evidence Grade", "A", "Evidence Grade"),
		("Address Key", "v1:abc", "Address Key"),
		("Last Hash", "0" * 64, "Last Hash"),
		("Confirmed On", "2026-01-01 10:00:00", "Confirmed On"),
		("In this State Since", "2026-01-01 10:00:00", "In this State Since"),
		("Double Opt-In Required", "0", "Double Opt-In Required"),
		("Recorded By", "ann@office.example", "Recorded By"),
		("ID", "my-own-number", "name"),
		("owner", "ann@office.example", "owner"),
	],
)
def test_ca_17_no_column_of_the_register_can_be_smuggled_in(run_here, mailbox, column, value, says):
	email = mailbox()
	(log,) = run_here(
		[{"E-mail Address": email, "Source": "Event", "Evidence": WORDS, "Given On": WHEN, column: value}]
	)
	assert not log.success and says in said(log) and "Remove the column" in said(log)
	assert not frappe.db.exists("Consent", {"email": email})


def test_ca_17_a_hostile_file_gets_no_yes_past_the_register(run, mailbox):
	"""Each line tries another way to be written to; none is, and each says why."""
	refused, pending, withdrawn, spelled, future, basis, proofless, expired = (mailbox() for _ in range(8))
	api.object_to_marketing(email=refused)
	register.request(email=pending, by_the_person=True)
	give(withdrawn)
	api.withdraw_consent(email=withdrawn)
	api.object_to_marketing(email=spelled)
	frappe.db.commit()
	proof = {"Source": "Event", "Evidence": WORDS, "Given On": WHEN}
	logs = run(
		[
			{"E-mail Address": refused, **proof, "Status": "Given"},
			{"E-mail Address": withdrawn, **proof},
			{"E-mail Address": f"Jo <{spelled.upper()}>", **proof},
			{"E-mail Address": future, **proof, "Given On": "2099-01-01 00:00:00"},
			{"E-mail Address": basis, **proof, "Legal Basis": "Legitimate Interests"},
			{
				"E-mail Address": proofless,
				"Evidence": "/files/no-such-file.pdf",
				"Given On": WHEN,
				"Source": "Event",
			},
			{"E-mail Address": expired, "Status": "Expired"},
			{"E-mail Address": mailbox(), "Evidence": WORDS, "Given On": WHEN},
			{"E-mail Address": pending, **proof},
		]
	)
	assert [log.success for log in logs] == [0] * 9
	for log, part in zip(
		logs,
		(
			"The person said no",
			"The person said no",
			"The person said no",
			"lies in the future",
			"isn't allowed for purpose",
			"isn't a file of this site",
			"Expired",
			"Source",
			"A confirmation is pending",
		),
		strict=True,
	):
		assert part in said(log), said(log)
	allowed = api.check_consent([refused, pending, withdrawn, spelled, future, basis, proofless, expired])
	assert not any(answer["allowed"] for answer in allowed.values())


def test_a_record_is_not_updated_by_an_import(run, mailbox):
	email = mailbox()
	name = give(email, given_on="2026-01-01")
	frappe.db.commit()
	(log,) = run(
		[{"ID": name, "Status": "Withdrawn", "E-mail Address": mailbox()}], kind="Update Existing Records"
	)
	assert not log.success and "can't be written directly" in said(log)
	assert consent_of(email).status == "Given"


def test_a_file_without_the_column_language_says_none(run_here, mailbox):
	first, second = mailbox(), mailbox()
	run_here([{"E-mail Address": first, "Source": "Event", "Evidence": WORDS, "Given On": WHEN}])
	assert consent_of(first).language is None
	run_here(
		[{"E-mail Address": second, "Source": "Event", "Evidence": WORDS, "Given On": WHEN, "Language": "pl"}]
	)
	assert consent_of(second).language == "pl"


def test_outside_of_an_import_nothing_is_inserted(address, web):
	doc = frappe.new_doc("Consent", email=address(), status="Given", name="x")
	with pytest.raises(RegisterIsAppendOnly):
		doc.insert()


def test_who_may_not_record_imports_nothing(address, user_with_roles):
	user_with_roles("Newsletter Manager")
	frappe.flags.in_import = True
	try:
		with pytest.raises(frappe.PermissionError):
			frappe.new_doc("Consent", email=address(), source="Event", evidence=WORDS).insert()
		with pytest.raises(frappe.PermissionError):
			frappe.new_doc("Consent", email=address()).insert()
	finally:
		frappe.flags.in_import = False


def test_a_document_that_bench_imports_passes_the_same_door(address):
	claimed, smuggled = address(), address()
	frappe.flags.in_import = True
	try:
		frappe.new_doc("Consent", email=claimed, status="Given").insert()
		with pytest.raises(RegisterIsAppendOnly, match="Evidence Grade"):
			frappe.new_doc(
				"Consent", email=smuggled, status="Given", evidence_grade="A", source="Event", evidence=WORDS
			).insert()
	finally:
		frappe.flags.in_import = False
	assert consent_of(claimed).status == "Unknown"
	assert not frappe.db.exists("Consent", {"email": smuggled})


def test_a_long_list_costs_the_same_few_queries_a_row(data_import, mailbox):
	"""A thousand rows are read once, and none costs more than the first."""
	rows = [
		{
			"E-mail Address": mailbox(),
			"Source": "Event",
			"Evidence": WORDS,
			"Given On": WHEN,
			"Purpose": "Email Marketing",
		}
		for _ in range(1_000)
	]
	name = data_import(rows)
	importer = Importer("Consent", data_import=frappe.get_doc("Data Import", name))
	queries: list[int] = []
	count, insert, sql = [0], importer.insert_record, frappe.db.sql

	def counted(*args, **kwargs):
		count[0] += 1
		return sql(*args, **kwargs)

	def one(doc):
		count[0] = 0
		done = insert(doc)
		queries.append(count[0])
		return done

	importer.insert_record = one
	frappe.db.sql = counted
	try:
		importer.import_data()
	finally:
		frappe.db.sql = sql
	assert len(queries) == 1_000 and max(queries[1:]) <= min(queries[1:]) + 2
	assert max(queries[1:]) <= 40
	assert frappe.db.count("Data Import Log", {"data_import": name, "success": 1}) == 1_000


def test_a_column_that_nobody_knows_is_no_column_left_out(mailbox, run):
	"""TM-01: without its date, an old consent would be a new one."""
	email = mailbox()
	row = {"E-mail Address": email, "Purpose": "Email Marketing", "Source": "Event", "Evidence": WORDS}
	(log,) = run([row | {"Given On (UTC)": "2025-03-01 09:00:00"}])
	assert not log.success and "Given On (UTC)" in said(log) and "Don't Import" in said(log)
	assert not frappe.db.exists("Consent", {"email": email})


def test_an_old_yes_needs_its_date(mailbox, run_here):
	"""TM-01: the moment of the import isn't when the person agreed."""
	email = mailbox()
	(log,) = run_here([{"E-mail Address": email, "Source": "Event", "Evidence": WORDS}])
	assert not log.success and "Given On is missing" in said(log)
	assert not frappe.db.exists("Consent", {"email": email})
