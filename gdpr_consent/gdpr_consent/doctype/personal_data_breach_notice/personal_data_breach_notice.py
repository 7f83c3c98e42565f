from gdpr_consent.append_only import AppendOnlyDocument


class PersonalDataBreachNotice(AppendOnlyDocument):
	how_to = "gdpr_consent.breaches"
