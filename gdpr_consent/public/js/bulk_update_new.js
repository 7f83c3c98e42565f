// Ways to a new Consent Bulk Update: records selected in a list, and a first clean-up of everything.
import { evidence_fields, load_doctype } from "./bulk_update_filters";
import { BULK_UPDATE, bar_html, call, number } from "./bulk_update_words";
import { default_purpose, follow_purpose, legal_basis_field, purpose_fields, source_field } from "./record";
import { to_utc_column } from "./time";
import { bold, escape } from "./words";

async function create(values) {
	const { name } = await frappe.db.insert({ doctype: BULK_UPDATE, ...values });
	return name;
}

const reason_field = (text) => ({
	fieldtype: "Small Text",
	fieldname: "reason",
	label: __("Reason"),
	reqd: 1,
	max_height: "6rem",
	default: text,
	description: __("Why these records are changed. It is kept with each of them."),
});

/** Add an action to the list of a DocType, beside those that the list has. Called when its script is loaded. */
export function add_list_action(doctype) {
	const settings = (frappe.listview_settings[doctype] = frappe.listview_settings[doctype] || {});
	const { onload } = settings;
	settings.onload = function (listview) {
		onload?.call(this, listview);
		if (!frappe.model.can_create(BULK_UPDATE)) return;
		listview.page.add_action_item(__("Set Legal Basis…"), () =>
			set_legal_basis(doctype, listview.get_checked_items(true)),
		);
	};
}

/** Ask what to set on some records, and preview it. */
export async function set_legal_basis(doctype, names) {
	await load_doctype(doctype);
	const dialog = new frappe.ui.Dialog({
		title: __("Set Legal Basis"),
		size: "large",
		static: true,
		secondary_action_label: __("Cancel"),
		secondary_action: () => dialog.hide(),
		fields: [
			{
				fieldtype: "HTML",
				options: `<p>${__("Selected records: {0}. A preview comes first, and nothing is changed by it.", [bold(number(names.length))])}</p>`,
			},
			...purpose_fields(() => dialog, { topic: __("Empty: the purpose itself.") }),
			legal_basis_field(() => dialog),
			{ fieldtype: "Column Break" },
			source_field(),
			{
				fieldtype: "Datetime",
				fieldname: "given_on",
				label: __("Since"),
				description: __("Empty: the moment of the run."),
			},
			{ fieldtype: "Section Break", label: __("Proof (Art. 7(1) GDPR)") },
			{
				fieldtype: "Attach",
				fieldname: "evidence_file",
				label: __("Evidence: File"),
				description: __("A document in which each of the people can be found."),
				onchange: () => one_evidence(dialog),
			},
			{ fieldtype: "Column Break" },
			{
				fieldtype: "Select",
				fieldname: "evidence_field",
				label: __("Or Evidence: Field"),
				options: evidence_fields(doctype),
				description: __("Without proof a consent becomes Unknown, which allows nothing."),
				onchange: () => one_evidence(dialog),
			},
			{ fieldtype: "Section Break" },
			reason_field(),
		],
		primary_action_label: __("Preview"),
		primary_action: async ({ reason, given_on, ...values }) => {
			const rule = {
				...values,
				action: "Set",
				target_doctype: doctype,
				given_on: to_utc_column(given_on),
			};
			const name = await create({
				title: [values.topic || values.purpose, values.legal_basis, __(doctype)].join(" · "),
				reason,
				rules: [{ ...rule, filters: JSON.stringify([[doctype, "name", "in", names]]) }],
			});
			dialog.hide();
			await call("api.preview", { bulk_update: name }, true);
			frappe.set_route("Form", BULK_UPDATE, name);
		},
	});
	follow_purpose(dialog);
	dialog.show();
	await dialog.set_value("purpose", await default_purpose());
}

function one_evidence(dialog) {
	const hide = (field, other) => dialog.set_df_property(field, "hidden", dialog.get_value(other) ? 1 : 0);
	hide("evidence_field", "evidence_file");
	hide("evidence_file", "evidence_field");
}

/** Show what is on record so far, and make a bulk update of the proposals that somebody chooses. */
export async function first_cleanup() {
	const [overview, found] = await Promise.all([
		call("first_cleanup.overview", {}, true),
		call("first_cleanup.propose", {}, true),
	]);
	const proposals = found.filter(({ rule }) => rule);
	const notes = found.filter(({ rule }) => !rule);
	const dialog = new frappe.ui.Dialog({
		title: __("First Clean-up"),
		size: "large",
		fields: [
			{ fieldtype: "HTML", fieldname: "overview" },
			{ fieldtype: "Section Break", label: __("Proposed Rules") },
			{ fieldtype: "HTML", fieldname: "proposals" },
			{ fieldtype: "Section Break" },
			{
				fieldtype: "Data",
				fieldname: "title",
				label: __("Title"),
				reqd: 1,
				default: __("First clean-up"),
			},
			reason_field(__("First clean-up of what was on file before consents were recorded.")),
		],
		primary_action_label: __("Create"),
		primary_action: async ({ title, reason }) => {
			const chosen = dialog.$wrapper
				.find("[data-proposal]:checked")
				.get()
				.map((box) => proposals[box.dataset.proposal]);
			if (!chosen.length) return frappe.msgprint(__("Choose at least one of the proposed rules."));
			const name = await create({ title, reason, rules: chosen.map(({ rule }) => rule) });
			dialog.hide();
			frappe.set_route("Form", BULK_UPDATE, name);
		},
	});
	dialog.fields_dict.overview.$wrapper.html(overview_html(overview));
	dialog.fields_dict.proposals.$wrapper.html(proposals_html(proposals, notes));
	if (!proposals.length) dialog.disable_primary_action();
	dialog.show();
}

function overview_html(overview) {
	const bars = overview.map(({ doctype, total, known }) => {
		const percent = total ? Math.round((100 * known) / total) : 0;
		const text = __("{0} of {1} have something on record", [number(known), number(total)]);
		return `<div class="mb-3">
			<div class="d-flex flex-wrap justify-content-between">
				<b>${escape(__(doctype))}</b><span class="text-muted">${text}</span>
			</div>
			${bar_html(percent, `${__(doctype)}: ${text}`)}
		</div>`;
	});
	return bars.join("");
}

function proposals_html(proposals, notes) {
	const about = ({ title, why, count }) =>
		`<b>${escape(title)}</b> <span class="text-muted">${__("Records: {0}", [number(count)])}</span>
		<div class="text-muted">${escape(why)}</div>`;
	const choices = proposals.map(
		(proposal, at) => `<li class="mb-3 d-flex">
			<input type="checkbox" class="mt-1" id="proposal-${at}" data-proposal="${at}" checked>
			<label for="proposal-${at}" class="mb-0 ml-2">${about(proposal)}</label>
		</li>`,
	);
	const parts = [
		proposals.length
			? `<p>${__("The first rule that fits a record applies to it. Each can be changed before anything is done.")}</p>
				<ul class="list-unstyled">${choices.join("")}</ul>`
			: `<p>${__("There is nothing to propose.")}</p>`,
	];
	if (notes.length) {
		parts.push(`<p>${__("No rule puts these in order:")}</p>
			<ul class="list-unstyled">${notes.map((note) => `<li class="mb-3">${about(note)}</li>`).join("")}</ul>`);
	}
	return parts.join("");
}
