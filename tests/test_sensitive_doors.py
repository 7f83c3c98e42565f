"""The first door and the last one, whatever shape a question or an answer has."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.wrappers import Response

import frappe

from gdpr_consent import tasks, this_request
from gdpr_consent.clock import add_months, now_utc
from gdpr_consent.exceptions import ArgumentNotValid, FieldProtected
from gdpr_consent.sensitive_data import (
	access_log,
	documents,
	incoming,
	messages,
	outgoing,
	redaction,
	rights,
	templates,
)

CANARY = "CANARY-4711"
HIDDEN = (("Customer", "tax_id"), ("Employee", "iban"), ("Bank Account", "bank_account_no"))


@pytest.fixture(scope="module")
def clerk(site: str):
	"""The name of a user who may read all records and no protected field."""
	frappe.set_user("Administrator")
	email = f"{frappe.generate_hash(length=10)}@gdpr-test.example"
	user = frappe.new_doc("User", email=email, first_name="Clerk", send_welcome_email=0)
	user.append_roles("Sales Manager", "Accounts Manager", "HR Manager", "System Manager")
	user.insert()
	frappe.db.commit()
	yield email
	frappe.set_user("Administrator")
	frappe.db.rollback()
	frappe.delete_doc("User", email, force=True)
	frappe.db.commit()


@pytest.fixture
def as_clerk(clerk: str):
	frappe.set_user(clerk)
	return clerk


def ask(path: str = "/api/method/any.app.method", method: str = "GET", **form) -> None:
	"""Let a request pass the first door."""
	frappe.local.request = SimpleNamespace(path=path, method=method, headers={})
	frappe.local.form_dict = frappe._dict(form)
	try:
		incoming.check_request()
	finally:
		del frappe.local.request


# --- questions ----------------------------------------------------------------------------------------------

field = st.sampled_from(HIDDEN)
harmless = st.sampled_from(("name", "creation", "modified", "owner"))
operator = st.sampled_from(("=", "!=", "like", ">", "is", "in", "not like"))


@st.composite
def filters_that_ask(draw) -> tuple[str, object]:
	"""A DocType and filters, in one of the shapes that Frappe takes, one of them by a hidden field."""
	doctype, name = draw(field)
	other, op = draw(harmless), draw(operator)
	condition = draw(
		st.sampled_from(
			(
				{name: "x"},
				{name: [op, "x"]},
				[[name, op, "x"]],
				[name, op, "x"],
				[[doctype, name, op, "x"]],
				[doctype, name, op, "x", False],
				[[f"`tab{doctype}`.`{name}`", op, "x"]],
				[[name.upper(), op, "x"]],
				[f"`{name}` like 'x%'"],
				[f"ifnull({name}, '') != ''", "name = 'y'"],
				["name = 'y'", "owner = 'x'", f"{name} = 'x'"],
				[[f"tab{doctype}.{name}".replace(" ", " "), op, "x"]]
				if " " not in doctype
				else [[name, op, "x"]],
			)
		)
	)
	if isinstance(condition, list) and isinstance(condition[0], list) and draw(st.booleans()):
		condition = [[other, "=", "y"], *condition]
	return doctype, draw(st.sampled_from((condition, json.dumps(condition))))


@given(asked=filters_that_ask(), parameter=st.sampled_from(incoming.FILTERS), decoy=st.booleans())
def test_no_filter_by_a_hidden_field_passes_in_any_shape(clerk, asked, parameter, decoy):
	"""FP-03, also with a DocType in the path that the method doesn't look at"""
	doctype, filters = asked
	path = "/api/resource/Company" if decoy else "/api/method/frappe.client.get_list"
	form = {"doctype": doctype, parameter: filters, "cmd": "frappe.client.get_list" if decoy else None}
	frappe.set_user(clerk)
	with pytest.raises(FieldProtected):
		ask(path, **form)
	frappe.set_user("Administrator")
	ask(path, **form)


