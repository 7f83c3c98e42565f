"""People who act at once, each in a thread with a database connection of its own, and what they leave behind.

What is written here is committed; the `mailbox` fixture removes it again.
"""

import threading
from collections.abc import Callable, Iterator

import pytest
from conftest import give

import frappe

from gdpr_consent import api, ledger, register, waiting
from gdpr_consent.clock import now_utc
from gdpr_consent.exceptions import StandingRefusal
from gdpr_consent.identity import address_key
from gdpr_consent.policy import RefusalKind

MANY = 20
ROUNDS = 40  # of two people who act at the same moment


def act_elsewhere(
	site: str, acts: list[Callable], results: list, start: threading.Barrier | None = None
) -> None:
	"""Act as another process would, each act in a transaction of its own."""
	frappe.init(site=site, sites_path=".")
	frappe.connect()
	try:
		for act in acts:
			if start:
				start.wait()
			try:
				results.append(act())
				frappe.db.commit()
			except Exception as error:
				frappe.db.rollback()
				results.append(error)
	finally:
		frappe.destroy()


@pytest.fixture
def meanwhile(site: str) -> Callable:
	"""Let somebody else act and commit, while the transaction of the test goes on; return what they got."""

	def run(act: Callable):
		results: list = []
		thread = threading.Thread(target=act_elsewhere, args=(site, [act], results))
		thread.start()
		thread.join()
		if isinstance(results[0], Exception):
			raise results[0]
		return results[0]

	return run


@pytest.fixture
def at_once(site: str) -> Callable[..., list]:
	"""Let each act run in a thread and a transaction of its own, all at the same moment.

	Returns what each returned, or the exception it ended with. An act may be a list of acts: they are taken
	one after the other, each at the same moment as those of the others.
	"""

	def run(*acts: Callable | list[Callable]) -> list:
		frappe.db.commit()
		everybody = [act if isinstance(act, list) else [act] for act in acts]
		start = threading.Barrier(len(everybody), timeout=60)
		results: list[list] = [[] for _ in everybody]

		threads = [
			threading.Thread(target=act_elsewhere, args=(site, mine, outcome, start))
			for mine, outcome in zip(everybody, results, strict=True)
		]
		for thread in threads:
			thread.start()
		for thread in threads:
			thread.join()
		frappe.db.rollback()  # to see what they committed
		return [
			outcome if isinstance(act, list) else outcome[0]
			for act, outcome in zip(acts, results, strict=True)
		]

	return run


def records(email: str) -> list:
	return frappe.get_all("Consent", {"address_key": address_key(email)}, ["name", "status", "last_seq"])


def statuses(email: str) -> list[str]:
	return sorted(row.status for row in records(email))


def reason(email: str) -> str:
	return api.check_consent([email])[email]["reason"]


@pytest.fixture(autouse=True)
def nothing_is_lost_or_torn(mailbox) -> Iterator[None]:
	"""After each test: every chain is whole, and every row is what its events make it."""
	yield
	frappe.db.rollback()
	assert ledger.verify()["problem"] is None
	for row in frappe.get_all("Consent", {"email": ["like", "%@gate.example"]}, ["name", "last_seq"]):
		events = ledger.read_events("Consent", [row.name])[row.name]
		assert [event.seq for event in events] == list(range(1, row.last_seq + 1))
		assert register.rebuild(row.name)["changed"] == {}


@pytest.mark.parametrize("number", [2, MANY])
def test_those_who_record_at_once_leave_exactly_one_live_consent(at_once, mailbox, number):
	email = mailbox()
	names = at_once(*[lambda: give(email)] * number)
	assert sorted(row.name for row in records(email)) == sorted(names)
	assert statuses(email) == ["Given", *["Superseded"] * (number - 1)]
	assert reason(email) == "VALID_CONSENT"


@pytest.mark.parametrize("number", [2, MANY])
def test_those_who_withdraw_at_once_end_it_once(at_once, mailbox, number):
	email = mailbox()
	name = give(email)
	ended = at_once(*[lambda: api.withdraw_consent(email=email)["withdrawn"]] * number)
	assert sorted(ended) == [*[[]] * (number - 1), [name]]
	assert records(email)[0].last_seq == 2
	assert frappe.db.count("Suppression", {"address_key": address_key(email)}) == 1


