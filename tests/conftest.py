"""The site that the tests run on. It is a real one: script/test makes it and names it in the environment."""

import os

import pytest

import frappe


@pytest.fixture(scope="session", autouse=True)
def site():
	os.chdir(os.environ["SITES_PATH"])  # where Frappe looks for logs and files
	frappe.init(site=os.environ["FRAPPE_SITE"], sites_path=".")
	frappe.connect()
	frappe.clear_cache()
	yield frappe.local.site
	frappe.destroy()


@pytest.fixture(autouse=True)
def rolled_back(site):
	frappe.set_user("Administrator")
	yield
	frappe.set_user("Administrator")
	frappe.db.rollback()


@pytest.fixture
def user_with_roles():
	"""Make a desk user with the roles given, and become that user."""

	def become(*roles: str) -> str:
		email = f"{frappe.generate_hash(length=10)}@gdpr-test.example"
		user = frappe.new_doc("User", email=email, first_name="Test", send_welcome_email=0)
		user.append_roles(*roles)
		user.insert()
		frappe.set_user(email)
		return email

	return become
