"""A sign-up that finds a spare: naming it, its storefront, and its shop's first page, against making a tenant by one CREATE SCHEMA script."""

from __future__ import annotations

import secrets
import time

import asyncpg

from app.catalog import service as catalog
from benchmarks.client import Client
from benchmarks.figures import Figures, median, must_be_zero, quantile
from benchmarks.options import Options
from benchmarks.stage import Stage, in_loop, whole
from tenants import provisioning
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_session, tenant_tx

GOAL = "under 50 ms with a spare"
FEWEST, MOST, PER_SECOND = 5, 60, 4


def measure(options: Options) -> tuple[Figures, Stage]:
    with whole() as stage:
        return in_loop(_measure(stage, options)), stage


async def _measure(stage: Stage, options: Options) -> Figures:
    wanted = min(MOST, max(FEWEST, round(options.seconds * PER_SECOND)))
    making = await _make_spares(stage.owner_url, wanted)
    verb_ms: list[float] = []
    page_ms: list[float] = []
    shown = 0
    with Client(stage.system.address) as client:
        await _sign_up(client, stage)  # the first one opens connections and loads templates
        for _ in range(wanted - 1):
            verb, first_page, is_shown = await _sign_up(client, stage)
            verb_ms.append(verb)
            page_ms.append(first_page)
            shown += is_shown
    whole_ms = [verb + first_page for verb, first_page in zip(verb_ms, page_ms, strict=True)]
    checks = await _count(wanted, shown)
    return Figures(
        value=median(whole_ms),
        unit="ms",
        reference=median(making),
        goal=GOAL,
        checks=checks,
        wrong=must_be_zero(checks, "shared_schemas", "without_storefront", "without_page"),
        details={
            "taking the spare and opening its storefront, ms": _spread(verb_ms),
            "first page over HTTP, ms": _spread(page_ms),
            "reference: one CREATE SCHEMA script, ms": _spread(making),
        },
    )


async def _make_spares(owner_url: str, wanted: int) -> list[float]:
    """Milliseconds each took."""
    connection = await asyncpg.connect(owner_url)
    took = []
    try:
        for _ in range(wanted):
            started = time.perf_counter()
            await provisioning.make_spare(connection)
            took.append((time.perf_counter() - started) * 1000)
    finally:
        await connection.close()
    return took


async def _sign_up(client: Client, stage: Stage) -> tuple[float, float, bool]:
    started = time.perf_counter()
    async with tenant_tx(PLATFORM) as tx:
        tenant: Tenant = await provisioning.take_spare(tx, slug=f"bench-{secrets.token_hex(4)}", name="Bench")
    async with tenant_session(tenant) as session:
        await catalog.open_storefront(session, name="Bench")
    taken = time.perf_counter()
    status = client.get(f"{tenant.slug}.shop.localhost:{stage.system.ports.web}", "/").status
    return (taken - started) * 1000, (time.perf_counter() - taken) * 1000, status == 200


async def _count(wanted: int, shown: int) -> dict[str, int]:
    async with tenant_tx(PLATFORM) as tx:
        rows = await tx.fetch("select schema_name from tenant where slug like 'bench-%'")
        shared = await tx.fetchval("select count(*) - count(distinct schema_name) from tenant")
    without = 0
    for row in rows:
        async with tenant_tx(PLATFORM) as tx:
            await tx.execute(f"set local role {row['schema_name']}")
            without += not await tx.fetchval(f"select count(*) from {row['schema_name']}.storefront")  # noqa: S608
    return {"signed_up": len(rows), "shared_schemas": shared, "without_storefront": without, "without_page": wanted - 1 - shown}


def _spread(values: list[float]) -> dict[str, float]:
    return {"p50": round(median(values), 1), "p95": round(quantile(values, 0.95), 1), "count": len(values)}
