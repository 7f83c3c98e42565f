// Protected fields that the user may not see: dots in their place, and for whoever may, the value for a while.
import { escape } from "./words";

const CONTROL = "Sensitive Field";
const DOTS = "••••••••";
const SECOND = 1000;
const LOG = "Sensitive Access Log";

/** Put the dots on every form from now on. Called once, when the desk is loaded. */
export function mask_sensitive_fields() {
	frappe.ui.form.ControlSensitiveField = ControlSensitiveField; // by its name, Frappe makes it
	// Both come for all DocTypes, and before the scripts of one load or refresh it.
	$(document).on("form-load", (_event, frm) => replace_controls(frm));
	$(document).on("form-refresh", (_event, frm) => {
		masks_of(frm).forEach((control) => control.hide());
		add_link_to_log(frm);
	});
}

const masks_of = (frm) =>
	Object.keys((frappe.boot.gdpr_sensitive_fields || {})[frm.doctype] || {})
		.map((fieldname) => frm.fields_dict[fieldname])
		.filter((control) => control && control.is_mask);

function replace_controls(frm) {
	const hidden = (frappe.boot.gdpr_sensitive_fields || {})[frm.doctype] || {};
	for (const [fieldname, { reveal }] of Object.entries(hidden)) {
		const control = frm.fields_dict[fieldname];
		if (!control || control.is_mask) continue;
		// Layout, sections and tabs take it for a field like any other, so they show and hide with it.
		frm.layout.replace_field(fieldname, { ...control.df, fieldtype: CONTROL, default: null });
		frm.fields_dict[fieldname].set_up(frm, reveal);
	}
}

/** The link to who saw fields of a record, for whoever may read the log. */
function add_link_to_log(frm) {
	const logged = frappe.boot.gdpr_logged_doctypes || [];
	if (frm.is_new() || !logged.includes(frm.doctype) || !frappe.model.can_read(LOG)) return;
	frm.page.add_menu_item(__("Who Saw It?"), () => {
		frappe.route_options = { ref_doctype: frm.doctype, records: ["like", `%${frm.docname}%`] };
		frappe.set_route("List", LOG, "List");
	});
}

class ControlSensitiveField extends frappe.ui.form.ControlInput {
	is_mask = true;

	make_wrapper() {
		super.make_wrapper();
		const id = `sensitive-${frappe.utils.get_random(8)}`;
		this.$wrapper.addClass("sensitive-field");
		this.$wrapper.find("label").attr("for", id);
		this.$wrapper.find(".control-input").remove();
		this.$wrapper.find(".control-value").addClass("d-flex align-items-center").css("display", "").html(`
			<span class="sensitive-lock mr-2" aria-hidden="true"></span>
			<output id="${id}" aria-live="polite" class="flex-fill" style="min-width: 0; white-space: pre-wrap; overflow-wrap: anywhere"></output>
		`);
		this.output = this.$wrapper.find("output").get(0);
		// Not within the output: a screen reader would say every second.
		this.$left = $(`<p class="small text-muted mb-0" style="display: none"></p>`).appendTo(
			this.$wrapper.find(".control-input-wrapper"),
		);
		this.show_dots();
	}

	set_up(frm, may_reveal) {
		if (may_reveal) {
			this.$button = $(`<button type="button" class="btn btn-default btn-xs ml-2"></button>`)
				.on("click", () => (this.timer ? this.hide() : ask(this)))
				.appendTo(this.$wrapper.find(".control-value"));
		}
		$(frm.wrapper).on("hide", () => this.hide());
		this.hide();
	}

	get_status() {
		const { hidden, hidden_due_to_dependency } = this.df;
		const away = Number(hidden) || Number(hidden_due_to_dependency);
		return away || !this.frm || this.frm.is_new() ? "None" : "Read";
	}

	refresh_input() {
		this.set_label();
		if (this.docname !== this.shown_of) this.hide();
		this.set_description();
	}

	set_label(label) {
		if (label) this.df.label = label;
		this.label_span.textContent = __(this.df.label, null, this.df.parent);
	}

