// What the form of a Data Subject Request shows: what to do next and by when, and a button for each thing that is
// possible now. The server says what that is; it checks each again.
import { set_headline } from "./person";
import { escape } from "./words";

const OFFICER = "Privacy Officer";
const STATUS_COLOURS = {
	Received: "blue",
	"Identity Open": "grey",
	"In Progress": "blue",
	"To Approve": "orange",
	Running: "purple",
	Fulfilled: "green",
	Refused: "red",
	Withdrawn: "grey",
};
const OPEN = ["Received", "Identity Open", "In Progress", "To Approve", "Running"];
const SOON_DAYS = 5;

const call = (method, args) => frappe.xcall(`gdpr_consent.rights.api.${method}`, args, "POST");

export async function show_request(frm) {
	if (frm.is_new()) return;
	const { docname } = frm;
	frm.disable_save();
	frm.page.set_indicator(__(frm.doc.status), STATUS_COLOURS[frm.doc.status]);
	if (!frappe.user.has_role(OFFICER)) {
		set_headline(frm, due_text(frm.doc), due_colour(frm.doc));
		return;
	}
	const overview = await call("request_overview", { request: docname });
	if (frm.docname !== docname) return; // the user went on to another one
	set_headline(frm, `<b>${escape(overview.next)}</b> ${due_text(frm.doc)}`, overview.colour);
	overview.actions.forEach((action, position) => add_button(frm, overview, action, position));
	const of_the_right = {
		Access: "package",
		Erasure: "erasure",
		"Human Review": "human_review",
		Information: "information",
		Portability: "package",
	}[frm.doc.right];
	gdpr_consent.rights[of_the_right]?.(frm);
}

export const days_left = ({ due_on }) => frappe.datetime.get_day_diff(due_on, frappe.datetime.get_today());

export function due_colour({ status, due_on }) {
	if (!OPEN.includes(status)) return STATUS_COLOURS[status];
	if (status === "Identity Open") return "grey";
	const days = days_left({ due_on });
	if (days < 0) return "red";
	return days <= SOON_DAYS ? "orange" : "blue";
}

/** Say in a few words when the answer is due, or what became of the request. */
export function days_text({ status, due_on }) {
	if (!OPEN.includes(status) || status === "Identity Open") return __(status);
	const days = days_left({ due_on });
	if (days < 0) return __("{0} days late", [-days]);
	return days ? __("{0} days left", [days]) : __("Due today");
}

function due_text(doc) {
	if (!OPEN.includes(doc.status)) return "";
	const day = frappe.datetime.str_to_user(doc.due_on);
	const moved =
		doc.due_raw !== doc.due_on && !doc.extended_to
			? ` ${__("The month ends on {0}.", [frappe.datetime.str_to_user(doc.due_raw)])}`
			: "";
	return `${escape(__("Due on {0}: {1}.", [day, days_text(doc)]))}${escape(moved)}`;
}

function add_button(frm, overview, action, position) {
	const known = ACTIONS[action];
	if (!known) return;
	const [label, act] = known();
	const button = frm.add_custom_button(
		label,
		() => act(frm, overview),
		position > 1 ? __("More") : undefined,
	);
	if (!position && OPEN.includes(frm.doc.status))
		button?.removeClass("btn-default").addClass("btn-primary");
}

// --- the buttons --------------------------------------------------------------------------------------------

const HAND = () => ({
	fieldtype: "Date",
	fieldname: "told_on",
	label: __("Person Told On"),
	description: __("Only if no mail can be sent: the day on which you told the person."),
});

const text_field = (fieldname, label, description, more = {}) => ({
	fieldtype: "Small Text",
	fieldname,
	label,
	description,
	reqd: 1,
	...more,
});

const select_field = (fieldname, label, options, more = {}) => ({
	fieldtype: "Select",
	fieldname,
	label,
	options,
	reqd: 1,
	...more,
});

/** Ask what a door needs to know, then pass it. Of a dialog that fails nothing is lost. */
function ask(frm, title, fields, label, method, arguments_of = (values) => values) {
	const dialog = new frappe.ui.Dialog({
		title,
		fields,
		primary_action_label: label,
		primary_action: async (values) => {
			await pass(frm, method, arguments_of(values));
			dialog.hide();
		},
	});
	dialog.show();
	return dialog;
}

async function pass(frm, method, args = {}) {
	const answer = await frappe.call({
		method: `gdpr_consent.rights.api.${method}`,
		type: "POST",
		args: { request: frm.docname, ...args },
		freeze: true,
	});
	await frm.reload_doc();
	return answer.message;
}

