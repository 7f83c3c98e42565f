import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import getdate

from gdpr_consent import legal_hold
from gdpr_consent.exceptions import InvalidPeriod, RegisterIsAppendOnly

WRITTEN_AT_RELEASE = ("released_on", "released_by", "release_reason")


class LegalHold(Document):
	def validate(self) -> None:
		before = self.get_doc_before_save()
		if not self.flags.is_released_now:
			for field in WRITTEN_AT_RELEASE:
				self.set(field, before.get(field) if before else None)
		if before and before.released_on:
			self._refuse(_("A hold that was released stays as it was. Make another one."))
		if self.is_new():
			legal_hold.check_may_be_held(self.party_type, self.party)
		if getdate(self.review_on) <= getdate(self.held_on):
			frappe.throw(
				_("Review On {0} must be later than Held Since {1}.").format(self.review_on, self.held_on),
				InvalidPeriod,
			)

	def on_trash(self) -> None:
		self._refuse(_("A Legal Hold is evidence and isn't deleted. Release it."))

	def _refuse(self, why: str) -> None:
		frappe.throw(why, RegisterIsAppendOnly)
