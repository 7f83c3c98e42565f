"""Topics: the Email Groups that follow them, and the Newsletters that go to them (issue 3)."""

import pytest
from conftest import give

import frappe

from gdpr_consent import api, audience, email_groups, legacy, register
from gdpr_consent.exceptions import StandingRefusal
from gdpr_consent.gate.email_campaign import explain_audience as explain_campaign
from gdpr_consent.identity import address_key
from gdpr_consent.register import writing

MEMBER = "Email Group Member"


def members(group: str) -> dict[str, bool]:
	"""Return whether each member is subscribed."""
	rows = frappe.get_all(MEMBER, {"email_group": group}, ["email", "unsubscribed"])
	return {row.email: not row.unsubscribed for row in rows}


def add_by_hand(group: str, email: str, **more):
	return frappe.new_doc(MEMBER, email_group=group, email=email, **more).insert()


def agree(email: str, topic: str, **more) -> str:
	give(email, **more)
	return give(email, topic, **more)


def refusals_of(email: str) -> list[str]:
	return frappe.get_all("Suppression", {"address_key": address_key(email)}, pluck="kind")


# --- at once ------------------------------------------------------------------------------------------------


def test_who_agrees_to_a_topic_and_its_purpose_is_a_member_of_its_group(topic, group_of, address):
	group, email = group_of(topic), address("Jo.{}@People.example")
	give(email, topic)
	assert members(group) == {}, "A mail about a topic needs the purpose too."
	give(email)
	assert members(group) == {email: True}


def test_who_confirms_is_a_member_then_and_not_before(topic, group_of, address):
	group, email = group_of(topic), address()
	pending = register.request(email=email, topics=[topic], by_the_person=True)
	assert members(group) == {}
	register.confirm([row["name"] for row in pending], writing.now_utc())
	assert members(group) == {email: True}


def withdraw_the_topic(email: str, topic: str) -> None:
	api.withdraw_consent(email=email, topic=topic)


def withdraw_the_purpose(email: str, topic: str) -> None:
	api.withdraw_consent(email=email)


def object_to_all(email: str, topic: str) -> None:
	api.object_to_marketing(email=email)


def invalidate(email: str, topic: str) -> None:
	name = frappe.db.get_value("Consent", {"address_key": address_key(email), "topic": topic})
	register.invalidate(name, "The box was pre-ticked")


@pytest.mark.parametrize(
	"lose",
	[withdraw_the_topic, withdraw_the_purpose, object_to_all, invalidate],
	ids=lambda act: act.__name__,
)
def test_who_loses_the_consent_is_switched_off_and_not_deleted(topic, group_of, address, lose):
	group, email, other = group_of(topic), address(), address()
	agree(email, topic)
	agree(other, topic)
	lose(email, topic)
	assert members(group) == {email: False, other: True}


def test_no_group_of_another_topic_is_touched(topic, group_of, address):
	other = frappe.new_doc(
		"Subscription Topic", title=f"Topic {frappe.generate_hash(length=8)}", purpose="Email Marketing"
	).insert()
	group, other_group = group_of(topic), group_of(other.name)
	email = address()
	agree(email, topic)
	give(email, other.name)
	api.withdraw_consent(email=email, topic=topic)
	assert (members(group), members(other_group)) == ({email: False}, {email: True})


def test_ad_06_a_member_is_found_in_another_spelling_and_no_other_mailbox_is(topic, group_of, address):
	group, email = group_of(topic), address("muller.{}@people.example")
	neighbour = email.replace("muller", "müller")
	add_by_hand(group, email.upper())
	agree(email, topic)
	api.object_to_marketing(email=neighbour)
	assert list(members(group).values()) == [True]
	api.withdraw_consent(email=email)
	assert list(members(group).values()) == [False]


def test_a_member_added_by_hand_stays(topic, group_of, address):
	group, email = group_of(topic), address()
	add_by_hand(group, email)
	give(email)
	register.request(email=email, topics=[topic], by_the_person=True)
	assert members(group) == {email: True}


