"""A person's package: how the file is made, kept, handed out once and deleted (DS-24, TK-09).

What is in it says the module of the right: `access` (Art. 15) or `portability` (Art. 20). Parts are written
to disk as they are read, so that memory stays flat however much there is.
"""

import csv
import hashlib
import json
import os
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from werkzeug.wrappers import Response
from werkzeug.wsgi import FileWrapper

import frappe
from frappe import _
from frappe.core.doctype.access_log.access_log import make_access_log
from frappe.utils import cint, get_datetime, get_site_path, get_url, now_datetime

from gdpr_consent import identity, links
from gdpr_consent.exceptions import PackageNotPossible
from gdpr_consent.failures import log_failure
from gdpr_consent.reports.common import safe_cell
from gdpr_consent.rights import letters, requests, subject, traces

FOLDER = "gdpr_packages"  # beside private/files: no address leads there, and no backup takes it along
VALID_FOR = timedelta(hours=72)  # TK-05
LONGEST = 6 * 60 * 60  # seconds that making one may take
FIRST, LAST = 1, 100  # of the progress
RIGHTS = (requests.Right.ACCESS.value, requests.Right.PORTABILITY.value)
MANIFEST = "manifest.json"
PIECE = 64 * 1024  # bytes


# --- how it is written --------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
	"""Return a value as JSON has it; instants and numbers in full."""
	return value if isinstance(value, str | int | float | bool | None) else str(value)


class Package:
	"""The parts of a package, on disk. `counts`: rows by DocType; `left_out`: what isn't in it, and why."""

	def __init__(self, folder: Path) -> None:
		self.folder = folder
		self.counts: dict[str, int] = {}
		self.left_out: list[str] = []
		self.bytes_of_files = 0
		self._data = self.open("data.json")
		self._data.write("{\n")
		self._is_first_part = True

	def open(self, name: str) -> Any:
		path = self.folder / name
		path.parent.mkdir(exist_ok=True)
		return open(path, "w", encoding="utf-8", newline="")

	def text(self, name: str, content: str) -> None:
		with self.open(name) as file:
			file.write(content)

	def binary(self, name: str, content: bytes) -> None:
		(self.folder / name).write_bytes(content)

	def copy(self, name: str, source: Path) -> None:
		(self.folder / name).parent.mkdir(exist_ok=True)
		shutil.copyfile(source, self.folder / name)
		self.bytes_of_files += source.stat().st_size

	def part(self, name: str, content: Any) -> None:
		"""Write a part of data.json."""
		self._start(name)
		self._data.write(json.dumps(content, ensure_ascii=False, indent=1, default=str))

	def _start(self, name: str) -> None:
		self._data.write("" if self._is_first_part else ",\n")
		self._data.write(f"{json.dumps(name, ensure_ascii=False)}: ")
		self._is_first_part = False

	def tables(self, tables: Iterable["Table"]) -> None:
		"""Write the rows of DocTypes, to data.json under `records` and each to a CSV file of its own."""
		self._start("records")
		self._data.write("{")
		comma = ""
		with self.open("csv/fields.csv") as file:
			fields = csv.writer(file)
			fields.writerow(("doctype", "field", "label"))
			for table in tables:
				if self._table(table, comma):
					comma = ","
					fields.writerows((table.doctype, *one) for one in table.labels.items())
		self._data.write("\n}")

	def _table(self, table: "Table", comma: str) -> int:
		rows = iter(table.rows)
		first = next(rows, None)
		if first is None:
			return 0
		about = {"label": _(table.doctype), "fields": table.labels}
		self._data.write(f"{comma}\n{json.dumps(table.doctype)}: ")
		self._data.write(json.dumps(about, ensure_ascii=False)[:-1] + ', "rows": [')
		count = 0
		with self.open(f"csv/{frappe.scrub(table.doctype).replace(':', '')}.csv") as file:
			sheet = csv.writer(file)
			sheet.writerow(table.labels)
			for row in _chained(first, rows):
				values = [plain(row.get(field)) for field in table.labels]
				told = dict(zip(table.labels, values, strict=True))
				self._data.write(("," if count else "") + "\n" + json.dumps(told, ensure_ascii=False))
				sheet.writerow([safe_cell(value) for value in values])
				count += 1
		self._data.write("]}")
		self.counts[table.doctype] = count
		return count

	def close(self) -> None:
		self._data.write("\n}\n")
		self._data.close()

	def zip_to(self, target: Path, about: dict[str, Any]) -> None:
		"""Pack everything, with a manifest that says the SHA-256 of each file."""
		hashes: dict[str, str] = {}
		with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as packed:
			for path in sorted(self.folder.rglob("*")):
				if path.is_file():
					name = str(path.relative_to(self.folder))
					hashes[name] = sha256_of(path)
					packed.write(path, name)
			manifest = about | {"rows": self.counts, "left_out": self.left_out, "sha256": hashes}
			packed.writestr(MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=1))
		target.chmod(0o600)


