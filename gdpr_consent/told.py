"""What stands beside a box of our pages, and comes back signed, for the evidence to name just that (CA-06).

What somebody only claims to have shown is never on record (WB-06).
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import frappe

from gdpr_consent import links, register
from gdpr_consent.exceptions import LinkNotValid


class Beside(NamedTuple):
	"""What stands beside a box: its title and text, and which Consent Wording that is, if it is one."""

	text: str
	wording: str | None


class Told(NamedTuple):
	"""What somebody saw, by the value of each box: a Consent Wording, or the text where there is none."""

	wordings: dict[str, str]
	texts: dict[str, str]

	def __contains__(self, box: object) -> bool:
		return box in self.wordings or box in self.texts


def sign(beside: Mapping[str, Beside]) -> str:
	"""Sign what stands beside each box, by its value: the name of a wording, or the hash of another text."""
	return links.sign(links.SHOWN, {box: one.wording or [_hash(one.text)] for box, one in beside.items()})


def read(signed: str, beside: Mapping[str, Beside]) -> Told:
	"""Return what a form of ours has shown.

	Args:
		signed: what `sign` made for it; empty for a form that somebody else wrote.
		beside: what stands there now. A text that was another one then isn't known any more.
	"""
	try:
		was_shown = links.read(links.SHOWN, signed) if signed else {}
	except LinkNotValid:
		was_shown = {}
	named = {box: said for box, said in was_shown.items() if isinstance(said, str)}
	# What nobody has used may be deleted meanwhile.
	there = (
		frappe.get_all("Consent Wording", {"name": ["in", [*named.values()]]}, pluck="name") if named else ()
	)
	return Told(
		{box: said for box, said in named.items() if said in there},
		{box: one.text for box, one in beside.items() if was_shown.get(box) == [_hash(one.text)]},
	)


def _hash(text: str) -> str:
	# Half of it: many boxes have to fit into a link.
	return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def current_wordings(language: str) -> dict[tuple[str, str], Any]:
	"""Return the newest wording of each purpose and topic, in the first of the languages that has one."""
	languages = list(dict.fromkeys([language, language.split("-")[0], site_language(), "en"]))
	wording = frappe.qb.DocType("Consent Wording")
	found: dict[tuple[str, str], Any] = {}
	for row in sorted(
		frappe.qb.from_(wording)
		.select(wording.name, wording.purpose, wording.topic, wording.language, wording.text, wording.version)
		.where(wording.language.isin(languages))
		.run(as_dict=True),
		key=lambda row: (languages.index(row.language), -row.version),
	):
		found.setdefault((row.purpose, row.topic or ""), row)
	return found


def site_language() -> str:
	return frappe.db.get_single_value("System Settings", "language") or "en"


def offers() -> list[Any]:
	"""List what a form may offer: the public topics, and marketing purposes without any."""
	purpose, topic = frappe.qb.DocType("Processing Purpose"), frappe.qb.DocType("Subscription Topic")
	return (
		frappe.qb.from_(purpose)
		.left_join(topic)
		.on((topic.purpose == purpose.name) & (topic.enabled == 1) & (topic.public == 1))
		.select(purpose.name.as_("purpose"), purpose.description.as_("purpose_text"), purpose.company)
		.select(topic.name.as_("topic"), topic.description.as_("topic_text"))
		.where((purpose.is_marketing == 1) & (purpose.enabled == 1))
		.orderby(topic.sort_order)
		.orderby(topic.name)
		.run(as_dict=True)
	)


def not_offered() -> list[str]:
	"""Name what a form in the site's language would offer if it had the wording that has to be there."""
	if not register.wording_required():
		return []
	wordings = current_wordings(site_language())
	return [row.topic or row.purpose for row in offers() if (row.purpose, row.topic or "") not in wordings]
