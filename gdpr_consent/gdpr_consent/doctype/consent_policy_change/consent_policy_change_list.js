gdpr_consent.show_local_times("Consent Policy Change"); // before the columns are made

frappe.listview_settings["Consent Policy Change"] = {
	onload(listview) {
		gdpr_consent.do_not_filter_by_instant(listview);
	},
};
