"""Saving without the right keeps what is stored; trying to write is an error. Who sees a value is logged."""

import base64
import json
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest
from conftest import DESK, Web

import frappe
from frappe.model.mapper import get_mapped_doc
from frappe.utils.password import update_password

from gdpr_consent import throttle
from gdpr_consent.exceptions import ConsentError, FieldProtected, RegisterIsAppendOnly, TooManyAttempts
from gdpr_consent.sensitive_data import api, documents

TAX_ID, OTHER = "DE129273398", "PL5213017228"
STAFF = ("Sales User", "Sales Manager", "Sales Master Manager", "Accounts User")
PURPOSE = "Contract Fulfilment"


@pytest.fixture
def taxed(customer) -> str:
	"""Name a Customer that has a tax number."""
	made = customer()
	made.tax_id = TAX_ID
	return made.save().name


def tax_id_of(name: str) -> str | None:
	return frappe.db.get_value("Customer", name, "tax_id")


def log_of(name: str) -> list[dict]:
	named = {"records": ["like", f"%{name}%"]}
	return frappe.get_all("Sensitive Access Log", named, ["*"], order_by="accessed_on")


# --- documents ----------------------------------------------------------------------------------------------


def test_a_save_by_somebody_who_cannot_see_the_field_keeps_it(taxed, user_with_roles):
	"""FP-02, as the desk saves: the field is missing in what the browser sends."""
	user_with_roles(*STAFF)
	doc = frappe.get_doc("Customer", taxed)
	doc.apply_fieldlevel_read_permissions()
	sent = json.loads(doc.as_json())
	assert sent.get("tax_id") is None
	changed = frappe.get_doc(sent | {"customer_details": "Likes tea"})
	changed.save()
	assert tax_id_of(taxed) == TAX_ID
	assert frappe.db.get_value("Customer", taxed, "customer_details") == "Likes tea"


@pytest.mark.parametrize("value", [OTHER, " "])
def test_an_attempt_to_write_is_an_error_that_names_the_field(taxed, user_with_roles, value):
	user_with_roles(*STAFF)
	doc = frappe.get_doc("Customer", taxed)
	doc.tax_id = value
	with pytest.raises(FieldProtected, match="Tax ID"):
		doc.save()
	assert tax_id_of(taxed) == TAX_ID


def test_a_new_record_with_the_field_is_refused_and_without_it_stored(user_with_roles):
	user_with_roles(*STAFF)
	values = {"doctype": "Customer", "customer_name": frappe.generate_hash(length=8)}
	with pytest.raises(FieldProtected, match="Tax ID"):
		frappe.get_doc(values | {"tax_id": OTHER}).insert()
	assert frappe.get_doc(values).insert().name


def test_who_may_see_but_not_write_saves_the_rest(taxed, user_with_roles):
	user_with_roles(*STAFF, "Sensitive Data Viewer")
	doc = frappe.get_doc("Customer", taxed)
	assert doc.tax_id == TAX_ID
	doc.customer_details = "Likes coffee"
	doc.save()
	doc.tax_id = OTHER
	with pytest.raises(FieldProtected):
		doc.save()


def test_an_editor_writes(taxed, user_with_roles):
	user_with_roles(*STAFF, "Sensitive Data Editor")
	doc = frappe.get_doc("Customer", taxed)
	doc.tax_id = OTHER
	doc.save()
	assert tax_id_of(taxed) == OTHER


def test_copies_are_filled_by_the_server_whoever_saves(taxed, user_with_roles):
	"""An invoice needs the tax number, also if who writes it may not see it."""
	user_with_roles(*STAFF)
	for doctype in ("Sales Order", "Sales Invoice", "POS Invoice", "Delivery Note"):
		doc = frappe.new_doc(doctype, customer=taxed)
		documents.validate(doc)
		assert doc.tax_id == TAX_ID, doctype


def test_a_mapped_document_takes_nothing_along_that_its_author_may_not_see(taxed, user_with_roles):
	"""FP-02: into a field of the same name, and into another one."""
	table = {"Customer": {"doctype": "Quotation", "field_map": {"tax_id": "order_lost_reason"}}}
	user_with_roles(*STAFF)
	mapped = get_mapped_doc("Customer", taxed, table)
	assert TAX_ID not in mapped.as_json()
	frappe.set_user("Administrator")
	assert TAX_ID in get_mapped_doc("Customer", taxed, table).as_json()


