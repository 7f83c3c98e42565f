"""A person's package: what is in it, what isn't, and that it is handed out once (Art. 15, 20; DS-10 to DS-14,
DS-24, DS-25)."""

import csv
import hashlib
import io
import json
import re
import zipfile
from email import message_from_string
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jsonschema
import pytest
from conftest import DESK, run_worker
from person_everywhere import PersonEverywhere

import frappe
from frappe.deferred_insert import save_to_db
from frappe.utils import add_to_date, now_datetime

from gdpr_consent import register
from gdpr_consent.exceptions import LinkNotValid, PackageNotPossible, RequestNotPossible
from gdpr_consent.policy import RefusalKind
from gdpr_consent.rights import access, api, package, personal_data, requests, subject, traces
from gdpr_consent.rights.masking import MASKED, Mask

ACCESS_PARTS = {"README.txt", "consents.jsonld", "csv/fields.csv", "data.json", "manifest.json", "report.pdf"}
PORTABILITY_PARTS = {
	"README.txt",
	"consents.jsonld",
	"csv/fields.csv",
	"data.json",
	"manifest.json",
	"schema.json",
}
pytestmark = pytest.mark.usefixtures("fresh_counters")


@pytest.fixture(scope="module")
def person(site):
	frappe.set_user("Administrator")
	made = PersonEverywhere().make()
	yield made
	frappe.set_user("Administrator")
	frappe.db.rollback()
	made.remove()


def a_request(right: str, email: str, **more) -> str:
	"""Open a request, with the identity confirmed, in progress."""
	doc = requests.open_request(right, email=email, channel="E-mail", **more)
	requests.write(doc.name, identity="Confirmed", identity_method="Signed In")
	requests.move(doc.name, requests.Status.IN_PROGRESS)
	frappe.db.commit()
	return doc.name


@pytest.fixture
def request_of(person):
	made = []

	def make(right: str) -> str:
		made.append(a_request(right, person.email))
		doc = frappe.get_doc("Data Subject Request", made[-1])
		rows = [
			{"party_type": one.party_type, "party": one.party, "title": one.party, "included": 1}
			for one in person.people
		]
		requests.write_rows(doc.name, "records", rows)
		frappe.db.commit()
		return doc.name

	yield make
	for name in made:
		remove_request(name)


def remove_request(name: str) -> None:
	frappe.set_user("Administrator")
	frappe.db.rollback()
	package.forget(name)
	frappe.db.delete("Data Subject Request", {"name": name})
	for table in ("Record", "Notice", "Change", "Step"):
		frappe.db.delete(f"Data Subject Request {table}", {"parent": name})
	frappe.db.delete("Automated Decision Review", {"request": name})
	frappe.db.commit()


def made(request: str) -> zipfile.ZipFile:
	package.make(request)
	return zipfile.ZipFile(
		package._path_of(frappe.db.get_value("Data Subject Request", request, "package_file"))
	)


def data_of(packed: zipfile.ZipFile) -> dict:
	return json.loads(packed.read("data.json"))


def everything_in(packed: zipfile.ZipFile) -> str:
	return "\n".join(
		packed.read(name).decode()
		for name in packed.namelist()
		if name.endswith((".json", ".csv", ".jsonld", ".txt"))
	)


def token_in_mail(request: str) -> str:
	queue = frappe.get_last_doc("Email Queue", {"reference_name": request})
	parts = [
		part.get_payload(decode=True).decode()
		for part in message_from_string(queue.message).walk()
		if part.get_content_type() == "text/html"
	]
	(url,) = set(re.findall(r'href="([^"]*/consent/package[^"]*)"', "".join(parts)))
	return parse_qs(urlsplit(url).query)["t"][0]


# --- Art. 15 ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def access_package(person, wkhtmltopdf):
	"""The package of the person everywhere; made once, many tests read it."""
	name = a_request("Access", person.email)
	rows = [
		{"party_type": one.party_type, "party": one.party, "title": one.party, "included": 1}
		for one in person.people
	]
	requests.write_rows(name, "records", rows)
	frappe.db.commit()
	with made(name) as packed:
		yield packed
	remove_request(name)


