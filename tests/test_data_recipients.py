"""Those who have people's data from us hear that a permission has ended (Art. 19 GDPR; ST-16, RE-05)."""

import csv
import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from email import message_from_string
from email.policy import default

import pytest
from conftest import DESK, BulkUpdates, give

import frappe
from frappe.utils import getdate

from gdpr_consent import api, data_recipients, records, register, tasks
from gdpr_consent.clock import now_utc
from gdpr_consent.exceptions import ConsentError, EvidenceMissing, NotNow, RegisterIsAppendOnly
from gdpr_consent.reports import processing
from gdpr_consent.rights import notifications

NOTIFICATION, PURPOSE = data_recipients.NOTIFICATION, "Email Marketing"


@pytest.fixture
def recipients(site: str, smtp) -> Iterator[Callable[..., str]]:
	"""Make recipients of data, committed because sending commits; and remove them and what they are told."""
	made: list[str] = []
	frappe.db.delete(NOTIFICATION)

	def make(email: str | None = "house@recipients.example", purposes=(PURPOSE,), **more) -> str:
		title = f"Mailhouse {frappe.generate_hash(length=8)}"
		rows = [{"purpose": one} for one in purposes]
		doc = frappe.new_doc("Data Recipient", title=title, email=email, purposes=rows, **more)
		made.append(doc.insert().name)
		frappe.db.commit()
		return made[-1]

	yield make
	frappe.set_user("Administrator")
	frappe.db.rollback()
	frappe.db.delete(NOTIFICATION)
	for name in made:
		frappe.delete_doc("Data Recipient", name, force=True, ignore_missing=True)
	frappe.db.delete("Email Queue", {"reference_doctype": "Data Recipient"})
	frappe.db.commit()


@pytest.fixture
def officer(user_with_roles) -> Iterator[str]:
	name = user_with_roles("Privacy Officer")
	frappe.set_user("Administrator")
	yield name
	frappe.set_user("Administrator")
	frappe.db.rollback()
	frappe.delete_doc("User", name, force=True, ignore_missing=True)
	frappe.db.commit()


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
	"""What is sent to the database from now on."""
	sent, sql = [], frappe.db.sql

	def noting(query, *args, **kwargs):
		sent.append(str(query))
		return sql(query, *args, **kwargs)

	monkeypatch.setattr(frappe.db, "sql", noting)
	return sent


def told(*fields: str, **filters) -> list:
	columns = fields or ("recipient", "what")
	rows = frappe.get_all(NOTIFICATION, filters, [*columns], order_by="recipient, what", as_list=True)
	return [tuple(row) for row in rows]


def withdraw(email: str, **more) -> None:
	api.withdraw_consent(email=email, **more)


def send() -> None:
	frappe.db.commit()
	for name in frappe.get_all("Email Queue", {"status": "Not Sent"}, pluck="name"):
		frappe.get_doc("Email Queue", name).send()
	frappe.db.commit()


def lists_in(content: str) -> list[list[str]]:
	(part,) = [
		part
		for part in message_from_string(content, policy=default).walk()
		if part.get_filename() == "people.csv"
	]
	return [*csv.reader(io.StringIO(part.get_payload(decode=True).decode("utf-8-sig")))]


# --- what is written down -----------------------------------------------------------------------------------


def test_st_16_a_withdrawal_makes_a_row_for_each_recipient_of_the_purpose(recipients, address):
	first, second = recipients(), recipients()
	recipients(purposes=["Sales"])
	recipients(enabled=0)
	recipients(is_told=0)
	email = address()
	consent = give(email)
	withdraw(email)
	withdraw(email)  # once more says nothing new
	rows = told("recipient", "what", "consent", "email", "purpose", "status")
	assert rows == sorted((one, "Withdrawn", consent, email, PURPOSE, "Due") for one in (first, second))


def erase(email: str, _name: str) -> None:
	register.erase([email], [])


