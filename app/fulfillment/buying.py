"""Sending purchases to suppliers: one pump per connection in each worker process, as many calls at once as the connection bears.

An attempt is marked as sent and committed before its call; the call runs with no transaction open; what it came to is written down under the
attempt's fence, together with the others that end in the same moment. A process that dies in between leaves an attempt that is asked about.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from uuid import UUID

import asyncpg
import structlog

from app.fulfillment import attempts
from app.fulfillment.attempts import CALL_S, Sending
from app.fulfillment.ending import give_up, settle_orders
from app.fulfillment.outcomes import Answer, record
from app.kernel import clock, links
from app.kernel.batching import DATABASE_FAULTS, Batcher
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import keyring
from app.ordering import service as ordering
from app.suppliers.connecting import Opened, connection_of
from app.suppliers.connectors.port import Purchase, Unknown
from app.suppliers.rules import most_cost
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_log = structlog.get_logger(__name__)
_GATHER_MS = 4
"""How long calls that end one after the other are waited for before new ones are taken."""
_IDLE_MS = 250
_IDLE_TURNS = 20
"""A pump that finds no room so often leaves; the task of its connection comes back."""
_COMES_BACK_S = 20
_WITHDRAWN_AT_ONCE = 200


async def buy(tenant: Tenant, connection_id: UUID) -> None:
    """See to it that this process sends what is planned for a connection. Returns at once; the pump runs on by itself.

    Idempotent: a connection has one pump per process. While something is planned its task comes back, so a pump that died is started again.
    """
    key = (tenant.id, connection_id)
    async with tenant_tx(tenant) as tx:
        if await attempts.has_planned(tx, connection_id):
            due = clock.now() + timedelta(seconds=_COMES_BACK_S)
            await add_task(tx, "fulfillment.buy", lane=Lane.SUPPLY, subject_id=connection_id, run_at=due)
    running = _pumps.get(key)
    if running is not None and not running.done():
        _wanted_again.add(key)
        return
    _pumps[key] = asyncio.create_task(_pump(tenant, connection_id))


_pumps: dict[tuple[UUID, UUID], asyncio.Task[None]] = {}
_wanted_again: set[tuple[UUID, UUID]] = set()


async def finish(*, within_s: int) -> None:
    """Let the calls that run end, and start no more: what a worker does before it stops. What takes longer is cut, and asked about by another worker."""
    _leaving.set()
    if running := [pump for pump in _pumps.values() if not pump.done()]:
        _, slow = await asyncio.wait(running, timeout=within_s)
        for pump in slow:
            pump.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    _pumps.clear()
    _leaving.clear()


_leaving = asyncio.Event()


async def _pump(tenant: Tenant, connection_id: UUID) -> None:
    key = (tenant.id, connection_id)
    calls: set[asyncio.Task[None]] = set()
    line = Batcher(together=partial(_record_all, tenant), alone=partial(_record_one, tenant))
    try:
        idle = 0
        while idle < _IDLE_TURNS:
            _wanted_again.discard(key)
            taken = [] if _leaving.is_set() else await _take(tenant, connection_id)
            calls |= {asyncio.create_task(_call(tenant, connection, sending, line)) for connection, sending in taken}
            if calls:
                idle = 0
                ended, calls = await asyncio.wait(calls, timeout=_IDLE_MS / 1000, return_when=asyncio.FIRST_COMPLETED)
                if ended:
                    await asyncio.sleep(_GATHER_MS / 1000)
                    calls = {call for call in calls if not call.done()}
            elif _leaving.is_set() or (await _is_over(tenant, connection_id) and key not in _wanted_again):
                return  # nothing is awaited between this look and the end, so no wish falls between them
            else:
                idle += 1
                await asyncio.sleep(_IDLE_MS / 1000)
    except DATABASE_FAULTS as error:
        _log.warning("pump.failed", connection=str(connection_id), error=type(error).__name__)
    except asyncio.CancelledError:
        for call in calls:
            call.cancel()
        raise
    finally:
        if calls:
            await asyncio.gather(*calls, return_exceptions=True)


async def _take(tenant: Tenant, connection_id: UUID) -> list[tuple[Opened, tuple[Sending, Purchase]]]:
    async with tenant_tx(tenant) as tx:
        sendings = await attempts.take_to_send(tx, connection_id, at_most=100)
        if not sendings:
            return []
        connection = await connection_of(tx, connection_id)
        purchases = await _purchases(tx, tenant, connection, sendings)
    return [(connection, pair) for pair in zip(sendings, purchases, strict=True)]


async def _purchases(tx: Tx, tenant: Tenant, connection: Opened, sendings: Sequence[Sending]) -> list[Purchase]:
    """What is bought, with the buyer's recharge accounts opened."""
    ring = await keyring(tx)
    details = {row["id"]: row for row in await tx.fetch(_DETAILS, [sending.row["id"] for sending in sendings])}
    purchases = []
    for sending in sendings:
        row = details[sending.row["id"]]
        account = {}
        if row["account"] is not None:
            account = json.loads(ring.open("recharge_account", "account", row["order_line_id"], row["account"]).reveal())
        purchases.append(
            Purchase(
                out_no=row["out_no"],
                supplier_sku=row["supplier_sku"],
                account=account,
                face_value_minor=row["face_value_minor"] if row["is_range"] else None,
                currency=row["currency"],
                most_cost=_most(row),
                notice_url=links.supply_notice(tenant, connection.id),
            )
        )
    return purchases


