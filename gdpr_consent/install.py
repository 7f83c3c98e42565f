"""Brings a site to the state the app needs, and only adds: what an administrator changed stays as it is."""

from collections.abc import Iterable

import frappe

from gdpr_consent.seeds import LEGAL_BASES


def after_install() -> None:
	create_missing("Legal Basis", LEGAL_BASES)


def after_migrate() -> None:
	create_missing("Legal Basis", LEGAL_BASES)


def create_missing(doctype: str, records: Iterable[dict]) -> None:
	"""Insert each record whose title the site doesn't have yet."""
	present = set(frappe.get_all(doctype, pluck="name"))
	for record in records:
		if record["title"] not in present:
			frappe.get_doc(doctype=doctype, **record).insert(ignore_permissions=True)  # runs as bench does
