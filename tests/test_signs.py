"""What Consent Settings say about mail: signs of one's own, and tracking; and core's global opt-out."""

import pytest
from conftest import PROOF, run_worker

import frappe
from frappe.core.doctype.communication.email import make

from gdpr_consent import api, legacy
from gdpr_consent.exceptions import InvalidEmailAddress, UnknownReference
from gdpr_consent.gate.classify import explain_signs

MARKETING = "Email Marketing"


@pytest.fixture
def settings(site):
	"""Change Consent Settings, committed, and put them back afterwards."""
	document = frappe.get_doc("Consent Settings")
	before = document.as_dict()

	def change(**values):
		document.reload()
		document.update(values).save()
		frappe.db.commit()

	yield change
	frappe.db.rollback()
	document.reload()
	document.update({field: before.get(field) for field in ("mail_signs", "tracking_purpose")}).save()
	frappe.db.commit()


@pytest.mark.parametrize(
	("sign", "value", "mail"),
	[
		("Sent From", "ToDo", {"reference_doctype": "ToDo", "reference_name": "any"}),
		("Sender", "OFFERS@gate.example", {"sender": "Offers <offers@gate.example>"}),
		("Subject Starts With", "a word FROM", {}),
	],
)
def test_em_04_a_sign_of_the_administrators_own_makes_a_mail_marketing(
	settings, queued, agreed, mailbox, smtp, sign, value, mail
):
	yes, never_asked, before = agreed(), mailbox(), mailbox()
	queued(before, **mail).send()
	assert smtp.reached() == [before]
	smtp.deliveries.clear()

	settings(mail_signs=[{"sign": sign, "value": value, "consent_purpose": MARKETING}])
	queued(yes, never_asked, **mail).send()

	assert smtp.reached() == [yes]
	signal = frappe.get_all("Consent Decision", {"signal": f"Consent Settings: {sign}"}, pluck="name")
	assert signal


def test_a_sign_that_doesnt_fit_changes_nothing(settings, queued, mailbox, smtp):
	settings(
		mail_signs=[
			{"sign": "Sent From", "value": "ToDo", "consent_purpose": MARKETING},
			{"sign": "Sender", "value": "offers@gate.example", "consent_purpose": MARKETING},
			{"sign": "Subject Starts With", "value": "Offer", "consent_purpose": MARKETING},
		]
	)
	email = mailbox()
	queued(email).send()
	assert smtp.reached() == [email]


def test_what_a_mail_says_itself_counts_before_a_sign(settings, queued, mailbox, smtp):
	settings(mail_signs=[{"sign": "Subject Starts With", "value": "A word", "consent_purpose": MARKETING}])
	email = mailbox()
	queued(email, purpose="Customer Service").send()
	assert smtp.reached() == [email]


def test_em_04_naming_a_doctype_of_ours_makes_no_service_mail_of_a_template_about_marketing(
	mailbox, smtp, user_with_roles
):
	"""Core's composer asks for no right on a DocType as long as no record is named."""
	template = frappe.new_doc("Email Template", subject="Sale", response="Buy", consent_purpose=MARKETING)
	template.insert(set_name=f"Template {frappe.generate_hash(length=8)}")
	email = mailbox()
	user_with_roles("Sales User")
	frappe.db.commit()
	made = make(
		doctype="Consent",
		recipients=email,
		subject="Sale",
		content="Buy",
		email_template=template.name,
		send_email=1,
	)
	frappe.db.commit()
	run_worker()
	frappe.set_user("Administrator")
	frappe.db.rollback()
	(name,) = frappe.get_all("Email Queue", {"communication": made["name"]}, pluck="name")
	frappe.get_doc("Email Queue", name).send()
	assert email not in smtp.reached()
	assert frappe.db.get_value("Consent Decision", {"email_queue": name}, "reason") == "NO_CONSENT"
	template.delete()
	frappe.db.commit()


def test_em_06_marketing_says_of_no_mail_that_it_is_service(user_with_roles):
	report = frappe.new_doc(
		"Auto Email Report",
		report="Website Analytics",
		user="Administrator",
		email_to="jo@gate.example",
		frequency="Daily",
		format="HTML",
		consent_purpose="Customer Service",
	)
	user_with_roles("Report Manager")
	with pytest.raises(frappe.PermissionError, match="Customer Service"):
		report.insert()
	report.consent_purpose = MARKETING
	report.insert()
	frappe.set_user("Administrator")
	report.update({"consent_purpose": "Customer Service"}).save()


@pytest.mark.parametrize(
	("row", "error", "named"),
	[
		({"sign": "Sent From", "value": "Evnt"}, UnknownReference, "Evnt"),
		({"sign": "Sender", "value": "nobody"}, InvalidEmailAddress, "nobody"),
		(
			{"sign": "Sender", "value": "a@x.pl", "subscription_topic": "None"},
			frappe.LinkValidationError,
			"None",
		),
	],
)
def test_a_sign_that_cant_be_read_is_refused(row, error, named):
	document = frappe.get_doc("Consent Settings")
	document.append("mail_signs", {"consent_purpose": MARKETING} | row)
	with pytest.raises(error, match=named):
		document.save()


def test_the_signs_are_told_to_who_may_read_the_settings(user_with_roles):
	user_with_roles("Consent User")
	assert len(explain_signs()) == 8
	frappe.set_user("Administrator")
	user_with_roles("Employee")
	with pytest.raises(frappe.PermissionError):
		explain_signs()


def test_ca_19_a_mail_is_tracked_only_with_a_consent_to_that(
	settings, queued, agreed, mailbox, smtp, tracking_purpose
):
	watched, other = agreed(), agreed()
	api.record_consent(email=watched, purpose=tracking_purpose, **PROOF)
	beacon = "https://gate.example/opened"

	queued(watched, purpose=MARKETING, email_read_tracker_url=beacon).send()
	settings(tracking_purpose=tracking_purpose)
	for email in (watched, other):
		mail = queued(email, purpose=MARKETING, email_read_tracker_url=beacon)
		mail.email_read_tracker_url = beacon  # v15 keeps it in memory only
		mail.send()

	seen = {(delivery.to, "/opened" in delivery.content) for delivery in smtp.deliveries}
	assert seen == {(watched, False), (watched, True), (other, False)}


def test_em_05_cores_global_opt_out_stops_marketing_and_no_service_mail(queued, agreed, smtp):
	email = agreed()
	opt_out = frappe.new_doc("Email Unsubscribe", email=email, global_unsubscribe=1).insert()
	frappe.db.commit()

	queued(email).send()
	queued(email, purpose=MARKETING).send()

	assert smtp.reached() == [email]
	assert api.check_consent([email])[email]["reason"] == "UNSUBSCRIBED"
	assert not frappe.db.get_value("Email Unsubscribe", opt_out.name, "global_unsubscribe")


def test_what_was_global_is_so_again_when_the_app_goes(address):
	opt_out = frappe.new_doc("Email Unsubscribe", email=address(), global_unsubscribe=1).insert()
	legacy.restore_global_opt_outs()
	fields = ["global_unsubscribe", "reference_doctype", "reference_name"]
	assert frappe.db.get_value("Email Unsubscribe", opt_out.name, fields) == (1, None, None)
