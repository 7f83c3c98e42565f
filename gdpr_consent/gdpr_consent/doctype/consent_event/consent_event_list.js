frappe.listview_settings["Consent Event"] = {
	hide_name_column: true,

	onload() {
		gdpr_consent.show_local_times("Consent Event");
	},
};
