(() => {
	const { ask_again, filters, format } = gdpr_consent.reports;

	frappe.query_reports["Expiring and Lapsed"] = {
		filters: [
			filters.days("days_ahead", __("Ends within Days")),
			filters.days("days_back", __("Ended in the Last Days")),
			filters.purpose(),
			filters.topic(),
			filters.source(),
			filters.legal_basis(),
			filters.company(),
		],
		formatter: format,
		onload(report) {
			if (!frappe.model.can_create("Consent Bulk Update")) return;
			report.page.add_inner_button(__("Ask Again"), () => ask_again(report.get_filter_values()));
		},
	};
})();
