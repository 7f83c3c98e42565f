"""Report Record of Processing Activities (Art. 30(1) GDPR), with what is missing said in words (RE-04)."""

from collections import Counter

import frappe
from frappe import _
from frappe.utils import getdate

from gdpr_consent import data_recipients, legitimate_interests
from gdpr_consent.clock import now_utc
from gdpr_consent.policy import Status
from gdpr_consent.reports.common import (
	Result,
	Row,
	check_may_read,
	column,
	figure,
	has_status,
	link,
	result,
	visible,
)

# Art. 30(1)(a) to (g), and what good practice adds (requirements §8.4). What isn't always there: a joint
# controller, a representative, safeguards where nothing leaves the EEA, a condition of Art. 9.
DEMANDED = (
	*("controller", "controller_contact", "data_protection_officer", "title", "data_subjects"),
	*("data_categories", "recipients", "transfers", "storage", "security_measures"),
)


def execute(filters: Row | None = None) -> Result:
	"""List the purposes with all that the record asks for.

	Args:
		filters: `company`, `with_disabled`.
	"""
	check_may_read("Processing Purpose")
	rows = _rows(filters or {})
	incomplete = [row for row in rows if row["missing"]]
	return result(
		_columns(),
		rows,
		_message(incomplete),
		None,
		[
			figure(_("Purposes"), len(rows)),
			figure(_("Complete"), len(rows) - len(incomplete), "green"),
			figure(_("Incomplete"), len(incomplete), "red" if incomplete else "green"),
		],
	)


def _rows(filters: Row) -> list[Row]:
	wanted = {} if filters.get("with_disabled") else {"enabled": 1}
	if filters.get("company"):
		wanted["company"] = filters["company"]
	purposes = frappe.get_list(
		"Processing Purpose", wanted, ["*"], order_by="company asc, title asc", limit_page_length=0
	)
	settings = frappe.get_cached_doc("Consent Settings")
	officer = [settings.data_protection_officer, settings.data_protection_officer_contact]
	companies = _companies({purpose.company for purpose in purposes if purpose.company})
	bases, active = _bases(purposes), _active_consents()
	assessments = legitimate_interests.last_of(purpose.name for purpose in purposes)
	unassessed = legitimate_interests.lacking(getdate())
	named = data_recipients.of_purposes(purpose.name for purpose in purposes)
	rows = []
	for purpose in purposes:
		months = purpose.retention_months
		recipients = named.get(purpose.name, [])
		row = {
			"purpose": purpose.name,
			"controller": purpose.company,
			"controller_contact": companies.get(purpose.company, ""),
			"joint_controllers": purpose.joint_controllers,
			"representative": settings.representative,
			"data_protection_officer": ", ".join(text for text in officer if text) if all(officer) else "",
			"title": _(purpose.title),
			"description": _(purpose.description) if purpose.description else "",
			"data_subjects": _shown(purpose.data_subjects),
			"data_categories": _shown(purpose.data_categories),
			"recipients": "; ".join(
				text
				for text in (_shown(purpose.recipients), *map(data_recipients.in_words, recipients))
				if text
			),
			"transfers": purpose.transfers,
			"safeguards": purpose.safeguards,
			"storage": "; ".join(
				text
				for text in (
					_shown(purpose.storage),
					_("records are kept for {0} months after they ended").format(months) if months else "",
				)
				if text
			),
			"security_measures": _shown(purpose.security_measures),
			"legal_basis": ", ".join(_(basis) for basis in bases.get(purpose.name, ())),
			"article_9_condition": purpose.article_9_condition,
			"balancing_test": getattr(assessments.get(purpose.name), "name", None),
			"impact_assessment": purpose.impact_assessment,
			"systems": purpose.systems,
			"owner_of_purpose": purpose.owner_of_purpose,
			"last_review": purpose.last_review,
			"active_consents": active.get(purpose.name, 0),
		}
		missing = _missing(row, recipients, is_unassessed=purpose.name in unassessed)
		rows.append(row | {"missing": missing})
	return rows


def _shown(text: str | None) -> str:
	return _(text) if text else ""


def _missing(row: Row, recipients: list[Row], is_unassessed: bool) -> str:
	labels = {one["fieldname"]: one["label"] for one in _columns()}
	empty = [name for name in DEMANDED if not row[name]]
	if row["transfers"] and not row["safeguards"] and not _says_none(row["transfers"]):
		empty.append("safeguards")
	if is_unassessed:
		empty.append("balancing_test")
	without_contract = [
		_("contract with {0} (Art. 28)").format(one["name"])
		for one in recipients
		if one["role"] == data_recipients.PROCESSOR and not one["contract"]
	]
	return ", ".join([*(labels[name] for name in empty), *without_contract])


