"""The people that script/server shows; their Newsletter itself is sent by `script/server --demo`."""

import pytest

import frappe

from gdpr_consent import api, demo


@pytest.fixture
def site_of_the_demo(site) -> None:
	demo._create_missing_topics()
	demo._create_missing("Email Group", demo.GROUP, title=demo.GROUP)
	for country in demo.LANGUAGES:
		demo._create_missing("Territory", country, territory_name=country, parent_territory="All Territories")


@pytest.mark.usefixtures("site_of_the_demo")
@pytest.mark.parametrize("person", demo.PEOPLE, ids=lambda person: person.story)
def test_each_story_of_the_demo_can_be_told(person):
	party = demo._create_record(person)
	member = {"email_group": demo.GROUP, "email": person.in_group_as or person.email}
	frappe.get_doc(doctype="Email Group Member", **member).insert()
	demo.STORIES[person.story](person, party)


@pytest.mark.usefixtures("site_of_the_demo")
def test_who_signs_up_again_is_left_as_she_is():
	person = next(one for one in demo.PEOPLE if one.story == demo.CHANGES_HER_MIND)
	demo._signs_up(person)
	given = frappe.get_all("Consent", {"email": person.email, "status": "Given"}, pluck="name")
	demo._signs_up(person)
	assert frappe.get_all("Consent", {"email": person.email, "status": "Given"}, pluck="name") == given
	assert api.has_consent(person.email, topic=demo.TOPIC)
