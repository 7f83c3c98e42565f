"""Tries ways to read a field, as users do it over HTTP, and finds what reached them (FP-02).

Imports nothing of gdpr_consent, so that plain ERPNext can be tried with the same paths.
"""

import gzip
import html
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from email import message_from_string
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from threading import Thread
from typing import Any, NamedTuple

import openpyxl
import pypdf
import requests
from canaries import (
	CONTROL,
	GUEST,
	MANAGER,
	PROTECTED,
	STAFF,
	Canaries,
	Planted,
	fields_of,
)
from conftest import DESK as DESK_PATH

import frappe
from frappe.email.queue import flush, get_queue
from frappe.installer import update_site_config

DOCTYPES = tuple(PROTECTED)
DESK = (STAFF, MANAGER)
ORACLE = "a guess confirmed"
OWN_SCRIPTS = "Jinja with a query of its own"


# --- what an answer says ------------------------------------------------------------------------------------


def texts_of(content: bytes) -> Iterator[str]:
	"""All that can be read in bytes, whatever kind of file they are."""
	if content[:2] == b"\x1f\x8b":
		yield from texts_of(gzip.decompress(content))
	elif content[:4] == b"%PDF":
		yield from (page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages)
	elif content[:2] == b"PK":
		try:
			book = openpyxl.load_workbook(io.BytesIO(content))
		except KeyError:  # not a workbook
			with zipfile.ZipFile(io.BytesIO(content)) as files:
				for name in files.namelist():
					yield from texts_of(files.read(name))
			return
		for sheet in book:
			yield from ("\t".join(str(cell) for cell in row) for row in sheet.values)
	else:
		text = content.decode(errors="replace")
		yield text
		yield html.unescape(text)


def texts_of_mail(content: str) -> Iterator[str]:
	message = message_from_string(content, policy=default)
	yield from (f"{name}: {value}" for name, value in message.items())
	for part in message.walk():
		if not part.is_multipart():
			yield from texts_of(part.get_payload(decode=True) or b"")


# --- somebody at the site -----------------------------------------------------------------------------------


class Session:
	"""One user's, by cookie and CSRF token."""

	def __init__(self, web, user: str | None) -> None:
		self.web, self.user, self.cookies, self.token = web, user, {}, ""
		if user:
			answer = web.call("POST", "/api/method/login", data={"usr": user, "pwd": "admin"})
			assert answer.status_code == 200, answer.text
			self.cookies = answer.cookies.get_dict()
			for page in (DESK_PATH, "/me"):
				text = web.call("GET", page, cookies=self.cookies).text
				if found := re.search(r"csrf_token = \"(\w+)\"", text):
					self.token = found[1]
					break

	def call(self, method: str, path: str, **more: Any) -> requests.Response:
		headers = {"X-Frappe-CSRF-Token": self.token, "Accept": "application/json"} | more.pop("headers", {})
		return self.web.call(method, path, cookies=self.cookies, headers=headers, **more)


