"""A consent, and a person's whole history, on paper: who agreed to what, in which words, and how we know.

The declaration itself is on it, and not only the click that confirmed it (CA-07, BGH I ZR 164/09).
"""

import shutil
from datetime import datetime
from io import BytesIO
from typing import Any

from pypdf import PageObject, PdfReader, PdfWriter, Transformation
from pypdf.generic import ArrayObject, DecodedStreamObject, DictionaryObject, NameObject

import frappe
from frappe import _
from frappe.translate import print_language
from frappe.utils.pdf import get_pdf

from gdpr_consent import decisions, identity, ledger, records, register
from gdpr_consent.clock import from_utc_text, now_utc, to_system_time
from gdpr_consent.exceptions import RecordNotPossible
from gdpr_consent.policy import EventKind, Reason, RefusalKind, Status
from gdpr_consent.words import kind_in_words, reason_in_words, refusal_in_words

FORMAT = "Consent Receipt"  # the Print Format, for the desk's own print view
PAGE = (
	"gdpr_consent/templates/consent_paper_page.html"  # asks the site for nothing, as core's print styles do
)
INTO_THE_MARGIN = 22  # points; core sets all margins of a page without a head of its own to 15 mm
COLOURS = {
	Status.GIVEN.value: "#1a7f4b",
	Status.NOT_REQUIRED.value: "#1f5fa8",
	Status.UNKNOWN.value: "#b35c00",
	Status.REQUESTED.value: "#b35c00",
	**{
		status.value: "#8a2b2b"
		for status in (Status.WITHDRAWN, Status.REFUSED, Status.REVOKED, Status.INVALIDATED)
	},
}
OVER = "#5c6670"


def receipt_pdf(consent: str) -> bytes:
	"""Return the receipt of a consent, in the language that the person was asked in.

	Raises:
		RecordNotPossible: this server can't make PDFs.
	"""
	with print_language(frappe.db.get_value("Consent", consent, "language")):
		return make_pdf({"receipt": consent_receipt(consent)}, PAGE)


def history_pdf(email: str | None, party_type: str | None, party: str | None) -> bytes:
	"""Return everything that the register says of a person. Whoever calls has checked the right.

	Raises:
		RecordNotPossible: this server can't make PDFs.
	"""
	return make_pdf({"history": _history(email, party_type, party)}, PAGE)


def make_pdf(shown: dict[str, Any], template: str) -> bytes:
	"""Make a PDF with numbered pages, each but the first with a running head.

	Args:
		shown: what the template takes; it gets `is_running_head` for the head alone.

	Raises:
		RecordNotPossible: this server can't make PDFs.
	"""
	if not shutil.which("wkhtmltopdf"):
		raise RecordNotPossible(
			_(
				"This server can't make PDFs: wkhtmltopdf isn't installed. Ask its administrator for it (apt"
				" install wkhtmltopdf), or download JSON-LD."
			)
		)
	pages = _pages(shown, template)
	if len(pages) > 1:
		(head,) = _pages(shown | {"is_running_head": True}, template)
		for page in pages[1:]:
			page.merge_transformed_page(head, Transformation().translate(0, INTO_THE_MARGIN))
	return _numbered(pages)


def _pages(shown: dict[str, Any], template: str) -> list[PageObject]:
	pdf = get_pdf(frappe.render_template(template, shown), {"page-size": "A4"})
	return list(PdfReader(BytesIO(pdf)).pages)


