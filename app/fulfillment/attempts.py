"""Buying units from suppliers, as rows: planned, sent once under a number of ours, and what came of it. No call is made here.

A unit has one live attempt at most. Only a definite refusal lets another be planned; what is unknown is asked about until it is known.
"""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from app.fulfillment.models import ATTEMPT_EDGES, AttemptState
from app.kernel import clock, history
from app.kernel.history import Happened
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task, add_tasks
from app.suppliers import queries as suppliers
from app.suppliers import rules
from app.suppliers.connectors.port import Reason
from app.suppliers.costing import tell_too_dear
from app.suppliers.models import BreakerState
from tenants.session import Tx

CALL_S = 30
"""The longest a purchase may take on the wire; the guarded client gives up by then."""
_ASK_MARGIN_S = 10
WITHDRAWN = "withdrawn"
"""The reason of an attempt that was never sent: its supplier stopped, and the unit goes elsewhere."""

NOT_SENT = "not_sent"
"""The reason of an attempt of which no byte left us: the supplier could not be reached, and the unit may go elsewhere at once."""
_LOOK_AGAIN_S = 10


class WrongEdge(RuntimeError):
    """A state was to follow that the table does not allow. Always a bug."""


@dataclass(frozen=True, slots=True)
class Sending:
    """An attempt that this process now sends: its row, and the fence under which its outcome may be written."""

    row: asyncpg.Record
    fence: UUID


async def plan(tx: Tx, units: Sequence[asyncpg.Record], *, priority: int = 0) -> list[asyncpg.Record]:
    """Choose a supplier for each owed unit and have it bought; the units that nobody can serve, now or before their deadline.

    A unit whose suppliers are only away for the moment waits and is planned again. A unit is a row with order_id, order_line_id, unit_no, sku_id,
    worth_minor (what it sells for; a part of a bundle for what it sells alone), value_minor and value_currency (the face value its buyer
    chose), and paid_at. Locks: none; the index refuses a second live attempt.
    """
    if not units:
        return []
    routes = await suppliers.routes_of(tx, {unit["sku_id"] for unit in units})
    before = await _attempts_before(tx, units)
    planned, waiting, unserved, dear = [], set(), [], set[UUID]()
    for unit in units:
        past = before.get((unit["order_line_id"], unit["unit_no"]), _NONE_BEFORE)
        route = routes.get(unit["sku_id"])
        route = _at_value(route, unit["value_minor"], unit["value_currency"]) if route else None
        choice = _choose(route, unit, past.refused | past.unreached) if route else None
        dear |= _too_dear(route, unit, choice) if route else frozenset()
        if route is not None and choice is not None:
            planned.append(_row(unit, route, choice, past.attempts + 1, priority))
        elif route is not None and _may_wait(route, unit, past):
            waiting.add(unit["order_id"])
        else:
            unserved.append(unit)
    await _insert(tx, planned)
    await tell_too_dear(tx, dear)
    due = clock.now() + timedelta(seconds=_LOOK_AGAIN_S)
    await add_tasks(tx, "fulfillment.deliver", lane=Lane.ORDERS, subject_ids=sorted(waiting), run_at=due)
    return unserved


@dataclass(frozen=True, slots=True)
class _Past:
    """What a unit went through: how many attempts, the offers that refused it for good, and those that could not be reached a moment ago."""

    attempts: int
    refused: frozenset[UUID]
    unreached: frozenset[UUID]


_NONE_BEFORE = _Past(0, frozenset(), frozenset())


def _at_value(route: suppliers.Route, value_minor: int | None, currency: str | None) -> suppliers.Route:
    """The route for the face value a unit's buyer chose, where he chose one."""
    return route if value_minor is None else replace(route, candidates=route.at(value_minor, currency))


def _choose(route: suppliers.Route, unit: asyncpg.Record, tried: frozenset[UUID]) -> rules.Choice | None:
    most = rules.most_cost(unit["worth_minor"], route.floor_bp)
    return rules.choose(route.candidates, route.policy, most_cost=most, tried=tried, draw=secrets.randbelow(1_000_000))


