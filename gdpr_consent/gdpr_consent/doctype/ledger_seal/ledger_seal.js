frappe.ui.form.on("Ledger Seal", {
	refresh(frm) {
		frm.disable_save();
		gdpr_consent.show_local_times("Ledger Seal", frm);
	},
});
