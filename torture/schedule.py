"""When which fault is done: drawn from the seed, one after the other, overlapping as they come."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

import httpx2
import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from operations.trouble import Trouble
from tenants.embedded_files import DatabaseUnavailable
from tenants.session import AWAY
from torture.kinds import KINDS, Tormentor

DATABASE = "database"
MOST_AT_ONCE = 3
DISTURBED: tuple[type[Exception], ...] = (
    *AWAY,
    DBAPIError,
    PoolTimeout,
    psycopg.Error,
    httpx2.HTTPError,
    Trouble,
    DatabaseUnavailable,
)
"""What one fault does to another."""


@dataclass(frozen=True)
class Done:
    """One fault: when it began, in seconds from the first, its kind, and what exactly was done."""

    at_s: float
    kind: str
    detail: str


async def torment(
    tormentor: Tormentor, kinds: Sequence[str], *, luck: random.Random, every_s: float, seconds: float
) -> list[Done]:
    """Do faults of these kinds for so long, and return them when the last has ended. Only one at a time is done to the database's server."""
    loop = asyncio.get_running_loop()
    started, done = loop.time(), list[Done]()
    servers, places = asyncio.Lock(), asyncio.Semaphore(MOST_AT_ONCE)

    async def do(kind: str) -> None:
        async with places:
            at_s = loop.time() - started
            try:
                if kind.startswith(DATABASE):
                    async with servers:
                        detail = await KINDS[kind][1](tormentor)
                else:
                    detail = await KINDS[kind][1](tormentor)
            except DISTURBED as error:
                detail = f"did not come off: {type(error).__name__}"
        done.append(Done(at_s, kind, detail))
        print(f"{at_s:7.1f} s  {kind}: {detail}", flush=True)

    weights = [KINDS[kind][0] for kind in kinds]
    under_way: list[asyncio.Task[None]] = []
    while loop.time() - started < seconds:
        under_way.append(asyncio.create_task(do(luck.choices(kinds, weights)[0])))
        await asyncio.sleep(min(luck.expovariate(1 / every_s), 4 * every_s))
    await asyncio.gather(*under_way)
    return sorted(done, key=lambda one: one.at_s)
