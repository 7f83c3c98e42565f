"""Looks for a person in every text column of the database and in every file, and takes out what it finds.

What the map knows of is gone by then. This is for what nobody thinks of: a note, a log, a table of another
app, in whatever encoding (DS-17). One statement looks through a table; only its hits are read again.
"""

import gzip
import hashlib
import io
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import frappe

from gdpr_consent.failures import ROW_REFUSED
from gdpr_consent.identity import is_phone_number
from gdpr_consent.rights import spellings
from gdpr_consent.rights.personal_data import Erasure, holdings
from gdpr_consent.rights.subject import PARTY_TYPES, TITLE, Subject
from gdpr_consent.rights.traces import TABLE

TEXT_TYPES = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json")
LONG_TYPES = frozenset({"text", "mediumtext", "longtext", "json"})
# Written by the register and by requests alone, which erase them themselves.
NOT_HERE = (
	*("tabConsent", "tabConsent Event", "tabConsent Event Payload", "tabSuppression", "tabConsent Lock"),
	*("tabData Subject Request", "tabData Subject Request Record", "tabData Subject Request Change"),
)
# A chain of hashes that would break. What it holds is kept with the invoices it is about, and reported.
UNTOUCHED = ("tabTransaction Log",)
KEYS = frozenset({"name", "parent", "parenttype", "parentfield", "file_url", "thumbnail_url"})
MAIL = "content-transfer-encoding"
AT_ONCE = 1_000  # rows
CHUNK, OVERLAP = 4 * 1024 * 1024, 16 * 1024  # octets of a file
LARGEST_ENTRY = 200 * 1024 * 1024  # octets of a packed file
PACKED = (".zip", ".xlsx", ".docx", ".odt", ".ods")
NOT_SEARCHABLE = (".pdf", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".doc", ".xls", ".mp3", ".mp4")


class Left(NamedTuple):
	"""What still names the person after a sweep, and why."""

	where: str
	number: int
	why: str


class Words:
	"""The patterns of one person, for the database and for files."""

	def __init__(self, subject: Subject):
		self.subject = subject
		shared = _names_of_others(subject)
		self.names = [name for name in subject.names if name not in shared]
		self.shared_names = sorted(shared)

	@cached_property
	def addresses_only(self) -> str:
		return _joined(map(spellings.readable, self.subject.addresses))

	@cached_property
	def readable(self) -> str:
		return _joined(map(spellings.readable, (*self.subject.addresses, *self.names)))

	@cached_property
	def in_base64(self) -> dict[str, str]:
		return spellings.in_base64((*self.subject.addresses, *self.names))

	@cached_property
	def addresses_in_base64(self) -> dict[str, str]:
		return spellings.in_base64(self.subject.addresses)

	@cached_property
	def everything(self) -> str:
		return "|".join(filter(None, (self.readable, *self.in_base64)))

	@cached_property
	def runs(self) -> list[str]:
		texts = [text for text in (*self.subject.addresses, *self.names) if not is_phone_number(text)]
		return [run for text in texts if (run := spellings.run_of(text))]

	@cached_property
	def digits(self) -> list[str]:
		return [spellings.digits_of(one) for one in self.subject.addresses if is_phone_number(one)]

	@cached_property
	def cores(self) -> list[str]:
		return spellings.cores((*self.subject.addresses, *self.names))

	@cached_property
	def first_look(self) -> dict[str, str]:
		"""Return patterns that are quick, and find all that `everything` finds, and more: words that no
		encoding changes, or a mail, in which lines may break anywhere."""
		coded = "|".join(map(re.escape, self.cores)) or "(?!)"
		return {
			"look": f"(?i:{'|'.join([*self.runs, *self.digits, MAIL])})",
			"coded": f"(?-i:{coded})",
			"long": f"[A-Za-z0-9+/]{{{min(map(len, self.cores), default=8)}}}",
		}

	def may_be_in(self, octets: bytes) -> bool:
		"""The same for the content of a file."""
		lower = octets.lower()
		return (
			any(run.lower().encode() in lower for run in self.runs)
			or any(core.encode() in octets for core in self.cores)
			or MAIL.encode() in lower
			or any(re.search(digits.encode(), octets) for digits in self.digits)
		)

	@cached_property
	def in_octets(self) -> re.Pattern[bytes]:
		return re.compile(self.everything.encode())


