"""How they said it, and what they were told: documents and words (CA-05, CA-06, LB-06)."""

import re

import pytest
from conftest import PROOF, BulkUpdates, give, wait_until
from conftest import reason_on_the_server as reason

import frappe

from gdpr_consent import api, imports, links, own_files, preferences, records, register, seeds, sign_up, told
from gdpr_consent.bulk_update.rules import RuleNotValid
from gdpr_consent.exceptions import EvidenceMissing
from gdpr_consent.gate import canary, self_check
from gdpr_consent.gate.canary_report import Outcome
from gdpr_consent.identity import address_key

MARKETING = "Email Marketing"
WORDS = "She said so to Ann at the fair in Leipzig."
TEXT = "Yes, tell me what is new. I can stop at any time."
pytestmark = pytest.mark.usefixtures("fresh_counters")


@pytest.fixture
def paper(site):
	"""A source that counts only with a document, committed."""
	title = f"Signed form {frappe.generate_hash(length=8)}"
	source = frappe.new_doc("Consent Source", title=title, needs_document=1).insert()
	frappe.db.commit()
	yield source.name
	frappe.set_user("Administrator")
	frappe.db.rollback()
	frappe.delete_doc("Consent Source", source.name, force=True)
	frappe.db.commit()


@pytest.fixture
def described_topic(committed_topic):
	frappe.get_doc("Subscription Topic", committed_topic).update({"description": "Once a month."}).save()
	frappe.db.commit()
	return committed_topic


def rows_of(email: str) -> dict[str, frappe._dict]:
	frappe.db.rollback()
	rows = frappe.get_all("Consent", {"address_key": address_key(email)}, ["*"])
	return {row.topic or "": row for row in rows}


def signed(page: str) -> str:
	return re.search(r'name="shown" value="([^"]+)"', page)[1]


def what_became(bulk: BulkUpdates, *rules: dict) -> dict[str, tuple[str, str]]:
	items = bulk.items(bulk.run(*rules))
	return {name: (item.after, item.why or "") for name, item in items.items()}


# --- a document for what is on paper (CA-05) ----------------------------------------------------------------


def test_ca_05_paper_without_its_file_is_refused_and_nothing_is_stored(address, paper):
	email = address()
	with pytest.raises(EvidenceMissing) as refused:
		api.record_consent(email=email, source=paper, evidence=WORDS)
	assert all(part in str(refused.value) for part in ("Source", paper, "Evidence", WORDS, "Attach"))
	assert not frappe.db.exists("Consent", {"address_key": address_key(email)})
	row = frappe.get_doc("Consent", give(email, source=paper))
	assert (row.status, row.evidence_grade, row.source) == ("Given", "C", paper)


def test_ca_05_paper_is_about_consent_only(address, paper):
	about = {"purpose": "Sales", "legal_basis": "Legitimate Interests", "source": paper}
	assert api.record_consent(email=address(), **about)["status"] == "Not Required"


@pytest.mark.parametrize("evidence", [None, "", "  "])
def test_ca_05_what_was_said_needs_a_note_and_who_took_it(address, user_with_roles, evidence):
	email = address()
	user = user_with_roles("Consent User")
	with pytest.raises(EvidenceMissing, match="Evidence"):
		api.record_consent(email=email, source="Phone", evidence=evidence)
	row = frappe.get_doc("Consent", api.record_consent(email=email, source="Phone", evidence=WORDS)["name"])
	assert (row.evidence, row.evidence_grade, row.recorded_by) == (WORDS, "D", user)


def test_ca_05_on_a_new_site_a_contract_needs_its_document():
	needs = {source["title"] for source in seeds.CONSENT_SOURCES if source["needs_document"]}
	assert needs == {"Contract"}
	assert not frappe.new_doc("Consent Source").needs_document