def test_a_version_tells_that_it_changed_and_not_what_it_was(taxed):
	"""AU-09"""
	doc = frappe.get_doc("Supplier", supplier().name)
	doc.tax_id = OTHER
	doc.supplier_details = "New details"
	doc.save(ignore_version=False)
	(data,) = frappe.get_all("Version", {"ref_doctype": "Supplier", "docname": doc.name}, pluck="data")
	changed = {name: (old, new) for name, old, new in json.loads(data)["changed"]}
	assert changed["tax_id"] == ("•••", "•••")
	assert changed["supplier_details"][1] == "New details"
	assert TAX_ID not in data
	assert OTHER not in data


def supplier():
	name = frappe.generate_hash(length=8)
	return frappe.new_doc("Supplier", supplier_name=name, tax_id=TAX_ID).insert()


# --- special categories -------------------------------------------------------------------------------------


def test_a_special_category_is_filled_only_once_there_is_a_ground_for_it():
	"""FP-04, also for an Administrator"""
	employee = frappe.new_doc("Employee", first_name="Ada", gender="Female", company=company())
	employee.update(
		{"date_of_birth": "1990-01-01", "date_of_joining": "2020-01-01", "health_details": "Asthma"}
	)
	with pytest.raises(ConsentError, match="special category"):
		employee.insert()
	rule = frappe.get_doc("Sensitive Field", "Employee-health_details")
	rule.article_9_condition = "9(2)(b) Employment and social security law"
	rule.save()
	assert employee.insert().health_details == "Asthma"
	rule.article_9_condition = ""
	rule.save()
	employee.last_name = "Lovelace"
	employee.save()  # what is there may stay
	employee.health_details = "Asthma, worse"
	with pytest.raises(ConsentError, match="Health Details"):
		employee.save()


def company() -> str:
	return frappe.get_all("Company", pluck="name", limit=1)[0]


# --- over HTTP ----------------------------------------------------------------------------------------------


class Session:
	"""A logged-in user, over HTTP."""

	def __init__(self, web: Web, user: str) -> None:
		self.web, self.cookies = web, web.login(user)
		page = web.call("GET", DESK, cookies=self.cookies).text
		self.token = page.split('csrf_token = "')[1].split('"')[0]

	def call(self, method: str, path: str, **more):
		headers = {"X-Frappe-CSRF-Token": self.token, "Accept": "application/json"} | more.pop("headers", {})
		return self.web.call(method, path, cookies=self.cookies, headers=headers, **more)


@pytest.fixture
def staff(site: str, web: Web) -> Iterator[Callable[..., Session]]:
	"""Log in a new user with the roles given; all is committed, and removed afterwards."""
	made = []

	def log_in(*roles: str) -> Session:
		email = f"{frappe.generate_hash(length=10)}@gdpr-test.example"
		user = frappe.new_doc("User", email=email, first_name="Test", send_welcome_email=0)
		user.append_roles(*roles)
		user.insert()
		update_password(email, "admin")
		frappe.db.commit()
		made.append(email)
		return Session(web, email)

	yield log_in
	frappe.db.rollback()
	for email in made:
		frappe.db.delete("Sensitive Access Log", {"user": email})
		frappe.delete_doc("User", email, force=True)
	frappe.db.commit()


@pytest.fixture
def committed_customer(taxed: str) -> Iterator[str]:
	frappe.db.commit()
	yield taxed
	frappe.db.rollback()
	frappe.delete_doc("Customer", taxed, force=True)
	frappe.db.commit()


def writes(name: str) -> dict[str, tuple]:
	stored = {"doctype": "Customer", "name": name}
	rest = json.loads(frappe.get_doc("Customer", name).as_json())
	return {
		"PUT": ("PUT", f"/api/resource/Customer/{name}", {"json": {"tax_id": OTHER}}),
		"PUT of null": ("PUT", f"/api/resource/Customer/{name}", {"json": {"tax_id": None}}),
		"PUT of data": ("PUT", f"/api/resource/Customer/{name}", {"data": {"data": '{"tax_id": ""}'}}),
		"PUT v2": ("PUT", f"/api/v2/document/Customer/{name}", {"json": {"tax_id": OTHER}}),
		"set_value": (
			"POST",
			"/api/method/frappe.client.set_value",
			{"json": stored | {"fieldname": "tax_id", "value": ""}},
		),
		"set_value of many": (
			"POST",
			"/api/method/frappe.client.set_value",
			{"json": stored | {"fieldname": {"tax_id": OTHER}}},
		),
		"client.save": (
			"POST",
			"/api/method/frappe.client.save",
			{"json": {"doc": rest | {"tax_id": OTHER}}},
		),
		"savedocs": (
			"POST",
			"/api/method/frappe.desk.form.save.savedocs",
			{"data": {"doc": json.dumps(rest | {"tax_id": OTHER}), "action": "Save"}},
		),
		"bulk edit": (
			"POST",
			"/api/method/frappe.desk.doctype.bulk_update.bulk_update.submit_cancel_or_update_docs",
			{
				"data": {
					"doctype": "Customer",
					"docnames": json.dumps([name]),
					"action": "update",
					"data": json.dumps({"tax_id": OTHER}),
				}
			},
		),
		"insert": (
			"POST",
			"/api/resource/Customer",
			{"json": {"customer_name": "Refused", "tax_id": OTHER}},
		),
	}


