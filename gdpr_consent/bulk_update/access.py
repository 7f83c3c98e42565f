"""Who may do what with which Consent Bulk Update."""

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent.bulk_update.job import DOCTYPE


def permitted(bulk_update: str, right: str) -> Document:
	"""Read a Consent Bulk Update on which the user has a right, such as write.

	Raises:
		PermissionError: the user hasn't. Of one that they don't see, they aren't told whether it exists: a
			Consent User sees their own only.
	"""
	frappe.has_permission(DOCTYPE, "read", throw=True)
	# Asked as a list is, which says nothing else; a document would say why it isn't shown.
	if not frappe.get_list(DOCTYPE, {"name": bulk_update}, limit=1):
		name = frappe.bold(frappe.utils.escape_html(bulk_update))
		raise frappe.PermissionError(
			_("There is no {0} {1}, or you have no right to it.").format(_(DOCTYPE), name)
		)
	doc = frappe.get_doc(DOCTYPE, bulk_update)
	doc.check_permission(right)
	return doc
