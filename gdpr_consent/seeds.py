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

_SECURITY = _(
	"Access by role; protected fields; encrypted connections; a register in which no change goes unnoticed; "
	"backups"
)
_MAIL_SERVER = _("Staff of sales and marketing; the provider of the mail server")

PROCESSING_PURPOSES = (
	{
		"title": _("Email Marketing"),
		"is_marketing": 1,
		"description": _("Telling you about our products, offers and events."),
		"default_legal_basis": "Consent",
		"allowed_legal_bases": [
			{"legal_basis": "Consent"}
		],  # the existing-customer rule is off (SO-07, RE-08)
		"validity_months": 24,
		"data_subjects": _("Contacts, leads and customers who agreed"),
		"data_categories": _("Name, e-mail address, topics of interest, proof of consent"),
		"recipients": _MAIL_SERVER,
		"security_measures": _SECURITY,
		"storage": _(
			"Until the person says no or the consent expires; the proof as long as claims are possible"
		),
		"systems": "ERPNext: Contact, Lead, Customer, Newsletter, Email Campaign, Consent",
		"dpv_purpose": "dpv:DirectMarketing",
	},
	{
		"title": _("Sales"),
		"description": _("Answering your enquiries and preparing offers for you."),
		"default_legal_basis": "Legitimate Interests",
		"allowed_legal_bases": [
			{"legal_basis": "Legitimate Interests"},
			{"legal_basis": "Contract"},
			{"legal_basis": "Consent"},
		],
		"data_subjects": _("Leads, contacts and customers"),
		"data_categories": _("Name, contact data, company, enquiries and offers"),
		"recipients": _MAIL_SERVER,
		"security_measures": _SECURITY,
		"storage": _("Until it is clear that no business comes of it"),
		"systems": "ERPNext: Lead, Opportunity, Prospect, Quotation, Contact",
		"dpv_purpose": "dpv:CustomerRelationshipManagement",
	},
	{
		"title": _("Customer Service"),
		"description": _("Helping you with what you bought from us."),
		"default_legal_basis": "Contract",
		"allowed_legal_bases": [{"legal_basis": "Contract"}, {"legal_basis": "Legitimate Interests"}],
		"data_subjects": _("Customers and their contacts"),
		"data_categories": _("Name, contact data, orders, service requests"),
		"recipients": _("Staff of customer service; the provider of the mail server"),
		"security_measures": _SECURITY,
		"storage": _("As long as the person may have claims from what they bought"),
		"systems": "ERPNext: Customer, Contact, Issue, Warranty Claim",
		"dpv_purpose": "dpv:CommunicationForCustomerCare",
	},
	{
		"title": _("Contract Fulfilment"),
		"description": _("Delivering what you ordered, and invoicing it."),
		"default_legal_basis": "Contract",
		"allowed_legal_bases": [{"legal_basis": "Contract"}, {"legal_basis": "Legal Obligation"}],
		"data_subjects": _("Customers and their contacts"),
		"data_categories": _("Name, addresses, orders, deliveries, invoices, payments"),
		"recipients": _("Staff of sales and accounting; carriers; banks; tax advisers and authorities"),
		"security_measures": _SECURITY,
		"storage": _("As long as the law asks to keep invoices and business letters"),
		"systems": "ERPNext: Customer, Sales Order, Delivery Note, Sales Invoice, Payment Entry",
		"dpv_purpose": "dpv:CustomerOrderManagement",
	},
)

ON_PAPER = ("Contract",)

CONSENT_SOURCES = tuple(
	{"title": title, "description": description, "needs_document": int(title in ON_PAPER)}
	for title, description in (
		(_("Web Form"), _("A form on a web site.")),
		(_("Preference Page"), _("The page where people choose what they want to hear about.")),
		(_("E-mail"), _("A message the person wrote.")),
		(_("Phone"), _("Said in a call.")),
		(_("Event"), _("A fair, a seminar, a visit.")),
		(_("Contract"), _("A clause of its own in a contract or an order.")),
		(_("Import"), _("Taken over from another system or a list.")),
		(_("API"), _("Recorded by a script.")),
	)
)

COUNTRY_RULES = (
	{
		"title": _("Any Other Country"),
		"double_opt_in": 1,
		"existing_customer": 0,
		"accepted_grades": "A or C",
		"age_of_consent": 16,
		"note": _("The strictest of all, also where nobody knows the country."),
	},
	{
		"title": "Germany",
		"applies_to": "Germany",
		"double_opt_in": 1,
		"existing_customer": 1,
		"accepted_grades": "A or C",
		"age_of_consent": 16,
		"holidays": "DE",
		"note": _("§ 7(2) and (3) UWG; BGH I ZR 164/09; Art. 8(1) GDPR."),
	},
	{
		"title": "Poland",
		"applies_to": "Poland",
		"double_opt_in": 1,
		"existing_customer": 0,
		"accepted_grades": "A or C",
		"age_of_consent": 16,
		"holidays": "PL",
		"note": _("Art. 398 PKE, also for companies; Art. 8(1) GDPR."),
	},
)

# In the order in which they refer to each other.
SEEDS = (
	("Legal Basis", LEGAL_BASES),
	("Consent Source", CONSENT_SOURCES),
	("Processing Purpose", PROCESSING_PURPOSES),
	("Consent Country Rule", COUNTRY_RULES),
)
DEFAULT_PURPOSE = "Email Marketing"
ROLES = ("Privacy Officer", "Consent User", "Sensitive Data Viewer", "Sensitive Data Editor")
