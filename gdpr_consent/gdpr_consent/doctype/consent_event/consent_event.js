frappe.ui.form.on("Consent Event", {
	refresh(frm) {
		frm.disable_save();
		gdpr_consent.show_local_times("Consent Event", frm);
	},
});
