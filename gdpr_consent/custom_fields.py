"""What the app adds to DocTypes of others: one list, read by installation, uninstallation and the self-check.

Each has the app's module, by which `uninstall-app` finds and deletes it.
"""

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


def _(text: str) -> str:
	"""Mark a text for translation; the desk translates it when it shows it."""
	return text


def custom_fields() -> dict[str, list[dict]]:
	"""Return the custom fields by DocType, for `create_custom_fields`."""
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
