gdpr_consent.show_local_times("Consent"); // before the columns are made

const NARROW = 1366; // pixels; up to there Frappe shows four columns

frappe.listview_settings["Consent"] = {
	add_fields: ["status", "expires_on", "topic"],
	hide_name_column: true,

	onload(listview) {
		gdpr_consent.do_not_filter_by_instant(listview);
		// The register is written by its own functions, so there is a dialog in the place of a new form.
		listview.set_primary_action = () => {
			if (!listview.can_create) return listview.page.clear_primary_action();
			listview.page.set_primary_action(__("Record Consent"), this.primary_action, "add");
		};
		listview.set_primary_action();
		show_problems(listview);
	},

	primary_action() {
		gdpr_consent.record({}, () => cur_list && cur_list.doctype === "Consent" && cur_list.refresh());
	},

	formatters: {
		evidence_grade: (grade) => gdpr_consent.words.grade_html(grade),
		// A narrow list has no column for the topic, which tells two records of one address apart.
		purpose: (purpose, _df, { topic }) =>
			[window.innerWidth <= NARROW && topic, purpose]
				.filter(Boolean)
				.map(gdpr_consent.words.escape)
				.join(" · "),
	},

	get_indicator(doc) {
		const status = gdpr_consent.status_now(doc);
		return [__(status), gdpr_consent.words.STATUS_COLOURS[status], `status,=,${doc.status}`];
	},
};

async function show_problems(listview) {
	if (!frappe.model.can_read("Consent Settings")) return;
	const text = await frappe.db.get_single_value("Consent Settings", "self_check_problems");
	const problems = gdpr_consent.lines(text);
	if (problems.length) {
		$(
			`<div class="form-message red" role="alert">${gdpr_consent.problems_html(problems)}</div>`,
		).prependTo(listview.$frappe_list);
	}
}
