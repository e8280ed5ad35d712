"""64 buyers at once on one hot SKU until it is sold out: the verb that places orders, against pgbench with the same writes on one row.

Neither has HTTP in it. The same sell-out over HTTP on two web processes is measured in the same run and printed beside.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from uuid import UUID

from benchmarks import load, orders
from benchmarks.figures import Figures, median, must_be_zero
from benchmarks.load import Load
from benchmarks.options import Options
from benchmarks.stage import Shop, Stage, in_loop, open_shop, tidy, whole
from tenants.session import tenant_tx

GOAL = "at least 8 times pgbench with 64 clients, with exactly the stock sold"
BUYERS = 64
PLENTY = 10_000_000
SHARE = 0.7
"""Of a round in which the stock should be sold; whoever comes in the rest of it finds nothing left."""
MOST_RUNS = 5
LIKE_PGBENCH, WARM_UP = 0, 1
"""SKUs by their place on the shelf: the reference's, the one to warm up on; the others sell out, one per round and way."""


@dataclass
class Sales:
    """Rates in orders a second by round, and what was offered."""

    pgbench: list[float] = field(default_factory=list)
    verb: list[float] = field(default_factory=list)
    http: list[float] = field(default_factory=list)
    stocked: int = 0


def measure(options: Options) -> tuple[Figures, Stage]:
    with whole() as stage:
        return in_loop(_measure(stage, options)), stage


async def _measure(stage: Stage, options: Options) -> Figures:
    shop = await open_shop(stage.owner_url, skus=2 + 2 * options.rounds, stock=PLENTY, is_hot=True)
    await orders.prepare_reference(shop)
    await tidy(stage.owner_url, shop.tenant)
    sent = orders.load_of(stage, shop, shop.listings[WARM_UP : WARM_UP + 1], connections=BUYERS, seconds=1)
    load.run(sent)
    expected_http = load.run(sent).per_second
    expected_verb = await orders.in_process(shop, shop.listings[WARM_UP : WARM_UP + 1], buyers=BUYERS, seconds=1)
    script = orders.reference_script(shop, last=LIKE_PGBENCH + 1)
    sales = Sales()
    for number in range(options.rounds):
        if found := stage.pgbench.run(shop.tenant, script, clients=BUYERS, seconds=options.round_s):
            sales.pgbench.append(found.per_second)
        by_verb, by_http = 2 + 2 * number, 3 + 2 * number
        await _stock(shop, by_verb, int(expected_verb * options.round_s * SHARE), sales)
        sales.verb.append(await _sell_out(shop, by_verb))
        await _stock(shop, by_http, int(expected_http * options.round_s * SHARE), sales)
        over_http = replace(sent, listings=(str(shop.listings[by_http]),), seconds=options.round_s)
        sales.http.append(await _sell_out_over_http(shop, shop.skus[by_http], over_http))
    return _figures(sales, await _count(shop, sales.stocked))


async def _stock(shop: Shop, place: int, units: int, sales: Sales) -> None:
    async with tenant_tx(shop.tenant) as tx:
        await tx.execute("update stock set imported = $2, available = $2 where sku_id = $1", shop.skus[place], units)
    sales.stocked += units


async def _sell_out(shop: Shop, place: int) -> float:
    return await orders.in_process(shop, shop.listings[place : place + 1], buyers=BUYERS, seconds=60)


async def _sell_out_over_http(shop: Shop, sku_id: UUID, sent: Load) -> float:
    """Orders a second from the first to the last of a stock, or of what the first run sold where it did not sell all."""
    came = load.run(sent)
    sold = await orders.sold(shop, sku_id)
    async with tenant_tx(shop.tenant) as tx:
        left = await tx.fetchval("select available from stock where sku_id = $1", sku_id)
        took_s = came.seconds if left else float(await tx.fetchval(_SECONDS, sku_id))
    for _ in range(MOST_RUNS):
        if not left:
            break
        load.run(sent)
        async with tenant_tx(shop.tenant) as tx:
            left = await tx.fetchval("select available from stock where sku_id = $1", sku_id)
    return sold / took_s


async def _count(shop: Shop, stocked: int) -> dict[str, int]:
    async with tenant_tx(shop.tenant) as tx:
        row = await tx.fetchrow(_SOLD_OUT, list(shop.skus[2:]))
    assert row is not None
    return {
        **await orders.count(shop.tenant),
        "sold": row["sold"],
        "stock": stocked,
        "unsold": row["left"] + abs(stocked - row["sold"]),
    }


def _figures(sales: Sales, checks: dict[str, int]) -> Figures:
    reference = median(sales.pgbench) if sales.pgbench else None
    return Figures(
        value=median(sales.verb),
        unit="orders/s",
        reference=reference,
        goal=GOAL,
        checks=checks,
        wrong=must_be_zero(checks, *orders.ZEROES, "unsold"),
        details={
            f"pgbench, {BUYERS} clients on one row, orders/s by round": [round(rate) for rate in sales.pgbench],
            f"the verb, {BUYERS} buyers in one process, until sold out": [round(rate) for rate in sales.verb],
            f"over HTTP, {BUYERS} connections on two processes, until sold out": [round(rate) for rate in sales.http],
            "over HTTP to pgbench": round(median(sales.http) / reference, 2) if reference else "no reference",
        },
    )


_SECONDS = """
select extract(epoch from max(o.placed_at) - min(o.placed_at))
from shop_order o join order_line l on l.order_id = o.id
where l.sku_id = $1
"""
_SOLD_OUT = """
select (select coalesce(sum(quantity), 0) from order_line where sku_id = any($1))::int as sold,
       (select coalesce(sum(available), 0) from stock where sku_id = any($1))::int as left
"""
