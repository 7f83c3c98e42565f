"""Whether the three steps that legitimate interests need were taken and still count (Art. 6(1)(f), LB-03)."""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import getdate

from gdpr_consent.alerts import alert_once, users_with
from gdpr_consent.exceptions import InvalidPeriod

DOCTYPE = "Legitimate Interests Assessment"
TERM, ARTICLE = "eu-gdpr:A6-1-f", "6(1)(f)"  # of the legal bases, which a site may name as it likes
OUTWEIGHS = "Our interest outweighs"


class Assessment(NamedTuple):
	"""The last one that was submitted for a purpose."""

	name: str
	outcome: str
	review_on: date
	interest: str

	@property
	def forbids(self) -> bool:
		return self.outcome != OUTWEIGHS

	def counts(self, today: date) -> bool:
		return not self.forbids and today < self.review_on


def last_of(purposes: Iterable[str]) -> dict[str, Assessment]:
	"""Return the last assessment of each purpose that has one. A later one takes the place of an earlier."""
	purposes = [*purposes]
	if not purposes:
		return {}
	rows = frappe.get_all(
		DOCTYPE,
		{"purpose": ["in", purposes], "docstatus": 1},
		["purpose", "name", "outcome", "review_on", "interest"],
		order_by="assessed_on asc, creation asc",
	)
	return {row.pop("purpose"): Assessment(**row) for row in rows}


def relying() -> set[str]:
	"""Name the enabled purposes that legitimate interests are allowed for."""
	purpose = frappe.qb.DocType("Processing Purpose")
	allowed, basis = frappe.qb.DocType("Processing Purpose Legal Basis"), frappe.qb.DocType("Legal Basis")
	return set(
		frappe.qb.from_(purpose)
		.join(allowed)
		.on((allowed.parent == purpose.name) & (allowed.parenttype == "Processing Purpose"))
		.join(basis)
		.on(basis.name == allowed.legal_basis)
		.where((purpose.enabled == 1) & ((basis.dpv_term == TERM) | basis.article.like(f"%{ARTICLE}%")))
		.select(purpose.name)
		.run(pluck=True)
	)


def lacking(today: date) -> set[str]:
	"""Name the purposes that rely on legitimate interests, and have no assessment that counts."""
	purposes = relying()
	counting = {purpose for purpose, last in last_of(purposes).items() if last.counts(today)}
	return purposes - counting


def ruled_out_by(purpose: str, legal_basis: str) -> str | None:
	"""Name the assessment that found a purpose not to outweigh, if the basis is legitimate interests."""
	if not _is_legitimate_interests(legal_basis):
		return None
	last = last_of([purpose]).get(purpose)
	return last.name if last and last.forbids else None


def _is_legitimate_interests(legal_basis: str) -> bool:
	term, article = frappe.get_cached_value("Legal Basis", legal_basis, ["dpv_term", "article"])
	return term == TERM or ARTICLE in (article or "")


def interest_in(purpose: str, legal_basis: str) -> str | None:
	"""Return the interest that people are told (Art. 13(1)(d), 14(2)(b) GDPR).

	Returns:
		None if the basis is another one, "" if nobody has written the interest down.
	"""
	if not _is_legitimate_interests(legal_basis):
		return None
	last = last_of([purpose]).get(purpose)
	return last.interest if last else ""


def check(doc: Document) -> None:
	"""Raise if the days of an assessment can't be right.

	Raises:
		InvalidPeriod
	"""
	if getdate(doc.assessed_on) > getdate():
		frappe.throw(_("Assessed On {0} lies in the future.").format(doc.assessed_on), InvalidPeriod)
	if getdate(doc.review_on) <= getdate(doc.assessed_on):
		frappe.throw(
			_("Review On {0} must be later than Assessed On {1}.").format(doc.review_on, doc.assessed_on),
			InvalidPeriod,
		)


def remind(today: date) -> int:
	"""Tell the Privacy Officers, once, which assessments no longer count. Returns of how many."""
	over = [last for last in last_of(relying()).values() if not last.forbids and not last.counts(today)]
	return sum(
		alert_once(
			users_with(["Privacy Officer"]),
			_("{0} is to be reviewed. Until then it doesn't count.").format(last.name),
			DOCTYPE,
			last.name,
			since=last.review_on,
		)
		for last in over
	)
