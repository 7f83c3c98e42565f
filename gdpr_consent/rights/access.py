"""What a person gets who asks for their data (Art. 15; DS-10 to DS-13, DS-25; requirements §8.1)."""

from collections.abc import Callable, Iterator
from email import message_from_string
from email.policy import default
from pathlib import Path
from typing import Any

import frappe
from frappe import _
from frappe.model import no_value_fields
from frappe.utils import cstr, get_site_path, strip_html

from gdpr_consent import data_recipients, dpv_terms, identity, ledger, paper, records
from gdpr_consent.clock import to_system_time, utc_text
from gdpr_consent.exceptions import RecordNotPossible
from gdpr_consent.policy import EventKind, Reason, RefusalKind
from gdpr_consent.rights import information, personal_data, traces
from gdpr_consent.rights.masking import MASKED, Mask
from gdpr_consent.rights.package import Package, Table
from gdpr_consent.rights.personal_data import Holding
from gdpr_consent.rights.subject import Subject
from gdpr_consent.sensitive_data import access_log, rules
from gdpr_consent.words import kind_in_words, reason_in_words, refusal_in_words

LARGEST_FILE, MOST_OF_FILES = 50 * 2**20, 500 * 2**20  # bytes
ROWS_ON_PAPER, LETTERS_ON_PAPER = 40, 300  # of a DocType, of a value; data.json has all
AT_ONCE = 500
OF_THE_SYSTEM = ("name", "creation", "modified")
OF_CHILDREN = ("name", "parenttype", "parent", "parentfield", "idx")
SECRETS = ("password", "secret", "token", "api_key", "reset_password_key", "link_key")  # in names of fields
IN_UTC = ledger.INSTANTS | {"occurred_at", "recorded_at", "effective_from", "decided_on", "accessed_on"}
MODULE = "GDPR Consent"  # its own instants are UTC
CONSENTS = "consents.jsonld"
PAGE = "gdpr_consent/templates/access_report.html"

Progress = Callable[[float], None]


def write(package: Package, request: Any, about: Subject, progress: Progress) -> None:
	"""Write the package of an Access request.

	Args:
		request: the Data Subject Request.
		about: who it is.
		progress: is told which part of the work is done, from 0 to 1.
	"""
	mask = Mask(about)
	book = Book(request, about)
	told = information.processing(request.company) | {
		"confirmation": confirmation(about, book),
		"recipients": recipients(about, book),
		"sources": sources(about, book),
		"made_on": frappe.utils.now(),
		"time_zone": frappe.utils.get_system_timezone(),
	}
	package.part("processing", told)
	package.part("consents", {"in": CONSENTS, "number": len(book.consents.rows)})
	package.part("refusals", [refusal_in_full(row) for row in book.refusals.rows])
	on_paper: list[dict[str, Any]] = []
	package.tables(_tables(package, about, mask, on_paper, progress))
	package.part("marketing_mails", _marketing_mails(book.keys))
	package.part("left_out", package.left_out)
	package.text(CONSENTS, book.as_json_ld())
	package.text("README.txt", readme(request, with_report=True))
	_write_report(package, told, book, on_paper)


# --- the register -------------------------------------------------------------------------------------------


class Book:
	"""What the register says of a person: of each of their addresses, and of each of their records."""

	def __init__(self, request: Any, about: Subject) -> None:
		keys = [key for key in identity.address_keys(about.addresses).values() if key]
		if request.address_key and not (request.email and identity.is_shared(request.email)):
			keys.append(request.address_key)
		self.keys = list(dict.fromkeys(keys))
		self.consents, self.refusals = records.read_all(self.keys, about.people)

	def as_json_ld(self) -> str:
		return frappe.as_json(records.document_of(self.consents, self.refusals), indent=1)

	def only_hashes(self) -> list[frappe._dict]:
		"""Return what is left of somebody who was erased: entries without an address (DS-25)."""
		return [row for row in self.refusals.rows if not row.email and not row.party]


def confirmation(about: Subject, book: Book) -> str:
	"""Say whether data about the person are processed (Art. 15(1))."""
	hashes = book.only_hashes()
	if about.people or book.consents.rows or len(hashes) < len(book.refusals.rows):
		return _("Yes: we process data about you. This is a copy of them.")
	if hashes:
		return _(
			"We hold nothing but a suppression hash, since {0}: it keeps us from writing to you again."
		).format(_day(hashes[0].said_on))
	return _("No: we process no data about you, but for this request.")


