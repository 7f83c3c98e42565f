"""A Consent Bulk Update for the file: what was done, by whom and why, as XLSX and for the Print Format."""

import json
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

import frappe
from frappe import _
from frappe.core.doctype.access_log.access_log import make_access_log
from frappe.model.document import Document
from frappe.permissions import can_export

from gdpr_consent.bulk_update.access import permitted
from gdpr_consent.bulk_update.words import why_in_words
from gdpr_consent.clock import from_system_time
from gdpr_consent.doors import says_why

UPDATE, ITEM, RULE = "Consent Bulk Update", "Consent Bulk Update Item", "Consent Bulk Update Rule"
PRINTED = 100  # records on paper; the workbook has all
AT_ONCE = 5_000
ROWS_OF_A_SHEET = 1_000_000  # 48,576 fewer than Excel can open
LONGEST_CELL = 32_767  # characters, of Excel
STARTS_NO_TEXT = frozenset("=+-@#\t\r\n")  # but a formula or an error
WIDEST_BAR = 300  # pixels
BEFORE_COLOUR, AFTER_COLOUR = "#9aa5b1", "#2f6f4f"

WHO_AND_WHEN = (
	*("status", "reason", "owner", "creation", "previewed_by", "previewed_on", "approved_by", "approved_on"),
	*("run_by", "started_on", "finished_on", "reverted_by", "reverted_on", "revert_reason"),
	*("total", "to_change", "unchanged", "to_skip", "selection_hash"),
)
COLUMNS = ("rule", "target_doctype", "target", "email", "before", "after", "plan", "result", "why", "note")
CHOICES = ("target_doctype", "before", "after", "plan", "result")
SETTINGS = ("purpose", "topic", "channel", "legal_basis", "source", "given_on", "date_field", "wording")
SETTINGS += ("evidence_file", "evidence_field")


@frappe.whitelist(methods=["GET", "POST"])
@says_why
def xlsx(bulk_update: str) -> None:
	"""Download a workbook: a sheet about the update, then every record of it. Cells are text or numbers.

	Raises:
		PermissionError: the user may not read this Consent Bulk Update, or not export any.
	"""
	doc = permitted(bulk_update, "read")
	can_export(UPDATE, raise_exception=True, is_owner=doc.owner == frappe.session.user)
	make_access_log(doctype=UPDATE, document=doc.name, file_type="XLSX", method="gdpr_consent report")
	frappe.response["filename"] = f"{doc.name}.xlsx"
	frappe.response["filecontent"] = workbook_of(doc)
	frappe.response["type"] = "binary"


def consent_bulk_update_report(bulk_update: str) -> dict[str, Any]:
	"""Return what the Print Format shows; nothing in it is escaped.

	Raises:
		PermissionError: any template can call this, so the right is checked here too.
	"""
	doc = permitted(bulk_update, "read")
	rows = next(_records(doc.name, PRINTED), [])
	mine = {"owner": frappe.session.user} if _sees_own_only() else {}
	total = frappe.db.count(ITEM, {"bulk_update": doc.name} | mine)
	return _about(doc) | {
		"columns": _columns(),
		"records": [_cells(row) for row in rows],
		"more": _("{0} more records are in the XLSX report.").format(total - len(rows))
		if total > len(rows)
		else "",
	}


# --- in words -----------------------------------------------------------------------------------------------


def rule_in_words(row: Document) -> str:
	"""Say in the user's language which records a rule is about, and what it does to them."""
	parts = [_about_records(row.target_doctype, row.filters)]
	if row.linked_doctype:
		parts.append(_("linked with {0}").format(_about_records(row.linked_doctype, row.linked_filters)))
	given = [
		f"{_label(RULE, field)}: {_shown(field, row.get(field))}" for field in SETTINGS if row.get(field)
	]
	return f"{'; '.join(parts)} → {_action_in_words(row.action)}. {'; '.join(given)}"


def _action_in_words(action: str) -> str:
	# Of single words such as Set, core has translations that mean something else.
	return {
		"Set": _("purpose and legal basis are set"),
		"Withdraw": _("the people said no"),
		"Revoke": _("we end it"),
		"Expire": _("it expires"),
		"Invalidate": _("it never was valid"),
		"Ask": _("they are asked by mail"),
		"Assign Topic": _("the topic is assigned"),
	}.get(action, action)


def _about_records(doctype: str, filters: str | None) -> str:
	try:
		conditions = [_condition(doctype, one) for one in json.loads(filters or "[]")]
	except (ValueError, TypeError):
		conditions = [str(filters)]
	return f"{_(doctype)} ({'; '.join(conditions)})" if conditions else _("{0} (all)").format(_(doctype))


def _condition(doctype: str, condition: list[Any]) -> str:
	of, field, operator, value = (condition if len(condition) > 3 else [doctype, *condition])[:4]
	label = _label(of, field) if frappe.db.exists("DocType", of) else field
	values = ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)
	return f"{label} {operator} {values}"


def _label(doctype: str, field: str) -> str:
	return _(frappe.get_meta(doctype).get_label(field))


def _shown(field: str, value: Any) -> str:
	if isinstance(value, datetime):
		utc = from_system_time(value) if field == "creation" else value  # that one is Frappe's own
		return f"{utc:%Y-%m-%d %H:%M:%S}" + ("" if field == "given_on" else " UTC")  # its label says so
	return _(value) if field in ("status", "channel") else str(value)


