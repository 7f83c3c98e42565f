// The rules of a Consent Bulk Update, in their table and in the form of a row.
import {
	date_fields,
	edit_filters,
	evidence_fields,
	filters_of,
	in_words,
	load_doctype,
	show_filters,
} from "./bulk_update_filters";
import { ADDRESS, RULE, call, option } from "./bulk_update_words";
import { default_purpose } from "./record";
import { escape } from "./words";

const SIDES = [
	{ field: "conditions", doctype: "target_doctype", filters: "filters" },
	{ field: "linked_conditions", doctype: "linked_doctype", filters: "linked_filters" },
];

const purposes = {}; // what each allows, as far as it was asked

async function rules_of(purpose) {
	if (purpose && !purposes[purpose]) {
		const doc = await frappe.db.get_doc("Processing Purpose", purpose);
		purposes[purpose] = {
			allowed: doc.allowed_legal_bases.map((row) => row.legal_basis),
			default: doc.default_legal_basis,
		};
	}
	return purposes[purpose] || { allowed: [] };
}

/** Say of the columns what a DocType can't, such as that conditions are one. Called before the table is made. */
export function set_up_columns() {
	const fields = Object.fromEntries(frappe.get_meta(RULE).fields.map((df) => [df.fieldname, df]));
	Object.assign(fields.conditions, {
		in_list_view: 1,
		columns: 3,
		formatter: (_value, _df, _options, rule) => conditions_html(rule),
	});
	fields.purpose.formatter = (_value, _df, _options, rule) =>
		[rule?.purpose, rule?.topic].filter(Boolean).map(escape).join(" · ");
	fields.given_on.hide_timezone = 1; // its label says UTC
	fields.target_doctype.formatter = (value) => escape(__(value));
	fields.legal_basis.formatter = (value) => escape(__(value));
}

function conditions_html(rule) {
	const text = rule?.target_doctype ? rule_conditions(rule) : "";
	return `<span title="${escape(text)}">${escape(text)}</span>`;
}

function rule_conditions(rule) {
	const known = (doctype) => frappe.get_meta(doctype);
	const parts = [known(rule.target_doctype) ? in_words(rule.filters, rule.target_doctype) : "…"];
	if (rule.linked_doctype) {
		const linked = known(rule.linked_doctype) ? in_words(rule.linked_filters, rule.linked_doctype) : "…";
		parts.push(__("linked with {0}: {1}", [__(rule.linked_doctype), linked]));
	}
	return parts.join("; ");
}

/** Say in a few words what a rule does to whom. */
export const rule_in_words = (rule) =>
	[__(rule.target_doctype), option(rule.action, RULE), rule.purpose, rule.topic, __(rule.legal_basis || "")]
		.filter(Boolean)
		.join(" · ");

export function set_up_rules(frm) {
	const targets = [];
	call("api.targets").then((doctypes) => targets.push(...doctypes));
	const in_rules = (field, query) => frm.set_query(field, "rules", query);
	const row_of = (cdt, cdn) => frappe.get_doc(cdt, cdn);
	in_rules("target_doctype", ({ address_list }) => ({
		filters: { name: ["in", targets.filter((doctype) => doctype !== ADDRESS || address_list)] },
	}));
	in_rules("linked_doctype", () => ({
		filters: { name: ["in", frappe.boot.user.can_read], istable: 0, issingle: 0 },
	}));
	in_rules("purpose", () => ({ filters: { enabled: 1 } }));
	in_rules("source", () => ({ filters: { enabled: 1 } }));
	in_rules("topic", (_doc, ...row) => ({ filters: { enabled: 1, purpose: row_of(...row).purpose } }));
	in_rules("legal_basis", (_doc, ...row) => ({
		filters: { enabled: 1, name: ["in", purposes[row_of(...row).purpose]?.allowed || []] },
	}));
	in_rules("wording", (_doc, ...row) => {
		const { purpose, topic } = row_of(...row);
		return { filters: { purpose, topic: ["in", ["", ...(topic ? [topic] : [])]] } };
	});
}

