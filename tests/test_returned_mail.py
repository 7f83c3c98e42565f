"""Bounces, complaints and mails that ask to be unsubscribed: what counts, about whom, and what it stops.

The messages are those that Postfix, Exchange, Exim, Gmail, Yahoo and Microsoft write, with our mail returned
in them. They arrive through a real POP3 server, or are posted to the endpoint.
"""

import pickle
import sys
from email import message_from_bytes
from email.message import Message
from email.parser import HeaderParser
from smtplib import SMTPRecipientsRefused

import pytest
from conftest import V16, Inbox, give
from hypothesis import given
from hypothesis import strategies as st

import frappe
from frappe.email.doctype.email_account.email_account import EmailAccount

from gdpr_consent import api, links, register, returned_mail
from gdpr_consent.clock import now_utc
from gdpr_consent.exceptions import EvidenceMissing, MessageNotReadable, StandingRefusal
from gdpr_consent.gate import self_check
from gdpr_consent.identity import address_key
from gdpr_consent.policy import RefusalKind

MARKETING = "Email Marketing"
GONE = "host mx.people.example said: 550 5.1.1 <{to}>: Recipient address rejected: User unknown"


def report(report_type: str, middle: str, original: str, original_type: str = "message/rfc822") -> bytes:
	"""Put together a multipart/report: words for people, the machine's part, and the returned mail."""
	kind = {"delivery-status": "message/delivery-status"}.get(report_type, "message/feedback-report")
	unique = frappe.generate_hash(length=12)
	return (
		"From: MAILER-DAEMON@mx.people.example (Mail Delivery System)\n"
		"To: shop@gate.example\n"
		"Subject: Undelivered Mail Returned to Sender\n"
		f"Message-ID: <{unique}@mx.people.example>\n"
		"MIME-Version: 1.0\n"
		f'Content-Type: multipart/report; report-type={report_type};\n\tboundary="{unique}/limit"\n\n'
		f"--{unique}/limit\nContent-Type: text/plain; charset=us-ascii\n\nI'm sorry.\n\n"
		f"--{unique}/limit\nContent-Type: {kind}\n\n{middle.strip()}\n\n"
		f"--{unique}/limit\nContent-Type: {original_type}\n\n{original}\n\n"
		f"--{unique}/limit--\n"
	).encode()


def postfix(to: str, original: str, status: str = "5.1.1", action: str = "failed") -> bytes:
	return report(
		"delivery-status",
		f"""Reporting-MTA: dns; mx.people.example
X-Postfix-Queue-ID: 4XyZ0123
X-Postfix-Sender: rfc822; shop@gate.example
Arrival-Date: Tue, 24 Nov 2026 12:00:00 +0000 (UTC)

Final-Recipient: rfc822; {to}
Original-Recipient: rfc822;{to}
Action: {action}
Status: {status}
Remote-MTA: dns; mx.people.example
Diagnostic-Code: smtp; 550 {status} <{to}>: Recipient address rejected: User
    unknown in virtual mailbox table""",
		original,
	)


def exchange(to: str, original: str) -> bytes:
	return report(
		"delivery-status",
		f"""Reporting-MTA: dns;AM0PR01MB1234.eurprd01.prod.exchangelabs.com
Received-From-MTA: dns;mail.gate.example
Arrival-Date: Tue, 24 Nov 2026 12:00:00 +0000

Final-Recipient: rfc822;{to}
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {to} not found by
 SMTP address lookup
X-Display-Name: Jo Doe""",
		original.split("\n\n", 1)[0] + "\n",
		"text/rfc822-headers",
	)


def exim(to: str, original: str) -> bytes:
	return report(
		"delivery-status",
		f"""Reporting-MTA: dns; mail.people.example

Action: failed
Final-Recipient: rfc822;{to}
Status: 5.0.0
Remote-MTA: dns; mx.people.example
Diagnostic-Code: smtp; 550 5.1.1 <{to}> User doesn't exist""",
		original,
	)


