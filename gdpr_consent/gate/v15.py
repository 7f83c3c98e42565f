"""Classes for `override_doctype_class`, which v15 needs. v16 takes the mixins themselves."""

from frappe.email.doctype.email_queue.email_queue import EmailQueue as CoreEmailQueue
from frappe.email.doctype.newsletter.newsletter import Newsletter as CoreNewsletter
from frappe.email.doctype.notification.notification import Notification as CoreNotification

from erpnext.selling.doctype.sms_center.sms_center import SMSCenter as CoreSMSCenter

from gdpr_consent.gate.email_queue import ConsentEmailQueueMixin
from gdpr_consent.gate.marking import ConsentNotificationMixin
from gdpr_consent.gate.newsletter import ConsentNewsletterMixin
from gdpr_consent.gate.sms import ConsentSMSCenterMixin


class EmailQueue(ConsentEmailQueueMixin, CoreEmailQueue):
	pass


class Newsletter(ConsentNewsletterMixin, CoreNewsletter):
	pass


class Notification(ConsentNotificationMixin, CoreNotification):
	pass


class SMSCenter(ConsentSMSCenterMixin, CoreSMSCenter):
	pass
