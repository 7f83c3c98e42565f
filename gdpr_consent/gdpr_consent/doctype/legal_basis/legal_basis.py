from frappe.model.document import Document


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

	pass
