frappe.listview_settings["Legal Hold"] = {
	add_fields: ["released_on", "review_on"],

	get_indicator({ released_on, review_on }) {
		if (released_on) return [__("Released"), "gray", "released_on,is,set"];
		return review_on < frappe.datetime.get_today()
			? [__("Review Overdue"), "orange", "released_on,is,not set"]
			: [__("In Force"), "red", "released_on,is,not set"];
	},
};