# --- nobody's no is made up or lost -------------------------------------------------------------------------


def opted_out_members() -> list[str | None]:
	"""List the members whom the hourly job will take for people who said no."""
	return [opt_out.email for opt_out in legacy._members("", 1_000_000)]


def test_switching_a_member_off_is_not_taken_for_the_persons_no(topic, group_of, address):
	group, email = group_of(topic), address()
	api.revoke_consent(agree(email, topic), "We tidy up")
	assert members(group) == {email: False}
	assert email not in opted_out_members()
	assert refusals_of(email) == []

	give(email, topic)
	assert members(group) == {email: True}


def test_a_member_who_leaves_the_group_has_said_no(topic, group_of, address):
	group, email = group_of(topic), address()
	agree(email, topic)
	member = frappe.get_doc(MEMBER, {"email_group": group, "email": email})
	member.unsubscribed = 1
	member.save()
	assert refusals_of(email) == ["Unsubscribe"]
	with pytest.raises(StandingRefusal):
		give(email, topic)


def test_st_08_the_mark_of_the_register_cant_be_set_by_hand(topic, group_of, address):
	group, email = group_of(topic), address()
	member = add_by_hand(group, email, unsubscribed=1, consent_ended=1)
	member.consent_ended = 1
	member.save()
	assert member.consent_ended == 0
	assert refusals_of(email) == ["Unsubscribe"]


def test_a_no_that_isnt_in_the_register_yet_isnt_undone(topic, group_of, address):
	"""ERPNext writes it past the document events; the hourly job finds it."""
	group, email = group_of(topic), address()
	agree(email, topic)
	frappe.db.set_value(MEMBER, {"email_group": group, "email": email}, "unsubscribed", 1)
	give(email, topic, source="Event")
	assert members(group) == {email: False}


def test_a_later_confirmed_yes_makes_a_member_again_whose_next_no_counts(topic, group_of, address, clock):
	group, email = group_of(topic), address()
	agree(email, topic)
	clock.forward(days=1)
	member = frappe.get_doc(MEMBER, {"email_group": group, "email": email})
	member.unsubscribed = 1
	member.save()
	clock.forward(days=1)
	pending = register.request(email=email, topics=[topic], by_the_person=True)
	clock.forward(hours=1)
	register.confirm([row["name"] for row in pending], clock.now)
	assert members(group) == {email: True}

	frappe.db.set_value(MEMBER, {"email_group": group, "email": email}, "unsubscribed", 1)
	assert email in opted_out_members()


# --- by the clock -------------------------------------------------------------------------------------------


def test_reconciling_puts_right_what_was_written_past_the_register(
	committed_topic, group_of, agreed, mailbox, monkeypatch
):
	monkeypatch.setattr(email_groups, "AT_ONCE", 2)
	people = [agreed(committed_topic) for _ in range(5)]
	*_kept, expired, withdrawn = people
	group = group_of(committed_topic)
	by_hand = mailbox()
	add_by_hand(group, by_hand)
	add_by_hand(group, expired)
	add_by_hand(group, withdrawn)
	past = {"topic": committed_topic, "address_key": address_key(expired)}
	frappe.db.set_value("Consent", past, "expires_on", "2020-01-01")
	name = frappe.db.get_value("Consent", past | {"address_key": address_key(withdrawn)})
	frappe.qb.update("Consent").set("status", "Withdrawn").where(frappe.qb.Field("name") == name).run()
	frappe.db.commit()

	email_groups.reconcile(committed_topic)

	off = {expired, withdrawn}
	assert members(group) == {email: email not in off for email in [*people, by_hand]}
	assert frappe.db.get_value("Email Group", group, "total_subscribers") == 6
	assert refusals_of(expired) == []


def test_a_topic_that_gets_a_group_fills_it(committed_topic, group_of, agreed, work_off_jobs):
	email = agreed(committed_topic)
	group = group_of(committed_topic)
	frappe.db.set_value("Subscription Topic", committed_topic, "email_group", None)
	topic = frappe.get_doc("Subscription Topic", committed_topic)
	topic.email_group = group
	topic.save()
	work_off_jobs()
	assert members(group) == {email: True}


