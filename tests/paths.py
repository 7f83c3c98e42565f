"""Every path a marketing mail can take out of a site, driven as a user or core would drive it (EM-01).

Imports nothing of gdpr_consent, so that plain ERPNext can be tried with the same drivers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from conftest import NEWSLETTER

import frappe
from frappe.core.doctype.communication.email import make
from frappe.email.doctype.email_queue.email_queue import send_now
from frappe.utils import add_days, now_datetime, today

from gdpr_consent.gate.canary_paths import retry_sending

SENDER = "shop@gate.example"


class Documents:
	"""Inserts documents, and deletes them all in the end."""

	def __init__(self) -> None:
		self._made: dict[str, list[str]] = {}
		self._pools: dict[str, list[str]] = {}

	def __call__(self, doctype: str, **values: Any):
		document = frappe.get_doc({"doctype": doctype, **values}).insert()
		self._made.setdefault(doctype, []).append(document.name)
		return document

	def reusable(self, doctype: str, number: int) -> list[str]:
		"""Name people without an address, the same ones each time."""
		pool = self._pools.setdefault(doctype, [])
		while len(pool) < number:
			pool.append(self(doctype, first_name=unique("Jo")).name)
		return pool[:number]

	def remove(self) -> None:
		"""By SQL, since hundreds of deletions one by one take longer than the tests do."""
		frappe.db.rollback()
		for doctype, names in self._made.items():
			for field in frappe.get_meta(doctype).get_table_fields():
				frappe.db.delete(field.options, {"parent": ["in", names], "parenttype": doctype})
			frappe.db.delete(doctype, {"name": ["in", names]})
			frappe.db.delete("Communication", {"reference_doctype": doctype, "reference_name": ["in", names]})
			frappe.db.delete("Comment", {"reference_doctype": doctype, "reference_name": ["in", names]})
			if doctype == "Auto Repeat":
				copies = frappe.get_all("Journal Entry", {"auto_repeat": ["in", names]}, pluck="name")
				frappe.db.delete("Journal Entry Account", {"parent": ["in", copies or ["none"]]})
				frappe.db.delete("Journal Entry", {"name": ["in", copies or ["none"]]})
		frappe.db.commit()
		frappe.clear_cache()


class Mail(NamedTuple):
	"""A marketing mail that somebody wants to send."""

	marker: str  # a word that stands in its subject or its text
	recipients: list[str]  # as somebody writes them: a name may come with it, or a second address
	position: str = "to"
	purpose: str | None = None
	topic: str | None = None
	# Called with the record that people get the mail from, as soon as it exists; and where each has a record
	# of their own, with whose it is, as written.
	on_reference: Callable[..., None] = lambda doctype, name, reader=None: None

	@property
	def about(self) -> dict[str, str | None]:
		return {"consent_purpose": self.purpose, "subscription_topic": self.topic}

	@property
	def headers(self) -> dict[str, str]:
		found = {"X-Consent-Purpose": self.purpose, "X-Consent-Topic": self.topic}
		return {name: value for name, value in found.items() if value}

	def placed(self, recipients: Any) -> dict[str, Any]:
		return {{"to": "recipients"}.get(self.position, self.position): recipients}


def unique(word: str) -> str:
	return f"{word} {frappe.generate_hash(length=8)}"


def template(mail: Mail, made: Documents) -> str:
	return made(
		"Email Template", __newname=unique("Template"), subject=mail.marker, response="Hello", **mail.about
	).name


def group_of(mail: Mail, made: Documents):
	group = made("Email Group", title=unique("Group"))
	for text in mail.recipients:
		made("Email Group Member", email_group=group.name, email=text)
	mail.on_reference("Email Group", group.name)
	return group


# --- Newsletter, Email Campaign, Email Group ----------------------------------------------------------------


def newsletter(mail: Mail, made: Documents, group: str | None = None):
	letter = made(
		"Newsletter",
		subject=mail.marker,
		sender_email=SENDER,
		content_type="Rich Text",
		message="<p>Hello</p>",
		email_group=[{"email_group": group or group_of(mail, made).name}],
		**mail.about,
	)
	mail.on_reference("Newsletter", letter.name)
	return letter


def newsletter_now(mail: Mail, made: Documents) -> None:
	newsletter(mail, made).send_emails()


def newsletter_on_schedule(mail: Mail, made: Documents) -> None:
	letter = newsletter(mail, made)
	letter.db_set({"schedule_sending": 1, "schedule_send": add_days(now_datetime(), -1)})
	frappe.get_attr(f"{NEWSLETTER}.send_scheduled_email")()


def newsletter_test(mail: Mail, made: Documents) -> None:
	letter = newsletter(mail, made, made("Email Group", title=unique("Group")).name)
	letter.send_test_email(", ".join(mail.recipients))


def campaign_to(recipient_type: str, readers: dict[str, str | None], mail: Mail, made: Documents) -> None:
	from erpnext.crm.doctype.email_campaign.email_campaign import send_email_to_leads_or_contacts

	campaign = made(
		"Campaign",
		campaign_name=unique("Campaign"),
		campaign_schedules=[{"email_template": template(mail, made), "send_after_days": 0}],
		**mail.about,
	)
	sent = []
	for recipient, reader in readers.items():
		sent.append(
			made(
				"Email Campaign",
				campaign_name=campaign.name,
				email_campaign_for=recipient_type,
				recipient=recipient,
				start_date=today(),
			).name
		)
		mail.on_reference("Email Campaign", sent[-1], reader)
	send_email_to_leads_or_contacts()
	frappe.db.set_value("Email Campaign", {"name": ["in", sent]}, "status", "Completed")


def email_campaign_to_a_group(mail: Mail, made: Documents) -> None:
	campaign_to("Email Group", {group_of(mail, made).name: None}, mail, made)


def campaign_to_people(doctype: str, mail: Mail, made: Documents) -> None:
	people = made.reusable(doctype, len(mail.recipients))
	for name, text in zip(people, mail.recipients, strict=True):
		frappe.db.set_value(doctype, name, "email_id", text)
	campaign_to(doctype, dict(zip(people, mail.recipients, strict=True)), mail, made)
	frappe.db.set_value(doctype, {"name": ["in", people]}, "email_id", None)


def email_campaign_to_leads(mail: Mail, made: Documents) -> None:
	campaign_to_people("Lead", mail, made)


def email_campaign_to_contacts(mail: Mail, made: Documents) -> None:
	campaign_to_people("Contact", mail, made)


def welcome_mail_of_a_group(mail: Mail, made: Documents) -> None:
	from frappe.email.doctype.email_group.email_group import add_subscribers

	group = made("Email Group", title=unique("Group"), welcome_email_template=template(mail, made))
	add_subscribers(group.name, "\n".join(mail.recipients))


# --- composer, Notification, Auto Email Report, Auto Repeat -------------------------------------------------


def composer(mail: Mail, made: Documents, **record: str) -> None:
	make(
		subject=mail.marker,
		content="Hello",
		sender=SENDER,
		send_email=True,
		email_template=template(mail, made),
		**mail.placed(", ".join(mail.recipients)),
		**record,
	)


def composer_at_a_record(mail: Mail, made: Documents) -> None:
	note = made("Note", title=unique("Note"))
	mail.on_reference("Note", note.name)
	composer(mail, made, doctype="Note", name=note.name)


def notification(mail: Mail, made: Documents) -> None:
	text = "\n".join(mail.recipients)
	rule = made(
		"Notification",
		__newname=unique("Notification"),
		subject=mail.marker,
		message="Hello",
		event="New",
		document_type="Email Template",
		condition=f"doc.subject == {mail.marker!r}",
		channel="Email",
		enabled=1,
		recipients=[
			{"receiver_by_document_field": "response_html"}
			if mail.position == "to"
			else {mail.position: text}
		],
		**mail.about,
	)
	# Any record with a field that may hold addresses as they are written.
	made(
		"Email Template",
		__newname=unique("Record"),
		subject=mail.marker,
		use_html=1,
		response_html=", ".join(mail.recipients),
	)
	rule.db_set("enabled", 0)


def auto_email_report(mail: Mail, made: Documents) -> None:
	company = frappe.db.get_value("Company", {})
	filters = {"company": company, "from_date": "1990-01-01", "to_date": "1990-01-02"}  # a report on nobody
	report = made(
		"Auto Email Report",
		report="Lead Details",
		user="Administrator",
		enabled=1,
		email_to="\n".join(text.replace(" ", "") for text in mail.recipients),
		format="HTML",
		frequency="Daily",
		send_if_data=0,
		description=mail.marker,
		filters=frappe.as_json(filters),
		**mail.about,
	)
	mail.on_reference("Auto Email Report", report.name)
	report.send()
	report.db_set("enabled", 0)  # a user may have so many and no more


def auto_repeat(mail: Mail, made: Documents) -> None:
	entry = made("Journal Entry", **journal_entry())
	repeat = made(
		"Auto Repeat",
		reference_doctype="Journal Entry",
		reference_document=entry.name,
		frequency="Daily",
		start_date=today(),
		notify_by_email=1,
		recipients=", ".join(mail.recipients),
		template=template(mail, made),
		subject=mail.marker,
		message="Hello",
	)
	# A PDF would need a web server for its style sheets.
	frappe.db.set_single_value("Print Settings", "send_print_as_pdf", 0)
	repeat.create_documents()
	frappe.db.set_single_value("Print Settings", "send_print_as_pdf", 1)
	assert not repeat.reload().disabled, "The repeated document couldn't be made."


def journal_entry() -> dict[str, Any]:
	company = frappe.db.get_value("Company", {})
	accounts = frappe.get_all(
		"Account",
		{"company": company, "root_type": "Asset", "is_group": 0, "account_type": ["in", ["Cash", "Bank"]]},
		pluck="name",
	)
	accounts = (accounts * 2)[:2]
	return {
		"company": company,
		"posting_date": today(),
		"cheque_no": "1",
		"cheque_date": today(),
		"accounts": [
			{"account": accounts[0], "debit_in_account_currency": 1},
			{"account": accounts[1], "credit_in_account_currency": 1},
		],
	}


# --- scripts, and the queue itself --------------------------------------------------------------------------


def script(mail: Mail, made: Documents, now: bool = False) -> None:
	frappe.sendmail(
		subject=mail.marker,
		message="Hello",
		email_headers=mail.headers or None,
		now=now,
		**mail.placed(mail.recipients),
	)


def script_at_once(mail: Mail, made: Documents) -> None:
	script(mail, made, now=True)


def row_in_the_queue(mail: Mail, made: Documents) -> Any:
	everybody = ", ".join(mail.recipients)
	to, cc = ("<!--recipient-->", f"\nCc: {everybody}") if mail.position == "cc" else (everybody, "")
	if mail.position == "bcc":
		to = "<!--recipient-->"
	return made(
		"Email Queue",
		sender=SENDER,
		show_as_cc=everybody if mail.position == "cc" else None,
		message=f"Subject: {mail.marker}\nFrom: {SENDER}\nTo: {to}{cc}\n\nHello",
		recipients=[{"recipient": text, "status": "Not Sent"} for text in mail.recipients],
		**mail.about,
	)


def retry_of_an_error(mail: Mail, made: Documents) -> None:
	row = row_in_the_queue(mail, made)
	row.db_set("status", "Error")
	retry_sending(row.name)


def forced_send(mail: Mail, made: Documents) -> None:
	row = row_in_the_queue(mail, made)
	frappe.db.commit()
	send_now(row.name, force_send=True)


class Path(NamedTuple):
	drive: Callable[[Mail, Documents], Any]
	positions: tuple[str, ...] = ("to",)
	# Some fields take no name with an address, or one address only.
	takes_names: bool = True
	takes_lists: bool = True
	at_once: bool = False
	one_by_one: bool = False  # a record and a job per person, so one subject is enough

	@property
	def name(self) -> str:
		return self.drive.__name__.replace("_", " ").capitalize()


EVERYWHERE = ("to", "cc", "bcc")
PATHS = (
	Path(newsletter_now, takes_lists=False),
	Path(newsletter_on_schedule, takes_lists=False),
	Path(newsletter_test),
	Path(email_campaign_to_a_group, takes_lists=False),
	Path(email_campaign_to_leads, one_by_one=True),
	Path(email_campaign_to_contacts, one_by_one=True),
	Path(welcome_mail_of_a_group, takes_lists=False),
	Path(composer, EVERYWHERE),
	Path(composer_at_a_record, EVERYWHERE),
	Path(notification, EVERYWHERE),
	Path(auto_email_report, takes_names=False),
	Path(auto_repeat, takes_names=False),
	Path(script, EVERYWHERE),
	Path(script_at_once, EVERYWHERE, at_once=True),
	Path(row_in_the_queue, EVERYWHERE),
	Path(retry_of_an_error),
	Path(forced_send, at_once=True),
)
