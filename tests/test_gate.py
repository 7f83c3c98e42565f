"""The gate, against a real SMTP server: what counts is the envelope that the server got."""

import html
import re
from collections.abc import Callable, Iterator
from email.parser import Parser
from email.policy import SMTP

import pymysql
import pytest
from conftest import give

import frappe
from frappe.email.doctype.email_queue.email_queue import send_now
from frappe.email.queue import flush

from gdpr_consent import api, register
from gdpr_consent.clock import now_utc
from gdpr_consent.gate import email_queue as gate
from gdpr_consent.gate import personal, self_check
from gdpr_consent.identity import address_key
from gdpr_consent.policy import RefusalKind

MARKETING = "Email Marketing"


def outcome(*emails: str) -> dict[str, str]:
	"""Return the status of the queued mail of each address. Recipient and mail have the same one."""
	found = {}
	for row in frappe.get_all(
		"Email Queue Recipient", {"recipient": ["in", emails]}, ["recipient", "status", "parent"]
	):
		assert frappe.db.get_value("Email Queue", row.parent, "status") == row.status
		found[row.recipient] = row.status
	return found


def decisions_on(*emails: str) -> dict[str, tuple[int, str]]:
	keys = {address_key(email): email for email in emails}
	return {
		keys[row.address_key]: (row.allowed, row.reason)
		for row in frappe.get_all(
			"Consent Decision", {"address_key": ["in", list(keys)]}, ["address_key", "allowed", "reason"]
		)
	}


def test_em_08_the_blocked_are_left_out_and_the_others_get_their_mail(queued, agreed, mailbox, smtp):
	yes, also_yes, never_asked = agreed(), agreed(), mailbox()
	mail = queued(yes, never_asked, also_yes, purpose=MARKETING)

	mail.send()

	assert smtp.reached() == sorted([yes, also_yes])
	assert outcome(yes, also_yes, never_asked) == {yes: "Sent", also_yes: "Sent", never_asked: "Blocked"}
	assert decisions_on(yes, also_yes, never_asked) == {
		yes: (1, "VALID_CONSENT"),
		also_yes: (1, "VALID_CONSENT"),
		never_asked: (0, "NO_CONSENT"),
	}


def test_em_09_a_decision_names_the_consent_and_no_address(queued, agreed, smtp):
	email = agreed()
	mail = queued(email, purpose=MARKETING)
	mail.send()
	(decision,) = frappe.get_all("Consent Decision", {"email_queue": mail.name}, ["*"])
	assert frappe.db.get_value("Consent", decision.consent, "email") == email
	assert email not in str(decision)


def test_a_mail_that_nobody_may_get_is_blocked_and_never_sent(queued, mailbox, smtp):
	nobody = mailbox()
	mail = queued(nobody, purpose=MARKETING)
	mail.send()
	assert smtp.reached() == []
	assert outcome(nobody) == {nobody: "Blocked"}


def test_fr_07_a_forced_send_doesnt_get_past_a_block(queued, mailbox, smtp):
	mail = queued(mailbox(), purpose=MARKETING)
	mail.send()
	send_now(mail.name, force_send=True)
	assert smtp.reached() == []


def test_st_09_a_withdrawal_after_queueing_stops_the_mail(queued, agreed, smtp):
	email = agreed()
	queued(email, purpose=MARKETING)
	api.withdraw_consent(email=email)
	frappe.db.commit()
	flush()
	assert smtp.reached() == []
	assert decisions_on(email) == {email: (0, "WITHDRAWN")}


@pytest.mark.parametrize("position", ["to", "cc", "bcc"])
@pytest.mark.parametrize("spelling", ["{}", "Jo Doe <{}>", "UPPER"])
def test_em_02_a_no_holds_in_every_position_and_spelling(queued, agreed, mailbox, smtp, position, spelling):
	yes, no = agreed(), agreed()
	api.object_to_marketing(email=no)
	written = no.upper() if spelling == "UPPER" else spelling.format(no)
	positions = {"recipients": [written]} if position == "to" else {position: [written]}
	recipients = [yes, *positions.pop("recipients", [])]

	queued(*recipients, purpose=MARKETING, **positions).send()

	assert smtp.reached() == [yes]


