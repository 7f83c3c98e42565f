// The Privacy tab: for each person behind a record, each address, purpose and topic with its state, and what may be
// done.
import { LINK, fetch_history, fetch_mails, history_html, mails_html } from "./history";
import { ask_about_the_past } from "./past";
import { api, record, request } from "./record";
import { lift_restriction, object, restrict, withdraw } from "./refuse";
import { record_request } from "./request";
import { standings } from "./standing";
import { local_time_html } from "./time";
import { bold, escape, grade_html, reason_label, reason_text, refusals } from "./words";

/**
 * Show the panel in a form. `answered` is called with what the badge has to say, whenever the panel has asked.
 * Of several people one is shown at a time; the choice lasts as long as the form.
 */
export async function show_panel(doctype, name, wrapper, answered) {
	const shown = wrapper.data("shown");
	if (!shown) wrapper.html(`<p class="text-muted">${__("Loading…")}</p>`);
	const asked = (wrapper.data("asked") || 0) + 1;
	wrapper.data("asked", asked);
	const answer = await api_quietly("privacy_panel", { doctype, name });
	if (wrapper.data("asked") !== asked) return; // asked again meanwhile
	answered(answer.marketing_mail);
	const again = () => show_panel(doctype, name, wrapper, answered);
	const { people } = answer;
	const chosen = people.find((one) => key_of(one) === shown) || people[0];
	wrapper.data("shown", chosen && key_of(chosen));
	wrapper.empty();
	const panel = $(`<div class="consent-panel" style="max-width: 60rem">`).appendTo(wrapper);
	if (!chosen) {
		panel.html(
			`<p class="text-muted">${__("Nobody stands behind this record yet. Link a lead, a customer or a contact.")}</p>`,
		);
		return;
	}
	if (people.length > 1 || chosen.party_type !== doctype) {
		choice(people, chosen, (one) => {
			wrapper.data("shown", key_of(one));
			again();
		}).appendTo(panel);
	}
	buttons(chosen, again).appendTo(panel);
	panel.append(state_html(chosen, answer.purpose));
	show_events(chosen, $("<div>").appendTo(panel));
}

const key_of = ({ party_type, party }) => `${party_type}/${party}`;

// Without the veil over the page: the form can be used meanwhile.
const api_quietly = (method, args) => frappe.xcall(`gdpr_consent.api.${method}`, args, "POST");

function choice(people, chosen, choose) {
	const group = $(
		`<div class="mb-3"><div class="text-muted small mb-1">${__("The people behind this record")}</div></div>`,
	);
	for (const one of people) {
		const url = `/app/${frappe.router.slug(one.party_type)}/${encodeURIComponent(one.party)}`;
		if (people.length === 1) {
			group.append(`<a href="${url}"><b>${escape(one.title)}</b></a> · ${__(one.party_type)}`);
			continue;
		}
		$(
			`<button type="button" class="btn btn-sm mr-2 mb-2 ${one === chosen ? "btn-primary" : "btn-default"}" aria-pressed="${one === chosen}">${escape(one.title)} · ${__(one.party_type)}</button>`,
		)
			.appendTo(group)
			.on("click", () => choose(one));
	}
	return group;
}

// --- what may be done ---------------------------------------------------------------------------------------

function buttons({ party_type, party, title, addresses, is_restricted }, done) {
	const given = { party_type, party, title };
	const bar = $(`<div class="mb-4" role="toolbar" aria-label="${__("Privacy")}">`);
	const button = (label, act, style = "btn-default") =>
		$(`<button type="button" class="btn btn-sm ${style} mr-2 mb-2">${label}</button>`)
			.appendTo(bar)
			.on("click", act);
	const emails = addresses.map(({ email }) => email).filter((email) => email.includes("@"));
	if (frappe.model.can_create("Consent") && emails.length) {
		button(__("Record"), () => record(given, done), "btn-primary");
		if (!is_restricted) button(__("Ask"), () => request(given, done));
	}
	if (frappe.model.can_write("Consent")) {
		button(__("Withdraw"), () => withdraw(given, done));
		button(__("Object"), () => object(given, done));
		if (emails.length) button(__("Send Preference Link"), () => send_link(emails));
		if (!is_restricted) button(__("Restrict"), () => restrict(given, done));
	}
	if (is_restricted && frappe.user.has_role("Privacy Officer")) {
		button(__("Lift Restriction"), () => lift_restriction(given, done));
	}
	if (frappe.model.can_create("Data Subject Request")) {
		button(__("Record Request"), () => record_request(given, done));
	}
	if (emails.length) button(__("Was Mailable On …"), () => ask_about_the_past(given));
	const formats = [
		[__("Export as PDF"), "PDF"],
		[__("Export as JSON-LD"), "JSON-LD"],
	];
	for (const [label, file_format] of formats) {
		button(label, () =>
			window.open_url_post("/api/method/gdpr_consent.api.download_history", {
				party_type,
				party,
				file_format,
			}),
		);
	}
	return bar;
}

