"""Whatever is sent to any door: no error of the server, no trace, and nothing done without right.

What there is to send is read from docs/openapi.json, which another test keeps true.
"""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from conftest import BulkUpdates, Web, examples, give, remove_traces
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from read_trial import Session
from test_breaches import breach

import frappe
from frappe.utils.background_jobs import get_queue, get_queues_timeout
from frappe.utils.password import update_password

from gdpr_consent import links
from gdpr_consent.rights import api as rights

DOCUMENT = json.loads((Path(__file__).parents[1] / "docs" / "openapi.json").read_text())
TRACES = re.compile(
	r"Traceback|File \\?\"|/home/|/apps/frappe|site-packages|pymysql|MySQLdb|SQL syntax|`tab|jinja2\.|\.py\b"
)
GUEST, WEBSITE_USER = "Guest", "Website User"
BLIND, ABROAD = "Sees Others", "Other Company"  # all roles; User Permissions leave them nobody of these
ROLES = (
	GUEST,
	WEBSITE_USER,
	*("Sales User", "Newsletter Manager", "Consent User", "Privacy Officer", "System Manager"),
)
WRITE_NOTHING = (GUEST, WEBSITE_USER, "Sales User", "Newsletter Manager")
# What anybody may send with a form, which is then asked to be confirmed, and how a person says no by a link.
OPEN_TO_ALL = (
	*("/consent/subscribe", "/consent/request", "/consent/preferences"),
	*("/api/method/gdpr_consent.core_doors.subscribe", "/api/method/gdpr_consent.web_forms.accept"),
)
SENDS_TEXTS = (
	"/api/method/gdpr_consent.gate.sms.send_sms"  # a right of theirs; what is decided is written down
)
SAFE = ("get", "head")
OMNIPOTENT = "All of them"
SECRET, OTHER_COMPANY = "CANARY-0815", "Other Company of the Tests"
RIGHT: dict[str, Any] = {
	"party_type": "Contact",
	"doctype": "Contact",
	"purpose": "Email Marketing",
	"source": "Phone",
	"reason": "For a test",
	"note": "For a test",
	"answer": "Done",
	"evidence": "She said so on the phone, to Ann",
	"right": "Access",
	"channel": "Email",
	"file_format": "JSON-LD",
	"method": "Met in Person",
	"ground": "Other",
	"web_form": "No Such",
	"data": "{}",
	"message": "Subject: Hello\n\n",
	"selection_hash": "0",
	"review": "No Such",
	"duty": "No Such",
	"rule": "No Such",
	"notice": "No Such",
	"days": 30,
	"rows": "[]",
	"changes": "[]",
	"duties": "[]",
	"names": "[]",
	"how": "By phone",
	"recipients_": "[]",
	"candidates": "[]",
	"receiver_list": "+48 600 000 000",
	"msg": "Hello",
	"fieldname": "tax_id",
	"txt": "a",
	"searchfield": "name",
	"start": 0,
	"page_len": 10,
	"filters": "{}",
	"result": "Confirmed",
	"reasons": "For a test",
	"point_of_view": "She disagrees",
	"email_campaign": "No Such",
	"informed_on": "2026-03-01",
	"at": "2026-03-01T09:00:00Z",
}


class Operation(NamedTuple):
	verb: str
	path: str
	arguments: tuple[str, ...]

	@property
	def is_page(self) -> bool:
		return self.path.startswith("/consent/")


def operations() -> Iterator[Operation]:
	for path, verbs in DOCUMENT["paths"].items():
		for verb, said in verbs.items():
			names = [one["name"] for one in said.get("parameters", []) if one["in"] == "query"]
			for content in said.get("requestBody", {}).get("content", {}).values():
				names += content["schema"]["properties"]
			yield Operation(verb, path, tuple(dict.fromkeys(names)))


OPERATIONS = tuple(operations())


# --- what is sent -------------------------------------------------------------------------------------------

