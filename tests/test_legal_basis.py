import pytest
from conftest import give

import frappe

from gdpr_consent.exceptions import LegalBasisNotAllowed
from gdpr_consent.install import create_missing_seeds
from gdpr_consent.policy import MarketingGround
from gdpr_consent.seeds import LEGAL_BASES


def test_every_seed_is_on_the_site_after_installation():
	assert {seed["title"] for seed in LEGAL_BASES} <= set(frappe.get_all("Legal Basis", pluck="name"))


def test_lb_02_only_consent_and_an_existing_customer_open_the_email_channel():
	opening = frappe.get_all("Legal Basis", {"marketing": ["!=", MarketingGround.NEVER.value]}, pluck="name")
	assert set(opening) == {"Consent", "Existing Customer"}


def test_migrate_restores_a_missing_seed_and_leaves_an_edited_one():
	frappe.db.set_value("Legal Basis", "Contract", "description", "Our own words")
	frappe.delete_doc("Legal Basis", "Public Task")

	create_missing_seeds()

	assert frappe.db.get_value("Legal Basis", "Contract", "description") == "Our own words"
	assert frappe.db.exists("Legal Basis", "Public Task")


def test_migrate_takes_a_seed_in_another_letter_case_for_present():
	frappe.delete_doc("Legal Basis", "Vital Interests")
	frappe.new_doc("Legal Basis", title="VITAL INTERESTS", article="GDPR 6(1)(d)").insert()

	create_missing_seeds()

	assert frappe.get_all("Legal Basis", {"title": "Vital Interests"}, pluck="name") == ["VITAL INTERESTS"]


@pytest.mark.parametrize(
	("field", "value"),
	[("marketing", "Existing Customer"), ("article", "none"), ("dpv_term", "eu-gdpr:A6-1-a")],
)
def test_lb_04_what_records_rest_on_means_what_it_meant(address, field, value):
	basis = frappe.copy_doc(frappe.get_doc("Legal Basis", "Contract"))
	basis.title = f"Basis {frappe.generate_hash(length=8)}"
	basis.insert()
	purpose = frappe.get_doc("Processing Purpose", "Customer Service")
	purpose.append("allowed_legal_bases", {"legal_basis": basis.name})
	purpose.save()
	basis.update({field: value}).save()  # nobody relies on it
	basis.update({field: frappe.db.get_value("Legal Basis", "Contract", field)}).save()
	give(address(), purpose=purpose.name, legal_basis=basis.name)
	with pytest.raises(LegalBasisNotAllowed, match=basis.name):
		basis.update({field: value}).save()
	basis.reload()
	basis.update({"description": "In other words"}).save()


def test_lb_11_who_agreed_to_one_company_has_agreed_to_no_other(address):
	purpose = frappe.get_doc("Processing Purpose", "Email Marketing")
	purpose.update({"company": None}).db_update()
	give(address())
	other = frappe.new_doc("Company", company_name="Other B", abbr="OB", default_currency="EUR")
	other.db_insert()
	purpose.reload()
	purpose.update({"description": "News"}).save()
	with pytest.raises(LegalBasisNotAllowed, match="Company"):
		purpose.update({"company": other.name}).save()
	purpose.reload()
	purpose.update({"company": frappe.db.get_default("company")}).save()


def test_an_unknown_marketing_ground_is_refused_and_nothing_is_stored():
	basis = frappe.new_doc("Legal Basis", title="Sponsorship", article="none", marketing="Always")
	with pytest.raises(frappe.ValidationError, match="Always"):
		basis.insert()
	assert not frappe.db.exists("Legal Basis", "Sponsorship")


@pytest.mark.parametrize(
	("role", "may_read", "may_write"),
	[
		("Privacy Officer", True, True),
		("System Manager", True, True),
		("Consent User", True, False),
		("Sales User", False, False),
	],
)
def test_fp_05_who_may_read_and_change_a_legal_basis(user_with_roles, role, may_read, may_write):
	user_with_roles(role)
	assert frappe.has_permission("Legal Basis", "read") is may_read
	basis = frappe.get_doc("Legal Basis", "Contract")
	basis.description = f"Changed by {role}"
	if may_write:
		basis.save()
	else:
		with pytest.raises(frappe.PermissionError):
			basis.save()
