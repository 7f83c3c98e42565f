"""What leaves in another form: prints, mails, exports, reports, logs, pages and ERPNext's helpers (FP-02).

Imports nothing of gdpr_consent, so that plain ERPNext can be tried with the same paths.
"""

import json
from typing import Any

import requests
from canaries import CONTROL, GUEST, MANAGER, PORTAL, fields_of
from conftest import V16
from read_trial import DOCTYPES, OWN_SCRIPTS, path

import frappe
from frappe.utils import add_days, today

READ = "{{{{ frappe.db.get_value('{doctype}', doc.name, '{field}') }}}}"
PARTIES = ("Customer", "Supplier", "Bank Account", "Employee", "Sales Invoice", "Contract")


def template_of(doctype: str) -> str:
	return " ".join(f"{{{{ doc.{field} }}}}" for field in fields_of(doctype))


# --- prints -------------------------------------------------------------------------------------------------


NOT_PRINTED = "ERPNext hides the field in prints (print_hide)."


@path(
	"print: the standard format",
	DOCTYPES,
	closed={"Purchase Invoice": NOT_PRINTED, "POS Invoice": NOT_PRINTED},
)
def standard_print(visit):
	name = visit.planted.names[visit.case]
	visit.get("/printview", doctype=visit.case, name=name, format="Standard", trigger_print=0)
	visit.method(
		"frappe.www.printview.get_html_and_style", doc=visit.case, name=name, print_format="Standard"
	)


@path("print: the standard format as PDF", ("Customer", "Bank Account"))
def standard_pdf(visit):
	name = visit.planted.names[visit.case]
	visit.get(
		"/api/method/frappe.utils.print_format.download_pdf", doctype=visit.case, name=name, format="Standard"
	)
	visit.get(
		"/api/method/frappe.utils.print_format.download_multi_pdf",
		doctype=visit.case,
		name=json.dumps([name]),
		format="Standard",
	)


def custom_format(visit, doctype: str, template: str, kind: str = "Jinja", **more: Any) -> str:
	return visit.trial.once(
		f"print format {template} {kind} {doctype}",
		lambda: (
			visit.planted.new(
				"Print Format",
				**{
					"__newname": f"Format {frappe.generate_hash(length=6)}",
					"name": f"Format {frappe.generate_hash(length=6)}",
					"doc_type": doctype,
					"custom_format": 1,
					"standard": "No",
					"print_format_type": kind,
					"html": template,
				}
				| more,
			).name
		),
	)


@path("print: a custom Jinja format with doc.field", PARTIES)
def jinja_print(visit):
	name = visit.planted.names[visit.case]
	format_name = custom_format(visit, visit.case, template_of(visit.case))
	visit.get("/printview", doctype=visit.case, name=name, format=format_name, trigger_print=0)
	visit.method(
		"frappe.www.printview.get_html_and_style", doc=visit.case, name=name, print_format=format_name
	)


@path("print: a custom Jinja format as PDF", ("Customer", "Bank Account"))
def jinja_pdf(visit):
	visit.get(
		"/api/method/frappe.utils.print_format.download_pdf",
		doctype=visit.case,
		name=visit.planted.names[visit.case],
		format=custom_format(visit, visit.case, template_of(visit.case)),
	)


LINKED = {
	"a list": "{{ frappe.get_list('Customer', filters={'name': doc.customer}, pluck='tax_id') }}",
	"as_dict": "{{ doc.as_dict() }}",
	"get, get_formatted": "{{ doc.get('tax_id') }} {{ doc.get_formatted('tax_id') }} {{ doc['tax_id'] }}",
}


@path("print: other ways of a template to the field", LINKED)
def template_ways(visit):
	name = visit.planted.names["Sales Invoice"]
	format_name = custom_format(visit, "Sales Invoice", LINKED[visit.case])
	visit.get("/printview", doctype="Sales Invoice", name=name, format=format_name, trigger_print=0)


QUERIED = {
	"db.get_value": "{{ frappe.db.get_value('Customer', doc.customer, 'tax_id') }}",
	"get_all": "{{ frappe.get_all('Customer', filters={'name': doc.customer}, pluck='tax_id') }}",
	"db.sql": "{{ frappe.db.sql('select tax_id from tabCustomer') }}",
	"get_doc": "{{ frappe.get_doc('Customer', doc.customer).tax_id }}",
}


@path(f"print: {OWN_SCRIPTS}", QUERIED)
def template_queries(visit):
	name = visit.planted.names["Sales Invoice"]
	format_name = custom_format(visit, "Sales Invoice", QUERIED[visit.case])
	visit.get("/printview", doctype="Sales Invoice", name=name, format=format_name, trigger_print=0)


@path("print: raw commands", ("Customer",))
def raw_print(visit):
	format_name = custom_format(
		visit, visit.case, "", raw_printing=1, raw_commands=template_of(visit.case), custom_format=1
	)
	visit.method(
		"frappe.www.printview.get_rendered_raw_commands",
		doc=visit.case,
		name=visit.planted.names[visit.case],
		print_format=format_name,
	)


@path("print: a format of the print format builder", ("Customer", "Bank Account"))
def builder_print(visit):
	data = [
		{
			"fieldname": "print_heading_template",
			"fieldtype": "Custom HTML",
			"options": template_of(visit.case),
		}
	]
	data += [{"fieldtype": "Section Break", "label": ""}, {"fieldtype": "Column Break"}]
	data += [{"fieldname": field, "label": field, "print_hide": 0} for field in fields_of(visit.case)]
	data += [
		{"fieldname": "_custom_html", "fieldtype": "HTML", "options": template_of(visit.case), "label": "x"}
	]
	format_name = custom_format(visit, visit.case, "", custom_format=0, format_data=json.dumps(data))
	name = visit.planted.names[visit.case]
	visit.get("/printview", doctype=visit.case, name=name, format=format_name, trigger_print=0)


