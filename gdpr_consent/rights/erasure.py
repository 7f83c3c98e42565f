"""Erases a person: plan, run, report (Art. 17 GDPR, DS-16 to DS-19).

The run can be killed at any moment and be taken up again: what it finds, it finds by the records that stand
for the person, so those go last, in one transaction with the report. Each step before is committed, and doing
it again does nothing.
"""

import json
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import frappe
from frappe import _
from frappe.model.rename_doc import rename_doc

from gdpr_consent import journal, legal_hold, register
from gdpr_consent.exceptions import ErasureNotPossible
from gdpr_consent.identity import Person
from gdpr_consent.rights import spellings, sweep, traces
from gdpr_consent.rights.personal_data import Erasure, Holding, holdings
from gdpr_consent.rights.subject import Subject
from gdpr_consent.rights.traces import TABLE

# Erased by those who alone write them.
BY_THE_REGISTER = (
	*("Consent", "Suppression", "Consent Decision"),
	*("Data Subject Request", "Data Subject Request Record", "Data Subject Request Change"),
)
PLANNED, RUNNING, DONE = "Planned", "Running", "Done"


class Step(NamedTuple):
	"""What is done with one DocType; without one, with everything that the map doesn't know of."""

	ref_doctype: str | None
	action: Erasure
	because: str
	found: int
	done: int = 0
	status: str = PLANNED
	problem: str | None = None


class Stopped(Exception):
	"""Somebody stopped the run."""


def plan(subject: Subject) -> list[Step]:
	"""Say what an erasure would do, and by which law it would keep something. Changes nothing.

	Raises:
		ErasureNotPossible: a legal hold, a member of staff, or nobody known.
	"""
	_check_possible(subject)
	traces.locate(subject)
	steps = [
		Step(holding.doctype, fate, _because(holding, fate), number)
		for holding, fate, number in traces.fates(subject)
	]
	return [*steps, Step(None, Erasure.REDACT, _("Every other place that mentions the person"), 0)]


def _check_possible(subject: Subject) -> None:
	if not (subject.people or subject.addresses):
		raise ErasureNotPossible(_("Nobody is ticked in Records. Tick those that are the person's."))
	if holds := legal_hold.holds_on(subject.people):
		raise ErasureNotPossible(
			_("Legal Hold {0} keeps these data (Art. 17(3)(e) GDPR). Release it first.").format(
				", ".join(holds)
			)
		)
	users = subject.named("User")
	staff = frappe.get_all("User", {"name": ["in", users], "user_type": "System User"}) if users else []
	if staff or {"Administrator", "Guest"} & set(users):
		raise ErasureNotPossible(
			_("{0} of the Users ticked work here. Untick them, or make them Website Users first.").format(
				len(staff) or 1
			)
		)


def _because(holding: Holding, fate: Erasure) -> str:
	if fate == Erasure.KEEP:
		return holding.kept_because or _("Belongs to a document that is kept")
	return {
		Erasure.DELETE: _("Nothing requires it"),
		Erasure.ANONYMISE: _("The record stays, without the person"),
		Erasure.REDACT: _("The text stays, without the person"),
	}[fate]


