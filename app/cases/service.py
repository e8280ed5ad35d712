"""Verbs on cases: opened by the verb that meets the trouble, in its own transaction; closed by a person, or by what it waited for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from app.cases.models import CaseKind, CaseState
from app.integrations import service as messages
from app.kernel import audit, history
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.ids import new_id
from tenants.session import Tx

MESSAGE_SENT = N_("The message was sent.")


class NoteMissing(DomainError):
    status = 422
    message = N_("Write down what was done about it; the note stays with the case.")


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a case is about: a thing of an order, and the facts a person needs."""

    kind: CaseKind
    subject_kind: str
    subject_id: UUID
    order_id: UUID | None
    facts: Mapping[str, Any] = field(default_factory=dict)


async def open_case(tx: Tx, trouble: Trouble) -> None:
    """Have a person look at something. Idempotent: while a case of this kind about this subject is open there is no second one."""
    case_id = new_id()
    written = await tx.execute(
        _OPEN, case_id, trouble.kind, trouble.subject_kind, trouble.subject_id, trouble.order_id, json.dumps(trouble.facts)
    )
    if written:
        await history.record(tx, Happened("case", case_id, "case.open", None, CaseState.OPEN, note=trouble.kind))


async def close_case(tx: Tx, case_id: UUID, *, note: str, actor: Actor) -> asyncpg.Record:
    """Say what was done about a case; its row. Idempotent: a closed one stays as it was closed. Locks: the case. Raises: NoteMissing, NotFound."""
    if not note.strip():
        raise NoteMissing
    row = await lock_case(tx, case_id)
    if row["state"] == CaseState.OPEN:
        await _close(tx, row, note, actor)
        facts = {"kind": row["kind"], "order_id": str(row["order_id"])}
        await audit.record(tx, actor, "case.closed", subject=("case", case_id), reason=note, facts=facts)
    return row


async def try_message_again(tx: Tx, case_id: UUID, *, actor: Actor) -> bool:
    """Have the message of a case tried again; whether the case still waited for it. Once it is sent, the case closes by itself.

    Idempotent. Locks: the case. Raises: NotFound, for another kind of case too.
    """
    row = await lock_case(tx, case_id)
    if row["kind"] != CaseKind.MESSAGE_FAILED:
        raise NotFound
    if row["state"] != CaseState.OPEN:
        return False
    await messages.try_again(tx, row["subject_id"])
    facts = {"case_id": str(case_id), "order_id": str(row["order_id"])}
    await audit.record(tx, actor, "message.tried_again", subject=("message", row["subject_id"]), facts=facts)
    return True


async def lock_case(tx: Tx, case_id: UUID) -> asyncpg.Record:
    """A case's row, locked until the transaction ends. Raises: NotFound."""
    row = await tx.fetchrow(_LOCK, case_id)
    if row is None:
        raise NotFound
    return row


async def settle(tx: Tx, kind: CaseKind, subject_id: UUID, *, note: str, actor: Actor = SYSTEM) -> None:
    """Close the open case of a kind about a subject, because what it waited for has come. Nothing happens where there is none."""
    await settle_all(tx, [kind], [subject_id], note=note, actor=actor)


async def settle_all(tx: Tx, kinds: Sequence[CaseKind], subject_ids: Sequence[UUID], *, note: str, actor: Actor = SYSTEM) -> None:
    """As `settle`, for several kinds and subjects. Locks: the cases, in id order."""
    for row in await tx.fetch(_OPEN_ABOUT, list(kinds), list(subject_ids)):
        await _close(tx, row, note, actor)


async def _close(tx: Tx, row: asyncpg.Record, note: str, actor: Actor) -> None:
    await tx.execute(_CLOSE, row["id"], actor.name or actor.kind, note)
    await history.record(tx, Happened("case", row["id"], "case.closed", CaseState.OPEN, CaseState.CLOSED, note), actor=actor)


_OPEN = """
insert into staff_case (id, kind, subject_kind, subject_id, order_id, facts) values ($1, $2, $3, $4, $5, $6::jsonb)
on conflict (kind, subject_id) where state = 'open' do nothing
"""
_LOCK = "select id, kind, state, subject_kind, subject_id, order_id, facts from staff_case where id = $1 for update"
_OPEN_ABOUT = """
select id, state from staff_case where kind = any($1) and subject_id = any($2) and state = 'open' order by id for update
"""
_CLOSE = "update staff_case set state = 'closed', closed_at = now(), closed_by = $2, note = $3, updated_at = now() where id = $1"
