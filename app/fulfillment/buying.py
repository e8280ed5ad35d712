"""Sending purchases to suppliers: one pump per connection in each worker process, as many calls at once as the connection bears.

An attempt is marked as sent and committed before its call; the call runs with no transaction open; what it came to is written down under the
attempt's fence, together with the others that end in the same moment. A process that dies in between leaves an attempt that is asked about.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial
from uuid import UUID

import asyncpg
import structlog

from app.fulfillment import attempts
from app.fulfillment.attempts import CALL_S, Sending
from app.fulfillment.ending import settle_orders
from app.fulfillment.outcomes import Answer, record
from app.fulfillment.undelivered import give_up_and_tell
from app.kernel import clock, links
from app.kernel.batching import DATABASE_FAULTS, Batcher
from app.kernel.faults import fault
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import Keyring, keyring
from app.ordering import service as ordering
from app.suppliers.connecting import Opened, connection_of, opened_as_of
from app.suppliers.connectors.port import Accepted, Delivered, Purchase, Unknown
from app.suppliers.rules import most_cost
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_log = structlog.get_logger(__name__)
_GATHER_MS = 5
"""How long calls that end one after the other are waited for, so that what they came to is written down together."""
_REFILL_MS = 2
"""The same for the calls that take their places."""
_IDLE_MS = 250
"""How often a pump looks by itself. While calls run it need not: their ends take what comes next, and a buyer who pays wakes it."""
_BUSY_MS = 1_000
_IDLE_TURNS = 20
"""A pump that finds no room so often leaves; the task of its connection comes back."""
_COMES_BACK_S = 20
_AT_MOST = 100
_YIELD_S = 5
_WITHDRAWN_AT_ONCE = 200


class _Pump:
    """What one process sends to one connection: the calls that run, and a wish to look again."""

    def __init__(self, tenant: Tenant, connection_id: UUID) -> None:
        self.tenant = tenant
        self.connection_id = connection_id
        self.woken = asyncio.Event()
        """Set when something may be sent that was not there when the pump looked last."""
        self.calls: set[asyncio.Task[None]] = set()
        self.answered: set[UUID] = set()
        """Attempts whose calls are over and whose answers are being written down: the next calls do not wait for that."""

    def send(self, ready: Sequence[_Ready]) -> None:
        """Start the calls of attempts that are committed as sent."""
        for one in ready:
            call = asyncio.create_task(_call(self, one))
            self.calls.add(call)
            call.add_done_callback(self._ended)

    def _ended(self, call: asyncio.Task[None]) -> None:
        self.calls.discard(call)
        if not self.calls:
            self.woken.set()


@dataclass(frozen=True, slots=True)
class _Ready:
    """One purchase that is committed as sent, and where it is made."""

    connection: Opened
    sending: Sending
    purchase: Purchase


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
        _at_work[key].woken.set()
        return
    _at_work[key] = _Pump(tenant, connection_id)
    _pumps[key] = asyncio.create_task(_run(_at_work[key]))


_pumps: dict[tuple[UUID, UUID], asyncio.Task[None]] = {}
_at_work: dict[tuple[UUID, UUID], _Pump] = {}
_lines: dict[UUID, Batcher[Answer, None]] = {}
"""Per tenant: what calls to all its suppliers came to is written down together, one wave after the other, so that no two wait for one order's lock."""
_refills: dict[UUID, Batcher[_Pump, None]] = {}
"""Per tenant: the places of calls that are over are taken together, while their answers are still being written down."""


_waited_for: dict[UUID, int] = {}
"""Per tenant: until when its batches leave most calls to buyers who wait, by the loop's clock."""


def wake(tenant: Tenant) -> None:
    """Have this process's pumps of a tenant look at once; where none runs, the task that was added does it. For some seconds batches yield."""
    _waited_for[tenant.id] = int(asyncio.get_running_loop().time()) + _YIELD_S
    for (tenant_id, _), pump in _at_work.items():
        if tenant_id == tenant.id:
            pump.woken.set()