@pytest.mark.parametrize(
	("what", "end"),
	[
		("Withdrawn", erase),
		("Withdrawn", lambda email, _name: api.object_to_marketing(email=email)),
		("Revoked", lambda _email, name: register.revoke(name, "We stop the newsletter")),
		("Invalidated", lambda _email, name: register.invalidate(name, "The box was ticked before")),
		("Restriction", lambda email, _name: api.restrict(email=email, reason="Asked for")),
	],
)
def test_st_16_whatever_ends_the_permission_is_told(recipients, address, what, end):
	recipient, email = recipients(), address()
	end(email, give(email))
	assert told() == [(recipient, what)]


def test_st_16_what_expires_is_told_when_the_clock_ends_it(recipients, mailbox, clock):
	recipient, email = recipients(), mailbox()
	give(email, expires_on=clock.now + timedelta(days=1))
	clock.forward(days=2)  # not so far that it ends what others have left
	register.end_what_is_over()  # which commits
	assert (recipient, "Expired") in told(email=email)


def test_what_never_allowed_anything_and_what_goes_on_is_told_to_nobody(recipients, address):
	recipients()
	email, claimed = address(), address()
	give(email)
	give(email, evidence="On another form", given_on=now_utc())  # takes the place of the first
	register.record_unproven(email=claimed)
	withdraw(claimed)
	assert told() == []


def test_a_write_that_is_rolled_back_is_told_to_nobody(recipients, mailbox):
	recipients()
	email = mailbox()
	give(email)
	frappe.db.commit()
	withdraw(email)
	frappe.db.rollback()
	assert told() == []


def test_where_nobody_is_told_it_costs_no_query(address, queries):
	email = address()
	give(email)
	withdraw(address())  # what is cached is cached now
	queries.clear()
	withdraw(email)
	assert queries and not any("Recipient" in query for query in queries)


def test_a_bulk_update_writes_them_down_for_all_at_once(recipients, bulk: BulkUpdates, queries):
	recipient = recipients()
	emails = bulk.many_contacts(12)
	for email in emails:
		give(email)
	contacts = frappe.get_all("Contact Email", {"email_id": ["in", emails]}, pluck="parent")
	bulk.run({"action": "Withdraw", "source": "Phone", "records": contacts})
	assert sum("insert into `tabRecipient Notification`" in query for query in queries) == 1
	assert {*told("recipient", "email")} == {(recipient, email) for email in emails}


# --- and told -----------------------------------------------------------------------------------------------


def test_st_16_each_recipient_gets_one_mail_with_all_and_then_the_addresses_are_forgotten(
	recipients, mailbox, smtp
):
	first = recipients("first@recipients.example")
	recipients("second@recipients.example", language="de")
	emails = [mailbox("=1+{}@gate.example"), mailbox()]
	for email in emails:
		give(email)
		withdraw(email)
	assert notifications.tell() == 2
	assert notifications.tell() == 0
	send()
	assert smtp.reached() == ["first@recipients.example", "second@recipients.example"]
	by_recipient = {delivery.to: delivery.content for delivery in smtp.deliveries}
	columns, *people = lists_in(by_recipient["first@recipients.example"])
	assert columns == [*notifications.COLUMNS]
	# WB-10: no cell is a formula.
	assert [row[0] for row in people] == [f"'{emails[0]}", emails[1]]
	assert {tuple(row[1:5]) for row in people} == {("Email", PURPOSE, "", "Withdrawn")}
	assert "List-Unsubscribe" not in by_recipient["first@recipients.example"]
	assert (
		"Bitte"
		in message_from_string(by_recipient["second@recipients.example"], policy=default)
		.get_body(("plain",))
		.get_content()
	)

	notifications.tell()
	rows = told("status", "email", "how", "attempts", recipient=first)
	assert rows == [("Told", None, "E-mail", 1)] * 2
	for mail in frappe.get_all("Email Queue", {"reference_name": first}, ["status", "message"]):
		assert (mail.status, mail.message) == ("Sent", "")


