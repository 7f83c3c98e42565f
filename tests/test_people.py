"""What becomes of a yes and a no when the records of people change, and of the opt-outs that core keeps."""

import pytest
from conftest import give

import frappe
from frappe.utils import add_days, now_datetime

from gdpr_consent import api, ledger, legacy, register
from gdpr_consent.exceptions import StandingRefusal
from gdpr_consent.identity import address_key
from gdpr_consent.register import writing

MARKETING = "Email Marketing"


def reason(email: str, topic: str | None = None, **more) -> str:
	(answer,) = api.check_consent([email], topic=topic, **more).values()
	return answer["reason"]


def confirm(email: str, *topics: str) -> None:
	"""The person's own later yes."""
	names = [row["name"] for row in register.request(email=email, topics=topics, by_the_person=True)]
	assert len(register.confirm(names, writing.now_utc())) == len(names)


def rename(doc, new: str, merge: bool = False) -> str:
	return frappe.rename_doc(doc.doctype, doc.name, new, merge=merge, force=True)


def add_address(person, email: str, **more) -> None:
	person.reload()
	person.append("email_ids", {"email_id": email} | more)
	person.save()


def remove_address(person, email: str) -> None:
	person.reload()
	person.email_ids = [row for row in person.email_ids if row.email_id != email]
	if person.email_ids:
		person.email_ids[0].is_primary = 1
	person.save()


@pytest.fixture(autouse=True)
def every_row_is_what_its_events_make_it(site):
	yield
	for row in frappe.get_all("Consent", {"email": ["like", "%@people.example"]}, pluck="name"):
		assert register.rebuild(row)["changed"] == {}
	assert ledger.verify()["problem"] is None


# --- an address comes or goes -------------------------------------------------------------------------------


def test_st_12_a_new_address_doesnt_inherit_the_consent(address, contact):
	old, new = address(), address()
	person = contact(old)
	name = give(old, party_type="Contact", party=person.name)
	before = frappe.get_doc("Consent", name).as_dict()
	person.email_ids[0].email_id = new
	person.save()
	assert reason(new) == "NO_CONSENT"
	assert reason(old) == "VALID_CONSENT"
	assert frappe.get_doc("Consent", name).as_dict() == before


def test_st_12_nor_does_a_leads(address, lead):
	old, new = address(), address()
	person = lead(old)
	give(old)
	person.email_id = new
	person.save()
	assert (reason(old), reason(new)) == ("VALID_CONSENT", "NO_CONSENT")


NOES = {
	"objection": (lambda email: api.object_to_marketing(email=email), "OBJECTED"),
	"withdrawal": (lambda email: api.withdraw_consent(email=email), "WITHDRAWN"),
	"refusal": (lambda email: register.refuse(email=email), "WITHDRAWN"),
}


@pytest.mark.parametrize("no", NOES)
@pytest.mark.parametrize("doctype", ["Contact", "Lead"])
def test_design_5_a_no_holds_for_the_address_that_replaces_it(address, contact, lead, doctype, no):
	say_no, word = NOES[no]
	old, new = address(), address()
	person = contact(old) if doctype == "Contact" else lead(old)
	say_no(old)
	give(new, source="Event")
	if doctype == "Contact":
		person.email_ids[0].email_id = new
	else:
		person.email_id = new
	person.save()
	assert reason(new) == word
	with pytest.raises(StandingRefusal):
		give(new)


def test_design_5_a_no_holds_for_an_address_that_is_added(address, contact):
	first, second = address(), address()
	person = contact(first)
	api.object_to_marketing(email=first)
	add_address(person, second)
	assert reason(second) == "OBJECTED"


def test_design_5_a_no_comes_with_the_address_that_is_added(address, contact):
	first, second = address(), address()
	person = contact(first)
	give(first)
	api.object_to_marketing(email=second)
	add_address(person, second)
	assert reason(first) == "OBJECTED"


def test_design_5_a_no_outlives_the_address_it_was_said_from(address, contact):
	"""Removed, and only then another one is added."""
	first, second = address(), address()
	person = contact(first)
	api.withdraw_consent(email=first)
	remove_address(person, first)
	add_address(person, second)
	assert reason(second) == "WITHDRAWN"
	assert reason(first) == "WITHDRAWN"


def test_design_5_the_same_for_a_lead(address, lead):
	first, second = address(), address()
	person = lead(first)
	api.object_to_marketing(email=first)
	for email in ("", second):
		person.reload()
		person.email_id = email
		if not email:
			person.first_name = "Nobody's"
		person.save()
	assert reason(second) == "OBJECTED"


