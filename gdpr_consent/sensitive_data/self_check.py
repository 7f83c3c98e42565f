"""Whether protected fields are protected, for the daily self-check and for the desk."""

from collections.abc import Iterator

from frappe import _
from frappe.model.base_document import get_controller

from gdpr_consent.sensitive_data import documents, finder, messages, protection, reports, rules

MIXINS = {
	"Assignment Rule": messages.SensitiveAssignmentRuleMixin,
	"Report": reports.SensitiveReportMixin,
	"Auto Email Report": reports.SensitiveAutoEmailReportMixin,
	"Notification": messages.SensitiveNotificationMixin,
	"Auto Repeat": messages.SensitiveAutoRepeatMixin,
}
if documents.V16:
	MIXINS["Webhook"] = messages.SensitiveWebhookMixin


def problems() -> Iterator[str]:
	for name, reason in protection.show_states():
		yield _("Sensitive Field {0} isn't in force. {1}").format(name, reason)
	if not rules.all_rules().fields:
		return
	for doctype, mixin in MIXINS.items():
		controller = get_controller(doctype)
		if not issubclass(controller, mixin):
			yield _(
				"{0} may show protected fields: it is run by {1}. Another app displaces our class; its "
				"hooks.py must extend gdpr_consent.gate.v15, or be installed before gdpr_consent."
			).format(_(doctype), f"{controller.__module__}.{controller.__name__}")
	for field, source in finder.unprotected_copies():
		yield _("{0} of {1} isn't protected, and is a copy of {2} of {3}. Run bench migrate.").format(
			field.label, _(field.doctype), source.label, _(source.doctype)
		)