def _too_dear(route: suppliers.Route, unit: asyncpg.Record, choice: rules.Choice | None) -> frozenset[UUID]:
    """The offers that were passed over for what they cost now."""
    if choice is not None:
        return frozenset(offer_id for offer_id, why in choice.passed_over if why == rules.TOO_DEAR)
    most = rules.most_cost(unit["worth_minor"], route.floor_bp)
    return frozenset(one.offer_id for one in route.candidates if rules.obstacle(one, most_cost=most) == rules.TOO_DEAR)


def _may_wait(route: suppliers.Route, unit: asyncpg.Record, past: _Past) -> bool:
    """Whether someone who has not refused this unit may serve it before its deadline."""
    is_in_time = clock.now() < unit["paid_at"] + timedelta(seconds=route.deadline_s)
    return is_in_time and any(candidate.offer_id not in past.refused for candidate in route.candidates)


def _row(unit: asyncpg.Record, route: suppliers.Route, choice: rules.Choice, seq: int, priority: int) -> tuple[object, ...]:
    attempt_id, chosen = new_id(), choice.candidate
    passed = json.dumps([[str(offer_id), why] for offer_id, why in choice.passed_over])
    return (
        attempt_id, unit["order_id"], unit["order_line_id"], unit["unit_no"], unit["sku_id"], seq, chosen.offer_id, chosen.connection_id,
        route.supplier_skus[chosen.offer_id], attempt_id.hex, priority, chosen.unit_cost, chosen.currency, choice.says, passed,
        *((chosen.rate.id, chosen.rate.rate) if chosen.rate else (None, None)),
    )  # fmt: skip


async def _insert(tx: Tx, planned: Sequence[tuple[Any, ...]]) -> None:
    if not planned:
        return
    await tx.executemany(_INSERT, planned)
    await history.record(tx, *(_was_planned(row) for row in planned))
    await add_tasks(tx, "fulfillment.buy", lane=Lane.SUPPLY, subject_ids=sorted({row[7] for row in planned}))


def _was_planned(row: tuple[Any, ...]) -> Happened:
    facts = {"out_no": row[9], "unit_no": row[3]}
    return Happened("attempt", row[0], "attempt.planned", None, AttemptState.PLANNED, row[13], facts)


async def _attempts_before(tx: Tx, units: Sequence[asyncpg.Record]) -> dict[tuple[UUID, int], _Past]:
    lines, numbers = [unit["order_line_id"] for unit in units], [unit["unit_no"] for unit in units]
    rows = await tx.fetch(_BEFORE, lines, numbers, WITHDRAWN, NOT_SENT)
    return {
        (row["order_line_id"], row["unit_no"]): _Past(
            row["attempts"], frozenset(row["refused"] or ()), frozenset(row["unreached"] or ())
        )
        for row in rows
    }


async def take_to_send(tx: Tx, connection_id: UUID, *, at_most: int) -> list[Sending]:
    """Attempts of a connection that may be sent now: as many as its limits allow, buyers who wait before batches.

    From the commit on they count as sent. Each is asked about should this process never write its outcome. Locks: the connection, the attempts.
    """
    room = await _room(tx, connection_id)
    wanted = min(at_most, room)
    if wanted <= 0:
        return []
    fence = new_id()
    rows = await tx.fetch(_SEND, connection_id, wanted, fence)
    await tx.execute("update supplier_connection set tokens = tokens - $2 where id = $1", connection_id, len(rows))
    ids = [row["id"] for row in rows]
    due = clock.now() + timedelta(seconds=CALL_S + _ASK_MARGIN_S)
    await add_tasks(tx, "fulfillment.ask", lane=Lane.QUESTIONS, subject_ids=ids, run_at=due)
    return [Sending(row, fence) for row in rows]


async def _room(tx: Tx, connection_id: UUID) -> int:
    """How many calls a connection may start this moment: by its concurrency, its rate, and whether it is trusted."""
    row = await tx.fetchrow(_ROOM, connection_id)
    if row is None or not row["is_on"] or row["breaker"] == BreakerState.OPEN:
        return 0
    most = 1 if row["breaker"] == BreakerState.HALF_OPEN else row["calls_at_once"]
    return int(min(most - row["in_flight"], row["tokens"]))


