frappe.ui.form.on("Personal Data Breach", {
	refresh(frm) {
		show_clock(frm);
		if (frm.is_new() || frm.doc.status === "Closed" || !frappe.user.has_role("Privacy Officer")) return;
		frm.add_custom_button(__("Count People"), () => count_people(frm));
		if (frm.doc.risk === "High Risk") {
			frm.add_custom_button(__("Tell the People…"), () => tell_people(frm));
		}
		frm.add_custom_button(__("Close Breach"), () => act(frm, "close"));
		frappe.realtime.off("consent_breach_told");
		frappe.realtime.on("consent_breach_told", ({ name, told, is_done }) => {
			if (name !== frm.doc.name) return;
			frappe.show_alert({ message: __("{0} people told by mail", [told]), indicator: "green" });
			if (is_done) frm.reload_doc();
		});
	},
});

frappe.ui.form.on("Personal Data Breach Scope", {
	scope_add: (frm, cdt, cdn) => choose_records(frm, frappe.get_doc(cdt, cdn)),
	filters_in_words: (frm, cdt, cdn) => choose_records(frm, frappe.get_doc(cdt, cdn)),
	ref_doctype(frm, cdt, cdn) {
		frappe.model.set_value(cdt, cdn, { filters: "[]", filters_in_words: __("all") });
	},
});

const HOUR = 60 * 60 * 1000;

function show_clock(frm) {
	const { report_due_on, reported_on, risk, status } = frm.doc;
	if (!report_due_on) return;
	if (status === "Closed") return frm.page.set_indicator(__("Closed"), "gray");
	if (reported_on) return frm.page.set_indicator(__("Reported"), "green");
	if (risk === "Unlikely") return frm.page.set_indicator(__("Not to be reported"), "gray");
	const due = frappe.datetime.str_to_obj(report_due_on);
	const left = Math.ceil((due - frappe.datetime.now_datetime(true)) / HOUR);
	const when = frappe.datetime.str_to_user(report_due_on);
	const [text, colour] =
		left > 0
			? [
					__("To be reported to the authority by {0}: {1} hours left.", [when, left]),
					left > 24 ? "blue" : "orange",
				]
			: [__("The report to the authority was due on {0}, {1} hours ago.", [when, -left]), "red"];
	frm.set_intro("");
	frm.set_intro(text, colour);
}

async function act(frm, method) {
	if (frm.is_dirty()) await frm.save();
	const answer = await frappe.xcall(`gdpr_consent.breaches.${method}`, { name: frm.doc.name });
	await frm.reload_doc();
	return answer;
}

async function count_people(frm) {
	const { people, records } = await act(frm, "count_people");
	frappe.show_alert({
		message: __("{0} people, {1} records", [people, records]),
		indicator: "blue",
	});
}

function tell_people(frm) {
	frappe.confirm(
		__("Send the notice to everybody concerned who has an e-mail address? Nobody gets it twice."),
		() => act(frm, "tell_people"),
	);
}

function choose_records(frm, row) {
	let filters = row.filters || "[]";
	const dialog = new frappe.ui.Dialog({
		title: __("Records Concerned"),
		fields: [
			{
				fieldname: "ref_doctype",
				fieldtype: "Link",
				label: __("DocType"),
				options: "DocType",
				reqd: 1,
				default: row.ref_doctype,
				get_query: () => ({ filters: { istable: 0, issingle: 0 } }),
				change: () => edit(dialog.get_value("ref_doctype")),
			},
			{ fieldname: "conditions", fieldtype: "HTML" },
		],
		primary_action_label: __("Choose"),
		primary_action({ ref_doctype }) {
			Object.assign(row, {
				ref_doctype,
				filters,
				filters_in_words: gdpr_consent.filters.in_words(filters, ref_doctype),
			});
			frm.dirty();
			frm.refresh_field("scope");
			dialog.hide();
		},
	});
	let shown;
	function edit(doctype) {
		if (!doctype || doctype === shown) return;
		if (shown) filters = "[]";
		shown = doctype;
		gdpr_consent.filters.edit_filters(dialog.get_field("conditions"), {
			doctype,
			json: filters,
			on_change: (json) => (filters = json),
		});
	}
	dialog.show();
	edit(row.ref_doctype);
}
