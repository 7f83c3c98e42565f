"""Who must be told that we have their data, by when, and that they are told once (Art. 14; LB-07, LB-08)."""

import csv
import io
from datetime import date
from email import message_from_string

import pytest
from conftest import V16, run_worker

import frappe
from frappe.utils import add_days, getdate, nowdate

from gdpr_consent import register, tasks
from gdpr_consent.api import object_to_marketing
from gdpr_consent.clock import add_months
from gdpr_consent.exceptions import NoticeNotPossible
from gdpr_consent.gate.classify import classify
from gdpr_consent.identity import Person
from gdpr_consent.register import writing
from gdpr_consent.rights import api, information, requests, subject, traces

DOCTYPE = "Information Duty"


@pytest.fixture
def duties(site, mailbox):
	"""Take away the duties, people and imports that a test commits."""
	before = {
		doctype: set(frappe.get_all(doctype, pluck="name")) for doctype in ("Contact", "Lead", "Data Import")
	}
	frappe.db.delete(DOCTYPE)
	frappe.db.commit()
	yield lambda **filters: frappe.get_all(DOCTYPE, filters, ["*"], order_by="email")
	frappe.set_user("Administrator")
	frappe.db.rollback()
	frappe.db.delete(DOCTYPE)
	for doctype, names in before.items():
		for name in set(frappe.get_all(doctype, pluck="name")) - names:
			frappe.delete_doc(doctype, name, force=True, ignore_permissions=True)
	frappe.db.delete("Consent Source", {"title": ["like", "Bought %"]})
	frappe.db.commit()


@pytest.fixture
def bought(site) -> str:
	"""Make a Consent Source of people who haven't given their data themselves."""
	title = f"Bought {frappe.generate_hash(length=8)}"
	return frappe.new_doc("Consent Source", title=title, from_elsewhere=1).insert().name


def import_leads(*emails: str) -> None:
	"""Import leads with core's Data Import, as a user would."""
	sheet = io.StringIO()
	writer = csv.writer(sheet)
	writer.writerows(
		[("First Name", "Email"), *((f"Imported {number}", email) for number, email in enumerate(emails))]
	)
	file = frappe.new_doc("File", file_name="leads.csv", content=sheet.getvalue(), is_private=1).insert()
	job = frappe.new_doc(
		"Data Import",
		reference_doctype="Lead",
		import_type="Insert New Records",
		import_file=file.file_url,
		mute_emails=1,
	).insert()
	job.get_importer().import_data()
	assert frappe.db.count("Data Import Log", {"data_import": job.name, "success": 1}) == len(emails)


def a_duty(email: str | None, party_type: str = "Lead", **more) -> str:
	party = frappe.new_doc(party_type, first_name=frappe.generate_hash(length=8)).insert().name
	values = {"obtained_from": "a fair", "obtained_on": nowdate()} | more
	return frappe.new_doc(DOCTYPE, party_type=party_type, party=party, email=email, **values).insert().name


def mails_to(email: str) -> list:
	names = frappe.get_all("Email Queue Recipient", {"recipient": email}, pluck="parent")
	return [
		frappe.get_doc("Email Queue", name)
		for name in frappe.get_all("Email Queue", {"name": ["in", names]}, pluck="name", order_by="creation")
	]


# --- who, and by when ---------------------------------------------------------------------------------------


def test_whoever_comes_by_data_import_is_to_be_told_within_a_month(duties, mailbox):
	"""LB-07: import → due date set."""
	emails = sorted([mailbox(), mailbox()])
	import_leads(*emails)
	information.note_new()
	found = duties()
	assert [duty.email for duty in found] == emails
	for duty in found:
		assert duty.party_type == "Lead" and duty.status == "Due"
		assert duty.due_on == getdate(add_months(getdate(), 1))
	information.note_new()
	assert len(duties()) == 2  # nobody twice


def test_an_import_takes_the_same_number_of_queries_for_two_and_for_many(duties, mailbox, monkeypatch):
	def queries(people: int) -> int:
		import_leads(*[mailbox() for _number in range(people)])
		frappe.db.commit()
		asked: list[str] = []
		run = frappe.db.sql

		def counting(query, *args, **kwargs):
			asked.append(query)
			return run(query, *args, **kwargs)

		with monkeypatch.context() as patched:
			patched.setattr(frappe.db, "sql", counting)
			information.note_new()
		return len(asked)

	assert queries(12) == queries(2)  # of one row, the ledger shares no values
	assert len(duties()) == 14


