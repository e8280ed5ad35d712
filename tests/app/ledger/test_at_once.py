"""Transfers between the same accounts, many at once: none waits for another in a circle, and the balances are their sum."""

import asyncio
from uuid import uuid4

import pytest

from app.ledger import queries, service
from app.ledger.service import Posting, TransferKind
from tenants.session import tenant_tx
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def test_captures_of_one_merchant_at_the_same_moment_are_all_booked(world: World) -> None:
    async def capture() -> None:
        async with tenant_tx(world.tenant) as tx:
            await service.transfer(tx, [Posting(TransferKind.CAPTURE, uuid4(), 1990, "CNY")])

    await asyncio.gather(*(capture() for _ in range(24)))
    async with tenant_tx(world.tenant) as tx:
        assert await queries.balance_minor(tx, "buyer_deposits", "CNY") == 24 * 1990
        assert await queries.accounts_off(tx) == []