def test_a_group_belongs_to_one_topic(topic, group_of):
	second = frappe.new_doc(
		"Subscription Topic", title=f"Topic {frappe.generate_hash(length=8)}", purpose="Email Marketing"
	)
	second.email_group = group_of(topic)
	with pytest.raises(frappe.ValidationError, match="belongs to topic"):
		second.insert()


# --- newsletters --------------------------------------------------------------------------------------------


@pytest.fixture
def letter_about(smtp, newsletters):
	"""Make a Newsletter about a topic, to nobody in particular or to the groups given."""
	made = []

	def make(topic: str | None, *groups: str):
		letter = frappe.new_doc(
			"Newsletter",
			subject=f"News {frappe.generate_hash(length=6)}",
			sender_email="shop@gate.example",
			content_type="Rich Text",
			message="<p>Hello</p>",
			subscription_topic=topic,
		)
		for group in groups:
			letter.append("email_group", {"email_group": group})
		letter.insert()
		frappe.db.commit()
		made.append(letter.name)
		return letter

	yield make
	frappe.db.rollback()
	frappe.set_user("Administrator")
	for name in made:
		frappe.delete_doc("Newsletter", name, force=True)
		frappe.db.delete("Consent Decision", {"reference_name": name})
	frappe.db.commit()


def test_a_newsletter_without_a_group_goes_to_everybody_who_agreed_to_its_topic(
	letter_about, committed_topic, agreed, smtp, work_off_jobs, monkeypatch
):
	monkeypatch.setattr(audience, "AT_ONCE", 2)
	people = [agreed(committed_topic) for _ in range(5)]
	no_more = agreed(committed_topic)
	api.withdraw_consent(email=no_more)
	agreed()
	letter = letter_about(committed_topic)
	assert {row["email"]: row["reason"] for row in letter.explain_audience()["rows"]} == dict.fromkeys(
		people, "VALID_CONSENT"
	)

	letter.send_emails()
	work_off_jobs()

	assert smtp.reached() == sorted(people)
	assert letter.total_recipients == 5


def test_a_topic_narrows_the_groups_of_a_newsletter_that_has_some(
	letter_about, committed_topic, agreed, group_of
):
	group = group_of(committed_topic)
	elsewhere = frappe.new_doc("Email Group", title=f"Group {frappe.generate_hash(length=8)}").insert()
	subscribed, general = agreed(committed_topic), agreed()
	add_by_hand(elsewhere.name, subscribed)
	add_by_hand(elsewhere.name, general)
	agreed(committed_topic)
	assert len(members(group)) == 2
	assert letter_about(committed_topic, elsewhere.name).get_recipients() == [subscribed]


def test_a_newsletter_needs_a_topic_or_a_group(letter_about, committed_topic, agreed):
	with pytest.raises(frappe.MandatoryError, match="Email Group"):
		letter_about(None)


def test_the_address_of_a_topics_subscriber_is_the_one_they_gave_last(
	letter_about, committed_topic, mailbox, clock
):
	email = mailbox("jo.{}@gate.example")
	agree(email, committed_topic)
	clock.forward(days=1)
	spelled = email.replace("jo", "Jo")
	give(spelled, committed_topic, source="Event")
	assert letter_about(committed_topic).get_recipients() == [spelled]


# --- before and after sending -------------------------------------------------------------------------------


@pytest.fixture
def email_campaign(site):
	"""Make an Email Campaign about a topic, to the record given."""

	def make(topic: str | None, recipient_type: str, recipient: str) -> str:
		template = frappe.new_doc("Email Template", subject="Hello", response="Hello")
		template.insert(set_name=f"Template {frappe.generate_hash(length=8)}")
		campaign = frappe.new_doc(
			"Campaign", campaign_name=f"Campaign {frappe.generate_hash(length=8)}", subscription_topic=topic
		)
		campaign.append("campaign_schedules", {"email_template": template.name, "send_after_days": 3})
		campaign.insert()
		mails = frappe.new_doc(
			"Email Campaign",
			campaign_name=campaign.name,
			email_campaign_for=recipient_type,
			recipient=recipient,
			start_date=frappe.utils.today(),
		)
		return mails.insert().name

	return make


