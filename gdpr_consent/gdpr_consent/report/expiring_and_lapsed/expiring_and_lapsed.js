(() => {
	const { ask_after_the_end, ask_before_the_end, filters, format } = gdpr_consent.reports;

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
			const add = (label, act) => report.page.add_inner_button(label, act, __("Ask Again"));
			if (frappe.model.can_write("Consent Wording")) {
				add(__("Whose Consent Ends Soon"), () =>
					ask_before_the_end(report.get_filter_value("days_ahead")),
				);
			}
			if (frappe.model.can_create("Consent Bulk Update")) {
				add(__("Whose Consent Ended"), () => ask_after_the_end(report.get_filter_values()));
			}
		},
	};
})();
