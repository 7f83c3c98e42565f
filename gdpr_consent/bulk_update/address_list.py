"""Reads the address list of a Consent Bulk Update, a CSV file that somebody uploaded (BU-08).

A fault of the file refuses all of it; a fault of a row leaves that row out, and is listed.
"""

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import frappe
from frappe import _
from frappe.utils import escape_html
from frappe.utils.html_utils import sanitize_html

from gdpr_consent import ledger
from gdpr_consent.bulk_update.access import permitted
from gdpr_consent.clock import now_utc, parse_utc
from gdpr_consent.doors import says_why
from gdpr_consent.exceptions import ConsentError, InvalidPeriod
from gdpr_consent.identity import address_keys, bare, is_phone_number

LINE = "Consent Bulk Update Address"
MOST_BYTES = 20 * 1024 * 1024
MOST_LINES = 200_000
MOST_COLUMNS = 100
LONGEST_HEADER = 64 * 1024  # characters
MOST_ERRORS = 1_000  # that are listed; all are counted
MOST_SHOWN = 60  # characters of a value
AT_ONCE = 2_000  # rows
PART = 64 * 1024  # bytes

# Longest first where one is the start of the other.
BYTE_ORDER_MARKS = (
	(codecs.BOM_UTF8, "utf-8"),
	(codecs.BOM_UTF16_LE, "utf-16-le"),
	(codecs.BOM_UTF16_BE, "utf-16-be"),
)
DELIMITERS = ",;\t"
# Header names in English, Polish and German, in small letters, without what is neither letter nor digit.
NAMES = {
	"email": {
		*("email", "emails", "mail", "emailaddress", "mailaddress", "emailid"),
		*("adresemail", "adresmailowy", "adresmail", "adrespocztyelektronicznej"),
		*("emailadresse", "emailadressen", "mailadresse"),
	},
	"given_on": {
		*("date", "givenon", "since", "consentdate", "dateofconsent", "optindate"),
		*("data", "datazgody", "od", "zgodaod", "datum", "seit", "einwilligungam", "einwilligungsdatum"),
	},
	"source": {"source", "origin", "źródło", "zrodlo", "źródłozgody", "quelle", "herkunft"},
	"evidence": {"evidence", "proof", "dowód", "dowod", "dowódzgody", "nachweis", "beleg"},
}
# They may mean a postal address, so they count where no column says e-mail.
VAGUE_NAMES = {"address", "addresses", "adres", "adresy", "adresse", "adressen"}
LONGEST = {"email": 254, "given_on": 40, "source": 140, "evidence": 1_000}  # characters
# What a spreadsheet may take for a formula when it opens the cell (OWASP CSV Injection, ASVS 1.2.10).
STARTS_A_FORMULA = frozenset("=+-@\t\r")
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
CONTROLS_IN_TEXT = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")  # text may have several lines
# Nobody agreed to a message before there were any; a year such as 206 is a slip of the pen.
EARLIEST = datetime(1970, 1, 1)


class AddressListNotReadable(ConsentError):
	"""An address list that is refused as a whole."""


class RowError(NamedTuple):
	"""What is wrong with a cell, or with a row if `column` is empty. `value` is escaped and shortened."""

	line: int
	column: str
	value: str
	problem: str


class ListCheck(NamedTuple):
	"""What became of a list: stored rows, rows left out, and columns that nobody reads."""

	lines: int
	errors: list[RowError]
	errors_total: int
	ignored_columns: list[str]


class _Columns(NamedTuple):
	delimiter: str
	names: list[str]
	fields: dict[str, int]

	def label(self, field: str) -> str:
		return _shown(self.names[self.fields[field]])


class _Record(NamedTuple):
	line: int
	cells: list[str]


class _Errors:
	def __init__(self) -> None:
		self.listed: list[RowError] = []
		self.total = 0

	def add(self, line: int, column: str, value: str, problem: str) -> None:
		self.total += 1
		if len(self.listed) < MOST_ERRORS:
			self.listed.append(RowError(line, column, _shown(value), problem))


