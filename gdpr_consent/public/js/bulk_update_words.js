// What the parts of the desk that are about Consent Bulk Update share.

export const BULK_UPDATE = "Consent Bulk Update";
export const RULE = "Consent Bulk Update Rule";
export const ITEM = "Consent Bulk Update Item";
export const ADDRESS = "Consent Bulk Update Address";

// Options of the DocTypes, by tests/test_bulk_desk.py.
export const STATUS_COLOURS = {
	Draft: "grey",
	Previewing: "blue",
	Previewed: "orange",
	Running: "blue",
	Paused: "orange",
	Completed: "green",
	Reverting: "blue",
	Reverted: "grey",
};
export const PLAN_COLOURS = { Change: "blue", Unchanged: "grey", Skip: "orange" };
export const RESULT_COLOURS = {
	Done: "green",
	Unchanged: "grey",
	Skipped: "orange",
	Failed: "red",
	Reverted: "blue",
	"Not Reverted": "orange",
};

// Of charts and bars.
export const BEFORE = "#8d99a6";
export const AFTER = "#2490ef";

export const BUSY = ["Previewing", "Running", "Reverting"];
export const EDITABLE = ["Draft", "Previewed"];

export const colour_of = ({ plan, result }) => RESULT_COLOURS[result] || PLAN_COLOURS[plan] || "grey";

/** Say what is on record for somebody: a status of the register, or nothing. */
export const on_record = (status) => (!status || status === "Nothing" ? __("Nothing") : __(status));

export const option = (name, doctype) => __(name || "", null, doctype);

export const number = (value) =>
	Number(value || 0).toLocaleString((frappe.boot.lang || "en").replace("_", "-"));

/** A bar that fills up. Its colours can be told from the light and from the dark page. */
export const bar_html = (percent, label) =>
	`<div class="progress" style="height: 10px; background-color: var(--control-bg)">
		<div class="progress-bar" role="progressbar" style="width: ${percent}%; background-color: ${AFTER}"
			aria-label="${frappe.utils.escape_html(label)}" aria-valuemin="0" aria-valuemax="100" aria-valuenow="${percent}"></div>
	</div>`;

/** Call a door of bulk updates; resolves with its answer. */
export const call = (door, args = {}, freeze = false) =>
	frappe
		.call({ method: `gdpr_consent.bulk_update.${door}`, type: "POST", args, freeze })
		.then((r) => r.message);
