"""One exception per rule, so that callers and tests can tell them apart."""

import frappe


class ConsentError(frappe.ValidationError):
	"""Base of all errors of this app."""


class ArgumentNotValid(ConsentError):
	"""What was sent to a door is missing, of another kind, or can't be stored."""


class InvalidAddress(ConsentError):
	"""No address that the register can compare."""


class InvalidEmailAddress(InvalidAddress):
	"""No address, or one that isn't well-formed (AD-08)."""


class InvalidPhoneNumber(InvalidAddress):
	"""No number that a country has (AD-09)."""


class WrongChannel(InvalidAddress):
	"""An address that the channel doesn't reach, such as an e-mail address for SMS (EM-23)."""


class UnknownReference(ConsentError):
	"""A purpose, topic, source, legal basis, wording or party that doesn't exist or is disabled."""


class LegalBasisNotAllowed(ConsentError):
	"""The purpose doesn't allow this legal basis (LB-01, LB-04)."""


class InvalidPeriod(ConsentError):
	"""A date in the future, or an end before its start."""


class FilterNotValid(ConsentError):
	"""A filter that can't be read, or that isn't one of its report's options."""


class EvidenceMissing(ConsentError):
	"""Consent without a source and a proof of it (Art. 7(1), CA-05, CA-17), or a child's without its guardian
	(Art. 8, CA-18)."""


class AgeNotStated(ConsentError):
	"""The person didn't say that they are old enough to agree for themselves (Art. 8, CA-18)."""


class NoSale(ConsentError):
	"""The existing-customer rule without a sale that it could rest on (Art. 13(2) ePrivacy, SO-01)."""


class StandingRefusal(ConsentError):
	"""The person said no, and only the person can lift that (ST-07, ST-08).

	The second argument is the `policy.Reason`.
	"""

	def __str__(self) -> str:
		return str(self.args[0])


class TransitionNotAllowed(ConsentError):
	"""Not one of the transitions T1 to T13 (ST-01)."""


class ConfirmationPending(TransitionNotAllowed):
	"""The person was asked, and hasn't answered yet."""


class ConsentGiven(TransitionNotAllowed):
	"""The person agreed; no other legal basis takes the place of that (ST-07)."""


class NewerOnRecord(TransitionNotAllowed):
	"""What is to be recorded is older than what is on record."""


class NotNow(ConsentError):
	"""What was asked for isn't possible in this state of a bulk update."""


class ChangedMeanwhile(ConsentError):
	"""A record isn't any more what it was when a bulk update planned or changed it (BU-03)."""


class OtherWording(ConsentError):
	"""The person agreed to other words than those asked for (V3)."""


class NoStays(ConsentError):
	"""What would have to be taken back is the person's no (ST-08)."""


class OverByNow(ConsentError):
	"""What would have to be recorded again has come to its end."""


class ConsentMissing(ConsentError):
	"""Raised by `require_consent` where a mail may not be sent."""


class RegisterIsAppendOnly(ConsentError):
	"""Somebody tried to write a record of the register past `register` (AU-01)."""


class LinkNotValid(ConsentError):
	"""A signed link that is forged, expired or made for something else (TK-01, TK-02)."""


class LinkKeyLost(ConsentError):
	"""The site has no key to sign or read links with, or another one than before."""


class TooManyAttempts(ConsentError):
	"""A client that tries too often (WB-02)."""


class AddressKeyLost(ConsentError):
	"""The key that addresses are compared by isn't the one the register was written with."""


class MessageNotReadable(ConsentError):
	"""What was posted as returned mail isn't an e-mail message, or is too large."""


class SignatureNotValid(ConsentError):
	"""A signed file that isn't ours, or that was changed (RC-05)."""


class RecordNotPossible(ConsentError):
	"""A file of a kind that this record can't be written as, or that can't be read."""


class FieldProtected(frappe.PermissionError):
	"""Somebody tried to write, or to search by, a field that isn't theirs to see (FP-02, FP-03)."""


class RequestNotPossible(ConsentError):
	"""What was asked for isn't possible with a Data Subject Request as it is now."""


class RequestIncomplete(ConsentError):
	"""A ground, a reason, a day or a name is missing that the law demands of a request (Art. 12)."""


class RequestIsKept(ConsentError):
	"""Somebody tried to write or delete a Data Subject Request past `rights/requests.py` (DS-23)."""


class ProcessingRestricted(frappe.PermissionError):
	"""Somebody tried to change a record whose person had processing restricted (Art. 18(2), DS-20)."""


class NoticeNotPossible(ConsentError):
	"""A notice to a person that can't be sent, or whose record would say what can't be (Art. 14)."""


class ReviewNotPossible(ConsentError):
	"""An automated decision, or a review of one, that can't be as it was entered (Art. 22)."""


class PackageNotPossible(ConsentError):
	"""A person's package that can't be made, sent or handed out now (Art. 15, 20)."""


class MapNotValid(ConsentError):
	"""A holding of the hook `gdpr_personal_data` that doesn't fit the site (DS-10)."""


class ErasureNotPossible(ConsentError):
	"""Somebody who can't be erased now: a legal hold, a member of staff, or nobody known (Art. 17(3))."""
