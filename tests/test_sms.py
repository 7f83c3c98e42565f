"""Text messages (EM-23): consent bound to the number, and who gets one, at a real HTTP gateway."""

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import PROOF, give

import frappe
from frappe.core.doctype.sms_settings import sms_settings

from gdpr_consent import api, audience, identity
from gdpr_consent.exceptions import InvalidPhoneNumber, WrongChannel
from gdpr_consent.gate import sms

MARKETING = "Email Marketing"


def reason(number: str, **more) -> str:
	return api.check_consent([number], **{"channel": "SMS"} | more)[number]["reason"]


class Gateway:
	def __init__(self) -> None:
		self.numbers: list[str] = []
		gateway = self

		class Handler(BaseHTTPRequestHandler):
			def do_GET(self) -> None:
				gateway.numbers += parse_qs(urlsplit(self.path).query)["to"]
				self.send_response(200)
				self.end_headers()

			def log_message(self, *_args) -> None:
				pass

		self.server = HTTPServer(("127.0.0.1", 0), Handler)
		Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def gateway(site) -> Iterator[Gateway]:
	gateway = Gateway()
	port = gateway.server.server_address[1]
	settings = frappe.get_doc("SMS Settings")
	settings.update(
		{
			"sms_gateway_url": f"http://127.0.0.1:{port}/send",
			"message_parameter": "text",
			"receiver_parameter": "to",
		}
	)
	settings.save()
	yield gateway
	gateway.server.shutdown()


@pytest.fixture
def country():
	frappe.db.set_single_value("System Settings", "country", "Poland")


@pytest.mark.parametrize(
	"spelling", ["+48 600 100 200", "600 100 200", "600-100-200", " (600) 100 200 ", "0048 600.100.200"]
)
def test_ad_09_a_number_is_compared_in_e_164(country, spelling):
	assert identity.normalise(spelling) == "+48600100200"
	assert identity.address_key(spelling) == identity.address_key("+48600100200")


@pytest.mark.parametrize("number", ["12345", "+48 12", "+999 600 100 200", "000000000"])
def test_ad_09_what_no_country_has_isnt_a_number(country, number):
	with pytest.raises(InvalidPhoneNumber, match=r"\+48 600 100 200"):
		identity.address_key(number)


def test_em_23_consent_is_bound_to_the_number_and_its_channel(address, phone_number):
	email, number = address(), phone_number()
	give(email)
	assert reason(email) == reason(number) == "NO_CONSENT"
	give(number, channel="SMS")
	assert reason(number.replace(" ", "")) == "VALID_CONSENT"
	assert reason(number, channel="Phone") == "NO_CONSENT"


@pytest.mark.parametrize("channel", ["Email", "SMS", "Phone"])
def test_an_address_that_the_channel_doesnt_reach_is_an_error(address, phone_number, channel):
	wrong = phone_number() if channel == "Email" else address()
	with pytest.raises(WrongChannel) as error:
		give(wrong, channel=channel)
	assert channel in str(error.value) and wrong in str(error.value)
	assert not frappe.db.exists("Consent", {"address_key": identity.address_key(wrong)})


def test_the_number_of_the_party_is_taken_if_none_is_given(address, phone_number, contact):
	number = phone_number()
	person = contact(address(), phone_nos=[{"phone": number, "is_primary_mobile_no": 1}])
	made = api.record_consent(party_type="Contact", party=person.name, channel="SMS", **PROOF)
	assert made["email"] == number
	assert list(api.check_party("Contact", person.name, channel="SMS")) == [number]
	assert number not in api.check_party("Contact", person.name)


def test_a_no_said_by_mail_holds_for_the_numbers_of_the_person(address, phone_number, contact, lead):
	for make, numbers in ((contact, "phone_nos"), (lead, "mobile_no")):
		email, number, later = address(), phone_number(), phone_number()
		give(number, channel="SMS")
		give(later, channel="SMS")
		person = make(email, **{numbers: [{"phone": number}] if numbers == "phone_nos" else number})
		api.object_to_marketing(email=email)
		assert (reason(number), reason(later)) == ("OBJECTED", "VALID_CONSENT")
		person.reload()
		if numbers == "phone_nos":
			person.append("phone_nos", {"phone": later})
		else:
			person.phone = later
		person.save()
		assert reason(later) == "OBJECTED"


def test_ad_10_those_who_share_a_telephone_are_not_one_person(address, phone_number, contact):
	mine, hers, switchboard = address(), address(), phone_number()
	contact(mine, phone_nos=[{"phone": switchboard}])
	give(hers)
	api.object_to_marketing(email=mine)
	contact(hers, phone_nos=[{"phone": switchboard}])
	assert reason(switchboard) == "OBJECTED"
	assert reason(hers, channel="Email") == "VALID_CONSENT"


def test_who_has_a_number_is_found_however_it_is_written(country, phone_number, contact, lead):
	number = phone_number()
	national = number.removeprefix("+48").strip().replace(" ", "-")
	people = {("Contact", contact(phone_nos=[{"phone": national}]).name), ("Lead", lead(phone=national).name)}
	stranger = contact(phone_nos=[{"phone": phone_number()}])
	found = set(identity.people_at([number])[number])
	assert people <= found and ("Contact", stranger.name) not in found


def make_user(number: str, *roles: str) -> None:
	names = {"email": f"{frappe.generate_hash(length=10)}@sms.example", "first_name": "Col"}
	user = frappe.new_doc("User", **names, mobile_no=number, send_welcome_email=0)
	user.append_roles(*roles)
	user.insert()


