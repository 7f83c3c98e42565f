// The dialogs that lead to a no: of the person, or of the controller.
import { api, default_purpose, email_field, offer_addresses, purpose_fields, source_field } from "./record";
import { to_utc } from "./time";
import { bold } from "./words";

// One of the people at a Customer is named by the address alone, or all the others would have said no, too.
const whose = ({ party_type, party, email }, one) => (one ? { email: one } : { party_type, party, email });

const one_of_many_field = ({ party_type, email }) =>
	party_type === "Customer" && !email
		? [
				{
					...email_field(),
					reqd: 0,
					description: __("Whose wish it is. Empty: that of everybody at this customer."),
				},
			]
		: [];

const name_of = (given) => bold(given.email || given.title || given.party);

function tell(withdrawn) {
	const message = withdrawn.length
		? __("Recorded. Records ended: {0}.", [withdrawn.length])
		: __("Recorded. No consent was in force, and none can be recorded by staff from now on.");
	frappe.show_alert({ message, indicator: withdrawn.length ? "green" : "blue" }, 8);
}

const explanation = (html) => ({ fieldtype: "HTML", options: `<p>${html}</p>` });

const reason_field = (reqd) => ({
	fieldtype: "Small Text",
	fieldname: "reason",
	label: __("Reason"),
	max_height: "6rem",
	reqd,
	description: reqd ? __("For whoever asks later.") : __("If the person gave one. They needn't."),
});

/** The person takes back their consent to a topic, or to a purpose with all its topics (Art. 7(3)). */
export async function withdraw(given, done = () => {}) {
	const dialog = new frappe.ui.Dialog({
		title: __("Withdraw Consent"),
		fields: [
			explanation(
				__("{0} doesn't want it any more. It holds for every address the person has or gets later.", [
					name_of(given),
				]),
			),
			...one_of_many_field(given),
			...purpose_fields(() => dialog, { topic: __("Empty: the purpose with all its topics.") }),
			{ ...source_field(), description: __("How the person told you.") },
			reason_field(0),
		],
		primary_action_label: __("Withdraw"),
		primary_action: async ({ email, purpose, topic, source, reason }) => {
			const args = {
				...whose(given, email),
				purpose,
				topic: topic || null,
				source: source || null,
				reason,
			};
			tell((await api("withdraw_consent", args)).withdrawn);
			dialog.hide();
			done();
		},
	});
	dialog.show();
	await dialog.set_value("purpose", given.purpose || (await default_purpose()));
	if (given.topic) await dialog.set_value("topic", given.topic);
	await offer_addresses(dialog, given, false);
}

/** The person wants no marketing at all (Art. 21(2)). */
export function object(given, done = () => {}) {
	const dialog = new frappe.ui.Dialog({
		title: __("Object to All Marketing"),
		fields: [
			explanation(
				__(
					"{0} wants no marketing at all: every purpose, every channel, every address. Only the person can lift that.",
					[name_of(given)],
				),
			),
			...one_of_many_field(given),
			{ ...source_field(), description: __("How the person told you.") },
			reason_field(0),
		],
		primary_action_label: __("Record Objection"),
		primary_action: async ({ email, source, reason }) => {
			tell(
				(await api("object_to_marketing", { ...whose(given, email), source: source || null, reason }))
					.withdrawn,
			);
			dialog.hide();
			done();
		},
	});
	dialog.show();
	offer_addresses(dialog, given, false);
}

/** The person asks us to do nothing but store (Art. 18). */
export function restrict(given, done = () => {}) {
	ask_reason(
		__("Restrict Processing"),
		__(
			"{0} gets no marketing mail until the restriction is lifted. What is on record stays as it is (Art. 18 GDPR).",
			[name_of(given)],
		),
		__("Restrict"),
		[],
		async (reason) => {
			await api("restrict", { ...whose(given), reason });
			frappe.show_alert({ message: __("Restricted."), indicator: "green" }, 8);
			done();
		},
	);
}

/** Go on, after the person was told (Art. 18(3)). */
export function lift_restriction(given, done = () => {}) {
	ask_reason(
		__("Lift Restriction"),
		__("{0} has to be told before the restriction is lifted (Art. 18(3) GDPR).", [name_of(given)]),
		__("Lift"),
		[
			{
				fieldtype: "Date",
				fieldname: "informed_on",
				label: __("Person Told On"),
				reqd: 1,
				description: __("The day on which you told the person."),
			},
		],
		async (reason, { informed_on }) => {
			await api("lift_restriction", { ...whose(given), reason, informed_on });
			frappe.show_alert({ message: __("Lifted."), indicator: "green" }, 8);
			done();
		},
	);
}

/** The controller gives the consent up (T11). */
export function revoke(consent, done = () => {}) {
	ask_reason(
		__("Revoke Consent"),
		__(
			"We don't want to rely on this record any more. The person said nothing; if they did, withdraw it.",
		),
		__("Revoke"),
		[],
		(reason) => api("revoke_consent", { consent, reason }).then(done),
	);
}

/** It never was a consent (T12). */
export function invalidate(consent, done = () => {}) {
	ask_reason(
		__("Invalidate Consent"),
		__(
			"It never was valid, or not since the time below: recorded for the wrong person, or not freely given.",
		),
		__("Invalidate"),
		[
			{
				fieldtype: "Datetime",
				fieldname: "effective_from",
				label: __("Invalid Since"),
				description: __("Empty: from the beginning."),
			},
		],
		(reason, { effective_from }) =>
			api("invalidate_consent", { consent, reason, effective_from: to_utc(effective_from) }).then(done),
	);
}

function ask_reason(title, text, label, fields, act) {
	const dialog = new frappe.ui.Dialog({
		title,
		fields: [explanation(text), ...fields, reason_field(1)],
		primary_action_label: label,
		primary_action: async (values) => {
			await act(values.reason, values);
			dialog.hide();
		},
	});
	dialog.show();
}