@pytest.mark.parametrize(
	"form",
	[
		{"order_by": "tax_id desc"},
		{"order_by": "`tabCustomer`.`tax_id`, name"},
		{"group_by": "tabCustomer.tax_id"},
		{"sort_field": "tax_id"},
		{"searchfield": "tax_id"},
		{"field": "tax_id"},
		{"order_by": "TAX_ID"},
		{"order_by": "tax_\u0130d"},
		{"sort_order": "desc, tax_id"},
		{"filters": ' [["tax_id", "=", "x"]]'},
		{"stats": '[{"name": "tax_id", "type": "Data"}]'},
		{"fields": '["TAX_ID"]'},
		{"doctype": "Company", "reference_doctype": "Customer", "order_by": "tax_id"},
		{"fields": '["ifnull(tax_id, 1) as x"]'},
		{"fields": ['count(if(`tabCustomer`.tax_id like "DE%", 1, null)) as x']},
		{"filters": '[["Sales Invoice", "customer.tax_id", "like", "DE%"]]', "doctype": "Sales Invoice"},
		{"order_by": "customer.tax_id", "doctype": "Sales Invoice"},
		{"filters": {"tax_id": ""}},
		{"filters": '{"name": "x", "tax_id": null}', "report_name": "General Ledger"},
	],
)
def test_no_order_group_or_expression_by_a_hidden_field_passes(as_clerk, form):
	"""FP-03"""
	with pytest.raises(FieldProtected, match="protected"):
		ask(**{"doctype": "Customer"} | form)


@pytest.mark.parametrize(
	"form",
	[
		{"doctype": "Company", "filters": {"tax_id": "x"}},
		{"doctype": "Item Price", "filters": [["valid_upto", ">", "2026-01-01"]], "order_by": "valid_upto"},
		{"doctype": "Customer", "filters": "Tax_id Ltd.", "fields": '["name", "tax_id", "website"]'},
		{"doctype": "Customer", "fields": '["`tabCustomer`.`tax_id`", "`tabCustomer`.`name`"]'},
		{
			"cmd": "frappe.desk.query_report.run",
			"report_name": "General Ledger",
			"filters": '{"company": "x", "tax_id": null}',
		},
		{"txt": "tax_id", "doctype": "Customer", "searchfield": "customer_name"},
	],
)
def test_what_has_nothing_to_do_with_it_passes(as_clerk, form):
	ask(**form)


def test_a_chart_is_looked_for_by_its_name(as_clerk):
	"""FP-03: not by a question, and a decoy doesn't hide whose kept figures are asked for."""
	frappe.set_user("Administrator")
	values = {"chart_type": "Group By", "document_type": "Customer", "group_by_based_on": "tax_id"}
	chart = frappe.new_doc("Dashboard Chart", chart_name=frappe.generate_hash(length=8), **values)
	chart.update({"group_by_type": "Count", "type": "Bar", "filters_json": "[]"})
	chart.insert()
	frappe.set_user(as_clerk)
	path = "/api/v2/method/Dashboard Chart/get"
	with pytest.raises(FieldProtected):
		ask(path, chart={"chart_name": "Harmless", "name": chart.name})
	with pytest.raises(ArgumentNotValid):
		ask(path, chart_name={"name": chart.name})


PREPARED = "frappe.core.doctype.prepared_report.prepared_report"


@pytest.mark.parametrize(
	("path", "command", "about"),
	[
		("/api/method/frappe.client.get", "frappe.client.get", ()),
		("/api/method/frappe.client.get/more", "frappe.client.get", ()),
		("/api/v1/method/frappe.client.get", "frappe.client.get", ()),
		("/api/v2/method/frappe.client.get/", "frappe.client.get", ()),
		("/api/v2/method/run_doc_method", "run_doc_method", ()),
		("/api/v2/method/Prepared Report/download_attachment", f"{PREPARED}.download_attachment", ()),
		("/api/v2/method/No Such DocType/get", "get", ()),
		("/api/resource/Customer", "", ("Customer",)),
		("/api/v1/resource/Customer/A/B", "", ("Customer",)),
		("/api/v2/document/Customer/A/copy", "", ("Customer",)),
		("/api/v2/document/Customer/A/method/get", "", ("Customer",)),
		("/api/v2/doctype/Customer/count", "", ("Customer",)),
		("/api/v2/doctype/Customer/meta", "", ("Customer",)),
		("/app/customer", "", ()),
	],
)
def test_a_request_is_read_as_the_core_routes_it(path, command, about):
	frappe.local.request = SimpleNamespace(path=path, method="GET")
	frappe.local.form_dict = frappe._dict()
	try:
		assert (this_request.command(), this_request.doctypes()) == (command, about)
	finally:
		del frappe.local.request


