"""Who has processing restricted is in no report and no file that is made of a list (Art. 18(2), DS-20).

Lists still show them, marked, so that nobody records them anew. The books keep them: tax and commercial law
asks for whole ones. Privacy Officers see everybody, except in what a job makes for them: others may open a
Prepared Report, and get an Auto Email Report.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import frappe
from frappe import _

from gdpr_consent import identity
from gdpr_consent.identity import Person
from gdpr_consent.rights.requests import OFFICER
from gdpr_consent.rights.restriction import FIELD, restricted
from gdpr_consent.this_request import command

BOOKS = ("Accounts", "Regional", "Stock")
REGISTER = "GDPR Consent"  # its reports prove what was done
FILES_OF_LISTS = ("reportview.export_query", "exporter.export_data", "data_import.download_template")


class RestrictedReportMixin:
	"""Of Report: everything that shows, exports, mails or prepares a report asks it."""

	def execute_query_report(self, *args: Any, **kwargs: Any) -> Any:
		return self.without_restricted(super().execute_query_report(*args, **kwargs))

	def execute_script_report(self, *args: Any, **kwargs: Any) -> Any:
		return self.without_restricted(super().execute_script_report(*args, **kwargs))

	def get_data(self, *args: Any, **kwargs: Any) -> Any:
		with _as_a_report():
			return super().get_data(*args, **kwargs)

	def without_restricted(self, result: Any) -> Any:
		is_table = isinstance(result, list | tuple) and len(result) > 1 and isinstance(result[1], list)
		if not is_table or self.module in (*BOOKS, REGISTER) or _sees_everybody():
			return result
		columns, rows, *rest = result
		left = _without(columns or [], rows)
		if len(left) == len(rows):
			return result
		told = _("{0} rows of people whose processing is restricted are left out (Art. 18 GDPR).").format(
			len(rows) - len(left)
		)
		message, *rest = rest or [None]
		return [columns, left, f"{message}<br>{told}" if isinstance(message, str) else message or told, *rest]


def conditions(user: str | None = None, doctype: str = "Contact") -> str:
	"""Hook `permission_query_conditions`: leave out who is restricted, if the list is read for a report."""
	if not _is_for_a_report() or _sees_everybody(user):
		return ""
	return f"ifnull(`tab{doctype}`.`{FIELD}`, 0) = 0"


def _is_for_a_report() -> bool:
	if frappe.flags.gdpr_list_is_a_report:
		return True
	if not getattr(frappe.local, "request", None):
		return False
	return frappe.form_dict.get("view") == "Report" or command().endswith(FILES_OF_LISTS)


@contextmanager
def _as_a_report() -> Iterator[None]:
	before, frappe.flags.gdpr_list_is_a_report = frappe.flags.gdpr_list_is_a_report, True
	try:
		yield
	finally:
		frappe.flags.gdpr_list_is_a_report = before


def _sees_everybody(user: str | None = None) -> bool:
	return OFFICER in frappe.get_roles(user) and not getattr(frappe.local, "job", None)


def _without(columns: list, rows: list) -> list:
	from frappe.desk.query_report import get_column_as_dict  # it imports the class that this is a part of

	links = [
		(position, column)
		for position, column in enumerate(map(get_column_as_dict, columns))
		if column.fieldtype == "Dynamic Link" or column.options in identity.PARTY_TYPES
	]
	if not links:
		return rows
	at = {get_column_as_dict(column).fieldname: position for position, column in enumerate(columns)}

	def cell(row: Any, position: int | None, name: str) -> str:
		value = row.get(name) if isinstance(row, dict) else row[position] if position is not None else None
		return str(value or "")

	def people(row: Any) -> Iterator[Person]:
		for position, column in links:
			is_dynamic = column.fieldtype == "Dynamic Link"
			kind = cell(row, at.get(column.options), column.options) if is_dynamic else column.options
			yield Person(kind, cell(row, position, column.fieldname))

	named = [[*people(row)] if isinstance(row, dict | list | tuple) else [] for row in rows]
	hidden = restricted(person for row in named for person in row)
	return [row for row, those in zip(rows, named, strict=True) if hidden.isdisjoint(those)]
