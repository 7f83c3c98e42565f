"""What is kept of a Consent Bulk Update for the file: on paper, and as a workbook."""

import json
from io import BytesIO
from zipfile import ZipFile

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader

import frappe
from frappe.deferred_insert import save_to_db
from frappe.utils.print_format import download_pdf

from gdpr_consent import ledger
from gdpr_consent.bulk_update import report
from gdpr_consent.bulk_update.report import consent_bulk_update_report, rule_in_words, xlsx

FORMAT = "Consent Bulk Update Report"
FORMULA = "=HYPERLINK(1)"
SUMMARY = {
	"rules": [
		{"rule": 1, "plans": {"Change": 3, "Skip": 2}, "results": {"Done": 3, "Skipped": 2}},
		{"rule": 2, "plans": {"Unchanged": 1}, "results": {"Unchanged": 1}},
	],
	"why": [{"why": "OBJECTED", "plan": "Skip", "result": "Skipped", "count": 2}],
	"chart": {"labels": ["Given", "Unknown"], "before": [1, 4], "after": [4, 0]},
}
RULES = [
	{
		"target_doctype": "Contact",
		"filters": json.dumps(
			[["Contact", "status", "in", ["Open", "Replied"]], ["Contact Email", "is_primary", "=", 1]]
		),
		"linked_doctype": "Customer",
		"linked_filters": '[["Customer", "disabled", "=", 0]]',
		"action": "Set",
		"purpose": "Customer Service",
		"legal_basis": "Contract",
		"source": "Import",
		"given_on": "2026-01-02 03:04:05",
	},
	{"target_doctype": "Lead", "action": "Withdraw", "purpose": "Email Marketing", "source": "Phone"},
]


@pytest.fixture
def clean_up(site):
	"""Remove what is committed, because a download is written to the Access Log at once."""
	made: list[str] = []
	yield made
	frappe.set_user("Administrator")
	frappe.db.rollback()
	for doctype, field in (
		("Consent Bulk Update Item", "bulk_update"),
		("Consent Bulk Update Rule", "parent"),
		("Consent Bulk Update", "name"),
		("Access Log", "reference_document"),
	):
		frappe.db.delete(doctype, {field: ["in", made or [""]]})
	for user in frappe.get_all("User", {"email": ["like", "%@gdpr-test.example"]}, pluck="name"):
		frappe.delete_doc("User", user, force=True)
	frappe.db.commit()


@pytest.fixture
def done(clean_up):
	"""Make a Consent Bulk Update that has run, with records."""

	def make(records: int = 6, **more) -> str:
		values = {
			"title": "After <b>the</b> fair",
			"reason": FORMULA,
			"rules": [dict(rule) for rule in RULES],
		}
		made = frappe.new_doc("Consent Bulk Update", **values | more).insert()
		clean_up.append(made.name)
		who = {"previewed_by": "ann@office.example", "approved_by": "eve@office.example"}
		when = {"approved_on": "2026-03-02 10:00:00", "started_on": "2026-03-02 11:00:00"}
		state = {"status": "Completed", "selection_hash": "c0ffee" * 10, "summary": json.dumps(SUMMARY)}
		frappe.db.set_value("Consent Bulk Update", made.name, who | when | state | {"total": records})
		ledger.insert(
			"Consent Bulk Update Item",
			(
				{
					"name": f"{made.name}-{number}",
					"bulk_update": made.name,
					"rule": 1,
					"target_doctype": "Contact",
					"target": f"Person {number:06}",
					"email": f"person{number}@report.example",
					"before": "Unknown",
					"after": "Given",
					"plan": "Skip" if number % 2 else "Change",
					"result": "Skipped" if number % 2 else "Done",
					"why": "OBJECTED" if number % 2 else None,
					"note": f"{FORMULA}\x07" if number == 0 else None,
				}
				for number in range(records)
			),
		)
		return made.name

	return make


