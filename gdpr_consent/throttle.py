"""Counts what strangers may do often but not without end. Never what a valid link asks for (WB-02, WB-03).

What is wrong is also told in `logs/gdpr_consent.security.log` of the site, without a token or an address.
"""

import ipaddress
import logging

import frappe
from frappe import _

from gdpr_consent import identity
from gdpr_consent.exceptions import TooManyAttempts

AN_HOUR, A_DAY = 60 * 60, 24 * 60 * 60
WRONG_LINKS_AN_HOUR = 30
FORMS_AN_HOUR = 30
REVEALS_AN_HOUR = 30
# Who sends forms from many networks, with another address in each, meets neither of the other limits. It is
# meant to lie above the busiest hour of sign-ups, and below what makes mail servers block the site.
STRANGERS_MAILS_AN_HOUR = 1_000


def count_wrong_link(door: str) -> None:
	"""Log a wrong link, and raise TooManyAttempts from the 31st of a client in an hour.

	Args:
		door: where it was tried, in words of ours: an address in the browser may hold anything.
	"""
	client = client_address()
	number = _counted("wrong_link", client, AN_HOUR)
	if number <= WRONG_LINKS_AN_HOUR + 1:  # whoever goes on doesn't fill the log
		# The keyed hash tells clients apart, and names none (WB-11).
		_log(f"Wrong link {number} of an hour: {door}, client {identity.client_key(client)}")
	if number > WRONG_LINKS_AN_HOUR:
		raise _too_many()


def count_form() -> None:
	"""Raise TooManyAttempts from the 31st form that one client sends in an hour."""
	_count("form", client_address(), FORMS_AN_HOUR, AN_HOUR)


def count_reveal(user: str) -> None:
	"""Raise TooManyAttempts from the 31st protected value that a user reveals in an hour."""
	if _counted("reveal", user, AN_HOUR) > REVEALS_AN_HOUR:
		raise TooManyAttempts(
			_(
				"You have revealed {0} values within an hour. Who needs more needs the right to see them."
			).format(REVEALS_AN_HOUR)
		)


def may_mail(address_key: str) -> bool:
	"""Count a mail that anybody can make us send to an address: a few a day, see Consent Settings.

	All that strangers make us send count together as well; what staff and jobs send doesn't.
	"""
	limit = frappe.db.get_single_value("Consent Settings", "confirmations_per_day")
	if _counted("mail", address_key, A_DAY) > limit:
		return False
	if frappe.session.user != "Guest":
		return True
	number = _counted("strangers_mails", "all", AN_HOUR)
	if number == STRANGERS_MAILS_AN_HOUR + 1:
		_log(f"No more mails by forms within this hour: {STRANGERS_MAILS_AN_HOUR} were sent")
	return number <= STRANGERS_MAILS_AN_HOUR


def _count(what: str, whose: str, limit: int, seconds: int) -> None:
	if _counted(what, whose, seconds) > limit:
		raise _too_many()


def _too_many() -> TooManyAttempts:
	return TooManyAttempts(_("Too many attempts from your network. Please try again in an hour."))


def _log(event: str) -> None:
	"""Log what bears on security (WB-12)."""
	logger = frappe.logger("gdpr_consent.security")
	logger.setLevel(logging.WARNING)  # by itself, a site in production logs errors alone
	logger.warning(event)


def _counted(what: str, whose: str, seconds: int) -> int:
	counter = frappe.cache.make_key(f"consent_{what}:{whose}")
	# Its end comes with it: a process that died in between would leave a counter that never ends.
	frappe.cache.set(counter, 0, ex=seconds, nx=True)
	return frappe.cache.incr(counter)


def client_address() -> str:
	"""Return the address that reached our own proxy. What a client writes into X-Forwarded-For is in front of
	that, and counts for nothing (WB-04)."""
	direct = frappe.request.remote_addr or ""
	forwarded = frappe.get_request_header("X-Forwarded-For")
	if forwarded and _is_ours(direct):
		return forwarded.split(",")[-1].strip()
	return direct


def _is_ours(address: str) -> bool:
	try:
		return ipaddress.ip_address(address).is_private
	except ValueError:
		return False
