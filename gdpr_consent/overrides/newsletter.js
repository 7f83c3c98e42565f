frappe.ui.form.on("Newsletter", {
	setup(frm) {
		frm.set_query("consent_purpose", () => ({ filters: { enabled: 1, is_marketing: 1 } }));
		frm.set_query("subscription_topic", ({ consent_purpose }) => ({
			filters: { enabled: 1, ...(consent_purpose ? { purpose: consent_purpose } : {}) },
		}));
	},

	refresh(frm) {
		if (frm.doc.email_sent) {
			frm.add_custom_button(__("Who Got It?"), () => gdpr_consent.show_delivery(frm));
		} else if (!frm.is_new()) {
			frm.add_custom_button(__("Who Gets It?"), () => gdpr_consent.show_audience(frm));
		}
	},
});
