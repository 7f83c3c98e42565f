frappe.ui.form.on("Retention Rule", {
	async refresh(frm) {
		await edit_conditions(frm);
		if (frm.is_new()) return;
		frm.add_custom_button(__("Who Is Concerned?"), () =>
			frappe.set_route("query-report", "Data Past Retention", { rule: frm.doc.name }),
		);
		if (frm.doc.enabled && frappe.user.has_role("Privacy Officer")) {
			frm.add_custom_button(__("Erase…"), () => erase(frm));
		}
		frappe.realtime.off("consent_retention");
		frappe.realtime.on("consent_retention", ({ name, erased, is_done }) => {
			if (name !== frm.doc.name) return;
			frappe.show_alert({ message: __("{0} people erased", [erased]), indicator: "green" });
			if (is_done) frm.reload_doc();
		});
	},

	ref_doctype(frm) {
		frm.set_value("filters", "[]");
		edit_conditions(frm);
	},
});

async function edit_conditions(frm) {
	if (!frm.doc.ref_doctype) return;
	await gdpr_consent.filters.edit_filters(frm.get_field("filters_html"), {
		doctype: frm.doc.ref_doctype,
		json: frm.doc.filters,
		on_change(filters) {
			if (filters !== (frm.doc.filters || "[]")) frm.set_value("filters", filters);
		},
	});
}

async function erase(frm) {
	if (frm.is_dirty()) await frm.save();
	const { due, held, selection_hash } = await frappe.xcall("gdpr_consent.rights.retention.look", {
		rule: frm.doc.name,
	});
	if (!due) {
		frappe.msgprint(__("Nobody is past retention by this rule, or all of them are held."));
		return;
	}
	const held_words = held ? __("{0} are held and stay.", [held]) : "";
	frappe.confirm(
		`${__("Erase the data of {0} people? This can't be taken back.", [due])} ${held_words}`,
		async () => {
			await frappe.xcall("gdpr_consent.rights.retention.erase", {
				rule: frm.doc.name,
				selection_hash,
			});
			frm.reload_doc();
		},
	);
}
