"""How a connection fares, from its real calls: minutes counted, the breaker moved by them, and those who must know told by task."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from app.kernel import clock, history
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import N_
from app.kernel.history import Happened
from app.kernel.tasks import Lane, add_task, add_tasks
from app.suppliers.models import BREAKER_EDGES, BreakerState
from app.suppliers.queries import skus_of_connection
from app.suppliers.rules import TOO_SLOW_MS, Recent, next_breaker, tries_again_after_s
from tenants.session import Tx

_BOUNDS = ((300, "within_300_ms"), (1_000, "within_1_s"), (3_000, "within_3_s"), (10_000, "within_10_s"))
FAILING = N_("More than half of its calls went unanswered.")
STILL_FAILING = N_("The call that was to show whether it is back went unanswered.")
BY_HAND = N_("Stopped by hand.")


@dataclass(frozen=True, slots=True)
class Called:
    """One call that was made: `went_well` when it was answered, be it with a definite refusal."""

    connection_id: UUID
    offer_id: UUID
    took_ms: int
    went_well: bool
    is_refused: bool = False
    is_delivered: bool = False


async def note_calls(tx: Tx, calls: Sequence[Called]) -> None:
    """Count calls and let their connections' breakers move; one that is closed and answers well is not touched.

    Locks: the connections, in id order; call it last.
    """
    if not calls:
        return
    by_offer: dict[tuple[UUID, UUID], Counter[str]] = defaultdict(Counter)
    for call in calls:
        by_offer[call.offer_id, call.connection_id].update(_counted(call))
    columns = ("calls", "well", "refused", "delivered", *(name for _, name in _BOUNDS))
    keys = sorted(by_offer)
    await tx.execute(
        _COUNT,
        [offer for offer, _ in keys],
        [connection for _, connection in keys],
        *([by_offer[key][column] for key in keys] for column in columns),
        clock.now(),
    )
    failing = sorted({call.connection_id for call in calls if not call.went_well})
    badly = {call.connection_id for call in calls if not call.went_well or call.took_ms > TOO_SLOW_MS}
    await add_tasks(tx, "suppliers.watch", lane=Lane.MESSAGES, subject_ids=sorted(badly))
    for row in await tx.fetch(_TO_JUDGE, sorted({call.connection_id for call in calls}), failing):
        await _judge(tx, row["id"], [call for call in calls if call.connection_id == row["id"]])


def _counted(call: Called) -> Counter[str]:
    counted = Counter({"calls": 1, "well": call.went_well, "refused": call.is_refused, "delivered": call.is_delivered})
    if call.went_well and (bound := next((name for most, name in _BOUNDS if call.took_ms <= most), None)):
        counted[bound] += 1
    return counted


async def _judge(tx: Tx, connection_id: UUID, calls: Sequence[Called]) -> None:
    row = await tx.fetchrow(_LOCK, connection_id)
    assert row is not None
    in_a_row = row["well_in_a_row"]
    for call in calls:
        in_a_row = in_a_row + 1 if call.went_well else 0
    await tx.execute("update supplier_connection set well_in_a_row = $2 where id = $1", connection_id, in_a_row)
    if row["is_held_open"]:
        return
    recent = await tx.fetchrow(_RECENT, connection_id)
    assert recent is not None
    before = BreakerState(row["breaker"])
    calls_since = recent if before is BreakerState.CLOSED else {"calls": len(calls), "well": 0}
    after = next_breaker(row["open_s"] or 0.0, before, Recent(calls_since["calls"], calls_since["well"], in_a_row))
    if after is not before:
        await move_breaker(tx, row, after, reason=FAILING if before is BreakerState.CLOSED else STILL_FAILING)


async def probe(tx: Tx, connection_id: UUID) -> None:
    """Some time after it opened, let one purchase through to see. Idempotent. Locks: the connection."""
    row = await tx.fetchrow(_LOCK, connection_id)
    if row is None or row["is_held_open"] or row["breaker"] != BreakerState.OPEN:
        return
    if next_breaker(row["open_s"] or 0.0, BreakerState.OPEN, Recent(0, 0, 0)) is BreakerState.HALF_OPEN:
        await tx.execute("update supplier_connection set well_in_a_row = 0 where id = $1", connection_id)
        await move_breaker(tx, row, BreakerState.HALF_OPEN, reason="")


async def trip(tx: Tx, connection_id: UUID, *, actor: Actor) -> None:
    """Stop buying from a connection by hand, until `restore`. Idempotent. Locks: the connection."""
    row = await tx.fetchrow(_LOCK, connection_id)
    assert row is not None
    await tx.execute("update supplier_connection set is_held_open = true where id = $1", connection_id)
    if row["breaker"] != BreakerState.OPEN:
        await move_breaker(tx, row, BreakerState.OPEN, reason=BY_HAND, actor=actor)


async def restore(tx: Tx, connection_id: UUID, *, actor: Actor) -> None:
    """Buy from a connection again. Idempotent. Locks: the connection."""
    row = await tx.fetchrow(_LOCK, connection_id)
    assert row is not None
    await tx.execute("update supplier_connection set is_held_open = false where id = $1", connection_id)
    if row["breaker"] != BreakerState.CLOSED:
        await move_breaker(tx, row, BreakerState.CLOSED, reason="", actor=actor)


async def move_breaker(tx: Tx, row: asyncpg.Record, after: BreakerState, *, reason: str, actor: Actor = SYSTEM) -> None:
    """Change a breaker, write its history, and have the shelves of its SKUs looked at. The caller holds the row's lock."""
    before = BreakerState(row["breaker"])
    half_open_by_hand = before is BreakerState.HALF_OPEN and reason == BY_HAND
    assert after in BREAKER_EDGES[before] or half_open_by_hand, (before, after)
    await tx.execute(_MOVE, row["id"], after, reason)
    facts = {"name": row["name"]}
    await history.record(
        tx, Happened("supplier_connection", row["id"], f"breaker.{after}", before, after, reason, facts), actor=actor
    )
    await add_tasks(tx, "fulfillment.shelve", lane=Lane.ORDERS, subject_ids=await skus_of_connection(tx, row["id"]))
    if after is BreakerState.OPEN and reason != BY_HAND:
        due = clock.now() + timedelta(seconds=tries_again_after_s(await tx.fetchval(_FAILED_TRIES, row["id"])) + 1)
        await add_task(tx, "suppliers.probe", lane=Lane.ORDERS, subject_id=row["id"], run_at=due)
    is_news = (
        before is BreakerState.CLOSED or after is BreakerState.CLOSED or reason == BY_HAND
    )  # a try that failed changes nothing for anybody
    if is_news:
        await add_task(tx, "suppliers.tell_breaker", lane=Lane.MESSAGES, subject_id=row["id"])


