// Says in the desk's composer, before a mail with a marketing template goes, whom it won't reach.
import { summary_html } from "./audience";
import { api } from "./record";
import { bold, escape } from "./words";

/** Extend core's composer, if it is as we know it. The gate decides anyway; this only says so in time. */
export function warn_in_composer() {
	const Composer = frappe.views.CommunicationComposer;
	if (!Composer?.prototype.send_email) return;

	frappe.views.CommunicationComposer = class extends Composer {
		async send_email(button, values, ...more) {
			const send = () => super.send_email(button, values, ...more);
			const rows = await recipients_of_marketing(values);
			return rows.every((row) => row.allowed) ? send() : warn(rows, send);
		}
	};
}

/** Resolve with an answer for each recipient; with none if the template isn't marketing, or it can't be told. */
async function recipients_of_marketing({ email_template, recipients, cc, bcc }) {
	if (!email_template || !frappe.model.can_read("Consent")) return [];
	try {
		const { purpose, topic } = await subject_of(email_template);
		if (!(purpose || topic)) return [];
		const emails = [recipients, cc, bcc].flatMap((some) => frappe.utils.split_emails(some));
		const answers = await api("check_consent", { emails, purpose, topic });
		return Object.entries(answers).map(([email, answer]) => ({ email, ...answer }));
	} catch {
		return [];
	}
}

async function subject_of(email_template) {
	const fields = ["consent_purpose", "subscription_topic"];
	const { message: template } = await frappe.db.get_value("Email Template", email_template, fields);
	const topic = template.subscription_topic;
	if (!topic) return { purpose: template.consent_purpose };
	const { message } = await frappe.db.get_value("Subscription Topic", topic, "purpose");
	return { purpose: message.purpose, topic };
}

function warn(rows, send) {
	const will = rows.filter((row) => row.allowed).length;
	const dialog = new frappe.ui.Dialog({
		title: __("Not Everybody Will Get This"),
		fields: [{ fieldtype: "HTML", fieldname: "summary" }],
		primary_action_label: will ? __("Send to {0}", [will]) : __("Close"),
		primary_action: () => {
			dialog.hide();
			if (will) send();
		},
	});
	const summary = () => __("{0} of {1} recipients will get it.", [bold(will), bold(rows.length)]);
	dialog.fields_dict.summary.$wrapper.html(summary_html(rows, summary) + blocked_html(rows));
	dialog.show();
}

function blocked_html(rows) {
	const items = rows
		.filter((row) => !row.allowed)
		.map((row) => `<li style="overflow-wrap: anywhere">${escape(row.email)}</li>`);
	return `<p>${__("It won't go to:")}</p><ul>${items.join("")}</ul>`;
}