def test_it_has_all_its_parts(access_package):
	"""DS-11: the golden list."""
	names = set(access_package.namelist())
	assert {name for name in names if not name.startswith(("files/", "csv/"))} == ACCESS_PARTS - {
		"csv/fields.csv"
	}
	data = data_of(access_package)
	assert set(data) == {
		*("processing", "consents", "refusals", "records", "marketing_mails", "left_out"),
	}
	assert set(data["processing"]) >= {
		*("confirmation", "purposes", "recipients", "rights", "complaint", "sources", "automated_decisions"),
		*("company", "address", "contact", "officer"),
	}
	assert {f"csv/{frappe.scrub(doctype).replace(':', '')}.csv" for doctype in data["records"]} <= names
	facts = dict(data["processing"]["purposes"][0]["facts"])
	assert {
		"What for",
		"Legal Basis",
		"Categories of Recipients",
		"Kept for",
		"Transfers to Third Countries",
	} <= set(facts)


def test_the_manifest_says_what_each_file_is(access_package):
	"""DS-11"""
	manifest = json.loads(access_package.read("manifest.json"))
	assert set(manifest["sha256"]) == set(access_package.namelist()) - {"manifest.json"}
	for name, said in manifest["sha256"].items():
		assert hashlib.sha256(access_package.read(name)).hexdigest() == said
	data = data_of(access_package)
	assert manifest["rows"] == {doctype: len(table["rows"]) for doctype, table in data["records"].items()}


def test_it_has_the_person_from_everywhere(access_package, person):
	"""DS-10: all DocTypes of the map that hold the person, dynamic links and child tables too."""
	data = data_of(access_package)["records"]
	found = [(one, number) for one, number in traces.count(subject.of_people(person.people)) if one.given_out]
	assert len(found) >= 25
	for holding, number in found:
		names = {row["name"] for row in data[holding.doctype]["rows"]}
		# That the package was made is noted after it.
		assert len(names) >= number - (holding.doctype == "Comment")
		assert names & set(person.documents[holding.doctype]) or not person.documents[holding.doctype]
	contact = data["Contact"]["rows"][0]
	assert contact["first_name"] == person.first_name
	assert data["Contact"]["fields"]["first_name"] == "First Name"
	assert data["Contact: Contact Email"]["rows"] and data["Contact"]["rows"][0]["designation"] == "Engineer"


def test_each_table_is_there_as_csv_too(access_package):
	data = data_of(access_package)["records"]
	for doctype, table in data.items():
		text = access_package.read(f"csv/{frappe.scrub(doctype).replace(':', '')}.csv").decode()
		rows = list(csv.DictReader(io.StringIO(text, newline="")))
		assert len(rows) == len(table["rows"]) and list(rows[0]) == list(table["fields"])


def test_no_cell_is_computed(access_package, person):
	"""WB-10"""
	for name in access_package.namelist():
		if name.endswith(".csv"):
			for row in csv.reader(io.StringIO(access_package.read(name).decode(), newline="")):
				assert not any(cell[:1] in ("=", "+", "-", "@", "\t", "\0") for cell in row if cell), name
	text = access_package.read("csv/lead.csv").decode()
	(lead,) = csv.DictReader(io.StringIO(text, newline=""))
	assert lead["mobile_no"] == f"'{person.phone}"


def test_files_themselves_are_in_it_private_ones_too(access_package, person):
	names = [name for name in access_package.namelist() if name.startswith("files/")]
	(cv,) = [name for name in names if name.endswith("CV.txt")]
	assert person.name in access_package.read(cv).decode()


def test_consents_are_in_it_with_their_exact_words(access_package, person):
	document = json.loads(access_package.read("consents.jsonld"))
	assert document["@graph"] and all(
		"dpv:hasNotice" in one or one["@type"] == "own:Refusal" for one in document["@graph"]
	)
	assert person.email.lower() in json.dumps(document).lower()


def test_others_are_masked(access_package, person):
	"""DS-13: a mail with a third party; staff."""
	data = data_of(access_package)["records"]
	(to_all,) = [row for row in data["Communication"]["rows"] if row["subject"] == "To all"]
	assert person.second_email in to_all["recipients"] and MASKED in to_all["recipients"]
	text = everything_in(access_package)
	assert "somebody@other.example" not in text
	assert "staff@gdpr-test.example" not in text and '"Somebody"' not in to_all["recipients"]
	(sms,) = data["SMS Log"]["rows"]
	assert sms["sent_to"] == person.phone and sms["sender_name"] in (None, MASKED)
	(foreign,) = [row for row in data["Opportunity"]["rows"] if row["name"] == person.others["Opportunity"]]
	assert foreign["contact_email"] == person.email and not foreign["party_name"]