def test_ca_05_a_bulk_update_makes_paper_without_its_file_unknown(bulk: BulkUpdates, paper):
	with_words, without, with_file = (bulk.mailbox() for _ in range(3))
	expected = {
		bulk.contact(with_words, department=WORDS[:40]): ("Unknown", "NO_DOCUMENT"),
		bulk.contact(without): ("Unknown", "UNPROVEN"),
		bulk.contact(with_file, department=PROOF["evidence"]): ("Given", ""),
	}
	rule = {"action": "Set", "legal_basis": "Consent", "source": paper, "evidence_field": "department"}
	assert what_became(bulk, rule | {"records": [*expected]}) == expected
	assert (reason(with_words), reason(with_file)) == ("NO_EVIDENCE", "VALID_CONSENT")


def row_of_a_file(**values) -> frappe._dict:
	doc = frappe.new_doc("Consent").update(values)
	return frappe.get_doc("Consent", imports.record(doc).name)


def test_ca_05_an_import_makes_paper_without_its_file_unknown(address, paper):
	common = {"purpose": MARKETING, "source": paper, "given_on": "2025-03-01 09:00:00"}
	claimed = row_of_a_file(email=address(), evidence=WORDS, **common)
	assert (claimed.status, claimed.given_on, claimed.source) == ("Unknown", None, paper)
	proven = row_of_a_file(email=address(), evidence=PROOF["evidence"], **common)
	assert (proven.status, proven.evidence_grade) == ("Given", "C")


def test_ca_05_a_record_of_ours_is_no_document_of_the_site(address, paper):
	email = address()
	name = give(email, source=paper)
	file = records.signed(records.history_of(email, None, None))
	frappe.db.delete("Consent Event", {"consent": name})
	frappe.db.delete("Consent", {"name": name})
	assert own_files.take_in(file)["unknown"] == 1
	assert frappe.db.get_value("Consent", {"address_key": address_key(email)}, "status") == "Unknown"


# --- no consent without words (LB-06) -----------------------------------------------------------------------


def test_lb_06_where_nobody_asks_for_a_wording_none_is_needed(address):
	assert not frappe.new_doc("Consent Settings").wording_required
	assert frappe.db.get_value("Consent", give(address()), ["status", "wording"]) == ("Given", None)


def test_lb_06_a_consent_without_a_wording_is_refused_and_nothing_is_stored(
	address, topic, wording, words_needed
):
	email = address()
	with pytest.raises(EvidenceMissing) as refused:
		give(email, topic)
	assert all(part in str(refused.value) for part in ("Wording", topic, "choose"))
	assert not frappe.db.exists("Consent", {"address_key": address_key(email)})
	name = give(email, topic, wording=frappe.new_doc("Consent Wording", **words_for(topic)).insert().name)
	assert frappe.db.get_value("Consent", name, "status") == "Given"
	about = {"purpose": "Sales", "legal_basis": "Legitimate Interests"}
	assert api.record_consent(email=email, **about)["status"] == "Not Required"


def words_for(topic: str | None) -> dict:
	return {"purpose": MARKETING, "topic": topic, "language": "en", "text": TEXT}


def test_lb_06_a_bulk_update_without_a_wording_makes_it_unknown(
	bulk: BulkUpdates, committed_topic, wording, words_needed
):
	without, with_words = bulk.contact(bulk.mailbox()), bulk.contact(bulk.mailbox())
	rule = {"action": "Set", "legal_basis": "Consent", "topic": committed_topic, **EVIDENCE}
	shown = {"wording": wording(committed_topic, TEXT)}
	assert what_became(bulk, rule | {"records": [without]}, rule | shown | {"records": [with_words]}) == {
		without: ("Unknown", "NO_WORDING"),
		with_words: ("Given", ""),
	}
	with pytest.raises(RuleNotValid, match="Wording"):
		bulk.preview({"action": "Ask", "topic": committed_topic, "records": [without]})


EVIDENCE = {"source": PROOF["source"], "evidence_file": PROOF["evidence"]}


