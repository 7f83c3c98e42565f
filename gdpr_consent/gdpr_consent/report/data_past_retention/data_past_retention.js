frappe.query_reports["Data Past Retention"] = {
	filters: [
		{
			fieldname: "rule",
			fieldtype: "Link",
			label: __("Retention Rule"),
			options: "Retention Rule",
		},
	],
};