def test_a_name_beside_the_address_of_another_is_masked(person, request_of):
	"""DS-13"""
	mail = frappe.new_doc(
		"Communication",
		subject="Minutes of Anna Otherwise",
		content=f"<p>{person.name} and Anna Otherwise agreed. anna@otherwise.example</p>",
		recipients=f'"Anna Otherwise" <anna@otherwise.example>, <{person.email}>',
		sender="staff@gdpr-test.example",
		communication_medium="Email",
		sent_or_received="Sent",
		reference_doctype="Contact",
		reference_name=person.contact.name,
	).insert()
	with made(request_of("Access")) as packed:
		rows = {row["name"]: row for row in data_of(packed)["records"]["Communication"]["rows"]}
		row = rows[mail.name]
		assert row["content"] == f"<p>{person.name} and {MASKED} agreed. {MASKED}</p>"
		assert "Otherwise" not in everything_in(packed)
	mail.delete(force=True)
	frappe.db.commit()


def test_protected_fields_are_in_it_and_that_is_noted(person, request_of):
	"""They are the person's own (Art. 15); who took them out is written down (AU-08)."""
	frappe.db.set_value("Customer", person.customer.name, "tax_id", "PL1234567890")
	with made(request_of("Access")) as packed:
		assert data_of(packed)["records"]["Customer"]["rows"][0]["tax_id"] == "PL1234567890"
	log = frappe.get_last_doc("Sensitive Access Log", {"ref_doctype": "Customer", "how": "Export"})
	assert "tax_id" in log.fields and person.customer.name in log.records


def test_passwords_and_tokens_are_never_in_it(access_package):
	data = data_of(access_package)["records"]
	for one in personal_data.holdings():
		if not one.given_out:
			assert one.doctype not in data
	for doctype, table in data.items():
		for field in frappe.get_meta(doctype.split(": ")[-1]).fields:
			assert field.fieldtype != "Password" or field.fieldname not in table["fields"]
	assert not {"api_key", "reset_password_key", "link_key"} & {
		field for table in data.values() for field in table["fields"]
	}


def test_no_link_that_acts_for_the_person_is_in_it(person, request_of, smtp):
	"""TK-09: of the link of an earlier package nothing works that somebody reads in this one."""
	first = request_of("Portability")
	package.make(first)
	package.send_link(first)
	frappe.db.commit()
	token = token_in_mail(first)
	with made(request_of("Access")) as packed:
		assert token not in everything_in(packed)
		assert first in [row["reference_name"] for row in data_of(packed)["records"]["Email Queue"]["rows"]]
	link = f'<a href="https://x.example/consent/package?t={token}">'
	assert Mask(subject.Subject((), (), ())).text(link) == link.replace(token, MASKED)


def test_somebody_who_was_erased_learns_of_the_hash_that_is_left(mailbox, smtp):
	"""DS-25"""
	email = mailbox()
	no = register.No(RefusalKind.OBJECTION, register.Scope("", "", ""), email)
	register.say_no([no], register.Act(source=None, reason=None))
	frappe.db.set_value("Suppression", {"email": email}, {"email": None, "kind": "Erasure"})
	frappe.db.commit()
	name = a_request("Access", email)
	try:
		with made(name) as packed:
			data = data_of(packed)
			assert "suppression hash" in data["processing"]["confirmation"]
			(entry,) = data["refusals"]
			assert entry["address"] == "only a suppression hash" and entry["since"]
			of_mail = {"Communication", "Email Queue", "Email Queue Recipient"}
			assert data["records"].keys() <= of_mail | {"Data Subject Request", "Comment"}
	finally:
		remove_request(name)


def test_somebody_unknown_is_told_so(mailbox):
	name = a_request("Access", mailbox())
	try:
		with made(name) as packed:
			assert data_of(packed)["processing"]["confirmation"].startswith("No:")
	finally:
		remove_request(name)


def test_a_file_that_is_too_large_is_named(person, request_of, monkeypatch):
	monkeypatch.setattr(access, "LARGEST_FILE", 3)
	with made(request_of("Access")) as packed:
		assert not [name for name in packed.namelist() if name.startswith("files/")]
		assert any("CV.txt" in line for line in data_of(packed)["left_out"])


