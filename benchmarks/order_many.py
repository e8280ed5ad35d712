"""Orders on 1,000 SKUs: the whole HTTP path of two web processes, against pgbench with the same writes."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import load, orders
from benchmarks.figures import Figures, median, must_be_zero
from benchmarks.options import Options
from benchmarks.stage import Stage, in_loop, open_shop, tidy, whole

GOAL = "at least 0.5 of pgbench with 8 clients"
SKUS, STOCK = 1000, 1_000_000
CLIENTS, BUYERS = 8, 32


def measure(options: Options) -> tuple[Figures, Stage]:
    with whole() as stage:
        return in_loop(_measure(stage, options)), stage


async def _measure(stage: Stage, options: Options) -> Figures:
    shop = await open_shop(stage.owner_url, skus=SKUS, stock=STOCK)
    await orders.prepare_reference(shop)
    await tidy(stage.owner_url, shop.tenant)
    script = orders.reference_script(shop, last=SKUS)
    sent = orders.load_of(stage, shop, shop.listings, connections=BUYERS, seconds=options.round_s)
    load.run(replace(sent, seconds=1))
    references: list[float] = []
    values: list[float] = []
    told: list[str] = []
    refused = 0
    for _ in range(options.rounds):
        if found := stage.pgbench.run(shop.tenant, script, clients=CLIENTS, seconds=options.round_s):
            references.append(found.per_second)
        before = await orders.sold(shop)
        came = load.run(sent)
        values.append((await orders.sold(shop) - before) / came.seconds)
        told.append(came.told)
        refused += came.refused + came.lost
    alone = await orders.in_process(shop, shop.listings, buyers=BUYERS, seconds=max(1.0, options.round_s / 2))
    checks = {**await orders.count(shop.tenant), "refused": refused}
    return Figures(
        value=median(values),
        unit="orders/s",
        reference=median(references) if references else None,
        goal=GOAL,
        checks=checks,
        wrong=must_be_zero(checks, *orders.ZEROES, "refused"),
        details={
            "load": "; ".join(told),
            f"pgbench, {CLIENTS} clients, by round": [round(value) for value in references],
            "orders/s over HTTP, by round": [round(value) for value in values],
            "orders/s of the verb alone in one process": round(alone),
        },
    )
