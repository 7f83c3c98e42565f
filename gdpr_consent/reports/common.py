"""What the reports share: what a user may see of the register, its state now, and cells safe in a file.

A report reads by its reader's rights, counts in the database, and never loads more rows than a screen or a
file needs. It only reads: what decides is `policy`, asked through `audience`.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from time import monotonic
from typing import Any, NamedTuple

import frappe
from frappe import _
from frappe.desk.reportview import build_match_conditions
from frappe.utils import cint, getdate
from frappe.utils.data import sha256_hash

from gdpr_consent.clock import from_system_time, now_utc, to_system_time
from gdpr_consent.exceptions import FilterNotValid, InvalidPeriod
from gdpr_consent.policy import MarketingGround, Permission, Status, status_at
from gdpr_consent.this_request import command

ON_SCREEN, IN_FILE = 1_000, 50_000  # rows
STARTS_NO_TEXT = frozenset("=+-@\t\r\n\0")  # but a formula, in a spreadsheet (WB-10)
SHOWN_BY = "frappe.desk.query_report.run"
COLOURS = {"green": "#2f9e5f", "blue": "#3b82c4", "orange": "#e08e2b", "red": "#d0453f", "grey": "#9aa5b1"}

ROOM_FOR_MONTHS = 16  # bars
KEPT_TIMES_AS_LONG, KEPT_AT_LEAST, KEPT_AT_MOST = 600, 10, 3_600  # the last two in seconds

Row = dict[str, Any]


class Result(NamedTuple):
	"""What Frappe takes from a report, in its order."""

	columns: list[Row]
	rows: list[Row]
	message: str | None = None
	chart: Row | None = None
	summary: list[Row] | None = None


def result(
	columns: list[Row],
	rows: list[Row],
	message: str | None = None,
	chart: Row | None = None,
	summary: list[Row] | None = None,
) -> Result:
	"""Make a result. Whatever isn't only shown on the screen gets cells that no spreadsheet computes."""
	return Result(columns, rows if is_on_screen() else safe_rows(rows), message, chart, summary)


def check_may_read(doctype: str) -> None:
	frappe.has_permission(doctype, "report", throw=True)


def is_on_screen() -> bool:
	"""Whether the rows go to the desk. A file, a mail, a prepared report and a script get them otherwise."""
	return bool(getattr(frappe.local, "request", None)) and command() == SHOWN_BY


def most_rows() -> int:
	return ON_SCREEN if is_on_screen() else IN_FILE


def safe_rows(rows: Iterable[Row]) -> list[Row]:
	return [{name: safe_cell(value) for name, value in row.items()} for row in rows]


def safe_cell(value: Any) -> Any:
	"""Put an apostrophe before a text that a spreadsheet would compute (ASVS 1.2.10)."""
	if isinstance(value, str) and value.lstrip(" ")[:1] in STARTS_NO_TEXT and value.strip(" "):
		return f"'{value}"
	return value


def how_many_of(shown: int, total: int) -> str | None:
	"""Say that not all rows are there, and how to get the rest."""
	if shown >= total:
		return None
	text = _("The first {0} of {1}. Narrow the filters.").format(number(shown), number(total))
	if is_on_screen():
		more = _("A file holds up to {0} rows: Menu, Export.").format(number(IN_FILE))
	else:
		more = _("All of it: bench --site <site> gdpr-consent export")
	return frappe.utils.escape_html(f"{text} {more}")


def number(value: int) -> str:
	return frappe.format(value, {"fieldtype": "Int"})


# --- columns, figures and charts ----------------------------------------------------------------------------


def column(fieldname: str, label: str, fieldtype: str = "Data", width: int = 120, **more: Any) -> Row:
	"""Describe a column. The label comes translated."""
	described = {"fieldname": fieldname, "label": label, "fieldtype": fieldtype, "width": width}
	if fieldtype == "Percent":
		described["precision"] = 1
	elif fieldtype != "Int":
		described["align"] = "left"  # also of a column that is empty throughout
	return described | more


def link(fieldname: str, label: str, doctype: str, width: int = 140, **more: Any) -> Row:
	"""Describe a column of links. Who may not read the DocType gets the names alone: for a link, Frappe would
	refuse them the whole report."""
	if not frappe.has_permission(doctype, "read"):
		return column(fieldname, label, width=width, **more)
	return column(fieldname, label, "Link", width, options=doctype, **more)


