"""Finds what the rules are about, asks the register what would become of each, and freezes the answer.

The register is asked with the same words as in the run, only that it writes nothing. Items of one update
mustn't meet in it, or the order in which they are carried out would matter: of two that touch the same
address for the same purpose, the one found later is skipped.
"""

import json
from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent import register
from gdpr_consent.bulk_update import items, selection, summary
from gdpr_consent.bulk_update.job import DOCTYPE, Phase, persistently, phase_of
from gdpr_consent.bulk_update.rules import ADDRESS_LIST, Rule, is_for_two, read
from gdpr_consent.bulk_update.selection import Found
from gdpr_consent.bulk_update.words import Why
from gdpr_consent.clock import now_utc
from gdpr_consent.exceptions import (
	ChangedMeanwhile,
	ConfirmationPending,
	ConsentError,
	ConsentGiven,
	EvidenceMissing,
	InvalidPeriod,
	NewerOnRecord,
	NoSale,
	NoStays,
	OtherWording,
	OverByNow,
	StandingRefusal,
)
from gdpr_consent.policy import Status
from gdpr_consent.register import BulkAction, Lack, Order, Outcome

APPROVAL_FROM = 500  # records, where Consent Settings says nothing
READ, WRITTEN, REFUSED = 1, 2, 3  # what an item does to an address: each is stricter than the one before

WHY = {
	ChangedMeanwhile: Why.CHANGED,
	ConfirmationPending: Why.PENDING,
	ConsentGiven: Why.CONSENT_GIVEN,
	EvidenceMissing: Why.NO_PROOF,
	InvalidPeriod: Why.PERIOD,
	NewerOnRecord: Why.NEWER_ON_RECORD,
	NoSale: Why.NO_SALE,
	NoStays: Why.NO_STAYS,
	OtherWording: Why.OTHER_WORDING,
	OverByNow: Why.OVER,
}
WHY_UNKNOWN = {Lack.DOCUMENT: Why.NO_DOCUMENT, Lack.WORDING: Why.NO_WORDING}


def make(bulk_update: str) -> None:
	"""Make the preview, from nothing, however far an earlier one came."""
	while not persistently(bulk_update, lambda: _find_all(bulk_update)):
		pass  # somebody has stopped it, changed the rules and started it again


def _find_all(bulk_update: str) -> bool:
	"""Return whether that is it: the preview is complete, or isn't wanted any more."""
	started = _started(bulk_update)
	doc = frappe.get_doc(DOCTYPE, bulk_update)
	rules = read(doc)
	items.delete_all(bulk_update)
	claims = _Claims()
	selected = items.Hash()
	found_before: set[str] = set()
	number = 0
	for rule in rules:
		for page in selection.pages(rule):
			if rule.doctype in found_before:
				taken = items.taken(bulk_update, rule.doctype, [one.name for one in page])
				page = [one for one in page if one.name not in taken]
			rows = _plan(doc, rule, page, claims)
			for row in rows:
				number += 1
				row["name"] = f"{bulk_update}-{number:08d}"
			items.insert(rows)
			selected.add(rows)
			frappe.db.set_value(DOCTYPE, bulk_update, "processed", number, update_modified=False)
			frappe.db.commit()  # nosemgrep: so that others see how far it is
			if _started(bulk_update) != started:
				return phase_of(bulk_update) != Phase.PREVIEWING
		found_before.add(rule.doctype)
	if _started(bulk_update, for_update=True) != started:
		return phase_of(bulk_update) != Phase.PREVIEWING
	_freeze(bulk_update, rules, selected.hexdigest())
	return True


def _started(bulk_update: str, for_update: bool = False) -> tuple:
	"""Return what changes when somebody stops a preview, edits the rules, or starts another one."""
	return frappe.db.get_value(DOCTYPE, bulk_update, ["status", "modified"], for_update=for_update)


def _plan(doc: Document, rule: Rule, page: list[Found], claims: "_Claims") -> list[dict[str, Any]]:
	orders = selection.orders_for(rule, page, doc.reason)
	kind = _(rule.doctype)
	others = claims.stake(orders, [f"{kind} {one.name}" for one in page])
	whys = [why_not(rule, order, one) for order, one in zip(orders, page, strict=True)]
	free = [order for order, why, other in zip(orders, whys, others, strict=True) if not (why or other)]
	outcomes = iter(register.change_many(free, doc.name, dry_run=True))
	rows = []
	for order, one, why, other in zip(orders, page, whys, others, strict=True):
		row = {
			"bulk_update": doc.name,
			"rule": rule.number,
			"target_doctype": one.doctype,
			"target": one.name,
			"email": order.subject.email,
			"address_key": order.subject.key,
			"given_on": order.given_on,
			"evidence": order.evidence,
		}
		if why or other:
			row |= {"plan": "Skip", "why": (why or Why.SAME_ADDRESS).value, "note": other and other[:140]}
		else:
			row |= _planned(order, next(outcomes))
		rows.append(row)
	return rows