def test_an_email_campaign_says_who_gets_it(email_campaign, topic, group_of, address, lead):
	subscribed, by_hand = address(), address()
	group = group_of(topic)
	agree(subscribed, topic)
	add_by_hand(group, by_hand)
	answer = explain_campaign(email_campaign(topic, "Email Group", group))
	assert (answer["purpose"], answer["topic"]) == ("Email Marketing", topic)
	assert {row["email"]: row["reason"] for row in answer["rows"]} == {
		subscribed: "VALID_CONSENT",
		by_hand: "NO_CONSENT",
	}
	(row,) = explain_campaign(email_campaign(None, "Lead", lead(by_hand).name))["rows"]
	assert (row["email"], row["reason"]) == (by_hand, "NO_CONSENT")


def test_who_gets_a_campaign_is_for_those_who_may_read_it(email_campaign, lead, address, user_with_roles):
	campaign = email_campaign(None, "Lead", lead(address()).name)
	user_with_roles("Consent User")
	with pytest.raises(frappe.PermissionError):
		explain_campaign(campaign)


def test_em_09_a_newsletter_says_who_got_it_and_on_which_consent(
	letter_about, committed_topic, agreed, mailbox, group_of, smtp, work_off_jobs
):
	group = group_of(committed_topic)
	got_it, late_no = agreed(committed_topic), agreed(committed_topic)
	left_out = mailbox()
	add_by_hand(group, left_out)
	letter = letter_about(committed_topic, group)
	letter.send_emails()
	api.withdraw_consent(email=late_no, topic=committed_topic)
	work_off_jobs()

	rows = {row["email"]: row for row in letter.explain_delivery()["rows"]}

	assert {email: (row["allowed"], row["reason"], row["mail_status"]) for email, row in rows.items()} == {
		got_it: (1, "VALID_CONSENT", "Sent"),
		late_no: (0, "WITHDRAWN", "Blocked"),
		left_out: (0, "NO_CONSENT", None),
	}
	stood_on = frappe.db.get_value("Consent", rows[got_it]["consent"], ["email", "topic"])
	assert stood_on == (got_it, committed_topic)


def test_who_got_it_is_known_after_the_queue_was_emptied(
	letter_about, committed_topic, agreed, smtp, work_off_jobs
):
	email = agreed(committed_topic)
	letter = letter_about(committed_topic)
	letter.send_emails()
	work_off_jobs()
	for queued in frappe.get_all("Email Queue", {"reference_name": letter.name}, pluck="name"):
		frappe.db.delete("Email Queue Recipient", {"parent": queued})
		frappe.db.delete("Email Queue", {"name": queued})
	frappe.db.commit()
	assert [row["email"] for row in letter.explain_delivery()["rows"]] == [email]


def test_a_person_can_be_told_which_mails_they_got_and_why(
	letter_about, committed_topic, agreed, smtp, work_off_jobs, user_with_roles
):
	email = agreed(committed_topic)
	letters = [letter_about(committed_topic) for _ in range(2)]
	for letter in letters:
		letter.send_emails()
		work_off_jobs()
		give(email, committed_topic, source="Event", given_on=writing.now_utc())

	rows = api.mail_decisions(email=email.upper())

	assert [(row["title"], row["allowed"], row["reason"]) for row in rows] == [
		(letter.subject, 1, "VALID_CONSENT") for letter in reversed(letters)
	]
	assert rows[0]["consent"] != rows[1]["consent"]
	user_with_roles("Consent User")
	assert [row["title"] for row in api.mail_decisions(email=email)] == [None, None]
