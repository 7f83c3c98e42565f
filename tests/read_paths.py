"""Every request by which somebody may read a field, or guess it, as a user would send it (FP-02, FP-03).

Imports nothing of gdpr_consent, so that plain ERPNext can be tried with the same paths.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import requests
from canaries import fields_of
from conftest import V16
from read_trial import DOCTYPES, main_field, path

import frappe

# --- the history of a record, before others write into it ---------------------------------------------------


HISTORIES = ("Customer", "Supplier", "Employee", "Bank Account", "Contract")


@path("timeline: Version, with the form", HISTORIES)
def timeline(visit):
	visit.get("/api/method/frappe.desk.form.load.getdoc", doctype=visit.case, name=saved(visit))


@path("timeline: Version, get_docinfo", HISTORIES, control=None)  # nobody reads it there any more
def docinfo(visit):
	visit.method("frappe.desk.form.load.get_docinfo", doctype=visit.case, name=saved(visit))


# --- REST ---------------------------------------------------------------------------------------------------


@path("REST v1: a document", DOCTYPES)
def rest_v1_document(visit):
	visit.get(f"/api/resource/{visit.case}/{visit.planted.names[visit.case]}")


@path("REST v2: a document", DOCTYPES)
def rest_v2_document(visit):
	visit.get(f"/api/v2/document/{visit.case}/{visit.planted.names[visit.case]}")


@path("REST v2: a copy", DOCTYPES)
def rest_v2_copy(visit):
	visit.get(f"/api/v2/document/{visit.case}/{visit.planted.names[visit.case]}/copy")


LINKS = {  # a record that isn't protected itself, or elsewhere, and its links to protected ones
	"Sales Invoice": "customer",
	"Purchase Invoice": "supplier",
	"Bank Guarantee": "bank_account",
	"Payment Request": "bank_account",
	"Payment Entry": "bank_account",
}


@path("REST v1: a document with its links (expand_links)", LINKS)
def rest_v1_expand_links(visit):
	visit.get(f"/api/resource/{visit.case}/{visit.planted.names[visit.case]}", expand_links="True")


@path("REST v1: a list with its links (expand)", LINKS)
def rest_v1_expand(visit):
	visit.get(
		f"/api/resource/{visit.case}",
		filters=[["name", "=", visit.planted.names[visit.case]]],
		fields=["name", LINKS[visit.case]],
		expand=[LINKS[visit.case]],
	)


@path("REST v1: a list", DOCTYPES)
def rest_v1_list(visit):
	visit.get(f"/api/resource/{visit.case}", filters=_itself(visit), fields=["*"])
	visit.get(f"/api/resource/{visit.case}", filters=_itself(visit), fields=["name", *fields_of(visit.case)])


@path("REST v2: a list", DOCTYPES)
def rest_v2_list(visit):
	visit.get(f"/api/v2/document/{visit.case}", filters=_itself(visit), fields=["*"])
	visit.get(
		f"/api/v2/document/{visit.case}", filters=_itself(visit), fields=["name", *fields_of(visit.case)]
	)


def _itself(visit, doctype: str | None = None) -> list:
	return [["name", "=", visit.planted.names[doctype or visit.case]]]


EXPRESSIONS = (
	"{0} as innocent",
	"`tabCustomer`.`{0}`",
	"tabCustomer.{0} as innocent",
	"max({0}) as innocent",
	"min(`tabCustomer`.`{0}`) as innocent",
	"concat({0}, '') as innocent",
	"concat_ws('', name, {0}) as innocent",
	"ifnull({0}, '') as innocent",
	"coalesce({0}, name) as innocent",
	"upper({0}) as innocent",
	"left({0}, 50) as innocent",
	"replace({0}, ' ', '') as innocent",
	"group_concat({0}) as innocent",
	"distinct {0}",
	"hex({0}) as innocent",
	"{0}, customer_group",
	"if({0} = {0}, {0}, 0) as innocent",
)
# v16 takes no function as text.
FUNCTIONS = (
	'{{"MAX": "{0}", "as": "innocent"}}',
	'{{"MIN": "`tabCustomer`.`{0}`", "as": "innocent"}}',
	'{{"CONCAT": ["{0}", "\'\'"], "as": "innocent"}}',
	'{{"IFNULL": ["{0}", "\'\'"], "as": "innocent"}}',
	'{{"NULLIF": ["{0}", "\'\'"], "as": "innocent"}}',
	'{{"CONCAT": [{{"IFNULL": ["{0}", "\'\'"]}}, "\'\'"], "as": "innocent"}}',
	'{{"MAX": [{{"CONCAT": ["\'\'", "{0}"]}}], "as": "name"}}',
)


NO_SUCH_QUERY = "Frappe answers nobody: the query that it makes of this is wrong, or it forbids it"


def as_field(text: str) -> str | dict:
	return json.loads(text) if text.startswith("{") else text


def _is_closed(expression: str) -> bool:
	if V16:
		return expression.startswith("distinct") or "(" in expression
	return expression.startswith(("tab", "min(", "concat", "coalesce", "distinct", "{0}, ", "if("))


@path(
	"aliases, aggregates and functions in fields",
	(*EXPRESSIONS, *(FUNCTIONS if V16 else ())),
	closed={case: NO_SUCH_QUERY for case in EXPRESSIONS if _is_closed(case)},
)
def expressions(visit):
	fields = ["name", as_field(visit.case.format("tax_id"))]
	if re.search("max|min|group_concat", visit.case, re.IGNORECASE):
		fields = fields[1:]
	itself = _itself(visit, "Customer")
	before = len(visit.seen)
	for ask in (
		lambda: visit.get("/api/resource/Customer", filters=itself, fields=fields),
		lambda: visit.method("frappe.client.get_list", doctype="Customer", filters=itself, fields=fields),
		lambda: visit.method("frappe.desk.reportview.get", doctype="Customer", filters=itself, fields=fields),
		lambda: visit.method("frappe.client.get_value", doctype="Customer", filters=itself, fieldname=fields),
	):
		ask()
	for text in visit.seen[before:]:  # a value in hexadecimal is a value
		for word in re.findall(r"[0-9A-F]{20,}", text):
			try:
				visit.show(bytes.fromhex(word).decode())
			except ValueError:
				pass


JOINS = {
	"by a link's field": ("Sales Order", "customer.tax_id"),
	"by a link's field, with an alias": ("Sales Order", "customer.tax_id as innocent"),
	"of the parent, in a list of rows": ("Sales Invoice Item", "`tabSales Invoice`.`tax_id`"),
	"of the parent, with an alias": ("Sales Invoice Item", "`tabSales Invoice`.tax_id as innocent"),
	"by a link's field, of a Bank Guarantee": ("Bank Guarantee", "bank_account.iban"),
}


@path(
	"joined tables in fields",
	JOINS,
	closed={case: NO_SUCH_QUERY for case in JOINS if case.startswith("of the parent")},
)
def joins(visit):
	doctype, field = JOINS[visit.case]
	parent = {"parent": "Sales Invoice"} if doctype == "Sales Invoice Item" else {}
	name = visit.planted.names["Sales Invoice"] if parent else visit.planted.names[doctype]
	filters = [["parent" if parent else "name", "=", name]]
	fields = ["name", field]
	visit.method("frappe.client.get_list", doctype=doctype, filters=filters, fields=fields, **parent)
	more = {"parent_doctype": "Sales Invoice"} if parent else {}
	visit.method("frappe.desk.reportview.get", doctype=doctype, filters=filters, fields=fields, **more)


@path("REST v1: PUT", ("Customer", "Supplier", "Employee", "Bank Account", "Sales Invoice", "Contract"))
def rest_v1_put(visit):
	visit.call("PUT", f"/api/resource/{visit.case}/{saved(visit)}", json=harmless(visit))


@path("REST v2: PUT", ("Customer", "Supplier", "Employee", "Bank Account", "Sales Invoice", "Contract"))
def rest_v2_put(visit):
	visit.call("PUT", f"/api/v2/document/{visit.case}/{saved(visit)}", json=harmless(visit))


def saved(visit) -> str:
	special = {"Employee": visit.planted.saved_employee.name, "Sales Invoice": visit.planted.draft.name}
	return special.get(visit.case) or visit.planted.names[visit.case]


HARMLESS = {
	"Customer": "customer_details",
	"Supplier": "supplier_details",
	"Employee": "bio",
	"Bank Account": "integration_id",
	"Sales Invoice": "remarks",
	"Contract": "signee",
}


def harmless(visit) -> dict[str, str]:
	return {HARMLESS[visit.case]: f"By {visit.marker}"}


CREATED = {
	"Sales Order": "customer",
	"Sales Invoice": "customer",
	"Purchase Invoice": "supplier",
	"Payment Request": "bank_account",
}


def _new(visit) -> dict[str, Any]:
	planted = visit.planted
	row = {"item_code": planted.item.name, "qty": 1, "rate": 10}
	later = frappe.utils.add_days(frappe.utils.today(), 9)
	base = {"doctype": visit.case, "company": planted.company, "currency": "EUR", "due_date": later}
	return {
		"Sales Order": base
		| {
			"customer": planted.customer.name,
			"delivery_date": later,
			"items": [row | {"delivery_date": later}],
		},
		"Sales Invoice": base | {"customer": planted.customer.name, "items": [row]},
		"Purchase Invoice": base
		| {"supplier": planted.supplier.name, "bill_no": visit.marker, "items": [row]},
		"Payment Request": base
		| {
			"payment_request_type": "Inward",
			"party_type": "Customer",
			"party": planted.customer.name,
			"grand_total": 1,
			"bank_account": planted.bank_account.name,
			"reference_doctype": "Sales Order",
			"reference_name": planted.order.name,
			"mute_email": 1,
		},
	}[visit.case]


@path("fetch_from into a new document (REST v1)", CREATED)
def rest_v1_post(visit):
	_forget(visit, visit.call("POST", f"/api/resource/{visit.case}", json=_new(visit)))


@path("fetch_from into a new document (REST v2)", CREATED)
def rest_v2_post(visit):
	_forget(visit, visit.call("POST", f"/api/v2/document/{visit.case}", json=_new(visit)))


@path("fetch_from into a new document (client.insert)", CREATED)
def client_insert(visit):
	_forget(visit, visit.method("frappe.client.insert", doc=_new(visit)))


@path("fetch_from into a new document (savedocs)", CREATED)
def savedocs_new(visit):
	_forget(visit, visit.method("frappe.desk.form.save.savedocs", doc=_new(visit), action="Save"))


def _forget(visit, answer: requests.Response) -> None:
	if answer.ok:
		said = answer.json()
		made = said.get("data") or said.get("message") or (said.get("docs") or [{}])[0]
		visit.planted.made.append((made["doctype"] if "doctype" in made else visit.case, made["name"]))


@path("an administrator's custom field with fetch_from", ("stored before", "fetched now"))
def custom_fetch_from(visit):
	planted = visit.planted

	def make() -> str:
		planted.new(
			"Custom Field",
			dt="Issue",
			fieldname="canary_copy",
			label="Canary Copy",
			fieldtype="Data",
			fetch_from="customer.tax_id",
		)
		frappe.db.commit()
		frappe.clear_cache()
		issue = planted.new("Issue", subject=planted.tag, customer=planted.customer.name).name
		stored = frappe.db.get_value("Customer", planted.customer.name, "tax_id")
		frappe.db.set_value("Issue", issue, "canary_copy", stored)
		return issue

	issue = visit.trial.once("custom fetch_from", make)
	if visit.case == "stored before":
		visit.get(f"/api/resource/Issue/{issue}")
	else:
		new = {"subject": visit.marker, "customer": planted.customer.name}
		answer = visit.call("POST", "/api/resource/Issue", json=new)
		if answer.ok:
			planted.made.append(("Issue", answer.json()["data"]["name"]))
			visit.get(f"/api/resource/Issue/{answer.json()['data']['name']}")


@path("REST v2: run a method of a document that is sent along", ("Bank Account", "Sales Invoice"))
def rest_v2_run_doc_method(visit):
	document = visit.document(visit.case, saved(visit))
	visit.call(
		"POST",
		"/api/v2/method/run_doc_method",
		json={"method": "add_comment", "document": document, "kwargs": {}},
	)


# --- frappe.client ------------------------------------------------------------------------------------------


@path("client.get", DOCTYPES)
def client_get(visit):
	visit.method("frappe.client.get", doctype=visit.case, name=visit.planted.names[visit.case])


@path("client.get_list", DOCTYPES)
def client_get_list(visit):
	for fields in (["*"], ["name", *fields_of(visit.case)]):
		visit.method("frappe.client.get_list", doctype=visit.case, filters=_itself(visit), fields=fields)


@path("client.get_value", DOCTYPES)
def client_get_value(visit):
	for fieldname in (main_field(visit.case), [*fields_of(visit.case)], "*"):
		visit.method(
			"frappe.client.get_value", doctype=visit.case, filters=_itself(visit), fieldname=fieldname
		)


@path("client.validate_link", DOCTYPES)
def client_validate_link(visit):
	fields = [*fields_of(visit.case)]
	visit.method(
		f"frappe.client.validate_link{'_and_fetch' if V16 else ''}",
		doctype=visit.case,
		docname=visit.planted.names[visit.case],
		**{"fields_to_fetch" if V16 else "fields": fields},
	)


@path("client.set_value", ("Customer", "Supplier", "Employee", "Bank Account", "Sales Invoice", "Contract"))
def client_set_value(visit):
	((field, value),) = harmless(visit).items()
	visit.method(
		"frappe.client.set_value", doctype=visit.case, name=saved(visit), fieldname=field, value=value
	)


@path("client.save", ("Customer", "Supplier", "Employee", "Bank Account", "Sales Invoice", "Contract"))
def client_save(visit):
	doc = visit.document(visit.case, saved(visit)) | harmless(visit)
	visit.method("frappe.client.save", doc=doc)


@path("client.bulk_update and the list's bulk edit", ("Customer", "Bank Account"))
def bulk_edit(visit):
	((field, value),) = harmless(visit).items()
	visit.method(
		"frappe.client.bulk_update", docs=[{"doctype": visit.case, "docname": saved(visit), field: value}]
	)
	visit.method(
		"frappe.desk.doctype.bulk_update.bulk_update.submit_cancel_or_update_docs",
		doctype=visit.case,
		docnames=[saved(visit)],
		action="update",
		data={field: value},
	)
	visit.get(f"/api/resource/{visit.case}/{saved(visit)}")


def _draft(visit):
	"""A Bank Transaction that only waits to be submitted."""
	planted = visit.planted
	transaction = planted.new(
		"Bank Transaction",
		date=frappe.utils.today(),
		deposit=1,
		currency="EUR",
		company=planted.company,
		bank_account=planted.own_account.name,
	)
	planted.plant("Bank Transaction", transaction.name)
	frappe.db.commit()
	return transaction.name


@path("client.submit and client.cancel")
def client_submit(visit):
	name = _draft(visit)
	visit.method("frappe.client.submit", doc=visit.document("Bank Transaction", name))
	visit.method("frappe.client.cancel", doctype="Bank Transaction", name=name)


@path("desk: submit and cancel")
def desk_submit(visit):
	name = _draft(visit)
	doc = visit.document("Bank Transaction", name)
	visit.method("frappe.desk.form.save.savedocs", doc=doc, action="Submit")
	visit.method("frappe.desk.form.save.cancel", doctype="Bank Transaction", name=name)


# --- the desk's form ----------------------------------------------------------------------------------------


@path("desk: open a form", DOCTYPES)
def desk_getdoc(visit):
	visit.get(
		"/api/method/frappe.desk.form.load.getdoc", doctype=visit.case, name=visit.planted.names[visit.case]
	)


@path("desk: save a form", ("Customer", "Supplier", "Employee", "Bank Account", "Sales Invoice", "Contract"))
def savedocs(visit):
	doc = visit.document(visit.case, saved(visit)) | harmless(visit)
	visit.method("frappe.desk.form.save.savedocs", doc=doc, action="Save")


@path("desk: run a method of the form", ("Customer", "Supplier", "Employee", "Bank Account", "Sales Invoice"))
def run_doc_method(visit):
	visit.method(
		"run_doc_method",
		dt=visit.case,
		dn=saved(visit),
		method="add_comment",
		args={"comment_type": "Comment", "text": "Hi"},
	)


@path("desk: run a method of the form, with the document sent along", ("Customer", "Bank Account"))
def run_doc_method_docs(visit):
	visit.method(
		"run_doc_method", docs=visit.document(visit.case, saved(visit)), method="add_comment", args={}
	)


@path("desk: linked documents", ("Customer", "Bank Account"))
def linked_with(visit):
	visit.method(
		"frappe.desk.form.linked_with.get", doctype=visit.case, docname=visit.planted.names[visit.case]
	)
	linkinfo = {
		"Customer": {"Sales Invoice": {"fieldname": ["customer"], "add_fields": ["tax_id"]}},
		"Bank Account": {"Payment Request": {"fieldname": ["bank_account"]}},
	}[visit.case]
	visit.method(
		"frappe.desk.form.linked_with.get_linked_docs",
		doctype=visit.case,
		name=visit.planted.names[visit.case],
		linkinfo=linkinfo,
	)
	visit.method("frappe.desk.reportview.get", doctype=visit.case, fields=["*"], filters=_itself(visit))


@path("audit trail: versions of an amended document", ("Bank Transaction",))
def audit_trail(visit):
	def make() -> str:
		names = []
		for amended_from in (None, "before"):
			name = _draft(visit)
			values = {"docstatus": 2 if amended_from is None else 1}
			if amended_from:
				values["amended_from"] = names[0]
			frappe.db.set_value("Bank Transaction", name, values)
			names.append(name)
		return names[1]

	name = visit.trial.once("amended", make)
	doc = visit.document("Audit Trail", "Audit Trail") | {
		"doctype_name": "Bank Transaction",
		"document": name,
		"start_date": "2020-01-01",
	}
	visit.method("run_doc_method", docs=doc, method="compare_document")


# --- lists and the report builder ---------------------------------------------------------------------------


@path("reportview.get", DOCTYPES)
def reportview_get(visit):
	for fields in (["*"], ["name", *(f"`tab{visit.case}`.`{field}`" for field in fields_of(visit.case))]):
		visit.method("frappe.desk.reportview.get", doctype=visit.case, fields=fields, filters=_itself(visit))


@path("reportview.get_list", DOCTYPES)
def reportview_get_list(visit):
	fields = ["name", *fields_of(visit.case)]
	visit.method("frappe.desk.reportview.get_list", doctype=visit.case, fields=fields, filters=_itself(visit))


@path("reportview.export_query", [f"{doctype}, {kind}" for doctype in DOCTYPES for kind in ("CSV", "Excel")])
def reportview_export(visit):
	doctype, kind = visit.case.split(", ")
	visit.method(
		"frappe.desk.reportview.export_query",
		doctype=doctype,
		title=doctype,
		file_format_type=kind,
		fields=["name", *(f"`tab{doctype}`.`{field}`" for field in fields_of(doctype))],
		filters=_itself(visit, doctype),
	)


@path("reportview.export_query in the background")
def reportview_export_in_background(visit):
	visit.method(
		"frappe.desk.reportview.export_query",
		doctype="Customer",
		title=visit.marker,
		file_format_type="CSV",
		fields=["name", "`tabCustomer`.`tax_id`"],
		filters=_itself(visit, "Customer"),
		export_in_background=1,
	)
	yield
	_exported(visit)


def _exported(visit) -> None:
	visit.mails()
	for link in {link for text in visit.seen for link in re.findall(r"/private/files/[^\s\"'<>?)]+", text)}:
		visit.get(link)
	frappe.db.rollback()
	for file in frappe.get_all("File", {"owner": visit.user}, ["file_url"]):
		visit.get(file.file_url)


def aggregate(function: str, of: str, alias: str = "_aggregate_column") -> str | dict[str, str]:
	return {function: of, "as": alias} if V16 else f"{function.lower()}({of}) as {alias}"


@path("reportview.get: grouped, with an aggregate", ("sum",))
def reportview_aggregate(visit):
	visit.method(
		"frappe.desk.reportview.get",
		doctype="Bank Account",
		fields=[aggregate("COUNT", "*"), "`tabBank Account`.`bank`"],
		filters=_itself(visit, "Bank Account"),
		group_by="`tabBank Account`.`bank`",
		aggregate_on_field="bank_account_no",
		aggregate_on_doctype="Bank Account",
		aggregate_function=visit.case,
	)
	visit.method(
		"frappe.desk.reportview.get",
		doctype="Bank Account",
		fields=[aggregate(visit.case.upper(), "`tabBank Account`.`bank_account_no`"), "bank"],
		filters=_itself(visit, "Bank Account"),
		group_by="`tabBank Account`.`bank`",
	)


@path("grouped by the field: get_group_by_count, get_stats", DOCTYPES)
def group_by_count(visit):
	doctype, field = visit.case, main_field(visit.case)
	visit.method(
		"frappe.desk.listview.get_group_by_count",
		doctype=doctype,
		current_filters=[[doctype, "name", "=", visit.planted.names[doctype]]],
		field=field,
	)
	visit.method("frappe.desk.reportview.get_stats", doctype=doctype, stats=[field], filters=_itself(visit))
	visit.method(
		"frappe.desk.reportview.get_sidebar_stats", doctype=doctype, stats=[field], filters=_itself(visit)
	)
	visit.method(
		"frappe.desk.reportview.get_filter_dashboard_data",
		doctype=doctype,
		stats=[{"name": field, "type": "Data"}],
		filters=_itself(visit),
	)


@path("workflow.get_workflow_state_count, with the field as a state", DOCTYPES)
def workflow_state_count(visit):
	visit.method(
		"frappe.workflow.doctype.workflow.workflow.get_workflow_state_count",
		doctype=visit.case,
		workflow_state_field=main_field(visit.case),
		states=["none"],
	)


@path("calendar.get_events", ("Customer", "Bank Guarantee", "Employee"))
def calendar_events(visit):
	field = main_field(visit.case)
	for fields in (None, ["name", field]):
		visit.method(
			"frappe.desk.calendar.get_events",
			doctype=visit.case,
			start="2000-01-01",
			end="2100-01-01",
			field_map={"start": "creation", "end": "modified", "title": field, "id": "name"},
			filters=[[visit.case, "name", "=", visit.planted.names[visit.case]]],
			**({"fields": fields} if fields else {}),
		)


@path("graph of a goal: the value of the form")
def goal_graph(visit):
	itself = {"name": visit.planted.names["Bank Account"]}
	visit.method(
		"frappe.utils.goal.get_monthly_goal_graph_data",
		title="Goal",
		doctype="Bank Account",
		docname=itself["name"],
		goal_value_field="idx",
		goal_total_field="bank_account_no",
		goal_history_field="integration_id",
		goal_doctype="Bank Account",
		goal_doctype_link="name",
		goal_field="bank_account_no",
		date_field="last_integration_date",
		aggregation="max",
		filters=itself,
	)


@path("child table: rows with protected parents", ("client.get_list", "REST"))
def child_rows(visit):
	fields = ["name", "parent", "`tabSales Invoice`.`tax_id`"]
	filters = [["Sales Invoice Item", "parent", "=", visit.planted.names["Sales Invoice"]]]
	if visit.case == "REST":
		visit.get("/api/resource/Sales Invoice Item", fields=fields, filters=filters, parent="Sales Invoice")
	else:
		visit.method(
			"frappe.client.get_list",
			doctype="Sales Invoice Item",
			fields=fields,
			filters=filters,
			parent="Sales Invoice",
		)
	# the other way round: the parent's list with a column of the rows
	fields = ["name", "tax_id", "`tabSales Invoice Item`.`item_code`"]
	visit.get("/api/resource/Sales Invoice", fields=fields, filters=_itself(visit, "Sales Invoice"))


@path(
	"child table: a protected field in a child table (an administrator's)",
	("REST v1", "list", "export", *(["rows of a list"] if V16 else [])),
)
def child_field(visit):
	planted = visit.planted

	def make() -> str:
		planted.new(
			"Custom Field",
			dt="Sales Invoice Item",
			fieldname="canary_iban",
			label="Canary IBAN",
			fieldtype="Data",
		)
		frappe.db.commit()
		frappe.clear_cache()
		planted.protect("Sales Invoice Item", "canary_iban")
		row = planted.invoice.items[0].name
		value = planted.canaries.new("Sales Invoice Item", "canary_iban")
		frappe.db.set_value("Sales Invoice Item", row, "canary_iban", value)
		return value

	visit.trial.once("child field", make)
	name = planted.names["Sales Invoice"]
	if visit.case == "REST v1":
		visit.get(f"/api/resource/Sales Invoice/{name}")
	elif visit.case == "list":
		visit.get(
			"/api/resource/Sales Invoice",
			fields=["name", "`tabSales Invoice Item`.`canary_iban`"],
			filters=[["name", "=", name]],
		)
	elif visit.case == "rows of a list":
		visit.get(
			"/api/resource/Sales Invoice",
			fields=["name", {"items": ["name", "canary_iban"]}],
			filters=[["name", "=", name]],
		)
	else:
		visit.method(
			"frappe.core.doctype.data_import.data_import.download_template",
			doctype="Sales Invoice",
			export_fields={"Sales Invoice": ["name"], "items": ["name", "canary_iban"]},
			export_records="by_filter",
			export_filters=[["Sales Invoice", "name", "=", name]],
			file_type="CSV",
		)


# --- oracles (FP-03) ----------------------------------------------------------------------------------------


def _asks(visit, doctype: str) -> dict[str, Callable[[Any], requests.Response]]:
	"""Doors that take filters."""
	itself = visit.planted.names[doctype]
	return {
		"REST v1": lambda filters: visit.get(f"/api/resource/{doctype}", filters=filters),
		"REST v2": lambda filters: visit.get(f"/api/v2/document/{doctype}", filters=filters),
		"client.get_list": lambda filters: visit.method(
			"frappe.client.get_list", doctype=doctype, filters=filters
		),
		"client.get_count": lambda filters: visit.method(
			"frappe.client.get_count", doctype=doctype, filters=filters
		),
		"client.get_value": lambda filters: visit.method(
			"frappe.client.get_value", doctype=doctype, filters=filters, fieldname="name"
		),
		"reportview.get": lambda filters: visit.method(
			"frappe.desk.reportview.get", doctype=doctype, fields=["name"], filters=filters
		),
		"reportview.get_list": lambda filters: visit.method(
			"frappe.desk.reportview.get_list", doctype=doctype, fields=["name"], filters=filters
		),
		"reportview.get_count": lambda filters: visit.method(
			"frappe.desk.reportview.get_count", doctype=doctype, fields=[], filters=filters, distinct="false"
		),
		"export": lambda filters: visit.method(
			"frappe.desk.reportview.export_query",
			doctype=doctype,
			title="x",
			file_format_type="CSV",
			fields=["name"],
			filters=filters,
		),
		"search_link": lambda filters: visit.method(
			"frappe.desk.search.search_link", doctype=doctype, txt="", filters=filters
		),
		"search_widget": lambda filters: visit.method(
			"frappe.desk.search.search_widget",
			doctype=doctype,
			txt="",
			filters=filters,
			ignore_user_permissions=1,
		),
		"get_group_by_count": lambda filters: visit.method(
			"frappe.desk.listview.get_group_by_count", doctype=doctype, current_filters=filters, field="owner"
		),
		"get_stats": lambda filters: visit.method(
			"frappe.desk.reportview.get_stats", doctype=doctype, stats=["owner"], filters=filters
		),
		"get_next": lambda filters: visit.method(
			"frappe.desk.form.utils.get_next",
			doctype=doctype,
			value=itself,
			prev=0,
			filters=filters,
			sort_order="asc",
			sort_field="owner",
		),
		"calendar": lambda filters: visit.method(
			"frappe.desk.calendar.get_events",
			doctype=doctype,
			start="2000-01-01",
			end="2100-01-01",
			field_map={"start": "creation", "end": "modified", "title": "name", "id": "name"},
			filters=filters,
		),
		"number card": lambda filters: visit.method(
			"frappe.desk.doctype.number_card.number_card.get_result",
			doc={"doctype": "Number Card", "document_type": doctype, "function": "Count"},
			filters=filters,
		),
		"dashboard chart": lambda filters: visit.method(
			"frappe.desk.doctype.dashboard_chart.dashboard_chart.get",
			chart_name=visit.trial.once(f"chart of {doctype}", lambda: _chart(visit, doctype)),
			refresh=1,
			filters=filters,
		),
		"Data Import template": lambda filters: visit.method(
			"frappe.core.doctype.data_import.data_import.download_template",
			doctype=doctype,
			export_fields={doctype: ["name"]},
			export_records="by_filter",
			export_filters=filters,
			file_type="CSV",
		),
		"Data Export": lambda filters: visit.method(
			"frappe.core.doctype.data_export.exporter.export_data",
			doctype=doctype,
			all_doctypes="false",
			with_data="true",
			select_columns={doctype: ["name", "owner", "creation"]},
			filters=filters,
			file_type="CSV",
			export_without_column_meta="true",
		),
	}


def _chart(visit, doctype: str, **more: Any) -> str:
	"""How many were made by whom."""
	values = {
		"chart_name": f"Chart of {doctype} {visit.planted.tag}",
		"chart_type": "Group By",
		"document_type": doctype,
		"group_by_type": "Count",
		"group_by_based_on": "owner",
		"type": "Bar",
		"number_of_groups": 0,
		"is_public": 1,
		"filters_json": "[]",
	}
	return visit.planted.new("Dashboard Chart", **values | more).name


FILTERED = (
	"REST v1",
	"REST v2",
	"client.get_list",
	"client.get_count",
	"client.get_value",
	"reportview.get",
	"reportview.get_list",
	"reportview.get_count",
	"export",
	"search_link",
	"search_widget",
	"get_group_by_count",
	"get_stats",
	"get_next",
	"calendar",
	"number card",
	"dashboard chart",
	"Data Import template",
	"Data Export",
)


@path("oracle: filters", FILTERED, closed={"get_next": NO_SUCH_QUERY})
def filter_oracle(visit):
	for doctype, field in (("Customer", "tax_id"), ("Bank Account", "iban"), ("Employee", "health_details")):
		name = visit.planted.names[doctype]
		stored = frappe.db.get_value(doctype, name, field)
		if visit.case == "get_next":  # from another record on, with a filter that leaves one
			name = {"Customer": visit.planted.sorted[0]}.get(doctype, name)
		ask = _asks(visit, doctype)[visit.case]

		def guess(value: str, ask=ask, doctype=doctype, field=field):
			as_dict = visit.case == "Data Export"
			return ask({field: ["like", value]} if as_dict else [[doctype, field, "like", value]])

		visit.guess(guess, f"{stored[:6]}%")


@path("oracle: filters as a dict, with other operators", ("=", "<", "in", "not like"))
def filter_shapes(visit):
	name = visit.planted.names["Customer"]
	stored = frappe.db.get_value("Customer", name, "tax_id")
	lists = {
		"=": lambda value: value,
		"<": lambda value: ["<=", value],
		"in": lambda value: ["in", [value, "none"]],
		"not like": lambda value: ["not like", f"{value}%"],
	}[visit.case]
	wrong = "A" + stored[1:] if visit.case == "<" else None
	visit.guess(
		lambda value: visit.get("/api/resource/Customer", filters={"name": name, "tax_id": lists(value)}),
		stored,
		wrong,
	)
	visit.guess(
		lambda value: visit.method(
			"frappe.client.get_count", doctype="Customer", filters={"name": name, "tax_id": lists(value)}
		),
		stored,
		wrong,
	)


@path("oracle: filters as a dict, whether the field is empty", ("empty text", "null"))
def filter_of_nothing(visit):
	nothing = {"empty text": "", "null": None}[visit.case]
	without = visit.trial.once(
		"customer without a tax number",
		lambda: (
			visit.planted.new(
				"Customer", customer_name=f"Plain {visit.planted.tag}", customer_type="Company"
			).name
		),
	)
	one, other = (
		visit.method("frappe.client.get_count", doctype="Customer", filters={"name": name, "tax_id": nothing})
		for name in (visit.planted.names["Customer"], without)
	)
	visit.compare(one, other)


SPELLED = (
	"`tabCustomer`.`tax_id`",
	"tabCustomer.tax_id",
	"ifnull(tax_id, '')",
	"TAX_ID",
	" tax_id",
	"`tax_id`",
)


@path(
	"oracle: other spellings of the field in a filter",
	SPELLED,
	closed={case: NO_SUCH_QUERY for case in SPELLED},
)
def filter_spellings(visit):
	stored = frappe.db.get_value("Customer", visit.planted.names["Customer"], "tax_id")
	for filters in (
		lambda value: [["Customer", visit.case, "like", f"{value}%"]],
		lambda value: {visit.case: ["like", f"{value}%"]},
	):

		def in_a_list(value: str, filters=filters):
			return visit.get("/api/resource/Customer", filters=filters(value))

		def in_a_count(value: str, filters=filters):
			return visit.method("frappe.client.get_count", doctype="Customer", filters=filters(value))

		visit.guess(in_a_list, stored)
		visit.guess(in_a_count, stored)


@path("oracle: the calendar's start and end", ("start", "end"))
def calendar_oracle(visit):
	"""A field that is compared with a text that the asker chooses, whatever it holds."""
	name = visit.planted.names["Customer"]
	stored = frappe.db.get_value("Customer", name, "tax_id")

	def ask(value: str) -> requests.Response:
		return visit.method(
			"frappe.desk.calendar.get_events",
			doctype="Customer",
			start=value if visit.case == "end" else "",
			end=value if visit.case == "start" else "zzzz",
			field_map={"start": "name", "end": "name", "title": "name", "id": "name"}
			| {visit.case: "tax_id"},
			fields=["name"],
			filters=[["Customer", "name", "=", name]],
		)

	visit.guess(ask, f"{stored[:-1]}!", f"{stored}z")


@path(
	"oracle: filters in the place of fields",
	("a list", "a dict"),
	closed=dict.fromkeys(("a list", "a dict"), NO_SUCH_QUERY),
)
def swapped_oracle(visit):
	"""Frappe takes filters for fields and fields for filters, if they look like it."""
	name = visit.planted.names["Customer"]
	stored = frappe.db.get_value("Customer", name, "tax_id")

	def question(value: str) -> Any:
		if visit.case == "a dict":
			return {"name": name, "tax_id": ["like", f"{value}%"]}
		return [["Customer", "name", "=", name], ["Customer", "tax_id", "like", f"{value}%"]]

	for method in ("frappe.client.get_list", "frappe.desk.reportview.get", "frappe.desk.reportview.get_list"):

		def ask(value: str, method=method) -> requests.Response:
			return visit.method(method, doctype="Customer", fields=question(value))

		visit.guess(ask, stored)
	visit.guess(lambda value: visit.get("/api/v2/document/Customer", fields=question(value)), stored)


LOCATED = ("REST v1", "REST v2", "client.get_list", "reportview.get", "client.get_value")


@path("oracle: a function of the field", LOCATED if V16 else ())
def function_oracle(visit):
	name = visit.planted.names["Customer"]
	stored = frappe.db.get_value("Customer", name, "tax_id")

	def ask(value: str) -> requests.Response:
		columns = ["name", {"LOCATE": [f"'{value}'", "tax_id"], "as": "innocent"}]
		more = {"filters": [["Customer", "name", "=", name]], "fields": columns}
		if visit.case.startswith("REST"):
			folder = "api/resource" if visit.case == "REST v1" else "api/v2/document"
			return visit.get(f"/{folder}/Customer", **more)
		if visit.case == "client.get_value":
			more["fieldname"] = more.pop("fields")
		where = "frappe" if visit.case.startswith("client") else "frappe.desk"
		return visit.method(f"{where}.{visit.case}", doctype="Customer", **more)

	visit.guess(ask, stored)


@path("oracle: or_filters", ("REST v1", "client.get_list", "reportview.get", "reportview.get_count"))
def or_filter_oracle(visit):
	stored = frappe.db.get_value("Customer", visit.planted.names["Customer"], "tax_id")

	def ask(value: str) -> requests.Response:
		more = {
			"or_filters": [["Customer", "tax_id", "like", f"{value}%"], ["Customer", "name", "=", "none"]]
		}
		if visit.case == "REST v1":
			return visit.get("/api/resource/Customer", **more)
		return visit.method(
			f"frappe.{visit.case if 'client' in visit.case else 'desk.' + visit.case}",
			doctype="Customer",
			fields=["name"],
			**more,
		)

	visit.guess(ask, stored)


@path(
	"oracle: filters by another table",
	("of the parent", "by the rows' parent", "of a link"),
	closed={"of the parent": NO_SUCH_QUERY, "of a link": NO_SUCH_QUERY},
)
def joined_filter_oracle(visit):
	name = visit.planted.names["Sales Invoice"]
	stored = frappe.db.get_value("Sales Invoice", name, "tax_id")
	if visit.case == "of the parent":
		visit.guess(
			lambda value: visit.method(
				"frappe.client.get_list",
				doctype="Sales Invoice Item",
				parent="Sales Invoice",
				fields=["name"],
				filters=[
					["Sales Invoice", "tax_id", "like", f"{value}%"],
					["Sales Invoice Item", "parent", "=", name],
				],
			),
			stored,
		)
	elif visit.case == "by the rows' parent":
		visit.guess(
			lambda value: visit.get(
				"/api/resource/Sales Invoice",
				filters=[
					["Sales Invoice", "tax_id", "like", f"{value}%"],
					["Sales Invoice Item", "qty", ">", 0],
				],
			),
			stored,
		)
	else:
		stored = frappe.db.get_value("Customer", visit.planted.names["Customer"], "tax_id")
		visit.guess(
			lambda value: visit.get(
				"/api/resource/Sales Invoice",
				filters=[["name", "=", name], ["customer.tax_id", "like", f"{value}%"]],
			),
			stored,
		)


SORTED = (
	"REST v1",
	"REST v2",
	"client.get_list",
	"reportview.get",
	"reportview.get_list",
	"export",
	"an expression",
	"get_next",
)


@path("oracle: order_by and sort_field", SORTED, closed={"get_next": NO_SUCH_QUERY})
def order_oracle(visit):
	first, second = visit.planted.sorted
	filters = [["Customer", "name", "in", [first, second]]]

	def ask(order: str) -> requests.Response:
		if visit.case == "REST v1":
			return visit.get("/api/resource/Customer", filters=filters, order_by=order)
		if visit.case == "REST v2":
			return visit.get("/api/v2/document/Customer", filters=filters, order_by=order)
		if visit.case == "client.get_list":
			return visit.method("frappe.client.get_list", doctype="Customer", filters=filters, order_by=order)
		if visit.case == "export":
			return visit.method(
				"frappe.desk.reportview.export_query",
				doctype="Customer",
				title="x",
				file_format_type="CSV",
				fields=["name"],
				filters=filters,
				order_by=order,
			)
		return visit.method(
			f"frappe.desk.{visit.case}", doctype="Customer", fields=["name"], filters=filters, order_by=order
		)

	if visit.case == "get_next":

		def following(order: str) -> requests.Response:
			return visit.method(
				"frappe.desk.form.utils.get_next",
				doctype="Customer",
				value=first,
				prev=0,
				filters=filters,
				sort_order=order,
				sort_field="tax_id",
			)

		visit.compare(following("asc"), following("desc"))
	elif visit.case == "an expression":

		def by(order: str) -> requests.Response:
			return visit.get("/api/resource/Customer", filters=filters, order_by=order)

		for expression in (
			"if(tax_id like 'ZZ%', 1, 2) {}",
			"ifnull(tax_id, '') {}",
			"`tabCustomer`.`tax_id` {}",
			"left(tax_id, 2) {}",
			"modified, tax_id {}",
			"customer_group, tax_id {}",
		):
			visit.compare(by(expression.format("asc")), by(expression.format("desc")))
	else:
		visit.compare(ask("tax_id asc"), ask("tax_id desc"))


@path("oracle: group_by", ("REST v1", "client.get_list", "reportview.get"))
def group_oracle(visit):
	"""Two records in one group or two: whether they have the same tax ID."""
	first, second = visit.planted.sorted

	def alike() -> list[str]:
		made = []
		for number in range(2):
			name = visit.planted.new(
				"Customer", customer_name=f"Alike {number} {visit.planted.tag}", customer_type="Company"
			).name
			frappe.db.set_value("Customer", name, "tax_id", "Alike")
			made.append(name)
		return made

	same = visit.trial.once("alike", alike)

	def ask(names: list[str]) -> requests.Response:
		more = {
			"fields": [aggregate("COUNT", "name", "number")],
			"filters": [["Customer", "name", "in", names]],
			"group_by": "tax_id",
		}
		if visit.case == "REST v1":
			return visit.get("/api/resource/Customer", **more)
		where = f"frappe.{visit.case}" if "client" in visit.case else f"frappe.desk.{visit.case}"
		return visit.method(where, doctype="Customer", **more)

	visit.compare(ask([first, second]), ask(same))


SEARCHES = ("search_link", "search_widget", "search_link, ignoring permissions", "filter_fields")


@path("search: searchfield and filter_fields", SEARCHES)
def searchfield(visit):
	for doctype, field in (("Customer", "tax_id"), ("Bank Account", "iban"), ("Employee", "passport_number")):
		name = visit.planted.names[doctype]
		where = "search_link" if visit.case.startswith("search_link") else "search_widget"
		more: dict[str, Any] = {"ignore_user_permissions": 1} if visit.case not in SEARCHES[:2] else {}
		more |= {"filter_fields": [field]} if visit.case == "filter_fields" else {"searchfield": field}
		visit.method(f"frappe.desk.search.{where}", doctype=doctype, txt=name, **more)


@path("oracle: ERPNext's search for employees")
def employee_query(visit):
	stored = frappe.db.get_value("Employee", visit.planted.names["Employee"], "passport_number")
	query = "erpnext.controllers.queries.employee_query"

	def ask(value: str) -> requests.Response:
		return visit.method(
			"frappe.desk.search.search_link",
			doctype="Employee",
			txt=visit.planted.tag,
			query=query,
			filters={"passport_number": ["like", f"{value}%"]},
			searchfield="name",
		)

	def by_text(value: str) -> requests.Response:
		return visit.method(
			"frappe.desk.search.search_link",
			doctype="Employee",
			txt=value,
			query=query,
			searchfield="passport_number",
			filters={},
		)

	visit.guess(ask, stored)
	visit.guess(by_text, stored)


@path("oracle: ERPNext's search for documents to bill")
def billing_queries(visit):
	query, doctype = "erpnext.controllers.queries.get_delivery_notes_to_be_billed", "Delivery Note"
	stored = frappe.db.get_value(doctype, visit.planted.names[doctype], "tax_id")
	visit.guess(
		lambda value: visit.method(
			"frappe.desk.search.search_link",
			doctype=doctype,
			txt="",
			query=query,
			searchfield="name",
			filters={"tax_id": value, "company": visit.planted.company},
		),
		stored,
	)


@path(
	"search fields and title field that an administrator set to it", ("search_link", "guessed"), control=None
)
def search_fields(visit):
	def make() -> bool:
		for doctype, field in (("Bank Account", "iban"), ("Supplier", "tax_id")):
			current = frappe.get_meta(doctype).search_fields or "name"
			visit.planted.customize(doctype, None, "search_fields", f"{current},{field}", "Data")
		frappe.db.commit()
		frappe.clear_cache()
		return True

	visit.trial.once("search fields", make)
	for doctype, field in (("Bank Account", "iban"), ("Supplier", "tax_id")):
		name = visit.planted.names[doctype]
		if visit.case == "search_link":
			visit.method("frappe.desk.search.search_link", doctype=doctype, txt=name)
			visit.method(
				"frappe.desk.search.search_link", doctype=doctype, txt=name, ignore_user_permissions=1
			)
			visit.method(
				"frappe.desk.search.search_link",
				doctype="Supplier",
				txt=name,
				query="erpnext.controllers.queries.supplier_query",
			)
		else:
			stored = frappe.db.get_value(doctype, name, field)

			def search(value: str, doctype=doctype):
				return visit.method("frappe.desk.search.search_link", doctype=doctype, txt=value)

			visit.guess(search, stored)


def _global_search(visit, doctype: str, field: str):
	"""ERPNext puts the branch code of a Bank Account there; an administrator may add any field."""
	from frappe.utils.global_search import rebuild_for_doctype

	planted = visit.planted

	def make() -> bool:
		settings = frappe.get_doc("Global Search Settings")
		row = settings.append("allowed_in_global_search", {"document_type": "Bank Account"})
		row.db_insert()
		planted.made.append(("Global Search DocType", row.name))
		planted.customize("Customer", "tax_id", "in_global_search", "1", "Check")
		frappe.db.commit()
		frappe.clear_cache()
		for doctype in ("Bank Account", "Customer"):
			rebuild_for_doctype(doctype)
		return True

	visit.trial.once("global search", make)

	def ask(text: str) -> requests.Response:
		return visit.method(
			"frappe.utils.global_search.search", text=text, start=0, limit=50, doctype=doctype
		)

	if "shown" in visit.case:
		ask(planted.tag)
	else:
		visit.guess(ask, frappe.db.get_value(doctype, planted.names[doctype], field))


@path("global search, as ERPNext has it", ("shown", "guessed"), control=None)
def global_search(visit):
	_global_search(visit, "Bank Account", "branch_code")


@path("global search of a field that an administrator has added", ("shown", "guessed"), control=None)
def global_search_added(visit):
	_global_search(visit, "Customer", "tax_id")
