frappe.ui.form.on("Contact", {
	refresh(frm) {
		gdpr_consent.show_on_form(frm);
	},
});
