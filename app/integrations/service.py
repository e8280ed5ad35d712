"""Writing messages down in the transaction that wants them, and sending them by task."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.integrations.models import MessageMedium
from app.kernel.contact import EMAIL, Contact
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_tasks
from app.kernel.vault import keyring
from tenants.session import Tx, raw


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one person. `to` is a contact's kind and value.

    Card-keys never go into params: a message carries a link, and the merchant who opted in has the key opened when the mail is sent.
    """

    template: str
    to: tuple[str, str]
    locale: str
    params: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Message({self.template})"


async def queue_messages(on: AsyncSession | Tx, messages: Sequence[Message], *, lane: Lane = Lane.MESSAGES) -> None:
    """Have messages sent after this transaction commits, behind others of their lane. Recipients and params are sealed. A trial sends none."""
    tx = await raw(on)
    if tx.tenant.trial_ends_at is not None:
        return
    ring = await keyring(tx)
    rows = []
    for message in messages:
        message_id, contact = new_id(), Contact(*message.to)
        medium = MessageMedium.MAIL if contact.kind == EMAIL else MessageMedium.SMS
        recipient = ring.seal("outgoing_message", "recipient", message_id, contact.value)
        params = ring.seal("outgoing_message", "params", message_id, json.dumps(dict(message.params)))
        rows.append((message_id, medium, message.template, message.locale, recipient, contact.masked, params))
    await tx.execute(_INSERT, *([row[column] for row in rows] for column in range(7)))
    await add_tasks(tx, "integrations.send", lane=lane, subject_ids=[row[0] for row in rows])


async def queue_message(
    on: AsyncSession | Tx, *, template: str, to: tuple[str, str], locale: str, params: Mapping[str, Any]
) -> None:
    """Have one message sent after this transaction commits."""
    await queue_messages(on, [Message(template, to, locale, params)])


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A message that nobody took, however often it was tried."""

    template: str
    medium: str
    to: str
    """Masked."""
    order_id: UUID | None
    """The order it is about, for a message about one."""
    problem: str


async def give_up(tx: Tx, message_id: UUID) -> GivenUp | None:
    """Note that a message is tried no more; what it was. None where it was sent after all. Locks: the message."""
    row = await tx.fetchrow(_GIVE_UP, message_id)
    if row is None:
        return None
    params = json.loads((await keyring(tx)).open("outgoing_message", "params", message_id, row["params"]).reveal())
    order_id = UUID(params["order_id"]) if params.get("order_id") else None
    return GivenUp(row["template"], row["medium"], row["recipient_masked"], order_id, row["last_error"])


async def mail_instead(tx: Tx, message_id: UUID, to: Contact) -> bool:
    """Have a text message that was given up go out by mail, to another contact of its reader; whether that is new.

    Idempotent: one mail for each text message, however often it is given up. The caller holds the message's lock.
    """
    row = await tx.fetchrow("select template, locale, params from outgoing_message where id = $1", message_id)
    assert row is not None
    ring, mail_id = await keyring(tx), new_id()
    recipient = ring.seal("outgoing_message", "recipient", mail_id, to.value)
    params = ring.open("outgoing_message", "params", message_id, row["params"]).reveal()
    sealed = ring.seal("outgoing_message", "params", mail_id, params)
    is_new = await tx.execute(_MAIL_INSTEAD, mail_id, row["template"], row["locale"], recipient, to.masked, sealed, message_id)
    if is_new:
        await add_tasks(tx, "integrations.send", lane=Lane.MESSAGES, subject_ids=[mail_id])
    return bool(is_new)


async def try_again(tx: Tx, message_id: UUID) -> None:
    """Have a message that was given up tried again, from its first try on. Idempotent; one that was sent stays sent."""
    await tx.execute("update outgoing_message set state = 'waiting' where id = $1 and state = 'failed'", message_id)
    await add_tasks(tx, "integrations.send", lane=Lane.MESSAGES, subject_ids=[message_id])


_GIVE_UP = """
update outgoing_message set state = 'failed' where id = $1 and state <> 'sent'
returning template, medium, recipient_masked, params, last_error
"""
_INSERT = """
insert into outgoing_message (id, medium, template, locale, recipient, recipient_masked, params)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::bytea[])
"""
_MAIL_INSTEAD = """
insert into outgoing_message (id, medium, template, locale, recipient, recipient_masked, params, instead_of)
values ($1, 'mail', $2, $3, $4, $5, $6, $7)
on conflict (instead_of) where instead_of is not null do nothing
"""
