frappe.ui.form.on("Consent Policy Change", {
	refresh(frm) {
		frm.disable_save();
		gdpr_consent.show_local_times("Consent Policy Change", frm);
	},
});
