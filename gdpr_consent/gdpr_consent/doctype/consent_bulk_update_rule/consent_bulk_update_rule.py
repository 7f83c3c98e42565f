from typing import Any, NoReturn

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent.exceptions import RegisterIsAppendOnly


class ConsentBulkUpdateRule(Document):
	"""Written with its bulk update only: what was approved or run isn't changed row by row (BU-04, BU-07)."""

	def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
		frappe.throw(
			_("A rule can't be written by itself. Save its {0}.").format(_("Consent Bulk Update")),
			RegisterIsAppendOnly,
		)

	# Saving the parent calls none of them.
	validate = on_trash = after_delete = before_rename = db_set = _refuse