def test_fp_03_an_import_compares_no_hidden_column_with_what_is_stored(as_clerk):
	"""Core says "No changes to update" to a row that has what is there."""

	def import_columns(*columns: str) -> None:
		content = f"{','.join(columns)}\n{','.join('x' for _column in columns)}"
		file = frappe.new_doc("File", file_name="guesses.csv", content=content, is_private=1).insert()
		values = {"reference_doctype": "Employee", "import_type": "Update Existing Records"}
		frappe.new_doc("Data Import", import_file=file.file_url, **values).insert()

	import_columns("ID", "Bio / Cover Letter")
	with pytest.raises(FieldProtected, match="IBAN"):
		import_columns("ID", "IBAN")
	frappe.set_user("Administrator")
	import_columns("ID", "IBAN")


def test_fp_02_no_audit_trail_keeps_a_record_to_compare(as_clerk):
	"""It was refused where a form sends it, and then compared from an Audit Trail that was stored with it."""
	trail = frappe.get_doc("Audit Trail")
	trail.update({"doctype_name": "Sales Order", "document": "SAL-ORD-0001-1"})
	with pytest.raises(FieldProtected):
		documents.validate(trail)
	frappe.set_user("Administrator")
	documents.validate(trail)


# --- answers ------------------------------------------------------------------------------------------------

plain = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8))


def nodes(leaf):
	keys = st.sampled_from(("message", "docs", "data", "a", "b"))

	def containers(inner):
		return st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3))

	return st.recursive(leaf, containers, max_leaves=8)


@st.composite
def documents_with_a_secret(draw) -> dict:
	doctype, name = draw(field)
	node: dict = {name: CANARY, "name": "X", "customer_name": "kept"}
	if draw(st.booleans()):
		node["doctype"] = doctype
	return draw(
		st.sampled_from((node, json.dumps([node]), json.dumps(node), {"raw_result": json.dumps([node])}))
	)


@given(answer=nodes(st.one_of(plain, documents_with_a_secret())))
def test_no_hidden_value_leaves_in_any_shape(clerk, answer):
	"""FP-02"""
	frappe.set_user(clerk)
	text = json.dumps(answer)
	frappe.local.request = SimpleNamespace(path="/api/method/any.app.method", method="GET")
	frappe.local.form_dict = frappe._dict()
	try:
		response = Response(json.dumps({"message": answer}), mimetype="application/json")
		outgoing.redact_response(response)
		left = response.get_data(as_text=True)
		assert CANARY not in left
		assert left.count("kept") == text.count("kept")
	finally:
		frappe.set_user("Administrator")
		del frappe.local.request


def test_the_same_field_of_another_doctype_stays(as_clerk):
	company = {"doctype": "Company", "name": "C", "tax_id": "DE1"}
	assert redaction.Redaction().clean({"docs": [dict(company)]}) == {"docs": [company]}
	prices = [{"name": "P", "valid_upto": "2026-01-01", "message": "Hello"}]
	assert redaction.Redaction().clean(json.loads(json.dumps(prices))) == prices


def test_an_answer_that_cannot_be_checked_does_not_leave(as_clerk, monkeypatch):
	def fail(*_args):
		raise RuntimeError

	monkeypatch.setattr(redaction.Redaction, "clean", fail)
	frappe.local.request = SimpleNamespace(path="/api/method/any", method="GET")
	response = Response(json.dumps({"message": {"tax_id": CANARY}}), mimetype="application/json")
	outgoing.redact_response(response)
	del frappe.local.request
	assert response.status_code == 500
	assert CANARY not in response.get_data(as_text=True)