@frappe.whitelist(methods=["POST"])
@says_why
def load(bulk_update: str) -> dict[str, Any]:
	"""Read the file in the field Address List of a Consent Bulk Update, in the place of what was read before.

	What was previewed becomes a draft again, since the preview is about other lines.

	Returns:
		`lines`: how many were stored; `errors`: rows left out, each with `line`, `column`, `value` and
		`problem`, the first thousand of `errors_total`; `ignored_columns`.

	Raises:
		PermissionError: the user may not write this Consent Bulk Update, or not read the file.
		AddressListNotReadable: nothing was stored; see `read`.
	"""
	permitted(bulk_update, "write")
	# Locked, so that of two loads, or of a load and a preview, one comes after the other.
	fields = ["name", "status", "address_list", "edited_by"]
	found = frappe.db.get_value("Consent Bulk Update", bulk_update, fields, as_dict=True, for_update=True)
	if not found:
		raise AddressListNotReadable(_("Somebody has deleted this bulk update meanwhile. Make another one."))
	if found.status not in ("Draft", "Previewed"):
		raise AddressListNotReadable(
			_("Status is {0}. An address list can be read into a draft or after a preview only.").format(
				_(found.status)
			)
		)
	check = read(found.name, _content_of(found.name, found.address_list))
	# As when somebody saves the form: what was previewed and approved was something else, and whoever
	# brings the list doesn't approve it (BU-04).
	editors = dict.fromkeys([*(found.edited_by or "").split(), frappe.session.user])
	reset = {"status": "Draft", "selection_hash": None, "approved_by": None, "approved_on": None}
	frappe.db.set_value("Consent Bulk Update", found.name, reset | {"edited_by": "\n".join(editors)})
	return check._asdict() | {"errors": [error._asdict() for error in check.errors]}


def _content_of(bulk_update: str, file_url: str | None) -> bytes:
	if not file_url:
		raise AddressListNotReadable(_("Address List is missing. Attach a CSV file."))
	attached = {
		"file_url": file_url,
		"attached_to_doctype": "Consent Bulk Update",
		"attached_to_name": bulk_update,
	}
	names = frappe.get_all("File", attached, pluck="name", limit=1)
	if not names or not file_url.startswith(("/files/", "/private/files/")):
		raise AddressListNotReadable(
			_("Address List {0} isn't attached to {1}. Attach the file again, and save.").format(
				_shown(file_url), bulk_update
			)
		)
	file = frappe.get_doc("File", names[0])
	frappe.has_permission("File", "read", file, throw=True)
	if not file.is_private:
		raise AddressListNotReadable(
			_("Address List {0} is public. Remove it, and attach it as a private file.").format(
				_shown(file_url)
			)
		)
	# File.get_content decodes, on v16 by guessing the code page.
	path = Path(file.get_full_path())
	if not path.is_file():
		raise AddressListNotReadable(
			_("Address List {0} is gone from the disk. Attach it again.").format(_shown(file_url))
		)
	_check_size(path.stat().st_size)
	return path.read_bytes()


def read(bulk_update_name: str, content: bytes) -> ListCheck:
	"""Check a CSV file, and store its lines in the place of those that this Consent Bulk Update had.

	The first line names the columns. One holds an e-mail address or a phone number; date, source and evidence
	are optional; others are neither read nor stored. Text is UTF-8, or UTF-16 that says so.

	Raises:
		AddressListNotReadable: too large, another encoding, not a CSV file, or no column of addresses;
			what had been stored before is still there.
	"""
	_check_size(len(content))
	mark, encoding = next(
		((mark, name) for mark, name in BYTE_ORDER_MARKS if content.startswith(mark)), (b"", "utf-8")
	)
	_check_text(content, len(mark), encoding)
	raw = io.BytesIO(content)
	raw.seek(len(mark))
	lines = io.TextIOWrapper(raw, encoding, newline="")
	columns = _read_header(lines.readline())
	frappe.db.savepoint("address_list")
	try:
		return _store(bulk_update_name, columns, lines)
	except ConsentError:
		frappe.db.rollback(save_point="address_list")
		raise


def _check_size(size: int) -> None:
	if size > MOST_BYTES:
		raise AddressListNotReadable(
			_("Address List has {0} bytes, {1} are allowed. Split it into several files.").format(
				size, MOST_BYTES
			)
		)
	if not size:
		raise AddressListNotReadable(_("Address List is empty. Attach a CSV file with one address a line."))


