"""What the constants of `policy` mean, in words for messages; the desk has the same ones in words.js."""

from frappe import _

from gdpr_consent.policy import Reason


def reason_in_words(reason: Reason) -> str:
	"""Say in the user's language, in a few words, why a mail may go or may not."""
	return {
		Reason.VALID_CONSENT: _("Agreed"),
		Reason.EXISTING_CUSTOMER: _("Existing customer"),
		Reason.NOT_MARKETING: _("Not marketing"),
		Reason.NO_CONSENT: _("No consent"),
		Reason.REQUESTED: _("Waiting for confirmation"),
		Reason.LAPSED: _("Not confirmed"),
		Reason.REFUSED: _("Refused"),
		Reason.WITHDRAWN: _("Withdrawn"),
		Reason.REVOKED: _("Revoked"),
		Reason.EXPIRED: _("Expired"),
		Reason.INVALIDATED: _("Invalid"),
		Reason.NO_EVIDENCE: _("No proof"),
		Reason.TOPIC_NOT_SUBSCRIBED: _("Another topic"),
		Reason.OBJECTED: _("Objected"),
		Reason.UNSUBSCRIBED: _("Unsubscribed"),
		Reason.RESTRICTED: _("Restricted"),
		Reason.SUPPRESSED: _("Suppressed"),
		Reason.ERROR: _("Undecided"),
	}[reason]
