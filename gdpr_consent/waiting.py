"""What those see who have waited for a lock."""

from typing import Any

import frappe
from frappe.utils.caching import site_cache


def see_what_others_did(*_args: Any, **_more: Any) -> None:
	"""Let whoever waited for a lock on this connection read and write what others have committed meanwhile.

	MariaDB from 11.6.2 on fails instead, with "Record has changed since last read", and whoever waited would
	have waited in vain: two who say no at once would get an error for one of the two. Register, ledger and
	bulk runs are written for the older rule, and read with a lock what may have changed.

	Also a hook, `before_request` and `before_job`: each has a connection of its own.
	"""
	if _refuses() and getattr(frappe.local, "consent_connection", None) is not frappe.db._conn:
		frappe.db.sql("set session innodb_snapshot_isolation = off")
		frappe.local.consent_connection = frappe.db._conn


@site_cache(ttl=3600)
def _refuses() -> bool:
	"""Whether this server has the rule, and follows it."""
	found = frappe.db.sql("show global variables like 'innodb_snapshot_isolation'")
	return bool(found) and found[0][1] == "ON"
