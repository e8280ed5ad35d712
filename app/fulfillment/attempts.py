"""Buying units from suppliers, as rows: planned, sent once under a number of ours, and what came of it. No call is made here.

A unit has one live attempt at most. Only a definite refusal lets another be planned; what is unknown is asked about until it is known.
"""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from app.cases import service as cases
from app.cases.models import CaseKind
from app.fulfillment.models import ATTEMPT_EDGES, AttemptState
from app.kernel import clock, history
from app.kernel.errors import N_
from app.kernel.history import Happened
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task, add_tasks
from app.ordering.on_account import DELIVER_BATCH
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
    """An attempt that this process now sends: its row with what its unit is worth and whom it credits, and the fence under which its outcome may be
    written.
    """

    row: asyncpg.Record
    fence: UUID


async def plan(
    tx: Tx, units: Sequence[asyncpg.Record], *, impatient: Set[tuple[UUID, int]] = frozenset()
) -> list[asyncpg.Record]:
    """Choose a supplier for each owed unit and have it bought; the units that nobody can serve, now or before their deadline.

    A unit whose suppliers are only away for the moment waits and is planned again. A unit is a row with order_id, order_line_id, unit_no, sku_id,
    worth_minor (what it sells for; a part of a bundle for what it sells alone), value_minor and value_currency (the face value its buyer
    chose), paid_at, and priority (1 where it is of a batch and nobody waits for it, else 0). Locks: none; the index refuses a second live attempt.
    """
    if not units:
        return []
    routes = await suppliers.routes_of(tx, {unit["sku_id"] for unit in units})
    before = await _attempts_before(tx, units)
    planned, waiting, unserved, dear = [], [], [], set[UUID]()
    for unit in units:
        past = before.get((unit["order_line_id"], unit["unit_no"]), _NONE_BEFORE)
        route = routes.get(unit["sku_id"])
        route = _at_value(route, unit["value_minor"], unit["value_currency"]) if route else None
        choice = _choose(route, unit, past.refused | past.unreached) if route else None
        dear |= _too_dear(route, unit, choice) if route else frozenset()
        if route is not None and choice is not None:
            planned.append(_row(unit, route, choice, past.attempts + 1))
        elif route is not None and (unit["order_line_id"], unit["unit_no"]) not in impatient and _may_wait(route, unit, past):
            waiting.append(unit)
        else:
            unserved.append(unit)
    await _insert(tx, planned)
    await tell_too_dear(tx, dear)
    await deliver_again(tx, waiting, run_at=clock.now() + timedelta(seconds=_LOOK_AGAIN_S))
    return unserved


async def deliver_again(tx: Tx, units: Sequence[asyncpg.Record], *, run_at: datetime | None = None) -> None:
    """Have the orders of units delivered; those of batches behind those of buyers who wait."""
    for kind, lane, of_batch in (("fulfillment.deliver", Lane.ORDERS, 0), (DELIVER_BATCH, Lane.BULK, 1)):
        orders = sorted({unit["order_id"] for unit in units if unit["priority"] == of_batch})
        await add_tasks(tx, kind, lane=lane, subject_ids=orders, run_at=run_at)


@dataclass(frozen=True, slots=True)
class _Past:
    """What a unit went through: how many attempts, the offers that refused it for good, and those that could not be reached a moment ago."""

    attempts: int
    refused: frozenset[UUID]
    unreached: frozenset[UUID]


_NONE_BEFORE = _Past(0, frozenset(), frozenset())


def _at_value(route: suppliers.Route, value_minor: int | None, currency: str | None) -> suppliers.Route:
    """The route for the face value a unit's buyer chose; for its SKU's own value where it was ordered before there was a choice."""
    if value_minor is None and route.values is None:
        return route
    return replace(route, candidates=route.at(route.own_value_minor if value_minor is None else value_minor, currency))


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


def _row(unit: asyncpg.Record, route: suppliers.Route, choice: rules.Choice, seq: int) -> tuple[object, ...]:
    attempt_id, chosen = new_id(), choice.candidate
    passed = json.dumps([[str(offer_id), why] for offer_id, why in choice.passed_over])
    return (
        attempt_id, unit["order_id"], unit["order_line_id"], unit["unit_no"], unit["sku_id"], seq, chosen.offer_id, chosen.connection_id,
        route.supplier_skus[chosen.offer_id], attempt_id.hex, unit["priority"], chosen.unit_cost, chosen.currency, choice.says, passed,
        *((chosen.rate.id, chosen.rate.rate) if chosen.rate else (None, None)), route.said_by,
    )  # fmt: skip


async def _insert(tx: Tx, planned: Sequence[tuple[Any, ...]]) -> None:
    if not planned:
        return
    await tx.execute(_INSERT, *(list(column) for column in zip(*planned, strict=True)))
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


