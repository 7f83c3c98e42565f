"""The last door: no JSON leaves with a protected value that its reader may not see (FP-02), and whoever does
see one is written down (AU-08).

Frappe answers some requests with the whole document, whatever the permission levels say. Which ones differs
from version to version and from app to app, so all of them pass here. The one search for the names of
protected fields is all that most answers cost.
"""

import json
from typing import Any

import frappe
from frappe import _

from gdpr_consent import this_request
from gdpr_consent.failures import log_failure
from gdpr_consent.sensitive_data import access_log, incoming, rights, rules
from gdpr_consent.sensitive_data.redaction import Redaction, mask_words, secrets_of


def redact_response(response: Any = None, request: Any = None) -> None:
	"""Hook `after_request`. Frappe passes over its errors, so nothing may leave this with one."""
	try:
		_redact(response)
	except Exception:
		log_failure("Protected fields: the answer couldn't be checked")
		_refuse(response)


def _redact(response: Any) -> None:
	asked = incoming.protected_fields_asked_for()
	if response is None or not rules.all_rules().fields or response.is_streamed:
		return
	if response.mimetype != "application/json":
		if asked and response.status_code == 200:
			_log_export(asked)
		return
	if not (body := response.get_data()):
		return
	secrets, of_list = _secrets_of_the_form(), incoming.doctype_of_list()
	by_doctype = rules.doctypes_known_by_their_own_name()
	looked_for = rules.pattern(rules.known_names(), by_doctype)
	if not asked and not secrets and of_list not in by_doctype and not looked_for.search(body):
		return
	redaction = Redaction(of_list)
	answer = redaction.clean(json.loads(body))
	if secrets and isinstance(answer, dict):
		redaction.changed |= _mask_timeline(answer, secrets)
	if redaction.changed:
		response.set_data(json.dumps(answer, separators=(",", ":"), ensure_ascii=False))
	if asked:
		_note_asked(redaction, asked, answer)
	if redaction.seen:
		_write_log(redaction.seen)


def _secrets_of_the_form() -> list[str]:
	"""Return what the record of a form holds and the user may not see, to take it out of its timeline, where
	mails, comments and versions from before the app repeat it."""
	form, about = frappe.form_dict, this_request.doctype()
	if not this_request.command().startswith("frappe.desk.form.") or not about:
		return []
	hidden, name = rights.hidden_fields(about), form.get("name") or form.get("docname")
	if not hidden or not isinstance(name, str) or frappe.get_meta(about).issingle:
		return []
	return secrets_of(frappe.db.get_value(about, name, [*hidden], as_dict=True) or {})


def _mask_timeline(answer: dict, secrets: list[str]) -> bool:
	timeline = {part: answer[part] for part in ("docinfo", "message") if part in answer}
	before = json.dumps(timeline)
	answer.update(_masked(timeline, secrets))
	return json.dumps({part: answer[part] for part in timeline}) != before


def _masked(node: Any, secrets: list[str]) -> Any:
	if isinstance(node, dict):
		return {key: _masked(value, secrets) for key, value in node.items()}
	if isinstance(node, list):
		return [_masked(value, secrets) for value in node]
	return mask_words(node, secrets) if isinstance(node, str) else node


def _note_asked(redaction: Redaction, asked: frozenset[str], answer: Any) -> None:
	"""Note what rows show without its name: in a table, whose names stand apart, or under another name."""
	doctype = this_request.doctype()
	if not doctype or not isinstance(answer, dict):
		return
	message = answer.get("message", answer.get("data"))
	is_table = isinstance(message, dict) and isinstance(message.get("keys"), list)
	keys, rows = _columns_of(message)
	named = keys.index("name") if "name" in keys else None
	seen = redaction.seen.setdefault(doctype, {})
	for field in asked - rights.hidden_fields(doctype):
		if field not in keys:
			shown = rows if named is not None or field != rules.WHOLE_RECORD else []
		elif is_table:
			shown = [row for row in rows if row[keys.index(field)]]
		else:
			continue  # noted by its name
		if shown:
			seen[field] = {str(row[named]) if named is not None else "" for row in shown}
	if not seen:
		del redaction.seen[doctype]


def _columns_of(message: Any) -> tuple[list[str], list[list[Any]]]:
	"""Return names and rows of a list; some have their names apart (`frappe.desk.reportview.compress`)."""
	if isinstance(message, dict):
		if isinstance(message.get("keys"), list):
			return message["keys"], message["values"]
		message = [message]
	if not isinstance(message, list) or not message:
		return [], []
	if all(isinstance(row, dict) for row in message):
		keys = list(message[0])
		return keys, [[row.get(key) for key in keys] for row in message]
	return [], message


def _write_log(seen: dict[str, dict[str, set[str]]]) -> None:
	form = frappe.form_dict
	named = [form.get(name) for name in ("name", "docname", "filters", "report_name")]
	named = [name for name in named if isinstance(name, str) and name[:1] not in ("{", "[")]
	for doctype, fields in seen.items():
		names = set().union(*fields.values()) - {""}
		if doctype:
			access_log.record("View", doctype, fields, names or named[:1])
		elif not frappe.flags.gdpr_report_is_logged:  # rows of a report, or what a method says of something
			access_log.record("View", this_request.doctype() or "", fields, named[-1:])
	frappe.db.commit()  # nosemgrep: Frappe has ended the request's transaction before


def _log_export(asked: frozenset[str]) -> None:
	"""A file that was made of a list: it holds the records that the same question finds now."""
	doctype, form = this_request.doctype(), frappe.form_dict
	fields = asked - rights.hidden_fields(doctype) if doctype else ()
	if not fields or form.get("export_records") == "blank_template":
		return
	chosen = frappe.parse_json(form.get("selected_items") or "null")
	filters = frappe.parse_json(form.get("filters") or form.get("export_filters") or "[]")
	names = chosen or frappe.get_list(doctype, filters=filters or [], pluck="name", limit_page_length=0)
	access_log.record("Export", doctype, fields, names)
	frappe.db.commit()  # nosemgrep: as above


def _refuse(response: Any) -> None:
	"""Better no answer than one that nobody has checked."""
	if response is not None:
		text = _("The answer may hold protected fields and couldn't be checked. Error Log says why.")
		messages = json.dumps([json.dumps({"message": text})])
		response.set_data(json.dumps({"exc_type": "FieldProtected", "_server_messages": messages}))
		response.status_code = 500
