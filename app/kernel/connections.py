"""Open connections to other companies' systems, kept for the next call.

The library's own pool looks at every connection it holds at the beginning and at the end of every call; with many calls at once that costs more than
the calls. Here a call looks at the one connection it takes.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpcore2

_Origin = tuple[bytes, bytes, int]


class Connections:
    """At most so many connections of one event loop, and among them at most so many that wait for the next call, each for so long."""

    def __init__(
        self,
        open_one: Callable[[httpcore2.Origin], httpcore2.AsyncHTTPConnection],
        *,
        at_most: int,
        idle_at_most: int,
        idle_s: float,
    ) -> None:
        self._open_one = open_one
        self._room = asyncio.Semaphore(at_most)
        self._idle_at_most = idle_at_most
        self._idle_s = idle_s
        self._all: set[httpcore2.AsyncHTTPConnection] = set()
        self._idle: defaultdict[_Origin, list[httpcore2.AsyncHTTPConnection]] = defaultdict(list)
        self._idle_count = 0
        self._swept_at = time.monotonic()

    @asynccontextmanager
    async def one_to(self, origin: httpcore2.Origin, *, wait_s: float) -> AsyncIterator[httpcore2.AsyncHTTPConnection]:
        """A connection for one call, the one that was used last if there is one. Raises: PoolTimeout when none is free in time."""
        try:
            async with asyncio.timeout(wait_s):
                await self._room.acquire()
        except TimeoutError:
            raise httpcore2.PoolTimeout from None
        try:
            connection = await self._take(origin)
            try:
                yield connection
            finally:
                await self._put_back(origin, connection)
        finally:
            self._room.release()

    async def aclose(self) -> None:
        """Close every connection, those in use included."""
        self._idle.clear()
        self._idle_count = 0
        while self._all:
            await self._all.pop().aclose()

    async def _take(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection:
        idle = self._idle[_key(origin)]
        while idle:
            connection = idle.pop()
            self._idle_count -= 1
            if connection.is_available() and not connection.has_expired():
                return connection
            await self._close(connection)
        connection = self._open_one(origin)
        self._all.add(connection)
        return connection

    async def _put_back(self, origin: httpcore2.Origin, connection: httpcore2.AsyncHTTPConnection) -> None:
        """One whose call ended well waits for the next; any other is closed."""
        if connection in self._all and connection.is_available() and self._idle_count < self._idle_at_most:
            self._idle[_key(origin)].append(connection)
            self._idle_count += 1
        else:
            await self._close(connection)
        if time.monotonic() - self._swept_at > self._idle_s:
            await self._sweep()

    async def _sweep(self) -> None:
        """Close what has waited too long."""
        self._swept_at = time.monotonic()
        for key in list(self._idle):
            old = [connection for connection in self._idle[key] if connection.has_expired()]
            self._idle[key] = [connection for connection in self._idle[key] if connection not in old]
            self._idle_count -= len(old)
            if not self._idle[key]:
                del self._idle[key]
            for connection in old:
                await self._close(connection)

    async def _close(self, connection: httpcore2.AsyncHTTPConnection) -> None:
        self._all.discard(connection)
        await connection.aclose()


def _key(origin: httpcore2.Origin) -> _Origin:
    return origin.scheme, origin.host, origin.port
