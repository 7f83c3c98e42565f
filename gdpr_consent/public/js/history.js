// What happened to the permissions and refusals of a person, and which mails they got, as lists, newest first.
import { local_time_html } from "./time";
import { bold, escape, grade_html, kinds, reason_text, refusals } from "./words";

// In a pill, whose colour it keeps. The dots of the dark theme can hardly be seen.
export const LINK = 'style="color: inherit; text-decoration: underline"';

export function history_html(rows) {
	if (!rows.length) return `<p class="text-muted">${__("Nothing is on record.")}</p>`;
	return `<ul class="list-unstyled mb-0">${rows.map(item).join("")}</ul>`;
}

const SAID_BY = { "Data Subject": () => __("the person"), Guardian: () => __("the guardian") };

function item(row) {
	const [kind, colour] = kinds()[row.kind] || [row.kind, "grey"];
	const happened = row.kind === "Suppress" ? refusals()[row.what] || row.what : kind;
	const scope = [
		row.purpose || __("All marketing"),
		row.topic,
		row.channel === "Email" ? "" : __(row.channel),
	];
	const details = [
		[__("Said by"), SAID_BY[row.indicated_by]?.() || ""],
		[
			__("Recorded by"),
			row.indicated_by === "System" ? __("the system") : frappe.user.full_name(row.actor),
		],
		[__("Source"), row.source],
		[__("Reason"), row.reason],
		[__("Wording"), row.wording],
	]
		.filter(([, value]) => value)
		.map(([label, value]) => `<span class="mr-3">${label}: ${escape(value)}</span>`);
	if (row.evidence)
		details.push(`<span class="mr-3">${__("Evidence")}: ${evidence_html(row.evidence)}</span>`);
	if (row.guardian_name) {
		const guardian = [row.guardian_name, row.guardian_verification].filter(Boolean).join(": ");
		details.push(`<span class="mr-3">${__("Guardian")}: ${escape(guardian)}</span>`);
	}
	if (row.evidence_grade)
		details.push(`<span>${__("Evidence Grade")}: ${grade_html(row.evidence_grade)}</span>`);
	const url = `/app/${frappe.router.slug(row.record_type)}/${encodeURIComponent(row.record)}`;
	return `<li class="border-bottom py-2" style="overflow-wrap: anywhere">
		<div class="d-flex flex-wrap justify-content-between">
			<span><span class="indicator-pill no-indicator-dot ${colour}"><a ${LINK} href="${url}">${escape(happened)}</a></span>
				${scope.filter(Boolean).map(escape).join(" · ")}</span>
			<span class="text-muted">${local_time_html(row.occurred_at)}</span>
		</div>
		<div class="text-muted small">${row.email ? `<span class="mr-3">${escape(row.email)}</span>` : ""} ${details.join(" ")}</div>
	</li>`;
}

export function evidence_html(evidence) {
	if (!/^\/(private\/)?files\//.test(evidence)) return escape(evidence);
	const name = decodeURIComponent(evidence.split("/").pop());
	return `<a href="${encodeURI(evidence)}" target="_blank" rel="noopener">${escape(name)}</a>`;
}

// Both without the veil over the page: a form can be used meanwhile.
export const fetch_history = async (whose) =>
	(await frappe.xcall("gdpr_consent.api.consent_history", whose, "POST")) || [];

export function mails_html(rows) {
	if (!rows.length) return `<p class="text-muted">${__("No marketing mail has been decided.")}</p>`;
	return `<ul class="list-unstyled mb-0">${rows.map(mail).join("")}</ul>`;
}

function mail(row) {
	const { reference_doctype: doctype, reference_name: name, allowed } = row;
	const title = escape(row.title || name || __("A mail"));
	const may_open = name && frappe.model.can_read(doctype);
	const url = may_open && `/app/${frappe.router.slug(doctype)}/${encodeURIComponent(name)}`;
	const about = [row.purpose, row.topic, row.email].filter(Boolean).map(escape).join(" · ");
	const why = escape(reason_text(row.reason));
	const consent = `/app/consent/${encodeURIComponent(row.consent)}`;
	return `<li class="border-bottom py-2" style="overflow-wrap: anywhere">
		<div class="d-flex flex-wrap justify-content-between">
			<span>${url ? `<a href="${url}"><b>${title}</b></a>` : `<b>${title}</b>`}
				<span class="indicator-pill no-indicator-dot ${allowed ? "green" : "red"}">${allowed ? __("was allowed") : __("was blocked")}</span></span>
			<span class="text-muted">${local_time_html(row.decided_on)}</span>
		</div>
		<div class="text-muted small">${row.consent ? `<a href="${consent}">${why}</a>` : why} ${about}</div>
	</li>`;
}

// Resolves with null where the user may not see them.
export const fetch_mails = (whose) =>
	frappe.model.can_read("Consent Decision")
		? frappe.xcall("gdpr_consent.api.mail_decisions", whose, "POST")
		: Promise.resolve(null);

export async function show_history(whose) {
	const [rows, mails] = await Promise.all([fetch_history(whose), fetch_mails(whose)]);
	const dialog = new frappe.ui.Dialog({
		title: __("Consent History"),
		size: "large",
		fields: [{ fieldtype: "HTML", fieldname: "history" }],
	});
	const intro = `<p>${__("What {0} agreed to and refused, newest first.", [bold(whose.email || whose.party)])}</p>`;
	dialog.fields_dict.history.$wrapper.html(
		intro +
			history_html(rows) +
			(mails ? `<h5 class="mt-4">${__("Mail Decisions")}</h5>${mails_html(mails)}` : ""),
	);
	dialog.$wrapper.on("click", "a[href^='/app/']", () => dialog.hide());
	dialog.show();
}
