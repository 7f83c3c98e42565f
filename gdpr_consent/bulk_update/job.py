"""The background work of a Consent Bulk Update: one worker at a time, in chunks, and never lost (BU-06).

What is to be done follows from the status. A worker holds a lock of the database as long as it is connected,
so that one that is killed is replaced, and one that lives isn't. Each chunk is committed together with the
position after it: what isn't committed is done again, what is committed isn't.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

import frappe
from frappe import _

from gdpr_consent import announcements, journal, standing
from gdpr_consent.exceptions import ConsentError
from gdpr_consent.failures import DATABASE_ERRORS, log_failure

DOCTYPE = "Consent Bulk Update"
LONGEST = 24 * 60 * 60  # seconds that one job may take; what is left then is taken up by the next
TRIES = 20  # of one chunk, before a person has to look
PATIENCE = 300  # seconds to wait for a database that restarts
DYING = 30  # seconds until the server has let go of the lock of a connection that is gone
BUSY = frozenset({1213, 1205, 1020})  # deadlock, lock timeout, changed since it was read
CONNECTION_LOST = frozenset({0, 1053, 1927, 2002, 2003, 2006, 2013, 2055})


class Phase(str, Enum):
	PREVIEWING = "Previewing"
	RUNNING = "Running"
	REVERTING = "Reverting"


# Who is at work, by phase: in whose name the records are read and written.
USER_OF = {
	Phase.PREVIEWING: "previewed_by",
	Phase.RUNNING: "run_by",
	Phase.REVERTING: "reverted_by",
}


class SelectionChanged(ConsentError):
	"""The items aren't any more those that were previewed, so nothing of it was run (BU-03)."""


class Stopped(Exception):
	"""Somebody has paused it, or another worker has come while this one was cut off from the database."""


def start(bulk_update: str) -> None:
	"""Queue the work that the status asks for, once this transaction is committed."""
	frappe.enqueue(
		"gdpr_consent.bulk_update.job.work",
		queue="long",
		timeout=LONGEST,
		enqueue_after_commit=True,
		bulk_update=bulk_update,
	)


def take_up() -> None:
	"""Queue the work of those that no worker is at: it was killed, or the machine went down."""
	for name in frappe.get_all(DOCTYPE, {"status": ["in", [phase.value for phase in Phase]]}, pluck="name"):
		if not is_at_work(name):
			start(name)


def work(bulk_update: str) -> None:
	"""Do what the status asks for, until it is done, paused, or somebody else is at it."""
	from gdpr_consent.bulk_update import preview, run

	works = {
		Phase.PREVIEWING: preview.make,
		Phase.RUNNING: run.carry_out,
		Phase.REVERTING: run.take_back,
	}
	if not _lock(bulk_update):
		return
	user = frappe.session.user
	try:
		phase = persistently(bulk_update, lambda: _begin(bulk_update))
		if not phase:
			return
		try:
			works[phase](bulk_update)
		except Stopped:
			raise
		except Exception as error:  # not passed on: core's log would name the people it was about
			_note_failure(bulk_update, phase, error)
	except Stopped:
		pass
	finally:
		frappe.set_user(user)
		_unlock(bulk_update)
	tell(bulk_update)
	standing.take_up()


def _begin(bulk_update: str) -> Phase | None:
	"""Return what is to be done, if anything, and act for the user who asked for it."""
	frappe.db.commit()  # nosemgrep: nothing is written yet; another worker may have finished it meanwhile
	phase = phase_of(bulk_update)
	if phase:
		frappe.set_user(frappe.db.get_value(DOCTYPE, bulk_update, USER_OF[phase]))
	return phase


def phase_of(bulk_update: str) -> Phase | None:
	status = frappe.db.get_value(DOCTYPE, bulk_update, "status")
	return Phase(status) if status in {phase.value for phase in Phase} else None


def _note_failure(bulk_update: str, phase: Phase, error: Exception) -> None:
	if not (_rolls_back() or _connect_again(bulk_update)):
		return  # another worker is at it
	log_failure(f"Consent Bulk Update: {phase.value}", bulk_update)
	nothing_done = phase == Phase.PREVIEWING or isinstance(error, SelectionChanged)
	back_to = "Draft" if nothing_done else "Paused"
	why = str(error) if isinstance(error, frappe.ValidationError) else type(error).__name__
	frappe.db.set_value(
		DOCTYPE,
		bulk_update,
		{"status": back_to, "problem": frappe.utils.strip_html(why)[:500]},
	)
	frappe.db.commit()  # nosemgrep: the job ends here
	tell(bulk_update)