def _joined(patterns: Iterable[str]) -> str:
	found = "|".join(patterns)
	return f"(?i:{found})" if found else ""


def _names_of_others(subject: Subject) -> set[str]:
	"""Say which of the names somebody else has too: those can't be told apart in a text."""
	shared: set[str] = set()
	for doctype in PARTY_TYPES if subject.names else ():
		table = frappe.qb.DocType(doctype)
		query = frappe.qb.from_(table).select(table[TITLE[doctype]]).distinct()
		query = query.where(table[TITLE[doctype]].isin(subject.names))
		theirs = subject.named(doctype)
		found = (query.where(table.name.notin(theirs)) if theirs else query).run(pluck=True)
		shared |= {name for name in subject.names if name.lower() in {str(one).lower() for one in found}}
	return shared


# --- the database -------------------------------------------------------------------------------------------


def database(words: Words, progress: Callable[[], None] = lambda: None) -> tuple[int, list[Left]]:
	"""Take the person's words out of every table, each in a transaction of its own.

	Rows that stand for the person are left: whoever goes on after an interruption knows them by those.

	Returns:
		how many rows were changed, and what is left.
	"""
	changed, left = 0, []
	if not words.everything:
		return changed, left
	typed = _typed_columns()
	known = holdings()
	kept = {one.doctype for one in known if one.erasure == Erasure.KEEP} | {"File"}
	people = tuple(one.doctype for one in known if one.is_person)
	for table, columns in _tables().items():
		if not frappe.db.sql(f"select 1 from `{table}` limit 1"):
			continue
		doctype = table.removeprefix("tab")
		number, rest = _sweep_table(table, columns, words, typed.get(doctype, set()), doctype in kept, people)
		changed += number
		left += rest
		frappe.db.commit()  # nosemgrep: a table is done; an interruption loses nothing
		progress()
	return changed, left


def _tables() -> dict[str, dict[str, tuple[str, int]]]:
	"""Return the text columns of each table, with their type and how many characters they hold."""
	found: dict[str, dict[str, tuple[str, int]]] = {}
	for table, column, kind, length in frappe.db.sql(
		"""select c.table_name, c.column_name, c.data_type, c.character_maximum_length
		from information_schema.columns c join information_schema.tables t
		on t.table_schema = c.table_schema and t.table_name = c.table_name
		where c.table_schema = database() and t.table_type = 'BASE TABLE' and c.data_type in %s
		and c.generation_expression is null and c.table_name not in %s and c.table_name <> %s
		order by c.table_name, c.ordinal_position""",
		(TEXT_TYPES, NOT_HERE, TABLE),
	):
		found.setdefault(table, {})[column] = (kind, length)
	return found


def _typed_columns() -> dict[str, set[str]]:
	"""Return the columns of each DocType that hold an address, a number or a link: no mark is one."""
	found: dict[str, set[str]] = {}
	for kind, parent in (("DocField", "parent"), ("Custom Field", "dt")):
		for doctype, field in frappe.db.sql(
			f"""select {parent}, fieldname from `tab{kind}`
			where fieldtype in ('Link', 'Dynamic Link', 'Phone')
			or (fieldtype = 'Data' and options in ('Email', 'Phone'))"""
		):
			found.setdefault(doctype, set()).add(field)
	return found


