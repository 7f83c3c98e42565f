"""Why a record of a Consent Bulk Update isn't changed, or not as asked: in one word, and in more."""

from enum import Enum

from frappe import _

from gdpr_consent.policy import Reason
from gdpr_consent.words import reason_in_words


class Why(str, Enum):
	NO_ADDRESS = "NO_ADDRESS"
	SAME_ADDRESS = "SAME_ADDRESS"
	NO_DATE = "NO_DATE"
	PERIOD = "PERIOD"
	NO_PROOF = "NO_PROOF"
	UNPROVEN = "UNPROVEN"
	NO_DOCUMENT = "NO_DOCUMENT"
	NO_WORDING = "NO_WORDING"
	PENDING = "PENDING"
	CONSENT_GIVEN = "CONSENT_GIVEN"
	NEWER_ON_RECORD = "NEWER_ON_RECORD"
	ENOUGH_ON_RECORD = "ENOUGH_ON_RECORD"
	NOTHING_TO_END = "NOTHING_TO_END"
	OTHER_WORDING = "OTHER_WORDING"
	TOO_MANY_MAILS = "TOO_MANY_MAILS"
	NOT_ALLOWED = "NOT_ALLOWED"
	CHANGED = "CHANGED"
	GONE = "GONE"
	ERROR = "ERROR"
	NO_STAYS = "NO_STAYS"
	OVER = "OVER"
	NO_SALE = "NO_SALE"


def why_in_words(why: str) -> str:
	"""Say in the user's language why: a `Why`, or a `policy.Reason` for which the person is left alone."""
	texts = {
		Why.NO_ADDRESS: _("No address that the channel reaches"),
		Why.SAME_ADDRESS: _("Another record of this update has the same address"),
		Why.NO_DATE: _("No date in the field"),
		Why.PERIOD: _("A date in the future, or an end before its start"),
		Why.NO_PROOF: _("Source or proof is missing"),
		Why.UNPROVEN: _("Without proof: Unknown, which allows nothing"),
		Why.NO_DOCUMENT: _("Without the document that the source asks for: Unknown, which allows nothing"),
		Why.NO_WORDING: _("Without a wording: Unknown, which allows nothing"),
		Why.PENDING: _("Asked already, the answer is open"),
		Why.CONSENT_GIVEN: _("Agreed already; no other legal basis takes its place"),
		Why.NEWER_ON_RECORD: _("What is on record is newer"),
		Why.ENOUGH_ON_RECORD: _("On record already"),
		Why.NOTHING_TO_END: _("Nothing on record to end"),
		Why.OTHER_WORDING: _("Didn't agree to this wording"),
		Why.TOO_MANY_MAILS: _("Got enough mails for today"),
		Why.NOT_ALLOWED: _("Not allowed by the register"),
		Why.CHANGED: _("Changed since the preview"),
		Why.GONE: _("Doesn't fit the rule any more, or isn't visible to you"),
		Why.ERROR: _("An error, see the Error Log"),
		Why.NO_STAYS: _("A no stays"),
		Why.OVER: _("What was there before is over by now"),
		Why.NO_SALE: _("Bought nothing that the mail is about, or too long ago"),
	}
	if why in Why.__members__:
		return texts[Why(why)]
	return reason_in_words(Reason(why))