DEEP = "[" * 3_000 + "]" * 3_000
NASTY: tuple[Any, ...] = (
	*("", " ", "\x00", "a\x00b@x.example", "\ud800", "a\udfffb", "💥\U0010ffff", "\u202eelpmaxe", "İ", "ﬀ"),
	*("x" * 141, "ł" * 5_000, "x" * 70_000, "a@" + "x" * 300 + ".example", "a" * 65 + "@x.example"),
	*("' or 1=1 -- ", "'; drop table tabConsent; -- ", "\\", "%", "_", "`", '"', "a') union select 1 -- "),
	*(
		"<script>alert(1)</script>",
		"<img src=x onerror=alert(1)>",
		"{{ 7*7 }}",
		"{% for %}",
		"{0}",
		"%s",
		"${x}",
	),
	*(
		"a@x.example\r\nBcc: b@x.example",
		"a@x.example\nSubject: x",
		"a@x.example,b@x.example",
		"<a@x.example>",
	),
	*("0", "-1", "1e999", "9" * 400, "NaN", "Infinity", "-Infinity", "0x10", "1.5", "1_000", "٣"),
	*(0, -1, 10**400, 2**63, 1.5, float("nan"), float("inf"), True, False, None),
	*("0000-00-00", "9999-12-31T23:59:59", "10000-01-01", "0001-01-01", "2026-02-30", "2026-13-01"),
	*("2026-03-01T09:00:00+99:00", "-2026-03-01", "2026-03-01T25:00", "1900-01-01", "tomorrow"),
	*(
		"User",
		"DocType",
		"__proto__",
		"constructor",
		"Administrator",
		"System Settings",
		"tabUser",
		"No Such",
	),
	*("true", "false", "null", "undefined", "[]", "{}", "[[]]", '["a"', '{"a":', "[null]", "[1, {}]", DEEP),
	*('["\\ud800"]', '["\\u0000"]', '{"a": 1, "a": 2}', '[{"doctype": "User"}]', '[["name", "like", "%"]]'),
	*(
		[],
		{},
		[[]],
		[None],
		[1],
		["a", 1],
		[{}],
		{"a": {"b": {}}},
		{"__proto__": {"x": 1}},
		["\ud800"],
		["\x00"],
	),
	*(["x"] * 2_000, [["x"]] * 3, {"doctype": "User", "name": "Administrator"}, ["=", "x"], ["like", "%"]),
	*(
		"../../etc/passwd",
		"/files/../../site_config.json",
		"file:///etc/passwd",
		"http://127.0.0.1:1/",
		"//x",
	),
)
EVERYTHING_AT = 41  # every so many values of one argument are tried in the short run

texts = st.text(max_size=40)
json_values = st.recursive(
	st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
	lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
	max_leaves=6,
)
values = st.one_of(st.sampled_from(NASTY), json_values)


@st.composite
def calls(draw: st.DrawFn) -> tuple[Operation, dict[str, Any], str, list[str]]:
	"""An operation, what is sent with it, as what, and which arguments are what they should be."""
	operation = draw(st.sampled_from(OPERATIONS))
	names = [*operation.arguments, "unknown"]
	hostile = draw(st.dictionaries(st.sampled_from(names), values, min_size=1, max_size=3))
	kind = draw(st.sampled_from(("json", "form", "form", "multipart")))
	return operation, hostile, kind, [name for name in operation.arguments if name not in hostile]


def restrict(user: str, doctype: str, name: str) -> None:
	frappe.new_doc("User Permission", user=user, allow=doctype, for_value=name).insert()


