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
		_("Scripts and templates that read the database themselves"),
		_(
			"A Server Script, a print format, a mail template or a report's SQL may call frappe.db or "
			"frappe.get_all and give the value another name. Only a System Manager can write one."
		),
		"15, 16",
		_("Read doc.field, which is checked; give System Manager to few."),
	),
	OpenPath(
		_("Backups, the bench and the database"),
		_("Whoever has the server has everything."),
		"15, 16",
		_("Encrypt backups (System Settings), and keep the server to those who run it."),
	),
)
