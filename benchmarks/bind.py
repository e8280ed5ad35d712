"""Binding a tenant: `tenant_tx` with one select, against the same select on raw asyncpg where nothing is bound.

Both visit the same tenants in turn, each in a transaction. Unbound, the statement names the schema itself and the login may read all of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from benchmarks.figures import Figures, median, must_be_zero
from benchmarks.options import Options
from benchmarks.stage import Stage, database, in_loop, open_tenant
from tenants.directory import Tenant
from tenants.session import tenant_tx

GOAL = "at most 1.3 times the unbound statement"
TENANTS = 20
AT_ONCE = 4
QUERY = "select id, name from storefront where id = $1"

Once = Callable[[int], Awaitable[None]]


def measure(options: Options) -> tuple[Figures, Stage]:
    with database() as stage:
        return in_loop(_measure(stage, options)), stage


async def _measure(stage: Stage, options: Options) -> Figures:
    tenants = [await open_tenant(stage.owner_url) for _ in range(options.tenants or TENANTS)]
    ids = [await _storefront(tenant) for tenant in tenants]
    pool = await _pool(stage.owner_url)
    qualified = [QUERY.replace("storefront", f"{tenant.schema}.storefront") for tenant in tenants]
    wrong = 0

    async def bound(turn: int) -> None:
        nonlocal wrong
        tenant = tenants[turn % len(tenants)]
        async with tenant_tx(tenant) as tx:
            row = await tx.fetchrow(QUERY, ids[turn % len(tenants)])
        wrong += row is None

    async def unbound(turn: int) -> None:
        async with pool.acquire(timeout=5) as connection:
            await connection.execute("begin")
            await connection.fetchrow(qualified[turn % len(tenants)], ids[turn % len(tenants)])
            await connection.execute("commit")

    async def bound_to_one(_turn: int) -> None:
        await bound(0)

    async def unbound_to_one(_turn: int) -> None:
        await unbound(0)

    ways: dict[str, Once] = {
        "unbound": unbound,
        "bound": bound,
        "unbound, one tenant": unbound_to_one,
        "bound, one tenant": bound_to_one,
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        await _microseconds(way, 0.2)
    for _ in range(options.rounds * 2):
        for name, way in ways.items():
            took[name].append(await _microseconds(way, options.round_s / 2))
    await pool.close()
    medians = {name: round(median(values), 1) for name, values in took.items()}
    checks = {"wrong_tenant": wrong + await _strangers(tenants, ids)}
    return Figures(
        value=medians["bound"],
        unit="µs",
        reference=medians["unbound"],
        goal=GOAL,
        checks=checks,
        wrong=must_be_zero(checks, "wrong_tenant"),
        details={f"µs per transaction, {AT_ONCE} at once, {len(tenants)} tenants in turn": medians},
    )


async def _microseconds(once: Once, seconds: float) -> float:
    """Mean time of one transaction as a caller sees it, `AT_ONCE` callers."""
    ends, done = time.perf_counter() + seconds, 0

    async def caller(number: int) -> None:
        nonlocal done
        turn = number * 5
        while time.perf_counter() < ends:
            await once(turn)
            turn += 1
            done += 1

    started = time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(AT_ONCE)))
    return (time.perf_counter() - started) / done * 1e6 * AT_ONCE


async def _storefront(tenant: Tenant) -> Any:
    async with tenant_tx(tenant) as tx:
        return await tx.fetchval("select id from storefront")


async def _strangers(tenants: list[Tenant], ids: list[Any]) -> int:
    """Storefronts of others that a bound transaction sees."""
    seen = 0
    for tenant in tenants:
        async with tenant_tx(tenant) as tx:
            seen += await tx.fetchval("select count(*) from storefront where id = any($1)", ids) - 1
    return seen


async def _pool(url: str) -> asyncpg.Pool[asyncpg.Record]:
    """As the application's own, for a login that may read every tenant."""

    async def keep(_connection: Any) -> None:
        return None

    pool = asyncpg.create_pool(
        url,
        min_size=1,
        max_size=8,
        timeout=5,
        command_timeout=30,
        statement_cache_size=200,
        server_settings={"jit": "off"},
        reset=keep,
    )
    return await pool
