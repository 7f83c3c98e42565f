// The conditions of a rule: Frappe's own filter editor, and in words what was chosen there.
import { escape } from "./words";

const DATES = ["Date", "Datetime"];
const TEXTS = [
	"Data",
	"Small Text",
	"Text",
	"Long Text",
	"Link",
	"Dynamic Link",
	"Select",
	"Attach",
	"Attach Image",
];

export const load_doctype = (doctype) =>
	new Promise((resolve) => frappe.model.with_doctype(doctype, () => resolve()));

/** Return filters as a list, from the JSON that a rule keeps; none if it can't be read. */
export function filters_of(json) {
	try {
		const filters = JSON.parse(json || "[]");
		return Array.isArray(filters) ? filters.filter(Array.isArray) : [];
	} catch {
		return [];
	}
}

/** Fields of a DocType that can hold a date, or the proof, as options of a Select. The DocType is loaded. */
export const date_fields = (doctype) => [
	...options_of(doctype, DATES),
	{ value: "creation", label: __("Created On") },
	{ value: "modified", label: __("Last Updated On") },
];

export const evidence_fields = (doctype) => options_of(doctype, TEXTS);

function options_of(doctype, fieldtypes) {
	const fields = frappe.meta
		.get_docfields(doctype)
		.filter((df) => fieldtypes.includes(df.fieldtype) && !df.is_virtual)
		.map((df) => ({ value: df.fieldname, label: __(df.label, null, df.parent) || df.fieldname }))
		.sort((a, b) => a.label.localeCompare(b.label));
	return [{ value: "", label: "" }, ...fields];
}

/** Say filters in plain text. The DocType is loaded. */
export function in_words(json, doctype) {
	const filters = filters_of(json);
	if (!filters.length) return __("all");
	return filters.map((filter) => filter_in_words(filter, doctype)).join(` ${__("and")} `);
}

function filter_in_words(filter, doctype) {
	const [parent, fieldname, operator, value] = filter.length === 3 ? [doctype, ...filter] : filter;
	const df =
		frappe.meta.get_docfield(parent, fieldname) ||
		frappe.model.std_fields.find((field) => field.fieldname === fieldname) ||
		{};
	const own = __(df.label || fieldname, null, parent);
	return `${parent === doctype ? own : `${own} (${__(parent)})`} ${comparison(operator, value, df)}`;
}

function comparison(operator, value, df) {
	const shown = (Array.isArray(value) ? value : [value]).map((one) => value_in_words(one, df));
	const texts = {
		is: value === "set" ? __("is set") : __("is empty"),
		like: __("is like {0}", shown),
		"not like": __("isn't like {0}", shown),
		in: __("is one of {0}", [shown.join(", ")]),
		"not in": __("is none of {0}", [shown.join(", ")]),
		between: __("is from {0} to {1}", shown),
		timespan: __("is in the time {0}", [__(frappe.utils.to_title_case(String(value)))]),
	};
	const words = texts[operator.toLowerCase()];
	if (words) return words;
	const name = /^[=!<>]+$/.test(operator) ? operator : __(frappe.utils.to_title_case(operator));
	return `${name.replace("!=", "≠")} ${shown.join(", ")}`;
}

function value_in_words(value, df) {
	if (df.fieldtype === "Check") return Number(value) ? __("Yes") : __("No");
	if (df.fieldtype === "Select") return __(value, null, df.parent);
	if (DATES.includes(df.fieldtype) && value) return frappe.datetime.str_to_user(value);
	return String(value ?? "");
}

// A filter that somebody has just added, and that compares with nothing yet. "Is" always has a value.
const is_complete = ([, , , value]) =>
	Array.isArray(value) ? value.length > 0 : !["", null, undefined].includes(value);

/**
 * Put the editor into an HTML field. `on_change` is called with the JSON of the filters. Returns a function that
 * reads what the editor shows, for the moment before a save.
 */
export async function edit_filters(field, { doctype, json, on_change }) {
	await load_doctype(doctype);
	const wrapper = $("<div></div>").appendTo(field.$wrapper.empty());
	const words = $('<p class="text-muted small" aria-live="polite"></p>').appendTo(field.$wrapper);
	const stored = new Map(); // by what the editor makes of it: v16 takes a comma in a value for two values
	let is_loaded = false;
	const shown = () => group.get_filters().map((filter) => filter.slice(0, 4));
	const read = () => {
		if (!is_loaded) return;
		const filters = shown()
			.filter(is_complete)
			.map((filter) => stored.get(JSON.stringify(filter)) || filter);
		const chosen = JSON.stringify(filters);
		words.text(sentence(chosen, doctype));
		on_change(chosen);
	};
	const group = new frappe.ui.FilterGroup({ parent: wrapper, doctype, on_change: read });
	group.toggle_empty_filters(!filters_of(json).length);
	for (const filter of filters_of(json)) {
		const whole = filter.length === 3 ? [doctype, ...filter] : filter;
		await group.add_filter(...whole.slice(0, 4));
		const made = shown().at(-1);
		if (made) stored.set(JSON.stringify(made), whole.slice(0, 4));
	}
	is_loaded = true;
	words.text(sentence(json, doctype));
	// Frappe tells of a value when its field is left, but not of another field or operator.
	wrapper.on("change awesomplete-selectcomplete", () => window.setTimeout(read));
	return read;
}

export async function show_filters(field, { doctype, json }) {
	await load_doctype(doctype);
	field.$wrapper.html(`<p>${escape(sentence(json, doctype))}</p>`);
}

const sentence = (json, doctype) =>
	filters_of(json).length
		? __("Records where {0}.", [in_words(json, doctype)])
		: __("All records that you may see.");
