"""Writes down who saw which protected field of which record, when and why, never the value (AU-08)."""

from collections.abc import Iterable

import frappe

from gdpr_consent.clock import now_utc

LOG = "Sensitive Access Log"
LONGEST_PATH, LONGEST_FIELDS = 300, 500


def record(
	how: str,
	doctype: str,
	fields: Iterable[str],
	records: Iterable[str],
	purpose: str | None = None,
	reason: str | None = None,
) -> str:
	"""Add a row for the session's user. The caller commits.

	Args:
		how: View, Reveal, Print, Report or Export
		fields: names of the fields that were shown
		records: names of the records that they were shown of
	"""
	now, user = frappe.utils.now(), frappe.session.user
	names = sorted({str(record) for record in records if record})
	row = {
		"name": frappe.generate_hash(length=16),
		"creation": now,
		"modified": now,
		"owner": user,
		"modified_by": user,
		"accessed_on": now_utc(),
		"user": user,
		"how": how,
		"ref_doctype": doctype,
		"fields": ",".join(sorted(fields))[:LONGEST_FIELDS],
		"purpose": purpose,
		"reason": reason,
		"path": _path()[:LONGEST_PATH],
		"record_count": len(names),
		"records": "\n".join(names),
	}
	frappe.db.bulk_insert(LOG, [*row], [[*row.values()]])
	return row["name"]


def _path() -> str:
	"""The method, or the resource without the name of its record, which stands in `records`."""
	request = getattr(frappe.local, "request", None)
	if not request:
		return frappe.local.job.method if getattr(frappe.local, "job", None) else ""
	parts = request.path.strip("/").split("/")
	if "resource" in parts[:3] or "document" in parts[:3]:
		parts = parts[: 3 if parts[1] in ("resource", "document") else 4]
	return str(frappe.form_dict.get("cmd") or f"{request.method} /{'/'.join(parts)}")
