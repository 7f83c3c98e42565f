from gdpr_consent.append_only import AppendOnlyDocument


class ConsentLock(AppendOnlyDocument):
	pass
