"""What the canary found last, for the desk and for the self-check."""

import json
from enum import Enum
from typing import Any, NamedTuple

import frappe
from frappe import _

SETTINGS = "Consent Settings"


class Outcome(str, Enum):
	PASSED = "Passed"
	LEAKED = "Leaked"
	NOT_TRIED = "Not Tried"
	ABSENT = "Absent"


class Tried(NamedTuple):
	"""What became of one path. `why`: why it couldn't be tried, or what the site doesn't have for it."""

	path: str
	outcome: Outcome
	why: str = ""


def label(path: str) -> str:
	"""Name a path as an administrator knows it."""
	return {
		"newsletter": _("Newsletter"),
		"newsletter_test": _("Test mail of a Newsletter"),
		"email_campaign_to_a_group": _("Email Campaign to an Email Group"),
		"email_campaign_to_leads": _("Email Campaign to Leads"),
		"email_campaign_to_contacts": _("Email Campaign to Contacts"),
		"welcome_mail_of_a_group": _("Welcome mail of an Email Group"),
		"composer": _("New Email"),
		"composer_at_a_record": _("New Email from a record"),
		"notification": _("Notification"),
		"auto_email_report": _("Auto Email Report"),
		"auto_repeat": _("Auto Repeat"),
		"script": _("Script, queued"),
		"script_at_once": _("Script, sent at once"),
		"row_in_the_queue": _("Row put into the Email Queue"),
		"retry_of_an_error": _("Retry Sending"),
		"forced_send": _("Send Now"),
		"dialog_for_text_messages": _("Dialog for text messages"),
		"sms_center": _("SMS Center"),
		"notification_by_text_message": _("Notification by text message"),
	}.get(path, path)


def remember(tried: list[Tried]) -> None:
	"""Keep the result. It has passed if each path that the site has was tried, and held."""
	now = frappe.utils.now()
	outcomes = {one.outcome for one in tried}
	values: dict[str, Any] = {
		"canary_result": json.dumps([{**one._asdict(), "outcome": one.outcome.value} for one in tried]),
		"canary_tried_on": now,
	}
	if Outcome.PASSED in outcomes <= {Outcome.PASSED, Outcome.ABSENT}:
		values["canary_passed_on"] = now
	frappe.db.set_single_value(SETTINGS, values, update_modified=False)


def last() -> list[Tried]:
	stored = frappe.db.get_single_value(SETTINGS, "canary_result")
	return [Tried(one["path"], Outcome(one["outcome"]), one["why"]) for one in json.loads(stored or "[]")]


def leaks() -> list[str]:
	"""Name the paths on which the last canary got through."""
	return [label(one.path) for one in last() if one.outcome == Outcome.LEAKED]


@frappe.whitelist(methods=["GET"])
def paths_tried() -> list[dict[str, str]]:
	"""List the paths that the canary tried last, for Consent Settings: `label, outcome, why`."""
	frappe.has_permission(SETTINGS, "read", throw=True)
	return [{"label": label(one.path), "outcome": one.outcome.value, "why": one.why} for one in last()]