def gmail(to: str, original: str) -> bytes:
	return report(
		"delivery-status",
		f"""Reporting-MTA: dns; googlemail.com
Arrival-Date: Tue, 24 Nov 2026 04:00:00 -0800 (PST)
X-Original-Message-ID: <whatever@gate.example>

Final-Recipient: rfc822; {to}
Action: failed
Status: 5.1.1
Remote-MTA: dns; gmail-smtp-in.l.google.com. (142.250.102.27, the server for the domain gmail.com.)
Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist. Please try
 550-5.1.1 double-checking the recipient's email address for typos or
 550 5.1.1 unnecessary spaces. NoSuchUser a640c23a62f3a-8a86 - gsmtp
Last-Attempt-Date: Tue, 24 Nov 2026 04:00:01 -0800 (PST)""",
		original,
	)


def yahoo(to: str, original: str, feedback: str = "abuse") -> bytes:
	return report(
		"feedback-report",
		f"""Feedback-Type: {feedback}
User-Agent: Yahoo!-Mail-Feedback/2.0
Version: 0.1
Original-Mail-From: <shop@gate.example>
Original-Rcpt-To: {to}
Received-Date: Tue, 24 Nov 2026 12:00:00 PST
Reported-Domain: gate.example
Authentication-Results: mta1000.mail.ne1.yahoo.com; dkim=pass""",
		original,
	)


def microsoft(to: str, original: str) -> bytes:
	return report(
		"feedback-report",
		"""Feedback-Type: abuse
User-Agent: Hotmail FBL
Version: 1
Original-Mail-From: shop@gate.example
Source-IP: 192.0.2.1""",
		f"X-HmXmrOriginalRecipient: {to}\n{original}",
	)


BOUNCES = [postfix, exchange, exim, gmail]
COMPLAINTS = [yahoo, microsoft]


@pytest.fixture
def sent(inbox, queued, agreed, smtp):
	"""Send a marketing mail to somebody who agreed, and return the address and the mail as it arrived."""

	def send(*topics: str, **about) -> tuple[str, str]:
		email = agreed(*topics)
		queued(email, **(about or {"purpose": MARKETING})).send()
		(delivery,) = [one for one in smtp.deliveries if one.to == email]
		return email, delivery.content.replace("\r\n", "\n")

	return send


def reason(email: str, topic: str | None = None) -> str:
	frappe.db.commit()
	return api.check_consent([email], topic=topic)[email]["reason"]


def noes(*emails: str) -> list[str]:
	keys = [address_key(email) for email in emails]
	return frappe.get_all("Suppression", {"address_key": ["in", keys]}, pluck="kind")


def post(message: bytes) -> tuple[str | None, bool]:
	answer = api.report_returned_mail(message.decode())
	return answer["kind"], answer["counted"]


# --- what counts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", BOUNCES, ids=lambda write: write.__name__)
def test_em_19_a_hard_bounce_in_the_inbox_stops_marketing(sent, inbox, queued, smtp, write):
	email, original = sent()
	inbox.receive(write(email, original))
	assert reason(email) == "SUPPRESSED"

	smtp.deliveries.clear()
	queued(email, purpose=MARKETING).send()
	queued(email, purpose="Contract Fulfilment").send()
	assert smtp.reached() == [email]  # the service mail alone


@pytest.mark.parametrize("write", COMPLAINTS, ids=lambda write: write.__name__)
def test_em_18_a_complaint_in_the_inbox_is_an_objection_to_all_marketing(sent, inbox, queued, smtp, write):
	email, original = sent()
	inbox.receive(write(email, original))
	assert reason(email) == "OBJECTED"
	assert api.check_consent([email], channel="SMS")[email]["reason"] == "OBJECTED"
	assert frappe.get_all("Consent", {"address_key": address_key(email)}, pluck="status") == ["Withdrawn"]

	smtp.deliveries.clear()
	queued(email, purpose=MARKETING).send()
	assert smtp.reached() == []