def test_lb_06_ca_05_what_is_needed_is_read_once_and_not_for_each_record(
	bulk: BulkUpdates, paper, words_needed, monkeypatch
):
	asked = []
	sql = frappe.db.sql

	def count(*args, **more):
		asked.append(str(args))
		return sql(*args, **more)

	monkeypatch.setattr(frappe.db, "sql", count)
	counts = []
	for number in (1, 12):
		records = bulk.many_contacts(number)
		rule = {
			"action": "Set",
			"legal_basis": "Consent",
			"source": paper,
			"evidence_file": EVIDENCE["evidence_file"],
		}
		frappe.clear_document_cache("Consent Source", paper)
		asked.clear()
		bulk.run(rule | {"records": records})
		counts.append(sum("wording_required" in one or "tabConsent Source" in one for one in asked))
	assert 0 < counts[1] == counts[0]


def test_lb_06_an_import_without_a_wording_is_unknown(address, wording, words_needed):
	common = {"purpose": MARKETING, "source": "Event", "evidence": WORDS, "given_on": "2025-03-01 09:00:00"}
	assert row_of_a_file(email=address(), **common).status == "Unknown"
	given = row_of_a_file(email=address(), wording=wording(None, TEXT), **common)
	assert given.status == "Given"


def test_lb_06_nobody_is_asked_for_what_has_no_wording(mailbox, committed_topic, wording, words_needed, web):
	email = mailbox()
	with pytest.raises(EvidenceMissing, match="Wording"):
		api.request_consent(email, topics=[committed_topic])
	assert not rows_of(email)
	shown = wording(committed_topic, TEXT)
	names = api.request_consent(email, topics=[committed_topic.upper()])["consents"]
	frappe.db.commit()
	path = web.path_of(links.confirmation_url(names))
	assert TEXT in web.call("GET", path).text
	web.call("POST", path)
	rows = rows_of(email)
	assert rows[committed_topic].wording == shown and rows[committed_topic].status == "Given"
	# Who asks for a topic asks for its purpose with the same words.
	assert rows[""].status == "Given" and f"Wording shown: {shown}." in rows[""].evidence
	assert "No wording" not in rows[""].evidence + rows[committed_topic].evidence


def test_lb_06_a_form_offers_only_what_has_a_wording(mailbox, committed_topic, wording, words_needed, web):
	path, value = f"/consent/subscribe?topic={committed_topic}", f"{MARKETING}:{committed_topic}"
	assert value not in web.call("GET", path).text
	assert web.call("GET", f"/consent/sign-up.js?topic={committed_topic}").status_code == 404
	assert committed_topic in told.not_offered()
	assert any(committed_topic in problem for problem in self_check.find_problems())
	email = mailbox()
	web.call("POST", "/consent/subscribe", data={"email": email, "on": value})
	wording(committed_topic, TEXT)
	assert committed_topic not in told.not_offered()

	foreign = web.call("POST", "/consent/subscribe", data={"email": email, "on": value})
	assert "say what you agree to" in foreign.text and 'role="alert"' in foreign.text
	assert not rows_of(email)
	shown = signed(foreign.text)
	web.call("POST", "/consent/subscribe", data={"email": email, "on": value, "shown": shown})
	wait_until(lambda: reason(email, committed_topic) == "REQUESTED")


def test_lb_06_cores_newsletter_form_leads_to_ours(mailbox, committed_topic, group_of, words_needed, web):
	group, email = group_of(committed_topic), mailbox()
	frappe.db.commit()
	door = "/api/method/frappe.email.doctype.newsletter.newsletter.subscribe"
	answer = web.call("POST", door, data={"email": email, "email_group": group})
	assert answer.status_code == 417 and "/consent/subscribe" in answer.text
	assert not rows_of(email)


