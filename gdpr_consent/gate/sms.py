"""Decides about text messages where core and ERPNext send them: SMS Center, Notification, the desk's dialog.

All three go through Frappe's `send_sms`, which has no hook. An app that imports that function itself has to
ask `gdpr_consent.api.check_consent(..., channel="SMS")`. If the register can't be read, nothing is sent
(EM-23).
"""

import frappe
from frappe import _
from frappe.core.doctype.sms_settings import sms_settings

from gdpr_consent import audience, decisions
from gdpr_consent.doors import rows_of, says_why
from gdpr_consent.gate.classify import MailClass, default_purpose, resolve, unknown_is_marketing
from gdpr_consent.identity import address_keys
from gdpr_consent.policy import NEVER_ASKED, Channel, Decision, Reason, block

COLLEAGUE = Decision(True, Reason.NOT_MARKETING)


class ConsentSMSCenterMixin:
	"""SMS Center writes to many at once, which is marketing unless its purpose says otherwise."""

	def get_receiver_nos(self) -> list[str]:
		about = resolve(
			self.get("consent_purpose"), self.get("subscription_topic"), self.doctype, marketing_source=False
		)
		return admit(super().get_receiver_nos(), about, self.doctype, self.name)


@frappe.whitelist(methods=["POST"])
@says_why
def send_sms(
	receiver_list: list[str] | str,
	msg: str,
	sender_name: str = "",
	success_msg: bool = True,
	purpose: str | None = None,
	topic: str | None = None,
) -> None:
	"""Stand in front of Frappe's method of this name, for the desk and for REST.

	Args:
		receiver_list: phone numbers; a list, also as JSON, or one number.
		purpose, topic: what the message is about. Without them, Consent Settings say how it is treated.

	Raises:
		PermissionError: a user of the website only; core lets everybody who is logged in send to anybody.
	"""
	if frappe.db.get_value("User", frappe.session.user, "user_type") == "Website User":
		raise frappe.PermissionError(_("Only users of the desk send text messages."))
	is_json = isinstance(receiver_list, str) and receiver_list.lstrip().startswith("[")
	numbers = rows_of("receiver_list", receiver_list, str) if is_json else receiver_list
	numbers = numbers if isinstance(numbers, list) else [numbers]
	about = resolve(purpose, topic, "API", marketing_source=False) if purpose or topic else None
	admitted = admit([str(number) for number in numbers if number], about)
	if admitted:
		sms_settings.send_sms(admitted, msg, sender_name, success_msg)


def admit(
	numbers: list[str], about: MailClass | None, doctype: str | None = None, name: str | None = None
) -> list[str]:
	"""Return the numbers that may get a message, and write down why the others may not.

	Args:
		about: None if the message says nothing about its purpose.
		doctype, name: the record it is sent from.
	"""
	if about is None and unknown_is_marketing():
		about = default_purpose("Setting")
	if about is None or not about.is_marketing or not numbers:
		return numbers
	answers = _decide(numbers, about)
	decisions.log(answers, about.purpose, about.topic, about.signal, (doctype, name), Channel.SMS.value)
	left_out = sum(not decision.allowed for decision in answers.values())
	if left_out:
		frappe.msgprint(
			_(
				"Numbers that get no message, for lack of permission: {0} of {1}. Consent Decision says why."
			).format(left_out, len(answers)),
			indicator="orange",
		)
	return [number for number in numbers if answers[number].allowed]


def _decide(numbers: list[str], about: MailClass) -> dict[str, Decision]:
	if about.unclear:
		return dict.fromkeys(numbers, block(Reason.ERROR))
	answers = audience.decide_many(numbers, about.purpose or "", about.topic, Channel.SMS.value)
	never_asked = [number for number, answer in answers.items() if answer.reason in NEVER_ASKED]
	colleagues = _numbers_of_colleagues() if never_asked else set()
	return answers | {
		number: COLLEAGUE for number, key in address_keys(never_asked).items() if key in colleagues
	}


def _numbers_of_colleagues() -> set[str]:
	staff = {"enabled": 1, "user_type": "System User", "mobile_no": ["is", "set"]}
	stored = frappe.get_all("User", staff, pluck="mobile_no")
	if frappe.db.exists("DocType", "Employee"):
		active = {"status": "Active", "cell_number": ["is", "set"]}
		stored += frappe.get_all("Employee", active, pluck="cell_number")
	return {key for key in address_keys(stored).values() if key}
