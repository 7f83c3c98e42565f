"""The personal-data map of Frappe, ERPNext and this app (DS-10). Data only; see `personal_data`.

Each DocType comes after those that its rows are found by. The law that keeps something is named in general:
which it is in your country, and for how long, counsel knows. The hook changes it.
"""

from frappe import _

from gdpr_consent.rights.personal_data import By, Erasure, Holding, Way

DELETE, ANONYMISE, KEEP, REDACT = Erasure.DELETE, Erasure.ANONYMISE, Erasure.KEEP, Erasure.REDACT
SALES, SERVICE, CONTRACT, MARKETING = (
	"Sales",
	"Customer Service",
	"Contract Fulfilment",
	"Email Marketing",
)
ITSELF = Way(By.ITSELF)


def _link(field: str, names: str, in_passing: bool = False) -> Way:
	return Way(By.LINK, field, names, in_passing)


def _pair(type_field: str, field: str, in_passing: bool = False) -> Way:
	return Way(By.DYNAMIC, field, type_field, in_passing)


def _address(*fields: str, in_passing: bool = False) -> tuple[Way, ...]:
	return tuple(Way(By.ADDRESS, field, in_passing=in_passing) for field in fields)


def _addresses(*fields: str) -> tuple[Way, ...]:
	return tuple(Way(By.ADDRESSES, field, in_passing=True) for field in fields)


def _mention(*fields: str) -> tuple[Way, ...]:
	return tuple(Way(By.MENTION, field, in_passing=True) for field in fields)


CUSTOMER = _link("customer", "Customer")
PARTY = _pair("party_type", "party")
REFERENCE = _pair("reference_doctype", "reference_name")

# What a document of sales has copied from its contact. None of it has to be on an invoice.
CONTACT_COPIES = (
	*("contact_person", "contact_display", "contact_email", "contact_mobile", "contact_phone"),
	*("customer_address", "shipping_address_name", "dispatch_address_name"),
)
IN_PASSING = (
	_link("contact_person", "Contact", in_passing=True),
	*_address("contact_email", "contact_mobile", "contact_phone", in_passing=True),
)
NAMES = ("customer_name", "address_display", "shipping_address", "dispatch_address", "tax_id", "title")


def _kept_sale(doctype: str, *more: Way, law: str) -> Holding:
	return Holding(
		doctype,
		(CUSTOMER, *more, *IN_PASSING),
		("customer", *NAMES, *CONTACT_COPIES, "remarks", "terms", "po_no"),
		KEEP,
		law,
		purpose=CONTRACT,
		portable=("customer_name", "address_display", "shipping_address", *CONTACT_COPIES[:5]),
		others=("company_contact_person",),
		emptied=CONTACT_COPIES,
	)


