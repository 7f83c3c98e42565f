// The dialogs that lead to a yes: record one that was given, or ask for one by mail.
import { to_utc } from "./time";
import { bold, escape, may_record, reason_text } from "./words";

export const PARTY_TYPES = ["Contact", "Lead", "Customer"];

const NEED_PROOF = ["Consent", "Existing Customer"];

export const api = (method, args) =>
	frappe
		.call({ method: `gdpr_consent.api.${method}`, type: "POST", args, freeze: true })
		.then((r) => r.message);

export const default_purpose = () => frappe.db.get_single_value("Consent Settings", "default_purpose");

/**
 * Record a consent. `given` holds what is known: party_type, party, email, purpose, topic.
 * `done` is called after something was recorded.
 */
export async function record(given = {}, done = () => {}) {
	const asks_age = Number(await frappe.db.get_single_value("Consent Settings", "asks_age"));
	const dialog = new frappe.ui.Dialog({
		title: __("Record Consent"),
		size: "large",
		static: true, // Escape, meant for an error message, would close the dialog below it as well
		secondary_action_label: __("Cancel"),
		secondary_action: () => dialog.hide(),
		fields: [
			...party_fields(given, () => dialog),
			email_field(),
			{ fieldtype: "Section Break" },
			...purpose_fields(() => dialog, {
				topic: __("Empty: the purpose itself. Mail about a topic needs a consent to both."),
			}),
			{ fieldtype: "Column Break" },
			legal_basis_field(
				() => dialog,
				() => require_proof(dialog),
			),
			{
				fieldtype: "Datetime",
				fieldname: "given_on",
				label: __("Given On"),
				description: __("When the person agreed. Empty: now."),
			},
			{ fieldtype: "Section Break", label: __("Proof (Art. 7(1) GDPR)") },
			{
				...source_field(),
				description: __("How the person told you."),
			},
			{
				fieldtype: "Link",
				fieldname: "wording",
				label: __("Wording"),
				options: "Consent Wording",
				only_select: true,
				get_query: () => ({
					filters: {
						purpose: dialog.get_value("purpose"),
						topic: ["in", ["", dialog.get_value("topic")].filter((one) => one !== undefined)],
					},
				}),
				onchange: () => show_wording(dialog),
			},
			{ fieldtype: "Column Break" },
			{
				fieldtype: "Small Text",
				fieldname: "evidence",
				label: __("Evidence"),
				max_height: "6rem",
				description: __("Who agreed, how and where, so that somebody else can believe it later."),
			},
			{
				fieldtype: "Attach",
				fieldname: "document",
				label: __("Or a Document"),
				onchange: () => require_proof(dialog),
				description: __("A signed form or the e-mail. Kept private."),
			},
			...(asks_age ? guardian_fields(() => dialog) : []),
		],
		primary_action_label: __("Record"),
		primary_action: async (values) => {
			const row = await api("record_consent", arguments_of(values));
			dialog.hide();
			await announce(row, values);
			done();
		},
	});
	follow_purpose(dialog);
	dialog.show();
	await dialog.set_values({ ...only(given, ["party_type", "party", "email"]) });
	await dialog.set_value("purpose", given.purpose || (await default_purpose()));
	if (given.topic) await dialog.set_value("topic", given.topic);
	await offer_addresses(dialog, party_of(dialog));
	return dialog;
}

const arguments_of = (values) => ({
	...(values.party ? only(values, ["party_type", "party"]) : {}),
	...only(values, ["email", "purpose", "topic", "legal_basis", "source", "wording"]),
	...(values.is_minor ? only(values, ["is_minor", "guardian_name", "guardian_verification"]) : {}),
	given_on: to_utc(values.given_on),
	evidence: values.document || values.evidence,
});

const only = (values, names) => Object.fromEntries(names.map((name) => [name, values[name] || null]));

/** Who agreed for somebody who is too young to (Art. 8 GDPR). */
const guardian_fields = (dialog) => [
	{ fieldtype: "Section Break", label: __("Children") },
	{
		fieldtype: "Check",
		fieldname: "is_minor",
		label: __("Below the Age of Consent"),
		description: __("A parent or guardian agreed for the child (Art. 8 GDPR)."),
		onchange: () => require_guardian(dialog()),
	},
	{
		fieldtype: "Data",
		fieldname: "guardian_name",
		label: __("Guardian Name"),
		hidden: 1,
	},
	{ fieldtype: "Column Break" },
	{
		fieldtype: "Small Text",
		fieldname: "guardian_verification",
		label: __("How the Guardian Was Verified"),
		max_height: "6rem",
		hidden: 1,
	},
];

function require_guardian(dialog) {
	if (!dialog.get_field("is_minor")) return;
	const is_minor = Boolean(dialog.get_value("is_minor"));
	const needed = is_minor && dialog.get_value("legal_basis") === "Consent";
	for (const fieldname of ["guardian_name", "guardian_verification"]) {
		set_property(dialog, fieldname, "hidden", !is_minor);
		set_property(dialog, fieldname, "reqd", needed);
	}
}

