"""From the plan of an erasure over its approval to its end: what the form of the request asks for.

The job works in the name of whoever approved it. It holds a lock of the database while it is connected, so
one that is killed is replaced and one that lives isn't (the same as for a Consent Bulk Update).
"""

import time
from typing import Any

import frappe
from frappe import _

from gdpr_consent.exceptions import ConsentError, NotNow
from gdpr_consent.failures import log_failure
from gdpr_consent.rights import erasure, letters, requests, subject
from gdpr_consent.rights.personal_data import Erasure
from gdpr_consent.rights.requests import DOCTYPE, OFFICER, Right, Status

JOB = "gdpr_consent.rights.erasure_run.work"
LONGEST = 24 * 60 * 60  # seconds
TELL_EVERY = 1.0  # seconds, at most
EVENT = "consent_erasure"
# Our own letters and notes about the request are no reason to plan anew.
ABOUT_THE_REQUEST = ("Comment", "Communication", "Communication Link", "Email Queue", "Email Queue Recipient")


def make_plan(request: str) -> list[dict[str, Any]]:
	"""Write what an erasure would do into the request, which then waits for approval. Changes nothing else.

	Raises:
		NotNow: another right.
		RequestNotPossible, ErasureNotPossible
	"""
	doc = _get(request, Status.IN_PROGRESS, Status.TO_APPROVE)
	steps = erasure.plan(subject.of_request(doc))
	_write(request, steps)
	if doc.status != Status.TO_APPROVE.value:
		requests.move(request, Status.TO_APPROVE)
	return [_as_dict(step) for step in steps]


def approve(request: str, keep_evidence: bool = False) -> None:
	"""Start the erasure, in the background.

	Args:
		keep_evidence: keep what the consents stood on, for claims (Art. 17(3)(e)).

	Raises:
		NotNow: the records changed since the plan, or whoever recorded the request can't approve it, because
			there is another Privacy Officer.
	"""
	doc = _get(request, Status.TO_APPROVE)
	if doc.owner == frappe.session.user and _other_officers():
		raise NotNow(_("You recorded this request. Another Privacy Officer has to approve it."))
	steps = erasure.plan(subject.of_request(doc))
	if _counts(steps) != _counts(erasure.steps_of(doc.steps)):
		_write(request, steps)
		frappe.db.commit()  # nosemgrep: the new plan is to be looked at
		raise NotNow(_("The data changed since the plan was made. Look at the new plan, and approve that."))
	requests.move(
		request,
		Status.RUNNING,
		approved_by=frappe.session.user,
		approved_on=frappe.utils.now_datetime(),
		kept_data=erasure.as_json({"keep_evidence": bool(keep_evidence)}),
	)
	_answer(doc, steps)
	start(request)


def _answer(doc: Any, steps: list[erasure.Step]) -> None:
	"""Tell the person what becomes of their data, while we still know whom to tell (Art. 12(3))."""
	with letters.in_language_of(doc):
		kept: dict[str, list[str]] = {}
		for step in steps:
			if step.action == Erasure.KEEP and step.ref_doctype:
				kept.setdefault(_(step.because), []).append(_(step.ref_doctype))
		text = _("We are erasing your data now.")
		if kept:
			text += " " + _("What the law makes us keep is kept: {0}.").format(
				"; ".join(f"{law}: {', '.join(dict.fromkeys(what))}" for law, what in kept.items())
			)
	letters.answer(doc, text)


def _send_what_waits(request: str) -> None:
	"""Let the answer leave before its address is erased.

	Raises:
		NotNow: it can't be sent.
	"""
	waiting = {"reference_doctype": DOCTYPE, "reference_name": request, "status": "Not Sent"}
	for name in frappe.get_all("Email Queue", waiting, pluck="name"):
		frappe.get_doc("Email Queue", name).send()
		if frappe.db.get_value("Email Queue", name, "status") in ("Not Sent", "Sending"):
			raise NotNow(
				_("The answer to the person can't be sent. Check the outgoing mail, and approve again.")
			)


def stop(request: str) -> None:
	"""Stop a run after the step it is at. What is erased stays erased; a new plan shows the rest."""
	_get(request, Status.RUNNING)
	requests.move(request, Status.IN_PROGRESS)


def status(request: str) -> dict[str, Any]:
	"""Return `status`, `steps`, and `report` when it is done."""
	doc = frappe.get_doc(DOCTYPE, request)
	report = frappe.parse_json(doc.kept_data) if doc.kept_data else None
	return {
		"status": doc.status,
		"steps": [_as_dict(step) for step in erasure.steps_of(doc.steps)],
		"report": report if report and "kept" in report else None,
	}


