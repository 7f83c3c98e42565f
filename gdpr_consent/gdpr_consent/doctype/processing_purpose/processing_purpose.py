import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent import policy_history
from gdpr_consent.exceptions import LegalBasisNotAllowed


class ProcessingPurpose(Document):
	def validate(self) -> None:
		allowed = [row.legal_basis for row in self.allowed_legal_bases]
		if self.default_legal_basis not in allowed:
			frappe.throw(
				_("{0} {1} isn't among the {2}.").format(
					_(self.meta.get_label("default_legal_basis")),
					frappe.bold(self.default_legal_basis),
					_(self.meta.get_label("allowed_legal_bases")),
				),
				LegalBasisNotAllowed,
			)
		self._keep_what_consents_rely_on()

	def on_update(self) -> None:
		policy_history.note(self)

	def after_delete(self) -> None:
		policy_history.note_deletion(self)

	def _keep_what_consents_rely_on(self) -> None:
		"""Records depend on the basis and the controller they were made under (LB-04, LB-11)."""
		before = self.get_doc_before_save()
		if not before:
			return
		gone = {row.legal_basis for row in before.allowed_legal_bases} - {
			row.legal_basis for row in self.allowed_legal_bases
		}
		for basis in gone:
			if frappe.db.exists("Consent", {"purpose": self.name, "legal_basis": basis}):
				frappe.throw(
					_("Records rest on {0} for this purpose. Keep it, or add a new purpose.").format(
						frappe.bold(basis)
					),
					LegalBasisNotAllowed,
				)
		# Where no company was set, people were told the site's own.
		site = frappe.db.get_default("company")
		for field, was, now in (
			("company", before.company or site, self.company or site),
			("is_marketing", before.is_marketing, self.is_marketing),
		):
			if was and was != now:
				if frappe.db.exists("Consent", {"purpose": self.name}):
					frappe.throw(
						_(
							"People have agreed to {0} as it is. Add a new purpose instead of changing {1}."
						).format(frappe.bold(self.name), _(self.meta.get_label(field))),
						LegalBasisNotAllowed,
					)