# --- Art. 20 ------------------------------------------------------------------------------------------------


def test_what_may_be_taken_elsewhere_is_what_the_person_provided(person, request_of, access_package):
	"""DS-14: a field that rests on our interest is in the Art. 15 file, not in that of Art. 20."""
	with made(request_of("Portability")) as packed:
		assert {name for name in packed.namelist() if not name.startswith("csv/")} == PORTABILITY_PARTS - {
			"csv/fields.csv"
		}
		data = data_of(packed)
		jsonschema.validate(data, json.loads(packed.read("schema.json")))
	of_access = data_of(access_package)["records"]
	provided = data["records"]["Lead"]["rows"][0]
	assert provided["first_name"] == person.first_name
	assert "qualification_status" in of_access["Lead"]["fields"]
	assert "qualification_status" not in provided and "status" not in provided
	assert not {"Version", "Activity Log", "View Log", "Comment", "ToDo"} & data["records"].keys()


def test_nobody_elses_data_may_be_taken_elsewhere(person, request_of):
	"""Art. 20(4)"""
	with made(request_of("Portability")) as packed:
		text = everything_in(packed)
		for row in data_of(packed)["records"].get("Communication", {"rows": []})["rows"]:
			assert row["name"] == person.documents["Communication"][1]  # the one that the person wrote
	assert "somebody@other.example" not in text and "staff@gdpr-test.example" not in text


# --- handing it out -----------------------------------------------------------------------------------------


def test_from_request_to_download(person, request_of, web, smtp, user_with_roles):
	"""Access, by a real worker and over HTTP: the link works once, and the file is gone (DS-24)."""
	name = request_of("Access")
	user_with_roles("Privacy Officer")
	api.prepare_package(name)
	run_worker()
	told = api.package_status(name)
	assert told["progress"] == 100 and told["is_there"] and told["rows"]["Contact"] == 1
	api.send_package_link(name)
	frappe.db.commit()
	doc = frappe.get_doc("Data Subject Request", name)
	assert doc.status == "Fulfilled"
	path = package._path_of(doc.package_file)
	token = token_in_mail(name)
	assert len(token) >= 43  # 32 random bytes, TK-09
	stored = frappe.db.sql("select * from `tabData Subject Request` where name = %s", name, as_dict=True)[0]
	assert token not in json.dumps(stored, default=str)
	kept = frappe.get_all("Communication", {"reference_name": name}, pluck="content")
	assert kept and not any(token in content for content in kept)
	page = web.call("GET", f"/consent/package?t={token}")
	assert page.status_code == 200 and "Download" in page.text and path.is_file()
	answer = web.call("POST", "/consent/package", data={"t": token, "download": "1"})
	assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/zip"
	assert (
		answer.headers["Cache-Control"] == "no-store"
		and "attachment" in answer.headers["Content-Disposition"]
	)
	with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
		assert packed.testzip() is None and ACCESS_PARTS <= {*packed.namelist(), "report.pdf"}
	assert not path.exists()
	for method, more in (
		("POST", {"data": {"t": token, "download": "1"}}),
		("GET", {"params": {"t": token}}),
	):
		assert web.call(method, "/consent/package", **more).status_code == 410
	frappe.db.rollback()
	assert frappe.db.get_value("Data Subject Request", name, "package_downloaded_on")


def test_a_get_takes_nothing(person, request_of, web):
	name = request_of("Portability")
	package.make(name)
	package.send_link(name)
	frappe.db.commit()
	token = token_in_mail(name)
	for method in ("GET", "HEAD"):
		assert web.call(method, f"/consent/package?t={token}&download=1").status_code == 200
	assert web.call("POST", f"/consent/package?t={token}&download=1").status_code == 200  # not in the form
	frappe.db.rollback()
	assert not frappe.db.get_value("Data Subject Request", name, "package_downloaded_on")


@pytest.mark.parametrize("token", ["", "x", "../../private", "A" * 5000])
def test_a_wrong_link_opens_nothing(web, token):
	assert web.call("POST", "/consent/package", data={"t": token, "download": "1"}).status_code == 410


