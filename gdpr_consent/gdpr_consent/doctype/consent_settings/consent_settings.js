const MAY_CHECK = ["System Manager", "Privacy Officer"];
const STALE_DAYS = 2; // the check runs daily

frappe.ui.form.on("Consent Settings", {
	refresh(frm) {
		show_self_check(frm);
		show_canary(frm);
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
			frm.add_custom_button(__("Try All Paths Now"), () => try_all_paths(frm));
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

// What became of a path: its mark, its colour, and what it means.
const outcomes = () => ({
	Passed: ["green", __("holds")],
	Leaked: ["red", __("lets through")],
	"Not Tried": ["orange", __("not tried")],
	Absent: ["gray", __("not there")],
});

async function show_canary(frm) {
	const { message: paths } = await frappe.call({
		method: "gdpr_consent.gate.canary_report.paths_tried",
		type: "GET",
	});
	const escape = frappe.utils.escape_html;
	const { canary_tried_on: tried, canary_passed_on: passed } = frm.doc;
	const ago = (when) => (when ? frappe.datetime.comment_when(when) : __("never"));
	const is_stale = !passed || frappe.datetime.get_day_diff(frappe.datetime.now_date(), passed) > STALE_DAYS;
	const has = (outcome) => paths.some((one) => one.outcome === outcome);
	const colour = has("Leaked") ? "red" : is_stale || has("Not Tried") ? "orange" : "green";
	const intro = __(
		"Each day the canary sends on every path to people who don't exist. One agreed and has to be reached; one objected and one never agreed, and must not be. Nothing leaves the site.",
	);
	const items = paths.map(({ label, outcome, why }) => {
		const [pill, meaning] = outcomes()[outcome];
		const reason = why ? `<div class="text-muted small">${escape(why)}</div>` : "";
		return `<li class="border-bottom py-1"><div class="d-flex flex-wrap justify-content-between"><span>${escape(label)}</span><span class="indicator-pill no-indicator-dot ${pill}">${meaning}</span></div>${reason}</li>`;
	});
	const when = [
		__("The canary passed last {0}.", [ago(passed)]),
		__("It was tried last {0}.", [ago(tried)]),
	].join(" ");
	frm.fields_dict.canary.$wrapper.html(
		`<div class="consent-canary" style="overflow-wrap: anywhere"><p>${intro}</p><div class="form-message ${colour} rounded">${when}</div><ul class="list-unstyled">${items.join("")}</ul></div>`,
	);
}

async function try_all_paths(frm) {
	const tried_on = () => frappe.db.get_single_value("Consent Settings", "canary_tried_on");
	const before = await tried_on();
	await frappe.call({ method: "gdpr_consent.gate.canary.try_now", type: "POST" });
	frappe.show_alert(__("All paths are tried in the background. This takes half a minute."));
	for (let asked = 0; asked < 120; asked++) {
		await new Promise((resolve) => window.setTimeout(resolve, 1000));
		if ((await tried_on()) !== before) break;
	}
	if (cur_frm === frm && !frm.is_dirty()) await frm.reload_doc();
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
