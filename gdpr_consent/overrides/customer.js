frappe.ui.form.on("Customer", {
	refresh(frm) {
		gdpr_consent.show_on_form(frm);
	},
});
