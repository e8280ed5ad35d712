"""What staff and a supplier say to each other about a replenishment; each message is told to the other side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from app.kernel import clock
from app.kernel.actor import Actor, ActorKind
from app.kernel.errors import N_, DomainError
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import keyring
from app.replenishment import telling
from app.replenishment.models import Side
from tenants.session import Tx

MOST_MESSAGES = 200
LONGEST = 1_000
_SAME_PRESS = timedelta(minutes=1)


class ThreadFull(DomainError):
    message = N_("%(most)s messages were written here, which is the most. Go on by mail or on the phone.")


@dataclass(frozen=True, slots=True)
class Said:
    """One message, opened."""

    author: Side
    author_name: str
    body: str
    at: datetime


async def say(tx: Tx, row: asyncpg.Record, text: str, *, actor: Actor) -> None:
    """Write a message and tell the other side; the caller holds the replenishment's lock.

    Idempotent: the same words again within a minute are the same button pressed twice. Raises: ThreadFull.
    """
    author = Side.SUPPLIER if actor.kind is ActorKind.SUPPLIER else Side.STAFF
    before = await said_in(tx, row)
    if before and (before[-1].author, before[-1].body) == (author, text) and clock.now() - before[-1].at < _SAME_PRESS:
        return
    if len(before) >= MOST_MESSAGES:
        raise ThreadFull(most=MOST_MESSAGES)
    message_id = new_id()
    body = (await keyring(tx)).seal("replenishment_message", "body", message_id, text)
    await tx.execute(_SAY, message_id, row["id"], author, actor.name, body)
    if author is Side.SUPPLIER:
        await add_task(tx, "replenishment.tell_message", lane=Lane.MESSAGES, subject_id=message_id)
    else:
        await telling.write_to_supplier(tx, row, "replenishment_said")


async def said_in(tx: Tx, row: asyncpg.Record) -> Sequence[Said]:
    """What was said, oldest first."""
    ring = await keyring(tx)
    return [
        Said(
            Side(one["author"]),
            one["author_name"],
            ring.open("replenishment_message", "body", one["id"], one["body"]).reveal(),
            one["created_at"],
        )
        for one in await tx.fetch(_SAID, row["id"], MOST_MESSAGES)
    ]


_SAY = "insert into replenishment_message (id, replenishment_id, author, author_name, body) values ($1, $2, $3, $4, $5)"
_SAID = """
select id, author, author_name, body, created_at from replenishment_message where replenishment_id = $1 order by created_at, id limit $2
"""
