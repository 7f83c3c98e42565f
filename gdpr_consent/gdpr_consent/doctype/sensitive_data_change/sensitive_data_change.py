from gdpr_consent.append_only import AppendOnlyDocument


class SensitiveDataChange(AppendOnlyDocument):
	how_to = "gdpr_consent.sensitive_data.protection"
