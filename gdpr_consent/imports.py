"""Consents of another system or an old list, through core's Data Import (CA-17).

Each row passes the same door as a person in the desk. What a file says of the register's own columns isn't
believed: without a proof a yes is Unknown, whatever its status says, and a no counts without one.
"""

from collections.abc import Iterable
from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent import api, register
from gdpr_consent.exceptions import ConsentError, RegisterIsAppendOnly
from gdpr_consent.identity import address_keys
from gdpr_consent.policy import Status

COLUMNS = (
	*("email", "party_type", "party", "purpose", "topic", "channel", "legal_basis", "source"),
	*("given_on", "expires_on", "wording", "language", "evidence"),
	*("is_minor", "guardian_name", "guardian_verification"),
)
STATUS = "status"
NOES = (Status.WITHDRAWN, Status.REFUSED)
CLAIMS = (None, "", Status.GIVEN, Status.UNKNOWN, Status.NOT_REQUIRED)
COLUMNS_SEEN = "consent_import_columns"  # of the Data Import at work, in frappe.flags


def record(doc: Document) -> Document:
	"""Record a row, and leave the text of an error for the log of the import, which shows nothing else."""
	try:
		return _record(doc)
	except ConsentError as error:
		if not frappe.local.message_log:  # a door of ours has said it already
			frappe.msgprint(str(error), title=_("Not Possible"), indicator="red")
		raise


def _record(doc: Document) -> Document:
	"""Record what a row of a file says, and return it with the name of the record that says it now.

	Raises:
		RegisterIsAppendOnly: the file has columns that only the register writes.
		ConsentError: see `api.record_consent`; nothing is stored then.
	"""
	frappe.has_permission("Consent", "create", throw=True)
	given = _given_columns(doc)
	_check_columns(given)
	said = {column: doc.get(column) for column in COLUMNS if column in given and doc.get(column)}
	status = doc.get(STATUS) if STATUS in given else None
	if status in NOES:
		doc.name = _record_no(said)
	elif status not in CLAIMS:
		raise ConsentError(
			_("Status {0} can't be imported. Use Given, Withdrawn or Refused, or leave it empty.").format(
				frappe.bold(_(status))
			)
		)
	elif said.get("legal_basis", register.CONSENT_BASIS) != register.CONSENT_BASIS:
		doc.name = api.record_consent(**said)["name"]
	elif _is_proven(said) or said.get("is_minor"):  # a claim wouldn't say whose it is
		if not said.get("given_on"):
			raise ConsentError(
				_("Given On is missing. Enter when the person agreed (UTC), or an old consent would be new.")
			)
		doc.name = api.record_consent(**said)["name"]
	else:
		doc.name = _record_claim(said)
	return doc


def _is_proven(said: dict[str, Any]) -> bool:
	"""Whether a yes comes with a proof that its source, and Consent Settings, accept (CA-05, LB-06)."""
	if not said.get("evidence"):
		return False
	about = ("purpose", "topic", "channel", "source", "wording", "evidence")
	lack = register.lack_of(**{column: said[column] for column in about if column in said})
	return lack not in (register.Lack.DOCUMENT, register.Lack.WORDING)  # no source is a mistake, and told


def _given_columns(doc: Document) -> set[str]:
	"""Name the columns that the file has. A document alone doesn't tell what is a default of the site's."""
	reference = doc.flags.updater_reference
	if not reference:  # a document that bench imports
		defaults = frappe.new_doc(doc.doctype)
		fields = [field.fieldname for field in doc.meta.fields]
		return {field for field in fields if doc.get(field) and doc.get(field) != defaults.get(field)}
	seen = frappe.flags.get(COLUMNS_SEEN) or (None, set())
	if seen[0] != reference["docname"]:
		header = frappe.get_doc("Data Import", reference["docname"]).get_importer().import_file.header
		_check_are_read(header.columns)
		columns = {column.df.fieldname for column in header.columns if column.df and not column.skip_import}
		frappe.flags[COLUMNS_SEEN] = seen = (reference["docname"], columns)
	return seen[1]


def _check_are_read(columns: Iterable[Any]) -> None:
	"""Core leaves out a column whose name it doesn't know. Without its date, an old consent would be new."""
	for column in columns:
		if column.header_title and not column.df and column.map_to_field != "Don't Import":
			raise ConsentError(
				_(
					"Column {0} isn't one of Consent. Map it to a column, or choose Don't Import for it."
				).format(frappe.bold(frappe.utils.escape_html(str(column.header_title))))
			)


def _check_columns(given: set[str]) -> None:
	meta = frappe.get_meta("Consent")
	forbidden = sorted(given - {*COLUMNS, STATUS})
	if forbidden:
		labels = ", ".join(
			_(meta.get_label(column)) if meta.has_field(column) else column for column in forbidden
		)
		raise RegisterIsAppendOnly(
			_(
				"The register itself writes {0}. Remove the column from the file, or choose Don't Import for"
				" it."
			).format(frappe.bold(labels))
		)


def _record_claim(said: dict[str, Any]) -> str:
	"""A yes without a proof is Unknown, which allows nothing (T4)."""
	party_type, channel = said.get("party_type"), said.get("channel") or "Email"
	email, party = api.check_subject(said.get("email"), party_type, said.get("party"), channel)
	row = register.record_unproven(
		email=email,
		purpose=said.get("purpose"),
		topic=said.get("topic"),
		channel=channel,
		source=said.get("source") or register.source_if_known("Import"),
		party_type=party_type,
		party=party,
		reason=_("Imported without a proof; said to be given on {0}.").format(said["given_on"])
		if said.get("given_on")
		else _("Imported without a proof."),
	)
	return row["name"]


def _record_no(said: dict[str, Any]) -> str:
	"""Return the name of the consent that it ended, or of the refusal."""
	about = {name: said.get(name) for name in ("email", "party_type", "party", "purpose", "topic", "source")}
	why = said.get("evidence") or _("Imported from a list.")
	ended = api.withdraw_consent(**about, reason=why)["withdrawn"]
	if ended:
		return ended[0]
	keys = [key for key in address_keys([said.get("email") or ""]).values() if key]
	whose = {"address_key": ["in", keys]} if keys else {"party": said.get("party")}
	return frappe.get_all("Suppression", whose, order_by="said_on desc", pluck="name", limit=1)[0]
