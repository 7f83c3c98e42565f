"""Signed links, one salt per use, so that a link for one thing opens nothing else (TK-01, TK-02).

A link names records by their opaque id, never an address (TK-07). The key is the site's own and isn't in the
database; old keys go on verifying (TK-03).
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

import frappe
from frappe import _
from frappe.installer import update_site_config
from frappe.utils import get_url

from gdpr_consent.clock import from_utc_text, now_utc, utc_text
from gdpr_consent.exceptions import LinkNotValid

KEYS_SETTING = "consent_link_keys"  # in site_config.json: oldest first, the last one signs
CONFIRM, UNSUBSCRIBE = "confirm", "unsubscribe"
MAX_AGE_OF_CONFIRMATION = timedelta(days=7)  # the request itself lapses sooner, see Consent Settings (CA-10)


def create_missing_key() -> None:
	if not frappe.conf.get(KEYS_SETTING):
		keys = [secrets.token_hex(32)]
		update_site_config(KEYS_SETTING, keys, validate=False)
		frappe.conf[KEYS_SETTING] = keys


def _serializer(use: str) -> URLSafeTimedSerializer:
	return _serializer_with(tuple(frappe.conf[KEYS_SETTING]), use)


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
	try:
		return _serializer(use).loads(token, max_age=max_age.total_seconds() if max_age else None)
	except (BadData, TypeError, ValueError):
		raise LinkNotValid(_("This link isn't valid, or it is no longer. Ask for a new one.")) from None


def confirmation_url(consents: list[str]) -> str:
	return get_url(f"/consent/confirm?t={sign(CONFIRM, [consents, utc_text(now_utc())])}")


def read_confirmation(token: str) -> tuple[list[str], datetime]:
	"""Return the consents that a confirmation link is for, and when it was made (naive UTC)."""
	consents, made = read(CONFIRM, token, MAX_AGE_OF_CONFIRMATION)
	return consents, from_utc_text(made)


def unsubscribe_url(consent: str) -> str:
	"""Return the way out of a mail that stands on a consent. It never expires (TK-05)."""
	return get_url(f"/consent/unsubscribe?t={sign(UNSUBSCRIBE, consent)}")
