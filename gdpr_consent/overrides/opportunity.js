frappe.ui.form.on("Opportunity", {
	refresh(frm) {
		gdpr_consent.show_on_form(frm);
	},
});