@pytest.mark.parametrize("spelling", ["{}", "Jo Doe <{}>", "UPPER"])
def test_a_yes_holds_in_every_spelling(queued, agreed, smtp, spelling):
	email = agreed()
	written = email.upper() if spelling == "UPPER" else spelling.format(email)
	queued(written, purpose=MARKETING).send()
	assert [reached.lower() for reached in smtp.reached()] == [email]


def test_a_row_with_several_addresses_is_decided_for_each(queued, agreed, mailbox, smtp):
	yes, no, also_yes = agreed(), mailbox(), agreed()
	mail = queued(yes, purpose=MARKETING)
	frappe.db.set_value(
		"Email Queue Recipient", {"parent": mail.name}, "recipient", f"{no}, {yes}, {also_yes}"
	)
	frappe.db.commit()
	frappe.get_doc("Email Queue", mail.name).send()
	assert smtp.reached() == sorted([yes, also_yes])


def test_em_22_readers_of_a_marketing_mail_dont_see_each_other(queued, agreed, mailbox, smtp):
	one, other, blocked = agreed(), agreed(), mailbox()
	queued(
		one, blocked, purpose=MARKETING, cc=[other], expose_recipients="header", add_unsubscribe_link=0
	).send()
	assert smtp.reached() == sorted([one, other])
	for delivery in smtp.deliveries:
		assert [email for email in (one, other, blocked) if email in delivery.content] == [delivery.to]


def test_em_05_service_mail_reaches_even_who_objected(queued, mailbox, smtp):
	email = mailbox()
	api.object_to_marketing(email=email)
	queued(email).send()
	queued(email, purpose="Contract Fulfilment").send()
	assert smtp.reached() == [email, email]
	assert not frappe.db.exists("Consent Decision", {"address_key": address_key(email)})


def test_mail_of_unknown_kind_follows_the_setting(queued, mailbox, colleague, smtp):
	frappe.db.set_single_value("Consent Settings", "unclassified_mail", "Treat as Marketing")
	try:
		queued(mailbox()).send()
		queued(colleague).send()
	finally:
		frappe.db.set_single_value("Consent Settings", "unclassified_mail", "Send")
		frappe.db.commit()
	assert smtp.reached() == [colleague]


def test_a_topic_needs_its_own_consent(queued, agreed, committed_topic, smtp):
	subscribed, general = agreed(committed_topic), agreed()
	queued(subscribed, general, topic=committed_topic).send()
	assert smtp.reached() == [subscribed]
	assert decisions_on(general) == {general: (0, "TOPIC_NOT_SUBSCRIBED")}


def test_an_unknown_purpose_blocks_and_says_error(queued, agreed, smtp):
	email = agreed()
	queued(email, purpose="Nonsense").send()
	assert smtp.reached() == []
	assert decisions_on(email) == {email: (0, "ERROR")}


STATES = {
	"Requested": lambda email: register.request(email=email, by_the_person=True),
	"Unknown": lambda email: register.record_unproven(email=email, source="Import"),
	"Refused": lambda email: register.refuse(email=email, source="Phone"),
	"Withdrawn": lambda email: (give(email), api.withdraw_consent(email=email)),
	"Revoked": lambda email: api.revoke_consent(give(email), "Purpose dropped"),
	"Invalidated": lambda email: register.invalidate(give(email), "The box was pre-ticked"),
	"Expired": lambda email: give(email, given_on="2020-01-01", expires_on="2022-01-01"),
	"Objected": lambda email: api.object_to_marketing(email=email),
	"Unsubscribed": lambda email: frappe.new_doc(
		"Email Unsubscribe", email=email.upper(), global_unsubscribe=1
	).insert(),
	"Restricted": lambda email: suppress(email, RefusalKind.RESTRICTION),
	"Suppressed": lambda email: suppress(email, RefusalKind.ERASURE),
}
REASONS = {"Unknown": "NO_EVIDENCE"}


