"""The right to erasure, from the map over the plan to a database that knows nobody (Art. 17, DS-10, DS-16).

The dump is read by decoders of its own, not by the patterns that the erasure works with.
"""

import base64
import binascii
import gzip
import html
import os
import quopri
import random
import re
import subprocess
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from conftest import PROOF, is_killed, run_worker
from person_everywhere import PersonEverywhere

import frappe
from frappe.custom.doctype.custom_field.custom_field import create_custom_field

from gdpr_consent import api, ledger, links, register
from gdpr_consent.exceptions import ConsentError, ErasureNotPossible, MapNotValid, NotNow, StandingRefusal
from gdpr_consent.identity import Person, address_key
from gdpr_consent.rights import api as doors
from gdpr_consent.rights import (
	erasure,
	erasure_run,
	personal_data,
	requests,
	shipped_map,
	spellings,
	subject,
	traces,
)
from gdpr_consent.rights.personal_data import By, Erasure, Holding, Way
from gdpr_consent.rights.requests import Identity, Status

DOCTYPE = "Data Subject Request"


@pytest.fixture
def request_of(person) -> Iterator:
	"""Record a request of the person to be erased, whose identity is known."""
	made: list[str] = []

	def ask() -> str:
		user = frappe.session.user
		frappe.set_user("Administrator")
		doc = requests.open_request(
			"Erasure", email=person.email, party_type="Lead", party=person.lead.name, channel="Letter"
		)
		made.append(doc.name)
		ticked = {(row.party_type, row.party) for row in doc.records if row.included}
		assert ticked == set(person.people)
		requests.move(doc.name, Status.IN_PROGRESS, identity=Identity.CONFIRMED.value)
		frappe.db.commit()
		frappe.set_user(user)
		return doc.name

	yield ask
	frappe.set_user("Administrator")
	frappe.db.rollback()
	for doctype in (DOCTYPE, *(f"{DOCTYPE} {table}" for table in ("Record", "Step", "Change", "Notice"))):
		frappe.db.delete(doctype, {"name" if doctype == DOCTYPE else "parent": ["in", made or [""]]})
	for doctype in ("Comment", "Communication", "Email Queue"):
		frappe.db.delete(doctype, {"reference_doctype": DOCTYPE, "reference_name": ["in", made or [""]]})
	frappe.db.commit()


@pytest.fixture
def officer(user_with_roles) -> str:
	user = user_with_roles("Privacy Officer", "System Manager")
	frappe.db.commit()
	return user


# --- the map ------------------------------------------------------------------------------------------------


def test_ds_10_the_map_covers_every_email_phone_and_party_of_frappe_and_erpnext():
	assert personal_data.uncovered() == []


def test_ds_10_a_field_that_somebody_adds_is_missed():
	create_custom_field("Task", {"fieldname": "guest_mail", "fieldtype": "Data", "options": "Email"})
	try:
		assert [(one["doctype"], one["field"]) for one in personal_data.uncovered()] == [
			("Task", "guest_mail")
		]
	finally:
		frappe.delete_doc("Custom Field", "Task-guest_mail", force=True)
		frappe.db.commit()


HOLDINGS: list[Holding] = []


def test_ds_10_an_app_adds_to_the_map_by_hook(monkeypatch):
	hooks = frappe.get_hooks
	named = {personal_data.HOOK: ["gdpr_consent.rights.shipped_map.of_an_app"]}
	monkeypatch.setattr(shipped_map, "of_an_app", lambda: HOLDINGS, raising=False)
	monkeypatch.setattr(
		frappe, "get_hooks", lambda hook=None, *a, **k: named.get(hook) or hooks(hook, *a, **k)
	)
	HOLDINGS[:] = [Holding("Task", (Way(By.MENTION, "subject"),), ("subject",), Erasure.REDACT)]
	assert personal_data.holding_of("Task").fields == ("subject",)
	for wrong, says in (
		(Holding("Nothing", (Way(By.ITSELF),)), "doesn't exist"),
		(Holding("Task", (Way(By.ADDRESS, "mail"),)), "has no mail"),
		(Holding("Task", ()), "no way"),
		(Holding("Task", (Way(By.MENTION, "subject"),), erasure=Erasure.KEEP), "names no law"),
		("Task", "no Holding"),
	):
		HOLDINGS[:] = [wrong]
		with pytest.raises(MapNotValid, match=says):
			personal_data.holdings()


