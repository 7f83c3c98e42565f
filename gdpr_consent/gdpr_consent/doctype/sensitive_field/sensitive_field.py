import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent.exceptions import ConsentError
from gdpr_consent.sensitive_data import protection, rules


class SensitiveField(Document):
	def autoname(self) -> None:
		self.name = rules.name_of(self.ref_doctype, self.fieldname)

	def validate(self) -> None:
		rules.validate(self)

	def on_update(self) -> None:
		protection.put_in_force(self.ref_doctype)
		self.state, self.state_reason = frappe.db.get_value(
			self.doctype, self.name, ("state", "state_reason")
		)

	def on_trash(self) -> None:
		if self.is_standard:
			frappe.throw(
				_("{0} came with the app and would come back. Switch it off instead.").format(
					frappe.bold(self.name)
				),
				ConsentError,
			)

	def after_delete(self) -> None:
		protection.put_in_force(self.ref_doctype)
