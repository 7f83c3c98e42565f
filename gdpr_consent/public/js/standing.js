// What lists and the head of a form say about marketing mail to somebody; the constants are of standing.py.
import { escape } from "./words";

// A function, because translations arrive after this file. Each: its colour, its name, and one sentence.
export const standings = () => ({
	"Nothing Known": ["grey", __("Nothing Known"), __("Nothing is on record, so no marketing mail is sent.")],
	Allowed: ["green", __("Allowed"), __("May get marketing mail.")],
	"Allowed in Part": [
		"orange",
		__("Allowed in Part"),
		__("Some of the addresses may get marketing mail, others may not."),
	],
	Requested: ["orange", __("Requested"), __("Was asked and hasn't confirmed yet.")],
	"Not Allowed": [
		"orange",
		__("Not Allowed"),
		__("Something is on record, but it doesn't allow marketing mail."),
	],
	"Opted Out": ["red", __("Opted Out"), __("Said no. Only the person can change that.")],
	Restricted: [
		"red",
		__("Restricted"),
		__("Processing of the person's data is restricted (Art. 18 GDPR)."),
	],
	"No Address": ["grey", __("No Address"), __("There is no e-mail address.")],
});

export const standing_colour = (standing) => (standings()[standing] || ["grey"])[0];

/** Give the column of the list its colours, and the sidebar its counts, beside what the list has. */
export function show_standing_in_list(doctype) {
	const settings = (frappe.listview_settings[doctype] = frappe.listview_settings[doctype] || {});
	settings.formatters = { ...settings.formatters, marketing_mail: pill };
	const { onload } = settings;
	settings.onload = function (listview) {
		onload?.call(this, listview);
		count_in_sidebar(listview.list_sidebar?.list_group_by);
	};
}

// Until the user chooses what to group by.
function count_in_sidebar(group) {
	if (!group || group.user_settings.group_by_fields !== undefined) return;
	group.group_by_fields.push("marketing_mail");
	group.render_group_by_items();
	group.setup_dropdown();
}

function pill(standing) {
	if (!standing) return "";
	const [colour, label, text] = standings()[standing] || ["grey", __(standing), ""];
	return `<span class="filterable indicator-pill ${colour} ellipsis" data-filter="marketing_mail,=,${escape(standing)}" title="${escape(text)}"><span class="ellipsis">${escape(label)}</span></span>`;
}
