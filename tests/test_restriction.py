"""DS-20, Art. 18(2): who is restricted is stored, in no report, and nothing new is begun with them."""

import json

import pytest
from conftest import BulkUpdates, run_worker

import frappe
from frappe.core.doctype.prepared_report.prepared_report import make_prepared_report
from frappe.desk import query_report
from frappe.utils.password import update_password

from gdpr_consent.exceptions import ProcessingRestricted
from gdpr_consent.rights.restriction import FIELD

SALES = ("Sales Manager", "Sales User", "Sales Master Manager", "Report Manager")


@pytest.fixture
def leads(bulk: BulkUpdates) -> tuple[str, str]:
	"""Two Leads; the processing of the second is restricted."""
	free, restricted = bulk.lead(bulk.mailbox()), bulk.lead(bulk.mailbox())
	frappe.db.set_value("Lead", restricted, FIELD, 1)
	frappe.db.commit()
	return free, restricted


def lead_details(*names: str) -> tuple[set[str], str | None]:
	company = frappe.get_all("Company", pluck="name")[0]
	frappe.db.set_value("Lead", {"name": ["in", names]}, "company", company)
	filters = {"company": company, "from_date": frappe.utils.nowdate(), "to_date": frappe.utils.nowdate()}
	shown = query_report.run("Lead Details", filters, ignore_prepared_report=True)
	rows = {row["name"] for row in shown["result"] if isinstance(row, dict)}
	return rows & {*names}, shown["message"]


def test_ds_20_reports_of_erpnext_leave_them_out_and_say_so(leads, user_with_roles):
	user_with_roles(*SALES)
	free, restricted = leads
	shown, message = lead_details(free, restricted)
	assert shown == {free}
	assert "people whose processing is restricted are left out" in message


def test_ds_20_a_privacy_officer_sees_everybody_in_reports(leads, user_with_roles):
	user_with_roles(*SALES, "Privacy Officer")
	shown, message = lead_details(*leads)
	assert shown == {*leads}
	assert not message


def test_ds_20_a_prepared_report_leaves_them_out_whoever_had_it_made(leads, bulk):
	free, restricted = leads
	company = frappe.get_all("Company", pluck="name")[0]
	frappe.db.set_value("Lead", {"name": ["in", leads]}, "company", company)
	officer = bulk.user(*SALES, "Privacy Officer")
	frappe.set_user(officer)
	filters = {"company": company, "from_date": frappe.utils.nowdate(), "to_date": frappe.utils.nowdate()}
	name = make_prepared_report("Lead Details", json.dumps(filters))["name"]
	frappe.set_user("Administrator")
	run_worker()
	made = frappe.get_doc("Prepared Report", name)
	held = made.get_prepared_data().decode()
	made.delete()
	frappe.db.commit()
	assert made.status == "Completed" and free in held and restricted not in held


def test_ds_20_a_report_that_names_people_by_a_dynamic_link_leaves_them_out(leads, bulk, user_with_roles):
	free, restricted = leads
	made = [bulk.opportunity("Lead", lead) for lead in leads]
	query = (
		"select opportunity_from as 'From:Data:100', party_name as 'Party:Dynamic Link/from:100', "
		"name as 'Opportunity:Link/Opportunity:100' from tabOpportunity where name in (%(first)s, %(second)s)"
	)
	report = frappe.new_doc("Report", report_name=frappe.generate_hash(), ref_doctype="Opportunity")
	report.update({"report_type": "Query Report", "is_standard": "No", "query": query})
	report.append("roles", {"role": "Sales Manager"})
	report.insert()
	user_with_roles(*SALES)
	filters = {"first": made[0], "second": made[1]}
	shown = query_report.run(report.name, filters, ignore_prepared_report=True)
	assert made[0] in json.dumps(shown["result"]) and made[1] not in json.dumps(shown["result"])
	assert free in json.dumps(shown["result"]) and restricted not in json.dumps(shown["result"])


def test_ds_20_the_books_keep_them(bulk, user_with_roles):
	"""Tax and commercial law asks for whole ones."""
	customer = bulk.customer()
	frappe.db.set_value("Customer", customer, FIELD, 1)
	report = frappe.get_doc("Report", "Customer Ledger Summary")
	user_with_roles(*SALES)
	rows = [{"party": customer}]
	columns = [{"fieldname": "party", "fieldtype": "Link", "options": "Customer"}]
	assert report.without_restricted([columns, rows])[1] == rows
	report.module = "Selling"
	assert report.without_restricted([columns, rows])[1] == []


@pytest.fixture
def staff(bulk: BulkUpdates, web) -> dict[str, str]:
	"""The cookies of somebody in sales."""
	user = bulk.user(*SALES)
	update_password(user, "admin")
	frappe.db.commit()
	return web.login(user)