def test_design_5_a_no_from_someone_without_an_address_waits_for_one(address, contact):
	person = contact()
	party = {"party_type": "Contact", "party": person.name}
	api.object_to_marketing(**party)
	was = frappe.db.count("Suppression")
	api.object_to_marketing(**party)
	assert frappe.db.count("Suppression") == was, "saying it twice adds nothing"
	email = address()
	add_address(person, email)
	assert reason(email) == "OBJECTED"


def test_design_5_a_no_from_one_address_holds_for_all(address, contact):
	first, second = address(), address()
	contact(first, second)
	give(first)
	give(second)
	api.withdraw_consent(email=second.upper())
	assert reason(first) == reason(second) == "WITHDRAWN"


def test_design_5_a_no_reaches_a_consent_at_an_address_the_person_has_no_more(address, contact):
	old, new = address(), address()
	person = contact(old)
	party = {"party_type": "Contact", "party": person.name}
	name = give(old, **party)
	person.email_ids[0].email_id = new
	person.save()
	assert api.withdraw_consent(**party)["withdrawn"] == [name]


def test_design_5_a_no_of_a_customer_holds_for_its_contacts(address, contact, customer):
	first, second = address(), address()
	company = customer(contact(first), contact(second))
	give(first)
	api.object_to_marketing(party_type="Customer", party=company.name)
	assert reason(first) == reason(second) == "OBJECTED"


def test_design_5_what_the_person_confirmed_since_outweighs_an_old_no(address, contact):
	first, second = address(), address()
	person = contact(first)
	api.object_to_marketing(email=first)
	confirm(first)
	add_address(person, second)
	assert (reason(first), reason(second)) == ("VALID_CONSENT", "OBJECTED")


def test_a_consent_is_untouched_by_an_address_without_a_past(address, contact):
	first, second = address(), address()
	person = contact(first)
	give(first)
	add_address(person, second)
	assert (reason(first), reason(second)) == ("VALID_CONSENT", "NO_CONSENT")


def test_a_topic_that_was_left_stays_left_at_a_new_address(address, contact, topic):
	first, second = address(), address()
	person = contact(first)
	give(first)
	api.withdraw_consent(email=first, topic=topic)
	add_address(person, second)
	give(second)
	with pytest.raises(StandingRefusal):
		give(second, topic)
	assert (reason(second), reason(second, topic)) == ("VALID_CONSENT", "WITHDRAWN")


# --- shared addresses ---------------------------------------------------------------------------------------


def test_a_lead_with_several_addresses_is_one_person(address, lead):
	first, second = address(), address()
	lead(f"{first}, {second}")
	give(second)
	api.withdraw_consent(email=first)
	assert reason(second) == "WITHDRAWN"


def test_a_no_from_a_shared_mailbox_holds_for_all_who_share_it(address, contact):
	shared, hers, his = address(), address(), address()
	contact(shared, hers)
	contact(shared, his)
	for email in (shared, hers, his):
		give(email)
	api.object_to_marketing(email=shared)
	assert reason(shared) == reason(hers) == reason(his) == "OBJECTED"


def test_ad_10_a_no_from_a_role_mailbox_stays_there(address, contact):
	role, hers = address("info@{}.people.example"), address()
	person = contact(role, hers)
	give(hers)
	api.object_to_marketing(email=role)
	assert (reason(role), reason(hers)) == ("OBJECTED", "VALID_CONSENT")
	add_address(person, address())
	assert reason(hers) == "VALID_CONSENT"


def test_ad_10_a_persons_no_holds_for_the_role_mailbox_on_their_record(address, contact):
	role, hers = address("info@{}.people.example"), address()
	contact(hers, role)
	api.object_to_marketing(email=hers)
	assert reason(role) == "OBJECTED"


def test_st_17_a_record_that_is_imported_again_brings_nothing_back(address, contact, lead):
	email, other = address(), address()
	person = contact(email)
	give(email)
	api.object_to_marketing(email=email)
	person.delete()
	contact(email.upper(), other)
	lead(email)
	assert reason(email) == reason(other) == "OBJECTED"
	with pytest.raises(StandingRefusal):
		give(email)


# --- rename, merge, delete, convert -------------------------------------------------------------------------


