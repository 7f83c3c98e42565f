"""What the doors of the app have in common."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import frappe
from frappe import _

from gdpr_consent.exceptions import ConsentError


def says_why(function: Callable) -> Callable:
	"""Put the text of an error into the answer. Of one that is only raised, the desk shows nothing."""

	@wraps(function)
	def door(*args: Any, **kwargs: Any) -> Any:
		try:
			return function(*args, **kwargs)
		except ConsentError as error:
			frappe.msgprint(str(error), title=_("Not Possible"), indicator="red")
			raise
		except frappe.PermissionError as error:
			frappe.flags.error_message = frappe.flags.error_message or str(error)
			raise

	return door
