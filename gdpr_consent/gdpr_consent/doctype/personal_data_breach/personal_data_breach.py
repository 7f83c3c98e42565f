import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent import breaches
from gdpr_consent.exceptions import RegisterIsAppendOnly


class PersonalDataBreach(Document):
	def validate(self) -> None:
		before = self.get_doc_before_save()
		if before and before.status == "Closed":
			self._refuse(_("{0} is closed. Write down what is new as a breach of its own."))
		breaches.check(self)
		if not self.flags.is_closed_now:
			self.status = "Reported" if self.reported_on else "Open"

	def on_trash(self) -> None:
		self._refuse(_("{0} stays: each breach is kept on record (Art. 33(5) GDPR)."))

	def after_delete(self) -> None:
		self.on_trash()  # `ignore_on_trash` leaves out the one above

	def _refuse(self, why: str) -> None:
		frappe.throw(why.format(frappe.bold(self.name)), RegisterIsAppendOnly)
