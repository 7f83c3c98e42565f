"""Seals what the ledger says, and tells the seal outside the database (AU-05, AU-06).

A chain shows that an event was changed. A seal over all chains shows that a record, or the end of one, is
gone; each seal holds the hash of the one before it. Who can write to the database can make all of it anew,
and only what was told outside shows that. No lock is shared with those who write events: what is committed
after a seal began is in the next one.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

import frappe
from frappe import _
from frappe.utils import get_url_to_form

from gdpr_consent import journal, ledger
from gdpr_consent.alerts import alert, officers
from gdpr_consent.clock import now_utc, utc_text
from gdpr_consent.failures import log_failure
from gdpr_consent.offline_verifier import FileNotReadable, read_anchors, seal_hash, sealed_line
from gdpr_consent.waiting import see_what_others_did

FILE_SETTING = "gdpr_consent_anchor_file"  # both in site_config.json, which only who runs the server writes
TIMESTAMP_SETTING = "gdpr_consent_timestamp_url"
EVENTS_A_SEAL = 20_000  # an erasure may have to wait until so many are marked
UPDATE_AT_ONCE = 2_000
TIMEOUT = 20  # seconds
LARGEST_TOKEN = 100_000  # bytes
TOO_LONG_AGO_DAYS = 3


class AnchorFailed(Exception):
	"""Why a seal couldn't be told outside, in words for an administrator, without addresses or secrets."""


# --- sealing ------------------------------------------------------------------------------------------------


def seal(progress: Callable[[int], None] = lambda _events: None) -> int:
	"""Seal all events that no seal covers, and return how many seals that took.

	Commits after each seal: it may be interrupted, and goes on where it was.

	Args:
		progress: is told how many more events are sealed.
	"""
	see_what_others_did()
	made = 0
	while sealed := _seal_oldest():
		made += 1
		progress(sealed)
	return made


def _seal_oldest(attempts: int = 5) -> int:
	"""Seal the events that were recorded first, and return their number: 0 if there are none left.

	Args:
		attempts: how often to begin anew, where the database lets somebody else go first.
	"""
	frappe.db.commit()  # nosemgrep: only what is committed is sealed, as it is now
	event = frappe.qb.DocType("Consent Event")
	rows = (
		frappe.qb.from_(event)
		.select(event.name, event.consent, event.suppression, event.seq, event.hash, event.recorded_at)
		.where(event.seal == 0)
		.orderby(event.recorded_at)
		.limit(EVENTS_A_SEAL)
		.run()
	)
	if not rows:
		return 0
	last = last_seal()
	made: dict[str, Any] = {
		"number": (last.number if last else 0) + 1,
		"sealed_at": now_utc(),
		"events": len(rows),
		"first_recorded_at": rows[0][5],
		"last_recorded_at": rows[-1][5],
		"root": root_of(rows),
		"prev_hash": last.hash if last else None,
	}
	made["hash"] = seal_hash(
		made | {key: utc_text(at) for key, at in made.items() if isinstance(at, datetime)}
	)
	try:
		ledger.insert("Ledger Seal", [{"name": str(made["number"]), **made}])
		_mark([row[0] for row in rows], made["number"])
	except frappe.QueryDeadlockError:
		frappe.db.rollback()
		if attempts == 1:
			raise
		return _seal_oldest(attempts - 1)
	except Exception as error:
		frappe.db.rollback()
		if frappe.db.is_duplicate_entry(error) or frappe.db.is_primary_key_violation(error):
			return 0  # somebody else is sealing, and does all of it
		raise
	frappe.db.commit()  # nosemgrep: a part is done; an interruption loses nothing
	return len(rows)


def _mark(events: list[str], number: int) -> None:
	for start in range(0, len(events), UPDATE_AT_ONCE):
		# By name, and by no other way: it locks these rows alone, where going through the table waits for
		# events that are being written.
		frappe.db.sql(
			"update `tabConsent Event` force index (primary) set seal = %s where name in %s",
			(number, events[start : start + UPDATE_AT_ONCE]),
		)


def root_of(rows: list[tuple]) -> str:
	"""Return the root over events (name, consent, suppression, seq, hash, …): SHA-256 of sorted lines."""
	lines = sorted(
		sealed_line("Consent" if consent else "Suppression", consent or suppression, seq, event_hash)
		for _name, consent, suppression, seq, event_hash, *_rest in rows
	)
	return hashlib.sha256("".join(lines).encode()).hexdigest()


