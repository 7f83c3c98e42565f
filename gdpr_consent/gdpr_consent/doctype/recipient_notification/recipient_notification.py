from gdpr_consent.append_only import AppendOnlyDocument


class RecipientNotification(AppendOnlyDocument):
	how_to = "gdpr_consent.rights.notifications"
