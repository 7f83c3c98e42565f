"""The existing-customer rule: what it rests on, for how long, and what ends it (SO-01 to SO-08)."""

from datetime import date, datetime, timedelta

import pytest
from conftest import PROOF, BulkUpdates, forget_sales, give, rest_on_sales, sell

import frappe
from frappe.utils import add_days, today

from gdpr_consent import api, register, sales
from gdpr_consent.exceptions import ConsentError, EvidenceMissing, NoSale
from gdpr_consent.register import ends, writing

MARKETING = "Email Marketing"


@pytest.fixture
def wording(site: str):
	"""One that was shown with a sale of the purpose, which advertises every product."""
	yield rest_on_sales("Processing Purpose", MARKETING)
	frappe.db.rollback()
	frappe.clear_document_cache("Processing Purpose", MARKETING)


@pytest.fixture
def german(lead, address):
	"""Name the address of somebody in Germany, where the rule holds."""
	return lambda: lead(address(), country="Germany").email_id


def record(email: str, wording: str | None, **more) -> str:
	return give(email, legal_basis="Existing Customer", wording=wording, **more)


def reason(email: str, topic: str | None = None) -> str:
	return api.check_consent([email], topic=topic)[email]["reason"]


def stored(name: str) -> frappe._dict:
	return frappe.db.get_value("Consent", name, "*", as_dict=True)


@pytest.mark.parametrize("doctype", sales.SOLD_ON)
def test_so_01_a_sale_opens_the_channel_and_is_named(german, wording, clock, doctype):
	email = german()
	sale = sell(email, doctype=doctype)
	row = stored(record(email, wording))
	assert (row.sale_doctype, row.sale) == (doctype, sale)
	assert reason(email) == "EXISTING_CUSTOMER"
	assert api.rebuild(row.name)["changed"] == {}


@pytest.mark.parametrize(
	"no_sale",
	[
		{"docstatus": 0},
		{"docstatus": 2},
		{"doctype": "Sales Invoice", "is_return": 1},
		{"company": "Another Company"},
		{"item_group": "Nothing Like It"},
	],
	ids=["draft", "cancelled", "return", "SO-02 another company's", "SO-03 not similar"],
)
def test_so_01_what_is_no_sale_of_ours_opens_nothing(german, wording, no_sale):
	email = german()
	sell(email, **no_sale)
	with pytest.raises(NoSale, match="Email Marketing"):
		record(email, wording)
	assert reason(email) == "NO_CONSENT"
	assert not frappe.db.exists("Consent", {"email": email})


def test_so_01_a_lead_is_no_customer(german, wording):
	with pytest.raises(NoSale):
		record(german(), wording)


def test_so_03_a_topic_is_about_products_of_its_own(german, wording, topic):
	email = german()
	sell(email, item_group="Products")
	record(email, wording)
	with pytest.raises(NoSale, match="Advertised Products"):
		record(email, wording, topic=topic)
	about = frappe.get_doc("Subscription Topic", topic)
	about.append("item_groups", {"item_group": "Services"})
	about.save()
	with pytest.raises(NoSale):
		record(email, wording, topic=topic)
	newer = sell(email, item_group="Services")
	assert stored(record(email, wording, topic=topic)).sale == newer
	assert reason(email, topic) == "EXISTING_CUSTOMER"


def test_so_03_a_group_stands_for_all_below_it(site: str):
	assert {"All Item Groups", "Products", "Services"} <= set(_advertised_by_all())


def _advertised_by_all() -> list[str]:
	rest_on_sales("Processing Purpose", MARKETING)
	found = sales.advertised(MARKETING, None)
	frappe.db.rollback()
	frappe.clear_document_cache("Processing Purpose", MARKETING)
	return found


def test_so_04_without_a_chance_to_object_at_collection_it_opens_nothing(german, wording):
	email = german()
	sell(email)
	with pytest.raises(EvidenceMissing, match="object"):
		record(email, None)
	silent = frappe.new_doc("Consent Wording", purpose=MARKETING, language="en", text="We write to you.")
	with pytest.raises(EvidenceMissing, match="Offers to Object"):
		record(email, silent.insert().name)
	assert reason(email) == "NO_CONSENT"


def test_so_04_what_a_wording_offered_cant_be_changed_once_it_was_used(german, wording):
	email = german()
	sell(email)
	record(email, wording)
	used = frappe.get_doc("Consent Wording", wording)
	used.offers_objection = 0
	with pytest.raises(ConsentError, match="stays as it is"):
		used.save()


def test_so_08_it_ends_two_years_after_the_last_purchase(german, wording, clock):
	email = german()
	bought = date(2025, 1, 31)
	sell(email, on=bought)
	row = stored(record(email, wording))
	assert abs(row.expires_on - datetime(2027, 1, 31)) < timedelta(hours=15)
	clock.now = row.expires_on - timedelta(seconds=1)
	assert reason(email) == "EXISTING_CUSTOMER"
	clock.now = row.expires_on
	assert reason(email) != "EXISTING_CUSTOMER"
	with pytest.raises(NoSale, match="24"):
		record(email, wording)
	newer = sell(email)
	assert stored(record(email, wording)).sale == newer


def test_so_08_the_months_are_the_sites(german, wording, clock):
	email = german()
	sell(email, on=clock.now.date() - timedelta(days=100))
	frappe.db.set_single_value("Consent Settings", "existing_customer_months", 3)
	with pytest.raises(NoSale, match="last 3"):
		record(email, wording)


def test_so_06_who_objected_isnt_written_to_whatever_they_buy(german, wording):
	email = german()
	sell(email)
	register.object_to_marketing([email], act=register.Act())
	with pytest.raises(ConsentError, match="said no"):
		record(email, wording)