def suppress(email: str, kind: RefusalKind) -> None:
	give(email)
	register.say_no([register.No(kind, register.Scope("", ""), email)], register.Act())


@pytest.mark.parametrize("state", STATES)
def test_em_01_every_state_but_given_blocks_for_its_own_reason(queued, mailbox, smtp, state):
	email = mailbox()
	mail = queued(email, purpose=MARKETING)
	STATES[state](email)
	frappe.db.commit()
	mail.reload()
	mail.send()
	assert smtp.reached() == []
	assert decisions_on(email) == {email: (0, REASONS.get(state, state.upper()))}


# --- the mail itself ----------------------------------------------------------------------------------------


def header_of(delivery, name: str) -> list[str]:
	return Parser().parsestr(delivery.content).get_all(name) or []


def link_in(delivery) -> str:
	(header,) = header_of(delivery, "List-Unsubscribe")
	return re.search(r"<(https?://[^>]+)>", header).group(1)


def test_em_11_a_marketing_mail_carries_one_way_out_per_reader(queued, agreed, smtp):
	"""RFC 8058 §3.1: one header of each kind, and a token that is the reader's own (EM-15)."""
	queued(agreed(), agreed(), purpose=MARKETING).send()
	for delivery in smtp.deliveries:
		assert header_of(delivery, "List-Unsubscribe-Post") == ["List-Unsubscribe=One-Click"]
		assert delivery.to not in link_in(delivery)
	assert len({link_in(delivery) for delivery in smtp.deliveries}) == 2


WITH_A_PLACE = {
	"add_unsubscribe_link": 1,
	"unsubscribe_message": "Leave",
	"reference_doctype": "ToDo",
	"reference_name": "any",
}


@pytest.mark.parametrize("more", [{"add_unsubscribe_link": 0}, WITH_A_PLACE], ids=["no place", "a place"])
def test_em_14_the_way_out_and_the_choices_are_visible_in_text_and_html(queued, agreed, smtp, web, more):
	email = agreed()
	queued(email, purpose=MARKETING, **more).send()
	(delivery,) = smtp.deliveries
	message = Parser(policy=SMTP).parsestr(delivery.content)
	for kind in ("plain", "html"):
		body = html.unescape(message.get_body((kind,)).get_content())
		assert body.count(link_in(delivery)) == 1
		(choices,) = re.findall(r"https?://[^\s\"]+/consent/preferences\?t=[\w.-]+", body)
		assert web.call("GET", web.path_of(choices)).status_code == 200
		assert ("Leave" in body) is ("unsubscribe_message" in more)


@pytest.mark.parametrize("quote", ['"', "'"])
def test_em_14_a_place_that_the_author_made_keeps_a_link_that_works(queued, agreed, smtp, quote):
	place = f"<a href={quote}<!--unsubscribe_url-->{quote}>Leave us</a>"
	mail = queued(agreed(), purpose=MARKETING, add_unsubscribe_link=0)
	mail.message = mail.message.replace("Hello</p>", f"Hello {place.replace('=', '=3D')}</p>")
	mail.send()
	(delivery,) = smtp.deliveries
	body = html.unescape(Parser(policy=SMTP).parsestr(delivery.content).get_body(("html",)).get_content())
	links_in_it = dict(re.findall(r"<a href=[\"']([^\"']+)[\"'][^>]*>([^<]+)</a>", body))
	assert links_in_it[link_in(delivery)] == "Leave us"
	assert "Your choices" in links_in_it.values()


