"""Any rules, about people in any state: what the preview says is what happens, and no no becomes a yes."""

from collections.abc import Callable
from typing import Any

from conftest import PROOF, BulkUpdates, examples
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import frappe

from gdpr_consent import api as register_api
from gdpr_consent import audience, register
from gdpr_consent.bulk_update import api
from gdpr_consent.exceptions import ConsentError
from gdpr_consent.identity import address_key

RULE_SETS = examples(4)
ANEW_AFTER = 40  # rule sets, or what is on record about the same few people would only grow
PURPOSES = ("Email Marketing", "Sales")
RESULT_OF = {"Change": "Done", "Unchanged": "Unchanged", "Skip": "Skipped"}

rules = st.fixed_dictionaries(
	{
		"kind": st.sampled_from(["Contact", "Contact", "Lead", "Customer"]),
		"records": st.sets(st.integers(0, 4), min_size=1),
		"action": st.sampled_from(["Set", "Set", "Set", "Withdraw", "Revoke", "Expire", "Assign Topic"]),
		"purpose": st.sampled_from(PURPOSES),
		"topical": st.booleans(),
		"by_consent": st.booleans(),
		"proof": st.sampled_from(["none", "file", "field"]),
		"dated": st.booleans(),
		"source": st.sampled_from([None, "Phone", "Event"]),
	}
)
happenings = st.lists(
	st.tuples(
		st.sampled_from(["give", "withdraw", "object", "request", "refuse", "revoke"]),
		st.integers(0, 6),
		st.sampled_from(PURPOSES),
	),
	max_size=2,
)


class People:
	"""Five Contacts, Leads and Customers that share a few of seven addresses, one of them a role's."""

	def __init__(self, bulk: BulkUpdates, wording: Callable) -> None:
		tag = frappe.generate_hash(length=8)
		self.emails = [bulk.mailbox(f"{one}.{{}}@people.example") for one in range(6)]
		self.emails.append(bulk.mailbox(f"info@{tag}.example"))
		at = self.emails
		more = [{"department": "Told Ann"}, {}, {"department": PROOF["evidence"]}, {}, {}]
		addresses = [(at[0], at[1]), (at[1], at[6]), (at[2], at[6]), (at[3],), ()]
		contacts = [bulk.contact(*mine, **fields) for mine, fields in zip(addresses, more, strict=True)]
		leads = [bulk.lead(email) for email in (at[0], at[4], at[5], at[6])] + [bulk.lead()]
		customers = [
			bulk.customer(*(contacts[one] for one in mine)) for mine in ((0, 1), (2,), (), (3,), (4,))
		]
		self.records = {"Contact": contacts, "Lead": leads, "Customer": customers}
		topic = frappe.new_doc("Subscription Topic", title=f"Topic {tag}", purpose="Email Marketing")
		self.topic = topic.insert().name
		self.wordings = {
			purpose: wording(None, "News of all kinds.", purpose=purpose) for purpose in PURPOSES
		}
		frappe.db.commit()

	def remove(self) -> None:
		frappe.db.delete("Subscription Topic", {"name": self.topic})
		frappe.db.commit()

	def rule(self, drawn: dict[str, Any]) -> dict[str, Any]:
		kind, action = drawn["kind"], drawn["action"]
		purpose = "Email Marketing" if action == "Assign Topic" else drawn["purpose"]
		rule = {
			"target_doctype": kind,
			"records": [self.records[kind][one] for one in sorted(drawn["records"])],
			"action": action,
			"purpose": purpose,
			"source": "Phone" if action == "Withdraw" else drawn["source"],
		}
		topical = action == "Assign Topic" or (drawn["topical"] and purpose == "Email Marketing")
		if topical:
			rule["topic"] = self.topic
		if action == "Assign Topic":
			rule["wording"] = self.wordings[purpose]
		if action == "Set":
			other = "Legitimate Interests" if purpose == "Sales" else "Consent"
			rule["legal_basis"] = "Consent" if drawn["by_consent"] else other
			if drawn["proof"] == "file":
				rule["evidence_file"] = PROOF["evidence"]
			elif drawn["proof"] == "field" and kind == "Contact":
				rule["evidence_field"] = "department"
			if drawn["dated"]:
				rule["date_field"] = "creation"
			if not topical:
				rule["wording"] = self.wordings[purpose]
		return rule

	def let_happen(self, what: str, who: int, purpose: str) -> None:
		email = self.emails[who]
		try:
			if what == "give":
				register_api.record_consent(
					email=email, purpose=purpose, wording=self.wordings[purpose], **PROOF
				)
			elif what == "withdraw":
				register_api.withdraw_consent(email=email, purpose=purpose)
			elif what == "object":
				register_api.object_to_marketing(email=email)
			elif what == "request":
				register.request(email=email, purpose=purpose)
			elif what == "refuse":
				register.refuse(email=email, purpose=purpose)
			else:
				filters = {"address_key": address_key(email), "purpose": purpose, "status": "Given"}
				for consent in frappe.get_all("Consent", filters, pluck="name"):
					register.revoke(consent, "For a test")
		except ConsentError:
			pass

	def allowed(self) -> set[tuple[str, str | None]]:
		found = set()
		for topic in (None, self.topic):
			decisions = audience.decide_many(self.emails, "Email Marketing", topic)
			found |= {(email, topic) for email, decision in decisions.items() if decision.allowed}
		return found