async def finish(*, within_s: int) -> None:
    """Let the calls that run end, and start no more: what a worker does before it stops. What takes longer is cut, and asked about by another worker."""
    _leaving.set()
    if running := [pump for pump in _pumps.values() if not pump.done()]:
        _, slow = await asyncio.wait(running, timeout=within_s)
        for pump in slow:
            pump.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    for known in (_pumps, _at_work, _lines, _refills, _waited_for):
        known.clear()
    _leaving.clear()


_leaving = asyncio.Event()


async def _run(pump: _Pump) -> None:
    """Send what waits, and leave when nothing does. While calls run, each that ends has its place taken by itself."""
    try:
        idle = 0
        while idle < _IDLE_TURNS:
            pump.woken.clear()
            if not _leaving.is_set():
                pump.send(await _take(pump))
            if not pump.calls and (_leaving.is_set() or (await _is_over(pump) and not pump.woken.is_set())):
                return  # nothing is awaited between this look and the end, so no wish falls between them
            idle = 0 if pump.calls else idle + 1
            with suppress(TimeoutError):
                async with asyncio.timeout((_BUSY_MS if pump.calls else _IDLE_MS) / 1000):
                    await pump.woken.wait()
    except DATABASE_FAULTS as error:
        _log.warning("pump.failed", connection=str(pump.connection_id), error=type(error).__name__)
    except asyncio.CancelledError:
        for call in pump.calls:
            call.cancel()
        raise
    finally:
        while pump.calls:
            await asyncio.gather(*pump.calls, return_exceptions=True)


async def _take(pump: _Pump) -> list[_Ready]:
    async with tenant_tx(pump.tenant, plans_once=True) as tx:
        await connection_of(tx, pump.connection_id)
        return (await _take_for(tx, [pump])).get(pump, [])


async def _take_for(tx: Tx, pumps: Sequence[_Pump]) -> dict[_Pump, list[_Ready]]:
    """What these pumps may send now. One whose settings were changed since it looked last looks again by itself."""
    configured = await attempts.lock_connections(tx, [pump.connection_id for pump in pumps])
    by_id = {pump.connection_id: pump for pump in pumps}
    opened = {key: found for key, at in configured.items() if (found := opened_as_of(tx, key, at))}
    for connection_id, pump in by_id.items():
        if connection_id not in opened:
            pump.woken.set()
    ready: dict[_Pump, list[_Ready]] = defaultdict(list)
    ring = await keyring(tx)
    yields = asyncio.get_running_loop().time() < _waited_for.get(tx.tenant.id, 0)
    over = [attempt_id for pump in pumps for attempt_id in pump.answered]
    for sending in await attempts.take_to_send(tx, sorted(opened), at_most=_AT_MOST, over=over, yields=yields):
        connection = opened[sending.row["connection_id"]]
        purchase = _purchase(sending.row, ring, links.supply_notice(tx.tenant, connection.id))
        ready[by_id[connection.id]].append(_Ready(connection, sending, purchase))
    return ready


def _purchase(row: asyncpg.Record, ring: Keyring, notice_url: str) -> Purchase:
    """What is bought, with the buyer's recharge account opened."""
    account, most = {}, most_cost(row["worth_minor"], row["floor_bp"])
    if row["account"] is not None:
        account = json.loads(ring.open("recharge_account", "account", row["order_line_id"], row["account"]).reveal())
    return Purchase(
        out_no=row["out_no"],
        supplier_sku=row["supplier_sku"],
        account=account,
        face_value_minor=row["face_value_minor"] if row["is_range"] else None,
        currency=row["currency"],
        most_cost=most if row["rate"] is None else (most / row["rate"]).quantize(Decimal("0.000001")),
        notice_url=notice_url,
    )