@pytest.fixture
def controller(site) -> Iterator[Callable[..., None]]:
	"""Give the company that the mails are from a postal address, for a while."""
	company = frappe.db.get_value("Processing Purpose", MARKETING, "company")
	company = company or frappe.db.get_default("company")
	made: list[str] = []

	def lives_at(street: str) -> str:
		address = frappe.new_doc(
			"Address",
			address_title=company,
			address_type="Office",
			address_line1=street,
			pincode="10115",
			city="Berlin",
			country="Germany",
			is_your_company_address=1,
			is_primary_address=1,
			links=[{"link_doctype": "Company", "link_name": company}],
		)
		made.append(address.insert().name)
		frappe.db.commit()
		personal._imprint.clear_cache()
		return company

	yield lives_at
	frappe.db.rollback()
	for name in made:
		frappe.delete_doc("Address", name, force=True)
	frappe.db.commit()
	personal._imprint.clear_cache()


def bodies_of(delivery) -> list[str]:
	message = Parser(policy=SMTP).parsestr(delivery.content)
	return [html.unescape(message.get_body((kind,)).get_content()) for kind in ("plain", "html")]


@pytest.mark.parametrize("more", [{"add_unsubscribe_link": 0}, WITH_A_PLACE], ids=["no place", "a place"])
def test_em_10_a_marketing_mail_says_who_writes_and_where_they_are(queued, agreed, smtp, controller, more):
	"""Art. 13(4) ePrivacy, Art. 6 of 2000/31."""
	company = controller("Straße <1> & Söhne")
	queued(agreed(), purpose=MARKETING, **more).send()
	(delivery,) = smtp.deliveries
	for body in bodies_of(delivery):
		assert body.count(f"{company}, Straße <1> & Söhne, 10115 Berlin, Germany") == 1
	assert "<1>" not in Parser(policy=SMTP).parsestr(delivery.content).get_body(("html",)).get_content()


@pytest.mark.parametrize("more", [{"add_unsubscribe_link": 0}, WITH_A_PLACE], ids=["no place", "a place"])
def test_so_05_lb_08_each_marketing_mail_says_that_one_can_object(queued, mailbox, smtp, more):
	"""In the language of the reader, apart from everything else (Art. 21(4) GDPR, § 7(3) Nr. 4 UWG)."""
	email = mailbox()
	give(email, language="de")
	queued(email, purpose=MARKETING, **more).send()
	(delivery,) = smtp.deliveries
	plain, in_html = bodies_of(delivery)
	assert "Sie können Werbung jederzeit kostenlos widersprechen." in plain.splitlines()
	assert in_html.count(">Sie können Werbung jederzeit kostenlos widersprechen.</p>") == 1


def test_em_10_a_mail_that_says_it_itself_says_it_once(queued, agreed, smtp, controller):
	controller("Hauptstr. 1")
	mail = queued(agreed(), purpose=MARKETING)
	mail.message = mail.message.replace("Hello", "Hello from Hauptstr. 1")
	mail.send()
	(delivery,) = smtp.deliveries
	assert [body.count("Hauptstr. 1") for body in bodies_of(delivery)] == [1, 1]


def test_em_10_service_mail_is_left_as_it_is(queued, mailbox, smtp, controller):
	controller("Hauptstr. 1")
	queued(mailbox(), purpose="Contract Fulfilment").send()
	(delivery,) = smtp.deliveries
	assert not any("Hauptstr. 1" in body for body in bodies_of(delivery))


def test_em_12_service_mail_carries_no_way_out(queued, mailbox, smtp):
	queued(mailbox(), purpose="Contract Fulfilment").send()
	(delivery,) = smtp.deliveries
	assert header_of(delivery, "List-Unsubscribe") == header_of(delivery, "List-Unsubscribe-Post") == []


