"""Tries every sending path, each day, with people who must be blocked, and is loud when one gets through.

The self-check asks whether the gate is in place; the canary asks whether it holds. Nobody real is written
to: the people live at a name that can't exist (RFC 2606), their mails end in a server inside this process,
and all of it happens on a database connection that is never committed (`sink.py`). So nothing stays behind,
neither in the queue nor in a report, and also not if the process is killed. On each path somebody who agreed
has to be reached too. Where that fails, the path counts as not tried, never as passed: a canary that can't
die is worth nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import frappe
from frappe import _
from frappe.email.doctype.email_account.email_account import EmailAccount

from gdpr_consent import proof, register
from gdpr_consent.alerts import users_with
from gdpr_consent.gate import self_check
from gdpr_consent.gate.canary_paths import MAIL_PATHS, NAME, SMS_PATHS, CantBeTried, Path, Stage
from gdpr_consent.gate.canary_report import Outcome, Tried, leaks, remember
from gdpr_consent.gate.sink import HERE, sms_gateway, smtp_sink, uncommitted_database
from gdpr_consent.policy import Channel

DOMAIN = "consent-canary.invalid"
# Numbers of a service that companies book to be called free of charge; it sends no text messages.
NUMBERS = ("+80000500001", "+80000500002", "+80000500003")
JOB = "gdpr_consent.gate.canary.run"


def run() -> list[Tried]:
	"""Try all paths, remember the result for the desk, and alert who can help where one leaks. Runs daily.

	For a job or a command, not for a web request: it becomes Administrator and sets flags of its process.
	"""
	tried = try_all()
	known = leaks()
	remember(tried)
	self_check.run()  # which alerts in the desk
	if (found := leaks()) and found != known and not _cant_try_mail():
		_alert_by_mail(found)
	return tried


def _alert_by_mail(found: list[str]) -> None:
	"""Core mails no alert, and this one mustn't wait until somebody opens the desk."""
	users = {"name": ["in", users_with(self_check.ROLES_TO_ALERT)], "email": ["like", "%@%"]}
	frappe.sendmail(
		recipients=frappe.get_all("User", users, pluck="email"),
		subject=_("Marketing gets through to people who said no"),
		message="<p>{0}</p><ul>{1}</ul><p>{2}</p>".format(
			_("The canary reached people who must not get marketing, on these paths:"),
			"".join(f"<li>{frappe.utils.escape_html(path)}</li>" for path in found),
			_("Suspend sending in the list of Email Queue, and look at the self-check in Consent Settings."),
		),
		reference_doctype="Consent Settings",
		reference_name="Consent Settings",
	)


@frappe.whitelist(methods=["POST"])
def try_now() -> None:
	"""Try on demand, in a job, for those whom a bad result would alert."""
	frappe.only_for(self_check.ROLES_TO_ALERT, message=True)
	frappe.enqueue(JOB, queue="short", job_id=JOB, deduplicate=True)


def try_all() -> list[Tried]:
	"""Try all paths, and change nothing."""
	user = frappe.session.user
	if user != "Administrator":
		frappe.set_user("Administrator")
	frappe.flags.consent_canary = True
	try:
		if reason := _cant_try_mail():
			mails = [Tried(path.name, Outcome.NOT_TRIED, reason) for path in MAIL_PATHS]
		else:
			mails = _try_mails()
		return mails + _try_text_messages()
	finally:
		frappe.flags.consent_canary = False
		if user != "Administrator":
			frappe.set_user(user)


def _cant_try_mail() -> str | None:
	if not (frappe.db.exists("Email Account", {"enable_outgoing": 1}) or frappe.conf.get("mail_server")):
		return _("This site has no outgoing mail.")
	if frappe.are_emails_muted() or frappe.db.get_default("suspend_email_queue") == "1":
		return _("Mail is muted or suspended on this site, so none leaves.")
	if frappe.get_hooks("override_email_send"):
		return _("Another app sends the mails itself (override_email_send), past the sink of the canary.")
	return None


def _try_mails() -> list[Tried]:
	with uncommitted_database(), smtp_sink() as (port, reached):
		address = f"{{}}.{frappe.generate_hash(length=8)}@{DOMAIN}"
		agreed, objected, stranger = (address.format(who) for who in ("agreed", "objected", "stranger"))
		purpose = register.check_purpose(None).name
		stage = Stage(address.format("sender"), purpose, [objected, stranger, agreed])
		account = _account(stage, port)
		_agree_by_link(agreed)
		_agree_by_link(objected)
		register.object_to_marketing([objected], act=register.Act())
		try:
			return [
				_try(path, stage, reached, lambda path=path: _send_mail(path, stage, account))
				for path in MAIL_PATHS
			]
		finally:
			frappe.clear_document_cache("Email Account", account)
			frappe.local.outgoing_email_account = {}