def _about(doc: Document) -> dict[str, Any]:
	"""Return title, facts, rules, reasons and the picture of an update, in words."""
	summary = json.loads(doc.summary or "{}")
	counts = {row["rule"]: row for row in summary.get("rules", ())}
	facts = [
		(_label(UPDATE, field), _shown(field, doc.get(field)))
		for field in WHO_AND_WHEN
		if doc.get(field) or field in ("total", "to_change", "unchanged", "to_skip")
	]
	if doc.needs_approval and not doc.approved_by:
		facts.append((_label(UPDATE, "approved_by"), _("Nobody yet")))
	return {
		"title": doc.title,
		"facts": [(_("Number"), doc.name), *facts],
		"rules": [
			{
				"number": number,
				"words": rule_in_words(row),
				"plans": _counted(counts.get(number, {}).get("plans")),
				"results": _counted(counts.get(number, {}).get("results")),
			}
			for number, row in enumerate(doc.rules, start=1)
		],
		"why": [
			{
				"words": why_in_words(row["why"]),
				"outcome": _(_outcome(row)),
				"count": row["count"],
			}
			for row in summary.get("why", ())
		],
		"bars": _bars(summary.get("chart") or {}),
	}


def _outcome(row: dict[str, Any]) -> str:
	return row.get("result") or row["plan"]


def _counted(counts: dict[str, int] | None) -> list[tuple[str, int]]:
	return [(_(label), count) for label, count in (counts or {}).items()]


def _bars(chart: dict[str, list[Any]]) -> list[dict[str, Any]]:
	before, after = chart.get("before", []), chart.get("after", [])
	most = max([*before, *after, 1])

	def part(name: str, colour: str, count: int) -> tuple[str, str, int, int]:
		# What is there at all can be seen.
		return name, colour, count, max(round(WIDEST_BAR * count / most), 1 if count else 0)

	return [
		{
			"label": _(label),
			"parts": [part(_("Before"), BEFORE_COLOUR, then), part(_("After"), AFTER_COLOUR, now)],
		}
		for label, then, now in zip(chart.get("labels", []), before, after, strict=True)
	]


# --- records ------------------------------------------------------------------------------------------------


def _records(bulk_update: str, at_once: int = AT_ONCE) -> Iterator[list[dict[str, Any]]]:
	"""Yield the records of an update by type and name, which is the order of an index."""
	item = frappe.qb.DocType(ITEM)
	doctype, target = "", ""
	visible = item.owner == frappe.session.user if _sees_own_only() else item.name.isnotnull()
	while rows := (
		frappe.qb.from_(item)
		.select(*(item[column] for column in COLUMNS))
		.where((item.bulk_update == bulk_update) & visible)
		.where((item.target_doctype > doctype) | ((item.target_doctype == doctype) & (item.target > target)))
		.orderby(item.target_doctype)
		.orderby(item.target)
		.limit(at_once)
		.run(as_dict=True)
	):
		yield rows
		doctype, target = rows[-1].target_doctype, rows[-1].target


def _sees_own_only() -> bool:
	"""Whether the user's role shows items of their own previews only: others find whom they may not see."""
	return not {"Privacy Officer", "System Manager"}.intersection(frappe.get_roles())


def _columns() -> list[str]:
	return [_label(ITEM, column) for column in COLUMNS]


def _cells(row: dict[str, Any]) -> list[Any]:
	cells = row | {"why": why_in_words(row["why"]) if row["why"] else ""}
	return [
		_(cells[column]) if column in CHOICES and cells[column] else cells[column] or "" for column in COLUMNS
	]


# --- the workbook -------------------------------------------------------------------------------------------


def workbook_of(doc: Document) -> bytes:
	"""Return the workbook of an update; rows go to disk as they come, so that memory stays flat."""
	book = Workbook(write_only=True)
	sheet = book.create_sheet(_("Report"))
	about = _about(doc)

	def write(*values: Any) -> None:
		sheet.append([_cell(sheet, value) for value in values])

	write(_("Consent Bulk Update Report"))
	write(_("Title"), about["title"])
	for label, value in about["facts"]:
		write(label, value)
	for rule in about["rules"]:
		write()
		write(_("Rule"), rule["number"], rule["words"])
		for kind, counts in ((_("Plan"), rule["plans"]), (_("Result"), rule["results"])):
			for label, count in counts:
				write(kind, label, count)
	write()
	for row in about["why"]:
		write(row["words"], row["outcome"], row["count"])
	write()
	for bar in about["bars"]:
		for name, _colour, count, _width in bar["parts"]:
			write(bar["label"], name, count)
	_write_records(book, doc.name)
	content = BytesIO()
	book.save(content)
	return content.getvalue()


def _write_records(book: Workbook, bulk_update: str) -> None:
	sheet, room = None, 0
	columns = _columns()
	for rows in _records(bulk_update):
		for row in rows:
			if not room:
				sheet, room = book.create_sheet(_("Records")), ROWS_OF_A_SHEET
				sheet.append([_cell(sheet, label) for label in columns])
			sheet.append([_cell(sheet, value) for value in _cells(row)])
			room -= 1


def _cell(sheet: Any, value: Any) -> Any:
	"""Return a value in which a spreadsheet sees a number or a text, and never a formula (ASVS 1.2.10)."""
	if isinstance(value, int):
		return value
	text = ILLEGAL_CHARACTERS_RE.sub("", str(value or ""))[:LONGEST_CELL]
	if text[:1] not in STARTS_NO_TEXT:
		return text
	cell = WriteOnlyCell(sheet, text)
	cell.data_type = "s"
	cell.quotePrefix = True  # it stays a text when somebody edits it
	return cell