@pytest.mark.parametrize("doctype", ["Contact", "Lead", "Customer"])
def test_st_13_records_follow_a_party_that_is_renamed(address, contact, lead, customer, doctype):
	email = address()
	person = (
		{"Contact": contact, "Lead": lead}[doctype](email)
		if doctype != "Customer"
		else customer(contact(email))
	)
	party = {"party_type": doctype, "party": person.name}
	name = give(email, **party)
	api.withdraw_consent(email=email, **party)
	new = rename(person, f"Renamed {frappe.generate_hash(length=8)}")
	assert frappe.db.get_value("Consent", name, "party") == new
	assert frappe.get_all("Suppression", {"party": new, "party_type": doctype})
	assert not frappe.get_all("Suppression", {"party": person.name, "party_type": doctype})
	assert [row["kind"] for row in api.consent_history(party_type=doctype, party=new)].count("Move") >= 2


@pytest.mark.parametrize("who_said_no", ["the one that goes", "the one that stays"])
@pytest.mark.parametrize("doctype", ["Contact", "Lead"])
def test_st_13_merging_unites_the_noes(address, contact, lead, doctype, who_said_no):
	make = contact if doctype == "Contact" else lead
	goes, stays = address(), address()
	gone, kept = make(goes), make(stays)
	yes, no = (stays, goes) if who_said_no == "the one that goes" else (goes, stays)
	give(yes)
	api.object_to_marketing(email=no)
	assert reason(yes) == "VALID_CONSENT"
	rename(gone, kept.name, merge=True)
	assert reason(goes) == reason(stays) == "OBJECTED"


def test_st_13_a_merged_persons_no_holds_for_a_later_address(address, contact):
	goes, stays, later = address(), address(), address()
	gone, kept = contact(goes), contact(stays)
	api.withdraw_consent(email=goes)
	rename(gone, kept.name, merge=True)
	add_address(frappe.get_doc("Contact", kept.name), later)
	assert reason(later) == "WITHDRAWN"


@pytest.mark.parametrize("ticked", ["gone", "kept"])
def test_st_13_merging_keeps_the_opt_out_box(address, contact, ticked):
	goes, stays = address(), address()
	gone = contact(goes, unsubscribed=int(ticked == "gone"))
	kept = contact(stays, unsubscribed=int(ticked == "kept"))
	rename(gone, kept.name, merge=True)
	assert frappe.db.get_value("Contact", kept.name, "unsubscribed") == 1
	assert reason(goes) == reason(stays) == "UNSUBSCRIBED"


def test_st_13_merging_gives_nobody_a_permission(address, contact):
	goes, stays = address(), address()
	gone, kept = contact(goes), contact(stays)
	name = give(goes, party_type="Contact", party=gone.name)
	rename(gone, kept.name, merge=True)
	assert (reason(goes), reason(stays)) == ("VALID_CONSENT", "NO_CONSENT")
	assert frappe.db.get_value("Consent", name, "party") == kept.name


def test_a_deleted_person_leaves_the_register_and_a_namesake_gets_nothing_of_it(address, contact):
	email, other = address(), address()
	person = contact(email)
	party = {"party_type": "Contact", "party": person.name}
	name = give(email, **party)
	api.withdraw_consent(email=email, **party)
	first_name = person.first_name
	person.delete()
	assert frappe.db.get_value("Consent", name, ["party", "party_type"]) == (None, None)
	assert reason(email) == "WITHDRAWN"
	namesake = contact(other, first_name=first_name)
	assert namesake.name == party["party"]
	assert api.consent_history(**party) == []
	give(other, **party)
	assert reason(other) == "VALID_CONSENT"


def test_st_13_converting_a_lead_keeps_yes_and_no(address, lead):
	from erpnext.crm.doctype.lead.lead import make_customer

	yes, no = address(), address()
	give(yes)
	api.object_to_marketing(email=no)
	for email, word in ((yes, "VALID_CONSENT"), (no, "OBJECTED")):
		person = lead(email)
		company = make_customer(person.name)
		company.customer_group = company.customer_group or frappe.db.get_value(
			"Customer Group", {"is_group": 0}
		)
		company.territory = company.territory or frappe.db.get_value("Territory", {"is_group": 0})
		company.insert()
		assert reason(email) == word
		assert frappe.db.get_value("Lead", person.name, "status") == "Converted"


def test_st_13_converting_a_lead_that_wants_no_contact(address, lead, contact):
	email, other = address(), address()
	lead(email, status="Do Not Contact")
	contact(email, other)
	assert reason(email) == reason(other) == "UNSUBSCRIBED"


# --- opt-outs that core keeps -------------------------------------------------------------------------------


def unsubscribe(email: str, **reference):
	return frappe.new_doc("Email Unsubscribe", email=email, **reference or {"global_unsubscribe": 1}).insert(
		ignore_permissions=True
	)