def _sweep_table(
	table: str,
	columns: dict[str, tuple[str, int]],
	words: Words,
	typed: set[str],
	may_be_kept: bool,
	people: tuple[str, ...],
) -> tuple[int, list[Left]]:
	short = [f"`{column}`" for column, (kind, _length) in columns.items() if kind not in LONG_TYPES]
	long = [f"`{column}`" for column, (kind, _length) in columns.items() if kind in LONG_TYPES]
	texts = [f"concat_ws('\\n', {', '.join(short)})"] * bool(short) + long
	values: dict[str, Any] = {
		"words": words.everything,
		"doctype": table.removeprefix("tab"),
		"people": people,
	}
	look = "{0} regexp %(look)s or ({0} regexp %(long)s and {0} regexp %(coded)s)"
	may_hit = f"({' or '.join(look.format(text) for text in texts)}){_not_of_people(table, columns)}"
	has_name = "name" in columns
	first = f"select {'name' if has_name else '1'} from `{table}` where {may_hit}"
	looked = frappe.db.sql(f"{first}{'' if has_name else ' limit 1'}", values | words.first_look)
	if not looked:
		return 0, []
	where = f"({' or '.join(f'{text} regexp %(words)s' for text in texts)})"
	if not has_name:
		return _replace(table, columns, words, typed, where, values, addresses_only=False), []
	hits = [
		row[0]
		for start in range(0, len(looked), AT_ONCE)
		for row in frappe.db.sql(
			f"select name from `{table}` where name in %(looked)s and {where}",
			values | {"looked": [row[0] for row in looked[start : start + AT_ONCE]]},
		)
	]
	if not hits:
		return 0, []
	if table in UNTOUCHED:
		return 0, [Left(values["doctype"], len(hits), "kept")]
	kept = _kept_among(table, columns, hits) if may_be_kept or "parenttype" in columns else set()
	problem = None
	for names, addresses_only in (([hit for hit in hits if hit not in kept], False), ([*kept], True)):
		if not names:
			continue
		try:
			_replace(table, columns, words, typed, "name in %(names)s", {"names": names}, addresses_only)
		except ROW_REFUSED as error:
			problem = type(error).__name__
	rest = [
		row[0]
		for row in frappe.db.sql(
			f"select name from `{table}` where name in %(names)s and {where}", values | {"names": hits}
		)
	]
	by_law = [name for name in rest if name in kept]
	others = len(rest) - len(by_law)
	left = [Left(values["doctype"], len(by_law), "kept")] if by_law else []
	left += [Left(values["doctype"], others, problem or "key")] if others else []
	return len(hits), left


def _not_of_people(table: str, columns: dict[str, Any]) -> str:
	theirs = f"exists(select 1 from `{TABLE}` t where t.doctype in %(people)s and t.in_passing = 0 and "
	conditions = (
		f" and not {theirs}t.doctype = %(doctype)s and t.name = `{table}`.name)" if "name" in columns else ""
	)
	if "parenttype" in columns and "parent" in columns:
		conditions += f" and not {theirs}t.doctype = `{table}`.parenttype and t.name = `{table}`.parent)"
	return conditions


def _kept_among(table: str, columns: dict[str, Any], names: list[Any]) -> set[Any]:
	"""Of some rows, name those that the law keeps, and those of tables of such documents."""
	values = {"doctype": table.removeprefix("tab"), "names": names}
	kept = f"select 1 from `{TABLE}` t where t.fate = 'Keep' and t.in_passing = 0"
	ways = f"exists({kept} and t.doctype = %(doctype)s and t.name = x.name)"
	if "parenttype" in columns:
		ways += f" or exists({kept} and t.doctype = x.parenttype and t.name = x.parent)"
	query = f"select x.name from `{table}` x where x.name in %(names)s and ({ways})"
	return {row[0] for row in frappe.db.sql(query, values)}


def _replace(
	table: str,
	columns: dict[str, tuple[str, int]],
	words: Words,
	typed: set[str],
	where: str,
	values: dict[str, Any],
	addresses_only: bool,
) -> int:
	readable = words.addresses_only if addresses_only else words.readable
	coded = words.addresses_in_base64 if addresses_only else words.in_base64
	if not readable:
		return 0
	values = values | {"readable": readable, "mark": spellings.MARK}
	sets = []
	for column, (kind, length) in columns.items():
		if column in KEYS:
			continue
		text = f"`{column}`"
		if column in typed:
			sets.append(f"{text} = if({text} regexp %(readable)s, null, {text})")
			continue
		text = f"regexp_replace({text}, %(readable)s, %(mark)s)"
		if kind in LONG_TYPES:
			for number, (pattern, filler) in enumerate(coded.items()):
				values |= {f"p{number}": pattern, f"f{number}": filler}
				text = f"regexp_replace({text}, %(p{number})s, %(f{number})s)"
		else:
			text = f"left({text}, {int(length)})"
		sets.append(f"`{column}` = {text}")
	if sets:
		frappe.db.sql(f"update `{table}` set {', '.join(sets)} where {where}", values)
		return int(frappe.db._cursor.rowcount)
	return 0


