"""Says again what people said no to, after a database was restored that has forgotten it (ST-18).

How far the journal was compared with the database stands in the database: one that is restored knows an
earlier position, and all that is after it is looked up. A no that is on record is left alone, so doing it
twice adds nothing. It takes permissions away and gives none.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

import frappe
from frappe import _

from gdpr_consent import filters, identity, journal, register
from gdpr_consent.alerts import alert, officers
from gdpr_consent.clock import from_utc_text, utc_text
from gdpr_consent.failures import log_failure
from gdpr_consent.identity import Person
from gdpr_consent.journal import JournalFailed, Line
from gdpr_consent.policy import EventKind, RefusalKind
from gdpr_consent.register import Act, No, Scope
from gdpr_consent.rights import erasure, restriction, subject

# Ended by somebody who works here, without a newer yes of the person.
LIFTED_BY_STAFF = {RefusalKind.RESTRICTION, RefusalKind.BOUNCE}
PERSON_TYPES = ("Contact", "Lead", "Customer", "User")
POSITION = "journal_read_to"


class Erased(NamedTuple):
	"""People who were erased together, and are on record again."""

	people: list[Person]
	suppress: bool


class Said(NamedTuple):
	"""What a replay did.

	`again` counts what was forgotten, `broken` the lines that can't be read or are about nobody on record,
	`back` the records that were erased and are there again.
	"""

	again: int
	broken: int
	back: int


def say_again(progress: Callable[[int], None] = lambda _bytes: None) -> Said:
	"""Say again what the journal holds and the register doesn't.

	Commits after each part: it may be interrupted, and goes on where it was.

	Args:
		progress: is told how many more bytes of the journal are compared.

	Raises:
		JournalFailed
	"""
	end = journal.size()
	start = frappe.db.get_single_value("Consent Settings", POSITION) or 0
	if start > end:
		start = 0  # another file
	if start == end:
		return Said(0, 0, 0)
	frappe.db.commit()  # nosemgrep: nothing is written yet; what is in the journal by now is to be seen
	lifted: set[str] = set()
	erasures: list[Line] = []
	for part in journal.read(start, end):
		lifted |= {line["lifts"] for line in part.lines if "lifts" in line}
		erasures += [line for line in part.lines if "erased" in line]
	if back := sum(len(erased.people) for erased in _back(erasures)):
		text = _(
			"{0} records are back that were erased. Run bench gdpr-consent replay --erase-since with "
			"the day of the backup."
		)
		_tell(text.format(back))
	again, broken = 0, 0
	for part in journal.read(start, end):
		said, failed = _say_each_or_all(_forgotten(part.lines), lifted)
		again, broken = again + said, broken + failed + part.broken
		frappe.db.set_single_value("Consent Settings", POSITION, part.end, update_modified=False)
		frappe.db.commit()  # nosemgrep: a part is done; an interruption loses nothing
		progress(part.end - start)
		start = part.end
	if again:
		_tell(_("Said again after the database was restored: {0} noes.").format(again))
	return Said(again, broken, back)


def _forgotten(lines: list[Line]) -> list[Line]:
	names = [line["event"] for line in lines if "erased" not in line]
	event = frappe.qb.DocType("Consent Event")
	known = set(
		frappe.qb.from_(event).select(event.name).where(event.name.isin(names)).run(pluck=True)
		if names
		else ()
	)
	return [line for line in lines if "erased" not in line and line["event"] not in known]


def _say_each_or_all(lines: list[Line], lifted: set[str]) -> tuple[int, int]:
	"""Say all of a part, or if one line can't be said, all others. Returns how many were, and were not."""
	try:
		return _say(lines, lifted)
	except frappe.db.OperationalError:
		raise  # for all of it to be said later
	except Exception:
		frappe.db.rollback()
		if len(lines) == 1:
			log_failure("A no in the journal can't be said again", lines[0]["event"])
			return 0, 1
	each = []
	for line in lines:
		each.append(_say_each_or_all([line], lifted))
		frappe.db.commit()  # nosemgrep: one is done
	return sum(said for said, _failed in each), sum(failed for _said, failed in each)


