"""The canary of the gate: it sings where the gate holds, dies where it doesn't, and leaves nothing."""

import multiprocessing
import os
import signal

import paths
import pytest
from conftest import Mailboxes
from playwright.sync_api import expect
from test_commands import run as run_command

import frappe
from frappe.email.doctype.notification import notification as core_notification
from frappe.email.queue import flush

from gdpr_consent import audience
from gdpr_consent.gate import canary, canary_report, email_queue, marking, newsletter, self_check, sms
from gdpr_consent.gate.canary_paths import MAIL_PATHS, SMS_PATHS
from gdpr_consent.gate.canary_report import Outcome
from gdpr_consent.policy import Reason, block
from gdpr_consent.reports import cards

MAILS, TEXTS = ({path.name for path in of} for of in (MAIL_PATHS, SMS_PATHS))

# What tests/paths.py drives in another way than the canary, and why that is enough, or another name.
OTHERWISE = {
	"newsletter_now": "newsletter",
	# It would send every Newsletter of the site that is due; for each it calls what `newsletter` calls.
	"newsletter_on_schedule": "newsletter",
}
COUNTED = (
	*("Consent", "Consent Event", "Consent Event Payload", "Suppression", "Consent Decision"),
	*("Email Queue", "Email Queue Recipient", "Email Account", "Communication", "Newsletter", "Campaign"),
	*("Email Group", "Email Group Member", "Email Campaign", "Email Template", "Auto Email Report", "File"),
	*("Lead", "Contact", "Journal Entry", "SMS Log", "Error Log", "Notification Log", "SMS Parameter"),
)


def by_outcome(tried) -> dict[Outcome, set[str]]:
	found: dict[Outcome, set[str]] = {outcome: set() for outcome in Outcome}
	for one in tried:
		found[one.outcome].add(one.path)
	return found


def passed_on() -> str | None:
	return frappe.db.get_singles_dict("Consent Settings").get("canary_passed_on")


def what_is_there() -> dict[str, object]:
	frappe.db.rollback()
	frappe.cache.delete_keys("consent_report")
	rows = {doctype: frappe.db.count(doctype) for doctype in COUNTED}
	# A number of a Document that is named in a row would show a gap.
	series = dict(frappe.db.sql("select name, current from tabSeries"))
	figures = [cards.blocked_this_week()["value"], cards.mailable()["value"], cards.unproven()["value"]]
	singles = frappe.db.sql("select * from tabSingles where doctype in ('SMS Settings', 'Print Settings')")
	return {**rows, "series": series, "figures": figures, "singles": sorted(map(str, singles))}


@pytest.fixture
def results(site: str):
	"""What a canary has found goes with the test."""
	yield
	frappe.set_user("Administrator")
	frappe.db.rollback()
	fields = ("canary_result", "canary_tried_on", "canary_passed_on", "self_check_problems")
	frappe.db.set_single_value("Consent Settings", dict.fromkeys(fields), update_modified=False)
	frappe.db.commit()


@pytest.fixture
def officer(mailbox):
	user = frappe.new_doc("User", email=mailbox(), first_name="Officer", send_welcome_email=0)
	user.append_roles("Privacy Officer")
	user.insert()
	frappe.db.commit()
	yield user.name
	frappe.db.rollback()
	frappe.db.delete("Notification Log", {"for_user": user.name})
	frappe.delete_doc("User", user.name, force=True)
	frappe.db.commit()


def test_each_path_that_the_trial_knows_has_a_canary():
	tried = {path.drive.__name__ for path in paths.PATHS}
	assert {OTHERWISE.get(name, name) for name in tried} <= MAILS
	assert OTHERWISE.keys() <= tried
	assert all(canary_report.label(name) != name for name in MAILS | TEXTS)


def test_every_path_holds_on_a_sound_site_and_nothing_stays_behind(smtp: Mailboxes, queued, agreed):
	"""EM-01: nobody real gets anything, others' mail isn't touched, and no report counts the canary."""
	waiting = queued(agreed())
	before = what_is_there()

	tried = canary.try_all()

	assert by_outcome(tried)[Outcome.PASSED] == MAILS | TEXTS
	assert what_is_there() == before
	assert frappe.db.get_value("Email Queue", waiting.name, "status") == "Not Sent"
	assert smtp.deliveries == []
	assert frappe.local.outgoing_email_account == {} and not frappe.flags.in_test
	assert not frappe.are_emails_muted()


