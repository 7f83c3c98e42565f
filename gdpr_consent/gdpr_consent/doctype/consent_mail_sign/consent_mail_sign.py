import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent.exceptions import UnknownReference
from gdpr_consent.gate.classify import SENDER, SENT_FROM
from gdpr_consent.identity import normalise_email
from gdpr_consent.register import check_topic


class ConsentMailSign(Document):
	def check(self) -> None:
		"""Called by Consent Settings: Frappe doesn't validate rows of a table by themselves."""
		self.value = (self.value or "").strip()
		check_topic(self.subscription_topic, self.consent_purpose)
		if self.sign == SENT_FROM and not frappe.db.exists("DocType", self.value):
			frappe.throw(
				_("Row {0}: there is no DocType {1}. Enter its English name, such as Event.").format(
					self.idx, frappe.bold(frappe.utils.escape_html(self.value))
				),
				UnknownReference,
			)
		if self.sign == SENDER:
			self.value = normalise_email(self.value)