def test_st_05_em_23_no_account_makes_a_customer_a_colleague_and_a_colleagues_no_stands(
	phone_number, gateway
):
	customer, objector = phone_number(), phone_number()
	make_user(customer)  # of the website alone
	make_user(objector, "Sales User")
	api.object_to_marketing(email=objector)
	center = frappe.get_doc("SMS Center")
	center.update({"message": "Sale", "receiver_list": f"A - {customer}\nB - {objector}\n"})

	center.send_sms()

	assert gateway.numbers == []
	answers = {
		row.address_key: row.reason
		for row in frappe.get_all("Consent Decision", {"channel": "SMS"}, ["address_key", "reason"])
	}
	keys = identity.address_keys([customer, objector])
	assert (answers[keys[customer]], answers[keys[objector]]) == ("NO_CONSENT", "OBJECTED")


def test_em_23_sms_center_writes_to_who_agreed_and_to_colleagues(phone_number, gateway):
	agreed, never_asked, colleague = phone_number(), phone_number(), phone_number()
	give(agreed, channel="SMS")
	make_user(colleague, "Sales User")
	center = frappe.get_doc("SMS Center")
	center.update({"message": "Sale", "receiver_list": f"A - {agreed}\nB - {never_asked}\nC - {colleague}\n"})

	center.send_sms()

	assert {identity.normalise(number) for number in gateway.numbers} == {
		identity.normalise(number) for number in (agreed, colleague)
	}
	keys = identity.address_keys([agreed, never_asked, colleague])
	logged = frappe.get_all(
		"Consent Decision",
		{"address_key": ["in", list(keys.values())], "channel": "SMS"},
		["address_key", "allowed", "reason"],
	)
	assert {row.address_key: (row.allowed, row.reason) for row in logged} == {
		keys[agreed]: (1, "VALID_CONSENT"),
		keys[never_asked]: (0, "NO_CONSENT"),
		keys[colleague]: (1, "NOT_MARKETING"),
	}


def test_em_23_a_notification_by_sms_asks_for_its_purpose(phone_number, gateway, lead):
	agreed, never_asked = phone_number(), phone_number()
	give(agreed, channel="SMS")
	for purpose in (MARKETING, None):
		notification = frappe.new_doc(
			"Notification",
			__newname=f"SMS {frappe.generate_hash(length=8)}",
			subject="Hello",
			message="Hello",
			event="New",
			document_type="Lead",
			channel="SMS",
			enabled=0,
			consent_purpose=purpose,
			recipients=[{"receiver_by_document_field": "mobile_no"}],
		).insert()
		for number in (agreed, never_asked):
			document = lead(mobile_no=number)
			notification.send_sms(document, {"doc": document})
	# With the purpose only to who agreed; without one it is service, to both.
	sent = [identity.normalise(number) for number in gateway.numbers]
	assert sent == [identity.normalise(number) for number in (agreed, agreed, never_asked)]


@pytest.mark.parametrize(
	("setting", "said", "reached"),
	[
		("Send", {}, True),
		("Treat as Marketing", {}, False),
		("Send", {"purpose": MARKETING}, False),
		("Treat as Marketing", {"purpose": "Customer Service"}, True),
	],
)
def test_em_23_the_desks_dialog_follows_what_it_says_or_the_setting(
	phone_number, gateway, setting, said, reached
):
	frappe.db.set_single_value("Consent Settings", "unclassified_mail", setting)
	method = "frappe.core.doctype.sms_settings.sms_settings.send_sms"
	(ours,) = frappe.get_hooks("override_whitelisted_methods")[method]
	frappe.get_attr(ours)(frappe.as_json([phone_number()]), "Hello", **said)
	assert bool(gateway.numbers) is reached


def test_em_23_no_module_that_imports_cores_function_is_a_way_past_ours():
	for module in ("frappe.email.doctype.notification", "erpnext.selling.doctype.sms_center"):
		frappe.get_module(f"{module}.{module.rpartition('.')[2]}")
	names = [
		f"{name}.send_sms"
		for name, module in list(sys.modules.items())
		if not name.startswith("gdpr_consent") and getattr(module, "send_sms", None) is sms_settings.send_sms
	]
	assert len(names) >= 3
	doors = frappe.get_hooks("override_whitelisted_methods")
	assert [name for name in names if doors.get(name) != [f"{sms.__name__}.send_sms"]] == []


@pytest.mark.parametrize("as_sent", [lambda number: number, lambda number: frappe.as_json([number])])
def test_one_number_may_be_given_as_it_is(phone_number, gateway, as_sent):
	number = phone_number()
	sms.send_sms(as_sent(number), "Hello")
	assert [identity.normalise(one) for one in gateway.numbers] == [identity.normalise(number)]


def test_em_07_nothing_is_sent_if_the_register_cant_be_read(phone_number, gateway, monkeypatch):
	number = phone_number()
	give(number, channel="SMS")

	def fails(*_args, **_kwargs):
		raise frappe.db.OperationalError("The database is away.")

	monkeypatch.setattr(audience, "decide_many", fails)
	center = frappe.get_doc("SMS Center")
	center.update({"message": "Sale", "receiver_list": f"A - {number}"})
	with pytest.raises(frappe.db.OperationalError):
		center.send_sms()
	assert gateway.numbers == []
