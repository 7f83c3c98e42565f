"""Classes for `override_doctype_class`, which v15 needs. v16 takes the mixins themselves."""

from frappe.automation.doctype.auto_repeat.auto_repeat import AutoRepeat as CoreAutoRepeat
from frappe.email.doctype.email_queue.email_queue import EmailQueue as CoreEmailQueue
from frappe.email.doctype.newsletter.newsletter import Newsletter as CoreNewsletter
from frappe.email.doctype.notification.notification import Notification as CoreNotification

from gdpr_consent.gate.email_queue import ConsentEmailQueueMixin
from gdpr_consent.gate.marking import ConsentAutoRepeatMixin, ConsentNotificationMixin
from gdpr_consent.gate.newsletter import ConsentNewsletterMixin


class EmailQueue(ConsentEmailQueueMixin, CoreEmailQueue):
	pass


class Newsletter(ConsentNewsletterMixin, CoreNewsletter):
	pass


class Notification(ConsentNotificationMixin, CoreNotification):
	pass


class AutoRepeat(ConsentAutoRepeatMixin, CoreAutoRepeat):
	pass