def test_lb_06_the_preference_page_offers_only_what_has_a_wording(
	mailbox, committed_topic, wording, words_needed, web
):
	email = mailbox()
	known = give(email, wording=wording(None, TEXT))
	frappe.db.commit()
	token = links.sign(links.PREFERENCES, known)
	path, switch = f"/consent/preferences?t={token}", f"topic:{committed_topic}"
	assert switch not in web.call("GET", path).text
	shown = wording(committed_topic, "Yes, this too.")
	page = web.call("GET", path).text
	assert switch in page and "Yes, this too." in page
	wanted = {"t": token, "save": "1", "on": [f"purpose:{MARKETING}", switch]}
	answer = web.call("POST", "/consent/preferences", data=wanted)
	assert answer.status_code == 200 and "Nothing was changed" in answer.text
	assert committed_topic not in rows_of(email), "nobody knows what the page said"
	web.call("POST", "/consent/preferences", data=wanted | {"shown": signed(page)})
	assert rows_of(email)[committed_topic].wording == shown
	web.call("POST", "/consent/preferences", data={"t": token, "save": "1", "on": []})
	assert reason(email) == "WITHDRAWN", "a no needs no words"


def test_lb_06_what_is_on_or_waits_stays_on_the_preference_page(
	mailbox, committed_topic, wording, words_needed
):
	email = mailbox()
	name = give(email, wording=wording(None, TEXT))
	found = register.named_by_link(name)
	register.request(email=email, topics=[committed_topic], declarations={committed_topic: WORDS})
	(offer,) = [one for one in preferences.offers_to(found) if one.purpose.name == MARKETING]
	(choice,) = [one for one in offer.topics if one.name == committed_topic]
	assert choice.is_pending and not choice.is_offered and offer.purpose.is_offered


def test_lb_06_nobody_renews_what_has_no_words(address, topic, words_needed):
	email = address()
	shown = frappe.new_doc("Consent Wording", **words_for(topic)).insert().name
	pending = register.request(email=email, topics=[topic], wordings={topic: shown})
	names = [row["name"] for row in pending]
	register.confirm(names, links.now_utc())
	asked = register.ask_again(names, {row["name"]: row["wording"] for row in pending})
	assert {row["name"] for row in asked} == {*names}, "the purpose, in the words of its topic"
	assert register.ask_again(names, dict.fromkeys(names)) == []


def test_lb_06_the_canary_still_flies(words_needed):
	tried = canary.try_all()
	assert {one.outcome for one in tried} <= {Outcome.PASSED, Outcome.ABSENT}


# --- what stood beside the box (CA-06) ----------------------------------------------------------------------


def test_ca_06_a_description_is_kept_as_it_stood_on_the_form(mailbox, described_topic, web):
	email, value = mailbox(), f"{MARKETING}:{described_topic}"
	page = web.call("GET", "/consent/subscribe").text
	assert "Once a month." in page
	web.call("POST", "/consent/subscribe", data={"email": email, "on": value, "shown": signed(page)})
	wait_until(lambda: reason(email, described_topic) == "REQUESTED")
	rows = rows_of(email)
	stood = f'"{described_topic}\nOnce a month."'
	assert stood in rows[described_topic].evidence and rows[described_topic].wording is None
	assert rows[""].evidence == rows[described_topic].evidence
	web.call("POST", web.path_of(links.confirmation_url([row.name for row in rows.values()])))
	confirmed = rows_of(email)[described_topic]
	assert stood in confirmed.evidence and "No wording" not in confirmed.evidence
	assert confirmed.evidence_grade == "A"


@pytest.mark.parametrize("how", ["changed", "unsigned", "forged", "of another box"])
def test_ca_06_nothing_is_claimed_that_wasnt_shown(mailbox, described_topic, web, how):
	email, value = mailbox(), f"{MARKETING}:{described_topic}"
	shown = signed(web.call("GET", "/consent/subscribe").text)
	if how == "changed":
		frappe.get_doc("Subscription Topic", described_topic).update({"description": "Daily."}).save()
		frappe.db.commit()
	if how == "of another box":
		was_shown = links.read(links.SHOWN, shown)
		shown = links.sign(links.SHOWN, {f"{MARKETING}:": was_shown[value]})
	shown = {"unsigned": "", "forged": shown[:-1] + ("A" if shown[-1] != "A" else "B")}.get(how, shown)
	web.call("POST", "/consent/subscribe", data={"email": email, "on": value, "shown": shown})
	wait_until(lambda: reason(email, described_topic) == "REQUESTED")
	assert {row.evidence for row in rows_of(email).values()} == {None}


