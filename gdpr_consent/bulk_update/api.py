"""The doors of a Consent Bulk Update. Each checks the user's right itself; each answers with `status`."""

import json
from datetime import datetime
from typing import Any

import frappe
from frappe import _
from frappe.model.document import Document

from gdpr_consent.bulk_update import items, job, rules
from gdpr_consent.bulk_update.access import permitted
from gdpr_consent.bulk_update.job import DOCTYPE, Phase
from gdpr_consent.bulk_update.words import why_in_words
from gdpr_consent.clock import now_utc, to_system_time
from gdpr_consent.doors import says_why
from gdpr_consent.exceptions import ConsentError, NotNow

OFFICER = "Privacy Officer"
ACTIVE = ("Running", "Paused", "Reverting")


class NotApproved(ConsentError):
	"""A second Privacy Officer has to approve first, and nobody approves their own work (BU-04)."""


class RecordsInAnotherRun(ConsentError):
	"""Another bulk update is at some of the records (BU-06)."""


@frappe.whitelist(methods=["POST"])
@says_why
def preview(bulk_update: str) -> dict[str, Any]:
	"""Freeze which records the rules find and what would become of each; in the background.

	An approval of an earlier preview doesn't count any more.

	Raises:
		NotNow: it has been run. RuleNotValid: see `rules.read`.
	"""
	doc = _get(bulk_update, *items.EDITABLE)
	if not (doc.reason or "").strip():
		raise NotNow(_("Reason is missing. Say why these records are changed."))
	rules.read(doc)
	_set(
		doc,
		status=Phase.PREVIEWING.value,
		previewed_by=frappe.session.user,
		previewed_on=None,
		selection_hash=None,
		approved_by=None,
		approved_on=None,
		processed=0,
		total=0,
		problem=None,
	)
	job.start(doc.name)
	return status(doc.name)


@frappe.whitelist(methods=["POST"])
@says_why
def approve(bulk_update: str, selection_hash: str) -> dict[str, Any]:
	"""Approve exactly the preview that was looked at (BU-04).

	Raises:
		NotApproved: by who made it or isn't a Privacy Officer; or it is another preview by now.
	"""
	doc = _get(bulk_update, "Previewed")
	if OFFICER not in frappe.get_roles():
		raise NotApproved(_("Only a Privacy Officer can approve."))
	if frappe.session.user in _makers(doc):
		raise NotApproved(_("You made it. Another Privacy Officer has to look at it and approve it."))
	if not selection_hash or selection_hash != doc.selection_hash:
		raise NotApproved(_("The preview was made anew meanwhile. Look at it again."))
	_set(doc, approved_by=frappe.session.user, approved_on=now_utc())
	return status(doc.name)


def _makers(doc: Document) -> set[str]:
	return {doc.owner, doc.previewed_by, *(doc.edited_by or "").split()}


@frappe.whitelist(methods=["POST"])
@says_why
def run(bulk_update: str) -> dict[str, Any]:
	"""Do what the preview says; in the background (BU-06).

	Raises:
		NotNow, NotApproved, RecordsInAnotherRun
	"""
	doc = _get(bulk_update, "Previewed")
	frappe.has_permission("Consent", "create", throw=True)
	rules.read(doc)
	if doc.needs_approval and not doc.approved_by:
		raise NotApproved(_("It needs the approval of another Privacy Officer first."))
	with job.alone("start"):
		_check_no_other_run(doc)
		_set(
			doc,
			status=Phase.RUNNING.value,
			run_by=frappe.session.user,
			started_on=now_utc(),
			finished_on=None,
			processed=0,
			position=None,
			problem=None,
		)
		job.start(doc.name)
		frappe.db.commit()  # nosemgrep: who starts another one has to see it
	return status(doc.name)


