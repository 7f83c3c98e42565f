"""Sensitive Fields come into force by Frappe's own permissions, and go again without a trace."""

import json
from collections.abc import Callable, Iterator

import pytest
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import frappe
from frappe.permissions import add_permission

from gdpr_consent import install
from gdpr_consent.exceptions import ConsentError
from gdpr_consent.gate import self_check
from gdpr_consent.sensitive_data import finder, protection, rights, rules
from gdpr_consent.sensitive_data.installed_rules import RULES

FREE = "Opportunity"  # no rule comes with the app for it
FIELDS = ("order_lost_reason", "job_title", "territory")


def rows(doctype: str = FREE) -> dict[str, list]:
	"""All rows that decide about the permissions of a DocType, with every column."""
	return {
		"Property Setter": frappe.get_all("Property Setter", {"doc_type": doctype}, ["*"], order_by="name"),
		"Custom DocPerm": frappe.get_all("Custom DocPerm", {"parent": doctype}, ["*"], order_by="name"),
	}


def protect(fieldname: str = "job_title", doctype: str = FREE, **more):
	values = {"ref_doctype": doctype, "fieldname": fieldname, "why_kept": "For a test"} | more
	return frappe.get_doc({"doctype": "Sensitive Field"} | values).insert()


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
	"""What a test rolls back must not stay in the caches."""
	yield
	frappe.set_user("Administrator")
	frappe.db.rollback()
	rules.forget()
	for doctype in (FREE, "Customer", "Supplier", "Employee", "Contract", "Issue", "Sales Team"):
		frappe.clear_cache(doctype=doctype)


def test_the_rules_that_come_with_the_app_are_in_force():
	"""FP-01"""
	assert protection.show_states() == []
	for rule in RULES:
		name = rules.name_of(rule["ref_doctype"], rule["fieldname"])
		assert frappe.db.get_value("Sensitive Field", name, "state") == "In Force", name


def test_a_new_user_sees_no_protected_field_and_a_viewer_does(user_with_roles):
	"""FP-05"""
	everyday = ("Sales Manager", "Accounts Manager", "Purchase Manager", "HR Manager", "System Manager")
	user_with_roles(*everyday)
	for rule in RULES:
		if rule["fieldname"]:
			assert rule["fieldname"] in rights.hidden_fields(rule["ref_doctype"])
			assert rule["fieldname"] in rights.locked_fields(rule["ref_doctype"])
	assert not frappe.has_permission("Contract", "read")

	frappe.set_user("Administrator")
	user_with_roles(*everyday, "Sensitive Data Viewer")
	assert rights.hidden_anywhere() == {}
	assert rights.locked_fields("Customer") == {"tax_id"}
	assert frappe.has_permission("Contract", "read")
	assert not frappe.has_permission("Contract", "write")

	frappe.set_user("Administrator")
	user_with_roles(*everyday, "Sensitive Data Editor")
	assert rights.hidden_anywhere() == {}
	assert rights.locked_fields("Customer") == frozenset()
	assert frappe.has_permission("Contract", "write")


def test_others_keep_the_rights_they_had(user_with_roles):
	user_with_roles("Sales User")
	for right in ("read", "write", "create"):
		assert frappe.has_permission("Customer", right)
	assert 7 not in frappe.get_meta("Customer").get_permlevel_access("read")


def test_a_rule_that_is_switched_off_leaves_no_trace():
	before = rows()
	rule = protect()
	assert rule.reload().state == "In Force"
	assert frappe.get_meta(FREE).get_field("job_title").permlevel == 7
	assert rows() != before

	rule.enabled = 0
	rule.save()
	assert rule.reload().state == "Off"
	assert rows() == before
	assert rights.hidden_fields(FREE) == frozenset()
	assert not frappe.get_all("Sensitive Data Change", {"ref_doctype": FREE})


def test_what_the_administrator_had_set_before_comes_back_exactly():
	setter = {"fieldname": "job_title", "property": "permlevel", "value": "1", "property_type": "Int"}
	frappe.make_property_setter({"doctype": FREE} | setter)
	add_permission(FREE, "Auditor", 1)
	before = rows()
	rule = protect()
	assert rows() != before
	rule.delete()
	assert rows() == before