def test_so_is_whoever_comes_from_google_or_from_a_bought_list(duties, bought, mailbox):
	frappe.new_doc("Contact", first_name="Google", pulled_from_google_contacts=1).insert()
	field, doctype = ("utm_source", "UTM Source") if V16 else ("source", "Lead Source")
	if not frappe.db.exists(doctype, bought):
		frappe.get_doc({"doctype": doctype, "__newname": bought, "source_name": bought}).insert()
	lead = frappe.new_doc("Lead", first_name="Bought", email_id=mailbox(), **{field: bought}).insert()
	frappe.new_doc("Lead", first_name="Herself", email_id=mailbox()).insert()
	information.note_new()
	found = {duty.party: duty for duty in duties()}
	assert {duty.obtained_from for duty in found.values()} == {bought, "an address book in Google Contacts"}
	assert found[lead.name].obtained_from == bought


@pytest.mark.parametrize(
	("disclosed_on", "due_on"), [(None, date(2026, 4, 28)), ("2026-04-10", date(2026, 4, 10))]
)
def test_it_is_due_at_the_earliest_of_the_days_that_the_law_names(site, disclosed_on, due_on):
	"""Art. 14(3): a month, on the last day of a shorter one; the first disclosure."""
	name = a_duty(None, obtained_on="2026-03-28", disclosed_on=disclosed_on)
	assert frappe.db.get_value(DOCTYPE, name, "due_on") == due_on


def test_the_first_mail_to_the_person_is_the_last_moment(duties, mailbox, smtp, queued):
	"""Art. 14(3)(b)"""
	email = mailbox()
	name = a_duty(email)
	queue = queued(email)
	frappe.db.set_value("Email Queue Recipient", {"parent": queue.name}, "status", "Sent")
	information._note_first_mails()
	assert frappe.db.get_value(DOCTYPE, name, ["first_mail_on", "due_on"]) == (getdate(), getdate())


def test_a_reason_of_the_law_is_needed_to_tell_nobody(site):
	"""Art. 14(5)"""
	duty = frappe.get_doc(DOCTYPE, a_duty(None))
	duty.status = "Not Needed"
	with pytest.raises(NoticeNotPossible, match="Reason"):
		duty.save()
	duty.reload()
	duty.update({"status": "Not Needed", "reason": "Laid Down by Law"})
	duty.save()


def test_what_was_told_stays_told(site):
	duty = frappe.get_doc(DOCTYPE, a_duty(None))
	duty.update({"status": "Sent"})
	with pytest.raises(NoticeNotPossible, match="Sent On"):
		duty.save()
	duty.reload()
	duty.update({"status": "Sent", "sent_on": nowdate(), "how": "Letter"})
	duty.save()
	duty.status = "Due"
	with pytest.raises(NoticeNotPossible, match="stays"):
		duty.save()


def test_officers_are_reminded_of_those_who_are_late(duties, user_with_roles):
	"""LB-07: the overdue are listed."""
	officer = user_with_roles("Privacy Officer")
	frappe.set_user("Administrator")
	late = a_duty(None, obtained_on=add_days(nowdate(), -40))
	a_duty(None)
	assert information.remind() == 1
	told = frappe.get_last_doc("Notification Log", {"for_user": officer})
	assert told.document_name == late and "late: 1" in told.subject


def test_the_clock_does_all_of_it(duties, mailbox):
	import_leads(mailbox())
	tasks.hourly()
	assert len(duties()) == 1
	frappe.delete_doc("Lead", duties()[0].party, force=True)
	tasks.hourly()
	assert duties() == []  # nobody left to be told


# --- the notice ---------------------------------------------------------------------------------------------


def test_the_notice_tells_all_of_it_and_the_right_to_object_apart(duties, mailbox, smtp, user_with_roles):
	"""Art. 14(1), (2); LB-08: the first mail has the right to object, apart from everything else."""
	email = mailbox()
	duty = a_duty(email)
	user_with_roles("Privacy Officer")
	assert api.send_notices([duty]) == 1
	run_worker()
	(mail,) = mails_to(email)
	mail.send()
	(delivery,) = smtp.deliveries
	assert delivery.to == email
	text = _html(delivery.content)
	for part in (
		*("Who we are", "Where the data came from", "a fair", "You may object", "/consent/preferences"),
		*("Email Marketing", "GDPR 6(1)(a)", "Categories of Recipients", "Your rights", "authority"),
	):
		assert part in text, part
	box = text[text.index("<div style=3D") if "<div style=3D" in text else text.index("border: 2px") :]
	assert box.index("You may object") < box.index("</div>") < box.index("Email Marketing")
	sent = frappe.get_doc(DOCTYPE, duty)
	assert (sent.status, sent.how, sent.sent_on) == ("Sent", "E-mail", getdate())


def _html(content: str) -> str:
	message = message_from_string(content)
	(part,) = [part for part in message.walk() if part.get_content_type() == "text/html"]
	return part.get_payload(decode=True).decode()


