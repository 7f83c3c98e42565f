from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent.exceptions import RequestIsKept
from gdpr_consent.rights import intake, requests


class DataSubjectRequest(Document):
	def before_insert(self) -> None:
		requests.prepare(self)

	def after_insert(self) -> None:
		intake.on_arrival(self)

	def validate(self) -> None:
		if not self.is_new():
			self._refuse()

	def db_set(self, *_args: Any, **_kwargs: Any) -> None:
		self._refuse()

	def before_rename(self, *_args: Any, **_kwargs: Any) -> None:
		self._refuse()

	def on_trash(self) -> None:
		self._refuse()

	def after_delete(self) -> None:
		self._refuse()  # `ignore_on_trash` leaves out the one above

	def _refuse(self) -> None:
		frappe.throw(
			_("{0} is kept as it is. Use the buttons of its form, or {1}.").format(
				frappe.bold(self.name), "gdpr_consent.rights.api"
			),
			RequestIsKept,
		)


def on_doctype_update() -> None:
	frappe.db.add_index("Data Subject Request", ["address_key", "name"], "address_key")
	frappe.db.add_index("Data Subject Request", ["link_key", "name"], "link_key")
	frappe.db.add_index("Data Subject Request", ["status", "due_on"], "due")
