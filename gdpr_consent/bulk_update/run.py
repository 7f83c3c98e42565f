"""Does what the preview of a Consent Bulk Update says, and takes it back: chunk by chunk, each once."""

import json
from collections.abc import Callable
from typing import Any

import frappe
from frappe import _
from frappe.database.database import savepoint
from frappe.model.document import Document

from gdpr_consent import register
from gdpr_consent.bulk_update import items, selection, summary
from gdpr_consent.bulk_update.job import (
	DOCTYPE,
	Phase,
	SelectionChanged,
	in_chunks,
	is_of_the_database,
	persistently,
	phase_of,
)
from gdpr_consent.bulk_update.preview import why_of
from gdpr_consent.bulk_update.rules import Rule, read, read_to_take_back
from gdpr_consent.bulk_update.words import Why
from gdpr_consent.clock import now_utc
from gdpr_consent.double_opt_in import send_confirmation_mail
from gdpr_consent.failures import log_failure
from gdpr_consent.register import BulkAction, Order, Outcome

READ_AT_ONCE = 5_000
AT_ONCE = 500  # others who act on the same addresses wait as long as a chunk takes
MAILS_AT_ONCE = 10

Item = dict[str, Any]
Result = dict[str, Any]


class _TooManyMails(Exception):
	"""The address got its mails for today."""


def carry_out(bulk_update: str) -> None:
	"""Carry out the items of the preview, from where an earlier run stopped."""
	ahead = persistently(bulk_update, lambda: _to_carry_out(bulk_update))
	_go_through(ahead, Phase.RUNNING, "Completed", _carry_out_planned)


def take_back(bulk_update: str) -> None:
	"""Take back what was done, from where an earlier attempt stopped."""
	ahead = persistently(bulk_update, lambda: _to_take_back(bulk_update))
	_go_through(ahead, Phase.REVERTING, "Reverted", _take_back_done)


def _to_carry_out(bulk_update: str) -> "_Ahead":
	doc = frappe.get_doc(DOCTYPE, bulk_update)
	if not doc.position and items.hash_of(bulk_update) != doc.selection_hash:
		raise SelectionChanged(
			_("The records aren't those of the preview any more. Make the preview anew, and look at it.")
		)
	return _Ahead(doc, read(doc), doc.reason, ("plan", "Change"))


def _to_take_back(bulk_update: str) -> "_Ahead":
	doc = frappe.get_doc(DOCTYPE, bulk_update)
	return _Ahead(doc, read_to_take_back(doc), doc.revert_reason, ("result", "Done"))


Handler = Callable[[Document, list[Item]], list[Result]]


class _Ahead:
	"""The next items, each with its `order` made anew from what its record says now, or none if it is gone.

	They are read by the thousand, because Frappe takes as long over the user's rights for one as for all.
	"""

	def __init__(self, doc: Document, rules: list[Rule], reason: str, concerned: tuple[str, str]) -> None:
		"""
		Args:
			concerned: a column and its value, which tell the items that something is to be done about.
		"""
		self.doc, self.reason, self.concerned = doc, reason, concerned
		self.rules = {rule.number: rule for rule in rules}
		self.items: list[Item] = []
		self.position: str | None = None

	def take(self, position: str | None, size: int) -> list[Item]:
		if not self.items or position != self.position:  # a chunk that failed is read again
			found = items.next_in_chunk(self.doc.name, position, READ_AT_ONCE)
			self._make_orders(found)
			self.items, self.position = found, position  # kept once they have their orders, or all seem gone
			frappe.db.commit()  # nosemgrep: nothing is written yet; what the register reads next is newer
		return self.items[:size]

	def is_done(self, chunk: list[Item]) -> None:
		self.items, self.position = self.items[len(chunk) :], items.position_after(chunk)

	def _make_orders(self, among: list[Item]) -> None:
		column, value = self.concerned
		for number, rule in self.rules.items():
			mine = [item for item in among if item["rule"] == number and item[column] == value]
			found = selection.among(rule, [item["target"] for item in mine]) if mine else {}
			here = [item for item in mine if item["target"] in found]
			orders = selection.orders_for(rule, [found[item["target"]] for item in here], self.reason)
			for item, order in zip(here, orders, strict=True):
				item["order"] = order._replace(state=item["state"])


def _go_through(ahead: _Ahead, phase: Phase, status_after: str, handle: Handler) -> None:
	doc = ahead.doc
	asks = any(rule.action == BulkAction.ASK for rule in ahead.rules.values())

	def next_chunk() -> bool:
		position = frappe.db.get_value(DOCTYPE, doc.name, "position")
		chunk = ahead.take(position, MAILS_AT_ONCE if asks else AT_ONCE)
		if not chunk:
			return False
		_handle_each_or_all(doc, chunk, handle)
		ahead.is_done(chunk)
		return True

	in_chunks(doc.name, phase, next_chunk)
	persistently(doc.name, lambda: _finish(doc.name, phase, status_after))