def _check_text(content: bytes, start: int, encoding: str) -> None:
	"""Decode all of it once, a part at a time, before anything is stored."""
	decoder = codecs.getincrementaldecoder(encoding)()
	line = 1
	for at in range(start, len(content), PART):
		end = min(at + PART, len(content))
		try:
			text = decoder.decode(content[at:end], final=end == len(content))
		except UnicodeDecodeError as error:
			line += error.object[: error.start].decode(encoding, "ignore").count("\n")
			raise AddressListNotReadable(
				_(
					"Address List: byte {0} of the file, in line {1}, is {2} and not {3}. "
					"Save the list as CSV UTF-8."
				).format(
					end - len(error.object) + error.start + 1,
					line,
					f"0x{error.object[error.start]:02X}",
					encoding.upper(),
				)
			) from None
		if "\0" in text:
			raise AddressListNotReadable(
				_(
					"Address List: line {0} has a NUL character, as no text has. Save the list as CSV UTF-8."
				).format(line + text[: text.index("\0")].count("\n"))
			)
		line += text.count("\n")


def _read_header(line: str) -> _Columns:
	"""Find the columns, by the delimiter that makes most of the header."""
	if len(line) > LONGEST_HEADER:
		raise _no_header(line)
	headers = [(delimiter, _split(line, delimiter)) for delimiter in DELIMITERS]
	delimiter, names = max(headers, key=lambda header: (len(_fields(header[1])), len(header[1])))
	found = _fields(names)
	if "email" not in found:
		raise _no_header(line)
	if len(names) > MOST_COLUMNS:
		raise AddressListNotReadable(
			_("Address List has {0} columns, {1} are allowed. Remove those that aren't needed.").format(
				len(names), MOST_COLUMNS
			)
		)
	for positions in found.values():
		if len(positions) > 1:
			raise AddressListNotReadable(
				_("Address List has several columns for the same: {0}. Keep one of them.").format(
					", ".join(_shown(names[at]) for at in positions)
				)
			)
	return _Columns(delimiter, names, {field: positions[0] for field, positions in found.items()})


def _no_header(line: str) -> AddressListNotReadable:
	return AddressListNotReadable(
		_(
			"Address List: no column of addresses in the first line, {0}. Name the columns there, one Email."
		).format(frappe.bold(_shown(line)))
	)


def _split(line: str, delimiter: str) -> list[str]:
	try:
		return [name.strip() for name in next(csv.reader([line], delimiter=delimiter, strict=True), [])]
	except csv.Error:
		return []


def _fields(names: list[str]) -> dict[str, list[int]]:
	"""Return where each of our fields stands in the header."""
	plain = [re.sub(r"[\W_]", "", unicodedata.normalize("NFC", name).casefold()) for name in names]
	found = {field: [at for at, name in enumerate(plain) if name in known] for field, known in NAMES.items()}
	found["email"] = found["email"] or [at for at, name in enumerate(plain) if name in VAGUE_NAMES]
	return {field: positions for field, positions in found.items() if positions}


def _store(bulk_update: str, columns: _Columns, lines: io.TextIOWrapper) -> ListCheck:
	frappe.db.delete(LINE, {"bulk_update": bulk_update})
	errors = _Errors()
	sources = _sources()
	first_lines: dict[str, int] = {}
	stored = 0
	records = _records(columns, lines, errors)
	while part := list(islice(records, AT_ONCE)):
		rows = _rows(part, columns, sources, first_lines, errors)
		name = {"bulk_update": bulk_update}
		ledger.insert(LINE, ({"name": f"{bulk_update}-{row['line']}"} | name | row for row in rows))
		stored += len(rows)
	if not stored and not errors.total:
		raise AddressListNotReadable(_("Address List has a header and no lines. Add one address a line."))
	ignored = [
		_shown(name) if name else _("Column {0}").format(at)
		for at, name in enumerate(columns.names, start=1)
		if at - 1 not in columns.fields.values()
	]
	return ListCheck(stored, errors.listed, errors.total, ignored)


def _sources() -> dict[str, str]:
	"""Return the Consent Sources in use by their names in small letters, as stored and as translated."""
	names = frappe.get_all("Consent Source", {"enabled": 1}, pluck="name")
	return {_(name).casefold(): name for name in names} | {name.casefold(): name for name in names}


