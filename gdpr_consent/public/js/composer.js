// Says in the desk's composer, before a mail with a marketing template goes, whom it won't reach.
import { show_rows } from "./audience";
import { api } from "./record";
import { bold } from "./words";

/** Extend core's composer, if it is as we know it. The gate decides anyway; this only says so in time. */
export function warn_in_composer() {
	const Composer = frappe.views.CommunicationComposer;
	if (!Composer?.prototype.send_email) return;

	frappe.views.CommunicationComposer = class extends Composer {
		async send_email(button, values, ...more) {
			const send = () => super.send_email(button, values, ...more);
			const answer = await ask_about(values);
			if (answer.rows.every((row) => row.allowed)) return send();
			warn(answer, send, () => this.send_email(button, values, ...more));
		}
	};
}

/** Resolve with an answer for each recipient; with none if the template isn't marketing, or it can't be told. */
async function ask_about({ email_template, recipients, cc, bcc }) {
	if (!email_template || !frappe.model.can_read("Consent")) return { rows: [] };
	try {
		const { purpose, topic } = await subject_of(email_template);
		if (!(purpose || topic)) return { rows: [] };
		const emails = [recipients, cc, bcc].flatMap((some) => frappe.utils.split_emails(some));
		const answers = await api("check_consent", { emails, purpose, topic });
		const rows = Object.entries(answers).map(([email, answer]) => ({ email, ...answer }));
		return { rows, purpose, topic };
	} catch {
		return { rows: [] };
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

function warn(answer, send, again) {
	const will = answer.rows.filter((row) => row.allowed).length;
	show_rows(answer, {
		title: __("Not Everybody Will Get This"),
		summary: (will, not) => __("Recipients who will get it: {0} of {1}.", [bold(will), bold(will + not)]),
		again,
		label: will ? __("Send (recipients: {0})", [will]) : __("Close"),
		proceed: () => will && send(),
	});
}