def test_st_16_a_mail_that_does_not_leave_is_tried_again_and_then_left_to_people(
	recipients, mailbox, smtp, clock, officer
):
	recipient, email = recipients(), mailbox()
	give(email)
	withdraw(email)
	for attempt in range(1, notifications.MOST_ATTEMPTS + 1):
		assert notifications.tell() == 1
		assert notifications.tell() == 0  # it is on its way
		_fail_for_good()
		notifications.tell()
		assert not frappe.db.exists("Email Queue", {"reference_name": recipient, "message": ["!=", ""]})
		((status, attempts, error),) = told("status", "attempts", "error")
		assert attempts == attempt and "Email Queue" in error
		assert notifications.tell() == 0  # not before its time
		assert status == ("Failed" if attempt == notifications.MOST_ATTEMPTS else "Due")
		clock.forward(days=60)
	assert told("email") == [(email,)]
	assert notifications.remind(getdate()) == 1
	assert notifications.remind(getdate()) == 0
	notifications.try_again([*told("name")[0]])
	assert notifications.tell() == 1
	send()
	notifications.tell()
	assert told("recipient", "status") == [(recipient, "Told")]


def _fail_for_good() -> None:
	waiting = {"reference_doctype": "Data Recipient", "status": "Not Sent"}
	frappe.db.set_value("Email Queue", waiting, "status", "Error")
	frappe.db.commit()


def test_nobody_who_says_no_waits_for_a_mail_that_is_being_made(recipients, mailbox):
	recipient, first, second = recipients(), mailbox(), mailbox()
	for email in (first, second):
		give(email)
	withdraw(first)
	frappe.db.commit()
	assert len(notifications._due(recipient, PURPOSE)) == 1  # and they are locked
	telling = frappe.local.db
	frappe.connect(set_admin_as_user=False)
	try:
		frappe.db.sql("set session innodb_lock_wait_timeout = 1")
		withdraw(second)
		frappe.db.commit()
	finally:
		frappe.local.db.close()
		frappe.local.db = telling
	frappe.db.rollback()
	assert {*told("email")} == {(first,), (second,)}


def test_a_mail_that_cannot_be_queued_stops_no_other(recipients, mailbox, monkeypatch):
	broken, whole = recipients("a@recipients.example"), recipients("b@recipients.example")
	email = mailbox()
	give(email)
	withdraw(email)
	queue = notifications._queue

	def fails_for_one(recipient, *more):
		if recipient.name == broken:
			raise frappe.OutgoingEmailError
		return queue(recipient, *more)

	monkeypatch.setattr(notifications, "_queue", fails_for_one)
	assert notifications.tell() == 1
	assert {*told("recipient", "status")} == {(broken, "Due"), (whole, "Sending")}


def test_who_has_no_address_is_told_by_people_and_the_officers_hear_of_it(
	recipients, mailbox, officer, user_with_roles
):
	recipient, email = recipients(email=None), mailbox()
	give(email)
	withdraw(email)
	assert notifications.tell() == 0
	assert notifications.remind(getdate()) == 1
	((name,),) = told("name")
	with pytest.raises(EvidenceMissing, match="How"):
		notifications.note_as_told([name], " ")
	user_with_roles("Consent User", "System Manager")
	with pytest.raises(frappe.PermissionError):
		notifications.note_as_told([name], "By phone")
	with pytest.raises(frappe.PermissionError):
		notifications.try_again([name])
	user_with_roles("Privacy Officer")
	assert notifications.note_as_told([name], "By phone") == {"told": 1}
	assert told("recipient", "status", "how", "email") == [(recipient, "Told", "By phone", None)]
	with pytest.raises(NotNow):
		notifications.note_as_told([name], "By letter")
	with pytest.raises(NotNow):
		notifications.try_again([name])


