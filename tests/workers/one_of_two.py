"""A process that comes to the same timer again and again: `python -m tests.workers.one_of_two NAME SLOT_S TIMES`. Prints a line for each time it did the work."""

from __future__ import annotations

import asyncio
import sys

from app.settings import settings
from tenants.session import Databases, databases, use_databases
from workers import timers
from workers.timers import Timer


async def main(name: str, slot_s: float, times: int) -> None:
    use_databases(Databases({"main": settings().database_url}, size=2, statement_cache=True))
    stopping, left = asyncio.Event(), times

    async def tick() -> bool:
        nonlocal left
        left -= 1
        if left == 0:
            stopping.set()
        return True

    async def work(_is_over: object) -> None:
        print("done", flush=True)
        await tick()

    take_slot = timers.take_slot

    async def counted(timer: Timer) -> bool:
        return await take_slot(timer) or not await tick()

    timers.take_slot = counted
    await timers.keep(Timer(name, 0, work, slot_s), stopping)
    await databases().close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
