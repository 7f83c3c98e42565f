"""Says before an Email Campaign is sent who will get its mails."""

from typing import Any

import frappe

from gdpr_consent import audience, decisions
from gdpr_consent.doors import says_why
from gdpr_consent.gate.classify import fields_of, resolve
from gdpr_consent.identity import split_addresses
from gdpr_consent.policy import Decision, Reason, block


@frappe.whitelist(methods=["GET", "POST"])
@says_why
def explain_audience(email_campaign: str) -> dict[str, Any]:
	"""Say for each address that an Email Campaign writes to whether it will get its mails, and why."""
	frappe.has_permission("Email Campaign", "read", throw=True)
	campaign = frappe.get_doc("Email Campaign", email_campaign)
	campaign.check_permission("read")
	about = resolve(*fields_of(campaign.doctype, campaign.name), campaign.doctype, marketing_source=True)
	emails = _recipients(campaign.email_campaign_for, campaign.recipient)
	answers: dict[str, Decision] = (
		{email: block(Reason.ERROR) for email in emails}
		if about.unclear
		else audience.decide_many(emails, about.purpose or "", about.topic)
	)
	return decisions.explain(about.purpose, about.topic, answers)


def _recipients(recipient_type: str, recipient: str) -> list[str]:
	"""List those whom ERPNext's `send_mail` of Email Campaign writes to."""
	if recipient_type == "Email Group":
		subscribed = {"email_group": recipient, "unsubscribed": 0}
		return frappe.get_all("Email Group Member", subscribed, pluck="email")
	return split_addresses(frappe.db.get_value(recipient_type, recipient, "email_id"))
