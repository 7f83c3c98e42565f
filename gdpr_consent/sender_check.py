"""Whether receivers can tell that our mail is ours: SPF, DKIM and DMARC of the domains we send from; and
whether it goes to the mail server encrypted.

Without them big receivers turn marketing away, and a header that says how to unsubscribe counts only if the
signature covers it (RFC 8058 §4; EM-13, EM-17).
"""

from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from email.utils import parseaddr
from ipaddress import ip_address
from typing import NamedTuple

import dns.exception
import dns.resolver

import frappe

ONE_CLICK = ("List-Unsubscribe", "List-Unsubscribe-Post")
POLICIES = ("none", "quarantine", "reject")
LONGEST = 5  # seconds for one question
OF_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class Finding(NamedTuple):
	about: str  # a domain
	ok: bool
	says: str

	@property
	def line(self) -> str:
		"""For a terminal: what a domain or a mail says of itself comes from anybody."""
		text = f"{'✓' if self.ok else '✗'} {self.about}: {self.says}"
		return "".join(letter if letter.isprintable() else "?" for letter in text)


class _NotAnswered(Exception):
	"""The domain name system gave no answer at all, which says nothing about the domain."""


def resolver_at(address: str | None = None, port: int = 53) -> dns.resolver.Resolver:
	"""Return who is asked: the nameservers of this machine, or the one given.

	Raises:
		ValueError: `address` is no IP address, or the machine knows no nameserver.
	"""
	try:
		resolver = dns.resolver.Resolver(configure=not address)
	except dns.resolver.NoResolverConfiguration as error:
		raise ValueError("This machine knows no nameserver. Name one.") from error
	if address:
		resolver.nameservers, resolver.port = [str(ip_address(address))], port
	resolver.lifetime = LONGEST
	return resolver


def domains() -> list[str]:
	"""List the domains of the addresses that this site sends from."""
	addresses = frappe.get_all("Email Account", {"enable_outgoing": 1}, pluck="email_id")
	return sorted({_domain_of(address) for address in addresses} - {""})


def check_accounts() -> Iterator[Finding]:
	"""Say of each account whether its mail goes encrypted to the mail server (Art. 32, RE-07)."""
	fields = ["email_id", "smtp_server", "use_tls", "use_ssl_for_outgoing"]
	for account in frappe.get_all("Email Account", {"enable_outgoing": 1}, fields, order_by="email_id"):
		domain, server = _domain_of(account.email_id or ""), account.smtp_server or "its mail server"
		if account.use_tls or account.use_ssl_for_outgoing:
			yield Finding(domain, True, f"TLS: mail goes encrypted to {server}.")
		elif server in OF_THIS_MACHINE:
			yield Finding(domain, True, f"TLS: mail goes to {server}, on this machine.")
		else:
			yield Finding(domain, False, f"TLS: mail goes unencrypted to {server}. Tick Use TLS.")


def check_domain(domain: str, resolver: dns.resolver.Resolver) -> Iterator[Finding]:
	"""Say whether a domain says who may send for it (SPF), and what to do with other mail (DMARC)."""
	for check in (_check_spf, _check_dmarc):
		try:
			yield check(domain, resolver)
		except _NotAnswered:
			yield Finding(domain, False, "The nameserver doesn't answer. Try again, or ask another one.")


def _check_spf(domain: str, resolver: dns.resolver.Resolver) -> Finding:
	records = [text for text in _texts_at(domain, resolver) if text.lower().split(" ")[0] == "v=spf1"]
	if not records:
		return Finding(domain, False, "SPF is missing: say in its DNS which servers send for it (RFC 7208).")
	if len(records) > 1:
		return Finding(domain, False, "SPF is there twice, so receivers take neither (RFC 7208 §3.2).")
	if {"all", "+all"} & set(records[0].lower().split()):
		return Finding(domain, False, f"SPF lets anybody send for it: {records[0]}")
	return Finding(domain, True, f"SPF: {records[0]}")


def _check_dmarc(domain: str, resolver: dns.resolver.Resolver) -> Finding:
	"""A subdomain without a record of its own has that of the nearest domain above it."""
	labels = domain.split(".")
	for start in range(len(labels) - 1):
		name = ".".join(["_dmarc", *labels[start:]])
		records = [text for text in _texts_at(name, resolver) if _tags(text).get("v") == "DMARC1"]
		if len(records) > 1:
			return Finding(domain, False, "DMARC is there twice, so it counts for nothing (RFC 7489 §6.6.3).")
		if records:
			policy = _tags(records[0]).get("p", "").lower()
			if policy not in POLICIES:
				return Finding(domain, False, f"DMARC has no policy: {records[0]}")
			return Finding(domain, True, f"DMARC: {records[0]}")
	return Finding(domain, False, "DMARC is missing: big receivers ask for p=none at least (RFC 7489).")


def _texts_at(name: str, resolver: dns.resolver.Resolver) -> list[str]:
	try:
		answer = resolver.resolve(name, "TXT")
	except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
		return []
	except dns.exception.DNSException as error:
		raise _NotAnswered from error
	return [b"".join(record.strings).decode(errors="replace") for record in answer]


def check_mail(raw: bytes) -> Finding:
	"""Say whether a marketing mail, as a receiver got it, offers one click and signs that (RFC 8058 §4).

	Args:
		raw: of a file with the whole mail, headers and all.
	"""
	mail = message_from_bytes(raw)
	domain = _domain_of(mail.get("From", ""))
	if not domain:
		return Finding("?", False, "This is no mail: it has no sender. Save it with all its headers.")
	if missing := [header for header in ONE_CLICK if header not in mail]:
		return Finding(domain, False, f"The mail has no {' and no '.join(missing)}.")
	signatures = [tags for tags in _signatures_of(mail) if _is_aligned(tags.get("d", ""), domain)]
	if not signatures:
		return Finding(domain, False, f"DKIM is missing: no signature is by {domain} (RFC 6376).")
	for tags in signatures:
		signed = {header.strip().lower() for header in tags.get("h", "").split(":")}
		if {header.lower() for header in ONE_CLICK} <= signed:
			return Finding(domain, True, f"DKIM: {tags['d']} signs {', '.join(ONE_CLICK)}")
	return Finding(domain, False, f"DKIM doesn't cover {' and '.join(ONE_CLICK)}: have the server sign them.")


def _signatures_of(mail: Message) -> Iterator[dict[str, str]]:
	for header in mail.get_all("DKIM-Signature", []):
		yield _tags(str(header))


def _is_aligned(signer: str, domain: str) -> bool:
	"""Relaxed: the one is the other, or above it (RFC 7489 §3.1.1); a top-level domain is nobody's.

	Two domains beside each other might be, too; to know that takes the list of public suffixes.
	"""
	signer = signer.lower().rstrip(".")
	if "." not in signer:
		return False
	return signer == domain or domain.endswith(f".{signer}") or signer.endswith(f".{domain}")


def _tags(text: str) -> dict[str, str]:
	pairs = (part.partition("=") for part in text.split(";"))
	return {name.strip().lower(): "".join(value.split()) for name, _equals, value in pairs if name.strip()}


def _domain_of(address: str | None) -> str:
	return parseaddr(str(address or ""))[1].rpartition("@")[2].strip().lower()
