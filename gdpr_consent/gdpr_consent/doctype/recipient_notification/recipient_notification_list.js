frappe.listview_settings["Recipient Notification"] = {
	add_fields: ["status"],
	hide_name_column: true,

	onload(listview) {
		listview.page.add_action_item(__("Note as Told…"), () => note_as_told(listview));
		listview.page.add_action_item(__("Try Again"), () => act(listview, "try_again", {}));
	},

	get_indicator({ status }) {
		const colour = { Due: "orange", Sending: "blue", Told: "green", Failed: "red" }[status];
		return [__(status), colour, `status,=,${status}`];
	},
};

function note_as_told(listview) {
	frappe.prompt(
		{ fieldname: "how", fieldtype: "Data", label: __("How"), reqd: 1 },
		({ how }) => act(listview, "note_as_told", { how }),
		__("How were they told?"),
		__("Note as Told…"),
	);
}

async function act(listview, method, values) {
	const names = listview.get_checked_items(true);
	await frappe.xcall(`gdpr_consent.rights.notifications.${method}`, { names, ...values });
	listview.clear_checked_items();
	listview.refresh();
}
