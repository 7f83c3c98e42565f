"""The rules of a Consent Bulk Update: checked, and turned into what `selection` reads and `register` does."""

from typing import Any, NamedTuple

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.model.meta import Meta

from gdpr_consent import register
from gdpr_consent.exceptions import ConsentError
from gdpr_consent.filters import Filters, check_readable, read_filters, shown
from gdpr_consent.identity import PARTY_TYPES
from gdpr_consent.register import CONSENT_BASIS, BulkAction, Questions, Terms

ADDRESS_LIST = "Consent Bulk Update Address"
MOST_RULES = 100
DATES = ("Date", "Datetime")
TEXTS = (
	"Data",
	"Small Text",
	"Text",
	"Long Text",
	"Link",
	"Dynamic Link",
	"Select",
	"Attach",
	"Attach Image",
)


class RuleNotValid(ConsentError):
	"""A rule that names what doesn't exist, or that can't be carried out."""


class Rule(NamedTuple):
	"""One rule, ready to be used. `address_field` is set for DocTypes other than Contact, Lead, Customer."""

	number: int
	doctype: str
	filters: Filters
	linked_doctype: str | None
	linked_filters: Filters
	action: BulkAction
	terms: Terms
	asked: Questions | None
	given_on: Any
	date_field: str | None
	evidence_file: str | None
	evidence_field: str | None
	address_field: str | None


def target_doctypes() -> dict[str, str | None]:
	"""Return what a rule may be about: DocTypes, each with the field that holds the address.

	Other apps add theirs in hooks.py: `consent_bulk_update_targets = {"Subscriber": "email"}`.
	"""
	targets: dict[str, str | None] = dict.fromkeys(PARTY_TYPES) | {ADDRESS_LIST: "email"}
	for doctype, fields in frappe.get_hooks("consent_bulk_update_targets", {}).items():
		targets.setdefault(doctype, fields[-1])
	return targets


def read(bulk_update: Document) -> list[Rule]:
	"""Check the rules of a Consent Bulk Update, as the user who is at work.

	Raises:
		RuleNotValid: names the row, the field, the value, and what to do.
	"""
	if not bulk_update.rules:
		raise RuleNotValid(_("Rules are missing. Add at least one."))
	if len(bulk_update.rules) > MOST_RULES:
		raise RuleNotValid(
			_("There are {0} rules, at most {1} are possible.").format(len(bulk_update.rules), MOST_RULES)
		)
	return [_read(number, row, bulk_update) for number, row in enumerate(bulk_update.rules, start=1)]


def read_to_take_back(bulk_update: Document) -> list[Rule]:
	"""Return the rules of what was run, to take it back: records however they look by now, purposes and
	topics that are disabled by now, too."""
	targets = target_doctypes()
	return [
		Rule(
			number=number,
			doctype=row.target_doctype,
			filters=[],
			linked_doctype=None,
			linked_filters=[],
			action=BulkAction(row.action),
			terms=register.terms_to_end(row.purpose, row.topic or None, row.channel or "Email", None),
			asked=None,
			given_on=None,
			date_field=None,
			evidence_file=None,
			evidence_field=None,
			address_field=targets.get(row.target_doctype),
		)
		for number, row in enumerate(bulk_update.rules, start=1)
	]


def _read(number: int, row: Document, bulk_update: Document) -> Rule:
	targets = target_doctypes()
	try:
		if row.target_doctype not in targets:
			raise RuleNotValid(
				_("{0} {1} isn't possible. Use one of {2}.").format(
					_("Records"), shown(row.target_doctype), ", ".join(targets)
				)
			)
		action = _action(row.action)
		meta = frappe.get_meta(row.target_doctype)
		frappe.has_permission(row.target_doctype, "read", throw=True)
		filters = read_filters(row.filters, meta, _("Filters"))
		if row.target_doctype == ADDRESS_LIST:
			filters = [*filters, [ADDRESS_LIST, "bulk_update", "=", bulk_update.name]]
		terms, asked = _terms(row, action)
		is_set = action == BulkAction.SET
		rule = Rule(
			number=number,
			doctype=row.target_doctype,
			filters=filters,
			linked_doctype=row.linked_doctype or None,
			linked_filters=_linked_filters(row),
			action=action,
			terms=terms,
			asked=asked,
			given_on=frappe.utils.get_datetime(row.given_on) if is_set and row.given_on else None,
			date_field=_field(row.date_field, meta, DATES, _("Or Since: Field")) if is_set else None,
			evidence_file=(row.evidence_file or None) if is_set else None,
			evidence_field=_field(row.evidence_field, meta, TEXTS, _("Or Evidence: Field"))
			if is_set
			else None,
			address_field=targets[row.target_doctype],
		)
		_check_evidence(rule)
		return rule
	except (ConsentError, frappe.PermissionError) as error:
		raise RuleNotValid(_("Row {0}: {1}").format(number, error)) from error