def test_a_bounce_is_about_the_address_and_a_complaint_about_the_person(sent, contact, mailbox):
	for write, others in ((postfix, "VALID_CONSENT"), (yahoo, "OBJECTED")):
		email, original = sent()
		other = mailbox()
		contact(email, other)
		give(other)
		assert post(write(email, original))[1]
		assert reason(other) == others


@pytest.mark.parametrize(
	"status", ["5.7.1", "5.2.2", "5.4.4", "5.1.8", "5.0.0", "4.1.1", "5.7.26", "5.1.11", "", "nonsense"]
)
def test_what_isnt_the_end_of_the_address_is_no_bounce(sent, status):
	email, original = sent()
	assert post(postfix(email, original, status)) == (None, False)
	assert noes(email) == []


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_what_didnt_fail_is_no_bounce(sent, action):
	email, original = sent()
	assert post(postfix(email, original, action=action)) == (None, False)


def test_a_mail_that_reached_one_of_the_boxes_behind_an_address_is_no_bounce(sent):
	email, original = sent()
	half = postfix(email, original).replace(
		b"Final-Recipient",
		b"Final-Recipient: rfc822; a@b.example\nAction: relayed\nStatus: 2.1.5\n\nFinal-Recipient",
		1,
	)
	assert post(half) == (None, False)


@pytest.mark.parametrize("feedback", ["not-spam", "virus", "auth-failure", "other", ""])
def test_em_18_feedback_that_isnt_a_complaint_stops_nothing(sent, feedback):
	email, original = sent()
	assert post(yahoo(email, original, feedback)) == (None, False)
	assert reason(email) == "VALID_CONSENT"


def test_feedback_that_says_opt_out_withdraws_what_the_mail_was_about(sent, committed_topic):
	email, original = sent(committed_topic, topic=committed_topic)
	assert post(yahoo(email, original, "opt-out")) == ("Unsubscribe", True)
	assert (reason(email, committed_topic), reason(email)) == ("WITHDRAWN", "VALID_CONSENT")


def test_a_report_in_a_forwarded_mail_is_no_report(sent):
	email, original = sent()
	forwarded = (
		b"From: jo@people.example\nSubject: Fwd\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n"
		+ postfix(email, original)
	)
	assert post(forwarded) == (None, False)


def test_un_08_a_report_that_comes_twice_writes_once(sent, inbox):
	email, original = sent()
	for write in (postfix, yahoo):
		message = write(email, original)
		for _time in range(2):
			assert post(message)[1]
			inbox.receive(message)  # as after a change of UIDVALIDITY
	assert sorted(noes(email)) == ["Bounce", "Complaint"]


def test_a_mail_that_the_server_gives_again_doesnt_undo_a_newer_yes(sent, inbox):
	email, original = sent()
	message = yahoo(email, original)
	inbox.receive(message)
	pending = register.request(email=email, by_the_person=True)
	register.confirm([row["name"] for row in pending], now_utc())
	assert reason(email) == "VALID_CONSENT"
	inbox.receive(message)
	assert reason(email) == "VALID_CONSENT"


# --- whom it is about ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [*BOUNCES, *COMPLAINTS], ids=lambda write: write.__name__)
def test_a_forged_report_reaches_no_stranger(agreed, inbox, write):
	"""Anybody can write to the inbox, and knows the address of somebody."""
	victim = agreed()
	for original in (
		f"From: shop@gate.example\nTo: {victim}\nSubject: Hello\nMessage-Id: <guess@gate.example>\n\nHello",
		f"List-Unsubscribe: <https://gate.example/unsubscribe?t={'x' * 60}.{'y' * 6}.{'z' * 43}>\n\nHello",
		"",
	):
		assert post(write(victim, original))[1] is False
		inbox.receive(write(victim, original))
	assert (noes(victim), reason(victim)) == ([], "VALID_CONSENT")