function party_fields(given, dialog) {
	return [
		{
			fieldtype: "Select",
			fieldname: "party_type",
			label: __("Given By"),
			options: ["", ...PARTY_TYPES.filter((doctype) => frappe.model.can_read(doctype))],
			read_only: given.party ? 1 : 0,
			description: __("Who it is in the CRM. Can be empty."),
			onchange: () => {
				set_property(dialog(), "party", "hidden", !dialog().get_value("party_type"));
				if (!given.party) dialog().set_value("party", null);
			},
		},
		{
			fieldtype: "Dynamic Link",
			fieldname: "party",
			label: __("Name"),
			options: "party_type",
			hidden: given.party ? 0 : 1,
			read_only: given.party ? 1 : 0,
			only_select: true,
			get_options: () => dialog().get_value("party_type"),
			onchange: () => offer_addresses(dialog(), party_of(dialog())),
		},
		{ fieldtype: "Column Break" },
	];
}

export const email_field = () => ({
	fieldtype: "Autocomplete",
	fieldname: "email",
	label: __("E-mail Address"),
	reqd: 1,
	ignore_validation: true,
	description: __("The consent counts for this address only."),
});

export function purpose_fields(dialog, hints) {
	return [
		{
			fieldtype: "Link",
			fieldname: "purpose",
			label: __("Purpose"),
			options: "Processing Purpose",
			reqd: 1,
			only_select: true,
			get_query: () => ({ filters: { enabled: 1, ...(hints.marketing ? { is_marketing: 1 } : {}) } }),
		},
		{
			fieldtype: "Link",
			fieldname: "topic",
			label: __("Topic"),
			options: "Subscription Topic",
			only_select: true,
			description: hints.topic,
			get_query: () => ({ filters: { enabled: 1, purpose: dialog().get_value("purpose") } }),
		},
	];
}

/** One that the purpose allows, once `follow_purpose` watches it. */
export const legal_basis_field = (dialog, onchange = () => {}) => ({
	fieldtype: "Link",
	fieldname: "legal_basis",
	label: __("Legal Basis"),
	options: "Legal Basis",
	reqd: 1,
	only_select: true,
	get_query: () => ({ filters: { enabled: 1, name: ["in", dialog().allowed || []] } }),
	onchange,
});

/** Let the purpose of a dialog say which legal bases it allows and whether there are topics. */
export function follow_purpose(dialog) {
	dialog.get_field("purpose").df.onchange = () => on_purpose(dialog);
}

/** The same for a dialog that asks for a purpose and a topic only. */
export function follow_topics(dialog) {
	dialog.get_field("purpose").df.onchange = () => {
		if (dialog.shown_purpose && dialog.shown_purpose !== dialog.get_value("purpose")) {
			dialog.set_value("topic", null);
		}
		dialog.shown_purpose = dialog.get_value("purpose");
	};
}

export const source_field = () => ({
	fieldtype: "Link",
	fieldname: "source",
	label: __("Source"),
	options: "Consent Source",
	only_select: true,
	get_query: () => ({ filters: { enabled: 1 } }),
});

async function on_purpose(dialog) {
	const purpose = dialog.get_value("purpose");
	if (!purpose || purpose === dialog.shown_purpose) return;
	dialog.shown_purpose = purpose;
	const rules = await frappe.db.get_doc("Processing Purpose", purpose);
	dialog.allowed = rules.allowed_legal_bases.map((row) => row.legal_basis);
	if (!dialog.allowed.includes(dialog.get_value("legal_basis"))) {
		await dialog.set_value("legal_basis", rules.default_legal_basis);
	}
	await dialog.set_value("topic", null);
	if (dialog.get_field("wording")) await dialog.set_value("wording", null);
	set_property(dialog, "topic", "hidden", !rules.is_marketing);
}

// No depends_on in these dialogs: to evaluate it, Frappe puts all fields back to what they held before the user
// began to type.
function set_property(dialog, fieldname, property, value) {
	if (Boolean(dialog.get_field(fieldname).df[property]) !== value) {
		dialog.set_df_property(fieldname, property, value ? 1 : 0);
	}
}

function require_proof(dialog) {
	const needed = NEED_PROOF.includes(dialog.get_value("legal_basis"));
	const has_document = Boolean(dialog.get_value("document"));
	set_property(dialog, "source", "reqd", needed);
	set_property(dialog, "wording", "reqd", dialog.get_value("legal_basis") === "Existing Customer");
	set_property(dialog, "evidence", "reqd", needed && !has_document);
	set_property(dialog, "evidence", "hidden", has_document);
	require_guardian(dialog);
}

async function show_wording(dialog) {
	const name = dialog.get_value("wording");
	const text = name ? (await frappe.db.get_value("Consent Wording", name, "text")).message.text : "";
	dialog.set_df_property(
		"wording",
		"description",
		text ? escape(text) : __("The text that the person saw or heard."),
	);
}

