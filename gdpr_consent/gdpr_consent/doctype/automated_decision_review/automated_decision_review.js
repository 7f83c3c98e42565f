frappe.ui.form.on("Automated Decision Review", {
	refresh(frm) {
		frm.disable_save();
		const { status, reviewer, reviewed_by } = frm.doc;
		const is_officer = frappe.user.has_role("Privacy Officer");
		const may_review = is_officer || frappe.session.user === reviewer;
		if (
			status !== "Reviewed" &&
			may_review &&
			!(status === "Contested" && reviewed_by === frappe.session.user)
		) {
			frm.add_custom_button(__("Finish Review"), () => finish(frm)).addClass("btn-primary");
		}
		if (status === "Reviewed" && is_officer) {
			frm.add_custom_button(__("The Person Contests It"), () => contest(frm));
		}
		const colours = { Open: "orange", Reviewed: "green", Contested: "red" };
		frm.page.set_indicator(__(status), colours[status]);
	},
});

function finish(frm) {
	frappe.prompt(
		[
			{
				fieldtype: "Select",
				fieldname: "result",
				label: __("Result"),
				options: ["Confirmed", "Corrected", "Not Used Again"],
				reqd: 1,
				description: __("Corrected: the record has the right value now."),
			},
			{
				fieldtype: "Small Text",
				fieldname: "reasons",
				label: __("Reasons"),
				reqd: 1,
				description: __("In words that the person understands: they get them."),
			},
		],
		async (values) => {
			await gdpr_consent.rights.call("finish_review", { review: frm.docname, ...values });
			frm.reload_doc();
		},
		__("Finish Review"),
		__("Save"),
	);
}

function contest(frm) {
	frappe.prompt(
		{
			fieldtype: "Small Text",
			fieldname: "point_of_view",
			label: __("Point of View"),
			reqd: 1,
			description: __("What the person says. Somebody else looks at it then."),
		},
		async (values) => {
			await gdpr_consent.rights.call("contest_review", { review: frm.docname, ...values });
			frm.reload_doc();
		},
		__("The Person Contests It"),
		__("Save"),
	);
}
