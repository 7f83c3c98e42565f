"""Consent Bulk Update: what its preview says, what its run does, and what can be taken back (BU-01 to BU-08)."""

import json

import pytest

import frappe

from gdpr_consent import api as register_api
from gdpr_consent import register
from gdpr_consent.bulk_update import api, job
from gdpr_consent.bulk_update.api import NotApproved, NotNow
from gdpr_consent.exceptions import RegisterIsAppendOnly


@pytest.fixture
def people(mailbox):
	pass


def bulk_update(*rules, reason="For a test", **more):
	doc = frappe.new_doc("Consent Bulk Update", title="Test", reason=reason, **more)
	for rule in rules:
		doc.append("rules", {"purpose": "Sales", "target_doctype": "Contact", **rule})
	return doc.insert()


def test_slice(contact, mailbox):
	email = mailbox()
	name = contact(email).name
	doc = bulk_update({"filters": json.dumps([["Contact", "name", "=", name]]), "action": "Set", "legal_basis": "Legitimate Interests"})
	frappe.db.commit()
	print(api.preview(doc.name))
	job.work(doc.name)
	print(api.status(doc.name))
	print(frappe.get_all("Consent Bulk Update Item", {"bulk_update": doc.name}, ["*"]))
	api.run(doc.name)
	job.work(doc.name)
	print(api.status(doc.name))
	print(frappe.get_all("Consent Bulk Update Item", {"bulk_update": doc.name}, ["*"]))
	print(register_api.consent_history(email=email))
	api.revert(doc.name, "wrong")
	job.work(doc.name)
	print(api.status(doc.name))
	print(frappe.get_all("Consent Bulk Update Item", {"bulk_update": doc.name}, ["*"]))
	print(register_api.consent_history(email=email))
	assert 0