def _most(row: asyncpg.Record) -> Decimal:
    """What a unit may cost at most, in its supplier's currency."""
    most = most_cost(row["worth_minor"], row["floor_bp"])
    return most if row["rate"] is None else (most / row["rate"]).quantize(Decimal("0.000001"))


async def _call(tenant: Tenant, connection: Opened, what: tuple[Sending, Purchase], line: Batcher[Answer, None]) -> None:
    sending, purchase = what
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CALL_S):
            found = await connection.connector.place(purchase)
    except TimeoutError:
        found = Unknown("the call took too long")
    took_ms = round((time.perf_counter() - started) * 1000)
    try:
        await line.ask(Answer(sending.row["id"], sending.fence, found, took_ms))
    except DATABASE_FAULTS as error:
        _log.warning("outcome.not_written", attempt=str(sending.row["id"]), error=type(error).__name__)


async def _record_all(tenant: Tenant, answers: Sequence[Answer]) -> list[None]:
    async with tenant_tx(tenant) as tx:
        await record(tx, answers)
    return [None] * len(answers)


async def _record_one(tenant: Tenant, answer: Answer) -> None:
    await _record_all(tenant, [answer])


async def _is_over(tenant: Tenant, connection_id: UUID) -> bool:
    """Whether nothing is left to send; what a stopped connection was to send goes elsewhere."""
    async with tenant_tx(tenant) as tx:
        if await attempts.is_stopped(tx, connection_id):
            await send_elsewhere(tx, connection_id)
        return not await attempts.has_planned(tx, connection_id)


async def send_elsewhere(tx: Tx, connection_id: UUID) -> int:
    """Plan again what a stopped connection was to send and has not; the number of attempts taken back. Locks: the orders, the attempts, their units."""
    await ordering.lock_orders(tx, await attempts.orders_waiting(tx, connection_id, at_most=_WITHDRAWN_AT_ONCE))
    units = await attempts.withdraw(tx, connection_id, at_most=_WITHDRAWN_AT_ONCE)
    unserved = await attempts.plan(tx, units)
    await give_up(tx, unserved)
    await settle_orders(tx, sorted({unit["order_id"] for unit in units}))
    return len(units)


_DETAILS = """
select a.id, a.out_no, a.supplier_sku, a.currency, a.rate, a.order_line_id, coalesce(l.face_value_minor, s.face_value_minor) as face_value_minor,
       f.least_minor is not null as is_range,
       case when l.parent_line_id is null then u.amount_minor else greatest(u.amount_minor, l.unit_price_minor) end as worth_minor,
       coalesce(s.floor_bp, 0) as floor_bp, ra.account
from attempt a
join delivery_unit u on u.order_line_id = a.order_line_id and u.unit_no = a.unit_no
join order_line l on l.id = a.order_line_id
join sku s on s.id = a.sku_id
join supplier_offer f on f.id = a.offer_id
left join recharge_account ra on ra.order_line_id = a.order_line_id
where a.id = any($1)
"""
