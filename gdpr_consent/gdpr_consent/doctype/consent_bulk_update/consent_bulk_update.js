gdpr_consent.bulk_update.set_up_columns(); // before the table is made

frappe.ui.form.on("Consent Bulk Update", {
	setup(frm) {
		gdpr_consent.bulk_update.set_up_rules(frm);
		frm.get_field("address_list").df.options = { restrictions: { allowed_file_types: [".csv"] } };
		frappe.realtime.on("consent_bulk_update", ({ name }) => {
			if (cur_frm === frm && frm.docname === name) gdpr_consent.bulk_update.show_status(frm);
		});
	},

	refresh(frm) {
		const { EDITABLE, STATUS_COLOURS } = gdpr_consent.bulk_update.words;
		const { status } = frm.doc;
		const is_locked = !EDITABLE.includes(status);
		for (const field of ["title", "reason", "address_list", "rules"]) {
			frm.set_df_property(field, "read_only", is_locked ? 1 : 0);
		}
		if (is_locked) frm.disable_save();
		else frm.enable_save();
		gdpr_consent.show_local_times("Consent Bulk Update", frm);
		gdpr_consent.bulk_update.show_rules(frm);
		if (frm.is_new()) return;
		frm.page.set_indicator(__(status), STATUS_COLOURS[status]);
		add_address_button(frm);
		frm.bulk_update_shown = frm.bulk_update_steps = null;
		gdpr_consent.bulk_update.show_status(frm);
	},

	address_list: add_address_button,

	validate() {
		gdpr_consent.bulk_update.read_editors();
	},
});

frappe.ui.form.on("Consent Bulk Update Rule", gdpr_consent.bulk_update.rule_events);

function add_address_button(frm) {
	const label = __("Check and Load");
	const field = frm.fields_dict.address_list;
	field.$wrapper.find(".load-addresses").remove();
	if (!frm.doc.address_list || field.df.read_only || frm.is_new()) return;
	$(`<button type="button" class="btn btn-default btn-xs load-addresses mt-2">${label}</button>`)
		.appendTo(field.$wrapper)
		.on("click", () => gdpr_consent.bulk_update.load_addresses(frm));
}
