frappe.listview_settings["Personal Data Breach"] = {
	add_fields: ["status", "risk", "report_due_on", "reported_on"],

	get_indicator({ status, risk, report_due_on, reported_on }) {
		if (status !== "Open") {
			return [__(status), status === "Closed" ? "gray" : "green", `status,=,${status}`];
		}
		const is_overdue =
			risk !== "Unlikely" && !reported_on && report_due_on < frappe.datetime.now_datetime();
		return is_overdue ? [__("Overdue"), "red", "status,=,Open"] : [__("Open"), "orange", "status,=,Open"];
	},
};