class Scene:
	"""Somebody who is on record, with all that a door may be about, and users of each kind."""

	def __init__(self, bulk: BulkUpdates, web: Web) -> None:
		self.web = web
		self.email = bulk.mailbox()
		self.contact = bulk.contact(self.email)
		evidence = {"evidence": f"{SECRET} on the phone", "source": "Phone"}
		self.consent = give(self.email, party_type="Contact", party=self.contact, **evidence)
		self.request = self.new_request()
		self.breach = breach(title=frappe.generate_hash(length=8)).name
		rule = {"records": [self.contact], "action": "Withdraw", "source": "Phone"}
		self.bulk_update = bulk.make(rule)
		wording = {"purpose": "Email Marketing", "language": "en", "text": f"Yes to {self.email}"}
		self.wording = frappe.new_doc("Consent Wording", **wording).insert().name
		offices = [role for role in ROLES if role not in (GUEST, WEBSITE_USER)]
		users = {role: bulk.user(role, "Sales User") for role in offices} | {WEBSITE_USER: bulk.user()}
		users |= {who: bulk.user(*offices) for who in (OMNIPOTENT, BLIND, ABROAD)}
		restrict(users[BLIND], "Contact", bulk.contact(bulk.mailbox()))
		restrict(users[ABROAD], "Company", self.other_company())
		for user in users.values():
			update_password(user, "admin")
		frappe.db.commit()
		self.sessions = {role: Session(web, users.get(role)) for role in (*ROLES, OMNIPOTENT, BLIND, ABROAD)}
		self.right = RIGHT | {
			"email": self.email,
			"emails": [self.email],
			"party": self.contact,
			"consent": self.consent,
			"bulk_update": self.bulk_update,
			"wording": self.wording,
			"name": self.contact,
			"t": links.sign(links.PREFERENCES, self.consent),
		}

	def other_company(self) -> str:
		company = frappe.get_doc({"doctype": "Company", "name": OTHER_COMPANY, "abbr": "OHC"})
		if not frappe.db.exists("Company", OTHER_COMPANY):
			company.db_insert()  # past the accounts that ERPNext makes for one
		return OTHER_COMPANY

	def right_for(self, operation: Operation, is_officer: bool = True) -> dict[str, Any]:
		"""What its arguments should be. For an officer, a request is a new one that is in hand."""
		right = {name: self.right[name] for name in operation.arguments if name in self.right}
		if ".breaches." in operation.path:
			right["name"] = self.breach
		if "request" in operation.arguments and not is_officer:
			right["request"] = self.request
		elif "request" in operation.arguments:
			right["request"] = self.new_request()
			rights.confirm_identity(right["request"], "Met in Person")
			rights.start_request(right["request"])
			frappe.db.commit()
		return right

	def new_request(self) -> str:
		return rights.record_request("Access", email=self.email, channel="Phone", message=SECRET)["name"]

	def ask(self, role: str, operation: Operation, sent: dict[str, Any], kind: str) -> requests.Response:
		session = self.sessions[role]
		path = operation.path.replace("{name}", "No%20Such")
		verb = operation.verb.upper()
		headers = {} if operation.is_page else {"Accept": "application/json"}
		if operation.verb in SAFE:
			return session.call(verb, path, params=in_a_form(sent), headers=headers)
		if kind == "json":
			body = json.dumps(sent).encode("utf-8", "surrogatepass")
			return session.call(verb, path, data=body, headers={"Content-Type": "application/json"} | headers)
		if kind == "multipart":
			parts = [(name, (None, value)) for name, value in in_a_form(sent).items()]
			return session.call(verb, path, files=parts or [("x", (None, "x"))], headers=headers)
		return session.call(verb, path, data=in_a_form(sent), headers=headers)


def in_a_form(sent: dict[str, Any]) -> dict[str, bytes]:
	"""As a browser sends values: as texts. Lone surrogates go as the bytes that nobody may send."""
	found = {}
	for name, value in sent.items():
		text = value if isinstance(value, str) else json.dumps(value)
		key = name.encode("utf-8", "replace").decode()
		found[key] = text.encode("utf-8", "surrogatepass")[:200_000]
	return found


# --- what may be answered -----------------------------------------------------------------------------------


def complaint(operation: Operation, answer: requests.Response, hostile: dict[str, Any]) -> str | None:
	"""Say what is wrong with an answer, or None."""
	if answer.status_code >= 500:
		return f"status {answer.status_code}"
	text = answer.text
	if "json" in answer.headers.get("Content-Type", ""):
		for one in hostile.values():  # what is only repeated is no trace of ours
			if isinstance(one, str) and len(one) > 3:
				text = text.replace(json.dumps(one)[1:-1], "")
	found = TRACES.search(text)
	if found and answer.status_code != 200:
		return f"a trace: {text[max(0, found.start() - 60) : found.end() + 60]}"
	if answer.status_code == 417 and not operation.is_page:
		said = answer.json()
		if said.get("exc_type") in ("FrappeTypeError", "TypeError"):
			return f"{said['exc_type']} names no argument"
		if not said.get("_server_messages") and not said.get("_error_message"):
			return f"{said.get('exc_type')} says nothing"
	return None


@pytest.fixture(scope="module")
def no_leftovers(site: str) -> Iterator[None]:
	"""Take away what calls that succeeded have made, and the jobs that they have queued."""
	tables = [*written_tables(), "Sensitive Field", "Access Log", "Error Log", "Email Queue Recipient"]
	frappe.set_user("Administrator")
	frappe.db.rollback()
	before = {doctype: set(frappe.get_all(doctype, pluck="name")) for doctype in tables}
	settings_before = frappe.get_doc("Consent Settings").as_dict()
	yield
	frappe.set_user("Administrator")
	frappe.db.rollback()
	for name in set(frappe.get_all("Sensitive Field", pluck="name")) - before["Sensitive Field"]:
		frappe.delete_doc("Sensitive Field", name)
	for doctype in tables:
		new = set(frappe.get_all(doctype, pluck="name")) - before[doctype]
		if new:
			frappe.db.delete(doctype, {"name": ["in", list(new)]})
	for field in ("self_check_problems", "self_checked_on"):
		frappe.db.set_single_value(
			"Consent Settings", field, settings_before.get(field), update_modified=False
		)
	frappe.db.commit()
	for queue in get_queues_timeout():
		get_queue(queue).empty()
	frappe.cache.delete_keys("consent_")


