"""Stock shared out to sales channels: quotas sell apart, moves and switches keep the sums, and nothing is ever there twice."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from app.access.models import MemberRole
from app.catalog import channels
from app.catalog.models import Sku
from app.inventory import allocating
from app.inventory import service as inventory
from app.inventory.allocating import NoQuotas, NotThere, SameQuota
from app.inventory.models import Allocation
from app.kernel.errors import NotFound
from app.ordering import placing
from app.ordering import service as ordering
from app.ordering.placing import Placed, SoldOut
from app.storefront.shelf import forget_shelf
from tenants.session import tenant_session, tenant_tx
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
A, B, POOL = "mini-program", "partner", None


async def shared_out(world: World, keys: int, **quotas: int) -> Sku:
    """A SKU with so many keys, and quotas of the two channels."""
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, keys)
    async with tenant_session(world.tenant) as session:
        for code in (A, B):
            await channels.add_channel(session, code=code, name=code.title(), actor=STAFF)
        await allocating.split(session, sku.id, Allocation.QUOTA, actor=STAFF)
        for code, units in (("mini-program", quotas.get("a", 0)), ("partner", quotas.get("b", 0))):
            if units:
                await allocating.move(session, sku.id, between=(POOL, code), units=units, actor=STAFF)
    forget_shelf(world.tenant)
    return sku


async def counted(world: World, sku: Sku) -> tuple[int, int, int]:
    """What is in the pool and in the two quotas."""
    row = (await world.rows("select available - allotted as pool from stock where sku_id = $1", sku.id))[0]
    rows = await world.rows("select channel_code, units from channel_quota where sku_id = $1", sku.id)
    units = {one["channel_code"]: one["units"] for one in rows}
    return row["pool"], units.get(A, 0), units.get(B, 0)


async def order(world: World, sku: Sku, channel: str, quantity: int = 1, contact: str = "13800132046") -> Placed:
    return await placing.place(world.tenant, await world.request(sku.listing.id, quantity, contact=contact, channel=channel))


async def move(world: World, sku: Sku, source: str | None, target: str | None, units: int) -> None:
    async with tenant_session(world.tenant) as session:
        await allocating.move(session, sku.id, between=(source, target), units=units, actor=STAFF)


async def test_a_channel_sells_its_quota_first_then_the_pool_and_never_anothers(world: World) -> None:
    sku = await shared_out(world, 10, a=3, b=4)
    assert await counted(world, sku) == (3, 3, 4)
    await order(world, sku, A, 2)
    assert await counted(world, sku) == (3, 1, 4)
    await order(world, sku, A, 3, contact="13800132047")
    assert await counted(world, sku) == (1, 0, 4)
    await order(world, sku, "storefront", 1, contact="13800132048")
    for channel in ("storefront", A):
        with pytest.raises(SoldOut):
            await order(world, sku, channel, 1, contact="13800132049")
    await order(world, sku, B, 4, contact="13800132050")
    assert await world.value("select (available, reserved) = (0, 10) from stock")
    rows = await world.rows("select sales_channel, count(*)::int as n from shop_order group by 1 order by 1")
    assert [(row["sales_channel"], row["n"]) for row in rows] == [(A, 2), (B, 1), ("storefront", 1)]


async def test_switching_the_mode_keeps_the_sums_and_is_audited(world: World) -> None:
    sku = await shared_out(world, 10, a=3, b=4)
    async with tenant_session(world.tenant) as session:
        for _ in range(2):
            await allocating.split(session, sku.id, Allocation.SHARED, actor=STAFF)
    assert await counted(world, sku) == (10, 0, 0)
    with pytest.raises(NoQuotas):
        await move(world, sku, POOL, A, 1)
    async with tenant_session(world.tenant) as session:
        await allocating.split(session, sku.id, Allocation.QUOTA, actor=STAFF)
    assert await counted(world, sku) == (10, 0, 0)
    await move(world, sku, POOL, B, 10)
    assert await counted(world, sku) == (0, 0, 10)
    assert await world.value("select count(*) from audit_entry where action = 'stock.allocation_set'") == 3
    assert await world.value("select count(*) from audit_entry where action = 'stock.quota_moved'") == 3


async def test_more_than_is_there_is_not_moved(world: World) -> None:
    sku = await shared_out(world, 10, a=3, b=4)
    for source, target, units in ((POOL, A, 4), (A, B, 4), (B, POOL, 5)):
        with pytest.raises(NotThere):
            await move(world, sku, source, target, units)
    with pytest.raises(SameQuota):
        await move(world, sku, A, A, 1)
    with pytest.raises(NotFound):
        await move(world, sku, POOL, "nobody", 1)
    assert await counted(world, sku) == (3, 3, 4)


async def test_an_order_let_go_gives_its_units_back_to_its_quota(world: World) -> None:
    sku = await shared_out(world, 10, a=3, b=4)
    placed = await order(world, sku, A, 5)
    assert await counted(world, sku) == (1, 0, 4)
    async with tenant_tx(world.tenant) as tx:
        await ordering.cancel(tx, placed.id, actor=STAFF)
    assert await counted(world, sku) == (3, 3, 4)
    again = await order(world, sku, A, 3)
    async with tenant_session(world.tenant) as session:
        await allocating.split(session, sku.id, Allocation.SHARED, actor=STAFF)
    async with tenant_tx(world.tenant) as tx:
        await ordering.cancel(tx, again.id, actor=STAFF)
    assert await counted(world, sku) == (10, 0, 0), "there are no quotas any more"


async def test_keys_that_are_gone_leave_the_quotas_too(world: World) -> None:
    sku = await shared_out(world, 10, a=3, b=6)
    async with tenant_tx(world.tenant) as tx:
        keys = await tx.fetch("select id from card_key where sku_id = $1 limit 4", sku.id)
    for key in keys:
        async with tenant_session(world.tenant) as session:
            await inventory.void_key(session, card_key_id=key["id"], reason="broken", actor=STAFF)
    assert await counted(world, sku) == (0, 3, 3)
    assert await world.value("select sum(units)::int from quota_move where reason = 'lost'") == 3


async def test_an_idle_quota_goes_back_to_the_pool_when_its_time_has_come(world: World) -> None:
    sku = await shared_out(world, 10, a=3, b=4)
    async with tenant_session(world.tenant) as session:
        await allocating.set_idle(session, sku.id, {A: 2, B: None}, actor=STAFF)
    async with tenant_tx(world.tenant) as tx:
        await allocating.return_idle(tx, sku.id)
    assert await counted(world, sku) == (3, 3, 4), "it is not idle yet"
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update channel_quota set stirred_at = now() - interval '3 hours'")
        await tx.execute("update task set run_at = now() where kind = 'inventory.return_idle'")
    await world.work()
    assert await counted(world, sku) == (6, 0, 4)
    assert await world.value("select reason from quota_move order by created_at desc limit 1") == "idle"


async def drained(world: World, sku: Sku) -> Counter[str]:
    """Many buyers of both channels and the shop at once, with moves in flight; how many of each bought."""
    requests = [
        await world.request(sku.listing.id, 1, contact=f"1380013{2000 + n}", channel=(A, B, "storefront")[n % 3])
        for n in range(60)
    ]

    async def buy(request: placing.Request) -> str:
        try:
            await placing.place(world.tenant, request)
        except SoldOut:
            return ""
        return request.sales_channel

    async def shift(source: str | None, target: str | None) -> str:
        try:
            await move(world, sku, source, target, 2)
        except NotThere:
            return ""
        return ""

    moves: list[Awaitable[str]] = [shift(*between) for between in [(A, B), (B, A), (A, POOL), (POOL, B)] * 3]
    buyers: list[Awaitable[str]] = [buy(request) for request in requests]
    return Counter(await asyncio.gather(*buyers[:30], *moves, *buyers[30:]))


async def left(world: World, sku: Sku) -> int:
    return sum(await counted(world, sku))


async def test_two_channels_drain_while_units_move_and_nothing_is_sold_twice(world: World) -> None:
    sku = await shared_out(world, 30, a=12, b=12)
    sold = await drained(world, sku)
    bought = sum(units for channel, units in sold.items() if channel)
    assert bought + await left(world, sku) == 30
    assert await world.value("select reserved from stock") == bought
    assert await world.value("select count(*) from delivery_unit") == bought


SQL = Path(__file__).resolve().parents[3] / "app" / "inventory" / "sql" / "take_of_quota.sql"


async def many_in_the_shop(world: World, sku: Sku) -> int:
    """Twenty buyers of the shop in the same instant; how many bought."""
    requests = [await world.request(sku.listing.id, contact=f"1380013{2000 + n}") for n in range(20)]
    answers = await asyncio.gather(*(placing.place(world.tenant, one) for one in requests), return_exceptions=True)
    return sum(isinstance(answer, Placed) for answer in answers)


async def test_the_shop_sells_the_pool_and_nothing_of_the_quotas(world: World) -> None:
    sku = await shared_out(world, 15, a=8, b=4)
    assert await many_in_the_shop(world, sku) == 3
    assert await counted(world, sku) == (0, 8, 4)


async def test_red_without_the_condition_the_shop_sells_what_is_kept_for_others(world: World) -> None:
    sku = await shared_out(world, 15, a=8, b=4)
    guard = " and available - allotted >= p_units - v_own"
    source = SQL.read_text()
    assert guard in source
    owner = await asyncpg.connect(world.urls.owner_url)
    try:
        await owner.execute(f"set search_path to {world.tenant.schema}")
        await owner.execute("alter table stock drop constraint ck_stock_allotted_is_there; drop trigger trim_quotas on stock")
        await owner.execute(source.replace(guard, ""))
    finally:
        await owner.close()
    assert await many_in_the_shop(world, sku) > 3


async def test_the_page_shows_the_quotas_moves_them_and_says_what_is_wrong(world: World) -> None:
    sku = await shared_out(world, 10, a=3, b=4)
    owner, path = await staff(world), f"/skus/{sku.id}/allocation"
    shown = words((await owner.get(path)).text)
    assert re.search(r"In the pool\s*3\b", shown), shown
    assert "3 from the pool to Mini-Program" in shown
    assert (await owner.post(f"{path}/moves", {"source": A, "target": "-", "units": "1"})).status_code == 303
    assert await counted(world, sku) == (4, 2, 4)
    for sent, sentence in (
        ({"source": A, "target": B, "units": "9"}, "Only 2 are left there"),
        ({"source": A, "target": A, "units": "1"}, "two different places"),
        ({"source": A, "target": "nobody", "units": "1"}, "Choose one of the options."),
        ({"source": A, "target": B, "units": "0"}, "At least one."),
        ({"source": A, "target": B, "units": "-1"}, "Type a whole number"),
        ({}, "Fill this in."),
    ):
        answer = await owner.post(f"{path}/moves", sent)
        assert answer.status_code == 422, sent
        assert sentence in words(answer.text), sent
    answer = await owner.post(path, {"allocation": "quota", f"idle-{A}": "0", f"idle-{B}": "x"})
    assert answer.status_code == 422
    assert f'id="f-idle-{A}-error"' in answer.text
    assert f'id="f-idle-{B}-error"' in answer.text
    assert (await owner.post(path, {"allocation": "sideways"})).status_code == 422
    assert (await owner.post(path, {"allocation": "shared"})).status_code == 303
    assert await counted(world, sku) == (10, 0, 0)


async def test_roles_and_other_tenants(world: World) -> None:
    sku = await shared_out(world, 10, a=3)
    path = f"/skus/{sku.id}/allocation"
    viewer = await staff(world, MemberRole.READ_ONLY)
    assert (await viewer.get(path)).status_code == 200
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    for person, status in ((viewer, 403), (stranger, 404)):
        assert (await person.post(path, {"allocation": "shared"})).status_code == status
        assert (await person.post(f"{path}/moves", {"source": A, "target": "-", "units": "1"})).status_code == status
    assert (await stranger.get(path)).status_code == 404
    owner = await staff(world)
    assert (await owner.get(f"/skus/{UUID(int=5)}/allocation")).status_code == 404
