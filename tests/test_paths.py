"""Every path a mail can take out of the site, with one person who agreed and one who was never asked (EM-01).

Each path is driven as a user or core would drive it; what counts is what the SMTP server got.
"""

from collections.abc import Callable
from typing import Any

import pytest

import frappe
from frappe.core.doctype.communication.email import make
from frappe.email.queue import flush
from frappe.utils import add_days, now_datetime, today

MARKETING = "Email Marketing"


@pytest.fixture
def made():
	"""Insert documents, and delete them afterwards."""
	documents = []

	def make_document(doctype: str, **values: Any):
		document = frappe.get_doc({"doctype": doctype, **values}).insert()
		frappe.db.commit()
		documents.append(document)
		return document

	yield make_document
	frappe.db.rollback()
	for document in reversed(documents):
		frappe.delete_doc(document.doctype, document.name, force=True, ignore_missing=True)
	frappe.db.commit()


def unique(word: str) -> str:
	return f"{word} {frappe.generate_hash(length=8)}"


def group_of(made, emails: tuple[str, ...], **values: Any):
	group = made("Email Group", title=unique("Group"), **values)
	for email in emails:
		made("Email Group Member", email_group=group.name, email=email)
	return group


def template(made, **values: Any):
	return made(
		"Email Template", __newname=unique("Template"), subject=unique("Hello"), response="Hello", **values
	)


def newsletter(made, emails: tuple[str, ...], **values: Any):
	return made(
		"Newsletter",
		subject=unique("News"),
		sender_email="shop@gate.example",
		content_type="Rich Text",
		message="<p>Hello</p>",
		email_group=[{"email_group": group_of(made, emails).name}],
		**values,
	)


def newsletter_now(made, *emails: str) -> None:
	newsletter(made, emails).send_emails()


def newsletter_on_schedule(made, *emails: str) -> None:
	letter = newsletter(made, emails)
	letter.db_set({"schedule_sending": 1, "schedule_send": add_days(now_datetime(), -1)})
	frappe.db.commit()
	from frappe.email.doctype.newsletter.newsletter import send_scheduled_email

	send_scheduled_email()


def newsletter_test(made, *emails: str) -> None:
	letter = newsletter(made, ())
	for email in emails:
		letter.send_test_email(email)


def email_campaign(made, recipient_type: str, *recipients: str) -> None:
	from erpnext.crm.doctype.email_campaign.email_campaign import send_email_to_leads_or_contacts

	campaign = made(
		"Campaign",
		campaign_name=unique("Campaign"),
		campaign_schedules=[{"email_template": template(made).name, "send_after_days": 0}],
	)
	for recipient in recipients:
		made(
			"Email Campaign",
			campaign_name=campaign.name,
			email_campaign_for=recipient_type,
			recipient=recipient,
			start_date=today(),
		)
	send_email_to_leads_or_contacts()


def email_campaign_to_a_group(made, *emails: str) -> None:
	email_campaign(made, "Email Group", group_of(made, emails).name)


def email_campaign_to_a_lead(made, *emails: str) -> None:
	leads = [made("Lead", first_name=unique("Lead"), email_id=email).name for email in emails]
	email_campaign(made, "Lead", *leads)


def email_campaign_to_a_contact(made, *emails: str) -> None:
	contacts = [
		made("Contact", first_name=unique("Jo"), email_ids=[{"email_id": email, "is_primary": 1}]).name
		for email in emails
	]
	email_campaign(made, "Contact", *contacts)


def composer_with_a_marketing_template(made, *emails: str) -> None:
	make(
		subject="Hello",
		content="Hello",
		recipients=", ".join(emails),
		sender="shop@gate.example",
		send_email=True,
		email_template=template(made, consent_purpose=MARKETING).name,
	)


def notification(made, *emails: str) -> None:
	made(
		"Notification",
		__newname=unique("Notification"),
		subject="Hello",
		message="Hello",
		event="New",
		document_type="ToDo",
		channel="Email",
		enabled=1,
		consent_purpose=MARKETING,
		recipients=[{"cc": "\n".join(emails)}],
	)
	made("ToDo", description="Write to them")


def auto_email_report(made, *emails: str) -> None:
	filters = {"company": frappe.db.get_value("Company", {}), "from_date": today(), "to_date": today()}
	report = made(
		"Auto Email Report",
		report="Lead Details",
		user="Administrator",
		enabled=1,
		email_to="\n".join(emails),
		format="HTML",
		frequency="Daily",
		send_if_data=0,
		consent_purpose=MARKETING,
		filters=frappe.as_json(filters),
	)
	report.send()


def welcome_mail_of_a_group(made, *emails: str) -> None:
	from frappe.email.doctype.email_group.email_group import add_subscribers

	group = made("Email Group", title=unique("Group"), welcome_email_template=template(made).name)
	add_subscribers(group.name, "\n".join(emails))


def script(made, *emails: str) -> None:
	frappe.sendmail(
		recipients=list(emails),
		subject="Hello",
		message="Hello",
		email_headers={"X-Consent-Purpose": MARKETING},
	)


def script_at_once(made, *emails: str) -> None:
	frappe.sendmail(
		recipients=list(emails),
		subject="Hello",
		message="Hello",
		email_headers={"X-Consent-Purpose": MARKETING},
		now=True,
	)


def row_in_the_queue(made, *emails: str) -> None:
	frappe.get_doc(
		doctype="Email Queue",
		sender="shop@gate.example",
		message="Subject: Hello\nFrom: shop@gate.example\nTo: <!--recipient-->\n\nHello",
		consent_purpose=MARKETING,
		recipients=[{"recipient": email, "status": "Not Sent"} for email in emails],
	).insert()


def retry_after_an_error(made, *emails: str) -> None:
	row_in_the_queue(made, *emails)
	name = frappe.db.get_value("Email Queue Recipient", {"recipient": emails[0]}, "parent")
	frappe.db.set_value("Email Queue", name, "status", "Error")
	frappe.get_doc("Email Queue", name).retry_sending()


PATHS: list[Callable[..., None]] = [
	newsletter_now,
	newsletter_on_schedule,
	newsletter_test,
	email_campaign_to_a_group,
	email_campaign_to_a_lead,
	email_campaign_to_a_contact,
	composer_with_a_marketing_template,
	notification,
	auto_email_report,
	welcome_mail_of_a_group,
	script,
	script_at_once,
	row_in_the_queue,
	retry_after_an_error,
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
def test_em_01_only_who_agreed_gets_marketing_on_every_path(path, made, agreed, mailbox, smtp, work_off_jobs):
	yes, never_asked = agreed(), mailbox()

	path(made, yes, never_asked)
	work_off_jobs()
	flush()

	assert [email for email in smtp.reached() if email in (yes, never_asked)] == [yes]