class Visit:
	"""One reader's try of one case of one path: what they asked, and all they got."""

	def __init__(self, session: Session, reader: str, case: str, trial: "ReadTrial") -> None:
		self.session, self.reader, self.case, self.trial = session, reader, case, trial
		self.planted = trial.planted
		self.marker = f"mk{frappe.generate_hash(length=10)}"
		self.seen: list[str] = []
		self.guessed: list[str] = []  # what they knew before they asked
		self.statuses: list[int] = []
		self.errors: list[str] = []
		self.told = False

	@property
	def user(self) -> str:
		return self.session.user

	# asking

	def call(self, method: str, path: str, **more: Any) -> requests.Response:
		answer = self.session.call(method, path, **more)
		self.statuses.append(answer.status_code)
		if answer.status_code >= 400:
			self.errors.append(f"{answer.status_code} {path}: {answer.text[-400:]}")
		self.seen += texts_of(answer.content)
		return answer

	def get(self, path: str, **params: Any) -> requests.Response:
		return self.call("GET", path, params=_as_text(params))

	def method(self, name: str, /, **arguments: Any) -> requests.Response:
		"""As the desk calls: a form, whose lists and dicts are JSON."""
		return self.call("POST", f"/api/method/{name}", data=_as_text(arguments))

	def result(self, name: str, /, **arguments: Any) -> Any:
		answer = self.method(name, **arguments)
		return answer.json().get("message") if answer.ok else None

	def document(self, doctype: str, name: str) -> dict:
		"""A document as the desk's form holds it. To have got it is another path."""
		answer = self.session.call(
			"GET", "/api/method/frappe.desk.form.load.getdoc", params={"doctype": doctype, "name": name}
		)
		return answer.json()["docs"][0] if answer.ok else {"doctype": doctype, "name": name}

	def show(self, *texts: str) -> None:
		"""What reached the reader by another way than an answer."""
		self.seen += texts

	def mails(self) -> None:
		for delivery in self.trial.deliveries:
			if delivery.to.lower() == self.user.lower():
				texts = [*texts_of_mail(delivery.content)]
				if any(self.marker in text for text in texts):
					self.seen += texts

	def guess(self, ask: Callable[[str], requests.Response], right: str, wrong: str | None = None) -> None:
		"""An oracle: two questions that differ in the guess alone, and get answers that differ in more."""
		wrong = wrong or _other(right)
		self.guessed.append(right)
		answers = [ask(value) for value in (right, wrong)]
		self.compare(
			*answers,
			_without_times(answers[0].text.replace(right, "?")),
			_without_times(answers[1].text.replace(wrong, "?")),
		)

	def compare(
		self,
		one: requests.Response,
		other: requests.Response,
		said: str | None = None,
		otherwise: str | None = None,
	) -> None:
		"""Two errors tell nothing: they differ in their numbers at least."""
		if one.ok or other.ok:
			said, otherwise = said or one.text, otherwise or other.text
			self.told = self.told or (one.ok, said) != (other.ok, otherwise)

	# judging

	@property
	def refused(self) -> bool:
		return bool(self.statuses) and all(status >= 400 for status in self.statuses)

	def found(self, canaries: Canaries) -> set[str]:
		unknown = Canaries()
		unknown.all = [canary for canary in canaries.all if canary.value not in self.guessed]
		return unknown.seen_in(self.seen) | ({ORACLE} if self.told else set())


def _as_text(values: dict[str, Any]) -> dict[str, Any]:
	return {
		name: value if isinstance(value, str | int | bytes) else json.dumps(value, default=str)
		for name, value in values.items()
	}


def _other(value: str) -> str:
	"""A text as long, that is wrong from its fourth letter on."""
	return value[:3] + "".join("8" if letter != "8" else "9" for letter in value[3:])


def _without_times(text: str) -> str:
	return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*", "", text)


# --- the paths ----------------------------------------------------------------------------------------------


class Path(NamedTuple):
	name: str
	drive: Callable[[Visit], Any]  # a generator yields where the worker must run
	cases: tuple[str, ...]
	readers: tuple[str, ...]
	control: str | None  # who proves that the path shows canaries; None where plain ERPNext proves it
	closed: dict[str, str]  # the cases in which Frappe answers nobody, and why


PATHS: list[Path] = []


def path(
	name: str,
	cases: Iterable[str] = ("",),
	readers: tuple[str, ...] = DESK,
	control: str | None = CONTROL,
	closed: dict[str, str] | None = None,
) -> Callable:
	def add(drive: Callable[[Visit], Any]) -> Callable:
		PATHS.append(Path(name, drive, tuple(cases), readers, control, closed or {}))
		return drive

	return add


class Sink:
	"""An HTTP server that remembers what it was really given, by path."""

	def __init__(self) -> None:
		self.got: dict[str, list[str]] = {}
		sink = self

		class Handler(BaseHTTPRequestHandler):
			def do_POST(self) -> None:
				body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
				sink.got.setdefault(self.path.strip("/"), []).append(f"{self.headers} {body.decode()}")
				self.send_response(200)
				self.end_headers()
				self.wfile.write(b"{}")

			def log_message(self, *_arguments) -> None:
				pass

		self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
		self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
		Thread(target=self.server.serve_forever, daemon=True).start()


class Outcome(NamedTuple):
	path: str
	case: str
	leaks: dict[str, list[str]]  # reader -> fields
	proven: bool  # the control saw a canary, or somebody else did
	refused: bool  # nobody without the right got any answer but an error
	errors: list[str]

	@property
	def leaked(self) -> bool:
		return any(self.leaks.values())