def test_ca_06_a_form_that_was_loaded_before_still_names_its_wording(mailbox, committed_topic, wording, web):
	"""What forms of the version before have signed, who may lie in a cache for a while."""
	email, value = mailbox(), f"{MARKETING}:{committed_topic}"
	shown = wording(committed_topic, TEXT)
	before = links.sign(links.SHOWN, {value: shown})
	web.call("POST", "/consent/subscribe", data={"email": email, "on": value, "shown": before})
	wait_until(lambda: reason(email, committed_topic) == "REQUESTED")
	assert rows_of(email)[committed_topic].wording == shown


def test_ca_06_what_counts_at_once_says_so_and_in_which_words(
	mailbox, described_topic, no_double_opt_in, wording, web
):
	email, value = mailbox(), f"{MARKETING}:{described_topic}"
	shown = signed(web.call("GET", "/consent/subscribe").text)
	web.call("POST", "/consent/subscribe", data={"email": email, "on": value, "shown": shown})
	wait_until(lambda: reason(email, described_topic) == "VALID_CONSENT")
	rows = rows_of(email)
	assert rows[described_topic].evidence_grade == "B"
	assert all(f'"{described_topic}\nOnce a month."' in row.evidence for row in rows.values())
	worded, email = wording(described_topic, TEXT), mailbox()
	shown = signed(web.call("GET", "/consent/subscribe").text)
	web.call("POST", "/consent/subscribe", data={"email": email, "on": value, "shown": shown})
	wait_until(lambda: reason(email, described_topic) == "VALID_CONSENT")
	rows = rows_of(email)
	assert rows[described_topic].wording == worded
	ticked = f"Ticked on the sign-up form: {described_topic}."
	assert rows[described_topic].evidence == ticked
	assert rows[""].evidence == f"{ticked}\nWording shown: {worded}."


def test_ca_06_what_is_switched_on_is_kept_as_it_stood(mailbox, described_topic, web):
	email = mailbox()
	token = links.sign(links.PREFERENCES, give(email))
	frappe.db.commit()
	shown = signed(web.call("GET", f"/consent/preferences?t={token}").text)
	on = [f"purpose:{MARKETING}", f"topic:{described_topic}"]
	web.call("POST", "/consent/preferences", data={"t": token, "save": "1", "on": on, "shown": shown})
	assert f'"{described_topic}\nOnce a month."' in rows_of(email)[described_topic].evidence


def test_ca_06_a_wording_that_is_deleted_meanwhile_keeps_no_no_from_being_heard(
	mailbox, committed_topic, wording, web
):
	email = mailbox()
	token = links.sign(links.PREFERENCES, give(email))
	shown = wording(committed_topic, TEXT)
	page = web.call("GET", f"/consent/preferences?t={token}").text
	frappe.delete_doc("Consent Wording", shown)
	frappe.db.commit()
	wanted = {"t": token, "save": "1", "on": [f"purpose:{MARKETING}", f"topic:{committed_topic}"]}
	web.call("POST", "/consent/preferences", data=wanted | {"shown": signed(page)})
	assert rows_of(email)[committed_topic].wording is None
	web.call("POST", "/consent/preferences", data={"t": token, "save": "1", "shown": signed(page)})
	assert reason(email) == "WITHDRAWN"


def test_ca_06_many_boxes_fit_into_what_is_signed(site):
	boxes = [
		sign_up.Box(MARKETING, f"Topic number {number}", f"Topic number {number}", f"About {number}.", None)
		for number in range(60)
	]
	assert len(links.sign(links.SHOWN, {})) < len(sign_up.signed_texts(boxes)) <= links.MAX_LENGTH
