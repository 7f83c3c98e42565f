// The address list of a Consent Bulk Update: checked, loaded, and made the subject of a rule.
import { ADDRESS, call, number } from "./bulk_update_words";
import { bold, escape } from "./words";

export async function load_addresses(frm) {
	if (frm.is_dirty()) await frm.save();
	const answer = await call("address_list.load", { bulk_update: frm.docname }, true);
	await frm.reload_doc();
	const may_add = answer.lines && !(frm.doc.rules || []).some((rule) => rule.target_doctype === ADDRESS);
	const dialog = new frappe.ui.Dialog({
		title: __("Address List"),
		size: "large",
		fields: [{ fieldtype: "HTML", fieldname: "text" }],
		...(may_add && {
			primary_action_label: __("Add a Rule about Its Lines"),
			primary_action: () => {
				dialog.hide();
				add_rule(frm);
			},
		}),
	});
	dialog.fields_dict.text.$wrapper.html(answer_html(answer));
	dialog.show();
}

// The server has escaped what stood in the file; nobody needs to rely on that here.
const from_file = (text) => escape(frappe.utils.unescape_html(String(text ?? "")));

function answer_html({ lines, errors, errors_total, ignored_columns }) {
	const parts = [`<p>${__("Lines loaded: {0}.", [bold(number(lines))])}</p>`];
	if (ignored_columns.length) {
		const columns = ignored_columns.map(from_file).join(", ");
		parts.push(`<p class="text-muted">${__("Columns that aren't read: {0}", [columns])}</p>`);
	}
	if (!errors_total) return parts.join("");
	const heads = [__("Line"), __("Column"), __("Value"), __("Problem")];
	const row = ({ line, column, value, problem }) =>
		`<tr>${[line, column, value, problem].map((cell) => `<td>${from_file(cell)}</td>`).join("")}</tr>`;
	parts.push(`<p>${__("Lines or values with an error: {0}.", [bold(number(errors_total))])}</p>
		<div class="table-responsive" style="max-height: 50vh"><table class="table table-sm">
			<thead><tr>${heads.map((head) => `<th scope="col">${head}</th>`).join("")}</tr></thead>
			<tbody style="overflow-wrap: anywhere">${errors.map(row).join("")}</tbody>
		</table></div>`);
	if (errors_total > errors.length) {
		parts.push(
			`<p class="text-muted">${__("Not shown: {0}.", [number(errors_total - errors.length)])}</p>`,
		);
	}
	return parts.join("");
}

/** The list's own columns say since when and what proves it. */
async function add_rule(frm) {
	const rule = frm.add_child("rules", {
		target_doctype: ADDRESS,
		filters: "[]",
		action: "Set",
		date_field: "given_on",
		evidence_field: "evidence",
	});
	frm.refresh_field("rules");
	frm.dirty();
	await frm.script_manager.trigger("rules_add", rule.doctype, rule.name);
	frm.fields_dict.rules.grid.grid_rows_by_docname[rule.name].toggle_view(true);
}
