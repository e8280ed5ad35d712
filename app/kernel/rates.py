"""How often a thing may be tried: counters in PostgreSQL, right over all processes.

`count` asks PostgreSQL for every try. `RateWindow` is for the busiest page: it counts in this process and shares its sums five times a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import structlog

from app.kernel import clock
from app.kernel.errors import TooMany
from tenants import routing
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx


@dataclass(frozen=True, slots=True)
class Limit:
    """So many tries of one kind in one window."""

    name: str
    tries: int
    window_s: int


async def count(home: Tenant, limit: Limit, subject: str) -> None:
    """Count one try in a transaction of its own, so that a try that then fails still counts. Raises: TooMany."""
    async with tenant_tx(home) as tx:
        await tx.execute("set local synchronous_commit = off")
        over = await _count(tx, limit, subject)
    if over:
        raise TooMany(seconds=over)


async def give_back(home: Tenant, limit: Limit, subject: str) -> None:
    """Take one try back: the right password is no guess, so honest work never runs into the limit."""
    async with tenant_tx(home) as tx:
        await tx.execute("update rate_counter set tries = tries - 1 where key = $1 and tries > 0", f"{limit.name}:{subject}")


async def _count(tx: Tx, limit: Limit, subject: str) -> int | None:
    """Seconds to wait when the limit is passed, else None."""
    at = clock.now()
    window = timedelta(seconds=limit.window_s)
    row = await tx.fetchrow(_COUNT, f"{limit.name}:{subject}", at, at - window)
    assert row is not None
    if row["tries"] <= limit.tries:
        return None
    return max(1, int((row["window_starts_at"] + window - at).total_seconds()))


class RateWindow:
    """One limit, counted in this process and summed with the other processes' counts every 200 ms.

    Exact within a process. A subject that tries at several processes at once may pass the limit by what the others admitted within
    those 200 ms. While the database is away each process still holds its own count.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._subjects: dict[tuple[Tenant, str], _Subject] = {}
        self._flush: asyncio.Task[None] | None = None

    def count(self, home: Tenant, subject: str, times: int = 1) -> None:
        """Count one try, or so many at once; refused ones are not counted. Raises: TooMany."""
        at = clock.now()
        known = self._subjects.get((home, subject))
        if known is None or known.starts_at + timedelta(seconds=self._limit.window_s) <= at:
            known = self._subjects[home, subject] = _Subject(starts_at=at)
        if known.told + known.unsaid + times > self._limit.tries:
            left = known.starts_at + timedelta(seconds=self._limit.window_s) - at
            raise TooMany(seconds=max(1, int(left.total_seconds())))
        known.unsaid += times
        if self._flush is None or self._flush.done():
            self._flush = asyncio.get_running_loop().create_task(self._share_soon())

    async def share(self) -> None:
        """Add what was counted here to the shared counters, and learn their sums."""
        self._let_go()
        by_home: dict[Tenant, list[tuple[str, _Subject]]] = {}
        for (home, subject), known in self._subjects.items():
            if known.unsaid:
                by_home.setdefault(home, []).append((f"{self._limit.name}:{subject}", known))
        for home, counted in by_home.items():
            try:
                await self._share_with(home, sorted(counted, key=lambda pair: pair[0]))
            except (asyncpg.UndefinedTableError, asyncpg.InvalidParameterValueError, asyncpg.UndefinedObjectError):
                if await routing.by_id(home.id) is not None:
                    raise
                for _, known in counted:  # a trial that was deleted
                    known.unsaid = 0

    async def _share_soon(self) -> None:
        while any(known.unsaid for known in self._subjects.values()):
            await asyncio.sleep(_SHARED_EVERY_S)
            try:
                await self.share()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                _log.warning("rates.not_shared", limit=self._limit.name, error=type(error).__name__)

    async def _share_with(self, home: Tenant, counted: Sequence[tuple[str, _Subject]]) -> None:
        at = clock.now()
        sums = [known.unsaid for _, known in counted]
        async with tenant_tx(home) as tx:
            await tx.execute("set local synchronous_commit = off")
            rows = await tx.fetch(_ADD, [key for key, _ in counted], sums, at, at - timedelta(seconds=self._limit.window_s))
        shared = {row["key"]: row for row in rows}
        for (key, known), added in zip(counted, sums, strict=True):
            known.told, known.starts_at = shared[key]["tries"], shared[key]["window_starts_at"]
            known.unsaid -= added

    def _let_go(self) -> None:
        """Forget subjects whose window is over; past the bound, the oldest that owe nothing."""
        ended = clock.now() - timedelta(seconds=self._limit.window_s)
        self._subjects = {key: known for key, known in self._subjects.items() if known.starts_at > ended}
        settled = [key for key, known in self._subjects.items() if not known.unsaid]
        for key in settled[: max(0, len(self._subjects) - _MOST_SUBJECTS)]:
            del self._subjects[key]


@dataclass(slots=True)
class _Subject:
    """What a process knows of one subject: the shared sum as it was last told, and its own tries since."""

    starts_at: datetime
    told: int = 0
    unsaid: int = 0


_log = structlog.get_logger(__name__)
_SHARED_EVERY_S = 0.2
_MOST_SUBJECTS = 50_000


async def forget(tx: Tx, *, older_than_s: int = 86_400) -> int:
    """Delete counters nobody has touched for a day."""
    return await tx.execute("delete from rate_counter where window_starts_at < $1", clock.now() - timedelta(seconds=older_than_s))


_COUNT = """
insert into rate_counter (key, window_starts_at, tries)
values ($1, $2, 1)
on conflict (key) do update
set tries = case when rate_counter.window_starts_at <= $3 then 1 else rate_counter.tries + 1 end,
    window_starts_at = case when rate_counter.window_starts_at <= $3 then $2 else rate_counter.window_starts_at end
returning tries, window_starts_at
"""
_ADD = """
insert into rate_counter as r (key, window_starts_at, tries)
select key, $3, tries from unnest($1::text[], $2::int[]) as t (key, tries)
on conflict (key) do update
set tries = case when r.window_starts_at <= $4 then excluded.tries else r.tries + excluded.tries end,
    window_starts_at = case when r.window_starts_at <= $4 then $3 else r.window_starts_at end
returning key, tries, window_starts_at
"""
