gdpr_consent.show_local_times("Consent Decision"); // before the columns are made

frappe.listview_settings["Consent Decision"] = {
	add_fields: ["allowed", "reason"],
	hide_name_column: true,

	onload(listview) {
		gdpr_consent.do_not_filter_by_instant(listview);
	},

	formatters: {
		reason: (reason) => gdpr_consent.words.escape(gdpr_consent.words.reason_label(reason)),
	},

	get_indicator({ allowed }) {
		return allowed ? [__("Allowed"), "green", "allowed,=,1"] : [__("Blocked"), "red", "allowed,=,0"];
	},
};
