"""What the constants of `policy` mean, in words for messages; the desk has the same ones in words.js."""

from frappe import _

from gdpr_consent.policy import EventKind, Reason, RefusalKind


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


def kind_in_words(kind: EventKind) -> str:
	"""Say what happened to a record."""
	return {
		EventKind.IMPORT: _("Taken over without proof"),
		EventKind.REQUEST: _("Asked to confirm"),
		EventKind.LAPSE: _("Not confirmed in time"),
		EventKind.REFUSE: _("Refused"),
		EventKind.GIVE: _("Given"),
		EventKind.CONFIRM: _("Confirmed by the person"),
		EventKind.WITHDRAW: _("Withdrawn"),
		EventKind.REVOKE: _("Revoked by us"),
		EventKind.EXPIRE: _("Expired"),
		EventKind.SUPERSEDE: _("Replaced by a newer record"),
		EventKind.INVALIDATE: _("Declared invalid"),
		EventKind.RECORD: _("Recorded on another legal basis"),
		EventKind.END: _("Ended"),
		EventKind.MOVE: _("Moved with the person's record"),
		EventKind.ASK: _("Was asked to confirm again"),
		EventKind.SUPPRESS: _("Said no"),
		EventKind.LIFT: _("Lifted"),
		EventKind.ERASE: _("Personal data erased"),
	}[kind]


def refusal_in_words(kind: RefusalKind) -> str:
	"""Say in what way a person said no, or why mail to an address stops."""
	return {
		RefusalKind.OBJECTION: _("Objected to all marketing"),
		RefusalKind.WITHDRAWAL: _("Wants no more of it"),
		RefusalKind.UNSUBSCRIBE: _("Unsubscribed"),
		RefusalKind.ERASURE: _("Erased on request"),
		RefusalKind.RESTRICTION: _("Processing restricted"),
		RefusalKind.BOUNCE: _("Mail comes back"),
		RefusalKind.COMPLAINT: _("Complained about mail"),
	}[kind]
