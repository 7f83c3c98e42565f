"""Base of the register's DocTypes: read by everybody who may, written by `register` alone."""

from typing import NoReturn

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent.exceptions import RegisterIsAppendOnly


class AppendOnlyDocument(Document):
	"""Refuses every write through Frappe's document API, for every user and under every flag (AU-01)."""

	how_to = "gdpr_consent.api"

	def _refuse(self) -> NoReturn:
		frappe.throw(
			_("{0} can't be written directly. Use {1}.").format(frappe.bold(_(self.doctype)), self.how_to),
			RegisterIsAppendOnly,
		)

	def validate(self) -> None:
		self._refuse()

	def db_insert(self, *_args, **_kwargs) -> None:
		self._refuse()

	def db_update(self, *_args, **_kwargs) -> None:
		self._refuse()

	def db_set(self, *_args, **_kwargs) -> None:
		self._refuse()

	def on_trash(self) -> None:
		self._refuse()

	def after_delete(self) -> None:
		self._refuse()  # `ignore_on_trash` leaves out the one above

	def before_rename(self, *_args, **_kwargs) -> None:
		self._refuse()