def test_the_token_says_whom_not_the_address_in_the_report(sent, agreed):
	"""Whoever gets our mail holds a token, of their own, and reports nobody else with it."""
	victim = agreed()
	own, original = sent()
	assert post(yahoo(victim, original))[1]
	assert (reason(victim), reason(own)) == ("VALID_CONSENT", "OBJECTED")


def test_tk_02_a_token_for_another_use_is_no_proof(agreed):
	email = agreed()
	token = links.sign(links.CONFIRM, frappe.db.get_value("Consent", {"email": email}))
	assert post(postfix(email, f"List-Unsubscribe: <https://x.example/?t={token}>\n\nHello"))[1] is False


def without_token(original: str) -> str:
	message = HeaderParser().parsestr(original)
	del message["List-Unsubscribe"]
	return message.as_string()


def test_the_id_of_a_service_mail_that_one_person_got_says_whom(inbox, queued, agreed, smtp):
	email = agreed()
	queued(email, purpose="Contract Fulfilment").send()
	(delivery,) = smtp.deliveries
	assert post(postfix(email, delivery.content.replace("\r\n", "\n"))) == ("Bounce", True)
	assert reason(email) == "SUPPRESSED"


def test_the_id_of_a_mail_that_several_people_got_says_nothing(queued, agreed, smtp):
	"""One of them could report another."""
	people = [agreed(), agreed()]
	for purpose in ("Contract Fulfilment", MARKETING):
		smtp.deliveries.clear()
		queued(*people, purpose=purpose).send()
		original = without_token(smtp.deliveries[0].content.replace("\r\n", "\n"))
		for write in (postfix, yahoo):
			assert post(write(people[0], original))[1] is False
	assert noes(*people) == []


# --- mails that ask to be unsubscribed ----------------------------------------------------------------------


def mail(sender: str, subject: str) -> bytes:
	unique = frappe.generate_hash(length=12)
	return (
		f"From: Jo <{sender}>\nTo: {Inbox.address}\nSubject: {subject}\n"
		f"Message-ID: <{unique}@people.example>\n\nPlease."
	).encode()


def subject_of_the_way_out(original: str) -> str:
	header = HeaderParser().parsestr(original)["List-Unsubscribe"]
	assert f"mailto:{Inbox.address}" in header
	return header.partition("?subject=")[2].rstrip(">").replace("%20", " ")


def test_un_10_the_mailto_of_our_header_unsubscribes_whoever_writes(sent, inbox, committed_topic):
	email, original = sent(committed_topic, topic=committed_topic)
	subject = subject_of_the_way_out(original)
	inbox.receive(mail("another.box@people.example", subject))
	assert (reason(email, committed_topic), reason(email)) == ("WITHDRAWN", "VALID_CONSENT")
	token = subject.split()[1]
	subjects = frappe.get_all("Communication", {"sender": "another.box@people.example"}, pluck="subject")
	assert subjects and not any(token in one for one in subjects)


@pytest.mark.parametrize(
	"subject",
	["unsubscribe", "Unsubscribe!", "Newsletter abbestellen", "=?utf-8?q?D=C3=A9sabonner?=", "WYPISZ MNIE"],
)
def test_un_10_without_a_token_the_sender_is_believed(agreed, inbox, subject):
	email = agreed()
	inbox.receive(mail(email, subject))
	assert reason(email) == "UNSUBSCRIBED"


@pytest.mark.parametrize(
	"subject",
	["How do I unsubscribe?", "Re: unsubscribe", "Abmelden", "unsubscribe me from the lift contract", ""],
)
def test_un_10_any_other_mail_unsubscribes_nobody(agreed, inbox, subject):
	email = agreed()
	inbox.receive(mail(email, subject))
	assert reason(email) == "VALID_CONSENT"


