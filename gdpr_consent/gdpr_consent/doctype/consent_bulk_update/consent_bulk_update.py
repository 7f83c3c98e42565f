from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent.bulk_update import items, rules
from gdpr_consent.exceptions import NotNow, RegisterIsAppendOnly

# What the work itself writes, past this controller.
WRITTEN_BY_THE_WORK = (
	*("status", "previewed_by", "previewed_on", "selection_hash", "needs_approval", "approved_by"),
	*("approved_on", "run_by", "started_on", "finished_on", "reverted_by", "reverted_on", "revert_reason"),
	*("total", "to_change", "unchanged", "to_skip", "processed", "position", "summary", "problem"),
)


class ConsentBulkUpdate(Document):
	def validate(self) -> None:
		before = self.get_doc_before_save()
		self._refuse_once_run(before)
		for field in WRITTEN_BY_THE_WORK:
			self.set(field, before.get(field) if before else self.meta.get_field(field).default)
		editors = [*((before and before.edited_by) or "").split(), frappe.session.user]
		self.edited_by = "\n".join(dict.fromkeys(editors))
		if self.rules:  # a draft may lack them, as when an address list is attached first
			rules.read(self)
		# Whatever was previewed and approved was something else.
		self.status = "Draft"
		self.selection_hash = self.approved_by = self.approved_on = None

	def _refuse_once_run(self, before: Document | None = None) -> None:
		"""What was run is evidence (BU-07)."""
		status = (before or self).status
		if status == "Previewing":
			frappe.throw(_("The preview is being made. Stop it first, or wait until it is there."), NotNow)
		if not self.is_new() and status not in items.EDITABLE:
			frappe.throw(
				_("{0} is {1}. It can't be changed or deleted any more; make another one.").format(
					frappe.bold(self.name), _(status)
				),
				RegisterIsAppendOnly,
			)

	def db_set(self, *_args: Any, **_kwargs: Any) -> None:
		frappe.throw(_("Use {0}.").format("gdpr_consent.bulk_update.api"), RegisterIsAppendOnly)

	def before_rename(self, *_args: Any, **_kwargs: Any) -> None:
		frappe.throw(_("A {0} can't be renamed.").format(_(self.doctype)), RegisterIsAppendOnly)

	def on_trash(self) -> None:
		self._refuse_once_run()

	def after_delete(self) -> None:
		self._refuse_once_run()  # `ignore_on_trash` leaves out the one above
		items.delete_of(self.name)
