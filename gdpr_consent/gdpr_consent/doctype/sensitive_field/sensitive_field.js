const ROLES = ["viewers", "editors", "revealers"];
const NO_VALUE = ["Section Break", "Column Break", "Tab Break", "HTML", "Button", "Fold", "Heading", "Image"];

frappe.ui.form.on("Sensitive Field", {
	setup(frm) {
		frm.set_query("ref_doctype", () => ({ filters: { is_virtual: 0 } }));
		const query = "gdpr_consent.sensitive_data.api.search_roles";
		ROLES.forEach((table) => frm.set_query(table, () => ({ query })));
	},

	refresh(frm) {
		// The server checks them. The desk would ask for the right to read Role.
		ROLES.forEach((table) => frm.set_df_property(table, "ignore_link_validation", 1));
		show_state(frm);
		offer_fields(frm);
	},

	ref_doctype(frm) {
		frm.set_value("fieldname", null);
		offer_fields(frm);
	},

	after_save(frm) {
		return frm.reload_doc(); // the state is written after the record
	},

	enabled(frm) {
		show_state(frm);
	},
});

/** Say in words what holds now, and after the next save. */
function show_state(frm) {
	const { state, state_reason, enabled, sensitivity, is_standard } = frm.doc;
	const escape = gdpr_consent.words.escape;
	if (frm.is_new())
		return gdpr_consent.set_headline(frm, __("It protects nothing until it is saved."), "blue");
	const say = (text, colour) => gdpr_consent.set_headline(frm, text, colour);
	if (!enabled) {
		const text = frm.is_dirty()
			? __("Save to switch it off. Permissions become what they were before.")
			: __("Off. Whoever may read the record sees the field.");
		return say(
			is_standard
				? `${text} ${__("It came with the app, and an update doesn't switch it on again.")}`
				: text,
			"orange",
		);
	}
	if (state === "Not in Force") return say(`<b>${__("Not in force.")}</b> ${escape(state_reason)}`, "red");
	if (sensitivity === "General")
		return say(
			__("Noted only: data of the class General is open to whoever may read the record."),
			"blue",
		);
	if (state === "In Force" && !frm.is_dirty()) return say(__("In force."), "green");
	say(__("Save to put it in force."), "blue");
}

/** Suggest the fields of the DocType, by label and name. */
async function offer_fields(frm) {
	const control = frm.fields_dict.fieldname;
	const doctype = frm.doc.ref_doctype;
	if (!doctype || !frm.is_new() || !control.set_data) return;
	await new Promise((resolve) => frappe.model.with_doctype(doctype, resolve));
	if (frm.doc.ref_doctype !== doctype) return; // the user chose another one meanwhile
	const fields = frappe.get_meta(doctype).fields.filter(({ fieldtype }) => !NO_VALUE.includes(fieldtype));
	control.set_data(
		// With the name, because Frappe finds the field that was chosen by this text, and labels can be the same.
		fields.map(({ fieldname, label, parent }) => ({
			value: fieldname,
			label: `${__(label || fieldname, null, parent).replace(/[<>]/g, "")} (${fieldname})`,
		})),
	);
}