async def is_stopped(tx: Tx, connection_id: UUID) -> bool:
    """Whether nothing may be bought from a connection now."""
    row = await tx.fetchrow("select is_on, breaker from supplier_connection where id = $1", connection_id)
    return row is None or not row["is_on"] or row["breaker"] == BreakerState.OPEN


async def has_planned(tx: Tx, connection_id: UUID) -> bool:
    return bool(
        await tx.fetchval("select exists (select 1 from attempt where connection_id = $1 and state = 'planned')", connection_id)
    )


async def orders_waiting(tx: Tx, connection_id: UUID, *, at_most: int) -> list[UUID]:
    """The orders whose attempts at a connection were never sent."""
    rows = await tx.fetch(_WAITING, connection_id, at_most)
    return [row["order_id"] for row in rows]


async def count_asked(tx: Tx, attempt_ids: Sequence[UUID]) -> None:
    await tx.execute("update attempt set times_asked = times_asked + 1 where id = any($1)", list(attempt_ids))


async def withdraw(tx: Tx, connection_id: UUID, *, at_most: int) -> list[asyncpg.Record]:
    """Take back attempts of a connection that were never sent, so that their units go elsewhere; the units. Locks: the attempts."""
    rows = await tx.fetch(_WITHDRAW, connection_id, at_most, WITHDRAWN)
    return await units_of(tx, [row["id"] for row in rows])


