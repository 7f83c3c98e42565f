"""Asks whether the gate really stands in the way of every mail, and says so loudly where it doesn't.

On v15 another app that is installed later can displace our class for Email Queue without an error anywhere.
"""

from collections.abc import Iterator

import frappe
from frappe import _
from frappe.model.base_document import get_controller

from gdpr_consent import identity, journal, links, seals, told
from gdpr_consent.alerts import alert, users_with
from gdpr_consent.custom_fields import BLOCKED, WITH_BLOCKED, custom_fields
from gdpr_consent.doors import says_why
from gdpr_consent.exceptions import AddressKeyLost, LinkKeyLost
from gdpr_consent.gate import canary_report
from gdpr_consent.gate.email_queue import ConsentEmailQueueMixin
from gdpr_consent.gate.marking import ConsentAutoRepeatMixin, ConsentNotificationMixin
from gdpr_consent.gate.newsletter import ConsentNewsletterMixin
from gdpr_consent.gate.sms import ConsentSMSCenterMixin
from gdpr_consent.register import SHARD_DIGITS
from gdpr_consent.returned_mail import ConsentEmailAccountMixin
from gdpr_consent.sensitive_data import self_check as sensitive_data

NEEDED_INDEXES = (("Consent", "decision"), ("Suppression", "address_key"))  # audience.py insists on them
ROLES_TO_ALERT = ("System Manager", "Privacy Officer")


def find_problems() -> list[str]:
	return list(_problems())


def _problems() -> Iterator[str]:
	if leaks := canary_report.leaks():
		yield _("Marketing reached somebody who must not get it, when the canary tried: {0}.").format(
			", ".join(leaks)
		)
	for doctype, mixin in (
		("Email Queue", ConsentEmailQueueMixin),
		("Newsletter", ConsentNewsletterMixin),
		("Notification", ConsentNotificationMixin),
		("Auto Repeat", ConsentAutoRepeatMixin),
		("SMS Center", ConsentSMSCenterMixin),
	):
		if not frappe.db.exists("DocType", doctype):
			continue  # Newsletter is an app of its own on v16
		controller = get_controller(doctype)
		if not issubclass(controller, mixin):
			yield _(
				"Marketing isn't checked: {0} is run by {1}. Another app displaces our class; its "
				"hooks.py must "
				"extend gdpr_consent.gate.v15, or be installed before gdpr_consent."
			).format(_(doctype), f"{controller.__module__}.{controller.__name__}")
	controller = get_controller("Email Account")
	if not issubclass(controller, ConsentEmailAccountMixin):
		yield _(
			"Bounces, complaints and unsubscribe mails in the inbox aren't counted: Email Account is run by "
			"{0}. Another app displaces our class; its hooks.py must extend gdpr_consent.gate.v15, or be "
			"installed before gdpr_consent."
		).format(f"{controller.__module__}.{controller.__name__}")
	for doctype, field in WITH_BLOCKED:
		if BLOCKED not in (frappe.get_meta(doctype).get_field(field).options or "").split("\n"):
			yield _("{0} of {1} has no option {2}. Run bench migrate.").format(field, _(doctype), BLOCKED)
	for doctype, fields in custom_fields().items():
		if frappe.db.exists("DocType", doctype):
			for field in fields:
				if not frappe.get_meta(doctype).has_field(field["fieldname"]):
					yield _("{0} has no field {1}. Run bench migrate.").format(_(doctype), field["fieldname"])
	for doctype, index in NEEDED_INDEXES:
		if not frappe.db.has_index(f"tab{doctype}", index):
			yield _("{0} has no index {1}. Run bench migrate.").format(_(doctype), index)
	if frappe.db.count("Consent Lock") < 16**SHARD_DIGITS:
		yield _("Rows of Consent Lock are missing. Run bench migrate.")
	if not frappe.db.get_single_value("Consent Settings", "default_purpose"):
		yield _("Consent Settings has no default marketing purpose, so Newsletters without one are held.")
	if topics := told.not_offered():
		yield _(
			"Consent Settings ask for a wording, and there is none for these, so no form offers them: {0}."
			" Write a Consent Wording for each."
		).format(", ".join(topics))
	try:
		expected = frappe.db.get_single_value("Consent Settings", "address_key_fingerprint")
		if expected and expected != identity.key_fingerprint():
			yield _(
				"The key in site_config.json isn't the one the register was written with, so nobody's "
				"consent and "
				"nobody's refusal is found. Restore {0} from the backup of the configuration."
			).format(identity.KEY_SETTING)
	except AddressKeyLost as lost:
		yield str(lost)
	try:
		expected = frappe.db.get_single_value("Consent Settings", "link_key_fingerprint")
		if expected and expected not in links.fingerprints():
			yield _(
				"The key that links were signed with is missing in {0} of site_config.json, so links in old "
				"mails don't work. Restore it from the backup of the configuration, in front of the others."
			).format(links.KEYS_SETTING)
	except LinkKeyLost as lost:
		yield str(lost)
	yield from sensitive_data.problems()
	yield from seals.problems()
	yield from journal.problems()


def run() -> list[str]:
	"""Check, remember the result for the desk, and alert who can help. Runs daily and at migrate."""
	problems = find_problems()
	before = frappe.db.get_single_value("Consent Settings", "self_check_problems") or ""
	text = "\n".join(problems)
	frappe.db.set_single_value(
		"Consent Settings",
		{"self_check_problems": text, "self_checked_on": frappe.utils.now()},
		update_modified=False,
	)
	if problems:
		frappe.log_error(title="Consent gate: self-check failed", message=text)
		print("\n".join(("", "*** gdpr_consent: the gate is not sound ***", *problems, "")))
		if text != before:
			alert(
				users_with(ROLES_TO_ALERT),
				_("The consent gate isn't sound: {0}").format(problems[0]),
				"Consent Settings",
				"Consent Settings",
				"<br>".join(problems),
			)
	return problems


@frappe.whitelist(methods=["POST"])
@says_why
def check_now() -> list[str]:
	"""Check on demand, for those whom a bad result would alert."""
	frappe.only_for(ROLES_TO_ALERT, message=True)
	return run()
