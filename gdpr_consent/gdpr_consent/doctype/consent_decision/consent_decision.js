frappe.ui.form.on("Consent Decision", {
	refresh(frm) {
		const { allowed, reason } = frm.doc;
		const answer = allowed ? __("This mail was allowed.") : __("This mail was blocked.");
		const why = gdpr_consent.words.escape(gdpr_consent.words.reason_text(reason));
		frm.disable_save();
		gdpr_consent.show_local_times("Consent Decision", frm);
		gdpr_consent.set_headline(frm, `${answer} ${why}`, allowed ? "green" : "orange");
	},
});