def carry_out(
	subject: Subject,
	*,
	request: str | None = None,
	progress: Callable[[list[Step]], None] = lambda _steps: None,
	keep_evidence: bool = False,
	suppress: bool = True,
	before: list[Step] | None = None,
	finish: Callable[[dict[str, Any]], None] = lambda _report: None,
) -> list[Step]:
	"""Erase a person. Commits step by step; what is left undone by an interruption the next call does.

	Args:
		request: the Data Subject Request that it is done for.
		progress: is told the steps after each; it may raise Stopped.
		keep_evidence: keep what the consents stood on, for claims (Art. 17(3)(e)).
		suppress: see `register.erase`.
		before: the steps of a run that was interrupted, to go on counting from.
		finish: writes the report, in the transaction in which the person is forgotten.

	Raises:
		ErasureNotPossible: see `plan`.
	"""
	planned = plan(subject)
	people = subject.people
	subject = _rename(subject)
	steps = _Steps(planned, before or [], progress)
	words = sweep.Words(subject)
	_end_sessions(subject.named("User"))
	frappe.db.sql(
		f"""delete g from `__global_search` g join `{TABLE}` t on t.doctype = g.doctype and t.name = g.name
		where t.fate = 'Delete'"""
	)
	found = [holding for holding in holdings() if holding.doctype not in BY_THE_REGISTER]
	for holding in reversed([one for one in found if not one.is_person]):
		for fate in Erasure:
			if steps.has(holding.doctype, fate):
				_apply(holding, fate)
				frappe.db.commit()  # nosemgrep: a step is done; an interruption loses nothing
				steps.done(holding.doctype, fate)
	_rename_files(words)
	changed, left = sweep.database(words, lambda: steps.tell())
	in_files, not_searched = sweep.files(words)
	steps.done(None, Erasure.REDACT, changed + in_files)

	register.erase(subject.addresses, subject.people, request, keep_evidence, suppress)
	for holding in found:
		if holding.is_person:
			for fate in (Erasure.DELETE, Erasure.KEEP):
				_apply(holding, fate)
				steps.note(holding.doctype, fate)
	_forget_titles(subject.named("Customer"))
	for doctype in BY_THE_REGISTER:
		steps.note(doctype, Erasure.KEEP)
	finish(_report(steps.rows, [*left, *not_searched], words, keep_evidence))
	journal.note_erasure(people, suppress)
	frappe.db.commit()  # nosemgrep: the person is forgotten
	frappe.local.consent_traced = None
	frappe.clear_cache()  # documents, users and lists that hold the person
	steps.tell()
	return steps.rows


class _Steps:
	"""The steps of a run, with what is done of each."""

	def __init__(self, planned: list[Step], before: list[Step], progress: Callable[[list[Step]], None]):
		self._of = {(step.ref_doctype, step.action): step._replace(status=RUNNING) for step in planned}
		self._left = set(self._of)
		for step in before:  # what is done isn't found any more
			key = (step.ref_doctype, step.action)
			if key in self._of:
				found = max(step.found, self._of[key].found)
				self._of[key] = self._of[key]._replace(found=found)
			elif step.ref_doctype:
				self._of[key] = step._replace(done=step.found, status=DONE)
		self._progress = progress

	@property
	def rows(self) -> list[Step]:
		return sorted(self._of.values(), key=lambda step: (step.ref_doctype is None, step.action.value))

	def has(self, doctype: str, fate: Erasure) -> bool:
		return (doctype, fate) in self._left

	def note(self, doctype: str | None, fate: Erasure, number: int | None = None) -> None:
		key = (doctype, fate)
		if key in self._of:
			found = self._of[key].found if number is None else number
			self._of[key] = self._of[key]._replace(found=found, done=found, status=DONE)

	def done(self, doctype: str | None, fate: Erasure, number: int | None = None) -> None:
		self.note(doctype, fate, number)
		self.tell()

	def tell(self) -> None:
		self._progress(self.rows)


def _report(
	steps: list[Step], left: list[sweep.Left], words: sweep.Words, keep_evidence: bool
) -> dict[str, Any]:
	"""Return what was kept by which law, and what couldn't be taken out; nothing that names the person."""
	kept = [step for step in steps if step.action == Erasure.KEEP and step.found]
	return {
		"kept": [
			{"doctype": step.ref_doctype, "number": step.found, "because": step.because} for step in kept
		],
		"left": [one._asdict() for one in left],
		"evidence_kept": keep_evidence,
		"names_shared": len(words.shared_names),
		"backups": _("Backups made before keep it until they are replaced."),
	}


# --- one step -----------------------------------------------------------------------------------------------


def _apply(holding: Holding, fate: Erasure) -> None:
	doctype = holding.doctype
	if fate == Erasure.DELETE:
		if doctype == "File":
			_delete_from_disk()
		_let_go(doctype)
		for table in frappe.get_meta(doctype).get_table_fields():
			frappe.db.sql(
				f"""delete c from `tab{table.options}` c join `{TABLE}` t on t.name = c.parent
				where t.doctype = %s and t.fate = 'Delete' and c.parenttype = %s""",
				(doctype, doctype),
			)
		frappe.db.sql(
			f"""delete x from `tab{doctype}` x join `{TABLE}` t on t.name = x.name
			where t.doctype = %s and t.fate = 'Delete'""",
			doctype,
		)
	elif fate in (Erasure.ANONYMISE, Erasure.KEEP) and holding.emptied:
		emptied = ", ".join(f"x.`{field}` = null" for field in holding.emptied)
		frappe.db.sql(
			f"""update `tab{doctype}` x join `{TABLE}` t on t.name = x.name set {emptied}
			where t.doctype = %s and t.fate = %s and t.in_passing = 0""",
			(doctype, fate.value),
		)


