from gdpr_consent.append_only import AppendOnlyDocument


class ConsentEventPayload(AppendOnlyDocument):
	pass