def written_tables() -> list[str]:
	"""The tables of the app that a door could write, and those of the core about people and their mail."""
	ours = frappe.get_all("DocType", {"module": "GDPR Consent", "issingle": 0, "is_virtual": 0}, pluck="name")
	logs = {"Sensitive Access Log", "Consent Lock"}
	people = (
		"Contact",
		"Contact Email",
		"Lead",
		"Customer",
		"User",
		"Email Unsubscribe",
		"Email Group Member",
	)
	return [*sorted(set(ours) - logs), *people, "Email Group", "Email Queue", "Communication", "File"]


def digest() -> dict[str, int]:
	frappe.db.rollback()
	tables = ", ".join(f"`tab{doctype}`" for doctype in written_tables() if doctype != "User")
	return dict(frappe.db.sql(f"checksum table {tables}"))


@pytest.fixture(scope="module")
def scene(no_leftovers, web, smtp_server) -> Iterator[Scene]:
	addresses: list[str] = []

	def mailbox(text: str = "{}@hostile.example") -> str:
		addresses.append(text.format(frappe.generate_hash(length=12)))
		return addresses[-1]

	frappe.set_user("Administrator")
	bulk = BulkUpdates(mailbox)
	yield Scene(bulk, web)
	frappe.set_user("Administrator")
	bulk.remove()
	remove_traces(addresses)
	frappe.db.delete("User Permission", {"user": ["in", bulk.people["User"]]})
	frappe.db.delete("Company", {"name": OTHER_COMPANY})
	frappe.db.commit()


def report(problems: dict[str, str]) -> str:
	return "\n".join(f"{where}: {what}" for where, what in problems.items())


def shown(role: str, operation: Operation, hostile: dict[str, Any], kind: str) -> str:
	said = {name: ascii(value)[:60] for name, value in hostile.items()}
	return f"{role} {operation.verb} {operation.path} {kind} {said}"


def probe(scene: Scene, role: str, operation: Operation, sent: dict, hostile: dict, kind: str) -> str | None:
	answer = scene.ask(role, operation, sent, kind)
	if answer.status_code == 429:
		frappe.cache.delete_keys("consent_")
		answer = scene.ask(role, operation, sent, kind)
	return complaint(operation, answer, hostile)


# --- the tests ----------------------------------------------------------------------------------------------


def test_each_argument_of_each_method_takes_any_value(scene, pytestconfig):
	"""By somebody who may do everything, the other arguments as they should be, so that it gets far."""
	problems: dict[str, str] = {}
	step = 1 if pytestconfig.getoption("--full") else EVERYTHING_AT
	chance = random.Random(9)
	for operation in OPERATIONS:
		right = scene.right_for(operation)
		for name in operation.arguments:
			for number, value in enumerate(NASTY[chance.randrange(step) :: step]):
				kind = ("json", "form")[number % 2]
				hostile = {name: value}
				found = probe(scene, OMNIPOTENT, operation, right | hostile, hostile, kind)
				if found:
					where = f"{operation.path} {name}: {found[:200]}"
					problems.setdefault(where, shown(OMNIPOTENT, operation, hostile, kind))
	assert problems == {}, report(problems)


@pytest.mark.parametrize("role", ROLES)
def test_nobody_gets_an_error_of_the_server_or_writes_without_right(role, scene):
	"""Any few arguments, as any kind of content. Those who may write nothing write nothing."""
	problems: dict[str, str] = {}
	before = digest()

	@settings(max_examples=examples(1.2), phases=[Phase.generate], suppress_health_check=list(HealthCheck))
	@given(calls())
	def check(call: tuple) -> None:
		operation, hostile, kind, as_it_should_be = call
		if role in WRITE_NOTHING and operation.path in OPEN_TO_ALL and operation.verb == "post":
			return
		if role in ("Sales User", "Newsletter Manager") and operation.path == SENDS_TEXTS:
			return
		if operation.is_page:
			as_it_should_be = []  # a link of a person, who may
		sent = {name: scene.right[name] for name in as_it_should_be if name in scene.right} | hostile
		found = probe(scene, role, operation, sent, hostile, kind)
		if found:
			problems.setdefault(f"{operation.path}: {found[:200]}", shown(role, operation, hostile, kind))

	if settings.default.derandomize:
		check = seed(ROLES.index(role))(check)
	check()
	assert problems == {}, report(problems)
	if role in WRITE_NOTHING:
		assert digest() == before


