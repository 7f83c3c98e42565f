from gdpr_consent.append_only import AppendOnlyDocument


class LedgerSeal(AppendOnlyDocument):
	how_to = "bench gdpr-consent seal"
