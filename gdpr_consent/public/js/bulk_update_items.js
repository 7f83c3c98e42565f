// The records of a Consent Bulk Update, a page at a time.
import {
	ITEM,
	PLAN_COLOURS,
	RESULT_COLOURS,
	colour_of,
	number,
	on_record,
	option,
} from "./bulk_update_words";
import { escape } from "./words";

const PAGE = 50; // records
const FIELDS = [
	"target_doctype",
	"target",
	"email",
	"rule",
	"before",
	"after",
	"plan",
	"result",
	"why",
	"note",
];
export function show_items(frm, status) {
	const wrapper = frm.fields_dict.items.$wrapper;
	if (frm.bulk_update_items?.of !== frm.docname)
		frm.bulk_update_items = { of: frm.docname, filters: {}, page: 0 };
	const browser = frm.bulk_update_items;
	browser.words = Object.fromEntries((status.why || []).map(({ why, text }) => [why, text]));
	const selects = [
		["rule", __("Rule"), (frm.doc.rules || []).map((_rule, at) => [at + 1, at + 1])],
		["plan", __("Plan"), Object.keys(PLAN_COLOURS).map((name) => [name, option(name, ITEM)])],
		["result", __("Result"), Object.keys(RESULT_COLOURS).map((name) => [name, option(name, ITEM)])],
		["why", __("Why"), Object.entries(browser.words).filter(([why]) => why)],
	];
	wrapper.html(
		`<div class="row">${selects.map(select_html).join("")}</div>
		<div class="bulk-update-items" aria-live="polite"></div>`,
	);
	wrapper
		.off(".bulk_update")
		.on("change.bulk_update", "select", ({ currentTarget }) => {
			browser.filters[currentTarget.name] = currentTarget.value;
			browser.page = 0;
			list(frm);
		})
		.on("click.bulk_update", "[data-page]", ({ currentTarget }) => {
			browser.page += Number(currentTarget.dataset.page);
			list(frm);
		});
	set_selects(frm);
	return list(frm);
}

/** Show only some of the records, and go there. */
export function filter_items(frm, filters) {
	Object.assign(frm.bulk_update_items, { filters: { ...filters }, page: 0 });
	set_selects(frm);
	list(frm);
	frm.scroll_to_field("items");
}

function set_selects(frm) {
	const { filters } = frm.bulk_update_items;
	frm.fields_dict.items.$wrapper.find("select").each((_at, select) => {
		select.value = filters[select.name] ?? "";
	});
}

const select_html = ([name, label, options]) =>
	`<div class="col-6 col-md-3 form-group">
		<label class="control-label" for="bulk-update-${name}">${label}</label>
		<select id="bulk-update-${name}" name="${name}" class="form-control input-xs">
			<option value="">${__("All")}</option>
			${options.map(([value, text]) => `<option value="${escape(value)}">${escape(text)}</option>`).join("")}
		</select>
	</div>`;

async function list(frm) {
	const browser = frm.bulk_update_items;
	const filters = { bulk_update: frm.docname };
	for (const [name, value] of Object.entries(browser.filters)) if (value) filters[name] = value;
	const asked = (browser.asked = {}); // only the last question's answer is shown
	const rows = await frappe.db.get_list(ITEM, {
		filters,
		fields: FIELDS,
		order_by: "target_doctype asc, target asc",
		start: browser.page * PAGE,
		limit: PAGE + 1, // one more tells whether there is a next page
	});
	if (browser.asked !== asked || frm.docname !== browser.of) return;
	frm.fields_dict.items.$wrapper.find(".bulk-update-items").html(list_html(rows || [], browser));
}

function list_html(rows, { page, words }) {
	if (!rows.length) return `<p class="text-muted">${__("None.")}</p>`;
	const shown = rows.slice(0, PAGE);
	const from = page * PAGE;
	const button = (step, label, is_on) =>
		`<button type="button" class="btn btn-default btn-xs" data-page="${step}" ${is_on ? "" : "disabled"}>${label}</button>`;
	return `<ul class="list-unstyled">${shown.map((row) => row_html(row, words)).join("")}</ul>
		<div class="d-flex align-items-center justify-content-between">
			<span class="text-muted">${__("Records {0} to {1}", [number(from + 1), number(from + shown.length)])}</span>
			<span>${button(-1, __("Previous"), page > 0)} ${button(1, __("Next"), rows.length > PAGE)}</span>
		</div>`;
}

function row_html(row, words) {
	const why = row.why ? words[row.why] || row.why : "";
	const details = [why, row.note].filter(Boolean).map(escape).join(" · ");
	return `<li class="row border-bottom py-2 mx-0" style="overflow-wrap: anywhere">
		<div class="col-md-5 px-0"><span class="text-muted">${escape(row.rule)}.</span>
			<a href="${escape(frappe.utils.get_form_link(row.target_doctype, row.target))}">${escape(row.target)}</a>
			<span class="text-muted">${escape(__(row.target_doctype))}</span>
			<div>${escape(row.email)}</div></div>
		<div class="col-md-3 px-0">${change_html(row)}</div>
		<div class="col-md-4 px-0"><span class="indicator ${colour_of(row)}"></span>${escape(option(row.result || row.plan, ITEM))}
			<div class="text-muted small">${details}</div></div>
	</li>`;
}

// What isn't to be changed stays what it is, and of some it wasn't even looked up.
const change_html = ({ plan, before, after }) =>
	plan === "Change"
		? `${escape(on_record(before))} → ${escape(on_record(after))}`
		: escape(__(before || ""));
