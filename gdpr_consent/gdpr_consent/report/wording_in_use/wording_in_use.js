(() => {
	const { filters, format } = gdpr_consent.reports;

	frappe.query_reports["Wording in Use"] = {
		filters: [
			filters.purpose(),
			filters.topic(),
			{ fieldname: "language", label: __("Language"), fieldtype: "Link", options: "Language" },
			{ fieldname: "only_in_use", label: __("Only Those in Use"), fieldtype: "Check" },
		],
		formatter: format,
	};
})();
