"""Attempts as staff see them: on the page of their order, and summed up per connection for the suppliers' board."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from app.fulfillment import attempts
from app.fulfillment.models import OPEN_STATES, AttemptState
from app.kernel import clock, history, i18n
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.suppliers.watching import Pace
from tenants.session import Tx

_MOST_SHOWN = 200
_MOST_OFFERS = 100


class NothingToAsk(DomainError):
    message = N_("This attempt is decided: there is nothing to ask the supplier about.")


async def attempts_of(tx: Tx, order_id: UUID) -> list[dict[str, Any]]:
    """An order's attempts, unit by unit, the newest of each first, with who was passed over and why."""
    rows = await tx.fetch(_OF_ORDER, order_id, _MOST_SHOWN)
    rivals = {offer_id for row in rows for offer_id, _ in _passed(row)}
    names = {row["id"]: row["name"] for row in await tx.fetch(_NAMES, list(rivals))}
    return [
        {
            **dict(row),
            "passed_over": [(names.get(offer_id, ""), why) for offer_id, why in _passed(row) if names.get(offer_id)],
            "is_open": row["state"] in OPEN_STATES,
            "may_be_asked": _may_be_asked(row),
        }
        for row in rows
    ]


def _may_be_asked(row: asyncpg.Record) -> bool:
    return row["state"] in OPEN_STATES or (row["state"] == AttemptState.FAILED and row["times_sent"] > 0)


def _passed(row: asyncpg.Record) -> list[tuple[UUID, str]]:
    found = row["passed_over"]
    pairs = json.loads(found) if isinstance(found, str) else found
    return [(UUID(offer_id), why) for offer_id, why in pairs]


def seconds(took_ms: int) -> str:
    """How long a call took, in seconds, as the page of its order shows it."""
    return i18n.gettext(N_("%(seconds)s s")) % {
        "seconds": f"{took_ms / 1000:.2f}" if took_ms < 1_000 else f"{took_ms / 1000:.1f}"
    }


async def ask(tx: Tx, order_id: UUID, attempt_id: UUID, *, actor: Actor) -> None:
    """Have a supplier asked at once what became of an attempt. Nothing is sent again. Raises: NotFound, NothingToAsk.

    One that failed may be asked about too, once it was sent: he may have sold it after all, which is then kept and a case.
    """
    row = await tx.fetchrow("select state, out_no, times_sent from attempt where id = $1 and order_id = $2", attempt_id, order_id)
    if row is None:
        raise NotFound
    if not _may_be_asked(row):
        raise NothingToAsk
    await attempts.ask_now(tx, attempt_id)
    await history.record(tx, Happened("order", order_id, "attempt.asked", facts={"out_no": row["out_no"]}), actor=actor)


async def open_by_connection(tx: Tx) -> dict[UUID, asyncpg.Record]:
    """Per connection: how many purchases are unknown, how many are under way, and since when the oldest unknown one was sent."""
    rows = await tx.fetch(_OPEN)
    return {row["connection_id"]: row for row in rows}


async def unknown_by_offer(tx: Tx) -> dict[UUID, asyncpg.Record]:
    """Per offer with purchases that are unknown: how many, and since when the oldest was sent."""
    rows = await tx.fetch(_UNKNOWN, _MOST_OFFERS)
    return {row["offer_id"]: row for row in rows}


async def spent_in_a_day(tx: Tx) -> dict[UUID, Decimal]:
    """What was bought from each connection in the last 24 hours, in major units."""
    since = clock.now() - timedelta(hours=24)
    rows = await tx.fetch(_SPENT, first_id_at(since - timedelta(hours=1)), since)
    return {row["connection_id"]: row["spent"] for row in rows}


async def pace_of(tx: Tx, connection_id: UUID) -> Pace:
    """What was spent at a connection in the last day, in the last hour, and since its balance was read."""
    now = clock.now()
    row = await tx.fetchrow(
        _PACE, first_id_at(now - timedelta(hours=25)), now - timedelta(hours=24), now - timedelta(hours=1), connection_id
    )
    assert row is not None
    return Pace(row["in_a_day"], row["in_an_hour"], row["since_reading"])


def first_id_at(at: datetime) -> UUID:
    """The smallest row id an instant can have: ids begin with their millisecond, so the primary key finds what is newer."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


_OF_ORDER = """
select a.id, a.order_line_id, a.unit_no, a.seq, a.out_no, a.state, a.why, a.policy_of, a.passed_over, a.reason, a.says, a.evidence, a.supplier_ref, a.sent_at,
       a.decided_at, a.took_ms, a.expected_cost, a.unit_cost, a.currency, a.rate, a.times_asked, a.times_sent, a.created_at, a.connection_id, c.name as connection_name,
       l.product_name, l.sku_name, l.quantity
from attempt a
join supplier_connection c on c.id = a.connection_id
join order_line l on l.id = a.order_line_id
where a.order_id = $1
order by a.order_line_id, a.unit_no, a.seq desc
limit $2
"""
_NAMES = """
select o.id, c.name from supplier_offer o join supplier_connection c on c.id = o.connection_id where o.id = any($1)
"""
_OPEN = """
select connection_id, (count(*) filter (where state = 'unknown'))::int as unknown,
       (count(*) filter (where state <> 'unknown'))::int as under_way, min(sent_at) filter (where state = 'unknown') as oldest_unknown
from attempt
where state in ('sending', 'accepted', 'unknown')
group by connection_id
"""
_UNKNOWN = """
select offer_id, count(*)::int as unknown, min(sent_at) as oldest_unknown
from attempt
where state = 'unknown'
group by offer_id
order by 2 desc
limit $1
"""
_PACE = """
select coalesce(sum(coalesce(a.unit_cost, a.expected_cost)), 0) as in_a_day,
       coalesce(sum(coalesce(a.unit_cost, a.expected_cost)) filter (where a.decided_at > $3), 0) as in_an_hour,
       coalesce(sum(coalesce(a.unit_cost, a.expected_cost)) filter (where a.decided_at > c.balance_at), 0) as since_reading
from attempt a join supplier_connection c on c.id = a.connection_id
where a.id > $1 and a.connection_id = $4 and a.state in ('succeeded', 'succeeded_late') and a.decided_at > $2
"""
_SPENT = """
select connection_id, sum(coalesce(unit_cost, expected_cost)) as spent
from attempt
where id > $1 and state in ('succeeded', 'succeeded_late') and decided_at > $2
group by connection_id
"""
