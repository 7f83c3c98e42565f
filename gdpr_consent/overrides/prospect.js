frappe.ui.form.on("Prospect", {
	refresh(frm) {
		gdpr_consent.show_on_form(frm);
	},
});
