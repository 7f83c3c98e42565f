"""What the reports count, against the same register counted another way: in Python, row by row."""

import csv
import io
import json
from collections import Counter
from datetime import timedelta

import pytest
import report_data
from conftest import DESK, PROOF, give
from hypothesis import given, strategies
from openpyxl import load_workbook

import frappe
from frappe.desk.query_report import run
from frappe.permissions import add_user_permission

from gdpr_consent import api, audience
from gdpr_consent import register as the_register
from gdpr_consent.clock import now_utc, to_system_time
from gdpr_consent.exceptions import FilterNotValid, InvalidPeriod
from gdpr_consent.policy import MarketingGround, Permission, Reason, Status, status_at
from gdpr_consent.register import permission_of
from gdpr_consent.reports import (
	blocked_mail,
	cards,
	common,
	consent_register,
	coverage,
	expiring,
	processing,
	sources,
	wordings,
)

STAFF = ("Privacy Officer", "System Manager", "Consent User")
EVERYBODY = (*STAFF, "Newsletter Manager")
ROLES_OF = {
	"Consent Register": STAFF,
	"Consent Coverage": EVERYBODY,
	"Expiring and Lapsed": STAFF,
	"Blocked Mail": EVERYBODY,
	"Wording in Use": EVERYBODY,
	"Record of Processing Activities": ("Privacy Officer", "System Manager"),
	"Sources": EVERYBODY,
}


@pytest.fixture
def register(topic, address, site):
	"""300 consents to a topic of their own, some run out without any job having noticed."""
	emails = [address() for _number in range(300)]
	texts = [
		frappe.new_doc(
			"Consent Wording",
			purpose="Email Marketing",
			topic=topic,
			language="en",
			text=f"Yes, {number}",
			material=number == 2,
		)
		.insert()
		.name
		for number in range(3)
	]
	yield report_data.consents(emails, topic, (*texts, None))
	frappe.set_user("Administrator")
	frappe.db.rollback()
	if frappe.db.exists("Subscription Topic", topic):  # making a Newsletter has committed all of it
		report_data.remove(topic)
		frappe.db.delete("Consent Wording", {"topic": topic})
		frappe.db.delete("Subscription Topic", {"name": topic})
		frappe.db.commit()


def state(row: dict) -> Status:
	return status_at(permission_of(row), now_utc())


def figures(result) -> dict[str, float]:
	return {one["label"]: one["value"] for one in result.summary}


# --- the state now ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(Status))
def test_the_register_finds_whoever_has_a_state_now(register, topic, status):
	"""ST-03: judged at the moment of asking, not by the nightly job."""
	found = consent_register.execute({"topic": topic, "status": status.value})
	expected = {row["name"] for row in register if state(row) == status}
	assert {row["name"] for row in found.rows} == expected
	assert {row["state"] for row in found.rows} <= {status.value}
	assert figures(found)["Records"] == len(expected)


@given(
	status=strategies.sampled_from(Status),
	days=strategies.one_of(strategies.none(), strategies.integers(-3, 3)),
)
def test_the_database_judges_the_state_as_the_policy_does(status, days):
	now = now_utc()
	expires_on = now + timedelta(days=days) if days is not None else None
	asked = {"now": now, "status": status.value, "expires_on": expires_on}
	row = (
		"(select %(status)s as `status`, cast(%(expires_on)s as datetime(6)) as `expires_on`) as `tabConsent`"
	)
	((found,),) = frappe.db.sql(f"select {common.STATUS_NOW} from {row}", asked)
	permission = Permission("", "", status, MarketingGround.NEVER, now, now, expires_on)
	assert found == status_at(permission, now).value
	for one in Status:
		matched = frappe.db.sql(f"select 1 from {row} where {common.has_status(one.value)}", asked)
		assert bool(matched) == (found == one.value)


# --- the register -------------------------------------------------------------------------------------------

