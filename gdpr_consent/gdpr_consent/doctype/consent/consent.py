import frappe
from frappe.model.document import Document

from gdpr_consent import imports
from gdpr_consent.append_only import AppendOnlyDocument

DECISIVE = (
	*("address_key", "channel", "purpose", "topic", "status", "legal_basis", "evidence_grade"),
	*("double_opt_in", "country", "since", "given_on", "expires_on", "confirmed_on"),
)


class Consent(AppendOnlyDocument):
	how_to = "gdpr_consent.api.record_consent"

	def insert(self, *args, **kwargs) -> Document:
		"""Record a row of Data Import, through the register as everything else. The rest is refused below."""
		if frappe.flags.in_import:
			return imports.record(self)
		return super().insert(*args, **kwargs)


def on_doctype_update() -> None:
	# All that audience.py asks for, in its order: the rows lie all over a large table, and stay unread. The
	# lengths of the fields are such that it fits into the 3,072 bytes of an index.
	frappe.db.add_index("Consent", DECISIVE, "decision")
	frappe.db.add_index("Consent", ["party_type", "party"], "party")
	frappe.db.add_index("Consent", ["status", "expires_on"], "expiry")
	frappe.db.add_index("Consent", ["topic", "status", "address_key"], "topic_status")
