frappe.ui.form.on("Opportunity", {
	refresh(frm) {
		gdpr_consent.show_on_form(frm);
	},
	on_tab_change(frm) {
		gdpr_consent.on_tab_change(frm);
	},
});
