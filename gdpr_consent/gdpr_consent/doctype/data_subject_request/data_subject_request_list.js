frappe.listview_settings["Data Subject Request"] = {
	add_fields: ["status", "due_on", "right"],

	get_indicator(doc) {
		return [
			gdpr_consent.rights.days_text(doc),
			gdpr_consent.rights.due_colour(doc),
			`status,=,${doc.status}`,
		];
	},
};
