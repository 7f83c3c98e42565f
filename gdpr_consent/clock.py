"""Instants. The register keeps naive UTC with microseconds; Frappe's own Datetime fields are local (TM-01,
TM-02)."""

from datetime import date, datetime, timezone
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.units import format_unit
from dateutil.relativedelta import relativedelta
from pytz import timezone as named_timezone

import frappe
from frappe import _
from frappe.utils import escape_html, get_datetime
from frappe.utils.data import convert_utc_to_system_timezone, get_system_timezone

from gdpr_consent.exceptions import InvalidPeriod


def now_utc() -> datetime:
	return datetime.now(timezone.utc).replace(tzinfo=None)


def parse_utc(value: str | date | datetime | None, label: str) -> datetime | None:
	"""Read an instant. Without an offset it is UTC; a date is its first moment.

	Raises:
		InvalidPeriod: not an instant; the message names `label` and the value.
	"""
	if value is None or value == "":
		return None
	try:
		if isinstance(value, str):
			instant = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
		elif isinstance(value, datetime):
			instant = value
		elif isinstance(value, date):
			instant = datetime(value.year, value.month, value.day)
		else:
			raise ValueError
		return instant.astimezone(timezone.utc).replace(tzinfo=None) if instant.tzinfo else instant
	except (ValueError, OverflowError):
		raise InvalidPeriod(
			_("{0} {1} isn't a date. Write it as 2026-03-01 or 2026-03-01T09:00:00Z (UTC).").format(
				label, escape_html(str(value))
			)
		) from None


def utc_text(instant: datetime | None) -> str | None:
	"""RFC 3339 with microseconds, the form that hashes are made of."""
	return instant.isoformat(timespec="microseconds") + "Z" if instant else None


def from_utc_text(text: str | None) -> datetime | None:
	return datetime.fromisoformat(text.removesuffix("Z")) if text else None


def from_system_time(value: str | datetime | None) -> datetime | None:
	"""Turn what a Frappe Datetime field holds into UTC."""
	if not value:
		return None
	local = named_timezone(get_system_timezone()).localize(get_datetime(value), is_dst=False)
	return local.astimezone(timezone.utc).replace(tzinfo=None)


def to_system_time(instant: datetime) -> datetime:
	return convert_utc_to_system_timezone(instant).replace(tzinfo=None)


@lru_cache(maxsize=1_000)  # of a bulk update, most consents begin at the same instant
def add_months(instant: datetime, months: int) -> datetime:
	"""The same day and time `months` later, or the last day of that month (TM-05)."""
	return instant + relativedelta(months=months)


def babel_locale() -> str:
	"""Return the locale of the language that is shown, or English where Babel doesn't know it."""
	try:
		return str(Locale.parse(frappe.local.lang, sep="-"))
	except (UnknownLocaleError, ValueError, TypeError):
		return "en"


def hours_in_words(hours: int) -> str:
	"""Write a number of hours with its unit, in the plural that the language has for it."""
	return format_unit(hours, "duration-hour", locale=babel_locale())
