"""The duty to tell people about data that didn't come from themselves (Art. 14; LB-07, LB-08).

Who comes by Data Import, by the sync with Google Contacts, or with a Consent Source that is marked so, gets
an Information Duty by itself. Its notice is service mail: it reaches those who objected to marketing as well.
"""

import uuid
from collections.abc import Iterator
from datetime import date
from typing import Any

from pypika.terms import CustomFunction, ValueWrapper

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.query_builder.functions import Date, Min
from frappe.translate import print_language
from frappe.utils import add_days, get_url, getdate, nowdate

from gdpr_consent import identity, ledger, legitimate_interests, links, preferences, records
from gdpr_consent.alerts import alert, users_with
from gdpr_consent.clock import add_months
from gdpr_consent.exceptions import NoticeNotPossible
from gdpr_consent.failures import log_failure
from gdpr_consent.identity import Person
from gdpr_consent.policy import RefusalKind
from gdpr_consent.rights import automated_decisions, letters, requests

DOCTYPE = "Information Duty"
DUE, SENT, NOT_NEEDED = "Due", "Sent", "Not Needed"
HAS_IT = "The Person Has the Information"
E_MAIL = "E-mail"
TEMPLATE = "information_notice"
LOOKS_BACK_DAYS = 62  # who came longer ago was looked at then
WARN_DAYS = 7
AT_ONCE = 500
SOURCES_OF_LEADS = ("source", "utm_source")  # v15, v16


# --- who is to be told --------------------------------------------------------------------------------------


def keep_up() -> None:
	"""Note who has come from elsewhere, and whose time ends sooner because they were written to."""
	note_new()
	_note_first_mails()
	_forget_who_is_gone()


def note_new() -> int:
	"""Make a duty for each Contact and Lead that has come from elsewhere and has none.

	Returns:
		how many were made.
	"""
	made = 0
	for query in _who_came_from_elsewhere(add_days(nowdate(), -LOOKS_BACK_DAYS)):
		while rows := query.limit(AT_ONCE).run():
			people = {Person(party_type, party): (origin, day) for party_type, party, origin, day in rows}
			_insert(people)
			made += len(people)
			frappe.db.commit()  # nosemgrep: a part is done; an interruption loses nothing
	return made


def _who_came_from_elsewhere(since: str) -> Iterator[Any]:
	"""Yield queries for party type, party, origin in words and day; of people without a duty."""
	log, data_import = frappe.qb.DocType("Data Import Log"), frappe.qb.DocType("Data Import")
	consent, source = frappe.qb.DocType("Consent"), frappe.qb.DocType("Consent Source")
	for doctype in ("Contact", "Lead"):
		person = frappe.qb.DocType(doctype)
		imported = (
			frappe.qb.from_(log)
			.join(data_import)
			.on(data_import.name == log.data_import)
			.join(person)
			.on(person.name == log.docname)
			.where((log.success == 1) & (log.creation >= since))
			.where(data_import.reference_doctype == doctype)
			.where(data_import.import_type == "Insert New Records")
		)
		yield _without_duty(imported, doctype, person, ValueWrapper(_("a list that we imported")))
		consented = (
			frappe.qb.from_(consent)
			.join(source)
			.on((source.name == consent.source) & (source.from_elsewhere == 1))
			.join(person)
			.on(person.name == consent.party)
			.where((consent.party_type == doctype) & (consent.creation >= since))
		)
		yield _without_duty(consented, doctype, person, source.name)
	contact, lead = frappe.qb.DocType("Contact"), frappe.qb.DocType("Lead")
	synced = frappe.qb.from_(contact).where(
		(contact.pulled_from_google_contacts == 1) & (contact.creation >= since)
	)
	yield _without_duty(synced, "Contact", contact, ValueWrapper(_("an address book in Google Contacts")))
	for field in SOURCES_OF_LEADS:
		if frappe.get_meta("Lead").has_field(field):
			named = (
				frappe.qb.from_(lead)
				.join(source)
				.on((source.name == lead[field]) & (source.from_elsewhere == 1))
				.where(lead.creation >= since)
			)
			yield _without_duty(named, "Lead", lead, source.name)