FOUND_BY_THE_LONG_RUN = [
	("/api/method/gdpr_consent.api.request_consent", {"topics": '["\\ud800"]'}),
	("/api/method/gdpr_consent.bulk_update.address_list.load", {"bulk_update": ""}),
	("/api/method/gdpr_consent.rights.api.record_request", {"received_on": "9" * 400}),
]


@pytest.mark.parametrize(("path", "hostile"), FOUND_BY_THE_LONG_RUN)
def test_what_the_long_run_found_is_no_error_of_the_server(path, hostile, scene):
	operation = next(one for one in OPERATIONS if one.path == path)
	assert probe(scene, OMNIPOTENT, operation, scene.right_for(operation) | hostile, hostile, "form") is None


def test_un_01_nothing_changes_on_get(scene):
	"""Each method and page with all that it needs, by GET and HEAD, as somebody who may do everything."""
	before = digest()
	for operation in OPERATIONS:
		sent = {"request": "No Such"} | {
			name: scene.right[name] for name in operation.arguments if name in scene.right
		}
		for verb in SAFE if operation.is_page else ("get",):
			for role in (OMNIPOTENT, GUEST):
				answer = scene.ask(role, operation._replace(verb=verb), sent, "form")
				assert answer.status_code < 500, (role, verb, operation.path)
				declared = DOCUMENT["paths"][operation.path].keys()
				if not operation.is_page and verb not in declared:
					assert answer.status_code in (403, 404, 405), (role, verb, operation.path)
	assert digest() == before


BODIES = {
	"no JSON": (b"{", "application/json"),
	"a deep list": (DEEP.encode(), "application/json"),
	"a list": (b"[1, 2]", "application/json"),
	"a number": (b"1", "application/json"),
	"null": (b"null", "application/json"),
	"a text": (b'"x"', "application/json"),
	"bytes": (b"\xff\xfe\x00", "application/json"),
	"NaN": (b'{"email": NaN}', "application/json"),
	"twice": (b'{"email": "a@x.example", "email": ["b"]}', "application/json"),
	"a form that says it is JSON": (b"email=x", "application/json"),
	"JSON that says it is a form": (b'{"email": "x"}', "application/x-www-form-urlencoded"),
	"XML": (b"<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><x>&y;</x>", "application/xml"),
	"a multipart without an end": (
		b"--x\r\nContent-Disposition: form-data; name=email",
		"multipart/form-data; boundary=x",
	),
	"a multipart without a boundary": (b"x", "multipart/form-data"),
	"an unknown charset": (b"email=x", "application/x-www-form-urlencoded; charset=nonsense"),
	"a megabyte": (b"email=" + b"x" * 1_000_000, "application/x-www-form-urlencoded"),
	"ten megabytes": (b"email=" + b"x" * 10_000_000, "application/x-www-form-urlencoded"),
	"ten megabytes of JSON": (b'{"email": "' + b"x" * 10_000_000 + b'"}', "application/json"),
	"a huge number": (b'{"email": ' + b"9" * 5_000 + b"}", "application/json"),
	"too much": (b"email=" + b"x" * 26_000_000, "application/x-www-form-urlencoded"),
}


HUGE = ("ten megabytes", "ten megabytes of JSON", "too much")


@pytest.mark.parametrize(
	"body", [pytest.param(name, marks=pytest.mark.full) if name in HUGE else name for name in BODIES]
)
def test_no_body_is_an_error_of_the_server(body, scene):
	content, kind = BODIES[body]
	for path in (
		"/api/method/gdpr_consent.api.check_consent",
		"/api/method/gdpr_consent.core_doors.subscribe",
		"/consent/subscribe",
	):
		for role in ("Consent User", GUEST):
			answer = scene.sessions[role].call("POST", path, data=content, headers={"Content-Type": kind})
			assert answer.status_code < 500, (role, path, answer.text[:500])
			assert not TRACES.search(answer.text), (role, path, answer.text[:2_000])


