"""The companies as processes, one at a time, and an account of ours at each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from app.kernel.http import Client
from app.suppliers.connectors import open_connector
from tests.app.suppliers.connectors.mainland.companies import CARD, COMPANIES, TOP_UP, Company, Shop
from tests.simulators import SupplierSimulator, supplier_simulator


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = Client(allow_loopback=True)
    yield made
    await made.aclose()


@pytest.fixture(scope="module", params=COMPANIES, ids=lambda company: company.name)
def company(request: pytest.FixtureRequest) -> Company:
    found: Company = request.param
    return found


@pytest.fixture(scope="module")
def company_simulator(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp(company.name), company.name) as started:
        yield started


@pytest.fixture
async def shop(company: Company, company_simulator: SupplierSimulator, client: Client) -> AsyncIterator[Shop]:
    account_field = next(iter(company.account))
    company_simulator.goods(
        {"sku": CARD, "kind": "card", "cost": "9.8", "name": "云雀视频·月卡", "face_value_minor": 1500},
        {
            "sku": TOP_UP,
            "kind": "top_up",
            "cost": "4.95",
            "name": "话费 5 元",
            "account_fields": [{"name": account_field, "label": "充值账号"}],
        },
    )
    credentials = company_simulator.client(balance="1000000")
    connector = open_connector(company.connector, company.config(company_simulator, credentials), client)
    yield Shop(company, company_simulator, credentials, client, connector)
    company_simulator.clear_script()
    company_simulator.conduct(state="up", latency_ms=0, decide_ms=0, most_at_once=0, most_per_second=0, repeats="protocol")
