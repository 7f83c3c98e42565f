gdpr_consent.show_local_times("Consent Event"); // before the columns are made

frappe.listview_settings["Consent Event"] = {
	hide_name_column: true,

	onload(listview) {
		gdpr_consent.do_not_filter_by_instant(listview);
	},
};