def tell(bulk_update: str) -> None:
	"""Let forms that show it know that something happened."""
	frappe.publish_realtime(
		"consent_bulk_update", {"name": bulk_update}, doctype=DOCTYPE, docname=bulk_update
	)


# --- chunks -------------------------------------------------------------------------------------------------


def in_chunks(bulk_update: str, phase: Phase, do_next: Callable[[], bool]) -> None:
	"""Do one chunk after the other, each in a transaction of its own, until everything is done.

	Args:
		do_next: does a chunk, notes the position, and returns whether there may be another.

	Raises:
		Stopped: somebody has paused it, or another worker has taken it over.
	"""

	def chunk() -> bool:
		frappe.db.commit()  # nosemgrep: what follows reads what is on record now
		if phase_of(bulk_update) != phase:  # also if the connection was lost, which may take minutes
			raise Stopped
		goes_on = do_next()
		frappe.db.commit()  # nosemgrep: a chunk is done; an interruption loses nothing
		return goes_on

	while persistently(bulk_update, chunk):
		tell(bulk_update)


def persistently(bulk_update: str, action: Callable[[], Any]) -> Any:
	"""Do something again if the database deadlocked, was busy for too long, or went away in the middle."""
	for tries_left in reversed(range(TRIES)):
		try:
			return action()
		except Exception as error:
			if not tries_left or not _may_try_again(bulk_update, error):
				raise


def is_of_the_database(error: BaseException) -> bool:
	"""Whether it is no fault of the data: a deadlock, a lock that takes long, a lost connection."""
	return _code_of(error) in BUSY | CONNECTION_LOST


def _may_try_again(bulk_update: str, error: BaseException) -> bool:
	"""Bring the connection into a state in which the chunk can be done again, if the error allows it."""
	if not is_of_the_database(error):
		return False
	if _code_of(error) in BUSY and _rolls_back():
		return True
	if not _connect_again(bulk_update):
		raise Stopped from error
	return True


def _code_of(error: BaseException | None) -> int | None:
	while error:
		if isinstance(error, DATABASE_ERRORS) and error.args:
			return error.args[0] if isinstance(error.args[0], int) else None
		error = error.__cause__ or error.__context__
	return None


def _connect_again(bulk_update: str) -> bool:
	"""Wait for the database, and return whether we have the lock again, which went with the connection."""
	deadline = time.monotonic() + PATIENCE
	while True:
		try:
			frappe.db.close()
			frappe.db.connect()
			frappe.db.rollback()  # what was to follow the transaction that is gone, too
			# If it was the commit that failed, core has dropped these calls already.
			announcements.forget()
			journal.forget()
			return _lock(bulk_update, DYING)
		except DATABASE_ERRORS:
			if time.monotonic() > deadline:
				raise
			time.sleep(0.5)


def _rolls_back() -> bool:
	try:
		frappe.db.rollback()
	except DATABASE_ERRORS:
		return False
	return True


# --- one worker at a time -----------------------------------------------------------------------------------


def _name_of_lock(what: str) -> str:
	# The server has one set of names for all sites; a name has 64 characters at most.
	return f"{frappe.conf.db_name}.consent.{what}"[:64]


def _lock(what: str, seconds: int = 0) -> bool:
	return bool(frappe.db.sql("select get_lock(%s, %s)", (_name_of_lock(what), seconds))[0][0])


def _unlock(what: str) -> None:
	try:
		frappe.db.sql("select release_lock(%s)", _name_of_lock(what))
	except DATABASE_ERRORS:  # and the lock went with the connection
		frappe.db.close()


def is_at_work(bulk_update: str) -> bool:
	"""Whether a worker that is connected has it right now."""
	return not frappe.db.sql("select is_free_lock(%s)", _name_of_lock(bulk_update))[0][0]


@contextmanager
def alone(what: str) -> Iterator[None]:
	"""Let nobody else do the same at the same moment.

	Raises:
		frappe.QueryTimeoutError: somebody else takes longer than 30 seconds over it.
	"""
	if not _lock(what, 30):
		raise frappe.QueryTimeoutError(_("Somebody else is starting a bulk update. Try again."))
	try:
		yield
	finally:
		_unlock(what)
