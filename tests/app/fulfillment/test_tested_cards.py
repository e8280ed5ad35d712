"""A card that a test order brought has been seen by staff: sold to us once more, it is no buyer's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.suppliers import testing
from tenants.session import tenant_session
from tests.app.fulfillment.supply import attempt_states, order_state, routed, settle, source
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SupplierSimulator]]:
    with (
        supplier_simulator(tmp_path_factory.mktemp("a"), "tango") as first,
        supplier_simulator(tmp_path_factory.mktemp("b"), "tango") as second,
    ):
        yield [first, second]


@pytest.mark.case("B07")
async def test_the_card_of_a_test_order_that_is_sold_again_is_delivered_to_nobody(
    world: World, simulator: list[SupplierSimulator]
) -> None:
    first, second = [await source(world, company) for company in simulator]
    product = await routed(world, first, second)
    async with tenant_session(world.tenant) as session:
        test_id = await testing.start(session, first.connection_id, testing.TestTerms(first.offer_id), actor=STAFF)
    await testing.go_on(world.tenant, test_id)
    assert await world.value("select state from test_order where id = $1", test_id) == "succeeded"
    first.company.script({"misstate": "sold_card"}, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    assert await attempt_states(world, placed.id) == ["failed", "succeeded"]
    assert await order_state(world, placed.id) == "delivered"
    assert await world.value("select count(*) from card_key") == 1
    assert await world.value("select facts ->> 'what' from staff_case where kind = 'bad_goods'") == "known_card"
