"""Every path a message can take out of the site, driven as core drives it, for the canary.

What a path needs is put straight into the database, past hooks, Notifications and Webhooks, on a connection
that is never committed. What sends is core's own, or ERPNext's.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import frappe
from frappe.core.doctype.communication.email import make
from frappe.email.doctype.email_queue import email_queue
from frappe.model.document import Document
from frappe.utils import today

from gdpr_consent.gate.classify import PURPOSE_HEADER

SUBJECT = "Consent canary"
NAME = "consent-canary"


class _AllOfThem(list):
	def __contains__(self, _name: object) -> bool:
		return True


def keep_quiet(doc: Document, _method: str) -> None:
	"""Let no Notification of the site tell anybody of what core itself inserts for the canary."""
	if frappe.flags.consent_canary:
		doc.flags.notifications_executed = _AllOfThem()


class CantBeTried(Exception):
	"""Says why, in words for the administrator."""


class Stage(NamedTuple):
	"""What all paths share."""

	sender: str
	purpose: str
	readers: list[str]  # addresses, or phone numbers

	@property
	def everybody(self) -> str:
		return ", ".join(self.readers)

	def put(self, doctype: str, **values: Any) -> Document:
		doc = frappe.get_doc({"doctype": doctype, **values})
		doc.name = values.get("name") or f"{NAME}-{frappe.generate_hash(length=10)}"
		now = frappe.utils.now()
		doc.update({"creation": now, "modified": now, "owner": "Administrator"})
		doc.db_insert()
		for row in doc.get_all_children():
			row.update({"name": frappe.generate_hash(length=10), "parent": doc.name, "parenttype": doctype})
			row.db_insert()
		return doc

	def template(self) -> Document:
		about = {"subject": SUBJECT, "response": "Hello", "use_html": 0, "consent_purpose": self.purpose}
		return self.put("Email Template", **about)

	def group(self, **values: Any) -> Document:
		group = self.put("Email Group", title=f"{NAME}-{frappe.generate_hash(length=10)}", **values)
		for email in self.readers:
			self.put("Email Group Member", email_group=group.name, email=email, unsubscribed=0)
		return group

	def queued(self) -> Document:
		rows = [{"recipient": email, "status": "Not Sent"} for email in self.readers]
		text = f"Subject: {SUBJECT}\nFrom: {self.sender}\nTo: <!--recipient-->\n\nHello"
		about = {"sender": self.sender, "message": text, "consent_purpose": self.purpose}
		return frappe.get_doc({"doctype": "Email Queue", "recipients": rows, **about}).insert()


# --- Newsletter, Email Campaign, Email Group ----------------------------------------------------------------


def _newsletter(stage: Stage) -> Any:
	if not frappe.db.exists("DocType", "Newsletter"):
		raise CantBeTried("DocType Newsletter")
	return stage.put(
		"Newsletter",
		subject=SUBJECT,
		sender_email=stage.sender,
		send_from=stage.sender,
		content_type="Rich Text",
		message="<p>Hello</p>",
		consent_purpose=stage.purpose,
		email_group=[{"email_group": stage.group().name, "parentfield": "email_group"}],
	)


def newsletter(stage: Stage) -> None:
	letter = _newsletter(stage)
	letter.send_newsletter(emails=letter.get_pending_recipients())


def newsletter_test(stage: Stage) -> None:
	_newsletter(stage).send_test_email(stage.everybody)


def _campaign(stage: Stage, recipient_type: str, recipient: str) -> None:
	from erpnext.crm.doctype.email_campaign.email_campaign import send_mail

	campaign = stage.put("Campaign", campaign_name=SUBJECT, consent_purpose=stage.purpose)
	mailing = stage.put(
		"Email Campaign",
		campaign_name=campaign.name,
		email_campaign_for=recipient_type,
		recipient=recipient,
		start_date=today(),
		status="In Progress",
	)
	send_mail(frappe._dict(email_template=stage.template().name), mailing)


def email_campaign_to_a_group(stage: Stage) -> None:
	_campaign(stage, "Email Group", stage.group().name)


def email_campaign_to_leads(stage: Stage) -> None:
	for email in stage.readers:
		_campaign(stage, "Lead", stage.put("Lead", lead_name=SUBJECT, email_id=email).name)


def email_campaign_to_contacts(stage: Stage) -> None:
	for email in stage.readers:
		_campaign(stage, "Contact", stage.put("Contact", first_name=SUBJECT, email_id=email).name)


def welcome_mail_of_a_group(stage: Stage) -> None:
	from frappe.email.doctype.email_group.email_group import send_welcome_email

	template = stage.template()
	template.db_set("subject", f"{SUBJECT} {template.name}", update_modified=False)  # a sign of its own
	group = stage.group(welcome_email_template=template.name)
	for email in stage.readers:
		send_welcome_email(template, email, group.name)


# --- composer, Notification, Auto Email Report, Auto Repeat -------------------------------------------------


def composer(stage: Stage, **record: str) -> None:
	make(
		subject=SUBJECT,
		content="Hello",
		sender=stage.sender,
		recipients=stage.readers[0],
		cc=stage.readers[1],
		bcc=", ".join(stage.readers[2:]),
		send_email=True,
		email_template=stage.template().name,
		**record,
	)


def composer_at_a_record(stage: Stage) -> None:
	group = stage.group()
	composer(stage, doctype=group.doctype, name=group.name)


def notification(stage: Stage) -> None:
	rule = frappe.get_doc(
		{
			"doctype": "Notification",
			"name": NAME,
			"channel": "Email",
			"subject": SUBJECT,
			"message": "Hello",
			"document_type": "Email Template",
			"recipients": [{"cc": "\n".join(stage.readers)}],
			"consent_purpose": stage.purpose,
		}
	)
	rule.send(stage.template())


def auto_email_report(stage: Stage) -> None:
	company = frappe.db.get_value("Company", {})
	filters = {"company": company, "from_date": "1990-01-01", "to_date": "1990-01-02"}  # a report on nobody
	report = stage.put(
		"Auto Email Report",
		report="Lead Details",
		report_type="Script Report",
		user="Administrator",
		email_to="\n".join(stage.readers),
		format="HTML",
		send_if_data=0,
		filters=frappe.as_json(filters),
		consent_purpose=stage.purpose,
	)
	report.send()


def auto_repeat(stage: Stage) -> None:
	# A draft that may not be printed, so that no file is attached: a file would stay on the disk.
	frappe.db.set_single_value("Print Settings", "allow_print_for_draft", 0, update_modified=False)
	repeated = stage.put("Journal Entry", voucher_type="Journal Entry", docstatus=0)
	repeat = frappe.get_doc(
		{
			"doctype": "Auto Repeat",
			"name": NAME,
			"recipients": stage.everybody,
			"subject": SUBJECT,
			"message": "Hello",
			"template": stage.template().name,
		}
	)
	repeat.send_notification(repeated)


# --- scripts, and the queue itself --------------------------------------------------------------------------


def script(stage: Stage, now: bool = False) -> Document | None:
	to, cc, *bcc = stage.readers
	return frappe.sendmail(
		recipients=[to],
		cc=[cc],
		bcc=bcc,
		sender=stage.sender,
		subject=SUBJECT,
		message="Hello",
		email_headers={PURPOSE_HEADER: stage.purpose},
		now=now,
	)


def script_at_once(stage: Stage) -> None:
	mail = script(stage, now=True)
	if mail and frappe.db.get_value("Email Queue", mail.name, "status") == "Not Sent":
		mail.send()  # v16 does so after the commit, which never comes here


def row_in_the_queue(stage: Stage) -> None:
	stage.queued()


def retry_of_an_error(stage: Stage) -> None:
	row = stage.queued()
	row.db_set("status", "Error")
	retry_sending(row.name)


def retry_sending(mail: str) -> None:
	"""Do what the button of a mail in the queue does."""
	if hasattr(email_queue, "retry_sending"):
		email_queue.retry_sending([mail])
	else:  # v15
		frappe.get_doc("Email Queue", mail).retry_sending()


def forced_send(stage: Stage) -> None:
	email_queue.send_now(stage.queued().name, force_send=True)


# --- text messages ------------------------------------------------------------------------------------------


def dialog_for_text_messages(stage: Stage) -> None:
	door = "frappe.core.doctype.sms_settings.sms_settings.send_sms"
	send = frappe.get_attr(frappe.get_hooks("override_whitelisted_methods", {}).get(door, [door])[-1])
	send(stage.readers, "Hello", purpose=stage.purpose, success_msg=False)


def sms_center(stage: Stage) -> None:
	centre = {"doctype": "SMS Center", "message": "Hello", "receiver_list": "\n".join(stage.readers)}
	frappe.get_doc({**centre, "consent_purpose": stage.purpose}).send_sms()


def notification_by_text_message(stage: Stage) -> None:
	values = {"doctype": "Notification", "name": NAME, "channel": "SMS", "message": "Hello"}
	values |= {"document_type": "Lead", "consent_purpose": stage.purpose}
	field = "mobile_no"
	for number in stage.readers:
		rule = frappe.get_doc({**values, "recipients": [{"receiver_by_document_field": field}]})
		rule.send(stage.put("Lead", lead_name=SUBJECT, mobile_no=number))


class Path(NamedTuple):
	drive: Callable[[Stage], None]
	at_once: bool = False  # sends while it is driven, not when the queue is worked off

	@property
	def name(self) -> str:
		return self.drive.__name__


MAIL_PATHS = (
	Path(newsletter),
	Path(newsletter_test),
	Path(email_campaign_to_a_group),
	Path(email_campaign_to_leads),
	Path(email_campaign_to_contacts),
	Path(welcome_mail_of_a_group),
	Path(composer),
	Path(composer_at_a_record),
	Path(notification),
	Path(auto_email_report),
	Path(auto_repeat),
	Path(script),
	Path(script_at_once, at_once=True),
	Path(row_in_the_queue),
	Path(retry_of_an_error),
	Path(forced_send, at_once=True),
)
SMS_PATHS = (Path(dialog_for_text_messages), Path(sms_center), Path(notification_by_text_message))