const confirm = (frm, question, method) => frappe.confirm(question, () => pass(frm, method));

const explanation = (text) => ({ fieldtype: "HTML", options: `<p>${text}</p>` });

// Functions, because translations arrive after this file.
const ACTIONS = {
	start_request: () => [__("Start"), (frm) => pass(frm, "start_request")],
	ask_identity: () => [__("Ask Who They Are"), ask_identity],
	confirm_identity: () => [
		__("Confirm Identity"),
		(frm) =>
			ask(
				frm,
				__("Confirm Identity"),
				[
					explanation(
						__(
							"Who asks is known by an address or a number that we had before. No copy of an identity card.",
						),
					),
					select_field(
						"method",
						__("Confirmed by"),
						[
							"Call to Known Number",
							"Link to Known Address",
							"Signed In",
							"Met in Person",
							"Other",
						],
						{ default: "Call to Known Number" },
					),
					text_field("note", __("Note"), __("Such as who was called, and when."), { reqd: 0 }),
				],
				__("Confirm"),
				"confirm_identity",
			),
	],
	fail_identity: () => [
		__("Identity Not Confirmed"),
		(frm) =>
			ask(
				frm,
				__("Identity Not Confirmed"),
				[text_field("note", __("Note"), __("What was tried, and what came of it."))],
				__("Save"),
				"fail_identity",
			),
	],
	include_records: () => [__("Records of the Person"), include_records],
	add_record: () => [
		__("Add a Record"),
		(frm) =>
			ask(
				frm,
				__("Add a Record"),
				[
					select_field("party_type", __("Record Type"), ["Contact", "Lead", "Customer"], {
						default: "Contact",
						onchange: () => cur_dialog?.set_value("party", null),
					}),
					{
						fieldtype: "Dynamic Link",
						fieldname: "party",
						label: __("Record"),
						options: "party_type",
						reqd: 1,
						only_select: true,
						get_options: () => cur_dialog?.get_value("party_type") || "Contact",
					},
				],
				__("Add"),
				"add_record",
			),
	],
	extend_request: () => [
		__("Extend"),
		(frm) =>
			ask(
				frm,
				__("Extend by Two Months"),
				[
					explanation(__("The person is told by mail, with the reason (Art. 12(3) GDPR).")),
					select_field("ground", __("Ground"), ["Complexity", "Number of Requests"]),
					text_field(
						"reason",
						__("Reason"),
						__("In the language of the person. It stands in the mail."),
					),
					HAND(),
				],
				__("Extend"),
				"extend_request",
			),
	],
	refuse_request: () => [
		__("Refuse"),
		(frm) =>
			ask(
				frm,
				__("Refuse"),
				[
					explanation(
						__("The person is told by mail why, and that they can complain (Art. 12(4) GDPR)."),
					),
					select_field("ground", __("Ground"), [
						"Identity Failure",
						"Manifestly Unfounded",
						"Manifestly Excessive",
						"Legal Claims",
						"Legally Required",
						"Compelling Grounds",
						"Other",
					]),
					text_field(
						"reason",
						__("Reason"),
						__("In the language of the person. It stands in the mail."),
					),
					HAND(),
				],
				__("Refuse"),
				"refuse_request",
			),
	],
	take_back_request: () => [
		__("Person Takes It Back"),
		(frm) => confirm(frm, __("Does the person not want it any more?"), "take_back_request"),
	],
	answer_request: () => [
		__("Answer"),
		(frm) =>
			ask(
				frm,
				__("Answer"),
				[
					text_field(
						"answer",
						__("Answer"),
						__("In the language of the person. It closes the request."),
					),
					HAND(),
				],
				__("Send and Close"),
				"answer_request",
			),
	],
	restrict_person: () => [
		__("Restrict"),
		(frm) =>
			confirm(
				frm,
				__(
					"The records that are ticked become read-only and get no marketing. The person is told by mail.",
				),
				"restrict_person",
			),
	],
	announce_lifting: () => [
		__("Tell of the Lifting"),
		(frm) =>
			ask(
				frm,
				__("Tell the Person That the Restriction Ends"),
				[
					text_field(
						"reason",
						__("Reason"),
						__("In the language of the person. It stands in the mail."),
					),
					HAND(),
				],
				__("Tell"),
				"announce_lifting",
			),
	],
	lift_request_restriction: () => [
		__("Lift Restriction"),
		(frm) => confirm(frm, __("The records can be used again."), "lift_request_restriction"),
	],
	uphold_objection: () => [
		__("Grant"),
		(frm) =>
			confirm(
				frm,
				__(
					"What the person objects to stops. The restriction meanwhile ends, and the person is told by mail.",
				),
				"uphold_objection",
			),
	],
	propose_changes: () => [__("Propose Changes"), propose_changes],
	approve_changes: () => [
		__("Approve"),
		(frm) =>
			confirm(
				frm,
				__(
					"The changes are written to the records and their copies, and the person is told by mail.",
				),
				"approve_changes",
			),
	],
	add_recipients: () => [__("Add Recipients"), add_recipients],
	tell_recipient: () => [__("Tell Recipient"), tell_recipient],
	tell_person_recipients: () => [
		__("Tell the Person Who Has the Data"),
		(frm) => pass(frm, "tell_person_recipients"),
	],
};