@pytest.mark.parametrize("number", [2, MANY])
def test_those_who_request_at_once_wait_for_one_answer(at_once, mailbox, number):
	email = mailbox()
	pending = at_once(*[lambda: register.request(email=email, by_the_person=True)[0]["name"]] * number)
	assert len(set(pending)) == 1
	assert statuses(email) == ["Requested"]


def test_a_link_that_is_used_at_once_confirms_once(at_once, mailbox):
	email = mailbox()
	(row,) = register.request(email=email, by_the_person=True)
	confirmed = at_once(*[lambda: len(register.confirm([row["name"]], now_utc()))] * MANY)
	assert confirmed == [1] * MANY
	assert records(email)[0].last_seq == 2


def test_st_15_a_no_wins_over_those_who_record_at_the_same_moment(at_once, mailbox):
	email = mailbox()
	give(email)
	acts = [
		[
			lambda: give(email),
			lambda: api.withdraw_consent(email=email),
			lambda: api.object_to_marketing(email=email),
			lambda: register.refuse(email=email)["name"],
		][number % 4]
		for number in range(MANY)
	]
	for outcome in at_once(*acts):
		assert not isinstance(outcome, Exception) or isinstance(outcome, StandingRefusal)
	assert not {"Given", "Requested"} & set(statuses(email))
	assert reason(email) == "OBJECTED"


@pytest.mark.parametrize(
	"say_no",
	[
		lambda email: api.withdraw_consent(email=email)["withdrawn"],
		lambda email: api.object_to_marketing(email=email)["withdrawn"],
	],
	ids=["withdraw", "object"],
)
def test_st_15_a_no_at_the_moment_of_the_confirmation_wins(at_once, mailbox, say_no):
	emails = [mailbox() for _ in range(ROUNDS)]
	rows = [register.request(email=email, by_the_person=True)[0]["name"] for email in emails]
	made = now_utc()
	confirmed, ended = at_once(
		[lambda name=name: len(register.confirm([name], made)) for name in rows],
		[lambda email=email: say_no(email) for email in emails],
	)
	for email, name, yes, no in zip(emails, rows, confirmed, ended, strict=True):
		assert no == [name]
		assert statuses(email) == ["Withdrawn" if yes else "Refused"]
		assert reason(email) in ("WITHDRAWN", "REFUSED", "OBJECTED")


def test_people_at_different_addresses_dont_get_into_each_others_way(at_once, mailbox):
	emails = [mailbox() for _ in range(MANY)]

	def acts(email: str) -> list[Callable]:
		return [
			lambda: give(email),
			lambda: give(email),
			lambda: api.withdraw_consent(email=email),
			lambda: api.object_to_marketing(email=email),
		]

	outcomes = at_once(*[acts(email) for email in emails])
	assert [one for outcome in outcomes for one in outcome if isinstance(one, Exception)] == []
	assert all(statuses(email) == ["Superseded", "Withdrawn"] for email in emails)


def test_people_with_several_addresses_in_any_order_dont_block_each_other(at_once, mailbox):
	emails = [mailbox() for _ in range(6)]
	noes = [register.No(RefusalKind.OBJECTION, register.Scope("", ""), email) for email in emails]
	acts = [lambda some=some: register.say_no(some, register.Act()) for some in (noes, noes[::-1]) * 5]
	assert at_once(*acts) == [[]] * 10
	assert all(frappe.db.count("Suppression", {"address_key": address_key(email)}) == 1 for email in emails)


# --- a view of the register that is older than what others did ----------------------------------------------


def test_who_has_read_before_a_withdrawal_still_sees_it_when_recording(meanwhile, mailbox):
	email = mailbox()
	give(email)
	frappe.db.commit()
	assert reason(email) == "VALID_CONSENT"  # from here on, this transaction reads what was then
	meanwhile(lambda: api.withdraw_consent(email=email))
	assert reason(email) == "VALID_CONSENT"
	with pytest.raises(StandingRefusal):
		give(email)
	frappe.db.rollback()
	assert statuses(email) == ["Withdrawn"]