MARGINS = ("text_top_left", "text_bottom_right", "header", "footer")


def newer_format(visit, doctype: str) -> str:
	fields = [{"fieldname": field, "fieldtype": "Data", "label": field} for field in fields_of(doctype)]
	layout = {"sections": [{"label": "", "columns": [{"label": "", "fields": fields}]}]}
	layout |= dict.fromkeys(MARGINS, template_of(doctype))
	more = {"print_format_builder_beta": 1, "format_data": json.dumps(layout)}
	return custom_format(visit, doctype, "", custom_format=0, **more)


@path("print: a format of the newer print format builder", ("Customer", "Bank Account"))
def newer_builder_print(visit):
	name, format_name = visit.planted.names[visit.case], newer_format(visit, visit.case)
	visit.get("/printview", doctype=visit.case, name=name, format=format_name, trigger_print=0)
	visit.get("/printpreview", name=name, print_format=format_name)
	visit.get(
		"/api/method/frappe.utils.weasyprint.download_pdf",
		doctype=visit.case,
		name=name,
		print_format=format_name,
	)


def letter_head(visit) -> str:
	return visit.trial.once(
		"letter head",
		lambda: (
			visit.planted.new(
				"Letter Head",
				letter_head_name=f"Head {visit.planted.tag}",
				source="HTML",
				content="{{ doc.tax_id }}",
				footer_source="HTML",
				footer="{{ doc.get('tax_id') }} {{ doc.iban }}",
			).name
		),
	)


@path("print: a letter head", ("Customer", "Bank Account", "Sales Invoice"))
def letter_head_print(visit):
	more = {"letterhead": letter_head(visit), "no_letterhead": 0}
	name = visit.planted.names[visit.case]
	visit.get("/printview", doctype=visit.case, name=name, format="Standard", trigger_print=0, **more)
	visit.method(
		"frappe.www.printview.get_html_and_style", doc=visit.case, name=name, print_format="Standard", **more
	)


@path("print: the document sent along", ("Customer", "Bank Account"))
def print_sent_document(visit):
	"""The desk sends a form that isn't saved yet."""
	document = visit.document(visit.case, visit.planted.names[visit.case])
	for format_name in ("Standard", custom_format(visit, visit.case, template_of(visit.case))):
		visit.method("frappe.www.printview.get_html_and_style", doc=document, print_format=format_name)


@path("print: a link with a share key, as a guest", ("Standard", "Jinja"), readers=(GUEST,))
def share_key(visit):
	doctype = "Customer"
	name = visit.planted.names[doctype]

	def make() -> str:
		key = frappe.get_doc(
			doctype="Document Share Key",
			reference_doctype=doctype,
			reference_docname=name,
			expires_on=add_days(today(), 9),
		).insert(ignore_permissions=True)
		visit.planted.made.append((key.doctype, key.name))
		return key.key

	key = visit.trial.once("share key", make)
	format_name = (
		"Standard" if visit.case == "Standard" else custom_format(visit, doctype, template_of(doctype))
	)
	visit.get(f"/{doctype}/{name}", key=key, format=format_name)
	visit.get("/printview", doctype=doctype, name=name, key=key, format=format_name)


# --- mails --------------------------------------------------------------------------------------------------


def compose(visit, doctype: str, **more: Any) -> requests.Response:
	values = {
		"recipients": visit.user,
		"subject": visit.marker,
		"content": "Hello",
		"doctype": doctype,
		"name": visit.planted.names[doctype],
		"send_email": 1,
	}
	return visit.method("frappe.core.doctype.communication.email.make", **values | more)


@path(
	"mail: the composer, with a print attached",
	[
		f"{kind}, {doctype}"
		for kind in ("standard", "Jinja")
		for doctype in ("Customer", "Bank Account", "Employee")
	],
)
def composed_with_print(visit):
	kind, doctype = visit.case.split(", ")
	format_name = "Standard" if kind == "standard" else custom_format(visit, doctype, template_of(doctype))
	compose(visit, doctype, print_format=format_name, attach_document_print=1)
	yield
	visit.mails()


@path("mail: an Email Template", ("the document sent along", OWN_SCRIPTS))
def email_template(visit):
	doctype = "Customer"
	text = template_of(doctype)
	if visit.case == OWN_SCRIPTS:
		text = "{{ frappe.db.get_value('Customer', name, 'tax_id') }}"

	template = visit.trial.once(
		f"email template {visit.case}",
		lambda: (
			visit.planted.new(
				"Email Template",
				name=f"Template {visit.case} {visit.planted.tag}",
				subject="Hello",
				response=text.replace("doc.", ""),
			).name
		),
	)
	document = visit.document(doctype, visit.planted.names[doctype])
	made = visit.result(
		"frappe.email.doctype.email_template.email_template.get_email_template",
		template_name=template,
		doc=document,
	)
	compose(visit, doctype, content=(made or {}).get("message") or "nothing", email_template=template)
	yield
	visit.mails()


MAILS_OF_OTHERS = ("the timeline", "Communication", "Email Queue")


