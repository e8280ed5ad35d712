"""A statement fetched from a supplier's own interface, out of its own book, agrees with what was bought there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from app.kernel import clock
from app.settlement import fetching, importing
from tests.app.fulfillment.supply import routed, settle, source
from tests.app.fulfillment.top_up import top_up
from tests.app.settlement.purchases import differences
from tests.app.storefront.buyer import Buyer
from tests.app.storefront.test_top_up import ordered
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("fetched"), "dingconnect") as started:
        yield started


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("cards"), "tango") as started:
        yield started


async def test_a_statement_out_of_a_list_of_orders_agrees_too(
    world: World, cards: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await source(world, cards)
    product = await routed(world, one)
    for _ in range(3):
        await world.paid(product.skus[0].listing.id)
    cards.script({"refuse": "out_of_stock"}, on="place", times=1)
    await settle(world)
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(days=1))
    await fetching.fetch_due(world.tenant, one.connection_id)
    monkeypatch.setattr(clock, "now", real)
    await world.work()
    assert await world.value("select (lines, file_name) from supplier_statement") == (cards.totals()["effects"]["count"], "")
    assert await differences(world) == []


async def test_yesterdays_statement_is_fetched_and_agrees(
    world: World, company: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold = await top_up(world, company)
    for number in range(3):
        await ordered(world, Buyer(world.client()), sold, **{"account-phone": f"+8525123456{number}"})
    await settle(world)
    assert company.totals()["effects"]["count"] == 3
    connection_id = await world.value("select id from supplier_connection")
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(days=1))
    await fetching.fetch_due(world.tenant, connection_id)
    monkeypatch.setattr(clock, "now", real)
    await world.work()
    assert await world.value("select (lines, file_name) from supplier_statement") == (3, "")
    assert await differences(world) == []
    assert await importing.fetch(world.tenant, connection_id, clock.business_day()) == await world.value(
        "select id from supplier_statement"
    ), "the same lines are the statement they were"
    assert await world.value("select count(*) from task where kind = 'settlement.fetch'") == 1
