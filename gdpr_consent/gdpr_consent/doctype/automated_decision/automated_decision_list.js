frappe.listview_settings["Automated Decision"] = {
	async onload(listview) {
		const fields = await gdpr_consent.rights.call("undescribed_scores", {});
		if (!fields.length) return;
		const { escape } = gdpr_consent.words;
		const names = fields.map(({ doctype, label }) => `${__(doctype)}: ${escape(__(label))}`).join(", ");
		const text = __("These fields look like scores, and nothing here describes them: {0}", [names]);
		listview.page.main.prepend($('<div class="alert alert-warning m-3"></div>').html(text));
	},
};
