"""The first steps of a process, while what it stands on may still be starting itself."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable

import psycopg
import structlog
from redis.exceptions import RedisError

from tenants.session import AWAY

_WAITS_S = 60.0
_PAUSE_S = 0.5
_AWAY: tuple[type[Exception], ...] = (*AWAY, psycopg.Error, RedisError)
_log = structlog.get_logger(__name__)


async def when_there(step: Callable[[], Awaitable[None]]) -> None:
    """Take a step of the start as soon as the database or the queue's store is there, and wait a minute for that at most.

    A web process that gave up at once would end the whole server, whose parent takes it for broken. Raises: what the last try raised.
    """
    clock_s = asyncio.get_running_loop().time
    ends = clock_s() + _WAITS_S
    while True:
        try:
            await step()
            return
        except _AWAY as error:
            if clock_s() > ends:
                raise
            _log.warning("start.waits", error=type(error).__name__)
            await asyncio.sleep(_PAUSE_S)


def keep_what_is_loaded() -> None:
    """Take what a process has loaded out of the garbage collector's sight, once it is ready to work.

    Modules, tables and routes are there to stay; walking 300,000 of them stands every request still for 0.2 s, again and again under load.
    """
    gc.collect()
    gc.freeze()