def _without_duty(query: Any, doctype: str, person: Any, origin: Any) -> Any:
	duty = frappe.qb.DocType(DOCTYPE)
	return (
		query.left_join(duty)
		.on((duty.party_type == doctype) & (duty.party == person.name))
		.where(duty.name.isnull())
		.select(ValueWrapper(doctype), person.name, origin, Date(person.creation))
	)


def _insert(people: dict[Person, tuple[str, date]]) -> None:
	addresses: dict[Person, str] = {}
	for party_type in {person.party_type for person in people}:
		names = [person.party for person in people if person.party_type == party_type]
		for name, found in identity.addresses_of_parties(party_type, names).items():
			mail = [address for address in found if not identity.is_phone_number(address)]
			if mail:
				addresses[Person(party_type, name)] = mail[0]
	keys = identity.address_keys(addresses.values())
	company = frappe.db.get_default("company")
	ledger.insert(
		DOCTYPE,
		[
			{
				"name": uuid.uuid4().hex,
				"party_type": person.party_type,
				"party": person.party,
				"email": addresses.get(person),
				"address_key": keys.get(addresses.get(person, "")),
				"company": company,
				"obtained_from": origin,
				"obtained_on": day,
				"due_on": _a_month_after(day),
				"status": DUE,
			}
			for person, (origin, day) in people.items()
		],
	)


def _a_month_after(day: date) -> date:
	# A month at most (Art. 14(3)(a)). That one may wait for the next working day helps nobody here.
	return add_months(getdate(day), 1)


def _note_first_mails() -> None:
	"""The first mail to the person is the last moment to tell them (Art. 14(3)(b))."""
	duty = frappe.qb.DocType(DOCTYPE)
	recipient, queue = frappe.qb.DocType("Email Queue Recipient"), frappe.qb.DocType("Email Queue")
	link, mail = frappe.qb.DocType("Communication Link"), frappe.qb.DocType("Communication")
	open_ones = frappe.qb.from_(duty).where((duty.status == DUE) & duty.first_mail_on.isnull())
	sent = (
		open_ones.join(recipient)
		.on((recipient.recipient == duty.email) & (recipient.status == "Sent"))
		.join(queue)
		.on((queue.name == recipient.parent) & (Date(queue.creation) >= duty.obtained_on))
		.select(duty.name, Min(Date(queue.creation)))
		.groupby(duty.name)
	)
	written = (
		open_ones.join(link)
		.on((link.link_doctype == duty.party_type) & (link.link_name == duty.party))
		.join(mail)
		.on((mail.name == link.parent) & (Date(mail.communication_date) >= duty.obtained_on))
		.where((mail.sent_or_received == "Sent") & (mail.communication_medium == "Email"))
		.select(duty.name, Min(Date(mail.communication_date)))
		.groupby(duty.name)
	)
	first: dict[str, date] = {}
	least = CustomFunction("least", ["one", "other"])
	for name, day in (*sent.run(), *written.run()):
		first[name] = min(day, first.get(name, day))
	for name, day in first.items():
		frappe.qb.update(duty).set(duty.first_mail_on, day).set(duty.due_on, least(duty.due_on, day)).where(
			duty.name == name
		).run()


def _forget_who_is_gone() -> None:
	"""Delete the duties to people of whom there are no data any more."""
	duty = frappe.qb.DocType(DOCTYPE)
	for doctype in ("Contact", "Lead"):
		person = frappe.qb.DocType(doctype)
		gone = (
			frappe.qb.from_(duty)
			.left_join(person)
			.on(person.name == duty.party)
			.where((duty.party_type == doctype) & person.name.isnull())
			.select(duty.name)
			.run(pluck=True)
		)
		if gone:
			frappe.qb.from_(duty).delete().where(duty.name.isin(gone)).run()


