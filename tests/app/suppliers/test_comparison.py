"""What suppliers ask, side by side: the cheapest that can serve is marked, and a cost in another currency is compared with nothing."""

from __future__ import annotations

import pytest

from app.catalog.service import SkuTerms
from app.kernel.actor import SYSTEM
from app.kernel.tasks import Lane
from app.suppliers import adjusting, health, queries, service
from app.suppliers.service import ConnectionTerms, RouteTerms
from tenants.session import tenant_session, tenant_tx
from tests.app.suppliers.linked import item, keep, linked, on, reader, stranger
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World

pytestmark = pytest.mark.anyio
PAGE = "/suppliers/comparison"


async def test_the_cheapest_that_can_serve_is_marked_and_the_last_change_is_told(
    world: World, company: SupplierSimulator
) -> None:
    link = await linked(world, company, name="Cheap")
    assert "Nothing to compare yet" in (await link.owner.get(PAGE)).text
    async with tenant_session(world.tenant) as session:
        settings = await adjusting.settings_of(session, await queries.connection_or_404(session, link.id))
        terms = ConnectionTerms("kasushou", "Dear", settings)
        other = (await service.connect(session, link.supplier_id, terms, actor=STAFF)).id
    product = await world.product(SkuTerms("Month", 1990))
    [first] = await keep(world, link.id, item("C1", "10"))
    [second] = await keep(world, other, item("D1", "12"))
    [abroad] = await keep(world, other, item("U1", "2", currency="USD"))
    for connection in (link.id, other):
        await on(world, connection)
    async with tenant_session(world.tenant) as session:
        route = RouteTerms([(first, 1), (second, 1), (abroad, 1)])
        await service.route(session, product.skus[0].id, route, actor=STAFF)
    await keep(world, link.id, item("C1", "11"))
    await world.work(Lane.ORDERS)
    shown = (await link.owner.get(PAGE)).text
    assert shown.count("Cheapest that can serve") == 1
    assert "was ¥10.00" in shown
    assert shown.count('<svg class="spark"') == 1, "the course of a cost that has changed"
    assert "Cannot serve: no exchange rate of its currency is set" in shown
    assert shown.index("Cheapest that can serve") < shown.index("Can serve</span>")
    async with tenant_tx(world.tenant) as tx:
        await health.trip(tx, link.id, actor=SYSTEM)
    assert "Cannot serve: its supplier is failing" in (await link.owner.get(PAGE)).text
    assert (await (await reader(world)).get(PAGE)).status_code == 200
    assert "Cheap" not in (await (await stranger(world)).get(PAGE)).text.replace("Cheapest", "").replace("cheapest", "")
