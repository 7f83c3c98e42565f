"""Signs exports as compact JWS (RFC 7515, RFC 7519), and reads our own again (RC-05).

The keys are the site's own, in site_config.json and not in the database, a copy of which signs nothing.
Whoever gets a file checks it with the public keys, see `public_keys`. A token is signed, not encrypted.
"""

import base64
import hashlib
import secrets
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import frappe
from frappe import _
from frappe.installer import update_site_config
from frappe.utils import get_url

from gdpr_consent.exceptions import SignatureNotValid

KEYS_SETTING = "consent_record_keys"  # in site_config.json: oldest first, the last one signs
ALGORITHM = "EdDSA"  # the only one: a list of one can't be talked into none, or into HS256 with a public key
CLAIMS = ["iss", "iat", "jti", "sub"]
LARGEST_TOKEN = 20 * 1024 * 1024  # characters


def create_missing_key() -> None:
	"""A key that was lost may be made anew: files signed before aren't taken for ours then, and no worse."""
	if not frappe.conf.get(KEYS_SETTING):
		keys = [secrets.token_hex(32)]
		update_site_config(KEYS_SETTING, keys, validate=False)
		frappe.conf[KEYS_SETTING] = keys


def _private_keys() -> list[Ed25519PrivateKey]:
	create_missing_key()
	return [Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key)) for key in frappe.conf[KEYS_SETTING]]


def _raw(key: Ed25519PublicKey) -> bytes:
	return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _base64url(content: bytes) -> str:
	return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _id_of(key: Ed25519PublicKey) -> str:
	"""Return the thumbprint of a key (RFC 7638, RFC 8037)."""
	members = f'{{"crv":"Ed25519","kty":"OKP","x":"{_base64url(_raw(key))}"}}'
	return _base64url(hashlib.sha256(members.encode()).digest())


def public_keys() -> dict[str, list[dict[str, str]]]:
	"""Return all public keys of the site as a JSON Web Key Set (RFC 7517), for whoever checks a file."""
	keys = [private.public_key() for private in _private_keys()]
	return {
		"keys": [
			{
				"kty": "OKP",
				"crv": "Ed25519",
				"x": _base64url(_raw(key)),
				"kid": _id_of(key),
				"alg": ALGORITHM,
				"use": "sig",
			}
			for key in keys
		]
	}


def sign(content: dict[str, Any], kind: str, number: str, subject: str, issued_at: int) -> str:
	"""Return a signed token.

	Args:
		content: what is signed, under the claim `kind`: record, receipt or history.
		number: of the record or the receipt, `jti`.
		subject: pseudonym of the person, `sub`; never the address (RC-07).
		issued_at: seconds since 1970, `iat`.
	"""
	key = _private_keys()[-1]
	claims = {"iss": get_url(), "iat": issued_at, "jti": number, "sub": subject, kind: content}
	return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": _id_of(key.public_key())})


def read(token: str) -> dict[str, Any]:
	"""Return the claims of a token that this site has signed, with any of its keys.

	Raises:
		SignatureNotValid: changed, signed with another key or algorithm, or no token at all.
	"""
	keys = {_id_of(key): key for key in (private.public_key() for private in _private_keys())}
	try:
		if not isinstance(token, str) or len(token) > LARGEST_TOKEN:
			raise jwt.InvalidTokenError
		key = keys[str(jwt.get_unverified_header(token).get("kid"))]
		# Another site may run under our address by now, and a clock may be off: neither makes a record less
		# ours.
		options = {"require": CLAIMS, "verify_iat": False}
		return jwt.decode(token, key, algorithms=[ALGORITHM], options=options)
	except (jwt.PyJWTError, KeyError, ValueError):
		raise SignatureNotValid(
			_(
				"The file isn't signed by this site, or it was changed. Import the unsigned file instead;"
				" what it says counts as unproven."
			)
		) from None