def _numbered(pages: list[PageObject]) -> bytes:
	"""Write the number of each page at its foot, which the wkhtmltopdf of distributions can't."""
	writer = PdfWriter()
	font = DictionaryObject(
		{
			NameObject("/Type"): NameObject("/Font"),
			NameObject("/Subtype"): NameObject("/Type1"),
			NameObject("/BaseFont"): NameObject("/Helvetica"),
		}
	)
	for number, page in enumerate(pages, start=1):
		added = writer.add_page(page)
		stream = DecodedStreamObject()
		middle = float(added.mediabox.width) / 2 - 8
		text = f"BT /ConsentF 8 Tf 0.4 g 1 0 0 1 {middle:.0f} 24 Tm ({number} / {len(pages)}) Tj ET"
		stream.set_data(f"Q q {text} Q".encode())
		before = DecodedStreamObject()
		before.set_data(b"q ")
		contents = added["/Contents"]
		parts = contents if isinstance(contents, ArrayObject) else [added.raw_get("/Contents")]
		added[NameObject("/Contents")] = ArrayObject(
			[writer._add_object(before), *parts, writer._add_object(stream)]
		)
		resources = added["/Resources"].get_object()
		fonts = resources.setdefault(NameObject("/Font"), DictionaryObject()).get_object()
		fonts[NameObject("/ConsentF")] = font
	content = BytesIO()
	writer.write(content)
	return content.getvalue()


# --- what stands on it --------------------------------------------------------------------------------------


def consent_receipt(consent: str) -> dict[str, Any]:
	"""Return what the Print Format shows; nothing in it is escaped.

	Raises:
		PermissionError: any template can call this, so the right is checked here too.
	"""
	frappe.has_permission("Consent", "read", consent, throw=True)
	row, events = records.one_consent(consent)
	writer = records.Writer()
	return _head(writer, row) | {"consent": _consent(writer, row, events), "number": row.name}


def _history(email: str | None, party_type: str | None, party: str | None) -> dict[str, Any]:
	consents, refusals = records.read_person(email, party_type, party)
	companies = {row.company for row in consents.rows}
	company = companies.pop() if len(companies) == 1 else frappe.db.get_default("company")
	return history_of(consents, refusals, company) | {
		"about": email or party,
		"mails": _mails([email] if email else identity.addresses_of(party_type or "", party or "")),
	}


def history_of(consents: records.Book, refusals: records.Book, company: str | None) -> dict[str, Any]:
	"""Return consents and refusals as a page shows them, newest first."""
	writer = records.Writer()
	newest_first = sorted(consents.rows, key=lambda row: row.since, reverse=True)
	return _head(writer, frappe._dict(company=company)) | {
		"consents": [_consent(writer, row, consents.events[row.name]) for row in newest_first],
		"refusals": [_refusal(row, refusals.events[row.name]) for row in reversed(refusals.rows)],
	}


def _mails(emails: list[str]) -> list[dict[str, str]]:
	"""Return the marketing mails that were decided, newest first, each with the consent it stood on."""
	if not frappe.has_permission("Consent Decision"):
		return []
	return [
		{
			"when": _instant(from_utc_text(row["decided_on"])),
			"mail": row["title"] or row["reference_name"] or "",
			"about": " · ".join(_(name) for name in (row["purpose"], row["topic"]) if name),
			"why": reason_in_words(Reason(row["reason"])),
			"allowed": _("was allowed") if row["allowed"] else _("was blocked"),
			"consent": row["consent"] or "",
		}
		for row in decisions.of_people(emails)
	]


def _head(writer: records.Writer, row: frappe._dict) -> dict[str, Any]:
	settings = writer.settings
	company = row.company or ""
	address = (records.postal_address(company) if company else None) or {}
	officer = [settings.get("data_protection_officer"), settings.get("data_protection_officer_contact")]
	return {
		"company": company or _("Controller not stated"),
		"address": ", ".join(str(line) for line in address.values()) or _("Address not stated"),
		"officer": ", ".join(part for part in officer if part),
		"privacy_notice": settings.privacy_notice_url,
		"printed_on": _instant(now_utc()),
		"rights": [
			_("to withdraw, at any time and for the future; or to object to marketing"),
			_("to get a copy of your data, to have it corrected or erased, or its use restricted"),
			_("to take your data elsewhere, where you gave it by consent or contract"),
			_("to complain to a data protection authority"),
		],
	}


