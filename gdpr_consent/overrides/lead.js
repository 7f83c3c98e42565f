frappe.ui.form.on("Lead", {
	refresh(frm) {
		gdpr_consent.show_on_form(frm);
	},
});
