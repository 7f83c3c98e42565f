frappe.ui.form.on("Consent", {
	onload(frm) {
		if (frm.is_new()) show_dialog_instead(frm);
	},

	refresh(frm) {
		if (frm.is_new()) return;
		frm.disable_save();
		gdpr_consent.show_local_times("Consent", frm);
		frm.page.set_indicator(__(gdpr_consent.status_now(frm.doc)), colour_of(frm.doc));
		if (frm.doc.evidence) show_evidence(frm);
		show_grade(frm);
		show_answer(frm);
		show_history(frm);
		add_buttons(frm);
	},
});

const colour_of = (doc) => gdpr_consent.words.STATUS_COLOURS[gdpr_consent.status_now(doc)];

async function show_dialog_instead(frm) {
	frappe.route_flags.replace_route = true; // else the way back would lead here again
	await frappe.set_route("List", "Consent");
	frappe.model.clear_doc("Consent", frm.docname);
	gdpr_consent.record({}, () => cur_list && cur_list.refresh());
}

function show_evidence(frm) {
	frm.fields_dict.evidence.$wrapper
		.find(".control-value")
		.html(gdpr_consent.evidence_html(frm.doc.evidence));
}

function show_grade(frm) {
	frm.fields_dict.evidence_grade.$wrapper
		.find(".control-value")
		.html(gdpr_consent.words.grade_html(frm.doc.evidence_grade));
}

async function show_answer(frm) {
	const { doc } = frm;
	const about = [doc.purpose, doc.topic].filter(Boolean).join(" · ");
	const { bold, reason_text } = gdpr_consent.words;
	if (!doc.email) {
		const text = __("The address was erased, so no mail goes out on the ground of this record.");
		return gdpr_consent.set_headline(frm, text, "orange");
	}
	const answers = await gdpr_consent.api("check_consent", {
		emails: [doc.email],
		purpose: doc.purpose,
		topic: doc.topic,
		channel: doc.channel,
	});
	if (frm.docname !== doc.name) return; // the user went on to another record
	const { allowed, reason, consent } = answers[doc.email];
	const parts = [
		allowed
			? __("{0} may be written to about {1} now.", [bold(doc.email), bold(about)])
			: __("{0} may not be written to about {1} now.", [bold(doc.email), bold(about)]),
		reason_text(reason),
	];
	if (consent && consent !== doc.name) {
		parts.push(`<a href="${gdpr_consent.url_of(consent)}">${__("Another record decides.")}</a>`);
	}
	gdpr_consent.set_headline(frm, parts.join(" "), allowed ? "green" : "orange");
}

function show_history(frm) {
	const wrapper = frm.fields_dict.history.$wrapper.empty();
	// Who only reads consents may not be allowed to see the people, and is told so when they ask.
	if (frappe.model.can_write("Consent")) return load_history(frm, wrapper);
	$(`<button type="button" class="btn btn-default btn-xs">${__("Show")}</button>`)
		.appendTo(wrapper)
		.on("click", () => load_history(frm, wrapper));
}

async function load_history(frm, wrapper) {
	const { doc } = frm;
	const whose = doc.email ? { email: doc.email } : { party_type: doc.party_type, party: doc.party };
	if (!(whose.email || whose.party)) return wrapper.html(gdpr_consent.history_html([]));
	const rows = await gdpr_consent.fetch_history(whose);
	if (frm.docname !== doc.name) return; // the user went on to another record
	const covers = (refusal) =>
		(!refusal.purpose || refusal.purpose === doc.purpose) &&
		(!refusal.topic || refusal.topic === doc.topic);
	const own = rows.filter((row) =>
		row.record_type === "Suppression" ? covers(row) : row.record === doc.name,
	);
	wrapper.html(gdpr_consent.history_html(own));
	if (own.length < rows.length) {
		$(
			`<button type="button" class="btn btn-default btn-xs mt-3">${__("Everything about this Person")}</button>`,
		)
			.appendTo(wrapper)
			.on("click", () => gdpr_consent.show_history(whose));
	}
}

function add_buttons(frm) {
	const { doc } = frm;
	const reload = () => frm.reload_doc();
	const given = {
		...(doc.email ? { email: doc.email } : {}),
		// A Customer stands for several people, of whom only this one says no.
		...(doc.party && !(doc.email && doc.party_type === "Customer")
			? { party_type: doc.party_type, party: doc.party }
			: {}),
		purpose: doc.purpose,
		topic: doc.topic,
	};
	const officer = frappe.user.has_role("Privacy Officer");
	const may_write = frappe.model.can_write("Consent");
	if (may_write && ["Given", "Requested", "Unknown", "Not Required"].includes(doc.status)) {
		frm.add_custom_button(__("Withdraw"), () => gdpr_consent.withdraw(given, reload)).addClass(
			"btn-danger",
		);
	}
	frm.add_custom_button(__("Download"), () => gdpr_consent.download_record(doc.name));
	const more = (label, act) => frm.add_custom_button(label, act, __("More"));
	if (may_write && ["Given", "Not Required"].includes(doc.status)) {
		more(__("Revoke"), () => gdpr_consent.revoke(doc.name, reload));
	}
	if (officer && !["Requested", "Lapsed", "Invalidated", "Not Required", "Ended"].includes(doc.status)) {
		more(__("Invalidate"), () => gdpr_consent.invalidate(doc.name, reload));
	}
	if (may_write) more(__("Object to All Marketing"), () => gdpr_consent.object(given, reload));
	const whose = doc.email ? { email: doc.email } : { party_type: doc.party_type, party: doc.party };
	if (whose.email || whose.party) {
		more(__("Download the Whole History"), () => gdpr_consent.download_history(whose));
	}
	if (officer || frappe.user.has_role("System Manager")) {
		more(__("Verify the Register"), gdpr_consent.verify);
		more(__("Rebuild from its Events"), () => gdpr_consent.rebuild(doc.name, reload));
	}
	if (doc.party && frappe.model.can_read(doc.party_type)) {
		frm.add_custom_button(__("Open {0}", [__(doc.party_type)]), () =>
			frappe.set_route("Form", doc.party_type, doc.party),
		);
	}
}