function ask_identity(frm, { known_addresses }) {
	const where_they_wrote_from = __("Where they wrote from");
	ask(
		frm,
		__("Ask Who They Are"),
		[
			explanation(
				__(
					"The clock stands still until it is known. A known address gets a link to confirm by; a number is to be called.",
				),
			),
			select_field("address", __("Ask at"), [...known_addresses, where_they_wrote_from], {
				default: known_addresses[0] || where_they_wrote_from,
			}),
			HAND(),
		],
		__("Ask"),
		"ask_identity",
		({ address, told_on }) => ({
			address: known_addresses.includes(address) ? address : null,
			told_on,
		}),
	);
}

function include_records(frm) {
	const rows = frm.doc.records || [];
	ask(
		frm,
		__("Records of the Person"),
		[
			explanation(
				rows.length
					? __("Tick those that are the person who asks. Everything that follows is done to these.")
					: __("No record has the address or the number."),
			),
			{
				fieldtype: "MultiCheck",
				fieldname: "rows",
				columns: 1,
				options: rows.map((row) => ({
					label: escape(`${__(row.party_type)}: ${row.title || row.party}`),
					value: row.name,
					checked: row.included,
				})),
			},
		],
		__("Save"),
		"include_records",
		({ rows: ticked }) => ({ rows: JSON.stringify(ticked || []) }),
	);
}

// --- rectification ------------------------------------------------------------------------------------------

const CHANGEABLE = ["Data", "Small Text", "Text", "Date", "Select", "Link", "Phone", "Autocomplete"];
const ADDRESSES = {
	Contact: ["email_id", "mobile_no", "phone"],
	Lead: ["email_id", "mobile_no", "phone", "whatsapp_no"],
	Customer: [],
};
const NOT_BY_HAND = ["marketing_mail", "processing_restricted", "naming_series"];

function propose_changes(frm) {
	const ticked = frm.doc.records.filter((row) => row.included && row.party_type in ADDRESSES);
	if (!ticked.length) {
		frappe.msgprint(__("No record is ticked as the person. Tick one first."));
	} else if (ticked.length === 1) {
		correct(frm, ticked[0]);
	} else {
		const label_of = (row) => `${row.party_type}: ${row.party}`;
		frappe.prompt(
			select_field("record", __("Record"), ticked.map(label_of), { default: label_of(ticked[0]) }),
			({ record }) =>
				correct(
					frm,
					ticked.find((row) => label_of(row) === record),
				),
			__("Propose Changes"),
			__("Next"),
		);
	}
}

/** Show the fields of a record with what they hold; what is changed there is proposed. */
async function correct(frm, { party_type, party }) {
	await frappe.model.with_doctype(party_type);
	const record = await frappe.db.get_doc(party_type, party);
	const is_address = ({ fieldname }) => ADDRESSES[party_type].includes(fieldname);
	const fields = frappe
		.get_meta(party_type)
		.fields.filter(
			(field) =>
				is_address(field) ||
				(CHANGEABLE.includes(field.fieldtype) &&
					!field.read_only &&
					!field.hidden &&
					!field.permlevel &&
					!NOT_BY_HAND.includes(field.fieldname)),
		);
	const others = (frm.doc.changes || [])
		.filter((row) => row.ref_doctype !== party_type || row.ref_name !== party)
		.map(({ ref_doctype, ref_name, fieldname, old_value, new_value }) => ({
			ref_doctype,
			ref_name,
			fieldname,
			old_value,
			new_value,
		}));
	ask(
		frm,
		__("What Is to Be Corrected"),
		fields.map(({ fieldname, fieldtype, label, options }) => ({
			fieldname,
			fieldtype: is_address({ fieldname }) ? "Data" : fieldtype,
			label: __(label),
			options: is_address({ fieldname }) ? undefined : options,
			default: record[fieldname],
			only_select: true,
		})),
		__("Propose"),
		"propose_changes",
		(values) => ({
			changes: JSON.stringify([
				...others,
				...fields
					.filter(({ fieldname }) => (values[fieldname] || "") !== (record[fieldname] || ""))
					.map(({ fieldname }) => ({
						ref_doctype: party_type,
						ref_name: party,
						fieldname,
						new_value: values[fieldname] || "",
					})),
			]),
		}),
	);
}

