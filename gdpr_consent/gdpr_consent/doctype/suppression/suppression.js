frappe.ui.form.on("Suppression", {
	refresh(frm) {
		const { kind, lifted_on } = frm.doc;
		frm.disable_save();
		gdpr_consent.show_local_times("Suppression", frm);
		const words = gdpr_consent.words.escape(gdpr_consent.words.refusals()[kind] || kind);
		gdpr_consent.set_headline(frm, words, lifted_on ? "blue" : "orange");
	},
});
