const COLOURS = { "In Force": "green", "Not in Force": "red", Off: "grey" };

frappe.listview_settings["Sensitive Field"] = {
	add_fields: ["state", "ref_doctype", "fieldname", "field_label"],
	hide_name_column: true, // the first column tells more

	onload(listview) {
		if (!frappe.model.can_create("Sensitive Field")) return;
		listview.page.add_inner_button(__("Find Candidates…"), () =>
			gdpr_consent.find_candidates(() => {
				listview.last_args = null; // within three seconds the list would think that nothing is new
				listview.refresh();
			}),
		);
	},

	formatters: {
		name: (_name, _df, { ref_doctype, fieldname, field_label }) => {
			const field = fieldname ? __(field_label || fieldname) : __("as a whole");
			return `${__(ref_doctype)}: ${field}`; // set as text
		},
	},

	get_indicator: ({ state }) => [__(state || "Off"), COLOURS[state] || "grey", `state,=,${state}`],
};
