// What the filters and cells of the reports share. The server counts; here it is only shown.
import { standing_colour } from "./standing";
import { STATUS_COLOURS, escape, grade_html, reason_text, reasons } from "./words";

// Frappe leaves the numbers below a chart dark on dark.
frappe.dom.set_style(
	'[data-theme="dark"] .frappe-chart .legend-dataset-value { fill: var(--text-muted); }',
	"gdpr_consent_charts",
);

const STATUSES = Object.keys(STATUS_COLOURS);

export const filters = {
	purpose: () => ({
		fieldname: "purpose",
		label: __("Purpose"),
		fieldtype: "Link",
		options: "Processing Purpose",
	}),
	topic: () => ({
		fieldname: "topic",
		label: __("Topic"),
		fieldtype: "Link",
		options: "Subscription Topic",
		get_query() {
			const purpose = frappe.query_report.get_filter_value("purpose");
			return { filters: purpose ? { purpose } : {} };
		},
	}),
	legal_basis: () => ({
		fieldname: "legal_basis",
		label: __("Legal Basis"),
		fieldtype: "Link",
		options: "Legal Basis",
	}),
	source: () => ({
		fieldname: "source",
		label: __("Source"),
		fieldtype: "Link",
		options: "Consent Source",
	}),
	company: () => ({ fieldname: "company", label: __("Company"), fieldtype: "Link", options: "Company" }),
	channel: () => select("channel", __("Channel"), ["Email", "SMS", "Phone", "Post"]),
	party_type: () => select("party_type", __("Party Type"), ["Contact", "Lead", "Customer"]),
	status: () => select("status", __("State Now"), STATUSES),
	grade: () => select("grade", __("Evidence Grade"), ["A", "B", "C", "D"]),
	days: (fieldname, label) => ({ fieldname, label, fieldtype: "Int", default: 30 }),
	from_date: (value) => ({
		fieldname: "from_date",
		label: __("From"),
		fieldtype: "Date",
		default: value,
	}),
	to_date: () => ({ fieldname: "to_date", label: __("To"), fieldtype: "Date" }),
	select,
};

/** A choice whose values are shown in the user's language. */
function select(fieldname, label, values, value) {
	const options = values.map((one) => ({ value: one, label: __(one) }));
	if (!value) options.unshift({ value: "", label: "" });
	return { fieldname, label, fieldtype: "Select", options, default: value };
}

export const blocking_reasons = () =>
	Object.entries(reasons())
		.filter(([code]) => !["VALID_CONSENT", "EXISTING_CUSTOMER", "NOT_MARKETING"].includes(code))
		.map(([value, [label]]) => ({ value, label }));

const pill = (colour, text, title) =>
	`<span class="indicator-pill no-indicator-dot ${colour}" title="${escape(title || text)}">${escape(text)}</span>`;

/** Show a cell of any of our reports: a state by its colour, a proof with what it means, a count as a way on. */
export function format(value, row, column, data, default_formatter) {
	if (!data) return default_formatter(value, row, column, data);
	const { fieldname } = column;
	if (fieldname === "status" && data.state) return pill(STATUS_COLOURS[data.state], value);
	if (fieldname === "evidence_grade") return grade_html(value);
	if (fieldname === "reason" && data.code) return pill("red", value, reason_text(data.code));
	if (fieldname === "state" && data.code) return pill(standing_colour(data.code), value);
	if (fieldname === "party_type" || fieldname === "reference_doctype") return escape(__(value));
	if (fieldname === "missing" && value) return `<span class="text-danger">${escape(value)}</span>`;
	return default_formatter(value, row, column, data);
}

/** Make the counts of a column links: `target(data)` says the DocType and the filters of the list they lead to. */
export function link_counts(report, fieldname, target) {
	report.$report.off("click.gdpr_consent").on("click.gdpr_consent", "a[data-gdpr-row]", (event) => {
		event.preventDefault();
		const data = report.datatable.datamanager.data[event.currentTarget.dataset.gdprRow];
		const { doctype, filters: route_options } = target(data);
		frappe.route_options = route_options;
		frappe.set_route("List", doctype, "List");
	});
	return (value, row, column, data, default_formatter) => {
		const shown = format(value, row, column, data, default_formatter);
		if (!data || column.fieldname !== fieldname || !row.meta || !target(data)) return shown;
		return `<a href="#" data-gdpr-row="${row.meta.rowIndex}">${shown}</a>`;
	};
}

/** Ask those whose marketing consent ends within the days, as the daily job does: each consent once. */
export function ask_before_the_end(days) {
	frappe.confirm(
		__(
			"Everybody whose marketing consent ends within {0} days gets a mail that asks whether it shall go on, unless they were asked before.",
			[days],
		),
		async () => {
			await frappe.xcall("gdpr_consent.reports.expiring.ask_now", { days });
			frappe.show_alert({ message: __("The mails are being queued."), indicator: "blue" });
		},
	);
}

/** Make a bulk update that asks those whose consent has ended, and show it; nothing is sent before its run. */
export function ask_after_the_end(values) {
	const dialog = new frappe.ui.Dialog({
		title: __("Ask Whose Consent Ended"),
		fields: [
			{
				fieldtype: "HTML",
				options: `<p>${__("A bulk update is made for the consents of one purpose that have run out in these days. Its preview says who will be asked, and who won't because they said no.")}</p>`,
			},
			{
				fieldtype: "Link",
				fieldname: "purpose",
				label: __("Purpose"),
				options: "Processing Purpose",
				reqd: 1,
				default: values.purpose,
				get_query: () => ({ filters: { is_marketing: 1, enabled: 1 } }),
			},
			{
				fieldtype: "Link",
				fieldname: "topic",
				label: __("Topic"),
				options: "Subscription Topic",
				default: values.topic,
				description: __("Empty: the purpose itself."),
				get_query: () => ({ filters: { purpose: dialog.get_value("purpose") || "" } }),
			},
		],
		primary_action_label: __("Make the Bulk Update"),
		async primary_action({ purpose, topic }) {
			dialog.hide();
			const { name } = await frappe.db.insert(update_to_ask(values, purpose, topic));
			frappe.set_route("Form", "Consent Bulk Update", name);
		},
	});
	dialog.show();
}

function update_to_ask({ days_back }, purpose, topic) {
	const at = (days) => moment.utc().add(days, "days").format("YYYY-MM-DD HH:mm:ss");
	const filters = [
		["Consent", "purpose", "=", purpose],
		topic ? ["Consent", "topic", "=", topic] : ["Consent", "topic", "is", "not set"],
		["Consent", "status", "in", ["Given", "Expired"]],
		["Consent", "expires_on", ">=", at(-(days_back ?? 30))],
		["Consent", "expires_on", "<", at(0)],
	];
	return {
		doctype: "Consent Bulk Update",
		title: __("Ask again: {0}", [topic || purpose]),
		reason: __("Consents that have run out."),
		rules: [
			{ target_doctype: "Consent", filters: JSON.stringify(filters), action: "Ask", purpose, topic },
		],
	};
}
