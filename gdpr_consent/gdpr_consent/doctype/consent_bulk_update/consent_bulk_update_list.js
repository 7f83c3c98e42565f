const { BUSY, STATUS_COLOURS } = gdpr_consent.bulk_update.words;

frappe.listview_settings["Consent Bulk Update"] = {
	add_fields: ["status", "total", "processed"],
	hide_name_column: true,

	onload(listview) {
		if (!frappe.model.can_create("Consent Bulk Update")) return;
		listview.page.add_inner_button(__("First Clean-up…"), gdpr_consent.bulk_update.first_cleanup);
	},

	get_indicator({ status, total, processed }) {
		const label =
			BUSY.includes(status) && total
				? `${__(status)} ${Math.floor((100 * processed) / total)} %`
				: __(status);
		return [label, STATUS_COLOURS[status], `status,=,${status}`];
	},
};