def test_nobody_is_told_twice(duties, mailbox, smtp):
	"""One notice for each person, however many records and however often somebody presses the button."""
	email = mailbox()
	both = [a_duty(email), a_duty(email.upper(), "Contact")]
	assert information.send(both) == 1
	assert information.send(both) == 0
	assert [duty.status for duty in duties()] == ["Sent", "Sent"]
	late = a_duty(email)
	assert information.send([late]) == 0
	assert frappe.db.get_value(DOCTYPE, late, ["status", "reason"]) == (
		"Not Needed",
		"The Person Has the Information",
	)
	assert len(mails_to(email)) == 1


def test_those_who_share_a_mailbox_are_each_told(duties, mailbox, smtp):
	"""AD-10"""
	email = mailbox("info@{}.example")
	assert information.send([a_duty(email), a_duty(email)]) == 2


def test_it_is_no_marketing(duties, mailbox, smtp):
	"""EM-05: it goes to those who objected."""
	email = mailbox()
	object_to_marketing(email=email, source="Phone")
	information.send([a_duty(email)])
	(mail,) = mails_to(email)
	assert not classify(mail).is_marketing
	mail.send()
	assert smtp.reached() == [email]


def test_what_fails_for_one_is_done_for_the_others(duties, mailbox, smtp, monkeypatch):
	first, second = a_duty(mailbox()), a_duty(mailbox())
	frappe.db.commit()
	whole = information._mail

	def fails_for_the_first(email, shown, doctype, name):
		if name == first:
			raise ValueError
		whole(email, shown, doctype, name)

	monkeypatch.setattr(information, "_mail", fails_for_the_first)
	assert information.send([first, second]) == 1
	assert frappe.db.get_value(DOCTYPE, first, "status") == "Due"
	assert frappe.db.get_value(DOCTYPE, second, "status") == "Sent"
	frappe.db.delete("Error Log", {"method": ["like", "Art. 14:%"]})


@pytest.mark.parametrize("why", ["address", "record", "bounce"])
def test_ds_20_em_19_who_cant_be_written_to_stays_due_and_says_why(duties, mailbox, smtp, why):
	name = a_duty(email := mailbox())
	duty = frappe.get_doc(DOCTYPE, name)
	emails = [email] if why == "address" else []
	party = {"party_type": duty.party_type, "party": duty.party} if why == "record" else {}
	if why == "bounce":
		register.note_bounce(email, writing.now_utc(), "5.1.1")
	else:
		register.restrict(emails, **party, reason="Disputes the data")
	assert information.send([name]) == 0
	duty.reload()
	assert (duty.status, duty.sent_on) == ("Due", None)
	assert ("comes back" if why == "bounce" else "restricted") in duty.remark
	assert smtp.deliveries == []
	if why == "bounce":
		register.lift_bounce(email, "Works again.")
	else:
		register.lift_restriction(emails, **party, reason="Settled.", informed_on=getdate())
	assert information.send([name]) == 1


def test_only_officers_send_and_only_what_is_due(site, user_with_roles):
	duty = a_duty(None)
	with pytest.raises(NoticeNotPossible, match="E-mail Address"):
		api.send_notices([duty])
	for role in ("Consent User", "System Manager", "Newsletter Manager"):
		user_with_roles(role)
		with pytest.raises(frappe.PermissionError):
			api.send_notices([duty])
		with pytest.raises(frappe.PermissionError):
			api.show_notice(duty)
		frappe.set_user("Administrator")


def test_from_request_to_answer(duties, mailbox, smtp):
	"""The right to be informed: who asks is told, and their open duty is fulfilled."""
	email = mailbox()
	duty = a_duty(email)
	request = requests.open_request("Information", email=email, channel="E-mail")
	api.answer_information(request.name)
	request.reload()
	assert request.status == "Fulfilled" and request.answered_on == getdate()
	assert frappe.db.get_value(DOCTYPE, duty, "status") == "Sent"
	notice = mails_to(email)[-1]
	assert notice.reference_doctype == "Data Subject Request" and notice.reference_name == request.name
	assert "What we use it for" in _html(notice.message)
	with pytest.raises(frappe.ValidationError):
		api.answer_information(request.name)


def test_a_duty_is_found_with_the_person(site, mailbox):
	"""DS-10: it holds their address, so it is given out and erased with the rest."""
	name = a_duty(mailbox())
	person = Person("Lead", frappe.db.get_value(DOCTYPE, name, "party"))
	about = subject.of_people([person])
	traces.locate(about)
	assert {holding.doctype: number for holding, number in traces.count(about)}[DOCTYPE] == 1