// --- recipients ---------------------------------------------------------------------------------------------

async function add_recipients(frm) {
	const suggested = await call("suggest_recipients", { request: frm.docname });
	ask(
		frm,
		__("Add Recipients"),
		[
			explanation(__("Whoever has the person's data from us is told of it (Art. 19 GDPR).")),
			...(suggested.length
				? [
						{
							fieldtype: "MultiCheck",
							fieldname: "suggested",
							label: __("They got mails about the person"),
							columns: 1,
							options: suggested.map(({ recipient, about }) => ({
								label: escape(`${recipient} · ${about}`),
								value: recipient,
							})),
						},
					]
				: []),
			{ fieldtype: "Data", fieldname: "recipient", label: __("Another: Name or E-mail Address") },
			{ fieldtype: "Data", fieldname: "about", label: __("What They Have") },
		],
		__("Add"),
		"add_recipients",
		({ suggested: ticked, recipient, about }) => ({
			recipients_: JSON.stringify([
				...suggested.filter((row) => (ticked || []).includes(row.recipient)),
				...(recipient ? [{ recipient, about }] : []),
			]),
		}),
	);
}

function tell_recipient(frm) {
	const due = frm.doc.notices.filter(({ status }) => status === "Due");
	ask(
		frm,
		__("Tell Recipient"),
		[
			select_field(
				"recipient",
				__("Recipient"),
				due.map(({ recipient }) => recipient),
				{ default: due[0].recipient },
			),
			{
				fieldtype: "Data",
				fieldname: "how",
				label: __("How They Were Told"),
				description: __("Empty: we send a mail now."),
			},
			{ fieldtype: "Date", fieldname: "told_on", label: __("Told On") },
			{ fieldtype: "Small Text", fieldname: "not_possible", label: __("Or Why They Can't Be Told") },
		],
		__("Save"),
		"tell_recipient",
		({ recipient, ...values }) => ({
			notice: due.find((row) => row.recipient === recipient).name,
			...values,
		}),
	);
}

// --- a new one ----------------------------------------------------------------------------------------------

/** Record a request of the person behind a record. */
export function record_request({ party_type, party }, done = () => {}) {
	const dialog = new frappe.ui.Dialog({
		title: __("Record Request"),
		fields: [
			select_field(
				"right",
				__("Right"),
				[
					"Access",
					"Rectification",
					"Erasure",
					"Restriction",
					"Portability",
					"Objection",
					"Human Review",
					"Withdrawal",
					"Information",
				],
				{
					onchange: () =>
						dialog.set_df_property(
							"objects_to",
							"hidden",
							dialog.get_value("right") !== "Objection",
						),
				},
			),
			{
				fieldtype: "Select",
				fieldname: "objects_to",
				label: __("Objects to"),
				options: ["", "Marketing", "Other Processing"],
				hidden: 1,
			},
			select_field("channel", __("Channel"), ["E-mail", "Phone", "Letter", "In Person"], {
				default: "E-mail",
			}),
			{
				fieldtype: "Date",
				fieldname: "received_on",
				label: __("Received On"),
				default: frappe.datetime.get_today(),
				reqd: 1,
				description: __("The month counts from the day it reached us."),
			},
			{
				fieldtype: "Data",
				fieldname: "email",
				label: __("E-mail Address"),
				options: "Email",
				description: __("Where the person wrote from, and gets the answer."),
			},
			{ fieldtype: "Data", fieldname: "phone", label: __("Phone") },
			{ fieldtype: "Small Text", fieldname: "message", label: __("Message") },
		],
		primary_action_label: __("Record"),
		primary_action: async (values) => {
			const { message } = await frappe.call({
				method: "gdpr_consent.rights.api.record_request",
				type: "POST",
				args: { ...values, party_type, party },
				freeze: true,
			});
			dialog.hide();
			const url = `/app/data-subject-request/${encodeURIComponent(message.name)}`;
			frappe.show_alert(
				{
					message: __("Recorded: {0}", [`<a href="${url}">${escape(message.name)}</a>`]),
					indicator: "green",
				},
				15,
			);
			done();
		},
	});
	dialog.show();
	return dialog;
}