def figure(label: str, value: float, colour: str | None = None) -> Row:
	return {
		"label": label,
		"value": round(value),
		"indicator": (colour or "blue").title(),
		"datatype": "Int",
	}


def share(part: int, whole: int) -> float:
	"""Return a part in per cent."""
	return round(100 * part / whole, 1) if whole else 0.0


def chart(
	kind: str,
	labels: list[str],
	datasets: list[tuple[str, list[float]]],
	colours: list[str] | None = None,
	stacked: bool = False,
) -> Row | None:
	"""Describe a chart, or none if there is nothing to draw."""
	if not any(any(values) for _name, values in datasets):
		return None
	drawn: Row = {
		"data": {
			"labels": labels,
			"datasets": [{"name": name, "values": values} for name, values in datasets],
		},
		"type": kind,
		"height": 260,
		# Else the library fails when a chart is drawn anew before it has grown.
		"animate": 0,
		"disableEntryAnimation": 1,
	}
	if colours:
		drawn["colors"] = [COLOURS.get(colour, colour) for colour in colours]
	if stacked:
		drawn["barOptions"] = {"stacked": 1, "spaceRatio": 0.4}
	return drawn


# --- instants -----------------------------------------------------------------------------------------------


def shown_time(instant: datetime | None) -> datetime | None:
	"""Return an instant as Frappe's own Datetime fields hold it, which the desk shows in the user's time."""
	return to_system_time(instant).replace(microsecond=0) if instant else None


def shown_day(instant: datetime) -> date:
	return to_system_time(instant).date()


def period_of(filters: Row) -> tuple[datetime | None, datetime | None]:
	"""Read `from_date` and `to_date`, days of the site's time zone; return half-open instants in UTC.

	Raises:
		InvalidPeriod: one of them isn't a date, or they are in the wrong order.
	"""
	first, last = _day(filters, "from_date", _("From")), _day(filters, "to_date", _("To"))
	if first and last and first > last:
		raise InvalidPeriod(
			_("{0} {1} is after {2} {3}. Choose an earlier day.").format(_("From"), first, _("To"), last)
		)
	return start_of(first), start_of(last + timedelta(days=1) if last else None)


def start_of(day: date | None) -> datetime | None:
	return from_system_time(datetime.combine(day, time())) if day else None


def _day(filters: Row, name: str, label: str) -> date | None:
	value = filters.get(name)
	if not value:
		return None
	try:
		return getdate(value)
	except Exception:  # Frappe raises what the parser did, or a message of its own
		raise InvalidPeriod(
			_("{0} {1} isn't a date. Write it as 2026-03-01.").format(
				label, frappe.utils.escape_html(str(value))
			)
		) from None


def days_of(filters: Row, name: str, label: str, default: int, most: int = 3_660) -> int:
	"""Read a number of days.

	Raises:
		FilterNotValid: not a number from 0 to `most`.
	"""
	value = filters.get(name)
	if value in (None, ""):
		return default
	if not str(value).strip().isdigit() or cint(value) > most:
		raise FilterNotValid(
			_("{0} is {1}. It must be a number of days from 0 to {2}.").format(
				label, frappe.utils.escape_html(str(value)), most
			)
		)
	return cint(value)


def months_between(first: str, last: str) -> list[str]:
	"""Return all months from one to another, such as 2026-03."""
	year, month = (int(part) for part in first.split("-"))
	months = []
	while (text := f"{year:04}-{month:02}") <= last:
		months.append(text)
		year, month = (year, month + 1) if month < 12 else (year + 1, 1)
	return months


def day_labels(days: list[date], weeks: bool = False) -> list[str]:
	"""Name days, or weeks by their first day, in as few letters as their bars have room for.

	Many days get the day of the month alone, many weeks their number (ISO 8601).
	"""
	if len(days) <= ROOM_FOR_MONTHS:
		return [f"{day:%d.%m}" for day in days]
	return [f"{day:%V}" if weeks else f"{day:%d}" for day in days]


def month_label(month: str) -> str:
	"""Name a month such as 2026-03 in as few letters."""
	return f"{month[5:]}/{month[2:4]}"


# --- the register, as far as the user may see it ------------------------------------------------------------


