"""Signed links, one salt per use, so that a link for one thing opens nothing else (TK-01, TK-02).

A link names records by their opaque id, never an address (TK-07). The key is the site's own and isn't in the
database; old keys go on verifying (TK-03).
"""

import hashlib
import secrets
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer
from itsdangerous.encoding import base64_decode, base64_encode

import frappe
from frappe import _
from frappe.installer import update_site_config
from frappe.utils import get_url

from gdpr_consent.clock import from_utc_text, now_utc, utc_text
from gdpr_consent.exceptions import LinkKeyLost, LinkNotValid

KEYS_SETTING = "consent_link_keys"  # in site_config.json: oldest first, the last one signs
CONFIRM, UNSUBSCRIBE, PREFERENCES, SHOWN = "confirm", "unsubscribe", "preferences", "shown"
REQUEST = "request"
STOP, JOIN = "stop", "join"  # what a page makes of a link that core signed, for its own button
MAX_LENGTH = 4_000
MAX_AGE_OF_PREFERENCES = timedelta(days=30)  # what discloses; for saying no it never expires (TK-05)
MAX_AGE_OF_REQUEST = timedelta(days=14)
MAX_AGE_OF_CONFIRMATION = timedelta(days=7)  # the request itself lapses sooner, see Consent Settings (CA-10)


def create_missing_key() -> None:
	if not frappe.conf.get(KEYS_SETTING):
		keys = [secrets.token_hex(32)]
		update_site_config(KEYS_SETTING, keys, validate=False)
		frappe.conf[KEYS_SETTING] = keys


def _keys() -> list[str]:
	keys = frappe.conf.get(KEYS_SETTING)
	if not keys:
		raise LinkKeyLost(
			_(
				"The site has no {0} in site_config.json. Restore it from the backup of the configuration."
			).format(KEYS_SETTING)
		)
	return keys


def fingerprints() -> list[str]:
	"""Tell the keys apart without revealing them, to notice that one was lost; the last one signs."""
	return [hashlib.sha256(f"fingerprint|{key}".encode()).hexdigest()[:16] for key in _keys()]


def _serializer(use: str) -> URLSafeTimedSerializer:
	return _serializer_with(tuple(_keys()), use)


@lru_cache(maxsize=16)
def _serializer_with(keys: tuple[str, ...], use: str) -> URLSafeTimedSerializer:
	return URLSafeTimedSerializer(
		keys,
		salt=f"gdpr_consent/{use}",
		signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
	)


def sign(use: str, content: Any) -> str:
	return _serializer(use).dumps(content)


def read(use: str, token: str, max_age: timedelta | None = None) -> Any:
	"""Return what a link says.

	Raises:
		LinkNotValid: forged, cut off, too old, or made for another use.
	"""
	return _read(use, token, max_age)[0]


def not_valid() -> LinkNotValid:
	return LinkNotValid(_("This link isn't valid, or it is no longer. Ask for a new one."))


def _read(use: str, token: str, max_age: timedelta | None = None) -> tuple[Any, datetime]:
	try:
		if len(token) > MAX_LENGTH:
			raise BadData("too long")
		content, made = _serializer(use).loads(
			token, max_age=max_age.total_seconds() if max_age else None, return_timestamp=True
		)
		# Base64 can be written in other ways, and a link is valid in none of them (TK-01).
		signature = token.rpartition(".")[2]
		if base64_encode(base64_decode(signature)).decode() != signature:
			raise BadData("other spelling")
	except (BadData, TypeError, ValueError, AttributeError):
		raise not_valid() from None
	return content, made.astimezone(timezone.utc).replace(tzinfo=None)


def confirmation_url(consents: list[str]) -> str:
	return get_url(f"/consent/confirm?t={sign(CONFIRM, [consents, utc_text(now_utc())])}")


def read_confirmation(token: str) -> tuple[list[str], datetime]:
	"""Return the consents that a confirmation link is for, and when it was made (naive UTC)."""
	consents, made = read(CONFIRM, token, MAX_AGE_OF_CONFIRMATION)
	return consents, from_utc_text(made)


def request_url(key: str, step: str) -> str:
	"""Return the link by which somebody shows that a mailbox is theirs, for a step of a request of theirs.

	Args:
		key: what only this link and the request know; its name can be guessed (TK-07).
	"""
	return get_url(f"/consent/request?t={sign(REQUEST, [key, step])}")


def read_request(token: str) -> tuple[str, str]:
	"""Return the key of the request and the step that a link is for.

	Raises:
		LinkNotValid: see `read`.
	"""
	key, step = read(REQUEST, token, MAX_AGE_OF_REQUEST)
	return key, step


def preferences_url(record: str) -> str:
	"""Return the link to the preferences of the person a Consent or a Suppression is about."""
	return get_url(f"/consent/preferences?t={sign(PREFERENCES, record)}")


def read_preferences(token: str) -> tuple[str, bool]:
	"""Return the record that a link to preferences names, and whether it is new enough to show them."""
	record, made = _read(PREFERENCES, token)
	return record, now_utc() - made <= MAX_AGE_OF_PREFERENCES


def unsubscribe_url(consent: str) -> str:
	"""Return the way out of a mail that stands on a consent. It never expires (TK-05)."""
	return get_url(f"/consent/unsubscribe?t={sign(UNSUBSCRIBE, consent)}")


def read_unsubscribe(token: str) -> tuple[str, datetime]:
	"""Return the consent that a way out belongs to, and when it was made, which is when its mail was sent.

	Returns:
		the instant as naive UTC, to the whole second.

	Raises:
		LinkNotValid: see `read`.
	"""
	return _read(UNSUBSCRIBE, token)