def _let_go(doctype: str) -> None:
	"""Empty the fields of others that link to what is deleted."""
	if not frappe.db.sql(f"select 1 from `{TABLE}` where doctype = %s and fate = 'Delete' limit 1", doctype):
		return
	for linking, field in _links_to(doctype):
		frappe.db.sql(
			f"""update `tab{linking}` x join `{TABLE}` t on t.name = x.`{field}` set x.`{field}` = null
			where t.doctype = %s and t.fate = 'Delete'""",
			doctype,
		)
	frappe.db.sql(
		f"""delete l from `tabDynamic Link` l join `{TABLE}` t on t.name = l.link_name
		where t.doctype = %s and l.link_doctype = t.doctype and t.fate = 'Delete'""",
		doctype,
	)


def _links_to(doctype: str) -> list[tuple[str, str]]:
	found: list[tuple[str, str]] = []
	for kind, parent in (("DocField", "parent"), ("Custom Field", "dt")):
		found += frappe.db.sql(
			f"""select f.{parent}, f.fieldname from `tab{kind}` f join `tabDocType` d on d.name = f.{parent}
			where f.fieldtype = 'Link' and f.options = %s and d.issingle = 0 and d.is_virtual = 0""",
			doctype,
		)
	return [(linking, field) for linking, field in found if linking not in BY_THE_REGISTER]


# --- what a table can't say ---------------------------------------------------------------------------------


def _rename(subject: Subject) -> Subject:
	"""Give Customers that are kept, and are called by the person's name, a name that says nothing."""
	people = list(subject.people)
	for position, person in enumerate(people):
		is_kept = frappe.db.sql(
			f"select 1 from `{TABLE}` where doctype = %s and name = %s and fate = 'Keep'", tuple(person)
		)
		if not is_kept or not _names_the_person(person.party, subject):
			continue
		_look_for_links_anew()
		title = frappe.db.get_value(person.party_type, person.party, "customer_name")
		new = _name_that_says_nothing(frappe.generate_hash(length=8))
		rename_doc(
			person.party_type,
			person.party,
			new,
			force=True,
			ignore_permissions=True,  # an officer has approved it, who needn't be one who edits customers
			show_alert=False,
			rebuild_search=False,
		)
		# Core may have changed it. By this text whoever goes on after an interruption knows the person.
		frappe.db.set_value(person.party_type, new, "customer_name", title, update_modified=False)
		frappe.db.sql("delete from `__global_search` where doctype = %s and name = %s", tuple(person))
		people[position] = Person(person.party_type, new)
		journal.note_erasure([person], suppress=True)  # nobody will know this name after an interruption
		frappe.db.commit()  # nosemgrep: a request that names the record names it by its new name from now on
	renamed = subject._replace(people=tuple(people))
	if renamed != subject:
		traces.locate(renamed)
	return renamed


def _name_that_says_nothing(suffix: str) -> str:
	# In the language of the site, so that whoever goes on after an interruption gives the same.
	return _("Erased {0}", lang=frappe.db.get_default("language")).format(suffix)


def _forget_titles(customers: list[str]) -> None:
	for name in customers:
		if name == _name_that_says_nothing(name[-8:]):
			frappe.db.set_value("Customer", name, "customer_name", name, update_modified=False)


def _look_for_links_anew() -> None:
	"""Core remembers for hours which tables link to which DocTypes, "possibly outdated". A link that it then
	leaves with the old name would hide a record of the person from us."""
	frappe.local.dynamic_link_map = None
	frappe.cache.delete_keys("dynamic_link_map::")


