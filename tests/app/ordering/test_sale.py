"""The main job without pages: place, pay, deliver, reveal, refund."""

import pytest

from app.fulfillment.revealing import reveal
from app.kernel.actor import Actor, ActorKind
from tenants.session import tenant_tx
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
BUYER = Actor(ActorKind.BUYER, None, "138****2046")


async def test_a_paid_order_is_delivered_with_one_key_per_unit(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, ["AAAA-BBBB-CCCC-0001", "AAAA-BBBB-CCCC-0002"])
    placed = await world.bought(sku.listing.id, 2)
    units = await world.rows("select * from delivery_unit where order_id = $1 order by unit_no", placed.id)
    assert [u["state"] for u in units] == ["delivered", "delivered"]
    async with tenant_tx(world.tenant) as tx:
        shown = {
            (await reveal(tx, order_id=placed.id, order_line_id=u["order_line_id"], unit_no=u["unit_no"], actor=BUYER)).number
            for u in units
        }
    assert shown == {"AAAA-BBBB-CCCC-0001", "AAAA-BBBB-CCCC-0002"}
    stock = (await world.rows("select * from stock"))[0]
    assert (stock["available"], stock["reserved"], stock["delivered"]) == (0, 0, 2)
    assert await world.value("select state from shop_order where id = $1", placed.id) == "delivered"
    sales = await world.value("select credits_minor from ledger_account where name = 'sales'")
    assert sales == 3980
