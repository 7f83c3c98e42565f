"""Says whether a template reads more than the record that it is given.

Frappe renders text of many DocTypes with Jinja. There, `frappe` reads every table, and some methods of a
document read its row anew.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes

#: DocTypes with text that Frappe or ERPNext renders.
RENDERED = frozenset(
	{
		*("Address Template", "Assignment Rule", "Auto Repeat", "Contract Template", "Dunning Type"),
		*("Email Account", "Email Template", "Letter Head", "Newsletter", "Notification", "Payment Request"),
		*("Print Format", "Print Format Field Template", "Process Statement Of Accounts"),
		*("Request for Quotation", "Stock Settings", "Terms and Conditions", "Web Page", "Web Template"),
		"Webhook",
	}
)
HARMLESS = re.compile(r"utils|format\w*|date_format|time_format|get_url|bold|lang|session|user|full_name")
READ_ANEW = frozenset(
	{
		*("db_get", "get_db_value", "get_doc_before_save", "get_latest", "get_parent_doc", "load_from_db"),
		*("load_doc_before_save", "reload"),
		*("run_method", "run_trigger"),  # of any name, also one that is made as the template runs
	}
)
SUSPICIOUS = re.compile(rf"\b(?:frappe|{'|'.join(READ_ANEW)})\b")
# Filters of Jinja that are told a name of an attribute.
BY_ATTRIBUTE = frozenset(
	{
		*("attr", "groupby", "join", "map", "max", "min", "rejectattr", "selectattr", "sort", "sum"),
		"unique",
	}
)
CALCULATED = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Mod, nodes.Const, nodes.Slice)


def are_in(text: str) -> bool:
	return "{{" in text or "{%" in text


def reads_more(text: str) -> bool:
	"""Whether a template, or one within JSON, may fetch what isn't in the record.

	What it fetches by a name that is only made as it runs counts as well: nobody can say what that is.
	"""
	return any(_reads_more(one) for one in _texts_in(text) if are_in(one))


def _texts_in(text: str) -> Iterator[str]:
	try:
		yield from _strings_of(json.loads(text))
	except ValueError:
		yield text


def _strings_of(node: Any) -> Iterator[str]:
	if isinstance(node, str):
		yield node
	for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
		yield from _strings_of(inner)


def _reads_more(text: str) -> bool:
	try:
		tree = Environment(autoescape=True).parse(text)
	except TemplateSyntaxError:  # perhaps it is rendered in parts, or by an extension
		return bool(SUSPICIOUS.search(text))
	harmless = {id(one.node) for one in tree.find_all(nodes.Getattr) if HARMLESS.fullmatch(one.attr)}
	return (
		any(one.name == "frappe" and id(one) not in harmless for one in tree.find_all(nodes.Name))
		or any(one.attr in READ_ANEW for one in tree.find_all(nodes.Getattr))
		or any(one.value in READ_ANEW for one in tree.find_all(nodes.Const) if isinstance(one.value, str))
		or any(not _is_known(one.arg) for one in tree.find_all(nodes.Getitem))
		or any(
			not isinstance(argument, nodes.Const)
			for one in tree.find_all(nodes.Filter)
			if one.name in BY_ATTRIBUTE
			for argument in (*one.args, *(keyword.value for keyword in one.kwargs))
		)
	)


def _is_known(subscript: nodes.Expr) -> bool:
	"""Whether a subscript is written there, or is a number that is calculated from a loop's."""
	if isinstance(subscript, nodes.Getattr):
		return isinstance(subscript.node, nodes.Name) and subscript.node.name == "loop"
	return isinstance(subscript, CALCULATED) and all(map(_is_known, subscript.iter_child_nodes()))
