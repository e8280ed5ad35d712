"""A card SKU sold by face value has no stock of its own: neither are keys there when it begins, nor do any come, however close the two are."""

from __future__ import annotations

import asyncio
import html
from decimal import Decimal
from uuid import UUID

import pytest

from app.catalog.bundles import NotAPart
from app.catalog.models import Product
from app.catalog.values import ValueRange
from app.inventory import by_value, importing
from app.inventory import service as inventory
from app.inventory.bought import BoughtKey, store_bought
from app.inventory.by_value import HasStock, KeysOnTheWay, SoldByValue
from app.inventory.models import NEVER, KeyState
from app.kernel.ids import new_id
from app.pricing import ranges
from app.replenishment import restocking
from app.replenishment.restocking import Restock
from app.replenishment.service import NoSuchGoods
from tenants.session import tenant_session, tenant_tx
from tests.app.ordering.bundles import bundle
from tests.app.replenishment.asked import asked, desk, line_of, supplier
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
ANY = ValueRange(1000, 50_000, 500, Decimal("7.3"), "USD")
WAITS = "select true from pg_locks where not granted limit 1"
REASON = {"reason": "The supplier recalls it"}


def form(product: Product, **changes: str) -> dict[str, str]:
    typed = {"by": "range", "least": "10", "most": "500", "step": "5", "rate": "7.3", "currency": "USD"} | changes
    return {f"{product.skus[0].id}-{name}": value for name, value in typed.items()}


async def sell_by_value(world: World, product: Product, wanted: ValueRange | None = ANY) -> None:
    async with tenant_session(world.tenant) as session:
        await ranges.set_range(session, product.id, product.skus[0].id, wanted, actor=STAFF)


async def ready(world: World, sku_id: UUID) -> str:
    """A checked upload of five keys that waits to be confirmed."""
    body = b"\n".join(b"KEY-%04d-READY" % number for number in range(5))
    async with tenant_session(world.tenant) as session:
        terms: tuple[Decimal, None] = (Decimal("14.7"), None)
        batch = await importing.start_import(session, sku_id=sku_id, body=body, file_name="keys.txt", terms=terms, actor=STAFF)
    await importing.check(world.tenant, batch.id)
    return batch.batch_no


async def confirm(world: World, batch_no: str) -> None:
    async with tenant_session(world.tenant) as session:
        await importing.confirm(session, batch_no=batch_no, actor=STAFF)


@pytest.mark.parametrize("kind", ["card_key", "direct_top_up", "voucher", "serial", "link", "bundle", "subscription", "manual"])
def test_what_suppliers_credit_or_issue_may_be_sold_by_value(kind: str) -> None:
    assert ranges.by_value(kind) is (kind in ("card_key", "direct_top_up"))


async def test_keys_for_sale_and_units_in_orders_are_named_and_must_go_first(world: World) -> None:
    product, owner = await world.product(), await staff(world)
    sku, path = product.skus[0], f"/products/{product.id}/values"
    batch_no = await world.stock(sku.id, 3)
    placed = await world.order(sku.listing.id)
    refused = await owner.post(path, form(product))
    assert refused.status_code == 422
    text = words(html.unescape(refused.text))
    assert "3 keys for sale, 1 units in orders that wait" in text
    assert "Quarantine or void the keys" in text
    assert f'id="f-{sku.id}-by-error"' in refused.text
    assert await world.value("select count(*) from sku_range") == 0
    assert (await owner.post(f"/imports/{batch_no}/quarantine", REASON)).status_code == 303
    assert "0 keys for sale, 1 units in orders" in words(html.unescape((await owner.post(path, form(product))).text))
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update shop_order set expires_at = now() - interval '1 minute' where id = $1", placed.id)
        await tx.execute("update task set run_at = now() where state = 'waiting'")
    await world.work()
    assert await world.value("select reserved from stock") == 0
    assert (await owner.post(path, form(product))).status_code == 303
    back = await owner.post(f"/imports/{batch_no}/release", REASON)
    assert back.status_code == 409
    assert "sold by face value and has no stock of its own" in html.unescape(back.text)
    assert await world.value("select count(*) from card_key where state = 'free'") == 0
    assert (await owner.post(path, form(product, by="one"))).status_code == 303
    assert (await owner.post(f"/imports/{batch_no}/release", REASON)).status_code == 303
    assert await world.value("select available from stock") == 3


