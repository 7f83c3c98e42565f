"""Whether people say that they are old enough to agree for themselves (Art. 8 GDPR, CA-18).

Only where Consent Settings asks for it: the article is about services that are offered directly to children.
"""

import frappe
from frappe import _
from frappe.utils import cint, escape_html

from gdpr_consent import proof
from gdpr_consent.exceptions import AgeNotStated


def check_age(stated: str | int | None, company: str | None) -> str | None:
	"""Return what somebody said of their age, in words for the evidence; None if nobody asks.

	Args:
		stated: the age that they say to have reached.
		company: the controller; the site's if not given.

	Raises:
		AgeNotStated
	"""
	age = proof.age_asked(company)
	if age is None:
		return None
	if cint(stated) < age:
		who = company or frappe.db.get_default("company") or frappe.local.site
		raise AgeNotStated(
			_("Say that you are at least {0} years old.").format(age)
			+ " "
			+ _(
				"If you are younger, a parent or guardian can agree for you: ask them to contact {0}."
			).format(escape_html(who))
		)
	return _("The person says to be at least {0}.").format(age)