def test_what_the_administrator_changes_afterwards_stays(user_with_roles):
	rule = protect()
	setter = {"fieldname": "job_title", "property": "permlevel", "value": "3", "property_type": "Int"}
	frappe.make_property_setter({"doctype": FREE} | setter)
	add_permission(FREE, "Auditor", 0)
	install.complete()
	assert frappe.get_meta(FREE).get_field("job_title").permlevel == 3
	assert rule.reload().state == "Not in Force"
	assert any("Opportunity-job_title" in problem for problem in self_check.find_problems())

	rule.enabled = 0
	rule.save()
	assert frappe.get_meta(FREE).get_field("job_title").permlevel == 3
	assert frappe.db.exists("Custom DocPerm", {"parent": FREE, "role": "Auditor", "permlevel": 0})
	assert not frappe.db.exists("Custom DocPerm", {"parent": FREE, "role": "Sensitive Data Viewer"})


def test_migration_switches_nothing_on_again_and_changes_no_rule():
	rule = frappe.get_doc("Sensitive Field", "Customer-tax_id")
	rule.update({"enabled": 0, "why_kept": "Our own words"}).save()
	install.complete()
	rule.reload()
	assert (rule.enabled, rule.why_kept, rule.state) == (0, "Our own words", "Off")
	assert frappe.get_meta("Customer").get_field("tax_id").permlevel == 0
	with pytest.raises(ConsentError, match="Switch it off"):
		rule.delete()


def test_a_doctype_as_a_whole_is_closed_and_opened_again(user_with_roles):
	before = rows("Issue")
	rule = protect("", "Issue")
	assert rule.name == "Issue"
	user_with_roles("Support Team", "System Manager")
	assert not frappe.has_permission("Issue", "read")
	frappe.set_user("Administrator")
	rule.enabled = 0
	rule.save()
	assert rows("Issue") == before


def test_a_right_that_is_taken_from_its_roles_is_noticed():
	rule = protect()
	assert rule.state == "In Force"
	frappe.db.delete("Custom DocPerm", {"parent": FREE})  # Restore Original Permissions
	frappe.clear_cache(doctype=FREE)
	assert [name for name, _reason in protection.show_states(FREE)] == [rule.name]
	rule.reload()
	rule.save()
	assert rule.state == "In Force"


def test_groups_with_other_people_get_a_level_of_their_own(user_with_roles):
	both = protect("job_title")
	other = protect(
		"territory", viewers=[{"role": "Sales Master Manager"}], editors=[{"role": "Sales Master Manager"}]
	)
	assert both.permlevel != other.permlevel
	user_with_roles("Sales Master Manager", "Sales Manager")
	assert rights.hidden_fields(FREE) == {"job_title"}
	assert rights.locked_fields(FREE) == {"job_title"}


def test_who_may_edit_may_view():
	rule = protect(viewers=[{"role": "Sensitive Data Viewer"}], editors=[{"role": "Auditor"}])
	assert {row.role for row in rule.viewers} == {"Sensitive Data Viewer", "Auditor"}


@pytest.mark.parametrize(
	("fieldname", "doctype", "message"),
	[
		("no_such_field", FREE, "no field"),
		("section_break_14", FREE, "no field|holds a value"),
		("party_name", FREE, "must be filled in"),
		("", "Sales Team", "table in other DocTypes"),
		("customer_name", "Customer", "title"),
		("", "User", "nobody could work"),
	],
)
def test_a_rule_that_makes_no_sense_is_refused(fieldname, doctype, message):
	before = rows(doctype)
	with pytest.raises(ConsentError, match=message):
		protect(fieldname, doctype)
	assert rows(doctype) == before


def test_a_field_of_a_table_is_protected_by_the_levels_of_its_documents(user_with_roles):
	protect("commission_rate", "Sales Team")
	user_with_roles("Sales Manager")
	assert rights.hidden_fields("Sales Team") == {"commission_rate"}


ACTS = st.lists(
	st.tuples(
		st.sampled_from(FIELDS),
		st.sampled_from(("add", "off", "on", "delete", "other people")),
	),
	max_size=8,
)


@settings(max_examples=examples(0.3))
@given(acts=ACTS, administrators_level=st.sampled_from((None, "1")))
def test_whatever_is_switched_on_and_off_in_the_end_all_is_as_before(site, acts, administrators_level):
	"""Property setters and permissions byte for byte, in whatever order rules come and go."""
	frappe.db.savepoint("example")
	try:
		if administrators_level:
			setter = {"fieldname": "job_title", "property": "permlevel", "property_type": "Int"}
			frappe.make_property_setter({"doctype": FREE, "value": administrators_level} | setter)
		before = rows()
		for field, act in acts:
			name = rules.name_of(FREE, field)
			exists = frappe.db.exists("Sensitive Field", name)
			if act == "add" and not exists:
				protect(field)
			elif exists and act == "delete":
				frappe.delete_doc("Sensitive Field", name)
			elif exists:
				rule = frappe.get_doc("Sensitive Field", name)
				if act == "other people":
					rule.set("viewers", [{"role": "Auditor"}])
				rule.enabled = int(act != "off")
				rule.save()
				field_now = frappe.get_meta(FREE).get_field(field)
				assert bool(rule.enabled) == (field_now.permlevel == rule.permlevel)
		for name in frappe.get_all("Sensitive Field", {"ref_doctype": FREE}, pluck="name"):
			frappe.delete_doc("Sensitive Field", name)
		assert rows() == before
	finally:
		frappe.db.rollback(save_point="example")
		frappe.clear_cache(doctype=FREE)
		rules.forget()


