frappe.provide("frappe.dashboards.chart_sources");

frappe.dashboards.chart_sources["Consent Charts"] = {
	method: "gdpr_consent.reports.cards.get_chart",
	filters: [],
};
