"""Values of the database, read once and kept in Redis for all processes, never older than the last commit.

A transaction sees the site as of its first question. One that takes long and finds a value cleared would read
what stood before the change, and keep it for everybody until the next change. So a value is read on a
connection of its own, and kept only if nobody has forgotten it meanwhile.
"""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic
from typing import Any

from redis.exceptions import ConnectionError, WatchError

import frappe

ASKS_AGAIN = 10  # seconds; a job that takes longer learns of changes, too
LONGEST_WAIT = 1  # second, for a table that somebody alters


def get(key: str, read: Callable[[], Any]) -> Any:
	"""Return what `read` returns, as others have committed it, or as this transaction has changed it.

	Args:
		key: the name that `forget` is given
		read: asks the database by `frappe.db`, which isn't the connection in use before
	"""
	mine, name = frappe.local.cache, frappe.cache.make_key(key)
	value, asked = mine.get(name, (None, None))
	if asked is None or monotonic() - asked > ASKS_AGAIN:
		value = read() if key in _changed_here() else _of_all_processes(key, read)
		mine[name] = value, monotonic()
	return value


def forget(key: str) -> None:
	"""Have a value read anew: in this transaction now, and by everybody once it is committed."""
	frappe.local.cache.pop(frappe.cache.make_key(key), None)
	changed = _changed_here()
	if key not in changed:
		changed.add(key)
		frappe.db.after_commit.add(partial(forget_now, key))
		frappe.db.after_rollback.add(partial(_forget_here, key))


def forget_now(key: str) -> None:
	"""Have everybody read a value anew that others have changed."""
	_forget_here(key)
	with suppress(ConnectionError):
		frappe.cache.incr(_times_forgotten(key))
		frappe.cache.delete(frappe.cache.make_key(key))


def _forget_here(key: str) -> None:
	frappe.local.cache.pop(frappe.cache.make_key(key), None)
	_changed_here().discard(key)


def _changed_here() -> set[str]:
	"""Name what the transaction has changed. Its connection knows it: a job may have more than one."""
	return vars(frappe.local.db).setdefault("gdpr_changed", set())


def _times_forgotten(key: str) -> bytes:
	return frappe.cache.make_key(f"{key}:times_forgotten")


def _of_all_processes(key: str, read: Callable[[], Any]) -> Any:
	name = frappe.cache.make_key(key)
	try:
		if kept := frappe.cache.get(name):
			return pickle.loads(kept)
		with frappe.cache.pipeline() as redis:
			redis.watch(_times_forgotten(key))
			with as_committed():
				value = read()
			redis.multi()
			redis.set(name, pickle.dumps(value))
			with suppress(WatchError):
				redis.execute()
			return value
	except (ConnectionError, frappe.QueryTimeoutError):
		return read()


@contextmanager
def as_committed() -> Iterator[None]:
	"""Inside the block, `frappe.db` is a connection of its own, which sees all that was committed before."""
	before = frappe.local.db
	frappe.connect(set_admin_as_user=False)
	try:
		# The transaction may hold what an ALTER of somebody else waits for, and new questions wait for that.
		frappe.db.sql("set session lock_wait_timeout = %s", LONGEST_WAIT)
		yield
	finally:
		frappe.local.db.close()
		frappe.local.db = before
