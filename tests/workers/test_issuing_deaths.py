"""A worker that is killed between two chunks of a company's batch: the next goes on with the rows that wait, and nobody gets two."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app.issuing.issued import PRICE, batch_of, issued, numbers, owed, states
from tests.workers.test_deaths import Deaths
from tests.world import World

pytestmark = [pytest.mark.anyio]
ROWS = 1_100
"""Of three chunks."""


@pytest.fixture
async def deaths(world: World, tmp_path: Path) -> AsyncIterator[Deaths]:
    made = Deaths(world, tmp_path)
    yield made
    made.lives.close()


async def test_killed_between_two_chunks_the_batch_goes_on_and_each_row_is_ordered_once(world: World, deaths: Deaths) -> None:
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, ROWS)
    batch_no = await issued(world, sku.listing.id, numbers(ROWS))
    await deaths.die_at("issuing.placed")
    assert await states(world, batch_no) == {"ordered": 500, "waiting": ROWS - 500}, "what was committed stands whole"
    await deaths.live_until("select state = 'ended' from issue_batch where batch_no = $1", batch_no)
    assert await states(world, batch_no) == {"delivered": ROWS}
    assert await world.value("select count(*) from shop_order") == ROWS
    assert await world.value("select max(tries) from issue_row") == 1
    assert await world.value("select count(distinct card_key_id) from delivery_unit where state = 'delivered'") == ROWS
    assert await owed(world, batch_no) == ROWS * PRICE
    assert (await batch_of(world, batch_no))["ended_at"]
