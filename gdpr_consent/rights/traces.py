"""Finds the rows of every DocType of the map that are about a person (DS-10).

What is found stands in a temporary table of this connection: document by document, each with what an erasure
makes of it. So one statement per way finds, counts or deletes, however many rows there are.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import frappe

from gdpr_consent.identity import is_phone_number
from gdpr_consent.rights import spellings
from gdpr_consent.rights.personal_data import By, Erasure, Holding, Way, holdings
from gdpr_consent.rights.subject import Subject

TABLE = "gdpr_trace"  # (doctype, name, fate, in_passing)
# A number stands in fields of these names, and digits elsewhere are something else.
FOR_NUMBERS = ("phone", "mobile", "whatsapp", "from", "to", "fax")
# Rows that others are found by are those of documents; a trail finds no further trail.
TRAILS = frozenset(
	{
		*("Version", "Deleted Document", "Activity Log", "View Log", "Access Log"),
		"Notification Log",
	}
)


def pages(
	holding: Holding, subject: Subject, columns: list[str] | None = None, size: int = 500
) -> Iterator[list[dict[str, Any]]]:
	"""Yield the rows of a DocType that are about the person, in pages.

	Args:
		columns: None for all.
		size: rows of a page.
	"""
	_locate_once(subject)
	chosen = ", ".join(f"x.`{column}`" for column in dict.fromkeys(["name", *columns])) if columns else "x.*"
	last: Any = None
	while True:
		rows = frappe.db.sql(
			f"""select {chosen} from `tab{holding.doctype}` x join `{TABLE}` t on t.name = x.name
			where t.doctype = %(doctype)s {"and x.name > %(last)s" if last is not None else ""}
			order by x.name limit %(size)s""",
			{"doctype": holding.doctype, "last": last, "size": size},
			as_dict=True,
		)
		if rows:
			yield rows
		if len(rows) < size:
			return
		last = rows[-1].name


def count(subject: Subject) -> list[tuple[Holding, int]]:
	"""Count the rows about the person in each DocType of the map, leaving out those with none."""
	_locate_once(subject)
	numbers = dict(frappe.db.sql(f"select doctype, count(*) from `{TABLE}` group by doctype"))
	return [(one, numbers[one.doctype]) for one in holdings() if one.doctype in numbers]


def fates(subject: Subject) -> list[tuple[Holding, Erasure, int]]:
	"""Count the rows about the person by what an erasure makes of them."""
	_locate_once(subject)
	found = frappe.db.sql(
		f"select doctype, fate, count(*) from `{TABLE}` group by doctype, fate order by doctype, fate"
	)
	by_doctype: dict[str, list[tuple[str, int]]] = {}
	for doctype, fate, number in found:
		by_doctype.setdefault(doctype, []).append((fate, number))
	return [
		(one, Erasure(fate), number) for one in holdings() for fate, number in by_doctype.get(one.doctype, ())
	]


def _locate_once(subject: Subject) -> None:
	if getattr(frappe.local, "consent_traced", None) != (frappe.db._conn, subject):
		locate(subject)


def locate(subject: Subject) -> None:
	"""Find everything about a person anew, into the temporary table."""
	# A temporary table commits nothing, which Frappe doesn't know; and a rollback isn't to empty it.
	frappe.db.sql(
		f"""/* temporary */ create temporary table if not exists `{TABLE}` (
			doctype varchar(140) not null, name varchar(255) not null, fate varchar(20) not null,
			in_passing tinyint not null default 0, primary key (doctype, name)
		) engine = Aria collate utf8mb4_unicode_ci"""
	)
	frappe.db.sql(f"delete from `{TABLE}`")
	found = holdings()
	finder = _Finder(subject, found)
	for holding in found:
		for way in holding.found_by:
			finder.add(holding, way)
	for holding in found:
		if holding.is_person and holding.erasure == Erasure.KEEP:
			_delete_unless_used(holding, found, subject.named(holding.doctype))
	frappe.local.consent_traced = (frappe.db._conn, subject)


class _Finder:
	def __init__(self, subject: Subject, found: list[Holding]):
		self.subject = subject
		self.emails = [one for one in subject.addresses if not is_phone_number(one)]
		self.numbers = [one for one in subject.addresses if is_phone_number(one)]
		self.people = [one.doctype for one in found if one.is_person]

	def add(self, holding: Holding, way: Way) -> None:
		doctype = holding.doctype
		values: dict[str, Any] = {"doctype": doctype, "fate": holding.erasure.value}
		tables, where, in_passing = f"`tab{doctype}` x", "", str(int(way.in_passing))
		fate = "%(fate)s"
		if way.by == By.ITSELF:
			where, values["names"] = "x.name in %(names)s", self.subject.named(doctype)
		elif way.by == By.LINK:
			where, values["names"] = f"x.`{way.field}` in %(names)s", self.subject.named(way.names)
		elif way.by == By.DYNAMIC:
			pair = f"x.`{way.names}` = t.doctype and x.`{way.field}` = t.name"
			tables = f"`{TABLE}` t join {tables} on {pair}"
			where, values["trails"] = "t.in_passing = 0 and t.doctype not in %(trails)s", tuple(TRAILS)
			fate, values["people"] = self._inherited(holding), tuple(self.people)
		elif way.by == By.TABLE:
			where, values["people"] = _linked_to_them_alone(doctype), tuple(self.people)
		elif way.by in (By.ADDRESS, By.ADDRESSES):
			where = self._holds_address(way, values)
		elif way.by == By.MENTION:
			texts = [*self.subject.names, *self.emails]
			if texts:
				where = f"x.`{way.field}` regexp %(pattern)s"
				values["pattern"] = "|".join(map(spellings.plain, texts))
		elif way.field == "name":  # the document of rows found
			rows = f"select distinct c.parent from `tab{way.names}` c join `{TABLE}` t on t.name = c.name"
			rows += " where t.doctype = %(child)s and c.parenttype = %(doctype)s"
			tables = f"({rows}) p join {tables} on x.name = p.parent"
			where, values["child"] = "1", way.names
			if not way.in_passing:
				in_passing = (
					f"exists(select 1 from `tab{way.names}` s where s.parent = x.name and not exists("
					f"select 1 from `{TABLE}` o where o.doctype = %(child)s and o.name = s.name))"
				)
		elif way.names:
			tables = f"`{TABLE}` t join {tables} on x.`{way.field}` = t.name"
			where, values["parent"] = "t.doctype = %(parent)s and t.in_passing = 0", way.names
			fate, values["people"] = self._inherited(holding), tuple(self.people)
		else:
			tables = f"`{TABLE}` t join {tables} on x.parenttype = t.doctype and x.parent = t.name"
			where, fate, values["people"] = "t.in_passing = 0", self._inherited(holding), tuple(self.people)
		if not where or values.get("names") == []:
			return
		frappe.db.sql(
			f"""insert ignore into `{TABLE}` (doctype, name, fate, in_passing)
			select %(doctype)s, f.name, if(f.passing, 'Redact', f.fate), f.passing from (
				select x.name, {fate} fate, {in_passing} passing from {tables} where {where}
			) f""",
			values,
		)

	def _inherited(self, holding: Holding) -> str:
		"""What belongs to a document that stays isn't deleted with it: a file stays, of a text the person's
		words go."""
		otherwise = "Keep" if holding.doctype == "File" else "Redact"
		if holding.erasure == Erasure.KEEP:
			return "%(fate)s"
		return f"if(t.doctype in %(people)s or t.fate = 'Delete', %(fate)s, '{otherwise}')"

	def _holds_address(self, way: Way, values: dict[str, Any]) -> str:
		"""Compare exactly: the database takes müller@x.pl for muller@x.pl (AD-06)."""
		field, ways = f"x.`{way.field}`", []
		if self.emails:
			if way.by == By.ADDRESS:
				values["emails"] = self.emails
				values["lower"] = [email.lower() for email in self.emails]
				ways.append(
					f"({field} in %(emails)s and lower(trim({field})) collate utf8mb4_bin in %(lower)s)"
				)
				values["whole"] = "^[^,@]*<(?:" + "|".join(map(spellings.plain, self.emails)) + ")>,?\\s*$"
				ways.append(f"({field} like '%%<%%' and {field} regexp %(whole)s)")
			else:
				values["pattern"] = "|".join(map(spellings.plain, self.emails))
				ways.append(f"{field} regexp %(pattern)s")
		if self.numbers and any(word in way.field for word in FOR_NUMBERS):
			values["numbers"] = "|".join(f"^{spellings.plain(number)}$" for number in self.numbers)
			ways.append(f"{field} regexp %(numbers)s")
		return f"({' or '.join(ways)})" if ways else ""


def _linked_to_them_alone(doctype: str) -> str:
	links = f"select 1 from `tabDynamic Link` l where l.parenttype = '{doctype}' and l.parent = x.name"
	theirs = (
		f"exists(select 1 from `{TABLE}` t where t.doctype = l.link_doctype and t.name = l.link_name"
		" and t.doctype in %(people)s and t.in_passing = 0)"
	)
	# Core copies the addresses of a lead to its prospect.
	others = f"{links} and l.link_doctype <> 'Prospect' and not {theirs}"
	return f"exists({links} and {theirs}) and not exists({others})"


def _delete_unless_used(holding: Holding, found: Iterable[Holding], names: list[str]) -> None:
	"""A record is kept for the documents that the law keeps. Where there are none, it goes."""
	for name in names:
		used = False
		for other in found:
			if (
				other.erasure != Erasure.KEEP
				or other.is_person
				or other.doctype in ("Consent", "Suppression")
			):
				continue
			for way in other.found_by:
				if used or way.in_passing:
					break
				if way.by == By.LINK and way.names == holding.doctype:
					used = bool(frappe.db.exists(other.doctype, {way.field: name}))
				elif way.by == By.DYNAMIC:
					used = bool(
						frappe.db.exists(other.doctype, {way.field: name, way.names: holding.doctype})
					)
		if not used:
			frappe.db.sql(
				f"update `{TABLE}` set fate = 'Delete' where doctype = %s and name = %s",
				(holding.doctype, name),
			)


def in_passing(holding: Holding, names: list[str]) -> set[str]:
	"""Of rows that `pages` has yielded, name those about somebody or something else that name the person."""
	if not names:
		return set()
	found = frappe.db.sql(
		f"select name from `{TABLE}` where doctype = %s and in_passing = 1 and name in %s",
		(holding.doctype, names),
	)
	return {name for (name,) in found}