async def test_no_way_leads_keys_onto_the_shelf_of_what_is_sold_by_value(world: World) -> None:
    product, owner = await world.product(), await staff(world)
    sku_id = product.skus[0].id
    waiting = await ready(world, sku_id)
    north = await supplier(world)
    no = await asked(world, north, (sku_id, 5), confirmed=True)
    await sell_by_value(world, product)
    typed = await owner.post(f"/card-pools/{sku_id}/imports", {"keys": "KEY-0001-TYPED", "unit_cost": "1"})
    assert typed.status_code == 422
    assert "sold by face value" in typed.text
    assert "KEY-0001-TYPED" in typed.text, "what was typed is still there"
    confirmed = await owner.post(f"/imports/{waiting}/confirmation")
    assert confirmed.status_code == 409
    assert "no stock of its own" in html.unescape(confirmed.text)
    line = await line_of(world, no)
    given = await (await desk(world, north)).post(f"/{no}/lines/{line}/files", {"keys": "KEY-0002-GIVEN"})
    assert given.status_code in (409, 422)
    assert "sold by face value" in given.text
    with pytest.raises(SoldByValue):
        await importing.import_at_once(
            world.tenant, sku_id=sku_id, body=b"KEY-0003-ATONCE", file_name="", unit_cost=Decimal(1), actor=STAFF
        )
    await world.work()
    assert await world.value("select count(*) from card_key") == 0
    assert await world.value("select imported from stock") == 0


async def test_nobody_is_asked_for_keys_of_what_is_sold_by_value(world: World) -> None:
    product, owner = await world.product(), await staff(world)
    sku_id, north = product.skus[0].id, await supplier(world)
    async with tenant_tx(world.tenant) as tx:
        await restocking.set_rule(tx, sku_id, Restock(north.supplier_id, 10, Decimal(1)), actor=STAFF)
    await sell_by_value(world, product)
    async with tenant_tx(world.tenant) as tx:
        assert await restocking.ask_by_itself(tx, sku_id) is None
        with pytest.raises(SoldByValue):
            await restocking.set_rule(tx, sku_id, Restock(north.supplier_id, 20, Decimal(1)), actor=STAFF)
    with pytest.raises(NoSuchGoods):
        await asked(world, north, (sku_id, 5))
    page = await owner.get("/suppliers/replenishments/new")
    assert f'value="{sku_id}"' not in page.text
    await sell_by_value(world, product, None)
    assert await asked(world, north, (sku_id, 5))


async def test_its_pages_say_why_nothing_is_imported(world: World) -> None:
    product, owner = await world.product(), await staff(world)
    sku_id = product.skus[0].id
    assert f"/products/{product.id}/values" in (await owner.get(f"/products/{product.id}")).text
    await sell_by_value(world, product)
    shown = html.unescape((await owner.get(f"/card-pools/{sku_id}")).text)
    assert "has no stock of its own" in shown
    assert f"/card-pools/{sku_id}/imports" not in shown
    assert "<form" not in (await owner.get(f"/card-pools/{sku_id}/imports")).text.split("<main")[1].split("</main>")[0]
    listed = (await owner.get("/card-pools")).text
    assert f"/card-pools/{sku_id}/imports" not in listed
    assert "$10.00 – " in html.unescape(words(listed)).replace("US$", "$")
    assert "Any value from" in (await owner.get(f"/products/{product.id}")).text


async def _row_of_stock(world: World, product: Product) -> None:
    """A stock row that stands already, so that only its lock is between the two."""
    async with tenant_tx(world.tenant) as tx:
        await inventory.allow(tx, sku_id=product.skus[0].id, units=0)


async def test_an_import_confirmed_while_the_range_is_set_sees_it(world: World) -> None:
    product = await world.product()
    await _row_of_stock(world, product)
    batch_no = await ready(world, product.skus[0].id)
    async with tenant_session(world.tenant) as session:
        await ranges.set_range(session, product.id, product.skus[0].id, ANY, actor=STAFF)
        other = asyncio.create_task(confirm(world, batch_no))
        await world.until(WAITS)
        assert not other.done(), "it waits for whoever sets the range"
    with pytest.raises(SoldByValue):
        await other
    await world.work()
    assert await world.value("select count(*) from card_key") == 0
    assert await world.value("select state from import_batch") == "ready"