# --- the finder ---------------------------------------------------------------------------------------------


@pytest.fixture
def custom_field(site: str) -> Iterator[Callable]:
	"""Add a field as an administrator does; the new column commits, so it is removed afterwards."""
	made = []

	def add(doctype: str, fieldname: str, **more):
		values = {"dt": doctype, "fieldname": fieldname, "label": fieldname, "fieldtype": "Data"} | more
		made.append(frappe.get_doc({"doctype": "Custom Field"} | values).insert())
		return made[-1]

	yield add
	frappe.set_user("Administrator")
	for field in made:
		rule = rules.name_of(field.dt, field.fieldname)
		frappe.delete_doc("Sensitive Field", rule, force=True, ignore_missing=True)
		if frappe.db.exists("Custom Field", field.name):
			field.delete()
		frappe.db.sql_ddl(f"alter table `tab{field.dt}` drop column `{field.fieldname}`")
	frappe.db.commit()


def test_the_finder_proposes_fields_with_a_reason_and_knows_what_is_protected():
	found = {(one["ref_doctype"], one["fieldname"]): one for one in finder.find_candidates()}
	birth = found["Employee", "date_of_birth"]
	assert birth["sensitivity"] == "Sensitive"
	assert "date or place of birth" in birth["reason"]
	assert ("Customer", "tax_id") not in found
	assert ("Customer", "account_manager") not in found
	assert ("Contract", "party_name") not in found
	assert all(one["reason"] for one in found.values())


def test_the_finder_sees_custom_fields(custom_field):
	custom_field(FREE, "religion")
	(found,) = [one for one in finder.find_candidates() if one["fieldname"] == "religion"]
	assert found["sensitivity"] == "Special Category"
	assert finder.add_candidates([found]) == [f"{FREE}-religion"]
	assert frappe.db.get_value("Sensitive Field", f"{FREE}-religion", "state") == "In Force"


def test_a_copy_that_an_administrator_adds_is_protected_at_once(custom_field, user_with_roles):
	"""FP-02: `fetch_from` would put the value where everybody sees it."""
	custom_field("Issue", "customers_tax_number", fetch_from="customer.tax_id")
	rule = frappe.get_doc("Sensitive Field", "Issue-customers_tax_number")
	assert rule.copy_of == "customer.tax_id"
	assert [row.role for row in rule.editors] == ["Sensitive Data Editor"]
	user_with_roles("Support Team")
	assert rights.hidden_fields("Issue") == {"customers_tax_number"}
	frappe.set_user("Administrator")
	frappe.delete_doc("Custom Field", "Issue-customers_tax_number")
	assert not frappe.db.exists("Sensitive Field", rule.name)
	assert rights.hidden_fields("Issue") == frozenset()


def test_nobody_else_may_change_rules(user_with_roles):
	user_with_roles("Sales Manager", "Sensitive Data Editor")
	for right in ("read", "write", "create", "delete"):
		assert not frappe.has_permission("Sensitive Field", right)
	assert not frappe.has_permission("Sensitive Access Log", "read")


def test_the_journal_can_be_read_back_after_its_table_is_gone():
	"""What the uninstallation needs is taken before the tables go, and undoes everything."""
	before = rows()
	protect("job_title")
	protect("territory")
	changes = json.loads(json.dumps(protection.journal(), default=str))
	protection.undo([change for change in changes if change["ref_doctype"] == FREE])
	assert rows() == before


def test_forms_hear_what_stands_though_another_process_has_read_something_else_meanwhile():
	frappe.get_doc("Sensitive Field", "Customer-tax_id").save()
	frappe.cache.hset("bootinfo", "jo@rules.example", {"gdpr_sensitive_fields": {}})
	frappe.db.rollback()
	assert not frappe.cache.hget("bootinfo", "jo@rules.example")
