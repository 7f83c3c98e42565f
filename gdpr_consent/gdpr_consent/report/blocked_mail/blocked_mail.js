(() => {
	const { blocking_reasons, filters, format, link_counts } = gdpr_consent.reports;
	const decisions_of = ({ code, reference_doctype, reference_name }) =>
		reference_name && {
			doctype: "Consent Decision",
			filters: { allowed: 0, reason: code, reference_doctype, reference_name },
		};

	frappe.query_reports["Blocked Mail"] = {
		filters: [
			filters.from_date(frappe.datetime.add_days(frappe.datetime.get_today(), -29)),
			filters.to_date(),
			{ ...filters.select("reason", __("Reason"), []), options: ["", ...blocking_reasons()] },
			{
				...filters.select("reference_doctype", __("Kind of Mail"), [
					"Newsletter",
					"Email Campaign",
					"Notification",
					"Auto Email Report",
				]),
			},
			filters.purpose(),
			filters.topic(),
			filters.channel(),
		],
		onload(report) {
			this.formatter = link_counts(report, "mails", decisions_of);
		},
		formatter: format,
	};
})();
