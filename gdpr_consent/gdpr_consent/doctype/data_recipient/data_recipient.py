from frappe.model.document import Document

from gdpr_consent import data_recipients


class DataRecipient(Document):
	def validate(self) -> None:
		data_recipients.check(self)

	def on_update(self) -> None:
		data_recipients.forget()

	def after_rename(self, *_args: object, **_kwargs: object) -> None:
		data_recipients.forget()

	def on_trash(self) -> None:
		data_recipients.check_knows_all(self.name)

	def after_delete(self) -> None:
		data_recipients.forget()