# --- who may call what --------------------------------------------------------------------------------------

TABLE = Path(__file__).parents[1] / "docs" / "permissions.md"
CALLERS = (*ROLES, BLIND, ABROAD)
BEFORE_THE_TABLE = """# Who may call what

Each method, called about a person of the company by a user with the role of the column and Sales User. "Sees
Others" has all these roles and a User Permission for another Contact, "Other Company" has them and one for
another Company. A dash is an answer 403: nothing was changed, and nothing was said of the person. In words:
[roles.md](roles.md).

`tests/test_hostile_input.py` tries each cell. It writes this file with
`script/test tests/test_hostile_input.py --update-permissions` into the bench.

"""
# A person's own acts, which everybody may do who holds the link, or whose mailbox is asked.
BY_ANYBODY = ("core_doors", "web_forms", "confirm_consent")


def methods() -> list[Operation]:
	found = [one for one in OPERATIONS if not one.is_page and one.verb in ("get", "post")]
	by_path = {one.path: one for one in found if one.verb == "get"}
	by_path |= {one.path: one for one in found if one.verb == "post"}
	return [one for path, one in sorted(by_path.items()) if not any(name in path for name in BY_ANYBODY)]


def title(operation: Operation) -> str:
	name = operation.path.removeprefix("/api/method/gdpr_consent.").removeprefix("/api/v2/document/")
	return name.replace("/{name}/method/", ".")


def table_of(cells: dict[str, list[str]]) -> str:
	rows = [["Method", *CALLERS], *([f"`{name}`", *found] for name, found in cells.items())]
	widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
	lines = [
		"| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
		for row in rows
	]
	lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
	return "\n".join(lines) + "\n"


def unknown(sent: dict[str, Any]) -> dict[str, Any]:
	"""The same call about what doesn't exist."""
	nobody = {"email": "nobody@hostile.example", "emails": ["nobody@hostile.example"]}
	things = ("party", "name", "consent", "request", "bulk_update", "wording", "review", "duty", "rule")
	return (
		sent
		| {name: value for name, value in nobody.items() if name in sent}
		| {name: "No Such Thing" for name in things if name in sent}
	)


def said_in(answer: requests.Response, sent: dict[str, Any]) -> tuple[int, str]:
	"""What an answer says, but for what it only repeats and for its own number."""
	text = re.sub(r"__frappe_exc_id\W+\w+", "", answer.text)
	for value in sorted((value for value in sent.values() if isinstance(value, str)), key=len, reverse=True):
		if len(value) > 3:
			text = text.replace(value, "?")
	return answer.status_code, text


def test_each_method_is_open_to_whom_the_table_says_and_says_nothing_to_others(scene, pytestconfig):
	"""Refused is 403: nothing changes, and nothing is said of the person, nor whether a thing exists."""
	cells: dict[str, list[str]] = {}
	refused: dict[str, list[tuple[Operation, dict[str, Any]]]] = {caller: [] for caller in CALLERS}
	wrong: list[str] = []
	is_full = pytestconfig.getoption("--full")
	asked_about_nobody = (
		ROLES if is_full else (WEBSITE_USER, "Sales User", "Newsletter Manager", "Consent User")
	)
	for operation in methods():
		allowed = []
		for caller in CALLERS:
			sent = scene.right_for(operation, is_officer=caller in ("Privacy Officer", BLIND, ABROAD))
			answer = scene.ask(caller, operation, sent, "json")
			assert answer.status_code < 500, (caller, operation)
			if answer.status_code == 403:
				refused[caller].append((operation, sent))
				if SECRET in answer.text:
					wrong.append(f"{caller} {operation.path} was refused and told something")
			allowed.append("-" if answer.status_code == 403 else "yes")
		cells[title(operation)] = allowed
	for caller, calls_ in refused.items():
		before = digest()
		for operation, sent in calls_:
			first = scene.ask(caller, operation, sent, "json")
			assert first.status_code == 403, (caller, operation)
			if caller not in asked_about_nobody:
				continue
			other = scene.ask(caller, operation, unknown(sent), "json")
			if said_in(first, sent) != said_in(other, unknown(sent)):
				wrong.append(f"{caller} {operation.path} learns whether something exists")
		assert digest() == before, caller
	made = BEFORE_THE_TABLE + table_of(cells)
	if pytestconfig.getoption("--update-permissions"):
		TABLE.write_text(made)
	assert wrong == []
	assert made.splitlines() == TABLE.read_text().splitlines()
