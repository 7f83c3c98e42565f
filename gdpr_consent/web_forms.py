"""Web Forms of the site's own whose boxes ask for consent: a lead form that records it with its evidence.

A box is mapped in the Web Form, by the fields Consent Purpose and Subscription Topic of its row. Who ticks it
is asked by mail to confirm, where the topic or the country wants that; what the box said is on record (CA-06,
CA-07).
"""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import cint
from frappe.website.doctype.web_form import web_form as core

from gdpr_consent import identity, proof, register, sign_up
from gdpr_consent.doors import object_of, says_why
from gdpr_consent.failures import log_failure

PARTY_TYPES = ("Contact", "Lead")  # a Customer may be many people


def validate(doc: Document, _method: str | None = None) -> None:
	"""Refuse a box that nobody could tick of their own free will (CA-01, CA-02)."""
	boxes = [row for row in doc.web_form_fields if _asks_for_consent(row)]
	if boxes and not _email_field(doc):
		frappe.throw(
			_("{0} asks for consent, but the form has no field for the address. Add one of type {1}.").format(
				frappe.bold(_(boxes[0].label)), frappe.bold(f"{_('Data')} ({_('Options')}: Email)")
			)
		)
	for row in boxes:
		_check_box(row)
		purpose = register.check_purpose(row.consent_purpose or _purpose_of(row.subscription_topic))
		register.check_topic(row.subscription_topic, purpose.name)
		register.check_legal_basis(register.CONSENT_BASIS, purpose)


def _check_box(row: Document) -> None:
	if row.fieldtype != "Check":
		frappe.throw(
			_("{0} is of type {1}. Only a box to tick can ask for consent; choose type {2}.").format(
				frappe.bold(_(row.label)), _(row.fieldtype), frappe.bold(_("Check"))
			)
		)
	for fieldname, value in (("default", cint(row.default)), *((name, row.get(name)) for name in NOT_FREE)):
		if value:
			frappe.throw(
				_("{0} asks for consent, so {1} can't be {2}: the person ticks it, or not. Clear it.").format(
					frappe.bold(_(row.label)),
					frappe.bold(_(row.meta.get_label(fieldname))),
					row.get(fieldname),
				)
			)


NOT_FREE = ("reqd", "mandatory_depends_on", "hidden", "read_only")


def _asks_for_consent(row: Document) -> bool:
	return bool(row.get("consent_purpose") or row.get("subscription_topic"))


def _purpose_of(topic: str) -> str:
	return frappe.get_cached_value("Subscription Topic", topic, "purpose")


def _email_field(form: Document) -> str | None:
	for row in form.web_form_fields:
		if row.fieldtype == "Data" and row.options == "Email":
			return row.fieldname
	return None


@frappe.whitelist(allow_guest=True, methods=["POST"])
@says_why
def accept(web_form: str, data: str) -> Any:
	"""Save a Web Form as core does, then ask whoever ticked a mapped box to confirm it by mail.

	Whatever happens to the consent, what the form saved stays.
	"""
	sent = frappe._dict(object_of("data", data))
	form = frappe.get_cached_doc("Web Form", web_form)
	boxes = [row for row in form.web_form_fields if _is_ticked(row, sent)]
	before = _ticked_before(form, boxes, sent)
	saved = core.accept(web_form=web_form, data=data)
	try:
		_ask(form, [row for row in boxes if row.fieldname not in before], sent, saved)
	except Exception:
		log_failure("Web Form: consent wasn't asked for")
	return saved


def _is_ticked(row: Document, sent: dict[str, Any]) -> bool:
	return row.fieldtype == "Check" and _asks_for_consent(row) and cint(sent.get(row.fieldname)) == 1


def _ticked_before(form: Document, boxes: list[Document], sent: dict[str, Any]) -> set[str]:
	"""Name the boxes that were on already in a document that is edited: nobody ticked those now."""
	if not (boxes and sent.get("name")):
		return set()
	columns = set(frappe.get_meta(form.doc_type).get_valid_columns())
	fields = ["name", *(row.fieldname for row in boxes if row.fieldname in columns)]
	stored = frappe.db.get_value(form.doc_type, str(sent["name"]), fields, as_dict=True)
	return {row.fieldname for row in boxes if stored and stored.get(row.fieldname)}


def _ask(form: Document, boxes: list[Document], sent: dict[str, Any], saved: Document) -> None:
	email = str(sent.get(_email_field(form)) or "").strip()
	if not boxes or not identity.address_keys([email])[email]:
		return
	wanted = [_box(row) for row in boxes]
	declarations = {
		box.value: _('Web Form {0}: "{1}"').format(form.name, f"{box.title}\n{box.text}".strip())
		for box in wanted
	}
	is_party = saved.doctype in PARTY_TYPES
	# The form doesn't ask for the age (Art. 8), but the page does that a mail leads to.
	needs_mail = proof.asks_age() or _may_be_filled_in(boxes)
	sign_up.ask(
		email,
		wanted,
		frappe.local.lang,
		evidence=None if needs_mail else "\n".join(declarations.values()),
		declarations=declarations,
		party_type=saved.doctype if is_party else None,
		party=saved.name if is_party else None,
	)


def _may_be_filled_in(boxes: list[Document]) -> bool:
	"""Whether the address of the form may have ticked a box, for Frappe fills forms from it (CA-01)."""
	page = urlsplit(frappe.get_request_header("Referer") or "")
	filled_in = parse_qs(page.query, keep_blank_values=True)
	return not page.path or any(row.fieldname in filled_in for row in boxes)


def _box(row: Document) -> sign_up.Box:
	"""Return the box with its texts as the form shows them."""
	purpose = row.consent_purpose or _purpose_of(row.subscription_topic)
	text = _(row.description) if row.description else ""
	return sign_up.Box(purpose, row.subscription_topic or "", _(row.label) if row.label else "", text, None)