def test_un_10_somebody_we_dont_know_leaves_no_trace(mailbox, inbox):
	email = mailbox()
	inbox.receive(mail(email, "unsubscribe"))
	assert noes(email) == []


# --- the inbox goes on --------------------------------------------------------------------------------------


def communications(sender: str) -> int:
	return frappe.db.count("Communication", {"sender": sender, "sent_or_received": "Received"})


def test_a_report_that_cant_be_counted_still_arrives_and_stops_no_other_mail(
	sent, inbox, mailbox, monkeypatch
):
	email, original = sent()
	before, writer = communications("mailer-daemon@mx.people.example"), mailbox()

	def fail(*_args, **_more):
		raise frappe.db.OperationalError(2013, f"Lost connection while writing about {email}")

	monkeypatch.setattr(register, "note_bounce", fail)
	inbox.receive(postfix(email, original), mail(writer, "A question"))

	assert communications("mailer-daemon@mx.people.example") == before + 1
	assert communications(writer) == 1
	(log,) = frappe.get_all(
		"Error Log", {"method": "Returned mail not counted"}, ["error"], order_by="creation desc", limit=1
	)
	assert "OperationalError" in log.error and email not in log.error


def test_a_deadlock_is_tried_again(sent, inbox, monkeypatch):
	email, original = sent()
	note, tries = register.note_bounce, []

	def deadlocked_once(*args):
		tries.append(args)
		if len(tries) == 1:
			raise frappe.QueryDeadlockError
		return note(*args)

	monkeypatch.setattr(register, "note_bounce", deadlocked_once)
	inbox.receive(postfix(email, original))
	assert (len(tries), reason(email)) == (2, "SUPPRESSED")


def test_what_was_counted_stays_if_core_fails_with_the_mail(sent, inbox, monkeypatch):
	from frappe.email.receive import InboundMail

	def fail(_self):
		raise ValueError("broken")

	email, original = sent()
	monkeypatch.setattr(InboundMail, "process", fail)
	with pytest.raises(Exception, match="broken"):
		inbox.receive(postfix(email, original))
	frappe.db.rollback()
	assert reason(email) == "SUPPRESSED"


@pytest.mark.skipif(V16, reason="All apps extend the class on v16.")
def test_another_apps_class_for_the_inbox_goes_on_working(site, monkeypatch):
	"""v15 gives a DocType one class, and Helpdesk has one for Email Account."""
	hooks = frappe.get_hooks

	def with_another_app(hook=None, *args, **more):
		found = hooks(hook, *args, **more)
		if hook != "override_doctype_class":
			return found
		return found | {"Email Account": [f"{other.__module__}.{other.__name__}", *found["Email Account"]]}

	other = type("OtherEmailAccount", (EmailAccount,), {"__module__": EmailAccount.__module__})
	monkeypatch.setattr(sys.modules[other.__module__], other.__name__, other, raising=False)
	monkeypatch.setattr(frappe, "get_hooks", with_another_app)
	monkeypatch.setitem(frappe.controllers, frappe.local.site, {})
	account = frappe.new_doc("Email Account")
	assert isinstance(account, other) and isinstance(account, returned_mail.ConsentEmailAccountMixin)
	assert type(pickle.loads(pickle.dumps(account))) is type(account)  # as the cache of documents does


def test_fr_08_a_displaced_inbox_is_reported(site, monkeypatch):
	sound = self_check.get_controller
	monkeypatch.setattr(
		self_check, "get_controller", lambda name: EmailAccount if name == "Email Account" else sound(name)
	)
	assert any("Email Account" in problem for problem in self_check.find_problems())


