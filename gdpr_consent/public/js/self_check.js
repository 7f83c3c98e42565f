// What the self-check of the gate found, for Consent Settings and for the list of consents.
import { escape } from "./words";

export const lines = (problems) => (problems || "").split("\n").filter(Boolean);

export function problems_html(problems) {
	return `<b>${__("Marketing mail may leave this site unchecked, or not at all:")}</b>
		<ul class="mb-0 pl-4" style="overflow-wrap: anywhere">${problems.map((one) => `<li>${escape(one)}</li>`).join("")}</ul>`;
}