FILTERS = [
	{},
	{"source": "Phone"},
	{"grade": "A"},
	{"legal_basis": "Contract"},
	{"source": "Event", "status": "Expired"},
	{"channel": "SMS"},
]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_the_register_counts_and_filters(register, topic, filters):
	found = consent_register.execute({"topic": topic} | filters)
	columns = {"grade": "evidence_grade"}
	expected = [
		row
		for row in register
		if all(
			(state(row).value if name == "status" else row[columns.get(name, name)]) == value
			for name, value in filters.items()
		)
	]
	assert {row["name"] for row in found.rows} == {row["name"] for row in expected}
	states = Counter(state(row) for row in expected)
	assert figures(found) == {
		"Records": len(expected),
		"Given": states[Status.GIVEN],
		"Another Legal Basis": states[Status.NOT_REQUIRED],
		"Waiting or Unproven": states[Status.REQUESTED] + states[Status.UNKNOWN],
		"Refused or Withdrawn": states[Status.REFUSED] + states[Status.WITHDRAWN],
		"Over or Invalid": len(expected)
		- sum(
			states[one]
			for one in (
				*(Status.GIVEN, Status.NOT_REQUIRED, Status.REQUESTED, Status.UNKNOWN),
				*(Status.REFUSED, Status.WITHDRAWN),
			)
		),
	}


def test_a_period_is_made_of_days_of_the_site(register, topic):
	day = to_system_time(register[0]["since"]).date()
	found = consent_register.execute({"topic": topic, "from_date": str(day), "to_date": str(day)})
	expected = {row["name"] for row in register if to_system_time(row["since"]).date() == day}
	assert {row["name"] for row in found.rows} == expected


def test_the_register_never_loads_all(register, topic, monkeypatch):
	"""It says how many there are, and how to get them."""
	monkeypatch.setattr(common, "IN_FILE", 10)
	found = consent_register.execute({"topic": topic})
	newest = sorted((row["since"] for row in register), reverse=True)[:10]
	assert [row["since"] for row in found.rows] == [common.shown_time(since) for since in newest]
	assert "The first 10 of 300. Narrow the filters." in found.message
	assert figures(found)["Records"] == 300


@pytest.mark.parametrize(
	("filters", "error", "says"),
	[
		({"status": "Gone"}, FilterNotValid, "State|Status Gone"),
		({"grade": "' or 1 = 1 --"}, FilterNotValid, "Evidence Grade"),
		({"from_date": "yesterday, perhaps"}, InvalidPeriod, "From"),
		({"from_date": "2026-03-02", "to_date": "2026-03-01"}, InvalidPeriod, "2026-03-02"),
	],
	ids=str,
)
def test_a_wrong_filter_is_named(filters, error, says):
	with pytest.raises(error, match=says):
		consent_register.execute(filters)


def test_a_filter_is_a_value_and_never_a_piece_of_sql(register, topic):
	for name in common.EQUAL:
		assert consent_register.execute({"topic": topic} | {name: "x' or '1' = '1"}).rows == []


# --- what ends ----------------------------------------------------------------------------------------------


def test_what_ends_and_what_ended(register, topic):
	"""CA-15."""
	now = now_utc()
	found = expiring.execute({"topic": topic, "days_ahead": 20, "days_back": 40})
	by_clock = {"Given", "Expired", "Requested", "Lapsed", "Not Required", "Ended"}

	def between(first: int, last: int) -> set[str]:
		return {
			row["name"]
			for row in register
			if row["status"] in by_clock
			and row["expires_on"]
			and now + timedelta(days=first) <= row["expires_on"] < now + timedelta(days=last)
		}

	soon, ended = between(0, 20), between(-40, 0)
	assert {row["name"] for row in found.rows if not row["is_over"]} == soon
	assert {row["name"] for row in found.rows if row["is_over"]} == ended
	assert figures(found) == {"Ends within 20 Days": len(soon), "Ended in the Last 40 Days": len(ended)}
	assert [row["is_over"] for row in found.rows] == sorted(row["is_over"] for row in found.rows)
	drawn = {one["name"]: sum(one["values"]) for one in found.chart["data"]["datasets"]}
	assert drawn == {"Ended": len(ended), "Will End": len(soon)}