def refusal_in_full(row: frappe._dict) -> dict[str, Any]:
	"""Return an entry of the suppression list in words (DS-25)."""
	return {
		"kind": row.kind,
		"in_words": refusal_in_words(RefusalKind(row.kind)),
		"since": utc_text(row.said_on),
		"lifted_on": utc_text(row.lifted_on),
		"channel": row.channel,
		"purpose": row.purpose,
		"topic": row.topic,
		"address": row.email or _("only a suppression hash"),
		"address_key": row.address_key,
	}


def _marketing_mails(keys: list[str]) -> list[dict[str, Any]]:
	"""List the marketing mails that were decided about, with the ground each stood on."""
	if not keys:
		return []
	decision = frappe.qb.DocType("Consent Decision")
	rows = (
		frappe.qb.from_(decision)
		.select(decision.decided_on, decision.allowed, decision.reason, decision.purpose, decision.topic)
		.select(decision.channel, decision.consent, decision.reference_doctype, decision.reference_name)
		.where(decision.address_key.isin(keys))
		.orderby(decision.decided_on)
		.run(as_dict=True)
	)
	return [
		row | {"decided_on": utc_text(row.decided_on), "in_words": reason_in_words(Reason(row.reason))}
		for row in rows
	]


# --- who got it, where it came from -------------------------------------------------------------------------


def recipients(about: Subject, book: Book) -> list[dict[str, str]]:
	"""Name who was really given the person's data (C-154/21; DS-12): told recipients, and our processors."""
	found: dict[tuple[str, str], None] = {}
	purposes = {consent.purpose for consent in book.consents.rows if consent.given_on}
	for purpose, named in data_recipients.of_purposes(sorted(purposes)).items():
		about_purpose = _("has data for this purpose: {0}").format(_(purpose))
		found |= {(data_recipients.in_words(one), about_purpose): None for one in named}
	row, notice = (
		frappe.qb.DocType("Data Subject Request Record"),
		frappe.qb.DocType("Data Subject Request Notice"),
	)
	theirs = row.name == ""
	for person in about.people:
		theirs |= (row.party_type == person.party_type) & (row.party == person.party)
	for name, what in (
		frappe.qb.from_(notice)
		.join(row)
		.on((row.parent == notice.parent) & (row.included == 1))
		.select(notice.recipient, notice.about)
		.distinct()
		.where(theirs)
		.run()
	):
		found[name, what or ""] = None
	for account in frappe.get_all(
		"Email Account", {"enable_outgoing": 1}, ["service", "smtp_server", "email_id"], order_by="name"
	):
		provider = account.service or account.smtp_server
		if provider:
			found[provider, _("carries our mail, from {0}").format(account.email_id)] = None
	for contact in about.named("Contact"):
		synced = frappe.db.get_value("Contact", contact, ["google_contacts", "sync_with_google_contacts"])
		if synced and synced[0] and synced[1]:
			found["Google", _("keeps an address book of ours")] = None
	return [{"name": name, "what": what} for name, what in found]


def sources(about: Subject, book: Book) -> list[str]:
	"""Say where the data came from (Art. 15(1)(g))."""
	duty = frappe.qb.DocType(information.DOCTYPE)
	theirs = duty.name == ""
	for person in about.people:
		theirs |= (duty.party_type == person.party_type) & (duty.party == person.party)
	found = [
		f"{_(origin)}, {frappe.utils.formatdate(day)}"
		for origin, day in frappe.qb.from_(duty)
		.select(duty.obtained_from, duty.obtained_on)
		.where(theirs)
		.run()
	]
	for field in information.SOURCES_OF_LEADS:
		if about.named("Lead") and frappe.get_meta("Lead").has_field(field):
			leads = {"name": ["in", about.named("Lead")], field: ["is", "set"]}
			found += [_(value) for value in frappe.get_all("Lead", leads, pluck=field)]
	found += [_(row.source) for row in book.consents.rows if row.source]
	return list(dict.fromkeys(found)) or [_("From yourself, or from our contact with you.")]


# --- the data -----------------------------------------------------------------------------------------------


def _tables(
	package: Package, about: Subject, mask: Mask, on_paper: list[dict[str, Any]], progress: Progress
) -> Iterator[Table]:
	"""Yield the rows of each DocType of the map that are about the person."""
	found = [(holding, number) for holding, number in traces.count(about) if holding.given_out]
	total, done = sum(number for _holding, number in found) or 1, 0
	mapped = {holding.doctype for holding in personal_data.holdings()}
	for holding, number in found:
		yield from _of_holding(package, holding, about, mask, on_paper, mapped)
		done += number
		progress(done / total)