class ReadTrial:
	"""All paths, by all readers, on one site."""

	def __init__(self, planted: Planted, web, deliveries: list, work_off_jobs: Callable[[], None]) -> None:
		self.planted, self.web, self.deliveries, self.work_off_jobs = planted, web, deliveries, work_off_jobs
		self.sink = Sink()
		self.things: dict[str, Any] = {}
		self.troubles: list[str] = []

	def once(self, key: str, make: Callable[[], Any]) -> Any:
		"""What an administrator has set up before anybody reads."""
		if key not in self.things:
			frappe.db.rollback()
			self.things[key] = make()
			frappe.db.commit()
		return self.things[key]

	def mail_texts(self, content: str) -> list[str]:
		return [*texts_of_mail(content)]

	def run(self, only: str = "") -> list[Outcome]:
		# What makes PDFs looks for styles and pictures there, and gives up if it can't find the host.
		before = frappe.conf.get("host_name")
		update_site_config("host_name", self.web.base)
		frappe.local.conf.host_name = self.web.base
		as_pdf = frappe.db.get_single_value("Print Settings", "send_print_as_pdf")
		frappe.db.set_single_value(
			"Print Settings", "send_print_as_pdf", 0
		)  # what mails carry, many times faster
		try:
			return self._run(only)
		finally:
			frappe.db.rollback()
			frappe.db.set_single_value("Print Settings", "send_print_as_pdf", as_pdf)
			frappe.db.commit()
			update_site_config("host_name", before or "None")
			frappe.local.conf.host_name = before

	def _run(self, only: str) -> list[Outcome]:
		self.sessions = {name: Session(self.web, user) for name, user in self.planted.users.items()}
		self.sessions[GUEST] = Session(self.web, None)
		visits, waiting = [], []
		for one in PATHS:
			if only and not re.search(only, one.name):
				continue
			for case in one.cases:
				readers = [*one.readers, *([one.control] if one.control else [CONTROL])]
				for reader in readers:
					visit = Visit(self.sessions[reader], reader, case, self)
					visits.append((one, visit))
					if self._begin(one, visit):
						waiting.append(visit)
		while waiting:
			frappe.db.commit()
			self.work_off_jobs()
			self._flush()
			self.work_off_jobs()
			waiting = [visit for visit in waiting if self._continue(visit)]
		return self._judge(visits)

	def _begin(self, one: Path, visit: Visit) -> bool:
		try:
			visit.rest = one.drive(visit)
		except Exception as error:
			visit.errors.append(f"{type(error).__name__}: {error}")
			return False
		return hasattr(visit.rest, "send") and self._continue(visit)

	def _continue(self, visit: Visit) -> bool:
		try:
			next(visit.rest)
		except StopIteration:
			return False
		except Exception as error:
			visit.errors.append(f"{type(error).__name__}: {error}")
			return False
		return True

	def _flush(self) -> None:
		before = None
		while (waiting := sorted(row.name for row in get_queue())) and waiting != before:
			before = waiting
			try:
				flush()
			except frappe.ValidationError as error:  # too many failures: those mails reach nobody
				self.troubles.append(str(error))
			frappe.db.commit()

	def _judge(self, visits: list[tuple[Path, Visit]]) -> list[Outcome]:
		grouped: dict[tuple[str, str], list[tuple[Path, Visit]]] = {}
		for one, visit in visits:
			grouped.setdefault((one.name, visit.case), []).append((one, visit))
		outcomes = []
		for (name, case), pairs in grouped.items():
			*others, _control = pairs
			outcomes.append(
				Outcome(
					name,
					case,
					{visit.reader: sorted(visit.found(self.planted.canaries)) for _path, visit in others},
					any(visit.found(self.planted.canaries) for _path, visit in pairs),
					all(visit.refused for _path, visit in others),
					[f"{visit.reader}: {error}" for _path, visit in pairs for error in visit.errors],
				)
			)
		return outcomes


def main_field(doctype: str) -> str:
	return fields_of(doctype)[0]


def load_paths() -> list[Path]:
	# In this order, because mails leave traces in timelines.
	for module in ("read_paths", "read_outputs"):
		import_module(module)
	return PATHS
