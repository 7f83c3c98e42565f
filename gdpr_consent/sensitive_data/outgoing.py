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

from gdpr_consent.sensitive_data import access_log, incoming, rights, rules
from gdpr_consent.sensitive_data.redaction import Redaction


def redact_response(response: Any = None, request: Any = None) -> None:
	"""Hook `after_request`. Frappe passes over its errors, so nothing may leave this with one."""
	try:
		_redact(response)
	except Exception:
		frappe.log_error(title="Protected fields: the answer couldn't be checked")
		_refuse(response)


def _redact(response: Any) -> None:
	names, asked = rules.protected_names(), incoming.protected_fields_asked_for()
	if response is None or not names or response.is_streamed:
		return
	if response.mimetype != "application/json":
		if asked and response.status_code == 200:
			_log_export(asked)
		return
	if not (body := response.get_data()):
		return
	if not asked and not rules.pattern(names).search(body):
		return
	redaction = Redaction(incoming.doctype_of_list())
	answer = redaction.clean(json.loads(body))
	if redaction.changed:
		response.set_data(json.dumps(answer, separators=(",", ":"), ensure_ascii=False))
	if asked:
		_note_table(redaction, asked, answer)
	if redaction.seen:
		_write_log(redaction.seen)


def _note_table(redaction: Redaction, asked: frozenset[str], answer: Any) -> None:
	"""Lists come as `keys` and `values` (`frappe.desk.reportview.compress`)."""
	message = answer.get("message") if isinstance(answer, dict) else None
	doctype = incoming.doctype()
	if not doctype or not isinstance(message, dict) or not isinstance(message.get("keys"), list):
		return
	keys, hidden = message["keys"], rights.hidden_fields(doctype)
	for name in asked:
		if name in keys and name not in hidden:
			position, named = keys.index(name), keys.index("name") if "name" in keys else None
			records = {str(row[named]) for row in message["values"] if named is not None and row[position]}
			if records:
				redaction.seen.setdefault(doctype, {})[name] = records


def _write_log(seen: dict[str, dict[str, set[str]]]) -> None:
	form = frappe.form_dict
	named = [form.get(name) for name in ("name", "docname", "filters", "report_name")]
	named = [name for name in named if isinstance(name, str) and name[:1] not in ("{", "[")]
	for doctype, fields in seen.items():
		names = set().union(*fields.values()) - {""}
		if doctype:
			access_log.record("View", doctype, fields, names or named[:1])
		elif not frappe.flags.gdpr_report_is_logged:  # rows of a report, or what a method says of something
			access_log.record("View", incoming.doctype() or "", fields, named[-1:])
	frappe.db.commit()  # nosemgrep: Frappe has ended the request's transaction before


def _log_export(asked: frozenset[str]) -> None:
	"""A file that was made of a list: it holds the records that the same question finds now."""
	doctype, form = incoming.doctype(), frappe.form_dict
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
