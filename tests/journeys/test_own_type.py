"""Game coins: a type with region, server and role built in the admin, a product of it, and what its buyer stated in the supplier's own book."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from app.kernel.tasks import Lane
from app.ordering.placing import Placed
from app.storefront.shelf import forget_shelf
from app.suppliers import service as suppliers
from app.suppliers.models import RoutePolicy
from app.suppliers.service import RouteTerms
from tenants.session import tenant_session
from tests.app.catalog.test_type_pages import COINS, PRODUCT, ROLE
from tests.app.fulfillment.supply import settle
from tests.app.storefront.buyer import Buyer, fields, words
from tests.app.suppliers.linked import item, keep, linked, on
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio]
GAME = "GAME60"


@pytest.fixture
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("kasushou"), "kasushou") as company:
        yield company


async def test_a_type_built_in_the_admin_is_bought_through_a_supplier(world: World, company: SupplierSimulator) -> None:
    names = ("Region", "Server", "role")
    asked = [{"name": name, "label": name} for name in names]
    company.goods({"sku": GAME, "kind": "top_up", "cost": "4", "currency": "CNY", "account_fields": asked})
    link = await linked(world, company)
    await on(world, link.id)
    (offer_id,) = await keep(world, link.id, item(GAME, "4", delivery_kind="direct_top_up"))

    made = await link.owner.post("/product-types", COINS | {"kind": "direct_top_up"})
    type_id = made.headers["location"].rpartition("/")[2]
    product = await link.owner.post("/products", PRODUCT | {"kind": type_id})
    path = product.headers["location"].removeprefix(link.owner.base)
    sku_id = await world.value("select id from sku")
    async with tenant_session(world.tenant) as session:
        await suppliers.route(session, sku_id, RouteTerms([(offer_id, 1)], RoutePolicy.FIXED_ORDER, 0, 1800), actor=STAFF)
    assert (await link.owner.post(f"{path}/publication")).status_code == 303
    await world.work(Lane.ORDERS)
    forget_shelf(world.tenant)

    buyer = Buyer(world.client())
    confirmation = await buyer.buy(path.rpartition("/")[2], **ROLE)
    assert "Is this the right account?" in words(confirmation.text)
    placed = await buyer.client.post("/checkout", data=fields(confirmation.text, "/checkout"))
    order = (await world.rows("select id from shop_order"))[0]
    await pay_for(world, order["id"])
    await settle(world)
    assert company.totals()["effects"]["count"] == 1
    stated = company.book()["purchases"][0]["account"]
    assert (json.loads(stated) if isinstance(stated, str) else stated) == {"Region": "East", "Server": "Hill", "role": "AB1234"}
    page = words((await buyer.get(placed.headers["location"])).text)
    assert "Server Hill" in page
    assert "AB1234" not in page


async def pay_for(world: World, order_id: object) -> None:
    """Pay the order at the gateway, and learn of it."""
    row = (await world.rows("select id, order_no from shop_order where id = $1", order_id))[0]
    placed = Placed(row["id"], row["order_no"], repeated=False)
    await world.pay(placed)
    await world.ask_gateway(placed)
