"""Writes docs/openapi.json from the code: every whitelisted method, and every page under /consent.

Usage: ENV/bin/python script/openapi.py docs/openapi.json, with the Python of a bench. It needs no site.
"""

import inspect
import json
import re
import sys
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

from pydantic import TypeAdapter

import frappe

import gdpr_consent
from gdpr_consent import downloads, identity, policy, standing
from gdpr_consent.overrides.core import DOORS
from gdpr_consent.rights import automated_decisions, handling, intake, requests

Json = dict[str, Any]
PACKAGE = Path(gdpr_consent.__file__).parent
VERBS = ("get", "head", "post", "put", "delete")
SAFE = ("get", "head")
PROSE = re.compile(r"^(Args|Returns|Raises|Usage):$", re.MULTILINE)
REFUSED = """\
400: no CSRF token of the session, or a body that can't be read.
403: not the caller's to do, or not with this HTTP method.
404: what is named doesn't exist.
413: more than 25 MB.
417: an argument that isn't valid; `exc_type` names the rule, `_server_messages` says what to do.
429: tried too often."""


def main(target: str) -> None:
	Path(target).write_text(text())


def text() -> str:
	return json.dumps(document(), indent="\t", ensure_ascii=False) + "\n"


def document() -> Json:
	paths: Json = {}
	for name, function, owner in methods():
		paths[path_of(name, owner)] = operations_of(name, function, owner)
	for path, source in public_pages():
		paths[path] = page_operations(path, source)
	return {
		"openapi": "3.1.0",
		"info": {
			"title": "gdpr_consent",
			"version": gdpr_consent.__version__,
			"description": "Made from the code by script/openapi.py. docs/api.md says how to use it.",
			"license": {"name": "GPL-3.0-only", "identifier": "GPL-3.0-only"},
		},
		"servers": [
			{"url": "https://{site}", "variables": {"site": {"default": "erp.example.com"}}},
		],
		"paths": dict(sorted(paths.items())),
		"components": {
			"schemas": {"Error": ERROR},
			"responses": {
				"Refused": {
					"description": REFUSED,
					"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
				}
			},
			"securitySchemes": {
				"key": {
					"type": "apiKey",
					"in": "header",
					"name": "Authorization",
					"description": "`token <API key>:<API secret>` of a user",
				},
				"session": {"type": "apiKey", "in": "cookie", "name": "sid"},
				"csrf": {"type": "apiKey", "in": "header", "name": "X-Frappe-CSRF-Token"},
			},
		},
	}


ERROR: Json = {
	"type": "object",
	"required": ["exc_type"],
	"properties": {
		"exc_type": {"type": "string", "description": "the exception, such as StandingRefusal"},
		"_server_messages": {
			"type": "string",
			"description": "a JSON list of JSON objects with `message` and `title`, in the caller's language",
		},
		"_error_message": {"type": "string"},
	},
}


# --- methods ------------------------------------------------------------------------------------------------


ELSEWHERE = ("gdpr_consent.doctype", "gdpr_consent.patches", "gdpr_consent.gate.v15")  # v16 can't import it


def methods() -> Iterator[tuple[str, Callable, str | None]]:
	"""Yield each method's dotted name, itself, and the DocType that it is a method of, if any. What only asks
	a question before a method of the core is the core's."""
	for module in walk_packages(gdpr_consent.__path__, "gdpr_consent."):
		if not module.name.startswith(ELSEWHERE):
			import_module(module.name)
	for function in frappe.whitelisted:
		owner, _, name = function.__qualname__.rpartition(".")
		if function.__module__.startswith("gdpr_consent.") and not owner.startswith("Sensitive"):
			yield f"{function.__module__}.{name}", function, doctype_of(owner)


def doctype_of(owner: str) -> str | None:
	return owner.removeprefix("Consent").removesuffix("Mixin") if owner else None


def path_of(name: str, owner: str | None) -> str:
	if owner:
		return f"/api/v2/document/{owner}/{{name}}/method/{name.rpartition('.')[2]}"
	return f"/api/method/{name}"


def operations_of(name: str, function: Callable, owner: str | None) -> Json:
	allowed = frappe.allowed_http_methods_for_whitelisted_func[function]
	verbs = [verb for verb in VERBS if verb.upper() in allowed]
	return {
		verb: operation(name, function, owner, verb) for verb in verbs if not owner or verb in OF_A_DOCUMENT
	}


OF_A_DOCUMENT = ("get", "post")  # what Frappe's route of a document's method takes