def _say(lines: list[Line], lifted: set[str]) -> tuple[int, int]:
	noes = [
		line
		for line in lines
		if "no" in line and not (line["suppression"] in lifted and line["no"] in LIFTED_BY_STAFF)
	]
	# Of the erased, the register holds the key alone.
	keys = [line["address_key"] for line in noes if line["no"] != RefusalKind.ERASURE]
	emails = _emails([key for key in keys if key])
	parties = _on_record({line["party"] for line in noes if line["party"]})
	of_nobody = [line for line in noes if not line["address_key"] and line["party"] not in parties]
	reason = _("Said before the database was restored.")
	for by in {line["by"] for line in noes}:
		register.say_no(
			[_no(line, emails, parties) for line in noes if line["by"] == by], Act(by, reason=reason)
		)
	for line in noes:
		if line["no"] == RefusalKind.RESTRICTION and line["party"] in parties:
			frappe.db.set_value(*parties[line["party"]], restriction.FIELD, 1)
	ends = [
		(line["consent"], EventKind(line["ends"]), from_utc_text(line["effective_from"]))
		for line in lines
		if "ends" in line
	]
	return len(noes) - len(of_nobody) + register.end_again(ends, reason), len(of_nobody)


def _no(line: Line, emails: dict[str, str], parties: dict[str, Person]) -> No:
	return No(
		RefusalKind(line["no"]),
		Scope(line["channel"], line["purpose"], line["topic"]),
		emails.get(line["address_key"]),
		*parties.get(line["party"], (None, None)),
		said_on=from_utc_text(line["said_on"]),
		address_key=line["address_key"],
	)


def _emails(keys: list[str]) -> dict[str, str]:
	"""Return the addresses of keys, as far as the register has them."""
	found: dict[str, str] = {}
	for doctype in ("Consent", "Suppression") if keys else ():
		table = frappe.qb.DocType(doctype)
		found |= dict(
			frappe.qb.from_(table)
			.select(table.address_key, table.email)
			.where(table.address_key.isin(keys) & table.email.isnotnull())
			.run()
		)
	return found


def _tell(text: str) -> None:
	alert(officers(), text, "Consent Settings", "Consent Settings")
	frappe.db.commit()  # nosemgrep: whoever is told finds it done


def every_few_minutes() -> None:
	"""Say again what is forgotten; as a rule, there is nothing to do but to look at the length of a file."""
	try:
		say_again()
	except JournalFailed:
		log_failure("The journal of the noes can't be read")


# --- people who were erased ---------------------------------------------------------------------------------


def back_since(day: datetime) -> list[Erased]:
	"""List who was erased after an instant, and is on record again.

	Args:
		day: when the backup was made, naive UTC.

	Raises:
		JournalFailed
	"""
	since = utc_text(day)
	return _back(
		line
		for part in journal.read(0, journal.size())
		for line in part.lines
		if "erased" in line and line["recorded_at"] >= since
	)


def erase_again(back: Iterable[Erased]) -> Iterator[Erased]:
	"""Erase people once more, one erasure after the other, and yield each that is done.

	Raises:
		ErasureNotPossible: see `erasure.plan`; those before are erased.
	"""
	for one in back:
		erasure.carry_out(subject.of_people(one.people), suppress=one.suppress)
		yield one


def _back(erasures: Iterable[Line]) -> list[Erased]:
	erasures = list(erasures)
	on_record = _on_record({key for line in erasures for key in line["erased"]})
	return [
		Erased([on_record[key] for key in line["erased"] if key in on_record], line["suppress"])
		for line in erasures
		if any(key in on_record for key in line["gone"])
	]


def _on_record(keys: set[str]) -> dict[str, Person]:
	"""Return the records of keys. None says its name, so all are asked for theirs."""
	if not keys:
		return {}
	return {
		key: Person(doctype, name)
		for doctype in PERSON_TYPES
		for names in filters.all_names(doctype)
		for name in names
		if (key := identity.record_key(doctype, name)) in keys
	}
