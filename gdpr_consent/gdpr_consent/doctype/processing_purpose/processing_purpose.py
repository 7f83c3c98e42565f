import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import getdate

from gdpr_consent import legitimate_interests, policy_history, proof
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
		self._check_special_categories()
		self._keep_what_consents_rely_on()

	def onload(self) -> None:
		self.set_onload("lacks_assessment", self.name in legitimate_interests.lacking(getdate()))

	def on_update(self) -> None:
		proof.forget_purposes()
		policy_history.note(self)

	def after_delete(self) -> None:
		proof.forget_purposes()
		policy_history.note_deletion(self)

	def _check_special_categories(self) -> None:
		"""They need a condition of Art. 9(2) besides the legal basis (LB-05)."""
		if not self.uses_special_categories:
			self.article_9_condition = None
		elif not self.article_9_condition:
			frappe.throw(
				_("{0} is missing. Choose what allows these data, or untick {1}.").format(
					_(self.meta.get_label("article_9_condition")),
					_(self.meta.get_label("uses_special_categories")),
				),
				frappe.MandatoryError,
			)

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
