"""What the demo's merchant bought from its suppliers: a fortnight of purchases, one that another supplier had to take over, a statement and bills."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from app.access import messages
from app.fulfillment import asking, buying
from app.kernel import clock
from app.kernel.contact import Contact
from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from app.ordering import placing, rules
from app.ordering.placing import Request
from app.ordering.rules import Offered
from app.settlement import closing, importing, matching
from app.settlement.importing import Given
from app.storefront.shelf import shelf_of
from app.suppliers import syncing
from operations.demo_data import MAINLAND, trade
from operations.demo_data.people import Opened
from operations.demo_data.supplying import Supplied, tell
from operations.demo_data.trade import Fate, Plan, Traded
from tenants.directory import Tenant
from tenants.session import tenant_tx
from workers.drain import drain_home

_SEED = 7
_WITHIN_S = 60
_TRADED = (
    (("话费直充", "50 元"), 9, 0),
    (("话费直充", "100 元"), 6, 0),
    (("海外话费", "任意金额"), 4, 1_500),
    (("流波云课堂 月卡", "标准"), 4, 0),
    (("微澜修图 季卡", "标准"), 3, 0),
)
"""What buyers bought, how often, and at which face value where they chose one."""


async def buy(opened: Opened, supplied: Supplied) -> list[Traded]:
    """Let buyers buy what suppliers deliver, until all of it is there. One purchase is refused by the cheaper company and goes to the other."""
    refusal = {"match": {"on": "place", "sku": "10050"}, "actions": [{"refuse": "out_of_stock"}], "times": 1}
    await tell(supplied.desks[MAINLAND], "POST", "/script", refusal)
    draw, shelf = random.Random(_SEED), await shelf_of(opened.tenant)  # noqa: S311  # a demo that looks alike every time
    placed = []
    for named, times, value_minor in _TRADED:
        offered = supplied.listings[named]
        wanted = offered.at(value_minor) if value_minor else offered
        for number in range(times):
            contact, at = trade.buyer(draw.randrange(1, 60)), clock.now() - timedelta(hours=draw.randrange(20, 13 * 24))
            plan = Plan(offered.listing_id, 1, contact, at, Fate.DELIVERED)
            order = await _place(opened.tenant, shelf.face.storefront_id, wanted, contact, phone=number)
            placed.append(Traded(plan, order))
            await trade.pay(opened.tenant, order)
    await _deliver(opened.tenant, placed)
    await _turn_prices(opened.tenant, supplied)
    return placed


async def settle(opened: Opened, supplied: Supplied) -> None:
    """Take in one supplier's statement, in which one purchase costs more than it did, and close the bills of the periods that are over."""
    last = clock.business_day() - timedelta(days=1)
    first = last - timedelta(days=13)
    async with tenant_tx(opened.tenant) as tx:
        rows = await tx.fetch(_BOUGHT, supplied.connections[MAINLAND], clock.day_range(first)[0], clock.day_range(last)[1])
        lines = ["商户订单号,平台订单号,结算金额,状态"]
        for number, row in enumerate(rows):
            cost = row["cost"] + (Decimal("0.30") if number == 1 else 0)
            lines.append(f"{row['out_no']},{row['supplier_ref']},{cost:.2f},成功")
        given = Given("\n".join(lines).encode(), "青汇卡券结算单.csv", first, last, {})
        statement_id, _ = await importing.import_file(tx, supplied.connections[MAINLAND], given, actor=opened.owner)
        await matching.match(tx, statement_id)
    readers = await messages.money_watchers(opened.tenant)
    async with tenant_tx(opened.tenant) as tx:
        for row in await tx.fetch("select id from supplier where settlement_days > 0"):
            await closing.close_due(tx, row["id"], readers)


async def _place(tenant: Tenant, storefront_id: UUID, offered: Offered, contact: Contact, *, phone: int) -> placing.Placed:
    number = f"+44740012345{phone}" if offered.values else f"138{phone:02d}4400{phone:02d}"
    stated = {(offered.listing_id, offered.sku_id): {"phone": number}} if offered.buyer_fields else {}
    request = Request(storefront_id, rules.quote([(offered, 1)], stated), contact, "zh_CN", str(new_id()), is_confirmed=True)
    return await placing.place(tenant, request)


async def _deliver(tenant: Tenant, placed: Sequence[Traded]) -> None:
    """Do the worker's part until every order has ended: buy, and ask at once about what was taken in. Raises: TimeoutError."""
    ids = [one.order.id for one in placed]
    async with asyncio.timeout(_WITHIN_S):
        while True:
            await trade.work(tenant)
            while await drain_home(tenant, Lane.SUPPLY):
                pass
            async with tenant_tx(tenant) as tx:
                asked = [row["id"] for row in await tx.fetch(_UNDECIDED, ids)]
                is_over = not await tx.fetchval(_UNDELIVERED, ids)
            if is_over:
                break
            if asked:
                await asking.ask(tenant, asked)
            else:
                await asyncio.sleep(0.05)
    await buying.finish(within_s=5)


async def _turn_prices(tenant: Tenant, supplied: Supplied) -> None:
    """Two prices move, as they do: one up, one down, each seen at the next reading."""
    await tell(supplied.desks[MAINLAND], "PATCH", "/goods/20103", {"cost": "22.2"})
    await tell(supplied.desks[MAINLAND], "PATCH", "/goods/10100", {"cost": "98.45"})
    for sku in ("20103", "10100"):
        await syncing.refresh(tenant, supplied.offers[sku])
    await trade.work(tenant)


_UNDECIDED = "select id from attempt where order_id = any($1) and state in ('accepted', 'unknown')"
_UNDELIVERED = "select exists (select 1 from shop_order where id = any($1) and state not in ('delivered', 'refunded'))"
_BOUGHT = """
select out_no, supplier_ref, coalesce(unit_cost, expected_cost) as cost from attempt
where connection_id = $1 and state = 'succeeded' and decided_at >= $2 and decided_at < $3
order by decided_at
"""
