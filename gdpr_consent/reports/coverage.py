"""Report Consent Coverage: what part of Contacts, Leads and Customers has which legal basis, or none.

A consent is bound to an address, so a person has what an address of theirs has, and for marketing what the
gate would say. Marketing Mail counts what `standing` keeps for the lists, by an index; Legal Basis asks the
register about every record, a page at a time, and Frappe prepares it in the background where that takes long.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator

import frappe
from frappe import _

from gdpr_consent import identity
from gdpr_consent.audience import ASKED, decide_many
from gdpr_consent.clock import now_utc
from gdpr_consent.identity import PARTY_TYPES
from gdpr_consent.policy import Reason
from gdpr_consent.register import CONSENT_BASIS
from gdpr_consent.reports.common import (
	Result,
	Row,
	chart,
	check_may_read,
	choice,
	column,
	figure,
	result,
	share,
)
from gdpr_consent.standing import FIELD, Standing

MARKETING_MAIL, LEGAL_BASIS = "Marketing Mail", "Legal Basis"
AT_ONCE = 1_000  # records a page
STANDING_COLOURS = {
	Standing.NOTHING_KNOWN: "grey",
	Standing.ALLOWED: "green",
	Standing.ALLOWED_IN_PART: "#7bc49a",
	Standing.REQUESTED: "blue",
	Standing.NOT_ALLOWED: "orange",
	Standing.OPTED_OUT: "red",
	Standing.RESTRICTED: "#7b61c4",
	Standing.NO_ADDRESS: "#d5dbe1",
}
MAILABLE = (Standing.ALLOWED.value, Standing.ALLOWED_IN_PART.value)
COLOUR_OF = {standing.value: colour for standing, colour in STANDING_COLOURS.items()}
NOT_YET = "Not Computed Yet"
# Of several, a record is drawn under the first.
BASES = (CONSENT_BASIS, "Existing Customer", "Contract", "Legal Obligation", "Legitimate Interests")
BASIS_COLOURS = ("green", "#7bc49a", "blue", "#2aa198", "orange", "#b58900", "#7b61c4")

Bases = frozenset[str]

IN_FORCE = """`status` in ('Given', 'Not Required') and `since` <= %(now)s
	and (`expires_on` is null or `expires_on` > %(now)s)"""
OF_ADDRESSES = f"""
	select distinct asked.address_key, consent.purpose, consent.legal_basis
	from {ASKED}
	straight_join `tabConsent` consent force index (decision) on consent.address_key = asked.address_key
	where {IN_FORCE}
"""
# A contract stays one with the party whose address is another by now.
OF_PARTIES = f"""
	select distinct `party`, `purpose`, `legal_basis` from `tabConsent`
	where `party_type` = %(party_type)s and `party` in %(parties)s and `status` = 'Not Required'
	and {IN_FORCE}