@path(
	"a mail to somebody with the right, read by others",
	MAILS_OF_OTHERS,
	closed={"Communication": "The copy that is kept is masked for everybody."},
)
def communication_of_another(visit):
	"""A Notification's mail to somebody with the right is in the timeline, where others see it."""
	planted = visit.planted

	def make() -> bool:
		planted.new(
			"Notification",
			name=f"To control {planted.tag}",
			subject="Changed",
			document_type="Supplier",
			event="Save",
			channel="Email",
			message="{{ doc.tax_id }}",
			enabled=1,
			recipients=[{"receiver_by_document_field": None, "cc": planted.users[CONTROL]}],
		)
		frappe.db.commit()
		frappe.clear_cache()
		supplier = frappe.get_doc("Supplier", planted.names["Supplier"])
		supplier.supplier_details = planted.tag
		supplier.save()
		return True

	visit.trial.once("notification to control", make)
	yield
	name = planted.names["Supplier"]
	if visit.case == "the timeline":
		visit.get("/api/method/frappe.desk.form.load.getdoc", doctype="Supplier", name=name)
		visit.method("frappe.desk.form.load.get_communications", doctype="Supplier", name=name)
	else:
		filters = [["reference_name", "=", name]]
		visit.get(f"/api/resource/{visit.case}", filters=filters, fields=["*"])


def notification(visit, doctype: str, **more: Any):
	"""An administrator's Notification to this reader alone."""
	values = {
		"name": f"Notification {visit.marker}",
		"subject": visit.marker,
		"document_type": doctype,
		"event": "Save",
		"channel": "Email",
		"message": f"{visit.marker} {template_of(doctype)}",
		"enabled": 1,
		"recipients": [{"cc": visit.user}],
	}
	made = visit.planted.new("Notification", **values | more)
	frappe.db.commit()
	frappe.clear_cache()
	return made


def save_as(visit, doctype: str, name: str) -> None:
	"""Somebody with the right saves the record, over HTTP."""
	field = {"Customer": "customer_details", "Bank Account": "integration_id", "Employee": "bio"}[doctype]
	visit.trial.sessions[CONTROL].call("PUT", f"/api/resource/{doctype}/{name}", json={field: visit.marker})


@path("Notification by mail to somebody without the right", ("Customer", "Bank Account", "Employee"))
def notification_by_mail(visit):
	name = visit.planted.saved_employee.name if visit.case == "Employee" else visit.planted.names[visit.case]
	made = notification(visit, visit.case)
	save_as(visit, visit.case, name)
	made.db_set("enabled", 0)
	yield
	visit.mails()


@path(
	"Notification by mail: subject, as_json, print attached",
	("subject", "as_dict", "print attached", "Jinja print attached"),
)
def notification_otherwise(visit):
	more: dict[str, Any] = {}
	if visit.case == "subject":
		more = {"subject": f"{visit.marker} {{{{ doc.tax_id }}}}", "message": visit.marker}
	elif visit.case == "as_dict":
		more = {"message": f"{visit.marker} {{{{ doc.as_dict() }}}}"}
	else:
		more = {"message": visit.marker, "attach_print": 1}
		if visit.case.startswith("Jinja"):
			more["print_format"] = custom_format(visit, "Customer", template_of("Customer"))
	made = notification(visit, "Customer", **more)
	save_as(visit, "Customer", visit.planted.names["Customer"])
	made.db_set("enabled", 0)
	yield
	visit.mails()


@path(f"Notification by mail: {OWN_SCRIPTS}")
def notification_with_query(visit):
	query = "{{ frappe.db.get_value('Customer', doc.name, 'tax_id') }}"
	made = notification(visit, "Customer", message=f"{visit.marker} {query}")
	save_as(visit, "Customer", visit.planted.names["Customer"])
	made.db_set("enabled", 0)
	yield
	visit.mails()


@path("Notification in the system", ("Customer", "Bank Account"))
def system_notification(visit):
	made = notification(
		visit, visit.case, channel="System Notification", subject=f"Hi {template_of(visit.case)}"
	)
	save_as(visit, visit.case, visit.planted.names[visit.case])
	made.db_set("enabled", 0)
	yield
	visit.method("frappe.desk.doctype.notification_log.notification_log.get_notification_logs", limit=50)
	visit.get("/api/resource/Notification Log", fields=["*"], limit_page_length=50)


@path("an Assignment Rule's task, its mail and its notification")
def assignment_rule(visit):
	planted = visit.planted
	customer = planted.new("Customer", customer_name=f"Assigned {visit.marker}", customer_type="Company").name
	planted.plant("Customer", customer)
	days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
	rule = planted.new(
		"Assignment Rule",
		name=f"Rule {visit.marker}",
		document_type="Customer",
		priority=0,
		description=f"{visit.marker} {{{{ tax_id }}}}",
		assign_condition=f"name == '{customer}'",
		rule="Round Robin",
		users=[{"user": visit.user}],
		assignment_days=[{"day": day} for day in days],
	)
	frappe.db.commit()
	frappe.clear_cache()
	save_as(visit, "Customer", customer)
	rule.db_set("disabled", 1)
	frappe.db.commit()
	frappe.clear_cache()
	yield
	visit.mails()
	fields = ["name", "description"]
	visit.get("/api/resource/ToDo", filters=[["assignment_rule", "=", rule.name]], fields=fields)
	visit.method("frappe.desk.doctype.notification_log.notification_log.get_notification_logs", limit=50)