def last_seal() -> frappe._dict | None:
	table = frappe.qb.DocType("Ledger Seal")
	found = frappe.qb.from_(table).select(table.star).orderby(table.number, order=frappe.qb.desc).limit(1)
	rows = found.run(as_dict=True)
	return rows[0] if rows else None


# --- anchoring ----------------------------------------------------------------------------------------------


def anchor() -> list[str]:
	"""Tell the last seal outside, on each way that is set up and hasn't told it yet; return what went wrong.

	It stands for all seals before it. Nothing is called over the network unless the site's configuration
	names a time-stamping authority.
	"""
	problems = []
	# The time stamp first: the line in the file holds it.
	for told_on, tell in (("timestamped_on", _timestamp), ("written_on", _write), ("mailed_on", _mail)):
		last = last_seal()
		if not last or last[told_on]:
			continue
		try:
			told = tell(last)
			if told is None:
				continue
			table = frappe.qb.DocType("Ledger Seal")
			query = frappe.qb.update(table).set(table[told_on], now_utc())
			for column, value in told.items():
				query = query.set(table[column], value)
			query.where(table.name == last.name).run()
			frappe.db.commit()  # nosemgrep: it is told, and isn't to be told again
		except Exception as error:
			frappe.db.rollback()
			log_failure("A seal of the ledger couldn't be told outside", told_on)
			why = str(error) if isinstance(error, AnchorFailed) else _("See the Error Log.")
			problems.append(_("Ledger Seal {0} isn't anchored. {1}").format(last.number, why))
	return problems


def as_line(seal: Any, **more: str) -> str:
	"""Return a seal as what is kept of it outside: one line of JSON."""
	kept = {
		"seal": seal.number,
		"hash": seal.hash,
		"events": _events_up_to(seal.number),
		"sealed_at": utc_text(seal.sealed_at),
		"site": frappe.local.site,
		**more,
	}
	return json.dumps(kept)


def _events_up_to(number: int) -> int:
	table = frappe.qb.DocType("Ledger Seal")
	sizes = frappe.qb.from_(table).select(table.events).where(table.number <= number).run(pluck=True)
	return sum(sizes)


def _mail(seal: Any) -> dict[str, str] | None:
	to = officers()
	if not to:
		return None
	try:
		frappe.sendmail(
			recipients=to,
			subject=_("Ledger Seal {0}: please keep this mail").format(seal.number),
			template="data_subject_request",
			args={
				"paragraphs": [
					_(
						"This line proves later that no consent was changed or left out before it. Keep it "
						"where nobody who can write to the database can change it."
					),
					as_line(seal),
					_("To check: save the line in a file, and run bench gdpr-consent verify --anchors FILE."),
				],
				"url": get_url_to_form("Ledger Seal", seal.name),
				"closing": [],
			},
			reference_doctype="Ledger Seal",
			reference_name=seal.name,
			add_unsubscribe_link=0,
		)
	except frappe.OutgoingEmailError as error:
		raise AnchorFailed(_("The site can't send mail: no outgoing Email Account is set up.")) from error
	return {}


def _anchor_file() -> Path | None:
	setting = frappe.conf.get(FILE_SETTING)
	if not setting:
		return None
	path = Path(str(setting))
	if not path.is_absolute():
		raise AnchorFailed(
			_("{0} in site_config.json is {1}. Write the whole path, from / on.").format(FILE_SETTING, path)
		)
	return path


def _write(seal: Any) -> dict[str, str] | None:
	path = _anchor_file()
	if not path:
		return None
	more = {"timestamp": seal.timestamp} if seal.timestamp else {}
	try:
		journal.add_to_end(path, as_line(seal, **more) + "\n")
	except OSError as error:
		raise AnchorFailed(_("{0} can't be written: {1}").format(path, error.strerror)) from error
	return {}


def _timestamp(seal: Any) -> dict[str, str] | None:
	url = frappe.conf.get(TIMESTAMP_SETTING)
	if not url:
		return None
	if not str(url).startswith("https://"):
		raise AnchorFailed(
			_("{0} in site_config.json doesn't begin with https://.").format(TIMESTAMP_SETTING)
		)
	return {"timestamp": base64.b64encode(timestamp_of(seal.hash.encode(), str(url))).decode()}