def test_an_access_that_cannot_be_logged_does_not_happen(monkeypatch):
	"""AU-08"""

	def fail(*_args, **_more):
		raise RuntimeError

	monkeypatch.setattr(access_log, "record", fail)
	frappe.local.request = SimpleNamespace(path="/api/method/any", method="GET")
	response = Response(json.dumps({"message": {"tax_id": CANARY}}), mimetype="application/json")
	outgoing.redact_response(response)
	del frappe.local.request
	assert CANARY not in response.get_data(as_text=True)


# --- templates and messages ---------------------------------------------------------------------------------

READS = "{{ frappe.db.get_value('Customer', doc.customer, 'tax_id') }}"


@pytest.mark.parametrize(
	("text", "refused"),
	[
		(READS, True),
		("{% set c = frappe.get_doc('Customer', 'X') %}", True),
		("{{ doc.reload().tax_id }}", True),
		("{{ doc.db_get('tax_id') }}", True),
		("""{{ {"a": 1} and frappe.db.get_value("Customer", "X", "tax_id") }}""", True),
		("""{{ "}" and frappe.db.get_value("Customer", "X", "tax_id") }}""", True),
		("{% set f = frappe %}{{ f.db.get_value('Customer', 'X', 'tax_id') }}", True),
		("{{ frappe['db'].get_value('Customer', 'X', 'tax_id') }}", True),
		("{{ doc['db_' ~ 'get']('tax_id') }}", True),
		("{{ (doc | attr('db_get'))('tax_id') }}", True),
		("{{ (doc | attr('DB_GET' | lower))('tax_id') }}", True),
		("{{ ([doc] | groupby('db_' ~ 'get')) }}", True),
		("{{ doc.get_db_value('tax_id') }}", True),
		("{{ doc.run_method('db_' ~ 'get', 'tax_id') }}", True),
		("{{ doc.run_trigger('re' ~ 'load') }}", True),
		("{{ doc.customer_name }} {{ frappe.utils.formatdate(doc.creation) }}", False),
		(
			"{% for row in doc.items %}{{ doc.items[loop.index0 - 1]['qty'] }}{% endfor %}",
			False,
		),
		("{{ doc.items | map(attribute='qty') | join(', ') }} {{ frappe.format_value(1) }}", False),
		("Call frappe.db from a script", False),
	],
)
def test_who_may_not_see_writes_no_template_that_reads_the_database(as_clerk, text, refused):
	template = frappe.new_doc(
		"Email Template", name=frappe.generate_hash(length=8), subject="S", response=text
	)
	template.use_html = 0
	if refused:
		with pytest.raises(FieldProtected, match="reads the database"):
			template.insert()
	else:
		template.insert()
	frappe.set_user("Administrator")
	template.name = frappe.generate_hash(length=8)
	template.insert()


@pytest.mark.parametrize(
	("doctype", "values"),
	[
		("Notification", {"recipients": [{"cc": READS}]}),
		("Dunning Type", {"dunning_letter_text": [{"body_text": READS, "language": "en"}]}),
		("Print Format Field Template", {"template": READS}),
		("Print Format", {"format_data": json.dumps({"text_top_left": READS})}),
		("Web Template", {"template": READS}),
	],
)
def test_neither_do_they_in_rows_nor_in_any_other_text_that_is_rendered(as_clerk, doctype, values):
	document = frappe.new_doc(doctype, name=frappe.generate_hash(length=8), **values)
	with pytest.raises(FieldProtected, match="reads the database"):
		documents.validate(document)


@pytest.mark.parametrize("text", ["{{ doc.reload( }}", "{% do frappe.db.sql('select 1') %}"])
def test_a_template_that_cant_be_read_is_not_trusted(text):
	assert templates.reads_more(text)
	assert not templates.reads_more(text.replace("reload", "total").replace("frappe", "doc"))


def test_a_text_is_made_for_who_reads_it(clerk, customer):
	"""FP-02: also if somebody with the right sends it"""
	made = customer()
	made.tax_id = CANARY
	with messages.written_for(made, [clerk]):
		assert made.tax_id is None
	assert made.tax_id == CANARY
	with messages.written_for(made, ["Administrator"]):
		assert made.tax_id == CANARY
	with messages.written_for(made, ["stranger@elsewhere.example"]):
		assert made.tax_id is None