def test_every_door_refuses_to_write_it(committed_customer, staff):
	session = staff(*STAFF)
	for door, (method, path, more) in writes(committed_customer).items():
		answer = session.call(method, path, **more)
		assert answer.status_code == 403, (door, answer.status_code, answer.text)
		assert "Tax ID" in answer.text, door
		assert TAX_ID not in answer.text, door
	frappe.db.rollback()
	assert tax_id_of(committed_customer) == TAX_ID
	assert not frappe.db.exists("Customer", "Refused")


def test_every_door_lets_an_editor_write_it(committed_customer, staff):
	session = staff(*STAFF, "Sensitive Data Editor", "System Manager")
	for door in writes(committed_customer).keys() - {"insert"}:
		frappe.db.set_value("Customer", committed_customer, "tax_id", TAX_ID, update_modified=False)
		frappe.db.commit()
		method, path, more = writes(committed_customer)[door]  # of the record as it is now
		answer = session.call(method, path, **more)
		assert answer.status_code == 200, (door, answer.text)
		frappe.db.rollback()
		assert tax_id_of(committed_customer) != TAX_ID, door


def test_the_rest_of_a_record_is_saved_without_the_right(committed_customer, staff):
	session = staff(*STAFF)
	path = f"/api/resource/Customer/{committed_customer}"
	answer = session.call("PUT", path, json={"customer_details": "Likes tea"})
	assert answer.status_code == 200
	assert answer.json()["data"]["customer_details"] == "Likes tea"
	assert TAX_ID not in answer.text
	frappe.db.rollback()
	assert tax_id_of(committed_customer) == TAX_ID


# --- guesses ------------------------------------------------------------------------------------------------


def guesses(customer: str, value: str) -> dict[str, tuple]:
	"""Requests that bring a value of a protected field along, by name of the door."""
	doc = {"doctype": "Customer", "name": customer, "tax_id": value}
	order = {"customer": customer, "tax_id": value}
	asked_by_name = doc | {"name": {"name": customer, "tax_id": value}, "tax_id": ""}
	method, body = "/api/method/frappe.client.", json.dumps(order)
	return {
		"save": ("POST", f"{method}save", {"json": {"doc": doc}}),
		"save, as text": ("POST", f"{method}save", {"data": {"doc": json.dumps(doc)}}),
		"save, name that asks": ("POST", f"{method}save", {"json": {"doc": asked_by_name}}),
		"savedocs": (
			"POST",
			"/api/method/frappe.desk.form.save.savedocs",
			{"data": {"doc": json.dumps(doc), "action": "Save"}},
		),
		"bulk_update": (
			"POST",
			f"{method}bulk_update",
			{"data": {"docs": json.dumps([doc | {"docname": customer}])}},
		),
		"insert": ("POST", f"{method}insert", {"json": {"doc": order | {"doctype": "Sales Order"}}}),
		"insert_many": (
			"POST",
			f"{method}insert_many",
			{"json": {"docs": [order | {"doctype": "Sales Order"}]}},
		),
		"REST v1": ("POST", "/api/resource/Sales Order", {"json": order}),
		"REST v1, as form": ("POST", "/api/resource/Sales Order", {"data": order}),
		"REST v1, in data": ("POST", "/api/resource/Sales Order", {"json": {"data": order}}),
		"REST v1, as plain text": (
			"POST",
			"/api/resource/Sales Order",
			{"data": body, "headers": {"Content-Type": "text/plain"}},
		),
		"REST v1, PUT as plain text": (
			"PUT",
			f"/api/resource/Customer/{customer}",
			{"data": json.dumps({"tax_id": value}), "headers": {"Content-Type": "text/plain"}},
		),
		"REST v2": ("POST", "/api/v2/document/Sales Order", {"json": order}),
		"REST v1, customer that asks": (
			"POST",
			"/api/resource/Sales Order",
			{"json": order | {"customer": {"name": customer, "tax_id": value}, "tax_id": "0"}},
		),
		"run_doc_method": (
			"POST",
			"/api/method/run_doc_method",
			{"data": {"docs": json.dumps(doc), "method": "load_address_and_contact"}},
		),
		"run_doc_method v2": (
			"POST",
			"/api/v2/method/run_doc_method",
			{"json": {"document": doc, "method": "load_address_and_contact", "kwargs": {}}},
		),
		"set_value, name that asks": (
			"POST",
			f"{method}set_value",
			{
				"json": {
					"doctype": "Customer",
					"name": {"name": customer, "tax_id": value},
					"fieldname": "website",
					"value": "guess.example",
				}
			},
		),
	}


