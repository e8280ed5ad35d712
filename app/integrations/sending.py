"""Carrying a queued message to the mail server or the text-message company. Sent at least once; its id lets the other side know a repeat."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import aiosmtplib
import asyncpg

from app.integrations import templates
from app.integrations.models import MessageMedium
from app.kernel import http
from app.kernel.faults import fault
from app.kernel.vault import keyring
from app.settings import settings
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_SMTP_TIMEOUT_S = 10
_NEVER_TAKEN = 422
"""What the text-message company answers for a number that takes no text messages: trying again changes nothing."""
_HANDS_OVER_FOR_S = 15.0
"""How long messages are handed over in one go, so that their task never runs out of its time with mails sent and not noted."""


class NotHandedOver(RuntimeError):
    """The other side did not take the message. Its task is tried again."""


Facts = tuple[str, dict[str, Any]]
"""A message's template and params."""
AddMore = Callable[[Tx, Sequence[Facts]], Awaitable[list[templates.More]]]
"""What a slice above adds to each of some messages at the moment they are sent."""
OnSent = Callable[[Tx, Mapping[UUID, Facts]], Awaitable[None]]
"""What a slice above does about messages that were sent, in the transaction that notes it."""
OnRefused = Callable[[Tx, Mapping[UUID, str]], Awaitable[None]]
"""What becomes of messages that the other side will never take, and why it said so, in the transaction that notes it."""


@dataclass(frozen=True, slots=True)
class _Written:
    id: UUID
    medium: str
    recipient: str
    facts: Facts
    text: templates.Rendered

    def __repr__(self) -> str:
        return f"_Written({self.id})"


@dataclass(frozen=True, slots=True)
class _Problem:
    """Why a message was not taken. `is_final`: no further try changes that."""

    says: str
    is_final: bool = False


async def send(
    tenant: Tenant,
    message_ids: Sequence[UUID],
    *,
    add_more: AddMore,
    on_sent: OnSent | None = None,
    on_refused: OnRefused | None = None,
) -> None:
    """Hand messages over, all mails on one connection, and note what became of each.

    `on_sent` is told of those that were taken, `on_refused` of those that never will be; without it they are tried again like any other.
    Idempotent: a message that was sent is not sent again. Raises: NotHandedOver, once all are noted, when one is to be tried again.
    """
    async with tenant_tx(tenant) as tx:
        written = await _write(tx, await tx.fetch(_WAITING, list(message_ids)), add_more)
    problems = await _hand_over(written)
    await fault("message.handed_over")
    async with tenant_tx(tenant) as tx:
        sent = {message.id: message.facts for message in written if message.id not in problems}
        await _note(tx, list(sent), problems)
        if on_sent and sent:
            await on_sent(tx, sent)
        refused = {message_id: problem.says for message_id, problem in problems.items() if problem.is_final and on_refused}
        if on_refused and refused:
            await on_refused(tx, refused)
    again = {problem.says for message_id, problem in problems.items() if message_id not in refused}
    if again:
        raise NotHandedOver(", ".join(sorted(again)))


async def _write(tx: Tx, rows: Sequence[asyncpg.Record], add_more: AddMore) -> list[_Written]:
    ring = await keyring(tx)
    facts = [
        (row["template"], json.loads(ring.open("outgoing_message", "params", row["id"], row["params"]).reveal())) for row in rows
    ]
    written = []
    for row, fact, added in zip(rows, facts, await add_more(tx, facts), strict=True):
        recipient = ring.open("outgoing_message", "recipient", row["id"], row["recipient"]).reveal()
        text = await templates.render(tx, fact[0], row["locale"], fact[1], added)
        written.append(_Written(row["id"], row["medium"], recipient, fact, text))
    return written


async def _hand_over(written: Sequence[_Written]) -> dict[UUID, _Problem]:
    """Why, for each message that was not taken. A server that is away or slow is not asked for the rest of them now."""
    problems: dict[UUID, _Problem] = {}
    away: dict[str, _Problem] = {}
    ends = time.monotonic() + _HANDS_OVER_FOR_S
    with closing(_mail_server()) as server:
        for message in written:
            if time.monotonic() > ends:
                away = dict.fromkeys(MessageMedium, _Problem("too slow"))
            problem = away.get(message.medium) or await _problem_with(message, server)
            if not problem:
                continue
            problems[message.id] = problem
            is_away = not problem.is_final if message.medium == MessageMedium.SMS else not server.is_connected
            if is_away:
                away[message.medium] = problem
    return problems


async def _problem_with(message: _Written, server: aiosmtplib.SMTP) -> _Problem | None:
    """Hand one over; why it was not taken, or nothing."""
    try:
        if message.medium == MessageMedium.SMS:
            return await _text(message)
        if not server.is_connected:
            await server.connect()
        await server.send_message(letter(message.id, message.recipient, message.text))
    except (aiosmtplib.SMTPException, OSError, http.NotSent, http.Unanswered) as error:
        return _Problem(type(error).__name__)
    return None


async def _note(tx: Tx, sent: Sequence[UUID], problems: Mapping[UUID, _Problem]) -> None:
    """What was sent keeps none of its facts."""
    ring = await keyring(tx)
    emptied = [ring.seal("outgoing_message", "params", message_id, "{}") for message_id in sent]
    await tx.execute(_SENT, sent, emptied)
    await tx.execute(_NOT_TAKEN, list(problems), [problem.says for problem in problems.values()])


def _mail_server() -> aiosmtplib.SMTP:
    """The mail server, connected when the first mail is due."""
    address = urlsplit(settings().smtp_url)
    return aiosmtplib.SMTP(
        hostname=address.hostname or "127.0.0.1",
        port=address.port or 25,
        username=unquote(address.username) if address.username else None,
        password=unquote(address.password) if address.password else None,
        use_tls=address.scheme == "smtps",
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


async def _text(message: _Written) -> _Problem | None:
    if settings().sms_url is None:
        return _Problem("no sms_url is set")
    body = json.dumps({"to": message.recipient, "text": message.text.plain, "id": str(message.id)}, ensure_ascii=False).encode()
    at = str(int(time.time()))
    signature = hmac.digest(settings().sms_secret.encode(), at.encode() + b"." + body, hashlib.sha256).hex()
    headers = {"Content-Type": "application/json", "Sandbox-Timestamp": at, "Sandbox-Signature": f"v1={signature}"}
    answer = await http.shared().send(http.Call("POST", str(settings().sms_url), headers, body))
    return _Problem(f"answered {answer.status}", is_final=answer.status == _NEVER_TAKEN) if answer.status >= 300 else None


_WAITING = """
select id, medium, template, locale, recipient, params from outgoing_message where id = any($1) and state = 'waiting' order by created_at
"""
_SENT = """
update outgoing_message m set state = 'sent', sent_at = now(), params = s.params, last_error = ''
from unnest($1::uuid[], $2::bytea[]) as s (id, params) where m.id = s.id
"""
_NOT_TAKEN = """
update outgoing_message m set last_error = p.error from unnest($1::uuid[], $2::text[]) as p (id, error) where m.id = p.id
"""
