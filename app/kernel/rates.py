"""How often a thing may be tried: counters in PostgreSQL, right over all processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from app.kernel import clock
from app.kernel.errors import TooMany
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