/** Put conditions into words, once the DocTypes they are about are known. */
export async function show_rules(frm) {
	const doctypes = (frm.doc.rules || []).flatMap((rule) => [rule.target_doctype, rule.linked_doctype]);
	const missing = [...new Set(doctypes)].filter((doctype) => doctype && !frappe.get_meta(doctype));
	if (!missing.length) return;
	await Promise.all(missing.map(load_doctype));
	frm.refresh_field("rules");
}

const editors = {}; // of the row that was opened last, by the field they stand in

/** Take over what a filter editor shows and hasn't told yet. */
export function read_editors() {
	for (const { field, read } of Object.values(editors)) if (field.$wrapper.is(":visible")) read();
}

export async function show_rule(frm, cdt, cdn) {
	const row = frm.fields_dict.rules.grid.grid_rows_by_docname[cdn];
	const fields = row?.grid_form?.fields_dict;
	if (!fields) return;
	const rule = frappe.get_doc(cdt, cdn);
	speak_utc(fields.given_on);
	rules_of(rule.purpose);
	for (const side of SIDES) await show_side(row, rule, side);
	if (rule.target_doctype) {
		set_options(fields.date_field, date_fields(rule.target_doctype));
		set_options(fields.evidence_field, evidence_fields(rule.target_doctype));
	}
}

async function show_side(row, rule, side) {
	const doctype = rule[side.doctype];
	const field = row.grid_form.fields_dict[side.field];
	delete editors[side.field];
	if (!doctype) {
		const hint = side.field === "conditions" ? __("Choose the records first.") : "";
		return field.$wrapper.html(`<p class="text-muted">${hint}</p>`);
	}
	const json = rule[side.filters];
	if (!row.grid.is_editable()) return show_filters(field, { doctype, json });
	const take_over = (chosen) => {
		const now = row.doc; // another object, and perhaps another name, since the form was saved
		// Reading changes nothing, so a form that is only looked at stays clean.
		if (now[side.doctype] === doctype && chosen !== JSON.stringify(filters_of(now[side.filters]))) {
			frappe.model.set_value(now.doctype, now.name, side.filters, chosen);
		}
	};
	editors[side.field] = { field, read: await edit_filters(field, { doctype, json, on_change: take_over }) };
}

function set_options(field, options) {
	field.df.options = options;
	field.refresh();
}

// A Datetime control speaks the user's time; this field holds UTC, as its label says.
function speak_utc(field) {
	const pattern = `${frappe.datetime.get_user_date_fmt().toUpperCase()} ${frappe.datetime.get_user_time_fmt()}`;
	field.format_for_input = (value) => (value ? moment(value).format(pattern) : "");
	field.parse = (value) => (value ? moment(value, pattern).format("YYYY-MM-DD HH:mm:ss") : value);
	field.refresh();
}

export const rule_events = {
	form_render: show_rule,

	async rules_add(frm, cdt, cdn) {
		const purpose = await default_purpose();
		if (purpose) await frappe.model.set_value(cdt, cdn, "purpose", purpose);
	},

	async target_doctype(frm, cdt, cdn) {
		const nothing = { filters: "[]", date_field: "", evidence_field: "" };
		await frappe.model.set_value(cdt, cdn, nothing);
		await show_rule(frm, cdt, cdn);
	},

	async linked_doctype(frm, cdt, cdn) {
		await frappe.model.set_value(cdt, cdn, "linked_filters", "[]");
		await show_rule(frm, cdt, cdn);
	},

	async purpose(frm, cdt, cdn) {
		const rule = frappe.get_doc(cdt, cdn);
		const { allowed, default: usual } = await rules_of(rule.purpose);
		const legal_basis = allowed.includes(rule.legal_basis) ? rule.legal_basis : usual || "";
		await frappe.model.set_value(cdt, cdn, { topic: "", wording: "", legal_basis });
	},

	topic(frm, cdt, cdn) {
		frappe.model.set_value(cdt, cdn, "wording", "");
	},
};
