"""Hands out consents as files: names them, signs them if asked, and notes who took them.

Whoever calls has checked that the user may see the person; see `api.py`.
"""

import json
from collections.abc import Callable

import frappe
from frappe import _
from frappe.core.doctype.access_log.access_log import make_access_log

from gdpr_consent import paper, records
from gdpr_consent.exceptions import RecordNotPossible

PDF = "PDF"
OF_A_CONSENT: dict[str, Callable[[str], records.Json]] = {
	"JSON-LD": records.record_of,
	"JSON-LD Receipt": records.receipt_of,
	"Kantara": records.kantara_of,
}


def consent(name: str, file_format: str, is_signed: bool) -> None:
	"""Answer the request with the file of one consent."""
	_check_format(file_format, (PDF, *OF_A_CONSENT), is_signed)
	if file_format == PDF:
		_send(f"consent-{name}.pdf", paper.receipt_pdf(name))
	else:
		suffix = ".jsonld" if file_format.startswith("JSON-LD") else ".json"
		_send_document(f"consent-{name}", OF_A_CONSENT[file_format](name), suffix, is_signed)
	make_access_log(doctype="Consent", document=name, file_type=file_format, method="gdpr_consent download")


def history(
	email: str | None, party_type: str | None, party: str | None, file_format: str, is_signed: bool
) -> None:
	"""Answer the request with the file of everything about a person; its name holds no address."""
	_check_format(file_format, (PDF, "JSON-LD"), is_signed)
	name = f"consent-history-{frappe.utils.nowdate()}"
	if file_format == PDF:
		_send(f"{name}.pdf", paper.history_pdf(email, party_type, party))
	else:
		_send_document(name, records.history_of(email, party_type, party), ".jsonld", is_signed)
	make_access_log(doctype=party_type, document=party, file_type=file_format, method="gdpr_consent history")


def _check_format(file_format: str, known: tuple[str, ...], is_signed: bool) -> None:
	if file_format not in known:
		raise RecordNotPossible(
			_("File Format {0} doesn't exist. Use one of {1}.").format(
				frappe.bold(frappe.utils.escape_html(str(file_format))), ", ".join(known)
			)
		)
	if is_signed and file_format == PDF:
		raise RecordNotPossible(_("A PDF can't be signed. Choose JSON-LD, or leave out the signature."))


def _send_document(name: str, document: records.Json, suffix: str, is_signed: bool) -> None:
	if is_signed:
		_send(f"{name}.jwt", records.signed(document).encode())
	else:
		_send(name + suffix, json.dumps(document, ensure_ascii=False, indent=2).encode())


def _send(name: str, content: bytes) -> None:
	frappe.local.response.filename = name
	frappe.local.response.filecontent = content
	frappe.local.response.type = "download"
