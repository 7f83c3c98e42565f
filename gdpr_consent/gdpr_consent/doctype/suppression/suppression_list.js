gdpr_consent.show_local_times("Suppression"); // before the columns are made

frappe.listview_settings["Suppression"] = {
	add_fields: ["kind", "lifted_on"],
	hide_name_column: true,

	onload(listview) {
		gdpr_consent.do_not_filter_by_instant(listview);
	},

	formatters: {
		kind: (kind) => gdpr_consent.words.escape(gdpr_consent.words.refusals()[kind] || __(kind)),
	},

	get_indicator({ lifted_on }) {
		return lifted_on
			? [__("Lifted"), "grey", "lifted_on,is,set"]
			: [__("In Force"), "red", "lifted_on,is,not set"];
	},
};
