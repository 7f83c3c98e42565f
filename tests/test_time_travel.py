"""What is answered about another instant, as it was known at another: ST-04, ST-10, ST-11, TM-01, TM-05."""

import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from conftest import PROOF, give
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import frappe
from frappe.utils import cint

from gdpr_consent import api, audience, register
from gdpr_consent.clock import from_utc_text
from gdpr_consent.exceptions import ConsentError, InvalidPeriod

MICROSECOND = timedelta(microseconds=1)
ZONES = ("UTC", "Europe/Warsaw", "America/Los_Angeles", "Asia/Kathmandu", "Pacific/Kiritimati")
# A common day, both nights in which Warsaw changes its clocks, and the end of February in a leap year.
STARTS = (
	datetime(2026, 3, 1, 9),
	datetime(2026, 3, 29, 0, 30),
	datetime(2026, 10, 25, 0, 10),
	datetime(2028, 2, 29),
)
ACTS = ("give", "give late", "confirm", "withdraw", "object", "revoke", "invalidate", "invalidate late")
GAPS = (1, 20, 60, 24 * 60, 300 * 24 * 60)  # minutes


def reason(email: str, **when) -> str:
	(answer,) = api.check_consent([email], **when).values()
	assert answer["allowed"] is (answer["reason"] == "VALID_CONSENT")
	return answer["reason"]


class Model:
	"""The events of one person about one purpose, folded in the plainest way."""

	def __init__(self) -> None:
		self.events: list[
			tuple[datetime, datetime, str, datetime | None]
		] = []  # from, recorded, what, expires

	def add(self, since: datetime, recorded: datetime, what: str, expires: datetime | None = None) -> None:
		self.events.append((since, recorded, what, expires))

	def answer(self, at: datetime, known_at: datetime) -> str:
		state, over, noes = "NO_CONSENT", None, {}
		for since, recorded, what, expires in self.events:
			if since > at or recorded > known_at:
				continue
			if what == "CONFIRMED":
				noes.clear()
			if what in ("OBJECTED", "WITHDRAWN"):
				noes[what] = True
			state, over = ("VALID_CONSENT" if what in ("GIVEN", "CONFIRMED") else what), expires
		if noes:
			return "OBJECTED" if "OBJECTED" in noes else "WITHDRAWN"
		return "EXPIRED" if state == "VALID_CONSENT" and at >= over else state


def act(what: str, email: str, clock, model: Model, last: datetime) -> None:
	"""Do one thing as of now, and tell the model where the register has accepted it."""
	now = clock.now
	midway = last + (now - last) / 2
	consent = frappe.db.get_value("Consent", {"email": email, "status": "Given"})
	try:
		if what.startswith("give"):
			if model.answer(now, now) == "VALID_CONSENT":
				return
			since = midway if what == "give late" else now
			row = api.record_consent(email=email, given_on=since, **PROOF)
			model.add(since, now, "GIVEN", from_utc_text(row["expires_on"]))
		elif what == "confirm":
			pending = register.request(email=email, by_the_person=True)
			(row,) = register.confirm([one["name"] for one in pending], now) if pending else (None,)
			if row:
				model.add(now, now, "CONFIRMED", row["expires_on"])
		elif what == "withdraw":
			api.withdraw_consent(email=email)
			model.add(now, now, "WITHDRAWN")
		elif what == "object":
			api.object_to_marketing(email=email)
			model.add(now, now, "OBJECTED")
		elif consent and model.answer(now, now) == "VALID_CONSENT":
			if what == "revoke":
				api.revoke_consent(consent, "Why")
				model.add(now, now, "REVOKED")
			else:
				since = midway if what == "invalidate late" else now
				api.invalidate_consent(consent, "Why", since)
				model.add(since, now, "INVALIDATED")
	except ConsentError:
		frappe.local.message_log = []


steps = st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from(GAPS)), min_size=1, max_size=6)


