"""Counting tries: exactly, or in this process and shared."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from app.kernel import rates
from app.kernel.errors import TooMany
from app.kernel.rates import Limit, RateWindow
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


async def _tries(world: World, key: str) -> int:
    return int(await world.value("select coalesce((select tries from rate_counter where key = $1), 0)", key))


async def test_a_window_admits_as_many_as_its_limit_and_says_when_to_come_back(world: World) -> None:
    window = RateWindow(Limit("w1", 3, 60))
    for _ in range(3):
        window.count(world.tenant, "a")
    with pytest.raises(TooMany) as refusal:
        window.count(world.tenant, "a")
    assert 1 <= refusal.value.facts["seconds"] <= 60
    window.count(world.tenant, "b")


async def test_what_two_processes_count_adds_up(world: World) -> None:
    one, other = RateWindow(Limit("w2", 10, 60)), RateWindow(Limit("w2", 10, 60))
    for _ in range(6):
        one.count(world.tenant, "a")
    for _ in range(4):
        other.count(world.tenant, "a")
    await one.share()
    await other.share()
    assert await _tries(world, "w2:a") == 10
    with pytest.raises(TooMany):
        other.count(world.tenant, "a")
    one.count(world.tenant, "a")  # it has not heard of the other's four yet
    await one.share()
    with pytest.raises(TooMany):
        one.count(world.tenant, "a")


async def test_it_shares_by_itself(world: World) -> None:
    window = RateWindow(Limit("w3", 100, 60))
    for _ in range(7):
        window.count(world.tenant, "a")
    for _ in range(50):
        await asyncio.sleep(0.05)
        if await _tries(world, "w3:a") == 7:
            break
    assert await _tries(world, "w3:a") == 7


async def test_a_new_window_begins_at_zero_here_and_in_the_table(world: World) -> None:
    window = RateWindow(Limit("w4", 2, 60))
    with time_machine.travel(NOON, tick=False) as clock:
        window.count(world.tenant, "a")
        window.count(world.tenant, "a")
        await window.share()
        clock.shift(timedelta(seconds=61))
        window.count(world.tenant, "a")
        await window.share()
    assert await _tries(world, "w4:a") == 1


async def test_a_refused_try_is_not_counted(world: World) -> None:
    window = RateWindow(Limit("w5", 1, 60))
    window.count(world.tenant, "a")
    for _ in range(5):
        with pytest.raises(TooMany):
            window.count(world.tenant, "a")
    await window.share()
    assert await _tries(world, "w5:a") == 1


async def test_tenants_are_counted_apart(world: World) -> None:
    other = await world.new_tenant("Other", with_gateway=False)
    window = RateWindow(Limit("w6", 1, 60))
    window.count(world.tenant, "a")
    window.count(other, "a")


async def test_the_exact_counter_counts_failures_too(world: World) -> None:
    limit = Limit("exact", 2, 60)
    await rates.count(world.tenant, limit, "a")
    await rates.count(world.tenant, limit, "a")
    with pytest.raises(TooMany):
        await rates.count(world.tenant, limit, "a")
    assert await _tries(world, "exact:a") == 3
