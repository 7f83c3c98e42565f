"""What names of fields look as if they held data that should be protected. Data only."""

from typing import NamedTuple

SENSITIVE, SPECIAL = "Sensitive", "Special Category"


def _(text: str) -> str:
	"""Mark a text for translation; it is translated when it is shown."""
	return text


class Sign(NamedTuple):
	words: str  # a regular expression, over the name of the field and its label in small letters
	sensitivity: str
	means: str


# Whole words, so that "account" in "account_manager" isn't one.
SIGNS = (
	Sign(
		r"tax_?(id|no|number)|vat_?(id|no|number)|nip|pesel|steuer\w*|ust_?id\w*|gstin|pan",
		SENSITIVE,
		_("a tax number"),
	),
	Sign(
		r"iban|bic|swift\w*|bank_ac_\w+|bank_account_(no|number)|account_(no|number)|branch_code|sort_code|routing_n(o|umber)|micr\w*|ifsc\w*",
		SENSITIVE,
		_("a bank account"),
	),
	Sign(r"credit_card\w*|card_number|cvv", SENSITIVE, _("a payment card")),
	Sign(
		r"passport\w*|id_card\w*|identity_\w+|national_id\w*|ssn|social_security\w*|driving_licen[cs]e\w*",
		SENSITIVE,
		_("an identity document"),
	),
	Sign(r"date_of_birth|birth_?(date|day)|dob|place_of_birth", SENSITIVE, _("a date or place of birth")),
	Sign(r"(gross_|net_)?salary|wages?|ctc", SENSITIVE, _("what somebody earns")),
	Sign(r"marital_status|family_\w+", SENSITIVE, _("somebody's family")),
	Sign(r"criminal\w*|conviction\w*", SENSITIVE, _("criminal convictions (Art. 10)")),
	Sign(
		r"health\w*|blood_group|disab\w+|illness\w*|diagnos\w+|medical\w*|allerg\w+|pregnan\w+",
		SPECIAL,
		_("health (Art. 9)"),
	),
	Sign(r"religio\w*|denomination|church\w*", SPECIAL, _("religion or belief (Art. 9)")),
	Sign(r"ethnic\w*|race|racial\w*", SPECIAL, _("ethnic origin (Art. 9)")),
	Sign(r"union_member\w*|trade_union\w*", SPECIAL, _("membership of a trade union (Art. 9)")),
	Sign(r"political\w*|party_member\w*", SPECIAL, _("political opinions (Art. 9)")),
	Sign(r"sexual\w*|gender_identity", SPECIAL, _("sex life or orientation (Art. 9)")),
	Sign(r"biometric\w*|fingerprint\w*|genetic\w*", SPECIAL, _("biometric or genetic data (Art. 9)")),
)
