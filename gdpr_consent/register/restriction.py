"""Restriction of processing (Art. 18 GDPR, DS-20)."""

from collections.abc import Iterable
from datetime import date

from frappe import _
from frappe.utils import getdate

from gdpr_consent.clock import to_system_time
from gdpr_consent.exceptions import EvidenceMissing, InvalidPeriod
from gdpr_consent.identity import address_keys, is_shared, people_at
from gdpr_consent.policy import EventKind, RefusalKind
from gdpr_consent.register.no import write_noes
from gdpr_consent.register.people import rows_of_parties, rows_of_party
from gdpr_consent.register.terms import check_reason
from gdpr_consent.register.writing import CONTROLLER, DATA_SUBJECT, Act, No, Row, Scope, Writing, party_of


def restrict(
	emails: list[str], *, party_type: str | None = None, party: str | None = None, reason: str | None
) -> list[str]:
	"""Stop everything but storage for a person, as they may ask for (Art. 18, DS-20).

	Returns:
		names of the restrictions that stand. Saying it twice adds nothing.

	Raises:
		EvidenceMissing: no reason given.
	"""
	check_reason(reason)
	scope = Scope("", "")
	noes = [No(RefusalKind.RESTRICTION, scope, email, party_type, party) for email in emails] or [
		No(RefusalKind.RESTRICTION, scope, None, party_type, party)
	]
	with Writing(key for no in noes if (key := no.key)) as writing:
		write_noes(writing, noes, Act(DATA_SUBJECT, reason=reason))
		return [row["name"] for row in restrictions_in(writing, party_type, party)]


def lift_restriction(
	emails: list[str],
	*,
	party_type: str | None = None,
	party: str | None = None,
	reason: str | None,
	informed_on: date | None,
) -> list[str]:
	"""End a restriction. The person is told before that (Art. 18(3), DS-20).

	It ends for all addresses that it was said for, also those that the person doesn't have any more. One of
	somebody else, who is restricted for themselves at the same address, stays.

	Args:
		informed_on: the day on which the person was told that it will be lifted.

	Returns:
		names of the restrictions that this lifted.

	Raises:
		EvidenceMissing: no reason or no day given.
		InvalidPeriod: a day to come, or before the restriction.
	"""
	check_reason(reason)
	if not informed_on:
		raise EvidenceMissing(
			_("Person Told On is missing. Tell the person first, then say on which day (Art. 18(3) GDPR).")
		)
	if informed_on > getdate():
		raise InvalidPeriod(_("Person Told On {0} lies in the future.").format(informed_on))
	keys = {key: email for email, key in address_keys(emails).items() if key}
	people = [(party_type, party)] if party_type and party else _people_alone_at(keys.values())
	theirs = [row for rows, _consents in rows_of_parties(people).values() for row in rows if _restricts(row)]
	with Writing([*keys, *(row["address_key"] for row in theirs if row["address_key"])]) as writing:
		names = {row["name"] for row in theirs}
		found = [row for row in theirs if not row["address_key"]]
		found += [
			row
			for key, rows in writing.suppressions.items()
			for row in rows
			if _restricts(row) and (row["name"] in names or (key in keys and not (party and row["party"])))
		]
		if any(informed_on < to_system_time(row["said_on"]).date() for row in found):
			raise InvalidPeriod(
				_("Person Told On {0} lies before the restriction itself.").format(informed_on)
			)
		act = Act(CONTROLLER, reason=_("{0} The person was told on {1}.").format(reason, informed_on))
		for row in found:
			writing.append("Suppression", row, EventKind.LIFT, act, {"lifted_on": writing.now})
		return [row["name"] for row in found]


def _people_alone_at(emails: Iterable[str]) -> set[tuple[str, str]]:
	found = people_at(email for email in emails if not is_shared(email))
	return {(person.party_type, person.party) for people in found.values() for person in people}


def _restricts(row: Row) -> bool:
	return row["kind"] == RefusalKind.RESTRICTION and not row.get("lifted_on")


def restrictions_in(writing: Writing, party_type: str | None, party: str | None) -> list[Row]:
	"""List the restrictions that stand at the addresses of a visit, or for a party without an address."""
	whose = (party_type, party)
	rows = [row for found in writing.suppressions.values() for row in found]
	rows += [row for row in rows_of_party(*whose)[0] if not row["address_key"]]
	return [
		row
		for row in rows
		if _restricts(row)
		and not (
			party and row["party"] and party_of(row) != whose and row["email"] and is_shared(row["email"])
		)
	]