def sheets(name: str) -> dict[str, list[tuple]]:
	xlsx(name)
	book = load_workbook(BytesIO(frappe.response["filecontent"]))
	return {sheet.title: list(sheet.values) for sheet in book}


@pytest.fixture
def pdf_text(wkhtmltopdf, web, monkeypatch):
	"""Return the text of the PDF, whose styles wkhtmltopdf fetches from the site."""
	monkeypatch.setitem(frappe.local.conf, "host_name", web.base)

	def read(name: str) -> str:
		download_pdf("Consent Bulk Update", name, format=FORMAT)
		assert frappe.local.response.filename == f"{name}.pdf"
		pages = PdfReader(BytesIO(frappe.local.response.filecontent)).pages
		return " ".join(" ".join(page.extract_text() for page in pages).split())

	return read


def printed(name: str) -> str:
	return " ".join(frappe.get_print("Consent Bulk Update", name, FORMAT).split())


# --- rules in words -----------------------------------------------------------------------------------------


def rule_row(**values):
	return frappe.new_doc("Consent Bulk Update Rule", **{"action": "Set", "purpose": "Sales"} | values)


def test_a_rule_in_words(done):
	first, second = frappe.get_doc("Consent Bulk Update", done()).rules
	assert rule_in_words(first) == (
		"Contact (Status in Open, Replied; Is Primary = 1); linked with Customer (Disabled = 0) → "
		"purpose and legal basis are set. "
		"Purpose: Customer Service; Channel: Email; Legal Basis: Contract; Source: Import; "
		"Since (UTC): 2026-01-02 03:04:05"
	)
	assert rule_in_words(second).startswith("Lead (all) → the people said no. Purpose: Email Marketing;")


def test_a_rule_in_the_words_of_the_user(done, monkeypatch):
	monkeypatch.setattr(frappe.local, "lang", "de")
	assert "verknüpft mit" in rule_in_words(frappe.get_doc("Consent Bulk Update", done()).rules[0])


@pytest.mark.parametrize("filters", ["nonsense", '{"a": 1}', '[["x"]]', "[1]", '[["No Such", "a", "=", 1]]'])
def test_filters_that_nobody_can_read_are_shown_as_they_are(filters):
	words = rule_in_words(rule_row(target_doctype="Contact", filters=filters))
	assert words.startswith("Contact (") and "→ purpose" in words


# --- XLSX ---------------------------------------------------------------------------------------------------


def test_the_workbook_says_who_did_what_when_and_why(done):
	name = done()
	about = sheets(name)["Report"]
	facts = {row[0]: row[1] for row in about if row[0]}
	assert facts["Number"] == name and facts["Title"] == "After <b>the</b> fair"
	assert (facts["Previewed By"], facts["Approved By"]) == ("ann@office.example", "eve@office.example")
	assert facts["Approved On"] == "2026-03-02 10:00:00 UTC"
	assert facts["Hash of the Selection"] == "c0ffee" * 10
	assert facts["Records"] == "6"
	assert ("Rule", 1, rule_in_words(frappe.get_doc("Consent Bulk Update", name).rules[0])) in about
	assert ("Plan", "Change", 3) in about and ("Result", "Skipped", 2) in about
	assert ("Objected", "Skipped", 2) in about
	assert ("Given", "Before", 1) in about and ("Given", "After", 4) in about


def test_the_workbook_has_every_record(done, monkeypatch):
	monkeypatch.setattr(report, "AT_ONCE", 2)
	rows = sheets(done(7))["Records"]
	assert rows[0][:4] == ("Rule", "Record Type", "Record", "Address")
	assert [row[2] for row in rows[1:]] == [f"Person {number:06}" for number in range(7)]
	assert rows[2][:9] == (
		*(1, "Contact", "Person 000001", "person1@report.example"),
		*("Unknown", "Given", "Skip", "Skipped", "Objected"),
	)


