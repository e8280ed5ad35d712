"""A real database, real simulators, the real application; a fresh tenant per test, so tests need no cleaning up.

Fixtures: `world` (a World: makes merchants, products, keys, orders by the real verbs, and does the worker's work on demand), `browser_at`
(HTTP clients on a host, with a cookie jar), `gateway` and `outbox` (the other companies and their books).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.installation import Installation
from tests.simulators import GatewaySimulator, OutboxSimulator, gateway_simulator, outbox_simulator

if TYPE_CHECKING:
    from tests.recycling import Recycler

settings.register_profile("quanyi", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quanyi")
"""A busy machine is no failure of what is judged."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Torture goes first: it waits more than it works, and at the end the other processes would wait for it. Then what copies or reads the whole
    installation, while it is small: every test leaves a merchant behind.
    """
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if item.path.parent.name == "torture":
        return 0
    return 1 if item.get_closest_marker("whole_installation") else 2


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewaySimulator]:
    """The payment company, a process with a book of its own."""
    with gateway_simulator(tmp_path_factory.mktemp("gateway")) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutboxSimulator]:
    """The mail server and text-message company, a process with a book of its own."""
    with outbox_simulator(tmp_path_factory.mktemp("outbox")) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def installation(gateway: GatewaySimulator, outbox: OutboxSimulator) -> Iterator[Installation]:
    made = Installation(gateway_url=gateway.url, outbox_url=outbox.url, smtp_port=outbox.smtp_port)
    yield made
    made.delete()


@pytest.fixture(scope="session")
async def application(installation: Installation, anyio_backend: str) -> AsyncIterator[object]:
    """The application with its lifespan running, migrated."""
    from operations.migrate import migrate
    from tests.world import serving

    assert await migrate(say=lambda _line: None) == 0
    from app.main import app

    async with serving(app, installation.port):
        yield app


@pytest.fixture(scope="session")
async def recycler(application: object, installation: Installation) -> AsyncIterator[Recycler]:
    """Gives merchants of tests that are over to later tests, empty."""
    from tests.recycling import Recycler

    async with Recycler.beside(installation) as made:
        yield made


@pytest.fixture
async def world(
    application: object, installation: Installation, gateway: GatewaySimulator, outbox: OutboxSimulator, recycler: Recycler
) -> AsyncIterator[object]:
    """A World with a merchant of its own: `world.tenant`."""
    from tests.world import World

    made = World(application, installation.urls, gateway, outbox)
    await made.open()
    yield made
    await made.close()
    await recycler.take_back(made.tenants)
