frappe.query_reports["Personal Data Map"] = {
	filters: [{ fieldname: "only_uncovered", label: __("Only What Is Missing"), fieldtype: "Check" }],
};
