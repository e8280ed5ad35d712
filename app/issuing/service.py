"""Verbs on a batch for a company: confirmed or abandoned, paused and resumed, its rest given up, what failed tried again. All idempotent."""

from __future__ import annotations

import asyncpg

from app.issuing.models import ISSUE_EDGES, IssueState
from app.kernel import audit, history
from app.kernel.actor import SYSTEM, Actor, ActorKind
from app.kernel.errors import N_, DomainError
from app.kernel.history import Happened
from app.kernel.tasks import Lane, add_task
from tenants.session import Tx

GO_ON = "issuing.go_on"
_S = IssueState


class NobodyToSendTo(DomainError):
    message = N_("None of the lines names a recipient. Nothing would be sent.")


class NotAsShown(DomainError):
    message = N_("Batch %(no)s is no longer as this page showed it. Open it again to see how it stands.")


async def confirm(tx: Tx, batch: asyncpg.Record, *, actor: Actor) -> None:
    """Begin to order for its rows; the caller holds the batch's lock, as for every verb here. Raises: NobodyToSendTo, NotAsShown."""
    if batch["confirmed_at"] is not None:
        return
    if not batch["row_count"]:
        raise NobodyToSendTo
    await move(tx, batch, _S.RUNNING, event="issue_batch.confirmed", facts={"rows": batch["row_count"]}, actor=actor)
    await tx.execute("update issue_batch set confirmed_at = now() where id = $1", batch["id"])
    await go_on_soon(tx, batch)


async def abandon(tx: Tx, batch: asyncpg.Record, *, actor: Actor) -> None:
    """Throw a batch away that was not confirmed, with everything the file said. Raises: NotAsShown."""
    if batch["state"] == _S.ABANDONED:
        return
    await move(tx, batch, _S.ABANDONED, actor=actor)
    await tx.execute("delete from issue_row where batch_id = $1", batch["id"])
    await tx.execute("delete from issue_bad_line where batch_id = $1", batch["id"])


async def pause(tx: Tx, batch: asyncpg.Record, *, actor: Actor) -> None:
    """Order no more for now; what is ordered is delivered. Raises: NotAsShown."""
    if batch["state"] != _S.PAUSED:
        await move(tx, batch, _S.PAUSED, actor=actor)


async def resume(tx: Tx, batch: asyncpg.Record, *, actor: Actor) -> None:
    """Go on with a paused batch. Raises: NotAsShown."""
    if batch["state"] == _S.RUNNING:
        return
    if batch["state"] != _S.PAUSED:
        raise NotAsShown(no=batch["batch_no"])
    await move(tx, batch, _S.RUNNING, event="issue_batch.resumed", actor=actor)
    await go_on_soon(tx, batch)


async def give_up_rest(tx: Tx, batch: asyncpg.Record, *, actor: Actor) -> int:
    """Order nothing for the rows that still wait; how many. What is ordered stays, and is delivered. Raises: NotAsShown."""
    if batch["state"] not in (_S.RUNNING, _S.PAUSED, _S.ENDED):
        raise NotAsShown(no=batch["batch_no"])
    rows = await tx.execute(_GIVE_UP, batch["id"])
    if rows:
        await _note(tx, batch, "issue_batch.rest_given_up", {"rows": rows}, actor)
        await go_on_soon(tx, batch)
    return rows


async def try_again(tx: Tx, batch: asyncpg.Record, *, actor: Actor) -> int:
    """Have the rows that failed, and no others, ordered anew; how many. Pressed twice, the second press finds none. Raises: NotAsShown."""
    if batch["state"] not in (_S.RUNNING, _S.PAUSED, _S.ENDED):
        raise NotAsShown(no=batch["batch_no"])
    rows = await tx.execute(_TRY_AGAIN, batch["id"])
    if rows:
        await _note(tx, batch, "issue_batch.tried_again", {"rows": rows}, actor)
        if batch["state"] == _S.ENDED:
            await move(tx, batch, _S.RUNNING, event="issue_batch.runs_again", facts={"rows": rows})
        await go_on_soon(tx, batch)
    return rows


async def go_on_soon(tx: Tx, batch: asyncpg.Record, *, after_s: int = 0) -> None:
    """Have a worker order, and look at what was ordered."""
    await add_task(tx, GO_ON, lane=Lane.BULK, subject_id=batch["id"], after_s=after_s)


async def move(
    tx: Tx,
    batch: asyncpg.Record,
    state: IssueState,
    *,
    event: str = "",
    facts: dict[str, object] | None = None,
    actor: Actor = SYSTEM,
) -> None:
    """Change a batch's state, and write its history; a person's act is audited. Raises: NotAsShown."""
    before = IssueState(batch["state"])
    if state not in ISSUE_EDGES[before]:
        raise NotAsShown(no=batch["batch_no"])
    await tx.execute(_MOVE, batch["id"], state)
    await _note(tx, batch, event or f"issue_batch.{state}", facts or {}, actor, states=(before, state))


async def _note(
    tx: Tx,
    batch: asyncpg.Record,
    event: str,
    facts: dict[str, object],
    actor: Actor,
    *,
    states: tuple[IssueState | None, IssueState | None] = (None, None),
) -> None:
    told = {"batch_no": batch["batch_no"], **facts}
    await history.record(tx, Happened("issue_batch", batch["id"], event, *states, facts=told), actor=actor)
    if actor.kind is ActorKind.STAFF:
        await audit.record(tx, actor, event, subject=("issue_batch", batch["id"]), facts=told)


_MOVE = """
update issue_batch set state = $2, ended_at = case when $2 = 'ended' then now() end, updated_at = now() where id = $1
"""
_GIVE_UP = "update issue_row set state = 'given_up', changed_at = now() where batch_id = $1 and state = 'waiting'"
_TRY_AGAIN = """
update issue_row set state = 'waiting', order_id = null, reason = '', says = '', changed_at = now() where batch_id = $1 and state = 'failed'
"""