def _consent(writer: records.Writer, row: frappe._dict, events: list[ledger.Event]) -> dict[str, Any]:
	purpose = frappe.get_cached_doc("Processing Purpose", row.purpose)
	basis = frappe.get_cached_doc("Legal Basis", row.legal_basis)
	wording = writer.wording(row.wording)
	is_over = row.expires_on and row.expires_on <= now_utc()
	status = {"Given": "Expired", "Requested": "Lapsed", "Not Required": "Ended"}.get(
		row.status if is_over else "", row.status
	)
	not_stated = _("Not stated")
	is_consent = row.legal_basis == register.CONSENT_BASIS
	facts = [
		(_("Address"), row.email or _("Erased")),
		(_("Purpose"), _(row.purpose)),
		(_("What for"), _(purpose.description) if purpose.description else not_stated),
		(_("Topic"), _(row.topic) if row.topic else ""),
		(_("Channel"), _(row.channel)),
		(_("Legal Basis"), f"{_(basis.name)} ({basis.article})"),
		(_("Given On"), _instant(row.given_on)),
		(_("Confirmed On"), _instant(row.confirmed_on)),
		(_("Valid Until"), _instant(row.expires_on) or (_("it is withdrawn") if is_consent else "")),
		(_("Ended On"), _instant(row.ended_on)),
		(_("Source"), _(row.source) if row.source else not_stated),
		(_("Guardian Name"), row.guardian_name),
		(_("How the Guardian Was Verified"), row.guardian_verification),
		(_("Categories of Data"), _(purpose.data_categories) if purpose.data_categories else not_stated),
		(_("Categories of Recipients"), purpose.recipients or not_stated),
		(_("Storage and Erasure"), purpose.storage or not_stated),
		(
			_("Kept for"),
			_("{0} months after it ended").format(purpose.retention_months)
			if purpose.retention_months
			else not_stated,
		),
	]
	is_file = (row.evidence or "").startswith(("/files/", "/private/files/"))
	return {
		"name": row.name,
		"title": _(row.topic or row.purpose),
		"status": _(status),
		"colour": COLOURS.get(status, OVER),
		"facts": [(label, value) for label, value in facts if value],
		"evidence": _("Document {0}").format(row.evidence.rsplit("/", 1)[-1]) if is_file else row.evidence,
		"grade": row.evidence_grade,
		"wording": wording and {**wording, "name": row.wording},
		"double_opt_in": [
			(_instant(event.occurred_at), kind_in_words(event.kind))
			for event in events
			if event.kind in (EventKind.REQUEST, EventKind.ASK, EventKind.CONFIRM)
		],
		"events": [_event(event) for event in events],
		"url": writer.way_out(row) if row.email else "",
		"is_consent": is_consent,
	}


def _refusal(row: frappe._dict, events: list[ledger.Event]) -> dict[str, Any]:
	scope = [row.purpose and _(row.purpose), row.topic and _(row.topic), row.channel and _(row.channel)]
	return {
		"title": refusal_in_words(RefusalKind(row.kind)),
		"scope": " · ".join(part for part in scope if part) or _("All marketing"),
		"said_on": _instant(row.said_on),
		"lifted_on": _instant(row.lifted_on),
		"reason": row.reason,
		"events": [_event(event) for event in events],
	}


def _event(event: ledger.Event) -> dict[str, str]:
	by = {
		register.DATA_SUBJECT: _("the person"),
		register.GUARDIAN: _("the guardian"),
		register.SYSTEM: _("the system"),
	}
	return {
		"when": _instant(event.occurred_at),
		"what": kind_in_words(event.kind),
		"by": by.get(event.indicated_by, _("us")),
		"how": ", ".join(
			str(part) for part in (event.source and _(event.source), event.facts.get("reason")) if part
		),
	}


def _instant(instant: datetime | None) -> str:
	"""Write an instant in the user's format and the site's time, and say which that is."""
	if not instant:
		return ""
	return f"{frappe.utils.format_datetime(to_system_time(instant))} ({frappe.utils.get_system_timezone()})"