def timestamp_of(content: bytes, url: str) -> bytes:
	"""Have a time-stamping authority stamp some bytes, and return its whole answer (RFC 3161, DER).

	That the answer is about these bytes and this request is checked here; who signed it is checked by
	whoever uses it, with the authority's certificate.

	Raises:
		AnchorFailed: it can't be reached, refuses, or answers something else.
	"""
	try:
		from rfc3161_client import (
			HashAlgorithm,
			PKIStatus,
			TimestampRequestBuilder,
			decode_timestamp_response,
		)
	except ImportError:
		raise AnchorFailed(_("Run bench pip install rfc3161-client.")) from None
	request = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).build()
	try:
		with requests.post(
			url,
			data=request.as_bytes(),
			headers={"Content-Type": "application/timestamp-query"},
			timeout=TIMEOUT,
			allow_redirects=False,
			stream=True,
		) as answer:
			token = answer.raw.read(LARGEST_TOKEN, decode_content=True) if answer.status_code == 200 else b""
	except (requests.RequestException, OSError) as error:
		raise AnchorFailed(_("The time-stamping authority can't be reached.")) from error
	try:
		response = decode_timestamp_response(token)
		granted = response.status in (PKIStatus.GRANTED, PKIStatus.GRANTED_WITH_MODS)
		about_this = granted and (
			bytes(response.tst_info.message_imprint.message) == hashlib.sha256(content).digest()
			and response.tst_info.nonce == request.nonce
		)
	except ValueError:
		about_this = False
	if not about_this:
		raise AnchorFailed(_("The time-stamping authority gave no time stamp for this seal."))
	return token


# --- verifying ----------------------------------------------------------------------------------------------


def verify(
	progress: Callable[[int], None] = lambda _events: None, anchors: Path | None = None
) -> dict[str, Any]:
	"""Check all events and seals, and the anchors that are known: `ok, checked, first_bad, problem, seal`.

	Args:
		progress: is told how many more events were checked.
		anchors: a file of anchors, instead of that of the site's configuration.

	Raises:
		FileNotReadable: there are no anchors in the file given.
	"""
	if anchors:
		return ledger.verify(progress, read_anchors(anchors))
	try:
		return ledger.verify(progress, _own_anchors())
	except (FileNotReadable, AnchorFailed) as error:
		found = ledger.verify(progress)
		return (
			found
			if not found["ok"]
			else found | {"ok": False, "first_bad": FILE_SETTING, "problem": str(error)}
		)


def _own_anchors() -> list[dict[str, Any]]:
	path = _anchor_file()
	if not path:
		return []
	table = frappe.qb.DocType("Ledger Seal")
	was_written = frappe.qb.from_(table).select(table.name).where(table.written_on.isnotnull()).limit(1).run()
	return read_anchors(path) if was_written or path.exists() else []


# --- every night --------------------------------------------------------------------------------------------


def nightly() -> list[str]:
	"""Seal, anchor and verify; remember for the self-check what is wrong, and alert the officers (AU-06)."""
	problems = [*_problems_of_the_night()]
	frappe.db.set_single_value(
		"Consent Settings",
		{"ledger_checked_on": frappe.utils.now(), "ledger_problems": "\n".join(problems)},
		update_modified=False,
	)
	if problems:
		frappe.log_error(title="The ledger isn't sound", message="\n".join(problems))
		alert(
			officers(),
			_("The ledger isn't sound: {0}").format(problems[0]),
			"Consent Settings",
			"Consent Settings",
			"<br>".join(map(frappe.utils.escape_html, problems)),
		)
	frappe.db.commit()  # nosemgrep: whoever was alerted finds the result
	return problems


def _problems_of_the_night() -> Iterator[str]:
	try:
		seal()
	except Exception:
		frappe.db.rollback()
		log_failure("The ledger couldn't be sealed")
		yield _("The ledger couldn't be sealed. See the Error Log.")
	yield from anchor()
	try:
		journal.complete()
	except journal.JournalFailed as error:
		yield str(error)
	found = verify()
	if not found["ok"]:
		yield _("{0} isn't as it was written: {1}").format(found["first_bad"], found["problem"])
	frappe.db.rollback()  # ends the long look at the tables


def problems() -> list[str]:
	"""Say for the self-check what the last night found, and whether there was one."""
	stored = frappe.db.get_singles_dict("Consent Settings")  # where no instant is none, and not the year 1
	found = (stored.get("ledger_problems") or "").splitlines()
	checked = stored.get("ledger_checked_on")
	if checked and frappe.utils.date_diff(frappe.utils.nowdate(), checked) > TOO_LONG_AGO_DAYS:
		found.append(
			_("The ledger wasn't checked for {0} days. Is the scheduler running?").format(TOO_LONG_AGO_DAYS)
		)
	return found