def test_so_01_a_cancelled_sale_gives_way_to_another_or_ends_it(german, wording, clock, monkeypatch):
	amended, gone = german(), german()
	sales_of = {email: sell(email) for email in (amended, gone)}
	names = {email: record(email, wording) for email in sales_of}
	clock.forward(days=1)
	for sale in sales_of.values():
		frappe.db.set_value("Sales Order", sale, "docstatus", 2)
	customer = frappe.db.get_value("Sales Order", sales_of[amended], "customer")
	again = sell(amended)
	frappe.db.set_value("Sales Order", again, "customer", customer)
	monkeypatch.setattr(frappe.db, "commit", lambda: None)  # so that it is rolled back
	assert register.follow_sales() == 2
	assert (stored(names[amended]).status, stored(names[gone]).status) == ("Superseded", "Ended")
	successor = stored(stored(names[amended]).superseded_by)
	assert (successor.status, successor.sale, successor.wording) == ("Not Required", again, wording)
	assert (reason(amended), reason(gone)) == ("EXISTING_CUSTOMER", "NO_CONSENT")
	assert register.follow_sales() == 0


def test_one_that_cant_follow_stops_no_other(german, wording, monkeypatch):
	emails = [german(), german()]
	for email in emails:
		sale = sell(email)
		record(email, wording)
		frappe.db.set_value("Sales Order", sale, "docstatus", 2)
	follow, failed = ends._follow_sale, []

	def fails_once(name: str) -> None:
		if not failed:
			failed.append(name)
			raise ConsentError
		follow(name)

	for way in ("commit", "rollback"):  # so that it is rolled back in the end
		monkeypatch.setattr(frappe.db, way, lambda **_more: None)
	monkeypatch.setattr(ends, "_follow_sale", fails_once)
	register.follow_sales()
	monkeypatch.undo()
	assert sorted(reason(email) for email in emails) == ["EXISTING_CUSTOMER", "NO_CONSENT"]


def test_the_queries_for_a_sale_are_few_and_read_no_other_customer(address, wording, monkeypatch):
	emails = [address() for _ in range(20)]
	for email in emails:
		sell(email)
	sql, asked = frappe.db.sql, []

	def note(query, *args, **more):
		asked.append(str(query))
		return sql(query, *args, **more)

	groups = sales.advertised(MARKETING, None)
	monkeypatch.setattr(frappe.db, "sql", note)
	found = sales.newest({email: (email, None, None) for email in emails}, None, groups, writing.now_utc())
	assert found.keys() == set(emails)
	assert len(asked) <= 6
	assert not [query for query in asked if "lead_name" in query], "nobody of them is a Lead"


def test_another_basis_of_no_marketing_needs_no_sale(address):
	assert give(address(), purpose="Sales", legal_basis="Legitimate Interests")


def test_bu_01_a_bulk_update_finds_each_ones_sale(bulk: BulkUpdates, site: str):
	"""Who bought nothing is left alone; who buys again later has a longer period after the next run."""
	purpose = frappe.copy_doc(frappe.get_doc("Processing Purpose", MARKETING))
	purpose.title = f"Marketing {frappe.generate_hash(length=8)}"
	purpose.insert()
	wording = rest_on_sales("Processing Purpose", purpose.name)
	buyer, other = bulk.mailbox(), bulk.mailbox()
	records = [bulk.contact(buyer), bulk.contact(other)]
	first = sell(buyer, on=date.today() - timedelta(days=9))
	frappe.db.commit()
	rule = {
		"action": "Set",
		"legal_basis": "Existing Customer",
		"purpose": purpose.name,
		"wording": wording,
		"source": "Phone",
		"evidence_file": PROOF["evidence"],
	}
	try:
		items = bulk.items(bulk.run(rule | {"records": records}))
		assert (items[records[0]].result, items[records[1]].why) == ("Done", "NO_SALE")
		before = stored(items[records[0]].consent)
		assert before.sale == first
		items = bulk.items(bulk.run(rule | {"records": records}))
		assert items[records[0]].result == "Unchanged"
		newest = sell(buyer, on=date.today())
		frappe.db.commit()
		items = bulk.items(bulk.run(rule | {"records": records}))
		assert items[records[0]].result == "Done"
		after = stored(items[records[0]].consent)
		assert (after.sale, after.supersedes) == (newest, before.name)
		assert after.expires_on > before.expires_on
	finally:
		frappe.db.rollback()
		forget_sales()
		purpose.delete(force=True)
		frappe.db.commit()


def test_a_real_sales_order_and_a_real_invoice_count(address, wording):
	"""What ERPNext itself stores when somebody sells something."""
	email, company = address(), frappe.db.get_default("company")
	customer = frappe.new_doc("Customer", customer_name=f"Buyer {email}").insert().name
	frappe.new_doc(
		"Contact",
		first_name="Buyer",
		email_ids=[{"email_id": email, "is_primary": 1}],
		links=[{"link_doctype": "Customer", "link_name": customer}],
	).insert()
	item = frappe.new_doc(
		"Item", item_code=f"Item {email}", item_group="Products", stock_uom="Nos", is_stock_item=0
	).insert()
	row = {"item_code": item.name, "qty": 1, "rate": 10, "delivery_date": add_days(today(), 9)}
	for doctype, due in (("Sales Order", "delivery_date"), ("Sales Invoice", "due_date")):
		sale = frappe.new_doc(
			doctype, customer=customer, company=company, items=[row.copy()], **{due: add_days(today(), 9)}
		).insert()
		with pytest.raises(NoSale):
			record(email, wording)
		sale.submit()
		assert stored(record(email, wording)).sale == sale.name
		sale.cancel()