def group_member(email: str, topic: str | None = None, **more):
	title = f"Group {frappe.generate_hash(length=8)}"
	group = frappe.new_doc("Email Group", title=title).insert().name
	if topic:
		frappe.get_doc("Subscription Topic", topic).update({"email_group": group}).save()
	return frappe.new_doc("Email Group Member", email_group=group, email=email, **more).insert()


def test_an_unsubscribe_counts_at_once_in_any_letter_case(address):
	email = address()
	give(email)
	unsubscribe(email.upper())
	assert reason(email) == "UNSUBSCRIBED"
	assert reason(email, channel="Phone") == "NO_CONSENT", "it was said about e-mail"


def test_an_unsubscribe_from_some_record_counts_for_all_marketing(address, contact):
	email, other = address(), address()
	person = contact(email, other)
	give(other)
	unsubscribe(email, reference_doctype="Contact", reference_name=person.name)
	assert reason(email) == reason(other) == "UNSUBSCRIBED"


@pytest.mark.usefixtures("newsletters")
def test_un_07_an_unsubscribe_from_a_newsletter_counts_for_its_topic(address, topic):
	email = address()
	give(email)
	give(email, topic)
	newsletter = frappe.new_doc(
		"Newsletter",
		subject="News",
		sender_email="shop@gate.example",
		message="<p>News</p>",
		content_type="Rich Text",
		subscription_topic=topic,
		email_group=[{"email_group": group_member(address()).email_group}],
	).insert()
	unsubscribe(email, reference_doctype="Newsletter", reference_name=newsletter.name)
	assert (reason(email), reason(email, topic)) == ("VALID_CONSENT", "UNSUBSCRIBED")


@pytest.mark.parametrize("doctype", ["Contact", "Lead"])
@pytest.mark.parametrize("when", ["at first", "later"])
def test_a_ticked_box_counts_at_once(address, contact, lead, doctype, when):
	email = address()
	give(email)
	make = contact if doctype == "Contact" else lead
	person = make(email, unsubscribed=int(when == "at first"))
	if when == "later":
		person.unsubscribed = 1
		person.save()
	assert reason(email) == "UNSUBSCRIBED"
	assert reason(email, channel="SMS") == "NO_CONSENT"


def test_do_not_contact_counts_on_every_channel(address, phone_number, lead):
	email, number = address(), phone_number()
	give(number, channel="Phone")
	person = lead(email, mobile_no=number)
	assert reason(number, channel="Phone") == "VALID_CONSENT"
	person.reload()
	person.status = "Do Not Contact"
	person.save()
	assert reason(email) == reason(number, channel="Phone") == "UNSUBSCRIBED"


def test_a_member_of_a_topics_group_leaves_the_topic(address, topic):
	email = address()
	give(email)
	give(email, topic)
	member = group_member(email, topic)
	assert reason(email, topic) == "VALID_CONSENT"
	member.unsubscribed = 1
	member.save()
	assert (reason(email), reason(email, topic)) == ("VALID_CONSENT", "UNSUBSCRIBED")


def test_a_member_of_another_group_leaves_all_marketing(address, topic):
	email = address()
	give(email)
	give(email, topic)
	member = group_member(email)
	member.unsubscribed = 1
	member.save()
	assert reason(email) == reason(email, topic) == "UNSUBSCRIBED"


@pytest.mark.parametrize("doctype", ["Contact", "Lead"])
def test_st_08_unticking_lifts_nothing_and_doesnt_look_as_if_it_did(address, contact, lead, doctype):
	email = address()
	person = (contact if doctype == "Contact" else lead)(email, unsubscribed=1)
	person.unsubscribed = 0
	person.save()
	assert person.unsubscribed == 1
	assert reason(email) == "UNSUBSCRIBED"
	with pytest.raises(StandingRefusal):
		give(email)


def test_st_08_unticking_without_an_address_lifts_nothing_either(contact):
	person = contact(unsubscribed=1)
	person.unsubscribed = 0
	person.save()
	assert person.unsubscribed == 1


def test_st_08_nor_does_another_status_or_a_deleted_unsubscribe(address, lead, topic):
	email = address()
	person = lead(email, status="Do Not Contact")
	person.status = "Open"
	person.save()
	assert reason(email) == "UNSUBSCRIBED"
	left = address()
	unsubscribe(left).delete(ignore_permissions=True)
	assert reason(left) == "UNSUBSCRIBED"
	member = group_member(address(), unsubscribed=1)
	member.unsubscribed = 0
	member.save()
	member.delete()
	assert reason(member.email) == "UNSUBSCRIBED"


