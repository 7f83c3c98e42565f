import hashlib

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import cint

from gdpr_consent import policy_history, proof
from gdpr_consent.exceptions import ConsentError

FROZEN = ("purpose", "topic", "language", "text", "material", "offers_objection")


class ConsentWording(Document):
	def autoname(self) -> None:
		self.version = 1 + (
			frappe.db.get_value(
				"Consent Wording",
				{
					"purpose": self.purpose,
					"topic": self.topic or ["is", "not set"],
					"language": self.language,
				},
				"version",
				order_by="version desc",
			)
			or 0
		)
		self.name = f"{self.topic or self.purpose} {self.language} {self.version}"

	def validate(self) -> None:
		if (
			self.topic
			and frappe.get_cached_value("Subscription Topic", self.topic, "purpose") != self.purpose
		):
			frappe.throw(
				_("Topic {0} doesn't belong to purpose {1}.").format(
					frappe.bold(self.topic), frappe.bold(self.purpose)
				)
			)
		# As it is stored: what is sent may say anything.
		self.used = self._is_used()
		if self.used and any(self.has_value_changed(field) for field in FROZEN):
			frappe.throw(
				_("Somebody has agreed to {0}, so it stays as it is (Art. 7(1)). Add a new version.").format(
					frappe.bold(self.name)
				),
				ConsentError,
			)
		# Of the bytes that were shown, so that an export can prove them (CA-06).
		self.text_hash = hashlib.sha256((self.text or "").encode()).hexdigest()
		self._warn_if_nothing_says_how_to_withdraw()

	def _warn_if_nothing_says_how_to_withdraw(self) -> None:
		# Our own pages say it beside every text; on paper and on the phone there is only the text.
		if not (self.text and self.language and self.has_value_changed("text")):
			return
		if proof.tells_how_to_withdraw(self.text, self.language) is False:
			frappe.msgprint(
				_(
					"The text doesn't say how to withdraw. People have to know before they agree (Art. 7(3)"
					" GDPR)."
				),
				title=_("How to Withdraw"),
				indicator="orange",
			)

	def on_update(self) -> None:
		proof.forget_wordings()
		policy_history.note(self)

	def after_delete(self) -> None:
		proof.forget_wordings()
		policy_history.note_deletion(self)

	def on_trash(self) -> None:
		if self._is_used():
			frappe.throw(
				_("Somebody has agreed to {0}, so it is kept.").format(frappe.bold(self.name)), ConsentError
			)

	def _is_used(self) -> int:
		return cint(frappe.db.get_value(self.doctype, self.name, "used")) if not self.is_new() else 0
