frappe.listview_settings["Suppression"] = {
	add_fields: ["kind", "lifted_on"],
	hide_name_column: true,

	onload() {
		gdpr_consent.show_local_times("Suppression");
	},

	get_indicator({ lifted_on }) {
		return lifted_on
			? [__("Lifted"), "grey", "lifted_on,is,set"]
			: [__("In Force"), "red", "lifted_on,is,not set"];
	},
};
