// How far a Consent Bulk Update is, and the next step.
import { show_items } from "./bulk_update_items";
import { show_overview } from "./bulk_update_overview";
import { BUSY, ITEM, bar_html, call, number, option } from "./bulk_update_words";
import { set_headline } from "./person";
import { bold, escape } from "./words";

const POLL = 1000; // milliseconds

/** Say how long it takes, roughly, as nobody knows better. */
export function time_left(seconds) {
	if (seconds === null || seconds === undefined) return "";
	if (seconds < 45) return __("less than a minute left");
	const minutes = Math.round(seconds / 60);
	if (minutes <= 1) return __("about a minute left");
	if (minutes < 90) return __("about {0} minutes left", [minutes]);
	return __("about {0} hours left", [Math.round(minutes / 60)]);
}

/** Ask for the status and show it, again and again while a worker is at it. */
export async function show_status(frm) {
	window.clearTimeout(frm.bulk_update_timer);
	const { docname } = frm;
	const is_gone = () => frm.docname !== docname || cur_frm !== frm || frm.is_new();
	if (frm.is_new()) return;
	const again = (milliseconds) => {
		frm.bulk_update_timer = window.setTimeout(() => show_status(frm), milliseconds);
	};
	let status;
	try {
		status = await call("api.status", { bulk_update: docname });
	} catch {
		// Frappe has said why. The work goes on without this page, and the server may come back.
		if (!is_gone() && BUSY.includes(frm.doc.status)) again(5 * POLL);
		return;
	}
	if (is_gone()) return;
	if (status.status !== frm.doc.status && !frm.is_dirty()) return frm.reload_doc(); // which comes here again
	const is_busy = BUSY.includes(status.status);
	show_headline(frm, status);
	show_steps(frm, status);
	if (!is_busy || !frm.bulk_update_shown) {
		show_overview(frm, status);
		show_items(frm, status);
		frm.bulk_update_shown = true;
	}
	if (is_busy) again(POLL);
}

// --- what it says at the head -------------------------------------------------------------------------------

function show_headline(frm, status) {
	const [html, colour] = headline(frm, status);
	const problem = status.problem ? `<div>${escape(status.problem)}</div>` : "";
	const shown = frm.layout.message.find(".bulk-update-progress");
	if (frm.bulk_update_shown && shown.length && BUSY.includes(status.status) && !problem) {
		shown.replaceWith(progress_html(status)); // in place, so that the page keeps still
	} else {
		set_headline(frm, html + problem, problem ? "red" : colour);
	}
}

function headline(frm, status) {
	const counts = [
		bold(number(status.to_change)),
		bold(number(status.unchanged)),
		bold(number(status.to_skip)),
	];
	const planned = __("To change: {0}. Unchanged: {1}. To skip: {2}.", counts);
	const results = totals(status, "results");
	const said = (names) =>
		names
			.filter((name) => results[name])
			.map((name) => `${option(name, ITEM)}: ${bold(number(results[name]))}.`)
			.join(" ");
	switch (status.status) {
		case "Draft":
			return [
				(frm.doc.rules || []).length
					? __("A preview shows what would become of each record. It changes nothing.")
					: __("Add a rule: which records, and what becomes of them."),
				"blue",
			];
		case "Previewed":
			return [`${changed_html(status)}<div>${planned} ${approval(status)}</div>`, "orange"];
		case "Paused":
			return [`<div>${__("Paused.")}</div>${progress_html(status)}`, "orange"];
		case "Completed":
			return [
				`${__("Complete.")} ${said(["Done", "Unchanged", "Skipped", "Failed"])}`,
				results.Failed ? "orange" : "green",
			];
		case "Reverted":
			return [
				`${__("Taken back.")} ${said(["Reverted", "Not Reverted", "Unchanged", "Skipped", "Failed"])}`,
				results["Not Reverted"] ? "orange" : "blue",
			];
		default:
			return [progress_html(status), "blue"];
	}
}

const changed_html = ({ changed_since }) =>
	changed_since
		? `<div>${__(
				"Records changed since the preview: {0}. They would be skipped. Preview again to take them in.",
				[bold(number(changed_since))],
			)}</div>`
		: "";

function approval({ needs_approval, approved_by }) {
	if (approved_by) return __("Approved by {0}.", [bold(frappe.user.full_name(approved_by))]);
	return needs_approval ? __("A second Privacy Officer has to approve it.") : "";
}

function totals({ rules }, kind) {
	const sums = {};
	for (const rule of rules || []) {
		for (const [name, count] of Object.entries(rule[kind] || {})) sums[name] = (sums[name] || 0) + count;
	}
	return sums;
}

