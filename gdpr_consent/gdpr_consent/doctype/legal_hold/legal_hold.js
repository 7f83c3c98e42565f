frappe.ui.form.on("Legal Hold", {
	setup(frm) {
		frm.set_query("party_type", () => ({ filters: { name: ["in", ["Contact", "Lead", "Customer"]] } }));
	},

	refresh(frm) {
		if (frm.is_new() || frm.doc.released_on) return;
		frm.page.set_indicator(__("In Force"), "red");
		if (!frappe.user.has_role("Privacy Officer")) return;
		frm.add_custom_button(__("Release…"), () =>
			frappe.prompt(
				{
					fieldname: "reason",
					fieldtype: "Small Text",
					label: __("Reason of Release"),
					reqd: 1,
				},
				async ({ reason }) => {
					await frappe.xcall("gdpr_consent.legal_hold.release", { name: frm.doc.name, reason });
					frm.reload_doc();
				},
				__("Release {0}", [frm.doc.name]),
				__("Release"),
			),
		);
	},
});
