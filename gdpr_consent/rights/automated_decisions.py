"""Scores and other decisions of machines: what they are, and that a human looks anew (Art. 22; DS-22).

While somebody has asked for that, objects or is restricted, a score about them isn't used: who works with one
asks `may_use` first.
"""

import frappe
from frappe import _
from frappe.desk.form import assign_to
from frappe.model.document import Document
from frappe.utils import getdate

from gdpr_consent import identity
from gdpr_consent.exceptions import ReviewNotPossible
from gdpr_consent.identity import Person
from gdpr_consent.rights import letters, personal_data, requests, restriction, subject, traces

DOCTYPE, REVIEW = "Automated Decision", "Automated Decision Review"
OPEN, REVIEWED, CONTESTED = "Open", "Reviewed", "Contested"
CONFIRMED, CORRECTED, NOT_USED = "Confirmed", "Corrected", "Not Used Again"
RESULTS = (CONFIRMED, CORRECTED, NOT_USED)
LOOKS_LIKE_A_SCORE = ("score", "scoring", "rating", "probability", "propensity", "likelihood", "churn")
NUMBERS = ("Int", "Float", "Percent", "Rating", "Select", "Data", "Currency")
OF_PEOPLE = ("Contact", "Lead", "Customer", "Prospect", "Opportunity")


def check(decision: Document) -> None:
	"""Controller's `validate`.

	Raises:
		ReviewNotPossible: the DocType has no such field.
	"""
	if not frappe.get_meta(decision.ref_doctype).has_field(decision.fieldname):
		raise ReviewNotPossible(
			_("Field {0} isn't one of {1}. Enter the name of the field that holds the score.").format(
				frappe.bold(frappe.utils.escape_html(decision.fieldname)), _(decision.ref_doctype)
			)
		)


def told() -> list[dict[str, str]]:
	"""Return what people are told of each (Art. 13(2)(f), 15(1)(h))."""
	return [
		{
			"title": _(row.title),
			"logic": _(row.logic),
			"significance": _(row.significance),
			"ground": _(row.ground),
		}
		for row in frappe.get_all(
			DOCTYPE, {"enabled": 1}, ["title", "logic", "significance", "ground"], order_by="title"
		)
	]


def undescribed() -> list[dict[str, str]]:
	"""List the fields about people that look like scores and that no Automated Decision describes."""
	known = set(frappe.get_all(DOCTYPE, fields=["ref_doctype", "fieldname"], as_list=True))
	return [
		{"doctype": doctype, "fieldname": field.fieldname, "label": field.label or field.fieldname}
		for doctype in OF_PEOPLE
		for field in frappe.get_meta(doctype).fields
		if field.fieldtype in NUMBERS
		and any(word in f"{field.fieldname} {field.label}".lower() for word in LOOKS_LIKE_A_SCORE)
		and (doctype, field.fieldname) not in known
	]


def may_use(doctype: str, name: str, fieldname: str) -> bool:
	"""Whether a score of a record may be used now; for apps and scripts that work with one (DS-22).

	Args:
		doctype, name: the record that holds it.
		fieldname: its field.
	"""
	review, decision = frappe.qb.DocType(REVIEW), frappe.qb.DocType(DOCTYPE)
	stopped = (
		frappe.qb.from_(review)
		.join(decision)
		.on(decision.name == review.decision)
		.select(review.name)
		.where(
			(review.ref_doctype == doctype) & (review.ref_name == name) & (decision.fieldname == fieldname)
		)
		.where(review.status.isin([OPEN, CONTESTED]) | (review.result == NOT_USED))
		.limit(1)
		.run()
	)
	if stopped:
		return False
	people = _people_behind(doctype, name)
	return not restriction.restricted([*people, Person(doctype, name)]) and not _is_asked_not_to(people)


def _is_asked_not_to(people: list[Person]) -> bool:
	"""Whether one of them waits for an answer to a request for review, an objection, or a restriction."""
	if not people:
		return False
	request, row = frappe.qb.DocType("Data Subject Request"), frappe.qb.DocType("Data Subject Request Record")
	theirs = row.name == ""
	for person in people:
		theirs |= (row.party_type == person.party_type) & (row.party == person.party)
	return bool(
		frappe.qb.from_(row)
		.join(request)
		.on(request.name == row.parent)
		.select(request.name)
		.where(theirs & (row.included == 1) & (row.parenttype == "Data Subject Request"))
		.where(request.right.isin(["Human Review", "Objection", "Restriction"]))
		.where(request.status.notin(["Fulfilled", "Refused", "Withdrawn"]))
		.limit(1)
		.run()
	)


def _people_behind(doctype: str, name: str) -> list[Person]:
	if doctype == "User":
		return [Person("User", name)]
	return identity.people_behind(doctype, [name]).get(name, []) if doctype in OF_PEOPLE else []


# --- a human looks at it anew -------------------------------------------------------------------------------


def open_reviews(request: str) -> list[str]:
	"""Let a human review what machines have decided about the person of a Human Review request.

	Makes a review for each value of a described score on the person's records, and gives it to its reviewer.
	From then on `may_use` says no.

	Returns:
		names of all reviews of the request; calling it twice makes none twice.

	Raises:
		RequestNotPossible: the request is closed, or it isn't known yet who asks.
		ReviewNotPossible: it is a request of another kind.
	"""
	doc = requests.get(request, requests.Status.RECEIVED, requests.Status.IN_PROGRESS)
	_check_is_for_review(doc)
	if doc.status == requests.Status.RECEIVED.value:
		requests.move(request, requests.Status.IN_PROGRESS)
	about = subject.of_request(doc)
	known = set(frappe.get_all(REVIEW, {"request": request}, ["decision", "ref_name"], as_list=True, limit=0))
	for decision in frappe.get_all(DOCTYPE, {"enabled": 1}, ["name", "ref_doctype", "fieldname", "reviewer"]):
		for name, value in _values(decision.ref_doctype, decision.fieldname, about):
			if value not in (None, "") and (decision.name, name) not in known:
				_open_review(doc, decision, name, str(value))
	return frappe.get_all(REVIEW, {"request": request}, pluck="name", limit=0)