def _records(columns: _Columns, lines: io.TextIOWrapper, errors: _Errors) -> Iterator[_Record]:
	"""Yield the rows that have as many cells as the header; blank ones are passed over."""
	reader = csv.reader(lines, delimiter=columns.delimiter, strict=True)
	line, seen = 2, 0
	try:
		for cells in reader:
			if any(cell.strip() for cell in cells):
				seen += 1
				if seen > MOST_LINES:
					raise AddressListNotReadable(
						_("Address List has more than {0} lines. Split it into several files.").format(
							MOST_LINES
						)
					)
				if len(cells) == len(columns.names):
					yield _Record(line, cells)
				else:
					problem = _(
						"has {0} cells, the header has {1}. Put quotes around text with a {2}."
					).format(
						len(cells),
						len(columns.names),
						_("tab") if columns.delimiter == "\t" else columns.delimiter,
					)
					errors.add(line, "", columns.delimiter.join(cells), problem)
			line = reader.line_num + 2
	except csv.Error:
		# After it nobody can tell where a row begins.
		raise AddressListNotReadable(
			_(
				"Address List: the row in line {0} can't be told from the next ones. "
				"Close each quote, and write a quote within quotes twice."
			).format(line)
		) from None


def _rows(
	records: list[_Record],
	columns: _Columns,
	sources: dict[str, str],
	first_lines: dict[str, int],
	errors: _Errors,
) -> list[dict[str, Any]]:
	"""Return what is to be stored of records, and list what is wrong with the others."""
	keys = address_keys(record.cells[columns.fields["email"]] for record in records)
	rows = []
	for line, cells in records:
		given = {field: cells[at] for field, at in columns.fields.items()}
		row: dict[str, Any] = {
			"line": line,
			"email": None,
			"given_on": None,
			"source": None,
			"evidence": None,
		}
		problems = {}
		for field, cell in given.items():
			problem = _problem_of_cell(field, cell)
			if not problem:
				row[field], problem = _value(field, cell.strip(), keys.get(cell), sources)
			if problem:
				problems[field] = problem
		key = keys[given["email"]]
		if not problems and key:
			first = first_lines.setdefault(key, line)
			if first != line:
				problems["email"] = _("is in line {0} already, which counts. Remove one of the two.").format(
					first
				)
		for field, problem in problems.items():
			errors.add(line, columns.label(field), given[field], problem)
		if not problems:
			rows.append(row)
	return rows


def _problem_of_cell(field: str, cell: str) -> str | None:
	"""Say what forbids any value: its length, its first character, what can't be seen."""
	if len(cell) > LONGEST[field]:
		return _("is longer than {0} characters. Shorten it.").format(LONGEST[field])
	if _is_formula(cell) and not (field == "email" and cell.strip()[:1] == "+" and is_phone_number(cell)):
		return _("starts as a formula does, with = + - @ or a tab. Start it with a letter or a digit.")
	if (CONTROLS_IN_TEXT if field == "evidence" else CONTROLS).search(cell.replace("\r\n", "\n")):
		return _("has control characters. Type it anew.")
	return None


def _is_formula(cell: str) -> bool:
	starts = (cell[:1], cell.strip()[:1])
	return any(unicodedata.normalize("NFKC", start) in STARTS_A_FORMULA for start in starts if start)


def _value(field: str, text: str, key: str | None, sources: dict[str, str]) -> tuple[Any, str | None]:
	"""Return what a cell means, and what is wrong with it."""
	if field == "email":
		if not key:
			return None, _("isn't an address. Write one such as name@example.com.")
		return (bare(text) if "<" in text else text), None
	if not text:
		return None, None
	if field == "given_on":
		return _date(text)
	if field == "source":
		name = sources.get(text.casefold())
		return name, None if name else _("isn't an enabled Consent Source. Use one of {0}.").format(
			", ".join(escape_html(name) for name in list(sources.values())[:20])
		)
	# The bulk insert goes past what Frappe does to the text of documents. It is slow, and most is no markup.
	return (sanitize_html(text) if "<" in text else text), None


def _date(text: str) -> tuple[datetime | None, str | None]:
	try:
		instant = parse_utc(text, "")
	except InvalidPeriod:
		return None, _("isn't a date. Write it as 2026-03-01 or 2026-03-01T09:00:00Z (UTC).")
	if instant and not EARLIEST <= instant <= now_utc():
		return None, _("lies in the future, or before {0}. Write when the person agreed.").format(
			EARLIEST.year
		)
	return instant, None


def _shown(value: str) -> str:
	text = CONTROLS.sub(" ", value).strip()
	return escape_html(text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…")
