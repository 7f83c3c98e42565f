from gdpr_consent.append_only import AppendOnlyDocument


class SensitiveAccessLog(AppendOnlyDocument):
	how_to = "gdpr_consent.sensitive_data.access_log"
