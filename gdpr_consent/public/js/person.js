// What Contact, Lead and Customer show about consent, and what may be done there.
import { show_history } from "./history";
import { PARTY_TYPES, api, record, request } from "./record";
import { object, withdraw } from "./refuse";
import { escape, grade_html, reason_text } from "./words";

const SHOWN = 5; // addresses in the headline; a Customer may have hundreds

/** Add the headline and the buttons to a form of one of the party types. */
export function show_on_form(frm) {
	if (frm.is_new() || !PARTY_TYPES.includes(frm.doctype) || !frappe.model.can_read("Consent")) return;
	show_headline(frm);
	const given = {
		party_type: frm.doctype,
		party: frm.doc.name,
		title: frm.get_title ? frm.get_title() : frm.doc.name,
	};
	const done = () => show_headline(frm);
	const button = (label, act) => frm.add_custom_button(label, act, __("Consent"));
	if (frappe.model.can_create("Consent")) {
		button(__("Record"), () => record(given, done));
		button(__("Send Confirmation Request"), () => request(given, done));
	}
	if (frappe.model.can_write("Consent")) {
		button(__("Withdraw"), () => withdraw(given, done));
		button(__("Object to All Marketing"), () => object(given, done));
	}
	button(__("History"), () => show_history(given));
}

async function show_headline(frm) {
	const { doctype, docname } = frm;
	const answers = await api("check_party", { party_type: doctype, party: docname });
	const rows = Object.entries(answers || {});
	const grades = await grades_of(rows.map(([, answer]) => answer.consent).filter(Boolean));
	if (frm.docname !== docname) return; // the user went on to another record
	const allowed = rows.filter(([, answer]) => answer.allowed).length;
	set_headline(
		frm,
		headline_html(rows, grades),
		rows.length && allowed === rows.length ? "green" : "orange",
	);
}

async function grades_of(consents) {
	if (!consents.length) return {};
	const rows = await frappe.db.get_list("Consent", {
		filters: { name: ["in", consents] },
		fields: ["name", "evidence_grade"],
		limit: consents.length,
	});
	return Object.fromEntries(rows.map((row) => [row.name, row.evidence_grade]));
}

function headline_html(rows, grades) {
	if (!rows.length) return __("Marketing mail: no address on record.");
	const lines = rows.slice(0, SHOWN).map(([email, answer]) => {
		const colour = answer.allowed ? "green" : "red";
		const may = answer.allowed ? __("may get marketing mail") : __("gets no marketing mail");
		const why = escape(reason_text(answer.reason));
		const link = answer.consent
			? `<a style="text-decoration: underline" href="${url_of(answer.consent)}">${why}</a>`
			: why;
		return `<div style="overflow-wrap: anywhere"><span class="indicator ${colour}"></span><b>${escape(email)}</b> ${may}: ${link} ${grade_html(grades[answer.consent])}</div>`;
	});
	if (rows.length > SHOWN) lines.push(`<div>${__("More addresses: {0}", [rows.length - SHOWN])}</div>`);
	return lines.join("");
}

export const url_of = (consent) => `/app/consent/${encodeURIComponent(consent)}`;

/** Show a message of ours at the head of a form, in place of the one we showed before. */
export function set_headline(frm, html, colour) {
	frm.layout.message.find(".consent-headline").closest(".form-message").remove();
	frm.dashboard.set_headline(`<div class="consent-headline">${html}</div>`, colour);
}
