(() => {
	const { filters, format, link_counts } = gdpr_consent.reports;
	const list_of = ({ party_type, code }) =>
		code &&
		code !== "Not Computed Yet" &&
		frappe.model.can_read(party_type) && { doctype: party_type, filters: { marketing_mail: code } };

	frappe.query_reports["Consent Coverage"] = {
		filters: [
			filters.select("view", __("View"), ["Marketing Mail", "Legal Basis"], "Marketing Mail"),
			filters.select("party_type", __("Records"), ["Contact", "Lead", "Customer"]),
			{
				...filters.purpose(),
				depends_on: "eval:frappe.query_report.get_filter_value('view') === 'Legal Basis'",
			},
		],
		onload(report) {
			this.formatter = link_counts(report, "records", list_of);
		},
		formatter: format,
	};
})();
