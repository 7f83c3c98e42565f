// The dialog of Sensitive Field that proposes fields which look as if they should be protected.
import { escape } from "./words";

export const CLASS_COLOURS = { General: "grey", Sensitive: "orange", "Special Category": "red" };

/** Show the proposals, and make Sensitive Fields of those that somebody chooses. `done` is called then. */
export async function find_candidates(done = () => {}) {
	const { message: found } = await frappe.call({
		method: "gdpr_consent.sensitive_data.api.find_candidates",
		type: "GET",
		freeze: true,
	});
	const dialog = new frappe.ui.Dialog({
		title: __("Find Candidates"),
		size: "extra-large",
		static: true, // Escape, meant for an error message, would close the dialog below it as well
		secondary_action_label: __("Cancel"),
		secondary_action: () => dialog.hide(),
		fields: [
			{ fieldtype: "HTML", fieldname: "proposals" },
			{
				fieldtype: "Small Text",
				fieldname: "why_kept",
				label: __("Why They Are Kept"),
				reqd: 1,
				max_height: "6rem",
				description: __("For all that you choose. Each can be changed later."),
			},
		],
		primary_action_label: __("Protect"),
		primary_action: async ({ why_kept }) => {
			const chosen = chosen_of(dialog).map((at) => ({ ...found[at], why_kept }));
			if (!chosen.length) return;
			const { message: names } = await frappe.call({
				method: "gdpr_consent.sensitive_data.api.add_candidates",
				type: "POST",
				args: { candidates: JSON.stringify(chosen) },
				freeze: true,
			});
			dialog.hide();
			frappe.show_alert({ message: __("Fields protected: {0}", [names.length]), indicator: "green" });
			done();
		},
	});
	if (found.length) {
		show_proposals(dialog, found);
	} else {
		dialog.fields_dict.proposals.$wrapper.html(
			`<p>${__("There is nothing to propose. Every field that looks as if it should be protected has a Sensitive Field.")}</p>`,
		);
		dialog.set_df_property("why_kept", "hidden", 1);
		dialog.disable_primary_action();
	}
	dialog.show();
	dialog.$wrapper.one("shown.bs.modal", () => dialog.$wrapper.find("[type=search]").trigger("focus"));
	return dialog;
}

const chosen_of = (dialog) =>
	dialog.$wrapper
		.find("[data-proposal]:checked")
		.get()
		.map((box) => box.dataset.proposal);

function show_proposals(dialog, found) {
	const classes = Object.keys(CLASS_COLOURS).filter((name) =>
		found.some(({ sensitivity }) => sensitivity === name),
	);
	const $area = dialog.fields_dict.proposals.$wrapper.html(`
		<p>${__("These fields have the name of something that is often protected, or are copies of a protected field. Protecting one takes it away from everybody but its viewers.")}</p>
		<div class="d-flex flex-wrap align-items-center mb-2" style="gap: 0.5rem">
			<input type="search" class="form-control input-sm" style="max-width: 20rem" placeholder="${escape(__("Search"))}" aria-label="${escape(__("Search"))}">
			${classes.map((name) => `<button type="button" class="btn btn-default btn-xs" data-class="${escape(name)}">${escape(__("Choose All: {0}", [__(name)]))}</button>`).join("")}
			<button type="button" class="btn btn-default btn-xs" data-class="">${__("Choose None")}</button>
			<span class="ml-auto text-muted" role="status" data-count></span>
		</div>
		<div class="mb-3" style="max-height: 45vh; overflow-y: auto">
			<table class="table table-sm mb-0">
				<thead style="position: sticky; top: 0; z-index: 1; background-color: var(--modal-bg)"><tr>
					<th><span class="sr-only">${__("Choose")}</span></th>
					<th>${__("Field")}</th>
					<th class="d-none d-md-table-cell">${__("DocType")}</th>
					<th>${__("Class")}</th>
					<th class="d-none d-md-table-cell">${__("Reason")}</th>
				</tr></thead>
				<tbody>${found.map(row_html).join("")}</tbody>
			</table>
			<p class="text-muted text-center my-3" data-none style="display: none">${__("No proposal has these words.")}</p>
		</div>`);
	const rows = $area.find("tbody tr").get();
	const count = () => {
		const chosen = chosen_of(dialog).length;
		$area.find("[data-count]").text(__("Chosen: {0} of {1}", [chosen, found.length]));
		if (chosen) dialog.enable_primary_action();
		else dialog.disable_primary_action();
	};
	$area.on("change", "[data-proposal]", count);
	$area.on("input", "[type=search]", (event) => {
		const words = event.target.value.toLowerCase().split(/\s+/);
		for (const row of rows) {
			const text = row.textContent.toLowerCase();
			row.hidden = !words.every((word) => text.includes(word));
		}
		$area.find("[data-none]").toggle(rows.every((row) => row.hidden));
	});
	// Only what can be seen: who has searched means these.
	$area.on("click", "[data-class]", ({ currentTarget }) => {
		const wanted = currentTarget.dataset.class;
		rows.forEach((row, at) => {
			const box = row.querySelector("[data-proposal]");
			if (!wanted) box.checked = false;
			else if (!row.hidden && found[at].sensitivity === wanted) box.checked = true;
		});
		count();
	});
	count();
}

function row_html(one, at) {
	const id = `candidate-${at}`;
	const doctype = escape(__(one.ref_doctype));
	const narrow = (html) => `<div class="d-md-none text-muted small">${html}</div>`;
	return `<tr>
		<td><input type="checkbox" id="${id}" data-proposal="${at}"></td>
		<td style="overflow-wrap: anywhere"><label for="${id}" class="mb-0">${escape(__(one.label))}</label>
			<div class="text-muted small">${escape(one.fieldname)}</div>
			${narrow(doctype)}${narrow(escape(one.reason))}</td>
		<td class="d-none d-md-table-cell">${doctype}</td>
		<td><span class="indicator-pill no-indicator-dot text-nowrap ${CLASS_COLOURS[one.sensitivity]}">${escape(__(one.sensitivity))}</span></td>
		<td class="d-none d-md-table-cell text-muted">${escape(one.reason)}</td>
	</tr>`;
}