def _check_is_for_review(request: Document) -> None:
	if request.right != requests.Right.HUMAN_REVIEW.value:
		raise ReviewNotPossible(
			_("{0} asks for {1}. Reviews are made for requests for {2}.").format(
				frappe.bold(request.name), _(request.right), _(requests.Right.HUMAN_REVIEW.value)
			)
		)


def _values(doctype: str, fieldname: str, about: subject.Subject) -> list[tuple[str, object]]:
	"""Return name and value of each record of a DocType that is about the person."""
	holding = personal_data.holding_of(doctype)
	if not holding:
		return []
	return [
		(row["name"], row[fieldname])
		for page in traces.pages(holding, about, ["name", fieldname])
		for row in page
	]


def _open_review(request: Document, decision: frappe._dict, name: str, value: str) -> None:
	review = frappe.new_doc(
		REVIEW,
		request=request.name,
		decision=decision.name,
		reviewer=decision.reviewer,
		ref_doctype=decision.ref_doctype,
		ref_name=name,
		value=value,
		point_of_view=request.message,
		status=OPEN,
	).insert(ignore_permissions=True)  # the door has asked for the right to the request
	assign_to.add(
		{
			"assign_to": [decision.reviewer],
			"doctype": REVIEW,
			"name": review.name,
			"description": _("Look anew at what a machine decided: {0}").format(_(decision.name)),
		},
		ignore_permissions=True,
	)


def finish_review(review: str, result: str, reasons: str) -> None:
	"""Say what a human has come to, who may decide otherwise than the machine.

	Args:
		result: Confirmed, Corrected (the record has the right value now), or Not Used Again.
		reasons: why, in words that the person understands.

	Raises:
		PermissionError: neither the reviewer nor a Privacy Officer; or the one whose result is contested.
		ReviewNotPossible: no result, no reasons, or nothing to review.
	"""
	user = frappe.session.user
	if user != frappe.db.get_value(REVIEW, review, "reviewer"):
		frappe.has_permission(REVIEW, "write", throw=True)  # before anything is said of what there is
	doc = frappe.get_doc(REVIEW, review, for_update=True)
	if user != doc.reviewer:
		frappe.has_permission(REVIEW, "write", doc=doc, throw=True)
	if doc.status == CONTESTED and user == doc.reviewed_by:
		raise frappe.PermissionError(
			_("The person contests what you have come to. Somebody else has to look at it.")
		)
	if doc.status == REVIEWED:
		raise ReviewNotPossible(_("{0} was reviewed on {1}.").format(frappe.bold(review), doc.reviewed_on))
	if result not in RESULTS:
		raise ReviewNotPossible(
			_("Result {0} isn't one of {1}.").format(
				frappe.bold(frappe.utils.escape_html(str(result))), ", ".join(_(one) for one in RESULTS)
			)
		)
	if not (reasons or "").strip():
		raise ReviewNotPossible(_("Reasons are missing. The person has a right to know them."))
	doc.update({"status": REVIEWED, "result": result, "reasons": reasons.strip()})
	doc.update({"reviewed_by": user, "reviewed_on": getdate()})
	doc.save(ignore_permissions=True)  # asked above
	assign_to.close_all_assignments(REVIEW, review, ignore_permissions=True)


def contest(review: str, point_of_view: str) -> None:
	"""Note that the person contests the result of a review; somebody else looks at it then.

	Raises:
		PermissionError
		ReviewNotPossible: it hasn't a result, or it isn't said what the person says.
	"""
	frappe.has_permission(REVIEW, "write", throw=True)
	doc = frappe.get_doc(REVIEW, review, for_update=True)
	frappe.has_permission(REVIEW, "write", doc=doc, throw=True)
	if doc.status != REVIEWED:
		raise ReviewNotPossible(
			_("{0} has no result yet that could be contested.").format(frappe.bold(review))
		)
	if not (point_of_view or "").strip():
		raise ReviewNotPossible(_("Point of View is missing. Enter what the person says."))
	doc.update({"status": CONTESTED, "point_of_view": point_of_view.strip()})
	doc.save(ignore_permissions=True)  # asked above


def answer(request: str) -> None:
	"""Tell the person what humans have come to, and close the request.

	Raises:
		ReviewNotPossible: a review is still open.
	"""
	doc = requests.get(request, requests.Status.IN_PROGRESS)
	_check_is_for_review(doc)
	reviews = frappe.get_all(
		REVIEW,
		{"request": request},
		["decision", "value", "status", "result", "reasons"],
		order_by="creation",
	)
	waiting = sum(review.status != REVIEWED for review in reviews)
	if waiting:
		raise ReviewNotPossible(_("Reviews without a result: {0}. Finish them first.").format(waiting))
	with letters.in_language_of(doc):
		lines = [_result_in_words(review) for review in reviews] or [
			_("No machine has decided anything about you.")
		]
		letters.answer(doc, "\n\n".join(lines))
	requests.close_fulfilled(request, "\n\n".join(lines))


def _result_in_words(review: frappe._dict) -> str:
	what = {
		CONFIRMED: _("a human has looked at it and has come to the same"),
		CORRECTED: _("a human has looked at it and has corrected it"),
		NOT_USED: _("it isn't used about you any more"),
	}[review.result]
	return f"{_(review.decision)} ({review.value}): {what}. {review.reasons}"
