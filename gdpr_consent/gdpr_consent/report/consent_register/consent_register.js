(() => {
	const { filters, format } = gdpr_consent.reports;

	frappe.query_reports["Consent Register"] = {
		filters: [
			filters.status(),
			filters.purpose(),
			filters.topic(),
			filters.legal_basis(),
			filters.source(),
			filters.grade(),
			filters.from_date(),
			filters.to_date(),
			filters.company(),
			filters.party_type(),
			filters.channel(),
		],
		formatter: format,
	};
})();