@path(
	"Auto Email Report, by somebody else's permissions",
	[
		f"{kind}, {form}"
		for kind in ("Sales Register", "query", "builder")
		for form in ("HTML", "CSV", "XLSX")
	],
)
def auto_email_report(visit):
	kind, form = visit.case.split(", ")
	report = {"Sales Register": "Sales Register"}.get(kind) or (
		query_report(visit) if kind == "query" else builder_report(visit)
	)
	filters = {
		"from_date": add_days(today(), -9),
		"to_date": add_days(today(), 9),
		"company": visit.planted.company,
	}
	made = visit.planted.new(
		"Auto Email Report",
		report=report,
		user=visit.planted.users[CONTROL],
		email_to=visit.user,
		format=form,
		enabled=1,
		filters=json.dumps(filters if kind == "Sales Register" else {}),
		frequency="Daily",
		no_of_rows=100,
		description=visit.marker,
		send_if_data=0,
	)
	frappe.db.commit()
	visit.trial.sessions[CONTROL].call(
		"POST",
		"/api/method/frappe.email.doctype.auto_email_report.auto_email_report.send_now",
		data={"name": made.name},
	)
	visit.method("frappe.email.doctype.auto_email_report.auto_email_report.download", name=made.name)
	made.db_set("enabled", 0)  # a user may have twenty
	yield
	visit.mails()


@path("Auto Repeat: preview of the mail", ("Sales Invoice",))
def auto_repeat_preview(visit):
	planted = visit.planted

	def make() -> str:
		planted.customize("Sales Invoice", None, "allow_auto_repeat", "1", "Check")
		frappe.clear_cache()
		return planted.new(
			"Auto Repeat",
			reference_doctype="Sales Invoice",
			reference_document=planted.invoice.name,
			start_date=add_days(today(), 30),
			frequency="Monthly",
			notify_by_email=1,
			recipients="x@canary.example",
			subject="{{ doc.tax_id }}",
			message="{{ doc.tax_id }}",
		).name

	name = visit.trial.once("auto repeat", make)
	visit.method("frappe.automation.doctype.auto_repeat.auto_repeat.generate_message_preview", name=name)


def _webhook_to_preview(visit) -> str:
	planted = visit.planted
	return visit.trial.once(
		"webhook to preview",
		lambda: (
			planted.new(
				"Webhook",
				name=f"Preview {planted.tag}",
				webhook_doctype="Customer",
				webhook_docevent="on_update",
				request_url=f"{visit.trial.sink.url}/preview",
				request_structure="JSON",
				enabled=0,
				webhook_json='{"innocent": "{{ doc.tax_id }}"}',
			).name
		),
	)


@path("preview of a Webhook's request body", readers=(MANAGER,))
def webhook_preview(visit):
	name = _webhook_to_preview(visit)
	shown = {"preview_document": visit.planted.names["Customer"]}
	if V16:
		doc = visit.document("Webhook", name)
		visit.method("run_doc_method", docs=doc, method="preview_request_body", args=shown)
		visit.call("POST", f"/api/v2/document/Webhook/{name}/method/preview_request_body", json=shown)
		path_v1 = f"/api/resource/Webhook/{name}"
		visit.call("POST", path_v1, params={"run_method": "preview_request_body"}, json=shown)
	else:
		doc = visit.document("Webhook", name) | shown
		visit.method("run_doc_method", docs=doc, method="generate_preview")


@path("oracle: a Webhook's condition", readers=(MANAGER,))
def webhook_condition(visit):
	planted = visit.planted
	stored = frappe.db.get_value("Customer", planted.names["Customer"], "tax_id")
	sent = visit.document("Webhook", _webhook_to_preview(visit))
	shown = {"preview_document": planted.names["Customer"]}

	def ask(value: str) -> requests.Response:
		doc = sent | {"condition": f"doc.tax_id == '{value}'"}
		if V16:
			return visit.method("run_doc_method", docs=doc, method="preview_meets_condition", args=shown)
		return visit.method("run_doc_method", docs=doc | shown, method="generate_preview")

	visit.guess(ask, stored)


@path("Webhook", ("form fields", "JSON"), readers=(MANAGER,), control=None)
def webhook(visit):
	"""To another machine: nobody there has the right. Its log and its job are seen by a System Manager."""
	planted = visit.planted
	more: dict[str, Any] = {"request_structure": "JSON", "webhook_json": '{"tax_id": "{{ doc.tax_id }}"}'}
	if visit.case == "form fields":
		more = {
			"request_structure": "Form URL-Encoded",
			"webhook_data": [{"fieldname": "tax_id", "key": "tax_id"}],
		}
	hook = planted.new(
		"Webhook",
		name=f"Webhook {visit.marker}",
		webhook_doctype="Customer",
		webhook_docevent="on_update",
		request_url=f"{visit.trial.sink.url}/{visit.marker}",
		enabled=1,
		**more,
	)
	frappe.db.commit()
	frappe.cache.delete_value("webhooks")
	save_as(visit, "Customer", planted.names["Customer"])
	hook.db_set("enabled", 0)
	frappe.db.commit()
	frappe.cache.delete_value("webhooks")
	yield
	visit.show(*visit.trial.sink.got.get(visit.marker, []))


@path("logs for a System Manager: Webhook Request Log", readers=(MANAGER,), control=None)
def webhook_logs(visit):
	yield
	yield  # after the webhooks
	visit.get("/api/resource/Webhook Request Log", fields=["*"], limit_page_length=50)


