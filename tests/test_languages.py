"""Polish and German are complete, and other languages get English (issue 4)."""

import re
from email import message_from_string
from email.policy import default
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from conftest import V16, give

import frappe
from frappe.gettext import translate

from gdpr_consent import api, links
from gdpr_consent.clock import hours_in_words

LANGUAGES = ("pl", "de")
# Names, abbreviations, and words that are the same there.
SAME = {"A", "B", "C", "D", "API", "SMS", "Status", "Import", "Marketing", "Name", "Person", "System"}
SAME |= {"DocType", "Frappe {0}", "Hook {0}, {1}: {2}", "Information", "Lead", "{0} → {1}"}
SAME |= {"E-mail", "Newsletter", "Salt", "System Manager", "Text", "Version", "status"}
IN_TEXT = re.compile(r"\{\w*\}|</?\w[^>]*>|&\w+;")
Key = tuple[str, str | None]


def catalog(name: str) -> Catalog:
	with open(Path(frappe.get_app_path("gdpr_consent")) / "locale" / name, "rb") as file:
		return read_po(file)


def keys_of(found: Catalog) -> set[Key]:
	return {(message.id, message.context) for message in found if message.id}


def test_the_template_has_every_text_of_the_code(tmp_path, monkeypatch):
	monkeypatch.setattr(translate, "get_pot_path", lambda _app: tmp_path / "main.pot")
	monkeypatch.setattr(translate, "get_po_path", lambda _app, _locale=None: tmp_path / "main.pot")
	translate.generate_pot("gdpr_consent")
	with open(tmp_path / "main.pot", "rb") as file:
		in_code = keys_of(read_po(file))
	of_v16 = {(text, None) for text in ("Home", "Options", "Data")} if V16 else set()  # core's own words
	assert keys_of(catalog("main.pot")) == in_code - of_v16, "Run bench generate-pot-file --app gdpr_consent."


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language):
	found = catalog(f"{language}.po")
	assert keys_of(found) == keys_of(catalog("main.pot"))
	messages = [message for message in found if message.id]
	assert not [message.id for message in messages if message.fuzzy or not message.string]
	assert not [message.id for message in messages if message.string == message.id and message.id not in SAME]


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_and_tags_and_ends_are_kept(language):
	def shape(text: str) -> tuple:
		return sorted(IN_TEXT.findall(text)), text[:1].isspace(), text[-1:].isspace()

	messages = [message for message in catalog(f"{language}.po") if message.id]
	assert not [message.id for message in messages if shape(message.id) != shape(message.string)]


@pytest.mark.parametrize(
	("language", "one", "few", "many"),
	[
		("en", "1 hour", "2 hours", "72 hours"),
		("pl", "1 godzina", "2 godziny", "168 godzin"),
		("de", "1 Stunde", "2 Stunden", "72 Stunden"),
		("xx", "1 hour", "2 hours", "72 hours"),
	],
)
def test_hours_have_the_plural_of_the_language(language, one, few, many, monkeypatch):
	monkeypatch.setattr(frappe.local, "lang", language)
	for text in (one, few, many):
		assert hours_in_words(int(text.split()[0])) == text


STOP = {
	"pl": ("Wypisz się", "Zatrzymaj", "Żadnego marketingu"),
	"de": ("Abmelden", "Beenden", "Gar keine Werbung"),
	"fr": ("Unsubscribe", "Stop it", "No marketing at all"),
	"xx": ("Unsubscribe", "Stop it", "No marketing at all"),
}


@pytest.mark.parametrize("language", STOP)
def test_the_page_of_a_link_speaks_the_language(language, mailbox, web):
	"""UN-13. What nobody has translated is in English, and the page is there all the same."""
	token = links.sign(links.UNSUBSCRIBE, give(mailbox()))
	frappe.db.commit()
	page = web.call("GET", f"/consent/unsubscribe?t={token}&_lang={language}")
	assert page.status_code == 200
	title, stop, everything = STOP[language]
	if language != "fr":  # which core has translated in part
		assert f"<title>{title}</title>" in page.text
	assert f">{stop}</button>" in page.text and f">{everything}</button>" in page.text


def text_of(content: str) -> tuple[str, str]:
	message = message_from_string(content, policy=default)
	body = message.get_body(("plain", "html")).get_content()
	return str(message["Subject"]), body


@pytest.mark.parametrize(
	("language", "subject", "validity"),
	[
		("pl", "Potwierdź: czy", "Ważność linku: 72 godziny."),
		("de", "Bitte bestätigen: Darf", "Gültigkeit des Links: 72 Stunden."),
		("fr", "Please confirm: may", "The link works for 72"),
	],
)
def test_the_confirmation_mail_speaks_the_language(language, subject, validity, mailbox, smtp):
	email = mailbox()
	api.request_consent(email, "Email Marketing", language=language)
	frappe.db.commit()
	send_queued(email)
	(delivery,) = smtp.deliveries
	told, body = text_of(delivery.content)
	assert told.startswith(subject)
	assert validity in " ".join(body.split())


@pytest.mark.parametrize(
	("language", "title"),
	[("pl", "Zgoda na nasze wiadomości"), ("de", "Ihre Einwilligung in unsere E-Mails")],
)
def test_the_receipt_speaks_the_language(language, title, mailbox, web, smtp):
	email = mailbox()
	pending = api.request_consent(email, "Email Marketing", language=language)
	frappe.db.commit()
	smtp_before = len(smtp.deliveries)
	url = links.confirmation_url(pending["consents"])
	token = url.partition("t=")[2]
	answer = web.call("POST", f"/consent/confirm?_lang={language}", data={"t": token, "receipt": "1"})
	assert answer.status_code == 200
	send_queued(email)
	assert title in [text_of(one.content)[0] for one in smtp.deliveries[smtp_before:]]


@pytest.mark.parametrize(
	("language", "labels"), [("pl", ("Wypisz się", "Twoje wybory")), ("de", ("Abmelden", "Ihre Auswahl"))]
)
def test_em_14_the_way_out_of_a_mail_speaks_the_language(language, labels, mailbox, queued, smtp):
	email = mailbox()
	give(email, language=language)
	queued(email, purpose="Email Marketing").send()
	(delivery,) = smtp.deliveries
	_subject, body = text_of(delivery.content)
	assert all(label in body for label in labels)


def send_queued(email: str) -> None:
	frappe.db.rollback()
	for name in frappe.get_all("Email Queue Recipient", {"recipient": email}, pluck="parent"):
		mail = frappe.get_doc("Email Queue", name)
		if mail.status == "Not Sent":
			mail.send()