def names_over_http(
	web, cookies: dict[str, str], leads: tuple[str, str], command: str, api: str = "/api/method", **more
) -> str:
	form = {
		"doctype": "Lead",
		"fields": json.dumps(["`tabLead`.`name`"]),
		"filters": json.dumps([["Lead", "name", "in", leads]]),
	}
	answer = web.call("GET", f"{api}/frappe.desk.reportview.{command}", params=form | more, cookies=cookies)
	assert answer.status_code == 200, answer.text
	return answer.text


def test_ds_20_they_are_in_no_report_view_and_in_no_file_but_marked_in_the_list(leads, staff, web):
	"""Who isn't in the list would be recorded anew."""
	free, restricted = leads
	in_list = names_over_http(web, staff, leads, "get", view="List")
	assert free in in_list and restricted in in_list
	in_report = names_over_http(web, staff, leads, "get", view="Report")
	assert free in in_report and restricted not in in_report
	for api in ("/api/method", "/api/v2/method"):
		asked = {"file_format_type": "CSV", "title": "Leads", "api": api}
		in_file = names_over_http(web, staff, leads, "export_query", **asked)
		assert free in in_file and restricted not in in_file, api
	template = {
		"doctype": "Lead",
		"export_fields": json.dumps({"Lead": ["name"]}),
		"export_records": "all",
		"file_type": "CSV",
	}
	answer = web.call("GET", "/api/v2/method/Data Import/download_template", params=template, cookies=staff)
	assert free in answer.text and restricted not in answer.text


def test_ds_20_a_saved_report_of_the_report_builder_leaves_them_out(leads, user_with_roles):
	free, _restricted = leads
	report = frappe.new_doc("Report", report_name=frappe.generate_hash(), ref_doctype="Lead")
	report.update({"report_type": "Report Builder", "is_standard": "No"})
	report.json = json.dumps({"fields": [["name", "Lead"]], "filters": [["Lead", "name", "in", [*leads]]]})
	report.insert()
	user = user_with_roles(*SALES)
	_columns, rows = report.get_data(user=user)
	assert [row[0] for row in rows] == [free]


def new_opportunity(party: str, **more) -> None:
	company = frappe.get_all("Company", pluck="name")[0]
	values = {"opportunity_from": "Lead", "party_name": party, "company": company}
	frappe.new_doc("Opportunity", **values | more).insert(ignore_permissions=True)


def test_ds_20_staff_begin_nothing_new_with_them(leads, contact, customer, user_with_roles):
	free, restricted = leads
	person = contact()
	person.db_set(FIELD, 1)
	shop = customer()
	shop.db_set(FIELD, 1)
	user_with_roles(*SALES)
	new_opportunity(free)
	for doctype, values in (
		("Opportunity", {"opportunity_from": "Lead", "party_name": restricted}),
		("Opportunity", {"opportunity_from": "Lead", "party_name": free, "contact_person": person.name}),
		("Quotation", {"quotation_to": "Lead", "party_name": restricted}),
		("Sales Order", {"customer": shop.name}),
		("Contract", {"party_type": "Customer", "party_name": shop.name}),
		("Customer", {"customer_name": "Other", "lead_name": restricted}),
		("Prospect", {"company_name": "Other", "leads": [{"lead": restricted}]}),
		("Email Campaign", {"email_campaign_for": "Lead", "recipient": restricted}),
		("Appointment", {"appointment_with": "Lead", "party": restricted}),
	):
		with pytest.raises(ProcessingRestricted, match=f"Only a Privacy Officer can make a {doctype}"):
			frappe.new_doc(doctype, **values).insert(ignore_permissions=True)


def test_ds_20_a_privacy_officer_may_and_so_may_the_person(leads, user_with_roles):
	"""With the person's consent, or for legal claims, data may be used (Art. 18(2))."""
	_free, restricted = leads
	user_with_roles(*SALES, "Privacy Officer")
	new_opportunity(restricted)
	frappe.set_user("Guest")  # who books an appointment on the site
	new_opportunity(restricted)


def test_another_500_rows_of_a_report_take_no_more_queries(leads, user_with_roles, monkeypatch):
	report = frappe.get_doc("Report", "Lead Details")
	columns = [{"fieldname": "name", "fieldtype": "Link", "options": "Lead"}]
	user_with_roles(*SALES)
	queries: list[str] = []
	original = frappe.db.sql
	monkeypatch.setattr(
		frappe.db,
		"sql",
		lambda query, *args, **more: (queries.append(query), original(query, *args, **more))[1],
	)

	def queries_for(number: int) -> int:
		queries.clear()
		rows = [{"name": f"L{at}"} for at in range(number)] + [{"name": leads[1]}]
		assert len(report.without_restricted([columns, rows])[1]) == number
		return len(queries)

	queries_for(1)
	assert queries_for(501) == queries_for(1)