@path(
	"logs for a System Manager",
	("Version", "Deleted Document"),
	readers=(MANAGER,),
)
def logs(visit):
	planted = visit.planted

	def make() -> bool:
		extra = frappe.get_doc(
			doctype="Customer", customer_name=f"Gone {planted.tag}", customer_type="Company"
		)
		extra.insert(ignore_permissions=True)
		frappe.db.set_value("Customer", extra.name, "tax_id", planted.canaries.new("Customer", "tax_id"))
		frappe.delete_doc("Customer", extra.name)
		planted.made.append(
			("Deleted Document", frappe.db.get_value("Deleted Document", {"deleted_name": extra.name}))
		)
		return True

	visit.trial.once("logs", make)
	for fields in (["*"],):
		visit.get(
			f"/api/resource/{visit.case}", fields=fields, limit_page_length=200, order_by="creation desc"
		)
	visit.method(
		"frappe.desk.reportview.get",
		doctype=visit.case,
		fields=["*"],
		page_length=200,
		start=0,
		order_by="creation desc",
	)
	if visit.case in ("Version", "Deleted Document"):
		frappe.db.rollback()
		filters = (
			{"docname": planted.names["Customer"]}
			if visit.case == "Version"
			else {"deleted_name": ["like", f"%{planted.tag}%"]}
		)
		for name in frappe.get_all(visit.case, filters, pluck="name", limit=5):
			visit.get(f"/api/resource/{visit.case}/{name}")
			visit.get("/api/method/frappe.desk.form.load.getdoc", doctype=visit.case, name=name)


@path("a deleted document, restored", readers=(MANAGER,))
def restored(visit):
	planted = visit.planted
	extra = frappe.get_doc(doctype="Customer", customer_name=f"Back {visit.marker}", customer_type="Company")
	extra.insert(ignore_permissions=True)
	frappe.db.set_value("Customer", extra.name, "tax_id", planted.canaries.new("Customer", "tax_id"))
	frappe.delete_doc("Customer", extra.name)
	name = frappe.db.get_value("Deleted Document", {"deleted_name": extra.name})
	planted.made += [("Deleted Document", name), ("Customer", extra.name)]
	frappe.db.commit()
	visit.method("frappe.core.doctype.deleted_document.deleted_document.restore", name=name)
	visit.get(f"/api/resource/Customer/{extra.name}")


@path("Milestone of a tracked field", ("timeline", "list"), control=None)
def milestones(visit):
	planted = visit.planted

	def make() -> bool:
		frappe.db.delete("Milestone Tracker", {"document_type": "Supplier"})
		planted.new("Milestone Tracker", document_type="Supplier", track_field="tax_id")
		frappe.db.commit()
		frappe.clear_cache()
		supplier = frappe.get_doc("Supplier", planted.names["Supplier"])
		supplier.tax_id = planted.canaries.new("Supplier", "tax_id")
		supplier.save()
		name = frappe.db.get_value("Milestone", {"reference_name": supplier.name})
		planted.made.append(("Milestone", name))
		return True

	visit.trial.once("milestones", make)
	if visit.case == "timeline":
		visit.method("frappe.desk.form.load.get_docinfo", doctype="Supplier", name=planted.names["Supplier"])
	else:
		visit.get("/api/resource/Milestone", fields=["*"])


# --- exports and reports ------------------------------------------------------------------------------------


@path(
	"Data Import template with records",
	[f"{doctype}, {kind}" for doctype in DOCTYPES for kind in ("CSV", "Excel")],
)
def import_template(visit):
	"""Two protected fields beside each other: core's filter leaves out every second one."""
	doctype, kind = visit.case.split(", ")
	visit.method(
		"frappe.core.doctype.data_import.data_import.download_template",
		doctype=doctype,
		export_fields={doctype: ["name", *fields_of(doctype)]},
		export_records="by_filter",
		export_filters=[[doctype, "name", "=", visit.planted.names[doctype]]],
		file_type=kind,
	)


@path("Data Export", [f"{doctype}, {kind}" for doctype in DOCTYPES for kind in ("CSV", "Excel")])
def data_export(visit):
	doctype, kind = visit.case.split(", ")
	visit.method(
		"frappe.core.doctype.data_export.exporter.export_data",
		doctype=doctype,
		all_doctypes="false",
		with_data="true",
		select_columns={doctype: ["name", "owner", *fields_of(doctype)]},
		filters={"name": visit.planted.names[doctype]},
		file_type=kind,
		export_without_column_meta="true",
	)


def query_report(visit, **more: Any) -> str:
	sql = f"select name, tax_id from tabCustomer where name = '{visit.planted.names['Customer']}'"
	return visit.trial.once(
		f"query report {more}",
		lambda: (
			visit.planted.new(
				"Report",
				**{
					"report_name": f"Query {frappe.generate_hash(length=6)}",
					"ref_doctype": "Customer",
					"report_type": "Query Report",
					"is_standard": "No",
					"query": sql,
					"roles": [{"role": role} for role in ("Sales User", "System Manager", "Accounts User")],
				}
				| more,
			).name
		),
	)


def script_report(visit) -> str:
	"""A report that holds its columns and its query itself, as an administrator makes one in the desk."""
	return visit.trial.once(
		"report with columns",
		lambda: (
			visit.planted.new(
				"Report",
				report_name=f"Columns {visit.planted.tag}",
				ref_doctype="Sales Invoice",
				report_type="Query Report",
				is_standard="No",
				query=f"""
					select si.name, c.tax_id as vat
					from `tabSales Invoice` si join tabCustomer c on c.name = si.customer
					where si.name = '{visit.planted.invoice.name}'
				""",
				columns=[
					{"fieldname": "name", "label": "Invoice", "fieldtype": "Data"},
					{"fieldname": "vat", "label": "VAT", "fieldtype": "Data"},
				],
				roles=[{"role": role} for role in ("Sales User", "System Manager", "Accounts User")],
			).name
		),
	)


