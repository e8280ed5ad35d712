"""What is done by the clock is done once, however many workers there are."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys

import pytest

from tenants.directory import PLATFORM
from tests.simulators import ROOT
from tests.world import World

pytestmark = [pytest.mark.anyio]
TIMES = 20


async def done_by_two(slot_s: float) -> int:
    """How often two processes that come to one timer twenty times each did its work."""
    name = f"tests.{secrets.token_hex(4)}"
    command = [sys.executable, "-m", "tests.workers.one_of_two", name, str(slot_s), str(TIMES)]

    def run() -> str:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout

    answers = await asyncio.gather(asyncio.to_thread(run), asyncio.to_thread(run))
    return sum(answer.count("done") for answer in answers)


@pytest.mark.case("J07")
async def test_two_workers_do_a_timers_work_once_in_its_slot(world: World) -> None:
    assert await done_by_two(slot_s=3600) == 1


@pytest.mark.case("J07")
async def test_red_without_a_slot_each_worker_does_it_each_time(world: World) -> None:
    assert await done_by_two(slot_s=0) == 2 * TIMES


@pytest.mark.case("J07")
async def test_the_next_slot_is_done_again_by_one(world: World) -> None:
    await world.rows(
        "update timer_run set ran_at = now() - interval '2 hours' where name = 'tidy' returning name", tenant=PLATFORM
    )
    from workers.timers import TIMERS, take_slot

    tidy = next(timer for timer in TIMERS if timer.name == "tidy")
    await world.rows(
        "insert into timer_run values ('tidy', now() - interval '2 hours') on conflict do nothing returning name", tenant=PLATFORM
    )
    assert sorted(await asyncio.gather(*(take_slot(tidy) for _ in range(8)))) == [False] * 7 + [True]
