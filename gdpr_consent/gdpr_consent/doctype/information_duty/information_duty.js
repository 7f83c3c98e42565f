frappe.ui.form.on("Information Duty", {
	refresh(frm) {
		if (frm.is_new()) return;
		frm.add_custom_button(__("Show Notice"), () => show(frm));
		if (frm.doc.status === "Due" && frm.doc.email && frm.perm[0].write) {
			frm.add_custom_button(__("Send Notice"), () => send(frm)).addClass("btn-primary");
		}
		const late = frm.doc.status === "Due" && frm.doc.due_on < frappe.datetime.get_today();
		if (late) gdpr_consent.set_headline(frm, __("The person should know by now."), "red");
	},
});

async function show(frm) {
	const html = await gdpr_consent.rights.call("show_notice", { duty: frm.doc.name });
	const dialog = new frappe.ui.Dialog({
		title: __("Notice"),
		size: "large",
		fields: [{ fieldtype: "HTML", fieldname: "notice" }],
	});
	dialog.fields_dict.notice.$wrapper.html(html); // made by our own template, which escapes
	dialog.show();
}

async function send(frm) {
	await gdpr_consent.rights.call("send_notices", { duties: [frm.doc.name] });
	frappe.show_alert({ message: __("Notices being sent: {0}", [1]), indicator: "blue" });
}
