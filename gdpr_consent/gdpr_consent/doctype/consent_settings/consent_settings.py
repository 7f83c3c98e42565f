import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent import standing
from gdpr_consent.exceptions import InvalidPeriod, UnknownReference


class ConsentSettings(Document):
	def validate(self) -> None:
		for field in ("default_purpose", "tracking_purpose"):
			self._check_marketing_purpose(field)
		for row in self.mail_signs:
			row.check()
		if not 1 <= (self.confirmation_hours or 0) <= 168:
			frappe.throw(
				_("{0} is {1}. It must be between 1 and 168 (seven days, CA-10).").format(
					_(self.meta.get_label("confirmation_hours")), self.confirmation_hours
				),
				InvalidPeriod,
			)

	def on_update(self) -> None:
		if self.has_value_changed("default_purpose"):
			standing.start()

	def _check_marketing_purpose(self, field: str) -> None:
		purpose = self.get(field)
		if purpose and not frappe.db.get_value(
			"Processing Purpose", {"name": purpose, "enabled": 1, "is_marketing": 1}
		):
			frappe.throw(
				_("{0} {1} isn't an enabled marketing purpose.").format(
					_(self.meta.get_label(field)), frappe.bold(purpose)
				),
				UnknownReference,
			)