def test_who_loses_a_consent_soon_can_be_asked_now(
	smtp, mailbox, committed_topic, user_with_roles, work_off_jobs
):
	"""CA-15: once for each consent, and nobody else."""
	soon, later = mailbox(), mailbox()
	for email, days in ((soon, 50), (later, 300)):
		give(email, committed_topic)
		give(email)
		ends = now_utc() + timedelta(days=days)
		frappe.db.set_value("Consent", {"email": email}, "expires_on", ends, update_modified=False)
	for _time in range(2):
		expiring.ask_now(60)
		work_off_jobs()
	asked = {email: frappe.db.count("Email Queue Recipient", {"recipient": email}) for email in (soon, later)}
	assert asked == {soon: 1, later: 0}
	user_with_roles("Consent User")
	with pytest.raises(frappe.PermissionError):
		expiring.ask_now(60)
	frappe.set_user("Administrator")  # the topic is taken away as that user


def test_whose_consent_ended_can_be_asked_by_a_bulk_update(bulk, smtp, work_off_jobs, committed_topic):
	"""CA-15, ST-08: who said no since isn't asked."""
	ended, no, still = bulk.mailbox(), bulk.mailbox(), bulk.mailbox()
	for email in (ended, no, still):
		give(email)
		give(email, committed_topic)
	names = frappe.get_all("Consent", {"email": ["in", [ended, no]]}, pluck="name")
	over = {"expires_on": now_utc() - timedelta(hours=1)}
	frappe.db.set_value("Consent", {"name": ["in", names]}, over, update_modified=False)
	api.object_to_marketing(email=no)
	the_register.end_what_is_over()
	frappe.db.commit()
	filters = [
		["Consent", "topic", "=", committed_topic],
		["Consent", "status", "in", ["Given", "Expired"]],
		["Consent", "expires_on", "<", str(now_utc())],
	]
	rule = {"target_doctype": "Consent", "filters": json.dumps(filters), "action": "Ask"}
	name = bulk.preview(rule | {"topic": committed_topic})
	plans = {row.email: row.plan for row in bulk.items(name).values()}
	assert plans == {ended: "Change", no: "Skip"}


@pytest.mark.parametrize("days", ["-1", "soon", "99999"])
def test_days_are_a_number(days):
	with pytest.raises(FilterNotValid, match="Ends within Days"):
		expiring.execute({"days_ahead": days})


# --- blocked mail -------------------------------------------------------------------------------------------


@pytest.fixture
def decided(newsletter, topic, address):
	mail = newsletter(topic=None)
	return mail, report_data.decisions(mail.name, topic, [address() for _number in range(200)])


def test_what_was_blocked_and_why(decided, topic):
	mail, rows = decided
	since = common.start_of(frappe.utils.getdate() - timedelta(days=29))
	recent = [row for row in rows if row["decided_on"] >= since]
	found = blocked_mail.execute({"topic": topic})
	expected = Counter(row["reason"] for row in recent if not row["allowed"])
	assert {row["code"]: row["mails"] for row in found.rows} == expected
	assert {(row["reference_name"], row["title"]) for row in found.rows} == {(mail.name, mail.subject)}
	allowed = sum(row["allowed"] for row in recent)
	assert figures(found)["Blocked"] == expected.total()
	assert figures(found)["Allowed"] == allowed
	assert sum(sum(one["values"]) for one in found.chart["data"]["datasets"]) == expected.total()
	((objected,),) = [
		[row["mails"] for row in blocked_mail.execute({"topic": topic, "reason": "OBJECTED"}).rows]
	]
	assert objected == expected["OBJECTED"]


