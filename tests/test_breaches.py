"""The register of breaches and its clock (BR-01 to BR-04)."""

from datetime import datetime, timedelta

import pytest
from conftest import BulkUpdates, give

import frappe
from frappe.utils import add_to_date, get_datetime, now_datetime

from gdpr_consent import api, breaches
from gdpr_consent.exceptions import (
	EvidenceMissing,
	FilterNotValid,
	InvalidPeriod,
	NotNow,
	RegisterIsAppendOnly,
)

FACTS = {
	"nature": "A laptop with the customer list was stolen from a car.",
	"consequences": "Somebody may write to the people in our name.",
	"measures": "The laptop was locked from afar; the people are told.",
}


def ago(**time: float) -> datetime:
	return now_datetime().replace(microsecond=0) - timedelta(**time)


def breach(**values):
	company = frappe.get_all("Company", pluck="name", limit=1)[0]
	row = {"title": "Stolen laptop", "company": company, "aware_on": ago(hours=1)}
	return frappe.new_doc("Personal Data Breach", **row | values).insert()


def test_br_02_the_clock_runs_for_72_hours_through_a_weekend():
	friday = datetime(2026, 4, 3, 18, 30)  # Good Friday
	assert breach(aware_on=friday, risk="Unlikely", risk_reason="Encrypted").report_due_on == datetime(
		2026, 4, 6, 18, 30
	)


@pytest.mark.parametrize(
	("aware_on", "due_on"),
	[
		(datetime(2026, 3, 27, 12), datetime(2026, 3, 30, 13)),  # summer time begins on the 29th
		(datetime(2026, 10, 24, 12), datetime(2026, 10, 27, 11)),  # and ends on the 25th
		(datetime(2026, 10, 25, 12), datetime(2026, 10, 28, 12)),
	],
)
def test_br_02_the_72_hours_are_real_ones_when_the_clocks_change(monkeypatch, aware_on, due_on):
	for reader in ("gdpr_consent.clock", "frappe.utils.data"):
		monkeypatch.setattr(f"{reader}.get_system_timezone", lambda: "Europe/Warsaw")
	assert breaches.report_due_on(aware_on) == due_on
	assert breaches.report_due_on(str(aware_on)) == due_on


def test_br_02_the_hours_are_a_setting():
	frappe.db.set_single_value("Consent Settings", "breach_report_hours", 96)
	found = breach()
	assert get_datetime(found.report_due_on) - get_datetime(found.aware_on) == timedelta(hours=96)


def test_br_02_a_report_after_73_hours_says_why():
	found = breach(aware_on=ago(hours=80))
	found.reported_on = ago(hours=80 - 73)
	with pytest.raises(EvidenceMissing, match="Why So Late"):
		found.save()
	found.reload().update({"reported_on": ago(hours=7), "late_reason": "The processor told us on day three."})
	assert found.save().status == "Reported"


def test_br_02_a_report_in_the_72nd_hour_needs_no_reason():
	found = breach(aware_on=ago(hours=80))
	found.reported_on = ago(hours=8)
	assert found.save().status == "Reported"


@pytest.mark.parametrize(
	"field, values",
	[
		("Aware Since", {"aware_on": -2}),
		("Reported On", {"reported_on": -2}),
		("Reported On", {"reported_on": 2}),
		("Happened Until", {"happened_from": 48, "happened_until": 72}),
	],
)
def test_impossible_times_are_refused_by_name(field, values):
	with pytest.raises(InvalidPeriod, match=field):
		breach(**{name: ago(hours=hours) for name, hours in values.items()})


def test_br_01_a_breach_that_is_not_reported_says_why_and_stays_on_record():
	with pytest.raises(EvidenceMissing, match="Why is missing"):
		breach(risk="Unlikely")
	found = breach(risk="Unlikely", risk_reason="The disk was encrypted.", **FACTS)
	breaches.close(found.name)
	assert found.reload().status == "Closed"
	found.nature = "Nothing happened"
	with pytest.raises(RegisterIsAppendOnly, match="closed"):
		found.save()
	with pytest.raises(RegisterIsAppendOnly, match="kept on record"):
		frappe.delete_doc("Personal Data Breach", found.name, force=True, ignore_on_trash=True)


def test_br_03_it_can_be_closed_only_when_everything_is_written_down():
	found = breach()
	with pytest.raises(EvidenceMissing, match=r"Nature of the Breach.*Likely Consequences.*Measures.*Risk"):
		breaches.close(found.name)
	found.update({**FACTS, "risk": "High Risk"}).save()
	with pytest.raises(EvidenceMissing, match="Reported On, People Told On"):
		breaches.close(found.name)
	found.reload().update(
		{
			"reported_on": ago(minutes=5),
			"not_told_because": "Data were unintelligible, such as encrypted: 34(3)(a)",
			"not_told_reason": "Encrypted with a key that isn't on it.",
		}
	).save()
	breaches.close(found.name)
	assert found.reload().status == "Closed"