def builder_report(visit) -> str:
	return visit.trial.once(
		"builder report",
		lambda: (
			visit.planted.new(
				"Report",
				report_name=f"Builder {visit.planted.tag}",
				ref_doctype="Customer",
				report_type="Report Builder",
				is_standard="No",
				json=json.dumps(
					{
						"fields": [["name", "Customer"], ["tax_id", "Customer"]],
						"filters": [["Customer", "name", "=", visit.planted.names["Customer"]]],
						"sort_by": "Customer.modified",
						"sort_order": "desc",
					}
				),
				roles=[{"role": role} for role in ("Sales User", "System Manager")],
			).name
		),
	)


def report_filters(visit, report: str) -> dict[str, Any]:
	span = {
		"from_date": add_days(today(), -9),
		"to_date": add_days(today(), 9),
		"company": visit.planted.company,
	}
	return span if report in ("Sales Register", "Purchase Register", "General Ledger") else {}


REPORTS = (
	"Sales Register",
	"Purchase Register",
	"a query report",
	"a query report with columns of another name",
)


def report_named(visit, case: str) -> str:
	if case == "a query report":
		return query_report(visit)
	return script_report(visit) if case.startswith("a query report with") else case


@path("report", REPORTS)
def report_run(visit):
	report = report_named(visit, visit.case)
	visit.method("frappe.desk.query_report.run", report_name=report, filters=report_filters(visit, report))
	visit.get(
		"/api/method/frappe.desk.query_report.run", report_name=report, filters=report_filters(visit, report)
	)


@path("report: as the user with the right", REPORTS)
def report_as_another(visit):
	"""`run` takes a user from the request."""
	report = report_named(visit, visit.case)
	visit.method(
		"frappe.desk.query_report.run",
		report_name=report,
		filters=report_filters(visit, report),
		user=visit.planted.users[CONTROL],
	)


@path("report: export", [f"{report}, {kind}" for report in REPORTS for kind in ("CSV", "Excel")])
def report_export(visit):
	name, kind = visit.case.split(", ")
	report = report_named(visit, name)
	answer = visit.result(
		"frappe.desk.query_report.run", report_name=report, filters=report_filters(visit, report)
	)
	rows = len((answer or {}).get("result") or []) or 9
	before = len(visit.seen)
	del visit.seen[:before]
	visit.method(
		"frappe.desk.query_report.export_query",
		report_name=report,
		filters=report_filters(visit, report),
		file_format_type=kind,
		visible_idx=[*range(rows)],
		include_indentation=0,
		custom_columns=[],
	)


@path("report: export in the background", ("a query report",))
def report_export_in_background(visit):
	report = query_report(visit)
	visit.method(
		"frappe.desk.query_report.export_query",
		report_name=report,
		filters={},
		file_format_type="CSV",
		visible_idx=[0],
		include_indentation=0,
		custom_columns=[],
		export_in_background=1,
	)
	yield
	frappe.db.rollback()
	for file in frappe.get_all("File", {"owner": visit.user, "attached_to_name": report}, ["file_url"]):
		visit.get(file.file_url)


@path(
	"report: a column added to it",
	("General Ledger, now", "General Ledger, saved", "get_data_for_custom_field"),
)
def report_custom_columns(visit):
	column = {
		"fieldname": "tax_id",
		"label": "Tax ID",
		"fieldtype": "Data",
		"doctype": "Customer",
		"width": 100,
		"link_field": {"fieldname": "party", "names": {}},
		"insert_after_index": 1,
		"custom": True,
	}
	filters = report_filters(visit, "General Ledger") | {
		"party_type": "Customer",
		"party": [visit.planted.names["Customer"]],
		"group_by": "Group by Voucher (Consolidated)",
	}
	if visit.case == "get_data_for_custom_field":
		visit.method(
			"frappe.desk.query_report.get_data_for_custom_field",
			doctype="Customer",
			field="tax_id",
			names=[visit.planted.names["Customer"]],
		)
	else:
		report = visit.trial.once(
			"custom report",
			lambda: (
				visit.planted.new(
					"Report",
					report_name=f"Ledger {visit.planted.tag}",
					ref_doctype="GL Entry",
					report_type="Custom Report",
					is_standard="No",
					reference_report="General Ledger",
					json=json.dumps(
						{
							"columns": [
								{"fieldname": "party", "label": "Party", "fieldtype": "Data"},
								column,
							],
							"filters": filters,
						}
					),
					roles=[{"role": "Accounts User"}, {"role": "System Manager"}],
				).name
			),
		)
		visit.method("frappe.desk.query_report.run", report_name=report, filters=filters)


def prepared(visit) -> tuple[str, str]:
	"""A prepared report that somebody with the right has run."""
	report = query_report(visit, prepared_report=1)

	def make() -> str:
		answer = visit.trial.sessions[CONTROL].call(
			"POST",
			"/api/method/frappe.core.doctype.prepared_report.prepared_report.make_prepared_report",
			data={"report_name": report, "filters": "{}"},
		)
		name = answer.json()["message"]["name"]
		visit.planted.made.append(("Prepared Report", name))
		return name

	return report, visit.trial.once("prepared report", make)


