"""The bell's rope: SAQ on PostgreSQL, or on Redis by setting. Its jobs only say "look at this lane"; losing all of them loses nothing."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import cast
from urllib.parse import quote

import structlog
from saq import Queue
from saq.queue.postgres import PostgresQueue

from app.kernel.tasks import Lane
from app.settings import settings

QUEUE = "quanyi"
SCHEMA = "queue"
JOB_TIMEOUT_S = 900
_COALESCE_S = 0.005
_log = structlog.get_logger(__name__)


def open_queue(url: str | None = None, *, listens: bool = False) -> Queue:
    """A queue that is not connected yet. A worker keeps more connections than a process that only rings."""
    chosen = url or settings().queue_url or settings().database_url
    if chosen.startswith("redis"):
        return Queue.from_url(chosen, name=QUEUE)
    from psycopg_pool import AsyncConnectionPool

    separator = "&" if "?" in chosen else "?"
    pool = AsyncConnectionPool(
        f"{chosen}{separator}options={quote(f'-c search_path={SCHEMA}')}",
        min_size=1,
        max_size=12 if listens else 2,
        timeout=5,
        open=False,
        kwargs={"autocommit": True},
    )
    return cast("Queue", PostgresQueue(pool=pool, name=QUEUE, manage_pool_lifecycle=True))


async def make_tables(owner_url: str) -> None:
    """Let SAQ make its tables, as the owner, before any worker starts: two workers on an empty database would race for it."""
    queue = open_queue(owner_url)
    await queue.connect()
    await queue.disconnect()


class Ringer:
    """Turns the rings of a process into jobs: rings of one lane within a few milliseconds become one job."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._wanted: dict[Lane, set[str]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None

    def ring(self, schema: str, lane: Lane) -> None:
        """Wake a drain. Returns at once; a ring that fails is only late, because the worker looks every two seconds."""
        self._wanted[lane].add(schema)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        await asyncio.sleep(_COALESCE_S)
        while self._wanted:
            lane, schemas = self._wanted.popitem()
            try:
                await self._queue.enqueue(
                    "drain_lane", lane=lane.value, schemas=sorted(schemas), timeout=JOB_TIMEOUT_S, retries=1, ttl=-1, heartbeat=0
                )
            except (OSError, TimeoutError, RuntimeError) as error:
                _log.warning("bell.not_rung", lane=lane, error=type(error).__name__)
