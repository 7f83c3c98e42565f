"""SPF, DKIM and DMARC of the domains we send from, asked of a nameserver of our own (EM-13, EM-17)."""

import socketserver
import threading
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from test_commands import run

import frappe

from gdpr_consent import sender_check

SPF, DMARC = "v=spf1 mx -all", "v=DMARC1; p=none; rua=mailto:d@shop.example"


ONE_CLICK = "List-Unsubscribe: <https://shop.example/u>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n"


def signed(by: str, headers: str) -> str:
	return f"DKIM-Signature: v=1; a=rsa-sha256; d={by}; s=x;\n h={headers};\n bh=aaa; b=bbb\n"


BOTH = "From:Subject:List-Unsubscribe:\n List-Unsubscribe-Post"


class Nameserver:
	"""Answers questions for TXT with what it was told; says that nothing else exists."""

	def __init__(self) -> None:
		self.texts: dict[str, list[str]] = {}
		self.fails = False
		texts = self

		class Answer(socketserver.BaseRequestHandler):
			def handle(self) -> None:
				data, socket = self.request
				socket.sendto(texts.answer(data), self.client_address)

		self.server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Answer)
		self.port = self.server.server_address[1]
		threading.Thread(target=self.server.serve_forever, daemon=True).start()

	def answer(self, data: bytes) -> bytes:
		query = dns.message.from_wire(data)
		(question,) = query.question
		response = dns.message.make_response(query)
		response.flags |= dns.flags.RA
		texts = self.texts.get(question.name.to_text(omit_final_dot=True), [])
		if self.fails:
			response.set_rcode(dns.rcode.SERVFAIL)
		elif texts:
			quoted = [f'"{text}"' for text in texts]
			response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "TXT", *quoted))
		else:
			response.set_rcode(dns.rcode.NXDOMAIN)
		return response.to_wire()

	def check(self, domain: str) -> list[bool]:
		resolver = sender_check.resolver_at("127.0.0.1", self.port)
		return [one.ok for one in sender_check.check_domain(domain, resolver)]


@pytest.fixture
def nameserver() -> Iterator[Nameserver]:
	started = Nameserver()
	yield started
	started.server.shutdown()
	started.server.server_close()


@pytest.mark.parametrize(
	("texts", "sound"),
	[
		({"shop.example": [SPF], "_dmarc.shop.example": [DMARC]}, [True, True]),
		({"shop.example": ["google-site-verification=1", SPF]}, [True, False]),
		({"shop.example": [SPF, "v=spf1 ~all"]}, [False, False]),
		({"shop.example": ["v=spf1 +all"], "_dmarc.shop.example": ["v=DMARC1; p=reject"]}, [False, True]),
		({"shop.example": ["v=spf1x -all"], "_dmarc.shop.example": ["v=DMARC1; rua=a"]}, [False, False]),
		({"_dmarc.shop.example": [DMARC, DMARC.replace("none", "reject")]}, [False, False]),
		({}, [False, False]),
	],
	ids=["sound", "no DMARC", "SPF twice", "anybody", "no policy", "DMARC twice", "nothing"],
)
def test_em_17_spf_and_dmarc_of_a_domain(nameserver, texts, sound):
	nameserver.texts = texts
	assert nameserver.check("shop.example") == sound


def test_em_17_a_subdomain_has_the_policy_of_the_domain_above_it(nameserver):
	nameserver.texts = {"news.shop.example": [SPF], "_dmarc.shop.example": [DMARC]}
	assert nameserver.check("news.shop.example") == [True, True]
	nameserver.texts = {"news.shop.example": [SPF], "_dmarc.example": [DMARC]}  # a registry's is nobody's
	assert nameserver.check("news.shop.example") == [True, False]


def test_a_nameserver_that_fails_is_no_answer_about_the_domain(nameserver):
	nameserver.fails = True
	resolver = sender_check.resolver_at("127.0.0.1", nameserver.port)
	assert {one.says for one in sender_check.check_domain("shop.example", resolver)} == {
		"The nameserver doesn't answer. Try again, or ask another one."
	}