class Table(NamedTuple):
	"""Rows of a DocType to be written: the label of each field, and the values by field.

	`doctype`: of a table within another DocType, that and its own: "Sales Invoice: Sales Invoice Item".
	"""

	doctype: str
	labels: dict[str, str]
	rows: Iterable[dict[str, Any]]


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
	yield first
	yield from rest


def sha256_of(path: Path) -> str:
	with open(path, "rb") as file:
		return (
			hashlib.file_digest(file, "sha256").hexdigest()
			if hasattr(hashlib, "file_digest")
			else _digest(file)
		)


def _digest(file: BinaryIO) -> str:
	digest = hashlib.sha256()  # Python 3.10 has no file_digest
	while block := file.read(1 << 20):
		digest.update(block)
	return digest.hexdigest()


# --- making one ---------------------------------------------------------------------------------------------


def start(request: str) -> None:
	"""Queue the making of a package, in place of the one that there may be.

	Raises:
		RequestNotPossible: it isn't In Progress: it is closed, or it isn't known who asks (Art. 12(6)).
		PackageNotPossible: a request of another kind.
	"""
	doc = _checked(request)
	requests.write(request, package_progress=FIRST)
	frappe.enqueue(
		"gdpr_consent.rights.package.make",
		queue="long",
		timeout=LONGEST,
		job_id=f"gdpr_package_{doc.name}",
		deduplicate=True,
		enqueue_after_commit=True,
		request=doc.name,
	)


def _checked(request: str) -> Any:
	doc = requests.get(request, requests.Status.IN_PROGRESS)
	if doc.right not in RIGHTS:
		raise PackageNotPossible(
			_("{0} asks for {1}. A package is made for requests for {2}.").format(
				frappe.bold(doc.name), _(doc.right), " / ".join(_(right) for right in RIGHTS)
			)
		)
	return doc


def make(request: str) -> None:
	"""Make the package of a request: the job."""
	from gdpr_consent.rights import access, portability

	write = {RIGHTS[0]: access.write, RIGHTS[1]: portability.write}
	doc = _checked(request)
	frappe.db.commit()  # nosemgrep: the request stays free for others while this takes its time
	target = _new_path()
	try:
		with tempfile.TemporaryDirectory(dir=folder()) as parts, letters.in_language_of(doc):
			package, person = Package(Path(parts)), subject.of_request(doc)
			traces.locate(person)  # what came since this connection last looked belongs in it
			write[doc.right](package, doc, person, lambda done: _note_progress(doc.name, done))
			package.close()
			of_what = {"request": doc.name, "right": doc.right, "made_on": frappe.utils.now()}
			package.zip_to(target, of_what)
	except Exception:
		frappe.db.rollback()
		target.unlink(missing_ok=True)
		log_failure("The package of a request couldn't be made", request)
		requests.write(request, package_progress=0)
		requests.note(request, _("The package couldn't be made. Error Log says why."))
		frappe.db.commit()  # nosemgrep: whoever waits for it is told
		raise
	_remove_file(doc.package_file)
	requests.write(
		request,
		package_file=f"{FOLDER}/{target.name}",
		package_progress=LAST,
		package_expires_on=now_datetime() + VALID_FOR,
		package_token_hash=None,
		package_downloaded_on=None,
	)
	requests.note(request, _("The package was made."))
	frappe.db.commit()  # nosemgrep: the file is there, so the request must say so


