"""64 buyers at once on one hot SKU until it is sold out, over HTTP on two web processes, against pgbench with the same writes on one row."""

from __future__ import annotations

from dataclasses import replace
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
"""Of a round in which the stock should be sold; the rest of it finds nothing left."""
MOST_RUNS = 5


def measure(options: Options) -> tuple[Figures, Stage]:
    with whole() as stage:
        return in_loop(_measure(stage, options)), stage


async def _measure(stage: Stage, options: Options) -> Figures:
    shop = await open_shop(stage.owner_url, skus=3 + options.rounds, stock=PLENTY, is_hot=True)
    await orders.prepare_reference(shop)
    await tidy(stage.owner_url, shop.tenant)
    script = orders.reference_script(shop, last=1)
    sent = orders.load_of(stage, shop, shop.listings[1:2], connections=BUYERS, seconds=1)
    expected = await _warm_up(shop, sent)
    references: list[float] = []
    values: list[float] = []
    stocked = 0
    for number in range(options.rounds):
        if found := stage.pgbench.run(shop.tenant, script, clients=BUYERS, seconds=options.round_s):
            references.append(found.per_second)
        stock = int(expected * options.round_s * SHARE)
        stocked += stock
        this_one = replace(sent, listings=(str(shop.listings[3 + number]),), seconds=options.round_s)
        values.append(await _sell_out(shop, shop.skus[3 + number], stock, this_one))
    alone = await orders.in_process(shop, shop.listings[2:3], buyers=BUYERS, seconds=max(1.0, options.round_s / 2))
    checks = await _count(shop, stocked)
    return Figures(
        value=median(values),
        unit="orders/s",
        reference=median(references) if references else None,
        goal=GOAL,
        checks=checks,
        wrong=must_be_zero(checks, *orders.ZEROES, "unsold"),
        details={
            f"pgbench, {BUYERS} clients on one row, by round": [round(value) for value in references],
            "orders/s over HTTP until sold out, by round": [round(value) for value in values],
            "stock offered over the rounds": stocked,
            "orders/s of the verb alone in one process": round(alone),
        },
    )


async def _warm_up(shop: Shop, sent: Load) -> float:
    """Orders a second to expect."""
    load.run(sent)
    before = await orders.sold(shop)
    came = load.run(sent)
    return (await orders.sold(shop) - before) / came.seconds


async def _sell_out(shop: Shop, sku_id: UUID, stock: int, sent: Load) -> float:
    """Orders a second from the first to the last of a stock. Buyers keep coming after it is gone."""
    async with tenant_tx(shop.tenant) as tx:
        await tx.execute("update stock set imported = $2, available = $2 where sku_id = $1", sku_id, stock)
    came = load.run(sent)
    sold_at_first = await orders.sold(shop, sku_id)
    for _ in range(MOST_RUNS):
        if await orders.sold(shop, sku_id) >= stock:
            break
        load.run(sent)
    if sold_at_first < stock:
        return sold_at_first / came.seconds
    async with tenant_tx(shop.tenant) as tx:
        return stock / float(await tx.fetchval(_SECONDS, sku_id))


async def _count(shop: Shop, stocked: int) -> dict[str, int]:
    async with tenant_tx(shop.tenant) as tx:
        row = await tx.fetchrow(_SOLD_OUT, list(shop.skus[3:]))
    assert row is not None
    return {**await orders.count(shop.tenant), "sold": row["sold"], "unsold": row["left"] + abs(stocked - row["sold"])}


_SECONDS = """
select extract(epoch from max(o.placed_at) - min(o.placed_at))
from shop_order o join order_line l on l.order_id = o.id
where l.sku_id = $1
"""
_SOLD_OUT = """
select (select coalesce(sum(quantity), 0) from order_line where sku_id = any($1))::int as sold,
       (select coalesce(sum(available), 0) from stock where sku_id = any($1))::int as left
"""
