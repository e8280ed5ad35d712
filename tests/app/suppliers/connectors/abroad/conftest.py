"""The companies as processes, one at a time, and an account of ours at each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from app.kernel.http import Client
from app.suppliers.connectors import open_connector
from tests.app.suppliers.connectors.abroad.companies import HOUSES, House, Shop
from tests.simulators import SupplierSimulator, supplier_simulator


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = Client(allow_loopback=True)
    yield made
    await made.aclose()


@pytest.fixture(scope="module", params=HOUSES, ids=lambda house: house.connector)
def house(request: pytest.FixtureRequest) -> House:
    found: House = request.param
    return found


@pytest.fixture(scope="module")
def house_simulator(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp(house.connector), house.protocol) as started:
        started.goods(house.goods)
        yield started


@pytest.fixture
async def shop(house: House, house_simulator: SupplierSimulator, client: Client) -> AsyncIterator[Shop]:
    credentials = house_simulator.client(currency="USD")
    connector = open_connector(house.connector, house.config(house_simulator, credentials), client)
    yield Shop(house, house_simulator, credentials, client, connector)
    house_simulator.clear_script()
    house_simulator.conduct(state="up", latency_ms=0, decide_ms=0, most_at_once=0, most_per_second=0, repeats="protocol")
    house_simulator.goods(house.goods)
