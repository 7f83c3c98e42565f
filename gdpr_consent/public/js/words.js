// What the register's constants mean, in plain words. Keys equal those of policy.py, by tests/test_desk.py.
import { is_over } from "./time";

// A function, because translations arrive after this file. Each: a few words, and one sentence.
export const reasons = () => ({
	VALID_CONSENT: [__("Agreed"), __("The person agreed, and the proof is on record.")],
	EXISTING_CUSTOMER: [
		__("Existing customer"),
		__("The address came with a sale, so mail about similar goods is allowed."),
	],
	NOT_MARKETING: [
		__("Not marketing"),
		__("Mail for this purpose isn't marketing, so it needs no consent."),
	],
	NO_CONSENT: [__("No consent"), __("Nothing on record says that the person agreed to this purpose.")],
	REQUESTED: [__("Waiting for confirmation"), __("The person was asked and hasn't confirmed yet.")],
	LAPSED: [__("Not confirmed"), __("The person was asked and didn't confirm in time.")],
	REFUSED: [__("Refused"), __("The person was asked and said no.")],
	WITHDRAWN: [__("Withdrawn"), __("The person doesn't want it any more. Only they can change that.")],
	REVOKED: [__("Revoked"), __("We ended this consent ourselves.")],
	EXPIRED: [__("Expired"), __("The consent is too old to rely on. Ask the person again.")],
	INVALIDATED: [__("Invalid"), __("The consent was declared invalid.")],
	NO_EVIDENCE: [__("No proof"), __("It is on record that the person agreed, but without enough proof.")],
	TOPIC_NOT_SUBSCRIBED: [
		__("Another topic"),
		__("The person agreed to the purpose, but not to hear about this topic."),
	],
	OBJECTED: [__("Objected"), __("The person wants no marketing at all. Only they can change that.")],
	UNSUBSCRIBED: [__("Unsubscribed"), __("The person unsubscribed. Only they can change that.")],
	RESTRICTED: [__("Restricted"), __("Processing of the person's data is restricted (Art. 18 GDPR).")],
	SUPPRESSED: [__("Suppressed"), __("The address was erased on request, or mail to it comes back.")],
	ERROR: [
		__("Undecided"),
		__("It couldn't be decided what the mail is about or to whom it may go, so it waits."),
	],
});

// Where somebody may still record a yes. Elsewhere only the person can lift their no, or has to answer first.
const OPEN = [
	"NO_CONSENT",
	"LAPSED",
	"REVOKED",
	"EXPIRED",
	"INVALIDATED",
	"NO_EVIDENCE",
	"TOPIC_NOT_SUBSCRIBED",
];

// What would lift a reason, and the page that helps, if it isn't an action on the person.
export const remedies = () => {
	const ask = [__("Record what the person said, or send a confirmation request if they asked for it.")];
	const person = [__("They can sign up again."), "/consent/subscribe"];
	return {
		...Object.fromEntries(OPEN.map((reason) => [reason, ask])),
		NO_EVIDENCE: [__("Record it with a document, or let the person sign up and confirm.")],
		REQUESTED: [__("Wait for the person, or send the request again.")],
		REFUSED: person,
		WITHDRAWN: person,
		OBJECTED: person,
		UNSUBSCRIBED: person,
		RESTRICTED: [__("Ends when the restriction is lifted."), "/app/suppression?kind=Restriction"],
		SUPPRESSED: [
			__("A bounce is lifted when the mailbox works again; an erasure when the person signs up."),
			"/app/suppression?kind=Bounce",
		],
		ERROR: [__("Look at the self-check."), "/app/consent-settings"],
	};
};

export const may_record = (reason) => OPEN.includes(reason);
export const reason_label = (reason) => (reasons()[reason] || [reason])[0];
export const reason_text = (reason) => (reasons()[reason] || [reason, reason])[1];

export const GRADE_COLOURS = { A: "green", B: "blue", C: "blue", D: "orange" };

export function grade_html(grade) {
	if (!GRADE_COLOURS[grade]) return "";
	const meaning = {
		A: __("confirmed from the mailbox"),
		B: __("the person's own form"),
		C: __("recorded by staff with a document"),
		D: __("claimed, without a document"),
	};
	return `<span class="indicator-pill no-indicator-dot ${GRADE_COLOURS[grade]}" title="${escape(meaning[grade])}">${escape(grade)}</span>`;
}

export const STATUS_COLOURS = {
	Unknown: "orange",
	Requested: "orange",
	Lapsed: "grey",
	Refused: "red",
	Given: "green",
	Withdrawn: "red",
	Revoked: "red",
	Expired: "grey",
	Superseded: "grey",
	Invalidated: "red",
	"Not Required": "blue",
	Ended: "grey",
};

/** The status of a consent at this moment, whether or not the nightly job has written it yet. */
export function status_now({ status, expires_on }) {
	const over = { Given: "Expired", Requested: "Lapsed", "Not Required": "Ended" };
	return (is_over(expires_on) && over[status]) || status;
}

// What happened, and the colour of its dot.
export const kinds = () => ({
	Import: [__("Taken over without proof"), "orange"],
	Request: [__("Asked to confirm"), "orange"],
	Lapse: [__("Not confirmed in time"), "grey"],
	Refuse: [__("Refused"), "red"],
	Give: [__("Given"), "green"],
	Confirm: [__("Confirmed by the person"), "green"],
	Withdraw: [__("Withdrawn"), "red"],
	Revoke: [__("Revoked by us"), "red"],
	Expire: [__("Expired"), "grey"],
	Supersede: [__("Replaced by a newer record"), "grey"],
	Invalidate: [__("Declared invalid"), "red"],
	Record: [__("Recorded on another legal basis"), "blue"],
	End: [__("Ended"), "grey"],
	Move: [__("Moved with the person's record"), "grey"],
	Ask: [__("Was asked to confirm again"), "orange"],
	Suppress: [__("Said no"), "red"],
	Lift: [__("Lifted"), "green"],
	Erase: [__("Personal data erased"), "grey"],
});

export const refusals = () => ({
	Objection: __("Objected to all marketing"),
	Withdrawal: __("Wants no more of it"),
	Unsubscribe: __("Unsubscribed"),
	Erasure: __("Erased on request"),
	Restriction: __("Processing restricted"),
	Bounce: __("Mail comes back"),
	Complaint: __("Complained about mail"),
});

export const escape = (text) => frappe.utils.escape_html(String(text ?? ""));

export const bold = (text) => `<b>${escape(text)}</b>`;