def _of_holding(
	package: Package,
	holding: Holding,
	about: Subject,
	mask: Mask,
	on_paper: list[dict[str, Any]],
	mapped: set[str],
) -> Iterator[Table]:
	columns = columns_of(holding.doctype)
	labels = labels_of(holding.doctype, columns)
	shown: list[dict[str, Any]] = []
	parents: list[str] = []
	tables = frappe.get_meta(holding.doctype).get_table_fields()
	unmapped = list(dict.fromkeys(table.options for table in tables if table.options not in mapped))
	size = _rows_at_once(holding.doctype)

	def rows() -> Iterator[dict[str, Any]]:
		staff = staff_fields(holding)
		protected = rules.protected_fields(holding.doctype).keys() & columns
		for page in traces.pages(holding, about, columns, size):
			passing = traces.in_passing(holding, [row["name"] for row in page])
			for row in page:
				told = mask.row(_readable(holding.doctype, row), staff)
				theirs = holding.emptied if holding.fields is None else holding.fields
				if row["name"] in passing and theirs:
					# It is about somebody else and names the person: only that is theirs.
					told = {field: told.get(field) for field in (*OF_THE_SYSTEM, *theirs)}
				elif unmapped:
					parents.append(row["name"])
				if len(shown) < ROWS_ON_PAPER:
					shown.append(told)
				if holding.doctype == "File":
					_copy_file(package, row)
				yield told
			if protected:
				access_log.record(
					"Export", holding.doctype, protected, [row["name"] for row in page], _("Access request")
				)

	yield Table(holding.doctype, labels, rows())
	if shown:
		on_paper.append(_for_paper(holding.doctype, labels, shown))
	for child in unmapped if parents else ():
		columns = columns_of(child, OF_CHILDREN)
		name = f"{holding.doctype}: {child}"
		yield Table(
			name, labels_of(child, columns), _children(child, holding.doctype, parents, columns, mask)
		)


def _readable(doctype: str, row: dict[str, Any]) -> dict[str, Any]:
	"""Return a row as its columns are meant: instants of the register in UTC, a queued mail decoded."""
	if doctype == "Email Queue" and row.get("message"):
		return row | {"message": _mail_in_words(row["message"])}
	if frappe.get_meta(doctype).module == MODULE:
		instants = {field: utc_text(row[field]) for field in IN_UTC & row.keys() if row[field]}
		return row | instants
	return row


def _mail_in_words(message: str) -> str:
	"""Decode a mail: in Base64 nobody could read it, and nobody else in it would be masked."""
	mail = message_from_string(message, policy=default)
	heads = [f"{name}: {mail[name]}" for name in ("Date", "Subject", "To") if mail[name]]
	try:
		body = mail.get_body(("plain", "html"))
		return "\n".join([*heads, "", body.get_content() if body else ""])
	except (LookupError, UnicodeError, KeyError, AttributeError):
		return "\n".join(heads)


def _rows_at_once(doctype: str) -> int:
	"""Mails are long: fewer of them at once keep memory flat."""
	return 100 if doctype in ("Communication", "Email Queue", "Version", "Deleted Document") else AT_ONCE


def _children(
	doctype: str, parenttype: str, parents: list[str], columns: list[str], mask: Mask
) -> Iterator[dict[str, Any]]:
	table = frappe.qb.DocType(doctype)
	staff = _user_links(doctype)
	for start in range(0, len(parents), AT_ONCE):
		for row in (
			frappe.qb.from_(table)
			.select(*(table[column] for column in columns))
			.where((table.parenttype == parenttype) & table.parent.isin(parents[start : start + AT_ONCE]))
			.orderby(table.parent)
			.orderby(table.idx)
			.run(as_dict=True)
		):
			yield mask.row(row, staff)


def columns_of(doctype: str, of_the_system: tuple[str, ...] = OF_THE_SYSTEM) -> list[str]:
	"""Name the columns of a DocType that are given out: no passwords, and not who of the staff wrote them."""
	meta = frappe.get_meta(doctype)
	stored = set(frappe.db.get_table_columns(doctype))
	fields = [
		field.fieldname
		for field in meta.fields
		if field.fieldtype not in (*no_value_fields, "Password")
		and not any(word in field.fieldname for word in SECRETS)
	]
	first = (*of_the_system, *(OF_CHILDREN if meta.istable else ()), "_user_tags")
	return [column for column in dict.fromkeys((*first, *fields)) if column in stored]


def labels_of(doctype: str, columns: list[str]) -> dict[str, str]:
	meta = frappe.get_meta(doctype)
	return {column: _(meta.get_label(column) or column, context=doctype) for column in columns}


