"""What a request asks for, found where the core finds it: the method, the DocTypes, and the documents that it
brings. Whoever judges a request before the core opens a door reads it here."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from werkzeug.exceptions import HTTPException

import frappe
from frappe.api import API_URL_MAP
from frappe.api.v1 import get_request_form_data
from frappe.modules.utils import load_doctype_module

DOCTYPES = ("doctype", "reference_doctype", "document_type", "ref_doctype", "dt", "goal_doctype")
DOCUMENTS = ("doc", "docs", "document", "chart")  # the third in the REST API v2
FILTERS = ("filters", "or_filters", "current_filters", "export_filters", "query_filters")


def command() -> str:
	"""Return the dotted name of the method that the request calls, or an empty text. `cmd` goes before the
	path, as in `frappe.app.application`."""
	if frappe.form_dict.get("cmd"):
		return str(frappe.form_dict["cmd"])
	rule, found = _route()
	if not _calls(rule):
		return ""
	method = found.get("method", rule.rsplit("/", 1)[-1]).split("/")[0]
	if "doctype" not in found:
		return method
	try:
		return f"{load_doctype_module(found['doctype']).__name__}.{method}"
	except (ImportError, frappe.DoesNotExistError):  # the core doesn't find it either
		return method


def resource() -> str:
	"""Return the DocType whose records the path is about, or an empty text."""
	rule, found = _route()
	return "" if _calls(rule) else found.get("doctype", "")


def resource_of_rows() -> str:
	"""Return it, where the answer is one of its records or a list of them."""
	rule, _found = _route()
	return "" if "/method/" in rule or "/doctype/" in rule else resource()


def doctypes() -> tuple[str, ...]:
	"""Return every DocType that the request may be about. Which one counts is up to the method that it
	calls, so that a decoy in another parameter doesn't help."""
	named = (resource(), *(part.get(name) for part in (frappe.form_dict, *settings()) for name in DOCTYPES))
	return tuple(dict.fromkeys(name for name in named if name and isinstance(name, str)))


def doctype() -> str | None:
	"""Return the DocType of the request, as the core's own methods take it."""
	if resource() and not frappe.form_dict.get("cmd"):
		return resource()
	named = (frappe.form_dict.get(name) for name in DOCTYPES)
	return next((name for name in named if name and isinstance(name, str)), None)


def body() -> dict[str, Any]:
	"""Return the values that a request to write a resource brings; v1 reads them from what isn't said to be
	JSON, too."""
	if frappe.request.method not in ("POST", "PUT", "PATCH") or not resource_of_rows():
		return {}
	values = get_request_form_data() if "/resource/" in _route()[0] else frappe.form_dict
	return values if isinstance(values, dict) else {}


def settings() -> Iterator[dict[str, Any]]:
	"""Yield what stands where the core takes documents, charts and cards from, whatever it says it is."""
	for parameter in DOCUMENTS:
		value = parsed(frappe.form_dict.get(parameter))
		yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict))


def documents() -> Iterator[tuple[dict[str, Any], bool]]:
	"""Yield the documents that the request brings, each with whether it will be a new one. They have a
	`doctype`; their rows stand in them."""
	if values := body():
		yield dict(values, doctype=resource()), frappe.request.method == "POST"
	for parameter in frappe.form_dict.keys() - {*FILTERS}:
		for values in _dicts_in(frappe.form_dict[parameter]):
			if isinstance(values.get("doctype"), str):
				yield values, bool(values.get("__islocal") or not values.get("name"))


def parsed(value: Any) -> Any:
	if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
		try:
			return json.loads(value)
		except ValueError:
			return value
	return value


def _dicts_in(node: Any) -> Iterator[dict[str, Any]]:
	node = parsed(node)
	if isinstance(node, dict):
		yield node
		node = [*node.values()]
	for part in node if isinstance(node, list) else ():
		yield from _dicts_in(part)


def _calls(rule: str) -> bool:
	return "/method/" in rule and "/document/" not in rule


def _route() -> tuple[str, dict[str, str]]:
	request = getattr(frappe.local, "request", None)
	return _match(request.path, request.method) if request else ("", {})


@lru_cache(maxsize=64)
def _match(path: str, method: str) -> tuple[str, dict[str, str]]:
	"""Return the rule that the core routes a path by, and what stands in its places."""
	try:
		rule, found = API_URL_MAP.bind("").match(path, method, return_rule=True)
	except HTTPException:  # no such door, or not by this method
		return "", {}
	return rule.rule, dict(found)
