(() => {
	const { filters, format } = gdpr_consent.reports;

	frappe.query_reports["Record of Processing Activities"] = {
		filters: [
			filters.company(),
			{ fieldname: "with_disabled", label: __("Disabled Ones Too"), fieldtype: "Check" },
		],
		formatter: format,
	};
})();