	set_input() {} // there is none

	get_value() {}

	show_lock(icon) {
		this.$wrapper.find(".sensitive-lock").html(frappe.utils.icon(icon, "sm"));
	}

	show_dots() {
		this.show_lock("lock");
		this.output.innerHTML = `<span aria-hidden="true">${DOTS}</span><span class="sr-only">${escape(__("Protected. You may not see it."))}</span>`;
	}

	show(value, seconds) {
		this.hide();
		this.shown_of = this.docname;
		this.output.textContent = value === "" ? __("Empty") : as_text(value, this.df, this.frm.doc);
		this.show_lock("unlock");
		this.$left.show();
		this.name_button(__("Hide"));
		const end = Date.now() + seconds * SECOND; // not counted: a browser slows down what is in the background
		const tick = () => {
			const left = Math.ceil((end - Date.now()) / SECOND);
			if (left <= 0) return this.hide();
			this.$left.text(__("Hidden in {0} s", [left]));
		};
		this.timer = window.setInterval(tick, SECOND / 4);
		tick();
	}

	hide() {
		window.clearInterval(this.timer);
		this.timer = this.shown_of = null;
		this.show_dots();
		this.$left.hide().text("");
		this.name_button(__("Reveal"));
	}

	name_button(text) {
		if (!this.$button) return;
		this.$button.text(text).attr("aria-label", `${text}: ${this.label_span.textContent}`);
	}
}

function as_text(value, df, doc) {
	if (["Text Editor", "HTML Editor"].includes(df.fieldtype)) return frappe.utils.html2text(value);
	if (df.fieldtype === "Check") return Number(value) ? __("Yes") : __("No");
	if (["Date", "Datetime", "Time", "Currency", "Float", "Percent"].includes(df.fieldtype)) {
		return frappe.utils.html2text(frappe.format(value, df, { inline: true }, doc));
	}
	return value;
}

/** Ask for what and why, and show the value of the field. */
async function ask(control) {
	const { frm, doctype, docname } = control;
	const { fieldname } = control.df;
	const label = control.label_span.textContent;
	const { message: purposes } = await frappe.call({
		method: "gdpr_consent.sensitive_data.api.purposes",
		type: "GET",
		freeze: true, // a second click would open a second dialog
	});
	const shown = __(
		"{0} of this record is shown to you for a short time. Who looked, when, and what you say here is written down; the value isn't.",
		[`<b>${escape(label)}</b>`],
	);
	const dialog = new frappe.ui.Dialog({
		title: __("Reveal {0}", [escape(label)]),
		static: true, // Escape, meant for an error message, would close the dialog below it as well
		secondary_action_label: __("Cancel"),
		secondary_action: () => dialog.hide(),
		fields: [
			{
				fieldtype: "HTML",
				options: `<p>${shown}</p>`,
			},
			{
				fieldtype: "Select",
				fieldname: "purpose",
				label: __("Purpose"),
				options: ["", ...purposes.map((name) => ({ value: name, label: __(name) }))],
				reqd: 1,
				description: __("What you need it for."),
			},
			{
				fieldtype: "Small Text",
				fieldname: "reason",
				label: __("Reason"),
				reqd: 1,
				max_height: "6rem",
				description: __("Why you need it now. A Privacy Officer can read this."),
			},
		],
		primary_action_label: __("Reveal"),
		primary_action: async ({ purpose, reason }) => {
			const { message } = await frappe.call({
				method: "gdpr_consent.sensitive_data.api.reveal",
				type: "POST",
				args: { doctype, name: docname, fieldname, purpose, reason },
				freeze: true,
			});
			dialog.hide();
			const went_on = frm.docname !== docname || cur_frm !== frm || !frm.$wrapper.is(":visible");
			if (!went_on) control.show(message.value, message.seconds);
		},
	});
	dialog.on_page_show = () => dialog.fields_dict.purpose.$input.trigger("focus");
	dialog.on_hide = () => control.$button.trigger("focus");
	dialog.show();
}