def test_records_that_no_sheet_holds_go_on_in_the_next(done, monkeypatch):
	monkeypatch.setattr(report, "ROWS_OF_A_SHEET", 3)
	found = sheets(done(7))
	assert [len(rows) for title, rows in found.items() if title != "Report"] == [4, 4, 2]


def test_bu_08_nothing_in_the_workbook_is_a_formula(done):
	xlsx(done())
	content = frappe.response["filecontent"]
	cells = [cell for sheet in load_workbook(BytesIO(content)) for row in sheet.iter_rows() for cell in row]
	assert [cell.value for cell in cells].count(FORMULA) == 2
	assert {cell.data_type for cell in cells} <= {"s", "inlineStr", "n"}
	assert all(cell.quotePrefix for cell in cells if cell.value == FORMULA)
	with ZipFile(BytesIO(content)) as parts:
		assert not [name for name in parts.namelist() if b"<f>" in parts.read(name)]


def test_bu_05_the_workbook_is_for_those_who_may_read_and_export(done, user_with_roles):
	name = done()
	user_with_roles("Privacy Officer")
	assert sheets(name)
	frappe.set_user("Administrator")
	user_with_roles("Newsletter Manager")
	with pytest.raises(frappe.PermissionError):
		xlsx(name)


def test_bu_05_who_may_read_but_not_export_gets_no_workbook(done, user_with_roles):
	user = user_with_roles("Consent User", "Sales User")
	name = done()
	assert frappe.has_permission("Consent Bulk Update", "read", name), user
	with pytest.raises(frappe.PermissionError, match="export"):
		xlsx(name)


def test_a_download_is_in_the_access_log(done):
	name = done()
	xlsx(name)
	save_to_db()  # v16 leaves it to the scheduler
	assert frappe.db.exists("Access Log", {"reference_document": name, "file_type": "XLSX"})


def test_the_workbook_over_http_is_not_for_guests(web):
	path = "/api/method/gdpr_consent.bulk_update.report.xlsx?bulk_update=none"
	assert web.call("GET", path).status_code == 403


# --- on paper -----------------------------------------------------------------------------------------------


def test_the_pdf_says_the_same(done, pdf_text):
	text = pdf_text(done())
	for part in (
		"After <b>the</b> fair",
		FORMULA,
		"eve@office.example",
		"2026-03-02 10:00:00 UTC",
		"linked with Customer (Disabled = 0)",
		"Change: 3",
		"Skipped: 2",
		"Objected",
		"Before: 1",
		"After: 4",
		"Person 000005",
	):
		assert part in text
	assert "c0ffee" * 10 in text.replace(" ", "")


def test_the_first_records_are_printed_and_how_many_more_there_are(done):
	page = printed(done(report.PRINTED + 3))
	assert "Person 000099" in page and "Person 000100" not in page
	assert "3 more records are in the XLSX report." in page
	assert "more records" not in printed(done())


def test_what_people_typed_is_no_markup_on_paper(done):
	page = printed(done())
	assert "After &lt;b&gt;the&lt;/b&gt; fair" in page and "<b>the</b>" not in page


def test_a_draft_prints_too(clean_up, pdf_text):
	rules = [dict(RULES[1])]
	made = frappe.new_doc("Consent Bulk Update", title="Draft", reason="None yet", rules=rules).insert()
	clean_up.append(made.name)
	assert "Lead (all) → the people said no" in pdf_text(made.name)


def test_the_bars_are_as_long_as_their_counts(done):
	bars = {bar["label"]: bar["parts"] for bar in consent_bulk_update_report(done())["bars"]}
	widths = {label: [part[3] for part in parts] for label, parts in bars.items()}
	assert widths == {"Given": [75, 300], "Unknown": [300, 0]}


def test_bu_05_what_the_template_calls_checks_the_right_too(done, user_with_roles):
	name = done()
	user_with_roles("Newsletter Manager")
	with pytest.raises(frappe.PermissionError):
		consent_bulk_update_report(name)
	with pytest.raises(frappe.PermissionError):
		download_pdf("Consent Bulk Update", name, format=FORMAT)
