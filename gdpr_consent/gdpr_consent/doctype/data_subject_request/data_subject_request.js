frappe.ui.form.on("Data Subject Request", {
	refresh(frm) {
		gdpr_consent.rights.show_request(frm);
	},

	after_save(frm) {
		frm.reload_doc(); // some rights are done by now
	},
});
