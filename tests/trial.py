"""Sends one mail per path, position, spelling and subject to people in every state, and says who got it.

Imports nothing of gdpr_consent, so that plain ERPNext is tried in the same way (tests/plain_erpnext.py).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from email import message_from_string
from email.policy import default
from typing import Any, NamedTuple

from paths import PATHS, Documents, Mail, Path

import frappe
from frappe.email.queue import flush, get_queue

REACHED, BLOCKED, LEAK, FALSE_BLOCK, NOT_APPLICABLE = "✓", "\N{EN DASH}", "✗", "!", "·"


class Person(NamedTuple):
	"""Somebody with a Contact of their own, and one mailbox that they share with somebody else."""

	email: str
	alias: str  # on the same Contact
	shared: str  # on the same Contact, and on that of somebody who never said anything
	contact: str


class Spelling(NamedTuple):
	write: Callable[[str], str]
	address_of: Callable[[Person], str] = lambda person: person.email
	needs_names: bool = False
	needs_lists: bool = False


SPELLINGS = {
	"plain": Spelling(lambda email: email),
	"upper case": Spelling(str.upper),
	"with a name": Spelling("Jo Doe <{}>".format, needs_names=True),
	"in a list": Spelling(lambda email: email, needs_lists=True),
	"alias": Spelling(lambda email: email, lambda person: person.alias),
	"shared mailbox": Spelling(lambda email: email, lambda person: person.shared),
}


class Combination(NamedTuple):
	path: Path
	position: str
	spelling: str
	about: str
	marker: str


class Subject(NamedTuple):
	"""What a mail is about. `gone`: what it names is deleted while it waits in the queue.

	Where `thorough`, addresses are written in every way; else only plainly, which saves half of the time.
	"""

	purpose: str | None = None
	topic: str | None = None
	gone: bool = False
	thorough: bool = True


class State(NamedTuple):
	"""A state that a person can be in.

	`reaches`: the subjects that they get mail about. `by_the_person`: it is a no that holds for all their
	addresses. `later`: brings it about while the mail waits, so that a path which doesn't wait is no trial.
	`abouts`: the subjects that it can be tried with; all that aren't gone if empty. `on_reference`: what the
	person does when the record that a mail comes from is there.
	"""

	set_up: Callable[[Person], Any]
	reaches: frozenset[str] = frozenset()
	by_the_person: bool = False
	later: Callable[[Person], Any] | None = None
	abouts: frozenset[str] = frozenset()
	on_reference: Callable[[Person, str, str], None] | None = None


class Cell(NamedTuple):
	reached: bool
	should_reach: bool

	@property
	def mark(self) -> str:
		if self.reached:
			return REACHED if self.should_reach else LEAK
		return FALSE_BLOCK if self.should_reach else BLOCKED


class Trial:
	def __init__(
		self,
		states: dict[str, State],
		subjects: dict[str, Subject],
		deliveries: list[Any],
		work_off_jobs: Callable[[], None],
		paths: Iterable[Path] = PATHS,
	) -> None:
		self.states, self.subjects, self.paths = states, subjects, tuple(paths)
		self.deliveries, self.work_off_jobs = deliveries, work_off_jobs
		self.spellings = SPELLINGS
		self.needs_consent = True  # a yes, which holds for the one address that it was given for
		self.run_id = frappe.generate_hash(length=8)
		self.domain = f"{self.run_id}.example"
		self.made = Documents()
		self.people: dict[str, Person] = {}
		self.combinations: list[Combination] = []
		self.cells: dict[tuple[Combination, str], Cell] = {}
		self.mails: list[tuple[Combination, str, str]] = []  # combination, reader, all that the mail says
		self.failures: list[str] = []

	# --- people -----------------------------------------------------------------------------------------

	def settle(self) -> None:
		"""Make a person for each state, and bring them into it."""
		for number, (state, rules) in enumerate(self.states.items()):
			email, alias, shared, other = (f"p{number}{part}@{self.domain}" for part in "abcd")
			self._contact(other, shared)
			self.people[state] = Person(email, alias, shared, self._contact(email, alias, shared))
			rules.set_up(self.people[state])
		frappe.db.commit()

	def _contact(self, *emails: str) -> str:
		rows = [{"email_id": email, "is_primary": email == emails[0]} for email in emails]
		return self.made("Contact", first_name=f"Trial {emails[0]}", email_ids=rows).name

	# --- sending ----------------------------------------------------------------------------------------

	def run(self) -> None:
		self.settle()
		self._queue_everything()
		for state, rules in self.states.items():
			if rules.later:
				rules.later(self.people[state])
		for subject in self.subjects.values():
			if subject.gone:
				frappe.db.delete("Subscription Topic", subject.topic)
		frappe.db.commit()
		frappe.clear_cache()
		self.work_off_jobs()
		self._flush_all()
		self._judge()

	def _queue_everything(self) -> None:
		number = 0
		for path in self.paths:
			for position in path.positions:
				for about in self._subjects_of(path):
					for name, spelling in self.spellings.items():
						if spelling.needs_names and not path.takes_names:
							continue
						if spelling.needs_lists and not path.takes_lists:
							continue
						number += 1
						marker = f"{self.run_id}x{number:04}x"
						combination = Combination(path, position, name, about, marker)
						if self._states_of(combination):
							self._send(combination)

	def _subjects_of(self, path: Path) -> list[str]:
		return [
			about
			for about, subject in self.subjects.items()
			if subject.thorough or subject.gone or not path.one_by_one
		]

	def _states_of(self, combination: Combination) -> list[str]:
		subject = self.subjects[combination.about]
		if combination.spelling != "plain" and not subject.thorough:
			return []
		if subject.gone and combination.path.at_once:
			return []
		return [
			state
			for state, rules in self.states.items()
			if (combination.about in rules.abouts or not (rules.abouts or subject.gone))
			and not (rules.later and combination.path.at_once)
			and not (combination.spelling == "shared mailbox" and not rules.by_the_person)
		]

	def _send(self, combination: Combination) -> None:
		self.combinations.append(combination)
		spelling, subject = SPELLINGS[combination.spelling], self.subjects[combination.about]
		states = self._states_of(combination)
		written = [spelling.write(spelling.address_of(self.people[state])) for state in states]
		if spelling.needs_lists:
			written = [", ".join(written[at : at + 2]) for at in range(0, len(written), 2)]

		def on_reference(doctype: str, name: str, reader: str | None = None) -> None:
			for state in states:
				person = self.people[state]
				is_theirs = reader is None or spelling.address_of(person) in reader.lower()
				if is_theirs and (act := self.states[state].on_reference):
					act(person, doctype, name)

		mail = Mail(
			combination.marker, written, combination.position, subject.purpose, subject.topic, on_reference
		)
		combination.path.drive(mail, self.made)
		frappe.db.commit()

	def _flush_all(self) -> None:
		"""Flush until nothing changes any more: what is held stays, and isn't waited for."""
		before = None
		while (waiting := sorted(row.name for row in get_queue())) and waiting != before:
			before = waiting
			flush()
			frappe.db.commit()

	# --- judging ----------------------------------------------------------------------------------------

	def _judge(self) -> None:
		by_marker = {combination.marker: combination for combination in self.combinations}
		got: dict[str, list[str]] = defaultdict(list)
		for delivery in self.deliveries:
			text = all_that_is_said(delivery.content)
			marker = next((word for word in by_marker if word in text), None)
			if marker:
				got[marker].append(delivery.to.lower())
				self.mails.append((by_marker[marker], delivery.to.lower(), text.lower()))
		for combination in self.combinations:
			address_of = SPELLINGS[combination.spelling].address_of
			for state in self._states_of(combination):
				times = got[combination.marker].count(address_of(self.people[state]))
				if times > 1:
					self.failures.append(f"{state} got {self.describe(combination)} {times} times")
				self.cells[combination, state] = Cell(bool(times), self.should_reach(combination, state))

	def should_reach(self, combination: Combination, state: str) -> bool:
		rules = self.states[state]
		is_the_address = combination.spelling not in ("alias", "shared mailbox")
		return combination.about in rules.reaches and (is_the_address or not self.needs_consent)

	def describe(self, combination: Combination) -> str:
		return f"{combination.path.name}, {combination.position}, {combination.spelling}, {combination.about}"

	# --- the matrix -------------------------------------------------------------------------------------

	def rows(self) -> list[tuple[str, list[str]]]:
		"""A row per path and position: for each state the marks of all spellings and subjects in one."""
		found = []
		for path in self.paths:
			for position in path.positions:
				marks = []
				for state in self.states:
					cells = [
						cell
						for (combination, one), cell in self.cells.items()
						if one == state and combination.path is path and combination.position == position
					]
					marks.append(summary(cells))
				name = path.name if path.positions == ("to",) else f"{path.name} ({position})"
				found.append((name, marks))
		return found

	def counts(self) -> dict[str, int]:
		marks = [cell.mark for cell in self.cells.values()]
		return {mark: marks.count(mark) for mark in (REACHED, BLOCKED, LEAK, FALSE_BLOCK)}

	def bad(self) -> list[str]:
		return [
			f"{cell.mark} {state}: {self.describe(combination)}"
			for (combination, state), cell in self.cells.items()
			if cell.mark in (LEAK, FALSE_BLOCK)
		]


def summary(cells: list[Cell]) -> str:
	"""The worst mark, and of how many; where some were rightly reached and others rightly not, both marks."""
	if not cells:
		return NOT_APPLICABLE
	marks = [cell.mark for cell in cells]
	for worst in (LEAK, FALSE_BLOCK):
		if worst in marks:
			return f"{worst} {marks.count(worst)}/{len(marks)}"
	return "".join(mark for mark in (REACHED, BLOCKED) if mark in marks)


def as_table(rows: list[tuple[str, list[str]]], columns: Iterable[str]) -> str:
	"""A Markdown table, aligned as prettier does it."""
	lines = [["", *columns], *[[name, *marks] for name, marks in rows]]
	widths = [max(3, *(len(line[at]) for line in lines)) for at in range(len(lines[0]))]
	lines.insert(1, ["-" * width for width in widths])
	return "\n".join(
		"| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
		for line in lines
	)


def all_that_is_said(content: str) -> str:
	"""The headers and the texts of a mail, decoded."""
	message = message_from_string(content, policy=default)
	parts = [f"{name}: {value}" for name, value in message.items()]
	parts += [str(part.get_content()) for part in message.walk() if part.get_content_maintype() == "text"]
	return "\n".join(parts)