function send_link(emails) {
	const dialog = new frappe.ui.Dialog({
		title: __("Send Preference Link"),
		fields: [
			{
				fieldtype: "HTML",
				options: `<p>${__("The person gets one mail with a link to the page where they see and change what they get.")}</p>`,
			},
			{
				fieldtype: "Select",
				fieldname: "email",
				label: __("E-mail Address"),
				options: emails,
				default: emails[0],
				reqd: 1,
			},
		],
		primary_action_label: __("Send"),
		primary_action: async ({ email }) => {
			const { sent } = await api("send_preference_link", { email });
			dialog.hide();
			const message = sent
				? __("Sent to {0}.", [bold(email)])
				: __("{0} got as many mails today as Consent Settings allows. Try again tomorrow.", [
						bold(email),
					]);
			frappe.show_alert({ message, indicator: sent ? "green" : "orange" }, 8);
		},
	});
	dialog.show();
}

// --- what is so ---------------------------------------------------------------------------------------------

function state_html(person, purpose) {
	const { addresses, without_address, more_addresses, is_on_record } = person;
	const parts = [];
	if (!addresses.length) {
		parts.push(note(__("There is no address. Add one to record or ask for a consent.")));
	} else if (!is_on_record) {
		parts.push(note(__("Nothing is on record. Record what the person said, or ask them by mail.")));
	}
	if (without_address.length) {
		parts.push(heading(__("Said while no address was known")));
		parts.push(list(without_address.map(refusal_item)));
	}
	parts.push(...addresses.map((one) => address_html(one, purpose)));
	if (more_addresses) parts.push(note(__("More addresses: {0}", [more_addresses])));
	return parts.join("");
}

const note = (text) => `<p class="text-muted">${text}</p>`;
const heading = (html) => `<h5 class="mt-4 mb-1" style="overflow-wrap: anywhere">${html}</h5>`;
const list = (items) => `<ul class="list-unstyled mb-0">${items.join("")}</ul>`;

function address_html({ email, standing, is_shared, people, rows }, purpose) {
	const pill = standing ? standing_pill(standing, purpose) : "";
	return `<section data-address="${escape(email)}">${heading(`${escape(email)} ${pill}`)}${shared_html(email, is_shared, people)}${list(rows.map(row_item))}</section>`;
}

function standing_pill(standing, purpose) {
	const [colour, label, text] = standings()[standing];
	return `<span class="indicator-pill no-indicator-dot ${colour}" title="${escape(text)}">${escape(`${__(purpose)}: ${label}`)}</span>`;
}

function shared_html(email, is_shared, people) {
	if (!email.includes("@")) return "";
	if (is_shared) return note(__("Read by several people: a consent counts for the mailbox."));
	// A lead that became a contact has two records, and is one person.
	return people > 1
		? note(__("{0} records have this address. A consent counts for the mailbox.", [people]))
		: "";
}

const RED = ["REFUSED", "WITHDRAWN", "OBJECTED", "UNSUBSCRIBED", "RESTRICTED", "SUPPRESSED", "INVALIDATED"];

function colour_of({ allowed, reason, record: on_record }) {
	if (reason === "NOT_MARKETING") return "blue";
	if (allowed) return "green";
	if (RED.includes(reason)) return "red";
	return on_record ? "orange" : "grey";
}

function row_item(row) {
	const about = [row.purpose, row.topic].filter(Boolean).map(__);
	if (row.channel !== "Email") about.push(__(row.channel));
	const label = row.is_marketing ? reason_label(row.reason) : __(row.status || "Not marketing");
	const details = [
		[__("Legal Basis"), row.legal_basis && escape(__(row.legal_basis))],
		[__("Source"), row.source && escape(__(row.source))],
		[__("Proof"), row.evidence_grade && grade_html(row.evidence_grade)],
		[__("Since"), local_time_html(row.since)],
		[__("Until"), local_time_html(row.until)],
		[__("Recorded by"), row.recorded_by && escape(frappe.user.full_name(row.recorded_by))],
	];
	return item(row, colour_of(row), about, label, reason_text(row.reason), details);
}

function refusal_item({ name, kind, purpose, topic, said_on, source, recorded_by }) {
	const about = [purpose || __("All marketing"), topic].filter(Boolean);
	const details = [
		[__("Source"), source && escape(__(source))],
		[__("Since"), local_time_html(said_on)],
		[__("Recorded by"), recorded_by && escape(frappe.user.full_name(recorded_by))],
	];
	return item({ record_type: "Suppression", record: name }, "red", about, refusals()[kind], "", details);
}

function item({ record_type, record: name }, colour, about, label, text, details) {
	const said = details
		.filter(([, html]) => html)
		.map(([title, html]) => `<span class="mr-3">${title}: ${html}</span>`);
	const linked = name
		? `<a ${LINK} href="/app/${frappe.router.slug(record_type)}/${encodeURIComponent(name)}">${escape(label)}</a>`
		: escape(label);
	return `<li class="border-bottom py-2" style="overflow-wrap: anywhere">
		<div class="d-flex flex-wrap justify-content-between">
			<b>${about.map(escape).join(" · ")}</b>
			<span class="indicator-pill no-indicator-dot ${colour}">${linked}</span>
		</div>
		<div class="text-muted small">${escape(text)}</div>
		<div class="text-muted small">${said.join(" ")}</div>
	</li>`;
}

// --- what happened ------------------------------------------------------------------------------------------

async function show_events({ party_type, party }, place) {
	const whose = { party_type, party };
	const [events, mails] = await Promise.all([fetch_history(whose), fetch_mails(whose)]);
	place.html(
		heading(__("History")) +
			history_html(events) +
			(mails ? heading(__("Mail Decisions")) + mails_html(mails) : ""),
	);
}
