"""What the doors of the app have in common: what comes in is checked, and what goes wrong is said plainly."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from werkzeug.wrappers import Request, Response

import frappe
from frappe import _
from frappe.utils import escape_html
from frappe.utils.typing_validations import transform_parameter_types

from gdpr_consent.exceptions import ArgumentNotValid, ConsentError
from gdpr_consent.overrides.core import DOORS

UNWRITABLE = re.compile("[\x00\ud800-\udfff]")  # no character, or none that the database holds
LONGEST_SHOWN = 60  # characters of a value that an error repeats
DEEPEST = 20  # lists within lists; nothing that is asked for has more than four


def says_why(function: Callable) -> Callable:
	"""Check what a door is given, and put the text of an error into the answer. Of one that is only raised,
	the desk shows nothing, and of one of Frappe's about a type nobody hears which argument it is.

	Raises:
		ArgumentNotValid: an argument is missing, of another kind, or holds what can't be stored.
	"""
	inner = inspect.unwrap(function)
	parameters = inspect.signature(inner).parameters.values()
	needed = [
		one.name for one in parameters if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
	]

	@wraps(function)
	def door(*args: Any, **kwargs: Any) -> Any:
		try:
			if getattr(frappe.local, "request", None):
				args, kwargs = _checked(inner, needed[len(args) :], args, kwargs)
			return function(*args, **kwargs)
		except ConsentError as error:
			frappe.msgprint(str(error), title=_("Not Possible"), indicator="red")
			raise
		except frappe.PermissionError as error:
			frappe.flags.error_message = frappe.flags.error_message or str(error)
			raise
		except frappe.db.DataError as error:  # of a column that no form checks
			told = _too_large(error, kwargs)
			frappe.msgprint(str(told), title=_("Not Possible"), indicator="red")
			raise told from None

	door.__annotations__ = {}  # or Frappe checks before us
	return door


def _checked(
	function: Callable, needed: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
	for name in needed:
		if name not in kwargs:
			raise ArgumentNotValid(_("{0} is missing. Say what it is.").format(frappe.bold(name)))
	for name, value in kwargs.items():
		check_can_be_stored(name, value)
	try:
		return transform_parameter_types(function, args, kwargs)
	except frappe.exceptions.FrappeTypeError as error:
		found = re.search(r"'(\w+)' should be of type", str(error))
		name = found[1] if found else ""
		wanted = inspect.signature(function).parameters[name].annotation if found else ""
		kind = getattr(wanted, "__name__", "") if isinstance(wanted, type) else str(wanted)
		raise _other_kind(name, kwargs.get(name), escape_html(kind)) from None


def _too_large(error: Exception, arguments: dict[str, Any]) -> ArgumentNotValid:
	column = re.search(r"column '(\w+)'", str(error))
	longest = max(arguments, key=lambda name: len(str(arguments[name])), default="")
	name = column[1] if column and column[1] in arguments else longest
	return ArgumentNotValid(
		_("{0} is too long or too large to be stored: {1}. Shorten it.").format(
			frappe.bold(name), _shown(arguments.get(name))
		)
	)


def check_can_be_stored(name: str, value: Any) -> None:
	for text in _texts_in(name, value):
		found = UNWRITABLE.search(text)
		if found:
			raise ArgumentNotValid(
				_("{0} holds the character U+{1}, which can't be stored. Take it out.").format(
					frappe.bold(name), f"{ord(found[0]):04X}"
				)
			)


def _texts_in(name: str, value: Any, depth: int = 0) -> Iterator[str]:
	if depth > DEEPEST:
		raise ArgumentNotValid(
			_("{0} has lists within lists, more than {1} deep. Make it flat.").format(
				frappe.bold(name), DEEPEST
			)
		)
	if isinstance(value, str):
		yield value
	elif isinstance(value, dict):
		for key, one in value.items():
			yield from _texts_in(name, [key, one], depth + 1)
	elif isinstance(value, list | tuple | set):
		for one in value:
			yield from _texts_in(name, one, depth + 1)


def rows_of(name: str, value: Any, kind: type) -> list[Any]:
	"""Read an argument that is a list, or a list written as JSON.

	Args:
		kind: of what is in it, `str` or `dict`.

	Raises:
		ArgumentNotValid: names the argument.
	"""
	rows = _from_json(value)
	if not isinstance(rows, list | tuple) or not all(isinstance(row, kind) for row in rows):
		raise _other_kind(name, value, _("a list of texts") if kind is str else _("a list of objects"))
	check_can_be_stored(name, rows)
	return list(rows)


def object_of(name: str, value: Any) -> dict[str, Any]:
	"""Read an argument that is an object, or one written as JSON.

	Raises:
		ArgumentNotValid: names the argument.
	"""
	found = _from_json(value)
	if not isinstance(found, dict):
		raise _other_kind(name, value, _("an object"))
	check_can_be_stored(name, found)
	return found


def _from_json(value: Any) -> Any:
	try:
		return json.loads(value) if isinstance(value, str) else value
	except (ValueError, RecursionError):
		return None


def _other_kind(name: str, value: Any, wanted: str) -> ArgumentNotValid:
	return ArgumentNotValid(
		_("{0} is {1}, and has to be {2}.").format(frappe.bold(name), _shown(value), wanted)
	)


def _shown(value: Any) -> str:
	return escape_html(str(value)[:LONGEST_SHOWN]) or _("empty")


# --- hooks --------------------------------------------------------------------------------------------------


def keep_traces_to_ourselves() -> None:
	"""Hook `before_request`: an error in a door of ours sends no traceback, which names files and may hold an
	address. Error Log has it."""
	if _is_ours(frappe.request.path, frappe.form_dict.get("cmd")):
		frappe.local.flags.disable_traceback = True


def tell_what_cant_be_read(response: Response, request: Request) -> None:
	"""Hook `after_request`: core fails over a body that it can't read before it asks any app, with an error
	of the server and a traceback. Where it was for one of our doors, say what is wrong with it (400)."""
	if response is None or response.status_code < 400 or not _is_ours(request.path, None):
		return
	problem = _unreadable(request)
	if problem:
		response.status_code = 400
		if request.path.startswith("/api/"):
			response.set_data(json.dumps({"exc_type": ArgumentNotValid.__name__, "_error_message": problem}))
			response.mimetype = "application/json"
		else:
			response.set_data(escape_html(problem))
			response.mimetype = "text/html"


def _unreadable(request: Request) -> str | None:
	"""Say what core can't read of a request, or None."""
	asked: Any = {**request.args, **request.form}
	if request.is_json and request.get_data():
		try:
			asked = json.loads(request.get_data(as_text=True))
		except (ValueError, RecursionError):
			return _("The body of the request is no JSON that can be read.")
	if not isinstance(asked, dict):
		return _("The body of the request has to be a JSON object.")
	if not isinstance(asked.get("_lang") or "", str) or UNWRITABLE.search(asked.get("_lang") or ""):
		return _("{0} has to be the code of a language, such as {1}.").format("_lang", "de")
	return None


def _is_ours(path: str, command: Any) -> bool:
	names = (str(command or ""), *path.split("/"))
	return path.startswith("/consent/") or any(
		name.startswith("gdpr_consent.") or name in DOORS for name in names
	)
