"""Records that a new site starts with. Data only: an administrator may change each of them afterwards."""

from gdpr_consent.policy import MarketingGround


def _(text: str) -> str:
	"""Mark a text for translation; the desk translates it when it shows it."""
	return text


LEGAL_BASES = (
	{
		"title": _("Consent"),
		"article": "GDPR 6(1)(a)",
		"dpv_term": "eu-gdpr:A6-1-a",
		"marketing": MarketingGround.NEEDS_CONSENT.value,
		"description": _("The person said yes to this purpose, freely and knowing what for."),
	},
	{
		"title": _("Contract"),
		"article": "GDPR 6(1)(b)",
		"dpv_term": "eu-gdpr:A6-1-b",
		"marketing": MarketingGround.NEVER.value,
		"description": _("Needed to fulfil a contract with the person, or to prepare one at their request."),
	},
	{
		"title": _("Legal Obligation"),
		"article": "GDPR 6(1)(c)",
		"dpv_term": "eu-gdpr:A6-1-c",
		"marketing": MarketingGround.NEVER.value,
		"description": _("A law requires it, such as keeping invoices."),
	},
	{
		"title": _("Vital Interests"),
		"article": "GDPR 6(1)(d)",
		"dpv_term": "eu-gdpr:A6-1-d",
		"marketing": MarketingGround.NEVER.value,
		"description": _("Somebody's life or health depends on it."),
	},
	{
		"title": _("Public Task"),
		"article": "GDPR 6(1)(e)",
		"dpv_term": "eu-gdpr:A6-1-e",
		"marketing": MarketingGround.NEVER.value,
		"description": _("Needed for a task in the public interest or of an official authority."),
	},
	{
		"title": _("Legitimate Interests"),
		"article": "GDPR 6(1)(f)",
		"dpv_term": "eu-gdpr:A6-1-f",
		# It answers whether data may be processed, never whether the e-mail channel may be used.
		"marketing": MarketingGround.NEVER.value,
		"description": _("An interest of ours that a documented assessment found to outweigh the person's."),
	},
	{
		"title": _("Existing Customer"),
		"article": "ePrivacy 13(2)",
		"dpv_term": "",  # DPV has no term for it
		"marketing": MarketingGround.EXISTING_CUSTOMER.value,
		"description": _("The address came with a sale; the mail is about similar goods of the same seller."),
	},
)