def check(duty: Document) -> None:
	"""Controller's `validate`: say when the person must know, and refuse what can't be (Art. 14(3), (5)).

	Raises:
		NoticeNotPossible: names the field and what to do.
	"""
	if duty.email:
		duty.address_key = identity.address_key(duty.email)
	days = [_a_month_after(duty.obtained_on), duty.first_mail_on, duty.disclosed_on]
	duty.due_on = min(getdate(day) for day in days if day)
	if duty.status == NOT_NEEDED and not duty.reason:
		raise NoticeNotPossible(_("Reason is missing. Choose why Art. 14(5) needs no notice here."))
	if duty.status == SENT and not (duty.sent_on and duty.how):
		raise NoticeNotPossible(_("Sent On and How are missing. Enter when and how the person was told."))
	before = duty.get_doc_before_save()
	if before and before.status == SENT and duty.status == DUE:
		raise NoticeNotPossible(_("The person was told on {0}; that stays.").format(before.sent_on))


# --- telling them -------------------------------------------------------------------------------------------


def start_sending(duties: list[str]) -> int:
	"""Queue the notices of those duties that are due.

	Returns:
		how many that are.

	Raises:
		PermissionError, NoticeNotPossible: none of them is due and has an address.
	"""
	frappe.has_permission(DOCTYPE, "write", throw=True)
	names = frappe.get_list(
		DOCTYPE,
		{"name": ["in", duties or [""]], "status": DUE, "email": ["is", "set"]},
		pluck="name",
		limit_page_length=0,
	)
	if not names:
		raise NoticeNotPossible(
			_("Nobody chosen is to be told by mail: choose duties that are Due and have an E-mail Address.")
		)
	frappe.enqueue(
		"gdpr_consent.rights.information.send",
		queue="long",
		timeout=6 * 60 * 60,
		enqueue_after_commit=True,
		duties=names,
	)
	return len(names)


def send(duties: list[str]) -> int:
	"""Send the notice of each duty that is still due, once for each person (never twice, LB-07).

	Who is restricted, or whose mailbox returns mail, isn't written to: the duty stays due and says why.

	Returns:
		number of mails queued.
	"""
	mails = 0
	for position, name in enumerate(duties, start=1):
		try:
			mails += _send_one(name)
			frappe.db.commit()  # nosemgrep: this person is told; an interruption tells nobody twice
		except Exception:
			frappe.db.rollback()
			log_failure("Art. 14: somebody wasn't informed", name)
			frappe.db.commit()  # nosemgrep: the others are told all the same
		frappe.publish_progress(100 * position / len(duties), title=_("Informing people"), doctype=DOCTYPE)
	return mails


def _send_one(name: str) -> bool:
	duty = frappe.qb.DocType(DOCTYPE)
	claimed = (
		frappe.qb.from_(duty).select(duty.star).where((duty.name == name) & (duty.status == DUE)).for_update()
	).run(as_dict=True)
	if not claimed or not claimed[0].email:
		return False
	(row,) = claimed
	if obstacle := _obstacle(row):
		_close(duty.name == name, {"remark": obstacle})
		return False
	same_person = duty.name == name
	if not identity.is_shared(row.email):
		same_person |= duty.address_key == row.address_key
		earlier = frappe.db.get_value(DOCTYPE, {"address_key": row.address_key, "status": SENT}, "sent_on")
		if earlier:
			remark = _("Told on {0}, for another record of the same person.").format(earlier)
			_close(same_person, {"status": NOT_NEEDED, "reason": HAS_IT, "remark": remark})
			return False
	_close(same_person, {"status": SENT, "sent_on": getdate(), "how": E_MAIL})
	with print_language(_language_of(row.party_type, row.party)):
		_mail(row.email, notice(row), DOCTYPE, name)
	return True


