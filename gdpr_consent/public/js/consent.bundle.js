// What the forms and lists of several DocTypes share. They find it under the name `gdpr_consent`.
import { show_audience, show_delivery } from "./audience";
import { warn_in_composer } from "./composer";
import { evidence_html, fetch_history, history_html, show_history } from "./history";
import { set_headline, show_on_form, url_of } from "./person";
import { api, record, request } from "./record";
import { invalidate, object, revoke, withdraw } from "./refuse";
import { lines, problems_html } from "./self_check";
import { do_not_filter_by_instant, show_local_times } from "./time";
import * as words from "./words";

frappe.provide("gdpr_consent");

Object.assign(gdpr_consent, {
	api,
	do_not_filter_by_instant,
	evidence_html,
	fetch_history,
	history_html,
	invalidate,
	lines,
	object,
	problems_html,
	record,
	request,
	revoke,
	set_headline,
	show_audience,
	show_delivery,
	show_history,
	show_local_times,
	show_on_form,
	status_now: words.status_now,
	url_of,
	withdraw,
	words,
});

warn_in_composer();