"""


def execute(filters: Row | None = None) -> Result:
	"""Count the records of each kind: all of them, whoever asks, since a number names nobody.

	Args:
		filters: `view` (Marketing Mail or Legal Basis), `party_type`, `purpose` (for Legal Basis only).
	"""
	check_may_read("Consent")
	filters = filters or {}
	view = MARKETING_MAIL
	if filters.get("view"):
		view = choice(filters, "view", _("View"), [MARKETING_MAIL, LEGAL_BASIS])
	doctypes = PARTY_TYPES
	if filters.get("party_type"):
		doctypes = (choice(filters, "party_type", _("Records"), [*PARTY_TYPES]),)
	make = _by_standing if view == MARKETING_MAIL else _by_basis
	rows, drawn, summary = make(doctypes, filters.get("purpose"))
	message = None
	if view == LEGAL_BASIS:
		message = _(
			"A record with several legal bases is counted for each, and drawn under the first of them. "
			"Marketing counts where the gate allows it."
		)
	return result(_columns(view), rows, message, drawn, summary)


def _columns(view: str) -> list[Row]:
	return [
		column("party_type", _("Records"), width=140),
		column("state", _(view), width=220),
		column("records", _("Number"), "Int", 120),
		column("share", _("Share"), "Percent", 100),
		column("code", _("Code"), hidden=1),
	]


# --- what the lists say -------------------------------------------------------------------------------------


def standing_counts(doctypes: Iterable[str]) -> dict[str, Counter[str]]:
	"""Count the records of each DocType by what their field Marketing Mail says."""
	counts: dict[str, Counter[str]] = {doctype: Counter() for doctype in doctypes}
	for doctype, of in counts.items():
		for standing, records in frappe.db.sql(
			f"select `{FIELD}`, count(*) from `tab{doctype}` group by `{FIELD}`"
		):
			of[standing or NOT_YET] += records
	return counts


def _label(state: str) -> str:
	return _("Not Computed Yet") if state == NOT_YET else _(state)


def _by_standing(doctypes: Iterable[str], _purpose: str | None) -> tuple[list[Row], Row | None, list[Row]]:
	counts = standing_counts(doctypes)
	states = [*(standing.value for standing in STANDING_COLOURS), NOT_YET]
	rows = []
	for doctype, of in counts.items():
		total = sum(of.values())
		for state in states:
			if of.get(state):
				rows.append(_row(doctype, _label(state), of[state], total, state))
	used = [state for state in states if any(of.get(state) for of in counts.values())]
	datasets = [
		(_label(state), [share(of.get(state, 0), sum(of.values())) for of in counts.values()])
		for state in used
	]
	drawn = chart(
		"bar",
		[_(doctype) for doctype in counts],
		datasets,
		[COLOUR_OF.get(state, "grey") for state in used],
		stacked=True,
	)

	def of_all(*wanted: str) -> int:
		return sum(of.get(state, 0) for of in counts.values() for state in wanted)

	total = sum(sum(of.values()) for of in counts.values())
	mailable = of_all(*MAILABLE)
	summary = [
		figure(_("Records"), total),
		figure(_("Mailable"), mailable, "green"),
		figure(_("Mailable, %"), share(mailable, total), "green"),
		figure(_("Nothing Known"), of_all(Standing.NOTHING_KNOWN.value), "grey"),
		figure(_("Opted Out"), of_all(Standing.OPTED_OUT.value), "red"),
	]
	return rows, drawn, summary


def _row(doctype: str, state: str, records: int, total: int, code: str | None = None) -> Row:
	return {
		"party_type": doctype,
		"state": state,
		"records": records,
		"share": share(records, total),
		"code": code,
	}


# --- what the register says ---------------------------------------------------------------------------------


def _by_basis(doctypes: Iterable[str], purpose: str | None) -> tuple[list[Row], Row | None, list[Row]]:
	counts = {doctype: _count_bases(doctype, purpose) for doctype in doctypes}
	found = {basis for of in counts.values() for bases in of for basis in bases}
	order = [*(basis for basis in BASES if basis in found), *sorted(found - {*BASES})]
	rows = []
	for doctype, of in counts.items():
		total = sum(of.values())
		for basis in order:
			if number := sum(records for bases, records in of.items() if basis in bases):
				rows.append(_row(doctype, _(basis), number, total))
		if of[frozenset()]:
			rows.append(_row(doctype, _("No Legal Basis on Record"), of[frozenset()], total))
	datasets = [
		(
			_(basis),
			[
				share(sum(n for bases, n in of.items() if _first(bases, order) == basis), sum(of.values()))
				for of in counts.values()
			],
		)
		for basis in order
	]
	datasets.append(
		(
			_("No Legal Basis on Record"),
			[share(of[frozenset()], sum(of.values())) for of in counts.values()],
		)
	)
	colours = [*(BASIS_COLOURS[at % len(BASIS_COLOURS)] for at in range(len(order))), "grey"]
	drawn = chart("bar", [_(doctype) for doctype in counts], datasets, colours, stacked=True)
	total = sum(sum(of.values()) for of in counts.values())
	none = sum(of[frozenset()] for of in counts.values())
	summary = [
		figure(_("Records"), total),
		figure(_("With a Legal Basis"), total - none, "green"),
		figure(_("Covered, %"), share(total - none, total), "green"),
		figure(_("No Legal Basis on Record"), none, "red" if none else "green"),
	]
	return rows, drawn, summary


def _first(bases: Bases, order: list[str]) -> str | None:
	return next((basis for basis in order if basis in bases), None)


def _count_bases(doctype: str, purpose: str | None) -> Counter[Bases]:
	"""Count the records of a DocType by the legal bases that they have now."""
	counted: Counter[Bases] = Counter()
	marketing = set(frappe.get_all("Processing Purpose", {"is_marketing": 1}, pluck="name"))
	for names in _pages(doctype):
		found = _bases_of(doctype, names, purpose, marketing)
		counted.update(frozenset(found.get(name, ())) for name in names)
	return counted


def _pages(doctype: str) -> Iterator[list[str]]:
	last = ""
	while names := frappe.get_all(
		doctype,
		filters=[[doctype, "name", ">", last]],
		order_by=f"`tab{doctype}`.`name` asc",
		limit_page_length=AT_ONCE,
		pluck="name",
	):
		yield names
		last = names[-1]


def _bases_of(
	doctype: str, names: list[str], purpose: str | None, marketing: set[str]
) -> dict[str, set[str]]:
	now = now_utc()
	addresses = identity.addresses_of_parties(doctype, names)
	keys = identity.address_keys({email for emails in addresses.values() for email in emails})
	asked = {"now": now, "keys": json.dumps(sorted({key for key in keys.values() if key}))}
	of_key: dict[str, set[str]] = {}
	to_decide: dict[str, set[str]] = {}  # by marketing purpose
	for key, about, basis in frappe.db.sql(OF_ADDRESSES, asked):
		if purpose and about != purpose:
			continue
		if about in marketing:
			to_decide.setdefault(about, set()).add(key)
		else:
			of_key.setdefault(key, set()).add(basis)
	for about, some in to_decide.items():
		emails = [email for email, key in keys.items() if key in some]
		for email, decision in decide_many(emails, about).items():
			if decision.allowed:
				basis = "Existing Customer" if decision.reason == Reason.EXISTING_CUSTOMER else CONSENT_BASIS
				of_key.setdefault(keys[email] or "", set()).add(basis)
	found = {
		name: set().union(*(of_key.get(keys[email] or "", set()) for email in emails))
		for name, emails in addresses.items()
	}
	of_parties = {"now": now, "party_type": doctype, "parties": names}
	for name, about, basis in frappe.db.sql(OF_PARTIES, of_parties):
		if about not in marketing and purpose in (None, "", about):
			found.setdefault(name, set()).add(basis)
	return found