def staff_fields(holding: Holding) -> set[str]:
	"""Name the fields that hold other people's data or name staff (C-579/21)."""
	return {*holding.others, *_user_links(holding.doctype)}


def _user_links(doctype: str) -> set[str]:
	return {
		field.fieldname
		for field in frappe.get_meta(doctype).fields
		if field.fieldtype == "Link" and field.options == "User"
	}


def _copy_file(package: Package, row: dict[str, Any]) -> None:
	"""Put a file itself into the package, a private one too, or say why it isn't there."""
	path = _path_of_file(row.get("file_url"))
	if not path:
		return
	size, name = path.stat().st_size, cstr(row.get("file_name") or path.name)
	if size > LARGEST_FILE or package.bytes_of_files + size > MOST_OF_FILES:
		package.left_out.append(
			_("File {0} ({1} MB) is too large for this package. Ask for it, and you get it.").format(
				name, size // 2**20
			)
		)
		return
	package.copy(f"files/{row['name']}-{Path(name).name}", path)


def _path_of_file(url: str | None) -> Path | None:
	"""Return where a file of the site is; None for one that is elsewhere or gone."""
	for prefix, place in (("/private/files/", ("private", "files")), ("/files/", ("public", "files"))):
		if url and url.startswith(prefix):
			root = Path(get_site_path(*place)).resolve()
			path = (root / url.removeprefix(prefix)).resolve()
			return path if path.is_relative_to(root) and path.is_file() else None
	return None


# --- to read ------------------------------------------------------------------------------------------------


def _for_paper(doctype: str, labels: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
	def short(value: Any) -> str:
		text = strip_html(cstr(value)).strip()
		return text if len(text) <= LETTERS_ON_PAPER else f"{text[:LETTERS_ON_PAPER]} …"

	return {
		"title": _(doctype),
		"doctype": doctype,
		"rows": [
			[
				(labels[field], short(value))
				for field, value in row.items()
				if field in labels and value not in (None, "", 0)
			]
			for row in rows
		],
	}


def _write_report(package: Package, told: dict[str, Any], book: Book, on_paper: list[dict[str, Any]]) -> None:
	for one in on_paper:
		one["number"] = package.counts[one["doctype"]]
	shown = {
		"told": told,
		"history": paper.history_of(book.consents, book.refusals, told["company"]),
		"tables": on_paper,
		"left_out": package.left_out,
	}
	try:
		package.binary("report.pdf", paper.make_pdf(shown, PAGE))
	except RecordNotPossible:  # no wkhtmltopdf here
		package.text("report.html", frappe.render_template(PAGE, shown))


def _day(instant: Any) -> str:
	return frappe.utils.formatdate(to_system_time(instant))


def readme(request: Any, with_report: bool) -> str:
	"""Explain the files of a package, and the codes in them."""
	zone = frappe.utils.get_system_timezone()
	lines = [
		_("Data about you: {0}").format(request.name),
		"=" * 40,
		"",
	]
	if with_report:
		lines.append(_("report.pdf (or report.html): to read. Of long lists it shows the beginning."))
	lines += [
		_("data.json: everything, for programs. UTF-8."),
		_("csv/: the same, one table a file, for spreadsheets. csv/fields.csv says what each column is."),
		_("consents.jsonld: your consents and refusals, all events, the exact words (ISO/IEC TS 27560)."),
		_("files/: documents that are kept about you."),
		_("manifest.json: the SHA-256 of each file, how many rows there are, and what was left out."),
		"",
		_("{0} stands for data of other people, which we may not give you (Art. 15(4) GDPR).").format(MASKED),
		_("An apostrophe before =, +, - or @ in a CSV file keeps spreadsheets from computing the text."),
		_("Times in data.json and csv/ are those of {0}; those that end in Z are UTC.").format(zone),
		_("Terms that begin with dpv: or eu-gdpr: are explained at {0} (version {1}).").format(
			"https://w3id.org/dpv", dpv_terms.VERSION
		),
		_("Grades of evidence: A you confirmed it, B a form of ours, C a document, D words alone."),
		"",
		_("What happened to a consent:"),
		*(f"  {kind.value}: {kind_in_words(kind)}" for kind in EventKind),
		"",
		_("Ways of saying no:"),
		*(f"  {kind.value}: {refusal_in_words(kind)}" for kind in RefusalKind),
		"",
		_("Why a mail was allowed or not:"),
		*(f"  {reason.value}: {reason_in_words(reason)}" for reason in Reason),
		"",
	]
	return "\n".join(lines)