def holdings() -> list[Holding]:
	law = _("Tax and commercial law (Art. 17(3)(b) GDPR)")
	proof = _("Proof that the law was kept (Art. 17(3)(e) GDPR)")
	return [
		# --- the person ---------------------------------------------------------------------------------
		Holding(
			"Contact",
			(ITSELF,),
			purpose=SALES,
			portable=(
				*("first_name", "middle_name", "last_name", "salutation", "gender", "company_name"),
				*("designation", "department", "email_id", "phone", "mobile_no"),
			),
			others=("user",),
		),
		Holding(
			"Lead",
			(ITSELF,),
			purpose=SALES,
			portable=(
				*("first_name", "middle_name", "last_name", "salutation", "gender", "company_name"),
				*("job_title", "email_id", "phone", "mobile_no", "whatsapp_no", "phone_ext", "fax"),
				*("website", "city", "state", "country"),
			),
			others=("lead_owner", "qualified_by"),
			emptied=("customer",),
		),
		Holding(
			"Customer",
			(ITSELF, _link("lead_name", "Lead", True), _link("customer_primary_contact", "Contact", True)),
			(
				*("customer_name", "first_name", "last_name", "salutation", "gender", "tax_id", "email_id"),
				*("mobile_no", "website", "customer_details", "primary_address", "lead_name"),
				*("customer_primary_contact", "customer_primary_address", "prospect_name"),
			),
			KEEP,
			law,
			purpose=CONTRACT,
			portable=(
				"customer_name",
				"first_name",
				"last_name",
				"salutation",
				"gender",
				"email_id",
				"mobile_no",
			),
			others=("account_manager",),
			emptied=(
				*(
					"lead_name",
					"customer_primary_contact",
					"email_id",
					"mobile_no",
					"first_name",
					"last_name",
				),
				*("salutation", "gender", "website", "customer_details", "customer_primary_address"),
				*("primary_address", "prospect_name", "image"),
			),
		),
		Holding(
			"User",
			(ITSELF,),
			purpose=SERVICE,
			portable=(
				*("first_name", "middle_name", "last_name", "email", "phone", "mobile_no", "location"),
				*("gender", "birth_date", "interest", "bio", "language", "time_zone"),
			),
			others=("api_key", "api_secret", "reset_password_key", "last_ip"),
		),
		Holding(
			"Address",
			(
				Way(By.TABLE),
				*_address("email_id", in_passing=True),
				*_address("phone", in_passing=True),
			),
			purpose=CONTRACT,
			portable=(
				*("address_title", "address_line1", "address_line2", "city", "county", "state", "country"),
				*("pincode", "email_id", "phone", "fax"),
			),
			emptied=("email_id", "phone"),
		),
		Holding(
			"Portal User",
			(_link("user", "User"),),
			purpose=SERVICE,
		),
		# --- before a sale ------------------------------------------------------------------------------
		Holding(
			"Prospect Lead",
			(_link("lead", "Lead"), *_address("email", "mobile_no")),
			("lead", "lead_name", "email", "mobile_no", "lead_owner"),
			purpose=SALES,
			portable=("lead_name", "email", "mobile_no"),
			others=("lead_owner",),
		),
		Holding(
			"Prospect Opportunity",
			(_link("contact_person", "Contact", True),),
			("contact_person",),
			purpose=SALES,
			emptied=("contact_person",),
		),
		Holding(
			"Prospect",
			(*_address("fax", in_passing=True),),
			("fax",),
			ANONYMISE,
			purpose=SALES,
			others=("prospect_owner",),
			emptied=("fax",),
		),
		Holding(
			"Opportunity",
			(
				_pair("opportunity_from", "party_name"),
				*IN_PASSING,
				*_address("whatsapp", "phone", in_passing=True),
			),
			purpose=SALES,
			portable=(
				*("customer_name", "contact_email", "contact_mobile", "whatsapp", "phone", "phone_ext"),
				*("job_title", "city", "state", "country", "website"),
			),
			others=("opportunity_owner",),
			emptied=(*CONTACT_COPIES, "whatsapp", "phone", "phone_ext", "job_title"),
		),
		Holding(
			"Quotation",
			(_pair("quotation_to", "party_name"), *IN_PASSING),
			("party_name", *NAMES, *CONTACT_COPIES, "terms"),
			ANONYMISE,
			purpose=SALES,
			portable=("customer_name", "address_display", "shipping_address", *CONTACT_COPIES[:5]),
			others=("company_contact_person",),
			emptied=(*CONTACT_COPIES, *NAMES),
		),
		Holding(
			"Appointment",
			(
				_pair("appointment_with", "party"),
				*_address("customer_email", "customer_phone_number"),
			),
			purpose=SALES,
			portable=(
				*("customer_name", "customer_email", "customer_phone_number", "customer_skype"),
				*("customer_details", "scheduled_time"),
			),
		),
		Holding(
			"Email Campaign",
			(_pair("email_campaign_for", "recipient"),),
			purpose=MARKETING,
			others=("sender",),
		),
		Holding(
			"Call Log",
			(CUSTOMER, *_address("from", "to")),
			purpose=SERVICE,
			others=("employee_user_id", "call_received_by"),
		),
		Holding(
			"SMS Log",
			(*_addresses("sent_to", "requested_numbers"),),
			("sent_to", "requested_numbers", "message"),
			REDACT,
			purpose=SERVICE,
			others=("sent_to", "requested_numbers", "sender_name"),
		),
		# --- sales, which the law keeps -----------------------------------------------------------------
		_kept_sale("Sales Order", law=law),
		_kept_sale("Sales Invoice", law=law),
		_kept_sale("POS Invoice", law=law),
		_kept_sale("Delivery Note", law=law),
		_kept_sale("Dunning", law=law),
		_kept_sale("Blanket Order", law=law),
		Holding(
			"Payment Entry",
			(PARTY, _link("contact_person", "Contact", True), *_address("contact_email", in_passing=True)),
			("party", "party_name", "contact_person", "contact_email", "bank_account_no", "title", "remarks"),
			KEEP,
			law,
			purpose=CONTRACT,
			emptied=("contact_person", "contact_email"),
		),
		Holding(
			"Payment Request",
			(PARTY, *_address("email_to", "phone_number", in_passing=True)),
			("party", "party_name", "email_to", "phone_number", "message", "subject"),
			KEEP,
			law,
			purpose=CONTRACT,
			portable=("email_to", "phone_number"),
			others=("payment_url",),
			emptied=("email_to", "phone_number", "message", "payment_url"),
		),
		*(
			Holding(doctype, ways, fields, KEEP, law, purpose=CONTRACT)
			for doctype, ways, fields in (
				("Journal Entry Account", (PARTY,), ("party",)),
				("Journal Entry Template Account", (PARTY,), ("party",)),
				("GL Entry", (PARTY,), ("party", "remarks")),
				("Payment Ledger Entry", (PARTY,), ("party", "remarks")),
				(
					"Bank Transaction",
					(PARTY,),
					("party", "description", "bank_party_name", "bank_party_iban"),
				),
				("Transaction Log", (_pair("reference_doctype", "document_name"),), ("data",)),
				("Loyalty Point Entry", (CUSTOMER,), ("customer",)),
				("Subscription", (PARTY,), ("party",)),
				("POS Invoice Merge Log", (CUSTOMER,), ("customer",)),
				("POS Invoice Reference", (CUSTOMER,), ("customer",)),
				("Sales Invoice Reference", (CUSTOMER,), ("customer",)),
				("Subcontracting Inward Order", (CUSTOMER,), ("customer", "customer_name")),
				("Tax Withholding Entry", (PARTY,), ("party",)),
				("Discounted Invoice", (CUSTOMER,), ("customer",)),
				("Exchange Rate Revaluation Account", (PARTY,), ("party",)),
				("Opening Invoice Creation Tool Item", (PARTY,), ("party",)),
				("Bank Guarantee", (CUSTOMER,), ("customer",)),
				("Serial No", (CUSTOMER,), ("customer", "customer_name")),
				("Timesheet", (CUSTOMER,), ("customer",)),
				("Asset", (CUSTOMER,), ("customer",)),
				("Pick List", (CUSTOMER,), ("customer", "customer_name")),
				("Material Request", (CUSTOMER,), ("customer",)),
				("Production Plan Sales Order", (CUSTOMER,), ("customer",)),
			)
		),
		Holding(
			"Contract",
			(_pair("party_type", "party_name"), _link("party_user", "User")),
			("party_name", "party_full_name", "party_user", "signee", "ip_address", "contract_terms"),
			KEEP,
			law,
			purpose=CONTRACT,
			portable=("party_full_name", "signee"),
			others=("signed_by_company",),
			emptied=("party_user", "ip_address"),
		),
		Holding(
			"Bank Account",
			(PARTY,),
			purpose=CONTRACT,
			portable=("iban", "bank", "bank_account_no", "branch_code"),
		),
		Holding(
			"Purchase Order",
			(
				CUSTOMER._replace(in_passing=True),
				_link("customer_contact_person", "Contact", True),
				*_address("customer_contact_email", "customer_contact_mobile", in_passing=True),
				*IN_PASSING,
			),
			(
				*("customer", "customer_name", "customer_contact_person", "customer_contact_display"),
				*("customer_contact_mobile", "customer_contact_email", "contact_person", "contact_display"),
				*("contact_email", "contact_mobile"),
			),
			KEEP,
			law,
			purpose=CONTRACT,
			emptied=(
				*("customer_contact_person", "customer_contact_display", "customer_contact_mobile"),
				"customer_contact_email",
			),
		),
		*(
			Holding(
				doctype,
				IN_PASSING,
				("contact_person", "contact_display", "contact_email", "contact_mobile"),
				ANONYMISE,
				purpose=CONTRACT,
				emptied=("contact_person", "contact_display", "contact_email", "contact_mobile"),
			)
			for doctype in (
				*("Purchase Invoice", "Purchase Receipt", "Supplier Quotation"),
				*("Subcontracting Order", "Subcontracting Receipt"),
			)
		),
		Holding(
			"Request for Quotation Supplier",
			(_link("contact", "Contact"), *_address("email_id")),
			("contact", "email_id"),
			ANONYMISE,
			purpose=CONTRACT,
			emptied=("contact", "email_id"),
		),
		Holding(
			"Supplier",
			(
				_link("supplier_primary_contact", "Contact", True),
				*_address("email_id", "mobile_no", in_passing=True),
			),
			("supplier_primary_contact", "email_id", "mobile_no"),
			ANONYMISE,
			purpose=CONTRACT,
			emptied=("supplier_primary_contact", "email_id", "mobile_no"),
		),
		# --- delivery and service -----------------------------------------------------------------------
		Holding(
			"Delivery Stop",
			(CUSTOMER, _link("contact", "Contact"), *_address("email_sent_to")),
			(
				"customer",
				"contact",
				"email_sent_to",
				"customer_contact",
				"customer_address",
				"details",
				"address",
			),
			ANONYMISE,
			purpose=CONTRACT,
			emptied=(
				"contact",
				"email_sent_to",
				"customer_contact",
				"customer_address",
				"details",
				"address",
			),
		),
		Holding(
			"Shipment",
			(
				_link("delivery_customer", "Customer"),
				_link("pickup_customer", "Customer"),
				_link("delivery_contact_name", "Contact"),
				_link("pickup_contact_name", "Contact"),
				*_address("delivery_contact_email", "pickup_contact_email"),
			),
			(
				*("delivery_customer", "pickup_customer", "delivery_contact_name", "pickup_contact_name"),
				*("delivery_contact_email", "pickup_contact_email", "delivery_contact", "pickup_contact"),
				*("delivery_address", "pickup_address"),
			),
			ANONYMISE,
			purpose=CONTRACT,
			others=("pickup_contact_person",),
			emptied=(
				*("delivery_contact_name", "pickup_contact_name", "delivery_contact_email"),
				*("pickup_contact_email", "delivery_contact", "pickup_contact", "delivery_address"),
				"delivery_address_name",
			),
		),
		*(
			Holding(
				doctype,
				(CUSTOMER, *IN_PASSING),
				("customer", *NAMES, *CONTACT_COPIES, "service_address", "complaint_raised_by"),
				ANONYMISE,
				purpose=SERVICE,
				portable=("customer_name", *CONTACT_COPIES[:5], "address_display", "complaint"),
				others=("resolved_by", "service_person"),
				emptied=(*CONTACT_COPIES, *NAMES, "service_address", "complaint_raised_by"),
			)
			for doctype in (
				*("Warranty Claim", "Maintenance Visit", "Maintenance Schedule", "Installation Note"),
			)
		),
		Holding(
			"Issue",
			(
				CUSTOMER,
				_link("lead", "Lead"),
				_link("contact", "Contact"),
				*_address("raised_by"),
			),
			purpose=SERVICE,
			portable=("subject", "description", "raised_by", "opening_date"),
		),
		Holding(
			"Project",
			(CUSTOMER,),
			("customer", "project_name", "notes"),
			ANONYMISE,
			purpose=CONTRACT,
			emptied=("notes",),
		),
		Holding(
			"Project User",
			(_link("user", "User"), *_address("email")),
			("user", "email", "full_name", "image"),
			purpose=CONTRACT,
		),
		Holding("Quality Feedback", (_pair("document_type", "document_name"),), purpose=SERVICE),
		*(
			Holding(doctype, (_link(field, "Customer"),), (field,), purpose=CONTRACT)
			for doctype, field in (
				("Item Price", "customer"),
				("Item Customer Detail", "customer_name"),
				("Customer Item", "customer"),
				("Pricing Rule", "customer"),
				("Tax Rule", "customer"),
			)
		),
		*(
			Holding(doctype, (ways,), fields, ANONYMISE, purpose=CONTRACT, emptied=fields)
			for doctype, ways, fields in (
				("Coupon Code", CUSTOMER, ("customer",)),
				("Item", CUSTOMER, ("customer",)),
				("POS Profile", CUSTOMER, ("customer",)),
				("Production Plan", CUSTOMER, ("customer",)),
			)
		),
		Holding("Party Specific Item", (PARTY,), ("party",), purpose=CONTRACT),
		Holding(
			"Party Link", (_pair("primary_role", "primary_party"), _pair("secondary_role", "secondary_party"))
		),
		Holding("Process Payment Reconciliation", (PARTY,), ("party",), purpose=CONTRACT),
		Holding(
			"Process Statement Of Accounts Customer",
			(CUSTOMER, *_address("billing_email", "primary_email")),
			("customer", "customer_name", "billing_email", "primary_email"),
			purpose=CONTRACT,
		),
		Holding(
			"Process Statement Of Accounts",
			(_pair("customer_collection", "collection_name"),),
			("collection_name",),
			ANONYMISE,
			purpose=CONTRACT,
			emptied=("collection_name",),
		),
		Holding("Authorization Rule", (_pair("customer_or_item", "master_name"),), ("master_name",)),
		Holding(
			"Service Level Agreement",
			(_pair("entity_type", "entity"),),
			("entity",),
			ANONYMISE,
			emptied=("entity",),
		),
		# --- consent ------------------------------------------------------------------------------------
		Holding(
			"Consent",
			(PARTY, *_address("email")),
			(
				*("email", "party_type", "party", "address_key", "reason", "evidence", "recorded_by"),
				*("sale_doctype", "sale", "is_minor", "guardian_name", "guardian_verification"),
			),
			KEEP,
			proof,
			purpose=MARKETING,
			portable=("email", "purpose", "topic", "channel", "given_on"),
			others=("recorded_by",),
		),
		Holding(
			"Suppression",
			(PARTY, *_address("email")),
			("email", "party_type", "party", "address_key", "reason", "recorded_by"),
			KEEP,
			_("So that nobody writes to them again (Art. 21(3) GDPR)"),
			purpose=MARKETING,
			others=("recorded_by",),
		),
		Holding(
			"Consent Decision",
			(Way(By.PARENT, "consent", "Consent"),),
			("address_key", "consent", "reason"),
			KEEP,
			proof,
			purpose=MARKETING,
		),
		Holding(
			"Data Subject Request",
			(*_address("email", "phone"),),
			("requester_name", "email", "phone", "message", "answer", "identity_note", "address_key"),
			KEEP,
			proof,
			others=("identity_note", "answered_by", "approved_by", "refusal_reason"),
		),
		*(
			Holding(f"Data Subject Request {table}", (way,), fields, KEEP, proof, given_out=False)
			for table, way, fields in (
				("Record", PARTY, ("party", "title", "found_by")),
				("Change", _pair("ref_doctype", "ref_name"), ("ref_name", "old_value", "new_value")),
			)
		),
		Holding(
			"Information Duty",
			(PARTY, *_address("email")),
			("party_type", "party", "email", "obtained_from", "remark"),
			ANONYMISE,  # that somebody was informed in time stays
			emptied=("party_type", "party", "email", "remark"),
		),
		Holding(
			"Automated Decision Review",
			(_pair("ref_doctype", "ref_name"),),
			("ref_name", "value", "point_of_view", "reasons"),
			ANONYMISE,
			others=("reviewer", "reviewed_by"),
			emptied=("ref_name", "value", "point_of_view", "reasons"),
		),
		Holding("Legal Hold", (PARTY,), ("party",), ANONYMISE, given_out=False, emptied=("party",)),
		Holding(
			"Personal Data Breach Notice", (*_address("email"),), ("email",), ANONYMISE, emptied=("email",)
		),
		Holding(
			"Recipient Notification",
			(*_address("email"),),
			("email",),
			KEEP,
			_("Duty to tell those who have the data (Art. 19 GDPR); they are told within minutes"),
			purpose=MARKETING,
		),
		Holding(
			"Consent Bulk Update Item",
			(*_address("email"),),
			("email", "target", "evidence", "note"),
			ANONYMISE,
			purpose=MARKETING,
			emptied=("email", "evidence", "note"),
		),
		Holding(
			"Consent Bulk Update Address",
			(*_address("email"),),
			("email", "evidence", "note"),
			purpose=MARKETING,
		),
		Holding("Email Group Member", (*_address("email"),), purpose=MARKETING, portable=("email",)),
		Holding("Email Unsubscribe", (*_address("email"),), purpose=MARKETING),
		Holding("Information Duty", (PARTY, *_address("email")), purpose=SALES),
		Holding("Automated Decision Review", (_pair("ref_doctype", "ref_name"),), purpose=SALES),
		# --- messages -----------------------------------------------------------------------------------
		Holding(
			"Event Participants",
			(_pair("reference_doctype", "reference_docname"), *_address("email")),
			("reference_doctype", "reference_docname", "email"),
			purpose=SALES,
		),
		Holding(
			"Event",
			(
				_pair("reference_doctype", "reference_docname"),
				Way(By.PARENT, "name", "Event Participants", in_passing=True),
				*_mention("description", "subject"),
			),
			("subject", "description", "sender", "location", "reference_docname"),
			REDACT,
			purpose=SALES,
			others=("sender",),
		),
		Holding(
			"Communication Link",
			(_pair("link_doctype", "link_name"),),
			("link_doctype", "link_name", "link_title"),
			purpose=SERVICE,
		),
		Holding(
			"Communication",
			(
				*_address("sender", "phone_no"),
				REFERENCE,
				*_address("recipients"),
				Way(By.PARENT, "name", "Communication Link", in_passing=True),
				*_addresses("recipients", "cc", "bcc"),
				*_mention("subject"),
			),
			purpose=SERVICE,
			portable=("subject", "content", "communication_date"),
			others=("user", "email_account"),
		),
		Holding(
			"Email Queue Recipient",
			(*_address("recipient"),),
			("recipient", "error"),
			purpose=SERVICE,
		),
		Holding(
			"Email Queue",
			(
				*_address("sender"),
				Way(By.PARENT, "communication", "Communication"),
				REFERENCE,
				Way(By.PARENT, "name", "Email Queue Recipient"),
			),
			("sender", "message", "reference_name", "communication", "unsubscribe_param"),
			purpose=SERVICE,
			others=("unsubscribe_param", "message_id", "error"),
		),
		Holding(
			"ToDo",
			(
				_pair("reference_type", "reference_name"),
				*_address("sender", "allocated_to"),
				*_mention("description"),
			),
			("description", "reference_name", "sender", "allocated_to", "assigned_by"),
			purpose=SALES,
			others=("assigned_by", "assigned_by_full_name", "allocated_to", "sender"),
		),
		Holding(
			"Comment",
			(REFERENCE, *_address("comment_email"), *_mention("content")),
			("content", "comment_email", "comment_by", "subject", "ip_address"),
			purpose=SERVICE,
			others=("comment_email", "comment_by", "reference_owner"),
		),
		Holding(
			"CRM Note",
			(Way(By.PARENT, "parent"), *_mention("note")),
			("note",),
			purpose=SALES,
			others=("added_by",),
		),
		Holding("Note", (*_mention("title", "content"),), ("title", "content"), REDACT, purpose=SALES),
		Holding(
			"Discussion Topic", (REFERENCE, _pair("reference_doctype", "reference_docname")), purpose=SERVICE
		),
		Holding(
			"Discussion Reply",
			(Way(By.PARENT, "topic", "Discussion Topic"), *_mention("reply")),
			("reply",),
			purpose=SERVICE,
		),
		Holding("Reminder", (_pair("reminder_doctype", "reminder_docname"), *_mention("description"))),
		Holding(
			"File",
			(_pair("attached_to_doctype", "attached_to_name"), *_mention("file_name", "file_url")),
			("file_name", "file_url", "attached_to_name", "thumbnail_url"),
			purpose=SERVICE,
			portable=("file_name",),
		),
		# --- traces that Frappe leaves ------------------------------------------------------------------
		Holding(
			"Version",
			(_pair("ref_doctype", "docname"), *_mention("data")),
			("data", "docname"),
			purpose=SALES,
		),
		Holding(
			"Deleted Document",
			(_pair("deleted_doctype", "deleted_name"), *_mention("data", "deleted_name", "new_name")),
			("data", "deleted_name", "new_name"),
			purpose=SALES,
		),
		Holding(
			"Activity Log",
			(
				REFERENCE,
				_pair("timeline_doctype", "timeline_name"),
				_pair("link_doctype", "link_name"),
				_link("user", "User"),
				*_mention("subject", "content"),
			),
			("subject", "content", "full_name", "ip_address", "user", "reference_name"),
			purpose=SERVICE,
			others=("full_name", "user", "reference_owner", "ip_address"),
		),
		Holding(
			"Access Log",
			(_pair("export_from", "reference_document"), _link("user", "User"), *_mention("filters", "page")),
			("reference_document", "filters", "page", "user"),
			purpose=SERVICE,
			others=("user",),
		),
		Holding("View Log", (REFERENCE, _link("viewed_by", "User")), purpose=SERVICE, others=("viewed_by",)),
		Holding(
			"Error Log",
			(REFERENCE, *_mention("error", "method")),
			("error", "method"),
			REDACT,
			given_out=False,
		),
		Holding(
			"Notification Log",
			(
				_pair("document_type", "document_name"),
				_link("for_user", "User"),
				*_mention("subject", "email_content", "email_header"),
			),
			("subject", "email_content", "email_header", "document_name", "for_user"),
			purpose=SERVICE,
			others=("for_user", "from_user"),
		),
		Holding("Data Import Log", (*_mention("messages", "docname"),), ("messages", "docname"), REDACT),
		Holding(
			"Data Import",
			(*_mention("template_warnings"),),
			("import_file", "template_warnings"),
			REDACT,
			given_out=False,
		),
		Holding("Prepared Report", (*_mention("filters"),), ("filters",), given_out=False),
		Holding(
			"Integration Request",
			(_pair("reference_doctype", "reference_docname"), *_mention("data", "output", "error")),
			("data", "output", "error", "request_headers", "reference_docname"),
			given_out=False,
		),
		Holding(
			"Webhook Request Log",
			(*_mention("data", "response", "reference_document"),),
			("data", "response", "reference_document"),
			REDACT,
			given_out=False,
		),
		Holding(
			"Bulk Transaction Log Detail",
			(_pair("from_doctype", "transaction_name"),),
			("transaction_name", "error_description"),
		),
		Holding(
			"Energy Point Log", (REFERENCE, _link("user", "User"), *_mention("reason")), ("reason", "user")
		),
		Holding("Tag Link", (_pair("document_type", "document_name"),)),
		Holding("DocShare", (_pair("share_doctype", "share_name"), _link("user", "User")), given_out=False),
		Holding(
			"Document Follow", (_pair("ref_doctype", "ref_docname"), _link("user", "User")), given_out=False
		),
		Holding("Document Share Key", (_pair("reference_doctype", "reference_docname"),), given_out=False),
		Holding("Workflow Action", (REFERENCE, _link("user", "User")), given_out=False),
		Holding("Submission Queue", (_pair("ref_doctype", "ref_docname"),), given_out=False),
		Holding("User Permission", (_pair("allow", "for_value"), _link("user", "User")), given_out=False),
		Holding("Auto Repeat", (_pair("reference_doctype", "reference_document"),), given_out=False),
		Holding(
			"Route History", (_link("user", "User"), *_mention("route")), ("route", "user"), given_out=False
		),
		Holding("User Invitation", (*_address("email"), _link("user", "User")), given_out=False),
		Holding("Notification Settings", (_link("name", "User"),), given_out=False),
		Holding("Personal Data Deletion Request", (*_address("email"),)),
		Holding("Personal Data Download Request", (_link("user", "User"),)),
		Holding("Sensitive Access Log", (*_mention("records"),), ("records",), KEEP, proof, given_out=False),
	]


