"""Logs what went wrong without a word of it: an error may name an address or a link (WB-11)."""

import sys
import traceback

import pymysql

import frappe

DRIVERS = [pymysql]  # v15 has this one alone, v16 chooses
try:
	import MySQLdb

	DRIVERS.append(MySQLdb)
except ImportError:
	pass
DATABASE_ERRORS = tuple(driver.MySQLError for driver in DRIVERS)
# The row can't be as it was to be: a key that is taken, a value that is too long.
ROW_REFUSED = tuple(error for driver in DRIVERS for error in (driver.IntegrityError, driver.DataError))


def log_failure(title: str, where: str = "") -> None:
	"""Log the exception that is being handled: where it was raised, and of what kind it is.

	Args:
		where: which record or mailbox it was about, if its name tells of no person.
	"""
	kind, _error, raised = sys.exc_info()
	lines = [where, *traceback.format_tb(raised), kind.__name__ if kind else ""]
	frappe.log_error(title=title, message="\n".join(line for line in lines if line))
