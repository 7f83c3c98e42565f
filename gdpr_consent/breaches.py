"""The register of personal data breaches and its clock (Art. 33 and 34 GDPR, BR-01 to BR-04)."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import cint, get_datetime, now_datetime

from gdpr_consent import filters, identity
from gdpr_consent.alerts import alert, users_with
from gdpr_consent.clock import from_system_time, now_utc, to_system_time
from gdpr_consent.doors import says_why
from gdpr_consent.exceptions import EvidenceMissing, FilterNotValid, InvalidPeriod, NotNow
from gdpr_consent.ledger import insert

DOCTYPE, NOTICE = "Personal Data Breach", "Personal Data Breach Notice"
UNLIKELY, RISK, HIGH_RISK = "Unlikely", "Risk", "High Risk"
OFFICER = "Privacy Officer"
BEFORE_DUE, OVERDUE = "Before Due", "Overdue"
REMIND_BEFORE = timedelta(hours=24)
WHO_IS_CONCERNED = (*identity.PARTY_TYPES, "Prospect", "Opportunity")
FACTS = ("nature", "consequences", "measures")


def report_due_on(aware_on: datetime) -> datetime:
	"""Return when the authority has to know of it (Art. 33(1)); the hours are a setting.

	A period in hours runs through weekends and holidays (Reg. 1182/71, Art. 3(3) and (4)), and is as long as
	ever when the clocks change within it.

	Args:
		aware_on: in the time of the site, as what is returned.
	"""
	hours = cint(frappe.db.get_single_value("Consent Settings", "breach_report_hours"))
	return to_system_time(from_system_time(get_datetime(aware_on)) + timedelta(hours=hours))


def check(breach: Document) -> None:
	"""Check what is written about a breach, and compute when it is due.

	Raises:
		InvalidPeriod: an instant to come, or an end before its start.
		EvidenceMissing: it was reported late, or isn't reported, and nobody says why.
	"""
	for field in ("aware_on", "reported_on", "people_told_on", "happened_from", "happened_until"):
		if breach.get(field) and get_datetime(breach.get(field)) > now_datetime():
			raise InvalidPeriod(
				_("{0} {1} is still to come.").format(
					breach.meta.get_label(field), frappe.bold(breach.get_formatted(field))
				)
			)
	_check_scope(breach)
	_check_order(breach, "happened_from", "happened_until")
	_check_order(breach, "aware_on", "reported_on")
	breach.report_due_on = report_due_on(breach.aware_on)
	breach.contact_point = breach.contact_point or _data_protection_officer()
	if breach.risk == UNLIKELY and not (breach.risk_reason or "").strip():
		raise EvidenceMissing(
			_("Why is missing. Say why the breach is unlikely to be a risk: without that it is reported.")
		)
	is_late = breach.reported_on and get_datetime(breach.reported_on) > breach.report_due_on
	if is_late and not (breach.late_reason or "").strip():
		raise EvidenceMissing(
			_("Why So Late is missing. It was reported after {0}, and the authority is told why.").format(
				breach.get_formatted("report_due_on")
			)
		)


def _check_scope(breach: Document) -> None:
	for row in breach.scope:
		try:
			next(_pages(row), None)
		except FilterNotValid as error:
			problem = _("Row {0} of {1}: its filters can't be read. Choose the records again.").format(
				row.idx, _(breach.meta.get_label("scope"))
			)
			raise FilterNotValid(f"{problem} {error}") from None


def _data_protection_officer() -> str:
	settings = frappe.get_cached_doc("Consent Settings")
	named = (settings.data_protection_officer, settings.data_protection_officer_contact)
	return " · ".join(filter(None, named))


def _check_order(breach: Document, first: str, second: str) -> None:
	if breach.get(first) and breach.get(second):
		if get_datetime(breach.get(first)) > get_datetime(breach.get(second)):
			raise InvalidPeriod(
				_("{0} {1} is earlier than {2} {3}.").format(
					breach.meta.get_label(second),
					frappe.bold(breach.get_formatted(second)),
					breach.meta.get_label(first),
					breach.get_formatted(first),
				)
			)


@frappe.whitelist(methods=["POST"])
@says_why
def close(name: str) -> None:
	"""Close a breach, once everything that the law asks for is written down. For Privacy Officers only.

	Raises:
		EvidenceMissing: names what is missing.
	"""
	frappe.only_for(OFFICER, message=True)
	breach = frappe.get_doc(DOCTYPE, name, for_update=True)
	breach.check_permission("write")
	missing = [breach.meta.get_label(field) for field in _missing(breach)]
	if missing:
		raise EvidenceMissing(
			_("{0} can't be closed yet. Missing: {1}.").format(
				frappe.bold(name), ", ".join(_(label) for label in missing)
			)
		)
	breach.flags.is_closed_now = True
	breach.status = "Closed"
	breach.save()


def _missing(breach: Document) -> Iterator[str]:
	yield from (field for field in FACTS if not (breach.get(field) or "").strip())
	if breach.risk not in (UNLIKELY, RISK, HIGH_RISK):
		yield "risk"
	if breach.risk in (RISK, HIGH_RISK) and not breach.reported_on:
		yield "reported_on"
	if breach.risk == HIGH_RISK and not (breach.people_told_on or breach.not_told_because):
		yield "people_told_on"


@frappe.whitelist(methods=["POST"])
@says_why
def count_people(name: str) -> dict[str, int]:
	"""Count the records that a breach concerns, and the people behind them, and write both down.

	People are told apart by their records; of Customers, Prospects and Opportunities their contacts count.
	For Privacy Officers only.

	Returns:
		`records` and `people`.
	"""
	frappe.only_for(OFFICER, message=True)
	breach = frappe.get_doc(DOCTYPE, name)
	breach.check_permission("write")
	everybody: set[identity.Person] = set()
	for row in breach.scope:
		people: set[identity.Person] = set()
		row.record_count = 0
		for names in _pages(row):
			row.record_count += len(names)
			people |= set(_people_behind(row.ref_doctype, names))
		row.people_count = len(people)
		everybody |= people
	breach.record_count = sum(row.record_count for row in breach.scope)
	breach.people_count = len(everybody)
	breach.save()
	return {"records": breach.record_count, "people": breach.people_count}


def _pages(row: Document) -> Iterator[list[str]]:
	return filters.pages(row.ref_doctype, row.filters, _("Which Records"))


def _people_behind(doctype: str, names: list[str]) -> Iterator[identity.Person]:
	if doctype not in WHO_IS_CONCERNED:
		return
	people = identity.people_behind(doctype, names)
	customers = [
		person.party for found in people.values() for person in found if person.party_type == "Customer"
	]
	contacts = identity.contacts_linked_to("Customer", customers) if customers else {}
	for found in people.values():
		for person in found:
			yield from contacts.get(person.party, [person]) if person.party_type == "Customer" else [person]


@frappe.whitelist(methods=["POST"])
@says_why
def tell_people(name: str) -> None:
	"""Send the notice to everybody whom a breach concerns and who has an e-mail address (Art. 34).

	It is no marketing, so who objected to that gets it too (BR-04). It runs in the background; whoever was
	told already isn't told again. For Privacy Officers only.

	Raises:
		NotNow: no high risk, or closed.
		EvidenceMissing: no subject or notice, or no records.
	"""
	frappe.only_for(OFFICER, message=True)
	breach = frappe.get_doc(DOCTYPE, name)
	breach.check_permission("write")
	if breach.risk != HIGH_RISK or breach.status == "Closed":
		raise NotNow(
			_("People are told of a breach with a high risk that isn't closed. Set {0} first.").format(
				_("Risk to the People")
			)
		)
	for field in ("notice_subject", "notice", "scope"):
		if not breach.get(field):
			raise EvidenceMissing(_("{0} is missing.").format(_(breach.meta.get_label(field))))
	frappe.enqueue(
		"gdpr_consent.breaches.send_notices",
		queue="long",
		timeout=24 * 60 * 60,
		enqueue_after_commit=True,
		job_id=f"gdpr_consent::breach::{frappe.local.site}::{name}",
		deduplicate=True,
		name=name,
		user=frappe.session.user,
	)


def send_notices(name: str, user: str) -> int:
	"""Queue the notice to each person once, and return to how many. Each page of people is committed with
	its mails, so that a killed worker is followed by one that goes on."""
	breach = frappe.get_doc(DOCTYPE, name)
	for row in breach.scope:
		for names in _pages(row):
			_tell(breach, _addresses_behind(row.ref_doctype, names))
			frappe.db.commit()  # nosemgrep: a page is told; an interruption loses nothing
			told = frappe.db.count(NOTICE, {"breach": name})
			frappe.publish_realtime("consent_breach_told", {"name": name, "told": told}, user=user)
	told = frappe.db.count(NOTICE, {"breach": name})
	breach.reload()
	breach.people_told = told
	breach.people_told_on = breach.people_told_on or now_datetime()
	breach.save(ignore_permissions=True)  # in the name of the officer who told them to
	frappe.db.commit()  # nosemgrep: end of a job
	frappe.publish_realtime("consent_breach_told", {"name": name, "told": told, "is_done": True}, user=user)
	return told


def _addresses_behind(doctype: str, names: list[str]) -> list[str]:
	people = list(dict.fromkeys(_people_behind(doctype, names)))
	found: list[str] = []
	for party_type in identity.PARTY_TYPES:
		parties = [person.party for person in people if person.party_type == party_type]
		if parties:
			for addresses in identity.addresses_of_parties(party_type, parties).values():
				found += [one for one in addresses if not identity.is_phone_number(one)][:1]
	return found


def _tell(breach: Document, emails: list[str]) -> None:
	keys = {key: email for email, key in identity.address_keys(emails).items() if key}
	told = set(
		frappe.get_all(
			NOTICE, {"breach": breach.name, "address_key": ["in", [*keys, ""]]}, pluck="address_key"
		)
	)
	fresh = {key: email for key, email in keys.items() if key not in told}
	now = now_utc()
	insert(
		NOTICE,
		[
			{
				"name": f"{breach.name}-{key.rpartition(':')[2][:32]}",
				"breach": breach.name,
				"email": email,
				"address_key": key,
				"told_on": now,
			}
			for key, email in fresh.items()
		],
	)
	for email in fresh.values():
		frappe.sendmail(
			recipients=[email],
			subject=breach.notice_subject,
			message=breach.notice,
			reference_doctype=DOCTYPE,
			reference_name=breach.name,
			add_unsubscribe_link=0,
		)


def remind() -> int:
	"""Tell the Privacy Officers of breaches that are due within a day, and of those overdue: once each.

	Returns how many alerts there were.
	"""
	breach = frappe.qb.DocType(DOCTYPE)
	now = now_datetime()
	count = 0
	for name, due_on, reminded in (
		frappe.qb.from_(breach)
		.select(breach.name, breach.report_due_on, breach.reminded)
		.where(breach.reported_on.isnull() & (breach.status != "Closed") & (breach.risk != UNLIKELY))
		.where(breach.report_due_on <= now + REMIND_BEFORE)
		.orderby(breach.name)
		.run()
	):
		state = OVERDUE if due_on <= now else BEFORE_DUE
		if reminded in (state, OVERDUE):
			continue
		subject = (
			_("Breach {0} should have been reported to the authority by {1}")
			if state == OVERDUE
			else _("Breach {0} has to be reported to the authority by {1}")
		).format(name, frappe.utils.format_datetime(due_on))
		alert(users_with([OFFICER]), subject, DOCTYPE, name)
		frappe.db.set_value(DOCTYPE, name, "reminded", state, update_modified=False)
		count += 1
	return count
