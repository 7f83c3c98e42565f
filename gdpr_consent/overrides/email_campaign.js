frappe.ui.form.on("Email Campaign", {
	refresh(frm) {
		if (!frm.is_new()) {
			frm.add_custom_button(__("Who Gets It?"), () => gdpr_consent.show_audience(frm));
		}
	},
});
