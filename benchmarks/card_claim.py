"""Claiming card-keys from a large pool, half of it sold: the service as a drain calls it, against pgbench with the best statement for one key."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from uuid import UUID

from app.inventory import service as inventory
from app.kernel import clock
from benchmarks.figures import Figures, median, must_be_zero
from benchmarks.options import Options
from benchmarks.stage import Shop, Stage, database, in_loop, open_shop, tidy
from tenants.session import tenant_tx

GOAL = "at least 0.8 of the best statement"
POOL = 1_000_000
SMALL_POOL = 60_000
"""For runs under three seconds, where making a million keys would take longer than the run."""
AT_ONCE = 8
PARTS = 4
"""Of a round: two statements of the reference, two batch sizes of the service."""
DRAIN_BATCH = 100
"""A drain hands a hundred paid orders to one delivery, which claims the keys of each SKU in one call."""


@dataclass
class Claims:
    """What the service handed out, and how fast, in keys a second per round."""

    ids: list[UUID] = field(default_factory=list)
    rates: dict[int, list[float]] = field(default_factory=lambda: {DRAIN_BATCH: [], 1: []})
    by_pgbench: int = 0


def measure(options: Options) -> tuple[Figures, Stage]:
    with database() as stage:
        return in_loop(_measure(stage, options)), stage


async def _measure(stage: Stage, options: Options) -> Figures:
    pool = POOL if options.seconds >= 3 else SMALL_POOL
    shop = await open_shop(stage.owner_url, skus=1, stock=0)
    await _fill(shop, pool)
    await tidy(stage.owner_url, shop.tenant)
    claims = Claims()
    scripts = {"the function, one key": _function_script(shop), "the plain statement with a pivot": _plain_script(shop)}
    references: dict[str, list[float]] = {name: [] for name in scripts}
    for _ in range(options.rounds):
        for name, script in scripts.items():
            before = await _taken(shop)
            if found := stage.pgbench.run(shop.tenant, script, clients=AT_ONCE, seconds=options.round_s / PARTS):
                references[name].append(found.per_second)
            claims.by_pgbench += await _taken(shop) - before
        for units in claims.rates:
            await _claim(shop, claims, units, options.round_s / PARTS)
    checks = await _count(shop, claims, pool)
    best = {name: round(median(values)) for name, values in references.items() if values}
    service = {f"{units} keys a call": round(median(values)) for units, values in claims.rates.items()}
    return Figures(
        value=median(claims.rates[DRAIN_BATCH]),
        unit="keys/s",
        reference=max(best.values(), default=None),
        goal=GOAL,
        checks=checks,
        wrong=must_be_zero(checks, "duplicates", "uncounted"),
        details={
            "pool": f"{pool:,} keys, half of them sold",
            f"pgbench, {AT_ONCE} clients, keys/s": best,
            f"service, {AT_ONCE} at once in one process, keys/s": service,
            "like for like, one key a call": round(service["1 keys a call"] / max(best.values()), 3) if best else "no reference",
            "value": f"the drain's batch of {DRAIN_BATCH}",
        },
    )


async def _claim(shop: Shop, claims: Claims, units: int, seconds: float) -> None:
    ends, done = time.perf_counter() + seconds, 0

    async def drain() -> None:
        nonlocal done
        while time.perf_counter() < ends:
            async with tenant_tx(shop.tenant) as tx:
                keys = await inventory.claim_keys(tx, sku_id=shop.skus[0], units=units)
            claims.ids.extend(key.id for key in keys)
            done += len(keys)
            if len(keys) < units:
                return

    started = time.perf_counter()
    await asyncio.gather(*(drain() for _ in range(AT_ONCE)))
    claims.rates[units].append(done / (time.perf_counter() - started))


async def _taken(shop: Shop) -> int:
    async with tenant_tx(shop.tenant) as tx:
        return int(await tx.fetchval("select count(*) from card_key where changed_at is not null"))


async def _fill(shop: Shop, pool: int) -> None:
    """Sealed bytes are random: a claim does not open them."""
    async with tenant_tx(shop.tenant) as tx:
        await tx.execute("set local synchronous_commit = off")
        await tx.execute("set local statement_timeout = 0")
        await tx.connection.execute(_POOL, shop.skus[0], pool, timeout=600)


async def _count(shop: Shop, claims: Claims, pool: int) -> dict[str, int]:
    async with tenant_tx(shop.tenant) as tx:
        row = await tx.fetchrow(_CHECKS, claims.ids, pool // 2, claims.by_pgbench)
    assert row is not None
    return dict(row.items())


def _function_script(shop: Shop) -> str:
    return (
        "\\set pivot random(0, 2147483646)\n"
        f"select id, masked, unit_cost from claim_card_keys('{shop.skus[0]}', 1, '{clock.business_day()}', :pivot);\n"
    )


def _plain_script(shop: Shop) -> str:
    return "\\set pivot random(0, 2147483646)\n" + _PLAIN.format(sku=shop.skus[0])


_POOL = """
insert into card_key (id, sku_id, batch_id, state, pos, expires_on, masked, secret, fingerprint, tail_fingerprint, unit_cost)
select gen_random_uuid(), $1, '00000000-0000-0000-0000-000000000001', case when random() < 0.5 then 'delivered' else 'free' end,
       (random() * 2147483646)::int, 'infinity', '****' || n % 10000, sha256(int8send(n)) || sha256(int8send(-n)), sha256(int8send(n)),
       sha256(int8send(n % 10000)), 14.7
from generate_series(1, $2::bigint) n
"""
_PLAIN = """
with chosen as (
  select id from card_key
  where sku_id = '{sku}' and state = 'free' and expires_on = 'infinity' and pos >= :pivot
  order by pos limit 1 for update skip locked
)
update card_key k set state = 'delivered', changed_at = now() from chosen where k.id = chosen.id
returning k.id, k.masked, k.unit_cost;
"""
_CHECKS = """
select cardinality($1::uuid[]) as sold,
       cardinality($1::uuid[]) - (select count(distinct id) from unnest($1::uuid[]) as c (id)) as duplicates,
       abs((select count(*) from card_key where changed_at is not null) - cardinality($1::uuid[]) - $3::bigint) as uncounted,
       (select count(*) from card_key where state = 'free') as left_free,
       $2::bigint as free_at_first
"""
