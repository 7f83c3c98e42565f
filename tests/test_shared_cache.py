"""What is kept in Redis for all processes is never older than the last commit, however slow a reader is."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis.exceptions import ConnectionError

import frappe
from frappe.model.document import Document

from gdpr_consent import proof, shared_cache
from gdpr_consent.sensitive_data import rights, rules

KEY = "gdpr_test_of_the_shared_cache"
DOCTYPE, FIELD = "Opportunity", "job_title"  # no rule comes with the app for it
RULE = rules.name_of(DOCTYPE, FIELD)


@pytest.fixture
def slow(site: str) -> Iterator[Callable]:
	"""Whoever works in its block sees the site as it was when the test began."""
	before = frappe.local.db
	frappe.connect(set_admin_as_user=False)
	opened, frappe.local.db = frappe.local.db, before
	opened.sql("start transaction with consistent snapshot")

	@contextmanager
	def transaction() -> Iterator[None]:
		mine, frappe.local.db = frappe.local.db, opened
		frappe.local.cache.clear()
		try:
			yield
		finally:
			frappe.local.db = mine
			frappe.local.cache.clear()

	yield transaction
	opened.close()


# --- any value ----------------------------------------------------------------------------------------------


@pytest.fixture
def prefix(site: str) -> Iterator[Callable]:
	"""A value of the site, kept under KEY."""

	def write(value: str) -> None:
		frappe.db.set_single_value("Website Settings", "title_prefix", value)
		shared_cache.forget(KEY)

	before = read()
	write("before")
	frappe.db.commit()
	yield write
	frappe.db.rollback()
	write(before or "")
	frappe.db.commit()


def read() -> str | None:
	return frappe.db.get_single_value("Website Settings", "title_prefix", cache=False)


def kept() -> str | None:
	return shared_cache.get(KEY, read)


@contextmanager
def another_process() -> Iterator[None]:
	mine = frappe.local.db, frappe.local.cache
	frappe.connect(set_admin_as_user=False)
	frappe.local.cache = {}
	try:
		yield
	finally:
		frappe.local.db.close()
		frappe.local.db, frappe.local.cache = mine


def change_in_another_process(prefix: Callable, value: str) -> None:
	with another_process():
		prefix(value)
		frappe.db.commit()


def kept_for_others() -> str | None:
	with another_process():
		return kept()


def test_it_is_read_once(prefix):
	assert kept() == "before"
	frappe.local.cache.clear()

	def unread() -> None:
		raise AssertionError

	assert shared_cache.get(KEY, unread) == "before"


def test_a_slow_reader_keeps_nothing_from_before_a_change(prefix, slow):
	with slow():
		assert read() == "before"
	prefix("after")
	frappe.db.commit()
	with slow():
		assert read() == "before"
		kept()
	assert kept() == "after"


def test_nor_does_one_that_reads_while_a_change_is_committed(prefix):
	def read_and_be_overtaken() -> str | None:
		value = read()
		change_in_another_process(prefix, "after")
		return value

	assert shared_cache.get(KEY, read_and_be_overtaken) == "before"
	frappe.local.cache.clear()
	assert kept() == "after"


def test_a_long_job_learns_of_a_change(prefix, monkeypatch):
	assert kept() == "before"
	change_in_another_process(prefix, "after")
	assert kept() == "before"
	later = shared_cache.monotonic() + shared_cache.ASKS_AGAIN + 1
	monkeypatch.setattr(shared_cache, "monotonic", lambda: later)
	assert kept() == "after"


def test_a_change_is_seen_here_before_it_is_committed_and_nowhere_if_it_never_is(prefix):
	assert kept() == "before"
	prefix("after")
	assert kept() == "after"
	assert kept_for_others() == "before"
	assert kept() == "after"
	frappe.db.rollback()
	assert kept() == "before"
	assert kept_for_others() == "before"


def test_a_table_that_is_being_altered_keeps_nobody_waiting(prefix, slow):
	"""The ALTER waits for our transaction, so one of ours that waited for it would wait for itself."""
	read()  # from now on the table can't be altered
	frappe.local.cache.clear()
	before = frappe.local.db
	frappe.connect(set_admin_as_user=False)
	altering, frappe.local.db = frappe.local.db, before
	((connection,),) = altering.sql("select connection_id()")

	def alter() -> None:
		with pytest.raises(Exception, match="interrupted"):
			altering._cursor.execute("alter table `tabSingles` comment = 'altered by a test'")

	thread = threading.Thread(target=alter)
	thread.start()
	try:
		waiting = "select count(*) from information_schema.processlist where id = %s and state like %s"
		while not frappe.db.sql(waiting, (connection, "Waiting for table metadata%"))[0][0]:
			pass
		assert kept() == "before"
	finally:
		frappe.db.sql(f"kill query {int(connection)}")
		thread.join()
		altering.close()


def test_without_redis_it_is_read_each_time(prefix, monkeypatch):
	def fail(*_args, **_more):
		raise ConnectionError

	monkeypatch.setattr(type(frappe.cache), "get", fail)
	assert kept() == "before"


# --- what is kept there -------------------------------------------------------------------------------------


@pytest.fixture
def user(site: str) -> Iterator[Callable]:
	"""Make a user whom everybody knows."""
	made = []

	def with_roles(*roles: str) -> str:
		made.append(f"{frappe.generate_hash(length=10)}@gdpr-test.example")
		user = frappe.new_doc("User", email=made[-1], first_name="Test", send_welcome_email=0)
		user.append_roles(*roles)
		user.insert()
		frappe.db.commit()
		return made[-1]

	yield with_roles
	frappe.db.rollback()
	for name in made:
		frappe.delete_doc("User", name, force=True)
	frappe.db.commit()


@pytest.fixture
def protected(slow) -> Iterator[Callable]:
	"""Protect a field and commit, as another process does; and take it back."""

	def protect(**more) -> None:
		values = {"ref_doctype": DOCTYPE, "fieldname": FIELD, "why_kept": "For a test"}
		frappe.get_doc({"doctype": "Sensitive Field"} | values | more).insert()
		frappe.db.commit()

	frappe.flags.gdpr_read_anew_for = {}  # a new request
	yield protect
	frappe.db.rollback()
	frappe.delete_doc("Sensitive Field", RULE)
	frappe.db.commit()


@pytest.fixture
def service_purpose(site: str) -> Iterator[Document]:
	values = {"default_legal_basis": "Contract", "allowed_legal_bases": [{"legal_basis": "Contract"}]}
	title = f"Service {frappe.generate_hash(length=10)}"
	purpose = frappe.get_doc(doctype="Processing Purpose", title=title, **values).insert()
	frappe.db.commit()
	yield purpose
	frappe.db.rollback()
	frappe.delete_doc("Processing Purpose", purpose.name)
	frappe.db.commit()


def test_fp_02_a_slow_reader_keeps_no_rules_from_before_a_change(slow, protected):
	protected()
	with slow():
		assert not frappe.db.exists("Sensitive Field", RULE)
		rules.all_rules()
	assert FIELD in rules.protected_fields(DOCTYPE)


def test_fp_02_a_slow_reader_keeps_no_meta_from_before_a_change(slow, protected, user):
	reader = user("Sales Manager")
	protected()
	rules.all_rules()
	with slow():
		frappe.get_meta(DOCTYPE, cached=False)  # one that has found it cleared before, and is done now
	assert not frappe.get_meta(DOCTYPE).get_field(FIELD).permlevel  # Frappe has kept it
	assert rights.hidden_fields(DOCTYPE, reader) == {FIELD}
	assert frappe.get_meta(DOCTYPE).get_field(FIELD).permlevel


def test_fp_02_nor_one_that_knows_other_viewers(slow, protected, user):
	reader = user("Sales Manager", "Sensitive Data Viewer")
	protected()
	assert not rights.hidden_fields(DOCTYPE, reader)
	frappe.local.cache.clear()
	rule = frappe.get_doc("Sensitive Field", RULE)
	rule.update({"viewers": [{"role": "Auditor"}], "editors": [{"role": "Auditor"}]}).save()
	frappe.db.commit()
	assert rights.hidden_fields(DOCTYPE, reader) == {FIELD}


def test_what_customize_form_changes_is_known_at_once(protected, user):
	"""Frappe's own permissions answer, also where they differ from the rule."""
	reader = user("Sales Manager")
	protected()
	assert rights.hidden_fields(DOCTYPE, reader) == {FIELD}
	setter = {"doc_type": DOCTYPE, "field_name": FIELD, "property": "permlevel"}
	frappe.db.set_value("Property Setter", setter, "value", "0")
	frappe.db.commit()
	frappe.clear_cache(doctype=DOCTYPE)
	assert not rights.hidden_fields(DOCTYPE, reader)


