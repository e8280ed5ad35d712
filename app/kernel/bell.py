"""The bell's rope: SAQ on PostgreSQL, or on Redis by setting. Its jobs only say "look at this lane"; losing all of them loses nothing."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from urllib.parse import quote

import psycopg
import structlog
from redis.exceptions import RedisError
from saq import Queue
from saq.queue.postgres import PostgresQueue

from app.kernel.tasks import Lane
from app.settings import settings

QUEUE = "quanyi"
SCHEMA = "queue"
JOB_TIMEOUT_S = 900
_COALESCE_S = 0.005
_PAUSE_S = 0.05
"""Between jobs of one process: each costs the worker and the database as much as an order. A drain that runs sees the bells without them."""
_AWAY = (OSError, TimeoutError, RuntimeError, psycopg.Error, RedisError)
"""What an enqueue raises while the queue's store is away."""
_log = structlog.get_logger(__name__)


def open_queue(url: str | None = None, *, listens: bool = False) -> Queue:
    """A queue that is not connected yet. A worker keeps more connections than a process that only rings.

    Its commits wait for no disk: a bell lost with the machine is rung again by the sweep.
    """
    chosen = url or settings().queue_url or settings().database_url
    if chosen.startswith("redis"):
        return Queue.from_url(chosen, name=QUEUE)
    from psycopg_pool import AsyncConnectionPool

    separator = "&" if "?" in chosen else "?"
    pool = AsyncConnectionPool(
        f"{chosen}{separator}options={quote(f'-c search_path={SCHEMA} -c synchronous_commit=off')}",
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


@dataclass(frozen=True, slots=True)
class Beat:
    """A worker process that reported in the last half minute: since when it runs, and how many jobs of the queue it did."""

    worker: str
    uptime: timedelta
    jobs_done: int
    jobs_failed: int


@dataclass(frozen=True, slots=True)
class QueueState:
    """What the queue knows: jobs that wait and run, and the workers that are alive."""

    waiting: int
    running: int
    workers: tuple[Beat, ...]


_shared: Queue | None = None


def share_queue(queue: Queue) -> None:
    """Let this process's pages look at its queue; the composition root calls it once."""
    global _shared  # noqa: PLW0603  # one queue per process
    _shared = queue


async def queue_state() -> QueueState:
    """Look at this process's queue. Raises: what its store raises while it is away."""
    assert _shared is not None, "the composition root has not shared the queue"
    info = await _shared.info()
    beats = [_beat(name, dict(worker["stats"] or {})) for name, worker in info["workers"].items()]
    return QueueState(info["queued"], info["active"], tuple(sorted(beats, key=lambda beat: beat.uptime, reverse=True)))


def _beat(name: str, stats: Mapping[str, Any]) -> Beat:
    return Beat(name, timedelta(milliseconds=stats.get("uptime", 0)), stats.get("complete", 0), stats.get("failed", 0))


class Ringer:
    """Turns the rings of a process into jobs: the first at once, those of the next moment together, as a drain that runs finds what they rang for."""

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
            await self._send_all()
            await asyncio.sleep(_PAUSE_S)

    async def _send_all(self) -> None:
        while self._wanted:
            lane, schemas = self._wanted.popitem()
            try:
                await self._queue.enqueue(
                    "drain_lane", lane=lane.value, schemas=sorted(schemas), timeout=JOB_TIMEOUT_S, retries=1, ttl=-1, heartbeat=0
                )
            except _AWAY as error:
                _log.warning("bell.not_rung", lane=lane, error=type(error).__name__)
