import { api } from "./record";
import { bold, escape } from "./words";

/** Check the whole register, and say what was found. */
export async function verify() {
	const { ok, checked, first_bad, problem } = await api("verify_ledger");
	frappe.msgprint({
		title: __("Verify the Register"),
		indicator: ok ? "green" : "red",
		message: ok
			? __("Events checked: {0}. Nothing was changed, left out or put in.", [checked])
			: `${__("{0} isn't as it was written.", [bold(first_bad)])} ${escape(problem)}`,
	});
}

/** Make the row of a Consent or of a Suppression anew from its events. */
export async function rebuild(name, done) {
	const { changed } = await api("rebuild", { consent: name });
	const columns = Object.keys(changed);
	frappe.msgprint({
		title: __("Rebuild"),
		indicator: columns.length ? "orange" : "green",
		message: columns.length
			? __("These fields differed from the events and were put right: {0}.", [
					columns.map(escape).join(", "),
				])
			: __("The record is what its events say."),
	});
	done();
}
