"""What the forms and lists of the desk rest on. That they are usable, only eyes can tell."""

import re
from pathlib import Path

import pytest
from conftest import PROOF, give

import frappe

from gdpr_consent import api, policy
from gdpr_consent.exceptions import InvalidEmailAddress, RegisterIsAppendOnly
from gdpr_consent.gate import self_check
from gdpr_consent.words import reason_in_words

WORDS = Path(__file__).parents[1] / "gdpr_consent" / "public" / "js" / "words.js"


@pytest.mark.parametrize(
	("table", "constants"),
	[
		("reasons = () => ({", policy.Reason),
		("STATUS_COLOURS = {", policy.Status),
		("kinds = () => ({", policy.EventKind),
		("refusals = () => ({", policy.RefusalKind),
	],
)
def test_the_desk_has_words_for_every_constant(table, constants):
	body = WORDS.read_text().split(table)[1].split("\n}")[0]
	keys = re.findall(r'^\t"?([A-Z][A-Za-z_ ]*)"?:', body, re.MULTILINE)
	assert keys == [constant.value for constant in constants]


def test_the_server_calls_a_reason_what_the_desk_calls_it():
	for reason in policy.Reason:
		label = re.search(rf'{reason.value}: \[\s*__\("([^"]+)"\)', WORDS.read_text())[1]
		assert reason_in_words(reason) == label


@pytest.fixture
def as_user_with(user_with_roles):
	def become(*roles: str) -> None:
		frappe.set_user("Administrator")  # only they may make the next one
		user_with_roles(*roles)

	return become


@pytest.fixture
def contact():
	"""Make a Contact with two addresses."""
	unique = frappe.generate_hash(length=8)
	doc = frappe.new_doc("Contact", first_name=unique)
	for place in ("work", "home"):
		doc.append(
			"email_ids", {"email_id": f"{place}.{unique}@gdpr-test.example", "is_primary": place == "work"}
		)
	return doc.insert()


def test_a_party_is_answered_for_with_each_address(contact):
	work, home = (row.email_id for row in contact.email_ids)
	api.record_consent(email=home, **PROOF)
	answers = api.check_party("Contact", contact.name)
	assert {email: answer["reason"] for email, answer in answers.items()} == {
		work: "NO_CONSENT",
		home: "VALID_CONSENT",
	}


def test_a_party_is_answered_for_to_those_who_may_see_it(contact, user_with_roles):
	user_with_roles("Newsletter Manager")
	with pytest.raises(frappe.PermissionError):
		api.check_party("Contact", contact.name)


def test_an_error_reaches_the_screen():
	with pytest.raises(InvalidEmailAddress) as error:
		api.record_consent(email="no address", source="Phone", evidence="She said so.")
	assert frappe.message_log.pop()["message"] == str(error.value)


def test_who_may_read_a_consent_may_open_its_document(contact, as_user_with):
	as_user_with("Consent User", "Sales User")
	file = frappe.get_doc(doctype="File", file_name="card.txt", content="yes", is_private=1).insert()
	evidence = {"source": "Event", "evidence": file.file_url}
	api.record_consent(party_type="Contact", party=contact.name, **evidence)
	as_user_with("Privacy Officer")
	assert frappe.get_doc("File", file.name).has_permission("read")
	as_user_with("Sales User")
	assert not frappe.get_doc("File", file.name).has_permission("read")


def test_the_gate_is_checked_on_demand_by_those_it_would_alert(as_user_with):
	as_user_with("Privacy Officer")
	assert self_check.check_now() == []
	as_user_with("Consent User")
	with pytest.raises(frappe.PermissionError):
		self_check.check_now()


def test_the_no_of_one_person_at_a_customer_isnt_that_of_the_others(mailbox):
	customer = frappe.new_doc("Customer", customer_name=frappe.generate_hash(length=10)).insert()
	one, other = mailbox(), mailbox()
	for email in (one, other):
		frappe.get_doc(
			doctype="Contact",
			first_name=email,
			email_ids=[{"email_id": email, "is_primary": 1}],
			links=[{"link_doctype": "Customer", "link_name": customer.name}],
		).insert()
		give(email)

	api.withdraw_consent(email=one, party_type="Customer", party=customer.name)

	answers = api.check_party("Customer", customer.name)
	assert {email: answer["allowed"] for email, answer in answers.items()} == {one: False, other: True}


def test_a_proof_cant_be_deleted_while_a_consent_names_it(mailbox):
	"""Art. 7(1): who relies on a consent must be able to show it."""
	file = frappe.get_doc(doctype="File", file_name="form.txt", content="I agree", is_private=1).insert()
	give(mailbox(), evidence=file.file_url)
	with pytest.raises(RegisterIsAppendOnly, match=r"form.*\.txt"):
		file.delete()


def test_nobody_names_a_file_as_proof_that_they_may_not_read(mailbox, user_with_roles):
	file = frappe.get_doc(doctype="File", file_name="other.txt", content="Mine", is_private=1).insert()
	user_with_roles("Consent User")
	with pytest.raises(frappe.PermissionError, match="evidence"):
		give(mailbox(), evidence=file.file_url)


def test_no_address_is_asked_for_in_a_url():
	"""A URL ends in the log of every server on the way."""
	for name in ("check_consent", "has_consent", "require_consent", "consent_history", "mail_decisions"):
		assert frappe.allowed_http_methods_for_whitelisted_func[getattr(api, name)] == ["POST"]