@pytest.mark.parametrize(
	("headers", "is_sound"),
	[
		(ONE_CLICK + signed("shop.example", BOTH), True),
		(ONE_CLICK + signed("news.shop.example", BOTH), True),
		(ONE_CLICK + signed("relay.example", "From") + signed("shop.example", BOTH.lower()), True),
		(ONE_CLICK + signed("shop.example", "From:Subject:List-Unsubscribe"), False),
		(ONE_CLICK + signed("relay.example", BOTH), False),
		(ONE_CLICK + signed("example", BOTH), False),
		(ONE_CLICK, False),
		(signed("shop.example", BOTH), False),
	],
)
def test_em_13_both_headers_are_signed_by_the_sender(headers, is_sound):
	raw = f"From: Shop <news@shop.example>\nSubject: News\n{headers}\nHello\n".encode()
	assert sender_check.check_mail(raw).ok is is_sound


def test_nothing_that_a_domain_says_reaches_the_terminal_but_letters(nameserver):
	nameserver.texts = {"shop.example": ["v=spf1 \\027[31m -all"]}
	resolver = sender_check.resolver_at("127.0.0.1", nameserver.port)
	(found, _dmarc) = sender_check.check_domain("shop.example", resolver)
	assert found.line == "✓ shop.example: SPF: v=spf1 ?[31m -all"
	signature = signed("x\x1b[31m.shop.example", BOTH)
	mail = f"From: a@shop.example\n{ONE_CLICK}{signature}\n".encode()
	assert sender_check.check_mail(mail).line.isprintable()


@pytest.mark.parametrize("raw", [b"", b"\x00\xff", b"Hello", b"From: nobody\n\n"])
def test_what_is_no_mail_is_told_so(raw):
	assert not sender_check.check_mail(raw).ok


@pytest.mark.parametrize("option", [("--nameserver", "nobody"), ("--nameserver", "127.0.0.1", "--port", "0")])
def test_a_nameserver_that_cant_be_is_told_so(site, option):
	code, _said, error = run("senders", *option)
	assert (code, "Traceback" in error) == (2, False)
	assert option[-1] in error and option[-2] in error


def test_the_command_tells_what_is_missing(site, nameserver, tmp_path):
	account = frappe.get_doc(
		doctype="Email Account",
		email_account_name=f"Senders {frappe.generate_hash(length=6)}",
		email_id="news@shop.example",
		enable_outgoing=1,
		smtp_server="127.0.0.1",
		no_smtp_authentication=1,
	)
	account.flags.ignore_validate = True
	account.db_insert()
	(tmp_path / "mail.eml").write_bytes(
		f"From: news@shop.example\n{ONE_CLICK}{signed('shop.example', BOTH)}\nHello\n".encode()
	)
	asked = ("senders", "--nameserver", "127.0.0.1", "--port", str(nameserver.port))
	try:
		nameserver.texts = {"shop.example": [SPF]}
		code, said, _progress = run(*asked)
		assert code == 1
		assert f"✓ shop.example: SPF: {SPF}\n✗ shop.example: DMARC is missing" in said
		assert "✓ shop.example: TLS: mail goes to 127.0.0.1, on this machine." in said
		others = {domain for domain in sender_check.domains() if domain != "shop.example"}
		nameserver.texts = {
			name: [text]
			for domain in {"shop.example", *others}
			for name, text in ((domain, SPF), (f"_dmarc.{domain}", DMARC))
		}
		code, said, _progress = run(*asked, "--mail", str(tmp_path / "mail.eml"))
		assert (code, said.count("✗")) == (0, 0)
		assert "✓ shop.example: DKIM: shop.example signs List-Unsubscribe, List-Unsubscribe-Post" in said
	finally:
		frappe.db.delete("Email Account", {"name": account.name})
		frappe.db.commit()


@pytest.mark.parametrize(
	("values", "is_sound"),
	[
		({"smtp_server": "mail.example"}, False),
		({"smtp_server": "mail.example", "use_tls": 1}, True),
		({"smtp_server": "mail.example", "use_ssl_for_outgoing": 1}, True),
		({"smtp_server": "localhost"}, True),
	],
)
def test_re_07_mail_goes_encrypted_to_its_server(site, values, is_sound):
	title = f"TLS {frappe.generate_hash(length=6)}"
	account = {"email_account_name": title, "email_id": "news@tls.example", "enable_outgoing": 1}
	frappe.get_doc(doctype="Email Account", **account, **values).db_insert()
	(found,) = [one for one in sender_check.check_accounts() if one.about == "tls.example"]
	assert found.ok == is_sound and values["smtp_server"] in found.line
