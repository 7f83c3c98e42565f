"""What a claim or a duty needs is kept (RE-03)."""

import pytest
from conftest import BulkUpdates

import frappe
from frappe.utils import add_days, getdate, nowdate

from gdpr_consent import legal_hold
from gdpr_consent.exceptions import EvidenceMissing, InvalidPeriod, NotNow, RegisterIsAppendOnly
from gdpr_consent.identity import Person


def hold(party_type: str, party: str, **values):
	review_on = values.pop("review_on", add_days(nowdate(), 90))
	row = {"party_type": party_type, "party": party, "reason": "Lawsuit 7 C 12/26", "review_on": review_on}
	return frappe.new_doc("Legal Hold", **row, **values).insert()


def test_re_03_a_hold_is_in_force_until_it_is_released(bulk: BulkUpdates):
	contact = Person("Contact", bulk.contact(bulk.mailbox()))
	assert legal_hold.holds_on([contact]) == []
	held = hold(*contact)
	assert legal_hold.holds_on([contact]) == [held.name]
	with pytest.raises(EvidenceMissing, match="Reason of Release"):
		legal_hold.release(held.name, " ")
	legal_hold.release(held.name, "The court has decided")
	assert legal_hold.holds_on([contact]) == []
	held.reload()
	assert (held.released_by, held.release_reason) == ("Administrator", "The court has decided")
	with pytest.raises(NotNow, match="released already"):
		legal_hold.release(held.name, "Again")


def test_re_03_a_hold_on_a_customer_holds_its_contacts(bulk: BulkUpdates):
	contact, stranger = bulk.contact(bulk.mailbox()), bulk.contact(bulk.mailbox())
	held = hold("Customer", bulk.customer(contact))
	people = [Person("Contact", contact), Person("Contact", stranger)]
	assert legal_hold.by_person(people) == {people[0]: [held.name]}


def test_a_hold_follows_a_record_that_is_renamed_or_merged(bulk: BulkUpdates):
	lead, other = bulk.lead(bulk.mailbox()), bulk.lead(bulk.mailbox())
	held = hold("Lead", lead)
	frappe.rename_doc("Lead", lead, other, merge=True, force=True)
	assert legal_hold.holds_on([Person("Lead", other)]) == [held.name]


def test_only_a_release_ends_a_hold(bulk: BulkUpdates):
	held = hold("Contact", bulk.contact(bulk.mailbox()), released_on=nowdate())
	assert not held.released_on
	held.released_on = nowdate()
	held.save()
	assert not held.reload().released_on
	with pytest.raises(RegisterIsAppendOnly, match="isn't deleted"):
		held.delete()
	legal_hold.release(held.name, "Over")
	held.reload().reason = "Something else"
	with pytest.raises(RegisterIsAppendOnly, match="stays as it was"):
		held.save()


def test_a_hold_needs_a_record_and_a_day_to_look_at_it_again(bulk: BulkUpdates):
	with pytest.raises(frappe.ValidationError, match=r"nobody-at-all.* doesn't exist|Could not find"):
		hold("Contact", "nobody-at-all")
	with pytest.raises(InvalidPeriod, match="Review On"):
		hold("Contact", bulk.contact(bulk.mailbox()), review_on=nowdate())


def test_privacy_officers_are_reminded_once_to_look_at_a_hold(bulk: BulkUpdates, user_with_roles):
	officer = user_with_roles("Privacy Officer")
	frappe.set_user("Administrator")
	held = hold("Contact", bulk.contact(bulk.mailbox()))
	told = {"for_user": officer, "document_name": held.name}
	legal_hold.remind(getdate(nowdate()))
	assert not frappe.db.exists("Notification Log", told)
	held.db_set("review_on", add_days(nowdate(), -2))  # the scheduler stood still since
	assert legal_hold.remind(getdate()) == 1
	assert held.name in frappe.db.get_value("Notification Log", told, "subject")
	assert not legal_hold.remind(getdate())
	assert frappe.db.count("Notification Log", told) == 1


@pytest.mark.parametrize("role", ["Consent User", "Newsletter Manager", "System Manager"])
def test_only_a_privacy_officer_holds_and_releases(role, bulk: BulkUpdates, user_with_roles):
	held = hold("Contact", contact := bulk.contact(bulk.mailbox()))
	user_with_roles(role)
	with pytest.raises(frappe.PermissionError):
		legal_hold.release(held.name, "Mine")
	with pytest.raises(frappe.PermissionError):
		hold("Contact", contact)
