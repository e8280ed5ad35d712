"""What happened to a thing, as order pages, audit search and timelines read it. One table, written in the action's own transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.kernel import clock
from app.kernel.actor import SYSTEM, Actor
from app.kernel.ids import new_id
from tenants.session import Tx, raw


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of a subject. `event` is a word like `order.paid`; facts hold ids and amounts, never secrets."""

    subject_kind: str
    subject_id: UUID
    event: str
    from_state: str | None = None
    to_state: str | None = None
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


async def record(on: AsyncSession | Tx, *events: Happened, actor: Actor = SYSTEM, at: datetime | None = None) -> None:
    """Append events, all at one instant."""
    tx = await raw(on)
    instant = at or clock.now()
    rows = [
        (
            new_id(),
            e.subject_kind,
            e.subject_id,
            e.event,
            e.from_state,
            e.to_state,
            actor.kind,
            actor.id,
            actor.name,
            e.note,
            json.dumps(e.facts),
            instant,
        )
        for e in events
    ]
    if len(rows) == 1:
        await tx.execute(_INSERT, *rows[0])
    elif rows:
        await tx.execute(_INSERT_MANY, *(list(column) for column in zip(*rows, strict=True)))


async def of_subjects(on: AsyncSession | Tx, subjects: Sequence[UUID], *, limit: int = 200) -> list[asyncpg.Record]:
    """The newest events of some subjects together, newest first."""
    tx = await raw(on)
    return await tx.fetch(_OF_SUBJECTS, list(subjects), limit)


def facts_of(row: asyncpg.Record) -> dict[str, Any]:
    """The facts of a row of the history or the audit chain: a text from a raw transaction, opened already from a session's own."""
    facts = row["facts"]
    return dict(json.loads(facts) if isinstance(facts, str) else facts)


_INSERT = """
insert into history
  (id, subject_kind, subject_id, event, from_state, to_state, actor_kind, actor_id, actor_name, note, facts, at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::jsonb, $12)
"""
_INSERT_MANY = """
insert into history
  (id, subject_kind, subject_id, event, from_state, to_state, actor_kind, actor_id, actor_name, note, facts, at)
select e.id, e.subject_kind, e.subject_id, e.event, e.from_state, e.to_state, e.actor_kind, e.actor_id, e.actor_name, e.note, e.facts::jsonb, e.at
from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::text[], $10::text[], $11::text[],
            $12::timestamptz[])
  as e (id, subject_kind, subject_id, event, from_state, to_state, actor_kind, actor_id, actor_name, note, facts, at)
"""
_OF_SUBJECTS = """
select id, subject_kind, subject_id, event, from_state, to_state, actor_kind, actor_name, note, facts, at
from history
where subject_id = any($1)
order by at desc, id desc
limit $2
"""