@pytest.fixture
def travel(address, clock):
	def check(start: datetime, done: list[tuple[str, int]], zone: str, chosen: list[int]) -> None:
		email, model = address(), Model()
		clock.now = last = start
		for what, minutes in done:
			clock.forward(minutes=minutes)
			act(what, email, clock, model, last)
			last = clock.now
		clock.forward(days=900)
		moments = sorted({one[0] for one in model.events} | {one[1] for one in model.events})
		moments += [one[3] for one in model.events if one[3] and one[3] < clock.now]
		around = (-MICROSECOND, timedelta(0), MICROSECOND)
		moments = [moment + by for moment in moments or [start] for by in around]
		there = ZoneInfo(zone)
		for pick in chosen:
			at, known_at = moments[pick % len(moments)], moments[pick // 7 % len(moments)]
			as_text = at.replace(tzinfo=ZoneInfo("UTC")).astimezone(there).isoformat()
			assert reason(email, at=as_text) == model.answer(at, clock.now), (model.events, at)
			assert reason(email, at=as_text, known_at=known_at) == model.answer(at, known_at), (at, known_at)
			assert reason(email, known_at=known_at) == model.answer(known_at, known_at)
		assert reason(email) == reason(email, at=clock.now) == model.answer(clock.now, clock.now)

	return check


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
	start=st.sampled_from(STARTS),
	done=steps,
	zone=st.sampled_from(ZONES),
	chosen=st.lists(st.integers(0, 10_000), min_size=4, max_size=4),
)
@example(  # given in the first 02:30 of that night in Warsaw, withdrawn in the second 02:10
	start=STARTS[2], done=[("give", 20), ("withdraw", 60)], zone="Europe/Warsaw", chosen=[*range(12)]
)
@example(start=STARTS[3], done=[("give", 1)], zone="Asia/Kathmandu", chosen=[*range(9)])
@example(
	start=STARTS[1],
	done=[("give", 20), ("invalidate late", 60)],
	zone="Pacific/Kiritimati",
	chosen=[*range(40)],
)
def test_st_10_every_answer_is_that_of_the_events_folded_by_hand(travel, start, done, zone, chosen):
	travel(start, done, zone, chosen)


@pytest.mark.parametrize("zone", ZONES)
def test_tm_01_where_server_and_site_are_changes_no_answer(address, clock, monkeypatch, zone):
	monkeypatch.setenv("TZ", zone)
	time.tzset()
	monkeypatch.setattr("gdpr_consent.clock.get_system_timezone", lambda: zone)
	try:
		email = address()
		clock.at(2028, 2, 29, 12)
		give(email)
		assert reason(email, at="2028-02-29T11:59:59.999999Z") == "NO_CONSENT"
		assert reason(email, at="2028-02-29T12:00:00Z") == "VALID_CONSENT"
		assert reason(email, at="2030-02-28T11:59:59.999999Z") == "VALID_CONSENT"
		assert reason(email, at="2030-02-28T12:00:00Z") == "EXPIRED"  # 24 months on (TM-05)
		local = datetime(2028, 2, 29, 12, tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(zone))
		assert reason(email, at=local) == "VALID_CONSENT"
		assert reason(email, at=local - MICROSECOND) == "NO_CONSENT"
	finally:
		monkeypatch.undo()
		time.tzset()


def test_before_the_register_began_and_in_time_to_come(address):
	email = address()
	give(email)
	assert reason(email, at="1970-01-01") == "NO_CONSENT"
	assert reason(email, at="0001-01-01", known_at="9999-12-31") == "NO_CONSENT"
	assert reason(email, at="2026-12-31", known_at="9999-12-31T23:59:59Z") == "VALID_CONSENT"
	assert reason(email, at="9999-12-31") == "EXPIRED"
	for wrong in ("2026-02-30", "soon", "2026-03-01T25:00:00Z"):
		with pytest.raises(InvalidPeriod, match=wrong):
			api.check_consent([email], at=wrong)


def test_somebody_who_was_erased_is_suppressed_and_unproven_before(address, clock):
	"""AU-03: what was said is gone; when something was said isn't."""
	email = address()
	clock.at(2026, 3, 1)
	give(email)
	clock.at(2026, 5, 1)
	register.erase([email], [])
	clock.at(2026, 6, 1)
	assert reason(email, at="2026-02-01") == "NO_CONSENT"
	assert reason(email, at="2026-04-01") == "NO_EVIDENCE"
	assert reason(email, at="2026-04-01", known_at="2026-04-01") == "NO_EVIDENCE"
	assert reason(email, at="2026-05-01") == reason(email) == "SUPPRESSED"


