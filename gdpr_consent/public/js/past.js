// "On what ground did you write to me on 1 March?": whether a person might be mailed at an instant, and why.
import { evidence_html, mails_html } from "./history";
import { api, default_purpose, follow_topics, purpose_fields } from "./record";
import { local_time_html, to_utc, user_zone, zoned_time } from "./time";
import { bold, escape, grade_html, reason_text } from "./words";

/** Ask about an instant, for a Contact, a Lead or a Customer. */
export async function ask_about_the_past({ party_type, party, title }) {
	const dialog = new frappe.ui.Dialog({
		title: __("Was Mailable On …"),
		size: "large",
		fields: [
			{
				fieldtype: "Datetime",
				fieldname: "at",
				label: __("Date and Time"),
				reqd: 1,
				description: __("In your time zone: {0}", [escape(user_zone())]),
			},
			{
				fieldtype: "Datetime",
				fieldname: "known_at",
				label: __("As It Was Known On"),
				description: __("Empty: with all that is known now."),
			},
			{ fieldtype: "Column Break" },
			...purpose_fields(() => dialog, { marketing: true, topic: __("Empty: the purpose itself.") }),
			{ fieldtype: "Section Break" },
			{ fieldtype: "HTML", fieldname: "answer" },
		],
		primary_action_label: __("Answer"),
		primary_action: async (values) => {
			const answer = await api("was_mailable", {
				party_type,
				party,
				at: to_utc(values.at),
				known_at: to_utc(values.known_at),
				purpose: values.purpose,
				topic: values.topic || null,
			});
			dialog.fields_dict.answer.$wrapper.html(answer_html(answer, title || party));
		},
	});
	follow_topics(dialog);
	dialog.$wrapper.on("click", "a[href^='/app/']", () => dialog.hide());
	dialog.show();
	await dialog.set_value("purpose", await default_purpose());
	return dialog;
}

function answer_html({ at, known_at, purpose, topic, rows }, whose) {
	if (!rows.length)
		return `<p class="text-muted">${__("{0} has no address on record.", [bold(whose)])}</p>`;
	const about = [purpose, topic]
		.filter(Boolean)
		.map((one) => escape(__(one)))
		.join(" · ");
	const known = known_at ? `<div>${__("As it was known on {0}", [zoned_time(known_at)])}</div>` : "";
	return `<div class="text-muted mb-2">${about}${known}</div>${rows.map((row) => row_html(row, at)).join("")}`;
}

function row_html(row, at) {
	const [colour, sentence] = row.allowed
		? ["green", __("{0} was mailable on {1}.", [bold(row.email), zoned_time(at)])]
		: ["red", __("{0} was not mailable on {1}.", [bold(row.email), zoned_time(at)])];
	const consent =
		row.consent && `<a href="/app/consent/${encodeURIComponent(row.consent)}">${__("Consent")}</a>`;
	const wording = row.wording && link_html("consent-wording", row.wording);
	const details = [
		[__("Rests on"), consent],
		[__("Legal Basis"), row.legal_basis && escape(__(row.legal_basis))],
		[__("Sale"), row.sale && link_html(frappe.router.slug(row.sale_doctype), row.sale)],
		[__("Given On"), local_time_html(row.given_on)],
		[__("Expires On"), local_time_html(row.expires_on)],
		[__("Source"), row.source && escape(__(row.source))],
		[__("Wording"), wording],
		[__("Evidence"), row.evidence && evidence_html(row.evidence)],
		[__("Guardian"), escape([row.guardian_name, row.guardian_verification].filter(Boolean).join(": "))],
		[__("Proof"), row.evidence_grade && grade_html(row.evidence_grade)],
	];
	const said = details
		.filter(([, html]) => html)
		.map(([label, html]) => `<span class="mr-3">${label}: ${html}</span>`);
	const mails = row.mails.length
		? `<h6 class="mt-2 mb-0">${__("Mails that stood on it")}</h6>${mails_html(row.mails)}`
		: "";
	return `<section class="border-bottom py-2" data-address="${escape(row.email)}" style="overflow-wrap: anywhere">
		<div class="form-message ${colour} rounded mb-1">${sentence} ${__("Because: {0}", [escape(reason_text(row.reason))])}</div>
		<div class="text-muted small">${said.join(" ")}</div>${mails}
	</section>`;
}

const link_html = (route, name) => `<a href="/app/${route}/${encodeURIComponent(name)}">${escape(name)}</a>`;
