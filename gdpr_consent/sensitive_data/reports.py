"""Reports read the tables themselves. Here their columns lose what their readers may not see (FP-02)."""

import json
from collections.abc import Iterable
from typing import Any

import frappe
from frappe import _

from gdpr_consent import this_request
from gdpr_consent.exceptions import FieldProtected
from gdpr_consent.sensitive_data import access_log, redaction, rights, rules


class SensitiveReportMixin:
	"""Of Report: everything that shows, exports, mails or prepares a report asks it."""

	def execute_query_report(self, *args: Any, **kwargs: Any) -> Any:
		return self._without_hidden(super().execute_query_report(*args, **kwargs))

	def execute_script_report(self, *args: Any, **kwargs: Any) -> Any:
		return self._without_hidden(super().execute_script_report(*args, **kwargs))

	def get_data(self, *args: Any, **kwargs: Any) -> Any:
		columns, rows = super().get_data(*args, **kwargs)
		if self.report_type == "Report Builder":  # the others were executed above
			self._mask(columns, rows)
		return columns, rows

	def _without_hidden(self, result: Any) -> Any:
		if isinstance(result, list | tuple) and len(result) > 1:
			self._mask(result[0], result[1])
		return result

	def _mask(self, columns: Iterable[Any], rows: Any) -> None:
		if not rows or not isinstance(rows, list) or not rules.all_rules().fields:
			return
		columns = list(columns or ())
		hidden = redaction.hidden_columns(columns, self.ref_doctype)
		redaction.mask_rows(rows, hidden, rights.hidden_names())
		shown = {name for _position, name in redaction.protected_columns(columns, self.ref_doctype)}
		if shown := shown - {name for _position, name in hidden}:
			_log(self, shown, columns, rows)


def _log(report: Any, shown: set[str], columns: list, rows: list) -> None:
	named = redaction.column_of_records(columns)
	cells = (row[named] if isinstance(row, list | tuple) else None for row in rows)
	if named is not None and isinstance(rows[0], dict):
		name = redaction.name_of_column(columns[named])
		cells = (row.get(name) for row in rows)
	names = {str(cell) for cell in cells if cell} if named is not None else set()
	how = "Export" if "export" in this_request.command() else "Report"
	access_log.record(how, report.ref_doctype, shown, names or [report.name])
	frappe.flags.gdpr_report_is_logged = True
	frappe.local.flags.commit = True  # a report may be asked for by GET


class SensitiveAutoEmailReportMixin:
	def get_report_content(self, *args: Any, **kwargs: Any) -> Any:
		readers = rights.users_among((self.email_to or "").split(), outsiders=True)
		with rights.read_also_by({*readers, self.user} - {None}):
			return super().get_report_content(*args, **kwargs)


# --- reports that were prepared, by somebody with other rights ----------------------------------------------

DOORS_TO_FILES = ("export_query", "download_attachment", "enqueue_json_to_csv_conversion")


def check_request(command: str, form: dict) -> None:
	"""Refuse a file of a prepared report that holds what the user may not see; as JSON it is redacted."""
	if command.endswith(DOORS_TO_FILES):
		name = form.get("prepared_report_name") or form.get("dn")
		if name and isinstance(name, str) and holds_hidden_columns(name):
			refuse_file()
		if command.endswith("query_report.export_query"):
			_refuse_latest(form)


def _refuse_latest(form: dict) -> None:
	"""Without a name, the core takes the latest that the user has prepared, perhaps with other rights."""
	report = form.get("report_name")
	if isinstance(report, str) and frappe.db.get_value("Report", report, "prepared_report"):
		mine = {"report_name": report, "owner": frappe.session.user, "status": "Completed"}
		for name in frappe.get_all("Prepared Report", mine, pluck="name", order_by="creation desc", limit=20):
			if holds_hidden_columns(name):
				refuse_file()


def refuse_file() -> None:
	frappe.throw(
		_(
			"This prepared report holds protected columns that you may not see. Prepare it again; then they "
			"are left out."
		),
		FieldProtected,
		title=_("Protected Field"),
	)


def holds_hidden_columns(name: str) -> bool:
	if not rights.hidden_names() or not frappe.db.exists("Prepared Report", name):
		return False
	data = json.loads(frappe.get_doc("Prepared Report", name).get_prepared_data() or b"{}")
	if not isinstance(data, dict):
		return True  # as older versions of Frappe kept it; nobody has checked it
	rows = data.get("result") or []
	hidden = redaction.hidden_columns(data.get("columns") or (), None)
	return any(
		value not in (None, "", redaction.MASK)
		for row in rows
		if isinstance(row, dict)
		for value in (
			row.get(column) for column in {name for _position, name in hidden} | rights.hidden_names()
		)
	)
