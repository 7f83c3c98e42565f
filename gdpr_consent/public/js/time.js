// The register keeps naive UTC; the desk shows the user's own time, and UTC in the tooltip.

const zone = (which) =>
	(frappe.boot.time_zone && frappe.boot.time_zone[which]) || frappe.sys_defaults.time_zone;

export function local_time(utc) {
	if (!utc) return "";
	const format = `${frappe.boot.sysdefaults.date_format.toUpperCase()} HH:mm`;
	return moment.utc(utc).tz(zone("user")).format(format);
}

export function local_time_html(utc) {
	if (!utc) return "";
	const title = moment.utc(utc).format("YYYY-MM-DD HH:mm:ss [UTC]");
	return `<time datetime="${moment.utc(utc).format()}" title="${title}">${local_time(utc)}</time>`;
}

export const user_zone = () => zone("user");

/** An instant with its zone and offset, which tells the two halves of an hour that the clocks repeat. */
export function zoned_time(utc) {
	const there = moment.utc(utc).tz(zone("user"));
	return frappe.utils.escape_html(`${local_time(utc)} (${zone("user")}, ${there.format("Z")})`);
}

// What a Datetime control of the desk holds is in the site's time zone.
export const to_utc = (system) =>
	system ? moment.tz(system, zone("system")).utc().format("YYYY-MM-DDTHH:mm:ss[Z]") : null;

/** The same for a Datetime column that holds UTC. */
export const to_utc_column = (system) =>
	system ? moment.tz(system, zone("system")).utc().format("YYYY-MM-DD HH:mm:ss") : null;

export const is_over = (utc) => Boolean(utc) && moment.utc(utc).isSameOrBefore(moment.utc());

// Labels say UTC for whoever exports or queries; on the screen the values are converted.
export function show_local_times(doctype, frm) {
	frappe.get_meta(doctype).fields.forEach(convert);
	if (!frm) return;
	// A form has copies of its own.
	for (const { df, head } of Object.values(frm.fields_dict)) {
		convert(df);
		if (head && df.label) set_text(head, df.label);
		if (df.fieldtype === "Datetime") frm.refresh_field(df.fieldname);
	}
}

/** A click on a value filters by it, and Frappe's filter doesn't understand an instant with microseconds. */
export function do_not_filter_by_instant(listview) {
	const stop = (event) => {
		if (event.target.closest(".filterable time")) event.stopPropagation();
	};
	listview.$result[0].addEventListener("click", stop, true);
}

function convert(df) {
	if (df.fieldtype === "Datetime") df.formatter = local_time_html;
	if (df.label) df.label = __(df.label).replace(/ \(UTC\)$/, "");
}

function set_text(head, text) {
	const node = [...head[0].childNodes].find((one) => one.nodeType === Node.TEXT_NODE && one.data.trim());
	if (node) node.data = text;
}