def test_a_topic_a_purpose_and_a_legal_basis_that_are_deleted_still_have_a_past(address, clock, topic):
	purpose = frappe.copy_doc(frappe.get_doc("Processing Purpose", "Email Marketing"))
	purpose.title = f"Gone {frappe.generate_hash(length=8)}"
	purpose.insert()
	email = address()
	clock.at(2026, 3, 1)
	give(email, purpose=purpose.name)
	give(email)
	give(email, topic)
	clock.at(2026, 6, 1)
	frappe.db.delete("Processing Purpose", {"name": purpose.name})
	frappe.db.delete("Subscription Topic", {"name": topic})
	frappe.clear_document_cache("Processing Purpose", purpose.name)
	frappe.clear_document_cache("Subscription Topic", topic)
	for about in ({"purpose": purpose.name}, {"purpose": "Email Marketing", "topic": topic}):
		assert reason(email, **about, at="2026-04-01") == "VALID_CONSENT"
		assert reason(email, **about, at="2026-02-01") == "NO_CONSENT"
		with pytest.raises(ConsentError, match="doesn't exist"):
			api.check_consent([email], **about)
	frappe.db.delete("Legal Basis", {"name": "Consent"})
	assert reason(email, purpose=purpose.name, at="2026-04-01") == "VALID_CONSENT"


def test_a_person_who_is_renamed_and_merged_since_has_the_same_past(address, contact, clock):
	email = address()
	one, other = contact(email), contact(address())
	clock.at(2026, 3, 1)
	give(email, party_type="Contact", party=one.name)
	clock.at(2026, 4, 1)
	one.reload()
	frappe.rename_doc("Contact", one.name, other.name, merge=True)
	clock.at(2026, 6, 1)
	assert reason(email, at="2026-03-15") == "VALID_CONSENT"


@pytest.mark.parametrize("emails", [1, 50])
def test_the_past_takes_the_same_few_queries_whoever_many_are_asked(address, monkeypatch, emails):
	asked = [address() for _ in range(emails)]
	for email in asked[:3]:
		give(email)
		api.object_to_marketing(email=email)
	reason(asked[0], at="2026-03-01")  # fills the caches that all share
	said: list[tuple] = []
	sql = frappe.db.sql

	def note(query, *args, **more):
		said.append((query, *args))
		return sql(query, *args, **more)

	monkeypatch.setattr(frappe.db, "sql", note)
	audience.decide_many(asked, "Email Marketing", None, "Email", datetime(2027, 3, 1))
	assert len(said) <= 6
	of_people = [one for one in said if "`tabConsent" in one[0] or "`tabSuppression" in one[0]]
	plans = [sql(f"explain {query}", *args, as_dict=True) for query, *args in of_people]
	assert len(plans) == 4
	for plan in plans:
		for table in plan:
			assert table.key or cint(table.rows) < 1_000, table


# --- the door of the desk -----------------------------------------------------------------------------------


def test_was_mailable_says_what_it_rested_on(address, contact, clock):
	email, second = address(), address()
	person = contact(email, second)
	clock.at(2026, 3, 1, 9)
	name = give(email, party_type="Contact", party=person.name)
	clock.at(2026, 4, 1)
	api.withdraw_consent(party_type="Contact", party=person.name)
	clock.at(2026, 6, 1)
	answer = api.was_mailable("Contact", person.name, at="2026-03-01T10:00:00+01:00")
	assert (answer["purpose"], answer["at"]) == ("Email Marketing", "2026-03-01T09:00:00.000000Z")
	yes, nothing = answer["rows"]
	assert (yes["email"], yes["allowed"], yes["consent"]) == (email, True, name)
	assert (yes["source"], yes["evidence"]) == tuple(PROOF.values())
	assert yes["given_on"] == "2026-03-01T09:00:00.000000Z"
	assert (nothing["email"], nothing["reason"], nothing["mails"]) == (second, "NO_CONSENT", [])
	later = api.was_mailable("Contact", person.name, at="2026-04-01")["rows"]
	assert [row["reason"] for row in later] == ["WITHDRAWN", "WITHDRAWN"]
	with pytest.raises(InvalidPeriod, match="At"):
		api.was_mailable("Contact", person.name, at="")


def test_was_mailable_is_for_who_may_see_consents_and_the_person(contact, address, user_with_roles):
	hidden, visible = contact(address()), contact(address())
	user_with_roles("Sales User")
	with pytest.raises(frappe.PermissionError):
		api.was_mailable("Contact", visible.name, at="2026-03-01")
	frappe.set_user("Administrator")
	user = user_with_roles("Consent User", "Sales User")
	frappe.set_user("Administrator")
	frappe.new_doc("User Permission", user=user, allow="Contact", for_value=visible.name).insert()
	frappe.set_user(user)
	assert api.was_mailable("Contact", visible.name, at="2026-03-01")["rows"]
	with pytest.raises(frappe.PermissionError):
		api.was_mailable("Contact", hidden.name, at="2026-03-01")