def test_who_has_read_before_a_consent_still_ends_it_when_withdrawing(meanwhile, mailbox):
	email = mailbox()
	frappe.db.commit()
	assert reason(email) == "NO_CONSENT"
	name = meanwhile(lambda: give(email))
	assert api.withdraw_consent(email=email)["withdrawn"] == [name]
	frappe.db.commit()
	assert statuses(email) == ["Withdrawn"]


def test_a_second_act_in_an_older_view_sees_the_first_one(meanwhile, mailbox):
	email = mailbox()
	frappe.db.commit()
	assert reason(email) == "NO_CONSENT"
	first = meanwhile(lambda: give(email))
	second, third = give(email), give(email)
	frappe.db.commit()
	assert statuses(email) == ["Given", "Superseded", "Superseded"]
	assert frappe.db.get_value("Consent", third, "supersedes") == second
	assert frappe.db.get_value("Consent", second, "supersedes") == first


@pytest.fixture
def committed_contact(contact, mailbox) -> Iterator:
	person = contact(mailbox())
	frappe.db.commit()
	yield person
	frappe.db.rollback()
	frappe.delete_doc("Contact", person.name, force=True)
	frappe.db.commit()


def test_design_5_an_address_gained_in_an_older_view_gets_the_no(meanwhile, mailbox, committed_contact):
	old, new = committed_contact.email_ids[0].email_id, mailbox()
	assert reason(old) == "NO_CONSENT"
	meanwhile(lambda: api.object_to_marketing(email=old))
	committed_contact.append("email_ids", {"email_id": new})
	committed_contact.save()
	frappe.db.commit()
	assert reason(old) == reason(new) == "OBJECTED"


def test_st_08_nor_is_the_person_signed_up_with_another_address_in_an_older_view(
	meanwhile, mailbox, committed_contact
):
	old, new = committed_contact.email_ids[0].email_id, mailbox()
	assert reason(old) == "NO_CONSENT"
	meanwhile(lambda: api.object_to_marketing(email=old))
	with pytest.raises(StandingRefusal):
		give(new, party_type="Contact", party=committed_contact.name)


def test_those_who_come_to_and_leave_a_topic_at_once_leave_its_email_group_in_step(
	at_once, mailbox, committed_topic, group_of
):
	group = group_of(committed_topic)
	people = [mailbox() for _ in range(MANY)]

	def comes(email: str) -> Callable:
		return lambda: (give(email), give(email, committed_topic))

	def leaves(email: str) -> Callable:
		return lambda: api.withdraw_consent(email=email, topic=committed_topic)

	outcomes = at_once(*[[comes(email), leaves(email)] for email in people[1:]], [comes(people[0])] * 2)

	assert [one for outcome in outcomes for one in outcome if isinstance(one, Exception)] == []
	members = frappe.get_all("Email Group Member", {"email_group": group}, ["email", "unsubscribed"])
	assert {row.email: row.unsubscribed for row in members} == dict.fromkeys(people[1:], 1) | {people[0]: 0}


@pytest.fixture
def strict_snapshots(site, monkeypatch) -> Iterator[None]:
	"""Have MariaDB refuse to lock what has changed since it was read, as it does from 11.6.2 on."""
	frappe.db.commit()
	if not frappe.db.sql("show variables like 'innodb_snapshot_isolation'"):
		pytest.skip("MariaDB before 10.6.18 can't refuse to lock what has changed: there is nothing to undo.")
	frappe.db.sql("set session innodb_snapshot_isolation = on")
	monkeypatch.setattr(frappe.local, "consent_connection", None, raising=False)
	monkeypatch.setattr(waiting, "_refuses", lambda: True)
	yield
	frappe.db.rollback()
	frappe.db.sql("set session innodb_snapshot_isolation = default")
	frappe.local.consent_connection = None


@pytest.mark.usefixtures("strict_snapshots")
def test_who_read_before_somebody_else_wrote_may_still_say_no(mailbox, meanwhile):
	email = mailbox()
	give(email)
	frappe.db.commit()
	assert api.check_consent([email])[email]["allowed"]
	meanwhile(lambda: give(email, source="Web Form"))
	api.withdraw_consent(email=email)
	frappe.db.commit()
	assert statuses(email) == ["Superseded", "Withdrawn"]
