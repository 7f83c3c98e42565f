frappe.ui.form.on("Consent Wording", {
	refresh(frm) {
		if (frm.is_new() || !frm.doc.material) return;
		frm.add_custom_button(__("Who Must Be Asked Again?"), () => show_who(frm));
	},
});

async function show_who(frm) {
	const { doc } = frm;
	const { consents, wordings } = await gdpr_consent.api("reconsent_overview", { wording: doc.name });
	const list = `/app/consent?status=Given&wording=${encodeURIComponent(JSON.stringify(["in", wordings.join(",")]))}`;
	const count = __("Consents that rest on an older text: {0}. No marketing is sent on them.", [consents]);
	const dialog = new frappe.ui.Dialog({
		title: __("Who Must Be Asked Again?"),
		fields: [{ fieldtype: "HTML", fieldname: "text" }],
	});
	dialog.fields_dict.text.$wrapper.html(
		`<p>${count} <a href="${list}">${__("Show them")}</a></p>
		<p class="text-muted">${__("Each person gets one mail with the new text. Those who said no, and those who were asked already, get none.")}</p>`,
	);
	if (consents && frm.perm[0].write) {
		dialog.set_primary_action(__("Ask Them"), async () => {
			dialog.hide();
			await gdpr_consent.api("start_reconsent", { wording: doc.name });
			frappe.show_alert({ message: __("The mails are being queued."), indicator: "blue" });
		});
	}
	dialog.show();
}