def _names_the_person(text: str, subject: Subject) -> bool:
	patterns = map(spellings.plain, (*subject.names, *subject.addresses))
	return any(re.search(f"(?i:{pattern})", text) for pattern in patterns)


def _end_sessions(users: list[str]) -> None:
	if not users:
		return
	for table, column in (("tabSessions", "user"), ("__UserSettings", "user"), ("tabDefaultValue", "parent")):
		frappe.db.sql(f"delete from `{table}` where `{column}` in %s", (users,))
	frappe.db.sql("delete from `__Auth` where doctype = 'User' and name in %s", (users,))
	frappe.db.commit()  # nosemgrep: from here on nobody signs in as the person


def _delete_from_disk() -> None:
	"""Delete the files of the rows that go, unless a row that stays is of the same file."""
	for (url,) in frappe.db.sql(
		f"""select distinct f.file_url from `tabFile` f join `{TABLE}` t on t.name = f.name
		where t.doctype = 'File' and t.fate = 'Delete' and f.file_url is not null and not exists(
			select 1 from `tabFile` o where o.file_url = f.file_url and not exists(
				select 1 from `{TABLE}` s
				where s.doctype = 'File' and s.fate = 'Delete' and s.name = o.name))"""
	):
		_remove(url)
	for (url,) in frappe.db.sql(
		f"""select distinct f.thumbnail_url from `tabFile` f join `{TABLE}` t on t.name = f.name
		where t.doctype = 'File' and t.fate = 'Delete' and f.thumbnail_url is not null"""
	):
		_remove(url)


def _remove(url: str) -> None:
	if path := _path_of(url):
		if os.path.isfile(path):
			os.remove(path)


def _path_of(url: str) -> str | None:
	"""Return where a file of this site lies; None for one that lies elsewhere."""
	if not url.startswith(("/files/", "/private/files/")):
		return None
	below = url.lstrip("/") if url.startswith("/private/") else f"public/{url.lstrip('/')}"
	path = os.path.realpath(frappe.get_site_path(below))
	folders = [os.path.realpath(frappe.get_site_path(one, "files")) for one in ("private", "public")]
	return path if any(path.startswith(f"{folder}{os.sep}") for folder in folders) else None


def _rename_files(words: sweep.Words) -> None:
	"""Give files that stay, and are called by the person's name, another one, on disk and on record."""
	if not words.everything:
		return
	for name, url, doctype, document, field in frappe.db.sql(
		"""select name, file_url, attached_to_doctype, attached_to_name, attached_to_field from `tabFile`
		where is_folder = 0 and concat_ws(' ', file_name, file_url) regexp %s""",
		words.everything,
	):
		path = _path_of(url or "")
		new = f"{name}{os.path.splitext(url or '')[1]}"
		columns: dict[str, str] = {"file_name": new}
		if path:
			columns["file_url"] = f"{os.path.dirname(url)}/{new}"
			if os.path.isfile(path):
				os.rename(path, os.path.join(os.path.dirname(path), new))
		frappe.db.set_value("File", name, columns, update_modified=False)
		if path and field and doctype and frappe.db.exists(doctype, document):
			frappe.db.set_value(doctype, document, field, columns["file_url"], update_modified=False)
		frappe.db.commit()  # nosemgrep: a file is done


def forget_requests(subject: Subject, request: str | None) -> None:
	"""Take the person out of this request and of those that are closed, with their packages (DS-23)."""
	from gdpr_consent.identity import address_keys
	from gdpr_consent.rights import package, requests

	keys = [key for key in address_keys(subject.addresses).values() if key]
	closed = [status.value for status in requests.CLOSED]
	names = frappe.get_all(
		requests.DOCTYPE, {"address_key": ["in", keys or [""]], "status": ["in", closed]}, pluck="name"
	)
	for name in dict.fromkeys([*names, *([request] if request else [])]):
		package.forget(name)
		requests.forget_person(name)


def as_json(report: dict[str, Any]) -> str:
	return json.dumps(report, ensure_ascii=False)


def steps_of(rows: Iterable[Any]) -> list[Step]:
	"""Read the steps that a request has stored."""
	return [
		Step(row.ref_doctype, Erasure(row.action), row.because, row.found, row.done, row.status, row.problem)
		for row in rows
	]
