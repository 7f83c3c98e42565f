// What a preview found and what a run did, in numbers: per rule, by reason, and before and after.
import { filter_items } from "./bulk_update_items";
import { rule_in_words } from "./bulk_update_rules";
import {
	AFTER,
	BEFORE,
	ITEM,
	PLAN_COLOURS,
	RESULT_COLOURS,
	colour_of,
	number,
	on_record,
	option,
} from "./bulk_update_words";
import { escape } from "./words";

const PLANS = Object.keys(PLAN_COLOURS);
const RESULTS = Object.keys(RESULT_COLOURS);

export function show_overview(frm, status) {
	const wrapper = frm.fields_dict.overview.$wrapper.empty();
	if (!(status.rules || []).length) return;
	wrapper.html(`${rules_html(frm, status)}${reasons_html(status)}<div class="bulk-update-chart"></div>`);
	wrapper
		.off("click.bulk_update")
		.on("click.bulk_update", "[data-filters]", ({ currentTarget }) =>
			filter_items(frm, JSON.parse(currentTarget.dataset.filters)),
		);
	frm.bulk_update_chart?.destroy();
	show_chart(frm, wrapper.find(".bulk-update-chart"), status.chart);
}

const filter_button = (filters, html, label = "") =>
	`<button type="button" class="btn btn-link btn-xs d-inline p-0 text-left" style="white-space: normal" data-filters="${escape(JSON.stringify(filters))}"
		${label ? `aria-label="${escape(label)}"` : ""}>${html}</button>`;

function rules_html(frm, { rules }) {
	const has_run = rules.some((rule) => Object.keys(rule.results || {}).length);
	// Results that nobody has would fill the page.
	const results = has_run ? RESULTS.filter((name) => rules.some((rule) => rule.results?.[name])) : [];
	const columns = [
		...PLANS.map((name) => ({ name, kind: "plan", of: (rule) => rule.plans?.[name] || 0 })),
		...results.map((name) => ({ name, kind: "result", of: (rule) => rule.results?.[name] || 0 })),
	];
	const cell = (rule, { name, kind, of }) => {
		const count = of(rule);
		const shown = number(count);
		return `<td class="text-right">${
			count
				? filter_button({ rule: rule.rule, [kind]: name }, shown, `${option(name, ITEM)}: ${shown}`)
				: "0"
		}</td>`;
	};
	const row = (rule) => {
		const words = frm.doc.rules[rule.rule - 1] ? rule_in_words(frm.doc.rules[rule.rule - 1]) : "";
		return `<tr><th scope="row" class="font-weight-normal">${rule.rule}. ${escape(words)}</th>
			${columns.map((column) => cell(rule, column)).join("")}</tr>`;
	};
	const sum = ({ of }) =>
		`<td class="text-right">${number(rules.reduce((total, rule) => total + of(rule), 0))}</td>`;
	const group = (label, count) =>
		count ? `<th scope="colgroup" colspan="${count}" class="text-center">${label}</th>` : "";
	return `<div class="table-responsive"><table class="table table-sm table-bordered">
		<thead>
			<tr><th scope="col" rowspan="2">${__("Rule")}</th>${group(__("Planned"), PLANS.length)}${group(__("What Was Done"), results.length)}</tr>
			<tr>${columns.map(({ name }) => `<th scope="col" class="text-right">${escape(option(name, ITEM))}</th>`).join("")}</tr>
		</thead>
		<tbody>${rules.map(row).join("")}</tbody>
		${rules.length > 1 ? `<tfoot><tr><th scope="row">${__("Total")}</th>${columns.map(sum).join("")}</tr></tfoot>` : ""}
	</table></div>`;
}

function reasons_html({ why }) {
	const rows = (why || []).filter((row) => row.why);
	if (!rows.length) return "";
	const items = rows.map(({ why, plan, result, count, text }) => {
		const filters = { why, ...(plan ? { plan } : {}), ...(result ? { result } : {}) };
		return `<li class="mb-1">
			<span class="indicator ${colour_of({ plan, result })}"></span>${filter_button(filters, `${escape(text)}: ${number(count)}`)}
			<span class="text-muted">${escape(option(result || plan, ITEM))}</span>
		</li>`;
	});
	return `<p class="mb-1">${__("Why records are skipped, stay as they are, or change in another way than asked:")}</p>
		<ul class="list-unstyled">${items.join("")}</ul>`;
}

function show_chart(frm, element, { labels, before, after } = {}) {
	if (!labels?.length) return;
	element.before(`<p class="mb-1">${__("All records of this update, by what is on record for them:")}</p>`);
	const draw = () =>
		new frappe.Chart(element[0], {
			type: "bar",
			height: 240,
			colors: [BEFORE, AFTER],
			disableEntryAnimation: true, // a change of the page's width would break it
			data: {
				labels: labels.map(on_record),
				datasets: [
					{ name: __("Before"), values: before },
					{ name: __("After"), values: after },
				],
			},
			axisOptions: { xAxisMode: "tick" },
			tooltipOptions: { formatTooltipY: number },
			truncateLegends: 0,
		});
	// A chart that is drawn while the form is still hidden has bars of negative width.
	new window.ResizeObserver(([{ contentRect }], observer) => {
		if (!contentRect.width) return;
		observer.disconnect();
		frm.bulk_update_chart = draw();
	}).observe(element[0]);
}
