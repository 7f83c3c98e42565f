"""An SMTP server that delivers nothing: each mail becomes a file in a Maildir.

The envelope says who a mail was really for, which its own headers need not, so it is kept in two more:
X-Envelope-From and X-Envelope-To. Usage: smtp_sink.py PORT MAILDIR
"""

import asyncio
import mailbox
import sys

from aiosmtpd.smtp import SMTP, Envelope, Session


class Keeper:
	def __init__(self, folder: str):
		self.mails = mailbox.Maildir(folder)

	async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
		head = f"X-Envelope-From: {envelope.mail_from}\nX-Envelope-To: {', '.join(envelope.rcpt_tos)}\n"
		self.mails.add(head.encode() + envelope.original_content)
		return "250 Kept"


async def serve(port: int, folder: str) -> None:
	keeper = Keeper(folder)
	server = await asyncio.get_running_loop().create_server(
		lambda: SMTP(keeper, enable_SMTPUTF8=True), "127.0.0.1", port
	)
	await server.serve_forever()


asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