def _finish(bulk_update: str, phase: Phase, status_after: str) -> None:
	if phase_of(bulk_update) != phase:
		return  # it is finished, and the connection was lost before we were told; or somebody has paused it
	frappe.db.set_value(
		DOCTYPE,
		bulk_update,
		{
			"status": status_after,
			"finished_on": now_utc(),
			"summary": json.dumps(summary.of(bulk_update)),
			"problem": None,
		},
	)
	frappe.db.commit()  # nosemgrep: the work is complete


def _handle_each_or_all(doc: Document, chunk: list[Item], handle: Handler) -> None:
	"""Handle a chunk; if it fails, one item after the other, so that one that can't be stops no other."""
	try:
		_note(doc, chunk, handle(doc, chunk))
	except Exception as error:
		if is_of_the_database(error):
			raise  # for all of it to be done again
		frappe.db.rollback()
		log_failure("Consent Bulk Update: a chunk is done one by one", chunk[0]["name"])
		for item in chunk:
			frappe.db.commit()  # nosemgrep: each by itself
			try:
				_note(doc, [item], handle(doc, [item]))
			except Exception as error:
				if is_of_the_database(error):
					raise
				frappe.db.rollback()
				log_failure("Consent Bulk Update: a record failed", item["name"])
				failed = {"name": item["name"], "result": "Failed", "why": Why.ERROR.value}
				_note(doc, [item], [failed])
			frappe.db.commit()  # nosemgrep: done, and never again


def _note(doc: Document, chunk: list[Item], results: list[Result]) -> None:
	"""Write what became of a chunk and how far it is, in the transaction of what was done."""
	items.set_results(results)
	parent = frappe.qb.DocType(DOCTYPE)
	frappe.qb.update(parent).set(parent.position, items.position_after(chunk)).set(
		parent.processed, parent.processed + len(chunk)
	).where(parent.name == doc.name).run()


# --- the run ------------------------------------------------------------------------------------------------


def _carry_out_planned(doc: Document, chunk: list[Item]) -> list[Result]:
	results = [
		{
			"name": item["name"],
			"result": {"Skip": "Skipped"}.get(item["plan"], item["plan"]),
			"why": item["why"],
		}
		for item in chunk
		if item["plan"] != "Change"
	]
	planned = [item for item in chunk if item["plan"] == "Change"]
	results += [
		{"name": item["name"], "result": "Skipped", "why": Why.GONE.value}
		for item in planned
		if "order" not in item
	]
	here = [item for item in planned if "order" in item]
	if any(item["order"].action == BulkAction.ASK for item in here):
		return results + [_one_with_mail(doc, item) for item in here]
	outcomes = register.change_many([item["order"] for item in here], doc.name)
	return results + [_result(item, outcome, "Done") for item, outcome in zip(here, outcomes, strict=True)]


def _result(item: Item, outcome: Outcome, done: str) -> Result:
	result = {"name": item["name"], "state_after": outcome.state_after, "consent": outcome.consent}
	if outcome.changed:
		return result | {"result": done, "why": item["why"]}
	if outcome.error:
		return result | {"result": "Skipped", "why": why_of(outcome.error)}
	return result | {"result": "Unchanged", "why": Why.ENOUGH_ON_RECORD.value}


def _one_with_mail(doc: Document, item: Item) -> Result:
	"""Ask one person: the request and its mail, or neither."""
	with savepoint(catch=_TooManyMails):
		(outcome,) = register.change_many([item["order"]], doc.name)
		if outcome.changed and not send_confirmation_mail(list(outcome.pending)):
			raise _TooManyMails
		return _result(item, outcome, "Done")
	return {"name": item["name"], "result": "Skipped", "why": Why.TOO_MANY_MAILS.value}


# --- and back -----------------------------------------------------------------------------------------------


def _take_back_done(doc: Document, chunk: list[Item]) -> list[Result]:
	done = [item for item in chunk if item["result"] == "Done"]
	results = [
		{"name": item["name"], "result": "Not Reverted", "why": Why.GONE.value}
		for item in done
		if "order" not in item
	]
	here = [item for item in done if "order" in item]
	outcomes = register.take_back_many([_as_it_was(item) for item in here], doc.name)
	for item, outcome in zip(here, outcomes, strict=True):
		result = {"name": item["name"], "result": "Reverted" if outcome.changed else "Not Reverted"}
		if outcome.error:
			result["why"] = why_of(outcome.error)
		elif not outcome.changed:
			result["why"] = Why.CHANGED.value
		results.append(result)
	return results


def _as_it_was(item: Item) -> Order:
	"""What the record's address is by now doesn't matter: it was done to the one of then."""
	order = item["order"]
	subject = order.subject._replace(email=item["email"], key=item["address_key"] or "")
	addresses = order.addresses | ({subject.key: subject.email} if subject.key else {})
	return order._replace(subject=subject, addresses=addresses, state=item["state_after"])
