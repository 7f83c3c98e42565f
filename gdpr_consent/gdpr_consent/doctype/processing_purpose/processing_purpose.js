frappe.ui.form.on("Processing Purpose", {
	refresh(frm) {
		if (frm.is_new() || !frm.doc.__onload?.lacks_assessment) return;
		gdpr_consent.set_headline(
			frm,
			__(
				"It may rest on legitimate interests, and no assessment of them is in force (Art. 6(1)(f) GDPR).",
			),
			"orange",
		);
		if (!frappe.model.can_create("Legitimate Interests Assessment")) return;
		frm.add_custom_button(__("Assess Interests"), () =>
			frappe.new_doc("Legitimate Interests Assessment", { purpose: frm.doc.name }),
		);
	},
});
