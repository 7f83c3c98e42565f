frappe.views.calendar["Data Subject Request"] = {
	// A day is the same in every time zone: what says to move it is a field that there isn't.
	field_map: { start: "due_on", end: "due_on", id: "name", title: "right", convertToUserTz: "not_at_all" },
	fields: ["name", "right", "status", "due_on"],
	get_css_class: (request) => gdpr_consent.rights.due_colour(request),
};
