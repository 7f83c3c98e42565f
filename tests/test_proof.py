"""How strong a proof is, and how strong it has to be: grades, countries, purposes (NA, SO, V4)."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from conftest import PROOF, give, give_to_customer, rest_on_sales

import frappe

from gdpr_consent import api, ledger, links, proof, register, renewal, tasks
from gdpr_consent.clock import now_utc
from gdpr_consent.exceptions import ConsentError, StandingRefusal
from gdpr_consent.identity import Person, people_at
from gdpr_consent.register import writing

MARKETING = "Email Marketing"
POSTAL = {"address_title": "Test", "address_line1": "1 rue X", "city": "X"}
WORDS = {"source": "Phone", "evidence": "Said so in a test call."}


def reason(email: str, topic: str | None = None, **more) -> str:
	return api.check_consent([email], MARKETING, topic, **more)[email]["reason"]


@pytest.fixture
def rule(site: str) -> Callable[..., None]:
	"""Set the rule of a country, None being any other; it is rolled back."""

	def set_rule(country: str | None, **values) -> None:
		name = country or proof.ANY_OTHER_COUNTRY
		if frappe.db.exists("Consent Country Rule", name):
			frappe.get_doc("Consent Country Rule", name).update(values).save()
		else:
			frappe.new_doc("Consent Country Rule", applies_to=country, **values).insert()

	return set_rule


def test_na_07_the_country_and_how_it_is_known_are_recorded(address, lead, contact, customer):
	polish = lead(address(), country="Poland")
	client = customer(person := contact(address()))
	frappe.new_doc(
		"Address",
		address_title=client.name,
		address_line1="1 rue X",
		city="Lyon",
		country="France",
		links=[{"link_doctype": "Customer", "link_name": client.name}],
	).insert()
	for email, party, country, source in (
		(polish.email_id, ("Lead", polish.name), "Poland", "Person"),
		(polish.email_id, (None, None), "Poland", "Person"),
		(person.email_ids[0].email_id, ("Contact", person.name), "France", "Person"),
		(person.email_ids[0].email_id, ("Customer", client.name), "France", "Person"),
		(address(), (None, None), "Germany", "Company"),
	):
		name = give(email, party_type=party[0], party=party[1], given_on=writing.now_utc())
		row = frappe.get_doc("Consent", name)
		assert (row.country, row.country_source) == (country, source)


def test_na_07_records_that_name_two_countries_say_nothing(address, lead):
	email = address()
	lead(email, country="Poland")
	frappe.db.set_value("Lead", lead(address(), country="Germany").name, "email_id", email)
	row = frappe.get_doc("Consent", give(email))
	assert (row.country, row.country_source) == (None, "Several Countries")
	assert proof.rule_of(row.country) == proof.STRICTEST


def place_in_words(email: str, party_type: str | None, party: str | None, company: str) -> proof.Place:
	"""What NA-07 says, one person and one record at a time."""

	def of_customer(name: str) -> set[str]:
		linked = {"link_doctype": "Customer", "link_name": name, "parenttype": "Address"}
		names = frappe.get_all("Dynamic Link", linked, pluck="parent")
		return {frappe.db.get_value("Address", name, "country") for name in names}

	def on(person: Person) -> set[str | None]:
		doc = frappe.get_doc(*person)
		if person.party_type == "Lead":
			return {doc.country}
		if person.party_type == "Customer":
			return of_customer(doc.name)
		own = doc.address and frappe.db.get_value("Address", doc.address, "country")
		customers = [link.link_name for link in doc.links if link.link_doctype == "Customer"]
		return {own} if own else {country for name in customers for country in of_customer(name)}

	people = [Person(party_type, party)] if party else people_at([email])[email]
	named = {country for person in people for country in on(person)} - {None, ""}
	if named:
		return (
			proof.Place(named.pop(), "Person") if len(named) == 1 else proof.Place(None, "Several Countries")
		)
	if frappe.db.get_single_value("Consent Settings", "assume_company_country"):
		return proof.Place(frappe.db.get_value("Company", company, "country"), "Company")
	return proof.Place(None, "Unknown")


@pytest.mark.parametrize("assume", [0, 1])
def test_na_07_the_places_of_many_are_those_of_each(address, lead, contact, customer, assume):
	frappe.db.set_single_value("Consent Settings", "assume_company_country", assume)
	chance = random.Random(assume)
	countries = [None, "Poland", "Germany", "France"]
	customers, subjects = [], []
	for _number in range(6):
		made = customer()
		for country in chance.sample(countries, chance.randrange(3)):
			links = [{"link_doctype": "Customer", "link_name": made.name}]
			frappe.new_doc("Address", **POSTAL, country=country or "Austria", links=links).insert()
		customers.append(made.name)
	for _number in range(25):
		email, country = address(), chance.choice(countries)
		links = [
			{"link_doctype": "Customer", "link_name": name}
			for name in chance.sample(customers, chance.randrange(3))
		]
		own = country and frappe.new_doc("Address", **POSTAL, country=country).insert().name
		person = contact(email, links=links, address=own)
		shares_mailbox = chance.random() < 0.3
		asks = lead(None if shares_mailbox else address(), country=chance.choice(countries))
		if shares_mailbox:
			frappe.db.set_value("Lead", asks.name, "email_id", email)
		subjects += [
			(email, None, None),
			(email, "Contact", person.name),
			(email, "Lead", asks.name),
			(asks.email_id or email, None, None),
			(email, "Customer", chance.choice(customers)),
			(address(), None, None),
			("no address", None, None),
		]
	company = frappe.get_all("Company", pluck="name")[0]

	places = proof.places_of(subjects, company)

	assert places == [place_in_words(*subject, company) for subject in subjects]
	assert places == [proof.place_of(*subject, company) for subject in subjects]
	assert {place.source for place in places} == {
		"Person",
		"Several Countries",
		"Company" if assume else "Unknown",
	}


def test_na_07_whose_country_isnt_known_gets_the_strictest_rule_unless_the_settings_say_else(address):
	frappe.db.set_single_value("Consent Settings", "assume_company_country", 0)
	email = address()
	unknown = frappe.get_doc("Consent", give(email, **WORDS))
	assert (unknown.country, unknown.country_source) == (None, "Unknown")
	assert proof.rule_of(unknown.country) == proof.STRICTEST
	assert reason(email) == "NO_EVIDENCE"


def test_na_01_na_04_words_of_staff_open_no_mailbox_in_any_country_as_delivered(address, lead):
	for country in ("Poland", "Germany", "France"):
		claimed, documented = (lead(address(), country=country).email_id for _ in range(2))
		give(claimed, **WORDS)
		give(documented)
		assert (reason(claimed), reason(documented)) == ("NO_EVIDENCE", "VALID_CONSENT"), country


def test_the_grades_that_a_country_and_a_purpose_accept_decide_now_as_then(address, lead, rule):
	email = lead(address(), country="France").email_id
	rule("France", double_opt_in=0, accepted_grades="Any")
	give(email, **WORDS)
	assert (reason(email), reason(email, at=writing.now_utc())) == ("VALID_CONSENT",) * 2
	rule("France", accepted_grades="A, B or C")
	assert (reason(email), reason(email, at=writing.now_utc())) == ("NO_EVIDENCE",) * 2
	rule("France", accepted_grades="Any")
	frappe.get_doc("Processing Purpose", MARKETING).update({"accepted_grades": "A"}).save()
	try:
		assert reason(email) == "NO_EVIDENCE"
	finally:
		frappe.db.rollback()
		frappe.clear_document_cache("Processing Purpose", MARKETING)


def test_v4_the_opt_in_rule_in_force_at_capture_decides(address, lead, rule):
	strict, lax = (lead(address(), country="France").email_id for _ in range(2))
	rule("France", double_opt_in=1, accepted_grades="Any")
	give(strict, **WORDS)
	rule("France", double_opt_in=0)
	give(lax, **WORDS)
	assert (reason(strict), reason(lax)) == ("NO_EVIDENCE", "VALID_CONSENT")
	rule("France", double_opt_in=1)
	assert (reason(strict), reason(lax)) == ("NO_EVIDENCE", "VALID_CONSENT")


def test_na_05_grades_are_about_mail(phone_number):
	number = phone_number()
	give(number, channel="Phone", **WORDS)
	assert reason(number, channel="Phone") == "VALID_CONSENT"


@pytest.fixture
def customers_may_be_written_to(site):
	rest_on_sales("Processing Purpose", MARKETING)
	yield
	frappe.db.rollback()
	frappe.clear_document_cache("Processing Purpose", MARKETING)


def test_so_07_the_existing_customer_rule_is_the_countrys(address, lead, rule, customers_may_be_written_to):
	wanted = {"Germany": "EXISTING_CUSTOMER", "Poland": "NO_CONSENT", "France": "NO_CONSENT"}
	people = {country: lead(address(), country=country).email_id for country in wanted}
	for email in people.values():
		give_to_customer(email)
	assert {country: reason(email) for country, email in people.items()} == wanted
	rule("Germany", existing_customer=0)
	assert reason(people["Germany"]) == "NO_CONSENT"
	rule("Germany", existing_customer=1, enabled=0)  # it falls to the strictest
	assert reason(people["Germany"]) == "NO_CONSENT"


def test_the_rule_of_any_other_country_is_kept(rule):
	with pytest.raises(ConsentError, match="is kept"):
		rule(None, enabled=0)
	with pytest.raises(ConsentError, match="is kept"):
		frappe.get_doc("Consent Country Rule", proof.ANY_OTHER_COUNTRY).delete()


def test_a_confirmation_without_a_wording_says_so(address):
	email = address()
	(row,) = register.request(email=email, by_the_person=True)
	register.confirm([row["name"]], links.now_utc())
	consent = frappe.get_doc("Consent", row["name"])
	assert (consent.evidence_grade, reason(email)) == ("A", "VALID_CONSENT")
	assert consent.evidence.endswith("No wording is on record.")


@pytest.mark.parametrize(("old", "new"), [("A", "A"), ("B", "C"), ("C", "D"), ("D", "D")])
def test_events_of_the_old_grades_fold_to_the_new_ones(address, old, new):
	name = give(address())
	event = ledger.read_events("Consent", [name])[name][0]
	facts = {key: value for key, value in event.facts.items() if key not in ("double_opt_in", "country")}
	assert ledger.fold([event._replace(facts=facts | {"evidence_grade": old})])["evidence_grade"] == new


def test_rows_of_the_old_grades_are_migrated(address):
	names = {old: give(address()) for old in "ABCD"}
	for old, name in names.items():
		frappe.db.set_value("Consent", name, "evidence_grade", old, update_modified=False)
	register.regrade()
	grades = {old: frappe.db.get_value("Consent", name, "evidence_grade") for old, name in names.items()}
	assert grades == {"A": "A", "B": "C", "C": "D", "D": "D"}


def test_the_document_of_a_proof_is_a_file_of_the_site():
	assert frappe.db.exists("File", {"file_url": PROOF["evidence"]})


# --- single opt-in ------------------------------------------------------------------------------------------


@pytest.fixture
def lax_topic(topic, rule):
	"""A topic that asks for no double opt-in, in a country that asks for none either."""
	rule("France", double_opt_in=0, accepted_grades="A, B or C")
	frappe.get_doc("Subscription Topic", topic).update({"double_opt_in": 0}).save()
	return topic


def sign_up(email: str, *topics: str) -> list[str]:
	rows = register.request(
		email=email, topics=topics, source="Web Form", by_the_person=True, evidence="Ticked on the form."
	)
	return [row["topic"] or "" for row in rows]


def test_where_nothing_asks_for_double_opt_in_the_form_is_enough(address, lead, lax_topic):
	email = lead(address(), country="France").email_id
	assert sign_up(email, lax_topic) == []
	assert reason(email, lax_topic) == "VALID_CONSENT"
	row = frappe.get_doc("Consent", {"email": email, "topic": lax_topic})
	assert (row.evidence_grade, row.evidence, row.double_opt_in) == ("B", "Ticked on the form.", 0)
	event = frappe.get_doc("Consent Event", f"{row.name}-1")
	assert (event.kind, event.indicated_by) == ("Give", "Data Subject")


def test_v4_topic_or_country_asks_for_double_opt_in(address, lead, topic, lax_topic):
	strict = frappe.copy_doc(frappe.get_doc("Subscription Topic", topic))
	strict.update({"title": f"{topic} strict", "double_opt_in": 1}).insert()
	french, polish = (lead(address(), country=country).email_id for country in ("France", "Poland"))
	assert sign_up(french, lax_topic, strict.name) == [strict.name]
	assert sign_up(polish, lax_topic) == ["", lax_topic]


def test_st_08_after_a_no_only_a_confirmation_counts(address, lead, lax_topic):
	email = lead(address(), country="France").email_id
	sign_up(email, lax_topic)
	api.withdraw_consent(email=email, topic=lax_topic, source="Phone")
	assert sign_up(email, lax_topic) == [lax_topic]
	assert reason(email, lax_topic) == "REQUESTED" or not api.has_consent(email, topic=lax_topic)
	api.object_to_marketing(email=email, source="Phone")
	assert sign_up(email, lax_topic) == ["", lax_topic]


def test_staff_give_nothing_in_the_persons_place(address, lead, lax_topic):
	email = lead(address(), country="France").email_id
	rows = register.request(email=email, topics=[lax_topic], source="Phone", evidence="Ticked on the form.")
	assert {row["status"] for row in rows} == {"Requested"}


# --- renewal ------------------------------------------------------------------------------------------------


def test_t10_whose_proof_is_too_weak_confirms_and_gets_a_new_record(address, clock):
	email = address()
	old = give(email, **WORDS)
	clock.forward(hours=1)
	(asked,) = register.request(email=email, by_the_person=True)
	assert (asked["name"], asked["status"], reason(email)) == (old, "Given", "NO_EVIDENCE")
	made = clock.forward(minutes=1)
	(new,) = register.confirm([old], made)
	assert (new["supersedes"], new["evidence_grade"], reason(email)) == (old, "A", "VALID_CONSENT")
	assert frappe.db.get_value("Consent", old, "status") == "Superseded"
	assert register.rebuild(old)["changed"] == register.rebuild(new["name"])["changed"] == {}
	clock.forward(minutes=1)
	assert [row["name"] for row in register.confirm([old], made)] == [new["name"]]  # nothing more
	assert frappe.db.count("Consent", {"email": email}) == 2


def test_ca_16_a_link_that_wasnt_made_to_renew_renews_nothing(address, clock):
	name = give(address())
	clock.forward(hours=1)
	assert [row["name"] for row in register.confirm([name], clock.now)] == [name]
	assert frappe.db.get_value("Consent", name, ["status", "last_seq"]) == ("Given", 1)


def test_st_14_a_no_since_the_link_was_made_wins_over_a_renewal(address, clock):
	email = address()
	name = give(email, **WORDS)
	clock.forward(hours=1)
	register.request(email=email, by_the_person=True)
	made = clock.now
	clock.forward(hours=1)
	api.object_to_marketing(email=email, source="Phone")
	clock.forward(hours=1)
	assert register.confirm([name], made) == []


# --- words that change --------------------------------------------------------------------------------------


def purposed(mailbox, topic: str, wording: str) -> str:
	"""Somebody who agreed to a topic under a wording, committed."""
	email = mailbox()
	give(email)
	give(email, topic, wording=wording)
	frappe.db.commit()
	return email


def mails_to(email: str) -> list[str]:
	rows = frappe.get_all("Email Queue Recipient", {"recipient": email}, pluck="parent")
	return frappe.get_all("Email Queue", {"name": ["in", rows or [""]]}, pluck="message")


def confirmed(asked: list[dict]) -> list[dict]:
	return register.confirm([row["name"] for row in asked], now_utc())


def test_so_07_who_is_no_customer_to_write_to_here_can_say_yes_themselves(
	address, lead, topic, customers_may_be_written_to
):
	"""Their record goes on, and opens nothing where they are."""
	email = lead(address(), country="Poland").email_id
	before = give_to_customer(email)
	assert reason(email) == "NO_CONSENT"
	asked = register.request(email=email, topics=[topic], by_the_person=True)
	assert {row["topic"] for row in asked} == {None, topic}
	assert {row["legal_basis"] for row in confirmed(asked)} == {"Consent"}
	assert (reason(email), reason(email, topic)) == ("VALID_CONSENT", "VALID_CONSENT")
	assert frappe.db.get_value("Consent", before, "status") == "Superseded"
	assert api.rebuild(before)["changed"] == {}


def test_a_customer_who_may_be_written_to_isnt_asked_for_what_is_there(
	address, lead, customers_may_be_written_to
):
	email = lead(address(), country="Germany").email_id
	give_to_customer(email)
	assert register.request(email=email, by_the_person=True) == []


def test_em_19_who_has_agreed_and_whose_mail_came_back_can_say_that_it_works_again(address):
	email = address()
	give(email)
	assert register.note_bounce(email, now_utc(), "550 5.1.1")
	assert reason(email) == "SUPPRESSED"
	asked = register.request(email=email, by_the_person=True)
	assert confirmed(asked)
	assert reason(email) == "VALID_CONSENT"


@pytest.mark.parametrize("change", [{"text": "News of B."}, {"material": 1}, {"language": "pl"}])
def test_lb_09_ca_06_what_somebody_agreed_to_stays_whatever_a_client_says(address, topic, change):
	wording = frappe.new_doc(
		"Consent Wording", purpose=MARKETING, topic=topic, language="en", text="News of A."
	).insert()
	wording.update(change).save()  # nobody has agreed to it
	give(address(), topic, wording=wording.name)
	wording.reload()
	for field, value in change.items():
		wording.set(field, "de" if field == "language" else 0 if field == "material" else f"{value}!")
	with pytest.raises(ConsentError, match="stays as it is"):
		wording.update({"used": 0}).save()
	wording.reload()
	wording.update({"used": 0}).save()
	with pytest.raises(ConsentError, match="is kept"):
		wording.delete()


@pytest.mark.parametrize(
	("text", "language", "warns"),
	[
		("Write to me about trainings.", "en", True),
		("Write to me about trainings. I can withdraw at any time.", "en-GB", False),
		("Schreibt mir.", "de", True),
		("Schreibt mir. Das kann ich jederzeit WIDERRUFEN.", "de", False),
		("Piszcie do mnie.", "pl", True),
		("Piszcie do mnie. Zgodę mogę w każdej chwili wycofać.", "pl", False),
		("Écrivez-moi.", "fr", False),  # which we don't read
	],
)
def test_ca_13_who_writes_a_wording_is_told_that_it_doesnt_say_how_to_withdraw(site, text, language, warns):
	wording = frappe.new_doc("Consent Wording", purpose=MARKETING, language=language, text=text)
	for has_changed in (True, False):
		frappe.clear_messages()
		wording.save()
		said = [message for message in frappe.message_log if "how to withdraw" in message["message"]]
		assert bool(said) == (warns and has_changed)


def test_a_wording_without_a_text_is_refused_in_words(site):
	with pytest.raises(frappe.MandatoryError, match="text"):
		frappe.new_doc("Consent Wording", purpose=MARKETING, language="en").insert()


def test_v6_a_material_change_leaves_older_consents_without_proof(mailbox, committed_topic, wording):
	first = wording(committed_topic, "News of A.")
	german = wording(committed_topic, "Neues von A.", "de")
	english_person, german_person = (purposed(mailbox, committed_topic, one) for one in (first, german))
	wording(committed_topic, "News of A, corrected.")
	assert reason(english_person, committed_topic) == "VALID_CONSENT"

	newest = wording(committed_topic, "News of A and B.", material=1)

	assert reason(english_person, committed_topic) == "NO_EVIDENCE"
	assert reason(english_person, committed_topic, at=now_utc()) == "NO_EVIDENCE"
	assert reason(german_person, committed_topic) == "VALID_CONSENT"
	assert api.reconsent_overview(newest)["consents"] == 1
	assert first in api.reconsent_overview(newest)["wordings"]


def test_v6_those_who_may_be_asked_are_asked_once_and_their_answer_counts(
	mailbox, committed_topic, wording, smtp
):
	first = wording(committed_topic, "News of A.")
	asked, refuser = (purposed(mailbox, committed_topic, first) for _ in range(2))
	api.object_to_marketing(email=refuser, source="Phone")
	frappe.db.commit()
	newest = wording(committed_topic, "News of A and B.", material=1)

	assert (renewal.ask_about(newest), renewal.ask_about(newest)) == (1, 0)

	assert (len(mails_to(asked)), mails_to(refuser)) == (1, [])
	assert reason(asked, committed_topic) == "NO_EVIDENCE"  # silence renews nothing (CA-16)
	name = frappe.db.get_value("Consent", {"email": asked, "topic": committed_topic})
	(new,) = register.confirm([name], now_utc())
	assert (new["supersedes"], new["wording"], new["evidence_grade"]) == (name, newest, "A")
	assert reason(asked, committed_topic) == "VALID_CONSENT"
	frappe.db.commit()
	assert renewal.ask_about(newest) == 0


def test_only_who_may_write_a_wording_starts_a_run(committed_topic, wording, user_with_roles):
	newest = wording(committed_topic, "News of A and B.", material=1)
	user_with_roles("Consent User")
	with pytest.raises(frappe.PermissionError):
		api.start_reconsent(newest)
	frappe.set_user("Administrator")  # who takes away what is committed


# --- before a consent expires -------------------------------------------------------------------------------


@pytest.fixture
def notice_days(site):
	"""Set how many days before expiry people are asked, committed."""
	before = frappe.db.get_single_value("Consent Settings", "renewal_notice_days")

	def set_days(days: int) -> None:
		frappe.db.set_single_value("Consent Settings", "renewal_notice_days", days)
		frappe.db.commit()

	yield set_days
	frappe.db.rollback()
	set_days(before)


def test_ca_15_one_who_cant_be_asked_keeps_nobody_else_from_being_asked(
	mailbox, smtp, notice_days, monkeypatch
):
	emails = [mailbox() for _number in range(3)]
	for email in emails:
		give(email, given_on="2020-01-01", expires_on=now_utc() + timedelta(days=10))
	frappe.db.commit()
	notice_days(30)
	send = renewal.send_confirmation_mail

	def fails_for_one(asked, language):
		if asked[0]["email"] == emails[1]:
			raise ValueError(f"{emails[1]} can't be written to")
		return send(asked, language)

	monkeypatch.setattr(renewal, "send_confirmation_mail", fails_for_one)
	before = frappe.db.count("Error Log")
	renewal.remind()
	assert [len(mails_to(email)) for email in emails] == [1, 0, 1]
	assert frappe.db.count("Error Log") > before
	assert emails[1] not in str(frappe.get_all("Error Log", ["error"], limit=20))


def test_ca_15_who_is_about_to_expire_is_asked_once_while_it_is_valid(
	mailbox, committed_topic, smtp, notice_days
):
	def person(days: float) -> str:
		email = mailbox()
		for topic in (None, committed_topic):
			give(email, topic, given_on="2020-01-01", expires_on=now_utc() + timedelta(days=days))
		return email

	soon, later, refuser = person(10), person(60), person(10)
	api.object_to_marketing(email=refuser, source="Phone")
	frappe.db.commit()

	notice_days(0)
	assert renewal.remind() == 0
	notice_days(30)
	renewal.remind()
	tasks.renewal.remind()

	assert [len(mails_to(email)) for email in (soon, later, refuser)] == [1, 0, 0]
	names = frappe.get_all("Consent", {"email": soon}, pluck="name")
	old = frappe.db.get_value("Consent", names[0], "expires_on")
	renewed = register.confirm(names, now_utc())
	assert {row["supersedes"] for row in renewed} == set(names)
	assert all(row["expires_on"] > old for row in renewed)
	assert reason(soon, committed_topic) == "VALID_CONSENT"


def cant_be_asked(mailbox, topic: str, **more) -> list[str]:
	"""Make people who agreed, and to whom nothing may be sent all the same; committed by the caller."""
	restricted, bounced, unproven, without_purpose = (mailbox() for _number in range(4))
	for email in (restricted, bounced):
		give(email, **more)
		give(email, topic, **more)
	api.restrict(email=restricted, reason="Disputes the data")
	register.note_bounce(bounced, now_utc(), "5.1.1")
	for about in (None, topic):
		api.record_consent(email=unproven, topic=about, source="Phone", evidence="She said so.", **more)
	give(without_purpose, topic, **more)
	return [restricted, bounced, unproven, without_purpose]


def test_ca_15_ds_20_em_19_only_who_may_be_written_to_now_is_asked(
	mailbox, committed_topic, smtp, notice_days
):
	dates = {"given_on": "2020-01-01", "expires_on": now_utc() + timedelta(days=10)}
	nobody = cant_be_asked(mailbox, committed_topic, **dates)
	frappe.db.commit()
	notice_days(30)
	renewal.remind()
	assert [mails_to(email) for email in nobody] == [[], [], [], []]
	assert set(frappe.get_all("Consent", {"email": ["in", nobody]}, pluck="asked_on")) == {None}
	api.lift_restriction(email=nobody[0], reason="Settled.", informed_on=frappe.utils.today())
	api.lift_bounce(nobody[1], "It works.")
	frappe.db.commit()
	renewal.remind()
	assert [len(mails_to(email)) for email in nobody] == [1, 1, 0, 0]


def test_v6_ds_20_em_19_nobody_else_is_asked_about_words_that_changed(
	mailbox, committed_topic, wording, smtp
):
	first = wording(committed_topic, "News of A.")
	nobody = cant_be_asked(mailbox, committed_topic, wording=None)
	frappe.db.set_value("Consent", {"email": ["in", nobody], "topic": committed_topic}, "wording", first)
	frappe.db.commit()
	newest = wording(committed_topic, "News of A and B.", material=1)
	assert renewal.ask_about(newest) == 0
	assert [mails_to(email) for email in nobody] == [[], [], [], []]


def test_em_19_staff_ask_nobody_whose_mailbox_returns_mail(mailbox, smtp):
	email = mailbox()
	register.note_bounce(email, now_utc(), "5.1.1")
	with pytest.raises(StandingRefusal, match="comes back"):
		api.request_consent(email)
	assert mails_to(email) == []
	assert register.request(email=email, by_the_person=True), "who signs up says that it works"
