gdpr_consent.show_local_times("Ledger Seal"); // before the columns are made

frappe.listview_settings["Ledger Seal"] = {
	hide_name_column: true,

	onload(listview) {
		gdpr_consent.do_not_filter_by_instant(listview);
	},
};