def test_a_link_is_never_stored_in_the_queue(queued, agreed, smtp):
	mail = queued(agreed(), purpose=MARKETING)
	mail.send()
	assert "consent/unsubscribe" not in frappe.db.get_value("Email Queue", mail.name, "message")


def test_a_colleague_may_get_a_test_of_a_newsletter(newsletter, agreed, colleague, smtp, work_off_jobs):
	letter = newsletter(agreed())
	letter.send_test_email(colleague)
	work_off_jobs()
	assert smtp.reached() == [colleague]


# --- faults -------------------------------------------------------------------------------------------------


def test_em_07_marketing_that_cant_be_decided_waits_and_goes_when_the_fault_is_gone(
	queued, agreed, smtp, monkeypatch
):
	email = agreed()
	mail = queued(email, purpose=MARKETING)
	with monkeypatch.context() as broken:

		def fail(*_args):
			raise frappe.db.OperationalError(1205, "Lock wait timeout exceeded")

		broken.setattr(gate.audience, "_rows", fail)
		mail.send()
	assert smtp.reached() == []
	assert outcome(email) == {email: "Not Sent"}
	frappe.get_doc("Email Queue", mail.name).send()
	assert smtp.reached() == [email]


def test_em_05_service_mail_goes_although_the_gate_is_broken(queued, mailbox, smtp, monkeypatch):
	def fail(_mail):
		raise frappe.db.OperationalError(2013, "Lost connection")

	email = mailbox()
	mail = queued(email)
	monkeypatch.setattr(gate, "classify", fail)
	mail.send()
	assert smtp.reached() == [email]


def test_a_mail_that_failed_is_decided_anew_and_leaves_one_decision(queued, agreed, smtp):
	email = agreed()
	mail = queued(email, purpose=MARKETING)
	smtp.fails = True
	with pytest.raises(Exception, match="451"):
		mail.send()
	api.withdraw_consent(email=email)
	frappe.db.commit()
	smtp.fails = False
	frappe.get_doc("Email Queue", mail.name).send()
	assert smtp.reached() == []
	assert decisions_on(email) == {email: (0, "WITHDRAWN")}


# --- newsletter ---------------------------------------------------------------------------------------------


def test_a_newsletter_counts_and_reaches_exactly_who_may_get_it(
	newsletter, agreed, mailbox, committed_topic, smtp, work_off_jobs
):
	subscribed = [agreed(committed_topic) for _ in range(3)]
	others = [agreed(), mailbox()]
	letter = newsletter(*subscribed, *others)

	letter.send_emails()
	frappe.db.commit()
	late_no = subscribed.pop()
	api.withdraw_consent(email=late_no, topic=committed_topic)
	work_off_jobs()

	assert smtp.reached() == sorted(subscribed)
	assert letter.total_recipients == 3
	status = letter.get_sending_status()
	assert (status["sent"], status["blocked"], status["total"]) == (2, 1, 3)


def test_the_desk_can_ask_why_somebody_wont_get_a_newsletter(newsletter, agreed, mailbox, committed_topic):
	subscribed, general, never = agreed(committed_topic), agreed(), mailbox()
	answer = newsletter(subscribed, general, never).explain_audience()
	assert (answer["purpose"], answer["topic"]) == (MARKETING, committed_topic)
	reasons = {row["email"]: row["reason"] for row in answer["rows"]}
	assert reasons == {
		subscribed: "VALID_CONSENT",
		general: "TOPIC_NOT_SUBSCRIBED",
		never: "NO_CONSENT",
	}


def test_em_04_a_newsletter_stays_marketing_whatever_purpose_it_is_given(newsletter, mailbox, smtp):
	letter = newsletter(mailbox(), topic=None)
	letter.db_set("consent_purpose", "Customer Service")
	assert letter.get_mail_class().purpose == MARKETING
	assert letter.get_recipients() == []


# --- self-check ---------------------------------------------------------------------------------------------


def test_fr_08_a_sound_gate_has_no_problems(site):
	assert self_check.find_problems() == []


