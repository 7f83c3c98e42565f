"""Ways to a protected value that an app can't close on this version of Frappe: published in docs/, shown
with the self-check, and the only ones that the test lets through."""

from typing import NamedTuple


def _(text: str) -> str:
	"""Mark a text for translation; it is translated when it is shown."""
	return text


class OpenPath(NamedTuple):
	title: str
	why: str
	frappe: str
	workaround: str


OPEN_PATHS = (
	OpenPath(
		_("Scripts, and templates that read the database themselves"),
		_(
			"A Server Script, the SQL of a report, or frappe.db or frappe.get_doc in a template (of prints, "
			"mails, terms, contracts) may fetch the value and give it another name. Only people who may see "
			"all protected fields can write such a template; scripts need System Manager or Script Manager, "
			"and what was there before stays."
		),
		"15, 16",
		_("Read doc.field, which is checked, and go through the scripts and templates that you have."),
	),
	OpenPath(
		_("Error Log"),
		_(
			"When something fails, Frappe writes down the variables of the code that failed, among them "
			"perhaps a record. Only a System Manager reads it."
		),
		"15, 16",
		_("Give System Manager to few, and keep Error Log for days only (Log Settings)."),
	),
	OpenPath(
		_("Backups, the bench and the database"),
		_("Whoever has the server has everything."),
		"15, 16",
		_("Encrypt backups (System Settings), and keep the server to those who run it."),
	),
)
