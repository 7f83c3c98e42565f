"""Brings a site to the state the app needs, and only adds: what an administrator changed stays as it is."""

import frappe

from gdpr_consent.seeds import LEGAL_BASES


def create_missing_seeds() -> None:
	"""Insert each seed that the site doesn't have yet; runs at installation and at every migrate."""
	for seed in LEGAL_BASES:
		# Asked of the database: in its collation an edited "CONSENT" is the same name as "Consent".
		if not frappe.db.exists("Legal Basis", seed["title"]):
			frappe.get_doc(doctype="Legal Basis", **seed).insert(ignore_permissions=True)  # run by bench