def test_the_record_a_mail_was_about_is_for_those_who_may_see_it(lead, topic, address, user_with_roles):
	"""Of a Notification it may be a person, and its name the person's."""
	person = lead(address())
	(row,) = report_data.decisions(person.name, topic, [address()])[:1]
	frappe.db.sql(
		"update `tabConsent Decision` set reference_doctype = 'Lead', allowed = 0, reason = 'OBJECTED',"
		" decided_on = utc_timestamp(6) where name = %s",
		row["name"],
	)
	(seen,) = blocked_mail.execute({"topic": topic}).rows
	assert seen["reference_name"] == person.name
	user_with_roles("Newsletter Manager")
	(hidden,) = blocked_mail.execute({"topic": topic}).rows
	assert person.name not in str(hidden)


# --- wordings -----------------------------------------------------------------------------------------------


def test_on_which_text_how_many_stand(register, topic):
	"""V6: the third text changes what people agree to, so the first two are outdated."""
	live = Counter(row["wording"] for row in register if state(row) == Status.GIVEN)
	found = wordings.execute({"topic": topic})
	assert {row["wording"]: row["live"] for row in found.rows} == dict(live) | {
		row["wording"]: live[row["wording"]] for row in found.rows
	}
	of_version = {row["version"]: row for row in found.rows if row["wording"]}
	assert [of_version[number]["is_outdated"] for number in (1, 2, 3)] == [True, True, False]
	old = sum(of_version[number]["live"] for number in (1, 2))
	assert figures(found) == {
		"Live Consents": live.total(),
		"On an Outdated Text": old,
		"Without Any Wording": live[None],
	}


# --- sources ------------------------------------------------------------------------------------------------


def test_where_consents_come_from(register, topic):
	found = {row["source"]: row for row in sources.execute({"topic": topic}).rows}
	assert set(found) == {row["source"] for row in register}
	given = ("Given", "Withdrawn", "Revoked", "Expired", "Invalidated")
	for source, row in found.items():
		mine = [one for one in register if one["source"] == source]
		ever = [one for one in mine if state(one).value in given]
		withdrawn = [one for one in ever if one["status"] == "Withdrawn"]
		assert row["records"] == len(mine)
		assert row["ever_given"] == len(ever)
		assert row["given"] == sum(state(one) == Status.GIVEN for one in mine)
		assert row["withdrawn"] == len(withdrawn)
		assert row["withdrawal_rate"] == common.share(len(withdrawn), len(ever))
		for grade in "ABCD":
			expected = sum(one["evidence_grade"] == grade for one in ever)
			assert row[f"grade_{grade.lower()}"] == expected


def test_a_refusal_counts_at_its_source(topic, address):
	for source in ("Phone", "Phone", "E-mail"):
		email = address()
		give(email, topic)
		api.withdraw_consent(email=email, topic=topic, purpose="Email Marketing", source=source)
	said = {row["source"]: row["said"] for row in sources.execute({"topic": topic}).rows}
	assert said == {"Phone": 2, "E-mail": 1}
	bounced = {row["source"]: row["withdrawn"] for row in sources.execute({"topic": topic}).rows}
	assert bounced["Phone"] == 3  # where all three came from


# --- coverage -----------------------------------------------------------------------------------------------


def basis_counts(doctype: str) -> Counter:
	rows = coverage.execute({"view": "Legal Basis", "party_type": doctype}).rows
	return Counter({row["state"]: row["records"] for row in rows})


