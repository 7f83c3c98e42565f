"""How a name, an e-mail address or a telephone number may stand in a text: one pattern for all encodings.

Plain, quoted-printable and header encoding, percent encoding, HTML entities, escapes of JSON, each mixed with
the others and broken over lines as mail programs break them; and base64 in each of its three alignments.
A pattern is understood by the database (PCRE) and by Python alike.
"""

import base64
import re
from collections.abc import Iterable
from html.entities import codepoint2name

import phonenumbers

from gdpr_consent.identity import is_phone_number, region

MARK = "[erased]"
# A line may be broken anywhere inside: softly in quoted-printable, as an escape in JSON.
BREAK = r"(?:=?(?:\r?\n|\\r\\n|\\n))?"
SPACE = r"(?:\s|[-_+.,]|=20|%20|&nbsp;|&#160;|\\u00a0|\\n){1,3}"
BETWEEN_DIGITS = r"(?:[\s()/.+-]|=20|%20|%2B|&nbsp;|&#160;|\\u00a0){0,3}"
# Before a word: nothing that belongs to it, unless it is the end of an escape.
ESCAPED = r"(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})|(?<==[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4})"
BEGINS = rf"(?:(?<![\w.%+-])|{ESCAPED})"
ENDS = r"(?![\w-]|\.\w)"
SHORTEST_IN_BASE64 = 6  # characters; less is found in any picture


def readable(text: str) -> str:
	"""Return the pattern of an address, number or name in any encoding but base64."""
	if is_phone_number(text):
		return _number(text)
	return BEGINS + BREAK.join(SPACE if char == " " else _char(char) for char in _tidy(text)) + ENDS


def plain(text: str) -> str:
	"""Return a pattern for texts that people write, which is quicker."""
	if is_phone_number(text):
		return _number(text)
	return BEGINS + re.escape(_tidy(text)).replace(r"\ ", SPACE) + ENDS


def run_of(text: str) -> str:
	"""Return the longest part of a text that no encoding changes, to look for it first."""
	return max(re.findall(r"[A-Za-z0-9]+", text), key=len, default="")


def digits_of(text: str) -> str:
	"""Return the pattern of the national digits of a number."""
	return BETWEEN_DIGITS.join(national_digits(text))


def _tidy(text: str) -> str:
	return " ".join(text.split())


def _char(char: str) -> str:
	"""Return the ways to write one character."""
	ways = (
		{re.escape(one) for one in (char, char.lower(), char.upper())}
		if ord(char) > 127
		else {re.escape(char)}
	)
	for one in {char, char.lower(), char.upper()}:
		octets = one.encode()
		if len(one) > 1 or (one.isascii() and one.isalnum()):
			continue  # nobody escapes those
		ways |= {"".join(f"={octet:02X}" for octet in octets), "".join(f"%{octet:02X}" for octet in octets)}
		code = ord(one)
		ways |= {f"&#{code};", f"&#x0*{code:x};", rf"\\u{code:04x}"}
		if name := codepoint2name.get(code):
			ways.add(f"&{name};")
		if one == "@":
			ways.add("&commat;")
	return ways.pop() if len(ways) == 1 else f"(?:{'|'.join(sorted(ways, key=len))})"


def _number(text: str) -> str:
	"""Return the pattern of a number however its digits are grouped, with and without its country."""
	national, country = _digits(text)
	prefix = rf"(?:(?:\+|00|%2B|=2B|&#43;)?{BETWEEN_DIGITS}{country}{BETWEEN_DIGITS})?" if country else ""
	digits = BETWEEN_DIGITS.join(national)
	return rf"(?:(?<![0-9A-Za-z])|{ESCAPED}){prefix}(?:\(?0\)?{BETWEEN_DIGITS})?{digits}(?![0-9A-Za-z])"


def _digits(text: str) -> tuple[str, str]:
	"""Return the national digits of a number and the code of its country, "" where it names none."""
	try:
		parsed = phonenumbers.parse(text.strip(), None if text.strip().startswith("+") else region())
		return phonenumbers.national_significant_number(parsed), str(parsed.country_code)
	except phonenumbers.NumberParseException:
		return re.sub(r"\D", "", text).lstrip("0"), ""


def national_digits(text: str) -> str:
	return _digits(text)[0]


def cores(texts: Iterable[str]) -> list[str]:
	"""Return what the texts look like inside base64 on one line."""
	spellings = [spelling.encode() for text in texts for spelling in _as_written(text)]
	long = [octets for octets in spellings if len(octets) >= SHORTEST_IN_BASE64]
	return list(dict.fromkeys(_inner(octets, offset) for octets in long for offset in range(3)))


def in_base64(texts: Iterable[str]) -> dict[str, str]:
	"""Return patterns of what the texts look like inside base64, each with what takes its place: as long, and
	still base64."""
	found: dict[str, str] = {}
	for text in texts:
		for spelling in _as_written(text):
			octets = spelling.encode()
			if len(octets) < SHORTEST_IN_BASE64:
				continue
			for offset in range(3):
				core, filler = _inner(octets, offset), _inner(b"x" * len(octets), offset)
				found.setdefault("(?-i:" + r"(?:\s|\\r|\\n)*".join(map(re.escape, core)) + ")", filler)
	return found


def _as_written(text: str) -> list[str]:
	spellings = [text, text.lower(), _tidy(text)]
	if is_phone_number(text):
		national, country = _digits(text)
		spellings += [national, f"+{country}{national}", re.sub(r"\s", "", text), re.sub(r"\s", "-", text)]
	elif "@" not in text:
		spellings.append(text.upper())
	return list(dict.fromkeys(spellings))


def _inner(octets: bytes, offset: int) -> str:
	"""Return the characters of base64 that stand for these octets alone, wherever they begin."""
	encoded = base64.b64encode(b"\0" * offset + octets).decode().rstrip("=")
	bits = (offset + len(octets)) * 8
	return encoded[-(-offset * 8 // 6) : bits // 6]