@pytest.mark.parametrize(
	("fault", "leaks"),
	[
		# Another app displaces our class. The audience of a Newsletter is decided earlier.
		(lambda patch: patch.delattr(email_queue.ConsentEmailQueueMixin, "send"), MAILS - {"newsletter"}),
		# Nothing carries over what a Notification or an Auto Repeat is about.
		(
			lambda patch: patch.setattr(marking, "mail_about", lambda *_about: marking.suppress()),
			{"notification"},
		),
		(lambda patch: patch.setattr(sms, "admit", lambda numbers, *_about: numbers), TEXTS),
		(
			lambda patch: patch.setattr(sms.ConsentSMSCenterMixin, "get_receiver_nos", _all_numbers),
			{"sms_center"},
		),
		(
			lambda patch: (
				patch.delattr(email_queue.ConsentEmailQueueMixin, "send"),
				patch.delattr(newsletter.ConsentNewsletterMixin, "get_recipients"),
				patch.delattr(newsletter.ConsentNewsletterMixin, "queue_all"),
			),
			MAILS,
		),
	],
	ids=[
		"gate displaced",
		"no marking",
		"no gate for text messages",
		"SMS Center displaced",
		"all displaced",
	],
)
def test_a_real_fault_is_named_by_the_paths_that_leak(smtp, monkeypatch, fault, leaks):
	fault(monkeypatch)
	found = by_outcome(canary.try_all())
	assert leaks <= found[Outcome.LEAKED]
	if len(leaks) > 1:
		assert found[Outcome.LEAKED] == leaks
	assert smtp.deliveries == []


def _all_numbers(self):
	return self.receiver_list.split("\n")


def test_a_leak_is_alerted_by_mail_and_shown_until_the_next_try(smtp, monkeypatch, officer, results):
	with monkeypatch.context() as patch:
		patch.delattr(email_queue.ConsentEmailQueueMixin, "send")
		canary.run()
	frappe.db.commit()

	flush()
	frappe.db.commit()

	assert officer in smtp.reached()
	(alert,) = [mail.content for mail in smtp.deliveries if mail.to == officer]
	assert "Auto Email Report" in alert
	assert frappe.db.exists("Notification Log", {"for_user": officer, "document_type": "Consent Settings"})
	(problem, *_others) = self_check.find_problems()
	assert "Auto Email Report" in problem and "Send Now" in problem
	assert cards.self_check_problems()["value"]
	assert not passed_on()

	canary.run()
	assert self_check.find_problems() == []
	assert passed_on()
	assert {row["outcome"] for row in canary_report.paths_tried()} == {"Passed"}


def test_where_somebody_who_agreed_isnt_reached_either_nothing_has_passed(smtp, monkeypatch, results):
	"""A canary that can't die is worth nothing."""
	blocked = block(Reason.NO_CONSENT)
	monkeypatch.setattr(audience, "decide_many", lambda emails, *_about: dict.fromkeys(emails, blocked))
	tried = canary.run()
	assert by_outcome(tried)[Outcome.NOT_TRIED] == MAILS | TEXTS
	assert all(one.why for one in tried)
	assert not passed_on()
	assert self_check.find_problems() == []


@pytest.mark.parametrize(
	("outcomes", "passes"),
	[
		([Outcome.PASSED, Outcome.PASSED], True),
		([Outcome.PASSED, Outcome.ABSENT], True),
		([Outcome.PASSED, Outcome.NOT_TRIED], False),
		([Outcome.PASSED, Outcome.LEAKED], False),
		([Outcome.ABSENT], False),
		([], False),
	],
)
def test_the_canary_has_passed_if_each_path_of_the_site_was_tried_and_held(results, outcomes, passes):
	before = passed_on()
	canary_report.remember([canary_report.Tried("script", outcome) for outcome in outcomes])
	assert (passed_on() != before) == passes


def test_a_path_that_the_site_does_not_have_is_absent(smtp, monkeypatch, results):
	def newsletter(_stage):
		raise canary.CantBeTried("DocType Newsletter")

	monkeypatch.setattr(canary, "MAIL_PATHS", [canary.MAIL_PATHS[0]._replace(drive=newsletter)])
	found = canary.try_all()[0]
	assert found == canary_report.Tried("newsletter", Outcome.ABSENT, "DocType Newsletter isn't there.")