def test_a_legal_basis_is_that_of_the_addresses(contact, lead, customer, address):
	"""AD: a consent is bound to the address; who has it is covered, whatever party the record names."""
	before = {doctype: basis_counts(doctype) for doctype in ("Contact", "Lead", "Customer")}
	shared, own, objected, other = (address() for _number in range(4))
	one, _same_mailbox = contact(own, shared), contact(shared.upper())
	customer(one)
	lead(objected)
	lead(other)
	contact(address())
	give(shared)
	give(objected)
	api.object_to_marketing(email=objected)
	api.record_consent("Customer Service", email=other, legal_basis="Contract", source="Contract")
	after = {doctype: basis_counts(doctype) for doctype in before}
	# ERPNext makes a Contact for each of the two Leads.
	assert after["Contact"] - before["Contact"] == {
		"Consent": 2,
		"Contract": 1,
		"No Legal Basis on Record": 2,
	}
	assert after["Customer"] - before["Customer"] == {"Consent": 1}
	# Who objected isn't covered by what they agreed to before.
	assert after["Lead"] - before["Lead"] == {"Contract": 1, "No Legal Basis on Record": 1}


def test_a_consent_that_the_gate_doesnt_accept_covers_nobody(contact, address):
	before = basis_counts("Contact")
	email = address()
	contact(email)
	give(email)
	frappe.db.set_value("Consent", {"email": email}, "evidence_grade", "D", update_modified=False)
	assert audience.decide_many([email], "Email Marketing")[email].reason == Reason.NO_EVIDENCE
	assert basis_counts("Contact") - before == {"No Legal Basis on Record": 1}


def test_a_contract_stays_one_though_the_address_changed(contact, address):
	email, new = address(), address()
	person = contact(email)
	api.record_consent(
		"Customer Service",
		email=email,
		party_type="Contact",
		party=person.name,
		legal_basis="Contract",
		source="Contract",
	)
	api.record_consent(email=email, party_type="Contact", party=person.name, **PROOF)
	before = basis_counts("Contact")
	person.email_ids[0].email_id = new
	person.save()
	changed = basis_counts("Contact")
	assert before - changed == {"Consent": 1}
	assert changed["Contract"] == before["Contract"]


def test_numbers_are_for_everybody_who_may_see_the_report(lead, address, user_with_roles):
	"""They name nobody, so marketing sees the same as the officer."""
	lead(address())
	everything = {view: coverage.execute({"view": view}).rows for view in ("Marketing Mail", "Legal Basis")}
	user_with_roles("Newsletter Manager")
	for view, rows in everything.items():
		assert coverage.execute({"view": view}).rows == rows


def test_the_marketing_view_counts_what_the_lists_say(contact, address):
	def counts() -> Counter:
		rows = coverage.execute({"party_type": "Contact"}).rows
		return Counter({row["code"]: row["records"] for row in rows})

	frappe.cache.delete_keys("consent_report")
	before, mailable = counts(), cards.mailable()["value"]
	yes, no = address(), address()
	give(yes)
	api.object_to_marketing(email=no)
	contact(yes)
	contact(no)
	contact(address())
	contact()
	assert counts() - before == {"Allowed": 1, "Opted Out": 1, "Nothing Known": 1, "No Address": 1}
	frappe.cache.delete_keys("consent_report")
	assert cards.mailable()["value"] == mailable + 1
	frappe.cache.delete_keys("consent_report")


# --- Art. 30 ------------------------------------------------------------------------------------------------


@pytest.fixture
def purpose(site):
	doc = frappe.copy_doc(frappe.get_doc("Processing Purpose", "Email Marketing"))
	doc.title = f"Purpose {frappe.generate_hash(length=8)}"
	return doc.insert()


FULL = {
	"data_subjects": "Subscribers",
	"data_categories": "Address",
	"recipients": "Mail provider",
	"transfers": "None.",
	"security_measures": "Roles",
	"storage": "Two years",
}


def record_of(purpose) -> dict:
	return {row["purpose"]: row for row in processing.execute({}).rows}[purpose.name]


