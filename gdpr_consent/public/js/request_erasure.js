// The plan of an erasure on the form of its request: what becomes of what, and by which law; then its progress.
import { bold, escape } from "./words";

const EVENT = "consent_erasure";
const POLL = 2000; // milliseconds; the realtime server is quicker, where there is one
const ACTIONS = () => ({
	Delete: [__("Deleted"), "red"],
	Anonymise: [__("Kept without the person"), "orange"],
	Redact: [__("Words taken out"), "orange"],
	Keep: [__("Kept"), "blue"],
});
const ORDER = ["Delete", "Anonymise", "Redact", "Keep"];
const WHY_LEFT = () => ({
	kept: __("Kept by law"),
	key: __("It is in the name of a record"),
	"not searchable": __("Pictures and PDFs can't be searched"),
});

const call = (method, args) => frappe.xcall(`gdpr_consent.rights.api.${method}`, args, "POST");

export async function erasure(frm) {
	window.clearTimeout(frm.erasure_timer);
	const { docname } = frm;
	const status = await call("erasure_status", { request: docname });
	if (frm.docname !== docname || cur_frm !== frm) return;
	if (status.status !== frm.doc.status) return frm.reload_doc();
	show(frm, status);
	add_buttons(frm, status);
	follow(frm, status);
}

function follow(frm, { status }) {
	frappe.realtime.off(EVENT);
	if (status !== "Running") return;
	const again = () => {
		if (cur_frm === frm) erasure(frm);
	};
	frappe.realtime.on(EVENT, ({ name }) => name === frm.docname && again());
	frm.erasure_timer = window.setTimeout(again, POLL);
}

function add_buttons(frm, { status, steps }) {
	const act = (label, method, args, primary) => {
		frm.remove_custom_button(label);
		const button = frm.add_custom_button(label, async () => {
			await frappe.call({
				method: `gdpr_consent.rights.api.${method}`,
				type: "POST",
				args: { request: frm.docname, ...args },
				freeze: true,
			});
			await frm.reload_doc();
		});
		if (primary) button?.removeClass("btn-default").addClass("btn-primary");
	};
	if (["In Progress", "To Approve"].includes(status))
		act(steps.length ? __("Plan Again") : __("Plan Erasure"), "plan_erasure", {}, !steps.length);
	if (status === "To Approve") {
		frm.remove_custom_button(__("Approve Erasure"));
		frm.add_custom_button(__("Approve Erasure"), () => approve(frm, steps)).addClass("btn-danger");
	}
	if (status === "Running") act(__("Stop"), "stop_erasure", {});
}

function approve(frm, steps) {
	const dialog = new frappe.ui.Dialog({
		title: __("Approve Erasure"),
		fields: [
			{ fieldtype: "HTML", options: `<p>${summary(steps)}</p>` },
			{
				fieldtype: "Check",
				fieldname: "keep_evidence",
				label: __("Keep the proof of consents for claims"),
				description: __("Art. 17(3)(e) GDPR. Only Privacy Officers can read it."),
			},
		],
		primary_action_label: __("Erase"),
		primary_action: async ({ keep_evidence }) => {
			dialog.disable_primary_action();
			try {
				await call("approve_erasure", { request: frm.docname, keep_evidence: keep_evidence || 0 });
			} finally {
				dialog.hide();
				await frm.reload_doc();
			}
		},
	});
	dialog.show();
}

function summary(steps) {
	const sum = (actions) =>
		bold(
			steps
				.filter(({ action }) => actions.includes(action))
				.reduce((total, { found }) => total + found, 0),
		);
	return __("To delete: {0}. To stay without the person: {1}. Kept by law: {2}. This can't be undone.", [
		sum(["Delete"]),
		sum(["Anonymise", "Redact"]),
		sum(["Keep"]),
	]);
}

// --- the table ----------------------------------------------------------------------------------------------

function show(frm, { status, steps, report }) {
	const field = frm.fields_dict.steps;
	field.$wrapper.find(".form-grid-container, .grid-heading-row, .form-grid").hide();
	field.$wrapper.find(".erasure-plan").remove();
	const html = steps.length
		? [head(status, steps), table(status, steps), report ? left_html(report) : ""].join("")
		: `<p class="text-muted">${escape(
				__("A plan shows what is deleted and what the law keeps. It changes nothing."),
			)}</p>`;
	field.$wrapper.append(`<div class="erasure-plan">${html}</div>`);
}

function head(status, steps) {
	const text = {
		"To Approve": __("Nothing is erased before a Privacy Officer approves this."),
		Running: __("The erasure is running. You may close this page."),
		Fulfilled: __("The data are erased."),
		"In Progress": __("The erasure isn't running. Plan it again to see what is left."),
	}[status];
	const done = steps.filter((step) => step.status === "Done").length;
	const bar =
		status === "Running"
			? `<div class="progress mb-3"><div class="progress-bar" role="progressbar" style="width: ${Math.round(
					(100 * done) / steps.length,
				)}%"></div></div>`
			: "";
	return `<p>${escape(text)}</p>${bar}`;
}

function table(status, steps) {
	const shows_done = ["Running", "Fulfilled"].includes(status);
	const heads = [
		__("Record Type"),
		__("What Becomes of It"),
		__("Found"),
		...(shows_done ? [__("Done")] : []),
		__("Because"),
	];
	const rows = [...steps]
		.sort((one, other) => ORDER.indexOf(one.action) - ORDER.indexOf(other.action))
		.map((step) => row_html(step, shows_done));
	return `<table class="table table-bordered table-sm">
		<thead><tr>${heads.map((label) => `<th>${escape(label)}</th>`).join("")}</tr></thead>
		<tbody>${rows.join("")}</tbody></table>`;
}

function row_html({ ref_doctype, action, found, done, because, status, problem }, shows_done) {
	const [label, colour] = ACTIONS()[action];
	const name = ref_doctype ? __(ref_doctype) : __("Everything else");
	const number = ref_doctype || shows_done ? found : "–";
	const cells = [
		escape(name),
		`<span class="indicator-pill ${colour}">${escape(label)}</span>`,
		number,
		...(shows_done ? [status === "Done" ? done : ""] : []),
		escape(problem ? problem : __(because)),
	];
	return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
}

function left_html({ left, names_shared, backups }) {
	const lines = left.map(
		({ where, number, why }) =>
			`${escape(__(where))}: ${bold(number)}. ${escape(WHY_LEFT()[why] || why)}.`,
	);
	if (names_shared) lines.push(escape(__("Somebody else has the same name, so it stays in other texts.")));
	lines.push(escape(backups));
	return `<p><b>${escape(__("What still names the person"))}</b></p><ul>${lines
		.map((line) => `<li>${line}</li>`)
		.join("")}</ul>`;
}
