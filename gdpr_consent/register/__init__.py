"""The only writer of consents, suppressions and their events.

Every function locks what it touches, checks the transition, writes the event and the row it leads to, and
stores nothing if anything is wrong. Whoever calls has checked that the user may do this; see `api.py`.
"""

from gdpr_consent.register.asking import ask_again, confirm, request
from gdpr_consent.register.bounces import lift_bounce, note_bounce
from gdpr_consent.register.ends import end, end_again, end_what_is_over, follow_sales, invalidate, revoke
from gdpr_consent.register.erasure import erase, erase_ended
from gdpr_consent.register.many import ENDS, BulkAction, Order, Outcome, change_many, take_back_many
from gdpr_consent.register.no import (
	named_by_link,
	object_to_marketing,
	refuse,
	refuse_by_link,
	say_no,
	withdraw,
	withdraw_by_link,
)
from gdpr_consent.register.people import NOWHERE, carry_refusals, has_opted_out, move_party
from gdpr_consent.register.rebuilding import doctype_of, rebuild, regrade
from gdpr_consent.register.restriction import lift_restriction, restrict
from gdpr_consent.register.terms import (
	CONSENT_BASIS,
	REACHES_NUMBERS,
	Questions,
	Subject,
	Terms,
	check_channel,
	check_legal_basis,
	check_purpose,
	check_source,
	check_topic,
	questions_of,
	reaches,
	source_if_known,
	terms_of,
	terms_to_end,
)
from gdpr_consent.register.writing import (
	CONTROLLER,
	DATA_SUBJECT,
	GUARDIAN,
	SHARD_DIGITS,
	SYSTEM,
	Act,
	No,
	Row,
	Scope,
	create_missing_locks,
	permission_of,
	refusal_of,
	wait_for,
)
from gdpr_consent.register.yes import record, record_unproven

__all__ = (
	"CONSENT_BASIS",
	"CONTROLLER",
	"DATA_SUBJECT",
	"ENDS",
	"GUARDIAN",
	"NOWHERE",
	"REACHES_NUMBERS",
	"SHARD_DIGITS",
	"SYSTEM",
	"Act",
	"BulkAction",
	"No",
	"Order",
	"Outcome",
	"Questions",
	"Row",
	"Scope",
	"Subject",
	"Terms",
	"ask_again",
	"carry_refusals",
	"change_many",
	"check_channel",
	"check_legal_basis",
	"check_purpose",
	"check_source",
	"check_topic",
	"confirm",
	"create_missing_locks",
	"doctype_of",
	"end",
	"end_again",
	"end_what_is_over",
	"erase",
	"erase_ended",
	"follow_sales",
	"has_opted_out",
	"invalidate",
	"lift_bounce",
	"lift_restriction",
	"move_party",
	"named_by_link",
	"note_bounce",
	"object_to_marketing",
	"permission_of",
	"questions_of",
	"reaches",
	"rebuild",
	"record",
	"record_unproven",
	"refusal_of",
	"refuse",
	"refuse_by_link",
	"regrade",
	"request",
	"restrict",
	"revoke",
	"say_no",
	"source_if_known",
	"take_back_many",
	"terms_of",
	"terms_to_end",
	"wait_for",
	"withdraw",
	"withdraw_by_link",
)