def test_the_record_has_all_that_article_30_asks_for_or_says_what_is_missing(purpose):
	"""RE-04."""
	purpose.update(FULL).save()
	settings = frappe.get_doc("Consent Settings")
	settings.update(
		{"data_protection_officer": "Jo Lis", "data_protection_officer_contact": "dpo@us.example"}
	)
	settings.save()
	company = frappe.get_doc("Company", purpose.company)
	frappe.db.set_value("Company", company.name, "email", "office@us.example")
	row = record_of(purpose)
	assert row["missing"] == ""
	assert (row["controller"], row["data_protection_officer"]) == (company.name, "Jo Lis, dpo@us.example")
	assert "office@us.example" in row["controller_contact"]
	for field in FULL:
		purpose.update(FULL | {field: ""}).save()
		label = {one["fieldname"]: one["label"] for one in processing.execute({}).columns}[field]
		if field == "storage" and purpose.retention_months:
			continue
		assert record_of(purpose)["missing"] == label
	assert purpose.title in processing.execute({}).message


def test_a_transfer_needs_safeguards(purpose):
	"""Art. 30(1)(e)."""
	purpose.update(FULL | {"transfers": "United States: the mail provider"}).save()
	assert "Safeguards" in record_of(purpose)["missing"]
	purpose.update({"safeguards": "Standard contractual clauses"}).save()
	assert "Safeguards" not in record_of(purpose)["missing"]


def test_the_record_counts_active_consents(purpose, address):
	give(address(), purpose=purpose.name)
	over = give(address(), purpose=purpose.name)
	frappe.db.set_value("Consent", over, "expires_on", now_utc(), update_modified=False)
	assert record_of(purpose)["active_consents"] == 1


# --- who sees what ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [*EVERYBODY, "Sales User"])
@pytest.mark.parametrize("report", ROLES_OF)
def test_a_report_is_for_its_roles(report, role, user_with_roles):
	user_with_roles(role)
	if role in ROLES_OF[report]:
		assert run(report, {})["columns"]
	else:
		with pytest.raises(frappe.PermissionError):
			run(report, {})


def test_reports_for_marketing_name_no_address(register, decided, user_with_roles):
	user_with_roles("Newsletter Manager")
	for report, roles in ROLES_OF.items():
		if "Newsletter Manager" in roles:
			assert "@people.example" not in str(run(report, {}))
	frappe.set_user("Administrator")  # the Newsletter is taken away as that user


def test_user_permissions_hold_for_rows_and_for_counts(register, topic, user_with_roles):
	user = user_with_roles("Consent User")
	frappe.set_user("Administrator")
	other = frappe.new_doc("Processing Purpose").update(
		frappe.copy_doc(frappe.get_doc("Processing Purpose", "Sales")).as_dict()
		| {"title": f"Other {frappe.generate_hash(length=6)}", "name": None}
	)
	other.insert()
	add_user_permission("Processing Purpose", other.name, user)
	frappe.set_user(user)
	for execute in (consent_register.execute, expiring.execute, sources.execute):
		found = execute({"topic": topic})
		assert found.rows == []
		assert not any(figures(found).values())


# --- files --------------------------------------------------------------------------------------------------


@pytest.fixture
def hostile(mailbox, committed_topic):
	"""The address of somebody who hopes that a spreadsheet computes it (WB-10)."""
	email = mailbox("=cmd{}@gate.example")
	give(email, committed_topic)
	frappe.db.commit()
	return email


def call(web, user: str, command: str, **form) -> bytes:
	cookies = web.login(user)
	token = web.call("GET", DESK, cookies=cookies).text.split('csrf_token = "')[1].split('"')[0]
	answer = web.call(
		"POST",
		f"/api/method/{command}",
		cookies=cookies,
		headers={"X-Frappe-CSRF-Token": token},
		data=form,
	)
	assert answer.status_code == 200, answer.text
	return answer.content


