import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent import proof
from gdpr_consent.exceptions import LegalBasisNotAllowed

MEANING = ("article", "dpv_term", "marketing")


class LegalBasis(Document):
	# begin: auto-generated types
	# This code is auto-generated. Do not modify anything in this block.

	from typing import TYPE_CHECKING

	if TYPE_CHECKING:
		from frappe.types import DF

		article: DF.Data
		description: DF.SmallText | None
		dpv_term: DF.Data | None
		enabled: DF.Check
		marketing: DF.Literal["Needs Consent", "Existing Customer", "Never"]
		title: DF.Data
	# end: auto-generated types

	def validate(self) -> None:
		"""What a record rests on goes on meaning what it meant (LB-04)."""
		changed = [field for field in MEANING if not self.is_new() and self.has_value_changed(field)]
		if changed and frappe.db.exists("Consent", {"legal_basis": self.name}):
			frappe.throw(
				_("Records rest on {0}, so {1} stays as it is. Add a new legal basis.").format(
					frappe.bold(self.name), _(self.meta.get_label(changed[0]))
				),
				LegalBasisNotAllowed,
			)

	def on_update(self) -> None:
		proof.forget_grounds()

	def after_delete(self) -> None:
		proof.forget_grounds()
