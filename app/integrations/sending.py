"""Carrying a queued message to the mail server or the text-message company. Sent at least once; its id lets the other side know a repeat."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import aiosmtplib

from app.integrations import templates
from app.integrations.models import MessageMedium
from app.kernel import http
from app.kernel.faults import fault
from app.kernel.vault import keyring
from app.settings import settings
from tenants.directory import Tenant
from tenants.session import tenant_tx

_SMTP_TIMEOUT_S = 10


class NotHandedOver(RuntimeError):
    """The other side did not take the message. Its task is tried again."""


@dataclass(frozen=True, slots=True)
class _Opened:
    id: UUID
    medium: str
    template: str
    locale: str
    recipient: str
    params: dict[str, Any]

    def __repr__(self) -> str:
        return f"_Opened({self.template})"


MoreLines = Callable[[Tenant, str, dict[str, Any]], Awaitable[list[str]]]
"""What a slice above adds to a message, from its template and params, at the moment it is sent."""


async def send(tenant: Tenant, message_id: UUID, *, more_lines: MoreLines) -> None:
    """Hand one message over and note it. Idempotent: a message that was sent is not sent again. Raises: NotHandedOver."""
    message = await _open(tenant, message_id)
    if message is None:
        return
    added = await more_lines(tenant, message.template, message.params)
    text = await templates.render(tenant, message.template, message.locale, message.params, added)
    try:
        if message.medium == MessageMedium.MAIL:
            await _mail(message, text)
        else:
            await _text(message, text)
    except (aiosmtplib.SMTPException, OSError, http.NotSent, http.Unanswered) as error:
        await _note_failure(tenant, message_id, type(error).__name__)
        raise NotHandedOver(type(error).__name__) from None
    await fault("message.handed_over")
    async with tenant_tx(tenant) as tx:
        ring = await keyring(tx)
        emptied = ring.seal("outgoing_message", "params", message_id, "{}")
        await tx.execute(
            "update outgoing_message set state = 'sent', sent_at = now(), params = $2, last_error = '' where id = $1",
            message_id,
            emptied,
        )


async def _open(tenant: Tenant, message_id: UUID) -> _Opened | None:
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow(
            "select medium, template, locale, recipient, params from outgoing_message where id = $1 and state = 'waiting'",
            message_id,
        )
        if row is None:
            return None
        ring = await keyring(tx)
    recipient = ring.open("outgoing_message", "recipient", message_id, row["recipient"]).reveal()
    params = json.loads(ring.open("outgoing_message", "params", message_id, row["params"]).reveal())
    return _Opened(message_id, row["medium"], row["template"], row["locale"], recipient, params)


async def _mail(message: _Opened, text: templates.Rendered) -> None:
    server = urlsplit(settings().smtp_url)
    await aiosmtplib.send(
        letter(message.id, message.recipient, text),
        hostname=server.hostname or "127.0.0.1",
        port=server.port or 25,
        username=unquote(server.username) if server.username else None,
        password=unquote(server.password) if server.password else None,
        use_tls=server.scheme == "smtps",
        timeout=_SMTP_TIMEOUT_S,
    )


def letter(message_id: UUID, recipient: str, text: templates.Rendered) -> EmailMessage:
    """A message as mail. Sent again it has the same Message-ID, so that the other side can know it again."""
    mail = EmailMessage()
    mail["From"] = settings().mail_from
    mail["To"] = recipient
    mail["Subject"] = text.subject
    mail["Message-ID"] = f"<{message_id.hex}@{settings().base_host.partition(':')[0]}>"
    mail.set_content(text.plain)
    if text.html:
        mail.add_alternative(text.html, subtype="html")
    return mail


async def _text(message: _Opened, text: templates.Rendered) -> None:
    if settings().sms_url is None:
        raise NotHandedOver("no sms_url is set")
    body = json.dumps({"to": message.recipient, "text": text.plain, "id": str(message.id)}, ensure_ascii=False).encode()
    at = str(int(time.time()))
    signature = hmac.digest(settings().sms_secret.encode(), at.encode() + b"." + body, hashlib.sha256).hex()
    headers = {"Content-Type": "application/json", "Sandbox-Timestamp": at, "Sandbox-Signature": f"v1={signature}"}
    answer = await http.shared().send(http.Call("POST", str(settings().sms_url), headers, body))
    if answer.status >= 300:
        raise NotHandedOver(f"answered {answer.status}")


async def _note_failure(tenant: Tenant, message_id: UUID, error: str) -> None:
    async with tenant_tx(tenant) as tx:
        await tx.execute("update outgoing_message set last_error = $2 where id = $1", message_id, error)