def _action(action: str | None) -> BulkAction:
	try:
		found = BulkAction(action)
	except ValueError:
		raise RuleNotValid(
			_("{0} {1} isn't possible. Use one of {2}.").format(
				_("Action"), shown(action), ", ".join(one.value for one in BulkAction)
			)
		) from None
	if found == BulkAction.INVALIDATE and "Privacy Officer" not in frappe.get_roles():
		raise RuleNotValid(_("Only a Privacy Officer can invalidate consents."))
	return found


def _terms(row: Document, action: BulkAction) -> tuple[Terms, Questions | None]:
	if not row.purpose:
		raise RuleNotValid(_("Purpose is missing. Choose what the data is used for."))
	if action == BulkAction.SET and not row.legal_basis:
		raise RuleNotValid(_("Legal Basis is missing. Choose one that the purpose allows."))
	if action == BulkAction.ASSIGN_TOPIC and not (row.topic and row.wording):
		raise RuleNotValid(
			_("Topic and Wording are both needed: a topic is for those who agreed to words that name it.")
		)
	if action == BulkAction.WITHDRAW and not row.source:
		raise RuleNotValid(_("Source is missing. Choose how the people told you that they say no."))
	if action in (BulkAction.SET, BulkAction.ASK, BulkAction.ASSIGN_TOPIC):
		channel = "Email" if action == BulkAction.ASK else row.channel or "Email"
		basis = row.legal_basis if action == BulkAction.SET else CONSENT_BASIS
		# Words that name the purpose as a whole may name a topic of it too.
		wording = row.wording or None
		terms = register.terms_of(row.purpose, row.topic or None, channel, basis, row.source or None, wording)
	else:
		terms = register.terms_to_end(
			row.purpose, row.topic or None, row.channel or "Email", row.source or None
		)
	asked = None
	if action == BulkAction.ASK:
		wordings = {row.topic or "": row.wording or None}
		topics = [row.topic] if row.topic else []
		asked = register.questions_of(row.purpose, topics, row.source or None, None, wordings)
	return terms, asked


def _linked_filters(row: Document) -> Filters:
	if not row.linked_doctype:
		return []
	if not frappe.db.exists("DocType", row.linked_doctype):
		raise RuleNotValid(
			_("{0} {1} doesn't exist.").format(_("And Linked With"), shown(row.linked_doctype))
		)
	meta = frappe.get_meta(row.linked_doctype)
	if meta.istable or meta.issingle:
		raise RuleNotValid(
			_("{0} {1} isn't possible. Choose a DocType that has a list.").format(
				_("And Linked With"), shown(row.linked_doctype)
			)
		)
	frappe.has_permission(row.linked_doctype, "read", throw=True)
	return read_filters(row.linked_filters, meta, _("Filters of the Linked Record"))


def _field(fieldname: str | None, meta: Meta, kinds: tuple[str, ...], label: str) -> str | None:
	if not fieldname:
		return None
	if fieldname in ("creation", "modified") and "Datetime" in kinds:
		return fieldname
	check_readable(meta, fieldname, label, meta.name)
	field = meta.get_field(fieldname)
	if not field or field.fieldtype not in kinds:
		raise RuleNotValid(
			_("{0}: {1} of {2} isn't of the right kind. Choose a field of type {3}.").format(
				label, shown(fieldname), _(meta.name), ", ".join(_(kind) for kind in kinds)
			)
		)
	return fieldname


def _check_evidence(rule: Rule) -> None:
	if rule.evidence_file and rule.evidence_field:
		raise RuleNotValid(_("Evidence is either a file or a field, not both."))
	if rule.given_on and rule.date_field:
		raise RuleNotValid(_("Since is either a date or a field, not both."))
	if rule.evidence_file and not readable_files({rule.evidence_file}):
		raise RuleNotValid(
			_("{0} {1} doesn't exist, or isn't visible to you. Attach it here.").format(
				_("Evidence: File"), shown(rule.evidence_file)
			)
		)


def readable_files(urls: set[str]) -> set[str]:
	"""Return those of the files that are there and that the user may read."""
	files = frappe.get_all(
		"File",
		{"file_url": ["in", sorted(urls)], "is_folder": 0},
		["name", "file_url", "is_private", "owner"],
		limit=0,
	)
	return {
		file.file_url
		for file in files
		if not file.is_private
		or file.owner == frappe.session.user
		or frappe.has_permission("File", "read", file.name)
	}


def is_for_two(rules: list[Rule]) -> bool:
	"""Whether the rules need a second Privacy Officer however few records they change (BU-04)."""
	return any(rule.action == BulkAction.INVALIDATE for rule in rules)