function progress_html(status) {
	const percent = Math.min(100, Math.max(0, Math.round(status.percent || 0)));
	const counts = [number(status.processed), number(status.total)];
	const doing = {
		Previewing: __("Records looked at: {0}", counts),
		Reverting: __("Taken back: {0} of {1}", counts),
	};
	const what = doing[status.status] || __("Processed: {0} of {1}", counts);
	const waits = status.active || status.status === "Paused" ? "" : __("waits for a worker");
	const text = [what, waits || (status.active ? time_left(status.seconds_left) : "")]
		.filter(Boolean)
		.join(" · ");
	return `<div class="bulk-update-progress">
		<div>${text}</div>
		<div class="mt-2">${bar_html(percent, what)}</div>
	</div>`;
}

// --- what may be done next ----------------------------------------------------------------------------------

function show_steps(frm, status) {
	const { may } = status;
	const steps = `${status.status}:${status.active}:${JSON.stringify(may)}:${status.approved_by}:${status.changed_since}`;
	if (frm.bulk_update_steps === steps || frm.is_dirty()) return; // a button that is made anew loses the focus
	frm.bulk_update_steps = steps;
	frm.clear_custom_buttons();
	const next = next_step(frm, status);
	frm.page.clear_primary_action();
	if (next) frm.page.set_primary_action(next.label, next.act);
	if (may.preview && status.status === "Previewed" && next?.door !== "preview") {
		frm.add_custom_button(__("Preview Again"), () => act(frm, "preview"));
	}
	if (may.pause && next?.door !== "pause") frm.add_custom_button(__("Pause"), () => act(frm, "pause"));
	if (may.revert) {
		frm.add_custom_button(__("Revert…"), () => revert(frm, status)).addClass("btn-danger");
	}
	if (!["Draft", "Previewing"].includes(status.status)) {
		frm.add_custom_button(__("Print or PDF"), () => frm.print_doc(), __("Report"));
		frm.add_custom_button(__("Excel"), () => download_report(frm), __("Report"));
	}
}

function next_step(frm, status) {
	const { may } = status;
	const step = (door, label, ask = () => act(frm, door)) => ({ door, label, act: ask });
	if (status.status === "Draft" && may.preview) return step("preview", __("Preview"));
	if (status.status === "Previewed" && status.changed_since && may.preview) {
		return step("preview", __("Preview Again"));
	}
	if (may.approve) return step("approve", __("Approve…"), () => approve(frm, status));
	if (status.status === "Previewed" && may.run) return step("run", __("Run…"), () => run(frm, status));
	if (may.resume) return step("resume", __("Resume"));
	if (may.pause) return step("pause", __("Pause"));
	return null;
}

async function act(frm, door, more = {}) {
	await call(`api.${door}`, { bulk_update: frm.docname, ...more }, true);
	await frm.reload_doc();
}

const to_change_html = (status) =>
	`<p>${__("Records that would be changed: {0} of {1}.", [bold(number(status.to_change)), bold(number(status.total))])}</p>`;

function run(frm, status) {
	const asks = (status.rules || [])
		.filter(({ rule }) => frm.doc.rules[rule - 1]?.action === "Ask")
		.reduce((sum, { plans }) => sum + (plans?.Change || 0), 0);
	const mails = asks ? `<p>${__("Mails that ask for a confirmation: {0}.", [bold(number(asks))])}</p>` : "";
	const dialog = frappe.confirm(
		`${to_change_html(status)}${mails}<p>${__("What changed since the preview is left as it is and listed.")}</p>`,
		() => act(frm, "run"),
	);
	dialog.set_title(__("Run It?"));
	dialog.get_primary_btn().text(__("Run"));
}

function approve(frm, status) {
	const dialog = new frappe.ui.Dialog({
		title: __("Approve"),
		fields: [{ fieldtype: "HTML", fieldname: "text" }],
		primary_action_label: __("Approve"),
		primary_action: () => {
			dialog.hide();
			act(frm, "approve", { selection_hash: status.selection_hash });
		},
	});
	dialog.fields_dict.text.$wrapper.html(
		`${to_change_html(status)}<p>${__("Reason")}: ${escape(frm.doc.reason)}</p>
		<p class="text-muted">${__("You approve exactly the preview that is shown. Another preview needs another approval.")}</p>`,
	);
	dialog.show();
}

function revert(frm, status) {
	const done = totals(status, "results").Done || 0;
	const dialog = new frappe.ui.Dialog({
		title: __("Take Back"),
		fields: [
			{ fieldtype: "HTML", fieldname: "text" },
			{
				fieldtype: "Small Text",
				fieldname: "reason",
				label: __("Reason"),
				reqd: 1,
				max_height: "6rem",
				description: __("For whoever asks later."),
			},
		],
		primary_action_label: __("Take Back"),
		primary_action: ({ reason }) => {
			dialog.hide();
			act(frm, "revert", { reason });
		},
	});
	dialog.fields_dict.text.$wrapper.html(
		`<p>${__("Records that were changed: {0}.", [bold(number(done))])}
		${__("What was there before is recorded anew. What changed since stays, and so does each no.")}</p>`,
	);
	dialog.show();
}

function download_report(frm) {
	window.open_url_post("/api/method/gdpr_consent.bulk_update.report.xlsx", { bulk_update: frm.docname });
}