@path(
	"prepared report of somebody with the right",
	("run", "run by name", "download_attachment", "the file", "the record", "CSV"),
)
def prepared_report(visit):
	report, name = prepared(visit)
	yield
	frappe.db.rollback()
	if visit.case == "run":
		visit.method("frappe.desk.query_report.run", report_name=report, filters={})
	elif visit.case == "run by name":
		visit.method(
			"frappe.desk.query_report.run", report_name=report, filters={"prepared_report_name": name}
		)
	elif visit.case == "download_attachment":
		visit.method("frappe.core.doctype.prepared_report.prepared_report.download_attachment", dn=name)
	elif visit.case == "the file":
		for file in frappe.get_all("File", {"attached_to_name": name}, ["name", "file_url"]):
			visit.get(file.file_url)
			visit.method("frappe.core.doctype.file.file.download_file", file_url=file.file_url)
	elif visit.case == "the record":
		visit.get(f"/api/resource/Prepared Report/{name}")
		visit.get("/api/method/frappe.desk.form.load.getdoc", doctype="Prepared Report", name=name)
		for file in frappe.get_all("File", {"attached_to_name": name}, ["name"]):
			visit.get("/api/method/frappe.desk.form.load.getdoc", doctype="File", name=file.name)
			visit.get("/api/method/frappe.client.get", doctype="File", name=file.name)
		visit.show()
		for file in frappe.get_all("File", {"attached_to_name": name}, ["file_url"]):
			visit.get(file.file_url)
	else:
		visit.method(
			"frappe.core.doctype.prepared_report.prepared_report.enqueue_json_to_csv_conversion",
			prepared_report_name=name,
		)
		yield
		frappe.db.rollback()
		for file in frappe.get_all(
			"File", {"attached_to_name": name, "file_name": ["like", "%.csv%"]}, ["file_url"]
		):
			visit.get(file.file_url)


# --- charts, cards and boards -------------------------------------------------------------------------------


@path("dashboard chart grouped by the field", ("Customer", "Bank Account", "Employee"))
def chart_grouped(visit):
	field = {"Bank Account": "iban", "Employee": "passport_number"}.get(visit.case, "tax_id")
	chart = visit.trial.once(
		f"grouped chart {visit.case}",
		lambda: (
			visit.planted.new(
				"Dashboard Chart",
				chart_name=f"Grouped {visit.case} {visit.planted.tag}",
				chart_type="Group By",
				document_type=visit.case,
				group_by_type="Count",
				group_by_based_on=field,
				type="Bar",
				number_of_groups=0,
				is_public=1,
				filters_json="[]",
			).name
		),
	)
	visit.method("frappe.desk.doctype.dashboard_chart.dashboard_chart.get", chart_name=chart, refresh=1)
	visit.method(
		"frappe.desk.doctype.dashboard_chart.dashboard_chart.get", chart_name=chart
	)  # from the cache


@path("dashboard chart grouped by the field, cached for somebody with the right", ("Customer",))
def chart_cached(visit):
	chart = visit.trial.once(
		"cached chart",
		lambda: (
			visit.planted.new(
				"Dashboard Chart",
				chart_name=f"Cached {visit.planted.tag}",
				chart_type="Group By",
				document_type=visit.case,
				group_by_type="Count",
				group_by_based_on="tax_id",
				type="Bar",
				number_of_groups=0,
				is_public=1,
				filters_json="[]",
			).name
		),
	)
	where = "/api/method/frappe.desk.doctype.dashboard_chart.dashboard_chart.get"
	visit.trial.sessions[CONTROL].call("POST", where, data={"chart_name": chart, "refresh": 1})
	visit.method("frappe.desk.doctype.dashboard_chart.dashboard_chart.get", chart_name=chart)


@path("number card: an aggregate of the field", ("Maximum", "Minimum", "Sum"))
def number_card(visit):
	visit.method(
		"frappe.desk.doctype.number_card.number_card.get_result",
		doc={
			"doctype": "Number Card",
			"document_type": "Bank Account",
			"function": visit.case,
			"aggregate_function_based_on": "bank_account_no",
		},
		filters=[["Bank Account", "name", "=", visit.planted.names["Bank Account"]]],
	)


@path("Kanban board of the field", ("the cards",))
def kanban(visit):
	planted = visit.planted
	board = visit.trial.once(
		"kanban",
		lambda: (
			planted.new(
				"Kanban Board",
				kanban_board_name=f"Board {planted.tag}",
				reference_doctype="Employee",
				field_name="blood_group",
				fields=json.dumps(["passport_number", "blood_group"]),
				show_labels=1,
				columns=[
					{"column_name": planted.canaries.value("Employee", "blood_group"), "status": "Active"}
				],
			).name
		),
	)
	visit.method(
		"frappe.desk.reportview.get",
		doctype="Employee",
		fields=["name", "`tabEmployee`.`blood_group`", "`tabEmployee`.`passport_number`"],
		filters=[["Employee", "name", "=", planted.names["Employee"]]],
	)
	del board


# --- pages for website users --------------------------------------------------------------------------------


PORTAL_LISTS = {
	"Sales Order": "/orders",
	"Sales Invoice": "/invoices",
	"Delivery Note": "/shipments",
	"Purchase Invoice": "/purchase-invoices",
}


@path("portal: frappe.www.list.get", PORTAL_LISTS, readers=(PORTAL, *("staff", MANAGER)))
def portal_list(visit):
	visit.method("frappe.www.list.get", doctype=visit.case, pathname=PORTAL_LISTS[visit.case].strip("/"))
	visit.get("/api/method/frappe.www.list.get", doctype=visit.case)
	visit.get("/api/method/frappe.www.list.get_list_data", doctype=visit.case)


@path(
	"portal: prints",
	[
		f"{doctype}, {kind}"
		for doctype in ("Sales Invoice", "Sales Order", "Delivery Note")
		for kind in ("Standard", "Jinja")
	],
	readers=(PORTAL,),
)
def portal_prints(visit):
	doctype, kind = visit.case.split(", ")
	format_name = "Standard" if kind == "Standard" else custom_format(visit, doctype, template_of(doctype))
	visit.get("/printview", doctype=doctype, name=visit.planted.names[doctype], format=format_name)
	visit.get(
		"/api/method/frappe.utils.print_format.download_pdf",
		doctype=doctype,
		name=visit.planted.names[doctype],
		format=format_name,
	)