_COMPANYS = "the company's own"
_STAFFS = "a member of staff or an applicant: employment, not customers"
_SUPPLIERS = "a supplier or a place of ours"
_DOCUMENTS = "names a document, not a person"
_SETTINGS = "a setting, without anybody's data"

# What by its kind looks like a person's, and isn't a customer's: DocType, or DocType.field, with the reason.
NOBODYS = {
	"Company": _COMPANYS,
	"Warehouse": _SUPPLIERS,
	"Data Recipient": _SUPPLIERS,
	"Employee": _STAFFS,
	"Job Applicant": _STAFFS,
	"Driver": _STAFFS,
	"Delivery Trip.driver_email": _STAFFS,
	"Asset Maintenance Log.task_assignee_email": _STAFFS,
	"Email Account": _COMPANYS,
	"Email Domain": _SETTINGS,
	"Email Flag Queue": _SETTINGS,
	"Email Rule.email_id": _SETTINGS,
	"User Email": _COMPANYS,
	"Google Contacts": _STAFFS,
	"Newsletter.sender_email": _COMPANYS,
	"Reply To Address": _COMPANYS,
	"Purchase Invoice.sender": _SUPPLIERS,
	"Notification.sender_email": _COMPANYS,
	"Auto Email Report.email_to": _STAFFS,
	"Web Form": _SETTINGS,
	"Service Level Agreement.document_type": _SETTINGS,
	"Webhook": _SETTINGS,
	**dict.fromkeys(
		(
			"Accounting Dimension Detail.default_dimension",
			"Advance Payment Ledger Entry",
			"Advance Tax",
			"Allowed Dimension",
			"Asset Movement",
			"Bank Clearance Detail",
			"Bank Guarantee.reference_docname",
			"Bank Transaction Payments",
			"Batch.reference_name",
			"Consent Decision.reference_name",
			"Consent Decision.email_queue",
			"Recipient Notification.email_queue",
			"GL Entry.voucher_no",
			"GL Entry.against_voucher",
			"Journal Entry Account.advance_voucher_no",
			"Journal Entry Account.reference_name",
			"Loyalty Point Entry.invoice",
			"Permission Log",
			"Serial No.reference_name",
			"Tax Withholding Entry.taxable_name",
			"Tax Withholding Entry.withholding_name",
			"Maintenance Visit Purpose",
			"Payment Entry Reference",
			"Payment Ledger Entry.voucher_no",
			"Payment Ledger Entry.against_voucher_no",
			"Payment Order Reference",
			"Payment Request.reference_name",
			"Process Payment Reconciliation Log Allocations",
			"Purchase Invoice Advance",
			"Quotation Item.prevdoc_docname",
			"Repost Accounting Ledger Items",
			"Repost Item Valuation",
			"Repost Payment Ledger Items",
			"Sales Invoice Advance",
			"Serial and Batch Bundle",
			"Stock Ledger Entry",
			"Subscription Invoice",
			"Unreconcile Payment",
			"Unreconcile Payment Entries",
		),
		_DOCUMENTS,
	),
	"Dynamic Link": "a row of the table of a document, and goes with it",
}