def _get(request: str, *allowed: Status) -> Any:
	doc = requests.get(request, *allowed)
	if doc.right != Right.ERASURE.value:
		raise NotNow(_("{0} isn't about erasure, but about {1}.").format(frappe.bold(doc.name), _(doc.right)))
	return doc


def _counts(steps: list[erasure.Step]) -> list[tuple[str, str, int]]:
	return sorted(
		(step.ref_doctype, step.action.value, step.found)
		for step in steps
		if step.ref_doctype and step.ref_doctype not in ABOUT_THE_REQUEST
	)


def _other_officers() -> bool:
	role, user = frappe.qb.DocType("Has Role"), frappe.qb.DocType("User")
	return bool(
		frappe.qb.from_(role)
		.join(user)
		.on(user.name == role.parent)
		.select(user.name)
		.where((role.parenttype == "User") & (role.role == OFFICER) & (user.enabled == 1))
		.where(user.name.notin([frappe.session.user, "Administrator"]))
		.limit(1)
		.run()
	)


def _as_dict(step: erasure.Step) -> dict[str, Any]:
	return step._asdict() | {"action": step.action.value}


def _write(request: str, steps: list[erasure.Step]) -> None:
	requests.write_steps(request, [_as_dict(step) for step in steps])


# --- the job ------------------------------------------------------------------------------------------------


def start(request: str) -> None:
	"""Queue the work, once this transaction is committed."""
	frappe.enqueue(JOB, queue="long", timeout=LONGEST, enqueue_after_commit=True, request=request)


def take_up() -> None:
	"""Queue the work of those that no worker is at: it was killed, or the machine went down."""
	running = {"status": Status.RUNNING.value, "right": Right.ERASURE.value}
	for name in frappe.get_all(DOCTYPE, running, pluck="name"):
		if frappe.db.sql("select is_free_lock(%s)", _lock_of(name))[0][0]:
			start(name)


def _lock_of(request: str) -> str:
	return f"{frappe.conf.db_name}.erasure.{request}"[:64]


def work(request: str) -> None:
	"""Erase the person of a request, until it is done, stopped, or somebody else is at it."""
	if not frappe.db.exists(DOCTYPE, request):
		return
	if not frappe.db.sql("select get_lock(%s, 0)", _lock_of(request))[0][0]:
		return
	user = frappe.session.user
	try:
		doc = frappe.get_doc(DOCTYPE, request)
		if doc.status != Status.RUNNING.value:
			return
		frappe.set_user(doc.approved_by)
		_run(doc)
	except erasure.Stopped:
		frappe.db.rollback()
	except Exception as error:  # not passed on: core's log would name the person
		_note_failure(request, error)
	finally:
		frappe.set_user(user)
		frappe.db.sql("select release_lock(%s)", _lock_of(request))
		_tell(request)


def _run(doc: Any) -> None:
	options = frappe.parse_json(doc.kept_data or "{}")
	person = subject.of_request(doc)
	_send_what_waits(doc.name)
	told = 0.0

	def progress(steps: list[erasure.Step]) -> None:
		nonlocal told
		if frappe.db.get_value(DOCTYPE, doc.name, "status") != Status.RUNNING.value:
			if told < float("inf"):
				raise erasure.Stopped
			return
		if time.monotonic() - told < TELL_EVERY:
			return
		told = time.monotonic()
		_write(doc.name, steps)
		frappe.db.commit()  # nosemgrep: a step is done
		_tell(doc.name)

	def finish(report: dict[str, Any]) -> None:
		nonlocal told
		told = float("inf")
		requests.close_fulfilled(doc.name, None, kept_data=erasure.as_json(report))
		erasure.forget_requests(person, doc.name)

	steps = erasure.carry_out(
		person,
		request=doc.name,
		progress=progress,
		keep_evidence=bool(options.get("keep_evidence")),
		before=erasure.steps_of(doc.steps),
		finish=finish,
	)
	_write(doc.name, steps)
	frappe.db.commit()  # nosemgrep: the job ends here


def _note_failure(request: str, error: Exception) -> None:
	frappe.db.rollback()
	log_failure("Erasure failed", request)
	why = str(error) if isinstance(error, ConsentError) else type(error).__name__
	doc = frappe.get_doc(DOCTYPE, request)
	steps = erasure.steps_of(doc.steps)
	if doc.status == Status.RUNNING.value and steps:
		steps[-1] = steps[-1]._replace(status="Failed", problem=frappe.utils.strip_html(why)[:500])
		_write(request, steps)
		requests.move(request, Status.IN_PROGRESS)
	frappe.db.commit()  # nosemgrep: the job ends here


def _tell(request: str) -> None:
	frappe.publish_realtime(EVENT, {"name": request}, doctype=DOCTYPE, docname=request)
