"""What the app adds to DocTypes of others: one list, read by installation, uninstallation and the self-check.

Each has the app's module, by which `uninstall-app` finds and deletes it.
"""

from gdpr_consent import standing
from gdpr_consent.identity import PARTY_TYPES

MODULE = "GDPR Consent"

# Where somebody can say what a mail is about; Email Queue is where the gate reads it.
CLASSIFIED = {
	"Newsletter": "campaign",
	"Campaign": "campaign_name",
	"Email Template": "subject",
	"Notification": "channel",
	"Auto Email Report": "report",
	"Email Queue": "reference_name",
	"SMS Center": "message",
}

# Whom the Privacy tab is about. The column of the list comes after the first field, since a list shows few of
# them, and the tab after the second one, the last of the form.
PEOPLE = {
	"Contact": ("full_name", "unsubscribed"),
	"Lead": ("lead_name", "dashboard_tab"),
	"Customer": ("customer_name", "portal_users"),
	"Prospect": ("company_name", "notes"),
	"Opportunity": ("naming_series", "dashboard_tab"),
}


def _(text: str) -> str:
	"""Mark a text for translation; the desk translates it when it shows it."""
	return text


def custom_fields() -> dict[str, list[dict]]:
	"""Return the custom fields by DocType, for `create_custom_fields`."""
	return _about_mails() | {
		doctype: _about_a_person(*places) + (_restriction() if doctype in PARTY_TYPES else [])
		for doctype, places in PEOPLE.items()
	}


def _about_mails() -> dict[str, list[dict]]:
	return {
		doctype: [
			{
				"fieldname": "consent_purpose",
				"fieldtype": "Link",
				"label": _("Consent Purpose"),
				"options": "Processing Purpose",
				"insert_after": insert_after,
				"module": MODULE,
				"description": _(
					"What the mail is for. A marketing purpose goes only to people who agreed to it."
				),
				"read_only": int(doctype == "Email Queue"),
				"no_copy": 0,
			},
			{
				"fieldname": "subscription_topic",
				"fieldtype": "Link",
				"label": _("Subscription Topic"),
				"options": "Subscription Topic",
				"insert_after": "consent_purpose",
				"module": MODULE,
				"description": _("Only people who want to hear about this topic get the mail."),
				"read_only": int(doctype == "Email Queue"),
			},
		]
		for doctype, insert_after in CLASSIFIED.items()
	} | {
		"Web Form Field": [
			{
				"fieldname": "consent_purpose",
				"fieldtype": "Link",
				"label": _("Consent Purpose"),
				"options": "Processing Purpose",
				"insert_after": "default",
				"depends_on": "eval:doc.fieldtype == 'Check'",
				"module": MODULE,
				"description": _("Who ticks the box is asked by mail to confirm their consent to it."),
			},
			{
				"fieldname": "subscription_topic",
				"fieldtype": "Link",
				"label": _("Subscription Topic"),
				"options": "Subscription Topic",
				"insert_after": "consent_purpose",
				"depends_on": "eval:doc.fieldtype == 'Check'",
				"module": MODULE,
				"description": _("What the person wants to hear about, under the purpose of the topic."),
			},
		],
		"Email Group Member": [
			{
				"fieldname": "consent_ended",
				"fieldtype": "Check",
				"label": _("Consent Ended"),
				"insert_after": "unsubscribed",
				"module": MODULE,
				"description": _("Unsubscribed because a consent ended, not by a word of the person."),
				"read_only": 1,
				"no_copy": 1,
			}
		],
	}


def _restriction() -> list[dict]:
	return [
		{
			"fieldname": "processing_restricted",
			"fieldtype": "Check",
			"label": _("Processing Restricted"),
			"insert_after": standing.FIELD,
			"module": MODULE,
			"description": _("The person asked us to store it only (Art. 18 GDPR)."),
			"depends_on": "processing_restricted",
			"read_only": 1,
			"no_copy": 1,
			"print_hide": 1,
			"in_standard_filter": 1,
			"search_index": 1,
		}
	]


def _about_a_person(early: str, last: str) -> list[dict]:
	return [
		{
			"fieldname": standing.FIELD,
			"fieldtype": "Select",
			"label": _("Marketing Mail"),
			"options": "\n".join(one.value for one in standing.Standing),
			"insert_after": early,
			"module": MODULE,
			"description": _("Whether the gate let marketing mail through when it was last asked."),
			"hidden": 1,  # the form has the panel, which asks anew
			"read_only": 1,
			"no_copy": 1,
			"print_hide": 1,
			"search_index": 1,
			"in_list_view": 1,
			"in_standard_filter": 1,
		},
		{
			"fieldname": "consent_privacy_tab",
			"fieldtype": "Tab Break",
			"label": _("Privacy"),
			"insert_after": last,
			"module": MODULE,
		},
		{
			"fieldname": "consent_privacy",
			"fieldtype": "HTML",
			"insert_after": "consent_privacy_tab",
			"module": MODULE,
		},
	]


BLOCKED = "Blocked"
# Select fields that get one more option: core writes statuses by SQL, but a later save would refuse it.
WITH_BLOCKED = (("Email Queue", "status"), ("Email Queue Recipient", "status"))
# What core demands of a Newsletter, and a topic makes up for. `gate.newsletter` demands one of the two.
PROPERTIES = (
	("Newsletter", "email_group", "reqd", "Check", "0"),
	("Newsletter", "email_group", "mandatory_depends_on", "Data", "eval:!doc.subscription_topic"),
	(
		"Newsletter",
		"email_group",
		"description",
		"Text",
		_("Empty, with a Subscription Topic below: everybody who agreed to hear about the topic."),
	),
)