def _check_no_other_run(doc: Document) -> None:
	frappe.db.commit()  # nosemgrep: nothing is written yet; what others started while we waited is read
	if frappe.db.get_value(DOCTYPE, doc.name, "status") != doc.status:
		raise NotNow(_("Somebody else was faster. Reload the form."))
	others = frappe.get_all(DOCTYPE, {"status": ["in", ACTIVE], "name": ["!=", doc.name]}, pluck="name")
	if not others:
		return
	mine, theirs = (
		frappe.qb.DocType("Consent Bulk Update Item"),
		frappe.qb.DocType("Consent Bulk Update Item").as_("theirs"),
	)
	found = (
		frappe.qb.from_(mine)
		.join(theirs)
		.on((theirs.target_doctype == mine.target_doctype) & (theirs.target == mine.target))
		.select(theirs.bulk_update)
		.where((mine.bulk_update == doc.name) & (mine.plan == "Change"))
		.where(theirs.bulk_update.isin(others) & (theirs.plan == "Change"))
		.limit(1)
		.run(pluck=True)
	)
	if found:
		raise RecordsInAnotherRun(
			_("{0} is at some of the same records. Wait until it is done.").format(frappe.bold(found[0]))
		)


@frappe.whitelist(methods=["POST"])
@says_why
def pause(bulk_update: str) -> dict[str, Any]:
	"""Stop a run or a revert after the chunk it is at, or a preview, which starts anew then."""
	doc = _get(bulk_update, *(phase.value for phase in Phase))
	_set(doc, status="Draft" if doc.status == Phase.PREVIEWING else "Paused")
	return status(doc.name)


@frappe.whitelist(methods=["POST"])
@says_why
def resume(bulk_update: str) -> dict[str, Any]:
	"""Go on with what was paused, or what a worker that died has left."""
	doc = _get(bulk_update, "Paused", *(phase.value for phase in Phase))
	if doc.status == "Paused":
		frappe.has_permission("Consent", "create", throw=True)
		phase, by = (Phase.REVERTING, "reverted_by") if doc.reverted_by else (Phase.RUNNING, "run_by")
		_set(doc, status=phase.value, problem=None, **{by: frappe.session.user})
	if not job.is_at_work(doc.name):
		job.start(doc.name)
	return status(doc.name)


@frappe.whitelist(methods=["POST"])
@says_why
def revert(bulk_update: str, reason: str) -> dict[str, Any]:
	"""Take back by new events what a run did, or has done so far; never turns a no into a yes.

	Raises:
		NotNow: there is nothing to take back, or no reason is given.
		NotApproved: only a Privacy Officer takes back what had to be approved.
	"""
	doc = _get(bulk_update, "Completed", "Paused")
	frappe.has_permission("Consent", "create", throw=True)
	if doc.reverted_by:
		raise NotNow(_("It is being taken back already. Resume it."))
	if not (reason or "").strip():
		raise NotNow(_("Reason is missing. Say why it is taken back."))
	if doc.needs_approval and OFFICER not in frappe.get_roles():
		raise NotApproved(_("Only a Privacy Officer can take back what had to be approved."))
	_set(
		doc,
		status=Phase.REVERTING.value,
		reverted_by=frappe.session.user,
		reverted_on=now_utc(),
		revert_reason=reason,
		processed=0,
		position=None,
		problem=None,
	)
	job.start(doc.name)
	return status(doc.name)


@frappe.whitelist(methods=["POST"])
@says_why
def status(bulk_update: str) -> dict[str, Any]:
	"""Say how far a bulk update is, what it found or did, and what the user may do next.

	Returns:
		`status`, `total`, `to_change`, `unchanged`, `to_skip`, `processed`, `percent`, `seconds_left` (None
		if nobody knows), `active`: whether a worker has it right now, `needs_approval`, `approved_by`,
		`selection_hash`, `problem`, `changed_since`: how many records changed since the preview, `may`, and
		the counts of `summary.of`.
	"""
	doc = _get(bulk_update, ptype="read")
	counted = json.loads(doc.summary or "{}")
	is_preview = doc.status == Phase.PREVIEWING
	return {
		"name": doc.name,
		**{field: doc.get(field) for field in ("status", "total", "to_change", "unchanged", "to_skip")},
		"processed": doc.processed,
		"percent": int(100 * doc.processed / doc.total) if doc.total and not is_preview else None,
		"seconds_left": _seconds_left(doc),
		"active": job.is_at_work(doc.name),
		"needs_approval": bool(doc.needs_approval),
		"approved_by": doc.approved_by or None,
		"selection_hash": doc.selection_hash or None,
		"problem": doc.problem or None,
		"changed_since": _changed_since(doc) if doc.status == "Previewed" else None,
		"may": _may(doc),
		"rules": counted.get("rules", []),
		"why": [one | {"text": why_in_words(one["why"])} for one in counted.get("why", [])],
		"chart": counted.get("chart", {"labels": [], "before": [], "after": []}),
	}