def test_ds_10_what_is_kept_says_by_which_law_and_all_that_is_named_exists():
	for one in personal_data.holdings():
		assert one.erasure != Erasure.KEEP or one.kept_because, one.doctype
		personal_data._check(one, "shipped")


def test_ds_10_somebody_who_is_everywhere_is_found_everywhere(person):
	theirs = subject.of_people(person.people)
	assert set(theirs.addresses) == set(person.addresses)
	assert theirs.names == (person.name,)
	found = {one.doctype for one, number in traces.count(theirs) if number}
	by_the_sweep = {"Item", "Prospect", "Integration Request"}
	assert set(person.documents) - found == by_the_sweep
	assert len(found) >= 25
	for one, number in traces.count(theirs):
		assert sum(len(page) for page in traces.pages(one, theirs, ["name"], size=2)) == number


def test_ad_10_what_several_people_share_is_nobodys(contact, lead):
	email, shared = f"{frappe.generate_hash(length=8)}@x.example", "info@shared.example"
	one = contact(email, shared, phone_nos=[{"phone": "+48 601 202 303"}])
	lead(mobile_no="0048 601 202 303")
	theirs = subject.of_people([Person("Contact", one.name)])
	assert theirs.addresses == (email,)
	assert [row["included"] for row in subject.candidates(shared)] == [0]
	assert [row["included"] for row in subject.candidates(email)] == [1]


# --- a dump that is read ------------------------------------------------------------------------------------


def dump() -> Iterator[tuple[str, str]]:
	"""Yield each row of the database with its table, and each file and log of the site with its path."""
	conf = frappe.conf
	command = ["mariadb-dump", "--skip-extended-insert", "--no-create-info", f"--user={conf.db_name}"]
	command += [f"--socket={conf.db_socket}"] if conf.db_socket else [f"--host={conf.db_host}"]
	environment = os.environ | {"MYSQL_PWD": conf.db_password}
	done = subprocess.run([*command, conf.db_name], capture_output=True, env=environment, check=True)
	for line in done.stdout.decode(errors="replace").split("\n"):
		if line.startswith("INSERT INTO `"):
			table = line.split("`", 2)[1]
			# The dump escapes quotes and line ends; a text in it is as it was stored then.
			yield table, re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), line)
	site = Path(frappe.get_site_path())
	bench = Path(frappe.utils.get_bench_path())
	for folder in (site / "private/files", site / "public/files", site / "logs", bench / "logs"):
		for path in folder.rglob("*"):
			yield str(path), path.name
			if path.is_file():
				content = path.read_bytes()
				if path.suffix == ".gz":
					content = gzip.decompress(content)
				yield str(path), content.decode(errors="replace")