def test_what_may_leave_the_site_reaches_webhooks_and_other_people_and_not_the_clerk(clerk, customer):
	frappe.get_doc("Sensitive Field", "Customer-tax_id").update({"may_leave_site": 1}).save()
	made = customer()
	made.tax_id = CANARY
	with messages.written_for(made, ["stranger@elsewhere.example"]):
		assert made.tax_id == CANARY
	with messages.written_for(made, ["stranger@elsewhere.example", clerk]):
		assert made.tax_id is None
	messages.before_job(messages.WEBHOOK, {"doc": made})
	assert made.tax_id == CANARY
	frappe.get_doc("Sensitive Field", "Customer-tax_id").update({"may_leave_site": 0}).save()
	messages.before_job(messages.WEBHOOK, {"doc": made})
	assert made.tax_id is None


def test_a_page_of_the_portal_holds_nothing_that_its_reader_may_not_see(as_clerk, customer):
	"""FP-02"""
	frappe.set_user("Administrator")
	made = customer()
	made.tax_id = CANARY
	context = {"doc": made, "reference_doc": made.as_dict(), "title": "Page"}
	frappe.set_user(as_clerk)
	messages.redact_page(context)
	assert CANARY not in frappe.as_json([context["doc"], context["reference_doc"]])
	assert context["title"] == "Page"


def test_a_value_isnt_written_down_by_a_milestone_tracker():
	tracker = frappe.new_doc("Milestone Tracker", document_type="Customer", track_field="tax_id")
	with pytest.raises(FieldProtected, match="Tax ID"):
		tracker.insert()


# --- the log, and the cost ----------------------------------------------------------------------------------


def test_old_rows_of_the_log_go_when_their_time_is_over(site):
	"""RE: a retention of its own, in months"""
	name = access_log.record("View", "Customer", ["tax_id"], ["Somebody"])
	kept = access_log.record("View", "Customer", ["tax_id"], ["Somebody"])
	old = add_months(now_utc(), -37)
	frappe.db.set_value("Sensitive Access Log", name, "accessed_on", old, update_modified=False)
	frappe.db.set_single_value("Consent Settings", "access_log_retention_months", 36)
	tasks.delete_old_logs()
	assert not frappe.db.exists("Sensitive Access Log", name)
	assert frappe.db.exists("Sensitive Access Log", kept)
	frappe.db.delete("Sensitive Access Log", {"name": kept})
	frappe.db.commit()


def test_a_request_that_has_nothing_to_do_with_it_costs_no_query(as_clerk, monkeypatch):
	rights.hidden_anywhere()  # as in a process that is warm
	asked = []
	sql = frappe.db.sql
	monkeypatch.setattr(frappe.db, "sql", lambda *args, **more: asked.append(args) or sql(*args, **more))
	ask(doctype="Customer", fields='["name", "customer_name"]', filters='[["name", "like", "x%"]]')
	frappe.local.request = SimpleNamespace(path="/api/method/any", method="GET")
	outgoing.redact_response(Response('{"message": [{"name": "X"}]}', mimetype="application/json"))
	del frappe.local.request
	assert asked == []


def test_opening_a_form_costs_a_viewer_one_query_more_which_is_the_log(monkeypatch):
	rights.hidden_anywhere()
	asked = []
	sql = frappe.db.sql
	monkeypatch.setattr(frappe.db, "sql", lambda *args, **more: asked.append(args[0]) or sql(*args, **more))
	monkeypatch.setattr(frappe.db, "commit", lambda: None)
	ask("/api/method/frappe.desk.form.load.getdoc", doctype="Customer", name="X")
	frappe.local.request = SimpleNamespace(path="/api/method/frappe.desk.form.load.getdoc", method="GET")
	answer = {"docs": [{"doctype": "Customer", "name": "X", "tax_id": CANARY}]}
	outgoing.redact_response(Response(json.dumps(answer), mimetype="application/json"))
	del frappe.local.request
	assert len(asked) == 1
	assert "Sensitive Access Log" in str(asked[0])