def _note_progress(request: str, done: float) -> None:
	progress = max(FIRST, min(LAST - 1, int(100 * done)))
	requests.write(request, package_progress=progress)
	frappe.db.commit()  # nosemgrep: whoever waits sees it
	frappe.publish_progress(
		progress, title=_("Making the package"), doctype=requests.DOCTYPE, docname=request
	)


def folder() -> Path:
	path = Path(get_site_path("private", FOLDER)).resolve()
	path.mkdir(mode=0o700, exist_ok=True)
	return path


def _new_path() -> Path:
	return folder() / f"{secrets.token_hex(16)}.zip"


def _path_of(package_file: str | None) -> Path | None:
	path = folder() / Path(package_file).name if package_file else None
	return path if path and path.is_file() else None


def _remove_file(package_file: str | None) -> None:
	if path := _path_of(package_file):
		path.unlink(missing_ok=True)


# --- handing it out -----------------------------------------------------------------------------------------


def status(request: str) -> dict[str, Any]:
	"""Return for the request's form: progress, what is inside, until when it is there, whether it was taken.

	Returns:
		`progress`, `is_there`, `expires_on`, `downloaded_on`, `link_sent`, `rows` by DocType, `left_out`,
		`addresses` that the link may go to
	"""
	doc = requests.read(request)
	path = _path_of(doc.package_file)
	manifest = _manifest_of(path) if path else {}
	return {
		"progress": cint(doc.package_progress),
		"is_there": bool(path),
		"expires_on": doc.package_expires_on,
		"downloaded_on": doc.package_downloaded_on,
		"link_sent": bool(doc.package_token_hash),
		"rows": manifest.get("rows", {}),
		"left_out": manifest.get("left_out", []),
		"addresses": addresses(doc),
	}


def _manifest_of(path: Path) -> dict[str, Any]:
	with zipfile.ZipFile(path) as packed:
		return json.loads(packed.read(MANIFEST))


def send_link(request: str, address: str | None = None) -> None:
	"""Mail the person the link, to an address that is known to be theirs, and close the request.

	Args:
		address: one of `addresses`, if there are several.

	Raises:
		RequestNotPossible: neither In Progress nor Fulfilled.
		PackageNotPossible: there is no package, or the address isn't known to be the person's.
	"""
	doc = requests.get(request, requests.Status.IN_PROGRESS, requests.Status.FULFILLED)
	if not _path_of(doc.package_file):
		raise PackageNotPossible(_("There is no package. Prepare it first."))
	address = _checked_address(doc, address)
	token = secrets.token_urlsafe(32)
	expires_on = now_datetime() + VALID_FOR
	with letters.in_language_of(doc):
		sent = letters.send(
			doc,
			_("Your data are ready: {0}").format(doc.name),
			[
				_("This is what you asked for: {0}.").format(letters.what_is_asked(doc)),
				_("Open this page and press the button there. It works once, until {0}.").format(
					frappe.utils.format_datetime(expires_on)
				),
				_("Whoever has the link gets the data, so keep it to yourself."),
			],
			url=get_url(f"/consent/package?t={token}"),
			closing=[letters.your_rights()],
			to=address,
		)
	if not sent:
		raise PackageNotPossible(_("The site can't send mail. Download the package and hand it over."))
	requests.write(
		request, package_token_hash=_hash(token), package_expires_on=expires_on, package_downloaded_on=None
	)
	if doc.status == requests.Status.IN_PROGRESS.value:
		requests.close_fulfilled(request, _("The link to the data was sent."))


def addresses(request: Any) -> list[str]:
	"""List the e-mail addresses that the link may go to, the one that the request came from first.

	They are those on the person's records: whoever asked from elsewhere was known by one of them (DS-07). Of
	somebody of whom there are no records, it is the one that was confirmed.
	"""
	found: dict[str, str] = {}
	for row in request.records:
		if row.included:
			of_user = row.party_type == "User"
			on_record = [row.party] if of_user else identity.addresses_of(row.party_type, row.party)
			mail = [address for address in on_record if not identity.is_phone_number(address)]
			found |= {key: address for address, key in identity.address_keys(mail).items() if key}
	if not found and request.email:
		return [request.email]
	return [address for _key, address in sorted(found.items(), key=lambda one: one[0] != request.address_key)]


