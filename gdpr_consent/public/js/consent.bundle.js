// What the forms and lists of several DocTypes share. They find it under the name `gdpr_consent`.
import { load_addresses } from "./bulk_update_addresses";
import { add_list_action, first_cleanup } from "./bulk_update_new";
import { read_editors, rule_events, set_up_rules, set_up_columns, show_rules } from "./bulk_update_rules";
import { show_status } from "./bulk_update_status";
import * as bulk_update_words from "./bulk_update_words";
import { edit_filters, in_words } from "./bulk_update_filters";
import { show_audience, show_delivery } from "./audience";
import { warn_in_composer } from "./composer";
import { download_history, download_record } from "./download";
import { evidence_html, fetch_history, history_html, show_history } from "./history";
import { on_tab_change, set_headline, show_on_form, url_of } from "./person";
import { rebuild, verify } from "./proof";
import { api, record } from "./record";
import * as reports from "./reports";
import { days_text, due_colour, record_request, show_request } from "./request";
import { erasure } from "./request_erasure";
import { call, show_information, show_package, show_reviews } from "./request_package";
import { invalidate, object, revoke, withdraw } from "./refuse";
import { lines, problems_html } from "./self_check";
import { find_candidates } from "./sensitive_candidates";
import { mask_sensitive_fields } from "./sensitive_field";
import { show_standing_in_list } from "./standing";
import { do_not_filter_by_instant, show_local_times } from "./time";
import * as words from "./words";

frappe.provide("gdpr_consent");

Object.assign(gdpr_consent, {
	api,
	bulk_update: {
		add_list_action,
		first_cleanup,
		load_addresses,
		read_editors,
		rule_events,
		set_up_rules,
		set_up_columns,
		show_rules,
		show_status,
		words: bulk_update_words,
	},
	do_not_filter_by_instant,
	download_history,
	download_record,
	evidence_html,
	fetch_history,
	filters: { edit_filters, in_words },
	find_candidates,
	history_html,
	invalidate,
	lines,
	object,
	problems_html,
	rebuild,
	record,
	reports,
	revoke,
	rights: {
		call,
		days_text,
		due_colour,
		erasure,
		human_review: show_reviews,
		information: show_information,
		package: show_package,
		record_request,
		show_request,
	},
	on_tab_change,
	set_headline,
	show_audience,
	show_delivery,
	show_history,
	show_local_times,
	show_on_form,
	show_standing_in_list,
	status_now: words.status_now,
	url_of,
	verify,
	withdraw,
	words,
});

mask_sensitive_fields();
warn_in_composer();