async def _call(pump: _Pump, one: _Ready) -> None:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CALL_S):
            await fault("purchase.intended")
            found = await one.connection.connector.place(one.purchase)
            await fault("purchase.called")
    except TimeoutError:
        found = Unknown("the call took too long")
    took_ms = round((time.perf_counter() - started) * 1000)
    await _end(pump, Answer(one.sending.row["id"], one.sending.fence, found, took_ms))


async def _end(pump: _Pump, answer: Answer) -> None:
    """Write down what a call came to, and have its place taken: meanwhile if it went well, else once its supplier's health is known."""
    if isinstance(answer.found, Delivered | Accepted):
        pump.answered.add(answer.attempt_id)
        await asyncio.gather(_write(pump, answer), _refill(pump))
    else:
        await _write(pump, answer)
        await _refill(pump)


async def _write(pump: _Pump, answer: Answer) -> None:
    try:
        await _line_of(pump.tenant).ask(answer)
    except DATABASE_FAULTS as error:
        _log.warning("outcome.not_written", attempt=str(answer.attempt_id), error=type(error).__name__)
    finally:
        pump.answered.discard(answer.attempt_id)


def _line_of(tenant: Tenant) -> Batcher[Answer, None]:
    if tenant.id not in _lines:
        wave, alone = partial(_write_wave, tenant), partial(_write_alone, tenant)
        _lines[tenant.id] = Batcher(together=wave, alone=alone, at_once=1, gather_s=_GATHER_MS / 1000)
    return _lines[tenant.id]


async def _write_wave(tenant: Tenant, answers: Sequence[Answer]) -> list[None]:
    async with tenant_tx(tenant, plans_once=True) as tx:
        await record(tx, answers)
    return [None] * len(answers)


async def _write_alone(tenant: Tenant, answer: Answer) -> None:
    async with tenant_tx(tenant) as tx:
        await record(tx, [answer])


async def _refill(pump: _Pump) -> None:
    """Have the places of calls that are over taken. What fails here is taken when the pump looks next."""
    if _leaving.is_set():
        return
    if pump.tenant.id not in _refills:
        together, alone = partial(_take_for_all, pump.tenant), partial(_take_for_one, pump.tenant)
        _refills[pump.tenant.id] = Batcher(together=together, alone=alone, at_once=1, gather_s=_REFILL_MS / 1000)
    try:
        await _refills[pump.tenant.id].ask(pump)
    except DATABASE_FAULTS as error:
        _log.warning("refill.failed", connection=str(pump.connection_id), error=type(error).__name__)
        pump.woken.set()


async def _take_for_all(tenant: Tenant, pumps: Sequence[_Pump]) -> list[None]:
    async with tenant_tx(tenant, plans_once=True) as tx:
        taken = await _take_for(tx, list(dict.fromkeys(pumps)))
    for pump, ready in taken.items():
        pump.send(ready)
    return [None] * len(pumps)


async def _take_for_one(tenant: Tenant, pump: _Pump) -> None:
    await _take_for_all(tenant, [pump])


async def _is_over(pump: _Pump) -> bool:
    """Whether nothing is left to send; what a stopped connection was to send goes elsewhere."""
    async with tenant_tx(pump.tenant) as tx:
        if await attempts.is_stopped(tx, pump.connection_id):
            await send_elsewhere(tx, pump.connection_id)
        return not await attempts.has_planned(tx, pump.connection_id)


async def send_elsewhere(tx: Tx, connection_id: UUID) -> int:
    """Plan again what a stopped connection was to send and has not; the number of attempts taken back. Locks: the orders, the attempts, their units."""
    await ordering.lock_orders(tx, await attempts.orders_waiting(tx, connection_id, at_most=_WITHDRAWN_AT_ONCE))
    units = await attempts.withdraw(tx, connection_id, at_most=_WITHDRAWN_AT_ONCE)
    unserved = await attempts.plan(tx, units)
    await give_up_and_tell(tx, await attempts.leave_to_own_stock(tx, unserved))
    await settle_orders(tx, sorted({unit["order_id"] for unit in units}))
    return len(units)