async def lock_connections(tx: Tx, connection_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Hold connections, so that what they may send is taken by one transaction after the other; when each was configured. Locks: in id order."""
    rows = await tx.fetch(_HOLD, list(connection_ids)) if connection_ids else []
    return {row["id"]: row["configured_at"] for row in rows}


async def take_to_send(
    tx: Tx, connection_ids: Sequence[UUID], *, at_most: int, over: Sequence[UUID] = (), yields: bool = False
) -> list[Sending]:
    """Attempts of connections that may be sent now: as many as their limits allow, buyers who wait before batches.

    `over` are attempts whose calls ended and whose outcome is not written yet: they hold no place any more.

    A connection that bears several calls keeps one free of batches, for who comes meanwhile; where batches yield, three of four. From the commit on
    the attempts count as sent; each is asked about should this process never write its outcome. The caller holds the connections.
    Locks: the attempts.
    """
    if not connection_ids:
        return []
    fence = new_id()
    rows = await tx.fetch(_SEND, list(connection_ids), at_most, fence, yields, list(over))
    if not rows:
        return []
    due = clock.now() + timedelta(seconds=CALL_S + _ASK_MARGIN_S)
    await add_tasks(tx, "fulfillment.ask", lane=Lane.QUESTIONS, subject_ids=[row["id"] for row in rows], run_at=due)
    return [Sending(row, fence) for row in rows]


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


async def leave_to_own_stock(tx: Tx, unserved: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
    """Have units whose own stock was kept in reserve delivered from it, now that no supplier delivers them; the others are returned."""
    await deliver_again(tx, [unit for unit in unserved if unit["own_is_reserve"]])
    return [unit for unit in unserved if not unit["own_is_reserve"]]


async def units_of(tx: Tx, attempt_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """The owed units of attempts, to be planned again."""
    if not attempt_ids:
        return []
    return await tx.fetch(_UNITS, list(attempt_ids))


async def lock(tx: Tx, attempt_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Attempts' rows, locked until the transaction ends: first their orders, then they, each in id order."""
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
    await tx.execute(_DECIDE, *(list(column) for column in zip(*rows, strict=True)))
    await history.record(tx, *(_happened(one) for one in decided))
    await _close_cases(tx, decided)


async def _close_cases(tx: Tx, decided: Sequence[Decided]) -> None:
    """What a person was to look at because nobody knew is settled once it is known. Only of what was asked about there are such cases."""
    for state, (kinds, note) in _SETTLES.items():
        known = [one.row["id"] for one in decided if one.state == state and one.row["times_asked"]]
        if known:
            await cases.settle_all(tx, kinds, known, note=note)


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

_SETTLES: Mapping[AttemptState, tuple[Sequence[CaseKind], str]] = {
    AttemptState.SUCCEEDED: (
        (CaseKind.SUPPLIER_UNKNOWN, CaseKind.BAD_GOODS),
        N_("The answer has come: it was delivered, and the buyer has it."),
    ),
    AttemptState.FAILED: (
        (CaseKind.SUPPLIER_UNKNOWN,),
        N_("It is settled that nothing was bought. The unit goes to another supplier, or its money back."),
    ),
}
"""The cases that an attempt's end closes, and the note that stays with them."""
_INSERT = """
insert into attempt
  (id, order_id, order_line_id, unit_no, sku_id, seq, offer_id, connection_id, supplier_sku, out_no, priority, expected_cost, currency, why, passed_over,
   rate_id, rate, policy_of)
select p.id, p.order_id, p.order_line_id, p.unit_no, p.sku_id, p.seq, p.offer_id, p.connection_id, p.supplier_sku, p.out_no, p.priority,
       p.expected_cost, p.currency, p.why, p.passed_over::jsonb, p.rate_id, p.rate, p.policy_of
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::uuid[], $6::int[], $7::uuid[], $8::uuid[], $9::text[], $10::text[], $11::int[],
            $12::numeric[], $13::text[], $14::text[], $15::text[], $16::uuid[], $17::numeric[], $18::text[])
  as p (id, order_id, order_line_id, unit_no, sku_id, seq, offer_id, connection_id, supplier_sku, out_no, priority, expected_cost, currency, why,
        passed_over, rate_id, rate, policy_of)
"""
_BEFORE = """
select a.order_line_id, a.unit_no, count(*)::int as attempts,
       array_agg(a.offer_id) filter (where a.reason not in ($3, $4) and a.state <> 'replaced') as refused,
       array_agg(a.offer_id) filter (where a.reason = $4 and a.decided_at > now() - interval '20 seconds') as unreached
from attempt a join unnest($1::uuid[], $2::int[]) as u (order_line_id, unit_no) using (order_line_id, unit_no)
group by 1, 2
"""
_HOLD = "select id, configured_at from supplier_connection where id = any($1) order by id for no key update"
# a half-open connection is tried with one call; what rate allows and is not used is kept for a second at most
_SEND = """
with room as materialized (
  select c.id, c.tokens, least(floor(c.tokens)::int, $2) as most, c.most_at_once - c.in_flight as free,
         case when c.most_at_once < 4 then 0 when $4::boolean then c.most_at_once * 3 / 4 else 1 end as kept_free
  from (
    select id, case breaker when 'half_open' then 1 else calls_at_once end as most_at_once,
           least(greatest(calls_per_second, 1),
                 tokens + calls_per_second * extract(epoch from clock_timestamp() - coalesce(tokens_at, now() - interval '1 second'))) as tokens,
           (select count(*)::int from attempt a where a.connection_id = c.id and a.state = 'sending' and a.id <> all($5)) as in_flight
    from supplier_connection c
    where id = any($1) and is_on and breaker <> 'open'
  ) c
), awaited as materialized (
  select a.id, r.id as connection_id
  from room r
  cross join lateral (
    select id from attempt
    where connection_id = r.id and state = 'planned' and priority = 0
    order by id limit greatest(0, least(r.most, r.free)) for update skip locked
  ) a
), batched as materialized (
  select a.id
  from (select r.*, (select count(*)::int from awaited w where w.connection_id = r.id) as taken from room r) r
  cross join lateral (
    select id from attempt
    where connection_id = r.id and state = 'planned' and priority > 0
    order by priority, id limit greatest(0, least(r.most, r.free - r.kept_free) - r.taken) for update skip locked
  ) a
), sent as (
  update attempt set state = 'sending', fence = $3, sent_at = now(), times_sent = times_sent + 1, updated_at = now()
  where id in (select id from awaited union all select id from batched)
  returning id, connection_id, order_line_id, unit_no, sku_id, offer_id, supplier_sku, out_no, currency, rate, priority
), paid as (
  update supplier_connection c set tokens = r.tokens - s.sent, tokens_at = clock_timestamp()
  from room r join (select connection_id, count(*) as sent from sent group by 1) s on s.connection_id = r.id
  where c.id = r.id
)
select a.id, a.connection_id, a.out_no, a.supplier_sku, a.currency, a.rate, a.order_line_id, coalesce(l.face_value_minor, s.face_value_minor) as face_value_minor,
       f.least_minor is not null as is_range,
       case when l.parent_line_id is null then u.amount_minor else greatest(u.amount_minor, l.unit_price_minor) end as worth_minor,
       coalesce(s.floor_bp, 0) as floor_bp, ra.account
from sent a
join delivery_unit u on u.order_line_id = a.order_line_id and u.unit_no = a.unit_no
join order_line l on l.id = a.order_line_id
join sku s on s.id = a.sku_id
join supplier_offer f on f.id = a.offer_id
left join recharge_account ra on ra.order_line_id = a.order_line_id
order by a.priority, a.id
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
OWN_IS_RESERVE = """
exists (
  select 1 from supply_route r join sku k on k.id = r.sku_id join product p on p.id = k.product_id
  left join category_route g on g.category_id = p.category_id
  where r.sku_id = u.sku_id and l.face_value_minor is null and coalesce(r.own_stock, g.own_stock) = 'reserve'
) as own_is_reserve,
"""
"""Of a unit and its order line: whether own stock of its SKU is kept for when no supplier can deliver. For a chosen face value there is none."""
_UNITS = "select " + OWN_IS_RESERVE
_UNITS += """
       u.order_id, u.order_line_id, u.unit_no, u.sku_id, coalesce(o.owed_again_at, o.paid_at) as paid_at, l.face_value_minor as value_minor,
       l.face_value_currency as value_currency, (o.billed_to is not null)::int as priority,
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
with orders as materialized (
  select id from shop_order where id in (select order_id from attempt where id = any($1)) order by id for update
)
select a.id, a.order_id, a.order_line_id, a.unit_no, a.sku_id, a.offer_id, a.connection_id, a.supplier_sku, a.out_no, a.state,
       a.expected_cost, a.currency, a.rate, a.sent_at, a.supplier_ref, a.times_sent, a.times_asked, a.times_not_found, a.answered_at, a.fence, a.reason,
       c.name as connection_name,
       v.face_value_minor as value_minor, v.face_value_currency as value_currency,
       exists (select 1 from order_line b where b.order_id = a.order_id and b.bundle_policy = 'whole') as is_of_whole
from attempt a join supplier_connection c on c.id = a.connection_id join order_line v on v.id = a.order_line_id
where a.id = any($1) and (select count(*) from orders) > 0
order by a.id
for update of a
"""
_DECIDE = """
update attempt a
set state = d.state, supplier_ref = coalesce(d.supplier_ref, a.supplier_ref), reason = d.reason, says = d.says, evidence = d.evidence,
    unit_cost = coalesce(d.unit_cost, a.unit_cost), took_ms = coalesce(d.took_ms, a.took_ms), fence = null,
    decided_at = case when d.state in ('succeeded', 'failed', 'succeeded_late') then now() else a.decided_at end, updated_at = now()
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::numeric[], $8::int[])
  as d (id, state, supplier_ref, reason, says, evidence, unit_cost, took_ms)
where a.id = d.id
"""