def _says_none(text: str) -> bool:
	return text.strip(" .").casefold() in {"none", "no", "-", _("None").casefold(), _("No").casefold()}


def _companies(names: set[str]) -> dict[str, str]:
	"""Return how to reach each controller: its address, and what Company says."""
	if not names or not frappe.has_permission("Company", "read"):
		return {}
	link_to, address = frappe.qb.DocType("Dynamic Link"), frappe.qb.DocType("Address")
	places: dict[str, str] = {}
	for company, *lines in (
		frappe.qb.from_(link_to)
		.join(address)
		.on((address.name == link_to.parent) & (link_to.parenttype == "Address"))
		.select(link_to.link_name, address.address_line1, address.pincode, address.city, address.country)
		.where((link_to.link_doctype == "Company") & link_to.link_name.isin([*names]))
		.where(address.disabled == 0)
		.orderby(address.is_primary_address)
		.run()
	):
		places[company] = ", ".join(line for line in lines if line)
	return {
		one.name: ", ".join(
			text for text in (places.get(one.name), one.email, one.phone_no, one.website) if text
		)
		for one in frappe.get_list(
			"Company",
			{"name": ["in", [*names]]},
			["name", "email", "phone_no", "website"],
			limit_page_length=0,
		)
	}


def _bases(purposes: list[Row]) -> dict[str, list[str]]:
	"""Return the legal bases of each purpose, the usual one first."""
	allowed = frappe.get_all(
		"Processing Purpose Legal Basis",
		{"parenttype": "Processing Purpose"},
		["parent", "legal_basis"],
		order_by="idx asc",
	)
	bases = {purpose.name: [purpose.default_legal_basis] for purpose in purposes}
	for row in allowed:
		if row.legal_basis not in bases.setdefault(row.parent, []):
			bases[row.parent].append(row.legal_basis)
	return bases


def _active_consents() -> dict[str, int]:
	if not frappe.has_permission("Consent", "read"):
		return {}
	# The index holds the purpose too, after the wording; the database would take the one over the expiry, and
	# read the rows.
	rows = frappe.db.sql(
		f"""select `purpose`, count(*) from `tabConsent` force index (wordings)
		where {has_status(Status.GIVEN.value)}{visible("Consent")} group by `wording`, `purpose`""",
		{"now": now_utc()},
	)
	active: Counter[str] = Counter()
	for purpose, consents in rows:
		active[purpose] += consents
	return active


def _columns() -> list[Row]:
	text = {"fieldtype": "Small Text", "width": 180}
	return [
		link("purpose", _("Purpose"), "Processing Purpose", 150),
		column("missing", _("Missing"), **text | {"width": 200}),
		link("controller", _("Controller (a)"), "Company", 150),
		column("controller_contact", _("Contact of the Controller (a)"), **text),
		column("joint_controllers", _("Joint Controllers (a)"), **text),
		column("representative", _("Representative (a)"), **text),
		column("data_protection_officer", _("Data Protection Officer (a)"), **text),
		column("title", _("Purpose (b)"), **text),
		column("description", _("What People Are Told"), **text),
		column("data_subjects", _("Categories of People (c)"), **text),
		column("data_categories", _("Categories of Data (c)"), **text),
		column("recipients", _("Categories of Recipients (d)"), **text),
		column("transfers", _("Transfers to Third Countries (e)"), **text),
		column("safeguards", _("Safeguards of Transfers (e)"), **text),
		column("storage", _("Storage and Erasure (f)"), **text),
		column("security_measures", _("Security Measures (g)"), **text),
		column("legal_basis", _("Legal Basis"), **text),
		column("article_9_condition", _("Condition of Art. 9"), width=130),
		link("balancing_test", _("Balancing Test (Art. 6(1)(f))"), legitimate_interests.DOCTYPE, 150),
		column("impact_assessment", _("Impact Assessment"), width=180),
		column("systems", _("Systems"), **text),
		link("owner_of_purpose", _("Owner"), "User"),
		column("last_review", _("Last Review"), "Date", 110),
		column("active_consents", _("Active Consents"), "Int", 120),
	]


def _message(incomplete: list[Row]) -> str | None:
	if not incomplete:
		return None
	lines = [
		frappe.utils.escape_html(_("{0}: missing is {1}.").format(row["title"], row["missing"]))
		for row in incomplete
	]
	where = _("The purpose is filled in at Processing Purpose, the officer at Consent Settings.")
	return "<br>".join([_("Art. 30(1) GDPR asks for more:"), *lines, where])
