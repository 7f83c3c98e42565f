gdpr_consent.show_local_times("Sensitive Access Log"); // before the columns are made

const LOG = "Sensitive Access Log";
const COLOURS = { View: "blue", Reveal: "orange", Print: "grey", Report: "blue", Export: "red" };

frappe.listview_settings[LOG] = {
	add_fields: ["accessed_on", "user", "how", "ref_doctype", "record_count"],
	hide_name_column: true, // the first column tells more

	refresh: show_records,

	formatters: {
		// Set as text. A narrow list has no columns for these.
		name: (_name, _df, { accessed_on, user }) =>
			[gdpr_consent.local_time(accessed_on), frappe.user.full_name(user)].join(" · "),
		fields(fields, _df, { name, ref_doctype, record_count }) {
			const escape = gdpr_consent.words.escape;
			const of = escape(`${__(ref_doctype)}: ${Number(record_count)}`);
			const what = escape((fields || "").split(",").join(", "));
			return `<span class="ellipsis"><span data-records-of="${name}">${of}</span> · ${what}</span>`;
		},
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
		listview.$result.find(`[data-records-of="${name}"]`).text(records);
	}
}