def _checked_address(request: Any, address: str | None) -> str:
	known = addresses(request)
	keys = identity.address_keys(known)
	if address:
		if identity.address_keys([address])[address] in keys.values():
			return address
	elif len(known) == 1 or (known and keys[known[0]] == request.address_key):
		return known[0]
	raise PackageNotPossible(
		_("Choose where the link goes: {0}.").format(frappe.utils.escape_html(", ".join(known)))
		if known
		else _("No E-mail Address is known to be the person's. Download the package and hand it over.")
	)


def _hash(token: str) -> str:
	return hashlib.sha256(token.encode()).hexdigest()


def behind_link(token: str) -> frappe._dict:
	"""Return name, language, company and expiry of the request whose package a link is for.

	Raises:
		LinkNotValid: wrong, too old, or used (410).
	"""
	found = (
		frappe.db.get_value(
			requests.DOCTYPE,
			{"package_token_hash": _hash(token)},
			["name", "language", "company", "package_file", "package_expires_on", "package_downloaded_on"],
			as_dict=True,
		)
		if token
		else None
	)
	if not found or found.package_downloaded_on or get_datetime(found.package_expires_on) <= now_datetime():
		raise links.not_valid()
	return found


def take(token: str) -> BinaryIO:
	"""Return the package that a link is for, open to be read, and delete it: the link works once.

	Raises:
		LinkNotValid: see `behind_link`; also if somebody else was quicker.
	"""
	found = behind_link(token)
	path = _path_of(found.package_file)
	request = frappe.qb.DocType(requests.DOCTYPE)
	taken = (
		frappe.qb.from_(request)
		.select(request.name)
		.where((request.name == found.name) & request.package_downloaded_on.isnull())
		.for_update()
		.run()
	)
	if not (taken and path):
		raise links.not_valid()
	file = open(path, "rb")
	requests.write(found.name, package_downloaded_on=now_datetime(), package_file=None)
	requests.note(found.name, _("The person has downloaded the package."))
	frappe.db.commit()  # nosemgrep: it works once, whatever becomes of the answer
	path.unlink(missing_ok=True)  # what is open can still be read
	return file


def open_for_officer(request: str) -> BinaryIO:
	"""Return the package of a request for whoever hands it over. The person's own link goes on working.

	Raises:
		PackageNotPossible: there is none.
	"""
	doc = requests.get(request)
	path = _path_of(doc.package_file)
	if not path:
		raise PackageNotPossible(_("There is no package. Prepare it first."))
	make_access_log(
		doctype=requests.DOCTYPE, document=doc.name, file_type="ZIP", method="gdpr_consent package"
	)
	requests.note(doc.name, _("The package was downloaded in the desk."))
	return open(path, "rb")


def answer_with(file: BinaryIO, request: str) -> Response:
	"""Return an answer that hands out a package piece by piece; its name holds nothing about the person."""
	response = Response(FileWrapper(file, PIECE), mimetype="application/zip", direct_passthrough=True)
	response.headers["Content-Disposition"] = f'attachment; filename="{request}.zip"'
	response.headers["Content-Length"] = str(os.fstat(file.fileno()).st_size)
	response.call_on_close(file.close)
	return response


def delete_expired() -> None:
	"""Delete the packages whose time is over, and what an interruption has left behind."""
	request = frappe.qb.DocType(requests.DOCTYPE)
	for name, file in (
		frappe.qb.from_(request)
		.select(request.name, request.package_file)
		.where(request.package_file.isnotnull() & (request.package_file != ""))
		.where(request.package_expires_on <= now_datetime())
		.run()
	):
		_remove_file(file)
		requests.write(name, package_file=None, package_token_hash=None, package_progress=0)
	limit = datetime.now() - VALID_FOR - timedelta(hours=1)
	for path in folder().iterdir():
		if datetime.fromtimestamp(path.stat().st_mtime) < limit:
			shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def forget(request: str) -> None:
	"""Delete the package of a request at once, as after an erasure."""
	_remove_file(frappe.db.get_value(requests.DOCTYPE, request, "package_file"))
	requests.write(request, package_file=None, package_token_hash=None)