def _agree_by_link(email: str) -> None:
	pending = register.request(email=email, by_the_person=True, declarations={"": NAME})
	age = proof.age_asked(pending[0]["company"])
	register.confirm([row["name"] for row in pending], pending[0]["since"], age)


def _account(stage: Stage, port: int) -> str:
	account = stage.put(
		"Email Account",
		name=f"{NAME}-{frappe.generate_hash(length=10)}",
		email_id=stage.sender,
		enable_outgoing=1,
		smtp_server=HERE,
		smtp_port=port,
		no_smtp_authentication=1,
	).name
	frappe.local.outgoing_email_account = {}
	found = EmailAccount.find_outgoing(match_by_email=stage.sender)
	if not found or found.name != account:
		raise CantBeTried("Email Account")
	return account


def _send_mail(path: Path, stage: Stage, account: str) -> None:
	if path.at_once:
		path.drive(stage)
		return
	before = _queued(stage)
	with _nothing_leaves():
		path.drive(stage)
	for name in _queued(stage) - before:
		mail = frappe.get_doc("Email Queue", name)
		mail.db_set("email_account", account)  # not the one that the path would have used
		mail.send()


def _queued(stage: Stage) -> set[str]:
	about_them = {"recipient": ["in", stage.readers]}
	return set(frappe.get_all("Email Queue Recipient", about_them, pluck="parent"))


@contextmanager
def _nothing_leaves() -> Iterator[None]:
	"""Let core make mails in this process, and send none."""
	flags = {"mute_emails": True, "in_test": True}
	before = {name: frappe.flags.get(name) for name in flags}
	is_v16 = "in_test" in vars(frappe)  # core sends many mails in a job of its own, unless it is in a test
	frappe.flags.update(flags)
	if is_v16:
		frappe.in_test, in_test = True, frappe.in_test
	try:
		yield
	finally:
		frappe.flags.update(before)
		if is_v16:
			frappe.in_test = in_test


def _try_text_messages() -> list[Tried]:
	agreed, objected, stranger = NUMBERS
	with uncommitted_database(), sms_gateway() as (url, reached):
		purpose = register.check_purpose(None).name
		stage = Stage("", purpose, [objected, stranger, agreed])
		frappe.db.delete("SMS Parameter", {"parent": "SMS Settings"})  # they may hold a password
		gateway = {
			"sms_gateway_url": url,
			"message_parameter": "text",
			"receiver_parameter": "to",
			"use_post": 0,
		}
		frappe.db.set_single_value("SMS Settings", gateway, update_modified=False)
		# Of its own, whatever proof the site's sources and settings ask for.
		title = f"{NAME}-{frappe.generate_hash(length=10)}"
		proof = {
			"source": stage.put("Consent Source", title=title, enabled=1).name,
			"wording": stage.put("Consent Wording", purpose=purpose, language="en", text=NAME).name,
			"evidence": NAME,
		}
		for number in (agreed, objected):
			register.record(email=number, channel=Channel.SMS.value, purpose=purpose, **proof)
		register.object_to_marketing([objected], act=register.Act())
		return [_try(path, stage, reached, lambda path=path: path.drive(stage)) for path in SMS_PATHS]


def _try(path: Path, stage: Stage, reached: set[str], send: Callable[[], None]) -> Tried:
	"""Send to those who must be blocked and to the one who agreed, who comes last."""
	*blocked, agreed = stage.readers
	reached.clear()
	why, otherwise = "", Outcome.NOT_TRIED
	try:
		send()
	except CantBeTried as reason:
		why, otherwise = _("{0} isn't there.").format(str(reason)), Outcome.ABSENT
	except Exception as error:
		why = f"{type(error).__name__}: {frappe.utils.strip_html(str(error))[:200]}"
	frappe.local.message_log = []
	if not reached.isdisjoint(blocked):
		return Tried(path.name, Outcome.LEAKED)
	if agreed not in reached:
		return Tried(path.name, otherwise, why or _("Somebody who agreed wasn't reached either."))
	return Tried(path.name, Outcome.PASSED)
