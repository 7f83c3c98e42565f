frappe.listview_settings["Legitimate Interests Assessment"] = {
	add_fields: ["docstatus", "outcome", "review_on"],
	has_indicator_for_draft: true,

	get_indicator({ docstatus, outcome, review_on }) {
		if (docstatus === 0) return [__("Draft"), "gray", "docstatus,=,0"];
		if (docstatus === 2) return [__("Cancelled"), "gray", "docstatus,=,2"];
		if (outcome !== "Our interest outweighs")
			return [__("Not Allowed"), "red", "docstatus,=,1|outcome,=,The people's interests outweigh"];
		const today = frappe.datetime.get_today();
		return review_on <= today
			? [__("Review Overdue"), "orange", `docstatus,=,1|review_on,<=,${today}`]
			: [__("In Force"), "green", `docstatus,=,1|review_on,>,${today}`];
	},
};
