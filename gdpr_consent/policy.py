"""Pure decisions and the words they are made in. Imports neither Frappe nor anything of ours."""

from enum import Enum


class MarketingGround(str, Enum):
	"""What a legal basis means for the e-mail channel: ePrivacy Art. 13, apart from GDPR Art. 6 (LB-02)."""

	NEEDS_CONSENT = "Needs Consent"
	EXISTING_CUSTOMER = "Existing Customer"
	NEVER = "Never"