def readings(text: str) -> Iterator[str]:
	"""Yield a text as it may be read: in each of the usual encodings."""
	yield text
	if "%" in text:
		yield unquote_to_bytes(text.encode()).decode(errors="replace")
	if "&" in text:
		yield html.unescape(text)
	if "=" in text:
		yield quopri.decodestring(text.replace("\\n", "\n").encode()).decode(errors="replace")
	if "\\" in text:
		yield re.sub(r"\\+u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), text)
	joined = re.sub(r"(?<=[A-Za-z0-9+/])(?:\\r|\\n|\r|\n)+(?=[A-Za-z0-9+/])", "", text)
	for run in re.findall(r"[A-Za-z0-9+/]{12,}={0,2}", joined):
		for start in range(4):
			part = run[start:].rstrip("=")
			try:
				yield base64.b64decode(part[: len(part) // 4 * 4]).decode(errors="replace")
			except binascii.Error:
				continue


def where_named(person: PersonEverywhere) -> set[str]:
	"""Name the tables and files in which anything of the person can be read."""
	words = [person.first_name, person.last_name, *person.emails, person.street]
	number = re.sub(r"\D", "", person.phone)[2:]
	found = set()
	# What tells this person from all others is in each of the words, but for the number.
	for place, text in dump():
		for reading in readings(text):
			lower = reading.lower()
			if any(word.lower() in lower for word in words) or number in re.sub(r"[\s()/.+-]", "", reading):
				found.add(place)
				break
	return {place.removeprefix("tab") for place in found}


def test_ds_17_the_reader_of_the_dump_sees_the_person_before(person):
	"""A reader that sees nothing would prove nothing."""
	named = where_named(person)
	assert len({place for place in named if "/" not in place}) > 40
	assert len({place for place in named if "/files/" in place}) >= 4
	assert {"Integration Request", "Email Queue", "Webhook Request Log", "__global_search"} <= named


def erase(request: str, keep_evidence: bool = False) -> dict:
	"""Plan, approve and run, as an officer would."""
	doors.plan_erasure(request)
	doors.approve_erasure(request, keep_evidence)
	frappe.db.commit()
	run_worker()
	frappe.db.rollback()
	answer = doors.erasure_status(request)
	assert answer["status"] == "Fulfilled", answer
	return answer


def allowed_places(answer: dict) -> set[str]:
	return {row["doctype"] for row in answer["report"]["kept"]} | {
		row["where"] for row in answer["report"]["left"] if row["why"] == "kept"
	}


def test_ds_16_ds_17_after_an_erasure_only_what_the_report_lists_names_the_person(
	person, request_of, officer
):
	name = request_of()
	answer = erase(name)
	named = where_named(person)
	assert named <= allowed_places(answer)
	assert named == {"Sales Invoice", "Sales Order", "Payment Request", "Contract", "Transaction Log"} & named
	assert all(row["because"] for row in answer["report"]["kept"])
	assert [row for row in answer["report"]["left"] if row["why"] == "key"] == []
	# The law keeps the invoice and what must be on it; how to reach the person isn't.
	invoice = frappe.get_doc("Sales Invoice", person.invoice.name)
	assert invoice.customer_name == person.name and person.street in invoice.address_display
	assert not (invoice.contact_email or invoice.contact_person or invoice.contact_mobile)
	assert person.email.lower() not in str(invoice.as_dict()).lower()
	assert frappe.db.exists("Customer", invoice.customer) and person.name not in invoice.customer
	assert frappe.db.get_value(
		"GL Entry", {"voucher_no": invoice.name, "party_type": "Customer"}, "party"
	) == (invoice.customer)
	frappe.set_user("Administrator")
	invoice.reload()
	invoice.cancel()  # what stays can still be worked with
	frappe.db.rollback()
	assert api.verify_ledger()["ok"]
	others = frappe.get_doc("Opportunity", person.others["Opportunity"])
	assert others.party_name == person.others["Lead"] and not others.contact_email
	doc = frappe.get_doc(DOCTYPE, name)
	assert not (doc.email or doc.requester_name or doc.records) and doc.address_key == address_key(
		person.email
	)


def test_ds_16_what_core_remembers_of_links_hides_no_record(person, request_of, officer):
	"""Whatever it has read before, in this process or in another: it says itself that it may be outdated."""
	name = request_of()
	doors.plan_erasure(name)
	doors.approve_erasure(name)
	frappe.db.commit()
	frappe.local.dynamic_link_map = {}
	frappe.cache.set_value("dynamic_link_map::Dynamic Link::link_doctype", ["Contact", "Lead"])
	erasure_run.work(name)
	answer = doors.erasure_status(name)
	assert answer["status"] == "Fulfilled"
	assert where_named(person) <= allowed_places(answer)


def test_ds_16_the_person_is_told_before_we_forget_whom_to_tell(person, request_of, officer, smtp):
	erase(request_of())
	mails = [one.content for one in smtp.deliveries if one.to.lower() == person.email.lower()]
	assert any("erasing your data" in text for mail in mails for text in readings(mail))


def test_au_03_the_evidence_stays_where_claims_are_possible(person, request_of, officer):
	(consent,) = person.documents["Consent"][:1]
	erase(request_of(), keep_evidence=True)
	payload = frappe.db.get_value("Consent Event Payload", f"{consent}-1", "payload")
	assert "Said so on the telephone" in payload
	assert frappe.db.get_value("Consent", consent, ["email", "party"]) == (None, None)
	assert api.verify_ledger()["ok"]


# --- a worker that is killed --------------------------------------------------------------------------------


def test_ds_16_an_erasure_that_is_killed_again_and_again_ends_the_same(person, request_of, officer, site):
	name = request_of()
	doors.plan_erasure(name)
	doors.approve_erasure(name)
	frappe.db.commit()
	chance, kills = random.Random(8), 0
	while doors.erasure_status(name)["status"] == "Running":
		frappe.db.commit()
		kills += is_killed(site, lambda: erasure_run.work(name), chance.randint(100, 900 + 200 * kills))
		frappe.db.rollback()
	answer = doors.erasure_status(name)
	assert kills >= 5 and answer["status"] == "Fulfilled"
	assert where_named(person) <= allowed_places(answer)
	assert ledger.verify()["ok"]
	assert api.check_consent([person.email])[person.email]["reason"] == "OBJECTED"


def test_ds_16_whoever_goes_on_knows_the_person_by_the_customer_that_has_a_new_name(person):
	one = subject.of_people([Person("Customer", person.invoice.customer)])

	def stop(_steps: list[erasure.Step]) -> None:
		raise erasure.Stopped

	with pytest.raises(erasure.Stopped):
		erasure.carry_out(one, progress=stop)
	frappe.db.rollback()
	renamed = frappe.db.get_value("Sales Invoice", person.invoice.name, "customer")
	assert person.name not in renamed
	goes_on = subject.of_people([Person("Customer", renamed)])
	assert (goes_on.names, goes_on.addresses) == (one.names, one.addresses)
	erasure.carry_out(goes_on)
	assert frappe.db.get_value("Sales Invoice", person.invoice.name, "customer") == renamed
	assert frappe.db.get_value("Customer", renamed, "customer_name") == renamed


# --- nobody is written to again -----------------------------------------------------------------------------


@pytest.fixture
def erased(mailbox) -> Iterator[str]:
	"""An address that was erased."""
	email = mailbox()
	register.erase([email], [])
	frappe.db.commit()
	yield email
	frappe.set_user("Administrator")
	frappe.db.rollback()
	for doctype, field in (("Lead", "email_id"), ("Contact", "email_id"), ("Communication", "sender")):
		for name in frappe.get_all(doctype, {field: email}, pluck="name"):
			frappe.delete_doc(doctype, name, force=True, ignore_permissions=True)
	frappe.db.commit()


def by_a_form(email: str) -> None:
	"""A sign-up form, filled in by whoever has the address or not: it confirms nothing."""
	register.request(email=email, by_the_person=True, evidence="Ticked the box on /consent/subscribe")


def by_staff(email: str) -> None:
	with pytest.raises(StandingRefusal):
		api.record_consent("Email Marketing", email=email, **PROOF)
	frappe.new_doc("Lead", first_name="Back", email_id=email).insert()


def by_import(email: str) -> None:
	file = frappe.new_doc("File", file_name="leads.csv", content=f"First Name,Email\nBack,{email}\n").insert()
	data_import = frappe.new_doc(
		"Data Import", reference_doctype="Lead", import_type="Insert New Records", import_file=file.file_url
	).insert()
	data_import.get_importer().import_data()
	assert frappe.db.exists("Lead", {"email_id": email})


def by_mail(email: str) -> None:
	account = frappe.new_doc("Email Account", email_id="in@gate.example", create_contact=1)
	mail = EmailMessage()
	mail["From"], mail["To"], mail["Subject"] = f"Back <{email}>", "in@gate.example", "Hello again"
	mail.set_content("I am back")
	from frappe.email.receive import InboundMail

	InboundMail(mail.as_bytes(), account).process()


def by_email_group(email: str) -> None:
	group = frappe.new_doc("Email Group", title=f"Back {frappe.generate_hash(length=6)}").insert()
	frappe.new_doc("Email Group Member", email_group=group.name, email=email).insert()


def by_api(email: str) -> None:
	with pytest.raises(ConsentError):
		api.record_consent("Email Marketing", email=email.upper(), **PROOF)


WAYS = (by_a_form, by_staff, by_import, by_mail, by_email_group, by_api)


@pytest.mark.parametrize("comes_back", WAYS, ids=lambda way: way.__name__)
def test_ds_19_who_comes_back_isnt_written_to(erased, comes_back, queued, smtp):
	comes_back(erased)
	frappe.db.commit()
	assert api.check_consent([erased])[erased]["reason"] == "SUPPRESSED"
	mail = queued(erased, purpose="Email Marketing")
	mail.send()
	assert frappe.db.get_value("Email Queue", mail.name, "status") == "Blocked"
	assert not [one for one in smtp.deliveries if one.to == erased and "A word from us" in one.content]


def test_ds_19_what_the_person_confirms_from_their_mailbox_lifts_it(erased):
	pending = register.request(email=erased, by_the_person=True)
	assert api.check_consent([erased])[erased]["reason"] == "SUPPRESSED"
	register.confirm([row["name"] for row in pending], links.now_utc())
	assert api.check_consent([erased])[erased]["reason"] == "VALID_CONSENT"


# --- the register -------------------------------------------------------------------------------------------


def test_au_03_an_erased_consent_says_nothing_of_the_person_and_its_chain_holds(address, contact):
	email = address()
	one = contact(email)
	name = api.record_consent("Email Marketing", email=email, party_type="Contact", party=one.name, **PROOF)[
		"name"
	]
	assert register.erase([email], [("Contact", one.name)]) == [name]
	row = frappe.get_doc("Consent", name).as_dict()
	assert row.status == "Withdrawn" and row.address_key == address_key(email)
	assert not (row.email or row.party or row.evidence or row.reason)
	for value in (email, one.name, PROOF["evidence"]):
		assert value not in str(row) + str(frappe.get_all("Consent Event", {"consent": name}, ["*"]))
		of_it = {"name": ["like", f"{name}-%"], "payload": ["like", f"%{value}%"]}
		assert not frappe.get_all("Consent Event Payload", of_it)
	assert api.verify_ledger()["ok"]
	assert register.rebuild(name)["changed"] == {}
	assert api.check_consent([email])[email]["reason"] == "SUPPRESSED"


def test_au_03_erasing_twice_adds_nothing(address):
	email = address()
	api.record_consent("Email Marketing", email=email, **PROOF)
	register.erase([email], [])
	events = frappe.db.count("Consent Event")
	assert register.erase([email], []) == []
	assert frappe.db.count("Consent Event") == events


def test_au_04_a_payload_that_no_erasure_names_may_not_be_missing(address):
	email = address()
	name = api.record_consent("Email Marketing", email=email, **PROOF)["name"]
	frappe.db.set_value("Consent Event Payload", f"{name}-1", {"payload": None, "salt": None})
	answer = api.verify_ledger()
	assert (answer["ok"], answer["first_bad"], answer["problem"]) == (False, f"{name}-1", "payload missing")


# --- spellings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
	"text",
	[
		"zoë.k@x.example",
		"<zoë.k@x.example>",
		"ZOË.K@X.EXAMPLE",
		"zo%C3%AB.k%40x.example",
		"=3Czo=C3=AB.k@x=\n.example=3E",
		"zo&euml;.k&#64;x.example",
		r"to:\nzo\u00eb.k@x.example",
	],
)
def test_ds_17_an_address_is_known_in_every_spelling(text):
	pattern = f"(?i:{spellings.readable('zoë.k@x.example')})"
	assert re.search(pattern, text)
	assert frappe.db.sql("select %s regexp %s", (text, pattern))[0][0] == 1


@pytest.mark.parametrize(
	"text", ["anzoë.k@x.example", "zoë.k@x.example.org", "zoe.k@x.example", "zoë.k@x.examples"]
)
def test_ad_06_another_address_isnt_taken_for_it(text):
	pattern = f"(?i:{spellings.readable('zoë.k@x.example')})"
	assert not re.search(pattern, text)
	assert frappe.db.sql("select %s regexp %s", (text, pattern))[0][0] == 0


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
def test_ds_17_base64_is_known_in_each_alignment(before):
	coded = base64.b64encode(f"{before}jo@x.example and more".encode()).decode()
	found = [pattern for pattern in spellings.in_base64(["jo@x.example"]) if re.search(pattern, coded)]
	assert len(found) == 1
	assert not re.search(found[0], coded.swapcase())


@pytest.mark.parametrize(
	"text", ["+48 600 100 200", "0048600100200", "600-100-200", "(600) 100 200", "%2B48600100200"]
)
def test_ds_17_a_number_is_known_however_its_digits_are_grouped(text):
	pattern = spellings.readable("+48600100200")
	assert re.search(pattern, text)
	assert not re.search(pattern, f"1{text[-9:]}1")


# --- who may, and when not ----------------------------------------------------------------------------------


def test_ds_16_a_plan_changes_nothing_and_names_the_law(person, request_of, officer):
	name = request_of()
	steps = doors.plan_erasure(name)
	assert frappe.db.get_value(DOCTYPE, name, "status") == "To Approve"
	assert {step["action"] for step in steps} == {"Delete", "Anonymise", "Redact", "Keep"}
	assert all(step["because"] for step in steps)
	for one in person.people:
		assert frappe.db.exists(*one)


def test_ds_16_nobody_approves_what_they_recorded_if_there_is_another_officer(
	person, request_of, user_with_roles
):
	first = user_with_roles("Privacy Officer")
	frappe.set_user("Administrator")
	second = user_with_roles("Privacy Officer")
	frappe.set_user("Administrator")
	name = request_of()
	frappe.db.set_value(DOCTYPE, name, "owner", first)
	frappe.set_user(first)
	doors.plan_erasure(name)
	with pytest.raises(NotNow, match="Another Privacy Officer"):
		doors.approve_erasure(name)
	frappe.set_user(second)
	doors.approve_erasure(name)
	assert frappe.db.get_value(DOCTYPE, name, ["status", "approved_by"]) == ("Running", second)
	frappe.db.rollback()


def test_ds_16_what_changed_since_the_plan_is_planned_again(person, request_of, officer):
	name = request_of()
	doors.plan_erasure(name)
	frappe.db.commit()
	person.new("Note", title=f"Another {person.tag}", content=person.name)
	with pytest.raises(NotNow, match="new plan"):
		doors.approve_erasure(name)
	assert frappe.db.get_value(DOCTYPE, name, "status") == "To Approve"


@pytest.mark.parametrize("door", ["plan_erasure", "approve_erasure", "stop_erasure", "erasure_status"])
def test_only_privacy_officers_erase(door, user_with_roles):
	user_with_roles("System Manager", "Consent User")
	with pytest.raises(frappe.PermissionError):
		getattr(doors, door)("DSR-0")


def test_ds_16_staff_and_nobody_are_not_erased(user_with_roles):
	user = user_with_roles("Sales User")
	for people, says in (([Person("User", user)], "work here"), ([], "Nobody is ticked")):
		with pytest.raises(ErasureNotPossible, match=says):
			erasure.plan(subject.of_people(people))


def test_re_03_a_legal_hold_keeps_everything(contact, monkeypatch):
	one = contact("held@held.example")
	until = frappe.utils.add_days(frappe.utils.nowdate(), 90)
	frappe.new_doc(
		"Legal Hold", party_type="Contact", party=one.name, reason="A claim", review_on=until
	).insert()
	with pytest.raises(ErasureNotPossible, match="Legal Hold"):
		erasure.carry_out(subject.of_people([Person("Contact", one.name)]))
	assert frappe.db.exists("Contact", one.name)


def test_ds_10_the_report_shows_what_is_missing_first(user_with_roles):
	from gdpr_consent.reports import personal_data_map

	user_with_roles("Privacy Officer")
	answer = personal_data_map.execute({})
	assert answer.summary[0]["value"] == 0 and len(answer.rows) > 100
	frappe.set_user("Administrator")
	user_with_roles("Sales User")
	with pytest.raises(frappe.PermissionError):
		personal_data_map.execute({})
