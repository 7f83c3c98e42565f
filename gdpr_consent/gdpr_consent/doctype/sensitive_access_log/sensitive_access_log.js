frappe.ui.form.on("Sensitive Access Log", {
	refresh(frm) {
		const happened = {
			View: __("Shown on a form, in a list or in an answer to a program."),
			Reveal: __("Revealed on a form, for the purpose and the reason given here."),
			Print: __("Printed, or made a PDF of."),
			Report: __("Shown in a report."),
			Export: __("Exported to a file."),
		};
		frm.disable_save();
		gdpr_consent.show_local_times("Sensitive Access Log", frm);
		gdpr_consent.set_headline(frm, happened[frm.doc.how] || "", "blue");
	},
});
