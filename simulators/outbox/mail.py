"""The SMTP side."""

import asyncio
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from simulators.outbox.box import Box, Mail

MAX_MAIL_BYTES = 2_000_000
UNKNOWN = "nobody@"
HANGS_UP = "hangs-up@"


class MailHandler:
    def __init__(self, box: Box) -> None:
        self._box = box

    async def handle_RCPT(self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]) -> str:
        """Nobody has no mailbox; asked for the one who hangs up, the line goes dead."""
        if address.startswith(UNKNOWN):
            return "550 No such mailbox"
        if address.startswith(HANGS_UP) and server.transport is not None:
            server.transport.close()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        self._box.keep_mail(read_mail(content, envelope.mail_from or "", envelope.rcpt_tos))
        return "250 Kept"


async def listen_for_mail(box: Box, host: str, port: int) -> asyncio.Server:
    """Take mail on a port; 0 takes a free one."""
    handler = MailHandler(box)

    def session() -> SMTP:
        return SMTP(handler, hostname="outbox.localhost", data_size_limit=MAX_MAIL_BYTES, enable_SMTPUTF8=True)

    return await asyncio.get_running_loop().create_server(session, host, port)


def read_mail(content: bytes, sender: str, recipients: list[str]) -> Mail:
    message: EmailMessage[Any, Any] = message_from_bytes(content, policy=policy.default)
    return Mail(
        sender=sender,
        recipients=tuple(recipient.lower() for recipient in recipients),
        subject=str(message.get("subject", "")),
        text=_part(message, "plain"),
        html=_part(message, "html"),
    )


def _part(message: "EmailMessage[Any, Any]", kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        return ""
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    charset = part.get_content_charset() or "utf-8"
    try:
        return payload.decode(charset, "replace")
    except LookupError:
        return payload.decode("utf-8", "replace")
