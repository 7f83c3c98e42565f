const MAY_CHECK = ["System Manager", "Privacy Officer"];
const STALE_DAYS = 2; // the check runs daily

frappe.ui.form.on("Consent Settings", {
	refresh(frm) {
		show_self_check(frm);
		show_signs(frm);
		show_open_paths(frm);
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
	const never = __("never");
	const when = __("Checked {0}.", [checked ? frappe.datetime.comment_when(checked) : never]);
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

async function show_open_paths(frm) {
	const field = frm.fields_dict.open_paths;
	const may_see = MAY_CHECK.some((role) => frappe.user.has_role(role));
	frm.toggle_display("open_paths", may_see);
	if (!may_see) return;
	const { message: paths } = await frappe.call({
		method: "gdpr_consent.sensitive_data.api.open_paths",
		type: "GET",
	});
	const escape = frappe.utils.escape_html;
	const items = paths.map(
		({ title, why, frappe: versions, workaround }) => `<li class="mb-3">
			<b>${escape(title)}</b> <span class="text-muted">${__("Frappe {0}", [escape(versions)])}</span>
			<div>${escape(why)}</div>
			<div class="text-muted">${__("What helps: {0}", [escape(workaround)])}</div>
		</li>`,
	);
	const intro = paths.length
		? __("On these ways a protected value can still be read. No app can close them:")
		: __("No way to a protected value is known to be open.");
	field.$wrapper.html(
		`<p>${intro}</p><ul class="pl-4" style="overflow-wrap: anywhere">${items.join("")}</ul>`,
	);
}