def test_fr_08_a_displaced_class_is_reported_on_the_desk(site, monkeypatch):
	from frappe.email.doctype.email_queue.email_queue import EmailQueue

	monkeypatch.setattr(self_check, "get_controller", lambda _doctype: EmailQueue)
	problems = self_check.run()
	assert any("Email Queue" in problem for problem in problems)
	assert "Email Queue" in frappe.db.get_single_value("Consent Settings", "self_check_problems")
	assert frappe.db.exists("Notification Log", {"document_type": "Consent Settings"})


def test_an_index_that_is_missing_is_noticed(site, monkeypatch):
	"""Marketing is held without it, and somebody has to know why."""
	monkeypatch.setattr(frappe.db, "has_index", lambda _table, index: index != "decision")
	assert any("decision" in problem for problem in self_check.find_problems())


def test_a_wrong_address_key_is_noticed(site):
	frappe.db.set_single_value("Consent Settings", "address_key_fingerprint", "0" * 16)
	assert any("consent_address_key_v1" in problem for problem in self_check.find_problems())


def test_half_open_expiry_is_judged_at_the_moment_of_sending(queued, mailbox, smtp):
	"""ST-03, ST-04: no job has to run before an expired consent stops counting."""
	email = mailbox()
	consent = give(email, given_on="2020-01-01", expires_on="2099-01-01")
	mail = queued(email, purpose=MARKETING)
	frappe.qb.update("Consent").set("expires_on", now_utc()).where(frappe.qb.Field("name") == consent).run()
	frappe.db.commit()
	mail.send()
	assert decisions_on(email) == {email: (0, "EXPIRED")}


# --- two processes, and one that dies -----------------------------------------------------------------------


@pytest.mark.parametrize("purpose", [MARKETING, "Contract Fulfilment"])
def test_a_mail_that_another_process_has_taken_isnt_sent_again(queued, agreed, smtp, purpose):
	mail = queued(agreed(), purpose=purpose)
	loaded_before = frappe.get_doc("Email Queue", mail.name)
	mail.send()
	loaded_before.send()
	assert len(smtp.deliveries) == 1


def test_a_mail_is_locked_until_frappe_has_written_that_it_is_being_sent(queued, agreed, smtp, monkeypatch):
	"""Or the flush, in another process, would take what a Newsletter's job is about to send."""
	mail = queued(agreed(), purpose=MARKETING)
	password, other = frappe.conf.db_password, []

	def take_it(*_args) -> None:
		connection = pymysql.connect(
			unix_socket=frappe.conf.db_socket,
			host=frappe.conf.db_host or "localhost",
			user=frappe.conf.db_name,
			password=password,
			database=frappe.conf.db_name,
		)
		with connection, connection.cursor() as cursor, pytest.raises(pymysql.OperationalError, match="1205"):
			cursor.execute(
				"select name from `tabEmail Queue` where name = %s for update nowait", (mail.name,)
			)
		other.append("turned away")

	monkeypatch.setattr(gate, "personalise", take_it)
	mail.send()
	assert other == ["turned away"]


def test_a_split_that_fails_leaves_the_mail_whole(queued, agreed, smtp, monkeypatch):
	people = [agreed(), agreed(), agreed()]
	mail = queued(*people, purpose=MARKETING)
	whole = type(mail).get_duplicate
	made = []

	def fail_at_the_second(self, recipients):
		made.append(recipients)
		if len(made) == 2:
			raise frappe.db.OperationalError(2013, "Lost connection")
		return whole(self, recipients)

	with monkeypatch.context() as broken:
		broken.setattr(type(mail), "get_duplicate", fail_at_the_second)
		with pytest.raises(frappe.db.OperationalError):
			mail.send()
	frappe.db.commit()  # as the flush does after it has logged the error

	flush()
	assert smtp.reached() == sorted(people)
