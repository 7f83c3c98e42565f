"""Prints, as JSON, what an app can leave on a site. Run by test_install.py with the site as argument."""

import json
import sys

import frappe

COLUMNS = "select table_name, column_name, column_type from information_schema.columns"
INDEXES = "select table_name, index_name, column_name from information_schema.statistics"
HERE = " where table_schema = %s"
PERMISSION = ("parent", "role", "permlevel", "if_owner", "read", "write", "create", "delete")


def rows_of(doctype: str, *fields: str) -> list[list]:
	return sorted(
		[[str(value) for value in row] for row in frappe.get_all(doctype, fields=list(fields), as_list=True)]
	)


def state() -> dict[str, list]:
	return {
		"doctypes": rows_of("DocType", "name", "module"),
		"modules": rows_of("Module Def", "name", "app_name"),
		"roles": rows_of("Role", "name", "desk_access"),
		"role assignments": rows_of("Has Role", "parent", "role"),
		"custom fields": rows_of("Custom Field", "dt", "fieldname", "fieldtype", "options"),
		"property setters": rows_of("Property Setter", "doc_type", "field_name", "property", "value"),
		"property setters, exactly": rows_of("Property Setter", "*"),
		"permissions": rows_of("DocPerm", *PERMISSION),
		"custom permissions": rows_of("Custom DocPerm", *PERMISSION),
		"custom permissions, exactly": rows_of("Custom DocPerm", "*"),
		"scheduled jobs": rows_of("Scheduled Job Type", "method"),
		"desk pages": [
			[doctype, *row]
			for doctype in (
				*("Workspace", "Report", "Number Card", "Dashboard Chart", "Dashboard Chart Source"),
				*("Module Onboarding", "Onboarding Step", "Print Format"),
			)
			for row in rows_of(doctype, "name")
		],
		"rows of desk pages, exactly": [
			[doctype, *row]
			for doctype in (
				"Workspace Link",
				"Workspace Shortcut",
				"Workspace Number Card",
				"Onboarding Step Map",
			)
			for row in rows_of(doctype, "parent", "name")
		],
		"defaults": rows_of("DefaultValue", "parent", "defkey"),
		"columns": sorted(map(list, frappe.db.sql(COLUMNS + HERE, frappe.conf.db_name))),
		"indexes": sorted(map(list, frappe.db.sql(INDEXES + HERE, frappe.conf.db_name))),
		"installed": sorted(frappe.get_installed_apps()),
	}


frappe.init(site=sys.argv[1], sites_path=".")
frappe.connect()
print(json.dumps(state(), default=str))
frappe.destroy()