def _seconds_left(doc: Document) -> int | None:
	if doc.status not in (Phase.RUNNING, Phase.REVERTING) or not doc.processed:
		return None
	began = doc.reverted_on if doc.status == Phase.REVERTING else doc.started_on
	so_far = (now_utc() - began).total_seconds()
	return round(so_far / doc.processed * (doc.total - doc.processed))


def _may(doc: Document) -> dict[str, bool]:
	may_write = bool(doc.has_permission("write")) and bool(frappe.has_permission("Consent", "create"))
	is_officer = OFFICER in frappe.get_roles()
	is_ready = doc.status == "Previewed"
	return {
		"preview": may_write and doc.status in items.EDITABLE,
		"approve": (
			is_ready
			and bool(doc.needs_approval)
			and not doc.approved_by
			and is_officer
			and frappe.session.user not in _makers(doc)
		),
		"run": may_write and is_ready and bool(doc.approved_by or not doc.needs_approval),
		"pause": may_write and doc.status in {phase.value for phase in Phase},
		"resume": may_write and doc.status == "Paused",
		"revert": (
			may_write
			and doc.status in ("Completed", "Paused")
			and not doc.reverted_by
			and (is_officer or not doc.needs_approval)
		),
	}


def _changed_since(doc: Document) -> int:
	"""Count the records to change that were edited, or whose consents changed, since the preview."""
	item, consent = frappe.qb.DocType("Consent Bulk Update Item"), frappe.qb.DocType("Consent")
	since: datetime = to_system_time(doc.previewed_on)
	planned = (item.bulk_update == doc.name) & (item.plan == "Change")
	changed: set[str] = set()
	for doctype in frappe.get_all(
		"Consent Bulk Update Rule", {"parent": doc.name}, pluck="target_doctype", distinct=True
	):
		record = frappe.qb.DocType(doctype)
		changed |= set(
			frappe.qb.from_(item)
			.join(record)
			.on(record.name == item.target)
			.select(item.name)
			.where(planned & (item.target_doctype == doctype) & (record.modified > since))
			.run(pluck=True)
		)
	changed |= set(
		frappe.qb.from_(item)
		.join(consent)
		.on(consent.address_key == item.address_key)
		.select(item.name)
		.where(planned & (consent.modified > since))
		.run(pluck=True)
	)
	return len(changed)


@frappe.whitelist(methods=["POST"])
@says_why
def targets() -> list[str]:
	"""Name the DocTypes that a rule may be about, of those that the user may read."""
	frappe.has_permission(DOCTYPE, "read", throw=True)
	return [one for one in rules.target_doctypes() if frappe.has_permission(one, "read")]


def _get(bulk_update: str, *allowed: str, ptype: str = "write") -> Document:
	doc = permitted(bulk_update, ptype)
	if allowed and doc.status not in allowed:
		raise NotNow(
			_("{0} is {1}. This is possible only while it is {2}.").format(
				frappe.bold(doc.name), _(doc.status), " / ".join(_(one) for one in allowed)
			)
		)
	return doc


def _set(doc: Document, **values: Any) -> None:
	"""Move on, if nobody else did meanwhile."""
	if frappe.db.get_value(DOCTYPE, doc.name, "status", for_update=True) != doc.status:
		raise NotNow(_("Somebody else was faster. Reload the form."))
	frappe.db.set_value(DOCTYPE, doc.name, values)
