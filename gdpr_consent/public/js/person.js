// What the forms of Contact, Lead, Customer, Prospect and Opportunity show about consent: a badge beside the title,
// and the Privacy tab.
import { show_panel } from "./panel";
import { standings } from "./standing";
import { escape } from "./words";

const TAB = "consent_privacy_tab";

/** Add the badge to a form, and the panel when its tab is opened. */
export function show_on_form(frm) {
	show_restriction(frm);
	frm.open_consent_panel = null;
	frm.page.wrapper.find(".consent-badge").remove();
	const may_see = !frm.is_new() && frappe.model.can_read("Consent");
	const tab = frm.layout.tabs.find(({ df }) => df.fieldname === TAB);
	if (!tab) return;
	tab.df.hidden = may_see ? 0 : 1;
	tab.refresh();
	if (!may_see) return;
	show_badge(frm, tab);
	const wrapper = frm.fields_dict.consent_privacy.$wrapper.empty();
	const { doctype, docname } = frm;
	// The panel has asked anew, so the badge says the same, without loading the form, which may hold changes.
	const answered = (standing) => {
		if (frm.docname !== docname) return; // the user went on to another record
		frm.doc.__onload = { ...frm.doc.__onload, marketing_mail: standing };
		show_badge(frm, tab);
	};
	frm.open_consent_panel = () => show_panel(doctype, docname, wrapper, answered);
	frm.consent_tab_is_open = tab.is_active();
	if (frm.consent_tab_is_open) frm.open_consent_panel();
}

/** Load the panel each time its tab is opened, of which v15 tells twice. */
export function on_tab_change(frm) {
	const was_open = frm.consent_tab_is_open;
	frm.consent_tab_is_open = frm.get_active_tab()?.df.fieldname === TAB;
	if (frm.consent_tab_is_open && !was_open) frm.open_consent_panel?.();
}

/** Say that a record is only stored, and let nobody begin to change it who may not (Art. 18). */
function show_restriction(frm) {
	frm.layout.message.find(".restriction-headline").closest(".form-message").remove();
	if (!frm.doc.processing_restricted) return;
	const text = __(
		"Processing is restricted, because the person asked for it (Art. 18 GDPR). Only a Privacy Officer changes this record.",
	);
	frm.dashboard.set_headline(`<div class="restriction-headline">${text}</div>`, "red");
	if (!frappe.user.has_role("Privacy Officer")) frm.disable_form();
}

function show_badge(frm, tab) {
	const standing = frm.doc.__onload?.marketing_mail || frm.doc.marketing_mail;
	if (!standing) return;
	const [colour, , text] = standings()[standing] || ["grey", "", standing];
	const title = `${__("Marketing Mail")}: ${text}`;
	frm.page.wrapper.find(".consent-badge").remove();
	const badge = $(
		`<button type="button" class="btn btn-xs indicator-pill whitespace-nowrap consent-badge ${colour}" title="${escape(title)}" aria-label="${escape(title)}"><span>${escape(badge_text(standing))}</span></button>`,
	).on("click", () => {
		tab.set_active();
		tab.tab_link.find(".nav-link")[0].scrollIntoView({ block: "nearest" });
	});
	if (frappe.is_mobile()) {
		// The title has the room of a few letters there.
		badge.css("margin", "var(--margin-sm) var(--padding-md)").prependTo(frm.layout.wrapper);
	} else {
		badge.css("margin-left", "var(--margin-sm)").insertAfter(frm.page.indicator);
	}
}

// The title is short of room, and says nothing of mail.
const badge_text = (standing) =>
	({
		"Nothing Known": __("No Consent Known"),
		Allowed: __("Mail Allowed"),
		"Allowed in Part": __("Mail Allowed in Part"),
		Requested: __("Consent Requested"),
		"Not Allowed": __("No Mail"),
	})[standing] || standings()[standing][1];

export const url_of = (consent) => `/app/consent/${encodeURIComponent(consent)}`;

/** Show a message of ours at the head of a form, in place of the one we showed before. */
export function set_headline(frm, html, colour) {
	frm.layout.message.find(".consent-headline").closest(".form-message").remove();
	frm.dashboard.set_headline(`<div class="consent-headline">${html}</div>`, colour);
}