class Anyone:
	"""Somebody without a session of the desk: a guest, a user of the website, or a program."""

	def __init__(self, web: Web, user: str | None = None, headers: dict[str, str] | None = None) -> None:
		self.web, self.cookies, self.headers = web, {}, headers or {}
		if user:
			answer = web.call("POST", "/api/method/login", data={"usr": user, "pwd": "admin"})
			self.cookies = answer.cookies.get_dict()

	def call(self, method: str, path: str, **more):
		headers = {"Accept": "application/json"} | self.headers | more.pop("headers", {})
		return self.web.call(method, path, cookies=self.cookies, headers=headers, **more)


def told(answer) -> tuple:
	said = answer.json()
	messages = [
		json.loads(message)["message"] for message in json.loads(said.get("_server_messages") or "[]")
	]
	errors = [(error["type"], error.get("message")) for error in said.get("errors") or ()]  # in REST v2
	return answer.status_code, said.get("exc_type"), messages, errors


@pytest.mark.parametrize("door", [*guesses("", "")])
def test_fp_03_no_door_tells_whether_a_guess_is_right(committed_customer, website_user, staff, web, door):
	"""Neither who has no right to the DocType, nor who has one without this field, nor one to the field
	only."""
	for session in (Anyone(web), Anyone(web, website_user), staff(*STAFF), staff("Sensitive Data Viewer")):
		answers = []
		for value in (TAX_ID, OTHER):
			method, path, more = guesses(committed_customer, value)[door]
			answer = session.call(method, path, **more)
			assert answer.status_code < 500, (door, answer.text)
			failed = str(answer.json().get("message")).replace(value, "")  # bulk_update goes on
			answers.append((*told(answer), failed))
		assert answers[0] == answers[1], door
	frappe.db.rollback()
	assert tax_id_of(committed_customer) == TAX_ID


@pytest.fixture
def website_user(site: str) -> Iterator[str]:
	email = f"{frappe.generate_hash(length=10)}@gdpr-test.example"
	frappe.new_doc(
		"User", email=email, first_name="Test", send_welcome_email=0, user_type="Website User"
	).insert()
	update_password(email, "admin")
	frappe.db.commit()
	yield email
	frappe.db.rollback()
	frappe.delete_doc("User", email, force=True)
	frappe.db.commit()


def test_fp_03_an_original_that_one_may_not_read_tells_nothing(taxed, customer, user_with_roles):
	"""An amendment may have what its original has, for who may read that."""
	original = frappe.get_doc(
		doctype="Sales Order", name=frappe.generate_hash(length=8), customer=taxed, tax_id=TAX_ID
	)
	original.db_insert()
	mine = customer().name
	user = user_with_roles(*STAFF, "Sensitive Data Viewer")

	def refused(value: str) -> bool:
		amended = frappe.new_doc("Sales Order", customer=mine, amended_from=original.name, tax_id=value)
		try:
			documents.has_permission(amended, "create")
		except FieldProtected:
			return True
		return False

	assert (refused(TAX_ID), refused(OTHER)) == (False, True)
	frappe.set_user("Administrator")
	frappe.permissions.add_user_permission("Customer", mine, user)
	frappe.set_user(user)
	assert (refused(TAX_ID), refused(OTHER)) == (True, True)


def test_a_form_that_sends_the_field_empty_saves_the_rest(committed_customer, staff):
	"""Alike whether there is something in the field or not."""
	session = staff(*STAFF)
	for stored in (TAX_ID, None):
		frappe.db.set_value("Customer", committed_customer, "tax_id", stored)
		frappe.db.commit()
		for empty in ("", None, 0):
			doc = json.loads(frappe.get_doc("Customer", committed_customer).as_json())
			answer = session.call(
				"POST", "/api/method/frappe.client.save", json={"doc": doc | {"tax_id": empty}}
			)
			assert answer.status_code == 200, answer.text
			frappe.db.rollback()
			assert tax_id_of(committed_customer) == stored


