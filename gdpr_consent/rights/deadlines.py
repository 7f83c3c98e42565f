"""By when a request is to be answered: Art. 12(3) GDPR, counted by Regulation 1182/71. Imports no Frappe."""

from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

import holidays
from dateutil.relativedelta import relativedelta

ANSWER_MONTHS = 1
EXTENDED_MONTHS = 3  # from receipt: the month, and two more (Art. 12(3))
SATURDAY = 5


class Deadline(NamedTuple):
	"""The day that the months end on, and the working day that it therefore is."""

	raw: date
	due: date


def deadline(
	received: date, calendar: str | None, months: int = ANSWER_MONTHS, paused_days: int = 0
) -> Deadline:
	"""Say when a period that began on a day ends (Reg. 1182/71 Art. 3; EDPB 01/2022 §5.3; DS-03).

	It ends on the day of the same number, or on the last of a month that has none; a Saturday, a Sunday and a
	holiday move it to the next working day.

	Args:
		calendar: whose holidays count: a country's code such as PL, or with its part, such as DE-BY. None: no
			holidays.
		paused_days: how long the person was asked who they are (Art. 12(6), DS-04).

	Raises:
		ValueError: nobody knows the holidays of `calendar`.
	"""
	raw = received + relativedelta(months=months) + timedelta(days=paused_days)
	return Deadline(raw, next_working_day(raw, calendar))


def next_working_day(day: date, calendar: str | None) -> date:
	"""Return the day itself if it is one.

	Raises:
		ValueError: nobody knows the holidays of `calendar`.
	"""
	closed = holidays_of(calendar) if calendar else ()
	while day.weekday() >= SATURDAY or day in closed:
		day += timedelta(days=1)
	return day


@lru_cache(maxsize=64)
def holidays_of(calendar: str) -> holidays.HolidayBase:
	"""Return the public holidays of a country, or of a part of one. It works each year out when asked for it.

	Raises:
		ValueError: the country or its part isn't known.
	"""
	country, _dash, part = calendar.strip().upper().partition("-")
	try:
		return holidays.country_holidays(country, subdiv=part or None)
	except NotImplementedError as error:
		raise ValueError(str(error)) from None
