gdpr_consent.show_local_times("Sensitive Access Log"); // before the columns are made

const LOG = "Sensitive Access Log";
const COLOURS = { View: "blue", Reveal: "orange", Print: "grey", Report: "blue", Export: "red" };

frappe.listview_settings[LOG] = {
	add_fields: ["accessed_on", "user", "how", "ref_doctype", "fields"],
	hide_name_column: true, // the first column tells more

	refresh: show_records,

	formatters: {
		// A narrow list has no columns for these.
		name: (_name, _df, { accessed_on, user, ref_doctype, fields }) => {
			const what = `${__(ref_doctype)} ${(fields || "").split(",").join(", ")}`;
			const parts = [gdpr_consent.local_time(accessed_on), frappe.user.full_name(user), what];
			return parts.join(" · "); // set as text
		},
		record_count: (count, _df, { name }) =>
			`<span class="ellipsis" data-records-of="${name}">${Number(count)}</span>`,
	},

	get_indicator: ({ how }) => [__(how), COLOURS[how], `how,=,${how}`],
};

/** Name the record instead of counting to one. All names aren't loaded: there may be a hundred thousand. */
async function show_records(listview) {
	const single = listview.data.filter(({ record_count }) => record_count === 1);
	if (!single.length) return;
	const rows = await frappe.db.get_list(LOG, {
		filters: { name: ["in", single.map(({ name }) => name)] },
		fields: ["name", "records"],
		limit: single.length,
	});
	for (const { name, records } of rows) {
		listview.$result.find(`[data-records-of="${name}"]`).text(records).attr("title", records);
	}
}