def test_br_03_the_status_is_not_set_by_hand():
	found = breach()
	found.status = "Closed"
	assert found.save().status == "Open"


def test_br_03_the_people_behind_records_are_counted_once(bulk: BulkUpdates):
	contacts = [bulk.contact(bulk.mailbox()) for _number in range(3)]
	customer = bulk.customer(contacts[0])
	note = frappe.get_all("DocType", {"name": "Note"}, pluck="name")[0]
	found = breach(
		scope=[
			{"ref_doctype": "Contact", "filters": frappe.as_json([["Contact", "name", "in", contacts]])},
			{"ref_doctype": "Customer", "filters": frappe.as_json([["Customer", "name", "=", customer]])},
			{"ref_doctype": note, "filters": frappe.as_json([["Note", "name", "=", "none"]])},
		]
	)
	assert breaches.count_people(found.name) == {"records": 4, "people": 3}
	counted = [(row.record_count, row.people_count) for row in found.reload().scope]
	assert counted == [(3, 3), (1, 1), (0, 0)]


def test_filters_that_cannot_be_read_are_refused():
	for filters in ("{", '"all"'):
		with pytest.raises(FilterNotValid, match="Row 1 of Records Concerned"):
			breach(scope=[{"ref_doctype": "Contact", "filters": filters}])


def test_fp_03_nobody_finds_out_by_counting_what_isnt_shown_to_them(user_with_roles):
	"""A tax number is for those who hold Sensitive Data Viewer."""
	user_with_roles("Privacy Officer", "Sales User")
	tax_numbers = frappe.as_json([["Customer", "tax_id", "like", "DE%"]])
	with pytest.raises((FilterNotValid, frappe.PermissionError), match=r"isn't shown to you|protected"):
		breach(scope=[{"ref_doctype": "Customer", "filters": tax_numbers}])


@pytest.mark.usefixtures("remove_breaches")
def test_br_04_people_at_high_risk_are_told_once_those_who_objected_too(bulk: BulkUpdates, smtp, mailbox):
	objector, other = mailbox("anna.{}@breach.example"), mailbox("piotr.{}@breach.example")
	give(other)
	api.object_to_marketing(email=objector)
	contacts = [bulk.contact(objector), bulk.contact(other)]
	scope = {"ref_doctype": "Contact", "filters": frappe.as_json([["Contact", "name", "in", contacts]])}
	found = breach(risk="Risk", scope=[scope])
	with pytest.raises(NotNow, match="Risk to the People"):
		breaches.tell_people(found.name)
	found.update({"risk": "High Risk"}).save()
	with pytest.raises(EvidenceMissing, match="Subject is missing"):
		breaches.tell_people(found.name)
	found.update({"notice_subject": "Your data were stolen", "notice": "<p>Please change your password.</p>"})
	found.save()
	frappe.db.commit()
	assert breaches.send_notices(found.name, "Administrator") == 2
	assert breaches.send_notices(found.name, "Administrator") == 2
	queued = frappe.get_all(
		"Email Queue",
		{"reference_doctype": "Personal Data Breach", "reference_name": found.name},
		pluck="name",
	)
	assert len(queued) == 2
	for name in queued:
		frappe.get_doc("Email Queue", name).send()
	assert smtp.reached() == sorted([objector, other])
	assert found.reload().people_told == 2 and found.people_told_on


def test_br_02_officers_are_told_before_it_is_due_and_when_it_is_overdue(user_with_roles, monkeypatch):
	officer = user_with_roles("Privacy Officer")
	frappe.set_user("Administrator")
	found = breach()

	def told_after(hours: float) -> list[str]:
		moment = add_to_date(found.aware_on, hours=hours, as_datetime=True)
		monkeypatch.setattr(breaches, "now_datetime", lambda: moment)
		breaches.remind()
		log = {"for_user": officer, "document_name": found.name}
		return frappe.get_all("Notification Log", log, pluck="subject", order_by="creation")

	assert told_after(40) == []
	assert len(told_after(49)) == 1
	assert len(told_after(50)) == 1
	assert "should have been reported" in told_after(73)[-1]
	assert len(told_after(90)) == 2
	frappe.db.set_value("Personal Data Breach", found.name, "reported_on", found.aware_on)
	assert len(told_after(100)) == 2


@pytest.mark.parametrize("role", ["Consent User", "Newsletter Manager", "System Manager"])
def test_only_a_privacy_officer_counts_tells_and_closes(role, user_with_roles):
	found = breach()
	user_with_roles(role)
	for act in (breaches.close, breaches.count_people, breaches.tell_people):
		with pytest.raises(frappe.PermissionError):
			act(found.name)