def visible(doctype: str) -> str:
	"""Return what User Permissions demand of the rows of a table, for a `where` that begins with `1 = 1`."""
	demanded = build_match_conditions(doctype)
	return f" and ({demanded})" if demanded else ""


def _over() -> dict[Status, Status]:
	"""What each status becomes once its time is up, as `policy.status_at` says."""
	then = datetime(2000, 1, 1)
	old = {status: Permission("", "", status, MarketingGround.NEVER, then, then, then) for status in Status}
	return {
		status: status_at(permission, then)
		for status, permission in old.items()
		if status_at(permission, then) != status
	}


OVER = _over()
IS_OVER = "(`tabConsent`.`expires_on` is not null and `tabConsent`.`expires_on` <= %(now)s)"
STATUS_NOW = (
	f"case when {IS_OVER} then case `tabConsent`.`status` "
	+ " ".join(f"when '{before.value}' then '{after.value}'" for before, after in OVER.items())
	+ " else `tabConsent`.`status` end else `tabConsent`.`status` end"
)


ENDED = "count(if(`tabConsent`.`expires_on` <= %(now)s, 1, null))"


def states_now(status: str, consents: int, ended: int) -> dict[Status, int]:
	"""Return what consents of a stored status are now, and how many: counted by what is stored, an index is
	read in its order.

	Args:
		ended: how many of them have `ENDED`.
	"""
	before = Status(status)
	if before not in OVER:
		return {before: consents}
	return {state: number for state, number in ((before, consents - ended), (OVER[before], ended)) if number}


def has_status(status: str) -> str:
	"""Return the condition that a consent has a status now, in a form that an index on it serves."""
	known = Status(status)
	is_it = f"`tabConsent`.`status` = '{known.value}'"
	if known in OVER:
		return f"({is_it} and not {IS_OVER})"
	before = [one.value for one, after in OVER.items() if after == known]
	for one in before:
		is_it += f" or (`tabConsent`.`status` = '{one}' and {IS_OVER})"
	return f"({is_it})"


EVERYTHING = "1 = 1"
EQUAL = ("purpose", "topic", "legal_basis", "source", "company", "channel", "party_type")


def consents_where(filters: Row, since: str = "since") -> tuple[str, Row]:
	"""Return the `where` of the consents that fit the filters of a report and that the user may see.

	Args:
		filters: any of `purpose, topic, legal_basis, source, company, channel, party_type, status, grade,
			from_date, to_date`.
		since: the column that the period is about.
	"""
	conditions, values = [EVERYTHING], {"now": now_utc()}
	for name in EQUAL:
		if filters.get(name):
			conditions.append(f"`tabConsent`.`{name}` = %({name})s")
			values[name] = str(filters[name])
	if filters.get("status"):
		conditions.append(has_status(choice(filters, "status", _("Status"), [one.value for one in Status])))
	if filters.get("grade"):
		grade = choice(filters, "grade", _("Evidence Grade"), ["A", "B", "C", "D"])
		conditions.append(f"`tabConsent`.`evidence_grade` = '{grade}'")
	first, last = period_of(filters)
	if first:
		conditions.append(f"`tabConsent`.`{since}` >= %(first)s")
		values["first"] = first
	if last:
		conditions.append(f"`tabConsent`.`{since}` < %(last)s")
		values["last"] = last
	return " and ".join(conditions) + visible("Consent"), values


def choice(filters: Row, name: str, label: str, options: list[str]) -> str:
	"""Return the value of a filter that is a choice.

	Raises:
		FilterNotValid: it isn't one of the options.
	"""
	value = str(filters.get(name))
	if value not in options:
		raise FilterNotValid(
			_("{0} {1} isn't possible. Choose one of {2}.").format(
				label, frappe.utils.escape_html(value), ", ".join(options)
			)
		)
	return value


def cached(name: str, make: Callable[[], Any]) -> Any:
	"""Return what was made for somebody who may see the same, or make it. What took longer is kept longer."""
	key = f"consent_report:{name}:{sha256_hash(visible('Consent'))}"
	found = frappe.cache.get_value(key, expires=True)
	if found is None:
		started = monotonic()
		found = make()
		seconds = round(KEPT_TIMES_AS_LONG * (monotonic() - started))
		frappe.cache.set_value(key, found, expires_in_sec=min(max(seconds, KEPT_AT_LEAST), KEPT_AT_MOST))
	return found