@pytest.fixture
def public_form(site) -> Iterator[str]:
	"""A Web Form that asks strangers for their tax number, and for nothing else that is protected."""
	title = f"Form {frappe.generate_hash(length=8)}"
	about = {"title": title, "route": frappe.scrub(title), "doc_type": "Customer"}
	form = frappe.new_doc("Web Form", **about, published=1)
	for name in ("customer_name", "tax_id"):
		form.append("web_form_fields", {"fieldname": name, "fieldtype": "Data", "label": name})
	form.insert()
	frappe.db.commit()
	yield form.name
	frappe.db.rollback()
	for name in frappe.get_all("Customer", {"customer_name": ["like", f"{form.name}%"]}, pluck="name"):
		frappe.delete_doc("Customer", name, force=True)
	form.delete()
	frappe.db.commit()


def test_strangers_fill_in_what_a_web_form_asks_them_for(public_form, web):
	"""Whoever made the form asked for it; they learn nothing of what is stored."""
	for form, is_taken in ((public_form, True), ("another", False)):
		name = f"{public_form} {is_taken}"
		doc = {"doctype": "Customer", "web_form_name": form, "customer_name": name, "tax_id": TAX_ID}
		answer = web.call(
			"POST",
			"/api/method/frappe.website.doctype.web_form.web_form.accept",
			data={"web_form": form, "data": json.dumps(doc)},
		)
		frappe.db.rollback()
		assert (answer.status_code == 200) is is_taken, answer.text
		stored = frappe.db.get_value("Customer", {"customer_name": name}, "tax_id")
		assert stored == (TAX_ID if is_taken else None)


# --- questions that come as something else ------------------------------------------------------------------