@path(
	"portal: a guess by the filters of a list",
	("Sales Order", "Sales Invoice"),
	readers=(PORTAL, *("staff", MANAGER)),
)
def portal_oracle(visit):
	stored = frappe.db.get_value(visit.case, visit.planted.names[visit.case], "tax_id")
	for method in ("get", "get_list_data"):  # v16 has the second alone

		def ask(value: str, method=method) -> requests.Response:
			return visit.get(f"/api/method/frappe.www.list.{method}", doctype=visit.case, tax_id=value)

		visit.guess(ask, stored)


@path("web form over the field", ("the list", "the document"))
def web_form(visit):
	planted = visit.planted
	form = visit.trial.once(
		"web form",
		lambda: (
			planted.new(
				"Web Form",
				title=f"Form {planted.tag}",
				route=f"form-{planted.tag}",
				doc_type="Customer",
				published=1,
				login_required=1,
				apply_document_permissions=1,
				allow_edit=1,
				allow_multiple=1,
				show_list=1,
				is_standard=0,
				module="Selling",
				web_form_fields=[
					{"fieldname": field, "fieldtype": "Data", "label": field}
					for field in ("customer_name", "tax_id")
				],
				list_columns=[{"fieldname": "tax_id", "fieldtype": "Data", "label": "Tax ID"}],
			).name
		),
	)
	name = planted.names["Customer"]
	if visit.case == "the document":
		visit.method(
			"frappe.website.doctype.web_form.web_form.get_form_data",
			doctype="Customer",
			docname=name,
			web_form_name=form,
		)
		visit.get(f"/form-{planted.tag}/{name}")
	else:
		visit.method(
			"frappe.www.list.get_list_data",
			doctype="Customer",
			web_form_name=form,
			name=name,
		)
		visit.method("frappe.www.list.get", doctype="Customer", web_form_name=form, limit=50)


# --- ERPNext ------------------------------------------------------------------------------------------------


MAPPED = {
	"Sales Order to Sales Invoice": (
		"erpnext.selling.doctype.sales_order.sales_order.make_sales_invoice",
		"Sales Order",
	),
	"Sales Order to Delivery Note": (
		"erpnext.selling.doctype.sales_order.sales_order.make_delivery_note",
		"Sales Order",
	),
	"Sales Invoice to Delivery Note": (
		"erpnext.accounts.doctype.sales_invoice.sales_invoice.make_delivery_note",
		"Sales Invoice",
	),
	"Delivery Note to Sales Invoice": (
		"erpnext.stock.doctype.delivery_note.delivery_note.make_sales_invoice",
		"Delivery Note",
	),
	"Sales Invoice to its return": (
		"erpnext.accounts.doctype.sales_invoice.sales_invoice.make_sales_return",
		"Sales Invoice",
	),
	"Purchase Invoice to its return": (
		"erpnext.accounts.doctype.purchase_invoice.purchase_invoice.make_debit_note",
		"Purchase Invoice",
	),
	"Delivery Note to its return": (
		"erpnext.stock.doctype.delivery_note.delivery_note.make_sales_return",
		"Delivery Note",
	),
}


@path("make_mapped_doc", MAPPED)
def mapped(visit):
	method, source = MAPPED[visit.case]
	name = visit.planted.names[source]
	visit.method("frappe.model.mapper.make_mapped_doc", method=method, source_name=name)
	visit.method(
		"frappe.model.mapper.map_docs",
		method=method,
		source_names=[name],
		target_doc={"doctype": visit.case.split(" to ")[-1]},
	)
	visit.method(method, source_name=name)


HELPERS = {
	"get_bank_account_details": lambda visit: visit.method(
		"erpnext.accounts.doctype.bank_account.bank_account.get_bank_account_details",
		bank_account=visit.planted.names["Bank Account"],
	),
	"POS closing": lambda visit: visit.method(
		"erpnext.accounts.doctype.pos_closing_entry.pos_closing_entry.get_pos_invoices",
		start="2020-01-01 00:00:00",
		end="2100-01-01 00:00:00",
		pos_profile=visit.planted.tag,
		user="Administrator",
	),
	f"Terms and Conditions: {OWN_SCRIPTS}": lambda visit: visit.method(
		"erpnext.setup.doctype.terms_and_conditions.terms_and_conditions.get_terms_and_conditions",
		template_name=_terms(visit),
		doc=visit.document("Sales Invoice", visit.planted.draft.name),
	),
	f"Contract Template: {OWN_SCRIPTS}": lambda visit: visit.method(
		"erpnext.crm.doctype.contract_template.contract_template.get_contract_template",
		template_name=_contract_template(visit),
		doc={"doctype": "Contract", "name": visit.planted.names["Contract"]},
	),
}


def _terms(visit) -> str:
	return visit.trial.once(
		"terms",
		lambda: (
			visit.planted.new(
				"Terms and Conditions",
				title=f"Terms {visit.planted.tag}",
				selling=1,
				terms="{{ tax_id }} {{ frappe.get_doc('Customer', customer).tax_id }}",
			).name
		),
	)


def _contract_template(visit) -> str:
	return visit.trial.once(
		"contract template",
		lambda: (
			visit.planted.new(
				"Contract Template",
				title=f"Template {visit.planted.tag}",
				contract_terms="{{ frappe.get_doc('Contract', name).contract_terms }}",
			).name
		),
	)


if V16:
	del HELPERS["POS closing"]  # which reads no protected field there


@path("ERPNext's helpers", HELPERS)
def helpers(visit):
	HELPERS[visit.case](visit)