# --- refused while sending ----------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", [MARKETING, "Contract Fulfilment"])
def test_em_19_an_address_that_the_server_refuses_is_a_hard_bounce(queued, agreed, smtp, purpose):
	email = agreed()
	smtp.refusals[email] = f"550 5.1.1 <{email}>: Recipient address rejected: User unknown"
	with pytest.raises(SMTPRecipientsRefused):
		queued(email, purpose=purpose).send()
	assert reason(email) == "SUPPRESSED"
	(why,) = frappe.get_all("Suppression", {"address_key": address_key(email)}, pluck="reason")
	assert "5.1.1" in why and email not in why


@pytest.mark.parametrize(
	"answer", ["550 5.7.1 Relaying denied", "450 4.1.1 Try later", "550 No thanks", "552 5.2.2 Full"]
)
def test_another_refusal_while_sending_is_none(queued, agreed, smtp, answer):
	email = agreed()
	smtp.refusals[email] = answer
	with pytest.raises(SMTPRecipientsRefused):
		queued(email, purpose=MARKETING).send()
	assert reason(email) == "VALID_CONSENT"


# --- what is kept, and what ends it -------------------------------------------------------------------------


def test_the_evidence_is_what_was_reported_and_no_address(sent):
	email, original = sent()
	post(postfix(email, original).replace(b"unknown in", b"see owner@other.example, unknown in"))
	(row,) = [row for row in api.consent_history(email=email) if row["record_type"] == "Suppression"]
	assert (row["what"], row["indicated_by"], row["kind"]) == ("Bounce", "System", "Suppress")
	assert "5.1.1, mx.people.example, 550 5.1.1" in row["reason"]
	assert "@" not in row["reason"]
	post(yahoo(email, original))
	(row, *_older) = [row for row in api.consent_history(email=email) if row["what"] == "Complaint"]
	assert (row["indicated_by"], row["reason"]) == ("Data Subject", "abuse, Yahoo!-Mail-Feedback/2.0")


def test_a_bounce_is_lifted_with_a_reason(sent):
	email, original = sent()
	message = postfix(email, original)
	post(message)
	with pytest.raises(EvidenceMissing):
		api.lift_bounce(email, " ")
	assert len(api.lift_bounce(email, "She called: the mailbox was moved.")["lifted"]) == 1
	assert api.lift_bounce(email, "Again")["lifted"] == []
	assert reason(email) == "VALID_CONSENT"
	assert post(message) == ("Bounce", False)  # the mail was sent before the mailbox was found to work
	assert reason(email) == "VALID_CONSENT"


def test_a_mail_sent_after_a_lift_can_bounce_again(sent, clock):
	email, original = sent()
	clock.at(2026, 1, 1)
	register.note_bounce(email, clock.now, "5.1.1")
	clock.forward(days=1)
	api.lift_bounce(email, "It works.")
	clock.now = now_utc()
	assert post(postfix(email, original)) == ("Bounce", True)
	assert reason(email) == "SUPPRESSED"


def test_a_complaint_is_the_persons_own_no(sent):
	email, original = sent()
	post(yahoo(email, original))
	assert api.lift_bounce(email, "A mistake, surely")["lifted"] == []
	with pytest.raises(StandingRefusal):
		give(email)
	assert reason(email) == "OBJECTED"


def test_a_confirmation_from_the_mailbox_proves_that_it_works(mailbox):
	email = mailbox()
	register.note_bounce(email, now_utc(), "5.1.1")
	pending = register.request(email=email, by_the_person=True)
	register.confirm([row["name"] for row in pending], now_utc())
	assert reason(email) == "VALID_CONSENT"
	(row,) = [row for row in api.consent_history(email=email) if row["kind"] == "Lift"]
	assert (row["what"], row["indicated_by"]) == ("Bounce", "Data Subject")


def test_the_box_of_a_person_whose_mail_came_back_can_be_unticked(contact, mailbox):
	"""A bounce is no word of theirs."""
	email = mailbox()
	person = contact(email)
	register.note_bounce(email, now_utc(), "5.1.1")
	assert not register.has_opted_out("Contact", person.name, [email])