def _obstacle(row: Any) -> str | None:
	"""Say why nobody is written to at an address now: the person is told when that ends, or by letter."""
	said = frappe.qb.DocType("Suppression")
	theirs = said.address_key == row.address_key
	if row.party:
		theirs |= (said.party_type == row.party_type) & (said.party == row.party)
	kinds = set(
		frappe.qb.from_(said)
		.select(said.kind)
		.where(theirs & said.lifted_on.isnull())
		.where(
			(said.kind == RefusalKind.RESTRICTION.value)
			| ((said.kind == RefusalKind.BOUNCE.value) & (said.address_key == row.address_key))
		)
		.run(pluck=True)
	)
	if RefusalKind.RESTRICTION.value in kinds:
		return _("Not sent: processing is restricted (Art. 18 GDPR).")
	return _("Not sent: mail to this address comes back.") if kinds else None


def _close(which: Any, values: dict[str, Any]) -> None:
	duty = frappe.qb.DocType(DOCTYPE)
	query = frappe.qb.update(duty).where(which & (duty.status == DUE))
	query = query.set(duty.modified, frappe.utils.now()).set(duty.modified_by, frappe.session.user)
	for column, value in values.items():
		query = query.set(duty[column], value)
	query.run()


def _mail(email: str, shown: dict[str, Any], doctype: str, name: str) -> None:
	frappe.sendmail(
		recipients=[email],
		subject=_("What {0} knows about you, and what for").format(shown["company"]),
		template=TEMPLATE,
		args=shown,
		reference_doctype=doctype,
		reference_name=name,
		add_unsubscribe_link=0,
	)


def _language_of(party_type: str | None, party: str | None) -> str:
	language = party_type == "Lead" and frappe.db.get_value("Lead", party, "language")
	return language or frappe.db.get_single_value("System Settings", "language") or "en"


def notice(about: Any) -> dict[str, Any]:
	"""Return what the notice says (Art. 14(1) and (2)), in the language of the session; nothing is escaped.

	Args:
		about: `email`, `obtained_from` and `company`, as a duty has them.
	"""
	told = processing(about.get("company"))
	email = about.get("email")
	record = preferences.newest_record_of(identity.address_key(email)) if email else None
	origin = about.get("obtained_from")
	return told | {
		"origin": _(origin) if origin else "",
		"way_out": links.preferences_url(record) if record else get_url(records.PREFERENCES),
	}


def processing(company: str | None) -> dict[str, Any]:
	"""Return what people are told of the processing by one controller (Art. 13, 14, 15(1))."""
	company = company or frappe.db.get_default("company")
	settings = frappe.get_cached_doc("Consent Settings")
	address = (records.postal_address(company) if company else None) or {}
	contact = frappe.db.get_value("Company", company, ["email", "phone_no"], as_dict=True) or frappe._dict()
	officer = (settings.data_protection_officer, settings.data_protection_officer_contact)
	return {
		"company": company or _("Controller not stated"),
		"address": ", ".join(str(line) for line in address.values()),
		"contact": ", ".join(part for part in (contact.email, contact.phone_no) if part),
		"officer": ", ".join(part for part in officer if part),
		"representative": settings.representative,
		"privacy_notice": settings.privacy_notice_url,
		"purposes": [_purpose(name) for name in purposes_of(company)],
		"rights": rights_in_words(),
		"complaint": _("You may complain to a data protection authority: where you live or work, or ours."),
		"automated_decisions": automated_decisions.told(),
	}


def purposes_of(company: str | None) -> list[str]:
	"""Name the Processing Purposes of a controller; those without a company are everybody's."""
	return frappe.get_all(
		"Processing Purpose",
		{"enabled": 1, "company": ["in", [company or "", ""]]},
		pluck="name",
		order_by="is_marketing, name",
	)


