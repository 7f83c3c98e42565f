"""Where the canary's mails and text messages end: servers on this machine, and a database connection that is
never committed."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.smtp import SMTP

import frappe

HERE = "127.0.0.1"
OF_THE_TRANSACTION = ("consent_announcements", "consent_stale_shards", "_webhook_queue")


class Mailboxes:
	"""Takes every mail, and remembers for whom."""

	def __init__(self) -> None:
		self.reached: set[str] = set()

	async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
		self.reached.update(address.lower() for address in envelope.rcpt_tos)
		return "250 OK"


@contextmanager
def smtp_sink() -> Iterator[tuple[int, set[str]]]:
	"""Run an SMTP server on a free port; yield the port, and the set that who is reached is added to."""
	mailboxes, loop = Mailboxes(), asyncio.new_event_loop()
	thread = threading.Thread(target=loop.run_forever, daemon=True)
	thread.start()
	listening = loop.create_server(lambda: SMTP(mailboxes, loop=loop), HERE, 0)
	server = asyncio.run_coroutine_threadsafe(listening, loop).result()
	try:
		yield server.sockets[0].getsockname()[1], mailboxes.reached
	finally:
		asyncio.run_coroutine_threadsafe(_hang_up(server), loop).result()
		loop.call_soon_threadsafe(loop.stop)
		thread.join()
		loop.close()


async def _hang_up(server: asyncio.Server) -> None:
	"""Close the connections too, which core keeps open for the next mail."""
	server.close()
	sessions = asyncio.all_tasks() - {asyncio.current_task()}
	for session in sessions:
		session.cancel()
	await asyncio.gather(*sessions, return_exceptions=True)


@contextmanager
def sms_gateway() -> Iterator[tuple[str, set[str]]]:
	"""Run what SMS Settings call a gateway; yield its URL, and the set that who is reached is added to."""
	reached: set[str] = set()

	class Gateway(BaseHTTPRequestHandler):
		def do_GET(self) -> None:
			reached.update(parse_qs(urlsplit(self.path).query).get("to", ()))
			self.send_response(200)
			self.end_headers()

		def log_message(self, *_args: Any) -> None:
			pass  # a number has no place in a log

	with ThreadingHTTPServer((HERE, 0), Gateway) as server:
		threading.Thread(target=server.serve_forever, daemon=True).start()
		try:
			yield f"http://{HERE}:{server.server_address[1]}/", reached
		finally:
			server.shutdown()


@contextmanager
def uncommitted_database() -> Iterator[None]:
	"""Work on a connection of its own, all of which is undone in the end, also if this process is killed.

	Nobody else ever sees what is written there: no flush of the queue, no report. What is to run after a
	commit doesn't run. The connection in use before isn't touched, and is in use again afterwards.
	"""
	before = frappe.local.db
	frappe.connect(set_admin_as_user=False)
	opened = frappe.local.db
	kind = type(opened)
	opened.__class__ = type("UncommittedDatabase", (_Uncommitted, kind), {})
	# What the register and core's Webhooks remember of the transaction they are in.
	remembered = {
		name: getattr(frappe.local, name) for name in OF_THE_TRANSACTION if hasattr(frappe.local, name)
	}
	_forget_the_transaction({})
	try:
		yield
	finally:
		opened.__class__ = kind
		try:
			opened.rollback()
			opened.close()
		finally:
			frappe.local.db = before
			_forget_the_transaction(remembered)


def _forget_the_transaction(remembered: dict[str, Any]) -> None:
	for name in OF_THE_TRANSACTION:
		if hasattr(frappe.local, name):
			delattr(frappe.local, name)
		if name in remembered:
			setattr(frappe.local, name, remembered[name])


class _Uncommitted:
	def commit(self, *_args: Any, **_kwargs: Any) -> None:
		self.value_cache.clear()

	def begin(self, *_args: Any, **_kwargs: Any) -> None:
		"""To start a transaction would commit the one before."""

	def rollback(self, *_args: Any, save_point: str | None = None, **_kwargs: Any) -> None:
		if save_point:
			super().rollback(save_point=save_point)
