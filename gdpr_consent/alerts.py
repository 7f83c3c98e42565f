"""Tells those in charge, in the desk and by what they chose for their notifications."""

from collections.abc import Iterable
from datetime import date

import frappe


def users_with(roles: Iterable[str]) -> list[str]:
	"""Name the enabled users who have one of the roles."""
	holders = frappe.get_all(
		"Has Role", {"role": ["in", [*roles]], "parenttype": "User"}, pluck="parent", distinct=True
	)
	return frappe.get_all("User", {"name": ["in", holders], "enabled": 1}, pluck="name")


def officers() -> list[str]:
	"""Name the Privacy Officers, or where a site has none yet the System Managers: somebody has to hear."""
	for role in ("Privacy Officer", "System Manager"):
		if found := [user for user in users_with([role]) if user != "Administrator"]:
			return found
	return []


def alert(users: Iterable[str], subject: str, doctype: str, name: str, text: str = "") -> None:
	"""Show an alert about a record to each user."""
	for user in users:
		frappe.get_doc(
			doctype="Notification Log",
			type="Alert",
			for_user=user,
			from_user="Administrator",
			document_type=doctype,
			document_name=name,
			subject=subject,
			email_content=text,
		).insert(ignore_permissions=True)  # the system tells those in charge


def alert_once(users: Iterable[str], subject: str, doctype: str, name: str, since: date) -> bool:
	"""Show an alert about a record to each user who has had none since a day. Returns whether any."""
	about = {"type": "Alert", "document_type": doctype, "document_name": name, "creation": [">=", since]}
	told = frappe.get_all("Notification Log", about, pluck="for_user")
	users = set(users) - set(told)
	alert(sorted(users), subject, doctype, name)
	return bool(users)
