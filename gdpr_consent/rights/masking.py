"""Takes other people out of what one person is given (Art. 15(4); DS-13): their addresses, and their names
where they stand beside an address or are those of staff (C-579/21)."""

import re
from collections.abc import Iterable
from email.utils import formataddr, getaddresses
from typing import Any

import frappe

from gdpr_consent.rights.subject import Subject

MASKED = "[…]"  # the README of a package says what it means
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
# Whoever has such a link acts as the person. A package may be read by others on its way.
LINK = re.compile(r"(/consent/[a-z-]+\?t=)[^\s\"'<>&]+")
HEADERS = frozenset({"sender", "recipients", "cc", "bcc", "to", "from", "recipient", "raised_by", "sent_to"})


class Mask:
	"""Knows who the person is, and who else may be named: the company's own mailboxes."""

	def __init__(self, subject: Subject) -> None:
		self.theirs = {address.lower() for address in subject.addresses}
		self.users = set(subject.named("User"))
		self.names = {name.lower() for name in subject.names}
		ours = frappe.get_all("Email Account", pluck="email_id", limit=0)
		ours += frappe.get_all("Company", pluck="email", limit=0)
		self._kept = self.theirs | {address.lower() for address in ours if address}
		self._staff = _by_first_word(
			name
			for name in frappe.get_all("User", {"user_type": "System User"}, pluck="full_name", limit=0)
			if name and len(name.split()) > 1 and name.lower() not in self.names
		)

	def is_theirs(self, address: str | None) -> bool:
		return (address or "").strip().lower() in self.theirs

	def row(self, values: dict[str, Any], staff: Iterable[str]) -> dict[str, Any]:
		"""Mask a row of a DocType.

		Args:
			staff: fields that hold other people's data or the names of staff, and links to User.
		"""
		headers = {field: value for field, value in values.items() if field in HEADERS and value}
		names = _by_first_word(name for value in headers.values() for name in self._names_of_others(value))
		hidden = {*staff, *headers}
		return {
			field: self._other(value) if field in hidden else self.text(value, names)
			for field, value in values.items()
		}

	def text(self, value: Any, names: dict[str, list[list[str]]] | None = None) -> Any:
		"""Mask the addresses of others in a text, the names of staff, and `names`."""
		if not isinstance(value, str) or len(value) < 3:
			return value
		if "@" in value:
			value = ADDRESS.sub(lambda found: found[0] if found[0].lower() in self._kept else MASKED, value)
		if "/consent/" in value:
			value = LINK.sub(rf"\1{MASKED}", value)
		for known in (names, self._staff):
			if known:
				value = _without_names(value, known)
		return value

	def _other(self, value: Any) -> Any:
		if not value or value in self.users or str(value).lower() in self.names:
			return value
		if not isinstance(value, str):
			return MASKED
		if "@" in value:
			return self._addresses(value)
		numbers = re.split(r"[\n,;]+", value)
		return ", ".join(number if self.is_theirs(number) else MASKED for number in numbers if number.strip())

	def _addresses(self, header: str) -> str:
		"""Keep of a list of addresses the person's own, and the company's."""
		return ", ".join(
			formataddr((name, address)) if address.lower() in self._kept else MASKED
			for name, address in getaddresses([header])
			if name or address
		)

	def _names_of_others(self, header: str) -> list[str]:
		return [
			name
			for name, address in getaddresses([header])
			if name
			and "@" in address
			and address.lower() not in self._kept
			and name.lower() not in self.names
		]


def _by_first_word(names: Iterable[str]) -> dict[str, list[list[str]]]:
	found: dict[str, list[list[str]]] = {}
	for name in names:
		words = [word.lower() for word in WORD.findall(name)]
		if len(words) > 1:  # a single word may mean anything
			found.setdefault(words[0], []).append(words)
	return found


def _without_names(text: str, names: dict[str, list[list[str]]]) -> str:
	"""Mask names in one pass over the words, however many names there are."""
	words = list(WORD.finditer(text))
	lower = [word[0].lower() for word in words]
	parts, done, position = [], 0, 0
	while position < len(words):
		for name in names.get(lower[position], ()):
			if lower[position : position + len(name)] == name:
				parts += [text[done : words[position].start()], MASKED]
				position += len(name) - 1
				done = words[position].end()
				break
		position += 1
	return "".join([*parts, text[done:]]) if parts else text