def operation(name: str, function: Callable, owner: str | None, verb: str) -> Json:
	summary, description, said_of, raises = read_docstring(function)
	arguments = list(arguments_of(name, function, said_of))
	is_guest = function in frappe.guest_methods
	made: Json = {
		"operationId": f"{name}.{verb}",
		"summary": summary,
		"tags": [name.rpartition(".")[0].removeprefix("gdpr_consent.")],
		"parameters": [path_parameter()] if owner else [],
		"responses": {"200": {"description": "done"} | content_of(function)},
		"security": [{}, {"key": []}] if is_guest else [{"key": []}, {"session": [], "csrf": []}],
	}
	stands_for = [core for core, ours in DOORS.items() if ours == name]
	if stands_for:
		description = f"{description}\n\nStands in front of {', '.join(stands_for)}.".strip()
	made["description"] = "\n\n".join(
		part for part in (description, raises, "Guests may." if is_guest else "") if part
	)
	made["responses"]["4XX"] = {"$ref": "#/components/responses/Refused"}
	if verb in SAFE:
		made["parameters"] += [as_query(one) for one in arguments]
	elif arguments:
		made["requestBody"] = body_of(arguments)
	return made


def path_parameter() -> Json:
	return {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}


def as_query(argument: Json) -> Json:
	return {key: value for key, value in argument.items() if value != ""} | {"in": "query"}


def body_of(arguments: list[Json]) -> Json:
	schema: Json = {
		"type": "object",
		"properties": {
			one["name"]: one["schema"] | ({"description": one["description"]} if one["description"] else {})
			for one in arguments
		},
	}
	required = [one["name"] for one in arguments if one["required"]]
	if required:
		schema["required"] = required
	kinds = ("application/json", "application/x-www-form-urlencoded")
	return {"required": bool(required), "content": {kind: {"schema": schema} for kind in kinds}}


def arguments_of(name: str, function: Callable, said_of: dict[str, str]) -> Iterator[Json]:
	hints = hints_of(function)
	for parameter in inspect.signature(function).parameters.values():
		if parameter.name == "self" or parameter.kind is parameter.VAR_KEYWORD:
			continue
		schema = schema_of(hints.get(parameter.name, Any))
		options = CHOICES.get((name, parameter.name)) or CHOICES.get(("", parameter.name))
		if options:
			schema = with_options(schema, options)
		required = parameter.default is parameter.empty
		if not required and parameter.default is not None:
			schema["default"] = parameter.default
		yield {
			"name": parameter.name,
			"required": required,
			"schema": schema,
			"description": said_of.get(parameter.name, ""),
		}


def hints_of(function: Callable) -> dict[str, Any]:
	return typing.get_type_hints(inspect.unwrap(function))


def schema_of(hint: Any) -> Json:
	try:
		return TypeAdapter(hint).json_schema()
	except Exception:  # what pydantic has no schema for, such as an answer of werkzeug
		return {}


def with_options(schema: Json, options: tuple[str, ...]) -> Json:
	"""Say which texts are taken; nothing, or an empty text, stays possible where it was."""
	may_be_none = any(part.get("type") == "null" for part in schema.get("anyOf", ()))
	return {"enum": [*options, *([None] if may_be_none else [])]}


def options_of(doctype: str, fieldname: str) -> tuple[str, ...]:
	folder = doctype.lower().replace(" ", "_")
	found = json.loads((PACKAGE / "gdpr_consent" / "doctype" / folder / f"{folder}.json").read_text())
	(field,) = (field for field in found["fields"] if field["fieldname"] == fieldname)
	return tuple(option for option in field["options"].split("\n") if option)


API, RIGHTS = "gdpr_consent.api", "gdpr_consent.rights.api"
# By method and argument, or by argument wherever it stands.
CHOICES: dict[tuple[str, str], tuple[str, ...]] = {
	("", "party_type"): identity.PARTY_TYPES,
	("", "channel"): tuple(channel.value for channel in policy.Channel),
	(f"{API}.privacy_panel", "doctype"): tuple(standing.DOCTYPES),
	(f"{API}.download_record", "file_format"): (downloads.PDF, *downloads.OF_A_CONSENT),
	(f"{API}.download_history", "file_format"): (downloads.PDF, "JSON-LD"),
	(f"{RIGHTS}.record_request", "right"): tuple(right.value for right in requests.Right),
	(f"{RIGHTS}.record_request", "channel"): options_of("Data Subject Request", "channel"),
	(f"{RIGHTS}.record_request", "objects_to"): options_of("Data Subject Request", "objects_to"),
	(f"{RIGHTS}.confirm_identity", "method"): handling.METHODS,
	(f"{RIGHTS}.extend_request", "ground"): handling.EXTENSION_GROUNDS,
	(f"{RIGHTS}.refuse_request", "ground"): handling.REFUSAL_GROUNDS,
	(f"{RIGHTS}.finish_review", "result"): automated_decisions.RESULTS,
}