def _purpose(name: str) -> dict[str, Any]:
	purpose = frappe.get_cached_doc("Processing Purpose", name)
	basis = frappe.get_cached_doc("Legal Basis", purpose.default_legal_basis)
	not_stated = _("Not stated")
	kept = (
		_("{0} months after it ended").format(purpose.retention_months) if purpose.retention_months else None
	)
	transfers = " ".join(_(text) for text in (purpose.transfers, purpose.safeguards) if text)
	interest = legitimate_interests.interest_in(name, basis.name)
	facts = [
		(_("What for"), _(purpose.description) if purpose.description else not_stated),
		(_("Legal Basis"), f"{_(basis.name)} ({basis.article})"),
		*([] if interest is None else [(_("Interest"), interest or not_stated)]),
		(_("Categories of Data"), _(purpose.data_categories) if purpose.data_categories else not_stated),
		(_("Categories of Recipients"), _(purpose.recipients) if purpose.recipients else not_stated),
		(_("Kept for"), kept or (_(purpose.storage) if purpose.storage else not_stated)),
		(_("Transfers to Third Countries"), transfers or not_stated),
	]
	return {"name": name, "title": _(name), "is_marketing": purpose.is_marketing, "facts": facts}


def rights_in_words() -> list[str]:
	"""List a person's rights (Art. 13(2)(b), 14(2)(c), 15(1)(e))."""
	return [
		_("to get a copy of your data (Art. 15)"),
		_("to have it corrected (Art. 16) or erased (Art. 17), or its use restricted (Art. 18)"),
		_("to take your data elsewhere, where you gave it by consent or contract (Art. 20)"),
		_("to object, and to marketing without giving a reason (Art. 21)"),
		_("to withdraw a consent at any time, for the future (Art. 7(3))"),
		_("to have a human look at what a machine decided (Art. 22)"),
	]


# --- reminding ----------------------------------------------------------------------------------------------


def remind() -> int:
	"""Tell the Privacy Officers once a day how many people are to be informed within a week, or late.

	Returns:
		that number.
	"""
	filters = {"status": DUE, "due_on": ["<=", add_days(nowdate(), WARN_DAYS)]}
	due = frappe.db.count(DOCTYPE, filters)
	if due:
		late = frappe.db.count(DOCTYPE, {"status": DUE, "due_on": ["<", nowdate()]})
		alert(
			users_with(["Privacy Officer"]),
			_("People to be informed within a week (Art. 14): {0}; late: {1}").format(due, late),
			DOCTYPE,
			frappe.db.get_value(DOCTYPE, filters, "name", order_by="due_on"),
		)
	return due


# --- who asks -----------------------------------------------------------------------------------------------


def html_of(duty: str) -> str:
	"""Return the notice of a duty as it would be sent."""
	doc = frappe.get_doc(DOCTYPE, duty)
	with print_language(_language_of(doc.party_type, doc.party)):
		return frappe.get_template(f"templates/emails/{TEMPLATE}.html").render(notice(doc))


def answer(request: str) -> None:
	"""Tell the person of an Information request what is done with their data, and close the request.

	Raises:
		RequestNotPossible: it is closed.
		NoticeNotPossible: a request of another kind, or one without an e-mail address.
	"""
	doc = requests.get(request, requests.Status.RECEIVED, requests.Status.IN_PROGRESS)
	if doc.right != requests.Right.INFORMATION.value:
		raise NoticeNotPossible(
			_("{0} asks for {1}. This answers requests for {2}.").format(
				frappe.bold(doc.name), _(doc.right), _(requests.Right.INFORMATION.value)
			)
		)
	if not doc.email:
		raise NoticeNotPossible(
			_("The request has no E-mail Address. Print the notice, and close the request by hand.")
		)
	with letters.in_language_of(doc):
		about = frappe._dict(email=doc.email, company=doc.company, obtained_from="")
		_mail(doc.email, notice(about), requests.DOCTYPE, doc.name)
	key = doc.address_key
	if key and not identity.is_shared(doc.email):
		_close(
			frappe.qb.DocType(DOCTYPE).address_key == key,
			{"status": SENT, "sent_on": getdate(), "how": E_MAIL},
		)
	requests.close_fulfilled(
		request, _("The notice was sent: what we do with data, what for, and your rights.")
	)
