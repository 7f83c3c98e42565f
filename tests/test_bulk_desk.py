"""What the forms and lists of Consent Bulk Update rest on. How they are used is in test_bulk_browser.py."""

import re
from pathlib import Path

import pytest

import frappe
from frappe.desk.form.meta import FormMeta

from gdpr_consent import hooks
from gdpr_consent.bulk_update import api

APP = Path(__file__).parents[1] / "gdpr_consent"
WORDS = (APP / "public" / "js" / "bulk_update_words.js").read_text()


@pytest.mark.parametrize(
	("table", "doctype", "field"),
	[
		("STATUS_COLOURS", "Consent Bulk Update", "status"),
		("PLAN_COLOURS", "Consent Bulk Update Item", "plan"),
		("RESULT_COLOURS", "Consent Bulk Update Item", "result"),
	],
)
def test_the_desk_has_a_colour_for_every_option(table, doctype, field):
	body = re.search(rf"{table} = {{(.*?)}}", WORDS, re.DOTALL)[1]
	keys = re.findall(r'"?([A-Z][A-Za-z ]*)"?:', body)
	options = frappe.get_meta(doctype).get_field(field).options.split("\n")
	assert keys == [option for option in options if option]


@pytest.mark.parametrize("doctype", hooks.doctype_list_js)
def test_the_lists_of_people_keep_their_own_settings(doctype):
	"""Frappe runs the DocType's own script first; ours only adds to what that set."""
	code = FormMeta(doctype).as_dict()["__list_js"]
	assert not re.search(r"listview_settings\[.*\] = ", code[code.index("gdpr_consent.") :])


def test_bu_05_no_door_is_open_on_get_or_to_guests():
	doors = (api.preview, api.approve, api.run, api.pause, api.resume, api.revert, api.status, api.targets)
	for door in doors:
		assert frappe.allowed_http_methods_for_whitelisted_func[door] == ["POST"]
		assert door not in frappe.guest_methods
