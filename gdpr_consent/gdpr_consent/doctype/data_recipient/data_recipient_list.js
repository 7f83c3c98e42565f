frappe.listview_settings["Data Recipient"] = {
	add_fields: ["enabled", "is_told"],

	get_indicator({ enabled, is_told }) {
		if (!enabled) return [__("Disabled"), "grey", "enabled,=,0"];
		return is_told
			? [__("Is Told"), "green", "is_told,=,1"]
			: [__("Isn't Told"), "orange", "is_told,=,0"];
	},
};