def test_a_link_ends_after_72_hours_and_the_file_with_it(person, request_of):
	"""TK-05"""
	name = request_of("Portability")
	package.make(name)
	package.send_link(name)
	path = package._path_of(frappe.db.get_value("Data Subject Request", name, "package_file"))
	token = token_in_mail(name)
	package.behind_link(token)
	package.delete_expired()
	assert path.exists()
	requests.write(name, package_expires_on=add_to_date(now_datetime(), seconds=-1))
	with pytest.raises(LinkNotValid):
		package.take(token)
	package.delete_expired()
	assert not path.exists() and not frappe.db.get_value("Data Subject Request", name, "package_file")


def test_the_link_goes_to_an_address_of_the_person(person, request_of, smtp):
	"""DS-07: whoever asks from elsewhere, the data go to where the person is known."""
	name = request_of("Portability")
	requests.write(name, email="stranger@elsewhere.example", address_key="none")
	package.make(name)
	with pytest.raises(PackageNotPossible, match="where the link goes"):
		package.send_link(name)
	with pytest.raises(PackageNotPossible):
		package.send_link(name, "stranger@elsewhere.example")
	package.send_link(name, person.email)
	queue = frappe.get_last_doc("Email Queue", {"reference_name": name})
	assert [row.recipient for row in queue.recipients] == [person.email]


def test_nothing_is_made_before_it_is_known_who_asks(person):
	"""Art. 12(6)"""
	doc = requests.open_request("Access", email=person.email, channel="E-mail")
	with pytest.raises(RequestNotPossible):
		api.prepare_package(doc.name)
	other = a_request("Rectification", person.email)
	try:
		with pytest.raises(PackageNotPossible, match="Rectification"):
			api.prepare_package(other)
	finally:
		remove_request(other)


def test_only_officers_prepare_and_download(person, request_of, user_with_roles):
	name = request_of("Access")
	for role in ("Consent User", "System Manager", "Sales Manager"):
		user_with_roles(role)
		for door in (api.prepare_package, api.package_status, api.send_package_link, api.download_package):
			with pytest.raises(frappe.PermissionError):
				door(name)
		frappe.set_user("Administrator")


def test_an_officers_download_is_noted(person, request_of, web, bulk):
	"""DS-24: download logged."""
	name = request_of("Portability")
	package.make(name)
	officer = bulk.user("Privacy Officer")
	frappe.utils.password.update_password(officer, "admin")
	frappe.db.commit()
	cookies = web.login(officer)
	token = re.search(r'csrf_token = "([^"]+)"', web.call("GET", DESK, cookies=cookies).text)[1]
	answer = web.call(
		"POST",
		"/api/method/gdpr_consent.rights.api.download_package",
		data={"request": name},
		cookies=cookies,
		headers={"X-Frappe-CSRF-Token": token},
	)
	assert answer.status_code == 200, answer.text[:500]
	assert zipfile.ZipFile(io.BytesIO(answer.content)).testzip() is None
	frappe.db.rollback()
	save_to_db()  # v16 leaves it to the scheduler
	assert frappe.db.exists("Access Log", {"reference_document": name, "user": officer, "file_type": "ZIP"})
	assert package.status(name)["is_there"]  # the person's own link is another thing


def test_what_fails_leaves_no_file_and_says_so(person, request_of, monkeypatch):
	name = request_of("Access")

	def fails(*_args, **_kwargs):
		raise ValueError

	before = set(package.folder().iterdir())
	monkeypatch.setattr(access, "readme", fails)
	with pytest.raises(ValueError):
		package.make(name)
	assert set(package.folder().iterdir()) == before
	assert package.status(name)["progress"] == 0
	assert frappe.db.exists("Comment", {"reference_name": name, "content": ["like", "%couldn't be made%"]})
	frappe.db.delete("Error Log", {"method": ["like", "The package of%"]})
	frappe.db.commit()


def test_files_are_where_no_address_leads(person, request_of, web):
	name = request_of("Portability")
	package.make(name)
	path = Path(package._path_of(frappe.db.get_value("Data Subject Request", name, "package_file")))
	assert path.stat().st_mode & 0o077 == 0
	cookies = web.login("Administrator")
	for url in (
		f"/private/{package.FOLDER}/{path.name}",
		f"/private/files/{path.name}",
		f"/files/{path.name}",
	):
		assert not web.call("GET", url, cookies=cookies).ok, url
