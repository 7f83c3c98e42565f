frappe.listview_settings["Information Duty"] = {
	add_fields: ["status", "due_on", "email"],
	hide_name_column: true,

	onload(listview) {
		listview.page.add_action_item(__("Send Notice"), () => send(listview));
	},

	get_indicator({ status, due_on }) {
		if (status !== "Due") return [__(status), status === "Sent" ? "green" : "grey", `status,=,${status}`];
		const today = frappe.datetime.get_today();
		return due_on < today
			? [__("Overdue"), "red", `status,=,Due|due_on,<,${today}`]
			: [__("Due"), "orange", `status,=,Due|due_on,>=,${today}`];
	},
};

async function send(listview) {
	const duties = listview.get_checked_items(true);
	const number = await gdpr_consent.rights.call("send_notices", { duties });
	listview.clear_checked_items();
	frappe.show_alert({ message: __("Notices being sent: {0}", [number]), indicator: "blue" });
}