def test_a_file_holds_no_formula_and_the_screen_what_is_on_record(hostile, committed_topic, web, bulk):
	"""WB-10, ASVS 1.2.10."""
	user = bulk.user("Privacy Officer")
	frappe.utils.password.update_password(user, "admin")
	frappe.db.commit()
	asked = {
		"report_name": "Consent Register",
		"filters": frappe.as_json({"topic": committed_topic}),
		"visible_idx": "[]",
	}
	export = "frappe.desk.query_report.export_query"
	text = call(web, user, export, file_format_type="CSV", csv_delimiter=",", csv_quoting="0", **asked)
	cells = [cell for row in csv.reader(io.StringIO(text.decode("utf-8-sig"))) for cell in row]
	assert f"'{hostile}" in cells
	assert hostile not in cells
	sheet = load_workbook(io.BytesIO(call(web, user, export, file_format_type="Excel", **asked))).active
	(cell,) = [cell for row in sheet.iter_rows() for cell in row if hostile in str(cell.value)]
	assert (cell.value, cell.data_type) == (f"'{hostile}", "s")
	shown = json.loads(call(web, user, "frappe.desk.query_report.run", **asked))["message"]
	assert [row["email"] for row in shown["result"]] == [hostile]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\0", " ="])
def test_no_cell_begins_a_formula(start):
	assert common.safe_cell(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize("value", ["1+1", "", None, 3, "a=b", " ", "Anna"])
def test_other_cells_stay_as_they_are(value):
	assert common.safe_cell(value) == value


# --- cost ---------------------------------------------------------------------------------------------------

QUERIES = {  # at most, however many records there are
	consent_register: 6,
	expiring: 7,
	blocked_mail: 8,
	wordings: 7,
	processing: 12,
	sources: 6,
}


@pytest.mark.parametrize("report", QUERIES, ids=lambda module: module.__name__.split(".")[-1])
def test_a_report_takes_the_same_few_queries_for_many_records(report, register, decided, topic, monkeypatch):
	filters = {} if report is processing else {"topic": topic}
	report.execute(filters)
	asked = []
	sql = frappe.db.sql
	monkeypatch.setattr(frappe.db, "sql", lambda *args, **more: asked.append(args[0]) or sql(*args, **more))
	report.execute(filters)
	assert len(asked) <= QUERIES[report], asked


# --- the cards ----------------------------------------------------------------------------------------------


def test_the_cards_count_what_is_on_record(register, monkeypatch):
	frappe.cache.delete_keys("consent_report")
	rows = frappe.get_all("Consent", fields=["*"])
	now = now_utc()
	given = [row for row in rows if state(row) == Status.GIVEN]
	assert cards.expiring()["value"] == sum(
		bool(row.expires_on) and row.expires_on < now + timedelta(days=30) for row in given
	)
	unproven = [row for row in given if not permission_of(row).is_proven]
	unknown = [row for row in rows if row.status == "Unknown"]
	assert cards.unproven()["value"] == len(unproven) + len(unknown)
	frappe.cache.delete_keys("consent_report")


def test_the_charts_count_what_is_on_record(register):
	frappe.cache.delete_keys("consent_report")
	rows = frappe.get_all("Consent", fields=["*"])
	in_force = [row for row in rows if state(row) in (Status.GIVEN, Status.NOT_REQUIRED)]
	by_source = cards.get_chart("Consents by Source")
	(dataset,) = by_source["datasets"]
	counted = dict(zip(by_source["labels"], dataset["values"], strict=True))
	assert counted == Counter(row.source or "Not stated" for row in in_force)
	by_basis = cards.get_chart("Consents by Legal Basis")
	counted = dict(zip(by_basis["labels"], by_basis["datasets"][0]["values"], strict=True))
	assert counted == Counter(row.legal_basis for row in in_force)
	over_time = cards.get_chart("Consents over Time")
	given = Counter(
		f"{row.given_on:%Y-%m}"
		for row in rows
		if row.given_on and row.status in ("Given", "Withdrawn", "Revoked", "Expired")
	)
	values = dict(zip(over_time["labels"], over_time["datasets"][0]["values"], strict=True))
	assert values == {month: given[month] for month in over_time["labels"]}
	assert len(values) == 12
	frappe.cache.delete_keys("consent_report")
