"""What Frappe reads from the app by name: a wrong name fails only on somebody's site, long after."""

from importlib import import_module
from pathlib import Path

import pytest

import frappe

from gdpr_consent import hooks, policy, register


def dotted_paths(value: object) -> list[str]:
	if isinstance(value, str):
		return [value] if value.startswith("gdpr_consent.") else []
	if isinstance(value, dict):
		return dotted_paths([*value.keys(), *value.values()])
	if isinstance(value, list | tuple):
		return [path for item in value for path in dotted_paths(item)]
	return []


HOOKS = {name: value for name, value in vars(hooks).items() if not name.startswith("_")}


@pytest.mark.parametrize("path", dotted_paths(HOOKS))
def test_every_dotted_path_in_hooks_can_be_called(path):
	assert callable(frappe.get_attr(path))


def test_every_patch_can_be_imported():
	patches = Path(frappe.get_app_path("gdpr_consent", "patches.txt")).read_text().splitlines()
	for patch in patches:
		if patch.startswith("gdpr_consent."):
			assert callable(import_module(patch.split()[0]).execute)


OPTIONS = [
	("Legal Basis", "marketing", policy.MarketingGround),
	("Consent", "status", policy.Status),
	("Consent", "channel", policy.Channel),
	("Consent Event", "kind", policy.EventKind),
	("Suppression", "kind", policy.RefusalKind),
	("Suppression", "channel", policy.Channel),
	("Consent Decision", "reason", policy.Reason),
	("Consent Decision", "channel", policy.Channel),
]


@pytest.mark.parametrize(("doctype", "field", "constants"), OPTIONS)
def test_the_options_of_a_select_are_the_constants_of_the_policy(doctype, field, constants):
	options = frappe.get_meta(doctype).get_field(field).options.split("\n")
	assert [option for option in options if option] == [constant.value for constant in constants]


def test_who_can_indicate_an_event_is_what_the_register_writes():
	options = frappe.get_meta("Consent Event").get_field("indicated_by").options.split("\n")
	assert options == [register.DATA_SUBJECT, register.GUARDIAN, register.CONTROLLER, register.SYSTEM]