async def test_a_range_set_while_an_import_is_confirmed_sees_that(world: World) -> None:
    product = await world.product()
    await _row_of_stock(world, product)
    batch_no = await ready(world, product.skus[0].id)
    async with tenant_session(world.tenant) as session:
        await importing.confirm(session, batch_no=batch_no, actor=STAFF)
        other = asyncio.create_task(sell_by_value(world, product))
        await world.until(WAITS)
        assert not other.done(), "it waits for whoever confirms"
    with pytest.raises(KeysOnTheWay) as refused:
        await other
    assert refused.value.facts["batch_no"] == batch_no
    await world.work()
    with pytest.raises(HasStock):
        await sell_by_value(world, product)
    assert await world.value("select count(*) from card_key where state = 'free'") == 5


async def test_a_card_that_becomes_stock_while_the_range_is_set_is_seen(world: World) -> None:
    """A card too many of what has one price yet, written down in the instant its SKU is to be sold by value."""
    product = await world.product()
    sku_id = product.skus[0].id
    await _row_of_stock(world, product)
    spare = BoughtKey(sku_id, new_id(), "Northbank", "SIMSPARE0001", "", None, Decimal(1), "CNY", KeyState.FREE)
    async with tenant_tx(world.tenant) as tx:
        assert not await by_value.is_by_value(tx, sku_id)
        other = asyncio.create_task(sell_by_value(world, product))
        await world.until(WAITS)
        await store_bought(tx, [spare])
        await inventory.put_on_shelf(tx, sku_id=sku_id, units=1, from_column="imported", last_day=NEVER)
    with pytest.raises(HasStock) as refused:
        await other
    assert refused.value.facts["free"] == 1
    assert await world.value("select count(*) from sku_range") == 0


async def test_a_card_sold_by_value_is_no_part_and_a_part_is_not_sold_by_value(world: World) -> None:
    owner, tea = await staff(world), await world.product(name="Tea")
    coffee, milk = await world.product(name="Coffee"), await world.product(name="Milk")
    await bundle(world, [(coffee.skus[0].id, 1), (milk.skus[0].id, 1)], name="Morning")
    refused = await owner.post(f"/products/{coffee.id}/values", form(coffee))
    assert refused.status_code == 422
    assert "is a part of Morning" in words(refused.text)
    await sell_by_value(world, tea)
    with pytest.raises(NotAPart):
        await bundle(world, [(tea.skus[0].id, 1), (milk.skus[0].id, 1)], name="Evening")


@pytest.mark.parametrize("range_first", [True, False])
async def test_red_without_the_lock_keys_slip_in_beside_the_range(
    world: World, monkeypatch: pytest.MonkeyPatch, *, range_first: bool
) -> None:
    monkeypatch.setattr(by_value, "HELD", by_value.HELD.removesuffix(" for update"))
    product = await world.product()
    await _row_of_stock(world, product)
    batch_no = await ready(world, product.skus[0].id)
    async with tenant_session(world.tenant) as session:
        if range_first:
            await ranges.set_range(session, product.id, product.skus[0].id, ANY, actor=STAFF)
            other = asyncio.create_task(confirm(world, batch_no))
        else:
            await importing.confirm(session, batch_no=batch_no, actor=STAFF)
            other = asyncio.create_task(sell_by_value(world, product))
        await world.until(WAITS)
    await other
    await world.work()
    assert await world.value("select count(*) from sku_range") == 1
    assert await world.value("select count(*) from card_key where state = 'free'") == 5
    world.may_break.add("BY-VALUE")


async def test_of_many_at_once_either_the_range_or_the_keys_are_there(world: World) -> None:
    for _ in range(6):
        product = await world.product()
        batch_no = await ready(world, product.skus[0].id)
        await asyncio.gather(confirm(world, batch_no), sell_by_value(world, product), return_exceptions=True)
        await world.work()
        found = (await world.rows(_BOTH, product.skus[0].id))[0]
        assert found["is_by_value"] is not found["has_keys"]


_BOTH = """
select exists (select 1 from sku_range where sku_id = $1) as is_by_value, exists (select 1 from card_key where sku_id = $1) as has_keys
"""
