"""Tries each cell of the table in docs/roles.md."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import PROOF, BulkUpdates, give
from test_breaches import breach
from test_legitimate_interests import assessed

import frappe
from frappe.desk.query_report import run
from frappe.utils import add_days, nowdate

from gdpr_consent import api, breaches, legal_hold
from gdpr_consent.bulk_update import api as bulk_api
from gdpr_consent.gate import self_check
from gdpr_consent.rights import api as rights
from gdpr_consent.rights import notifications
from gdpr_consent.sensitive_data import rights as field_rights

TABLE = Path(__file__).parents[1] / "docs" / "roles.md"
COLUMNS = ("Sales User", "Newsletter Manager", "Consent User", "Privacy Officer", "System Manager")
WITHDRAW = {
	"target_doctype": "Contact",
	"action": "Withdraw",
	"purpose": "Email Marketing",
	"source": "Phone",
}
ACTIONS: dict[str, Callable[["Scene"], object]] = {}


class Scene:
	"""A person and what is on record about them, before the user looks."""

	def __init__(self, bulk: BulkUpdates, with_bulk_update: bool = False) -> None:
		self.email = bulk.mailbox()
		self.consent = give(self.email)
		self.contact = bulk.contact(self.email)
		self.party = {"party_type": "Contact", "party": self.contact}
		self.unique = frappe.generate_hash(length=10)
		self.group = frappe.new_doc("Email Group", title=self.unique).insert().name
		self.letter = frappe.new_doc("Newsletter", **self.newsletter()).insert()
		self.request = rights.record_request("Access", email=self.email, channel="Phone")["name"]
		self.breach = breach(title=self.unique).name
		self.bulk_update = bulk.preview({"records": [self.contact], **WITHDRAW}) if with_bulk_update else None

	@contextmanager
	def taken_in_hand(self, right: str) -> Iterator[str]:
		"""Yield a request that an officer is at, and try it as the user."""
		user = frappe.session.user
		frappe.set_user("Administrator")
		name = rights.record_request(right, email=self.email, channel="Phone")["name"]
		rights.confirm_identity(name, "Met in Person")
		rights.start_request(name)
		frappe.set_user(user)
		yield name

	def notification(self) -> str:
		"""Have somebody to tell that the person said no."""
		user = frappe.session.user
		frappe.set_user("Administrator")
		inserts("Data Recipient", title=self.unique, purposes=[{"purpose": "Email Marketing"}])
		api.withdraw_consent(email=self.email)
		frappe.set_user(user)
		return frappe.db.get_value("Recipient Notification", {"email": self.email})

	def newsletter(self) -> dict:
		return {
			"subject": f"News {self.unique}",
			"content_type": "Rich Text",
			"message": "Hello",
			"sender_email": self.email,
			"email_group": [{"email_group": self.group}],
		}


def attempt(action: Callable[[Scene], object], scene: Scene) -> str:
	"""Do it as the user of the session, and say whether it was allowed."""
	try:
		allowed = action(scene)
	except (frappe.PermissionError, bulk_api.NotApproved):
		return "-"
	return "-" if allowed is False else "yes"


def does(what: str) -> Callable:
	"""Name the row of the table that a function tries. Returning False means no, too."""

	def note(action: Callable) -> Callable:
		ACTIONS[what] = action
		return action

	return note


def reads(doctype: str, name: str | None = None) -> bool:
	doc = frappe.get_doc(doctype, name or frappe.get_all(doctype, limit=1, pluck="name")[0])
	doc.check_permission("read")
	return bool(frappe.get_list(doctype, {"name": doc.name}))


def opens(report: str) -> bool:
	run(report, filters={}, ignore_prepared_report=True)
	return True


def inserts(doctype: str, **values) -> None:
	frappe.new_doc(doctype, **values).insert()


def rows() -> Iterator[tuple[str, list[str]]]:
	for line in TABLE.read_text().splitlines():
		cells = [text.strip() for text in line.strip("|").split("|")]
		if len(cells) == len(COLUMNS) + 1 and {*cells[1:]} <= {"yes", "-"}:
			yield cells[0], cells[1:]


@does("whether a Contact may be mailed")
def _(scene: Scene) -> bool:
	row = frappe.get_list("Contact", {"name": scene.contact}, ["marketing_mail"])[0]
	return row.marketing_mail == "Allowed"


@does("why: state, legal basis, source and proof")
def _(scene: Scene) -> bool:
	return api.check_party(**scene.party)[scene.email]["consent"] == scene.consent


@does("what happened to a person's consents")
def _(scene: Scene) -> bool:
	return bool(api.consent_history(**scene.party))


@does("which marketing mail a person got or didn't get")
def _(scene: Scene) -> None:
	api.mail_decisions(**scene.party)


@does("the list of Consents")
def _(scene: Scene) -> bool:
	return reads("Consent", scene.consent)


@does("the list of Suppressions")
def _(_scene: Scene) -> bool:
	return reads("Suppression")


@does("Consent Events")
def _(scene: Scene) -> bool:
	return reads("Consent Event", f"{scene.consent}-1")


@does("what an event says of the person")
def _(scene: Scene) -> bool:
	return reads("Consent Event Payload", f"{scene.consent}-1")


@does("Consent Coverage, Blocked Mail, Wording in Use, Sources")
def _(_scene: Scene) -> bool:
	return all(opens(name) for name in ("Consent Coverage", "Blocked Mail", "Wording in Use", "Sources"))


@does("Consent Register, Expiring and Lapsed")
def _(_scene: Scene) -> bool:
	return all(opens(name) for name in ("Consent Register", "Expiring and Lapsed"))


@does("Record of Processing Activities")
def _(_scene: Scene) -> bool:
	return opens("Record of Processing Activities")


@does("purposes, topics and wordings")
def _(scene: Scene) -> bool:
	return all(
		[
			reads("Processing Purpose", "Email Marketing"),
			frappe.has_permission("Subscription Topic"),
			frappe.has_permission("Consent Wording"),
		]
	)


@does("the tax number of a Customer")
def _(_scene: Scene) -> bool:
	return "tax_id" not in field_rights.hidden_fields("Customer")


@does("the personal-data map")
def _(_scene: Scene) -> bool:
	return opens("Personal Data Map")


@does("who saw protected data")
def _(_scene: Scene) -> bool:
	return bool(frappe.has_permission("Sensitive Access Log"))


@does("record a consent")
def _(scene: Scene) -> None:
	api.record_consent(email=f"{scene.unique}@gate.example", **PROOF)


@does("ask for a consent by mail")
def _(scene: Scene) -> None:
	api.request_consent(f"{scene.unique}@gate.example")


@does("withdraw")
def _(scene: Scene) -> bool:
	return api.withdraw_consent(**scene.party)["withdrawn"] == [scene.consent]


@does("object to all marketing")
def _(scene: Scene) -> bool:
	return api.object_to_marketing(**scene.party)["withdrawn"] == [scene.consent]


@does("send a person their preference link")
def _(scene: Scene) -> None:
	api.send_preference_link(scene.email)


@does("restrict the use of a person's data")
def _(scene: Scene) -> None:
	api.restrict(**scene.party, reason="She contests the address")


@does("revoke a consent")
def _(scene: Scene) -> None:
	api.revoke_consent(scene.consent, "We don't send this any more")


@does("invalidate a consent")
def _(scene: Scene) -> None:
	api.invalidate_consent(scene.consent, "The box was ticked beforehand")


@does("lift a restriction")
def _(scene: Scene) -> None:
	api.lift_restriction(**scene.party, reason="Checked", informed_on=frappe.utils.today())


@does("say that a mailbox works again")
def _(scene: Scene) -> None:
	api.lift_bounce(scene.email, "She wrote from it today")


@does("take a person's history as a file")
def _(scene: Scene) -> None:
	api.download_history(**scene.party, file_format="JSON-LD")


@does("export the list of Consents")
def _(_scene: Scene) -> bool:
	return bool(frappe.has_permission("Consent", "export"))


@does("import consents from a file")
def _(_scene: Scene) -> bool:
	return bool(frappe.has_permission("Consent", "import"))


@does("set up a bulk update")
def _(scene: Scene) -> None:
	rule = {"filters": f'[["Contact", "name", "=", "{scene.contact}"]]', **WITHDRAW}
	inserts("Consent Bulk Update", title=scene.unique, reason="They asked for it", rules=[rule])


@does("approve a bulk update of somebody else")
def _(scene: Scene) -> None:
	status = bulk_api.status(scene.bulk_update)
	bulk_api.approve(scene.bulk_update, status["selection_hash"])


@does("record a request of a person")
def _(scene: Scene) -> None:
	rights.record_request("Access", email=scene.email, channel="Phone")


@does("see a request that somebody else recorded")
def _(scene: Scene) -> bool:
	return reads("Data Subject Request", scene.request)


@does("take a request in hand, extend, refuse and answer it")
def _(scene: Scene) -> None:
	rights.confirm_identity(scene.request, "Met in Person")
	rights.start_request(scene.request)


@does("plan an erasure, and approve it")
def _(scene: Scene) -> None:
	with scene.taken_in_hand("Erasure") as request:
		rights.plan_erasure(request)


@does("make a person's package, and hand it out")
def _(scene: Scene) -> None:
	with scene.taken_in_hand("Access") as request:
		rights.prepare_package(request)


@does("note whom we have to tell of their data, and tell them")
def _(scene: Scene) -> bool:
	inserts(
		"Information Duty", **scene.party, email=scene.email, obtained_from="A fair", obtained_on=nowdate()
	)
	return bool(frappe.get_list("Information Duty", {"party": scene.contact}))


@does("describe a score, and let a human review it")
def _(scene: Scene) -> None:
	with scene.taken_in_hand("Human Review") as request:
		rights.undescribed_scores()
		inserts(
			"Automated Decision",
			title=scene.unique,
			ref_doctype="Lead",
			fieldname="qualification_status",
			logic="By the answers to five questions",
			significance="Who is called first",
			reviewer="Administrator",
		)
		rights.answer_human_review(request)


@does("note that a recipient of data was told of a no")
def _(scene: Scene) -> None:
	notifications.note_as_told([scene.notification()], "By phone")


@does("put somebody under a Legal Hold, and release it")
def _(scene: Scene) -> None:
	hold = frappe.new_doc("Legal Hold", **scene.party, reason="A lawsuit", review_on=add_days(nowdate(), 90))
	legal_hold.release(hold.insert().name, "It is over")


@does("see whose data are past retention")
def _(_scene: Scene) -> bool:
	return opens("Data Past Retention")


@does("write down a breach")
def _(scene: Scene) -> None:
	breach(title=scene.unique)


@does("count and tell the people of a breach, and close it")
def _(scene: Scene) -> None:
	breaches.count_people(scene.breach)


@does("write a Newsletter")
def _(scene: Scene) -> None:
	inserts("Newsletter", **scene.newsletter() | {"subject": f"More news {scene.unique}"})


@does("see who gets a Newsletter, and why the others don't")
def _(scene: Scene) -> None:
	scene.letter.explain_audience()


@does("purposes, topics, wordings, sources and legal bases")
def _(scene: Scene) -> None:
	inserts("Subscription Topic", title=scene.unique, purpose="Email Marketing")
	inserts("Consent Wording", purpose="Email Marketing", language="en", text=f"Yes to {scene.unique}")
	inserts("Consent Source", title=scene.unique)
	inserts("Legal Basis", title=scene.unique, article="GDPR 6(1)(f)", marketing="Never")


@does("assess whether legitimate interests outweigh")
def _(scene: Scene) -> None:
	assessed(interest=scene.unique)


@does("who has people's data from us")
def _(scene: Scene) -> None:
	inserts("Data Recipient", title=scene.unique, purposes=[{"purpose": "Email Marketing"}])


@does("Consent Settings")
def _(_scene: Scene) -> None:
	frappe.get_doc("Consent Settings").save()


@does("which fields are protected")
def _(_scene: Scene) -> bool:
	return bool(frappe.has_permission("Sensitive Field", "create"))


@does("check the gate")
def _(_scene: Scene) -> None:
	self_check.check_now()


@does("the seals of the ledger")
def _(_scene: Scene) -> bool:
	return frappe.has_permission("Ledger Seal")


@does("verify the ledger")
def _(_scene: Scene) -> None:
	api.verify_ledger()


@does("rebuild a consent from its events")
def _(scene: Scene) -> None:
	api.rebuild(scene.consent)


@pytest.mark.parametrize("what", ACTIONS)
@pytest.mark.parametrize("role", COLUMNS)
def test_each_cell_of_the_table_is_true(what, role, bulk, user_with_roles):
	scene = Scene(bulk, with_bulk_update=what.startswith("approve"))
	user_with_roles(role, "Sales User")
	(expected,) = (cells[COLUMNS.index(role)] for name, cells in rows() if name == what)
	assert attempt(ACTIONS[what], scene) == expected


def test_each_row_of_the_table_is_tried():
	assert [what for what, _cells in rows()] == [*ACTIONS]