CHART = {
	"doctype": "ToDo",
	"name": "Guess",
	"document_type": "Customer",
	"chart_type": "Group By",
	"type": "Bar",
	"group_by_type": "Count",
	"group_by_based_on": "customer_group",
	"filters_json": "[]",
}
BY_TAX_ID = CHART | {"group_by_based_on": "tax_id"}
WHERE_TAX_ID = CHART | {"filters_json": '[["Customer", "tax_id", "like", "DE%"]]'}
CARD = {"document_type": "Email Queue", "function": "Count"}
SUM = {"document_type": "Customer", "function": "Maximum", "aggregate_function_based_on": "tax_id"}
METHOD = "/api/method/frappe.desk.doctype"
QUESTIONS = {
	"chart": (f"{METHOD}.dashboard_chart.dashboard_chart.get", {"chart": BY_TAX_ID, "no_cache": 1}),
	"chart, filtered": (
		f"{METHOD}.dashboard_chart.dashboard_chart.get",
		{"chart": WHERE_TAX_ID, "no_cache": 1},
	),
	"chart of v2": ("/api/v2/method/Dashboard Chart/get", {"chart": BY_TAX_ID, "no_cache": 1}),
	"count": ("/api/v2/doctype/Email Queue/count", {"filters": {"message": ["like", "%x%"]}}),
	"count, in three parts": ("/api/v2/doctype/Email Queue/count", {"filters": [["message", "like", "%x%"]]}),
	"card": (
		f"{METHOD}.number_card.number_card.get_result",
		{"doc": CARD, "filters": {"message": ["like", "%x%"]}},
	),
	"card, in three parts": (
		f"{METHOD}.number_card.number_card.get_result",
		{"doc": CARD, "filters": [["message", "like", "%x%"]]},
	),
	"card of v2": (
		"/api/v2/method/Number Card/get_result",
		{"doc": CARD, "filters": [["message", "like", "%x%"]]},
	),
	"card that computes": (f"{METHOD}.number_card.number_card.get_result", {"doc": SUM, "filters": []}),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_fp_03_no_question_passes_as_something_else(committed_customer, staff, question):
	path, form = QUESTIONS[question]
	query = {name: json.dumps(value) for name, value in form.items()}
	asked = [
		staff("System Manager", *STAFF, *more).call("GET", path, params=query)
		for more in ((), ("Sensitive Data Viewer",))
	]
	assert asked[0].status_code == 403 and "FieldProtected" in asked[0].text, asked[0].text
	assert asked[1].status_code == 200, asked[1].text


# --- with a token instead of a session ----------------------------------------------------------------------


@pytest.fixture(params=["API key", "Basic", "OAuth"])
def with_token(request, site: str, web: Web) -> Iterator[Callable[..., Anyone]]:
	"""Make a user with the roles given, who calls with a token of the kind."""
	made = []

	def authorised(*roles: str) -> Anyone:
		email = f"{frappe.generate_hash(length=10)}@gdpr-test.example"
		user = frappe.new_doc("User", email=email, first_name="Test", send_welcome_email=0)
		user.append_roles(*roles)
		key, secret = frappe.generate_hash(length=15), frappe.generate_hash(length=15)
		user.update({"api_key": key, "api_secret": secret})
		user.insert()
		made.append(user)
		pair = f"{key}:{secret}"
		header = {"API key": f"token {pair}", "Basic": f"Basic {base64.b64encode(pair.encode()).decode()}"}
		if request.param == "OAuth":
			client = frappe.new_doc("OAuth Client", app_name=email, scopes="all")
			client.update({"redirect_uris": "https://a.example", "default_redirect_uri": "https://a.example"})
			client.insert()
			bearer = frappe.new_doc("OAuth Bearer Token", client=client.name, user=email, scopes="all")
			bearer.update({"access_token": secret, "expires_in": 3600, "status": "Active"})
			bearer.expiration_time = frappe.utils.add_to_date(None, hours=1)
			made.extend([client.save(), bearer.insert()])
			header["OAuth"] = f"Bearer {secret}"
		frappe.db.commit()
		return Anyone(web, headers={"Authorization": header[request.param]})

	yield authorised
	frappe.db.rollback()
	for doc in reversed(made):
		frappe.delete_doc(doc.doctype, doc.name, force=True)
	frappe.db.commit()


def test_who_calls_with_a_token_has_their_own_rights(committed_customer, with_token):
	"""FP-01: Frappe reads the token only after the hooks of a request."""
	path = f"/api/resource/Customer/{committed_customer}"
	found = {"filters": json.dumps([["tax_id", "=", TAX_ID]])}
	clerk, viewer = with_token(*STAFF), with_token(*STAFF, "Sensitive Data Viewer")
	editor = with_token(*STAFF, "Sensitive Data Editor")
	for refused in (
		clerk.call("GET", "/api/resource/Customer", params=found),
		clerk.call("PUT", path, json={"tax_id": OTHER}),
		viewer.call("PUT", path, json={"tax_id": OTHER}),
	):
		assert refused.status_code == 403 and "Tax ID" in refused.text, refused.text
	answer = viewer.call("GET", "/api/resource/Customer", params=found)
	assert [row["name"] for row in answer.json()["data"]] == [committed_customer]
	answer = editor.call("PUT", path, json={"tax_id": OTHER})
	assert answer.status_code == 200, answer.text
	frappe.db.rollback()
	assert tax_id_of(committed_customer) == OTHER


@pytest.mark.parametrize("header", ["token a:b", "Bearer none", "Basic ???", "token", "nonsense of three"])
def test_a_wrong_token_is_what_it_is_for_the_core(committed_customer, web, header):
	path = f"/api/resource/Customer/{committed_customer}"
	answer = Anyone(web, headers={"Authorization": header}).call("GET", path)
	assert answer.status_code in (401, 403, 417), answer.text
	assert TAX_ID not in answer.text


# --- revealing ----------------------------------------------------------------------------------------------


def reveal(name: str, purpose: str = PURPOSE, reason: str = "The customer asked", field: str = "tax_id"):
	return api.reveal("Customer", name, field, purpose, reason)


def test_a_value_is_revealed_with_purpose_and_reason_and_logged_without_it(taxed, user_with_roles):
	"""FP-06, AU-08"""
	user = user_with_roles("Sales Manager")
	answer = reveal(taxed)
	assert answer == {"value": TAX_ID, "seconds": 60}
	(row,) = log_of(taxed)
	assert (row.user, row.how, row.ref_doctype, row.fields) == (user, "Reveal", "Customer", "tax_id")
	assert (row.purpose, row.reason, row.record_count) == (PURPOSE, "The customer asked", 1)
	assert TAX_ID not in json.dumps(row, default=str)


@pytest.mark.parametrize(
	("more", "error", "message"),
	[
		({"purpose": ""}, frappe.ValidationError, "Purpose"),
		({"purpose": "Curiosity"}, frappe.ValidationError, "Curiosity"),
		({"reason": "  "}, frappe.ValidationError, "Reason"),
		({"field": "customer_name"}, FieldProtected, "customer_name"),
		({"field": "no_such"}, FieldProtected, "no_such"),
	],
)
def test_without_a_reason_nothing_is_revealed(taxed, user_with_roles, more, error, message):
	user_with_roles("Sales Manager")
	with pytest.raises(error, match=message):
		reveal(taxed, **more)
	assert log_of(taxed) == []


def test_only_the_roles_of_the_rule_reveal(taxed, user_with_roles):
	user_with_roles("Sales User")
	with pytest.raises(FieldProtected, match="Tax ID"):
		reveal(taxed)
	frappe.set_user("Administrator")
	user_with_roles("Employee")
	with pytest.raises(frappe.PermissionError):
		reveal(taxed)


def test_nobody_reveals_a_whole_database(taxed, user_with_roles, fresh_counters):
	user_with_roles("Sales Manager")
	for _time in range(throttle.REVEALS_AN_HOUR):
		reveal(taxed)
	with pytest.raises(TooManyAttempts, match="30"):
		reveal(taxed)


# --- who saw it ---------------------------------------------------------------------------------------------


def test_what_people_with_the_right_see_is_logged_and_nothing_else(committed_customer, staff):
	"""AU-08: form, list and print, by name of the record"""
	viewer, other = staff(*STAFF, "Sensitive Data Viewer"), staff(*STAFF)
	form = f"/api/method/frappe.desk.form.load.getdoc?doctype=Customer&name={committed_customer}"
	in_a_list = {
		"doctype": "Customer",
		"fields": json.dumps(["name", "tax_id"]),
		"filters": json.dumps([["Customer", "name", "=", committed_customer]]),
	}
	printed = f"/printview?doctype=Customer&name={committed_customer}"
	for session in (viewer, other):
		shown = [
			session.call("GET", form).text,
			session.call("POST", "/api/method/frappe.desk.reportview.get", data=in_a_list).text,
			session.call("GET", f"/api/resource/Customer/{committed_customer}").text,
			session.call("GET", printed).text,
		]
		assert [TAX_ID in text for text in shown] == [session is viewer] * 4
	frappe.db.rollback()
	rows = log_of(committed_customer)
	assert [row.how for row in rows] == ["View", "View", "View", "Print"]
	assert {row.fields for row in rows} == {"tax_id"}
	assert {row.record_count for row in rows} == {1}
	assert TAX_ID not in json.dumps(rows, default=str)


@pytest.fixture
def contract(customer) -> Iterator[str]:
	made = frappe.new_doc(
		"Contract", party_type="Customer", party_name=customer().name, contract_terms="Among ourselves"
	).insert()
	frappe.db.commit()
	yield made.name
	frappe.db.rollback()
	made.delete(force=True)
	frappe.delete_doc("Customer", made.party_name, force=True)
	frappe.db.commit()


def test_who_sees_a_record_that_is_protected_as_a_whole_is_logged(contract, staff):
	"""AU-08: form, list and print"""
	viewer = staff("Sales User", "Sensitive Data Viewer")
	in_a_list = {"doctype": "Contract", "fields": json.dumps(["name", "party_name"])}
	for method, path, more in (
		("GET", f"/api/method/frappe.desk.form.load.getdoc?doctype=Contract&name={contract}", {}),
		("POST", "/api/method/frappe.desk.reportview.get", {"data": in_a_list}),
		("GET", f"/printview?doctype=Contract&name={contract}", {}),
	):
		answer = viewer.call(method, path, **more)
		assert answer.status_code == 200
		assert contract in answer.text
	frappe.db.rollback()
	rows = log_of(contract)
	assert [(row.how, row.ref_doctype, row.fields) for row in rows] == [
		("View", "Contract", "*"),
		("View", "Contract", "*"),
		("Print", "Contract", "*"),
	]


@pytest.mark.parametrize(
	("method", "fields", "more"),
	[
		("frappe.client.get_list", ["name", "tax_id as told"], {}),
		("frappe.desk.reportview.get", ["name", "tax_id as told"], {}),
		("frappe.client.get_list", ["name", "tax_id"], {"as_dict": 0}),
	],
)
def test_au_08_who_reads_the_field_by_another_name_is_logged(committed_customer, staff, method, fields, more):
	filters = json.dumps({"name": committed_customer})
	query = urlencode({"doctype": "Customer", "fields": json.dumps(fields), "filters": filters} | more)
	answer = staff(*STAFF, "Sensitive Data Viewer").call("GET", f"/api/method/{method}?{query}")
	assert TAX_ID in answer.text
	frappe.db.rollback()
	newest = frappe.get_last_doc("Sensitive Access Log")
	assert (newest.how, newest.ref_doctype, newest.fields) == ("View", "Customer", "tax_id")
	assert more or committed_customer in newest.records


def exported(session: Session, name: str) -> str:
	more = {
		"doctype": "Customer",
		"title": "Customer",
		"file_format_type": "CSV",
		"fields": json.dumps(["`tabCustomer`.`name`", "`tabCustomer`.`tax_id`", "`tabCustomer`.`website`"]),
		"filters": json.dumps([["Customer", "name", "=", name]]),
	}
	answer = session.call("POST", "/api/method/frappe.desk.reportview.export_query", data=more)
	assert answer.status_code == 200, answer.text
	assert name in answer.text
	return answer.text


def test_a_file_with_the_field_is_logged_with_the_records_it_holds(committed_customer, staff):
	"""AU-08: exports"""
	viewer = staff(*STAFF, "Sensitive Data Viewer", "System Manager")
	assert TAX_ID in exported(viewer, committed_customer)
	assert TAX_ID not in exported(staff(*STAFF, "System Manager"), committed_customer)
	frappe.db.rollback()
	(row,) = log_of(committed_customer)
	assert (row.how, row.ref_doctype, row.fields, row.record_count) == ("Export", "Customer", "tax_id", 1)


@pytest.fixture
def report_on_customers(site: str) -> Iterator[str]:
	query = "select name as `Customer:Link/Customer:200`, tax_id as `Tax ID:Data:100` from tabCustomer"
	values = {"report_type": "Query Report", "is_standard": "No", "ref_doctype": "Customer", "query": query}
	report = frappe.new_doc(
		"Report", report_name=f"Report {frappe.generate_hash(length=8)}", **values
	).insert()
	frappe.db.commit()
	yield report.name
	frappe.db.rollback()
	frappe.delete_doc("Report", report.name, force=True)
	frappe.db.commit()


def test_a_report_with_the_field_is_logged_once_with_its_records(
	committed_customer, report_on_customers, staff
):
	"""AU-08: reports"""
	viewer, other = staff(*STAFF, "Sensitive Data Viewer"), staff(*STAFF)
	path = f"/api/method/frappe.desk.query_report.run?report_name={report_on_customers}"
	assert TAX_ID in viewer.call("GET", path).text
	masked = other.call("GET", path)
	rows = masked.json()["message"]["result"]
	assert [row["tax_id"] for row in rows if row["customer"] == committed_customer] == ["•••"]
	assert TAX_ID not in masked.text
	frappe.db.rollback()
	(row,) = log_of(committed_customer)
	assert (row.how, row.ref_doctype, row.fields) == ("Report", "Customer", "tax_id")


def test_a_rule_is_in_force_in_every_process_as_soon_as_it_is_committed(committed_customer, staff):
	"""A cache that another process filled before the commit must not outlive it."""
	session = staff(*STAFF)
	path = f"/api/resource/Customer/{committed_customer}"
	frappe.db.set_value("Customer", committed_customer, "customer_details", "Likes tea")
	frappe.db.commit()
	assert session.call("GET", path).json()["data"]["customer_details"] == "Likes tea"
	rule = frappe.get_doc(
		doctype="Sensitive Field", ref_doctype="Customer", fieldname="customer_details", why_kept="For a test"
	).insert()
	assert session.call("GET", path).status_code == 200  # reads the old rules while ours aren't committed
	frappe.db.commit()
	try:
		assert "customer_details" not in session.call("GET", path).json()["data"]
		assert "Likes tea" not in session.call("PUT", path, json={"website": "tea.example"}).text
	finally:
		rule.delete()
		frappe.db.commit()
	assert session.call("GET", path).json()["data"]["customer_details"] == "Likes tea"


def test_an_assignment_says_nothing_that_the_assigned_may_not_see(taxed, user_with_roles):
	"""FP-02"""
	clerk = user_with_roles(*STAFF)
	frappe.set_user("Administrator")
	rule = frappe.new_doc(
		"Assignment Rule",
		name=frappe.generate_hash(length=8),
		document_type="Customer",
		description="Tax number {{ tax_id }} of {{ customer_name }}",
		assign_condition="1",
		rule="Round Robin",
		users=[{"user": clerk}],
	)
	rule.append("assignment_days", {"day": "Monday"})
	rule.insert()
	doc = frappe.get_doc("Customer", taxed)
	assert rule.do_assignment(doc.as_dict())
	(text,) = frappe.get_all("ToDo", {"reference_name": taxed}, pluck="description")
	assert TAX_ID not in text
	assert doc.customer_name in text


def test_the_log_cannot_be_written_or_deleted():
	"""AU-01 for the log of accesses"""
	row = frappe.get_doc(doctype="Sensitive Access Log", user="Administrator", how="View")
	with pytest.raises(RegisterIsAppendOnly):
		row.insert(ignore_permissions=True)