def content_of(function: Callable) -> Json:
	returned = hints_of(function).get("return", Any)
	if "download" in function.__name__ or function.__name__ in ("xlsx", "show_file"):
		return {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
	if inspect.isclass(returned) and returned.__name__ == "Response":
		return {"content": {"text/html": {"schema": {"type": "string"}}}}
	if returned is type(None):
		return {"content": {"application/json": {"schema": {"type": "object"}}}}
	answer = {"type": "object", "properties": {"message": schema_of(returned)}}
	return {"content": {"application/json": {"schema": answer}}}


# --- docstrings ---------------------------------------------------------------------------------------------


def read_docstring(function: Callable) -> tuple[str, str, dict[str, str], str]:
	"""Return the first line, what comes after it, what is said of each argument, and which errors it has."""
	parts = PROSE.split(inspect.getdoc(function) or "")
	head, sections = parts[0].strip(), dict(zip(parts[1::2], parts[2::2], strict=True))
	summary, _, description = head.partition("\n\n")
	returns = joined(sections.get("Returns", ""))
	described = [joined(description), f"Returns {returns}" if returns else ""]
	raises = joined(sections.get("Raises", ""))
	return (
		joined(summary),
		"\n\n".join(part for part in described if part),
		said_of_arguments(sections.get("Args", "")),
		f"Errors: {raises}" if raises else "",
	)


def said_of_arguments(section: str) -> dict[str, str]:
	said: dict[str, str] = {}
	# `inspect.getdoc` has made eight blanks of a tab.
	for names, what in re.findall(r"^ {8}([\w, ]+): (.*(?:\n {16}.*)*)", section, re.MULTILINE):
		said |= dict.fromkeys((name.strip() for name in names.split(",")), joined(what))
	return said


def joined(text: str) -> str:
	return " ".join(text.split())


# --- pages --------------------------------------------------------------------------------------------------


def public_pages() -> Iterator[tuple[str, str]]:
	"""Yield each page's address, and the HTML of its form with what it includes."""
	for file in sorted((PACKAGE / "www" / "consent").glob("*.html")):
		yield f"/consent/{file.stem}", with_included(file.read_text())
	yield "/consent/sign-up.js", ""


def with_included(source: str) -> str:
	for name in re.findall(r"(?:include|import|from|extends) \"gdpr_consent/([^\"]+)\"", source):
		source += with_included((PACKAGE / name).read_text())
	return source


def page_operations(path: str, source: str) -> Json:
	module = path.removeprefix("/")
	is_script = path.endswith(".js")
	doc = (
		"The sign-up form as a script, for a page of another site: docs/forms.md."
		if is_script
		else joined(inspect.getdoc(import_page(module)) or "")
	)
	kind = "application/javascript" if is_script else "text/html"
	query = [
		{"name": "t", "in": "query", "schema": {"type": "string"}, "description": "the token of a link"},
		{"name": "topic", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
		{"name": "_lang", "in": "query", "schema": {"type": "string"}, "description": "a code such as de"},
	]
	shown = {"200": {"description": "the page", "content": {kind: {"schema": {"type": "string"}}}}}
	told = {"410": "the link isn't valid", "429": "tried too often", "503": "the site has lost its link key"}
	shown |= {
		code: {"description": why, "content": {kind: {"schema": {"type": "string"}}}}
		for code, why in ({"404": "no such public topic"} if is_script else told).items()
	}
	common = {"summary": doc, "tags": ["pages"], "responses": shown, "security": [{}]}
	made = {"get": {"operationId": f"{module}.get", "parameters": query, **common}}
	if not is_script:
		fields = [name for name in form_fields(source) if name not in ("csrf_token", "viewport", "robots")]
		schema = {
			"type": "object",
			"properties": {name: FIELD_SCHEMAS.get(name, {"type": "string"}) for name in fields},
		}
		body = {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}
		made["post"] = {
			"operationId": f"{module}.post",
			"parameters": query,
			"requestBody": body,
			**common,
		}
	return made


FIELD_SCHEMAS: dict[str, Json] = {
	"email": {"type": "string", "format": "email"},
	"on": {"type": "array", "items": {"type": "string"}},
	"choice": {"enum": [choice.value for choice in intake.CHOICES]},
}


def form_fields(source: str) -> list[str]:
	return sorted(set(re.findall(r"<(?:input|textarea|select|button)\b[^>]*?\bname=\"(\w+)\"", source)))


def import_page(module: str) -> Any:
	return import_module(f"gdpr_consent.www.{module.replace('/', '.')}")


if __name__ == "__main__":
	main(*sys.argv[1:])