def test_au_01_nobody_writes_a_notification_by_hand(recipients, address):
	recipients()
	email = address()
	give(email)
	withdraw(email)
	doc = frappe.get_doc(NOTIFICATION, told("name")[0][0])
	doc.status = "Told"
	with pytest.raises(RegisterIsAppendOnly):
		doc.save()
	with pytest.raises(RegisterIsAppendOnly):
		doc.delete()


def test_what_was_told_goes_with_the_requests(recipients, mailbox, clock, user_with_roles):
	recipients(email=None)
	done, due = mailbox(), mailbox()
	for email in (done, due):
		give(email)
		withdraw(email)
	((name,),) = told("name", email=done)
	user_with_roles("Privacy Officer")
	notifications.note_as_told([name], "By phone")
	frappe.set_user("Administrator")
	clock.forward(days=37 * 31)
	tasks.delete_old_logs()
	assert told("email") == [(due,)]


# --- who they are -------------------------------------------------------------------------------------------


def test_re_05_the_record_of_processing_names_them_and_misses_a_contract(recipients):
	bare, whole = recipients(located_in="Germany"), recipients(contract="Folder 7, of 1 March")
	(row,) = [one for one in processing.execute().rows if one["purpose"] == PURPOSE]
	assert f"{bare} (Processor, Germany)" in row["recipients"]
	assert f"{whole} (Processor)" in row["recipients"]
	assert f"contract with {bare}" in row["missing"] and f"contract with {whole}" not in row["missing"]


def test_rc_01_a_record_of_a_consent_names_them(recipients, address):
	recipient = recipients()
	assert recipient in str(records.record_of(give(address())))


def test_who_is_still_to_be_told_is_not_forgotten(recipients, mailbox, topic):
	recipient, email = recipients(email=None), mailbox()
	give(email)
	give(email, topic)
	withdraw(email)
	with pytest.raises(NotNow, match="2 people"):
		frappe.delete_doc("Data Recipient", recipient)
	notifications.note_as_told([row[0] for row in told("name")], "By phone")
	frappe.delete_doc("Subscription Topic", topic)  # what they were told outlives what it names
	frappe.delete_doc("Data Recipient", recipient)
	assert {*told("recipient", "topic")} == {(recipient, None), (recipient, topic)}


def test_a_purpose_stands_once():
	rows = [{"purpose": PURPOSE}] * 2
	with pytest.raises(ConsentError, match=PURPOSE):
		frappe.new_doc("Data Recipient", title="Twice", purposes=rows).insert()


def test_an_officer_names_a_recipient_and_notes_in_the_list_that_they_were_told(
	recipients, mailbox, desk, picture, officer
):
	recipient, email = recipients(email=None, located_in="Germany", contract="Folder 7"), mailbox()
	give(email)
	withdraw(email)
	frappe.db.commit()
	page = desk(officer)
	page.goto(f"{DESK}/data-recipient/{recipient}")
	page.locator(".document-link", has_text="Recipient Notification").wait_for()
	picture(page, "data-recipient")
	page.goto(f"{DESK}/recipient-notification/view/list")
	page.locator(".list-row", has_text=recipient).locator(".list-row-checkbox").check()
	picture(page, "recipient-notifications")
	page.get_by_role("button", name="Actions").click()
	page.locator(".actions-btn-group .dropdown-menu").get_by_text("Note as Told…").click()
	page.locator(".modal.show [data-fieldname=how] input").fill("By phone, Ann")
	with page.expect_response(lambda response: "note_as_told" in response.url):
		page.locator(".modal.show .btn-modal-primary").click()
	page.reload()  # core reads a list at most once in three seconds
	page.locator(".list-row", has_text="Told").wait_for()
	picture(page, "recipient-notifications-told")
	frappe.db.commit()
	assert told("recipient", "status", "how", "email") == [(recipient, "Told", "By phone, Ann", None)]