/** Let the user choose among the addresses of a party; of a person, the first one is the likely choice. */
export async function offer_addresses(dialog, { party_type, party }, take_first = true) {
	const field = dialog.get_field("email");
	if (!field || !party_type || !party) return;
	const addresses = Object.keys((await api("check_party", { party_type, party })) || {});
	field.set_data(addresses);
	const clear = addresses.length === 1 || (addresses.length && party_type !== "Customer");
	if (take_first && clear && !field.get_value()) await field.set_value(addresses[0]);
	if (!addresses.length) {
		dialog.set_df_property("email", "description", __("{0} has no address on record.", [escape(party)]));
	}
}

const party_of = (dialog) => ({
	party_type: dialog.get_value("party_type"),
	party: dialog.get_value("party"),
});

/** Say what the record changed, and offer the purpose where only a topic was recorded. */
async function announce(row, values) {
	const about = row.topic || row.purpose;
	const ask = async (topic) =>
		(await api("check_consent", { emails: [row.email], purpose: row.purpose, topic }))[row.email];
	const answer = await ask(row.topic);
	if (answer.allowed) {
		const message = __("Recorded. Mail about {0} may go to {1}.", [bold(about), bold(row.email)]);
		frappe.show_alert({ message, indicator: "green" }, 8);
		return;
	}
	const of_purpose = row.topic ? await ask(null) : answer;
	const still = __("Recorded, but mail about {0} still doesn't go to {1}.", [bold(about), bold(row.email)]);
	if (row.topic && !of_purpose.allowed && may_record(of_purpose.reason)) {
		const question = __(
			"It needs a consent to {0} as well. Did the person agree to that at the same time?",
			[bold(row.purpose)],
		);
		if (!(await ask_yes_or_no(__("One Consent Is Missing"), `<p>${still}</p><p>${question}</p>`))) return;
		const again = { ...values, topic: null, wording: await wording_of_purpose(values.wording) };
		const record_of_purpose = await api("record_consent", arguments_of(again));
		// Said of the topic, which is what the user came for.
		return announce({ ...record_of_purpose, topic: row.topic }, again);
	}
	frappe.msgprint({
		title: __("Recorded"),
		indicator: "orange",
		message: `<p>${still}</p><p>${reason_text(of_purpose.allowed ? answer.reason : of_purpose.reason)}</p>`,
	});
}

function ask_yes_or_no(title, html) {
	return new Promise((resolve) => {
		const dialog = frappe.confirm(
			html,
			() => resolve(true),
			() => resolve(false),
		);
		dialog.set_title(title);
	});
}

/** A wording about the topic alone proves nothing about the purpose. */
async function wording_of_purpose(wording) {
	if (!wording) return null;
	const { message } = await frappe.db.get_value("Consent Wording", wording, "topic");
	return message.topic ? null : wording;
}

const topics_of = (purpose, text) =>
	frappe.db.get_link_options("Subscription Topic", text, { enabled: 1, purpose });

/** Ask the person to confirm from their mailbox. */
export async function request(given = {}, done = () => {}) {
	let dialog = null; // a field asks for its data before the dialog exists
	dialog = new frappe.ui.Dialog({
		title: __("Send Confirmation Request"),
		fields: [
			{
				fieldtype: "HTML",
				options: `<p class="text-muted">${__(
					"The person gets one mail with a link, and nothing else. The consent counts when they confirm.",
				)}</p>`,
			},
			email_field(),
			purpose_fields(() => dialog, { marketing: true })[0],
			{
				fieldtype: "MultiSelectPills",
				fieldname: "topics",
				label: __("Topics"),
				description: __("Empty: the purpose only."),
				get_data: (text) => (dialog ? topics_of(dialog.get_value("purpose"), text) : []),
			},
			{ ...source_field(), description: __("How the person came to ask for it.") },
			{
				fieldtype: "Link",
				fieldname: "language",
				label: __("Language of the Mail"),
				options: "Language",
				only_select: true,
				get_query: () => ({ filters: { enabled: 1 } }),
			},
		],
		primary_action_label: __("Send"),
		primary_action: async (values) => {
			const { status, sent } = await api("request_consent", {
				...only(values, ["email", "purpose", "source", "language"]),
				topics: values.topics || [],
			});
			dialog.hide();
			if (status === "Given") {
				frappe.msgprint(
					__("Nothing to ask: {0} has agreed to all of it already.", [bold(values.email)]),
				);
			} else if (sent) {
				frappe.show_alert(
					{ message: __("Sent to {0}.", [bold(values.email)]), indicator: "green" },
					8,
				);
			} else {
				frappe.msgprint({
					indicator: "orange",
					title: __("Not sent"),
					message: __(
						"{0} got as many requests today as Consent Settings allows. Try again tomorrow.",
						[bold(values.email)],
					),
				});
			}
			done();
		},
	});
	dialog.show();
	if (given.email) await dialog.set_value("email", given.email);
	await dialog.set_value("purpose", given.purpose || (await default_purpose()));
	if (given.topic) await dialog.set_value("topics", [given.topic]);
	await offer_addresses(dialog, given);
}
