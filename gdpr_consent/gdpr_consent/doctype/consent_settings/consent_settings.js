const MAY_CHECK = ["System Manager", "Privacy Officer"];
const STALE_DAYS = 2; // the check runs daily

frappe.ui.form.on("Consent Settings", {
	refresh(frm) {
		show_self_check(frm);
		show_signs(frm);
		if (MAY_CHECK.some((role) => frappe.user.has_role(role))) {
			frm.add_custom_button(__("Check Now"), async () => {
				await frappe.call({
					method: "gdpr_consent.gate.self_check.check_now",
					type: "POST",
					freeze: true,
				});
				await frm.reload_doc();
			});
		}
	},
});

function show_self_check(frm) {
	const problems = gdpr_consent.lines(frm.doc.self_check_problems);
	const checked = frm.doc.self_checked_on;
	const message = (colour, html) =>
		frm.fields_dict.self_check.$wrapper.html(`<div class="form-message ${colour} rounded">${html}</div>`);
	const when = __("Checked {0}.", [checked ? frappe.datetime.comment_when(checked) : __("never")]);
	if (problems.length) {
		message("red", `${gdpr_consent.problems_html(problems)}<div class="mt-2">${when}</div>`);
	} else if (!checked || frappe.datetime.get_day_diff(frappe.datetime.now_date(), checked) > STALE_DAYS) {
		message("orange", `${when} ${__("It should run every day. Is the scheduler running?")}`);
	} else {
		message("green", `${__("The gate is sound.")} ${when}`);
	}
}

async function show_signs(frm) {
	const { message } = await frappe.call({
		method: "gdpr_consent.gate.classify.explain_signs",
		type: "GET",
	});
	const steps = message.map((sign) => `<li>${frappe.utils.escape_html(sign)}</li>`).join("");
	const intro = __("The first of these signs that a mail shows says what it is about:");
	frm.fields_dict.signs.$wrapper.html(`<p>${intro}</p><ol>${steps}</ol>`);
}