_COUNT = """
insert into supply_minute as m
  (offer_id, connection_id, minute, calls, well, refused, delivered, within_300_ms, within_1_s, within_3_s, within_10_s)
select c.offer_id, c.connection_id, date_trunc('minute', $11::timestamptz), c.calls, c.well, c.refused, c.delivered, c.w300, c.w1, c.w3, c.w10
from unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[], $9::int[], $10::int[])
  as c (offer_id, connection_id, calls, well, refused, delivered, w300, w1, w3, w10)
on conflict (offer_id, minute) do update
set calls = m.calls + excluded.calls, well = m.well + excluded.well, refused = m.refused + excluded.refused,
    delivered = m.delivered + excluded.delivered, within_300_ms = m.within_300_ms + excluded.within_300_ms,
    within_1_s = m.within_1_s + excluded.within_1_s, within_3_s = m.within_3_s + excluded.within_3_s,
    within_10_s = m.within_10_s + excluded.within_10_s
"""
_LOCK = """
select id, name, breaker, is_held_open, well_in_a_row, extract(epoch from now() - breaker_since)::float8 as open_s
from supplier_connection where id = $1
for update
"""
_TO_JUDGE = """
select id from supplier_connection where id = any($1) and (breaker <> 'closed' or id = any($2)) order by id
"""
_RECENT = """
select coalesce(sum(calls), 0)::int as calls, coalesce(sum(well), 0)::int as well
from supply_minute m join supplier_connection c on c.id = m.connection_id
where c.id = $1 and m.minute > greatest(now() - interval '2 minutes', coalesce(c.breaker_since, '-infinity'))
"""
_FAILED_TRIES = """
select count(*) from history
where subject_id = $1 and event = 'breaker.open' and from_state = 'half_open'
  and at > coalesce((select max(at) from history where subject_id = $1 and event = 'breaker.closed'), '-infinity')
"""
_MOVE = """
update supplier_connection set breaker = $2, breaker_since = now(), breaker_reason = $3, updated_at = now() where id = $1
"""