def test_a_slow_reader_keeps_no_rule_of_a_country_from_before_a_change(slow):
	def set_accepted(grades: str) -> None:
		frappe.db.set_value("Consent Country Rule", "Germany", "accepted_grades", grades)
		proof.forget_rules()
		frappe.db.commit()

	before = frappe.db.get_value("Consent Country Rule", "Germany", "accepted_grades")
	assert before != "A"
	set_accepted("A")
	try:
		with slow():
			proof.rule_of("Germany")
		assert proof.rule_of("Germany").grades == "A"
	finally:
		set_accepted(before)


def test_em_06_a_slow_reader_keeps_no_purpose_from_before_it_became_marketing(service_purpose, slow):
	with slow():
		assert not frappe.db.get_value("Processing Purpose", service_purpose.name, "is_marketing")
	service_purpose.update({"is_marketing": 1}).save()
	frappe.db.commit()
	with slow():
		proof.is_marketing(service_purpose.name)
	assert proof.is_marketing(service_purpose.name)


def test_v4_a_slow_reader_keeps_no_topic_from_before_it_asked_to_confirm(topic_without_double_opt_in, slow):
	topic = topic_without_double_opt_in
	with slow():
		assert not frappe.db.get_value("Subscription Topic", topic.name, "double_opt_in")
	topic.update({"double_opt_in": 1}).save()
	frappe.db.commit()
	with slow():
		asks(topic.name)
	assert asks(topic.name)


def asks(topic: str) -> bool:
	return proof.needs_double_opt_in("Email", topic, "Austria")


@pytest.fixture
def topic_without_double_opt_in(site: str) -> Iterator[Document]:
	"""A topic in a country whose rule doesn't ask to confirm."""
	title = f"Topic {frappe.generate_hash(length=10)}"
	values = {"purpose": "Email Marketing", "double_opt_in": 0}
	topic = frappe.get_doc(doctype="Subscription Topic", title=title, **values).insert()
	rule = frappe.get_doc(doctype="Consent Country Rule", applies_to="Austria", double_opt_in=0).insert()
	frappe.db.commit()
	yield topic
	frappe.db.rollback()
	for doctype, name in (("Subscription Topic", topic.name), ("Consent Country Rule", rule.name)):
		frappe.delete_doc(doctype, name)
	frappe.db.commit()