# --- the endpoint -------------------------------------------------------------------------------------------


def test_em_18_the_endpoint_takes_post_from_those_who_may_write(sent, web, user_with_roles):
	email, original = sent()
	message = yahoo(email, original).decode()
	path = "/api/method/gdpr_consent.api.report_returned_mail"
	assert web.call("POST", path, data={"message": message}).status_code == 403

	user = frappe.get_doc("User", user_with_roles("Consent User"))
	frappe.set_user("Administrator")
	user.api_key, user.api_secret = "key" + frappe.generate_hash(length=12), "secret"
	user.save()
	frappe.db.commit()
	try:
		headers = {"Authorization": f"token {user.api_key}:secret"}
		assert web.call("GET", path, headers=headers, params={"message": "x"}).status_code == 403
		answer = web.call("POST", path, headers=headers, data={"message": message})
		assert answer.json()["message"] == {"kind": "Complaint", "counted": True}
	finally:
		frappe.delete_doc("User", user.name, force=True)
		frappe.db.commit()
	assert reason(email) == "OBJECTED"


@pytest.mark.parametrize(
	"door", [lambda: api.report_returned_mail("Subject: x\n\n"), lambda: api.lift_bounce("a@b.example", "x")]
)
def test_wb_07_the_doors_are_for_those_who_may_write(user_with_roles, door):
	user_with_roles("Newsletter Manager")
	with pytest.raises(frappe.PermissionError):
		door()


@pytest.mark.parametrize(
	"message", ["", " ", "no headers at all", "Subject: x\n\n" + "x" * api.LARGEST_MESSAGE]
)
def test_what_isnt_a_message_is_turned_away(message):
	with pytest.raises(MessageNotReadable):
		api.report_returned_mail(message)


# --- anything at all ----------------------------------------------------------------------------------------

VICTIM = "victim@fuzz.example"
FORGED = f"List-Unsubscribe: <mailto:x@y?subject=unsubscribe%20{'a' * 60}.aaaaaa.{'b' * 43}>"
LINES = st.text(max_size=40) | st.sampled_from(
	[
		"Content-Type: multipart/report; boundary=limit",
		"Content-Type: message/delivery-status",
		"Content-Type: message/rfc822",
		"Content-Type: text/rfc822-headers; charset=nonsense",
		"Content-Type: \udcff;;==",
		"Content-Transfer-Encoding: base64",
		"--limit",
		"",
		"Status: 5.1.1 \udcff",
		"Diagnostic-Code: 550",
		"Message-Id: <\udcff@gate.example>",
		FORGED,
		f"From: {VICTIM}",
		"From: =?utf-8?b?!!!?= <@@>, ,",
		"Subject: =?nonsense?q?unsubscribe?=",
		"Subject: \udcff\udcfe",
	]
)
EDITS = st.lists(st.tuples(st.integers(0, 60), LINES), max_size=8)


@given(st.sampled_from([*BOUNCES, *COMPLAINTS, None]), EDITS)
def test_no_message_raises_or_suppresses_a_stranger(write, edits):
	give(VICTIM)
	forged = f"To: {VICTIM}\nMessage-Id: <guess@gate.example>\n{FORGED}\n\nHello"
	lines = write(VICTIM, forged).decode().split("\n") if write else []
	for position, line in edits:
		lines[position : position + position % 2] = [line]  # put in the place of one, or between two
	try:
		found = returned_mail.read(message_from_bytes("\n".join(lines).encode("utf-8", "surrogateescape")))
		assert not (found and returned_mail.count(found))
		assert api.check_consent([VICTIM])[VICTIM]["reason"] == "VALID_CONSENT"
	finally:
		frappe.db.rollback()


def test_a_message_that_is_nothing_is_read_as_nothing():
	assert returned_mail.read(Message()) is None
	assert RefusalKind.BOUNCE == returned_mail.read(message_from_bytes(postfix("a@b.example", ""))).kind
