import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent import policy_history, proof
from gdpr_consent.exceptions import ConsentError
from gdpr_consent.rights import deadlines


class ConsentCountryRule(Document):
	# The field isn't called country: Frappe would fill it with the country of the site.
	def autoname(self) -> None:
		self.title = self.applies_to or proof.ANY_OTHER_COUNTRY
		self.name = self.title

	def validate(self) -> None:
		if not self.applies_to and not self.enabled:
			self._refuse()
		self._check_holidays()

	def on_update(self) -> None:
		proof.forget_rules()
		policy_history.note(self)

	def on_trash(self) -> None:
		if not self.applies_to:
			self._refuse()

	def after_delete(self) -> None:
		proof.forget_rules()
		policy_history.note_deletion(self)

	def _check_holidays(self) -> None:
		self.holidays = (self.holidays or "").strip().upper() or None
		try:
			if self.holidays:
				deadlines.holidays_of(self.holidays)
		except ValueError:
			frappe.throw(
				_(
					"Holidays {0} isn't the code of a country, or of a part of one, whose holidays are known."
					" Write it as DE or DE-BY, or leave it empty."
				).format(frappe.bold(frappe.utils.escape_html(self.holidays))),
				ConsentError,
			)

	def _refuse(self) -> None:
		frappe.throw(
			_("{0} stands for every country without a rule of its own, so it is kept.").format(
				frappe.bold(self.title)
			),
			ConsentError,
		)