def why_not(rule: Rule, order: Order, found: Found) -> Why | None:
	"""Say why a record can't be asked of the register at all, if so."""
	if not order.subject.key and rule.action != BulkAction.WITHDRAW:
		return Why.NO_ADDRESS
	if rule.date_field and not found.given_on and rule.doctype != ADDRESS_LIST:
		return Why.NO_DATE
	return None


def _planned(order: Order, outcome: Outcome) -> dict[str, Any]:
	row = {"before": outcome.before, "after": outcome.after, "state": outcome.state}
	if outcome.changed:
		return row | {"plan": "Change", "why": _remark(order, outcome)}
	if outcome.error:
		return row | {"plan": "Skip", "why": why_of(outcome.error)}
	return row | {"plan": "Unchanged", "why": _why_unchanged(order, outcome)}


def _remark(order: Order, outcome: Outcome) -> str:
	if outcome.after != Status.UNKNOWN:
		return ""
	lack = order.terms.lack(order.evidence, order.grade)
	return WHY_UNKNOWN.get(lack, Why.UNPROVEN).value


def _why_unchanged(order: Order, outcome: Outcome) -> str:
	if outcome.pending:
		return Why.PENDING.value
	return (Why.NOTHING_TO_END if order.ends else Why.ENOUGH_ON_RECORD).value


def why_of(error: ConsentError) -> str:
	"""Return the word for what the register said no with."""
	if isinstance(error, StandingRefusal):
		return error.args[1].value
	return next((why for kind, why in WHY.items() if isinstance(error, kind)), Why.NOT_ALLOWED).value


def _freeze(bulk_update: str, rules: list[Rule], selection_hash: str) -> None:
	counted = summary.of(bulk_update)
	to_change = counted["plans"].get("Change", 0)
	limit = frappe.db.get_single_value("Consent Settings", "approval_from") or APPROVAL_FROM
	frappe.db.set_value(
		DOCTYPE,
		bulk_update,
		{
			"status": "Previewed",
			"previewed_on": now_utc(),
			"selection_hash": selection_hash,
			"needs_approval": int(is_for_two(rules) or to_change >= limit),
			"approved_by": None,
			"approved_on": None,
			"total": sum(counted["plans"].values()),
			"to_change": to_change,
			"unchanged": counted["plans"].get("Unchanged", 0),
			"to_skip": counted["plans"].get("Skip", 0),
			"summary": json.dumps(counted),
			"problem": None,
		},
	)
	frappe.db.commit()  # nosemgrep: the preview is complete


class _Claims:
	"""Remembers which item of an update touches which address, for which purpose, and how.

	In a table that only this connection sees and that goes with it, so that memory stays flat.
	"""

	def __init__(self) -> None:
		frappe.db.sql_ddl("drop temporary table if exists consent_claims")
		frappe.db.sql_ddl(
			"""create temporary table consent_claims (purpose varchar(140), address_key varchar(80),
			how tinyint not null, whose varchar(300) not null, primary key (purpose, address_key))
			charset utf8mb4 collate utf8mb4_bin"""
		)

	def stake(self, orders: list[Order], names: list[str]) -> list[str | None]:
		"""Claim the addresses of each order; return the item that stands in its way, if one does."""
		purpose = orders[0].terms.scope.purpose if orders else ""
		known = self._known(purpose, {key for order in orders for key in order.keys})
		staked: dict[str, tuple[int, str]] = {}
		others: list[str | None] = []
		for order, name in zip(orders, names, strict=True):
			claims = _claims_of(order)
			in_the_way = (
				known[key][1]
				for key, how in claims.items()
				if key in known and not _go_together(known[key][0], how)
			)
			other = next(in_the_way, None)
			others.append(other)
			if not other:
				for key, how in claims.items():
					if how > known.get(key, (0, ""))[0]:
						known[key] = staked[key] = (how, name)
		if staked:
			frappe.db.sql(
				f"""insert into consent_claims values {", ".join(["(%s, %s, %s, %s)"] * len(staked))}
				on duplicate key update how = values(how), whose = values(whose)""",
				[part for key, (how, name) in staked.items() for part in (purpose, key, how, name)],
			)
		return others

	def _known(self, purpose: str, keys: set[str]) -> dict[str, tuple[int, str]]:
		if not keys:
			return {}
		rows = frappe.db.sql(
			"select address_key, how, whose from consent_claims where purpose = %s and address_key in %s",
			(purpose, tuple(keys)),
		)
		return {key: (how, whose) for key, how, whose in rows}


def _claims_of(order: Order) -> dict[str, int]:
	if order.action == BulkAction.WITHDRAW:
		return dict.fromkeys(order.keys, REFUSED)
	if order.ends:
		return dict.fromkeys(order.keys, WRITTEN)
	return {key: WRITTEN if key == order.subject.key else READ for key in order.keys}


def _go_together(one: int, other: int) -> bool:
	return REFUSED not in (one, other) and READ in (one, other)