@pytest.mark.parametrize("doctype", ["Contact", "Lead"])
def test_who_confirmed_since_may_be_unticked(address, contact, lead, doctype):
	email = address()
	person = (contact if doctype == "Contact" else lead)(email, unsubscribed=1)
	confirm(email)
	person.unsubscribed = 0
	person.save()
	assert person.unsubscribed == 0
	assert reason(email) == "VALID_CONSENT"


@pytest.mark.parametrize("doctype", ["Contact", "Lead"])
def test_a_later_edit_isnt_a_later_no(address, contact, lead, doctype):
	"""The status changes by itself when a mail comes in; the person has confirmed since they opted out."""
	email = address()
	person = (contact if doctype == "Contact" else lead)(email, unsubscribed=1)
	confirm(email)
	person.status = "Replied"
	person.save()
	assert reason(email) == "VALID_CONSENT"


# --- taken over at installation, and hourly -----------------------------------------------------------------


@pytest.fixture
def taken_over(site, monkeypatch):
	"""Run the take-over as installation does, without its commits."""

	def run(chunk: int = 3) -> int:
		with monkeypatch.context() as patched:
			patched.setattr(frappe.db, "commit", lambda: None)
			return legacy.take_over(chunk)

	run()  # what other tests left
	return run


def by_sql(doc, **values) -> None:
	"""As it stood there before the app came: no event tells anybody."""
	frappe.db.set_value(doc.doctype, doc.name, values)


def unsubscribed_before(email: str) -> None:
	row = {"name": frappe.generate_hash(), "email": email, "global_unsubscribe": 1}
	ledger.insert("Email Unsubscribe", [row])


def test_opt_outs_of_every_kind_are_taken_over(address, contact, lead, topic, taken_over):
	emails = {
		kind: address() for kind in ("contact", "lead", "do not contact", "group", "topic", "unsubscribe")
	}
	by_sql(contact(emails["contact"]), unsubscribed=1)
	by_sql(lead(emails["lead"]), unsubscribed=1)
	by_sql(lead(emails["do not contact"]), status="Do Not Contact")
	by_sql(group_member(emails["group"]), unsubscribed=1)
	by_sql(group_member(emails["topic"], topic), unsubscribed=1)
	unsubscribed_before(emails["unsubscribe"].upper())
	for email in emails.values():
		give(email)
		give(email, topic)

	assert taken_over() == 6

	assert {reason(email, topic) for email in emails.values()} == {"UNSUBSCRIBED"}
	assert reason(emails["topic"]) == "VALID_CONSENT"
	assert reason(emails["do not contact"], channel="Post") == "UNSUBSCRIBED"
	assert taken_over() == 0


def test_take_over_ends_where_one_address_opted_out_many_times(address, contact, lead, taken_over):
	email = address()
	by_sql(contact(email), unsubscribed=1)
	by_sql(lead(email), unsubscribed=1)
	for _ in range(5):
		by_sql(group_member(email), unsubscribed=1)
	assert taken_over(2) == 7
	assert taken_over(2) == 0
	assert reason(email) == "UNSUBSCRIBED"


def test_take_over_ends_where_nobody_can_be_told(contact, taken_over):
	by_sql(contact(), unsubscribed=1)
	by_sql(group_member("somebody@people.example"), unsubscribed=1, email="no address at all")
	unsubscribed_before("jo@")
	assert taken_over(1) == 3
	assert taken_over(1) == 0


def test_a_no_that_is_taken_over_keeps_its_date_and_yields_to_a_later_confirmation(
	address, contact, taken_over
):
	email = address()
	person = contact(email)
	confirm(email)
	long_ago = {"unsubscribed": 1, "modified": add_days(now_datetime(), -30)}
	frappe.db.set_value("Contact", person.name, long_ago, update_modified=False)
	assert taken_over() == 1
	assert reason(email) == "VALID_CONSENT", "what they confirmed is newer"
	assert frappe.db.get_value("Suppression", {"address_key": address_key(email)}, "origin") == person.name


def test_a_renamed_person_isnt_taken_over_again(address, contact, taken_over):
	email = address()
	person = contact(email, unsubscribed=1)
	confirm(email)
	rename(person, f"Renamed {frappe.generate_hash(length=8)}")
	assert taken_over() == 0
	assert reason(email) == "VALID_CONSENT"


def test_take_over_spreads_to_all_addresses_of_the_person(address, contact, taken_over):
	first, second = address(), address()
	contact(first, second)
	give(second)
	unsubscribed_before(first)
	assert taken_over() == 1
	assert reason(second) == "UNSUBSCRIBED"