def _no_account(_patch) -> None:
	frappe.db.set_value("Email Account", {"enable_outgoing": 1}, "enable_outgoing", 0)


def _muted(patch) -> None:
	patch.setitem(frappe.flags, "mute_emails", True)


def _another_app_sends(patch) -> None:
	hooks = frappe.get_hooks

	def with_one_more(hook=None, *args, **more):
		return ["other.app.send"] if hook == "override_email_send" else hooks(hook, *args, **more)

	patch.setattr(frappe, "get_hooks", with_one_more)


@pytest.mark.parametrize(
	("circumstance", "why"),
	[(_no_account, "no outgoing"), (_muted, "muted"), (_another_app_sends, "override_email_send")],
)
def test_where_mail_cant_be_tried_it_says_why(smtp, monkeypatch, circumstance, why):
	circumstance(monkeypatch)
	tried = canary.try_all()
	assert by_outcome(tried)[Outcome.NOT_TRIED] == MAILS
	assert all(why in one.why for one in tried if one.path in MAILS)


def _try_until_killed(site: str, after: str) -> None:
	_of_the_parent = frappe.db._conn  # closing it here would close it there
	frappe.init(site=site, sites_path=".", force=True)
	frappe.connect()
	tried = canary._try

	def killed(path, *more):
		answer = tried(path, *more)
		if path.name == after:
			os.kill(os.getpid(), signal.SIGKILL)
		return answer

	canary._try = killed
	canary.run()
	os._exit(0)


def test_a_worker_that_is_killed_midway_leaves_nothing_and_the_next_run_passes(smtp, site):
	before = what_is_there()
	worker = multiprocessing.get_context("fork").Process(
		target=_try_until_killed, args=(site, "retry_of_an_error")
	)
	worker.start()
	worker.join()
	assert worker.exitcode == -signal.SIGKILL
	assert what_is_there() == before
	assert by_outcome(canary.try_all())[Outcome.PASSED] == MAILS | TEXTS
	assert what_is_there() == before


def test_no_notification_of_the_site_tells_anybody(smtp, monkeypatch):
	"""Core inserts Communications for the composer, and a Slack message can't be rolled back."""
	rule = frappe.new_doc(
		"Notification", subject="New", event="New", document_type="Communication", channel="Email"
	)
	rule.update({"name": frappe.generate_hash(length=8), "message": "x", "enabled": 1})
	rule.append("recipients", {"receiver_by_role": "System Manager"})
	rule.insert()
	frappe.db.commit()
	told: list[str] = []
	monkeypatch.setattr(core_notification, "evaluate_alert", lambda doc, *_more: told.append(doc.doctype))
	try:
		assert by_outcome(canary.try_all())[Outcome.PASSED] == MAILS | TEXTS
	finally:
		frappe.delete_doc("Notification", rule.name, force=True)
		frappe.db.commit()
	assert "Communication" not in told and "Email Queue" not in told


def test_who_would_be_alerted_may_try_at_once(smtp, user_with_roles, officer, results, work_off_jobs):
	user_with_roles("Consent User")
	with pytest.raises(frappe.PermissionError):
		canary.try_now()
	frappe.set_user(officer)
	canary.try_now()
	frappe.set_user("Administrator")
	work_off_jobs()
	assert {row["outcome"] for row in canary_report.paths_tried()} == {"Passed"}


def test_the_command_names_each_path(smtp, results):
	code, said, _progress = run_command("canary")
	assert code == 0, said
	assert said.count("✓") == len(MAILS | TEXTS) and "✓ Send Now" in said


@pytest.mark.parametrize("width", [1200, 360])
def test_the_desk_shows_each_path_and_when_the_canary_passed(smtp, desk, officer, results, picture, width):
	canary.run()
	frappe.db.commit()
	page = desk(officer, width=width)
	page.goto("/app/consent-settings")
	shown = page.locator(".consent-canary")
	expect(shown).to_contain_text("The canary passed last")
	expect(shown.locator("li")).to_have_count(len(MAILS | TEXTS))
	expect(shown.locator("li", has_text="Send Now")).to_contain_text("holds")
	assert shown.evaluate("(one) => one.scrollWidth <= one.clientWidth")
	picture(page, f"canary-{width}", full_page=False)
