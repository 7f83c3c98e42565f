frappe.ui.form.on("Suppression", {
	refresh(frm) {
		const { kind, lifted_on } = frm.doc;
		frm.disable_save();
		gdpr_consent.show_local_times("Suppression", frm);
		const words = gdpr_consent.words.escape(gdpr_consent.words.refusals()[kind] || kind);
		gdpr_consent.set_headline(frm, words, lifted_on ? "blue" : "orange");
		// The headline says it. Core's word for one of the options is a bank's, in some languages.
		frm.toggle_display("kind", false);
		if (kind === "Bounce" && !lifted_on && frm.doc.email && frappe.model.can_write("Consent")) {
			frm.add_custom_button(__("Lift"), () => lift(frm));
		}
		if (frappe.user.has_role(["Privacy Officer", "System Manager"])) {
			const more = (label, act) => frm.add_custom_button(label, act, __("More"));
			more(__("Verify the Register"), gdpr_consent.verify);
			more(__("Rebuild from its Events"), () =>
				gdpr_consent.rebuild(frm.doc.name, () => frm.reload_doc()),
			);
		}
	},
});

function lift(frm) {
	frappe.prompt(
		{
			fieldtype: "Small Text",
			fieldname: "reason",
			label: __("Reason"),
			reqd: 1,
			description: __("Why the mailbox is thought to work again."),
		},
		async ({ reason }) => {
			await frappe.call({
				method: "gdpr_consent.api.lift_bounce",
				type: "POST",
				args: { email: frm.doc.email, reason },
				freeze: true,
			});
			frm.reload_doc();
		},
		__("Mail Comes Back"),
		__("Lift"),
	);
}
