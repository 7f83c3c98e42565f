const COLOURS = { "In Force": "green", "Not in Force": "red", Off: "grey" };

frappe.listview_settings["Sensitive Field"] = {
	add_fields: ["state", "state_reason", "sensitivity", "field_label"],
	hide_name_column: true,

	onload(listview) {
		if (!frappe.model.can_create("Sensitive Field")) return;
		listview.page.add_inner_button(__("Find Candidates…"), () =>
			gdpr_consent.find_candidates(() => listview.refresh()),
		);
	},

	formatters: {
		fieldname: (fieldname, _df, { field_label }) =>
			fieldname
				? gdpr_consent.words.escape(__(field_label || fieldname))
				: `<i>${__("The whole DocType")}</i>`,
	},

	get_indicator: ({ state }) => [__(state || "Off"), COLOURS[state] || "grey", `state,=,${state}`],
};
