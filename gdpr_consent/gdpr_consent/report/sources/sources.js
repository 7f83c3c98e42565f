(() => {
	const { filters, format } = gdpr_consent.reports;

	frappe.query_reports["Sources"] = {
		filters: [
			filters.from_date(),
			filters.to_date(),
			filters.purpose(),
			filters.topic(),
			filters.channel(),
			filters.company(),
		],
		formatter: format,
	};
})();