async def units_of(tx: Tx, attempt_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """The owed units of attempts, to be planned again."""
    if not attempt_ids:
        return []
    return await tx.fetch(_UNITS, list(attempt_ids))


async def lock(tx: Tx, attempt_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Attempts' rows, locked in id order until the transaction ends."""
    return await tx.fetch(_LOCK, sorted(set(attempt_ids)))


@dataclass(frozen=True, slots=True)
class Decided:
    """What an attempt becomes, and what is to be kept of the answer."""

    row: asyncpg.Record
    state: AttemptState
    supplier_ref: str | None = None
    reason: str = ""
    says: str = ""
    evidence: str = ""
    unit_cost: Decimal | None = None


async def decide(tx: Tx, decided: Sequence[Decided], *, took_ms: Mapping[UUID, int] | None = None) -> None:
    """Move attempts and write their history. The caller holds their locks. Raises: WrongEdge."""
    if not decided:
        return
    for one in decided:
        if one.state not in ATTEMPT_EDGES[AttemptState(one.row["state"])]:
            raise WrongEdge(f"attempt {one.row['out_no']}: {one.row['state']} to {one.state}")
    took = took_ms or {}
    rows = [
        (
            one.row["id"], one.state, one.supplier_ref, one.reason, one.says[:500], one.evidence[:500], one.unit_cost,
            took.get(one.row["id"]),
        )
        for one in decided
    ]  # fmt: skip
    await tx.executemany(_DECIDE, rows)
    await history.record(tx, *(_happened(one) for one in decided))


def _happened(one: Decided) -> Happened:
    facts = {"out_no": one.row["out_no"], "unit_no": one.row["unit_no"], "supplier_ref": one.supplier_ref, "reason": one.reason}
    return Happened("attempt", one.row["id"], f"attempt.{one.state}", one.row["state"], one.state, one.says[:200], facts)


async def ask_later(tx: Tx, delays_s: Mapping[UUID, int]) -> None:
    """Have attempts asked about after so many seconds, instead of whenever it was planned before."""
    by_delay: dict[int, list[UUID]] = defaultdict(list)
    for attempt_id, delay_s in delays_s.items():
        by_delay[delay_s].append(attempt_id)
    await forget_asking(tx, list(delays_s))
    for delay_s, ids in by_delay.items():
        due = clock.now() + timedelta(seconds=delay_s)
        await add_tasks(tx, "fulfillment.ask", lane=Lane.QUESTIONS, subject_ids=ids, run_at=due)


async def ask_now(tx: Tx, attempt_id: UUID) -> None:
    """Have an attempt asked about at once: what a notice and a person's question do."""
    await add_task(tx, "fulfillment.ask", lane=Lane.QUESTIONS, subject_id=attempt_id)


async def forget_asking(tx: Tx, attempt_ids: Sequence[UUID]) -> None:
    """These attempts need not be asked about any more."""
    if not attempt_ids:
        return
    await tx.execute(
        "delete from task where dedupe = any($1) and state = 'waiting'", [f"fulfillment.ask:{one}" for one in attempt_ids]
    )


BUYER_IS_WRONG = frozenset({Reason.BAD_ACCOUNT})
"""Refusals that no other supplier would answer otherwise."""

_INSERT = """
insert into attempt
  (id, order_id, order_line_id, unit_no, sku_id, seq, offer_id, connection_id, supplier_sku, out_no, priority, expected_cost, currency, why, passed_over,
   rate_id, rate)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::jsonb, $16, $17)
"""
_BEFORE = """
select a.order_line_id, a.unit_no, count(*)::int as attempts,
       array_agg(a.offer_id) filter (where a.reason not in ($3, $4) and a.state <> 'replaced') as refused,
       array_agg(a.offer_id) filter (where a.reason = $4 and a.decided_at > now() - interval '20 seconds') as unreached
from attempt a join unnest($1::uuid[], $2::int[]) as u (order_line_id, unit_no) using (order_line_id, unit_no)
group by 1, 2
"""
_ROOM = """
update supplier_connection c
set tokens = least(greatest(c.calls_per_second, 1),
                   c.tokens + c.calls_per_second * extract(epoch from clock_timestamp() - coalesce(c.tokens_at, now() - interval '1 second'))),
    tokens_at = clock_timestamp()
where id = $1
returning is_on, breaker, calls_at_once, tokens,
          (select count(*)::int from attempt a where a.connection_id = c.id and a.state = 'sending') as in_flight
"""
_SEND = """
update attempt set state = 'sending', fence = $3, sent_at = now(), times_sent = times_sent + 1, updated_at = now()
where id = any(array(
  select id from attempt where connection_id = $1 and state = 'planned' order by priority, id limit $2 for update skip locked
))
returning id, order_id, order_line_id, unit_no, sku_id, offer_id, connection_id, supplier_sku, out_no, state, sent_at, times_sent
"""
_WAITING = """
select distinct order_id from (
  select order_id from attempt where connection_id = $1 and state = 'planned' and times_sent = 0 order by id limit $2
) a
"""
_WITHDRAW = """
update attempt set state = 'failed', reason = $3, decided_at = now(), updated_at = now()
where id = any(array(
  select id from attempt where connection_id = $1 and state = 'planned' and times_sent = 0 order by id limit $2 for update skip locked
))
returning id
"""
_UNITS = """
select u.order_id, u.order_line_id, u.unit_no, u.sku_id, coalesce(o.owed_again_at, o.paid_at) as paid_at, l.face_value_minor as value_minor,
       l.face_value_currency as value_currency,
       case when l.parent_line_id is null then u.amount_minor else greatest(u.amount_minor, l.unit_price_minor) end as worth_minor
from attempt a
join delivery_unit u on u.order_line_id = a.order_line_id and u.unit_no = a.unit_no
join order_line l on l.id = u.order_line_id
join shop_order o on o.id = u.order_id
where a.id = any($1) and u.state = 'owed'
order by u.order_line_id, u.unit_no
for update of u
"""
_LOCK = """
select a.id, a.order_id, a.order_line_id, a.unit_no, a.sku_id, a.offer_id, a.connection_id, a.supplier_sku, a.out_no, a.state,
       a.expected_cost, a.currency, a.rate, a.sent_at, a.supplier_ref, a.times_sent, a.times_asked, a.times_not_found, a.answered_at, a.fence, a.reason,
       c.name as connection_name
from attempt a join supplier_connection c on c.id = a.connection_id
where a.id = any($1)
order by a.id
for update of a
"""
_DECIDE = """
update attempt
set state = $2, supplier_ref = coalesce($3, supplier_ref), reason = $4, says = $5, evidence = $6, unit_cost = coalesce($7, unit_cost),
    took_ms = coalesce($8, took_ms), fence = null,
    decided_at = case when $2 in ('succeeded', 'failed', 'succeeded_late') then now() else decided_at end, updated_at = now()
where id = $1
"""
