// Who gets a Newsletter or the mails of an Email Campaign, who got it, who doesn't, and why.
import { url_of } from "./person";
import { record, request } from "./record";
import { bold, escape, may_record, reason_label, reason_text, remedies } from "./words";
import { show_history } from "./history";

const SHOWN = 200; // rows; the search goes through all of them

export async function show_audience(frm) {
	const { message } = await (frm.doctype === "Email Campaign"
		? frappe.call({
				method: "gdpr_consent.gate.email_campaign.explain_audience",
				args: { email_campaign: frm.doc.name },
				freeze: true,
			})
		: frm.call({ method: "explain_audience", doc: frm.doc, freeze: true }));
	show_rows(message, {
		title: __("Who Gets It?"),
		summary: (will, not) =>
			`${__("Will get it: {0}. Won't get it: {1}.", [bold(will), bold(not)])}
			${__("Each mail is decided again at the moment it goes out.")}`,
		nobody: nobody_text(frm),
		again: () => show_audience(frm),
	});
}

export async function show_delivery(frm) {
	const { message } = await frm.call({ method: "explain_delivery", doc: frm.doc, freeze: true });
	show_rows(message, {
		title: __("Who Got It?"),
		summary: (did, not) => __("Allowed to get it: {0}. Not allowed: {1}.", [bold(did), bold(not)]),
		nobody: __("No mail of it has been decided yet."),
		again: () => show_delivery(frm),
	});
}

function nobody_text(frm) {
	if (frm.doctype === "Email Campaign") return __("It has nobody to write to.");
	return (frm.doc.email_group || []).length
		? __("Its groups have no members.")
		: __("Nobody has agreed to its topic.");
}

/**
 * Show answers with their reasons. `again` is called after a consent was recorded, `proceed` by the button,
 * if there is one.
 */
export function show_rows({ rows, purpose, topic }, { title, summary, nobody, again, label, proceed }) {
	const dialog = new frappe.ui.Dialog({
		title,
		size: "large",
		fields: [
			{ fieldtype: "HTML", fieldname: "summary" },
			{
				fieldtype: "Data",
				fieldname: "search",
				placeholder: __("Search an address or a reason"),
				onchange: () => list(),
			},
			{ fieldtype: "HTML", fieldname: "list" },
		],
		...(label && {
			primary_action_label: label,
			primary_action: () => {
				dialog.hide();
				proceed();
			},
		}),
	});
	const wrapper = (field) => dialog.fields_dict[field].$wrapper;
	const texts = new Map(
		rows.map((row) => [row, `${email_of(row)} ${reason_label(row.reason)}`.toLowerCase()]),
	);
	let chosen = null;

	const list = () => {
		const search = (dialog.get_field("search").$input.val() || "").toLowerCase();
		const found = rows.filter(
			(row) => (!chosen || row.reason === chosen) && texts.get(row).includes(search),
		);
		wrapper("list").html(list_html(found));
	};

	wrapper("summary").html(rows.length ? summary_html(rows, summary) : `<p>${nobody}</p>`);
	dialog.get_field("search").$input.attr("aria-label", __("Search")).on("input", list);
	dialog.$wrapper
		.on("click", "[data-reason]", (event) => {
			const reason = event.currentTarget.dataset.reason;
			chosen = chosen === reason ? null : reason;
			dialog.$wrapper.find("[data-reason]").each((_, button) => {
				$(button).attr("aria-pressed", String(button.dataset.reason === chosen));
				$(button).toggleClass("btn-primary-light", button.dataset.reason === chosen);
			});
			list();
		})
		.on("click", "[data-act]", ({ currentTarget }) => {
			const { act, email } = currentTarget.dataset;
			if (act === "history") return show_history({ email });
			const ask_or_record = act === "request" ? request : record;
			ask_or_record({ email, purpose, topic }, () => {
				dialog.hide();
				again();
			});
		})
		.on("click", "a[href^='/app/']", () => dialog.hide());
	list();
	dialog.show();
}

// A decision names no address, and it may be erased, or gone from the group, since.
const email_of = (row) => row.email || __("an address we no longer have");

// An allowed mail may still wait, or have failed.
const status_of = (row) =>
	row.allowed && row.mail_status && row.mail_status !== "Sent" ? `${__(row.mail_status)} · ` : "";

function summary_html(rows, summary) {
	const counts = {};
	for (const row of rows) counts[row.reason] = (counts[row.reason] || 0) + 1;
	const will = rows.filter((row) => row.allowed).length;
	const allowed = new Set(rows.filter((row) => row.allowed).map((row) => row.reason));
	const reasons = Object.keys(counts)
		.sort((a, b) => allowed.has(b) - allowed.has(a) || counts[b] - counts[a])
		.map(
			(reason) => `<li class="mb-2">
				<button type="button" class="btn btn-default btn-xs" aria-pressed="false" data-reason="${escape(reason)}">
					<span class="indicator ${allowed.has(reason) ? "green" : "red"}"></span>${escape(reason_label(reason))}: ${counts[reason]}
				</button>
				<span class="text-muted">${escape(reason_text(reason))} ${remedy_html(reason)}</span>
			</li>`,
		);
	return `<p>${summary(will, rows.length - will)}</p>
		<ul class="list-unstyled">${reasons.join("")}</ul>`;
}

function remedy_html(reason) {
	const [text, url] = remedies()[reason] || [""];
	return url ? `<a style="text-decoration: underline" href="${url}">${escape(text)}</a>` : escape(text);
}

function list_html(rows) {
	if (!rows.length) return `<p class="text-muted">${__("Nobody.")}</p>`;
	const items = rows.slice(0, SHOWN).map(
		(
			row,
		) => `<li class="border-bottom py-2 d-flex flex-wrap justify-content-between" style="overflow-wrap: anywhere">
			<span class="mr-3"><span class="indicator ${row.allowed ? "green" : "red"}"></span>${escape(email_of(row))}</span>
			<span><span class="text-muted mr-3" title="${escape(reason_text(row.reason))}">${escape(status_of(row))}${escape(reason_label(row.reason))}</span>${action_html(row)}</span>
		</li>`,
	);
	const more =
		rows.length > SHOWN
			? `<p class="text-muted">${__("Not shown: {0}. Search to find them.", [rows.length - SHOWN])}</p>`
			: "";
	return `<ul class="list-unstyled">${items.join("")}</ul>${more}`;
}

function action_html(row) {
	const button = (act, label) =>
		`<button type="button" class="btn btn-default btn-xs" data-act="${act}" data-email="${escape(row.email)}">${label}</button>`;
	const actions = [];
	if (row.consent)
		actions.push(
			`<a class="btn btn-default btn-xs" href="${url_of(row.consent)}">${__("Open", null, "a record")}</a>`,
		);
	if (!row.email) return actions.join(" ");
	const may_ask = may_record(row.reason) || row.reason === "REQUESTED";
	if (!row.allowed && may_ask && frappe.model.can_create("Consent")) {
		if (may_record(row.reason)) actions.push(button("record", __("Record Consent")));
		actions.push(button("request", __("Ask")));
	} else if (!row.allowed && !row.consent && frappe.model.can_read("Consent")) {
		actions.push(button("history", __("History")));
	}
	return actions.join(" ");
}