# --- files --------------------------------------------------------------------------------------------------


def files(words: Words, progress: Callable[[], None] = lambda: None) -> tuple[int, list[Left]]:
	"""Blacken the person's words in every file of the site, and in the logs; nothing moves inside a file.

	Returns:
		how many files were changed, and what can't be searched.
	"""
	changed, blind = 0, 0
	if not words.everything:
		return 0, []
	for path, is_log in _paths():
		if path.lower().endswith(NOT_SEARCHABLE):
			blind += not is_log
		elif _clean(path, words):
			changed += 1
			if not is_log:
				_note_new_content(path)
		progress()
	return changed, [Left("File", blind, "not searchable")] if blind else []


def _paths() -> Iterator[tuple[str, bool]]:
	folders = [(frappe.get_site_path(one, "files"), False) for one in ("private", "public")]
	folders += [
		(frappe.get_site_path("logs"), True),
		(os.path.join(frappe.utils.get_bench_path(), "logs"), True),
	]
	for folder, is_log in folders:
		for parent, _folders, names in os.walk(folder):
			yield from ((os.path.join(parent, name), is_log) for name in sorted(names))


def _clean(path: str, words: Words) -> bool:
	lower = path.lower()
	try:
		if lower.endswith(".gz"):
			return _clean_gzip(path, words)
		if lower.endswith(PACKED) and zipfile.is_zipfile(path):
			return _clean_zip(path, words)
		return _blacken(path, words)
	except FileNotFoundError:  # a log that was rotated meanwhile
		return False


def _blacken(path: str, words: Words) -> bool:
	"""Overwrite the words in place, with as many letters: whoever has the file open goes on writing to it."""
	found = False
	with open(path, "rb") as file:
		start, rest = 0, b""
		while block := file.read(CHUNK):
			text = rest + block
			for match in words.in_octets.finditer(text) if words.may_be_in(text) else ():
				found = True
				with open(path, "r+b") as out:
					out.seek(start + match.start())
					out.write(b"x" * len(match.group()))
			kept = min(len(text), OVERLAP)
			start += len(text) - kept
			rest = text[len(text) - kept :]
	return found


def _cleaned(content: bytes, words: Words) -> bytes:
	if not words.may_be_in(content):
		return content
	return words.in_octets.sub(lambda match: b"x" * len(match.group()), content)


def _clean_gzip(path: str, words: Words) -> bool:
	try:
		with gzip.open(path) as packed:
			content = packed.read(LARGEST_ENTRY)
	except (OSError, EOFError):
		return _blacken(path, words)
	if (cleaned := _cleaned(content, words)) == content:
		return False
	_replace_file(path, gzip.compress(cleaned))
	return True


def _clean_zip(path: str, words: Words) -> bool:
	target, found = io.BytesIO(), False
	with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
		for entry in source.infolist():
			content = source.read(entry) if entry.file_size <= LARGEST_ENTRY else b""
			cleaned = _cleaned(content, words)
			found |= cleaned != content
			copy.writestr(entry, cleaned)
	if found:
		_replace_file(path, target.getvalue())
	return found


def _replace_file(path: str, content: bytes) -> None:
	with open(f"{path}.new", "wb") as new:
		new.write(content)
	os.replace(f"{path}.new", path)


def _note_new_content(path: str) -> None:
	url = f"/{os.path.relpath(path, frappe.get_site_path()).removeprefix('public/')}"
	with open(path, "rb") as file:
		digest = hashlib.md5(file.read(), usedforsecurity=False).hexdigest()  # what core compares files by
	frappe.db.set_value("File", {"file_url": url}, "content_hash", digest, update_modified=False)
	frappe.db.commit()  # nosemgrep: a file is done