def label(item: Any, rule: dict[str, Any]) -> str:
	"""What is on record for the address of an item, in the words of a preview."""
	rows = frappe.get_all(
		"Consent",
		{
			"address_key": item.address_key or "none",
			"purpose": rule["purpose"],
			"topic": rule.get("topic") or ["is", "not set"],
			"channel": "Email",
		},
		["name", "status", "legal_basis", "since"],
	)
	if not rows:
		return ""
	live = ("Unknown", "Requested", "Given", "Not Required")
	row = max(rows, key=lambda one: (one.status in live, one.since, one.name))
	return row.legal_basis if row.status == "Not Required" else row.status


def test_bu_03_what_the_preview_says_is_what_happens(bulk: BulkUpdates, wording):
	"""Also BU-01 and BU-02, whatever the rules: no consent without proof, and no no is lifted."""
	worlds: list[People] = []
	tried = 0

	# Not shrunk: each example starts from what the ones before it have left.
	@settings(max_examples=RULE_SETS, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
	@given(st.lists(rules, min_size=1, max_size=3), happenings, st.booleans())
	def check(drawn: list[dict[str, Any]], happened: list[tuple], takes_back: bool) -> None:
		nonlocal tried
		if tried % ANEW_AFTER == 0:
			worlds.append(People(bulk, wording))
		tried += 1
		people = worlds[-1]
		for what in happened:
			people.let_happen(*what)
		made = [people.rule(one) for one in drawn]
		allowed_before = people.allowed()

		name = bulk.preview(*[dict(rule) for rule in made])
		planned = bulk.items(name)
		for item in planned.values():
			if item.why not in ("NO_ADDRESS", "SAME_ADDRESS", "NO_DATE"):
				assert (item.before or "") == label(item, made[item.rule - 1])
		if api.status(name)["needs_approval"]:
			return
		assert bulk.do(api.run, name)["status"] == "Completed"

		for target, item in bulk.items(name).items():
			assert item.result == RESULT_OF[planned[target].plan], item
			if item.why not in ("NO_ADDRESS", "SAME_ADDRESS", "NO_DATE"):
				assert (planned[target].after or "") == label(item, made[item.rule - 1])
			if item.result == "Done" and item.after == "Given":
				assert frappe.db.get_value("Consent", item.consent, "evidence")
		new = {email for email, _topic in people.allowed() - allowed_before}
		given = {item.email for item in planned.values() if item.after == "Given"}
		assert new <= given

		if takes_back:
			bulk.do(api.revert, name, "For a test")
			assert people.allowed() <= allowed_before
			for item in bulk.items(name).values():
				if item.result == "Reverted" and made[item.rule - 1]["action"] == "Set":
					assert label(item, made[item.rule - 1]) != item.after or item.after == item.before

	try:
		check()
	finally:
		frappe.db.rollback()
		for people in worlds:
			people.remove()
	assert tried >= RULE_SETS
