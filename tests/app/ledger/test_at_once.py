"""Money that arrives at the same instant for one merchant, whose every sale moves the same few balances."""

from __future__ import annotations

import asyncio

import pytest

from app.kernel.ids import new_id
from app.ledger import queries
from app.ledger import service as ledger
from app.ledger.service import Posting, TransferKind
from tenants.session import raw, tenant_session, tenant_tx
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


def _money(amount_minor: int) -> Posting:
    return Posting(TransferKind.CAPTURE, new_id(), amount_minor, "CNY")


async def _deposits_minor(world: World) -> int:
    async with tenant_tx(world.tenant) as tx:
        assert await queries.accounts_off(tx) == []
        return await queries.balance_minor(tx, "buyer_deposits", "CNY")


async def test_captures_at_the_same_instant_do_not_wait_for_each_other_in_a_circle(world: World) -> None:
    """A transfer's foreign keys hold its accounts lightly; taking them harder afterwards made two captures wait for one another."""

    async def take(ready: asyncio.Barrier) -> None:
        async with tenant_tx(world.tenant) as tx:
            await tx.fetchval("select 1")
            await ready.wait()
            await ledger.transfer(tx, [_money(100)])

    await take(asyncio.Barrier(1))
    for _ in range(10):
        ready = asyncio.Barrier(6)
        await asyncio.gather(*(take(ready) for _ in range(6)))
    assert await _deposits_minor(world) == 6100


async def test_a_transaction_with_transfers_that_stays_open_holds_nobody_up(world: World) -> None:
    """Balances are moved with the commit: moved at once, as they were before, the second of two open captures waits for the first to end."""
    async with tenant_tx(world.tenant) as tx:
        await ledger.transfer(tx, [_money(100)])
    async with asyncio.timeout(10), tenant_tx(world.tenant) as slow:
        await ledger.transfer(slow, [_money(1)])
        async with tenant_tx(world.tenant) as quick:
            await ledger.transfer(quick, [_money(20)])
        assert await _deposits_minor(world) == 120
    assert await _deposits_minor(world) == 121


async def test_many_transfers_of_one_transaction_move_each_balance_once(world: World) -> None:
    async with tenant_session(world.tenant) as session:
        for amount_minor in (1, 20):
            await ledger.transfer(await raw(session), [_money(amount_minor), _money(300)])
    assert await _deposits_minor(world) == 621


async def test_what_is_rolled_back_moves_nothing(world: World) -> None:
    async def change_its_mind() -> None:
        async with tenant_tx(world.tenant) as tx:
            await ledger.transfer(tx, [_money(100)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_its_mind()
    assert await _deposits_minor(world) == 0
